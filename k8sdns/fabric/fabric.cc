#include "k8sdns/fabric/fabric.h"

#include <algorithm>
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/breadth_first_search.hpp>
#include <boost/graph/filtered_graph.hpp>
#include <boost/graph/graphviz.hpp>
#include <climits>
#include <map>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "k8sdns/fabric/network.h"

namespace k8sdns::fabric {
namespace {

// Which packets may use a link: what is addressed to a Pod may have to travel
// in the tunnel where what is addressed to a node must not.
enum Traffic : unsigned { kToPod = 1, kToHost = 2, kAll = 3 };

struct Vertex {
  std::string name;
  std::string node;
};

struct Link {
  Hop hop;
  unsigned traffic = kAll;
};

using BoostGraph = boost::adjacency_list<boost::vecS, boost::vecS,
                                         boost::directedS, Vertex, Link>;
using VertexId = BoostGraph::vertex_descriptor;
using EdgeId = BoostGraph::edge_descriptor;

struct Carries {
  const BoostGraph* graph = nullptr;
  unsigned traffic = kAll;
  bool operator()(const EdgeId& e) const {
    return ((*graph)[e].traffic & traffic) != 0;
  }
};

Hop MakeHop(Hop::Kind kind, absl::string_view node, absl::string_view dev,
            int mtu, int overhead, std::string description) {
  return Hop{kind, std::string(node), std::string(dev),
             mtu,  overhead,          std::move(description)};
}

std::string PlaceKey(const Place& place) { return place.ToString(); }

}  // namespace

struct Fabric::Graph {
  NetworkKind network;
  FabricOptions options;
  std::vector<NodeSite> sites;
  std::vector<NodeNetwork> nodes;
  BoostGraph graph;
  std::map<std::string, VertexId> places;
  std::map<IpAddress, std::string> node_of;

  VertexId Add(std::string name, absl::string_view node) {
    return boost::add_vertex(Vertex{std::move(name), std::string(node)}, graph);
  }
  void Connect(VertexId a, VertexId b, Hop hop, unsigned traffic = kAll) {
    boost::add_edge(a, b, Link{std::move(hop), traffic}, graph);
  }

