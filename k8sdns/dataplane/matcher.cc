#include "k8sdns/dataplane/matcher.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "k8sdns/dataplane/fast_match.h"
#include "k8sdns/dataplane/rule_index.h"

namespace k8sdns::dataplane {
namespace {

using netfilter::OpKind;
using netfilter::OpView;

// As LinearMatcher counts: rules that are skipped count as well.
constexpr uint64_t kMaxSteps = 10'000'000;

// Where a walk is: in a chain, before rule `number` (from 1).
struct Place {
  const RuleIndex::Chain* chain;
  uint32_t number;
  // A chain that is walked: the rule. Else what is left of the two lists of
  // rules that may match.
  const uint16_t* at = nullptr;
  const RuleIndex::Residue* residue = nullptr;
  const RuleIndex::Candidate* candidate = nullptr;
  const RuleIndex::Slot* slot = nullptr;  // if `candidate` is its first
};

// The rules of a chain are read one after another: asks for the first of them.
void Prefetch(const uint16_t* halves, uint32_t rules) {
  constexpr uint32_t kLineHalves = 32;
  constexpr uint32_t kHalvesPerRule = 14;  // about
  const uint32_t lines = std::min(rules * kHalvesPerRule / kLineHalves, 6u);
  for (uint32_t i = 1; i <= lines; ++i) {
    __builtin_prefetch(halves + i * kLineHalves);
  }
}

// One packet in one table.
class Walk {
 public:
  Walk(const RuleIndex& index, RuleContext& context, Trace* trace)
      : index_(index),
        context_(context),
        trace_(trace),
        may_look_up_(context.header().src.family() == context.family() &&
                     context.header().dst.family() == context.family()) {}

  TableVerdict Run(const RuleIndex::Chain& built_in);

 private:
  Place BeginOf(const RuleIndex::Chain& chain) const {
    Place place{&chain, 1};
    if (chain.lookup == RuleIndex::kNone || !may_look_up_) {
      place.at = index_.halves(chain.offset);
      Prefetch(place.at, chain.rules);
    } else {
      place.residue = index_.residue(index_.lookup(chain));
      place.slot = index_.Find(chain, PacketKey(context_.header()));
      if (place.slot != nullptr) place.candidate = &place.slot->first;
    }
    return place;
  }

  // The next rule that may match; its number is one more than the chain has
  // rules if there is none.
  uint32_t NextNumber(const Place& place) const {
    if (place.residue == nullptr) return place.number;
    const uint32_t number =
        std::min(place.residue->number, place.candidate == nullptr
                                            ? RuleIndex::kNone
                                            : place.candidate->number);
    return std::min(number, place.chain->rules + 1);
  }
  // Steps over that rule.
  const uint16_t* Take(Place& place, uint32_t number) const {
    place.number = number + 1;
    const uint16_t* rule;
    if (place.residue == nullptr) {
      rule = place.at;
      place.at += *rule;
    } else if (place.residue->number == number) {
      rule = index_.halves(place.residue->offset);
      ++place.residue;
    } else {
      rule = index_.halves(place.candidate->offset);
      place.candidate = index_.Next(*place.candidate);
      place.slot = nullptr;
    }
    return rule;
  }
  // Whether that rule is decided by its key.
  bool IsDecided(const Place& place, uint32_t number) const {
    return place.slot != nullptr && place.slot->decided &&
           place.candidate->number == number;
  }
  // Steps over such a rule and, if it matches, calls its chain.
  void RunDecided(uint32_t number) {
    const RuleIndex::Slot& slot = *place_.slot;
    const RuleIndex::Chain& chain = *place_.chain;
    place_.number = number + 1;
    place_.candidate = index_.Next(slot.first);
    place_.slot = nullptr;
    if (!index_.KeyIs(slot, chain, context_.header())) return;
    Step(TraceStep::kRule, chain.id, number);
    callers_.push_back(place_);
    place_ = BeginOf(slot.jump);
  }

