// Reads JSON objects that look as kubectl and the API server print them, by the
// tables of schema.h: values of the right types, no key twice. It gives up at
// anything else, wherever it is, and says nothing: then the object is to be
// read again by ObjectReader, which takes all that is valid, and says what is
// not. An object that this reader takes is what ObjectReader makes of the same
// text, in less time: it keeps no path and no positions.
//
// Internal to the reader of JSON.
#ifndef K8SDNS_CLUSTER_JSON_PLAIN_READER_H_
#define K8SDNS_CLUSTER_JSON_PLAIN_READER_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "k8sdns/cluster/object_arena.h"
#include "k8sdns/cluster/schema.h"

namespace k8sdns {

class PlainJsonReader {
 public:
  // Where the token behind a value is; nullptr: give up. `depth` is that of
  // what holds the value.
  class Skipper {
   public:
    virtual ~Skipper() = default;
    virtual const uint32_t* SkipValue(const uint32_t* token, int depth) = 0;
  };
  // What an object had beside its fields.
  struct Counts {
    size_t ignored_fields = 0;
    size_t list_bytes = 0;
    bool said_kind = false;
  };

  // `text`, the tokens, which end at `end`, and the other two must outlive it.
  // The padding of JsonIndex must be readable.
  PlainJsonReader(const char* text, const uint32_t* end, int max_depth,
                  ObjectArena& arena, Skipper& skipper);
  ~PlainJsonReader();

  // Fills `object`, a new one of the kind, from the value at `token`, which
  // lies `depth` levels deep. Returns the token behind it, or nullptr if it is
  // not plain; `object` then has anything. Takes at most `max_list_bytes`.
  const uint32_t* Read(const schema::Kind& kind, const uint32_t* token,
                       int depth, size_t max_list_bytes, void* object,
                       Counts& counts);

 private:
  class Impl;

  const std::unique_ptr<Impl> impl_;
};

}  // namespace k8sdns

#endif  // K8SDNS_CLUSTER_JSON_PLAIN_READER_H_
