// Interfaces and routes of the nodes, as the Pod network of each kind sets
// them up. Private to the room.
#ifndef K8SDNS_FABRIC_NETWORK_H_
#define K8SDNS_FABRIC_NETWORK_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/fabric/fabric.h"

namespace k8sdns::fabric {

// A Pod that has an address of its own.
struct PodSite {
  std::string namespace_;
  std::string name;
  std::string node;
  std::vector<IpAddress> addresses;
  bool host_network = false;
};

struct NodeSite {
  std::string name;
  std::vector<IpPrefix> addresses;  // on eth0, with the subnet's length
  std::vector<IpPrefix> pod_cidrs;
  std::vector<PodSite> pods;
  // The tunnel's own addresses, where annotations tell them.
  std::vector<IpAddress> tunnel_addresses;
};

// How a kind of network is built; one row a kind.
struct NetworkTraits {
  NetworkKind kind;
  absl::string_view name;
  bool bridge;                   // Pods hang on cni0, not on routed veths
  bool pod_addresses_in_blocks;  // Calico's blocks, not the node's podCIDR
  // The tunnel between nodes; empty: none.
  absl::string_view tunnel_device;
  Interface::Kind tunnel_kind;
  int tunnel_overhead;  // bytes around the inner packet
  bool only_cross_subnet;
  // Other nodes' Pods are reached by the cloud's own routing.
  bool cloud_routes;
};
const NetworkTraits& TraitsOf(NetworkKind kind);

absl::StatusOr<std::vector<NodeSite>> ReadSites(const Cluster& cluster,
                                                const FabricOptions& options);
bool SameSubnet(const NodeSite& a, const NodeSite& b, IpFamily family);
// Whether Pod packets from `a` to `b` travel in the tunnel.
bool Tunnelled(const NetworkTraits& traits, const NodeSite& a,
               const NodeSite& b, IpFamily family);

NodeNetwork BuildNodeNetwork(const NetworkTraits& traits,
                             const FabricOptions& options,
                             const std::vector<NodeSite>& sites, size_t self);

}  // namespace k8sdns::fabric

#endif  // K8SDNS_FABRIC_NETWORK_H_
