#include "k8sdns/dns/domain_name.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace k8sdns::dns {
namespace {

constexpr size_t kMaxLabel = 63;
constexpr size_t kMaxName = 255;  // in a message, with length bytes

// Characters that are printed as they are (what miekg/dns does not escape).
constexpr bool IsPlain(char c) {
  return c > ' ' && c <= '~' && c != '.' && c != '\\' && c != '\'' &&
         c != '@' && c != ';' && c != '(' && c != ')' && c != '"';
}

bool IsDigit(char c) { return absl::ascii_isdigit(c); }

// Which bytes are plain.
constexpr std::array<bool, 256> kPlain = [] {
  std::array<bool, 256> plain = {};
  for (int c = 0; c < 256; ++c) plain[c] = IsPlain(static_cast<char>(c));
  return plain;
}();

// True if the name is in normal form already and has no escapes: plain labels
// of a proper size, and a final dot.
bool IsNormal(absl::string_view name) {
  if (name.empty() || name.size() + 1 > kMaxName || name.back() != '.') {
    return false;
  }
  size_t start = 0;
  for (size_t i = 0; i < name.size(); ++i) {
    if (kPlain[static_cast<uint8_t>(name[i])]) continue;
    if (name[i] != '.' || i == start || i - start > kMaxLabel) return false;
    start = i + 1;
  }
  return true;
}

// The bytes that the character at `i` takes in the text: 1, 2 (\.) or 4 (\046).
size_t Step(absl::string_view name, size_t i) {
  if (name[i] != '\\') return 1;
  if (i + 3 < name.size() && IsDigit(name[i + 1]) && IsDigit(name[i + 2]) &&
      IsDigit(name[i + 3])) {
    return 4;
  }
  return std::min<size_t>(2, name.size() - i);
}

void AppendByte(uint8_t byte, std::string& out) {
  const char c = static_cast<char>(byte);
  if (byte < ' ' || byte > '~') {
    absl::StrAppendFormat(&out, "\\%03d", byte);
  } else {
    if (!IsPlain(c)) out.push_back('\\');
    out.push_back(c);
  }
}

absl::Status NameError(absl::string_view name, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(
      "domain name \"", absl::CHexEscape(name.substr(0, 300)), "\": ", what));
}

}  // namespace

bool IsNormalName(absl::string_view name) {
  return name == "." || IsNormal(name);
}

absl::StatusOr<std::string> NormalizeName(absl::string_view name) {
  if (name.empty()) return NameError(name, "is empty");
  if (name == "." || IsNormal(name)) return std::string(name);
  std::string out;
  out.reserve(name.size() + 1);
  size_t label = 0;  // bytes of the label so far
  size_t total = 1;  // bytes of the name in a message so far
  const auto end_label = [&]() -> absl::Status {
    if (label == 0) return NameError(name, "has an empty label");
    if (label > kMaxLabel) {
      return NameError(name, absl::StrCat("has a label of ", label,
                                          " bytes, expected at most 63"));
    }
    total += label + 1;
    label = 0;
    out.push_back('.');
    return absl::OkStatus();
  };
  for (size_t i = 0; i < name.size();) {
    if (name[i] == '.') {
      if (absl::Status s = end_label(); !s.ok()) return s;
      ++i;
      continue;
    }
    const size_t step = Step(name, i);
    if (name[i] != '\\') {
      AppendByte(static_cast<uint8_t>(name[i]), out);
    } else if (step == 4) {
      const int value = (name[i + 1] - '0') * 100 + (name[i + 2] - '0') * 10 +
                        (name[i + 3] - '0');
      if (value > 255) return NameError(name, "has an escape over \\255");
      AppendByte(static_cast<uint8_t>(value), out);
    } else if (step == 2) {
      AppendByte(static_cast<uint8_t>(name[i + 1]), out);
    } else {
      return NameError(name, "ends in a backslash");
    }
    ++label;
    i += step;
  }
  if (label > 0) {
    if (absl::Status s = end_label(); !s.ok()) return s;
  }
  if (total > kMaxName) {
    return NameError(
        name, absl::StrCat("takes ", total, " bytes, expected at most 255"));
  }
  return out;
}

bool IsEncodable(absl::string_view name) {
  if (name == "." || IsNormal(name)) return true;
  size_t label = 0;
  size_t total = 1;
  for (size_t i = 0; i < name.size();) {
    if (name[i] == '.') {
      if (label == 0 || label > kMaxLabel) return false;
      total += label + 1;
      label = 0;
      ++i;
    } else {
      ++label;
      i += Step(name, i);
    }
  }
  return label == 0 && total > 1 && total <= kMaxName;
}

std::string Fqdn(absl::string_view name) {
  if (absl::EndsWith(name, ".")) return std::string(name);
  return absl::StrCat(name, ".");
}

NameLabels SplitLabels(absl::string_view name) {
  NameLabels labels;
  size_t start = 0;
  for (size_t i = 0; i < name.size();) {
    if (name[i] == '.') {
      if (i > start || name.size() > 1) {
        labels.push_back(name.substr(start, i - start));
      }
      start = i + 1;
      ++i;
    } else {
      i += Step(name, i);
    }
  }
  if (start < name.size()) labels.push_back(name.substr(start));
  return labels;
}

size_t CountLabels(absl::string_view name) { return SplitLabels(name).size(); }

bool IsSubDomain(absl::string_view parent, absl::string_view child) {
  if (parent == ".") return true;
  if (!absl::EndsWithIgnoreCase(child, parent)) return false;
  if (child.size() == parent.size()) return true;
  const absl::string_view left = child.substr(0, child.size() - parent.size());
  if (left.back() != '.') return false;
  // The dot before the parent must not be escaped itself.
  const size_t last_other = left.find_last_not_of('\\', left.size() - 2);
  const size_t first = last_other == left.npos ? 0 : last_other + 1;
  return left.size() < 2 || (left.size() - 1 - first) % 2 == 0;
}

size_t WireSize(absl::string_view name) {
  if (name.empty() || name == ".") return 1;
  if (name.find('\\') == name.npos) return name.size() + 1;
  size_t size = 1;
  for (size_t i = 0; i < name.size(); i += Step(name, i)) ++size;
  return size;
}

std::optional<IpAddress> ParseGoIp(absl::string_view text) {
  std::optional<IpAddress> ip = IpAddress::Parse(text);
  if (!ip || ip->is_v4()) return ip;
  const auto& bytes = ip->bytes();
  const bool mapped = std::all_of(bytes.begin(), bytes.begin() + 10,
                                  [](uint8_t b) { return b == 0; }) &&
                      bytes[10] == 0xFF && bytes[11] == 0xFF;
  if (!mapped) return ip;
  return IpAddress::V4(uint32_t{bytes[12]} << 24 | uint32_t{bytes[13]} << 16 |
                       uint32_t{bytes[14]} << 8 | bytes[15]);
}

std::optional<IpAddress> AddressOfIn4Arpa(absl::string_view name) {
  constexpr absl::string_view kSuffix = ".in-addr.arpa.";
  if (!absl::EndsWith(name, kSuffix)) return std::nullopt;
  NameLabels labels = SplitLabels(name.substr(0, name.size() - kSuffix.size()));
  if (labels.size() != 4) return std::nullopt;
  std::reverse(labels.begin(), labels.end());
  const std::optional<IpAddress> ip = ParseGoIp(absl::StrJoin(labels, "."));
  return ip && ip->is_v4() ? ip : std::nullopt;
}

}  // namespace k8sdns::dns
