#include "k8sdns/netfilter/call_graph.h"

namespace k8sdns::netfilter {

void CallGraph::AddRule(const Table& table, ChainId chain, RuleView rule) {
  Open(chain);
  const auto target = rule.target();
  if (!target ||
      (target->kind() != OpKind::kJump && target->kind() != OpKind::kGoto)) {
    return;
  }
  // Both ops begin with the name.
  const auto to = table.FindChain(StringId{target->As<JumpTarget>().chain});
  if (to) Add(*to);
}

void CallGraph::Complete(const Table& table) {
  Resize(table.chain_limit());
  if (complete_) return;
  callees_.clear();
  for (ChainId id = 0; id < table.chain_limit(); ++id) {
    begin_[id] = end_[id] = static_cast<uint32_t>(callees_.size());
    open_ = id;
    for (RuleView rule : table.rules(id)) AddRule(table, id, rule);
  }
  open_ = kNone;
  complete_ = true;
}

}  // namespace k8sdns::netfilter
