#include "k8sdns/netfilter/kernel_checks.h"

#include <algorithm>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "k8sdns/net/packet.h"
#include "k8sdns/netfilter/kernel_values.h"

namespace k8sdns::netfilter {
namespace {

// The chain that a jump or goto leads to.
std::optional<ChainId> Callee(const Table& table, RuleView rule) {
  const auto target = rule.target();
  if (!target) return std::nullopt;
  if (target->kind() == OpKind::kJump) {
    return table.FindChain(target->As<JumpTarget>().chain);
  }
  if (target->kind() == OpKind::kGoto) {
    return table.FindChain(target->As<GotoTarget>().chain);
  }
  return std::nullopt;
}

// Depth-first walk from the built-in chains.
class Walk {
 public:
  Walk(const Table& table, Variant variant, const CallGraph& calls)
      : table_(table), calls_(calls) {
    limit_ = variant == Variant::kNft ? 16 : 0;
    state_.resize(calls.chains(), kNew);
    height_.resize(calls.chains(), 0);
    hooks_.resize(calls.chains(), 0);
  }

  // Visits what `root` calls; false: a loop, or too deep.
  bool From(ChainId root, KernelFinding* finding) {
    struct Frame {
      ChainId chain;
      std::span<const ChainId> callees;
      size_t next;
      int height;  // longest way below, so far
    };
    // The way down counts for the limit, so that all of it is walked again.
    if (limit_ > 0) std::fill(state_.begin(), state_.end(), kNew);
    if (state_[root] == kDone) return true;
    std::vector<Frame> stack = {{root, calls_.callees(root), 0, 0}};
    state_[root] = kOpen;
    while (!stack.empty()) {
      Frame& top = stack.back();
      if (top.next == top.callees.size()) {
        state_[top.chain] = kDone;
        height_[top.chain] = top.height;
        done_.push_back(top.chain);
        const int height = top.height + 1;
        stack.pop_back();
        if (!stack.empty() && stack.back().height < height) {
          stack.back().height = height;
        }
        continue;
      }
      if (top.next + kFar < top.callees.size()) {
        calls_.PrefetchPlace(top.callees[top.next + kFar]);
        calls_.PrefetchCallees(top.callees[top.next + kNear]);
      }
      const ChainId to = top.callees[top.next++];
      const int state = state_[to];
      if (state == kOpen) {
        finding->token = std::string(table_.name(to));
        finding->message = "loop: the chain is reached from itself";
        return false;
      }
      const int below = state == kDone ? height_[to] : 0;
      if (limit_ > 0 && static_cast<int>(stack.size()) + below >= limit_) {
        finding->token = std::string(table_.name(to));
        finding->message = absl::StrCat("chains nested ", limit_, " deep");
        return false;
      }
      if (state == kDone) {
        if (top.height < below + 1) top.height = below + 1;
        continue;
      }
      state_[to] = kOpen;
      stack.push_back({to, calls_.callees(to), 0, 0});
    }
    return true;
  }

  // The hooks from which chains are reached, given those of the roots. After
  // the walks.
  void SpreadHooks() {
    // Callers before callees: a chain is done after all that it calls.
    for (size_t i = done_.size(); i-- > 0;) {
      const uint8_t hooks = hooks_[done_[i]];
      for (ChainId to : calls_.callees(done_[i])) hooks_[to] |= hooks;
    }
  }
  void AddHook(ChainId root, uint8_t hook) { hooks_[root] |= hook; }

  uint8_t hooks(ChainId chain) const { return hooks_[chain]; }

