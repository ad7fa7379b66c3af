#include "k8sdns/journey/entry_points.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"

namespace k8sdns::journey {
namespace {

using fabric::NetworkKind;

bool IsAddress(absl::string_view text, const IpAddress& address) {
  return IpAddress::ParseSloppy(text) == address;
}

std::vector<std::string> AllNodes(const fabric::Fabric& fabric) {
  std::vector<std::string> names;
  for (const fabric::NodeNetwork& n : fabric.nodes()) names.push_back(n.node);
  return names;
}

// Those that answer the health check of a Service with policy Local.
std::vector<std::string> NodesWithEndpoints(const Cluster& cluster,
                                            const fabric::Fabric& fabric,
                                            const Service& service) {
  std::set<std::string> with;
  for (const EndpointSlice* slice :
       cluster.SlicesOf(service.metadata.namespace_, service.metadata.name)) {
    for (const Endpoint& e : slice->endpoints) {
      if (e.IsReady() && e.node_name) with.emplace(*e.node_name);
    }
  }
  std::vector<std::string> names = AllNodes(fabric);
  names.erase(
      std::remove_if(names.begin(), names.end(),
                     [&](const std::string& n) { return !with.contains(n); }),
      names.end());
  return names;
}

const ServicePort* PortOf(const Service& service, const Packet& packet) {
  for (const ServicePort& port : service.spec.ports) {
    if (port.port == packet.dst_port && port.protocol == packet.protocol) {
      return &port;
    }
  }
  return nullptr;
}

EntryPoints ByLoadBalancer(const Cluster& cluster, const fabric::Fabric& fabric,
                           const Service& service, IpMode mode,
                           const Packet& packet) {
  EntryPoints entry;
  const std::string name =
      absl::StrCat(service.metadata.namespace_, "/", service.metadata.name);
  entry.by = absl::StrCat("load balancer of ", name);
  const ServicePort* port = PortOf(service, packet);
  if (port == nullptr) {
    entry.reason = absl::StrCat("the load balancer of ", name,
                                " does not listen on port ", packet.dst_port);
    return entry;
  }
  const bool local =
      service.spec.external_traffic_policy == TrafficPolicy::kLocal;
  entry.nodes =
      local ? NodesWithEndpoints(cluster, fabric, service) : AllNodes(fabric);
  if (entry.nodes.empty()) {
    entry.reason = absl::StrCat("no node passes the health check of ", name);
  }
  if (mode == IpMode::kProxy) {
    entry.node_port = static_cast<uint16_t>(port->node_port);
    if (entry.node_port == 0) {
      entry.nodes.clear();
      entry.reason = absl::StrCat("the load balancer of ", name,
                                  " has no node port to send to");
    }
  }
  return entry;
}

// Whether routers outside know the way to Pods.
bool RoutesPods(NetworkKind kind) {
  return kind == NetworkKind::kCalicoBgp || kind == NetworkKind::kCloudRoutes;
}

}  // namespace

EntryPoints FindEntryPoints(const Cluster& cluster,
                            const fabric::Fabric& fabric,
                            const Packet& packet) {
  EntryPoints entry;
  const IpAddress& to = packet.dst;
  for (const Service& service : cluster.services()) {
    for (const LoadBalancerIngress& ingress : service.load_balancer_ingress) {
      if (!IsAddress(ingress.ip, to)) continue;
      return ByLoadBalancer(cluster, fabric, service,
                            ingress.ip_mode.value_or(IpMode::kVip), packet);
    }
    for (const std::string& ip : service.spec.external_ips) {
      if (!IsAddress(ip, to)) continue;
      entry.by = "router";
      entry.nodes = AllNodes(fabric);
      return entry;
    }
  }
  const std::string node = fabric.NodeOf(to);
  const fabric::NodeNetwork* net = fabric.FindNode(node);
  const fabric::Interface* wire =
      net == nullptr ? nullptr : net->FindInterface("eth0");
  const bool own =
      wire != nullptr &&
      std::any_of(wire->addresses.begin(), wire->addresses.end(),
                  [&](const IpPrefix& p) { return p.address() == to; });
  if (own || (net != nullptr && RoutesPods(fabric.network()))) {
    entry.by = "router";
    entry.nodes = {node};
    return entry;
  }
  entry.reason =
      absl::StrCat("nothing outside routes ", to.ToString(), " to the cluster");
  return entry;
}

}  // namespace k8sdns::journey
