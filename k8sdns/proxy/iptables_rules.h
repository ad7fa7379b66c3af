// The rules of kube-proxy's iptables mode, as calls to a sink: internal to the
// iptables compiler. This is the one place that knows them; sinks make a
// Ruleset, text or counts of them.
//
// A sink has
//   void Because(RuleSource, uint32_t index);   // about the next rule
//   void Begin(const ChainRef&);                // a rule at the end of a chain
//   ... one call for each part of the rule, in iptables-save's order ...
//   void End();
//   void Chain(const ChainRef&);                // a chain without rules yet
// The rules of one chain come one after another. A sink with kStencils also has
//   void BeginStencil(const ChainRef& endpoint_chain);
//   void EndStencil();
//   void Stamp(const EndpointList&, const EndpointInfo&, uint32_t n);
//   void EndpointChains(const EndpointList&);
// The third repeats what was written between the first two for another endpoint
// and another n of OneOf(n); the last is Chain() for all endpoints in use.
//
// Facts: syncProxyRules in pkg/proxy/iptables/proxier.go of Kubernetes 1.30,
// 1.14 and 1.11; nfacct rules: 1.32 and later.
#ifndef K8SDNS_PROXY_IPTABLES_RULES_H_
#define K8SDNS_PROXY_IPTABLES_RULES_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "k8sdns/netfilter/ops.h"
#include "k8sdns/proxy/iptables_model.h"

namespace k8sdns::proxy {

inline constexpr char kInvalidCounter[] = "ct_state_invalid_dropped_pkts";
inline constexpr char kLocalhostCounter[] = "localhost_nps_accepted_pkts";

// The rules of one service port.
template <typename Sink>
class PortRules {
 public:
  PortRules(const RuleContext& context, const PortModel& port, Sink& sink)
      : context_(context), port_(port), info_(port.info), sink_(sink) {
    const bool local_missing = port.local_count == 0;
    has_internal_ =
        port.has_endpoints && !(info_.internal_policy_local && local_missing);
    has_external_ =
        port.has_endpoints && !(info_.external_policy_local && local_missing);
    uses_cluster_ = port.cluster_count > 0 && info_.UsesClusterEndpoints();
    uses_local_ = port.local_count > 0 && info_.UsesLocalEndpoints();
    uses_external_ = port.has_endpoints && info_.ExternallyAccessible();
    uses_firewall_ = port.has_endpoints && !info_.load_balancer_vips.empty() &&
                     !info_.source_ranges.empty();
  }

  // Rules in the filter table.
  void Filter() {
    if (modern()) {
      FilterModern();
    } else if (!port_.has_endpoints) {
      FilterLegacy();
    }
  }

  // Declares the port's own chains (nat).
  void Chains() {
    DeclareServiceChains();
    if constexpr (Sink::kStencils) {
      sink_.EndpointChains(port_.list);
    } else {
      ForReachable(
          [&](const EndpointInfo& e, uint32_t) { sink_.Chain(Sep(e)); });
    }
  }
  void DeclareServiceChains() {
    if (modern()) {
      if (uses_external_) sink_.Chain(Ext());
      if (uses_firewall_) sink_.Chain(Fw());
      if (uses_cluster_) sink_.Chain(Svc());
      if (uses_local_) sink_.Chain(Svl());
      return;
    }
    if (info_.external_policy_local) sink_.Chain(Xlb());
    if (port_.has_endpoints) {
      if (!info_.load_balancer_vips.empty()) sink_.Chain(Fw());
      sink_.Chain(Svc());
    }
  }

