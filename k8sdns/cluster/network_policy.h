// NetworkPolicy (networking.k8s.io/v1): which traffic of Pods is allowed.
//
//   NetworkPolicy deny;  // everything to the Pods that it selects
//   deny.metadata.namespace_ = "default";
//   deny.metadata.name = "deny-web";
//   deny.pod_selector.match_labels["app"] = "web";
#ifndef K8SDNS_CLUSTER_NETWORK_POLICY_H_
#define K8SDNS_CLUSTER_NETWORK_POLICY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "k8sdns/cluster/object_meta.h"
#include "k8sdns/cluster/service.h"
#include "k8sdns/net/packet.h"

namespace k8sdns {

// meta/v1 LabelSelector. An empty one selects everything.
struct LabelSelector {
  enum class Operator { kIn, kNotIn, kExists, kDoesNotExist };
  struct Requirement {
    std::string key;
    Operator op = Operator::kIn;  // "operator"
    std::vector<std::string> values;
    friend bool operator==(const Requirement&, const Requirement&) = default;
  };
  StringMap match_labels;
  std::vector<Requirement> match_expressions;  // all of them must hold

  friend bool operator==(const LabelSelector&, const LabelSelector&) = default;
};

struct IpBlock {
  std::string cidr;
  std::vector<std::string> except;  // CIDRs within `cidr`

  friend bool operator==(const IpBlock&, const IpBlock&) = default;
};

// Either ip_block alone, or one or both selectors. An unset selector and an
// empty one differ: an unset namespace_selector means the policy's namespace.
struct NetworkPolicyPeer {
  std::optional<LabelSelector> pod_selector;
  std::optional<LabelSelector> namespace_selector;
  std::optional<IpBlock> ip_block;

  friend bool operator==(const NetworkPolicyPeer&,
                         const NetworkPolicyPeer&) = default;
};

struct NetworkPolicyPort {
  std::optional<Protocol> protocol;  // unset: TCP
  std::optional<PortOrName> port;    // unset: all ports
  std::optional<int32_t> end_port;   // the last port of a range from `port`

  friend bool operator==(const NetworkPolicyPort&,
                         const NetworkPolicyPort&) = default;
};

struct NetworkPolicyIngressRule {
  std::vector<NetworkPolicyPort> ports;  // empty: all ports
  std::vector<NetworkPolicyPeer> from;   // empty: everybody

  friend bool operator==(const NetworkPolicyIngressRule&,
                         const NetworkPolicyIngressRule&) = default;
};

struct NetworkPolicyEgressRule {
  std::vector<NetworkPolicyPort> ports;  // empty: all ports
  std::vector<NetworkPolicyPeer> to;     // empty: everybody

  friend bool operator==(const NetworkPolicyEgressRule&,
                         const NetworkPolicyEgressRule&) = default;
};

enum class PolicyType { kIngress, kEgress };

struct NetworkPolicy {
  ObjectMeta metadata;
  LabelSelector pod_selector;
  std::vector<NetworkPolicyIngressRule> ingress;
  std::vector<NetworkPolicyEgressRule> egress;
  // Empty: Ingress, and Egress too if there is an egress rule.
  std::vector<PolicyType> policy_types;

  friend bool operator==(const NetworkPolicy&, const NetworkPolicy&) = default;
};

}  // namespace k8sdns

#endif  // K8SDNS_CLUSTER_NETWORK_POLICY_H_
