// Node and Namespace (core/v1).
//
//   Node node;
//   node.metadata.name = "node-1";
//   node.pod_cidr = "10.244.1.0/24";
//   node.addresses.push_back({NodeAddressType::kInternalIp, "172.18.0.11"});
#ifndef K8SDNS_CLUSTER_NODE_H_
#define K8SDNS_CLUSTER_NODE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "k8sdns/cluster/object_meta.h"

namespace k8sdns {

inline constexpr char kZoneLabel[] = "topology.kubernetes.io/zone";
inline constexpr char kHostnameLabel[] = "kubernetes.io/hostname";

enum class NodeAddressType {
  kHostname,
  kInternalIp,
  kExternalIp,
  kInternalDns,
  kExternalDns
};

struct NodeAddress {
  NodeAddressType type = NodeAddressType::kInternalIp;
  std::string address;

  friend bool operator==(const NodeAddress&, const NodeAddress&) = default;
};

struct NodeCondition {
  std::string type;
  std::string status;  // "True", "False" or "Unknown"

  friend bool operator==(const NodeCondition&, const NodeCondition&) = default;
};

struct Node {
  ObjectMeta metadata;
  std::string pod_cidr;
  std::vector<std::string> pod_cidrs;
  std::string provider_id;
  bool unschedulable = false;
  std::vector<NodeAddress> addresses;
  std::vector<NodeCondition> conditions;
  // status.allocatable: resource name to quantity ("cpu": "3920m").
  StringMap allocatable;

  // The topology.kubernetes.io/zone label; empty if there is none.
  absl::string_view Zone() const { return Find(metadata.labels, kZoneLabel); }

  friend bool operator==(const Node&, const Node&) = default;
};

struct Namespace {
  ObjectMeta metadata;

  friend bool operator==(const Namespace&, const Namespace&) = default;
};

}  // namespace k8sdns

#endif  // K8SDNS_CLUSTER_NODE_H_
