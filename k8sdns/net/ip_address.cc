#include "k8sdns/net/ip_address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/string_view.h"

namespace k8sdns {
namespace {

// Reads four decimal octets. With `leading_zeros`, "010" is 10.
std::optional<IpAddress> ParseV4(absl::string_view text, bool leading_zeros) {
  const char* p = text.data();
  const char* const end = p + text.size();
  uint32_t value = 0;
  const auto digit = [&] { return static_cast<uint32_t>(*p) - '0'; };
  for (int octet = 0; octet < 4; ++octet) {
    if (octet > 0 && (p == end || *p++ != '.')) return std::nullopt;
    if (p == end) return std::nullopt;
    uint32_t n = digit();
    if (n > 9) return std::nullopt;
    const bool zero = n == 0;
    for (++p; p != end; ++p) {
      const uint32_t d = digit();
      if (d > 9) break;
      n = n * 10 + d;
      if (n > 255 || (zero && !leading_zeros)) return std::nullopt;
    }
    value = value << 8 | n;
  }
  if (p != end) return std::nullopt;
  return IpAddress::V4(value);
}

// The same for a text of 8 to 15 bytes without leading zeros, as nearly all
// are; nullopt for any other, which may be an address nevertheless.
std::optional<IpAddress> ParsePlainV4(absl::string_view text) {
  const size_t size = text.size();
  if (size < 8 || size > 15) return std::nullopt;
  char bytes[16] = {};  // ended by zeros
  std::memcpy(bytes, text.data(), 8);
  std::memcpy(bytes + size - 8, text.data() + size - 8, 8);
  const char* p = bytes;
  uint32_t value = 0;
  for (int octet = 0; octet < 4; ++octet) {
    uint32_t n = static_cast<uint32_t>(p[0]) - '0';
    if (n > 9) return std::nullopt;
    const uint32_t second = static_cast<uint32_t>(p[1]) - '0';
    if (second > 9) {
      p += 1;
    } else {
      if (n == 0) return std::nullopt;
      n = n * 10 + second;
      const uint32_t third = static_cast<uint32_t>(p[2]) - '0';
      p += 2;
      if (third <= 9) {
        n = n * 10 + third;
        if (n > 255) return std::nullopt;
        p += 1;
      }
    }
    value = value << 8 | n;
    if (octet < 3 && *p++ != '.') return std::nullopt;
  }
  if (p != bytes + size) return std::nullopt;
  return IpAddress::V4(value);
}

std::optional<IpAddress> ParseV6(absl::string_view text) {
  char buffer[INET6_ADDRSTRLEN + 1];
  if (text.size() >= sizeof(buffer)) return std::nullopt;
  if (text.find('\0') != absl::string_view::npos) return std::nullopt;
  std::memcpy(buffer, text.data(), text.size());
  buffer[text.size()] = '\0';
  std::array<uint8_t, 16> bytes;
  if (inet_pton(AF_INET6, buffer, bytes.data()) != 1) return std::nullopt;
  return IpAddress::V6(bytes);
}

std::optional<int> ParseDecimal(absl::string_view text, int max) {
  if (text.empty() || text.size() > 5) return std::nullopt;
  int n = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    n = n * 10 + (c - '0');
  }
  if (n > max) return std::nullopt;
  return n;
}

// The text of an octet with a dot behind it, and the size of both.
struct OctetText {
  char text[4];
  uint8_t size;
};
constexpr std::array<OctetText, 256> kOctets = [] {
  std::array<OctetText, 256> octets = {};
  for (int n = 0; n < 256; ++n) {
    OctetText& o = octets[static_cast<size_t>(n)];
    if (n >= 100) o.text[o.size++] = static_cast<char>('0' + n / 100);
    if (n >= 10) o.text[o.size++] = static_cast<char>('0' + n / 10 % 10);
    o.text[o.size++] = static_cast<char>('0' + n % 10);
    o.text[o.size++] = '.';
  }
  return octets;
}();

}  // namespace

