// Facts: writeIptablesRules, createAndLinkKubeChain and the tables above them
// in pkg/proxy/ipvs/proxier.go of Kubernetes 1.30 and 1.14.
#include "k8sdns/proxy/ipvs_rules.h"

#include <utility>

#include "absl/strings/string_view.h"
#include "k8sdns/netfilter/ops.h"

namespace k8sdns::proxy {
namespace {

using netfilter::ChainId;
using netfilter::RuleBuilder;
using netfilter::Ruleset;
using netfilter::Table;
using netfilter::TableId;

constexpr char kServices[] = "KUBE-SERVICES";
constexpr char kPostrouting[] = "KUBE-POSTROUTING";
constexpr char kNodePort[] = "KUBE-NODE-PORT";
constexpr char kLoadBalancer[] = "KUBE-LOAD-BALANCER";
constexpr char kMarkMasq[] = "KUBE-MARK-MASQ";
constexpr char kMarkDrop[] = "KUBE-MARK-DROP";
constexpr char kLegacyFirewall[] = "KUBE-FIREWALL";
constexpr char kForward[] = "KUBE-FORWARD";
constexpr char kProxyFirewall[] = "KUBE-PROXY-FIREWALL";
constexpr char kSourceRanges[] = "KUBE-SOURCE-RANGES-FIREWALL";
constexpr char kIpvsFilter[] = "KUBE-IPVS-FILTER";
constexpr char kIpvsOutFilter[] = "KUBE-IPVS-OUT-FILTER";

constexpr uint32_t kDropMark = 0x8000;  // kubelet's

// `src` or `dst` by dimension.
enum Flags : uint8_t { kDst = 0, kSrcDst = 1, kDstDstSrc = 4 };

// A rule that sends what matches a set to a chain or target.
struct SetRule {
  KubeSet set;
  absl::string_view from;
  absl::string_view to;
  uint8_t sources;
  Protocol protocol;
};

constexpr SetRule kModernNat[] = {
    {KubeSet::kLoopBack, kPostrouting, "MASQUERADE", kDstDstSrc,
     Protocol::kAny},
    {KubeSet::kLoadBalancer, kServices, kLoadBalancer, kDst, Protocol::kAny},
    {KubeSet::kLoadBalancerLocal, kLoadBalancer, "RETURN", kDst,
     Protocol::kAny},
    {KubeSet::kNodePortLocalTcp, kNodePort, "RETURN", kDst, Protocol::kTcp},
    {KubeSet::kNodePortTcp, kNodePort, kMarkMasq, kDst, Protocol::kTcp},
    {KubeSet::kNodePortLocalUdp, kNodePort, "RETURN", kDst, Protocol::kUdp},
    {KubeSet::kNodePortUdp, kNodePort, kMarkMasq, kDst, Protocol::kUdp},
    {KubeSet::kNodePortLocalSctp, kNodePort, "RETURN", kDst, Protocol::kSctp},
    {KubeSet::kNodePortSctp, kNodePort, kMarkMasq, kDst, Protocol::kSctp},
};
constexpr SetRule kModernFilter[] = {
    {KubeSet::kLoadBalancerFw, kProxyFirewall, kSourceRanges, kDst,
     Protocol::kAny},
    {KubeSet::kSourceCidr, kSourceRanges, "RETURN", kDstDstSrc, Protocol::kAny},
    {KubeSet::kSourceIp, kSourceRanges, "RETURN", kDstDstSrc, Protocol::kAny},
};
constexpr SetRule kLegacyNat[] = {
    {KubeSet::kLoopBack, kPostrouting, "MASQUERADE", kDstDstSrc,
     Protocol::kAny},
    {KubeSet::kLoadBalancer, kServices, kLoadBalancer, kDst, Protocol::kAny},
    {KubeSet::kLoadBalancerFw, kLoadBalancer, kLegacyFirewall, kDst,
     Protocol::kAny},
    {KubeSet::kSourceCidr, kLegacyFirewall, "RETURN", kDstDstSrc,
     Protocol::kAny},
    {KubeSet::kSourceIp, kLegacyFirewall, "RETURN", kDstDstSrc, Protocol::kAny},
    {KubeSet::kLoadBalancerLocal, kLoadBalancer, "RETURN", kDst,
     Protocol::kAny},
    {KubeSet::kNodePortLocalTcp, kNodePort, "RETURN", kDst, Protocol::kTcp},
    {KubeSet::kNodePortTcp, kNodePort, kMarkMasq, kDst, Protocol::kTcp},
    {KubeSet::kNodePortLocalUdp, kNodePort, "RETURN", kDst, Protocol::kUdp},
    {KubeSet::kNodePortUdp, kNodePort, kMarkMasq, kDst, Protocol::kUdp},
    {KubeSet::kNodePortSctp, kServices, kNodePort, kDst, Protocol::kSctp},
    {KubeSet::kNodePortLocalSctp, kNodePort, "RETURN", kDst, Protocol::kSctp},
};

class Builder {
 public:
  explicit Builder(const IpvsRuleInputs& inputs)
      : in_(inputs), modern_(inputs.traits.dual_stack), rules_(inputs.family) {}

