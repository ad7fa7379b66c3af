#include "k8sdns/dns/query_name.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace k8sdns::dns {
namespace {

constexpr size_t kMaxLabel = 63;
constexpr int kMaxWire = 255;

bool IsUtf8(absl::string_view s) {
  size_t i = 0;
  while (i < s.size()) {
    const uint8_t c = s[i++];
    int more = 0;
    uint32_t minimum = 0;
    uint32_t code = c;
    if (c >= 0xf0 && c < 0xf5) {
      more = 3, minimum = 0x10000, code = c & 7;
    } else if (c >= 0xe0) {
      more = 2, minimum = 0x800, code = c & 15;
    } else if (c >= 0xc2) {
      more = 1, minimum = 0x80, code = c & 31;
    } else if (c >= 0x80) {
      return false;
    }
    if (c >= 0xf5) return false;
    for (; more > 0; --more) {
      if (i == s.size() || (s[i] & 0xc0) != 0x80) return false;
      code = code << 6 | (s[i++] & 0x3f);
    }
    if (code < minimum || (code >= 0xd800 && code < 0xe000)) return false;
  }
  return true;
}

}  // namespace

std::string ShowName(const Labels& labels) {
  if (labels.empty()) return ".";
  std::string out;
  for (const std::string& label : labels) {
    for (char c : label) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte <= ' ' || byte >= 0x7f || c == '.' || c == '"' || c == '\'' ||
          c == '\\') {
        absl::StrAppendFormat(&out, "\\%03d", byte);
      } else {
        out += c;
      }
    }
    out += '.';
  }
  return out;
}

int WireSize(const Labels& labels) {
  int size = 1;
  for (const std::string& label : labels) {
    size += static_cast<int>(label.size()) + 1;
  }
  return size;
}

std::optional<Labels> GlibcName(absl::string_view text) {
  Labels labels;
  std::string label;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\') {
      if (++i == text.size()) return std::nullopt;
      if (!absl::ascii_isdigit(text[i])) {
        label += text[i];
        continue;
      }
      int code = 0;
      for (int digit = 0; digit < 3; ++digit, ++i) {
        if (i == text.size() || !absl::ascii_isdigit(text[i])) {
          return std::nullopt;
        }
        code = code * 10 + (text[i] - '0');
      }
      --i;
      if (code > 255) return std::nullopt;
      label += static_cast<char>(code);
    } else if (c == '.') {
      const bool last = i + 1 == text.size();
      if (label.size() > kMaxLabel) return std::nullopt;
      if (label.empty() && !(last && labels.empty())) return std::nullopt;
      if (!label.empty()) labels.push_back(std::move(label));
      label.clear();
    } else {
      label += c;
    }
  }
  if (label.size() > kMaxLabel) return std::nullopt;
  if (!label.empty()) labels.push_back(std::move(label));
  if (WireSize(labels) > kMaxWire) return std::nullopt;
  return labels;
}

bool GlibcHostNameOk(const Labels& labels) {
  if (!labels.empty() && labels.front().front() == '-') return false;
  for (const std::string& label : labels) {
    for (char c : label) {
      if (!absl::ascii_isalnum(c) && c != '-' && c != '_') return false;
    }
  }
  return true;
}

MuslQuery MuslMakeQuery(absl::string_view name, uint16_t type,
                        bool checks_trailing_dots) {
  name = name.substr(0, 255);
  if (!name.empty() && name.back() == '.') name.remove_suffix(1);
  if (checks_trailing_dots && !name.empty() && name.back() == '.') return {};
  if (name.size() > 253 || type > 255) return {};
  MuslQuery out;
  // A name that still ends in a dot: that dot stays where the length of the
  // root belongs, and the rest of the question is read as a label.
  const bool trailing_dot = !name.empty() && name.back() == '.';
  absl::string_view rest = name;
  if (trailing_dot) rest.remove_suffix(1);
  if (!rest.empty() || trailing_dot) {
    while (true) {
      const size_t dot = rest.find('.');
      const absl::string_view label = rest.substr(0, dot);
      if (label.empty() || label.size() > kMaxLabel) return {};
      out.labels.push_back(std::string(label));
      if (dot == absl::string_view::npos) break;
      rest.remove_prefix(dot + 1);
    }
  }
  out.ok = true;
  if (trailing_dot) {
    std::string wire;
    for (const std::string& label : out.labels) {
      wire += static_cast<char>(label.size());
      wire += label;
    }
    wire += '.';
    wire.append({'\0', static_cast<char>(type), '\0', '\1', '\0'});
    out.malformed = absl::BytesToHexString(wire);
    out.labels.clear();
  }
  return out;
}

bool MuslHostNameOk(absl::string_view name) {
  if (name.empty() || name.size() >= 255 || !IsUtf8(name)) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) >= 0x80 || c == '.' || c == '-' ||
           absl::ascii_isalnum(c);
  });
}

bool GoIsDomainName(absl::string_view s) {
  if (s == ".") return true;  // the root
  const size_t l = s.size();
  if (l == 0 || l > 254 || (l == 254 && s.back() != '.')) return false;
  char last = '.';
  bool non_numeric = false;
  size_t label = 0;
  for (char c : s) {
    if (absl::ascii_isalpha(c) || c == '_') {
      non_numeric = true;
      ++label;
    } else if (absl::ascii_isdigit(c)) {
      ++label;
    } else if (c == '-') {
      if (last == '.') return false;
      ++label;
      non_numeric = true;
    } else if (c == '.') {
      if (last == '.' || last == '-') return false;
      if (label > kMaxLabel || label == 0) return false;
      label = 0;
    } else {
      return false;
    }
    last = c;
  }
  if (last == '-' || label > kMaxLabel) return false;
  return non_numeric;
}

}  // namespace k8sdns::dns
