// Texts as the formats take them. Private to the room.
#ifndef K8SDNS_DIAGRAM_ESCAPE_H_
#define K8SDNS_DIAGRAM_ESCAPE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace k8sdns::diagram {

// Valid UTF-8 without control characters: what is not becomes "?".
std::string Clean(absl::string_view text);

std::string EscapeXml(absl::string_view text);      // text and attributes
std::string EscapeDot(absl::string_view text);      // inside "..."
std::string EscapeMermaid(absl::string_view text);  // inside "..."

// Lines of at most `columns` characters, broken at spaces where there are
// any; continuation lines are indented by two. At least one line.
std::vector<std::string> Wrap(absl::string_view text, size_t columns);
// Characters, not bytes, of a clean text.
size_t Width(absl::string_view text);

}  // namespace k8sdns::diagram

#endif  // K8SDNS_DIAGRAM_ESCAPE_H_