  Ruleset Build() {
    Open(TableId::kFilter);
    FilterChains();
    Open(TableId::kNat);
    NatChains();
    Nat();
    Open(TableId::kFilter);
    Filter();
    for (TableId id : rules_.tables()) rules_.table(id)->SortChains();
    return std::move(rules_);
  }

 private:
  // ---- a rule ----
  void Open(TableId id) { table_ = &rules_.AddTable(id); }
  Builder& Rule(absl::string_view chain) {
    chain_ = table_->AddChain(chain);
    rule_.Clear();
    return *this;
  }
  template <typename Op>
  Builder& Add(const Op& op) {
    rule_.Add(op);
    return *this;
  }
  Builder& Comment(absl::string_view text) {
    return Add(netfilter::CommentMatch{rules_.strings().Intern(text)});
  }
  Builder& MatchSet(KubeSet set, uint8_t sources) {
    const KubeSetInfo info = DescribeSet(set, in_.family, in_.traits);
    netfilter::SetMatch match;
    match.name = rules_.strings().Intern(info.name);
    match.sources = sources;
    match.dimensions = static_cast<uint8_t>(Dimensions(info.type));
    return Add(match);
  }
  Builder& MatchProtocol(Protocol protocol) {
    return Add(netfilter::ProtocolMatch{0, static_cast<uint8_t>(protocol)});
  }
  Builder& Source(const IpPrefix& prefix, bool invert = false) {
    netfilter::SourceMatch match;
    static_cast<netfilter::AddressMask&>(match) =
        netfilter::ToAddressMask(prefix, invert);
    return Add(match);
  }
  Builder& Destination(const IpPrefix& prefix) {
    netfilter::DestinationMatch match;
    static_cast<netfilter::AddressMask&>(match) =
        netfilter::ToAddressMask(prefix);
    return Add(match);
  }
  Builder& Mark(bool invert) {
    netfilter::MarkMatch match;
    match.invert = invert;
    match.value = match.mask = in_.masquerade_mark;
    return Add(match);
  }
  Builder& State(uint16_t states) {
    netfilter::ConntrackMatch match;
    match.given = netfilter::kCtState;
    match.state = states;
    return Add(match);
  }
  // What a rule does; ends it.
  template <typename Target>
  void Then(const Target& target) {
    rule_.Add(target);
    table_->Append(chain_, rule_);
  }
  void ThenGo(absl::string_view to) {
    if (to == "RETURN") return Then(netfilter::ReturnTarget{});
    if (to == "ACCEPT") return Then(netfilter::AcceptTarget{});
    if (to == "MASQUERADE") return Then(netfilter::MasqueradeTarget{});
    table_->AddChain(to);
    Then(netfilter::JumpTarget{rules_.strings().Intern(to)});
  }
  void ThenMark(uint32_t value, uint32_t mask) {
    netfilter::MarkTarget target;
    target.value = value;
    target.mask = mask;
    Then(target);
  }

