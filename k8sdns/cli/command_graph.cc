#include <optional>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "k8sdns/cli/commands.h"
#include "k8sdns/cli/inputs.h"
#include "k8sdns/cli/picture.h"
#include "k8sdns/fabric/fabric.h"
#include "k8sdns/fabric/fabric_diagram.h"
#include "k8sdns/fabric/fabric_text.h"
#include "k8sdns/journey/chain_graph_json.h"
#include "k8sdns/journey/fabric_json.h"
#include "k8sdns/journey/pictures.h"
#include "k8sdns/netfilter/chain_graph.h"

namespace k8sdns::cli {
namespace {

int PrintJson(const absl::StatusOr<std::string>& json, Streams streams) {
  if (!json.ok()) return Fail(streams, json.status().message());
  streams.out << *json;
  return kOk;
}

// The chains of one table of a dump.
int GraphChains(const Args& args, absl::string_view format, Streams streams) {
  const std::optional<netfilter::TableId> id =
      netfilter::FindTable(args.Get("table"));
  if (!id) {
    return Fail(streams, absl::StrCat("--table: found \"", args.Get("table"),
                                      "\", expected raw, mangle, nat, filter "
                                      "or security"));
  }
  const bool v6 = args.Get("family") == "6";
  absl::StatusOr<netfilter::Ruleset> rules = LoadRules(
      args.Get("rules"), v6 ? IpFamily::kIpv6 : IpFamily::kIpv4, args, streams);
  if (!rules.ok()) return Fail(streams, rules.status().message());
  const netfilter::Table* table = rules->table(*id);
  if (table == nullptr) {
    return Fail(streams, absl::StrCat(args.Get("rules"), ": has no table ",
                                      args.Get("table")));
  }
  if (format == "svg" || format == "html") {
    streams.out << Draw(journey::DiagramOf(*table), format);
    return kOk;
  }
  const netfilter::ChainGraph graph(*table);
  if (format == "json") {
    return PrintJson(journey::ChainGraphToJson(graph), streams);
  }
  streams.out << (format == "dot"       ? graph.ToDot()
                  : format == "mermaid" ? graph.ToMermaid()
                                        : graph.ToText());
  return kOk;
}

}  // namespace

int RunGraph(const Args& args, Streams streams) {
  const std::string format = args.Get("output");
  if (format != "text" && format != "json" && !IsPicture(format)) {
    return Fail(streams, absl::StrCat("--output: found \"", format,
                                      "\", expected text, json, dot, mermaid, "
                                      "svg or html"));
  }
  if (args.Has("rules")) return GraphChains(args, format, streams);
  absl::StatusOr<Cluster> cluster = LoadCluster(args.GetAll("file"), streams);
  if (!cluster.ok()) return Fail(streams, cluster.status().message());
  absl::StatusOr<fabric::FabricOptions> options = ReadFabricOptions(args);
  if (!options.ok()) return Fail(streams, options.status().message());
  absl::StatusOr<fabric::Fabric> fabric =
      fabric::Fabric::FromCluster(*cluster, *options);
  if (!fabric.ok()) return Fail(streams, fabric.status().message());
  if (format == "json") {
    return PrintJson(journey::FabricToJson(*fabric, *cluster), streams);
  }
  if (format == "text" || format == "dot") {
    streams.out << (format == "dot" ? fabric->ToDot()
                                    : FabricToText(*fabric, *cluster));
    return kOk;
  }
  streams.out << Draw(fabric::DiagramOf(*fabric, *cluster), format);
  return kOk;
}

}  // namespace k8sdns::cli
