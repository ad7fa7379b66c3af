#include "k8sdns/journey/diagnose.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace k8sdns::journey {
namespace {

Finding Make(std::string id, Severity severity, std::string what,
             std::string why, std::string change) {
  Finding f;
  f.id = std::move(id);
  f.severity = severity;
  f.what = std::move(what);
  f.why = std::move(why);
  f.change = std::move(change);
  return f;
}

Finding At(Finding f, absl::string_view kind, const ObjectMeta& meta,
           std::string field) {
  f.kind = std::string(kind);
  f.namespace_ = meta.namespace_;
  f.name = meta.name;
  f.field = std::move(field);
  return f;
}

std::string NameOf(const ObjectMeta& meta) {
  return absl::StrCat(meta.namespace_, "/", meta.name);
}

bool IsRouted(const Service& s) {
  return s.spec.type != ServiceType::kExternalName && !s.IsHeadless();
}

bool HasLocalExternalPolicy(const Service& s) {
  return s.spec.external_traffic_policy == TrafficPolicy::kLocal &&
         (s.spec.type == ServiceType::kNodePort ||
          s.spec.type == ServiceType::kLoadBalancer);
}

// Looks at one cluster; a method for each group of findings.
class RoutingCheck {
 public:
  RoutingCheck(const Cluster& cluster, const RoutingCheckOptions& options)
      : cluster_(cluster), options_(options) {
    for (const Pod& pod : cluster.pods()) {
      for (const std::string& ip : pod.Addresses()) pod_addresses_.insert(ip);
    }
  }

  std::vector<Finding> Run() {
    CheckNetworks();
    for (const Service& s : cluster_.services()) {
      if (s.spec.type == ServiceType::kExternalName) continue;
      CheckAddresses(s);
      CheckEndpoints(s);
      CheckTargetPorts(s);
      if (IsRouted(s)) CheckPolicies(s);
    }
    return std::move(findings_);
  }

 private:
  struct Network {
    std::string what;
    IpPrefix prefix;
    const Node* node = nullptr;
  };

  void Add(Finding f) { findings_.push_back(std::move(f)); }

  std::vector<IpPrefix> ClusterCidrs() const {
    std::vector<IpPrefix> out;
    for (absl::string_view part :
         absl::StrSplit(options_.proxy.cluster_cidr, ',')) {
      if (auto p = IpPrefix::Parse(absl::StripAsciiWhitespace(part))) {
        out.push_back(p->Masked());
      }
    }
    return out;
  }

  void CheckNetworks() {
    const std::vector<IpPrefix> pods = ClusterCidrs();
    if (pods.empty() &&
        options_.proxy.detect_local_mode == LocalMode::kClusterCidr) {
      Finding f = Make(
          "routing/no-masquerade", Severity::kWarning, "clusterCIDR is not set",
          "kube-proxy cannot tell what comes from outside the Pod network: "
          "packets from elsewhere to a cluster IP keep their source, and the "
          "answers may not come back through the node",
          "set clusterCIDR to the Pod network, or another detectLocalMode");
      f.kind = "KubeProxyConfiguration";
      f.field = "clusterCIDR";
      Add(std::move(f));
    }
    std::vector<Network> networks;
    for (const IpPrefix& p : pods) networks.push_back({"Pod network", p});
    for (const IpPrefix& p : options_.service_cidrs) {
      networks.push_back({"service network", p.Masked()});
    }
    for (const Node& node : cluster_.nodes()) {
      CheckPodCidrs(node, pods);
      for (const NodeAddress& a : node.addresses) {
        const auto ip = IpAddress::ParseSloppy(a.address);
        if (ip) {
          networks.push_back({"address of a node", IpPrefix::Host(*ip), &node});
        }
      }
    }
    for (size_t i = 0; i < networks.size(); ++i) {
      if (networks[i].node != nullptr) break;  // only against whole networks
      for (size_t j = i + 1; j < networks.size(); ++j) {
        CheckOverlap(networks[i], networks[j]);
      }
    }
  }

