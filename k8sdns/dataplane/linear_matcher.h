// The plain matcher: walks rules one by one, as the kernel's ipt_do_table().
// Its only virtue is that it is obviously right; Matcher is tested against it.
//
//   auto rules = std::make_shared<netfilter::Ruleset>(...);
//   auto matcher = std::make_shared<LinearMatcher>(rules);
//   NodeDataplane node(config, matcher, nullptr);
#ifndef K8SDNS_DATAPLANE_LINEAR_MATCHER_H_
#define K8SDNS_DATAPLANE_LINEAR_MATCHER_H_

#include <memory>
#include <utility>

#include "k8sdns/dataplane/rule_matcher.h"

namespace k8sdns::dataplane {

class LinearMatcher : public RuleMatcher {
 public:
  explicit LinearMatcher(std::shared_ptr<const netfilter::Ruleset> rules)
      : rules_(std::move(rules)) {}

  const netfilter::Ruleset& rules() const override { return *rules_; }
  TableVerdict Run(RuleContext& context, Trace* trace) const override;

 private:
  std::shared_ptr<const netfilter::Ruleset> rules_;
};

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_LINEAR_MATCHER_H_
