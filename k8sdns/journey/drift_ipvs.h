// The comparison of ipsets and of virtual servers. Private to drift.
#ifndef K8SDNS_JOURNEY_DRIFT_IPVS_H_
#define K8SDNS_JOURNEY_DRIFT_IPVS_H_

#include <map>
#include <string>
#include <vector>

#include "k8sdns/cluster/cluster.h"
#include "k8sdns/ipvs/virtual_server.h"
#include "k8sdns/journey/drift.h"
#include "k8sdns/netfilter/ipset_save.h"

namespace k8sdns::journey {

// Which service port an address and port, or a node port, belongs to.
class ServiceAddresses {
 public:
  explicit ServiceAddresses(const Cluster& cluster);

  // "default/web:http"; "" if nobody's. `address` null: a node port, or any
  // address.
  std::string PortOf(Protocol protocol, const IpAddress* address,
                     uint16_t port) const;
  // The Services' ports that have the endpoint, joined by ", ".
  std::string PortOfEndpoint(const IpAddress& address, uint16_t port) const;

 private:
  std::map<std::string, std::string> by_address_;
  std::map<std::string, std::string> by_node_port_;
  std::map<std::string, std::string> by_endpoint_;
};

void CompareSets(const netfilter::IpSets& expected,
                 const netfilter::IpSets& actual,
                 const ServiceAddresses& services, Drift& drift);

// `excluded`: prefixes whose virtual servers kube-proxy leaves alone.
void CompareServers(const ipvs::Table& expected, const ipvs::Table& actual,
                    const std::vector<IpPrefix>& excluded,
                    const ServiceAddresses& services, Drift& drift);

}  // namespace k8sdns::journey

#endif  // K8SDNS_JOURNEY_DRIFT_IPVS_H_