  void CheckOverlap(const Network& a, const Network& b) {
    if (!a.prefix.Overlaps(b.prefix)) return;
    Finding f = Make(
        "routing/overlapping-cidrs", Severity::kError,
        absl::StrCat("the ", a.what, " ", a.prefix.ToString(),
                     " overlaps with the ", b.what, " ", b.prefix.ToString()),
        "addresses in both are taken for the wrong one: packets are "
        "masqueraded "
        "or routed elsewhere",
        "give them networks of their own");
    if (b.node != nullptr) {
      Add(At(std::move(f), "Node", b.node->metadata, "status.addresses"));
    } else {
      Add(std::move(f));
    }
  }

  void CheckPodCidrs(const Node& node, const std::vector<IpPrefix>& pods) {
    for (size_t i = 0; i < node.pod_cidrs.size(); ++i) {
      const auto cidr = IpPrefix::Parse(node.pod_cidrs[i]);
      if (!cidr) continue;
      bool same_family = false;
      bool inside = false;
      for (const IpPrefix& p : pods) {
        same_family |= p.family() == cidr->family();
        inside |= p.Contains(*cidr);
      }
      if (!same_family || inside) continue;
      Add(At(Make("routing/pod-cidr-outside", Severity::kWarning,
                  absl::StrCat(node.pod_cidrs[i],
                               " is outside kube-proxy's clusterCIDR ",
                               options_.proxy.cluster_cidr),
                  "packets of these Pods to cluster IPs are masqueraded as if "
                  "they came from outside",
                  "make clusterCIDR cover the Pod CIDRs of all nodes"),
             "Node", node.metadata, absl::StrCat("spec.podCIDRs[", i, "]")));
    }
  }

  void CheckAddresses(const Service& s) {
    std::set<std::string> ips(s.spec.cluster_ips.begin(),
                              s.spec.cluster_ips.end());
    if (!s.spec.cluster_ip.empty()) ips.insert(s.spec.cluster_ip);
    ips.erase("None");
    for (const std::string& text : ips) {
      const auto ip = IpAddress::ParseSloppy(text);
      if (!ip) continue;
      const auto [it, added] = vips_.emplace(*ip, NameOf(s.metadata));
      if (!added) {
        Add(At(
            Make("routing/duplicate-vip", Severity::kError,
                 absl::StrCat(text, " is also the cluster IP of ", it->second),
                 "the rules of the first Service take all packets to ports "
                 "that both have",
                 "delete one of the Services and create it anew"),
            "Service", s.metadata, "spec.clusterIP"));
      }
      bool same_family = false;
      bool inside = false;
      for (const IpPrefix& p : options_.service_cidrs) {
        same_family |= p.family() == ip->family();
        inside |= p.Contains(*ip);
      }
      if (same_family && !inside) {
        Add(At(Make("routing/vip-outside-cidr", Severity::kWarning,
                    absl::StrCat(text, " is outside the service network"),
                    "the address may be given to something else, or be routed "
                    "out of the cluster where kube-proxy's rules are missing",
                    "recreate the Service, so that it gets an address of the "
                    "network"),
               "Service", s.metadata, "spec.clusterIP"));
      }
    }
    for (size_t i = 0; i < s.spec.ports.size(); ++i) {
      const ServicePort& p = s.spec.ports[i];
      if (p.node_port == 0) continue;
      const auto [it, added] = node_ports_.emplace(
          std::pair(p.node_port, p.protocol), NameOf(s.metadata));
      if (added) continue;
      Add(At(Make("routing/duplicate-node-port", Severity::kError,
                  absl::StrCat(p.node_port, "/",
                               KubernetesProtocolName(p.protocol),
                               " is also a node port of ", it->second),
                  "only one of them gets the packets",
                  "give one of them another nodePort"),
             "Service", s.metadata,
             absl::StrCat("spec.ports[", i, "].nodePort")));
    }
  }

  // The endpoints of all slices of a Service.
  std::vector<const Endpoint*> EndpointsOf(const Service& s) const {
    std::vector<const Endpoint*> out;
    for (const EndpointSlice* slice :
         cluster_.SlicesOf(s.metadata.namespace_, s.metadata.name)) {
      for (const Endpoint& e : slice->endpoints) out.push_back(&e);
    }
    return out;
  }

