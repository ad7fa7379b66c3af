// What the iptables rules of one node and family depend on: internal to the
// iptables compiler.
#ifndef K8SDNS_PROXY_IPTABLES_MODEL_H_
#define K8SDNS_PROXY_IPTABLES_MODEL_H_

#include <array>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "k8sdns/netfilter/ruleset.h"
#include "k8sdns/proxy/chain_names.h"
#include "k8sdns/proxy/dialect.h"
#include "k8sdns/proxy/endpoint_selection.h"
#include "k8sdns/proxy/node_view.h"
#include "k8sdns/proxy/service_ports.h"

namespace k8sdns::proxy {

// Names a chain: a prefix and a hash, or a whole name.
struct ChainRef {
  netfilter::TableId table = netfilter::TableId::kNat;
  absl::string_view prefix;
  const ChainHash* hash = nullptr;

  std::string ToString() const {
    std::string name(prefix);
    if (hash != nullptr) name.append(hash->characters.data(), 16);
    return name;
  }
  friend bool operator==(const ChainRef& a, const ChainRef& b) {
    if (a.table != b.table || a.prefix != b.prefix) return false;
    if (a.hash == nullptr || b.hash == nullptr) return a.hash == b.hash;
    return *a.hash == *b.hash;
  }
};

// The chains that many service ports have rules in.
enum DispatchChain : uint8_t {
  kFilterServices,
  kFilterExternal,
  kFilterFirewall,
  kFilterNodePorts,
  kNatServices,
  kNatNodePorts,
  kDispatchChains,  // their number
  kOwnChain = kDispatchChains,
};
inline constexpr ChainRef kDispatchRefs[] = {
    {netfilter::TableId::kFilter, "KUBE-SERVICES"},
    {netfilter::TableId::kFilter, "KUBE-EXTERNAL-SERVICES"},
    {netfilter::TableId::kFilter, "KUBE-PROXY-FIREWALL"},
    {netfilter::TableId::kFilter, "KUBE-NODEPORTS"},
    {netfilter::TableId::kNat, "KUBE-SERVICES"},
    {netfilter::TableId::kNat, "KUBE-NODEPORTS"},
};

inline constexpr ChainRef kMarkMasq = {netfilter::TableId::kNat,
                                       "KUBE-MARK-MASQ"};
inline constexpr ChainRef kMarkDrop = {netfilter::TableId::kNat,
                                       "KUBE-MARK-DROP"};
inline constexpr ChainRef kPostrouting = {netfilter::TableId::kNat,
                                          "KUBE-POSTROUTING"};
inline constexpr ChainRef kForward = {netfilter::TableId::kFilter,
                                      "KUBE-FORWARD"};
inline constexpr ChainRef kFirewall = {netfilter::TableId::kFilter,
                                       "KUBE-FIREWALL"};

// Configuration and node.
struct RuleContext {
  DialectTraits traits = TraitsOf(Dialect::kV1_30);
  ProxyFeatures features;
  NodeView node;
  uint32_t masquerade_mark = 0x4000;
  bool masquerade_all = false;
  bool drops_invalid = true;
  bool large_cluster = false;
  bool nfacct = false;

  bool is_v6() const { return node.family == IpFamily::kIpv6; }
};

// Whether an endpoint of a port is used by a traffic policy.
enum EndpointUse : uint8_t { kUsedByCluster = 1, kUsedByLocal = 2 };

// One service port with its endpoints.
struct PortModel {
  ServicePortInfo info;
  ChainHash hash;
  EndpointList list;
  uint32_t cluster_count = 0;  // endpoints with kUsedByCluster
  uint32_t local_count = 0;
  bool has_endpoints = false;

  // What the counts say about the rules that do not name endpoints.
  uint8_t Shape() const {
    return (has_endpoints ? 1 : 0) | (cluster_count > 0 ? 2 : 0) |
           (local_count > 0 ? 4 : 0);
  }
};

// What a rule comes from, told to sinks that ask.
enum class RuleSource : uint8_t {
  kFixed,                  // every kube-proxy writes it
  kClusterIp,              // Service spec.clusterIP
  kExternalIp,             // spec.externalIPs[index]
  kLoadBalancerIngress,    // status.loadBalancer.ingress, the index-th VIP
  kNodePort,               // spec.ports[].nodePort
  kHealthCheckNodePort,    // spec.healthCheckNodePort
  kSourceRange,            // spec.loadBalancerSourceRanges, the index-th
  kExternalTrafficPolicy,  // spec.externalTrafficPolicy
  kSessionAffinity,        // spec.sessionAffinity, for the index-th endpoint
  kEndpoint,               // the index-th endpoint
  kNodePortAddresses,      // KubeProxyConfiguration nodePortAddresses
  kMasqueradeBit,          // iptables.masqueradeBit
  kClusterCidr,            // clusterCIDR
  kLocalhostNodePorts,     // iptables.localhostNodePorts
};

}  // namespace k8sdns::proxy

#endif  // K8SDNS_PROXY_IPTABLES_MODEL_H_
