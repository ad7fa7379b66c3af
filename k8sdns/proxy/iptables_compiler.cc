#include "k8sdns/proxy/iptables_compiler.h"

#include <array>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "k8sdns/proxy/cluster_walk.h"
#include "k8sdns/proxy/iptables_family.h"
#include "k8sdns/proxy/node_view.h"
#include "k8sdns/proxy/service_ports.h"

namespace k8sdns::proxy {
namespace {

// "Service namespace/name" of "namespace/name:port".
std::string ServiceOf(const ServicePortInfo& info) {
  // Names of services have no colon.
  return absl::StrCat("Service ", info.name.substr(0, info.name.find(':')));
}

std::string EndpointDetail(const RuleOrigin& origin) {
  const EndpointList& list = origin.port->list;
  return absl::StrCat("endpoint ", list.text(list.endpoints[origin.index]));
}

RuleExplanation ExplainRule(const RuleOrigin& origin) {
  constexpr char kConfig[] = "KubeProxyConfiguration";
  const std::string service =
      origin.port != nullptr ? ServiceOf(origin.port->info) : "";
  switch (origin.source) {
    case RuleSource::kFixed:
      return {};
    case RuleSource::kClusterIp:
      return {service, "spec.clusterIP", ""};
    case RuleSource::kExternalIp:
      return {service, "spec.externalIPs",
              origin.port->info.external_ips[origin.index].ToString()};
    case RuleSource::kLoadBalancerIngress:
      return {service, "status.loadBalancer.ingress",
              origin.port->info.load_balancer_vips[origin.index].ToString()};
    case RuleSource::kNodePort:
      return {service, "spec.ports[].nodePort",
              absl::StrCat(origin.port->info.node_port)};
    case RuleSource::kHealthCheckNodePort:
      return {service, "spec.healthCheckNodePort", ""};
    case RuleSource::kSourceRange:
      return {service, "spec.loadBalancerSourceRanges",
              origin.port->info.source_ranges[origin.index].ToString()};
    case RuleSource::kExternalTrafficPolicy:
      return {service, "spec.externalTrafficPolicy", ""};
    case RuleSource::kSessionAffinity:
      return {service, "spec.sessionAffinity", EndpointDetail(origin)};
    case RuleSource::kEndpoint:
      return {service, "endpoints", EndpointDetail(origin)};
    case RuleSource::kNodePortAddresses:
      return {kConfig, "nodePortAddresses", ""};
    case RuleSource::kMasqueradeBit:
      return {kConfig, "iptables.masqueradeBit", ""};
    case RuleSource::kClusterCidr:
      return {kConfig, "clusterCIDR", ""};
    case RuleSource::kLocalhostNodePorts:
      return {kConfig, "iptables.localhostNodePorts", ""};
  }
  return {};
}

}  // namespace

struct IptablesCompiler::State {
  std::vector<IpFamily> families;
  std::array<std::unique_ptr<IptablesFamily>, 2> by_family;
  Findings findings;
  std::vector<std::string> sysctls;