  // Rules in the nat table, but for those of endpoints.
  void Dispatch() {
    if (modern()) {
      DispatchModern();
    } else if (port_.has_endpoints) {
      DispatchLegacy();
    }
  }
  void ExternalChains() {
    if (modern()) {
      if (uses_external_) ExternalChain();
      if (uses_firewall_) FirewallChain();
      return;
    }
    if (!port_.has_endpoints) return;
    if (info_.external_policy_local && !ends_early()) XlbChain();
    for (size_t i = 0; i < info_.load_balancer_vips.size(); ++i) {
      LegacyFirewallChain(i);
    }
  }
  void BalancingChains() {
    if (ends_early()) return;
    if (modern() && has_internal_ && !info_.internal_policy_local) {
      InternalMasquerade(Svc());
    }
    if (uses_cluster_) Balance(Svc(), kUsedByCluster, port_.cluster_count);
    if (!modern()) return;
    if (has_internal_ && info_.internal_policy_local) {
      InternalMasquerade(Svl());
    }
    if (uses_local_) Balance(Svl(), kUsedByLocal, port_.local_count);
  }
  void EndpointChains() {
    if (ends_early()) return;
    if (port_.list.has_duplicates) return RepeatedEndpointChains();
    bool stencil = false;
    ForReachable([&](const EndpointInfo& e, uint32_t i) {
      if constexpr (Sink::kStencils) {
        if (stencil) return sink_.Stamp(port_.list, e, 0);
        stencil = true;
        sink_.BeginStencil(Sep(e));
        EndpointChain(e, i);
        sink_.EndStencil();
      } else {
        EndpointChain(e, i);
      }
    });
    (void)stencil;
  }
  void EndpointChain(const EndpointInfo& e, uint32_t index) {
    const ChainRef chain = Sep(e);
    sink_.Because(RuleSource::kEndpoint, index);
    sink_.Begin(chain);
    sink_.SourceHost(e.address, port_.list.address_text(e));
    EndpointComment();
    sink_.Jump(kMarkMasq);
    sink_.End();
    sink_.Because(RuleSource::kEndpoint, index);
    sink_.Begin(chain);
    sink_.Protocol(info_.protocol);
    EndpointComment();
    if (info_.session_affinity) sink_.RecentSet(chain);
    sink_.ProtocolMatch(info_.protocol);
    sink_.Dnat(e.address, e.port, port_.list.text(e));
    sink_.End();
  }
  void Nat() {
    Dispatch();
    ExternalChains();
    BalancingChains();
    EndpointChains();
  }

 private:
  bool modern() const { return context_.traits.external_chains; }
  // 1.14 skips the rest of a service with a node port if nodePortAddresses
  // match nothing; its chains stay empty.
  bool ends_early() const {
    return !modern() && context_.node.node_port_lookup_fails &&
           info_.node_port != 0;
  }

  ChainRef Own(absl::string_view prefix) const {
    return {netfilter::TableId::kNat, prefix, &port_.hash};
  }
  ChainRef Svc() const { return Own(kServiceChainPrefix); }
  ChainRef Svl() const { return Own(kLocalChainPrefix); }
  ChainRef Ext() const { return Own(kExternalChainPrefix); }
  ChainRef Fw() const { return Own(kFirewallChainPrefix); }
  ChainRef Xlb() const { return Own(kXlbChainPrefix); }
  static ChainRef Sep(const EndpointInfo& e) {
    return {netfilter::TableId::kNat, kEndpointChainPrefix, &e.chain};
  }

  template <typename Visit>
  void ForReachable(Visit visit) const {
    for (uint32_t i = 0; i < port_.list.endpoints.size(); ++i) {
      const EndpointInfo& e = port_.list.endpoints[i];
      if (e.use != 0) visit(e, i);
    }
  }

  // 1.14 writes the rules of an endpoint that is listed twice twice.
  void RepeatedEndpointChains() {
    const ArenaVector<EndpointInfo>& all = port_.list.endpoints;
    for (uint32_t i = 0; i < all.size(); ++i) {
      auto same = [&](const EndpointInfo& e) {
        return e.chain == all[i].chain;
      };
      if (std::any_of(all.begin(), all.begin() + i, same)) continue;
      for (uint32_t k = i; k < all.size(); ++k) {
        if (same(all[k])) EndpointChain(all[k], k);
      }
    }
  }

  void EndpointComment() {
    if (context_.large_cluster) return;
    if (context_.traits.endpoint_comment !=
        DialectTraits::EndpointComment::kNone) {
      sink_.Comment("", info_.name, "");
    }
  }
  void BalancingComment(const EndpointInfo& e) {
    if (context_.large_cluster) return;
    switch (context_.traits.endpoint_comment) {
      case DialectTraits::EndpointComment::kNone:
        return;
      case DialectTraits::EndpointComment::kPort:
        sink_.Comment("", info_.name, "");
        return;
      case DialectTraits::EndpointComment::kPortAndEndpoint:
        sink_.CommentTo(info_.name, port_.list.text(e));
    }
  }

  // ---- matches that many rules have ----

