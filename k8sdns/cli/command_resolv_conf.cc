#include <ostream>

#include "absl/strings/str_cat.h"
#include "k8sdns/cli/commands.h"
#include "k8sdns/cli/inputs.h"
#include "k8sdns/dns/kubelet_dns.h"

namespace k8sdns::cli {

int RunResolvConf(const Args& args, Streams streams) {
  if (args.positional().size() != 1) {
    return Fail(streams, "resolv-conf: expected one NAMESPACE/POD");
  }
  absl::StatusOr<Cluster> cluster = LoadCluster(args.GetAll("file"), streams);
  if (!cluster.ok()) return Fail(streams, cluster.status().message());
  const Pod* pod = FindPod(*cluster, args.positional()[0]);
  if (pod == nullptr) {
    return Fail(streams, absl::StrCat("no Pod ", args.positional()[0],
                                      " in the cluster"));
  }
  absl::StatusOr<dns::NodeDns> node =
      LoadNodeDns(args, *cluster, *pod, streams);
  if (!node.ok()) return Fail(streams, node.status().message());
  absl::StatusOr<dns::PodDns> settings = dns::FormPodDns(*pod, *node);
  if (!settings.ok()) {
    return Fail(streams, absl::StrCat("the kubelet cannot start the Pod: ",
                                      settings.status().message()));
  }
  for (const dns::KubeletEvent& event : settings->events) {
    streams.err << event.ToString() << "\n";
  }
  streams.out << (settings->CopiesNodeFile()
                      ? node->resolv_conf_text.value_or("")
                      : settings->ToResolvConf());
  return kOk;
}

}  // namespace k8sdns::cli
