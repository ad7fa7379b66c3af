// Interned texts: chain names, comments, interface and set names. Equal texts
// have equal ids.
//
//   StringPool pool;
//   StringId id = pool.Intern("KUBE-SERVICES");
//   absl::string_view name = pool.Get(id);
#ifndef K8SDNS_NETFILTER_STRING_POOL_H_
#define K8SDNS_NETFILTER_STRING_POOL_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "k8sdns/netfilter/ops.h"

namespace k8sdns::netfilter {

// Texts are kept until the pool dies. At most 4 GiB of text.
class StringPool {
 public:
  StringPool();

  // Amortised O(size of the text).
  StringId Intern(absl::string_view text);
  // 0 (the id of "") with *found = false if it was never interned.
  StringId Find(absl::string_view text, bool* found) const;
  // Valid until the next Intern().
  absl::string_view Get(StringId id) const {
    const uint32_t begin = offsets_[id];
    return absl::string_view(text_.data() + begin, offsets_[id + 1] - begin);
  }
  // Makes room for so many more texts of so many bytes in all.
  void Reserve(size_t texts, size_t bytes);
  size_t size() const { return offsets_.size() - 1; }
  size_t memory_bytes() const;

 private:
  void Grow(size_t slots);

  std::string text_;
  std::vector<uint32_t> offsets_;  // text of id i: offsets_[i]..offsets_[i+1]
  std::vector<uint32_t> slots_;    // open addressing; id, or 0 if free
};

}  // namespace k8sdns::netfilter

#endif  // K8SDNS_NETFILTER_STRING_POOL_H_