  // -d address -p protocol -m comment "name what" -m protocol --dport port
  void To(const IpAddress& address, absl::string_view what) {
    sink_.DestinationHost(address);
    sink_.Protocol(info_.protocol);
    sink_.Comment("", info_.name, what);
    sink_.DestinationPort(info_.protocol, info_.port);
  }
  // Traffic to any address of the node, on the node port.
  void ToNodePort(absl::string_view what) {
    sink_.Protocol(info_.protocol);
    sink_.Comment("", info_.name, what);
    sink_.DestinationLocal(false);
    sink_.DestinationPort(info_.protocol, info_.node_port);
  }
  void NodePort() {
    sink_.Because(RuleSource::kNodePort, 0);
    sink_.Begin(kDispatchRefs[kNatNodePorts]);
    sink_.Protocol(info_.protocol);
    sink_.Comment("", info_.name, "");
    sink_.DestinationPort(info_.protocol, info_.node_port);
  }
  void FromLocalPods(bool invert) {
    const LocalDetector& local = context_.node.local;
    switch (local.kind) {
      case LocalDetector::Kind::kNone:
        return;
      case LocalDetector::Kind::kSource:
        sink_.Source(local.source, invert);
        return;
      case LocalDetector::Kind::kInterface:
      case LocalDetector::Kind::kInterfacePrefix:
        return;  // stands behind the addresses: see FromLocalInterface
    }
  }
  void FromLocalInterface(bool invert) {
    const LocalDetector& local = context_.node.local;
    if (local.kind == LocalDetector::Kind::kInterface ||
        local.kind == LocalDetector::Kind::kInterfacePrefix) {
      sink_.InInterface(local.interface,
                        local.kind == LocalDetector::Kind::kInterfacePrefix,
                        invert);
    }
  }

  // ---- filter ----

  void Refuse(bool drop) {
    if (drop) {
      sink_.Drop();
    } else {
      sink_.Reject();
    }
    sink_.End();
  }

  void FilterModern() {
    // Without any endpoint traffic is rejected; without one that its policy
    // allows it is dropped.
    const bool drop = port_.has_endpoints;
    const absl::string_view why =
        drop ? " has no local endpoints" : " has no endpoints";
    if (!has_internal_) {
      sink_.Because(RuleSource::kClusterIp, 0);
      sink_.Begin(kDispatchRefs[kFilterServices]);
      To(info_.cluster_ip, why);
      Refuse(drop);
    }
    if (!has_external_) RefuseExternal(why, drop);
    if (uses_firewall_) {
      for (size_t i = 0; i < info_.load_balancer_vips.size(); ++i) {
        sink_.Because(RuleSource::kLoadBalancerIngress, i);
        sink_.Begin(kDispatchRefs[kFilterFirewall]);
        sink_.DestinationHost(info_.load_balancer_vips[i]);
        sink_.Protocol(info_.protocol);
        sink_.CommentNaming(info_.name, " traffic not accepted by ", Fw());
        sink_.DestinationPort(info_.protocol, info_.port);
        sink_.Drop();
        sink_.End();
      }
    }
    if (info_.health_check_node_port != 0) {
      sink_.Because(RuleSource::kHealthCheckNodePort, 0);
      sink_.Begin(kDispatchRefs[kFilterNodePorts]);
      sink_.Protocol(Protocol::kTcp);
      sink_.Comment("", info_.name, " health check node port");
      sink_.DestinationPort(Protocol::kTcp, info_.health_check_node_port);
      sink_.Accept();
      sink_.End();
    }
  }

  void RefuseExternal(absl::string_view why, bool drop) {
    for (size_t i = 0; i < info_.external_ips.size(); ++i) {
      sink_.Because(RuleSource::kExternalIp, i);
      sink_.Begin(kDispatchRefs[kFilterExternal]);
      To(info_.external_ips[i], why);
      Refuse(drop);
    }
    for (size_t i = 0; modern() && i < info_.load_balancer_vips.size(); ++i) {
      sink_.Because(RuleSource::kLoadBalancerIngress, i);
      sink_.Begin(kDispatchRefs[kFilterExternal]);
      To(info_.load_balancer_vips[i], why);
      Refuse(drop);
    }
    if (info_.node_port != 0 && !ends_early()) {
      sink_.Because(RuleSource::kNodePort, 0);
      sink_.Begin(kDispatchRefs[kFilterExternal]);
      ToNodePort(why);
      Refuse(drop);
    }
  }

