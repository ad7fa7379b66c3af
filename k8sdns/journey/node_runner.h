// One node of a journey: its kube-proxy rules and its network under the
// dataplane. Private to the room.
#ifndef K8SDNS_JOURNEY_NODE_RUNNER_H_
#define K8SDNS_JOURNEY_NODE_RUNNER_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/cluster/kube_proxy_config.h"
#include "k8sdns/dataplane/node_dataplane.h"
#include "k8sdns/fabric/fabric.h"
#include "k8sdns/journey/packet_trace.h"
#include "k8sdns/journey/trip.h"
#include "k8sdns/netfilter/ruleset.h"
#include "k8sdns/proxy/dialect.h"

namespace k8sdns::journey {

class NodeRunner {
 public:
  // What the node remembers of flows; null: nothing yet.
  struct Memory;
  using State = std::shared_ptr<const Memory>;

  struct Branch {
    enum class Kind { kForwarded, kDelivered, kDropped, kRejected, kUnknown };
    double probability = 1;
    Kind kind = Kind::kDropped;
    Packet packet;    // as it leaves or is delivered
    std::string out;  // kForwarded: the interface
    std::string verdict;
    std::vector<RuleLine> rules;
    State state;
  };

  static absl::StatusOr<NodeRunner> Create(const Cluster& cluster,
                                           KubeProxyConfig config,
                                           proxy::Dialect dialect,
                                           const fabric::NodeNetwork& net);
  // The node with tables that were dumped in the place of those that kube-proxy
  // would program; its sysctls stay. What is not given is left out, except that
  // without any rules kube-proxy's are taken.
  static absl::StatusOr<NodeRunner> Create(const Cluster& cluster,
                                           KubeProxyConfig config,
                                           proxy::Dialect dialect,
                                           const fabric::NodeNetwork& net,
                                           const DumpedTables& dumped);
  NodeRunner(NodeRunner&&) noexcept;
  NodeRunner& operator=(NodeRunner&&) noexcept;
  ~NodeRunner();

  // Every possible fate of a packet that comes in by interface `in`, or that
  // the node itself sends if `in` is "".
  std::vector<Branch> Run(const State& before, const std::string& in,
                          const Packet& packet) const;

  // The node, and its rules, for those who ask it themselves.
  const dataplane::NodeDataplane& node() const;
  const std::shared_ptr<const netfilter::Ruleset>& rules(IpFamily family) const;

 private:
  struct Impl;
  explicit NodeRunner(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The interface by which `node` receives what another sent by `out`: the same
// kind of tunnel, else eth0.
std::string EntryDevice(const fabric::NodeNetwork& node,
                        const std::string& out);

}  // namespace k8sdns::journey

#endif  // K8SDNS_JOURNEY_NODE_RUNNER_H_
