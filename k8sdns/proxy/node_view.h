// What kube-proxy knows of its own node: addresses, zone, which of the
// addresses take node ports, and how it tells traffic of the node's own Pods.
//
//   absl::StatusOr<NodeView> view =
//       MakeNodeView(cluster, config, IpFamily::kIpv4, traits, &findings);
//
// Facts: cmd/kube-proxy/app/server_linux.go, pkg/proxy/util/
// {nodeport_addresses,localdetector}.go of Kubernetes 1.30; pkg/proxy/util of
// 1.14.
#ifndef K8SDNS_PROXY_NODE_VIEW_H_
#define K8SDNS_PROXY_NODE_VIEW_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "k8sdns/cluster/kube_proxy_config.h"
#include "k8sdns/cluster/node.h"
#include "k8sdns/net/ip_address.h"
#include "k8sdns/proxy/dialect.h"
#include "k8sdns/proxy/finding.h"

namespace k8sdns::proxy {

// How a rule tells that a packet comes from a Pod of this node ("local"), or,
// with a cluster CIDR, from a Pod at all.
struct LocalDetector {
  enum class Kind : uint8_t { kNone, kSource, kInterface, kInterfacePrefix };
  Kind kind = Kind::kNone;
  IpPrefix source;        // kSource, host bits cleared
  std::string interface;  // name, or prefix without '+'

  bool implemented() const { return kind != Kind::kNone; }
  friend bool operator==(const LocalDetector&, const LocalDetector&) = default;
};

// One node in one family.
struct NodeView {
  IpFamily family = IpFamily::kIpv4;
  std::string name;
  std::string zone;           // empty: none
  IpAddress ip;               // for loadBalancerSourceRanges
  LocalDetector local;        // of Pods
  bool node_port_all = true;  // every local address takes node ports
  // Else these do, sorted bytewise by text, loopback ones included.
  std::vector<IpAddress> node_port_ips;
  // 1.14 and before: nodePortAddresses match no address at all, of any family.
  bool node_port_lookup_fails = false;
  // route_localnet is set and KUBE-FIREWALL guards it (IPv4 only).
  bool localhost_node_ports = false;
  // Every address of the node in this family, lo included.
  std::vector<IpAddress> addresses;

  friend bool operator==(const NodeView&, const NodeView&) = default;
};

// What makes kube-proxy refuse to start: a mark bit out of range, a CIDR that
// is none, a local mode without its interface. OK otherwise.
absl::Status CheckConfig(const KubeProxyConfig& config,
                         const DialectTraits& traits);

// The families that are programmed: both, or, before dual stack, the one of
// bindAddress.
std::vector<IpFamily> ProgrammedFamilies(const KubeProxyConfig& config,
                                         const DialectTraits& traits);

// `node` is the Node named config.hostname_override; null if there is none,
// which leaves the node without addresses and zone (a finding). The addresses
// of the node are 127.0.0.1, ::1 and its InternalIPs and ExternalIPs.
NodeView MakeNodeView(const Node* node, const KubeProxyConfig& config,
                      IpFamily family, const DialectTraits& traits,
                      Findings* findings = nullptr);

// The sysctls that kube-proxy sets at its start in iptables mode, as
// "net/ipv4/conf/all/route_localnet=1", sorted. Every one is taken to be unset
// before.
std::vector<std::string> IptablesSysctls(const KubeProxyConfig& config,
                                         const DialectTraits& traits);

}  // namespace k8sdns::proxy

#endif  // K8SDNS_PROXY_NODE_VIEW_H_
