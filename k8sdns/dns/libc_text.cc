#include "k8sdns/dns/libc_text.h"

#include <algorithm>
#include <array>
#include <limits>

#include "absl/strings/ascii.h"

namespace k8sdns::dns {
namespace {

// One number of inet_aton(3) at the front of `text`, which it is removed from.
std::optional<uint64_t> TakeAtonNumber(absl::string_view& text) {
  if (text.empty() || !absl::ascii_isdigit(text.front())) return std::nullopt;
  int base = 10;
  if (text.size() > 2 && text[0] == '0' && (text[1] | 0x20) == 'x' &&
      absl::ascii_isxdigit(text[2])) {
    base = 16;
    text.remove_prefix(2);
  } else if (text[0] == '0') {
    base = 8;
  }
  uint64_t value = 0;
  while (!text.empty()) {
    const char c = absl::ascii_tolower(text.front());
    int digit = -1;
    if (absl::ascii_isdigit(c)) digit = c - '0';
    if (base == 16 && c >= 'a' && c <= 'f') digit = c - 'a' + 10;
    if (digit < 0 || digit >= base) break;
    value = value * base + digit;
    if (value > 0xffffffffu) return std::nullopt;
    text.remove_prefix(1);
  }
  return value;
}

}  // namespace

std::vector<TextLine> SplitLines(absl::string_view text) {
  std::vector<TextLine> out;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    if (end == absl::string_view::npos) {
      out.push_back({text, false});
      break;
    }
    out.push_back({text.substr(0, end), true});
    text.remove_prefix(end + 1);
  }
  return out;
}

bool IsCSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

int64_t CStrtol(absl::string_view s) {
  while (!s.empty() && IsCSpace(s.front())) s.remove_prefix(1);
  bool negative = false;
  if (!s.empty() && (s.front() == '-' || s.front() == '+')) {
    negative = s.front() == '-';
    s.remove_prefix(1);
  }
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  int64_t value = 0;
  for (char c : s) {
    if (c < '0' || c > '9') break;
    const int digit = c - '0';
    if (value > (kMax - digit) / 10) {
      return negative ? std::numeric_limits<int64_t>::min() : kMax;
    }
    value = value * 10 + digit;
  }
  return negative ? -value : value;
}

IpAddress UnmapIpv4(const IpAddress& address) {
  if (address.is_v4()) return address;
  const auto& b = address.bytes();
  const bool mapped =
      std::all_of(b.begin(), b.begin() + 10, [](uint8_t x) { return x == 0; });
  if (!mapped || b[10] != 0xff || b[11] != 0xff) return address;
  return IpAddress::V4(uint32_t{b[12]} << 24 | uint32_t{b[13]} << 16 |
                       uint32_t{b[14]} << 8 | b[15]);
}

std::optional<uint32_t> ParseAton(absl::string_view text) {
  std::array<uint64_t, 4> part = {};
  size_t n = 0;
  while (true) {
    if (n == part.size()) return std::nullopt;
    const std::optional<uint64_t> value = TakeAtonNumber(text);
    if (!value.has_value()) return std::nullopt;
    part[n++] = *value;
    if (text.empty()) break;
    if (text.front() != '.') return std::nullopt;
    text.remove_prefix(1);
  }
  uint64_t address = 0;
  for (size_t i = 0; i + 1 < n; ++i) {
    if (part[i] > 255) return std::nullopt;
    address |= part[i] << (24 - 8 * i);
  }
  const uint64_t last_limit = uint64_t{1} << (8 * (5 - n));
  if (part[n - 1] >= last_limit) return std::nullopt;
  return static_cast<uint32_t>(address | part[n - 1]);
}

std::optional<ZonedAddress> ParseCLiteral(
    absl::string_view text, const std::vector<std::string>& interfaces) {
  if (const auto v4 = ParseAton(text)) {
    return ZonedAddress{IpAddress::V4(*v4), "", false};
  }
  const size_t percent = text.find('%');
  const std::optional<IpAddress> v6 = IpAddress::Parse(text.substr(0, percent));
  if (!v6.has_value() || !v6->is_v6()) return std::nullopt;
  ZonedAddress out{*v6, "", false};
  if (percent == absl::string_view::npos) return out;
  out.zone = std::string(text.substr(percent + 1));
  const bool digits =
      !out.zone.empty() &&
      std::all_of(out.zone.begin(), out.zone.end(), absl::ascii_isdigit);
  if (digits) return out;
  const bool link_local =
      v6->IsLinkLocal() ||
      (v6->IsMulticast() && (v6->bytes()[1] & 0x0f) == 0x02);
  out.bad_zone = !link_local || std::find(interfaces.begin(), interfaces.end(),
                                          out.zone) == interfaces.end();
  return out;
}

std::optional<ZonedAddress> ParseGoLiteral(absl::string_view text) {
  const size_t percent = text.find('%');
  const std::optional<IpAddress> address =
      IpAddress::Parse(text.substr(0, percent));
  if (!address.has_value()) return std::nullopt;
  ZonedAddress out{*address, "", false};
  if (percent == absl::string_view::npos) return out;
  if (address->is_v4()) return std::nullopt;
  out.zone = std::string(text.substr(percent + 1));
  if (out.zone.empty()) return std::nullopt;
  return out;
}

}  // namespace k8sdns::dns