  // Evaluates the matches; sets `target` to the target, if there is one.
  MatchResult MatchRule(const uint16_t* rule, netfilter::ChainId chain,
                        uint32_t number, const uint8_t** target) {
    OpPosition position = {chain, number, 0};
    const uint8_t* op = reinterpret_cast<const uint8_t*>(rule + 1);
    const uint8_t* end = reinterpret_cast<const uint8_t*>(rule + *rule);
    for (; op != end; ++position.op) {
      const OpView view(op);
      if (IsTarget(view.kind())) {
        *target = op;
        return MatchResult::kYes;
      }
      const MatchResult result = FastMatch(view, position, context_, &why_);
      if (result != MatchResult::kYes) return result;
      op += view.size_bytes();
    }
    return MatchResult::kYes;
  }

  void Step(TraceStep::Kind kind, netfilter::ChainId chain, uint32_t rule) {
    if (trace_ == nullptr) return;
    trace_->push_back(
        {kind, context_.table, chain, rule, context_.transit.mark});
  }
  TableVerdict Unknown(netfilter::ChainId chain, uint32_t rule,
                       std::string reason) const;
  TableVerdict Policy(const RuleIndex::Chain& built_in);

  // What a target makes of the walk: goes on, or has set verdict_.
  bool RunTarget(OpView target, const RuleIndex::Chain& built_in,
                 netfilter::ChainId chain, uint32_t number);
  bool Enter(netfilter::StringId name, bool call, netfilter::ChainId chain,
             uint32_t number);
  // The end of a chain, or RETURN. False: the policy decided.
  bool Leave(const RuleIndex::Chain& built_in);

