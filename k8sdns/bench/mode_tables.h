// One mode of kube-proxy as the sizing run sees it: compile, print, change,
// read back, and put under a dataplane. Private to the room and to the
// benchmarks.
#ifndef K8SDNS_BENCH_MODE_TABLES_H_
#define K8SDNS_BENCH_MODE_TABLES_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "k8sdns/bench/kernel_probe.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/cluster/kube_proxy_config.h"
#include "k8sdns/dataplane/ip_sets.h"
#include "k8sdns/ipvs/virtual_server.h"
#include "k8sdns/net/ip_address.h"
#include "k8sdns/netfilter/ruleset.h"
#include "k8sdns/proxy/dialect.h"

namespace k8sdns::bench {

// All that a node's kernel is given.
struct NodeTables {
  // IPv4, IPv6; empty rule sets for a family that is not programmed.
  std::shared_ptr<const netfilter::Ruleset> rules[2];
  dataplane::IpSets sets;
  size_t set_members = 0;
  ipvs::Table servers;
  std::vector<IpPrefix> bound;  // to kube-ipvs0
  std::vector<std::string> sysctls;
  bool ipvs = false;
};

class ModeTables {
 public:
  virtual ~ModeTables() = default;

  // Compiles anew; what was there before is gone already (Drop()).
  virtual absl::Status Compile(const Cluster& cluster,
                               const KubeProxyConfig& config,
                               proxy::Dialect dialect) = 0;
  virtual void Drop() = 0;

  // The rest needs a successful Compile().

  // Writes the text of everything into memory that is reused.
  virtual void Print() = 0;
  virtual size_t text_bytes() const = 0;
  virtual void Apply(const WatchEvent& event) = 0;
  // Reads the text that Print() wrote.
  virtual absl::Status Parse() const = 0;
  virtual absl::StatusOr<NodeTables> Tables() const = 0;
  // IPv4, for an empty namespace. After Print().
  virtual KernelTables ForKernel() const = 0;
};

// kIptables or kIpvs.
std::unique_ptr<ModeTables> MakeModeTables(ProxyMode mode);

}  // namespace k8sdns::bench

#endif  // K8SDNS_BENCH_MODE_TABLES_H_
