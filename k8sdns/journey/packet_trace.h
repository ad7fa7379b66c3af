// One packet through one node's tables, step by step, in the forms in which
// people and programs know such traces.
//
//   TracedNode node = *TracedNode::OfDump(config, dumped);
//   PacketTrace trace = node.Trace(Arrival::On("eth0", packet));
//   std::cout << trace.ToString();
//   std::cout << trace.ToXtablesMonitor();  // to be diffed with a real one
//
// A packet may have several outcomes (-m statistic, ports drawn at random); all
// are there, with their probabilities.
#ifndef K8SDNS_JOURNEY_PACKET_TRACE_H_
#define K8SDNS_JOURNEY_PACKET_TRACE_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/cluster/kube_proxy_config.h"
#include "k8sdns/dataplane/node_config.h"
#include "k8sdns/dataplane/node_dataplane.h"
#include "k8sdns/fabric/fabric.h"
#include "k8sdns/ipvs/virtual_server.h"
#include "k8sdns/netfilter/ipset_save.h"
#include "k8sdns/netfilter/ruleset.h"
#include "k8sdns/proxy/dialect.h"

namespace k8sdns::journey {

// What was dumped of a node.
struct DumpedTables {
  std::shared_ptr<const netfilter::Ruleset> rules[2];  // IPv4, IPv6; or null
  std::optional<netfilter::IpSets> sets;
  std::optional<ipvs::Table> servers;

  bool any_rules() const { return rules[0] != nullptr || rules[1] != nullptr; }
};

struct PacketTrace {
  struct Step {
    dataplane::TraceStep::Kind kind = dataplane::TraceStep::kRule;
    std::string table;
    std::string chain;
    std::string hook;     // of the walk that the step belongs to: "PREROUTING"
    uint32_t number = 0;  // of the rule, from 1; else one more than there are
    std::string text;     // "-A ..." without -t; kPolicy: "ACCEPT" or "DROP"
    // As nf_tables says it: "ACCEPT", "DROP", "CONTINUE", "JUMP:chain", ...
    std::string verdict;
    uint32_t mark = 0;  // before the rule
    // The packet as the rule saw it.
    dataplane::NodePacket packet;
    std::string in;   // interfaces, as the hook gives them; "" for none
    std::string out;  // "" also if the packet did not get that far
  };
  struct Branch {
    double probability = 1;
    dataplane::Outcome outcome;
    std::vector<Step> steps;

    // "forwarded by eth0: TCP a > b, mark 0x4000"
    std::string Fate() const;
  };
  dataplane::Arrival arrival;
  std::vector<Branch> branches;

  // Each outcome with the rules that lead to it.
  std::string ToString() const;
  // As xtables-monitor --trace (iptables 1.8.9, nf_tables) prints it, outcomes
  // apart by a comment. Rules have their number where the kernel has a handle,
  // and the packet's id is the outcome's number: replace both in a real trace
  // before comparing.
  std::string ToXtablesMonitor() const;
  // As -j TRACE of the legacy tables logs it, without time and MAC addresses.
  std::string ToKernelLog() const;
};

// A node under its tables. Immutable; may be shared between threads.
class TracedNode {
 public:
  // A node that is described alone. InvalidArgument if the sets do not load.
  static absl::StatusOr<TracedNode> OfDump(const dataplane::NodeConfig& config,
                                           const DumpedTables& tables);
  // A node of a cluster, with the rules that kube-proxy programs there or, if
  // any are given, those of a dump. NotFound if there is no such node.
  static absl::StatusOr<TracedNode> OfCluster(
      const Cluster& cluster, const KubeProxyConfig& config,
      proxy::Dialect dialect, const fabric::FabricOptions& network,
      const std::string& node, const DumpedTables& tables);

  PacketTrace Trace(const dataplane::Arrival& arrival) const;

 private:
  std::shared_ptr<const dataplane::NodeDataplane> node_;
  std::shared_ptr<const netfilter::Ruleset> rules_[2];
};

}  // namespace k8sdns::journey

#endif  // K8SDNS_JOURNEY_PACKET_TRACE_H_
