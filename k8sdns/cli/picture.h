// Diagrams in the format that -o asks for. Private to the room.
#ifndef K8SDNS_CLI_PICTURE_H_
#define K8SDNS_CLI_PICTURE_H_

#include <string>

#include "absl/strings/string_view.h"
#include "k8sdns/diagram/diagram.h"

namespace k8sdns::cli {

// dot, mermaid, svg or html.
bool IsPicture(absl::string_view format);
// `format` must be one of these.
std::string Draw(const diagram::Diagram& diagram, absl::string_view format);

}  // namespace k8sdns::cli

#endif  // K8SDNS_CLI_PICTURE_H_
