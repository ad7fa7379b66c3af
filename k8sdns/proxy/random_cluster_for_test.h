// Random services, endpoints and node changes that meet every feature of
// kube-proxy often: for tests of the compilers.
#ifndef K8SDNS_PROXY_RANDOM_CLUSTER_FOR_TEST_H_
#define K8SDNS_PROXY_RANDOM_CLUSTER_FOR_TEST_H_

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "k8sdns/cluster/cluster.h"

namespace k8sdns::proxy {

// Draws from few names, so that objects are changed, deleted and made again.
// The node that is compiled for is "node-1".
class RandomEvents {
 public:
  explicit RandomEvents(uint64_t seed) : random_(seed) {}

  // A change of `cluster`, which is made there as well.
  WatchEvent Next(Cluster& cluster);
  static Node FirstNode();

 private:
  uint32_t Draw(uint32_t n) {
    return std::uniform_int_distribution<uint32_t>(0, n - 1)(random_);
  }
  bool Chance(int percent) {
    return Draw(100) < static_cast<uint32_t>(percent);
  }
  std::string Name() { return names_[Draw(8)]; }
  Service RandomService();
  EndpointSlice RandomSlice();
  Endpoints RandomEndpoints();
  Node RandomNode();

  const std::vector<std::string> names_ = {"a",    "a-b", "web", "web-2",
                                           "web2", "dns", "x",   "z"};
  std::mt19937_64 random_;
};

}  // namespace k8sdns::proxy

#endif  // K8SDNS_PROXY_RANDOM_CLUSTER_FOR_TEST_H_
