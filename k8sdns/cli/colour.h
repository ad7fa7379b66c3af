// Colour for text on a terminal. Private to the room.
#ifndef K8SDNS_CLI_COLOUR_H_
#define K8SDNS_CLI_COLOUR_H_

#include <string>

#include "absl/strings/string_view.h"

namespace k8sdns::cli {

// Whether to colour what is written to this file descriptor: it is a terminal
// that is not "dumb", and NO_COLOR is not set or empty (no-color.org).
bool WantsColour(int file_descriptor);

// Colours whole lines by how they begin: how something ended, what was
// rewritten, headings. Takes away nothing: without its escape sequences the
// result is `text`.
std::string Colour(absl::string_view text);

}  // namespace k8sdns::cli

#endif  // K8SDNS_CLI_COLOUR_H_
