#include "k8sdns/dataplane/matcher.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "k8sdns/dataplane/fast_match.h"
#include "k8sdns/dataplane/nat.h"
#include "k8sdns/dataplane/rule_index.h"
#include "k8sdns/dataplane/rule_program.h"
#include "k8sdns/net/prefetch.h"

namespace k8sdns::dataplane {
namespace {

using netfilter::OpKind;
using netfilter::OpView;

constexpr uint64_t kMaxSteps = RuleMatcher::kMaxSteps;

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
    PrefetchLine(halves + i * kLineHalves);
  }
}

bool MayLookUp(const RuleContext& context) {
  return context.header().src.family() == context.family() &&
         context.header().dst.family() == context.family();
}

// All that a Service's chain does with a packet. False: nothing was done, it
// has to be walked. Without a trace only.
bool RunService(const RuleIndex& index, const RuleIndex::Chain& chain,
                RuleContext& context, uint64_t steps) {
  const ServiceChains& services = index.services();
  if (!services.Takes(chain.service, context.header().protocol) ||
      !MayLookUp(context) ||
      steps + services.MaxSteps(chain.service) >= kMaxSteps) {
    return false;
  }
  const ServiceChains::Endpoint endpoint = services.Choose(
      chain.service, context.header(), context.decisions, context.transit.mark);
  BindDestination(endpoint.address, endpoint.port,
                  context.transit.tracking.flow, context.state.now_us,
                  context.state.conntrack, context.decisions);
  return true;
}

TableVerdict Unknown(const RuleContext& context, netfilter::ChainId chain,
                     uint32_t rule, std::string reason) {
  return TableVerdict::Unknown(
      TraceLine({TraceStep::kRule, context.table, chain, rule, 0},
                context.rules),
      std::move(reason));
}

// One packet in one table.
class Walk {
 public:
  // `steps` were made before it.
  Walk(const RuleIndex& index, RuleContext& context, Trace* trace,
       uint64_t steps = 0)
      : index_(index),
        context_(context),
        trace_(trace),
        may_look_up_(MayLookUp(context)),
        steps_(steps) {}

  TableVerdict Run(const RuleIndex::Chain& built_in);
  // Runs a chain that was called. True: the verdict is not known yet, and the
  // caller goes on.
  bool RunCalled(const RuleIndex::Chain& chain, TableVerdict& verdict) {
    called_ = true;
    verdict = Run(chain);
    return returned_;
  }
  uint64_t steps() const { return steps_; }

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
  // Steps over such a rule and, if it matches, calls its chain. False: the
  // verdict is known.
  bool RunDecided(uint32_t number) {
    const RuleIndex::Slot& slot = *place_.slot;
    const RuleIndex::Chain& chain = *place_.chain;
    place_.number = number + 1;
    place_.candidate = index_.Next(slot.first);
    place_.slot = nullptr;
    if (!index_.KeyIs(slot, chain, context_.header())) return true;
    Step(TraceStep::kRule, chain.id, number);
    if (IsDone(slot.jump)) return false;
    callers_.push_back(place_);
    place_ = BeginOf(slot.jump);
    return true;
  }
  // Whether a chain that is entered was run at once.
  bool IsDone(const RuleIndex::Chain& chain) {
    return chain.service != RuleIndex::kNone && trace_ == nullptr &&
           RunService(index_, chain, context_, steps_);
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
                       std::string reason) const {
    return dataplane::Unknown(context_, chain, rule, std::move(reason));
  }
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
  uint64_t steps_;
  bool called_ = false;
  bool returned_ = false;  // to the one that called
  std::string why_;
  TableVerdict verdict_;
};

