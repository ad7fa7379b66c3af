#include "k8sdns/proxy/random_cluster_for_test.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace k8sdns::proxy {
namespace {

const char* const kPortNames[] = {"", "http", "dns", "x-y"};
const Protocol kProtocols[] = {Protocol::kTcp, Protocol::kUdp, Protocol::kSctp};
const char* const kNamespaces[] = {"default", "kube", "kube-system"};

}  // namespace

Node RandomEvents::FirstNode() {
  Node node;
  node.metadata.name = "node-1";
  node.metadata.labels[kZoneLabel] = "a";
  node.addresses = {{NodeAddressType::kInternalIp, "172.18.0.11"},
                    {NodeAddressType::kInternalIp, "fc00::11"}};
  node.pod_cidrs = {"10.244.1.0/24", "fd00:10:244:1::/64"};
  return node;
}

Service RandomEvents::RandomService() {
  Service s;
  s.metadata.namespace_ = kNamespaces[Draw(3)];
  s.metadata.name = Name();
  ServiceSpec& spec = s.spec;
  const uint32_t id = Draw(200);
  spec.cluster_ip = Chance(5) ? "None" : absl::StrCat("10.96.0.", id);
  spec.cluster_ips = {spec.cluster_ip};
  spec.ip_families = {IpFamily::kIpv4};
  if (Chance(40)) {
    spec.cluster_ips.push_back(absl::StrCat("fd00:10:96::", id));
    spec.ip_families.push_back(IpFamily::kIpv6);
  }
  if (Chance(3)) s.metadata.labels[kServiceProxyNameLabel] = "other";
  if (Chance(40)) {
    s.metadata.annotations["service.kubernetes.io/topology-mode"] = "Auto";
  }
  const uint32_t type = Draw(4);
  spec.type = type == 0   ? ServiceType::kLoadBalancer
              : type == 1 ? ServiceType::kNodePort
                          : ServiceType::kClusterIp;
  for (uint32_t i = 0, n = 1 + Draw(3); i < n; ++i) {
    ServicePort port;
    port.name = kPortNames[Draw(4)];
    port.protocol = kProtocols[Draw(3)];
    port.port = static_cast<int32_t>(80 + Draw(3));
    if (type < 2) port.node_port = static_cast<int32_t>(30000 + Draw(100));
    spec.ports.push_back(port);
  }
  if (Chance(30)) spec.external_ips = {"198.51.100.1", "2001:db8::1"};
  if (Chance(40)) {
    s.load_balancer_ingress = {{"192.0.2.1", "", std::nullopt},
                               {"192.0.2.2", "", std::nullopt}};
  }
  if (Chance(40)) {
    spec.load_balancer_source_ranges = {"203.0.113.0/24"};
    if (Chance(50)) {
      spec.load_balancer_source_ranges.push_back("172.18.0.0/24");
    }
  }
  if (Chance(40)) spec.external_traffic_policy = TrafficPolicy::kLocal;
  if (Chance(20)) spec.internal_traffic_policy = TrafficPolicy::kLocal;
  if (Chance(30)) spec.session_affinity = SessionAffinity::kClientIp;
  if (Chance(50)) spec.health_check_node_port = 32000;
  return s;
}

EndpointSlice RandomEvents::RandomSlice() {
  EndpointSlice slice;
  slice.metadata.namespace_ = kNamespaces[Draw(3)];
  const std::string service = Name();
  const bool v6 = Chance(25);
  // Slices may change their service.
  slice.metadata.name =
      absl::StrCat(Chance(90) ? service : "any", "-", v6 ? "v6-" : "", Draw(2));
  slice.metadata.labels[kServiceNameLabel] = service;
  if (Chance(2)) slice.metadata.labels[kHeadlessLabel] = "";
  slice.address_type = v6 ? AddressType::kIpv6 : AddressType::kIpv4;
  for (const char* name : kPortNames) {
    for (Protocol protocol : kProtocols) {
      if (!Chance(70)) continue;
      EndpointPort port;
      port.name = name;
      port.protocol = protocol;
      port.port = static_cast<int32_t>(8080 + Draw(2));
      slice.ports.push_back(port);
    }
  }
  const bool hints = Chance(50);
  const bool few_ready = Chance(20);
  for (uint32_t i = 0, n = Draw(5); i < n; ++i) {
    Endpoint& e = slice.endpoints.emplace_back();
    e.addresses = {
        absl::StrCat(v6 ? "fd00:10:244:1::" : "10.244.1.", 1 + Draw(12))};
    e.ready = !few_ready || Chance(10);
    e.serving = Chance(80);
    e.terminating = !*e.ready && Chance(60);
    e.node_name = Chance(40) ? "node-1" : "node-2";
    if (hints) e.hints_for_zones = {{Chance(50) ? "a" : "b"}};
  }
  return slice;
}

Endpoints RandomEvents::RandomEndpoints() {
  Endpoints out;
  out.metadata.namespace_ = kNamespaces[Draw(3)];
  out.metadata.name = Name();
  for (uint32_t i = 0, n = Draw(3); i < n; ++i) {
    EndpointSubset& subset = out.subsets.emplace_back();
    for (uint32_t k = 0, m = Draw(4); k < m; ++k) {
      EndpointAddress& address = subset.addresses.emplace_back();
      address.ip = absl::StrCat("10.244.1.", 1 + Draw(12));
      address.node_name = Chance(40) ? "node-1" : "node-2";
    }
    for (const char* name : kPortNames) {
      EndpointPort port;
      port.name = name;
      port.port = static_cast<int32_t>(8080 + Draw(2));
      if (Chance(70)) subset.ports.push_back(port);
    }
  }
  return out;
}

Node RandomEvents::RandomNode() {
  Node node = FirstNode();
  if (Chance(50)) node.metadata.labels[kZoneLabel] = "b";
  if (Chance(30)) node.metadata.labels.erase(kZoneLabel);
  if (Chance(50)) node.addresses[0].address = "172.18.7.12";
  if (Chance(50)) node.pod_cidrs = {"10.244.9.0/24"};
  return node;
}

WatchEvent RandomEvents::Next(Cluster& cluster) {
  WatchEvent event;
  const uint32_t kind = Draw(100);
  if (kind < 30) {
    event.object = RandomService();
  } else if (kind < 75) {
    event.object = RandomSlice();
  } else if (kind < 97) {
    event.object = RandomEndpoints();
  } else {
    event.object = RandomNode();
  }
  if (Chance(20)) {
    // The watch gives the last state of what it deletes.
    event.type = WatchEvent::Type::kDeleted;
    if (auto* s = std::get_if<Service>(&event.object)) {
      const auto* known =
          cluster.services().Find(s->metadata.namespace_, s->metadata.name);
      if (known != nullptr) *s = Service(*known);
    } else if (auto* e = std::get_if<EndpointSlice>(&event.object)) {
      const auto* known = cluster.endpoint_slices().Find(e->metadata.namespace_,
                                                         e->metadata.name);
      if (known != nullptr) *e = EndpointSlice(*known);
    }
  }
  Apply(event, cluster);
  return event;
}

}  // namespace k8sdns::proxy
