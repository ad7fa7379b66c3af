// The order in which a library returns addresses: RFC 6724 as each of them
// implements it. Private to this package.
#ifndef K8SDNS_DNS_ADDRESS_ORDER_H_
#define K8SDNS_DNS_ADDRESS_ORDER_H_

#include <optional>
#include <vector>

#include "k8sdns/dns/resolv_conf.h"
#include "k8sdns/dns/resolver.h"
#include "k8sdns/net/ip_address.h"

namespace k8sdns::dns {

// The source a connected socket gets, and the length of the prefix it is
// configured with.
struct SourceAddress {
  IpAddress address;
  int prefix_length = 0;
};

// nullopt: no route, connect() fails. `scoped`: the destination came with a
// zone; link-local IPv6 destinations without one cannot be reached.
std::optional<SourceAddress> ChooseSource(const ResolverHost& host,
                                          const IpAddress& destination,
                                          bool scoped = false);

// Sorts in place. Stable where the rules do not decide. Lists that the library
// does not sort (musl: IPv4 only; everyone: fewer than two) stay.
void SortAddresses(const ResolverHost& host, Library library,
                   std::vector<IpAddress>& addresses);

}  // namespace k8sdns::dns

#endif  // K8SDNS_DNS_ADDRESS_ORDER_H_
