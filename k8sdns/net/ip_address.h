// IP addresses, prefixes and socket addresses: the vocabulary of every room.
//
//   std::optional<IpAddress> vip = IpAddress::Parse("10.96.0.10");
//   IpPrefix pods = *IpPrefix::Parse("192.168.0.0/16");
//   bool inside = pods.Contains(*vip);
//
// All types are small immutable values: copy them, compare them, hash them.
// Nothing here allocates except the functions that return a std::string.
#ifndef K8SDNS_NET_IP_ADDRESS_H_
#define K8SDNS_NET_IP_ADDRESS_H_

#include <array>
#include <bit>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace k8sdns {

enum class IpFamily : uint8_t { kIpv4, kIpv6 };

// "IPv4" or "IPv6", as the Kubernetes API spells them.
absl::string_view IpFamilyName(IpFamily family);

// An IPv4 or IPv6 address. The default is 0.0.0.0.
class IpAddress {
 public:
  // The longest text that WriteTo() produces.
  static constexpr size_t kMaxTextSize = 45;

  constexpr IpAddress() = default;

  // `value` in host order: 0x0A600001 is 10.96.0.1.
  static constexpr IpAddress V4(uint32_t value) {
    IpAddress a;
    // In words, as it is copied.
    a.bytes_ = std::bit_cast<std::array<uint8_t, 16>>(
        Words{Number(uint64_t{value} << 32), 0});
    return a;
  }
  static constexpr IpAddress V6(const std::array<uint8_t, 16>& bytes) {
    IpAddress a;
    a.family_ = IpFamily::kIpv6;
    a.bytes_ = bytes;
    return a;
  }

  // Reads what inet_pton(3) reads: four decimal octets without leading zeros,
  // or RFC 4291 text without a zone. Anything else is nullopt.
  static std::optional<IpAddress> Parse(absl::string_view text) {
    if (const int64_t v4 = ParsePlainV4(text); v4 >= 0) {
      return V4(static_cast<uint32_t>(v4));
    }
    return ParseAny(text);
  }

  // Like Parse(), but takes leading zeros in dotted octets as decimal, and
  // reads an IPv4-mapped IPv6 address as the IPv4 address, as Kubernetes does
  // (k8s.io/utils/net ParseIPSloppy, Go net.IP.To4).
  static std::optional<IpAddress> ParseSloppy(absl::string_view text) {
    if (const int64_t v4 = ParsePlainV4(text); v4 >= 0) {
      return V4(static_cast<uint32_t>(v4));
    }
    return ParseAnySloppy(text);
  }

  constexpr IpFamily family() const { return family_; }
  constexpr bool is_v4() const { return family_ == IpFamily::kIpv4; }
  constexpr bool is_v6() const { return family_ == IpFamily::kIpv6; }

  // The IPv4 address in host order. Only meaningful if is_v4().
  constexpr uint32_t v4() const {
    return uint32_t{bytes_[0]} << 24 | uint32_t{bytes_[1]} << 16 |
           uint32_t{bytes_[2]} << 8 | bytes_[3];
  }
  // Network order. For IPv4 the first four bytes hold the address and the
  // others are zero.
  constexpr const std::array<uint8_t, 16>& bytes() const { return bytes_; }

  // The number of bits of the family: 32 or 128.
  constexpr int bits() const { return is_v4() ? 32 : 128; }
  // Bit `i` counted from the most significant one. 0 <= i < bits().
  constexpr bool bit(int i) const {
    return (bytes_[i / 8] >> (7 - i % 8) & 1) != 0;
  }

  bool IsUnspecified() const;  // 0.0.0.0 or ::
  // 127.0.0.0/8 or ::1
  constexpr bool IsLoopback() const {
    if (is_v4()) return bytes_[0] == 127;
    const Words w = words();
    return w[0] == 0 && Number(w[1]) == 1;
  }
  // 224.0.0.0/4 or ff00::/8
  constexpr bool IsMulticast() const {
    return is_v4() ? bytes_[0] >> 4 == 0xe : bytes_[0] == 0xff;
  }
  bool IsLinkLocal() const;  // 169.254.0.0/16 or fe80::/10

  // The canonical text: dotted quad, or RFC 5952 as inet_ntop(3) prints it.
  std::string ToString() const;
  // Writes the same text, without a terminating NUL, to `out`, which has room
  // for kMaxTextSize bytes. Returns the end of what was written.
  char* WriteTo(char* out) const;

  // By family, then as numbers.
  friend constexpr bool operator==(const IpAddress& a, const IpAddress& b) {
    const Words x = a.words();
    const Words y = b.words();
    return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0 && a.family_ == b.family_;
  }
  friend constexpr std::strong_ordering operator<=>(const IpAddress& a,
                                                    const IpAddress& b) {
    if (a.family_ != b.family_) return a.family_ <=> b.family_;
    const Words x = a.words();
    const Words y = b.words();
    if (x[0] != y[0]) return Number(x[0]) <=> Number(y[0]);
    return Number(x[1]) <=> Number(y[1]);
  }