  void FilterLegacy() {
    sink_.Because(RuleSource::kClusterIp, 0);
    sink_.Begin(kDispatchRefs[kFilterServices]);
    To(info_.cluster_ip, " has no endpoints");
    Refuse(false);
    for (size_t i = 0; context_.traits.rejects_load_balancer_ips &&
                       i < info_.load_balancer_vips.size();
         ++i) {
      sink_.Because(RuleSource::kLoadBalancerIngress, i);
      sink_.Begin(kDispatchRefs[kFilterServices]);
      To(info_.load_balancer_vips[i], " has no endpoints");
      Refuse(false);
    }
    RefuseExternal(" has no endpoints", false);
  }

  // ---- nat: the ways in ----

  void DispatchTo(RuleSource source, size_t index, const IpAddress& address,
                  absl::string_view what, const ChainRef& chain) {
    sink_.Because(source, index);
    sink_.Begin(kDispatchRefs[kNatServices]);
    To(address, what);
    sink_.Jump(chain);
    sink_.End();
  }

  void DispatchModern() {
    if (has_internal_) {
      DispatchTo(RuleSource::kClusterIp, 0, info_.cluster_ip, " cluster IP",
                 info_.internal_policy_local ? Svl() : Svc());
    }
    if (!port_.has_endpoints) return;
    for (size_t i = 0; i < info_.external_ips.size(); ++i) {
      DispatchTo(RuleSource::kExternalIp, i, info_.external_ips[i],
                 " external IP", Ext());
    }
    for (size_t i = 0; i < info_.load_balancer_vips.size(); ++i) {
      DispatchTo(RuleSource::kLoadBalancerIngress, i,
                 info_.load_balancer_vips[i], " loadbalancer IP",
                 uses_firewall_ ? Fw() : Ext());
    }
    if (info_.node_port == 0) return;
    if (context_.nfacct && context_.node.localhost_node_ports) {
      sink_.Because(RuleSource::kNodePort, 0);
      sink_.Begin(kDispatchRefs[kNatNodePorts]);
      sink_.Destination(IpPrefix(IpAddress::V4(0x7f000000), 8), false);
      sink_.Protocol(info_.protocol);
      sink_.Comment("", info_.name, "");
      sink_.DestinationPort(info_.protocol, info_.node_port);
      sink_.Nfacct(kLocalhostCounter);
      sink_.Jump(Ext());
      sink_.End();
    }
    NodePort();
    sink_.Jump(Ext());
    sink_.End();
  }

  void DispatchLegacy() {
    InternalMasquerade(kDispatchRefs[kNatServices]);
    DispatchTo(RuleSource::kClusterIp, 0, info_.cluster_ip, " cluster IP",
               Svc());
    for (size_t i = 0; i < info_.external_ips.size(); ++i) {
      LegacyExternalIp(i);
    }
    for (size_t i = 0; i < info_.load_balancer_vips.size(); ++i) {
      DispatchTo(RuleSource::kLoadBalancerIngress, i,
                 info_.load_balancer_vips[i], " loadbalancer IP", Fw());
    }
    if (info_.node_port == 0 || ends_early()) return;
    if (!info_.external_policy_local) {
      NodePort();
      sink_.Jump(kMarkMasq);
      sink_.End();
    } else {
      NodePortFromLoopback();
    }
    NodePort();
    sink_.Jump(info_.external_policy_local ? Xlb() : Svc());
    sink_.End();
  }

