#include <algorithm>
#include <ostream>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "k8sdns/cli/commands.h"
#include "k8sdns/cli/inputs.h"
#include "k8sdns/ipvs/ipvsadm_save.h"
#include "k8sdns/netfilter/iptables_save.h"
#include "k8sdns/proxy/iptables_compiler.h"
#include "k8sdns/proxy/ipvs_compiler.h"

namespace k8sdns::cli {
namespace {

// Each rule with the object and field that it comes from.
void PrintExplained(const proxy::IptablesCompiler& compiler, IpFamily family,
                    std::ostream& out) {
  std::vector<proxy::RuleExplanation> why;
  const netfilter::Ruleset rules = compiler.Explain(family, why);
  size_t next = 0;
  for (netfilter::TableId id : rules.tables()) {
    const netfilter::Table& table = *rules.table(id);
    out << "*" << netfilter::TableName(id) << "\n";
    for (netfilter::ChainId chain : table.chains()) {
      for (netfilter::RuleView rule : table.rules(chain)) {
        const proxy::RuleExplanation& e = why[next++];
        out << netfilter::PrintRule(rules, table, chain, rule) << "\n    # "
            << (e.object.empty() ? "always there" : e.object)
            << (e.field.empty() ? "" : " ") << e.field
            << (e.detail.empty() ? "" : ", ") << e.detail << "\n";
      }
    }
  }
}

}  // namespace

absl::StatusOr<proxy::Dialect> ReadDialect(const Args& args) {
  const auto dialect = proxy::FindDialect(args.Get("dialect"));
  if (dialect) return *dialect;
  return absl::InvalidArgumentError(
      absl::StrCat("--dialect: found \"", args.Get("dialect"),
                   "\", expected 1.11, 1.14 or 1.30"));
}

namespace {

int Unexpected(Streams streams, absl::string_view flag, const Args& args,
               absl::string_view expected) {
  return Fail(streams, absl::StrCat("--", flag, ": found \"", args.Get(flag),
                                    "\", expected ", expected));
}

int CompileIptables(const Args& args, const Cluster& cluster,
                    const KubeProxyConfig& config, proxy::Dialect dialect,
                    IpFamily family, Streams streams) {
  proxy::IptablesOptions options;
  options.dialect = dialect;
  absl::StatusOr<proxy::IptablesCompiler> compiler =
      proxy::IptablesCompiler::Create(cluster, config, options);
  if (!compiler.ok()) return Fail(streams, compiler.status().message());
  for (const proxy::Finding& f : compiler->findings()) {
    streams.err << f.ToString() << "\n";
  }
  const std::string emit = args.Get("emit");
  if (emit == "save") {
    streams.out << netfilter::PrintIptablesSave(compiler->Compile(family));
  } else if (emit == "restore") {
    std::string text;
    compiler->PrintTo(family, proxy::IptablesCompiler::Print::kOwnChains, text);
    streams.out << text;
  } else if (emit == "explain") {
    PrintExplained(*compiler, family, streams.out);
  } else if (emit == "sysctls") {
    for (const std::string& s : compiler->sysctls()) streams.out << s << "\n";
  } else {
    return Unexpected(streams, "emit", args,
                      "save, restore, explain or sysctls in iptables mode");
  }
  return kOk;
}

int CompileIpvs(const Args& args, const Cluster& cluster,
                const KubeProxyConfig& config, proxy::Dialect dialect,
                IpFamily family, Streams streams) {
  proxy::IpvsOptions options;
  options.dialect = dialect;
  absl::StatusOr<proxy::IpvsCompiler> compiler =
      proxy::IpvsCompiler::Create(cluster, config, options);
  if (!compiler.ok()) return Fail(streams, compiler.status().message());
  for (const proxy::Finding& f : compiler->findings()) {
    streams.err << f.ToString() << "\n";
  }
  const std::string emit = args.Get("emit");
  const auto& families = compiler->families();
  if (emit == "save") {
    if (std::find(families.begin(), families.end(), family) != families.end()) {
      streams.out << netfilter::PrintIptablesSave(compiler->Rules(family));
    }
  } else if (emit == "ipvsadm") {
    streams.out << ipvs::PrintIpvsadm(compiler->virtual_servers());
  } else if (emit == "ipset") {
    streams.out << proxy::PrintSets(compiler->Sets());
  } else if (emit == "bound") {
    for (const IpPrefix& p : compiler->BoundAddresses()) {
      streams.out << p.ToString() << "\n";
    }
  } else if (emit == "sysctls") {
    for (const std::string& s : compiler->Sysctls()) streams.out << s << "\n";
  } else {
    return Unexpected(streams, "emit", args,
                      "save, ipvsadm, ipset, bound or sysctls in IPVS mode");
  }
  return kOk;
}

}  // namespace

int RunCompile(const Args& args, Streams streams) {
  if (!args.positional().empty()) {
    return Fail(streams,
                absl::StrCat("compile: found argument \"", args.positional()[0],
                             "\", expected only flags"));
  }
  absl::StatusOr<Cluster> cluster = LoadCluster(args.GetAll("file"), streams);
  if (!cluster.ok()) return Fail(streams, cluster.status().message());
  absl::StatusOr<KubeProxyConfig> config =
      LoadKubeProxyConfig(args.Get("config"), streams);
  if (!config.ok()) return Fail(streams, config.status().message());
  if (args.Has("node")) config->hostname_override = args.Get("node");
  absl::StatusOr<proxy::Dialect> dialect = ReadDialect(args);
  if (!dialect.ok()) return Fail(streams, dialect.status().message());
  if (args.Get("family") != "4" && args.Get("family") != "6") {
    return Unexpected(streams, "family", args, "4 or 6");
  }
  const IpFamily family =
      args.Get("family") == "4" ? IpFamily::kIpv4 : IpFamily::kIpv6;
  if (args.Has("mode")) {
    if (args.Get("mode") != "iptables" && args.Get("mode") != "ipvs") {
      return Unexpected(streams, "mode", args, "iptables or ipvs");
    }
    config->mode =
        args.Get("mode") == "ipvs" ? ProxyMode::kIpvs : ProxyMode::kIptables;
  }
  switch (config->mode) {
    case ProxyMode::kIptables:
      return CompileIptables(args, *cluster, *config, *dialect, family,
                             streams);
    case ProxyMode::kIpvs:
      return CompileIpvs(args, *cluster, *config, *dialect, family, streams);
    case ProxyMode::kNftables:
      break;
  }
  return Fail(streams, "mode nftables is not modelled");
}

}  // namespace k8sdns::cli
