// Domain names as texts: what the DNS servers do with them. Private to
// k8sdns/dns. Names are in presentation format (message.h).
#ifndef K8SDNS_DNS_DOMAIN_NAME_H_
#define K8SDNS_DNS_DOMAIN_NAME_H_

#include <cstddef>
#include <string>

#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "k8sdns/net/ip_address.h"

namespace k8sdns::dns {

using NameLabels = absl::InlinedVector<absl::string_view, 8>;

// A name that comes from a user, with a final dot and with bytes outside
// printable ASCII escaped. An error (kInvalidArgument) if it cannot stand in a
// message: an empty label, a label over 63 bytes, more than 255 bytes in all, a
// bad escape.
absl::StatusOr<std::string> NormalizeName(absl::string_view name);
// True if NormalizeName() would return the name as it is, which has no escapes.
bool IsNormalName(absl::string_view name);

// True if a server can put the name, which ends in a dot, into a message.
bool IsEncodable(absl::string_view name);

// Adds the final dot where it is missing.
std::string Fqdn(absl::string_view name);

// The labels from left to right; none for ".".
NameLabels SplitLabels(absl::string_view name);
size_t CountLabels(absl::string_view name);

// `child` is `parent` or below it, in any case. Both end in a dot.
bool IsSubDomain(absl::string_view parent, absl::string_view child);

// The bytes of the name in a message without compression.
size_t WireSize(absl::string_view name);

// An address as Go's net.ParseIP reads it: strict dotted decimals, and an
// IPv4-mapped IPv6 address is the IPv4 address.
std::optional<IpAddress> ParseGoIp(absl::string_view text);

// The address that a name below in-addr.arpa. stands for.
std::optional<IpAddress> AddressOfIn4Arpa(absl::string_view name_in_lower_case);

}  // namespace k8sdns::dns

#endif  // K8SDNS_DNS_DOMAIN_NAME_H_
