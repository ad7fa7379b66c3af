// UTF-8 (RFC 3629), as far as writers need it.
#ifndef K8SDNS_CLUSTER_UTF8_H_
#define K8SDNS_CLUSTER_UTF8_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace k8sdns {

struct Utf8Character {
  uint32_t code = 0;  // U+FFFD if not valid
  size_t size = 1;    // bytes; 1 if not valid
  bool valid = true;
};

// The first character of `text`, which must not be empty.
Utf8Character FirstCharacter(absl::string_view text);

bool IsValidUtf8(absl::string_view text);

}  // namespace k8sdns

#endif  // K8SDNS_CLUSTER_UTF8_H_
