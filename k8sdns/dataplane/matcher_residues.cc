// What is left of a hook's rules for packets that open a flow: see
// RuleMatcher::Residue.
#include <string>

#include "k8sdns/dataplane/fast_match.h"
#include "k8sdns/dataplane/matcher.h"
#include "k8sdns/dataplane/rule_index.h"
#include "k8sdns/dataplane/rule_program.h"

namespace k8sdns::dataplane {

using netfilter::OpKind;
using netfilter::OpView;

RuleMatcher::Residue Matcher::ResidueOf(RuleContext& context) const {
  if (!Acts(context.table, context.hook, /*traced=*/false)) {
    return {Residue::kAccepts};
  }
  const RuleProgram* program =
      programs_[static_cast<int>(context.table)][static_cast<int>(context.hook)]
          .get();
  if (program == nullptr) return {};
  uint32_t at = program->short_begin().to;
  for (;;) {  // only forward
    const RuleProgram::Instruction& i = program->code()[at];
    bool holds;
    switch (i.kind) {
      case RuleProgram::kProtocol:
        holds = (static_cast<uint8_t>(context.header().protocol) == i.a) !=
                i.invert;
        break;
      case RuleProgram::kMark:
        holds = ((context.transit.mark & i.a) == i.b) != i.invert;
        break;
      case RuleProgram::kState:
        holds = ((ConntrackStateBit(context.transit.tracking) & i.a) != 0) !=
                i.invert;
        break;
      case RuleProgram::kMatch: {
        const OpView match(i.data);
        if (match.kind() != OpKind::kInInterface &&
            match.kind() != OpKind::kOutInterface) {
          return {};
        }
        std::string why;
        holds = EvaluateMatch(match, {i.chain, i.rule, i.op}, context, &why) ==
                MatchResult::kYes;
        break;
      }
      case RuleProgram::kCall:
      case RuleProgram::kGotoCall:
        return {Residue::kLooksUp, &program->called(i.a)};
      case RuleProgram::kAccept:
        return {Residue::kAccepts};
      case RuleProgram::kPolicy:
        if (indexes_[static_cast<int>(context.table)]->DropsByPolicy(
                context.hook)) {
          return {};
        }
        return {Residue::kAccepts};
      default:
        return {};
    }
    at = holds ? i.short_next.to : i.short_otherwise.to;
  }
}

std::optional<RuleMatcher::Endpoint> Matcher::ChooseEndpoint(
    const Residue& residue, const Packet& packet, Decisions& decisions,
    uint32_t& mark) const {
  const RuleIndex& index =
      *indexes_[static_cast<int>(netfilter::TableId::kNat)];
  const auto& chain = *static_cast<const RuleIndex::Chain*>(residue.chain);
  if (chain.lookup == RuleIndex::kNone) return std::nullopt;
  const RuleIndex::Slot* slot = index.Find(chain, PacketKey(packet));
  if (slot == nullptr || !index.IsFirst(*slot, chain, packet) ||
      slot->jump.service == RuleIndex::kNone) {
    return std::nullopt;
  }
  const ServiceChains& services = index.services();
  const uint32_t service = slot->jump.service;
  services.Prefetch(service);
  if (!services.Takes(service, packet.protocol) ||
      RuleProgram::kMaxInstructions + chain.rules +
              services.MaxSteps(service) >=
          kMaxSteps) {
    return std::nullopt;
  }
  return services.Choose(service, packet, decisions, mark);
}

}  // namespace k8sdns::dataplane
