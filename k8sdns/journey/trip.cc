#include "k8sdns/journey/trip.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "k8sdns/journey/entry_points.h"
#include "k8sdns/journey/node_runner.h"

namespace k8sdns::journey {
namespace {

using fabric::Hop;
using fabric::Place;

std::string PodName(const Pod& pod) {
  return absl::StrCat("Pod ", pod.metadata.namespace_, "/", pod.metadata.name);
}

bool IsReplyable(const Packet& p) { return p.HasPorts() || p.IsIcmp(); }

// What the receiver answers: SYN-ACK, datagram, echo reply.
Packet ReplyTo(const Packet& p) {
  Packet r = p;
  std::swap(r.src, r.dst);
  if (p.HasPorts()) std::swap(r.src_port, r.dst_port);
  r.ttl = 64;
  if (p.protocol == Protocol::kTcp) r.tcp_flags = kTcpSyn | kTcpAck;
  if (p.protocol == Protocol::kIcmp) r.icmp_type = 0;
  if (p.protocol == Protocol::kIcmpv6) r.icmp_type = 129;
  return r;
}

std::string Text(const IpAddress& a, uint16_t port, bool has_port) {
  return has_port ? SocketAddress{a, port}.ToString() : a.ToString();
}

std::vector<std::string> Translations(const Packet& before,
                                      const Packet& after) {
  std::vector<std::string> out;
  const bool ports = before.HasPorts();
  if (before.dst != after.dst || before.dst_port != after.dst_port) {
    out.push_back(absl::StrCat("destination ",
                               Text(before.dst, before.dst_port, ports), " -> ",
                               Text(after.dst, after.dst_port, ports)));
  }
  if (before.src != after.src || before.src_port != after.src_port) {
    out.push_back(absl::StrCat("source ",
                               Text(before.src, before.src_port, ports), " -> ",
                               Text(after.src, after.src_port, ports)));
  }
  return out;
}

}  // namespace

// Follows one direction of a trip from node to node.
class World::Nodes {
 public:
  Nodes(const Cluster& cluster, WorldOptions options, fabric::Fabric fabric)
      : cluster_(cluster),
        options_(std::move(options)),
        fabric_(std::move(fabric)),
        runners_(fabric_.nodes().size()) {}

  absl::StatusOr<std::vector<Trip>> Send(const Place& from,
                                         const Packet& packet) const;

  const fabric::Fabric& fabric() const { return fabric_; }
  const Cluster& cluster() const { return cluster_; }

 private:
  // A packet under way, with what every node remembers of it.
  struct Journey {
    double probability = 1;
    std::vector<NodeRunner::State> states;  // by node; empty ones are fresh
    Packet packet;
    std::vector<Leg> legs;
    Trip::Fate fate = Trip::Fate::kArrives;
    std::string reason;
    Place arrived;  // kArrives: a Pod or a node
    // From outside: the packet as it entered. Its reply must look like that.
    std::optional<Packet> entered;
  };
  static constexpr size_t kNowhere = ~size_t{0};
  // A flow that loops between nodes ends here.
  static constexpr int kMaxVisits = 16;

  size_t IndexOf(absl::string_view node) const {
    for (size_t i = 0; i < fabric_.nodes().size(); ++i) {
      if (fabric_.nodes()[i].node == node) return i;
    }
    return kNowhere;
  }
  const Pod* FindPod(const Place& place) const {
    return place.kind == Place::Kind::kPod
               ? cluster_.pods().Find(place.namespace_, place.name)
               : nullptr;
  }
  const Pod* PodAt(const IpAddress& address) const;
  std::string DeviceOf(size_t node, const Pod& pod) const;

  // Compiles the node's rules at the first call.
  absl::StatusOr<const NodeRunner*> RunnerOf(size_t node) const;

  absl::Status Travel(Journey journey, size_t node, const std::string& in,
                      int visits, std::vector<Journey>& out) const;
  absl::Status Leave(Journey journey, size_t node, const std::string& out_dev,
                     int visits, std::vector<Journey>& out) const;
  absl::Status End(Journey journey, std::vector<Journey>& out) const;
  // Appends the hops of the way between two places that leave the first Pod,
  // that enter the last one, or (neither) that lie between nodes.
  void AddHops(const Place& from, const Place& to, bool first, bool last,
               std::vector<Leg>& legs) const;
  // Starts from a Pod, a node or outside.
  absl::Status Enter(const Place& from, Journey journey,
                     std::vector<Journey>& out) const;
  absl::Status Start(const Place& from, Journey journey,
                     std::vector<Journey>& out) const;
  absl::Status Finish(const Place& from, Journey there, const Packet& sent,
                      std::vector<Trip>& trips) const;

