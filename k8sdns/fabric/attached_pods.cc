#include "k8sdns/fabric/attached_pods.h"

#include <utility>

namespace k8sdns::fabric {
namespace {

using PodName = std::pair<absl::string_view, absl::string_view>;

struct Devices {
  std::string bridge;
  absl::flat_hash_map<PodName, absl::string_view> veths;
};

Devices DevicesOf(const NodeNetwork& net) {
  Devices out;
  for (const Interface& i : net.interfaces) {
    if (i.kind == Interface::Kind::kBridge && out.bridge.empty()) {
      out.bridge = i.name;
    } else if (i.kind == Interface::Kind::kVeth) {
      out.veths.try_emplace({i.pod_namespace, i.pod_name}, i.name);
    }
  }
  return out;
}

}  // namespace

AttachedPods::AttachedPods(const Fabric& fabric, const Cluster& cluster) {
  absl::flat_hash_map<absl::string_view, Devices> devices;
  for (const NodeNetwork& net : fabric.nodes()) {
    devices[net.node] = DevicesOf(net);
  }
  for (const Pod& pod : cluster.pods()) {
    const auto node = devices.find(absl::string_view(pod.spec.node_name));
    if (node == devices.end() || pod.Addresses().empty()) continue;
    AttachedPod attached{&pod, ""};
    if (!pod.spec.host_network) {
      attached.device = node->second.bridge;
      if (attached.device.empty()) {
        const auto veth = node->second.veths.find(
            PodName(pod.metadata.namespace_, pod.metadata.name));
        if (veth != node->second.veths.end()) {
          attached.device = std::string(veth->second);
        }
      }
    }
    by_node_[std::string(node->first)].push_back(std::move(attached));
  }
}

std::span<const AttachedPod> AttachedPods::OnNode(
    absl::string_view node) const {
  const auto it = by_node_.find(node);
  if (it == by_node_.end()) return {};
  return it->second;
}

}  // namespace k8sdns::fabric
