#include "k8sdns/fabric/fabric_text.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "k8sdns/fabric/attached_pods.h"

namespace k8sdns::fabric {
namespace {

void AppendInterface(const Interface& i, std::string& out) {
  absl::StrAppend(&out, "    ", i.name, "  ", InterfaceKindName(i.kind),
                  "  mtu ", i.mtu);
  for (const IpPrefix& p : i.addresses) {
    absl::StrAppend(&out, "  ", p.ToString());
  }
  absl::StrAppend(&out, "\n");
}

void AppendPod(const AttachedPod& attached, std::string& out) {
  const Pod& pod = *attached.pod;
  absl::StrAppend(&out, "    ", pod.metadata.namespace_, "/", pod.metadata.name,
                  "  ", absl::StrJoin(pod.Addresses(), " "),
                  pod.spec.host_network     ? "  in the node's own network"
                  : attached.device.empty() ? ""
                                            : "  by ",
                  attached.device, "\n");
}

}  // namespace

std::string FabricToText(const Fabric& fabric, const Cluster& cluster) {
  std::string out =
      absl::StrCat("network ", NetworkKindName(fabric.network()), "\n");
  const AttachedPods pods(fabric, cluster);
  for (const NodeNetwork& net : fabric.nodes()) {
    absl::StrAppend(&out, "node ", net.node, "\n  devices\n");
    for (const Interface& i : net.interfaces) AppendInterface(i, out);
    absl::StrAppend(&out, "  routes\n");
    for (const Route& r : net.routes) {
      absl::StrAppend(&out, "    ", r.ToString(), "\n");
    }
    const auto here = pods.OnNode(net.node);
    if (!here.empty()) absl::StrAppend(&out, "  pods\n");
    for (const AttachedPod& pod : here) AppendPod(pod, out);
  }
  return out;
}

}  // namespace k8sdns::fabric