  const Cluster& cluster_;
  WorldOptions options_;
  fabric::Fabric fabric_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<const NodeRunner>> runners_;  // guarded
};

absl::StatusOr<const NodeRunner*> World::Nodes::RunnerOf(size_t node) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (runners_[node] == nullptr) {
    absl::StatusOr<NodeRunner> runner = NodeRunner::Create(
        cluster_, options_.proxy, options_.dialect, fabric_.nodes()[node]);
    if (!runner.ok()) return runner.status();
    runners_[node] = std::make_unique<const NodeRunner>(*std::move(runner));
  }
  return runners_[node].get();
}

const Pod* World::Nodes::PodAt(const IpAddress& address) const {
  for (const Pod& pod : cluster_.pods()) {
    if (pod.spec.host_network || pod.status.phase == PodPhase::kSucceeded ||
        pod.status.phase == PodPhase::kFailed) {
      continue;
    }
    for (const std::string& text : pod.Addresses()) {
      if (IpAddress::ParseSloppy(text) == address) return &pod;
    }
  }
  return nullptr;
}

// The interface by which a node receives what the Pod sends.
std::string World::Nodes::DeviceOf(size_t node, const Pod& pod) const {
  const fabric::NodeNetwork& net = fabric_.nodes()[node];
  for (const fabric::Interface& i : net.interfaces) {
    if (i.kind == fabric::Interface::Kind::kBridge) return i.name;
  }
  for (const fabric::Interface& i : net.interfaces) {
    if (i.pod_namespace == pod.metadata.namespace_ &&
        i.pod_name == pod.metadata.name) {
      return i.name;
    }
  }
  return "";
}

void World::Nodes::AddHops(const Place& from, const Place& to, bool first,
                           bool last, std::vector<Leg>& legs) const {
  absl::StatusOr<fabric::Path> path = fabric_.FindPath(from, to);
  if (!path.ok()) return;
  for (const Hop& hop : path->hops) {
    const bool pod_link =
        hop.kind == Hop::Kind::kVeth || hop.kind == Hop::Kind::kBridge;
    const bool leaves_pod = pod_link && hop.interface == "eth0";
    if (leaves_pod ? !first : pod_link ? !last : first != last) continue;
    if (hop.kind == Hop::Kind::kHost) continue;
    legs.push_back(hop);
  }
}

absl::Status World::Nodes::Start(const Place& from, Journey journey,
                                 std::vector<Journey>& out) const {
  journey.states.resize(fabric_.nodes().size());
  if (from.kind == Place::Kind::kOutside) {
    return Enter(from, std::move(journey), out);
  }
  const Pod* pod = FindPod(from);
  if (pod != nullptr && !pod->spec.host_network) {
    const size_t node = IndexOf(pod->spec.node_name);
    if (node == kNowhere) {
      return absl::NotFoundError(absl::StrCat(from.ToString(), ": its node \"",
                                              pod->spec.node_name,
                                              "\" is not in the cluster"));
    }
    AddHops(from, Place::OfNode(pod->spec.node_name), true, false,
            journey.legs);
    return Travel(std::move(journey), node, DeviceOf(node, *pod), 0, out);
  }
  const size_t node = IndexOf(pod != nullptr ? pod->spec.node_name : from.name);
  if (node == kNowhere) {
    return absl::NotFoundError(
        absl::StrCat(from.ToString(), " is not in the cluster"));
  }
  return Travel(std::move(journey), node, "", 0, out);
}

