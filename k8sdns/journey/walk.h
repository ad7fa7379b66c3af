// The whole walk of a lookup, as a person would explain it: the Pod's
// resolv.conf, the queries, the way of a query to the DNS Pod and of the answer
// back, then the way to the address that the name stands for.
//
//   absl::StatusOr<Walk> walk = TakeWalk(cluster, node_dns, {}, request);
//   std::cout << walk->ToString();
//
// Without a name, TakeWalkTo() follows one packet from anywhere.
#ifndef K8SDNS_JOURNEY_WALK_H_
#define K8SDNS_JOURNEY_WALK_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/dns/kubelet_dns.h"
#include "k8sdns/fabric/fabric.h"
#include "k8sdns/journey/name_lookup.h"
#include "k8sdns/journey/trip.h"

namespace k8sdns::journey {

struct WalkRequest {
  std::string pod_namespace = "default";
  std::string pod_name;
  std::string name;  // as the program in the Pod passes it to its resolver
  NameLookupOptions lookup;
  std::optional<DnsServerKind> server;  // unset: see NameLookupWorld
  // Where to connect after the lookup; unset: the first port of the Service
  // that has the address, or 80.
  std::optional<uint16_t> port;
  std::optional<Protocol> protocol;
};

struct Walk {
  // "default/web-0"; empty, and no lookup, after TakeWalkTo().
  std::string pod;
  std::string sender;  // after TakeWalkTo(): "pod default/web-0", "outside"
  std::string pod_address;  // its first address
  std::string node;
  std::string name;
  NameLookup lookup;
  // The ways of the first query; all queries to one server go alike.
  Packet query;
  std::vector<Trip> query_trips;
  // The ways to the first address found; empty if the lookup failed.
  Packet connection;
  std::vector<Trip> connection_trips;

  std::string ToString() const;
};

// NotFound if the Pod is not in the cluster or has no address; otherwise the
// errors of World::Create(), World::Send() and LookUpName().
absl::StatusOr<Walk> TakeWalk(const Cluster& cluster,
                              const dns::NodeDns& node_dns,
                              const WorldOptions& options,
                              const WalkRequest& request);

// The way of one packet from a Pod, a node or outside, without a lookup; its
// `name` is the packet's destination. Errors as World::Send().
absl::StatusOr<Walk> TakeWalkTo(const Cluster& cluster,
                                const WorldOptions& options,
                                const fabric::Place& from,
                                const Packet& packet);

}  // namespace k8sdns::journey

#endif  // K8SDNS_JOURNEY_WALK_H_
