#include "k8sdns/cluster/manifest_reader.h"

namespace k8sdns {

absl::StatusOr<Cluster> ReadCluster(absl::string_view, absl::string_view,
                                    const ReadOptions&, ReadReport*) {
  return absl::UnimplementedError("not built yet");
}
absl::Status ReadClusterInto(absl::string_view, absl::string_view, Cluster&,
                             const ReadOptions&, ReadReport*) {
  return absl::UnimplementedError("not built yet");
}
absl::StatusOr<KubeProxyConfig> ReadKubeProxyConfig(absl::string_view,
                                                    absl::string_view,
                                                    const ReadOptions&,
                                                    ReadReport*) {
  return absl::UnimplementedError("not built yet");
}
absl::StatusOr<KubeletConfig> ReadKubeletConfig(absl::string_view,
                                                absl::string_view,
                                                const ReadOptions&,
                                                ReadReport*) {
  return absl::UnimplementedError("not built yet");
}

}  // namespace k8sdns
