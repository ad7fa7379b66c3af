#include "tests/conformance/replay_endpoints_controller.h"

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "k8sdns/cluster/endpoints_controller.h"
#include "k8sdns/cluster/manifest_reader.h"
#include "k8sdns/cluster/manifest_writer.h"
#include "tests/conformance/yaml_value.h"

namespace k8sdns::conformance {
namespace {

template <typename T>
absl::Status WriteList(const ObjectSet<T>& objects, const std::string& path) {
  std::string text;
  ManifestListWriter writer(ManifestFormat::kYaml, &text);
  for (const T& object : objects) writer.Add(object);
  writer.Finish();
  return WriteFile(path, text);
}

absl::Status ReplayCase(const std::string& in, const std::string& out) {
  const std::string file = in + "/cluster.yaml";
  const absl::StatusOr<std::string> text = ReadFile(file);
  if (!text.ok()) return text.status();
  const absl::StatusOr<Cluster> cluster = ReadCluster(*text, file);
  if (!cluster.ok()) return cluster.status();
  const Cluster settled = ReconcileEndpoints(*cluster);
  const absl::Status slices =
      WriteList(settled.endpoint_slices(), out + "/endpointslices.yaml");
  if (!slices.ok()) return slices;
  return WriteList(settled.endpoints(), out + "/endpoints.yaml");
}

}  // namespace

absl::Status ReplayEndpointsController(const ReplayPaths& paths) {
  constexpr char kFamily[] = "endpoints-controller";
  absl::Status first_error;
  for (const std::string& name : CaseFolders(paths.corpus, kFamily)) {
    const std::string under = absl::StrCat("/", kFamily, "/", name);
    const absl::Status status =
        ReplayCase(paths.corpus + under, paths.out + under);
    // The other cases are replayed all the same.
    first_error.Update(status);
  }
  return first_error;
}

}  // namespace k8sdns::conformance
