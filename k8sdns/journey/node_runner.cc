#include "k8sdns/journey/node_runner.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "k8sdns/dataplane/matcher.h"
#include "k8sdns/dataplane/node_dataplane.h"
#include "k8sdns/netfilter/iptables_save.h"
#include "k8sdns/proxy/ipset_values.h"
#include "k8sdns/proxy/iptables_compiler.h"
#include "k8sdns/proxy/ipvs_compiler.h"

namespace k8sdns::journey {
namespace {

// Routes to the networks of an interface's own addresses come with the
// addresses.
bool ComesWithAddress(const fabric::NodeNetwork& net,
                      const fabric::Route& route) {
  if (route.via || route.blackhole) return false;
  const fabric::Interface* dev = net.FindInterface(route.dev);
  return dev != nullptr &&
         std::any_of(dev->addresses.begin(), dev->addresses.end(),
                     [&](const IpPrefix& p) {
                       return p.Masked() == route.destination;
                     });
}

// What kube-proxy programs on the node, whatever its mode.
struct ProxyTables {
  std::shared_ptr<const netfilter::Ruleset> rules[2];  // IPv4, IPv6
  std::vector<std::string> sysctls;                    // "net/ipv4/x=1"
  // Only in IPVS mode.
  dataplane::IpSets sets;
  std::optional<ipvs::Table> servers;
  std::vector<IpPrefix> bound;  // on kube-ipvs0
};

absl::StatusOr<ProxyTables> CompileIptables(const Cluster& cluster,
                                            const KubeProxyConfig& config,
                                            proxy::Dialect dialect) {
  proxy::IptablesOptions options;
  options.dialect = dialect;
  absl::StatusOr<proxy::IptablesCompiler> compiler =
      proxy::IptablesCompiler::Create(cluster, config, options);
  if (!compiler.ok()) return compiler.status();
  ProxyTables tables;
  for (IpFamily family : {IpFamily::kIpv4, IpFamily::kIpv6}) {
    tables.rules[family == IpFamily::kIpv6] =
        std::make_shared<const netfilter::Ruleset>(compiler->Compile(family));
  }
  tables.sysctls = compiler->sysctls();
  return tables;
}

absl::StatusOr<ProxyTables> CompileIpvs(const Cluster& cluster,
                                        const KubeProxyConfig& config,
                                        proxy::Dialect dialect) {
  proxy::IpvsOptions options;
  options.dialect = dialect;
  absl::StatusOr<proxy::IpvsCompiler> compiler =
      proxy::IpvsCompiler::Create(cluster, config, options);
  if (!compiler.ok()) return compiler.status();
  ProxyTables tables;
  for (IpFamily family : {IpFamily::kIpv4, IpFamily::kIpv6}) {
    const std::vector<IpFamily>& families = compiler->families();
    const bool programmed =
        std::find(families.begin(), families.end(), family) != families.end();
    tables.rules[family == IpFamily::kIpv6] =
        std::make_shared<const netfilter::Ruleset>(
            programmed ? compiler->Rules(family).Clone()
                       : netfilter::Ruleset(family));
  }
  tables.sysctls = compiler->Sysctls();
  absl::StatusOr<dataplane::IpSets> sets =
      dataplane::LoadSets(proxy::ToIpSets(compiler->Sets()));
  if (!sets.ok()) return sets.status();
  tables.sets = *std::move(sets);
  tables.servers = compiler->virtual_servers();
  tables.bound = compiler->BoundAddresses();
  return tables;
}

dataplane::NodeConfig ToConfig(const fabric::NodeNetwork& net,
                               const ProxyTables& tables) {
  dataplane::NodeConfig config;
  for (const fabric::Interface& i : net.interfaces) {
    if (i.kind == fabric::Interface::Kind::kLoopback) continue;
    dataplane::Interface out;
    out.name = i.name;
    out.addresses = i.addresses;
    out.ethernet = i.kind == fabric::Interface::Kind::kWire ||
                   i.kind == fabric::Interface::Kind::kVeth ||
                   i.kind == fabric::Interface::Kind::kBridge ||
                   i.kind == fabric::Interface::Kind::kVxlan;
    config.interfaces.push_back(std::move(out));
  }
  if (tables.servers) {
    dataplane::Interface dummy;
    dummy.name = "kube-ipvs0";
    dummy.addresses = tables.bound;
    dummy.up = false;
    config.interfaces.push_back(std::move(dummy));
  }
  for (const fabric::Route& r : net.routes) {
    if (ComesWithAddress(net, r)) continue;
    dataplane::Route out;
    out.prefix = r.destination;
    out.gateway = r.via;
    out.device = r.dev;
    if (r.blackhole) out.type = dataplane::RouteType::kBlackhole;
    config.routes.push_back(std::move(out));
  }
  // Pods answer for themselves, and so do servers in the host's network.
  config.has_listeners = true;
  for (const std::string& s : tables.sysctls) {  // "net/ipv4/conf/all/x=1"
    const std::vector<std::string> parts =
        absl::StrSplit(s, absl::MaxSplits('=', 1));
    int64_t value;
    if (parts.size() == 2 && absl::SimpleAtoi(parts[1], &value)) {
      config.sysctls[absl::StrReplaceAll(parts[0], {{"/", "."}})] = value;
    }
  }
  return config;
}

RuleLine ToLine(const dataplane::TraceStep& step,
                const netfilter::Ruleset& rules) {
  const netfilter::Table& table = *rules.table(step.table);
  RuleLine line;
  line.table = std::string(netfilter::TableName(step.table));
  line.chain = std::string(table.name(step.chain));
  line.mark = step.mark;
  switch (step.kind) {
    case dataplane::TraceStep::kRule: {
      line.number = step.rule;
      uint32_t n = 0;
      for (netfilter::RuleView rule : table.rules(step.chain)) {
        if (++n != step.rule) continue;
        line.text = netfilter::PrintRule(rules, table, step.chain, rule);
        break;
      }
      break;
    }
    case dataplane::TraceStep::kReturn:
      line.text = "end of chain";
      break;
    case dataplane::TraceStep::kPolicy:
      line.text = table.policy(step.chain) == netfilter::Table::Policy::kDrop
                      ? "policy DROP"
                      : "policy ACCEPT";
      break;
  }
  return line;
}

}  // namespace

struct NodeRunner::Memory {
  dataplane::NodeState state;
};

struct NodeRunner::Impl {
  std::shared_ptr<const netfilter::Ruleset> rules[2];  // IPv4, IPv6
  std::unique_ptr<dataplane::NodeDataplane> node;
};

NodeRunner::NodeRunner(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
NodeRunner::NodeRunner(NodeRunner&&) noexcept = default;
NodeRunner& NodeRunner::operator=(NodeRunner&&) noexcept = default;
NodeRunner::~NodeRunner() = default;

absl::StatusOr<NodeRunner> NodeRunner::Create(const Cluster& cluster,
                                              KubeProxyConfig config,
                                              proxy::Dialect dialect,
                                              const fabric::NodeNetwork& net) {
  return Create(cluster, std::move(config), dialect, net, DumpedTables());
}

absl::StatusOr<NodeRunner> NodeRunner::Create(const Cluster& cluster,
                                              KubeProxyConfig config,
                                              proxy::Dialect dialect,
                                              const fabric::NodeNetwork& net,
                                              const DumpedTables& dumped) {
  config.hostname_override = net.node;
  absl::StatusOr<ProxyTables> tables =
      config.mode == ProxyMode::kIpvs
          ? CompileIpvs(cluster, config, dialect)
          : CompileIptables(cluster, config, dialect);
  if (!tables.ok()) return tables.status();
  if (dumped.any_rules()) {
    for (int i = 0; i < 2; ++i) {
      tables->rules[i] = dumped.rules[i] != nullptr
                             ? dumped.rules[i]
                             : std::make_shared<const netfilter::Ruleset>(
                                   i == 0 ? IpFamily::kIpv4 : IpFamily::kIpv6);
    }
  }
  if (dumped.sets) {
    absl::StatusOr<dataplane::IpSets> sets = dataplane::LoadSets(*dumped.sets);
    if (!sets.ok()) return sets.status();
    tables->sets = *std::move(sets);
  }
  if (dumped.servers) tables->servers = dumped.servers;
  auto impl = std::make_unique<Impl>();
  std::shared_ptr<const dataplane::RuleMatcher> matchers[2];
  for (int i = 0; i < 2; ++i) {
    impl->rules[i] = tables->rules[i];
    matchers[i] = std::make_shared<dataplane::Matcher>(impl->rules[i]);
  }
  impl->node = std::make_unique<dataplane::NodeDataplane>(
      ToConfig(net, *tables), matchers[0], matchers[1],
      std::move(tables->sets));
  if (tables->servers) {
    impl->node->LoadIpvs(*tables->servers);
    // A journey meets a node that has served others before.
    impl->node->mutable_state().ipvs.StartAnywhere();
  }
  return NodeRunner(std::move(impl));
}

const dataplane::NodeDataplane& NodeRunner::node() const {
  return *impl_->node;
}
const std::shared_ptr<const netfilter::Ruleset>& NodeRunner::rules(
    IpFamily family) const {
  return impl_->rules[family == IpFamily::kIpv6];
}

std::vector<NodeRunner::Branch> NodeRunner::Run(const State& before,
                                                const std::string& in,
                                                const Packet& packet) const {
  dataplane::NodeDataplane node = *impl_->node;
  if (before != nullptr) node.mutable_state() = before->state;
  dataplane::NodePacket wire;
  wire.header = packet;
  const dataplane::Arrival arrival = in.empty()
                                         ? dataplane::Arrival::Sent(wire)
                                         : dataplane::Arrival::On(in, wire);
  const netfilter::Ruleset& rules =
      *impl_->rules[packet.family() == IpFamily::kIpv4 ? 0 : 1];
  std::vector<Branch> out;
  for (dataplane::Branch& branch : node.Match(arrival)) {
    const dataplane::Outcome& o = branch.outcome;
    Branch b;
    b.probability = branch.probability;
    b.packet = packet;
    for (const dataplane::TraceStep& step : o.trace) {
      b.rules.push_back(ToLine(step, rules));
    }
    switch (o.verdict.kind) {
      case dataplane::Verdict::kAccept:
        b.kind = o.local ? Branch::Kind::kDelivered : Branch::Kind::kForwarded;
        b.verdict = o.local ? "delivered to the node" : "forwarded";
        b.out = o.out;
        b.packet = o.packet.header;
        break;
      case dataplane::Verdict::kDrop:
        b.kind = Branch::Kind::kDropped;
        b.verdict = absl::StrCat("dropped", o.send_error.empty() ? "" : ": ",
                                 o.send_error);
        break;
      case dataplane::Verdict::kReject:
        b.kind = Branch::Kind::kRejected;
        b.verdict = absl::StrCat("rejected with ", o.verdict.reason);
        break;
      case dataplane::Verdict::kUnknown:
        b.kind = Branch::Kind::kUnknown;
        b.verdict =
            absl::StrCat("not known: ", o.verdict.rule, ": ", o.verdict.reason);
        break;
    }
    b.state = std::make_shared<const Memory>(Memory{std::move(branch.after)});
    out.push_back(std::move(b));
  }
  return out;
}

std::string EntryDevice(const fabric::NodeNetwork& node,
                        const std::string& out) {
  const fabric::Interface* same = node.FindInterface(out);
  const bool tunnel =
      same != nullptr && (same->kind == fabric::Interface::Kind::kIpip ||
                          same->kind == fabric::Interface::Kind::kVxlan);
  return tunnel ? out : "eth0";
}

}  // namespace k8sdns::journey
