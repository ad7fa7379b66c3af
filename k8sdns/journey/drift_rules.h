// The comparison of two rule sets, before it is put into words. Private to
// drift.
#ifndef K8SDNS_JOURNEY_DRIFT_RULES_H_
#define K8SDNS_JOURNEY_DRIFT_RULES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "k8sdns/journey/drift.h"
#include "k8sdns/netfilter/ruleset.h"

namespace k8sdns::journey {

// One difference, by its place in the rule sets.
struct RuleDifference {
  DriftItem::Kind kind;
  netfilter::TableId table;
  // The chain in the expected rule set (kMissing*, kShare, kMoved), else in the
  // actual one.
  netfilter::ChainId chain = 0;
  uint32_t rule = 0;    // place in that chain, from 0
  uint32_t actual = 0;  // kShare: place in the chain of the actual one
};

struct RuleDifferences {
  std::vector<RuleDifference> differences;
  std::vector<ForeignChain> foreign;
  size_t rules_compared = 0;
  size_t comments_differ = 0;
};

RuleDifferences DifferenceOf(const netfilter::Ruleset& expected,
                             const netfilter::Ruleset& actual);

// The differences in words, added to `drift.groups`. `objects`, if not null,
// tells for each expected rule where it comes from, in the rule set's order.
struct RuleOriginText {
  std::string object;
  std::string field;
};
void ExplainDifferences(const netfilter::Ruleset& expected,
                        const netfilter::Ruleset& actual,
                        const RuleDifferences& found,
                        const std::vector<RuleOriginText>* objects,
                        Drift& drift);

// The group of `service`, added if it is not there.
DriftGroup& GroupOf(absl::string_view service, Drift& drift);

}  // namespace k8sdns::journey

#endif  // K8SDNS_JOURNEY_DRIFT_RULES_H_
