#include <ostream>

#include "absl/strings/str_cat.h"
#include "k8sdns/cli/commands.h"
#include "k8sdns/cli/inputs.h"
#include "k8sdns/fabric/fabric.h"

namespace k8sdns::cli {

int RunGraph(const Args& args, Streams streams) {
  absl::StatusOr<Cluster> cluster = LoadCluster(args.GetAll("file"), streams);
  if (!cluster.ok()) return Fail(streams, cluster.status().message());
  absl::StatusOr<fabric::FabricOptions> options = ReadFabricOptions(args);
  if (!options.ok()) return Fail(streams, options.status().message());
  absl::StatusOr<fabric::Fabric> fabric =
      fabric::Fabric::FromCluster(*cluster, *options);
  if (!fabric.ok()) return Fail(streams, fabric.status().message());
  streams.out << fabric->ToDot();
  return kOk;
}

}  // namespace k8sdns::cli
