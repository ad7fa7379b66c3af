// A walk as JSON, in the schema of proto/k8sdns/v1/walk.proto.
//
//   absl::StatusOr<std::string> json = WalkToJson(walk);
#ifndef K8SDNS_JOURNEY_WALK_JSON_H_
#define K8SDNS_JOURNEY_WALK_JSON_H_

#include <string>

#include "absl/status/statusor.h"
#include "k8sdns/journey/walk.h"

namespace k8sdns::journey {

// Indented, with a final newline; fields that are unset are left out.
// InvalidArgument if a text (the name that was asked for) is not UTF-8.
absl::StatusOr<std::string> WalkToJson(const Walk& walk);

}  // namespace k8sdns::journey

#endif  // K8SDNS_JOURNEY_WALK_JSON_H_
