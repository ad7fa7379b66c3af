#include <ostream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "k8sdns/cli/commands.h"
#include "k8sdns/cli/inputs.h"
#include "k8sdns/journey/walk.h"
#include "k8sdns/journey/walk_json.h"

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

absl::StatusOr<journey::Walk> Walk(const Args& args, Streams streams) {
  absl::StatusOr<Cluster> cluster = LoadCluster(args.GetAll("file"), streams);
  if (!cluster.ok()) return cluster.status();
  const Pod* pod = FindPod(*cluster, args.Get("from"));
  if (pod == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("no Pod ", args.Get("from"), " in the cluster"));
  }
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
  absl::StatusOr<dns::NodeDns> node =
      LoadNodeDns(args, *cluster, *pod, streams);
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
  return journey::TakeWalk(*cluster, *node, options, request);
}

}  // namespace

int RunWalk(const Args& args, Streams streams) {
  if (args.positional().size() != 1 || !args.Has("from")) {
    return Fail(streams, "walk: expected --from NAMESPACE/POD and one NAME");
  }
  const std::string format = args.Get("output");
  if (format != "text" && format != "json") {
    return Fail(streams, absl::StrCat("--output: found \"", format,
                                      "\", expected text or json"));
  }
  absl::StatusOr<journey::Walk> walk = Walk(args, streams);
  if (!walk.ok()) return Fail(streams, walk.status().message());
  if (format == "text") {
    streams.out << walk->ToString();
    return kOk;
  }
  absl::StatusOr<std::string> json = journey::WalkToJson(*walk);
  if (!json.ok()) return Fail(streams, json.status().message());
  streams.out << *json;
  return kOk;
}

}  // namespace k8sdns::cli
