// What the rules of kube-proxy say about Services: which service port each
// belongs to, read from comments and from the chains that lead to it. Private
// to drift.
#ifndef K8SDNS_JOURNEY_DRIFT_WORDS_H_
#define K8SDNS_JOURNEY_DRIFT_WORDS_H_

#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "k8sdns/netfilter/ruleset.h"

namespace k8sdns::journey {

// Reads a whole rule set once; views point into it.
class ServicePortNames {
 public:
  explicit ServicePortNames(const netfilter::Ruleset& rules);

  // "default/web:http"; "" if the rule is of no Service, or it is not known.
  absl::string_view PortOf(const netfilter::Table& table,
                           netfilter::ChainId chain,
                           netfilter::RuleView rule) const;
  absl::string_view PortOfChain(absl::string_view chain) const;
  // Whether any rule names this port.
  bool Mentions(absl::string_view port) const {
    return mentioned_.contains(port);
  }
  // "10.244.1.7:8080": where the DNAT rule of a KUBE-SEP chain leads; "".
  std::string EndpointOfChain(absl::string_view chain) const;

 private:
  void ReadChain(const netfilter::Table& table, netfilter::ChainId chain);

  const netfilter::Ruleset& rules_;
  absl::flat_hash_map<netfilter::StringId, absl::string_view> of_chain_;
  absl::flat_hash_set<absl::string_view> mentioned_;
};

// The service port that a comment of kube-proxy names; "".
absl::string_view PortInComment(absl::string_view comment);
// The chain that -j or -g leads to; "".
absl::string_view JumpTargetOf(const netfilter::Ruleset& rules,
                               netfilter::RuleView rule);
// "10.244.1.7:8080" of -j DNAT; "".
std::string DnatTargetOf(const netfilter::Ruleset& rules,
                         netfilter::RuleView rule);
// "10.96.0.20:80/TCP", "30080/UDP": what -d, -p and --dport say; "".
std::string AddressOf(const netfilter::Ruleset& rules,
                      netfilter::RuleView rule);
absl::string_view CommentOf(const netfilter::Ruleset& rules,
                            netfilter::RuleView rule);

}  // namespace k8sdns::journey

#endif  // K8SDNS_JOURNEY_DRIFT_WORDS_H_
