#include "k8sdns/journey/drift.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "k8sdns/journey/drift_ipvs.h"
#include "k8sdns/journey/drift_rules.h"
#include "k8sdns/proxy/iptables_compiler.h"
#include "k8sdns/proxy/ipvs_compiler.h"

namespace k8sdns::journey {
namespace {

using netfilter::Ruleset;
using Kind = DriftItem::Kind;

const std::optional<Ruleset>& DumpOf(const NodeDump& dump, IpFamily family) {
  return family == IpFamily::kIpv4 ? dump.ipv4 : dump.ipv6;
}

void NoteFamily(IpFamily family, bool programmed, const NodeDump& dump,
                Drift& drift) {
  const bool v4 = family == IpFamily::kIpv4;
  const bool dumped = DumpOf(dump, family).has_value();
  if (programmed && !dumped && (v4 || dump.ipv4)) {
    drift.notes.push_back(
        absl::StrCat("IPv", v4 ? 4 : 6, " is not compared: no dump of it"));
  }
  if (!programmed && dumped) {
    drift.notes.push_back(absl::StrCat("IPv", v4 ? 4 : 6,
                                       " is not compared: this kube-proxy does "
                                       "not program it"));
  }
}

absl::Status CompareIptablesMode(const Cluster& cluster,
                                 const KubeProxyConfig& config,
                                 const DriftOptions& options,
                                 const NodeDump& actual, Drift& drift) {
  proxy::IptablesOptions proxy_options;
  proxy_options.dialect = options.dialect;
  absl::StatusOr<proxy::IptablesCompiler> compiler =
      proxy::IptablesCompiler::Create(cluster, config, proxy_options);
  if (!compiler.ok()) return compiler.status();
  const std::vector<IpFamily>& families = compiler->families();
  for (IpFamily family : {IpFamily::kIpv4, IpFamily::kIpv6}) {
    const bool programmed =
        std::find(families.begin(), families.end(), family) != families.end();
    NoteFamily(family, programmed, actual, drift);
    const std::optional<Ruleset>& dump = DumpOf(actual, family);
    if (!programmed || !dump) continue;
    const Ruleset expected = compiler->Compile(family);
    const RuleDifferences found = DifferenceOf(expected, *dump);
    std::vector<RuleOriginText> objects;
    if (!found.differences.empty()) {
      std::vector<proxy::RuleExplanation> why;
      compiler->Explain(family, why);
      objects.reserve(why.size());
      for (proxy::RuleExplanation& e : why) {
        objects.push_back({std::move(e.object), std::move(e.field)});
      }
    }
    ExplainDifferences(expected, *dump, found,
                       objects.empty() ? nullptr : &objects, drift);
  }
  if (actual.sets || actual.servers) {
    drift.notes.push_back(
        "ipsets and virtual servers are not compared: kube-proxy in iptables "
        "mode has none");
  }
  return absl::OkStatus();
}

absl::Status CompareIpvsMode(const Cluster& cluster,
                             const KubeProxyConfig& config,
                             const DriftOptions& options,
                             const NodeDump& actual, Drift& drift) {
  proxy::IpvsOptions proxy_options;
  proxy_options.dialect = options.dialect;
  absl::StatusOr<proxy::IpvsCompiler> compiler =
      proxy::IpvsCompiler::Create(cluster, config, proxy_options);
  if (!compiler.ok()) return compiler.status();
  const std::vector<IpFamily>& families = compiler->families();
  for (IpFamily family : {IpFamily::kIpv4, IpFamily::kIpv6}) {
    const bool programmed =
        std::find(families.begin(), families.end(), family) != families.end();
    NoteFamily(family, programmed, actual, drift);
    const std::optional<Ruleset>& dump = DumpOf(actual, family);
    if (!programmed || !dump) continue;
    const Ruleset& expected = compiler->Rules(family);
    ExplainDifferences(expected, *dump, DifferenceOf(expected, *dump), nullptr,
                       drift);
  }
  const ServiceAddresses services(cluster);
  if (actual.sets) {
    absl::StatusOr<netfilter::IpSets> expected =
        netfilter::ParseIpsetSave(proxy::PrintSets(compiler->Sets()));
    if (!expected.ok()) return expected.status();
    CompareSets(*expected, *actual.sets, services, drift);
  } else {
    drift.notes.push_back("ipsets are not compared: no dump of them");
  }
  if (actual.servers) {
    std::vector<IpPrefix> excluded;
    for (const std::string& cidr : config.ipvs.exclude_cidrs) {
      if (auto prefix = IpPrefix::Parse(cidr)) excluded.push_back(*prefix);
    }
    CompareServers(compiler->virtual_servers(), *actual.servers, excluded,
                   services, drift);
  } else {
    drift.notes.push_back("virtual servers are not compared: no dump of them");
  }
  return absl::OkStatus();
}

std::string ItemText(const DriftItem& item) {
  std::string out = absl::StrFormat("    %-8s ", DriftKindName(item.kind));
  if (item.where == "ip6tables") absl::StrAppend(&out, "IPv6 ");
  switch (item.kind) {
    case Kind::kMissingTable:
      absl::StrAppend(&out, "table ", item.table);
      return out;
    case Kind::kMissingChain:
    case Kind::kStaleChain:
      if (item.where == "ipvs") {
        absl::StrAppend(&out, "ipvs ", item.text);
      } else if (item.where == "ipset") {
        absl::StrAppend(&out, "set ", item.chain);
      } else {
        absl::StrAppend(&out, item.table, " chain ", item.chain);
      }
      return out;
    default:
      break;
  }
  if (item.where == "ipvs") {
    absl::StrAppend(&out, "ipvs ", item.text);
  } else if (item.where == "ipset") {
    absl::StrAppend(&out, "set ", item.chain, " ", item.text);
  } else {
    absl::StrAppend(&out, item.table, " -A ", item.chain, " ", item.text);
  }
  if (!item.actual.empty()) {
    absl::StrAppend(&out, "\n             instead: ", item.actual);
  }
  return out;
}

void AppendForeign(const std::vector<ForeignChain>& foreign, std::string& out) {
  if (foreign.empty()) return;
  struct Count {
    size_t chains = 0;
    size_t rules = 0;
    size_t ahead = 0;
  };
  std::map<std::string, Count> by_owner;
  for (const ForeignChain& f : foreign) {
    Count& c = by_owner[f.owner];
    ++c.chains;
    c.rules += f.rules;
    c.ahead += f.ahead;
  }
  absl::StrAppend(&out, "of other programs, left alone:\n");
  for (const auto& [owner, count] : by_owner) {
    absl::StrAppend(&out, "  ", owner.empty() ? "unknown" : owner, ": ",
                    count.rules, " rule", count.rules == 1 ? "" : "s", " in ",
                    count.chains, " chain", count.chains == 1 ? "" : "s");
    if (count.ahead > 0) {
      absl::StrAppend(&out, ", ", count.ahead,
                      " of them ahead of kube-proxy's");
    }
    absl::StrAppend(&out, "\n");
  }
}

}  // namespace

absl::string_view DriftKindName(DriftItem::Kind kind) {
  switch (kind) {
    case Kind::kMissing:
    case Kind::kMissingChain:
    case Kind::kMissingTable:
      return "missing";
    case Kind::kStale:
    case Kind::kStaleChain:
      return "stale";
    case Kind::kShare:
      return "share";
    case Kind::kMoved:
      return "moved";
    case Kind::kChanged:
      return "changed";
    case Kind::kDraining:
      return "draining";
  }
  return "";
}

bool Drift::found() const {
  return std::any_of(groups.begin(), groups.end(), [](const DriftGroup& g) {
    return std::any_of(g.items.begin(), g.items.end(), [](const DriftItem& i) {
      return i.kind != Kind::kDraining;
    });
  });
}

std::string Drift::ToString(size_t max_items) const {
  std::string out;
  for (const DriftGroup& group : groups) {
    absl::StrAppend(&out,
                    group.service.empty()  ? "kube-proxy's own rules"
                    : group.service == "?" ? "unknown Services"
                                           : group.service,
                    "\n");
    for (const std::string& text : group.explanations) {
      absl::StrAppend(&out, "  ", text, "\n");
    }
    for (size_t i = 0; i < group.items.size() && i < max_items; ++i) {
      absl::StrAppend(&out, ItemText(group.items[i]), "\n");
    }
    if (group.items.size() > max_items) {
      absl::StrAppend(&out, "    ... and ", group.items.size() - max_items,
                      " more\n");
    }
  }
  AppendForeign(foreign, out);
  for (const std::string& note : notes) {
    absl::StrAppend(&out, "note: ", note, "\n");
  }
  if (comments_differ > 0) {
    absl::StrAppend(&out, "note: ", comments_differ,
                    " rules differ in their comments alone\n");
  }
  absl::StrAppend(&out, rules_compared,
                  " rules compared: ", found() ? "drift\n" : "no drift\n");
  return out;
}

absl::StatusOr<Drift> FindDrift(const Cluster& cluster,
                                const KubeProxyConfig& config,
                                const DriftOptions& options,
                                const NodeDump& actual) {
  Drift drift;
  absl::Status status;
  switch (config.mode) {
    case ProxyMode::kIptables:
      status = CompareIptablesMode(cluster, config, options, actual, drift);
      break;
    case ProxyMode::kIpvs:
      status = CompareIpvsMode(cluster, config, options, actual, drift);
      break;
    case ProxyMode::kNftables:
      status = absl::InvalidArgumentError("mode nftables is not modelled");
      break;
  }
  if (!status.ok()) return status;
  return drift;
}

Drift CompareRules(const Ruleset& expected, const Ruleset& actual) {
  Drift drift;
  ExplainDifferences(expected, actual, DifferenceOf(expected, actual), nullptr,
                     drift);
  return drift;
}

}  // namespace k8sdns::journey
