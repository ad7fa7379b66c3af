// What stands behind a Zone. Private to k8sdns/dns.
#ifndef K8SDNS_DNS_ZONE_SERVER_H_
#define K8SDNS_DNS_ZONE_SERVER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/dns/zone.h"

namespace k8sdns::dns {

class Zone::Server {
 public:
  virtual ~Server() = default;
  // The question's name is normalised.
  virtual DnsResponse Answer(const DnsQuestion& question) const = 0;
};

absl::StatusOr<std::unique_ptr<const Zone::Server>> MakeCoreDnsServer(
    const Cluster& cluster, const CoreDnsOptions& options, Upstream upstream);

absl::StatusOr<std::unique_ptr<const Zone::Server>> MakeKubeDnsServer(
    const Cluster& cluster, const KubeDnsOptions& options, Upstream upstream);

// False if a name in the response cannot be put into a message: the server
// then fails to write, and the client gets nothing.
// `known_good` is a name that need not be looked at.
bool IsEncodable(const DnsResponse& response, absl::string_view known_good);

}  // namespace k8sdns::dns

#endif  // K8SDNS_DNS_ZONE_SERVER_H_
