// k8sdns modes: iptables mode against IPVS mode, packet by packet.
#include <ostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "k8sdns/cli/commands.h"
#include "k8sdns/cli/inputs.h"
#include "k8sdns/cli/json_document.h"
#include "k8sdns/journey/mode_comparison.h"

namespace k8sdns::cli {
namespace {

using google::protobuf::Struct;

void Fill(const journey::ModeBehaviour& from, Struct& to) {
  for (const journey::ModeEnding& e : from.endings) {
    Struct& ending = AddStruct(to, "endings");
    SetNumber(ending, "probability", e.probability);
    Set(ending, "fate", std::string(journey::FateName(e.fate)));
    Set(ending, "where", e.where);
    SetBool(ending, "masqueraded", e.masqueraded);
    SetBool(ending, "replyArrives", e.reply_arrives);
  }
  Set(to, "decidedBy", from.decided_by);
}

std::string ToJson(const journey::ModeComparison& comparison) {
  Struct document;
  Set(document, "version", "1");
  SetNumber(document, "probes", static_cast<double>(comparison.probes));
  SetNumber(document, "skipped", static_cast<double>(comparison.skipped));
  SetList(document, "differences");
  for (const journey::ModeDifference& d : comparison.differences) {
    Struct& to = AddStruct(document, "differences");
    Set(to, "what", d.probe.what);
    Set(to, "from", d.probe.from.ToString());
    Set(to, "packet", d.probe.packet.ToString());
    Fill(d.iptables, SetStruct(to, "iptables"));
    Fill(d.ipvs, SetStruct(to, "ipvs"));
  }
  return Render(document);
}

absl::StatusOr<journey::ModeComparison> Compare(const Args& args,
                                                Streams streams) {
  absl::StatusOr<Cluster> cluster = LoadCluster(args.GetAll("file"), streams);
  if (!cluster.ok()) return cluster.status();
  journey::ModeComparisonOptions options;
  absl::StatusOr<KubeProxyConfig> config =
      LoadKubeProxyConfig(args.Get("config"), streams);
  if (!config.ok()) return config.status();
  options.world.proxy = *std::move(config);
  absl::StatusOr<proxy::Dialect> dialect = ReadDialect(args);
  if (!dialect.ok()) return dialect.status();
  options.world.dialect = *dialect;
  absl::StatusOr<fabric::FabricOptions> fabric = ReadFabricOptions(args);
  if (!fabric.ok()) return fabric.status();
  options.world.fabric = *fabric;
  absl::StatusOr<int64_t> most = ReadInt(args, "max-probes", 0, INT64_MAX);
  if (!most.ok()) return most.status();
  options.max_probes = static_cast<size_t>(*most);
  if (!args.Has("to") && !args.Has("from")) {
    return journey::CompareModes(*cluster, options);
  }
  absl::StatusOr<fabric::Place> from =
      ReadPlace("from", args.Get("from"), *cluster);
  if (!from.ok()) return from.status();
  const std::optional<Packet> target = ReadTarget(args.Get("to"));
  if (!target) {
    return absl::InvalidArgumentError(
        absl::StrCat("--to: found \"", args.Get("to"),
                     "\", expected ADDRESS:PORT, perhaps with /TCP, /UDP or "
                     "/SCTP, or an ADDRESS to ping"));
  }
  absl::StatusOr<Packet> packet =
      PacketFrom(*from, *cluster, *target, args.Get("source"));
  if (!packet.ok()) return packet.status();
  const journey::ModeProbe probe = {from->ToString(), *from, *packet};
  return journey::CompareModes(*cluster, options, {&probe, 1});
}

}  // namespace

int RunModes(const Args& args, Streams streams) {
  const std::string format = args.Get("output");
  if (format != "text" && format != "json") {
    return Fail(streams, absl::StrCat("--output: found \"", format,
                                      "\", expected text or json"));
  }
  absl::StatusOr<journey::ModeComparison> comparison = Compare(args, streams);
  if (!comparison.ok()) return Fail(streams, comparison.status().message());
  if (format == "json") {
    streams.out << ToJson(*comparison);
  } else {
    PrintText(streams, comparison->ToString());
  }
  return comparison->differences.empty() ? kOk : kFindings;
}

}  // namespace k8sdns::cli
