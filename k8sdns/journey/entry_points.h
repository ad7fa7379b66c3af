// By which nodes a packet of an outside client enters the cluster. Private to
// the room.
#ifndef K8SDNS_JOURNEY_ENTRY_POINTS_H_
#define K8SDNS_JOURNEY_ENTRY_POINTS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/fabric/fabric.h"
#include "k8sdns/net/packet.h"

namespace k8sdns::journey {

struct EntryPoints {
  // All equally likely; empty: it does not get in.
  std::vector<std::string> nodes;
  // As it enters: a load balancer with ipMode Proxy sends it on to a node
  // port of the node, whose address is still to be filled in.
  uint16_t node_port = 0;  // 0: the packet enters as it was sent
  std::string by;          // "load balancer of default/web", "router"
  std::string reason;      // why it does not get in
};

// Node addresses are reached at their node, load balancers' addresses at every
// node that passes the health check (with externalTrafficPolicy Local: those
// with a ready endpoint), external IPs at every node, Pods at their node if
// their network has no tunnel. Cluster IPs are routed nowhere outside.
// O(Services + endpoints of the one).
EntryPoints FindEntryPoints(const Cluster& cluster,
                            const fabric::Fabric& fabric, const Packet& packet);

}  // namespace k8sdns::journey

#endif  // K8SDNS_JOURNEY_ENTRY_POINTS_H_
