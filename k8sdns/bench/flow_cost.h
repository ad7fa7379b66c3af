// A node with its tables, and what new flows to Services cost on it. Private
// to the room and to the benchmarks.
#ifndef K8SDNS_BENCH_FLOW_COST_H_
#define K8SDNS_BENCH_FLOW_COST_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "k8sdns/bench/mode_tables.h"
#include "k8sdns/bench/sizing_report.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/cluster/kube_proxy_config.h"
#include "k8sdns/dataplane/node_dataplane.h"
#include "k8sdns/net/packet.h"

namespace k8sdns::bench {

// A port of a Service at its cluster IP.
struct ServiceTarget {
  std::string name;  // "default/web:http"
  SocketAddress address;
  Protocol protocol = Protocol::kTcp;
};

// Those of the Services that have endpoints (all, if none has), in the order
// in which kube-proxy's rules come.
std::vector<ServiceTarget> FindTargets(const Cluster& cluster);

// An address that a Pod of the node may have.
IpAddress ClientAddress(const Cluster& cluster, const KubeProxyConfig& config,
                        IpFamily family);

using MakeMatcher = std::function<std::shared_ptr<const dataplane::RuleMatcher>(
    std::shared_ptr<const netfilter::Ruleset>)>;

class NodeUnderTest {
 public:
  // `tables` goes to the node; its rules stay shared. Without `make_matcher`
  // they are indexed.
  NodeUnderTest(NodeTables tables, const Cluster& cluster,
                const KubeProxyConfig& config,
                const MakeMatcher& make_matcher = nullptr);

  // Sends new flows from a Pod. `note` says if the packet did not get through.
  FlowCost Measure(const ServiceTarget& target, int repetitions,
                   std::string& note) const;

  // The first packet from a Pod's port.
  dataplane::Arrival NewFlow(const ServiceTarget& target, uint16_t port) const;
  // As it was made: no packet was sent yet.
  const dataplane::NodeDataplane& node() const { return *node_; }

 private:
  IpAddress clients_[2];
  std::string device_;
  std::shared_ptr<const netfilter::Ruleset> rules_[2];
  std::unique_ptr<dataplane::NodeDataplane> node_;
};

}  // namespace k8sdns::bench

#endif  // K8SDNS_BENCH_FLOW_COST_H_
