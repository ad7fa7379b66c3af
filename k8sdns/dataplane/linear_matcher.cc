#include "k8sdns/dataplane/linear_matcher.h"

#include <optional>
#include <string>
#include <vector>

#include "k8sdns/dataplane/rule_eval.h"

namespace k8sdns::dataplane {
namespace {

using netfilter::ChainId;
using netfilter::RuleView;
using netfilter::Table;

// Where a walk is: in a chain, before rule `rule` (from 1).
struct Place {
  ChainId chain;
  uint32_t rule;
  Table::RuleRange::iterator at;
  Table::RuleRange::iterator end;
};

Place BeginOf(const Table& table, ChainId chain) {
  const Table::RuleRange rules = table.rules(chain);
  return {chain, 1, rules.begin(), rules.end()};
}

MatchResult MatchRule(RuleView rule, ChainId chain, uint32_t number,
                      RuleContext& context, std::string* why) {
  OpPosition position = {chain, number, 0};
  for (netfilter::OpView op : rule.ops()) {
    if (IsTarget(op.kind())) break;
    const MatchResult result = EvaluateMatch(op, position, context, why);
    if (result != MatchResult::kYes) return result;
    ++position.op;
  }
  return MatchResult::kYes;
}

}  // namespace

TableVerdict LinearMatcher::Run(RuleContext& context, Trace* trace) const {
  TableVerdict verdict;
  const Table* table = rules_->table(context.table);
  if (table == nullptr) return verdict;
  const std::optional<ChainId> built_in = table->FindChain(context.hook);
  if (!built_in) return verdict;
  auto step = [&](TraceStep::Kind kind, ChainId chain, uint32_t rule) {
    if (trace == nullptr) return;
    trace->push_back({kind, context.table, chain, rule, context.transit.mark});
  };
  auto unknown = [&](const Place& place, std::string reason) {
    return TableVerdict::Unknown(
        TraceLine({TraceStep::kRule, context.table, place.chain, place.rule, 0},
                  *rules_),
        std::move(reason));
  };
  auto policy = [&] {
    step(TraceStep::kPolicy, *built_in, 0);
    verdict.kind = table->policy(*built_in) == Table::Policy::kDrop
                       ? TableVerdict::kDrop
                       : TableVerdict::kAccept;
    return std::move(verdict);
  };
  std::vector<Place> callers;
  Place place = BeginOf(*table, *built_in);
  std::string why;
  for (size_t steps = 0;; ++steps) {
    if (steps == kMaxSteps) return unknown(place, "the rules loop");
    if (place.at == place.end) {
      if (place.chain == *built_in && callers.empty()) return policy();
      step(TraceStep::kReturn, place.chain, 0);
      if (callers.empty()) return policy();  // the end of a goto's target
      place = callers.back();
      callers.pop_back();
      continue;
    }
    const RuleView rule = *place.at;
    const MatchResult match =
        MatchRule(rule, place.chain, place.rule, context, &why);
    if (match == MatchResult::kUnknown) return unknown(place, why);
    const Place here = place;
    ++place.at;
    ++place.rule;
    if (match == MatchResult::kNo) continue;
    step(TraceStep::kRule, here.chain, here.rule);
    const std::optional<netfilter::OpView> target = rule.target();
    if (!target) continue;
    TargetResult result = EvaluateTarget(*target, context);
    switch (result.action) {
      case TargetResult::kContinue:
        break;
      case TargetResult::kAccept:
        return verdict;
      case TargetResult::kDrop:
        verdict.kind = TableVerdict::kDrop;
        return verdict;
      case TargetResult::kReject:
        verdict.kind = TableVerdict::kReject;
        verdict.with = result.with;
        return verdict;
      case TargetResult::kReturn:
        if (callers.empty()) return policy();
        place = callers.back();
        callers.pop_back();
        break;
      case TargetResult::kJump:
      case TargetResult::kGoto: {
        const std::optional<ChainId> chain = table->FindChain(result.chain);
        if (!chain) return unknown(here, "jump to a chain that is not there");
        if (result.action == TargetResult::kJump) callers.push_back(place);
        place = BeginOf(*table, *chain);
        break;
      }
      case TargetResult::kUnknown:
        return unknown(here, std::move(result.reason));
    }
  }
}

}  // namespace k8sdns::dataplane