  void CheckEndpoints(const Service& s) {
    const std::vector<const Endpoint*> all = EndpointsOf(s);
    const bool any_ready = std::any_of(all.begin(), all.end(),
                                       [](auto* e) { return e->IsReady(); });
    if (all.empty()) {
      Add(At(
          Make("routing/no-endpoints", Severity::kWarning,
               "no endpoint stands behind it", "connections to it are rejected",
               s.spec.selector.empty()
                   ? "add an EndpointSlice, or a selector"
                   : "compare the selector with the labels of the Pods"),
          "Service", s.metadata, "spec.selector"));
    } else if (!any_ready) {
      Add(At(
          Make("routing/none-ready", Severity::kWarning,
               absl::StrCat("none of its ", all.size(), " endpoints is ready"),
               "connections to it are rejected, or go to Pods that are "
               "shutting down",
               "look at the readiness probes of the Pods"),
          "Service", s.metadata, ""));
    }
    CheckUnservedPorts(s, !all.empty());
    if (cluster_.pods().empty()) return;
    for (const Endpoint* e : all) {
      if (e->addresses.empty() || !e->target_ref ||
          e->target_ref->kind != "Pod" ||
          pod_addresses_.contains(std::string(e->addresses[0]))) {
        continue;
      }
      Add(At(Make("routing/endpoint-no-pod", Severity::kWarning,
                  absl::StrCat("endpoint ", e->addresses[0].view(),
                               " is of Pod ", e->target_ref->name.view(),
                               ", but no Pod has this address"),
                  "packets sent there are lost",
                  "see whether the endpoint controller is running"),
             "Service", s.metadata, ""));
    }
  }

  void CheckUnservedPorts(const Service& s, bool has_endpoints) {
    if (!has_endpoints) return;
    for (size_t i = 0; i < s.spec.ports.size(); ++i) {
      const ServicePort& port = s.spec.ports[i];
      bool served = false;
      for (const EndpointSlice* slice :
           cluster_.SlicesOf(s.metadata.namespace_, s.metadata.name)) {
        for (const EndpointPort& p : slice->ports) {
          served |= p.name.value_or("") == port.name &&
                    p.protocol.value_or(Protocol::kTcp) == port.protocol;
        }
      }
      if (served) continue;
      Add(At(Make("routing/port-unserved", Severity::kError,
                  absl::StrCat("no endpoint serves port \"", port.name, "\" ",
                               port.port, "/",
                               KubernetesProtocolName(port.protocol)),
                  "connections to this port are rejected; kube-proxy joins "
                  "Service and endpoint ports by name",
                  "use the same port name in the Service and its endpoints"),
             "Service", s.metadata, absl::StrCat("spec.ports[", i, "]")));
    }
  }

  void CheckTargetPorts(const Service& s) {
    if (s.spec.selector.empty()) return;
    for (size_t i = 0; i < s.spec.ports.size(); ++i) {
      const auto* name = std::get_if<std::string>(&s.spec.ports[i].target_port);
      if (name == nullptr) continue;
      bool selected = false;
      bool found = false;
      for (const Pod& pod : cluster_.pods()) {
        if (pod.metadata.namespace_ != s.metadata.namespace_ ||
            !SelectorMatches(s.spec.selector, pod.metadata.labels)) {
          continue;
        }
        selected = true;
        for (const Container& c : pod.spec.containers) {
          for (const ContainerPort& p : c.ports) {
            found |= p.name == *name && p.protocol == s.spec.ports[i].protocol;
          }
        }
      }
      if (!selected || found) continue;
      Add(At(
          Make("routing/target-port-missing", Severity::kError,
               absl::StrCat("no Pod has a container port named \"", *name,
                            "\" with protocol ",
                            KubernetesProtocolName(s.spec.ports[i].protocol)),
               "the port has no endpoints: connections to it are rejected",
               "name the container port, or use its number"),
          "Service", s.metadata,
          absl::StrCat("spec.ports[", i, "].targetPort")));
    }
  }

  static bool SelectorMatches(const StringMap& selector,
                              const StringMap& labels) {
    return std::all_of(selector.begin(), selector.end(), [&](const auto& kv) {
      const auto it = labels.find(kv.first);
      return it != labels.end() && it->second == kv.second;
    });
  }

