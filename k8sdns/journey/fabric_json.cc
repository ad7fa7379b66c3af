#include "k8sdns/journey/fabric_json.h"

#include "k8sdns/fabric/attached_pods.h"
#include "k8sdns/journey/render_json.h"
#include "proto/k8sdns/v1/fabric.pb.h"

namespace k8sdns::journey {
namespace {

void Fill(const fabric::Interface& from, v1::NetworkInterface& to) {
  to.set_name(from.name);
  to.set_kind(std::string(fabric::InterfaceKindName(from.kind)));
  to.set_mtu(from.mtu);
  for (const IpPrefix& p : from.addresses) to.add_addresses(p.ToString());
}

void Fill(const fabric::Route& from, v1::NetworkRoute& to) {
  to.set_destination(from.destination.ToString());
  if (from.via) to.set_via(from.via->ToString());
  to.set_dev(from.dev);
  to.set_blackhole(from.blackhole);
}

void Fill(const fabric::AttachedPod& from, v1::AttachedPod& to) {
  to.set_namespace_(from.pod->metadata.namespace_);
  to.set_name(from.pod->metadata.name);
  for (const auto& address : from.pod->Addresses()) {
    to.add_addresses(absl::StrCat(address));
  }
  to.set_host_network(from.pod->spec.host_network);
  to.set_device(from.device);
}

}  // namespace

absl::StatusOr<std::string> FabricToJson(const fabric::Fabric& fabric,
                                         const Cluster& cluster) {
  v1::Fabric message;
  message.set_network(std::string(NetworkKindName(fabric.network())));
  const fabric::AttachedPods pods(fabric, cluster);
  for (const fabric::NodeNetwork& node : fabric.nodes()) {
    v1::FabricNode& to = *message.add_nodes();
    to.set_name(node.node);
    for (const auto& i : node.interfaces) Fill(i, *to.add_interfaces());
    for (const auto& r : node.routes) Fill(r, *to.add_routes());
    for (const auto& p : pods.OnNode(node.node)) Fill(p, *to.add_pods());
  }
  return RenderJson(message);
}

}  // namespace k8sdns::journey
