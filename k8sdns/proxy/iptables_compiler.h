// kube-proxy's iptables mode: compiles a Cluster for one node into the rules of
// both families, and follows changes of the cluster at the cost of the change.
//
//   absl::StatusOr<IptablesCompiler> compiler =
//       IptablesCompiler::Create(cluster, config, {});
//   netfilter::Ruleset rules = compiler->Compile(IpFamily::kIpv4);
//   ...
//   compiler->Apply(events, delta);  // what changed in both families
//   std::string input;
//   delta.v4.AppendRestoreInput(input);  // for iptables-restore --noflush
//
// Facts: pkg/proxy/iptables of Kubernetes 1.30, 1.14 and 1.11. Differences:
// where kube-proxy walks a random map, rules come in the order of service port
// names; and after a change the rules are always those of a full compile, where
// kube-proxy may leave unused chains, or comments of the large-cluster mode, to
// its next full sync.
//
// Cost (benchmarks/compile_benchmark.cc, 100,000 endpoints): PrintTo() takes 2
// to 2.5 times as long as a copy of its text, and Create() three to four times
// as long as PrintTo(). Nearly half of Create() is waiting for memory: objects
// lie scattered. Of the rest, a quarter is SHA-256. What is made lies in an
// arena; what later changes replace there is freed with the compiler. The first
// event that adds or removes an EndpointSlice makes an index of all of them.
#ifndef K8SDNS_PROXY_IPTABLES_COMPILER_H_
#define K8SDNS_PROXY_IPTABLES_COMPILER_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/cluster/kube_proxy_config.h"
#include "k8sdns/netfilter/ruleset.h"
#include "k8sdns/proxy/dialect.h"
#include "k8sdns/proxy/finding.h"
#include "k8sdns/proxy/iptables_delta.h"

namespace k8sdns::proxy {

struct IptablesOptions {
  Dialect dialect = Dialect::kV1_30;
  // What kube-proxy newer than 1.30 adds to the rules of dialect 1.30:
  // -m nfacct in KUBE-FORWARD and a counting rule for node ports at localhost,
  // where the kernel has nfacct (pkg/proxy/iptables of 1.32 and later).
  bool nfacct = false;
  // Hints for the node come before hints for its zone, and no annotation is
  // asked for (Kubernetes 1.34; gate PreferSameTrafficDistribution from 1.33).
  bool prefer_same_node = false;
};

// What one Apply() changed.
struct IptablesDeltas {
  IptablesDelta v4;
  IptablesDelta v6;
  Findings findings;  // about the objects of the events

  bool empty() const { return v4.empty() && v6.empty(); }
};

// Which object and field a rule comes from.
struct RuleExplanation {
  std::string object;  // "Service default/web", "KubeProxyConfiguration", ""
  std::string field;   // "spec.externalIPs[0]"; "" for rules always there
  std::string detail;  // "endpoint 10.0.0.1:8080"; may be empty

  friend bool operator==(const RuleExplanation&,
                         const RuleExplanation&) = default;
};

// Movable. Not thread-safe, except that const functions may run together.
class IptablesCompiler {
 public:
  // Compiles for the node config.hostname_override. InvalidArgument for what
  // keeps kube-proxy from starting: a mode other than iptables, a mark bit out
  // of range, a CIDR that is none, one line each. A node that is not in the
  // cluster is a finding: kube-proxy runs without zone and addresses.
  // O(objects).
  static absl::StatusOr<IptablesCompiler> Create(
      const Cluster& cluster, const KubeProxyConfig& config,
      const IptablesOptions& options);

  ~IptablesCompiler();
  IptablesCompiler(IptablesCompiler&&) noexcept;
  IptablesCompiler& operator=(IptablesCompiler&&) noexcept;

  // The families that kube-proxy programs: both, or one before dual stack.
  const std::vector<IpFamily>& families() const;

  // The filter and nat tables in the order in which iptables-save prints them,
  // with the built-in chains and the jumps from them. An empty rule set for a
  // family that is not programmed. O(rules).
  netfilter::Ruleset Compile(IpFamily family) const;
  // The same; `explanations` gets one element a rule, in the rule set's order
  // (tables, chains, rules).
  netfilter::Ruleset Explain(IpFamily family,
                             std::vector<RuleExplanation>& explanations) const;

  enum class Print {
    kTables,     // with built-in chains and jumps: for an empty node
    kOwnChains,  // kube-proxy's own: for iptables-restore --noflush
  };
  // Writes the same rules as text straight into `out`, chains in the order of
  // the services. What `out` held before is overwritten and its memory reused.
  void PrintTo(IpFamily family, Print what, std::string& out);

  // Follows the events of a watch (or of Difference()). `deltas` is cleared
  // first, and gets what changes in the rules. A change of one service costs
  // O(its endpoints + log(services)); one of the node, or one that crosses the
  // threshold of large-cluster mode, O(everything).
  void Apply(std::span<const WatchEvent> events, IptablesDeltas& deltas);

  // About the objects given to Create(), and the configuration.
  const Findings& findings() const;
  // The sysctls that kube-proxy sets at its start, "name=value", sorted.
  const std::vector<std::string>& sysctls() const;
  // Service ports programmed in `family`, and their endpoints.
  size_t port_count(IpFamily family) const;
  size_t endpoint_count(IpFamily family) const;

 private:
  struct State;
  explicit IptablesCompiler(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace k8sdns::proxy

#endif  // K8SDNS_PROXY_IPTABLES_COMPILER_H_
