#include "k8sdns/fabric/fabric_diagram.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

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

// The host's end of the Pod's veth, or the bridge that it hangs on.
std::string DeviceOf(const NodeNetwork& net, const Pod& pod) {
  for (const Interface& i : net.interfaces) {
    if (i.kind == Interface::Kind::kBridge) return i.name;
    if (i.pod_namespace == pod.metadata.namespace_ &&
        i.pod_name == pod.metadata.name) {
      return i.name;
    }
  }
  return "";
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
  std::vector<size_t> hosts;
  for (const NodeNetwork& net : fabric.nodes()) {
    const size_t lane = d.lanes.size();
    d.lanes.push_back(absl::StrCat("node ", net.node));
    std::vector<std::pair<size_t, std::string>> pods;
    for (const Pod& pod : cluster.pods()) {
      if (pod.spec.node_name != net.node || pod.Addresses().empty()) continue;
      Box box;
      box.lane = lane;
      box.title =
          absl::StrCat("pod ", pod.metadata.namespace_, "/", pod.metadata.name);
      box.lines = {pod.spec.host_network ? "in the node's own network"
                                         : absl::StrJoin(pod.Addresses(), " ")};
      box.style = Style::kStart;
      const std::string device =
          pod.spec.host_network ? "" : DeviceOf(net, pod);
      pods.emplace_back(d.Add(std::move(box)), device);
    }
    hosts.push_back(d.Add(HostBox(net, lane)));
    for (auto& [pod, device] : pods) {
      d.Connect(pod, hosts.back(), std::move(device));
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