  // Such packets would be martians on their way out.
  void NodePortFromLoopback() {
    sink_.Because(RuleSource::kNodePort, 0);
    sink_.Begin(kDispatchRefs[kNatNodePorts]);
    sink_.Source(context_.is_v6()
                     ? IpPrefix(IpAddress::V6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                               0, 0, 0, 0, 1}),
                                128)
                     : IpPrefix(IpAddress::V4(0x7f000000), 8),
                 false);
    sink_.Protocol(info_.protocol);
    sink_.Comment("", info_.name, "");
    sink_.DestinationPort(info_.protocol, info_.node_port);
    sink_.Jump(kMarkMasq);
    sink_.End();
  }

  void LegacyExternalIp(size_t i) {
    const IpAddress& ip = info_.external_ips[i];
    DispatchTo(RuleSource::kExternalIp, i, ip, " external IP", kMarkMasq);
    // From off the node, unless it came over a bridge.
    sink_.Because(RuleSource::kExternalIp, i);
    sink_.Begin(kDispatchRefs[kNatServices]);
    To(ip, " external IP");
    sink_.NotBridgedIn();
    sink_.SourceLocal(true);
    sink_.Jump(Svc());
    sink_.End();
    // To an address that is the node's own.
    sink_.Because(RuleSource::kExternalIp, i);
    sink_.Begin(kDispatchRefs[kNatServices]);
    To(ip, " external IP");
    sink_.DestinationLocal(false);
    sink_.Jump(Svc());
    sink_.End();
  }

  // Traffic to the cluster IP from outside is masqueraded, since it may leave
  // the node again.
  void InternalMasquerade(const ChainRef& chain) {
    const LocalDetector& local = context_.node.local;
    if (!context_.masquerade_all && !local.implemented()) return;
    sink_.Because(RuleSource::kClusterIp, 0);
    sink_.Begin(chain);
    if (!context_.masquerade_all) FromLocalPods(true);
    sink_.DestinationHost(info_.cluster_ip);
    if (!context_.masquerade_all) FromLocalInterface(true);
    sink_.Protocol(info_.protocol);
    sink_.Comment("", info_.name, " cluster IP");
    sink_.DestinationPort(info_.protocol, info_.port);
    sink_.Jump(kMarkMasq);
    sink_.End();
  }

  // ---- nat: external traffic ----

  void ExternalChain() {
    auto begin = [&] {
      sink_.Because(RuleSource::kExternalTrafficPolicy, 0);
      sink_.Begin(Ext());
    };
    if (!info_.external_policy_local) {
      begin();
      sink_.Comment("masquerade traffic for ", info_.name,
                    " external destinations");
      sink_.Jump(kMarkMasq);
      sink_.End();
    } else {
      if (context_.node.local.implemented()) {
        begin();
        FromLocalPods(false);
        FromLocalInterface(false);
        sink_.Comment("pod traffic for ", info_.name, " external destinations");
        sink_.Jump(Svc());
        sink_.End();
      }
      begin();
      sink_.Comment("masquerade LOCAL traffic for ", info_.name,
                    " external destinations");
      sink_.SourceLocal(false);
      sink_.Jump(kMarkMasq);
      sink_.End();
      begin();
      sink_.Comment("route LOCAL traffic for ", info_.name,
                    " external destinations");
      sink_.SourceLocal(false);
      sink_.Jump(Svc());
      sink_.End();
    }
    if (has_external_) {
      begin();
      sink_.Jump(info_.external_policy_local ? Svl() : Svc());
      sink_.End();
    }
  }

  // Lets the source ranges through to `target`; true if the node's own address
  // is in one of them.
  bool SourceRanges(const ChainRef& target) {
    bool allow_node = false;
    for (size_t i = 0; i < info_.source_ranges.size(); ++i) {
      sink_.Because(RuleSource::kSourceRange, i);
      sink_.Begin(Fw());
      sink_.Source(info_.source_ranges[i], false);
      sink_.Comment("", info_.name, " loadbalancer IP");
      sink_.Jump(target);
      sink_.End();
      allow_node |= info_.source_ranges[i].Contains(context_.node.ip);
    }
    return allow_node;
  }
  void FromVip(size_t i, const ChainRef& target) {
    sink_.Because(RuleSource::kLoadBalancerIngress, i);
    sink_.Begin(Fw());
    sink_.Source(IpPrefix::Host(info_.load_balancer_vips[i]), false);
    sink_.Comment("", info_.name, " loadbalancer IP");
    sink_.Jump(target);
    sink_.End();
  }

  void FirewallChain() {
    if (SourceRanges(Ext())) {
      // A VIP may be an address of the node; what it sends to the VIP then
      // has the VIP as its source.
      for (size_t i = 0; i < info_.load_balancer_vips.size(); ++i) {
        FromVip(i, Ext());
      }
    }
    sink_.Because(RuleSource::kSourceRange, 0);
    sink_.Begin(Fw());
    sink_.Comment("other traffic to ", info_.name,
                  " will be dropped by KUBE-PROXY-FIREWALL");
    sink_.End();
  }

  // Written again for each VIP, into the same chain.
  void LegacyFirewallChain(size_t vip) {
    auto jump = [&](const ChainRef& target) {
      sink_.Because(RuleSource::kLoadBalancerIngress, vip);
      sink_.Begin(Fw());
      sink_.Comment("", info_.name, " loadbalancer IP");
      sink_.Jump(target);
      sink_.End();
    };
    const ChainRef target = info_.external_policy_local ? Xlb() : Svc();
    if (!info_.external_policy_local) jump(kMarkMasq);
    if (info_.source_ranges.empty()) {
      jump(target);
    } else if (SourceRanges(target)) {
      FromVip(vip, target);
    }
    jump(kMarkDrop);
  }

  void XlbChain() {
    if (context_.node.local.implemented()) {
      sink_.Because(RuleSource::kExternalTrafficPolicy, 0);
      sink_.Begin(Xlb());
      FromLocalPods(false);
      sink_.Comment(
          "Redirect pods trying to reach external loadbalancer VIP to "
          "clusterIP",
          "", "");
      sink_.Jump(Svc());
      sink_.End();
    }
    if (port_.local_count == 0) {
      sink_.Because(RuleSource::kExternalTrafficPolicy, 0);
      sink_.Begin(Xlb());
      sink_.Comment("", info_.name, " has no local endpoints");
      sink_.Jump(kMarkDrop);
      sink_.End();
      return;
    }
    if (info_.session_affinity) {
      Affinity(Xlb(), kUsedByLocal,
               [&](const EndpointInfo&) { sink_.Comment("", info_.name, ""); });
    }
    uint32_t rule = 0;
    for (uint32_t i = 0; i < port_.list.endpoints.size(); ++i) {
      const EndpointInfo& e = port_.list.endpoints[i];
      if ((e.use & kUsedByLocal) == 0) continue;
      OneRandom(
          Xlb(), e, i, port_.local_count - rule, [&](const EndpointInfo&) {
            sink_.CommentNumbered("Balancing rule ", rule, " for ", info_.name);
          });
      ++rule;
    }
  }

  // ---- nat: balancing ----

  template <typename CommentOf>
  void Affinity(const ChainRef& chain, EndpointUse use, CommentOf comment) {
    for (uint32_t i = 0; i < port_.list.endpoints.size(); ++i) {
      const EndpointInfo& e = port_.list.endpoints[i];
      if ((e.use & use) == 0) continue;
      sink_.Because(RuleSource::kSessionAffinity, i);
      sink_.Begin(chain);
      comment(e);
      sink_.RecentCheck(Sep(e), info_.affinity_seconds);
      sink_.Jump(Sep(e));
      sink_.End();
    }
  }
  template <typename CommentOf>
  void Random(const ChainRef& chain, EndpointUse use, uint32_t count,
              CommentOf comment) {
    uint32_t left = count;
    bool stencil = false;
    for (uint32_t i = 0; i < port_.list.endpoints.size(); ++i) {
      const EndpointInfo& e = port_.list.endpoints[i];
      if ((e.use & use) == 0) continue;
      if constexpr (Sink::kStencils) {
        if (stencil && left > 1) {
          sink_.Stamp(port_.list, e, left--);
          continue;
        }
        // All but the last rule are alike.
        stencil = true;
        sink_.BeginStencil(Sep(e));
        OneRandom(chain, e, i, left--, comment);
        sink_.EndStencil();
      } else {
        OneRandom(chain, e, i, left--, comment);
      }
    }
    (void)stencil;
  }
  template <typename CommentOf>
  void OneRandom(const ChainRef& chain, const EndpointInfo& e, uint32_t index,
                 uint32_t left, CommentOf comment) {
    sink_.Because(RuleSource::kEndpoint, index);
    sink_.Begin(chain);
    comment(e);
    if (left > 1) sink_.OneOf(left);
    sink_.Jump(Sep(e));
    sink_.End();
  }
  void Balance(const ChainRef& chain, EndpointUse use, uint32_t count) {
    auto comment = [&](const EndpointInfo& e) { BalancingComment(e); };
    if (info_.session_affinity) Affinity(chain, use, comment);
    Random(chain, use, count, comment);
  }

  const RuleContext& context_;
  const PortModel& port_;
  const ServicePortInfo& info_;
  Sink& sink_;
  bool has_internal_;   // traffic to the cluster IP has somewhere to go
  bool has_external_;   // likewise traffic from outside
  bool uses_cluster_;   // KUBE-SVC
  bool uses_local_;     // KUBE-SVL
  bool uses_external_;  // KUBE-EXT
  bool uses_firewall_;  // KUBE-FW
};

}  // namespace k8sdns::proxy

#endif  // K8SDNS_PROXY_IPTABLES_RULES_H_