  // ---- chains ----
  void BuiltIn() {
    for (netfilter::Hook hook : netfilter::HooksOf(table_->id())) {
      table_->set_policy(table_->AddChain(netfilter::HookName(hook)),
                         Table::Policy::kAccept);
    }
  }
  void Jump(absl::string_view from, absl::string_view comment,
            absl::string_view to) {
    Rule(from).Comment(comment).ThenGo(to);
  }
  void FilterChains() {
    BuiltIn();
    table_->AddChain(kForward);
    if (!modern_)
      return Jump("FORWARD", "kubernetes forwarding rules", kForward);
    for (absl::string_view name : {kNodePort, kProxyFirewall, kSourceRanges,
                                   kIpvsFilter, kIpvsOutFilter}) {
      table_->AddChain(name);
    }
    // Each was put in front of those before it.
    Jump("INPUT", "kubernetes ipvs access filter", kIpvsFilter);
    Jump("INPUT", "kube-proxy firewall rules", kProxyFirewall);
    Jump("INPUT", "kubernetes health check rules", kNodePort);
    Jump("FORWARD", "kube-proxy firewall rules", kProxyFirewall);
    Jump("FORWARD", "kubernetes forwarding rules", kForward);
    Jump("OUTPUT", "kubernetes ipvs access filter", kIpvsOutFilter);
  }
  void NatChains() {
    BuiltIn();
    for (absl::string_view name :
         {kServices, kPostrouting, kNodePort, kLoadBalancer, kMarkMasq}) {
      table_->AddChain(name);
    }
    if (!modern_) {
      table_->AddChain(kLegacyFirewall);
      Rule(kMarkDrop).ThenMark(kDropMark, kDropMark);
    }
    Jump("PREROUTING", "kubernetes service portals", kServices);
    Jump("OUTPUT", "kubernetes service portals", kServices);
    Jump("POSTROUTING", "kubernetes postrouting rules", kPostrouting);
  }

  // ---- rules ----
  bool Wanted(KubeSet set) const {
    return in_.wanted[static_cast<size_t>(set)];
  }
  absl::string_view CommentOf(KubeSet set) const {
    return DescribeSet(set, in_.family, in_.traits).comment;
  }
  template <typename Rules>
  void SetRules(const Rules& rules) {
    for (const SetRule& rule : rules) {
      if (!Wanted(rule.set)) continue;
      Rule(rule.from);
      if (rule.protocol != Protocol::kAny) MatchProtocol(rule.protocol);
      Comment(CommentOf(rule.set)).MatchSet(rule.set, rule.sources);
      ThenGo(rule.to);
    }
  }

  void Nat() {
    // Local processes may talk to node ports on the loopback, not kube-proxy.
    if (modern_) {
      const IpPrefix loopback = in_.family == IpFamily::kIpv4
                                    ? IpPrefix(IpAddress::V4(0x7f000000), 8)
                                    : IpPrefix::Host(*IpAddress::Parse("::1"));
      Rule(kServices).Source(loopback).ThenGo("RETURN");
      SetRules(kModernNat);
    } else {
      LegacyMasquerade();
      SetRules(kLegacyNat);
    }
    ClusterIps();
    if (Wanted(KubeSet::kExternalIp)) {
      Rule(kServices).Comment(CommentOf(KubeSet::kExternalIp));
      MatchSet(KubeSet::kExternalIp, kDst).ThenGo(kMarkMasq);
      AcceptExternal(KubeSet::kExternalIp);
    }
    if (Wanted(KubeSet::kExternalIpLocal)) {
      AcceptExternal(KubeSet::kExternalIpLocal);
    }
    netfilter::AddrtypeMatch local;
    local.destination = netfilter::kTypeLocal;
    Rule(kServices).Add(local).ThenGo(kNodePort);
    Rule(kLoadBalancer).ThenGo(kMarkMasq);
    if (!modern_) Rule(kLegacyFirewall).ThenGo(kMarkDrop);
    // Last, so that other rules do not block what IPVS is to take.
    for (KubeSet set : {KubeSet::kClusterIp, KubeSet::kLoadBalancer}) {
      if (Wanted(set)) Rule(kServices).MatchSet(set, kDst).ThenGo("ACCEPT");
    }
    if (modern_) ModernMasquerade();
  }

  void LegacyMasquerade() {
    Rule(kPostrouting).Comment("kubernetes service traffic requiring SNAT");
    Mark(false).ThenGo("MASQUERADE");
    Rule(kMarkMasq).ThenMark(in_.masquerade_mark, in_.masquerade_mark);
  }
  void ModernMasquerade() {
    Rule(kPostrouting).Mark(true).ThenGo("RETURN");
    // Cleared, so that the packet is not masqueraded a second time.
    Rule(kPostrouting).ThenMark(in_.masquerade_mark, 0);
    netfilter::MasqueradeTarget masquerade;
    masquerade.flags = netfilter::kNatRandomFully;
    Rule(kPostrouting)
        .Comment("kubernetes service traffic requiring SNAT")
        .Then(masquerade);
    Rule(kMarkMasq).ThenMark(in_.masquerade_mark, in_.masquerade_mark);
  }

