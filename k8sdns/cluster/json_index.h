// Where the tokens of a JSON text begin: braces, brackets, colons, commas, and
// the first byte of each string, number, true, false and null. Internal to the
// readers of this folder.
//
// This is simdjson's first stage, a few gigabytes a second. Its On-Demand
// interface walks the same index, but takes twice as long to do so as a walk
// that knows that each value is read in turn.
#ifndef K8SDNS_CLUSTER_JSON_INDEX_H_
#define K8SDNS_CLUSTER_JSON_INDEX_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "simdjson.h"

namespace k8sdns {

class JsonIndex {
 public:
  // Bytes after the text that must be readable.
  static constexpr size_t kPadding = simdjson::SIMDJSON_PADDING;

  // Fails for a text that is not UTF-8, has a control character in a string,
  // ends in a string, or has no token. `text` must outlive the index.
  simdjson::error_code Build(absl::string_view text);

  // Offsets in the text, in order.
  const uint32_t* begin() const { return stage_->structural_indexes.get(); }
  const uint32_t* end() const { return begin() + stage_->n_structural_indexes; }

 private:
  std::unique_ptr<simdjson::internal::dom_parser_implementation> stage_;
};

// Replaces the escapes of a JSON string, which is given without its quotes.
// False if one of them is wrong.
bool UnescapeJson(absl::string_view text, std::string& out);

// A number as JSON writes it.
bool IsJsonNumber(absl::string_view token);

}  // namespace k8sdns

#endif  // K8SDNS_CLUSTER_JSON_INDEX_H_
