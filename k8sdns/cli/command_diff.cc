// k8sdns diff: what a node's tables hold, against what kube-proxy should have
// written.
#include <ostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "k8sdns/cli/commands.h"
#include "k8sdns/cli/inputs.h"
#include "k8sdns/cli/picture.h"
#include "k8sdns/ipvs/ipvsadm_save.h"
#include "k8sdns/journey/drift.h"
#include "k8sdns/journey/drift_json.h"
#include "k8sdns/journey/pictures.h"
#include "k8sdns/netfilter/ipset_save.h"

namespace k8sdns::cli {
namespace {

absl::StatusOr<journey::NodeDump> LoadDump(const Args& args, Streams streams) {
  journey::NodeDump dump;
  for (const auto& [flag, family] : {std::pair("actual", IpFamily::kIpv4),
                                     std::pair("actual6", IpFamily::kIpv6)}) {
    if (!args.Has(flag)) continue;
    absl::StatusOr<netfilter::Ruleset> rules =
        LoadRules(args.Get(flag), family, args, streams);
    if (!rules.ok()) return rules.status();
    (family == IpFamily::kIpv4 ? dump.ipv4 : dump.ipv6) = *std::move(rules);
  }
  if (args.Has("ipset")) {
    absl::StatusOr<netfilter::IpSets> sets =
        LoadIpSets(args.Get("ipset"), streams);
    if (!sets.ok()) return sets.status();
    dump.sets = *std::move(sets);
  }
  if (args.Has("ipvs")) {
    absl::StatusOr<ipvs::Table> servers = LoadIpvs(args.Get("ipvs"), streams);
    if (!servers.ok()) return servers.status();
    dump.servers = *std::move(servers);
  }
  if (!dump.ipv4 && !dump.ipv6 && !dump.sets && !dump.servers) {
    return absl::InvalidArgumentError(
        "nothing to compare with: expected --actual FILE with what "
        "iptables-save prints on the node");
  }
  return dump;
}

}  // namespace

int RunDiff(const Args& args, Streams streams) {
  const std::string format = args.Get("output");
  if (format != "text" && format != "json" && !IsPicture(format)) {
    return Fail(streams,
                absl::StrCat("--output: found \"", format,
                             "\", expected text, json, dot, mermaid, svg or "
                             "html"));
  }
  if (!args.positional().empty()) {
    return Fail(streams,
                absl::StrCat("diff: found argument \"", args.positional()[0],
                             "\", expected only flags"));
  }
  absl::StatusOr<Cluster> cluster =
      LoadCluster(args.GetAll("expected"), streams);
  if (!cluster.ok()) return Fail(streams, cluster.status().message());
  absl::StatusOr<KubeProxyConfig> config =
      LoadKubeProxyConfig(args.Get("config"), streams);
  if (!config.ok()) return Fail(streams, config.status().message());
  if (args.Has("node")) config->hostname_override = args.Get("node");
  if (args.Has("mode")) {
    const std::string mode = args.Get("mode");
    if (mode != "iptables" && mode != "ipvs") {
      return Fail(streams, absl::StrCat("--mode: found \"", mode,
                                        "\", expected iptables or ipvs"));
    }
    config->mode = mode == "ipvs" ? ProxyMode::kIpvs : ProxyMode::kIptables;
  }
  journey::DriftOptions options;
  absl::StatusOr<proxy::Dialect> dialect = ReadDialect(args);
  if (!dialect.ok()) return Fail(streams, dialect.status().message());
  options.dialect = *dialect;
  absl::StatusOr<journey::NodeDump> dump = LoadDump(args, streams);
  if (!dump.ok()) return Fail(streams, dump.status().message());
  absl::StatusOr<journey::Drift> drift =
      journey::FindDrift(*cluster, *config, options, *dump);
  if (!drift.ok()) return Fail(streams, drift.status().message());
  if (format == "json") {
    absl::StatusOr<std::string> json = journey::DriftToJson(*drift);
    if (!json.ok()) return Fail(streams, json.status().message());
    streams.out << *json;
  } else if (IsPicture(format)) {
    streams.out << Draw(journey::DiagramOf(*drift), format);
  } else {
    PrintText(streams, drift->ToString());
  }
  return drift->found() ? kFindings : kOk;
}

}  // namespace k8sdns::cli