TableVerdict Walk::Policy(const RuleIndex::Chain& built_in) {
  if (called_) {
    returned_ = true;
    return {};
  }
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
  if (IsDone(*to)) return false;
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
  for (;; ++steps_) {
    const RuleIndex::Chain& chain = *place_.chain;
    const uint32_t number = NextNumber(place_);
    // The rules up to there do not match.
    if (steps_ + (number - place_.number) >= kMaxSteps) {
      return Unknown(chain.id,
                     place_.number + static_cast<uint32_t>(kMaxSteps - steps_),
                     "the rules loop");
    }
    steps_ += number - place_.number;
    if (number > chain.rules) {
      if (chain.id == built_in.id && callers_.empty() && !called_) {
        return Policy(built_in);
      }
      Step(TraceStep::kReturn, chain.id, 0);
      // Without a caller it is the end of a goto's target.
      if (!Leave(built_in)) return std::move(verdict_);
      continue;
    }
    if (IsDecided(place_, number)) {
      if (!RunDecided(number)) return std::move(verdict_);
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

// ---- programs ----

using Instruction = RuleProgram::Instruction;

// What came of a chain that was called.
enum class Called : uint8_t { kReturned, kAccepted, kToWalk };

// The usual cases of a call, without a walk: nothing is looked up by the key,
// or it is a Service's. Without a trace only.
Called CallByKey(const RuleIndex& index, const RuleIndex::Chain& chain,
                 RuleContext& context, uint64_t& steps) {
  const RuleIndex::Chain* service = &chain;
  if (chain.lookup != RuleIndex::kNone) {
    if (!MayLookUp(context) || steps + chain.rules + 1 >= kMaxSteps) {
      return Called::kToWalk;
    }
    const RuleIndex::Slot* slot =
        index.Find(chain, PacketKey(context.header()));
    if (slot == nullptr) {
      const RuleIndex::Residue& residue = *index.residue(index.lookup(chain));
      if (residue.number != RuleIndex::kNone) return Called::kToWalk;
      steps += chain.rules + 1;
      return Called::kReturned;
    }
    if (slot->decided && slot->jump.service != RuleIndex::kNone) {
      index.services().Prefetch(slot->jump.service);
    }
    if (!index.IsFirst(*slot, chain, context.header())) {
      return Called::kToWalk;
    }
    service = &slot->jump;
  }
  if (service->service == RuleIndex::kNone ||
      !RunService(index, *service, context, steps + chain.rules)) {
    return Called::kToWalk;
  }
  return Called::kAccepted;
}

// One packet at one hook. With kTraced each instruction runs in turn, whether
// or not there is a trace; without, there is none, and it goes the short ways.
template <bool kTraced>
class ProgramRun {
 public:
  ProgramRun(const RuleIndex& index, const RuleProgram& program,
             RuleContext& context, Trace* trace)
      : index_(index), program_(program), context_(context), trace_(trace) {}

  // From an instruction on, after so many steps.
  TableVerdict Run(uint32_t from, uint64_t steps);

 private:
  void Step(TraceStep::Kind kind, const Instruction& i) {
    if (!kTraced || trace_ == nullptr) return;
    trace_->push_back({kind, context_.table, i.chain,
                       kind == TraceStep::kRule ? i.rule : 0,
                       context_.transit.mark});
  }
  const Instruction* Next(const Instruction& i, uint64_t& steps) const {
    if (kTraced) return &i + 1;
    return On(i.short_next, steps);
  }
  const Instruction* Otherwise(const Instruction& i, uint64_t& steps) const {
    if (kTraced) return program_.code() + i.otherwise;
    return On(i.short_otherwise, steps);
  }
  const Instruction* On(Instruction::Way way, uint64_t& steps) const {
    steps += way.steps;
    return program_.code() + way.to;
  }
  // Each is false if it has set the verdict.
  bool RunMatch(const Instruction& i, bool& holds);
  bool RunTarget(const Instruction& i);
  bool Call(const Instruction& i, uint64_t& steps);
  // nullopt: it takes RunMatch().
  std::optional<bool> MatchesSetPlainly(const Instruction& i) const;

  const RuleIndex& index_;
  const RuleProgram& program_;
  RuleContext& context_;
  Trace* const trace_;
  TableVerdict verdict_;
};

template <bool kTraced>
__attribute__((noinline)) bool ProgramRun<kTraced>::RunMatch(
    const Instruction& i, bool& holds) {
  std::string why;
  const MatchResult result =
      EvaluateMatch(OpView(i.data), {i.chain, i.rule, i.op}, context_, &why);
  holds = result == MatchResult::kYes;
  if (result != MatchResult::kUnknown) return true;
  verdict_ = Unknown(context_, i.chain, i.rule, std::move(why));
  return false;
}

template <bool kTraced>
std::optional<bool> ProgramRun<kTraced>::MatchesSetPlainly(
    const Instruction& i) const {
  const StoredOp op{OpView(i.data)};
  SetQuery query;  // without devices and marks
  query.packet = &context_.transit.packet;
  query.family = context_.family();
  query.dimensions = op.Byte(6);
  query.sources = op.Byte(1);
  query.now_us = context_.state.now_us;
  return context_.state.sets.MatchesPlainly(
      context_.rules.strings().Get(op.Word(2)),
      static_cast<size_t>(uint64_t{i.a} << 32 | i.b), query);
}

template <bool kTraced>
bool ProgramRun<kTraced>::Call(const Instruction& i, uint64_t& steps) {
  const RuleIndex::Chain& chain = program_.called(i.a);
  Called called = Called::kToWalk;
  if (trace_ == nullptr) called = CallByKey(index_, chain, context_, steps);
  if (called == Called::kAccepted) return false;
  if (called == Called::kReturned) return true;
  Walk walk(index_, context_, trace_, steps);
  if (!walk.RunCalled(chain, verdict_)) return false;
  steps = walk.steps() + 1;
  return true;
}

template <bool kTraced>
__attribute__((noinline)) bool ProgramRun<kTraced>::RunTarget(
    const Instruction& i) {
  TargetResult result = EvaluateTarget(OpView(i.data), context_);
  switch (result.action) {
    case TargetResult::kContinue:
      return true;
    case TargetResult::kDrop:
      verdict_.kind = TableVerdict::kDrop;
      return false;
    case TargetResult::kReject:
      verdict_.kind = TableVerdict::kReject;
      verdict_.with = result.with;
      return false;
    case TargetResult::kUnknown:
      verdict_ = Unknown(context_, i.chain, i.rule, std::move(result.reason));
      return false;
    default:  // jumps are other instructions
      return false;
  }
}

template <bool kTraced>
TableVerdict ProgramRun<kTraced>::Run(uint32_t from, uint64_t steps) {
  // Enough steps for what is left of any program.
  constexpr uint64_t kNearlyMaxSteps =
      kMaxSteps - 2 * RuleProgram::kMaxInstructions;
  const Packet& p = context_.header();
  const Instruction* at = program_.code() + from;
  for (;;) {
    const Instruction& i = *at;
    // A match that holds goes on with the next, as most targets do.
    bool holds = true;
    if (kTraced) {
      if (i.first && steps == kMaxSteps) {
        return Unknown(context_, i.chain, i.rule, "the rules loop");
      }
      if (i.kind > RuleProgram::kMatch && i.kind < RuleProgram::kSkip) {
        Step(TraceStep::kRule, i);
      }
    }
    steps += i.first;
    switch (i.kind) {
      case RuleProgram::kSource4:
        if (p.src.is_v6()) {
          if (!RunMatch(i, holds)) return std::move(verdict_);
        } else {
          holds = ((p.src.v4() & i.a) == i.b) != i.invert;
        }
        break;
      case RuleProgram::kDestination4:
        if (p.dst.is_v6()) {
          if (!RunMatch(i, holds)) return std::move(verdict_);
        } else {
          holds = ((p.dst.v4() & i.a) == i.b) != i.invert;
        }
        break;
      case RuleProgram::kProtocol:
        holds = (static_cast<uint8_t>(p.protocol) == i.a) != i.invert;
        break;
      case RuleProgram::kPort:
        holds = (p.dst_port >= i.a && p.dst_port <= i.b) != i.invert;
        break;
      case RuleProgram::kMark:
        holds = ((context_.transit.mark & i.a) == i.b) != i.invert;
        break;
      case RuleProgram::kState:
        holds = ((ConntrackStateBit(context_.transit.tracking) & i.a) != 0) !=
                i.invert;
        break;
      case RuleProgram::kChance:
        holds = context_.decisions.Chance(i.a) != i.invert;
        break;
      case RuleProgram::kSet:
        if (const std::optional<bool> in = MatchesSetPlainly(i)) {
          holds = *in != i.invert;
          break;
        }
        [[fallthrough]];
      case RuleProgram::kMatch:
        if (!RunMatch(i, holds)) return std::move(verdict_);
        break;
      case RuleProgram::kCall:
      case RuleProgram::kGotoCall:
        if (!Call(i, steps)) return std::move(verdict_);
        holds = i.kind == RuleProgram::kCall;
        if (!kTraced && steps >= kNearlyMaxSteps) [[unlikely]] {
          // They are to be counted exactly.
          const auto here = static_cast<uint32_t>(at - program_.code());
          return ProgramRun<true>(index_, program_, context_, trace_)
              .Run(holds ? here + 1 : i.otherwise, steps);
        }
        break;
      case RuleProgram::kGoOn:
      case RuleProgram::kSkip:
        holds = false;
        break;
      case RuleProgram::kAccept:
        return {};
      case RuleProgram::kSetMark:
        context_.transit.mark = (context_.transit.mark & ~i.a) ^ i.b;
        break;
      case RuleProgram::kNoChain:
        return Unknown(context_, i.chain, i.rule,
                       "jump to a chain that is not there");
      case RuleProgram::kTarget:
        if (!RunTarget(i)) return std::move(verdict_);
        break;
      case RuleProgram::kEnd:
        Step(TraceStep::kReturn, i);
        break;
      case RuleProgram::kPolicy:
        Step(TraceStep::kPolicy, i);
        if (index_.DropsByPolicy(context_.hook)) {
          verdict_.kind = TableVerdict::kDrop;
        }
        return std::move(verdict_);
      default:  // kJump, kNoTarget
        break;
    }
    at = holds ? Next(i, steps) : Otherwise(i, steps);
  }
}

}  // namespace

Matcher::Matcher(std::shared_ptr<const netfilter::Ruleset> rules,
                 const MatcherOptions& options)
    : rules_(std::move(rules)) {
  for (int t = 0; t < netfilter::kTableCount; ++t) {
    const auto id = static_cast<netfilter::TableId>(t);
    if (rules_->table(id) != nullptr) {
      indexes_[t] = std::make_unique<const RuleIndex>(
          *rules_->table(id), rules_->family(), options.min_indexed_rules);
    }
    for (int h = 0; h < 5; ++h) {
      const auto hook = static_cast<netfilter::Hook>(h);
      const RuleIndex::Chain* chain =
          indexes_[t] == nullptr ? nullptr : indexes_[t]->built_in(hook);
      SetActs(id, hook, chain != nullptr,
              chain != nullptr &&
                  (chain->rules != 0 || indexes_[t]->DropsByPolicy(hook)));
      if (chain == nullptr) continue;
      auto program =
          std::make_unique<const RuleProgram>(*indexes_[t], *rules_, *chain);
      if (!program->empty()) programs_[t][h] = std::move(program);
    }
  }
}

Matcher::~Matcher() = default;

TableVerdict Matcher::Run(RuleContext& context, Trace* trace) const {
  const RuleIndex* index = indexes_[static_cast<int>(context.table)].get();
  const RuleProgram* program =
      programs_[static_cast<int>(context.table)][static_cast<int>(context.hook)]
          .get();
  if (program != nullptr && trace != nullptr) {
    return ProgramRun<true>(*index, *program, context, trace).Run(0, 0);
  }
  if (program != nullptr) {
    const Instruction::Way begin = program->short_begin();
    return ProgramRun<false>(*index, *program, context, trace)
        .Run(begin.to, begin.steps);
  }
  if (index == nullptr) return {};
  const RuleIndex::Chain* built_in = index->built_in(context.hook);
  if (built_in == nullptr) return {};
  return Walk(*index, context, trace).Run(*built_in);
}

void Matcher::Prefetch(const Packet& packet, Ahead step) const {
  const RuleIndex* index =
      indexes_[static_cast<int>(netfilter::TableId::kNat)].get();
  if (index == nullptr || index->largest() == nullptr) return;
  const RuleIndex::Chain& services = *index->largest();
  const PacketKey key(packet);
  if (step != Ahead::kSecond) {
    return index->Prefetch(services, key, step == Ahead::kGuess);
  }
  const RuleIndex::Slot* slot = index->Find(services, key);
  if (slot != nullptr && slot->decided &&
      slot->jump.service != RuleIndex::kNone) {
    index->services().Prefetch(slot->jump.service);
  }
}

size_t Matcher::memory_bytes() const {
  size_t bytes = 0;
  for (const auto& index : indexes_) {
    if (index != nullptr) bytes += sizeof(RuleIndex) + index->memory_bytes();
  }
  for (const auto& of_table : programs_) {
    for (const auto& program : of_table) {
      if (program != nullptr) {
        bytes += sizeof(RuleProgram) + program->memory_bytes();
      }
    }
  }
  return bytes;
}

}  // namespace k8sdns::dataplane
