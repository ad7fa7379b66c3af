// Text as the C libraries and Go read it: lines, numbers, addresses. Private to
// this package; net::IpAddress::Parse() is the reader for everything else.
#ifndef K8SDNS_DNS_LIBC_TEXT_H_
#define K8SDNS_DNS_LIBC_TEXT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "k8sdns/net/ip_address.h"

namespace k8sdns::dns {

// A line without its newline, and whether there was one.
struct TextLine {
  absl::string_view text;
  bool newline = false;
};
std::vector<TextLine> SplitLines(absl::string_view text);

// isspace(3) in the C locale.
bool IsCSpace(char c);
// What strtol(3) with base 10 reads at the front of `s`, clamped to 64 bits as
// strtol does; 0 without digits.
int64_t CStrtol(absl::string_view s);

// An IPv4-mapped address as IPv4, others unchanged.
IpAddress UnmapIpv4(const IpAddress& address);

// inet_aton(3): one to four numbers, each decimal, octal (0...) or
// hexadecimal (0x...), the last one filling the remaining bytes: "10.96.10" is
// 10.96.0.10. Nothing may follow. glibc (inet_aton_exact) and musl agree.
std::optional<uint32_t> ParseAton(absl::string_view text);

// An address with a zone: what getaddrinfo() and Go's LookupIP take for a
// literal.
struct ZonedAddress {
  IpAddress address;
  std::string zone;       // "" without one
  bool bad_zone = false;  // no such interface
};

// getaddrinfo() of glibc and musl: ParseAton(), else inet_pton(AF_INET6) with
// an optional zone. A zone of digits is an interface index; a name counts for
// link-local addresses only and must be in `interfaces`.
std::optional<ZonedAddress> ParseCLiteral(
    absl::string_view text, const std::vector<std::string>& interfaces);

// Go's netip.ParseAddr: no short forms, no leading zeros, any zone on IPv6.
std::optional<ZonedAddress> ParseGoLiteral(absl::string_view text);

}  // namespace k8sdns::dns

#endif  // K8SDNS_DNS_LIBC_TEXT_H_
