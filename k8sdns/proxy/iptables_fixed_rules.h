// The chains and rules that kube-proxy writes whatever the services are:
// internal to the iptables compiler. Sinks are those of iptables_rules.h.
#ifndef K8SDNS_PROXY_IPTABLES_FIXED_RULES_H_
#define K8SDNS_PROXY_IPTABLES_FIXED_RULES_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "k8sdns/netfilter/ops.h"
#include "k8sdns/netfilter/ruleset.h"
#include "k8sdns/proxy/iptables_model.h"
#include "k8sdns/proxy/iptables_rules.h"

namespace k8sdns::proxy {

template <typename Sink>
class FixedRules {
 public:
  FixedRules(const RuleContext& context, Sink& sink)
      : context_(context), sink_(sink) {}

  // The chains of kube-proxy that always exist.
  void Chains(netfilter::TableId table) {
    const bool modern = context_.traits.external_chains;
    if (table == netfilter::TableId::kFilter) {
      sink_.Chain(kDispatchRefs[kFilterServices]);
      sink_.Chain(kDispatchRefs[kFilterExternal]);
      sink_.Chain(kForward);
      if (!modern) return;
      sink_.Chain(kDispatchRefs[kFilterNodePorts]);
      sink_.Chain(kDispatchRefs[kFilterFirewall]);
      sink_.Chain(kFirewall);
      return;
    }
    sink_.Chain(kDispatchRefs[kNatServices]);
    sink_.Chain(kDispatchRefs[kNatNodePorts]);
    sink_.Chain(kPostrouting);
    sink_.Chain(kMarkMasq);
    if (!modern) sink_.Chain(kMarkDrop);
  }

  // The jumps from the built-in chains.
  void Jumps(netfilter::TableId table) {
    if (table == netfilter::TableId::kNat) {
      constexpr absl::string_view kPortals = "kubernetes service portals";
      const ChainRef& services = kDispatchRefs[kNatServices];
      Jump(table, "PREROUTING", false, kPortals, services);
      Jump(table, "OUTPUT", false, kPortals, services);
      Jump(table, "POSTROUTING", false, "kubernetes postrouting rules",
           kPostrouting);
      return;
    }
    if (context_.traits.external_chains) {
      ModernFilterJumps();
    } else {
      LegacyFilterJumps();
    }
  }

  // What stands in kube-proxy's own chains besides the rules of services.
  void Filter() {
    if (context_.node.localhost_node_ports && context_.traits.external_chains) {
      sink_.Because(RuleSource::kLocalhostNodePorts, 0);
      sink_.Begin(kFirewall);
      sink_.Source(kLoopback4, true);
      sink_.Destination(kLoopback4, false);
      sink_.Comment("block incoming localnet connections", "", "");
      sink_.ConntrackState(netfilter::kStateRelated |
                               netfilter::kStateEstablished |
                               netfilter::kStateDnat,
                           true);
      sink_.Drop();
      sink_.End();
    }
    if (context_.traits.drops_invalid && context_.drops_invalid) {
      sink_.Because(RuleSource::kFixed, 0);
      sink_.Begin(kForward);
      sink_.ConntrackState(netfilter::kStateInvalid, false);
      if (context_.nfacct) sink_.Nfacct(kInvalidCounter);
      sink_.Drop();
      sink_.End();
    }
    sink_.Because(RuleSource::kMasqueradeBit, 0);
    sink_.Begin(kForward);
    sink_.Comment("kubernetes forwarding rules", "", "");
    sink_.Mark(context_.masquerade_mark, false);
    sink_.Accept();
    sink_.End();
    if (context_.traits.external_chains) {
      ForwardEstablished(false, false, "kubernetes forwarding conntrack rule");
    } else if (context_.node.local.implemented()) {
      ForwardEstablished(true, false,
                         "kubernetes forwarding conntrack pod source rule");
      ForwardEstablished(
          false, true, "kubernetes forwarding conntrack pod destination rule");
    }
  }
  void Nat() {
    const uint32_t mark = context_.masquerade_mark;
    constexpr absl::string_view kSnat =
        "kubernetes service traffic requiring SNAT";
    auto begin = [&](const ChainRef& chain) {
      sink_.Because(RuleSource::kMasqueradeBit, 0);
      sink_.Begin(chain);
    };
    if (context_.traits.external_chains) {
      begin(kPostrouting);
      sink_.Mark(mark, true);
      sink_.Return();
      sink_.End();
      // Cleared, so that the packet is not masqueraded a second time.
      begin(kPostrouting);
      sink_.SetMark(mark, 0);
      sink_.End();
      begin(kPostrouting);
      sink_.Comment(kSnat, "", "");
      sink_.Masquerade(true);
      sink_.End();
    } else {
      begin(kPostrouting);
      sink_.Comment(kSnat, "", "");
      sink_.Mark(mark, false);
      sink_.Masquerade(false);
      sink_.End();
      // kubelet's.
      begin(kMarkDrop);
      sink_.SetMark(0x8000, 0x8000);
      sink_.End();
    }
    begin(kMarkMasq);
    sink_.SetMark(mark, mark);
    sink_.End();
  }
  // The end of KUBE-SERVICES, behind the rules of all services.
  void NodePorts() {
    const NodeView& node = context_.node;
    if (node.node_port_all) {
      BeginNodePorts();
      if (context_.traits.external_chains) {
        // Localhost node ports never work in IPv6.
        if (context_.is_v6()) {
          sink_.Destination(kLoopback6, true);
        } else if (!node.localhost_node_ports) {
          sink_.Destination(kLoopback4, true);
        }
      }
      sink_.Comment(kLastRule, "", "");
      sink_.DestinationLocal(false);
      EndNodePorts();
      return;
    }
    for (const IpAddress& ip : node.node_port_ips) {
      if (context_.traits.external_chains && ip.IsLoopback() &&
          !node.localhost_node_ports) {
        continue;
      }
      BeginNodePorts();
      sink_.DestinationHost(ip);
      sink_.Comment(kLastRule, "", "");
      EndNodePorts();
    }
  }