  IptablesFamily* Get(IpFamily family) const {
    return by_family[static_cast<int>(family)].get();
  }
};

IptablesCompiler::IptablesCompiler(std::unique_ptr<State> state)
    : state_(std::move(state)) {}
IptablesCompiler::~IptablesCompiler() = default;
IptablesCompiler::IptablesCompiler(IptablesCompiler&&) noexcept = default;
IptablesCompiler& IptablesCompiler::operator=(IptablesCompiler&&) noexcept =
    default;

absl::StatusOr<IptablesCompiler> IptablesCompiler::Create(
    const Cluster& cluster, const KubeProxyConfig& config,
    const IptablesOptions& options) {
  const DialectTraits& traits = TraitsOf(options.dialect);
  if (config.mode != ProxyMode::kIptables) {
    return absl::InvalidArgumentError(
        "KubeProxyConfiguration: mode: expected iptables");
  }
  if (absl::Status status = CheckConfig(config, traits); !status.ok()) {
    return status;
  }
  auto state = std::make_unique<State>();
  state->families = ProgrammedFamilies(config, traits);
  state->sysctls = IptablesSysctls(config, traits);
  const Node* node = cluster.nodes().Find(config.hostname_override);
  for (IpFamily family : state->families) {
    RuleContext context;
    context.traits = traits;
    context.features = FeaturesOf(config);
    context.features.prefer_same_node |= options.prefer_same_node;
    context.node = MakeNodeView(node, config, family, traits, &state->findings);
    context.masquerade_mark = uint32_t{1}
                              << config.iptables.masquerade_bit.value_or(14);
    context.masquerade_all = config.iptables.masquerade_all;
    context.drops_invalid =
        !(traits.local_detectors && config.conntrack.tcp_be_liberal);
    context.nfacct = options.nfacct;
    auto& slot = state->by_family[static_cast<int>(family)];
    slot = std::make_unique<IptablesFamily>(context, config);
  }
  // One walk over the objects for both families.
  auto each = [&](auto&& load) {
    for (const auto& compiled : state->by_family) {
      if (compiled != nullptr) load(*compiled);
    }
  };
  Findings* findings = &state->findings;
  each([&](IptablesFamily& f) { f.Reserve(cluster.services().size()); });
  WalkCluster(
      cluster, traits.endpoint_slices,
      [&](const EndpointSlice& slice, absl::string_view service) {
        each([&](IptablesFamily& f) { f.LoadSlice(slice, service, findings); });
      },
      [&](const Endpoints& endpoints) {
        each([&](IptablesFamily& f) { f.LoadEndpoints(endpoints, findings); });
      },
      [&](const Service& service) {
        each([&](IptablesFamily& f) { f.LoadService(service, findings); });
      });
  each([](IptablesFamily& f) { f.FinishLoad(); });
  return IptablesCompiler(std::move(state));
}

const std::vector<IpFamily>& IptablesCompiler::families() const {
  return state_->families;
}

netfilter::Ruleset IptablesCompiler::Compile(IpFamily family) const {
  const IptablesFamily* compiled = state_->Get(family);
  if (compiled == nullptr) return netfilter::Ruleset(family);
  return compiled->Compile(nullptr);
}

netfilter::Ruleset IptablesCompiler::Explain(
    IpFamily family, std::vector<RuleExplanation>& explanations) const {
  explanations.clear();
  const IptablesFamily* compiled = state_->Get(family);
  if (compiled == nullptr) return netfilter::Ruleset(family);
  std::vector<RuleOrigin> origins;
  netfilter::Ruleset rules = compiled->Compile(&origins);
  for (netfilter::TableId id : rules.tables()) {
    const netfilter::Table& table = *rules.table(id);
    std::vector<std::vector<const RuleOrigin*>> by_chain;
    for (const RuleOrigin& origin : origins) {
      if (origin.table != id) continue;
      if (by_chain.size() <= origin.chain) by_chain.resize(origin.chain + 1);
      by_chain[origin.chain].push_back(&origin);
    }
    for (netfilter::ChainId chain : table.chains()) {
      if (chain >= by_chain.size()) continue;
      for (const RuleOrigin* origin : by_chain[chain]) {
        explanations.push_back(ExplainRule(*origin));
      }
    }
  }
  return rules;
}

void IptablesCompiler::PrintTo(IpFamily family, Print what, std::string& out) {
  IptablesFamily* compiled = state_->Get(family);
  if (compiled == nullptr) {
    out.clear();
    return;
  }
  compiled->PrintTo(what == Print::kTables, out);
}

void IptablesCompiler::Apply(std::span<const WatchEvent> events,
                             IptablesDeltas& deltas) {
  deltas.findings.clear();
  deltas.v4.Clear();
  deltas.v6.Clear();
  for (IpFamily family : state_->families) {
    IptablesFamily& compiled = *state_->Get(family);
    for (const WatchEvent& event : events) {
      compiled.Read(event, &deltas.findings);
    }
    compiled.Update(family == IpFamily::kIpv4 ? deltas.v4 : deltas.v6);
  }
}

const Findings& IptablesCompiler::findings() const { return state_->findings; }
const std::vector<std::string>& IptablesCompiler::sysctls() const {
  return state_->sysctls;
}

size_t IptablesCompiler::port_count(IpFamily family) const {
  const IptablesFamily* compiled = state_->Get(family);
  return compiled != nullptr ? compiled->port_count() : 0;
}
size_t IptablesCompiler::endpoint_count(IpFamily family) const {
  const IptablesFamily* compiled = state_->Get(family);
  return compiled != nullptr ? compiled->endpoint_count() : 0;
}

}  // namespace k8sdns::proxy
