// A packet's whole way there and back: the links of the fabric, the rules of
// every node it meets, the translation, and the reply.
//
//   absl::StatusOr<World> world = World::Create(cluster, {});
//   Packet packet = Packet::Udp(pod_address, vip);
//   absl::StatusOr<std::vector<Trip>> trips = world->Send(
//       fabric::Place::OfPod("default", "web-0"), packet);
//   for (const Trip& t : *trips) std::cout << t.probability << t.ToString();
//
// Where rules draw at random, there is a trip for each possibility.
#ifndef K8SDNS_JOURNEY_TRIP_H_
#define K8SDNS_JOURNEY_TRIP_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/cluster/kube_proxy_config.h"
#include "k8sdns/fabric/fabric.h"
#include "k8sdns/journey/network_policy.h"
#include "k8sdns/net/packet.h"
#include "k8sdns/proxy/dialect.h"

namespace k8sdns::journey {

// A line of a node's trace.
struct RuleLine {
  std::string table;    // "nat"
  std::string chain;    // "KUBE-SERVICES"
  uint32_t number = 0;  // of the rule, from 1; 0: the chain's end or policy
  // The rule as iptables-save prints it, "end of chain", or "policy ACCEPT".
  std::string text;
  uint32_t mark = 0;  // the packet's mark at that moment

  friend bool operator==(const RuleLine&, const RuleLine&) = default;
};

// What one node does with the packet.
struct NodeVisit {
  std::string node;
  std::string in;  // interface it came by; "" if the node sends it
  Packet entered;
  std::vector<RuleLine> rules;
  // "destination 10.96.0.10:53 -> 192.168.237.9:53"
  std::vector<std::string> translations;
  std::string route;  // the route taken; empty if it was not forwarded
  std::string out;    // interface it leaves by; "" if it does not
  Packet left;        // as it leaves or is delivered
  // "forwarded", "delivered", "dropped", "rejected with X", "unknown: why".
  std::string verdict;
  bool ipvs = false;  // kube-proxy runs in IPVS mode there
};

using Leg = std::variant<fabric::Hop, NodeVisit>;

struct Trip {
  enum class Fate {
    kArrives,
    kDropped,
    kRejected,
    kDenied,   // by a NetworkPolicy
    kOutside,  // leaves the cluster
    kUnknown,  // decided by something that is not modelled
  };
  double probability = 1;
  Fate fate = Fate::kArrives;
  std::string reason;  // of anything but kArrives
  Packet sent;
  Packet received;       // as the receiver sees it
  std::string receiver;  // "Pod kube-system/kube-dns-...", "node a"
  std::vector<Leg> there;
  // The reply's way; empty if nothing answers.
  std::vector<Leg> back;
  Packet reply_received;
  bool reply_arrives = false;
  // Only between Pods: what NetworkPolicies say.
  std::optional<PolicyDecision> policy;
  // The largest packet that passes all links unfragmented; 0: no links.
  int mtu = 0;

  std::string ToString() const;
};

// "arrives", "dropped", "rejected", "denied", "outside", "unknown".
absl::string_view FateName(Trip::Fate fate);

struct WorldOptions {
  // hostname_override is set to each node's name in turn. In IPVS mode the
  // nodes have served others before: any server of a service may be next.
  KubeProxyConfig proxy;
  proxy::Dialect dialect = proxy::Dialect::kV1_30;
  fabric::FabricOptions fabric;
  // Trips beyond this number are not followed (ResourceExhausted).
  size_t max_trips = 10'000;
};

// The cluster with its network and the rules of its nodes. `cluster` must
// outlive it. Const functions may run on several threads.
class World {
 public:
  // The rules of a node are compiled when the first packet meets it: O(services
  // and endpoints) a node; errors of the configuration come up then.
  static absl::StatusOr<World> Create(const Cluster& cluster,
                                      const WorldOptions& options);
  World(World&&) noexcept;
  World& operator=(World&&) noexcept;
  ~World();

  // Sends one packet from a Pod, a node or a client outside, as the first of
  // its flow, and lets the receiver answer. What a client outside sends enters
  // by the node that Place::Outside() names; else by the node whose address it
  // is, by any that a load balancer may choose, or not at all. NotFound if
  // `from` is unknown; ResourceExhausted.
  absl::StatusOr<std::vector<Trip>> Send(const fabric::Place& from,
                                         const Packet& packet) const;

  const fabric::Fabric& fabric() const;
  const Cluster& cluster() const;

 private:
  class Nodes;
  explicit World(std::unique_ptr<Nodes> nodes);
  std::unique_ptr<Nodes> nodes_;
};

}  // namespace k8sdns::journey

#endif  // K8SDNS_JOURNEY_TRIP_H_
