#include "k8sdns/cli/colour.h"

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace k8sdns::cli {
namespace {

constexpr absl::string_view kRed = "\x1b[31m";
constexpr absl::string_view kGreen = "\x1b[32m";
constexpr absl::string_view kYellow = "\x1b[33m";
constexpr absl::string_view kDim = "\x1b[2m";
constexpr absl::string_view kBold = "\x1b[1m";
constexpr absl::string_view kEnd = "\x1b[0m";

// How a line begins, after its indentation; the first that fits counts.
struct Rule {
  absl::string_view start;
  absl::string_view colour;
};
constexpr Rule kRules[] = {
    {"=> ", kYellow},     {"arrives, but its reply", kRed},
    {"arrives", kGreen},  {"the reply arrives", kGreen},
    {"is dropped", kRed}, {"is rejected", kRed},
    {"is denied", kRed},  {"lost:", kRed},
    {"dropped", kRed},    {"rejected", kRed},
    {"denied", kRed},     {"error", kRed},
    {"warning", kYellow}, {"missing", kRed},
    {"stale", kRed},      {"kube-proxy has not", kRed},
    {"node ", kBold},     {"1. ", kBold},
    {"2. ", kBold},       {"3. ", kBold},
    {"note:", kDim},      {"why:", kDim},
};

absl::string_view ColourOf(absl::string_view line) {
  line = absl::StripLeadingAsciiWhitespace(line);
  for (const Rule& rule : kRules) {
    if (absl::StartsWith(line, rule.start)) return rule.colour;
  }
  return "";
}

}  // namespace

bool WantsColour(int file_descriptor) {
  const char* no_color = getenv("NO_COLOR");
  if (no_color != nullptr && no_color[0] != '\0') return false;
  const char* terminal = getenv("TERM");
  if (terminal == nullptr || absl::string_view(terminal) == "dumb") {
    return false;
  }
  return isatty(file_descriptor) == 1;
}

std::string Colour(absl::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const absl::string_view line = text.substr(0, end);
    const absl::string_view colour = ColourOf(line);
    absl::StrAppend(&out, colour, line, colour.empty() ? "" : kEnd);
    if (end < text.size()) out.push_back('\n');
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

}  // namespace k8sdns::cli