  void CheckPolicies(const Service& s) {
    const bool external_local = HasLocalExternalPolicy(s);
    const bool internal_local =
        s.spec.internal_traffic_policy == TrafficPolicy::kLocal;
    if (external_local || internal_local) {
      CheckBlackHoles(s, external_local ? "spec.externalTrafficPolicy"
                                        : "spec.internalTrafficPolicy");
    }
    if (external_local &&
        s.spec.session_affinity == SessionAffinity::kClientIp) {
      Add(At(Make("routing/affinity-local", Severity::kInfo,
                  "ClientIP affinity together with externalTrafficPolicy Local",
                  "affinity is kept by each node for itself: a client that the "
                  "load balancer sends to another node meets another endpoint",
                  "make the load balancer keep clients on one node as well"),
             "Service", s.metadata, "spec.sessionAffinity"));
    }
    CheckSourceRanges(s);
  }

  void CheckBlackHoles(const Service& s, const std::string& field) {
    std::set<std::string> with;
    for (const Endpoint* e : EndpointsOf(s)) {
      if (e->IsReady() && e->node_name) with.emplace(*e->node_name);
    }
    std::vector<std::string> without;
    for (const Node& n : cluster_.nodes()) {
      if (!with.contains(n.metadata.name)) without.push_back(n.metadata.name);
    }
    if (with.empty() || without.empty()) return;
    constexpr size_t kShown = 5;
    const size_t more = without.size() > kShown ? without.size() - kShown : 0;
    if (more > 0) without.resize(kShown);
    Add(At(
        Make("routing/local-black-hole", Severity::kInfo,
             absl::StrCat("policy Local, and no ready endpoint on ",
                          absl::StrJoin(without, ", "),
                          more > 0 ? absl::StrCat(" and ", more, " more") : ""),
             "these nodes drop what is sent to the Service through them",
             "keep clients away from them by the health check node port, or "
             "run a Pod on every node"),
        "Service", s.metadata, field));
  }

  void CheckSourceRanges(const Service& s) {
    const auto& texts = s.spec.load_balancer_source_ranges;
    if (texts.empty()) return;
    std::vector<IpPrefix> ranges;
    for (size_t i = 0; i < texts.size(); ++i) {
      const auto range = IpPrefix::Parse(absl::StripAsciiWhitespace(texts[i]));
      if (range) {
        ranges.push_back(*range);
        continue;
      }
      Add(At(Make("routing/source-range-invalid", Severity::kError,
                  absl::StrCat("\"", texts[i], "\" is no CIDR"),
                  "kube-proxy leaves the range out: who should be let in by it "
                  "is shut out",
                  "write it as ADDRESS/LENGTH"),
             "Service", s.metadata,
             absl::StrCat("spec.loadBalancerSourceRanges[", i, "]")));
    }
    for (const Node& n : cluster_.nodes()) {
      for (const NodeAddress& a : n.addresses) {
        const auto ip = IpAddress::ParseSloppy(a.address);
        if (!ip || a.type != NodeAddressType::kInternalIp) continue;
        const bool inside =
            std::any_of(ranges.begin(), ranges.end(),
                        [&](const IpPrefix& p) { return p.Contains(*ip); });
        if (inside) continue;
        Add(At(Make("routing/source-ranges-nodes", Severity::kInfo,
                    absl::StrCat("the ranges do not hold ", a.address,
                                 " of "
                                 "node ",
                                 n.metadata.name),
                    "programs on the nodes, and Pods behind their address, do "
                    "not reach the load balancer's address from within; health "
                    "checks that come from nodes fail",
                    "add the network of the nodes to the ranges"),
               "Service", s.metadata, "spec.loadBalancerSourceRanges"));
        return;  // one node is enough to tell
      }
    }
  }

  const Cluster& cluster_;
  const RoutingCheckOptions& options_;
  std::set<std::string> pod_addresses_;
  std::map<IpAddress, std::string> vips_;
  std::map<std::pair<int32_t, Protocol>, std::string> node_ports_;
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> CheckRouting(const Cluster& cluster,
                                  const RoutingCheckOptions& options) {
  return RoutingCheck(cluster, options).Run();
}

}  // namespace k8sdns::journey