  template <typename H>
  friend H AbslHashValue(H h, const IpAddress& a) {
    const Words words = a.words();
    return H::combine(std::move(h), a.family_, words[0], words[1]);
  }

 private:
  friend class IpPrefix;

  using Words = std::array<uint64_t, 2>;  // as they lie in memory

  // An IPv4 address of 8 to 15 bytes without leading zeros, as nearly all are.
  // -1 for any other text, which may be an address nevertheless. (A number, as
  // an optional would be put together in memory, and waited for.)
  static int64_t ParsePlainV4(absl::string_view text);
  static std::optional<IpAddress> ParseAny(absl::string_view text);
  static std::optional<IpAddress> ParseAnySloppy(absl::string_view text);

  // With the bits behind the first `length` cleared.
  constexpr IpAddress PrefixOf(int length) const {
    const Words x = words();
    const uint64_t first = length >= 64 ? ~uint64_t{0} : Ones(length);
    const uint64_t second = length <= 64 ? 0 : Ones(length - 64);
    IpAddress a = *this;
    a.bytes_ = std::bit_cast<std::array<uint8_t, 16>>(
        Words{x[0] & Number(first), x[1] & Number(second)});
    return a;
  }
  // The first `bits` of a number set. 0 <= bits <= 64.
  static constexpr uint64_t Ones(int bits) {
    return bits == 0 ? 0 : ~uint64_t{0} << (64 - bits);
  }
  // Whether the first `length` bits are the other's, of the same family.
  constexpr bool HasPrefixOf(const IpAddress& other, int length) const {
    const Words x = words();
    const Words y = other.words();
    const uint64_t first = Number(x[0] ^ y[0]);
    if (length <= 64) return (first & Ones(length)) == 0;
    return (first | (Number(x[1] ^ y[1]) & Ones(length - 64))) == 0;
  }

  constexpr Words words() const { return std::bit_cast<Words>(bytes_); }
  static constexpr uint64_t Number(uint64_t word) {
    if constexpr (std::endian::native == std::endian::big) return word;
    return __builtin_bswap64(word);
  }

  // Before the family: copies are made of 16 bytes and 1, and words read right
  // after them must not straddle the two (a stalled store forward).
  std::array<uint8_t, 16> bytes_ = {};
  IpFamily family_ = IpFamily::kIpv4;
};

// A CIDR. Host bits are kept as given (kube-proxy and iptables treat them
// differently); Masked() clears them.
class IpPrefix {
 public:
  constexpr IpPrefix() = default;
  // 0 <= length <= address.bits().
  constexpr IpPrefix(const IpAddress& address, int length)
      : address_(address), length_(static_cast<uint8_t>(length)) {}
  // The prefix that holds exactly `address`.
  static constexpr IpPrefix Host(const IpAddress& address) {
    return IpPrefix(address, address.bits());
  }

  // "A.B.C.D/n" or "x::y/n". The length is decimal and required. nullopt for
  // anything else.
  static std::optional<IpPrefix> Parse(absl::string_view text);

  constexpr const IpAddress& address() const { return address_; }
  constexpr int length() const { return length_; }
  constexpr IpFamily family() const { return address_.family(); }

  constexpr IpPrefix Masked() const {
    return IpPrefix(address_.PrefixOf(length_), length_);
  }
  constexpr bool Contains(const IpAddress& address) const {
    return address.family() == family() &&
           address.HasPrefixOf(address_, length_);
  }
  // True if every address of `other` is in this prefix.
  bool Contains(const IpPrefix& other) const;
  bool Overlaps(const IpPrefix& other) const;

  std::string ToString() const;  // always with "/n"

  friend constexpr auto operator<=>(const IpPrefix&, const IpPrefix&) = default;

  template <typename H>
  friend H AbslHashValue(H h, const IpPrefix& p) {
    return H::combine(std::move(h), p.address_, p.length_);
  }

 private:
  IpAddress address_;
  uint8_t length_ = 0;
};

// An address and a port.
struct SocketAddress {
  IpAddress address;
  uint16_t port = 0;

  // "10.0.0.1:80" or "[fd00::1]:80". nullopt for anything else.
  static std::optional<SocketAddress> Parse(absl::string_view text);
  std::string ToString() const;

  friend constexpr auto operator<=>(const SocketAddress&,
                                    const SocketAddress&) = default;

  template <typename H>
  friend H AbslHashValue(H h, const SocketAddress& s) {
    return H::combine(std::move(h), s.address, s.port);
  }
};

}  // namespace k8sdns

#endif  // K8SDNS_NET_IP_ADDRESS_H_
