#include "k8sdns/journey/walk.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace k8sdns::journey {
namespace {

constexpr uint16_t kConnectPort = 80;
constexpr uint16_t kClientPort = 50000;

// What the most probable of the trips means for a resolver that waits.
Delivery DeliveryOf(const std::vector<Trip>& trips) {
  Delivery out{Delivery::Fate::kUnknown, "no way found"};
  const auto best = std::max_element(trips.begin(), trips.end(),
                                     [](const Trip& a, const Trip& b) {
                                       return a.probability < b.probability;
                                     });
  if (best == trips.end()) return out;
  out.where = best->reason;
  switch (best->fate) {
    case Trip::Fate::kArrives:
      if (!best->reply_arrives) {
        out.fate = Delivery::Fate::kDropped;
        break;
      }
      out = {Delivery::Fate::kDelivered, best->receiver};
      break;
    case Trip::Fate::kDropped:
    case Trip::Fate::kDenied:
      out.fate = Delivery::Fate::kDropped;
      break;
    case Trip::Fate::kRejected:
      out.fate = Delivery::Fate::kUnreachable;
      break;
    case Trip::Fate::kOutside:
      out.fate = Delivery::Fate::kElsewhere;
      break;
    case Trip::Fate::kUnknown:
      out.fate = Delivery::Fate::kUnknown;
      break;
  }
  return out;
}

struct Target {
  uint16_t port = kConnectPort;
  Protocol protocol = Protocol::kTcp;
};

Target TargetOf(const Cluster& cluster, const IpAddress& address,
                const WalkRequest& request) {
  Target target;
  for (const Service& s : cluster.services()) {
    std::vector<std::string> ips = s.spec.cluster_ips;
    ips.push_back(s.spec.cluster_ip);
    const bool has =
        std::any_of(ips.begin(), ips.end(), [&](const std::string& text) {
          return IpAddress::ParseSloppy(text) == address;
        });
    if (!has || s.spec.ports.empty()) continue;
    target.port = static_cast<uint16_t>(s.spec.ports[0].port);
    target.protocol = s.spec.ports[0].protocol;
    break;
  }
  if (request.port) target.port = *request.port;
  if (request.protocol) target.protocol = *request.protocol;
  return target;
}

Packet ConnectionTo(const IpAddress& from, const IpAddress& to,
                    const Target& target) {
  Packet p = Packet::Tcp({from, kClientPort}, {to, target.port});
  p.protocol = target.protocol;
  return p;
}

void AppendTrips(const Packet& packet, const std::vector<Trip>& trips,
                 std::string& out) {
  absl::StrAppend(&out, "  ", packet.ToString(), "\n");
  for (const Trip& trip : trips) {
    if (trips.size() > 1) {
      absl::StrAppendFormat(&out, "  -- with probability %.4g:\n",
                            trip.probability);
    }
    absl::StrAppend(&out, trip.ToString());
  }
}

}  // namespace

absl::StatusOr<Walk> TakeWalk(const Cluster& cluster,
                              const dns::NodeDns& node_dns,
                              const WorldOptions& options,
                              const WalkRequest& request) {
  const Pod* pod = cluster.pods().Find(request.pod_namespace, request.pod_name);
  if (pod == nullptr) {
    return absl::NotFoundError(absl::StrCat("no Pod ", request.pod_namespace,
                                            "/", request.pod_name,
                                            " in the cluster"));
  }
  absl::StatusOr<World> world = World::Create(cluster, options);
  if (!world.ok()) return world.status();
  const fabric::Place from =
      fabric::Place::OfPod(request.pod_namespace, request.pod_name);

  Walk walk;
  walk.pod = absl::StrCat(request.pod_namespace, "/", request.pod_name);
  walk.node = pod->spec.node_name;
  walk.name = request.name;

  absl::Status failure;
  // All queries to one server and port go alike: what was found for one serves
  // for the others.
  std::map<std::pair<IpAddress, Protocol>, Delivery> known;
  NameLookupWorld lookup_world{cluster, node_dns};
  lookup_world.server = request.server;
  lookup_world.deliver = [&](const Packet& packet) {
    const auto key = std::pair(packet.dst, packet.protocol);
    const auto it = known.find(key);
    if (it != known.end()) return it->second;
    absl::StatusOr<std::vector<Trip>> trips = world->Send(from, packet);
    if (!trips.ok()) {
      failure = trips.status();
      return Delivery{Delivery::Fate::kUnknown,
                      std::string(trips.status().message())};
    }
    const Delivery delivery = DeliveryOf(*trips);
    if (known.empty()) {
      walk.query = packet;
      walk.query_trips = *std::move(trips);
    }
    known.emplace(key, delivery);
    return delivery;
  };
  absl::StatusOr<NameLookup> lookup =
      LookUpName(lookup_world, *pod, request.name, request.lookup);
  if (!lookup.ok()) return lookup.status();
  if (!failure.ok()) return failure;
  walk.lookup = *std::move(lookup);
  walk.pod_address = pod->Addresses()[0];

  if (walk.lookup.result.addresses.empty()) return walk;
  const IpAddress to = walk.lookup.result.addresses[0];
  for (const std::string& text : pod->Addresses()) {
    const auto own = IpAddress::ParseSloppy(text);
    if (!own || own->family() != to.family()) continue;
    walk.connection = ConnectionTo(*own, to, TargetOf(cluster, to, request));
    absl::StatusOr<std::vector<Trip>> trips =
        world->Send(from, walk.connection);
    if (!trips.ok()) return trips.status();
    walk.connection_trips = *std::move(trips);
    break;
  }
  return walk;
}

absl::StatusOr<Walk> TakeWalkTo(const Cluster& cluster,
                                const WorldOptions& options,
                                const fabric::Place& from,
                                const Packet& packet) {
  absl::StatusOr<World> world = World::Create(cluster, options);
  if (!world.ok()) return world.status();
  absl::StatusOr<std::vector<Trip>> trips = world->Send(from, packet);
  if (!trips.ok()) return trips.status();
  Walk walk;
  walk.sender = from.ToString();
  walk.name = packet.HasPorts()
                  ? SocketAddress{packet.dst, packet.dst_port}.ToString()
                  : packet.dst.ToString();
  walk.connection = packet;
  walk.connection_trips = *std::move(trips);
  return walk;
}

std::string Walk::ToString() const {
  if (pod.empty()) {
    std::string out = absl::StrCat("From ", sender, " to ", name, "\n");
    AppendTrips(connection, connection_trips, out);
    return out;
  }
  std::string out =
      absl::StrCat("Pod ", pod, " (", pod_address, ", node ", node,
                   ") looks up ", name, "\n\n1. The file and the queries\n");
  absl::StrAppend(&out, lookup.ToString());
  if (!query_trips.empty()) {
    absl::StrAppend(&out, "\n2. The way of the first query\n");
    AppendTrips(query, query_trips, out);
  }
  if (!connection_trips.empty()) {
    absl::StrAppend(&out, "\n3. The way to ", name, "\n");
    AppendTrips(connection, connection_trips, out);
  }
  return out;
}

}  // namespace k8sdns::journey