  void ClusterIps() {
    if (!Wanted(KubeSet::kClusterIp)) return;
    Rule(kServices);
    uint8_t sources = kDst;
    if (!in_.masquerade_all) {
      switch (in_.local.kind) {
        case LocalDetector::Kind::kNone:
          // The node's own traffic to a VIP has the VIP as its source, since
          // kube-ipvs0 has it.
          sources = kSrcDst;
          break;
        case LocalDetector::Kind::kSource:
          Source(in_.local.source, true);
          break;
        case LocalDetector::Kind::kInterface:
        case LocalDetector::Kind::kInterfacePrefix: {
          netfilter::InInterfaceMatch match;
          match.invert = 1;
          match.prefix =
              in_.local.kind == LocalDetector::Kind::kInterfacePrefix;
          match.name = rules_.strings().Intern(in_.local.interface);
          Add(match);
          break;
        }
      }
    }
    Comment(CommentOf(KubeSet::kClusterIp));
    MatchSet(KubeSet::kClusterIp, sources).ThenGo(kMarkMasq);
  }

  // What comes from outside, and what is bound for an address of the node.
  void AcceptExternal(KubeSet set) {
    netfilter::PhysdevMatch physdev;
    physdev.given = netfilter::PhysdevMatch::kIsIn;
    physdev.invert = netfilter::PhysdevMatch::kIsIn;
    netfilter::AddrtypeMatch not_from_node;
    not_from_node.source = netfilter::kTypeLocal;
    not_from_node.invert_source = 1;
    Rule(kServices).Comment(CommentOf(set)).MatchSet(set, kDst);
    Add(physdev).Add(not_from_node).ThenGo("ACCEPT");
    netfilter::AddrtypeMatch to_node;
    to_node.destination = netfilter::kTypeLocal;
    Rule(kServices).Comment(CommentOf(set)).MatchSet(set, kDst);
    Add(to_node).ThenGo("ACCEPT");
  }

  void Filter() {
    if (modern_) {
      SetRules(kModernFilter);
      Rule(kSourceRanges).Then(netfilter::DropTarget{});
      NoAccess();
    }
    constexpr uint16_t kKnown =
        netfilter::kStateRelated | netfilter::kStateEstablished;
    Rule(kForward).Comment("kubernetes forwarding rules");
    Mark(false).ThenGo("ACCEPT");
    if (modern_) {
      Rule(kForward).Comment("kubernetes forwarding conntrack rule");
      State(kKnown).ThenGo("ACCEPT");
      AccessFilter();
    } else if (in_.local.kind == LocalDetector::Kind::kSource) {
      Rule(kForward).Source(in_.local.source);
      Comment("kubernetes forwarding conntrack pod source rule");
      State(kKnown).ThenGo("ACCEPT");
      Rule(kForward).Destination(in_.local.source);
      Comment("kubernetes forwarding conntrack pod destination rule");
      State(kKnown).ThenGo("ACCEPT");
    }
  }

  void NoAccess() {
    for (const NoNodeAccess& entry : in_.no_node_access) {
      netfilter::IpvsMatch match;
      match.given = netfilter::IpvsMatch::kVproto |
                    netfilter::IpvsMatch::kVaddr | netfilter::IpvsMatch::kVport;
      match.vproto = static_cast<uint16_t>(entry.protocol);
      match.vport = entry.port;
      match.vaddr = netfilter::ToAddressMask(IpPrefix::Host(entry.ip));
      Rule(kIpvsOutFilter).Source(IpPrefix::Host(entry.ip)).Add(match);
      Then(netfilter::DropTarget{});
    }
  }

  // The node's own ports must not be reached by way of a VIP.
  void AccessFilter() {
    Rule(kNodePort).Comment(CommentOf(KubeSet::kHealthCheckNodePort));
    MatchSet(KubeSet::kHealthCheckNodePort, kDst).ThenGo("ACCEPT");
    for (KubeSet set :
         {KubeSet::kLoadBalancer, KubeSet::kClusterIp, KubeSet::kExternalIp,
          KubeSet::kExternalIpLocal, KubeSet::kHealthCheckNodePort}) {
      Rule(kIpvsFilter).MatchSet(set, kDst).ThenGo("RETURN");
    }
    Rule(kIpvsFilter).State(netfilter::kStateNew);
    MatchSet(KubeSet::kIpvsIps, kDst).Then(netfilter::RejectTarget{});
  }

  const IpvsRuleInputs& in_;
  const bool modern_;
  Ruleset rules_;
  Table* table_ = nullptr;
  ChainId chain_ = 0;
  RuleBuilder rule_;
};

}  // namespace

Ruleset BuildIpvsRules(const IpvsRuleInputs& inputs) {
  return Builder(inputs).Build();
}

}  // namespace k8sdns::proxy
