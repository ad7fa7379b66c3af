#include "k8sdns/dataplane/rule_program.h"

#include "k8sdns/dataplane/fast_match.h"
#include "k8sdns/dataplane/ip_sets.h"
#include "k8sdns/netfilter/ops.h"

namespace k8sdns::dataplane {
namespace {

using netfilter::OpKind;
using netfilter::OpView;

constexpr int kMaxDepth = 8;
constexpr uint32_t kMaxInlinedRules = 32;

}  // namespace

RuleProgram::RuleProgram(const RuleIndex& index,
                         const netfilter::Ruleset& rules,
                         const RuleIndex::Chain& built_in)
    : index_(&index), rules_(&rules) {
  const bool fits = built_in.lookup == RuleIndex::kNone &&
                    built_in.rules <= kMaxInstructions && AddChain(built_in, 0);
  if (!fits) {
    code_.clear();
    called_.clear();
  }
  for (uint32_t i = 0; i + 1 < code_.size(); ++i) {
    code_[i].short_next = ShortWay(i + 1);
    code_[i].short_otherwise = ShortWay(code_[i].otherwise);
  }
  if (!empty()) short_begin_ = ShortWay(0);
  code_.shrink_to_fit();
}

RuleProgram::Instruction::Way RuleProgram::ShortWay(uint32_t from) const {
  Instruction::Way way;
  for (;;) {
    const Instruction& i = code_[from];
    switch (i.kind) {
      case kJump:
      case kNoTarget:
      case kEnd:
        ++from;
        break;
      case kGoOn:
      case kSkip:
        from = i.otherwise;
        break;
      default:
        way.to = static_cast<uint16_t>(from);
        return way;
    }
    way.steps += i.first;
  }
}

bool RuleProgram::AddChain(const RuleIndex::Chain& chain, int depth) {
  // Instructions that go on after the chain's end.
  std::vector<uint32_t> to_end;
  const uint16_t* halves = index_->halves(chain.offset);
  for (uint32_t n = 1; n <= chain.rules; ++n, halves += *halves) {
    if (code_.size() > kMaxInstructions) return false;
    const size_t begin = code_.size();
    size_t matches = 0;
    Instruction out{kNoTarget};
    out.first = true;
    out.chain = chain.id;
    out.rule = n;
    bool has_target = false;
    uint8_t place = 0;
    for (OpView op : netfilter::RuleView(halves).ops()) {
      if (IsTarget(op.kind())) {
        has_target = true;
        if (!AddTarget(op, out, depth, to_end)) return false;
        break;
      }
      if (place == 255) return false;
      const uint8_t at = place++;
      if (op.kind() == OpKind::kComment || op.kind() == OpKind::kCounters) {
        continue;
      }
      Instruction match = out;
      AddMatch(op, at, match);
      code_.push_back(match);
      ++matches;
      out.first = false;
    }
    if (!has_target) code_.push_back(out);
    for (size_t i = begin; i < begin + matches; ++i) {
      code_[i].otherwise = static_cast<uint16_t>(code_.size());
    }
  }
  Instruction end{depth == 0 ? kPolicy : kEnd};
  end.first = true;
  end.chain = chain.id;
  end.rule = chain.rules + 1;
  code_.push_back(end);
  for (uint32_t i : to_end) {
    code_[i].otherwise = static_cast<uint16_t>(code_.size());
  }
  if (depth == 0) {  // without the step that the end is
    end.first = false;
    code_.push_back(end);
  }
  return code_.size() <= kMaxInstructions;
}

void RuleProgram::AddMatch(OpView match, uint8_t place,
                           Instruction& out) const {
  const StoredOp op(match);
  out.kind = kMatch;
  out.op = place;
  out.data = match.data();
  out.invert = op.Byte(0) != 0;
  switch (match.kind()) {
    case OpKind::kSource:
    case OpKind::kDestination: {
      const int length = op.Byte(1);
      if (rules_->family() != IpFamily::kIpv4 || length > 32) return;
      out.kind = match.kind() == OpKind::kSource ? kSource4 : kDestination4;
      out.a = length == 0 ? 0 : ~uint32_t{0} << (32 - length);
      out.b = op.Word(2);
      return;
    }
    case OpKind::kProtocol:
      if (op.Byte(1) == 0) return;
      out.kind = kProtocol;
      out.a = op.Byte(1);
      return;
    case OpKind::kTcp:
    case OpKind::kUdp:
      if (op.Byte(0) != netfilter::kHasDestinationPort) return;
      out.kind = kPort;
      out.invert = false;
      out.a = op.Half(2);
      out.b = op.Half(4);
      return;
    case OpKind::kMark:
      out.kind = kMark;
      out.a = op.Word(6);
      out.b = op.Word(2);
      return;
    case OpKind::kConntrack:
      if (op.Half(0) != netfilter::kCtState ||
          (op.Half(4) & (netfilter::kStateSnat | netfilter::kStateDnat))) {
        return;
      }
      out.kind = kState;
      out.invert = (op.Half(2) & netfilter::kCtState) != 0;
      out.a = op.Half(4);
      return;
    case OpKind::kStatistic:
      if (op.Byte(0) != 0) return;
      out.kind = kChance;
      out.invert = op.Byte(1) != 0;
      out.a = op.Word(2);
      return;
    case OpKind::kSet: {
      const auto set = match.As<netfilter::SetMatch>();
      if (set.counters != 0) return;
      const uint64_t hash = IpSets::HashOf(rules_->strings().Get(set.name));
      out.kind = kSet;
      out.a = static_cast<uint32_t>(hash >> 32);
      out.b = static_cast<uint32_t>(hash);
      return;
    }
    default:
      return;
  }
}

bool RuleProgram::AddTarget(OpView target, Instruction out, int depth,
                            std::vector<uint32_t>& to_end) {
  const StoredOp op(target);
  out.data = target.data();
  switch (target.kind()) {
    case OpKind::kJump:
    case OpKind::kGoto:
      return AddJump(op.Word(0), target.kind() == OpKind::kJump, out, depth,
                     to_end);
    case OpKind::kReturn:
      out.kind = kGoOn;
      to_end.push_back(static_cast<uint32_t>(code_.size()));
      break;
    case OpKind::kAccept:
      out.kind = kAccept;
      break;
    case OpKind::kSetMark:
      out.kind = kSetMark;
      out.a = op.Word(6);
      out.b = op.Word(2);
      break;
    default:
      out.kind = kTarget;
  }
  code_.push_back(out);
  return true;
}

bool RuleProgram::AddJump(netfilter::StringId name, bool call, Instruction out,
                          int depth, std::vector<uint32_t>& to_end) {
  const RuleIndex::Chain* to = index_->FindChain(name);
  if (to == nullptr) {
    out.kind = kNoChain;
    code_.push_back(out);
    return true;
  }
  const bool inlined = to->lookup == RuleIndex::kNone &&
                       to->service == RuleIndex::kNone &&
                       to->rules <= kMaxInlinedRules && depth < kMaxDepth;
  if (inlined) {
    out.kind = kJump;
    code_.push_back(out);
    if (!AddChain(*to, depth + 1)) return false;
    if (call) return true;
    Instruction on{kSkip};
    to_end.push_back(static_cast<uint32_t>(code_.size()));
    code_.push_back(on);
    return true;
  }
  out.kind = call ? kCall : kGotoCall;
  out.a = static_cast<uint32_t>(called_.size());
  called_.push_back(to);
  if (!call) to_end.push_back(static_cast<uint32_t>(code_.size()));
  code_.push_back(out);
  return true;
}

}  // namespace k8sdns::dataplane
