#include "k8sdns/net/ip_address.h"

#include <arpa/inet.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <algorithm>
#include <cstring>

#include "absl/strings/string_view.h"

namespace k8sdns {
namespace {

#if defined(__SSE2__)
uint64_t Word(const char* bytes) {
  uint64_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

// The number of one to three digits that end the four bytes.
inline uint64_t OctetBefore(uint64_t bytes, int digits) {
  const uint32_t mask = 0x0f0f0f0f & ~uint32_t{0} << (8 * (4 - digits));
  const uint32_t numbers = static_cast<uint32_t>(bytes) & mask;
  return (numbers >> 24) + 10 * (numbers >> 16 & 0xff) +
         100 * (numbers >> 8 & 0xff);
}
#endif

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

// All octets are read in the same way whatever their lengths: to guess these
// wrong would cost the processor more than all the rest.
int64_t IpAddress::ParsePlainV4(absl::string_view text) {
#if defined(__SSE2__)
  const size_t size = text.size();
  if (size < 8 || size > 15) return -1;
  const uint64_t head = Word(text.data());
  const uint64_t tail = Word(text.data() + size - 8);
  // In two steps: eight bytes may be shifted out.
  const uint64_t rest = tail >> 1 >> (8 * (16 - size) - 1);
  const __m128i bytes =
      _mm_set_epi64x(static_cast<int64_t>(rest), static_cast<int64_t>(head));
  const __m128i numbers = _mm_sub_epi8(bytes, _mm_set1_epi8('0'));
  const auto places = [](__m128i equal) {
    return static_cast<uint32_t>(_mm_movemask_epi8(equal));
  };
  // Bit i is about byte i.
  const uint32_t dots = places(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('.')));
  const uint32_t digits =
      places(_mm_cmpeq_epi8(_mm_min_epu8(numbers, _mm_set1_epi8(9)), numbers));
  const uint32_t zeros = places(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('0')));
  const uint32_t starts = dots << 1 | 1;  // of octets
  const uint32_t later_dots = dots & (dots - 1);
  const uint32_t last_dot = later_dots & (later_dots - 1);
  const uint32_t wrong =
      ((dots | digits) ^ ((uint32_t{1} << size) - 1)) |     // another byte
      (dots & starts) | dots >> (size - 1) |                // no digit
      (digits & digits >> 1 & digits >> 2 & digits >> 3) |  // four digits
      (zeros & starts & digits >> 1) |                      // 0 in front
      static_cast<uint32_t>(last_dot == 0) | (last_dot & (last_dot - 1));
  if (wrong != 0) return -1;
  const int first = __builtin_ctz(dots);
  const int second = __builtin_ctz(later_dots);
  const int third = __builtin_ctz(last_dot);
  const int end = static_cast<int>(size);
  const uint64_t a = OctetBefore(head << (8 * (4 - first)), first);
  const uint64_t b =
      OctetBefore(head >> (8 * (first + 1)) << (8 * (5 + first - second)),
                  second - first - 1);
  const uint64_t c =
      OctetBefore(tail << (8 * (end - third)) >> 32, third - second - 1);
  const uint64_t d = OctetBefore(tail >> 32, end - third - 1);
  if (((a | b | c | d) >> 8) != 0) return -1;
  return static_cast<int64_t>(a << 24 | b << 16 | c << 8 | d);
#else
  (void)text;
  return -1;
#endif
}

std::optional<IpAddress> IpAddress::ParseAny(absl::string_view text) {
  if (text.find(':') != absl::string_view::npos) return ParseV6(text);
  return ParseV4(text, /*leading_zeros=*/false);
}

std::optional<IpAddress> IpAddress::ParseAnySloppy(absl::string_view text) {
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
