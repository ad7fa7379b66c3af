// Whether NetworkPolicies let a connection from Pod to Pod begin, as Calico
// enforces them: at the Pod's interface, after destination NAT.
//
//   PolicyDecision d = DecidePolicies(cluster, source_pod, server_pod, packet);
//   if (!d.allowed) std::cout << d.ToString();
//
// Facts: networking.k8s.io/v1 (API reference); Calico: a Pod's own node always
// reaches it, hostNetwork Pods have no interface that policies apply to.
#ifndef K8SDNS_JOURNEY_NETWORK_POLICY_H_
#define K8SDNS_JOURNEY_NETWORK_POLICY_H_

#include <string>

#include "k8sdns/cluster/cluster.h"
#include "k8sdns/cluster/network_policy.h"
#include "k8sdns/net/packet.h"

namespace k8sdns::journey {

// The decision of one side (egress of the source or ingress of the target).
struct PolicySide {
  PolicyType direction = PolicyType::kIngress;
  bool allowed = true;
  // No policy selects the Pod in this direction: everything is allowed.
  bool isolated = false;
  // "namespace/name" of the policy that allowed it; of a denial, all policies
  // that select the Pod and of which none allows it, joined by ", ".
  std::string policy;

  std::string ToString() const;
};

struct PolicyDecision {
  bool allowed = true;
  PolicySide egress;
  PolicySide ingress;

  std::string ToString() const;  // two lines, egress first
};

// `packet` as it reaches the target, so after DNAT. `source` or `target` is
// null if that end is no Pod (a node, or outside). Only the beginning of a
// connection is asked: replies always pass. O(policies).
PolicyDecision DecidePolicies(const Cluster& cluster, const Pod* source,
                              const Pod* target, const Packet& packet);

// meta/v1 LabelSelector. An empty selector selects everything.
bool Selects(const LabelSelector& selector, const StringMap& labels);

}  // namespace k8sdns::journey

#endif  // K8SDNS_JOURNEY_NETWORK_POLICY_H_
