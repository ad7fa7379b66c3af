#include <ostream>

#include "absl/strings/str_cat.h"
#include "k8sdns/cli/commands.h"
#include "k8sdns/cli/inputs.h"
#include "k8sdns/diagram/diagram.h"
#include "k8sdns/fabric/fabric.h"
#include "k8sdns/fabric/fabric_diagram.h"

namespace k8sdns::cli {

int RunGraph(const Args& args, Streams streams) {
  const std::string format = args.Get("output");
  if (format != "dot" && format != "mermaid" && format != "svg" &&
      format != "html") {
    return Fail(streams,
                absl::StrCat("--output: found \"", format,
                             "\", expected dot, mermaid, svg or html"));
  }
  absl::StatusOr<Cluster> cluster = LoadCluster(args.GetAll("file"), streams);
  if (!cluster.ok()) return Fail(streams, cluster.status().message());
  absl::StatusOr<fabric::FabricOptions> options = ReadFabricOptions(args);
  if (!options.ok()) return Fail(streams, options.status().message());
  absl::StatusOr<fabric::Fabric> fabric =
      fabric::Fabric::FromCluster(*cluster, *options);
  if (!fabric.ok()) return Fail(streams, fabric.status().message());
  if (format == "dot") {
    streams.out << fabric->ToDot();
    return kOk;
  }
  const diagram::Diagram picture = fabric::DiagramOf(*fabric, *cluster);
  streams.out << (format == "mermaid" ? diagram::ToMermaid(picture)
                  : format == "svg"
                      ? diagram::ToSvg(picture)
                      : diagram::ToHtml(picture.title, {&picture, 1}));
  return kOk;
}

}  // namespace k8sdns::cli
