// Rules of one rule set in the words of another, so that they can be compared
// bytewise: equal texts get equal ids.
//
//   RuleTranslation to_a(b.strings(), a.strings());
//   RuleBuilder rule;
//   to_a.Translate(rule_of_b, {}, &rule);
//   if (rule.view() == rule_of_a) ...
//
// A text that the other rule set does not have gets an id of its own, beyond
// all of the other's: such a rule can be compared but not printed. Counters are
// left out. Amortised O(size of the rule). Both pools must outlive it and stay
// as they are. Not thread-safe.
#ifndef K8SDNS_NETFILTER_RULE_TRANSLATION_H_
#define K8SDNS_NETFILTER_RULE_TRANSLATION_H_

#include <initializer_list>
#include <vector>

#include "k8sdns/netfilter/ruleset.h"
#include "k8sdns/netfilter/string_pool.h"

namespace k8sdns::netfilter {

class RuleTranslation {
 public:
  RuleTranslation(const StringPool& from, const StringPool& to);

  // Overwrites `out` with the rule, without the ops of the kinds `skip`.
  void Translate(RuleView rule, std::initializer_list<OpKind> skip,
                 RuleBuilder* out);
  // The id of a text of `from`.
  StringId Translate(StringId id);

 private:
  const StringPool& from_;
  const StringPool& to_;
  std::vector<StringId> ids_;  // by id in `from`; kUnset: not asked yet
  StringId next_;
};

}  // namespace k8sdns::netfilter

#endif  // K8SDNS_NETFILTER_RULE_TRANSLATION_H_
