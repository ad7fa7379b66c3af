// Evaluating one match or one target. Total: what cannot be evaluated says
// so, with a reason. Both matchers use these functions.
#ifndef K8SDNS_DATAPLANE_RULE_EVAL_H_
#define K8SDNS_DATAPLANE_RULE_EVAL_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "k8sdns/dataplane/rule_context.h"
#include "k8sdns/netfilter/ops.h"
#include "k8sdns/netfilter/ruleset.h"

namespace k8sdns::dataplane {

enum class MatchResult : uint8_t { kNo, kYes, kUnknown };

// Where a match stands: its table's chain, the rule from 1, the op's place in
// the rule. Rules that remember something keep it by this.
struct OpPosition {
  netfilter::ChainId chain = 0;
  uint32_t rule = 0;
  uint32_t op = 0;
};

// Matches may change state (nth, limit, recent), so the order in which they
// are asked matters. `why` is set for kUnknown.
MatchResult EvaluateMatch(netfilter::OpView op, const OpPosition& position,
                          RuleContext& context, std::string* why);
// Those of them that look at conntrack or remember something.
MatchResult EvaluateStatefulMatch(netfilter::OpView op,
                                  const OpPosition& position,
                                  RuleContext& context, std::string* why);

struct TargetResult {
  enum Action : uint8_t {
    kContinue,  // with the next rule
    kAccept,
    kDrop,
    kReturn,
    kJump,
    kGoto,
    kReject,   // answer, then drop
    kUnknown,  // why: `reason`
  };
  Action action = kContinue;
  netfilter::StringId chain = 0;  // kJump, kGoto
  uint8_t with = 0;               // kReject: RejectTarget::With
  std::string reason;
};

// The bit of netfilter::ConntrackState that a packet's tracking has.
inline uint16_t ConntrackStateBit(const Tracking& tracking) {
  if (tracking.flow == 0) {
    return tracking.state == FlowState::kUntracked ? netfilter::kStateUntracked
                                                   : netfilter::kStateInvalid;
  }
  switch (tracking.state) {
    case FlowState::kEstablished:
    case FlowState::kEstablishedReply:
      return netfilter::kStateEstablished;
    case FlowState::kRelated:
    case FlowState::kRelatedReply:
      return netfilter::kStateRelated;
    default:
      return netfilter::kStateNew;
  }
}

TargetResult EvaluateTarget(netfilter::OpView op, RuleContext& context);

// -m u32: `program` as netfilter::U32Match has it. Bytes of the packet that are
// not modelled (checksums, payload, the IP identification) make it kUnknown
// where they matter.
MatchResult EvaluateU32(absl::string_view program, const NodePacket& packet,
                        std::string* why);

// A set match or target's question.
SetQuery MakeSetQuery(const RuleContext& context, uint8_t dimensions,
                      uint8_t sources);

// Whether an address is inside "-s"/"-d"/"--ctorigsrc" ..., inversion
// included.
bool MatchesAddress(const netfilter::AddressMask& match,
                    const IpAddress& address);

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_RULE_EVAL_H_
