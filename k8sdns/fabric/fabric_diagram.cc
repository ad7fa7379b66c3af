#include "k8sdns/fabric/fabric_diagram.h"

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "k8sdns/fabric/attached_pods.h"

namespace k8sdns::fabric {
namespace {

using diagram::Box;
using diagram::Diagram;
using diagram::Style;

// Devices but those of Pods, then the routes.
Box HostBox(const NodeNetwork& net, size_t lane) {
  Box box;
  box.lane = lane;
  box.title = "devices and routes";
  for (const Interface& i : net.interfaces) {
    if (i.kind == Interface::Kind::kVeth ||
        i.kind == Interface::Kind::kLoopback) {
      continue;
    }
    std::string line = absl::StrCat(i.name, " mtu ", i.mtu);
    for (const IpPrefix& p : i.addresses) {
      absl::StrAppend(&line, " ", p.ToString());
    }
    box.lines.push_back(std::move(line));
  }
  for (const Route& r : net.routes) box.lines.push_back(r.ToString());
  return box;
}

// Devices by which packets reach other nodes.
std::vector<const Interface*> Uplinks(const NodeNetwork& net) {
  std::vector<const Interface*> out;
  for (const Interface& i : net.interfaces) {
    if (i.kind == Interface::Kind::kWire || i.kind == Interface::Kind::kIpip ||
        i.kind == Interface::Kind::kVxlan) {
      out.push_back(&i);
    }
  }
  return out;
}

}  // namespace

Diagram DiagramOf(const Fabric& fabric, const Cluster& cluster) {
  Diagram d;
  d.title = absl::StrCat("Network: ", NetworkKindName(fabric.network()));
  const AttachedPods pods(fabric, cluster);
  std::vector<size_t> hosts;
  for (const NodeNetwork& net : fabric.nodes()) {
    const size_t lane = d.lanes.size();
    d.lanes.push_back(absl::StrCat("node ", net.node));
    std::vector<size_t> boxes;
    const std::span<const AttachedPod> here = pods.OnNode(net.node);
    for (const AttachedPod& attached : here) {
      const Pod& pod = *attached.pod;
      Box box;
      box.lane = lane;
      box.title =
          absl::StrCat("pod ", pod.metadata.namespace_, "/", pod.metadata.name);
      box.lines = {pod.spec.host_network ? "in the node's own network"
                                         : absl::StrJoin(pod.Addresses(), " ")};
      box.style = Style::kStart;
      boxes.push_back(d.Add(std::move(box)));
    }
    hosts.push_back(d.Add(HostBox(net, lane)));
    for (size_t i = 0; i < here.size(); ++i) {
      d.Connect(boxes[i], hosts.back(), here[i].device);
    }
  }
  const size_t lane = d.lanes.size();
  d.lanes.push_back("between the nodes");
  Box wire;
  wire.lane = lane;
  wire.title = "network of the nodes";
  wire.style = Style::kQuiet;
  const size_t joined = d.Add(std::move(wire));
  for (size_t i = 0; i < hosts.size(); ++i) {
    std::vector<std::string> names;
    for (const Interface* uplink : Uplinks(fabric.nodes()[i])) {
      names.push_back(uplink->name);
    }
    d.Connect(hosts[i], joined, absl::StrJoin(names, ", "));
  }
  return d;
}

}  // namespace k8sdns::fabric
