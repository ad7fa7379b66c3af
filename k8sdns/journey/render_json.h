// How the room's JSON looks. Private to it.
#ifndef K8SDNS_JOURNEY_RENDER_JSON_H_
#define K8SDNS_JOURNEY_RENDER_JSON_H_

#include <google/protobuf/message.h>

#include <string>

#include "absl/status/statusor.h"

namespace k8sdns::journey {

// Indented, names as in the schema, with a newline at the end. An error only
// for texts that are not UTF-8.
absl::StatusOr<std::string> RenderJson(
    const google::protobuf::Message& message);

}  // namespace k8sdns::journey

#endif  // K8SDNS_JOURNEY_RENDER_JSON_H_
