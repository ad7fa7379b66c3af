// Names of ICMP types and codes as ipset prints them. Internal to the room.
#ifndef K8SDNS_NETFILTER_ICMP_NAMES_H_
#define K8SDNS_NETFILTER_ICMP_NAMES_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "k8sdns/net/ip_address.h"

namespace k8sdns::netfilter {

// type * 256 + code of a name.
std::optional<uint16_t> FindIcmpName(IpFamily family, absl::string_view name);
// The name of exactly this type and code; "" if there is none.
absl::string_view IcmpName(IpFamily family, uint16_t type_and_code);

}  // namespace k8sdns::netfilter

#endif  // K8SDNS_NETFILTER_ICMP_NAMES_H_
