// Which Pods hang on which node of a fabric, and by what device. Private to the
// project's pictures and documents.
#ifndef K8SDNS_FABRIC_ATTACHED_PODS_H_
#define K8SDNS_FABRIC_ATTACHED_PODS_H_

#include <span>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/fabric/fabric.h"

namespace k8sdns::fabric {

struct AttachedPod {
  const Pod* pod = nullptr;
  // The host's end of its veth, or the bridge that it hangs on; "" in the
  // node's own network.
  std::string device;
};

class AttachedPods {
 public:
  // Pods with an address and a node. Points into the cluster. O(Pods +
  // interfaces).
  AttachedPods(const Fabric& fabric, const Cluster& cluster);
  // In the cluster's order.
  std::span<const AttachedPod> OnNode(absl::string_view node) const;

 private:
  absl::flat_hash_map<std::string, std::vector<AttachedPod>> by_node_;
};

}  // namespace k8sdns::fabric

#endif  // K8SDNS_FABRIC_ATTACHED_PODS_H_