absl::string_view IpFamilyName(IpFamily family) {
  return family == IpFamily::kIpv4 ? "IPv4" : "IPv6";
}

std::optional<IpAddress> IpAddress::Parse(absl::string_view text) {
  if (const auto v4 = ParsePlainV4(text)) return v4;
  if (text.find(':') != absl::string_view::npos) return ParseV6(text);
  return ParseV4(text, /*leading_zeros=*/false);
}

std::optional<IpAddress> IpAddress::ParseSloppy(absl::string_view text) {
  if (const auto v4 = ParsePlainV4(text)) return v4;
  if (const auto v4 = ParseV4(text, /*leading_zeros=*/true)) return v4;
  if (text.find(':') == absl::string_view::npos) return std::nullopt;
  std::optional<IpAddress> a = ParseV6(text);
  static constexpr uint8_t kMapped[12] = {0, 0, 0, 0, 0,    0,
                                          0, 0, 0, 0, 0xff, 0xff};
  if (a && std::memcmp(a->bytes().data(), kMapped, sizeof(kMapped)) == 0) {
    const auto& b = a->bytes();
    return V4(uint32_t{b[12]} << 24 | uint32_t{b[13]} << 16 |
              uint32_t{b[14]} << 8 | b[15]);
  }
  return a;
}

bool IpAddress::IsUnspecified() const {
  return std::all_of(bytes_.begin(), bytes_.end(),
                     [](uint8_t b) { return b == 0; });
}

bool IpAddress::IsLinkLocal() const {
  if (is_v4()) return bytes_[0] == 169 && bytes_[1] == 254;
  return bytes_[0] == 0xfe && bytes_[1] >> 6 == 2;
}

char* IpAddress::WriteTo(char* out) const {
  if (is_v6()) {
    char buffer[INET6_ADDRSTRLEN];
    inet_ntop(AF_INET6, bytes_.data(), buffer, sizeof(buffer));
    const size_t size = std::strlen(buffer);
    std::memcpy(out, buffer, size);
    return out + size;
  }
  for (int i = 0; i < 4; ++i) {
    const OctetText& octet = kOctets[bytes_[i]];
    std::memcpy(out, octet.text, sizeof octet.text);
    out += octet.size;
  }
  return out - 1;  // without the last dot
}

std::string IpAddress::ToString() const {
  char buffer[kMaxTextSize];
  return std::string(buffer, WriteTo(buffer));
}

std::optional<IpPrefix> IpPrefix::Parse(absl::string_view text) {
  const size_t slash = text.find('/');
  if (slash == absl::string_view::npos) return std::nullopt;
  std::optional<IpAddress> address = IpAddress::Parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  std::optional<int> length =
      ParseDecimal(text.substr(slash + 1), address->bits());
  if (!length) return std::nullopt;
  return IpPrefix(*address, *length);
}

bool IpPrefix::Contains(const IpPrefix& other) const {
  return other.length_ >= length_ && Contains(other.address_);
}

bool IpPrefix::Overlaps(const IpPrefix& other) const {
  return Contains(other) || other.Contains(*this);
}

std::string IpPrefix::ToString() const {
  return address_.ToString() + "/" + std::to_string(length_);
}

std::optional<SocketAddress> SocketAddress::Parse(absl::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) return std::nullopt;
  absl::string_view host = text.substr(0, colon);
  const bool bracketed =
      host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  std::optional<IpAddress> address = IpAddress::Parse(host);
  if (!address || address->is_v6() != bracketed) return std::nullopt;
  std::optional<int> port = ParseDecimal(text.substr(colon + 1), 65535);
  if (!port) return std::nullopt;
  return SocketAddress{*address, static_cast<uint16_t>(*port)};
}

std::string SocketAddress::ToString() const {
  std::string out =
      address.is_v6() ? "[" + address.ToString() + "]" : address.ToString();
  out += ':';
  out += std::to_string(port);
  return out;
}

}  // namespace k8sdns
