// Which packets the two modes are compared by.
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "k8sdns/journey/mode_comparison.h"
#include "k8sdns/proxy/service_ports.h"

namespace k8sdns::journey {
namespace {

using fabric::Place;

constexpr uint16_t kClientPort = 40000;
// A port that few Services have; servers of nodes do.
constexpr uint16_t kOtherPort = 22;

struct Sender {
  Place place;
  IpAddress address;
  std::string what;
};

std::optional<IpAddress> AddressOf(const std::vector<std::string>& texts,
                                   IpFamily family) {
  for (const std::string& text : texts) {
    const auto address = IpAddress::ParseSloppy(text);
    if (address && address->family() == family) return address;
  }
  return std::nullopt;
}

std::optional<IpAddress> AddressOf(const Node& node, IpFamily family) {
  for (const NodeAddress& a : node.addresses) {
    if (a.type != NodeAddressType::kInternalIp) continue;
    const auto address = IpAddress::ParseSloppy(a.address);
    if (address && address->family() == family) return address;
  }
  return std::nullopt;
}

// Probes of one service port.
class PortProbes {
 public:
  PortProbes(const Cluster& cluster, const Service& service,
             const proxy::ServicePortInfo& port, std::vector<ModeProbe>& out)
      : cluster_(cluster), service_(service), port_(port), out_(out) {}

  void Make() {
    const IpFamily family = port_.cluster_ip.family();
    for (const Node* node : Nodes()) {
      const std::vector<Sender> inside = Inside(*node, family);
      for (const Sender& s : inside) {
        Add(s, port_.cluster_ip, port_.port, "cluster IP");
        AddOther(s);
      }
      std::vector<Sender> all = inside;
      for (const Sender& s : Outside(*node, family)) all.push_back(s);
      for (const Sender& s : all) {
        for (const IpAddress& a : port_.external_ips) {
          Add(s, a, port_.port, "external IP");
        }
        for (const IpAddress& a : port_.load_balancer_vips) {
          Add(s, a, port_.port, "load balancer address");
        }
        const auto own = AddressOf(*node, family);
        if (port_.node_port != 0 && own) {
          Add(s, *own, port_.node_port, "node port");
        }
      }
      if (port_.node_port != 0 && family == IpFamily::kIpv4) {
        const IpAddress localhost = *IpAddress::Parse("127.0.0.1");
        Add({Place::OfNode(node->metadata.name), localhost,
             absl::StrCat("node ", node->metadata.name)},
            localhost, port_.node_port, "node port at localhost");
      }
    }
  }

 private:
  bool HasReadyEndpoint(const Node& node) const {
    for (const EndpointSlice* slice : cluster_.SlicesOf(
             service_.metadata.namespace_, service_.metadata.name)) {
      for (const Endpoint& e : slice->endpoints) {
        if (e.IsReady() && e.node_name == node.metadata.name) return true;
      }
    }
    return false;
  }

  // The first node with a ready endpoint, and the first without.
  std::vector<const Node*> Nodes() const {
    const Node* with = nullptr;
    const Node* without = nullptr;
    for (const Node& node : cluster_.nodes()) {
      const Node*& place = HasReadyEndpoint(node) ? with : without;
      if (place == nullptr) place = &node;
    }
    std::vector<const Node*> nodes;
    if (with != nullptr) nodes.push_back(with);
    if (without != nullptr) nodes.push_back(without);
    return nodes;
  }

  bool IsEndpoint(const IpAddress& address) const {
    for (const EndpointSlice* slice : cluster_.SlicesOf(
             service_.metadata.namespace_, service_.metadata.name)) {
      for (const Endpoint& e : slice->endpoints) {
        if (!e.addresses.empty() &&
            IpAddress::ParseSloppy(e.addresses[0]) == address) {
          return true;
        }
      }
    }
    return false;
  }

  // The node, a Pod of it, and an endpoint of the Service on it.
  std::vector<Sender> Inside(const Node& node, IpFamily family) const {
    std::vector<Sender> senders;
    if (const auto own = AddressOf(node, family)) {
      senders.push_back({Place::OfNode(node.metadata.name), *own,
                         absl::StrCat("node ", node.metadata.name)});
    }
    bool found[2] = {false, false};
    for (const Pod& pod : cluster_.pods()) {
      if (pod.spec.node_name != node.metadata.name || pod.spec.host_network ||
          pod.status.phase == PodPhase::kSucceeded ||
          pod.status.phase == PodPhase::kFailed) {
        continue;
      }
      const auto address = AddressOf(pod.Addresses(), family);
      if (!address) continue;
      const bool endpoint = IsEndpoint(*address);
      if (found[endpoint]) continue;
      found[endpoint] = true;
      senders.push_back(
          {Place::OfPod(pod.metadata.namespace_, pod.metadata.name), *address,
           absl::StrCat(endpoint ? "its own endpoint " : "pod ",
                        pod.metadata.namespace_, "/", pod.metadata.name)});
      if (found[0] && found[1]) break;
    }
    return senders;
  }

  // A client outside; if there are source ranges also one inside the first.
  std::vector<Sender> Outside(const Node& node, IpFamily family) const {
    const std::string& via = node.metadata.name;
    std::vector<Sender> senders = {
        {Place::Outside(via),
         *IpAddress::Parse(family == IpFamily::kIpv4 ? "203.0.113.7"
                                                     : "2001:db8::7"),
         absl::StrCat("outside by node ", via)}};
    for (const IpPrefix& range : port_.source_ranges) {
      if (range.family() != family) continue;
      senders.push_back(
          {Place::Outside(via), range.address(),
           absl::StrCat("outside (of ", range.ToString(), ") by node ", via)});
      break;
    }
    return senders;
  }

  void Add(const Sender& sender, const IpAddress& to, uint16_t port,
           absl::string_view target) {
    Packet packet = Packet::Tcp({sender.address, kClientPort}, {to, port});
    packet.protocol = port_.protocol;
    AddPacket(sender, packet, target);
  }

  // What is not the Service's at its address.
  void AddOther(const Sender& sender) {
    AddPacket(sender,
              Packet::IcmpEcho(sender.address, port_.cluster_ip, kClientPort),
              "ping of the cluster IP");
    for (const auto& p : service_.spec.ports) {
      if (p.port == kOtherPort) return;
    }
    AddPacket(sender,
              Packet::Tcp({sender.address, kClientPort},
                          {port_.cluster_ip, kOtherPort}),
              "cluster IP at a port that the Service lacks");
  }

  void AddPacket(const Sender& sender, const Packet& packet,
                 absl::string_view target) {
    out_.push_back(
        {absl::StrCat(port_.name, ", ", target, ", from ", sender.what),
         sender.place, packet});
  }

  const Cluster& cluster_;
  const Service& service_;
  const proxy::ServicePortInfo& port_;
  std::vector<ModeProbe>& out_;
};

}  // namespace

std::vector<ModeProbe> ProbesOf(const Cluster& cluster) {
  std::vector<ModeProbe> probes;
  proxy::ExpandOptions options;
  options.traits = proxy::TraitsOf(proxy::Dialect::kV1_30);
  for (const Service& service : cluster.services()) {
    if (!proxy::IsWatched(service.metadata, options.traits)) continue;
    for (IpFamily family : {IpFamily::kIpv4, IpFamily::kIpv6}) {
      std::vector<proxy::ServicePortInfo> ports;
      proxy::ExpandService(service, family, options, ports, nullptr);
      for (const proxy::ServicePortInfo& port : ports) {
        PortProbes(cluster, service, port, probes).Make();
      }
    }
  }
  return probes;
}

}  // namespace k8sdns::journey
