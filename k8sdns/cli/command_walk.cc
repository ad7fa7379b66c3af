#include <ostream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "k8sdns/cli/commands.h"
#include "k8sdns/cli/inputs.h"
#include "k8sdns/diagram/diagram.h"
#include "k8sdns/journey/walk.h"
#include "k8sdns/journey/walk_json.h"
#include "k8sdns/journey/walk_picture.h"

namespace k8sdns::cli {
namespace {

// "443" or "53/UDP".
absl::Status ReadPort(const Args& args, journey::WalkRequest& request) {
  if (!args.Has("port")) return absl::OkStatus();
  const std::vector<std::string> parts = absl::StrSplit(args.Get("port"), '/');
  int port = 0;
  bool ok = parts.size() <= 2 && absl::SimpleAtoi(parts[0], &port) &&
            port > 0 && port <= 65535;
  if (ok && parts.size() == 2) {
    request.protocol = ParseKubernetesProtocol(parts[1]);
    ok = request.protocol.has_value();
  }
  if (!ok) {
    return absl::InvalidArgumentError(
        absl::StrCat("--port: found \"", args.Get("port"),
                     "\", expected 1 to 65535, perhaps with /TCP, /UDP or "
                     "/SCTP"));
  }
  request.port = static_cast<uint16_t>(port);
  return absl::OkStatus();
}

absl::StatusOr<journey::WorldOptions> ReadWorld(const Args& args,
                                                Streams streams) {
  journey::WorldOptions options;
  absl::StatusOr<KubeProxyConfig> config =
      LoadKubeProxyConfig(args.Get("config"), streams);
  if (!config.ok()) return config.status();
  options.proxy = *std::move(config);
  absl::StatusOr<proxy::Dialect> dialect = ReadDialect(args);
  if (!dialect.ok()) return dialect.status();
  options.dialect = *dialect;
  absl::StatusOr<fabric::FabricOptions> fabric = ReadFabricOptions(args);
  if (!fabric.ok()) return fabric.status();
  options.fabric = *fabric;
  return options;
}

absl::StatusOr<journey::Walk> WalkToName(const Args& args,
                                         const Cluster& cluster,
                                         const fabric::Place& from,
                                         const journey::WorldOptions& options,
                                         Streams streams) {
  if (from.kind != fabric::Place::Kind::kPod) {
    return absl::InvalidArgumentError(
        absl::StrCat("only a Pod looks up the name \"", args.positional()[0],
                     "\"; from ", from.ToString(), " expected ADDRESS:PORT"));
  }
  const Pod* pod = cluster.pods().Find(from.namespace_, from.name);
  absl::StatusOr<dns::NodeDns> node = LoadNodeDns(args, cluster, *pod, streams);
  if (!node.ok()) return node.status();
  journey::WalkRequest request;
  request.pod_namespace = pod->metadata.namespace_;
  request.pod_name = pod->metadata.name;
  request.name = args.positional()[0];
  absl::StatusOr<dns::Library> library = ReadLibrary(args);
  if (!library.ok()) return library.status();
  request.lookup.library = *library;
  absl::StatusOr<std::optional<journey::DnsServerKind>> server =
      ReadDnsServer(args);
  if (!server.ok()) return server.status();
  request.server = *server;
  const absl::Status port = ReadPort(args, request);
  if (!port.ok()) return port;
  return journey::TakeWalk(cluster, *node, options, request);
}

absl::StatusOr<journey::Walk> Walk(const Args& args, Streams streams) {
  absl::StatusOr<Cluster> cluster = LoadCluster(args.GetAll("file"), streams);
  if (!cluster.ok()) return cluster.status();
  absl::StatusOr<fabric::Place> from =
      ReadPlace("from", args.Get("from"), *cluster);
  if (!from.ok()) return from.status();
  absl::StatusOr<journey::WorldOptions> options = ReadWorld(args, streams);
  if (!options.ok()) return options.status();
  const std::optional<Packet> target = ReadTarget(args.positional()[0]);
  if (!target) return WalkToName(args, *cluster, *from, *options, streams);
  absl::StatusOr<Packet> packet =
      PacketFrom(*from, *cluster, *target, args.Get("source"));
  if (!packet.ok()) return packet.status();
  return journey::TakeWalkTo(*cluster, *options, *from, *packet);
}

// The forms of -o; JSON may fail.
absl::StatusOr<std::string> Print(const journey::Walk& walk,
                                  absl::string_view format) {
  if (format == "json") return journey::WalkToJson(walk);
  if (format == "dot") return diagram::ToDot(journey::DiagramOf(walk));
  if (format == "mermaid") return diagram::ToMermaid(journey::DiagramOf(walk));
  if (format == "svg") return diagram::ToSvg(journey::DiagramOf(walk));
  if (format == "html") return journey::WalkToHtml(walk);
  if (format == "text") return walk.ToString();
  return absl::InvalidArgumentError(
      absl::StrCat("--output: found \"", format,
                   "\", expected text, json, dot, mermaid, svg or html"));
}

}  // namespace

int RunWalk(const Args& args, Streams streams) {
  if (args.positional().size() != 1 || !args.Has("from")) {
    return Fail(streams,
                "walk: expected --from PLACE and one NAME or ADDRESS:PORT");
  }
  // A bad format is told before the work is done.
  const std::string format = args.Get("output");
  absl::StatusOr<std::string> text = Print(journey::Walk(), format);
  if (!text.ok()) return Fail(streams, text.status().message());
  absl::StatusOr<journey::Walk> walk = Walk(args, streams);
  if (!walk.ok()) return Fail(streams, walk.status().message());
  text = Print(*walk, format);
  if (!text.ok()) return Fail(streams, text.status().message());
  if (format == "text") {
    PrintText(streams, *text);
  } else {
    streams.out << *text;
  }
  return kOk;
}

}  // namespace k8sdns::cli
