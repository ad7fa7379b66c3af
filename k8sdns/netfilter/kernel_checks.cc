#include "k8sdns/netfilter/kernel_checks.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"

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
  Walk(const Table& table, Variant variant) : table_(table) {
    limit_ = variant == Variant::kNft ? 16 : 0;
    const std::vector<ChainId> chains = table.chains();
    ChainId top = 0;
    StringId top_name = 0;
    for (ChainId id : chains) {
      top = std::max(top, id);
      top_name = std::max(top_name, table.name_id(id));
    }
    state_.resize(top + 1, kNew);
    height_.resize(top + 1, 0);
    hooks_.resize(top + 1, 0);
    first_.resize(top + 2, 0);
    std::vector<ChainId> by_name(top_name + 1, kNoChain);
    for (ChainId id : chains) by_name[table.name_id(id)] = id;
    // The callees of a chain, one after another, in the order of ids.
    for (ChainId id = 0; id <= top; ++id) {
      first_[id] = static_cast<uint32_t>(callees_.size());
      for (RuleView rule : table.rules(id)) {
        const auto target = rule.target();
        if (!target || (target->kind() != OpKind::kJump &&
                        target->kind() != OpKind::kGoto)) {
          continue;
        }
        // Both ops begin with the name.
        const StringId name = target->As<JumpTarget>().chain;
        if (name <= top_name && by_name[name] != kNoChain) {
          callees_.push_back(by_name[name]);
        }
      }
    }
    first_[top + 1] = static_cast<uint32_t>(callees_.size());
  }

  bool From(ChainId root, uint8_t hook, KernelFinding* finding) {
    struct Frame {
      ChainId chain;
      size_t next;
      int height;  // longest way below, so far
    };
    std::vector<Frame> stack = {{root, first_[root], 0}};
    std::fill(state_.begin(), state_.end(), kNew);
    state_[root] = kOpen;
    hooks_[root] |= hook;
    while (!stack.empty()) {
      Frame& top = stack.back();
      if (top.next == first_[top.chain + 1]) {
        state_[top.chain] = kDone;
        height_[top.chain] = top.height;
        const int height = top.height + 1;
        stack.pop_back();
        if (!stack.empty() && stack.back().height < height) {
          stack.back().height = height;
        }
        continue;
      }
      const ChainId to = callees_[top.next++];
      const int state = state_[to];
      if (state == kOpen) {
        finding->token = std::string(table_.name(to));
        finding->message = "loop: the chain is reached from itself";
        return false;
      }
      hooks_[to] |= hook;
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
      stack.push_back({to, first_[to], 0});
    }
    return true;
  }

  uint8_t hooks(ChainId chain) const { return hooks_[chain]; }

 private:
  enum State : uint8_t { kNew, kOpen, kDone };
  static constexpr ChainId kNoChain = ~ChainId{0};
  const Table& table_;
  int limit_;
  std::vector<ChainId> callees_;
  std::vector<uint32_t> first_;  // of chain i: first_[i]..first_[i + 1]
  std::vector<State> state_;
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

uint8_t HooksAllowed(const Extension& extension, OpView op) {
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
  return extension.hooks;
}

std::string CheckRule(const Table& table, Variant variant, IpFamily family,
                      RuleView rule) {
  (void)family;
  const auto protocol = rule.Get<ProtocolMatch>();
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
    const Extension* e = ExtensionTable::Get().Find(op.kind());
    if (e == nullptr) continue;
    if (e->tables != 0 && (e->tables & TableBit(table.id())) == 0) {
      return absl::StrCat(e->name, " is not allowed in table ",
                          TableName(table.id()));
    }
    const bool native =
        variant == Variant::kNft &&
        (op.kind() == OpKind::kTcp || op.kind() == OpKind::kUdp ||
         op.kind() == OpKind::kTcpmss);
    if (e->protocol != 0 && !native &&
        (!protocol || protocol->invert || protocol->protocol != e->protocol)) {
      return absl::StrCat(e->name, " needs -p ",
                          SavedProtocolName(e->protocol));
    }
    if (op.kind() == OpKind::kUdp && !native &&
        (!protocol || protocol->invert ||
         (protocol->protocol != 17 && protocol->protocol != 136))) {
      return "udp needs -p udp";
    }
  }
  return "";
}

bool CheckTable(const Table& table, Variant variant,
                std::span<const RuleOrigin> origins, KernelFinding* finding) {
  Walk walk(table, variant);
  for (Hook hook : HooksOf(table.id())) {
    const auto root = table.FindChain(HookName(hook));
    if (root && !walk.From(*root, HookBit(hook), finding)) return false;
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