 private:
  enum State : uint8_t { kNew, kOpen, kDone };
  // How many callees ahead memory is asked for: tables have chains that call
  // ten thousand others, in an order of their own.
  static constexpr size_t kNear = 3;
  static constexpr size_t kFar = 6;
  const Table& table_;
  const CallGraph& calls_;
  int limit_;
  std::vector<State> state_;
  std::vector<ChainId> done_;  // in the order in which they became it
  std::vector<int> height_;
  std::vector<uint8_t> hooks_;
};

std::string HookList(uint8_t hooks) {
  std::string out;
  for (int i = 0; i < 5; ++i) {
    if ((hooks >> i & 1) == 0) continue;
    absl::StrAppend(&out, out.empty() ? "" : ", ",
                    HookName(static_cast<Hook>(i)));
  }
  return out;
}

}  // namespace

uint8_t HooksAllowed(const Extension& extension, OpView op,
                     const StringPool& strings) {
  if (op.kind() == OpKind::kPhysdev) {
    const PhysdevMatch p = op.As<PhysdevMatch>();
    const bool out =
        (p.given & (PhysdevMatch::kOut | PhysdevMatch::kIsOut)) != 0;
    const bool bridged = (p.given & PhysdevMatch::kBridged) != 0 &&
                         (p.invert & PhysdevMatch::kBridged) == 0;
    if (out && !bridged) {
      return static_cast<uint8_t>(~HookBit(Hook::kOutput)) & 0x1f;
    }
  }
  if (op.kind() == OpKind::kAddrtype) {
    const AddrtypeMatch a = op.As<AddrtypeMatch>();
    if (a.limit_in) {
      return 0x1f & ~(HookBit(Hook::kPostrouting) | HookBit(Hook::kOutput));
    }
    if (a.limit_out) {
      return 0x1f & ~(HookBit(Hook::kPrerouting) | HookBit(Hook::kInput));
    }
  }
  constexpr uint8_t kLeaving = HookBit(Hook::kForward) |
                               HookBit(Hook::kOutput) |
                               HookBit(Hook::kPostrouting);
  constexpr uint8_t kArriving = HookBit(Hook::kPrerouting) |
                                HookBit(Hook::kInput) | HookBit(Hook::kForward);
  // tcpmss_tg4_check(), tcpmss_tg6_check().
  if (op.kind() == OpKind::kTcpmss && op.As<TcpmssTarget>().clamp_to_pmtu) {
    return kLeaving;
  }
  // set_target_v3_checkentry().
  if (op.kind() == OpKind::kChangeSet) {
    const SetTarget t = op.As<SetTarget>();
    if (t.map_priority || t.map_queue) return kLeaving;
  }
  // devgroup_mt_checkentry().
  if (op.kind() == OpKind::kUnknownMatch && extension.name == "devgroup") {
    const absl::string_view text = strings.Get(op.As<UnknownMatch>().text);
    return (absl::StrContains(text, "--src-group") ? kArriving : 0x1f) &
           (absl::StrContains(text, "--dst-group") ? kLeaving : 0x1f);
  }
  // policy_mt_check().
  if (op.kind() == OpKind::kUnknownMatch && extension.name == "policy") {
    const absl::string_view text = strings.Get(op.As<UnknownMatch>().text);
    if (absl::StrContains(text, "--dir in")) {
      return 0x1f & ~(HookBit(Hook::kPostrouting) | HookBit(Hook::kOutput));
    }
    if (absl::StrContains(text, "--dir out")) {
      return 0x1f & ~(HookBit(Hook::kPrerouting) | HookBit(Hook::kInput));
    }
  }
  return extension.hooks;
}

namespace {

// With nft, iptables writes these as expressions of nftables' own, which the
// kernel takes without -p: a match of ports or flags (add_nft_tcp(),
// add_nft_udp() of iptables 1.8.9).
bool IsNative(Variant variant, OpView op) {
  if (variant != Variant::kNft) return false;
  if (op.kind() == OpKind::kTcp) {
    const uint8_t flags = op.As<TcpMatch>().flags;
    return flags != 0 && (flags & kHasTcpOption) == 0;
  }
  return op.kind() == OpKind::kUdp && op.As<UdpMatch>().flags != 0;
}

// Whether only SYN segments pass, as xt_TCPMSS.c's find_syn_match() sees it.
bool MatchesSyn(RuleView rule) {
  for (OpView op : rule.ops()) {
    if (op.kind() != OpKind::kTcp) continue;
    const TcpMatch tcp = op.As<TcpMatch>();
    if ((tcp.flags & kInvertTcpFlags) == 0 &&
        (tcp.flag_compare & kTcpSyn) != 0) {
      return true;
    }
  }
  return false;
}

// Whether the text of a match or target says what only TCP has.
bool AsksForTcp(const Extension& extension, OpView op,
                const StringPool& strings) {
  // ecn_mt_check4(), ecn_tg_check().
  if (op.kind() == OpKind::kUnknownMatch && extension.name == "ecn") {
    return absl::StrContains(strings.Get(op.As<UnknownMatch>().text),
                             "--ecn-tcp");
  }
  if (op.kind() == OpKind::kUnknownTarget && extension.name == "ECN") {
    return absl::StrContains(strings.Get(op.As<UnknownTarget>().text),
                             "--ecn-tcp");
  }
  return false;
}

// Nothing but an address of no bits, inverted: nftables has no such expression.
template <typename Match>
bool ExcludesAll(RuleView rule) {
  const auto match = rule.Get<Match>();
  return match && match->invert != 0 && match->prefix_length == 0;
}

}  // namespace

std::string CheckRule(const Table& table, Variant variant, IpFamily family,
                      const StringPool& strings, RuleView rule) {
  if (variant == Variant::kNft &&
      (ExcludesAll<SourceMatch>(rule) || ExcludesAll<DestinationMatch>(rule))) {
    return "! -s or ! -d of all addresses is not known to nft";
  }
  const auto protocol = rule.Get<ProtocolMatch>();
  const int given = protocol && protocol->invert == 0 ? protocol->protocol : 0;
  for (OpView op : rule.ops()) {
    if (op.kind() == OpKind::kQueue && variant == Variant::kNft) {
      return "QUEUE is not known to nft";
    }
    if (op.kind() == OpKind::kJump || op.kind() == OpKind::kGoto) {
      const auto to = Callee(table, rule);
      if (to && table.policy(*to) != Table::Policy::kNone) {
        return "jump to a built-in chain";
      }
      continue;
    }
    const Extension* e = ExtensionTable::Get().Find(op, family, strings);
    if (e == nullptr) continue;
    if (e->tables != 0 && (e->tables & TableBit(table.id())) == 0) {
      return absl::StrCat(e->name, " is not allowed in table ",
                          TableName(table.id()));
    }
    const bool native = IsNative(variant, op);
    const uint8_t needed = AsksForTcp(*e, op, strings) ? 6 : e->protocol;
    if (needed != 0 && !native && needed != given) {
      return absl::StrCat(e->name, " needs -p ", SavedProtocolName(needed));
    }
    // tproxy_tg4_check(), tproxy_tg6_check().
    if (op.kind() == OpKind::kUnknownTarget && e->name == "TPROXY" &&
        given != 6 && given != 17) {
      return "TPROXY needs -p tcp or -p udp";
    }
    if (op.kind() == OpKind::kUdp && !native && given != 17 && given != 136) {
      return "udp needs -p udp";
    }
    // xt_ct_find_proto() of xt_CT.c.
    if (op.kind() == OpKind::kCt && given == 0 &&
        (op.As<CtTarget>().helper != 0 || op.As<CtTarget>().timeout != 0)) {
      return "CT with a helper or timeout needs -p";
    }
    std::string refused = CheckValues(variant, family, *e, op, strings);
    if (!refused.empty()) return refused;
    if (op.kind() == OpKind::kTcpmss && variant == Variant::kLegacy &&
        !MatchesSyn(rule)) {
      return "TCPMSS needs -m tcp with SYN among its --tcp-flags";
    }
  }
  return "";
}

bool CheckTable(const Table& table, Variant variant, const CallGraph& calls,
                std::span<const RuleOrigin> origins, KernelFinding* finding) {
  Walk walk(table, variant, calls);
  for (Hook hook : HooksOf(table.id())) {
    const auto root = table.FindChain(HookName(hook));
    if (!root) continue;
    if (!walk.From(*root, finding)) return false;
    walk.AddHook(*root, HookBit(hook));
  }
  walk.SpreadHooks();
  for (ChainId chain = 0; chain < calls.chains(); ++chain) {
    if ((walk.hooks(chain) & ~calls.hooks(chain)) == 0) continue;
    finding->message = "a rule is reached where it is not allowed";
    return false;
  }
  for (const RuleOrigin& o : origins) {
    const uint8_t wrong = walk.hooks(o.chain) & ~o.hooks;
    if (wrong == 0) continue;
    finding->line = o.line;
    finding->token = std::string(o.name);
    finding->message =
        absl::StrCat("is reached from ", HookList(wrong),
                     ", and allowed only in ", HookList(o.hooks));
    return false;
  }
  return true;
}

bool IsJumpedTo(const Table& table, ChainId chain) {
  for (ChainId id : table.chains()) {
    for (RuleView rule : table.rules(id)) {
      if (Callee(table, rule) == chain) return true;
    }
  }
  return false;
}

// Makes the rules of `chain` anew, each op through `edit`.
template <typename Edit>
static void RewriteChain(Table* table, ChainId chain, Edit edit) {
  std::vector<RuleBuilder> rules;
  for (RuleView rule : table->rules(chain)) {
    rules.emplace_back();
    for (OpView op : rule.ops()) edit(op, &rules.back());
  }
  table->ClearRules(chain);
  for (const RuleBuilder& rule : rules) table->Append(chain, rule);
}

void RenameEverywhere(Table* table, StringPool* strings, ChainId chain,
                      absl::string_view to) {
  const StringId from_id = table->name_id(chain);
  const StringId to_id = strings->Intern(to);
  for (ChainId id : table->chains()) {
    RewriteChain(table, id, [&](OpView op, RuleBuilder* out) {
      if (op.kind() == OpKind::kJump && op.As<JumpTarget>().chain == from_id) {
        out->Add(JumpTarget{to_id});
      } else if (op.kind() == OpKind::kGoto &&
                 op.As<GotoTarget>().chain == from_id) {
        out->Add(GotoTarget{to_id});
      } else {
        out->Add(op);
      }
    });
  }
  table->RenameChain(chain, to);
}

void ZeroCounters(Table* table, ChainId chain) {
  table->set_counters(chain, Counters());
  RewriteChain(table, chain, [](OpView op, RuleBuilder* out) {
    if (op.kind() != OpKind::kCounters) out->Add(op);
  });
}

}  // namespace k8sdns::netfilter
