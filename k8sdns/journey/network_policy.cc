#include "k8sdns/journey/network_policy.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"

namespace k8sdns::journey {
namespace {

bool Holds(const LabelSelector::Requirement& r, const StringMap& labels) {
  const auto it = labels.find(r.key);
  const bool there = it != labels.end();
  const bool listed = there && std::find(r.values.begin(), r.values.end(),
                                         it->second) != r.values.end();
  switch (r.op) {
    case LabelSelector::Operator::kIn:
      return listed;
    case LabelSelector::Operator::kNotIn:
      return !listed;  // also holds if the label is missing
    case LabelSelector::Operator::kExists:
      return there;
    case LabelSelector::Operator::kDoesNotExist:
      return !there;
  }
  return false;
}

bool InBlock(const IpBlock& block, const IpAddress& address) {
  const auto cidr = IpPrefix::Parse(block.cidr);
  if (!cidr || !cidr->Contains(address)) return false;
  return std::none_of(block.except.begin(), block.except.end(),
                      [&](const std::string& text) {
                        const auto except = IpPrefix::Parse(text);
                        return except && except->Contains(address);
                      });
}

// One end of the connection as a peer of the other.
struct End {
  const Pod* pod;  // null: no Pod, or one of the host's network
  IpAddress address;
};

bool IsPeer(const Cluster& cluster, const NetworkPolicyPeer& peer,
            const std::string& policy_namespace, const End& end) {
  if (peer.ip_block) return InBlock(*peer.ip_block, end.address);
  if (end.pod == nullptr) return false;
  const ObjectMeta& meta = end.pod->metadata;
  if (peer.namespace_selector) {
    const Namespace* ns = cluster.namespaces().Find(meta.namespace_);
    // Every namespace carries its name as a label (Kubernetes 1.21 and later);
    // dumps without Namespace objects still have that much.
    StringMap labels = ns == nullptr ? StringMap() : ns->metadata.labels;
    labels["kubernetes.io/metadata.name"] = meta.namespace_;
    if (!Selects(*peer.namespace_selector, labels)) return false;
  } else if (meta.namespace_ != policy_namespace) {
    return false;
  }
  return !peer.pod_selector || Selects(*peer.pod_selector, meta.labels);
}

// A named port is the number of the container port of that name and protocol
// in the Pod that receives.
bool NamedPortIs(const std::string& name, Protocol protocol, const Pod* target,
                 uint16_t number) {
  if (target == nullptr) return false;
  for (const Container& c : target->spec.containers) {
    for (const ContainerPort& p : c.ports) {
      if (p.name == name && p.protocol == protocol &&
          p.container_port == number) {
        return true;
      }
    }
  }
  return false;
}

bool PortMatches(const NetworkPolicyPort& port, const Pod* target,
                 const Packet& packet) {
  const Protocol protocol = port.protocol.value_or(Protocol::kTcp);
  if (packet.protocol != protocol) return false;
  if (!port.port) return true;
  if (const auto* name = std::get_if<std::string>(&*port.port)) {
    return NamedPortIs(*name, protocol, target, packet.dst_port);
  }
  const int32_t first = std::get<int32_t>(*port.port);
  const int32_t last = port.end_port.value_or(first);
  return packet.dst_port >= first && packet.dst_port <= last;
}

bool RuleAllows(const Cluster& cluster, const std::string& policy_namespace,
                const std::vector<NetworkPolicyPort>& ports,
                const std::vector<NetworkPolicyPeer>& peers, const End& other,
                const Pod* target, const Packet& packet) {
  const bool port_ok =
      ports.empty() ||
      std::any_of(ports.begin(), ports.end(), [&](const NetworkPolicyPort& p) {
        return PortMatches(p, target, packet);
      });
  if (!port_ok) return false;
  return peers.empty() ||
         std::any_of(peers.begin(), peers.end(),
                     [&](const NetworkPolicyPeer& peer) {
                       return IsPeer(cluster, peer, policy_namespace, other);
                     });
}

bool HasType(const NetworkPolicy& policy, PolicyType type) {
  if (policy.policy_types.empty()) {
    return type == PolicyType::kIngress || !policy.egress.empty();
  }
  return std::find(policy.policy_types.begin(), policy.policy_types.end(),
                   type) != policy.policy_types.end();
}

bool PolicyAllows(const Cluster& cluster, const NetworkPolicy& policy,
                  PolicyType type, const End& other, const Pod* target,
                  const Packet& packet) {
  const std::string& ns = policy.metadata.namespace_;
  if (type == PolicyType::kIngress) {
    return std::any_of(policy.ingress.begin(), policy.ingress.end(),
                       [&](const NetworkPolicyIngressRule& r) {
                         return RuleAllows(cluster, ns, r.ports, r.from, other,
                                           target, packet);
                       });
  }
  return std::any_of(policy.egress.begin(), policy.egress.end(),
                     [&](const NetworkPolicyEgressRule& r) {
                       return RuleAllows(cluster, ns, r.ports, r.to, other,
                                         target, packet);
                     });
}

// Policies are additive: one that allows is enough; any that selects the Pod
// isolates it.
PolicySide DecideSide(const Cluster& cluster, PolicyType type, const Pod* self,
                      const End& other, const Pod* target,
                      const Packet& packet) {
  PolicySide side;
  side.direction = type;
  if (self == nullptr) return side;
  for (const NetworkPolicy& policy : cluster.network_policies()) {
    const ObjectMeta& meta = policy.metadata;
    if (meta.namespace_ != self->metadata.namespace_ ||
        !HasType(policy, type) ||
        !Selects(policy.pod_selector, self->metadata.labels)) {
      continue;
    }
    const std::string name = absl::StrCat(meta.namespace_, "/", meta.name);
    if (PolicyAllows(cluster, policy, type, other, target, packet)) {
      return {type, true, true, name};
    }
    side.isolated = true;
    side.allowed = false;
    absl::StrAppend(&side.policy, side.policy.empty() ? "" : ", ", name);
  }
  return side;
}

const Pod* Isolatable(const Pod* pod) {
  return pod == nullptr || pod->spec.host_network ? nullptr : pod;
}

}  // namespace

bool Selects(const LabelSelector& selector, const StringMap& labels) {
  for (const auto& [key, value] : selector.match_labels) {
    const auto it = labels.find(key);
    if (it == labels.end() || it->second != value) return false;
  }
  return std::all_of(
      selector.match_expressions.begin(), selector.match_expressions.end(),
      [&](const LabelSelector::Requirement& r) { return Holds(r, labels); });
}

PolicyDecision DecidePolicies(const Cluster& cluster, const Pod* source,
                              const Pod* target, const Packet& packet) {
  const bool from_own_host = target != nullptr && source != nullptr &&
                             source->spec.host_network &&
                             source->spec.node_name == target->spec.node_name;
  source = Isolatable(source);
  target = Isolatable(target);
  PolicyDecision d;
  d.egress = DecideSide(cluster, PolicyType::kEgress, source,
                        {target, packet.dst}, target, packet);
  d.ingress = DecideSide(cluster, PolicyType::kIngress,
                         from_own_host ? nullptr : target, {source, packet.src},
                         target, packet);
  d.ingress.direction = PolicyType::kIngress;
  d.allowed = d.egress.allowed && d.ingress.allowed;
  return d;
}

std::string PolicySide::ToString() const {
  const absl::string_view what =
      direction == PolicyType::kEgress ? "egress" : "ingress";
  if (!isolated) {
    return absl::StrCat(what, " allowed: no NetworkPolicy selects the Pod");
  }
  return absl::StrCat(what, allowed ? " allowed by " : " denied by ", policy);
}

std::string PolicyDecision::ToString() const {
  return absl::StrCat(egress.ToString(), "\n", ingress.ToString(), "\n");
}

}  // namespace k8sdns::journey
