// Seeded clusters of any size: for benchmarks, load tests and sizing.
//
//   ClusterShape shape;
//   shape.services = 10'000;
//   shape.endpoints_per_service = 10;
//   Cluster cluster = GenerateCluster(shape);
//
// The same shape gives the same objects on every platform. Nothing is shared;
// thread-safe.
#ifndef K8SDNS_TESTING_CLUSTER_GENERATOR_H_
#define K8SDNS_TESTING_CLUSTER_GENERATOR_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "k8sdns/cluster/cluster.h"

namespace k8sdns::testing {

struct ClusterShape {
  uint64_t seed = 1;

  size_t services = 100;      // 0..1,000,000
  int ports_per_service = 1;  // 1..100
  // Endpoints of a Service: always this number, or a mean if `zipf` is set.
  size_t endpoints_per_service = 10;
  // Endpoints in all, instead: 250,011 over 5,006 Services.
  std::optional<size_t> total_endpoints;
  // Sizes follow a Zipf law with this exponent over the rank of the Service
  // (1.0 is typical: few large, many small); at least 0 endpoints each. The
  // sum is services * endpoints_per_service, or total_endpoints.
  std::optional<double> zipf;

  size_t nodes = 0;  // 0: one for each 100 endpoints, at least 3
  int zones = 3;     // 1..26
  size_t namespaces = 10;

  // Shares of the Services, 0..1, drawn independently of each other.
  double node_port = 0;
  double load_balancer = 0;
  double external_traffic_policy_local = 0;  // of NodePort and LoadBalancer
  double internal_traffic_policy_local = 0;
  double session_affinity = 0;
  double headless = 0;
  double udp = 0;
  double sctp = 0;          // of those that are not UDP
  double named_target = 0;  // targetPort is the name of a container's port
  double dual_stack = 0;    // gets an IPv6 VIP and IPv6 slices as well
  double ipv6 = 0;          // IPv6 alone, of those that are not dual-stack
  double not_ready = 0;     // of the endpoints

  bool pods = false;       // also the Pods behind the endpoints
  bool endpoints = false;  // also the legacy Endpoints objects (IPv4)
};

// InvalidArgument if a field is out of its range or addresses would run out (at
// 1,000,000 Services and 8,000,000 endpoints, roughly); the message names the
// field.
absl::Status CheckShape(const ClusterShape& shape);

// Shapes that people have reported: "5006-services" (with 250,011 endpoints),
// "44128-services", "696k-lines" (its iptables-save on a node of Kubernetes
// 1.30, without a cluster CIDR, has 695,992 lines).
std::optional<ClusterShape> FindPreset(absl::string_view name);
std::vector<std::string> PresetNames();

// How many objects and endpoints a shape has, and what they cost: within a
// quarter of what a generated cluster takes, from 100 Services on.
struct ShapeSize {
  size_t nodes = 0;
  size_t services = 0;
  size_t slices = 0;  // without Zipf; with it, a lower bound
  size_t pods = 0;
  size_t endpoints = 0;
  size_t memory_bytes = 0;  // as a Cluster, on a machine of 64 bits
  size_t yaml_bytes = 0;
  size_t json_bytes = 0;  // as kubectl prints it, indented by four
  size_t proto_bytes = 0;
};
ShapeSize EstimateSize(const ClusterShape& shape);

// Receives the objects one by one: nodes, then for each Service its Pods,
// slices and Endpoints, and itself. The shape must pass CheckShape(). Holds the
// objects of one Service at a time. False from a function ends it.
struct ObjectSink {
  absl::FunctionRef<bool(Node)> node;
  absl::FunctionRef<bool(Service)> service;
  absl::FunctionRef<bool(EndpointSlice)> slice;
  absl::FunctionRef<bool(Endpoints)> endpoints;
  absl::FunctionRef<bool(Pod)> pod;
};
void GenerateObjects(const ClusterShape& shape, const ObjectSink& sink);

// All of them in memory. The shape must pass CheckShape().
Cluster GenerateCluster(const ClusterShape& shape);

}  // namespace k8sdns::testing

#endif  // K8SDNS_TESTING_CLUSTER_GENERATOR_H_
