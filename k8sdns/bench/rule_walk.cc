#include "k8sdns/bench/rule_walk.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace k8sdns::bench {
namespace {

using dataplane::TraceStep;
using netfilter::ChainId;
using netfilter::OpKind;
using netfilter::RuleView;
using netfilter::Table;

// The target of rule `number` (from 1).
std::optional<OpKind> TargetKind(const Table& table, ChainId chain,
                                 uint32_t number) {
  uint32_t at = 0;
  for (RuleView rule : table.rules(chain)) {
    if (++at != number) continue;
    const std::optional<netfilter::OpView> target = rule.target();
    if (target) return target->kind();
    break;
  }
  return std::nullopt;
}

bool EndsTheWalk(OpKind target) {
  switch (target) {
    case OpKind::kAccept:
    case OpKind::kDrop:
    case OpKind::kReject:
    case OpKind::kDnat:
    case OpKind::kSnat:
    case OpKind::kMasquerade:
    case OpKind::kRedirect:
    case OpKind::kNetmap:
      return true;
    default:
      return false;
  }
}

// The walk through one table at one hook.
class Walk {
 public:
  explicit Walk(const netfilter::Ruleset& rules) : rules_(rules) {}

  void Take(const TraceStep& step) {
    const Table& table = *rules_.table(step.table);
    // Walks start in built-in chains, and come back to them only by the
    // places below.
    if (table.policy(step.chain) != Table::Policy::kNone &&
        (!running_ || step.table != table_ || step.chain != start_)) {
      running_ = true;
      entered_ = false;
      table_ = step.table;
      start_ = step.chain;
      places_ = {{step.chain, 0}};
    }
    if (entered_) places_.push_back({step.chain, 0});
    entered_ = false;
    if (step.kind == TraceStep::kRule) {
      TakeRule(table, step);
      return;
    }
    // Without a place the chain was left by a RETURN, or for a goto.
    if (!places_.empty()) {
      evaluated_ += table.rule_count(step.chain) - places_.back().done;
      places_.pop_back();
    }
    if (step.kind == TraceStep::kPolicy) running_ = false;
  }
  size_t evaluated() const { return evaluated_; }

 private:
  // Of a chain, rules up to `done` were looked at.
  struct Place {
    ChainId chain;
    uint32_t done;
  };

  void TakeRule(const Table& table, const TraceStep& step) {
    if (places_.empty()) return;  // not a trace of these rules
    evaluated_ += step.rule - places_.back().done;
    places_.back().done = step.rule;
    const std::optional<OpKind> target =
        TargetKind(table, step.chain, step.rule);
    if (!target) return;
    if (*target == OpKind::kReturn || *target == OpKind::kGoto) {
      places_.pop_back();
    }
    entered_ = *target == OpKind::kJump || *target == OpKind::kGoto;
    if (EndsTheWalk(*target)) running_ = false;
  }

  const netfilter::Ruleset& rules_;
  size_t evaluated_ = 0;
  bool running_ = false;
  bool entered_ = false;  // the last rule went into another chain
  netfilter::TableId table_ = netfilter::TableId::kFilter;
  ChainId start_ = 0;
  std::vector<Place> places_;  // the chain being walked is the last
};

}  // namespace

size_t CountEvaluatedRules(const dataplane::Trace& trace,
                           const netfilter::Ruleset& rules) {
  Walk walk(rules);
  for (const TraceStep& step : trace) walk.Take(step);
  return walk.evaluated();
}

}  // namespace k8sdns::bench
