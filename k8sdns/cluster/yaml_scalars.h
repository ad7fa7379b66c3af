// What a plain YAML 1.1 scalar is, as kubectl and the Go components resolve it
// (sigs.k8s.io/yaml, its yaml.v2 resolve.go): `y`, `yes` and `on` are booleans,
// `0x1F`, `0b1`, `017` and `1_000` integers, `~` and nothing null.
#ifndef K8SDNS_CLUSTER_YAML_SCALARS_H_
#define K8SDNS_CLUSTER_YAML_SCALARS_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace k8sdns {

enum class ScalarKind : uint8_t {
  kNull,
  kBool,
  kInteger,      // fits int64_t
  kLongInteger,  // does not
  kFloat,
  kText,
};

struct Scalar {
  ScalarKind kind = ScalarKind::kText;
  bool boolean = false;  // kBool
  int64_t integer = 0;   // kInteger
};

Scalar ResolveScalar(absl::string_view plain);

// False if `plain` is certainly a text: its first character starts no other
// kind.
inline bool MayBeOtherThanText(absl::string_view plain) {
  if (plain.empty()) return true;
  switch (plain[0]) {
    case '+':
    case '-':
    case '.':
    case '~':
    case 'y':
    case 'Y':
    case 'n':
    case 'N':
    case 't':
    case 'T':
    case 'f':
    case 'F':
    case 'o':
    case 'O':
      return true;
    default:
      return plain[0] >= '0' && plain[0] <= '9';
  }
}

}  // namespace k8sdns

#endif  // K8SDNS_CLUSTER_YAML_SCALARS_H_
