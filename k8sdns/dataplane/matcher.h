// The fast matcher: the rules compiled to an index, so that the cost of a
// packet does not grow with the number of services. It gives the same verdict,
// trace and changes of state as LinearMatcher, and draws in the same order.
//
//   auto rules = std::make_shared<const netfilter::Ruleset>(...);
//   auto matcher = std::make_shared<const Matcher>(rules);
//   NodeDataplane node(config, matcher, nullptr);
//
// The built-in chains and the short ones that they call are run as programs
// (rule_program.h). Chains whose rules mostly test one address, protocol and
// port are looked up in a hash table (rule_index.h). Without a trace a
// Service's chain and those of its endpoints are one step (service_chains.h).
// All other rules are walked, and jumps cost an array access.
//
// Cost: construction is linear in the rules. Run() allocates nothing, unless
// rules do (limit, recent, ...), there are more than 16 nested calls, or the
// verdict is kUnknown. Memory: 20 bytes a chain, about 40 bytes a rule that is
// looked up, about 20 bytes an endpoint of a Service.
//
// Immutable; one matcher may be used by any number of threads at once.
#ifndef K8SDNS_DATAPLANE_MATCHER_H_
#define K8SDNS_DATAPLANE_MATCHER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "k8sdns/dataplane/rule_matcher.h"
#include "k8sdns/netfilter/ruleset.h"

namespace k8sdns::dataplane {

class RuleIndex;
class RuleProgram;

struct MatcherOptions {
  // Speed only: shorter chains are walked.
  uint32_t min_indexed_rules = 8;
};

class Matcher : public RuleMatcher {
 public:
  // Keeps the rules.
  explicit Matcher(std::shared_ptr<const netfilter::Ruleset> rules,
                   const MatcherOptions& options = {});
  ~Matcher() override;

  const netfilter::Ruleset& rules() const override { return *rules_; }
  TableVerdict Run(RuleContext& context, Trace* trace) const override;
  Residue ResidueOf(RuleContext& context) const override;
  std::optional<Endpoint> ChooseEndpoint(const Residue& residue,
                                         const Packet& packet,
                                         Decisions& decisions,
                                         uint32_t& mark) const override;
  void Prefetch(const Packet& packet, Ahead step) const override;

  // Heap memory of the index, without the rules.
  size_t memory_bytes() const;

 private:
  std::shared_ptr<const netfilter::Ruleset> rules_;
  // By table; nullptr: it is not there.
  std::array<std::unique_ptr<const RuleIndex>, netfilter::kTableCount> indexes_;
  // By table and hook; nullptr: the chain is walked.
  std::array<std::array<std::unique_ptr<const RuleProgram>, 5>,
             netfilter::kTableCount>
      programs_;
};

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_MATCHER_H_
