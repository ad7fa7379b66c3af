// Objects for the tests of the endpoints controllers, and dumps of what comes
// out. One line a slice:
//
//   web IPv4 [http=8080/TCP] a:10.0.0.1 b:10.0.0.2!
//
// and of an endpoint the Pod (or "-"), its address and marks: "!" not ready,
// "~" terminating, "+" serving though not ready, "@zone", "#hostname",
// ">zone" a hint, ">>node" a hint for a node. Endpoints of legacy objects have
// "!" where they are not ready.
#ifndef K8SDNS_CLUSTER_ENDPOINTS_TEST_OBJECTS_H_
#define K8SDNS_CLUSTER_ENDPOINTS_TEST_OBJECTS_H_

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "k8sdns/cluster/endpoints_controller.h"

namespace k8sdns::endpoints_test {

using Options = EndpointsControllerOptions;

inline Node MakeNode(absl::string_view name, absl::string_view zone = "",
                     absl::string_view cpu = "4") {
  Node n;
  n.metadata.name = std::string(name);
  if (!zone.empty()) n.metadata.labels[kZoneLabel] = std::string(zone);
  n.conditions = {{"Ready", "True"}};
  n.allocatable["cpu"] = std::string(cpu);
  return n;
}

inline ContainerPort NamedPort(absl::string_view name, int number) {
  ContainerPort p;
  p.name = std::string(name);
  p.container_port = number;
  return p;
}

// A ready Pod labelled app: web; several addresses with commas.
inline Pod MakePod(absl::string_view name, absl::string_view node,
                   absl::string_view ips) {
  Pod p;
  p.metadata.name = std::string(name);
  p.metadata.namespace_ = "default";
  p.metadata.uid = absl::StrCat("uid-", name);
  p.metadata.labels = {{"app", "web"}};
  p.spec.node_name = std::string(node);
  p.spec.containers = {
      {"main", "image", {NamedPort("http", 8080)}, std::nullopt}};
  p.status.phase = PodPhase::kRunning;
  p.status.conditions = {{"Ready", "True", ""}};
  p.status.pod_ips = absl::StrSplit(ips, ',', absl::SkipEmpty());
  if (!p.status.pod_ips.empty()) p.status.pod_ip = p.status.pod_ips[0];
  return p;
}

inline Pod NotReady(Pod p) {
  p.status.conditions[0].status = "False";
  return p;
}

inline Pod Terminating(Pod p) {
  p.metadata.deletion_timestamp = "2024-05-01T10:00:00Z";
  return p;
}

// Selects app: web, port 80 to 8080.
inline Service MakeService(absl::string_view name = "web") {
  Service s;
  s.metadata.name = std::string(name);
  s.metadata.namespace_ = "default";
  s.metadata.uid = absl::StrCat("uid-", name);
  s.spec.cluster_ip = "10.96.0.10";
  s.spec.ip_families = {IpFamily::kIpv4};
  s.spec.selector = {{"app", "web"}};
  s.spec.ports = {{"http", Protocol::kTcp, 80, 8080, 0, std::nullopt}};
  return s;
}

inline Service WithNamedPort(Service s, absl::string_view name = "http") {
  s.spec.ports[0].target_port = std::string(name);
  return s;
}

inline Endpoints MakeEndpoints(absl::string_view name,
                               std::vector<EndpointSubset> subsets) {
  Endpoints e;
  e.metadata.name = std::string(name);
  e.metadata.namespace_ = "default";
  e.metadata.uid = absl::StrCat("uid-ep-", name);
  e.subsets = std::move(subsets);
  return e;
}

inline EndpointAddress Address(absl::string_view ip) {
  EndpointAddress a;
  a.ip = std::string(ip);
  return a;
}

inline EndpointPort PortNamed(absl::string_view name, int number) {
  EndpointPort p;
  p.name = std::string(name);
  p.port = number;
  return p;
}

// Three nodes in three zones, and the objects given.
template <typename... T>
Cluster MakeCluster(const T&... objects) {
  Cluster cluster;
  cluster.Put(MakeNode("n1", "z1"));
  cluster.Put(MakeNode("n2", "z2"));
  cluster.Put(MakeNode("n3", "z3"));
  (cluster.Put(objects), ...);
  return cluster;
}

inline std::string DumpPorts(const std::vector<EndpointPort>& ports) {
  std::vector<std::string> out;
  for (const EndpointPort& p : ports) {
    out.push_back(absl::StrCat(
        p.name.value_or(""), "=", p.port.value_or(0), "/",
        KubernetesProtocolName(p.protocol.value_or(Protocol::kTcp))));
  }
  std::sort(out.begin(), out.end());
  return absl::StrCat("[", absl::StrJoin(out, ","), "]");
}

inline std::string Dump(const Endpoint& e) {
  std::string out =
      absl::StrCat(" ", e.target_ref ? e.target_ref->name.view() : "-", ":",
                   absl::StrJoin(std::vector<absl::string_view>(
                                     e.addresses.begin(), e.addresses.end()),
                                 ","));
  if (!e.IsReady()) out += "!";
  if (!e.IsReady() && e.IsServing()) out += "+";
  if (e.IsTerminating()) out += "~";
  if (e.zone) absl::StrAppend(&out, "@", e.zone->view());
  if (e.hostname) absl::StrAppend(&out, "#", *e.hostname);
  if (e.hints_for_zones) {
    absl::StrAppend(&out, ">", absl::StrJoin(*e.hints_for_zones, ","));
  }
  if (e.hints_for_nodes) {
    absl::StrAppend(&out, ">>", absl::StrJoin(*e.hints_for_nodes, ","));
  }
  return out;
}

inline std::string Dump(const EndpointSlice& s) {
  static constexpr const char* kTypes[] = {"IPv4", "IPv6", "FQDN"};
  std::string out = absl::StrCat(s.ServiceName(), " ",
                                 kTypes[static_cast<int>(s.address_type)], " ",
                                 DumpPorts(s.ports));
  for (const Endpoint& e : s.endpoints) out += Dump(e);
  return out + "\n";
}

// Slices by Service, family, ports and content: names play no part.
inline std::string Slices(const Cluster& cluster) {
  std::vector<std::string> lines;
  for (const EndpointSlice& s : cluster.endpoint_slices()) {
    lines.push_back(Dump(s));
  }
  std::sort(lines.begin(), lines.end());
  return absl::StrJoin(lines, "");
}

inline std::string Legacy(const Cluster& cluster) {
  std::string out;
  for (const Endpoints& e : cluster.endpoints()) {
    absl::StrAppend(&out, e.metadata.name, "\n");
    for (const EndpointSubset& s : e.subsets) {
      absl::StrAppend(&out, "  ", DumpPorts(s.ports));
      for (const auto& a : s.addresses) absl::StrAppend(&out, " ", a.ip);
      for (const auto& a : s.not_ready_addresses) {
        absl::StrAppend(&out, " ", a.ip, "!");
      }
      out += "\n";
    }
  }
  return out;
}

inline std::string SettledSlices(const Cluster& cluster,
                                 const Options& options = {}) {
  return Slices(ReconcileEndpoints(cluster, options));
}

inline std::string SettledLegacy(const Cluster& cluster,
                                 const Options& options = {}) {
  return Legacy(ReconcileEndpoints(cluster, options));
}

inline const EndpointSlice& OnlySlice(const Cluster& cluster) {
  EXPECT_EQ(cluster.endpoint_slices().size(), 1u);
  return *cluster.endpoint_slices().begin();
}

inline std::vector<std::string> Ids(const std::vector<Finding>& findings) {
  std::vector<std::string> ids;
  for (const Finding& f : findings) ids.push_back(f.id);
  return ids;
}

inline Cluster ClusterOf(size_t pods) {
  Cluster cluster = MakeCluster(MakeService());
  for (size_t i = 0; i < pods; ++i) {
    cluster.Put(MakePod(absl::StrCat("p", 1000 + i), "n1",
                        absl::StrCat("10.0.", i / 250, ".", i % 250 + 1)));
  }
  return cluster;
}

}  // namespace k8sdns::endpoints_test

#endif  // K8SDNS_CLUSTER_ENDPOINTS_TEST_OBJECTS_H_