  void BuildNode(size_t index, std::vector<VertexId>& hosts,
                 std::vector<VertexId>& wires);
  void AddPod(const NodeNetwork& net, const PodSite& pod, VertexId host);
  void JoinNodes(const std::vector<VertexId>& hosts,
                 const std::vector<VertexId>& wires);
  void JoinOutside(const std::vector<VertexId>& wires);
};

void Fabric::Graph::AddPod(const NodeNetwork& net, const PodSite& pod,
                           VertexId host) {
  const Place place = Place::OfPod(pod.namespace_, pod.name);
  for (const IpAddress& a : pod.addresses) node_of.emplace(a, net.node);
  if (pod.host_network) {
    places[PlaceKey(place)] = host;
    return;
  }
  auto veth = std::find_if(
      net.interfaces.begin(), net.interfaces.end(), [&](const Interface& i) {
        return i.kind == Interface::Kind::kVeth &&
               i.pod_namespace == pod.namespace_ && i.pod_name == pod.name;
      });
  if (veth == net.interfaces.end()) return;  // it has no address yet
  const VertexId v = Add(place.ToString(), net.node);
  places[PlaceKey(place)] = v;
  const bool bridge = TraitsOf(network).bridge;
  const std::string pod_name = absl::StrCat(pod.namespace_, "/", pod.name);
  Connect(v, host,
          MakeHop(Hop::Kind::kVeth, net.node, "eth0", veth->mtu, 0,
                  absl::StrCat("eth0 of pod ", pod_name, " -> ", veth->name,
                               bridge ? " on bridge cni0" : "", " of node ",
                               net.node)));
  Connect(host, v,
          MakeHop(bridge ? Hop::Kind::kBridge : Hop::Kind::kVeth, net.node,
                  bridge ? "cni0" : veth->name, veth->mtu, 0,
                  absl::StrCat(bridge ? "bridge cni0, " : "", veth->name,
                               " of node ", net.node, " -> eth0 of pod ",
                               pod_name)));
}

void Fabric::Graph::BuildNode(size_t index, std::vector<VertexId>& hosts,
                              std::vector<VertexId>& wires) {
  const NodeSite& site = sites[index];
  const NodeNetwork& net = nodes[index];
  const VertexId host = Add("node " + site.name, site.name);
  const VertexId wire = Add("eth0 of " + site.name, site.name);
  hosts.push_back(host);
  wires.push_back(wire);
  places[PlaceKey(Place::OfNode(site.name))] = host;
  for (const IpPrefix& p : site.addresses) {
    node_of.emplace(p.address(), site.name);
  }
  Connect(wire, host,
          MakeHop(Hop::Kind::kHost, site.name, "", 0, 0,
                  absl::StrCat("arrives by eth0 of node ", site.name)));
  // Without a tunnel, and to nodes and the outside, packets go out as they are.
  Connect(host, wire,
          MakeHop(Hop::Kind::kRouting, site.name, "eth0", options.wire_mtu, 0,
                  absl::StrCat("eth0 of node ", site.name)),
          kToHost);
  for (const PodSite& pod : site.pods) AddPod(net, pod, host);
}

void Fabric::Graph::JoinNodes(const std::vector<VertexId>& hosts,
                              const std::vector<VertexId>& wires) {
  const NetworkTraits& traits = TraitsOf(network);
  const int mtu = options.wire_mtu;
  for (size_t i = 0; i < sites.size(); ++i) {
    for (size_t j = 0; j < sites.size(); ++j) {
      if (i == j) continue;
      const IpFamily family = sites[j].addresses.front().family();
      const std::string from = sites[i].addresses.front().address().ToString();
      const std::string to = sites[j].addresses.front().address().ToString();
      const bool same = SameSubnet(sites[i], sites[j], family);
      const std::string between =
          absl::StrCat("wire ", from, " -> ", to,
                       same ? "" : " through the router between the subnets");
      const Hop::Kind kind = same ? Hop::Kind::kWire : Hop::Kind::kRouter;
      Connect(wires[i], wires[j], MakeHop(kind, "", "eth0", mtu, 0, between),
              kToHost);
      if (!Tunnelled(traits, sites[i], sites[j], family)) {
        Connect(hosts[i], wires[j],
                MakeHop(kind, sites[i].name, "eth0", mtu, 0,
                        absl::StrCat("eth0 of node ", sites[i].name, ", ",
                                     between, ", not encapsulated")),
                kToPod);
        continue;
      }
      const VertexId tunnel = Add(
          absl::StrCat("tunnel ", sites[i].name, " -> ", sites[j].name), "");
      Connect(
          hosts[i], tunnel,
          MakeHop(Hop::Kind::kTunnel, sites[i].name, traits.tunnel_device,
                  mtu - traits.tunnel_overhead, 0,
                  absl::StrCat(
                      traits.tunnel_device, " of node ", sites[i].name, ": ",
                      traits.tunnel_kind == Interface::Kind::kIpip ? "IP in IP"
                                                                   : "VXLAN",
                      " ", from, " -> ", to)),
          kToPod);
      Connect(tunnel, wires[j],
              MakeHop(kind, "", "eth0", mtu, traits.tunnel_overhead, between),
              kToPod);
    }
  }
}

void Fabric::Graph::JoinOutside(const std::vector<VertexId>& wires) {
  const VertexId outside = Add("outside", "");
  places[PlaceKey(Place::Outside())] = outside;
  for (size_t i = 0; i < sites.size(); ++i) {
    Connect(outside, wires[i],
            MakeHop(Hop::Kind::kRouter, "", "", options.wire_mtu, 0,
                    absl::StrCat("router -> eth0 of node ", sites[i].name)),
            kToHost);
    Connect(wires[i], outside,
            MakeHop(Hop::Kind::kRouter, "", "eth0", options.wire_mtu, 0,
                    absl::StrCat("eth0 of node ", sites[i].name,
                                 " -> default gateway -> outside")),
            kToHost);
  }
}

Fabric::Fabric(std::unique_ptr<Graph> graph) : graph_(std::move(graph)) {}
Fabric::Fabric(Fabric&&) noexcept = default;
Fabric& Fabric::operator=(Fabric&&) noexcept = default;
Fabric::~Fabric() = default;

absl::StatusOr<Fabric> Fabric::FromCluster(const Cluster& cluster,
                                           const FabricOptions& options) {
  auto graph = std::make_unique<Graph>();
  graph->network = options.network.value_or(DetectNetwork(cluster));
  graph->options = options;
  absl::StatusOr<std::vector<NodeSite>> sites = ReadSites(cluster, options);
  if (!sites.ok()) return sites.status();
  graph->sites = *std::move(sites);
  const NetworkTraits& traits = TraitsOf(graph->network);
  for (size_t i = 0; i < graph->sites.size(); ++i) {
    graph->nodes.push_back(BuildNodeNetwork(traits, options, graph->sites, i));
  }
  std::vector<VertexId> hosts;
  std::vector<VertexId> wires;
  for (size_t i = 0; i < graph->sites.size(); ++i) {
    graph->BuildNode(i, hosts, wires);
  }
  graph->JoinNodes(hosts, wires);
  graph->JoinOutside(wires);
  return Fabric(std::move(graph));
}

NetworkKind Fabric::network() const { return graph_->network; }

const std::vector<NodeNetwork>& Fabric::nodes() const { return graph_->nodes; }

const NodeNetwork* Fabric::FindNode(absl::string_view name) const {
  for (const NodeNetwork& n : graph_->nodes) {
    if (n.node == name) return &n;
  }
  return nullptr;
}

std::string Fabric::NodeOf(const IpAddress& address) const {
  auto it = graph_->node_of.find(address);
  return it == graph_->node_of.end() ? "" : it->second;
}

absl::StatusOr<Path> Fabric::FindPath(const Place& from,
                                      const Place& to) const {
  const auto a = graph_->places.find(PlaceKey(from));
  const auto b = graph_->places.find(PlaceKey(to));
  for (const auto& [found, place] : {std::pair(a, from), std::pair(b, to)}) {
    if (found == graph_->places.end()) {
      return absl::NotFoundError(
          absl::StrCat(place.ToString(), " is not in the network"));
    }
  }
  const BoostGraph& g = graph_->graph;
  // A host network Pod has the node's vertex, and its address is the node's.
  const bool to_pod =
      g[b->second].name == Place(to).ToString() && to.kind == Place::Kind::kPod;
  const Carries carries{&g, to_pod ? kToPod : kToHost};
  const boost::filtered_graph<BoostGraph, Carries> usable(g, carries);
  std::vector<VertexId> previous(boost::num_vertices(g));
  for (VertexId v = 0; v < previous.size(); ++v) previous[v] = v;
  boost::breadth_first_search(
      usable, a->second,
      boost::visitor(boost::make_bfs_visitor(
          boost::record_predecessors(previous.data(), boost::on_tree_edge()))));
  Path path;
  VertexId at = b->second;
  while (at != a->second) {
    if (previous[at] == at) {
      return absl::NotFoundError(
          absl::StrCat("no way from ", from.ToString(), " to ", to.ToString()));
    }
    path.hops.push_back(
        usable[boost::edge(previous[at], at, usable).first].hop);
    at = previous[at];
  }
  std::reverse(path.hops.begin(), path.hops.end());
  return path;
}

std::string Fabric::ToDot() const {
  std::ostringstream out;
  const BoostGraph& g = graph_->graph;
  boost::write_graphviz(
      out, g,
      [&](std::ostream& o, VertexId v) {
        o << "[label=" << boost::escape_dot_string(g[v].name) << "]";
      },
      [&](std::ostream& o, const EdgeId& e) {
        o << "[label=" << boost::escape_dot_string(g[e].hop.interface) << "]";
      });
  return out.str();
}

Place Place::OfPod(absl::string_view namespace_, absl::string_view name) {
  return {Kind::kPod, std::string(namespace_), std::string(name)};
}
Place Place::OfNode(absl::string_view name) {
  return {Kind::kNode, "", std::string(name)};
}
Place Place::Outside(absl::string_view via) {
  return {Kind::kOutside, "", std::string(via)};
}

std::string Place::ToString() const {
  switch (kind) {
    case Kind::kPod:
      return absl::StrCat("pod ", namespace_, "/", name);
    case Kind::kNode:
      return absl::StrCat("node ", name);
    case Kind::kOutside:
      return name.empty() ? "outside" : absl::StrCat("outside, via ", name);
  }
  return "";
}

std::string Route::ToString() const {
  std::string out = blackhole ? "blackhole " : "";
  const bool host = destination.length() == destination.address().bits();
  absl::StrAppend(&out, destination.length() == 0 ? "default"
                        : host ? destination.address().ToString()
                               : destination.ToString());
  if (via) absl::StrAppend(&out, " via ", via->ToString());
  if (!dev.empty()) absl::StrAppend(&out, " dev ", dev);
  return out;
}

const Route* NodeNetwork::RouteTo(const IpAddress& destination) const {
  for (const Route& r : routes) {
    if (r.destination.Contains(destination)) return &r;
  }
  return nullptr;
}

const Interface* NodeNetwork::FindInterface(absl::string_view name) const {
  for (const Interface& i : interfaces) {
    if (i.name == name) return &i;
  }
  return nullptr;
}

int Path::Mtu() const {
  int mtu = INT_MAX;
  for (const Hop& h : hops) {
    if (h.mtu > 0) mtu = std::min(mtu, h.mtu - h.overhead);
  }
  return mtu;
}

const Hop* Path::Narrow(int packet_size) const {
  for (const Hop& h : hops) {
    if (h.mtu > 0 && packet_size + h.overhead > h.mtu) return &h;
  }
  return nullptr;
}

}  // namespace k8sdns::fabric