 private:
  static constexpr IpPrefix kLoopback4{IpAddress::V4(0x7f000000), 8};
  static constexpr IpPrefix kLoopback6{
      IpAddress::V6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}), 128};
  static constexpr absl::string_view kLastRule =
      "kubernetes service nodeports; NOTE: this must be the last rule in this "
      "chain";

  void Jump(netfilter::TableId table, absl::string_view from, bool only_new,
            absl::string_view comment, const ChainRef& to) {
    sink_.Because(RuleSource::kFixed, 0);
    sink_.Begin({table, from});
    if (only_new) sink_.ConntrackState(netfilter::kStateNew, false);
    if (!comment.empty()) sink_.Comment(comment, "", "");
    sink_.Jump(to);
    sink_.End();
  }

  // Each of them was put in front of those before it.
  void ModernFilterJumps() {
    constexpr auto kFilter = netfilter::TableId::kFilter;
    constexpr absl::string_view kPortals = "kubernetes service portals";
    constexpr absl::string_view kExternal =
        "kubernetes externally-visible service portals";
    constexpr absl::string_view kLoadBalancer =
        "kubernetes load balancer firewall";
    const ChainRef& services = kDispatchRefs[kFilterServices];
    const ChainRef& external = kDispatchRefs[kFilterExternal];
    const ChainRef& firewall = kDispatchRefs[kFilterFirewall];
    Jump(kFilter, "INPUT", false, "", kFirewall);
    Jump(kFilter, "INPUT", true, kLoadBalancer, firewall);
    Jump(kFilter, "INPUT", false, "kubernetes health check service ports",
         kDispatchRefs[kFilterNodePorts]);
    Jump(kFilter, "INPUT", true, kExternal, external);
    Jump(kFilter, "FORWARD", true, kLoadBalancer, firewall);
    Jump(kFilter, "FORWARD", false, "kubernetes forwarding rules", kForward);
    Jump(kFilter, "FORWARD", true, kPortals, services);
    Jump(kFilter, "FORWARD", true, kExternal, external);
    Jump(kFilter, "OUTPUT", false, "", kFirewall);
    Jump(kFilter, "OUTPUT", true, kLoadBalancer, firewall);
    Jump(kFilter, "OUTPUT", true, kPortals, services);
  }
  void LegacyFilterJumps() {
    constexpr auto kFilter = netfilter::TableId::kFilter;
    constexpr absl::string_view kPortals = "kubernetes service portals";
    const ChainRef& services = kDispatchRefs[kFilterServices];
    const bool all_ways = context_.traits.filters_input_and_forward;
    if (all_ways) Jump(kFilter, "INPUT", true, kPortals, services);
    Jump(kFilter, "INPUT", true,
         "kubernetes externally-visible service portals",
         kDispatchRefs[kFilterExternal]);
    Jump(kFilter, "FORWARD", false, "kubernetes forwarding rules", kForward);
    if (all_ways) Jump(kFilter, "FORWARD", true, kPortals, services);
    Jump(kFilter, "OUTPUT", true, kPortals, services);
  }

  void ForwardEstablished(bool from_pods, bool to_pods,
                          absl::string_view comment) {
    sink_.Because(
        from_pods || to_pods ? RuleSource::kClusterCidr : RuleSource::kFixed,
        0);
    sink_.Begin(kForward);
    if (from_pods) sink_.Source(context_.node.local.source, false);
    if (to_pods) sink_.Destination(context_.node.local.source, false);
    sink_.Comment(comment, "", "");
    sink_.ConntrackState(
        netfilter::kStateRelated | netfilter::kStateEstablished, false);
    sink_.Accept();
    sink_.End();
  }

  void BeginNodePorts() {
    sink_.Because(RuleSource::kNodePortAddresses, 0);
    sink_.Begin(kDispatchRefs[kNatServices]);
  }
  void EndNodePorts() {
    sink_.Jump(kDispatchRefs[kNatNodePorts]);
    sink_.End();
  }

  const RuleContext& context_;
  Sink& sink_;
};

}  // namespace k8sdns::proxy

#endif  // K8SDNS_PROXY_IPTABLES_FIXED_RULES_H_