  const RuleIndex& index_;
  RuleContext& context_;
  Trace* const trace_;
  const bool may_look_up_;
  Place place_;
  absl::InlinedVector<Place, 16> callers_;
  std::string why_;
  TableVerdict verdict_;
};

TableVerdict Walk::Unknown(netfilter::ChainId chain, uint32_t rule,
                           std::string reason) const {
  TableVerdict verdict;
  verdict.kind = TableVerdict::kUnknown;
  verdict.rule = TraceLine({TraceStep::kRule, context_.table, chain, rule, 0},
                           context_.rules);
  verdict.reason = std::move(reason);
  return verdict;
}

TableVerdict Walk::Policy(const RuleIndex::Chain& built_in) {
  Step(TraceStep::kPolicy, built_in.id, 0);
  TableVerdict verdict;
  if (index_.DropsByPolicy(context_.hook)) verdict.kind = TableVerdict::kDrop;
  return verdict;
}

bool Walk::Leave(const RuleIndex::Chain& built_in) {
  if (callers_.empty()) {
    verdict_ = Policy(built_in);
    return false;
  }
  place_ = callers_.back();
  callers_.pop_back();
  return true;
}

bool Walk::Enter(netfilter::StringId name, bool call, netfilter::ChainId chain,
                 uint32_t number) {
  const RuleIndex::Chain* to = index_.FindChain(name);
  if (to == nullptr) {
    verdict_ = Unknown(chain, number, "jump to a chain that is not there");
    return false;
  }
  if (call) callers_.push_back(place_);
  place_ = BeginOf(*to);
  return true;
}

bool Walk::RunTarget(OpView target, const RuleIndex::Chain& built_in,
                     netfilter::ChainId chain, uint32_t number) {
  const StoredOp op(target);
  switch (target.kind()) {
    case OpKind::kJump:
      return Enter(target.As<netfilter::JumpTarget>().chain, true, chain,
                   number);
    case OpKind::kReturn:
      return Leave(built_in);
    case OpKind::kAccept:
      return false;
    case OpKind::kSetMark:
      context_.transit.mark =
          (context_.transit.mark & ~op.Word(6)) ^ op.Word(2);
      return true;
    default:
      break;
  }
  TargetResult result = EvaluateTarget(target, context_);
  switch (result.action) {
    case TargetResult::kContinue:
      return true;
    case TargetResult::kAccept:
      return false;
    case TargetResult::kDrop:
      verdict_.kind = TableVerdict::kDrop;
      return false;
    case TargetResult::kReject:
      verdict_.kind = TableVerdict::kReject;
      verdict_.with = result.with;
      return false;
    case TargetResult::kReturn:
      return Leave(built_in);
    case TargetResult::kJump:
    case TargetResult::kGoto:
      return Enter(result.chain, result.action == TargetResult::kJump, chain,
                   number);
    case TargetResult::kUnknown:
      verdict_ = Unknown(chain, number, std::move(result.reason));
      return false;
  }
  return false;
}

TableVerdict Walk::Run(const RuleIndex::Chain& built_in) {
  place_ = BeginOf(built_in);
  for (uint64_t steps = 0;; ++steps) {
    const RuleIndex::Chain& chain = *place_.chain;
    const uint32_t number = NextNumber(place_);
    // The rules up to there do not match.
    if (steps + (number - place_.number) >= kMaxSteps) {
      return Unknown(chain.id,
                     place_.number + static_cast<uint32_t>(kMaxSteps - steps),
                     "the rules loop");
    }
    steps += number - place_.number;
    if (number > chain.rules) {
      if (chain.id == built_in.id && callers_.empty()) return Policy(built_in);
      Step(TraceStep::kReturn, chain.id, 0);
      // Without a caller it is the end of a goto's target.
      if (!Leave(built_in)) return std::move(verdict_);
      continue;
    }
    if (IsDecided(place_, number)) {
      RunDecided(number);
      continue;
    }
    const uint8_t* target = nullptr;
    const uint16_t* rule = Take(place_, number);
    const MatchResult match = MatchRule(rule, chain.id, number, &target);
    if (match == MatchResult::kNo) continue;
    if (match == MatchResult::kUnknown) {
      return Unknown(chain.id, number, std::move(why_));
    }
    Step(TraceStep::kRule, chain.id, number);
    if (target != nullptr &&
        !RunTarget(OpView(target), built_in, chain.id, number)) {
      return std::move(verdict_);
    }
  }
}

}  // namespace

Matcher::Matcher(std::shared_ptr<const netfilter::Ruleset> rules,
                 const MatcherOptions& options)
    : rules_(std::move(rules)) {
  for (netfilter::TableId id : rules_->tables()) {
    indexes_[static_cast<int>(id)] = std::make_unique<const RuleIndex>(
        *rules_->table(id), rules_->family(), options.min_indexed_rules);
  }
}

Matcher::~Matcher() = default;

TableVerdict Matcher::Run(RuleContext& context, Trace* trace) const {
  const RuleIndex* index = indexes_[static_cast<int>(context.table)].get();
  if (index == nullptr) return {};
  const RuleIndex::Chain* built_in = index->built_in(context.hook);
  if (built_in == nullptr) return {};
  if (built_in->rules == 0 && trace == nullptr) {
    TableVerdict verdict;
    if (index->DropsByPolicy(context.hook)) verdict.kind = TableVerdict::kDrop;
    return verdict;
  }
  return Walk(*index, context, trace).Run(*built_in);
}

// Follows the largest chain of the nat table (KUBE-SERVICES) for a packet: the
// entry of its key, then the rules of the chain that it jumps to.
const void* Matcher::Prefetch(const Packet& packet, int step,
                              const void* /*cursor*/) const {
  const RuleIndex* index =
      indexes_[static_cast<int>(netfilter::TableId::kNat)].get();
  if (step > 1 || index == nullptr || index->largest() == nullptr) {
    return nullptr;
  }
  const RuleIndex::Chain& services = *index->largest();
  const PacketKey key(packet);
  if (step == 0) {
    index->Prefetch(services, key);
    return nullptr;
  }
  const RuleIndex::Slot* slot = index->Find(services, key);
  if (slot == nullptr || !slot->decided) return nullptr;
  const uint16_t* halves = index->halves(slot->jump.offset);
  __builtin_prefetch(halves);
  dataplane::Prefetch(halves, slot->jump.rules);
  return nullptr;
}

size_t Matcher::memory_bytes() const {
  size_t bytes = 0;
  for (const auto& index : indexes_) {
    if (index != nullptr) bytes += sizeof(RuleIndex) + index->memory_bytes();
  }
  return bytes;
}

}  // namespace k8sdns::dataplane
