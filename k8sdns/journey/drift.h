// Drift: what a node's tables hold, against what kube-proxy should have written
// there; grouped by Service and said in words.
//
//   journey::NodeDump dump;
//   dump.ipv4 = *netfilter::ParseIptablesSave(text, IpFamily::kIpv4);
//   absl::StatusOr<journey::Drift> drift =
//       journey::FindDrift(cluster, config, {}, dump);
//   std::cout << drift->ToString();
//   // default/web
//   //   kube-proxy has not removed endpoint 10.244.1.7:8080 of
//   default/web:http
//
// What is no drift: the order of Services in the chains that many of them share
// (kube-proxy's own is random), comments, counters, policies of built-in
// chains, and what other programs wrote. The latter (Docker, Calico, the
// kubelet, unknown ones) is kept apart and listed.
//
// Cost: linear in the rules; 10,000 Services with 100,000 endpoints compare in
// well under a second. All functions are pure and may be called from any number
// of threads.
#ifndef K8SDNS_JOURNEY_DRIFT_H_
#define K8SDNS_JOURNEY_DRIFT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/cluster/kube_proxy_config.h"
#include "k8sdns/ipvs/virtual_server.h"
#include "k8sdns/net/ip_address.h"
#include "k8sdns/netfilter/ipset_save.h"
#include "k8sdns/netfilter/ruleset.h"
#include "k8sdns/proxy/dialect.h"

namespace k8sdns::journey {

// What was dumped of a node. What is not given is not compared.
struct NodeDump {
  std::optional<netfilter::Ruleset> ipv4;  // iptables-save
  std::optional<netfilter::Ruleset> ipv6;  // ip6tables-save
  std::optional<netfilter::IpSets> sets;   // ipset save (IPVS mode)
  std::optional<ipvs::Table> servers;      // ipvsadm -Sn (IPVS mode)
};

struct DriftOptions {
  proxy::Dialect dialect = proxy::Dialect::kV1_30;
};

// One rule, chain, member or server that differs.
struct DriftItem {
  enum class Kind : uint8_t {
    kMissing,       // expected, and not there
    kStale,         // there, and not expected
    kShare,         // the same but for its -m statistic: follows from others
    kMoved,         // the same at another place among rules that order counts
    kMissingChain,  // or set, or virtual server
    kStaleChain,    // likewise
    kMissingTable,  // the dump has no such table
    kChanged,       // the same set or server with other settings
    kDraining,      // a real server that waits for its connections: no drift
  };
  Kind kind = Kind::kMissing;
  std::string where;   // "iptables", "ip6tables", "ipset" or "ipvs"
  std::string table;   // "nat"; "" for ipset and ipvs
  std::string chain;   // or the set's name, or "-t 10.96.0.1:80"
  std::string text;    // the rule as iptables-save prints it; "" for a chain
  std::string actual;  // kShare, kChanged: what is there instead
  // Of expected rules: which object and field they come from, if known.
  std::string object;
  std::string field;

  friend bool operator==(const DriftItem&, const DriftItem&) = default;
};
// "missing", "stale", "share", ...: stable.
absl::string_view DriftKindName(DriftItem::Kind kind);

// All that differs about one Service.
struct DriftGroup {
  // "default/web"; "": rules that kube-proxy always writes; "?": a Service that
  // neither comments nor the expected chains tell.
  std::string service;
  std::vector<std::string> explanations;  // sentences, the main one first
  std::vector<DriftItem> items;
};

// A chain, or rules of a built-in chain, or a set, of another program.
struct ForeignChain {
  std::string owner;  // "kubelet", "Docker", "Calico", ...; "" unknown
  std::string where;
  std::string table;
  std::string chain;
  size_t rules = 0;  // or members
  // Built-in chains: how many of them come before kube-proxy's first rule, and
  // so may keep packets from it.
  size_t ahead = 0;
};

struct Drift {
  std::vector<DriftGroup> groups;  // by service
  std::vector<ForeignChain> foreign;
  std::vector<std::string> notes;  // what was not compared, and why
  size_t rules_compared = 0;       // expected ones
  size_t comments_differ = 0;      // rules alike but for their comments

  // Whether anything differs that should not.
  bool found() const;
  // As `k8sdns diff` prints it: at most `max_items` lines a group.
  std::string ToString(size_t max_items = 20) const;
};

// Compiles what the node `config.hostname_override` should have and compares.
// InvalidArgument for a configuration that kube-proxy does not start with, or a
// mode without a compiler.
absl::StatusOr<Drift> FindDrift(const Cluster& cluster,
                                const KubeProxyConfig& config,
                                const DriftOptions& options,
                                const NodeDump& actual);

// The same for two rule sets of one family, whoever made the expected one.
Drift CompareRules(const netfilter::Ruleset& expected,
                   const netfilter::Ruleset& actual);

// Who writes chains of this name, other than kube-proxy: "kubelet", "Docker",
// "Calico", ...; "" if it is not known.
absl::string_view ChainOwner(absl::string_view chain);
// Whether kube-proxy alone writes chains of this name.
bool IsKubeProxyChain(absl::string_view chain);

}  // namespace k8sdns::journey

#endif  // K8SDNS_JOURNEY_DRIFT_H_
