// Builds a Cluster in a test, in words that read like the YAML.
//
//   Cluster cluster =
//       ClusterBuilder()
//           .AddNode("node-1", "172.18.0.11", "10.244.1.0/24")
//           .AddPod("default/web-1", "node-1", "10.244.1.5", {{"app", "web"}})
//           .AddService("default/web", "10.96.0.20", {{"app", "web"}})
//           .Port("http", 80, 8080)
//           .NodePort(30080)
//           .AddEndpoint("10.244.1.5", "node-1")
//           .Build();
//
// Calls that follow AddService() speak of that Service; AddEndpoint() adds to
// its EndpointSlice of the address's family (ports as the Service's target
// ports) and to its Endpoints. Names are "namespace/name", or "name" in
// namespace default. Wrong use (no Service yet, an address that is none)
// aborts: it is a bug of the test.
#ifndef K8SDNS_TESTING_CLUSTER_BUILDER_H_
#define K8SDNS_TESTING_CLUSTER_BUILDER_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "k8sdns/cluster/cluster.h"

namespace k8sdns::testing {

class ClusterBuilder {
 public:
  ClusterBuilder& AddNode(absl::string_view name, absl::string_view internal_ip,
                          absl::string_view pod_cidr = "",
                          absl::string_view zone = "");
  ClusterBuilder& AddPod(absl::string_view name, absl::string_view node,
                         absl::string_view ip, StringMap labels = {});
  // `cluster_ip` may be "None", or "" for an address not given yet.
  ClusterBuilder& AddService(absl::string_view name,
                             absl::string_view cluster_ip,
                             StringMap selector = {});

  // Of the last Service.
  ClusterBuilder& Port(absl::string_view name, int port, int target_port,
                       Protocol protocol = Protocol::kTcp);
  // Makes it a NodePort Service; the port is that of its last Port().
  ClusterBuilder& NodePort(int node_port);
  // Makes it a LoadBalancer with this ingress address.
  ClusterBuilder& LoadBalancer(absl::string_view ip);
  ClusterBuilder& ExternalIp(absl::string_view ip);
  ClusterBuilder& ExternalPolicy(TrafficPolicy policy);
  ClusterBuilder& InternalPolicy(TrafficPolicy policy);
  ClusterBuilder& ClientIpAffinity(int timeout_seconds = 10800);
  ClusterBuilder& AddEndpoint(absl::string_view ip, absl::string_view node = "",
                              bool ready = true);

  // Any other object, as it is.
  template <typename T>
  ClusterBuilder& Add(T object) {
    cluster_.Put(std::move(object));
    return *this;
  }

  Cluster Build();

 private:
  // A Service under construction, with its endpoints by family.
  struct Draft {
    Service service;
    std::map<IpFamily, EndpointList> endpoints;
  };
  Service& LastService();

  Cluster cluster_;
  std::vector<Draft> drafts_;
};

}  // namespace k8sdns::testing

#endif  // K8SDNS_TESTING_CLUSTER_BUILDER_H_
