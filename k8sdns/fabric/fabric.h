// The network that carries packets between Pods and nodes: veths, bridges,
// tunnels and the wires between the nodes, built from a cluster.
//
//   absl::StatusOr<Fabric> fabric = Fabric::FromCluster(cluster);
//   absl::StatusOr<Path> way = fabric->FindPath(
//       Place::OfPod("default", "web"), Place::OfPod("kube-system", "dns"));
//   for (const Hop& hop : way->hops) std::cout << hop.description << "\n";
//   if (!way->Fits(1500)) ...
//
// A Fabric is immutable and may be shared between threads.
#ifndef K8SDNS_FABRIC_FABRIC_H_
#define K8SDNS_FABRIC_FABRIC_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/net/ip_address.h"

namespace k8sdns::fabric {

// How Pods of different nodes reach each other.
enum class NetworkKind {
  kCalicoIpip,              // IP in IP to every other node (ipipMode Always)
  kCalicoIpipCrossSubnet,   // IP in IP to nodes of other subnets only
  kCalicoVxlan,             // VXLAN to every other node
  kCalicoVxlanCrossSubnet,  // VXLAN to nodes of other subnets only
  kCalicoBgp,               // routes without encapsulation
  kCloudRoutes,             // addresses and routes of the cloud (Azure VNet)
  kBridgeVxlan,             // host-local bridge cni0, flannel's VXLAN between
  kBridgeRoutes,            // host-local bridge cni0, plain routes (host-gw)
};
// "calico-ipip", "calico-vxlan-cross-subnet", ...; the CLI's spelling.
absl::string_view NetworkKindName(NetworkKind kind);
std::optional<NetworkKind> ParseNetworkKind(absl::string_view name);
std::vector<NetworkKind> AllNetworkKinds();

struct FabricOptions {
  // Unset: told from the cluster, see DetectNetwork().
  std::optional<NetworkKind> network;
  // MTU of the wires, in bytes of IP packet.
  int wire_mtu = 1500;
  // The subnet of a node whose annotations do not say it, as a prefix length.
  int node_subnet_length = 24;
  // Calico hands out Pod addresses in blocks of this prefix length (IPv4).
  int calico_block_length = 26;
};

struct Interface {
  enum class Kind { kLoopback, kWire, kVeth, kBridge, kIpip, kVxlan };
  std::string name;
  Kind kind = Kind::kWire;
  std::vector<IpPrefix> addresses;
  int mtu = 1500;
  // Of a veth: the Pod at its other end.
  std::string pod_namespace;
  std::string pod_name;
};
// "loopback", "wire", "veth", "bridge", "ipip" or "vxlan".
absl::string_view InterfaceKindName(Interface::Kind kind);

struct Route {
  IpPrefix destination;
  std::optional<IpAddress> via;
  std::string dev;
  bool blackhole = false;

  std::string ToString() const;  // as `ip route` prints it
};

// What `ip addr` and `ip route` show on a node.
struct NodeNetwork {
  std::string node;
  std::vector<Interface> interfaces;
  std::vector<Route> routes;  // longest prefix first

  // The route that the main table gives; nullptr if there is none.
  const Route* RouteTo(const IpAddress& destination) const;
  const Interface* FindInterface(absl::string_view name) const;
};

// Where a way starts or ends.
struct Place {
  enum class Kind { kPod, kNode, kOutside };
  Kind kind = Kind::kOutside;
  std::string namespace_;
  std::string name;

  static Place OfPod(absl::string_view namespace_, absl::string_view name);
  static Place OfNode(absl::string_view name);
  // A client of the cluster. `via`: the node by which its packets enter; "":
  // wherever their address is routed to.
  static Place Outside(absl::string_view via = "");
  std::string ToString() const;  // "pod default/web", "node a", "outside"
};

// One link of a way.
struct Hop {
  enum class Kind { kVeth, kBridge, kRouting, kTunnel, kWire, kRouter, kHost };
  Kind kind = Kind::kRouting;
  std::string node;       // where it happens; empty between nodes
  std::string interface;  // the interface the packet leaves by; may be empty
  int mtu = 0;            // of that interface; 0: none
  // Bytes of encapsulation around the packet while it passes this link.
  int overhead = 0;
  std::string description;
};

struct Path {
  std::vector<Hop> hops;

  // The largest packet (bytes, with its IP header) that passes unfragmented.
  int Mtu() const;
  bool Fits(int packet_size) const { return packet_size <= Mtu(); }
  // The first hop that is too narrow for it; nullptr if it fits.
  const Hop* Narrow(int packet_size) const;
};

// Told by the nodes: annotations that Calico and flannel keep there, or the
// cloud's providerID. Without any of them, kBridgeVxlan.
NetworkKind DetectNetwork(const Cluster& cluster);

// The name of the host's end of a Pod's veth as Calico chooses it: "cali" and
// the first 11 hex digits of SHA-1("namespace.name") (libcalico-go).
std::string CalicoVethName(absl::string_view namespace_, absl::string_view pod);

class Fabric {
 public:
  // InvalidArgument if a node has no usable InternalIP, or a Pod or a node an
  // address that cannot be read. O(nodes^2 + Pods) time and memory.
  static absl::StatusOr<Fabric> FromCluster(const Cluster& cluster,
                                            const FabricOptions& options = {});

  Fabric(Fabric&&) noexcept;
  Fabric& operator=(Fabric&&) noexcept;
  ~Fabric();

  NetworkKind network() const;
  const std::vector<NodeNetwork>& nodes() const;
  const NodeNetwork* FindNode(absl::string_view name) const;
  // The node whose address it is, or on which the Pod with it runs; empty if
  // the address is of neither.
  std::string NodeOf(const IpAddress& address) const;

  // The way that routing and tunnels give, by the fewest links. NotFound if
  // one of the places is unknown or there is no way.
  absl::StatusOr<Path> FindPath(const Place& from, const Place& to) const;

  // The whole graph for Graphviz.
  std::string ToDot() const;

 private:
  struct Graph;
  explicit Fabric(std::unique_ptr<Graph> graph);
  std::unique_ptr<Graph> graph_;
};

}  // namespace k8sdns::fabric

#endif  // K8SDNS_FABRIC_FABRIC_H_