absl::Status World::Nodes::Enter(const Place& from, Journey journey,
                                 std::vector<Journey>& out) const {
  EntryPoints entry;
  if (from.name.empty()) {
    entry = FindEntryPoints(cluster_, fabric_, journey.packet);
  } else if (fabric_.FindNode(from.name) == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("node ", from.name, " is not in the cluster"));
  } else {
    entry.nodes = {from.name};
    entry.by = "router";
  }
  if (entry.nodes.empty()) {
    journey.fate = Trip::Fate::kDropped;
    journey.reason = entry.reason;
    return End(std::move(journey), out);
  }
  journey.probability /= static_cast<double>(entry.nodes.size());
  for (const std::string& name : entry.nodes) {
    Journey next = journey;
    const size_t node = IndexOf(name);
    const fabric::Interface* wire = fabric_.nodes()[node].FindInterface("eth0");
    if (entry.node_port != 0) {
      next.packet.dst_port = entry.node_port;
      for (const IpPrefix& p : wire->addresses) {
        if (p.address().family() != next.packet.family()) continue;
        next.packet.dst = p.address();
        break;
      }
    }
    next.entered = next.packet;
    Hop hop;
    hop.kind = Hop::Kind::kRouter;
    hop.mtu = wire->mtu;
    hop.description = absl::StrCat(entry.by, " -> eth0 of node ", name);
    next.legs.push_back(std::move(hop));
    const absl::Status status = Travel(std::move(next), node, "eth0", 0, out);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status World::Nodes::End(Journey journey,
                               std::vector<Journey>& out) const {
  if (out.size() >= options_.max_trips) {
    return absl::ResourceExhaustedError(
        absl::StrCat("more than ", options_.max_trips, " trips"));
  }
  out.push_back(std::move(journey));
  return absl::OkStatus();
}

absl::Status World::Nodes::Travel(Journey journey, size_t node,
                                  const std::string& in, int visits,
                                  std::vector<Journey>& out) const {
  absl::StatusOr<const NodeRunner*> runner = RunnerOf(node);
  if (!runner.ok()) return runner.status();
  for (NodeRunner::Branch& branch :
       (*runner)->Run(journey.states[node], in, journey.packet)) {
    Journey next = journey;
    next.probability *= branch.probability;
    next.states[node] = std::move(branch.state);
    NodeVisit visit;
    visit.node = fabric_.nodes()[node].node;
    visit.in = in;
    visit.ipvs = options_.proxy.mode == ProxyMode::kIpvs;
    visit.entered = journey.packet;
    visit.rules = std::move(branch.rules);
    visit.left = branch.packet;
    visit.verdict = branch.verdict;
    visit.out = branch.out;
    if (branch.kind == NodeRunner::Branch::Kind::kForwarded ||
        branch.kind == NodeRunner::Branch::Kind::kDelivered) {
      visit.translations = Translations(journey.packet, branch.packet);
    }
    const fabric::Route* route =
        fabric_.nodes()[node].RouteTo(branch.packet.dst);
    if (branch.kind == NodeRunner::Branch::Kind::kForwarded &&
        route != nullptr) {
      visit.route = route->ToString();
    }
    next.legs.push_back(std::move(visit));
    next.packet = branch.packet;
    switch (branch.kind) {
      case NodeRunner::Branch::Kind::kForwarded: {
        const absl::Status left =
            Leave(std::move(next), node, branch.out, visits + 1, out);
        if (!left.ok()) return left;
        continue;
      }
      case NodeRunner::Branch::Kind::kDelivered:
        next.arrived = Place::OfNode(fabric_.nodes()[node].node);
        break;
      case NodeRunner::Branch::Kind::kDropped:
        next.fate = Trip::Fate::kDropped;
        break;
      case NodeRunner::Branch::Kind::kRejected:
        next.fate = Trip::Fate::kRejected;
        break;
      case NodeRunner::Branch::Kind::kUnknown:
        next.fate = Trip::Fate::kUnknown;
        break;
    }
    if (next.fate != Trip::Fate::kArrives) {
      next.reason =
          absl::StrCat(branch.verdict, " by node ", fabric_.nodes()[node].node);
    }
    const absl::Status status = End(std::move(next), out);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status World::Nodes::Leave(Journey journey, size_t node,
                                 const std::string& out_dev, int visits,
                                 std::vector<Journey>& out) const {
  const std::string& here = fabric_.nodes()[node].node;
  const Pod* pod = PodAt(journey.packet.dst);
  const std::string there = fabric_.NodeOf(journey.packet.dst);
  if (pod != nullptr && there == here && DeviceOf(node, *pod) == out_dev) {
    journey.arrived =
        Place::OfPod(pod->metadata.namespace_, pod->metadata.name);
    AddHops(Place::OfNode(here), journey.arrived, false, true, journey.legs);
    return End(std::move(journey), out);
  }
  const size_t next = IndexOf(there);
  if (next == kNowhere || next == node || visits >= kMaxVisits) {
    journey.fate =
        visits >= kMaxVisits ? Trip::Fate::kUnknown : Trip::Fate::kOutside;
    journey.reason = visits >= kMaxVisits
                         ? "the packet loops between nodes"
                         : absl::StrCat("leaves the cluster by ", out_dev,
                                        " of node ", here);
    return End(std::move(journey), out);
  }
  const Place target = pod != nullptr ? Place::OfPod(pod->metadata.namespace_,
                                                     pod->metadata.name)
                                      : Place::OfNode(there);
  AddHops(Place::OfNode(here), target, false, false, journey.legs);
  return Travel(std::move(journey), next,
                EntryDevice(fabric_.nodes()[next], out_dev), visits, out);
}

absl::Status World::Nodes::Finish(const Place& from, Journey there,
                                  const Packet& sent,
                                  std::vector<Trip>& trips) const {
  Trip trip;
  trip.probability = there.probability;
  trip.fate = there.fate;
  trip.reason = there.reason;
  trip.sent = sent;
  trip.received = there.packet;
  trip.there = there.legs;
  for (const Leg& leg : there.legs) {
    const Hop* hop = std::get_if<Hop>(&leg);
    if (hop == nullptr || hop->mtu == 0) continue;
    const int mtu = hop->mtu - hop->overhead;
    trip.mtu = trip.mtu == 0 ? mtu : std::min(trip.mtu, mtu);
  }
  if (there.fate != Trip::Fate::kArrives) {
    trips.push_back(std::move(trip));
    return absl::OkStatus();
  }
  const Pod* source = FindPod(from);
  const Pod* target = FindPod(there.arrived);
  trip.receiver =
      target != nullptr ? PodName(*target) : there.arrived.ToString();
  if (source != nullptr || target != nullptr) {
    trip.policy = DecidePolicies(cluster_, source, target, there.packet);
    if (!trip.policy->allowed) {
      trip.fate = Trip::Fate::kDenied;
      trip.reason = (trip.policy->egress.allowed ? trip.policy->ingress
                                                 : trip.policy->egress)
                        .ToString();
      trips.push_back(std::move(trip));
      return absl::OkStatus();
    }
  }
  if (!IsReplyable(there.packet)) {
    trips.push_back(std::move(trip));
    return absl::OkStatus();
  }
  Journey back;
  back.probability = 1;
  back.states = std::move(there.states);
  back.packet = ReplyTo(there.packet);
  std::vector<Journey> ways;
  const absl::Status status = Start(there.arrived, std::move(back), ways);
  if (!status.ok()) return status;
  for (Journey& way : ways) {
    Trip t = trip;
    t.probability *= way.probability;
    t.back = std::move(way.legs);
    t.reply_received = way.packet;
    // A reply to what a Pod sent must reach that Pod as the answer of whom it
    // was sent to.
    const Packet& asked = there.entered ? *there.entered : sent;
    const Trip::Fate home =
        there.entered ? Trip::Fate::kOutside : Trip::Fate::kArrives;
    t.reply_arrives =
        way.fate == home && way.packet.src == asked.dst &&
        way.packet.dst == asked.src &&
        (!asked.HasPorts() || (way.packet.src_port == asked.dst_port &&
                               way.packet.dst_port == asked.src_port));
    if (!t.reply_arrives) {
      t.reason = way.fate == home ? absl::StrCat("the reply arrives as ",
                                                 way.packet.ToString())
                                  : absl::StrCat("the reply: ", way.reason);
    }
    trips.push_back(std::move(t));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Trip>> World::Nodes::Send(
    const Place& from, const Packet& packet) const {
  if (from.kind == Place::Kind::kPod && FindPod(from) == nullptr) {
    return absl::NotFoundError(
        absl::StrCat(from.ToString(), " is not in the cluster"));
  }
  Journey start;
  start.packet = packet;
  std::vector<Journey> ways;
  absl::Status status = Start(from, std::move(start), ways);
  if (!status.ok()) return status;
  std::vector<Trip> trips;
  for (Journey& way : ways) {
    status = Finish(from, std::move(way), packet, trips);
    if (!status.ok()) return status;
  }
  return trips;
}

World::World(std::unique_ptr<Nodes> nodes) : nodes_(std::move(nodes)) {}
World::World(World&&) noexcept = default;
World& World::operator=(World&&) noexcept = default;
World::~World() = default;

absl::StatusOr<World> World::Create(const Cluster& cluster,
                                    const WorldOptions& options) {
  absl::StatusOr<fabric::Fabric> fabric =
      fabric::Fabric::FromCluster(cluster, options.fabric);
  if (!fabric.ok()) return fabric.status();
  auto nodes = std::make_unique<Nodes>(cluster, options, *std::move(fabric));
  return World(std::move(nodes));
}

absl::StatusOr<std::vector<Trip>> World::Send(const Place& from,
                                              const Packet& packet) const {
  return nodes_->Send(from, packet);
}
const fabric::Fabric& World::fabric() const { return nodes_->fabric(); }
const Cluster& World::cluster() const { return nodes_->cluster(); }

}  // namespace k8sdns::journey
