// Where the tokens of a JSON text begin: braces, brackets, colons, commas, and
// the first byte of each string, number, true, false and null. Internal to the
// readers of this folder.
//
// This is simdjson's first stage, a few gigabytes a second. Its On-Demand
// interface walks the same index, but takes twice as long to do so as a walk
// that knows that each value is read in turn.
#ifndef K8SDNS_CLUSTER_JSON_INDEX_H_
#define K8SDNS_CLUSTER_JSON_INDEX_H_

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <bit>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/attributes.h"
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

// The first of '"' and '\\' in a JSON string, which ends with one of them; a
// string of a text with the padding behind it.
ABSL_ATTRIBUTE_ALWAYS_INLINE inline const char* EndOfPlainJson(const char* p) {
#ifdef __SSE2__
  const __m128i quote = _mm_set1_epi8('"');
  const __m128i slash = _mm_set1_epi8('\\');
  for (;; p += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const unsigned found = static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(
        _mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, slash))));
    if (found != 0) return p + std::countr_zero(found);
  }
#else
  while (*p != '"' && *p != '\\') ++p;
  return p;
#endif
}

// Replaces the escapes of a JSON string, which is given without its quotes.
// False if one of them is wrong.
bool UnescapeJson(absl::string_view text, std::string& out);

// A number as JSON writes it.
bool IsJsonNumber(absl::string_view token);

}  // namespace k8sdns

#endif  // K8SDNS_CLUSTER_JSON_INDEX_H_
