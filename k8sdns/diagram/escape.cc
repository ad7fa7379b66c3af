#include "k8sdns/diagram/escape.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"

namespace k8sdns::diagram {
namespace {

bool IsContinuation(char c) { return (static_cast<uint8_t>(c) & 0xc0) == 0x80; }

// Bytes of the UTF-8 character at the start of `text`; 0 if there is none.
// RFC 3629, without the surrogates.
size_t CharacterSize(absl::string_view text) {
  const uint8_t c = static_cast<uint8_t>(text[0]);
  const size_t size = c < 0x80                ? 1
                      : c >= 0xc2 && c < 0xe0 ? 2
                      : c >= 0xe0 && c < 0xf0 ? 3
                      : c >= 0xf0 && c < 0xf5 ? 4
                                              : 0;
  if (size == 0 || size > text.size()) return 0;
  for (size_t i = 1; i < size; ++i) {
    if (!IsContinuation(text[i])) return 0;
  }
  if (size < 3) return size;
  const uint8_t second = static_cast<uint8_t>(text[1]);
  const bool overlong =
      (c == 0xe0 && second < 0xa0) || (c == 0xf0 && second < 0x90);
  const bool outside =
      (c == 0xed && second >= 0xa0) || (c == 0xf4 && second >= 0x90);
  return overlong || outside ? 0 : size;
}

}  // namespace

std::string Clean(absl::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t size = CharacterSize(text);
    const uint8_t c = static_cast<uint8_t>(text[0]);
    if (size == 0 || c < 0x20 || c == 0x7f) {
      out.push_back(c == '\t' ? ' ' : '?');
      text.remove_prefix(1);
      continue;
    }
    absl::StrAppend(&out, text.substr(0, size));
    text.remove_prefix(size);
  }
  return out;
}

std::string EscapeXml(absl::string_view text) {
  std::string out;
  for (char c : Clean(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out.push_back(c);
    }
  }
  return out;
}

std::string EscapeDot(absl::string_view text) {
  std::string out;
  for (char c : Clean(text)) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return out;
}

// Mermaid knows entities by number; '#' begins one.
std::string EscapeMermaid(absl::string_view text) {
  std::string out;
  for (char c : Clean(text)) {
    if (c == '"' || c == '#' || c == '<' || c == '>' || c == '&' || c == '`' ||
        c == '\\') {
      absl::StrAppend(&out, "#", int{c}, ";");
    } else {
      out.push_back(c);
    }
  }
  return out;
}

size_t Width(absl::string_view text) {
  return text.size() - static_cast<size_t>(std::count_if(
                           text.begin(), text.end(), IsContinuation));
}

std::vector<std::string> Wrap(absl::string_view text, size_t columns) {
  std::vector<std::string> lines;
  std::string rest = Clean(text);
  for (std::string indent;; indent = "  ") {
    const size_t room = columns - indent.size();
    if (Width(rest) <= room) {
      lines.push_back(indent + rest);
      return lines;
    }
    size_t cut = 0;  // byte after which the line ends
    size_t at = 0;
    for (size_t n = 0; n < room; ++n) {
      if (rest[at] == ' ' && n > 0) cut = at;
      at += CharacterSize(absl::string_view(rest).substr(at));
    }
    if (rest[at] == ' ' || cut == 0) cut = at;
    lines.push_back(indent + rest.substr(0, cut));
    rest.erase(0, rest.find_first_not_of(' ', cut));
  }
}

}  // namespace k8sdns::diagram
