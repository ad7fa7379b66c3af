#include "k8sdns/testing/cluster_builder.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"

namespace k8sdns::testing {
namespace {

[[noreturn]] void Misuse(const std::string& what) {
  std::fprintf(stderr, "ClusterBuilder: %s\n", what.c_str());
  std::abort();
}

IpFamily FamilyOf(absl::string_view ip) {
  const auto address = IpAddress::Parse(ip);
  if (!address) Misuse(absl::StrCat("\"", ip, "\" is no IP address"));
  return address->family();
}

void SetName(absl::string_view name, ObjectMeta& meta) {
  const size_t slash = name.find('/');
  if (slash == absl::string_view::npos) {
    meta.namespace_ = "default";
    meta.name = std::string(name);
  } else {
    meta.namespace_ = std::string(name.substr(0, slash));
    meta.name = std::string(name.substr(slash + 1));
  }
}

std::vector<EndpointPort> TargetPorts(const Service& service) {
  std::vector<EndpointPort> out;
  for (const ServicePort& p : service.spec.ports) {
    out.push_back(
        {p.name, p.protocol, std::get<int32_t>(p.target_port), std::nullopt});
  }
  return out;
}

EndpointSlice MakeSlice(const Service& service, IpFamily family,
                        EndpointList endpoints) {
  EndpointSlice slice;
  slice.metadata.namespace_ = service.metadata.namespace_;
  slice.metadata.name =
      service.metadata.name + (family == IpFamily::kIpv4 ? "-v4" : "-v6");
  slice.metadata.labels[kServiceNameLabel] = service.metadata.name;
  slice.address_type =
      family == IpFamily::kIpv4 ? AddressType::kIpv4 : AddressType::kIpv6;
  slice.ports = TargetPorts(service);
  slice.endpoints = std::move(endpoints);
  return slice;
}

}  // namespace

ClusterBuilder& ClusterBuilder::AddNode(absl::string_view name,
                                        absl::string_view internal_ip,
                                        absl::string_view pod_cidr,
                                        absl::string_view zone) {
  FamilyOf(internal_ip);
  Node n;
  n.metadata.name = std::string(name);
  n.metadata.labels[kHostnameLabel] = std::string(name);
  if (!zone.empty()) n.metadata.labels[kZoneLabel] = std::string(zone);
  n.addresses.push_back(
      {NodeAddressType::kInternalIp, std::string(internal_ip)});
  if (!pod_cidr.empty()) {
    n.pod_cidr = std::string(pod_cidr);
    n.pod_cidrs = {n.pod_cidr};
  }
  n.conditions.push_back({"Ready", "True"});
  return Add(std::move(n));
}

ClusterBuilder& ClusterBuilder::AddPod(absl::string_view name,
                                       absl::string_view node,
                                       absl::string_view ip, StringMap labels) {
  FamilyOf(ip);
  Pod p;
  SetName(name, p.metadata);
  p.metadata.labels = std::move(labels);
  p.spec.node_name = std::string(node);
  p.status.phase = PodPhase::kRunning;
  p.status.conditions.push_back({"Ready", "True", ""});
  p.status.pod_ip = std::string(ip);
  p.status.pod_ips = {p.status.pod_ip};
  return Add(std::move(p));
}

ClusterBuilder& ClusterBuilder::AddService(absl::string_view name,
                                           absl::string_view cluster_ip,
                                           StringMap selector) {
  Draft draft;
  Service& s = draft.service;
  SetName(name, s.metadata);
  s.spec.cluster_ip = std::string(cluster_ip);
  s.spec.selector = std::move(selector);
  if (!cluster_ip.empty()) s.spec.cluster_ips = {s.spec.cluster_ip};
  s.spec.ip_families = {cluster_ip.empty() || cluster_ip == "None"
                            ? IpFamily::kIpv4
                            : FamilyOf(cluster_ip)};
  drafts_.push_back(std::move(draft));
  return *this;
}

Service& ClusterBuilder::LastService() {
  if (drafts_.empty()) Misuse("there is no Service yet");
  return drafts_.back().service;
}

ClusterBuilder& ClusterBuilder::Port(absl::string_view name, int port,
                                     int target_port, Protocol protocol) {
  ServicePort p;
  p.name = std::string(name);
  p.protocol = protocol;
  p.port = port;
  p.target_port = target_port;
  LastService().spec.ports.push_back(std::move(p));
  return *this;
}

ClusterBuilder& ClusterBuilder::NodePort(int node_port) {
  Service& s = LastService();
  if (s.spec.ports.empty()) Misuse("NodePort() before Port()");
  if (s.spec.type == ServiceType::kClusterIp) {
    s.spec.type = ServiceType::kNodePort;
  }
  s.spec.ports.back().node_port = node_port;
  return *this;
}

ClusterBuilder& ClusterBuilder::LoadBalancer(absl::string_view ip) {
  FamilyOf(ip);
  Service& s = LastService();
  s.spec.type = ServiceType::kLoadBalancer;
  s.load_balancer_ingress.push_back({std::string(ip), "", std::nullopt});
  return *this;
}

ClusterBuilder& ClusterBuilder::ExternalIp(absl::string_view ip) {
  FamilyOf(ip);
  LastService().spec.external_ips.emplace_back(ip);
  return *this;
}

ClusterBuilder& ClusterBuilder::ExternalPolicy(TrafficPolicy policy) {
  LastService().spec.external_traffic_policy = policy;
  return *this;
}

ClusterBuilder& ClusterBuilder::InternalPolicy(TrafficPolicy policy) {
  LastService().spec.internal_traffic_policy = policy;
  return *this;
}

ClusterBuilder& ClusterBuilder::ClientIpAffinity(int timeout_seconds) {
  LastService().spec.session_affinity = SessionAffinity::kClientIp;
  LastService().spec.session_affinity_timeout_seconds = timeout_seconds;
  return *this;
}

ClusterBuilder& ClusterBuilder::AddEndpoint(absl::string_view ip,
                                            absl::string_view node,
                                            bool ready) {
  LastService();
  Endpoint e;
  e.addresses = {std::string(ip)};
  e.ready = ready;
  e.serving = ready;
  e.terminating = false;
  if (!node.empty()) {
    e.node_name = std::string(node);
    const Node* found = cluster_.nodes().Find(node);
    if (found != nullptr && !found->Zone().empty()) {
      e.zone = std::string(found->Zone());
    }
  }
  drafts_.back().endpoints[FamilyOf(ip)].push_back(std::move(e));
  return *this;
}

Cluster ClusterBuilder::Build() {
  Cluster out = cluster_;
  for (const Draft& draft : drafts_) {
    Endpoints legacy;
    legacy.metadata.namespace_ = draft.service.metadata.namespace_;
    legacy.metadata.name = draft.service.metadata.name;
    EndpointSubset subset;
    for (const auto& [family, endpoints] : draft.endpoints) {
      out.Put(MakeSlice(draft.service, family, endpoints));
      // Endpoints hold the Service's first family only.
      if (family != draft.service.spec.ip_families[0]) continue;
      for (const Endpoint& e : endpoints) {
        EndpointAddress a;
        a.ip = std::string(e.addresses[0]);
        a.node_name = e.node_name;
        (e.IsReady() ? subset.addresses : subset.not_ready_addresses)
            .push_back(std::move(a));
      }
    }
    subset.ports = TargetPorts(draft.service);
    if (!subset.addresses.empty() || !subset.not_ready_addresses.empty()) {
      legacy.subsets.push_back(std::move(subset));
    }
    out.Put(std::move(legacy));
    out.Put(draft.service);
  }
  return out;
}

}  // namespace k8sdns::testing
