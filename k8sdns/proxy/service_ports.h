// The service ports that kube-proxy makes out of Services: one for each port
// and family, with addresses parsed and everything that it does not proxy left
// out. All modes start from here.
//
//   std::vector<ServicePortInfo> ports;
//   Findings findings;
//   ExpandService(service, IpFamily::kIpv4, options, ports, &findings);
//
// Facts: pkg/proxy/{service,servicechangetracker}.go and pkg/proxy/util of
// Kubernetes 1.30, the same in pkg/proxy/service.go of 1.14. All functions are
// thread-safe.
#ifndef K8SDNS_PROXY_SERVICE_PORTS_H_
#define K8SDNS_PROXY_SERVICE_PORTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "k8sdns/cluster/kube_proxy_config.h"
#include "k8sdns/cluster/object_meta.h"
#include "k8sdns/cluster/service.h"
#include "k8sdns/net/ip_address.h"
#include "k8sdns/net/packet.h"
#include "k8sdns/proxy/dialect.h"
#include "k8sdns/proxy/finding.h"

namespace k8sdns::proxy {

// The defaults of kube-proxy's feature gates, and what the configuration makes
// of them, as far as they change what is programmed.
struct ProxyFeatures {
  bool topology_aware_hints = true;
  // Hints count without the annotation (alpha in 1.30).
  bool service_traffic_distribution = false;
  bool load_balancer_ip_mode = true;
  // Hints for nodes come before hints for zones, and neither needs the
  // annotation. Not in 1.30: KEP-3015 (gate PreferSameTrafficDistribution,
  // Kubernetes 1.33 and later, pkg/proxy/topology.go).
  bool prefer_same_node = false;
};
ProxyFeatures FeaturesOf(const KubeProxyConfig& config);

struct ExpandOptions {
  DialectTraits traits;
  ProxyFeatures features;
};

// One port of one Service in one family.
struct ServicePortInfo {
  // "namespace/name:port"; for a port without a name "namespace/name", and
  // "namespace/name:" up to 1.14.
  std::string name;
  std::string port_name;  // "" if unnamed
  Protocol protocol = Protocol::kTcp;
  IpAddress cluster_ip;
  uint16_t port = 0;
  uint16_t node_port = 0;               // 0: none
  uint16_t health_check_node_port = 0;  // 0: none
  bool external_policy_local = false;
  bool internal_policy_local = false;
  bool session_affinity = false;
  int32_t affinity_seconds = 0;
  // The annotation service.kubernetes.io/topology-mode (or the deprecated
  // topology-aware-hints, which wins) asks for hints.
  bool hints_annotation = false;
  std::vector<IpAddress> external_ips;
  std::vector<IpAddress> load_balancer_vips;  // ipMode VIP only
  std::vector<IpPrefix> source_ranges;        // host bits cleared

  bool ExternallyAccessible() const {
    return node_port != 0 || !load_balancer_vips.empty() ||
           !external_ips.empty();
  }
  // Also for external policy Local: local senders short-circuit to all
  // endpoints.
  bool UsesClusterEndpoints() const {
    return !internal_policy_local || ExternallyAccessible();
  }
  bool UsesLocalEndpoints() const {
    return internal_policy_local ||
           (external_policy_local && ExternallyAccessible());
  }

  // The order in which service ports are emitted: by name bytewise, then by
  // protocol name.
  friend bool operator<(const ServicePortInfo& a, const ServicePortInfo& b) {
    if (int order = a.name.compare(b.name); order != 0) return order < 0;
    return ProtocolRank(a.protocol) < ProtocolRank(b.protocol);
  }
  static int ProtocolRank(Protocol protocol) {
    return protocol == Protocol::kSctp ? 0 : protocol == Protocol::kTcp ? 1 : 2;
  }
  friend bool operator==(const ServicePortInfo&,
                         const ServicePortInfo&) = default;
};

// False if kube-proxy does not watch an object with these labels (it belongs to
// another proxy, or to a headless service).
bool IsWatched(const ObjectMeta& meta, const DialectTraits& traits);

// Appends the ports of `service` in `family`. Appends nothing for a service
// that is not proxied: headless, ExternalName, without cluster IP, without one
// of this family. Of ports with the same name and protocol the last one counts.
// `findings` may be null.
void ExpandService(const Service& service, IpFamily family,
                   const ExpandOptions& options,
                   std::vector<ServicePortInfo>& ports, Findings* findings);

}  // namespace k8sdns::proxy

#endif  // K8SDNS_PROXY_SERVICE_PORTS_H_
