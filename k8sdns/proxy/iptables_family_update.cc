// How a batch of events becomes a delta: IptablesFamily::Update and what it
// needs.
#include <algorithm>
#include <array>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "k8sdns/proxy/counting_sink.h"
#include "k8sdns/proxy/iptables_family.h"
#include "k8sdns/proxy/iptables_fixed_rules.h"
#include "k8sdns/proxy/iptables_rules.h"

namespace k8sdns::proxy {
namespace {

using Kind = IptablesDelta::Kind;

void Emit(const RuleContext& context, const PortModel& model,
          ProbabilityTexts& probabilities, Fragment& out) {
  out.Clear();
  TextBuffer buffer(out.text);
  FragmentSink sink(out, buffer, context.is_v6(), probabilities,
                    !context.traits.endpoint_slices);
  PortRules<FragmentSink> port(context, model, sink);
  port.Chains();
  port.Filter();
  port.Nat();
}

// The rules at the end of nat KUBE-SERVICES.
void EmitNodePorts(const RuleContext& context, ProbabilityTexts& probabilities,
                   Fragment& out) {
  out.Clear();
  TextBuffer buffer(out.text);
  FragmentSink sink(out, buffer, context.is_v6(), probabilities, false);
  FixedRules<FragmentSink>(context, sink).NodePorts();
}

RuleCounts CountsOf(const Fragment& fragment) {
  RuleCounts counts = {};
  for (const Fragment::ChainText& c : fragment.chains) {
    if (c.dispatch < kDispatchChains) counts[c.dispatch] = c.rules;
  }
  return counts;
}

// Pairs the own chains of two fragments by name; -1: not in the other one.
class ChainMatch {
 public:
  ChainMatch(const Fragment& before, const Fragment& after) {
    const size_t n = before.chains.size();
    const size_t m = after.chains.size();
    old_of_.assign(m, -1);
    new_of_.assign(n, -1);
    // What lies at the same place from the front or from the back needs no
    // search, which leaves little.
    auto same = [&](size_t i, size_t k) {
      return before.chains[i].table == after.chains[k].table &&
             before.name(before.chains[i]) == after.name(after.chains[k]);
    };
    auto pair = [&](size_t i, size_t k) {
      new_of_[i] = static_cast<int>(k);
      old_of_[k] = static_cast<int>(i);
    };
    size_t front = 0;
    for (; front < n && front < m && same(front, front); ++front) {
      pair(front, front);
    }
    size_t back = 0;
    for (; back < n - front && back < m - front &&
           same(n - 1 - back, m - 1 - back);
         ++back) {
      pair(n - 1 - back, m - 1 - back);
    }
    absl::flat_hash_map<std::pair<int, absl::string_view>, size_t> by_name;
    for (size_t i = front; i < n - back; ++i) {
      by_name.emplace(std::make_pair(static_cast<int>(before.chains[i].table),
                                     before.name(before.chains[i])),
                      i);
    }
    for (size_t k = front; k < m - back && !by_name.empty(); ++k) {
      auto it =
          by_name.find(std::make_pair(static_cast<int>(after.chains[k].table),
                                      after.name(after.chains[k])));
      if (it != by_name.end()) pair(it->second, k);
    }
  }
  int old_of(size_t k) const { return old_of_[k]; }
  int new_of(size_t i) const { return new_of_[i]; }

 private:
  std::vector<int> old_of_;
  std::vector<int> new_of_;
};

// Whether the endpoints that a policy uses are the same in both, in order.
bool SameChains(const PortModel& a, const PortModel& b, uint8_t use) {
  size_t i = 0;
  size_t k = 0;
  const auto& from = a.list.endpoints;
  const auto& to = b.list.endpoints;
  for (;;) {
    while (i < from.size() && (from[i].use & use) == 0) ++i;
    while (k < to.size() && (to[k].use & use) == 0) ++k;
    if (i == from.size() || k == to.size()) {
      return i == from.size() && k == to.size();
    }
    if (!(from[i++].chain == to[k++].chain)) return false;
  }
}

// Whether `e` of `list` is in the sorted list `other` and used there. `next` is
// where to look on for the next one.
bool IsUsedIn(const EndpointList& other, const EndpointInfo& e,
              const EndpointList& list, size_t& next) {
  const auto& others = other.endpoints;
  auto found = [&] {
    return next < others.size() && others[next].chain == e.chain;
  };
  if (!found()) {
    const absl::string_view text = list.text(e);
    while (next < others.size() && other.text(others[next]) < text) ++next;
  }
  return found() && others[next].use != 0;
}

}  // namespace

IptablesFamily::Pending& IptablesFamily::NextPending() {
  if (pending_count_ == pending_.size()) pending_.emplace_back();
  Pending& pending = pending_[pending_count_++];
  pending.node = nullptr;
  pending.removed = false;
  return pending;
}

// Derives anew the ports of a service whose objects changed.
void IptablesFamily::Prepare(ServiceState& state) {
  auto prepare = [&](PortNode* node, const ServicePortInfo& info) {
    Pending& pending = NextPending();
    pending.service = &state;
    pending.node = node;
    pending.model.info = info;
    const PortModel* old = node != nullptr ? &node->model : nullptr;
    Derive(state, old, nullptr, pending.model);
    endpoint_count_ += pending.model.list.size();
    if (old != nullptr) endpoint_count_ -= old->list.size();
  };
  if (!state.new_infos) {
    for (PortNode* node : state.ports) prepare(node, node->model.info);
    return;
  }
  auto same_port = [](const ServicePortInfo& a, const ServicePortInfo& b) {
    return a.port_name == b.port_name && a.protocol == b.protocol;
  };
  for (PortNode* node : state.ports) {
    if (std::any_of(state.new_infos->begin(), state.new_infos->end(),
                    [&](const ServicePortInfo& info) {
                      return same_port(info, node->model.info);
                    })) {
      continue;
    }
    Pending& pending = NextPending();
    pending.service = &state;
    pending.node = node;
    pending.removed = true;
    endpoint_count_ -= node->model.list.size();
  }
  for (const ServicePortInfo& info : *state.new_infos) {
    PortNode* node = nullptr;
    for (PortNode* known : state.ports) {
      if (same_port(known->model.info, info)) node = known;
    }
    prepare(node, info);
  }
  state.new_infos.reset();
}

void IptablesFamily::Update(IptablesDelta& delta) {
  delta.Clear();
  if (dirty_.empty() && !next_node_) return;
  // The context before the batch, if the batch changes it.
  std::optional<RuleContext> before;
  if (next_node_ && !(*next_node_ == context_.node)) {
    before = context_;
    context_.node = *std::move(next_node_);
    zone_hints_.SetOwn(context_.node.zone);
    for (ServiceState* state : services_) MarkDirty(*state);
  }
  next_node_.reset();
  pending_count_ = 0;
  for (size_t i = 0; i < dirty_.size(); ++i) Prepare(*dirty_[i]);
  if (IsLarge() != context_.large_cluster) {
    if (!before) before = context_;
    context_.large_cluster = IsLarge();
    for (ServiceState* state : services_) {
      if (state->dirty) continue;
      MarkDirty(*state);
      Prepare(*state);
    }
  }
  for (size_t i = 0; i < pending_count_; ++i) {
    Pending& pending = pending_[i];
    if (before || !UpdateEndpointsOnly(pending, delta)) {
      UpdatePort(pending, before ? *before : context_, delta);
    }
  }
  if (before) UpdateFixedRules(*before, delta);
  for (ServiceState* state : dirty_) {
    state->dirty = false;
    if (state->ports.empty() && state->slices.empty()) {
      services_.erase(Name(state->namespace_, state->name));
      state_pool_.Delete(state);
    }
  }
  dirty_.clear();
}

// The common case: other endpoints, but all rules that do not name endpoints
// stay. False if that is not so.
bool IptablesFamily::UpdateEndpointsOnly(Pending& pending,
                                         IptablesDelta& delta) {
  if (pending.node == nullptr || pending.removed) return false;
  PortModel& old = pending.node->model;
  PortModel& now = pending.model;
  if (old.Shape() != now.Shape() || !context_.traits.endpoint_slices ||
      !(old.info == now.info)) {
    return false;
  }
  const bool same_cluster = SameChains(old, now, kUsedByCluster);
  const bool same_local = SameChains(old, now, kUsedByLocal);
  // Endpoints are sorted by their text, and so are chains by appearance.
  after_.Clear();
  TextBuffer buffer(after_.text);
  FragmentSink sink(after_, buffer, context_.is_v6(), probabilities_, false);
  PortRules<FragmentSink> rules(context_, now, sink);
  const auto& from = old.list.endpoints;
  const auto& to = now.list.endpoints;
  size_t i = 0;
  for (const EndpointInfo& e : to) {
    if (e.use == 0 || IsUsedIn(old.list, e, now.list, i)) continue;
    rules.EndpointChain(e, static_cast<uint32_t>(&e - to.data()));
    const Fragment::ChainText& c = after_.chains.back();
    delta.Add(Kind::kChainAdded, c.table, after_.name(c), after_.rules(c), 0,
              c.rules);
  }
  if (!same_cluster || !same_local) {
    const size_t first = after_.chains.size();
    rules.BalancingChains();
    for (size_t k = first; k < after_.chains.size(); ++k) {
      const Fragment::ChainText& c = after_.chains[k];
      const bool local = after_.name(c).substr(0, 9) == kLocalChainPrefix;
      if (local ? same_local : same_cluster) continue;
      delta.Add(Kind::kChainReplaced, c.table, after_.name(c), after_.rules(c),
                0, c.rules);
    }
  }
  size_t k = 0;
  for (const EndpointInfo& e : from) {
    if (e.use == 0 || IsUsedIn(now.list, e, old.list, k)) continue;
    std::array<char, 25> name;
    std::copy_n(kEndpointChainPrefix.data(), 9, name.data());
    std::copy_n(e.chain.characters.data(), 16, name.data() + 9);
    delta.Add(Kind::kChainDeleted, netfilter::TableId::kNat,
              {name.data(), name.size()}, "", 0, 0);
  }
  std::swap(old, now);
  return true;
}

void IptablesFamily::UpdatePort(Pending& pending, const RuleContext& before,
                                IptablesDelta& delta) {
  if (!counted_) CountRules(before);
  PortNode* node = pending.node;
  before_.Clear();
  after_.Clear();
  if (node != nullptr) Emit(before, node->model, probabilities_, before_);
  if (!pending.removed) {
    Emit(context_, pending.model, probabilities_, after_);
  }
  auto& ports = pending.service->ports;
  if (node == nullptr) {
    node = ports.emplace_back(node_pool_.New());
    std::swap(node->model, pending.model);
    tree_.Insert(node);
  } else if (!pending.removed) {
    std::swap(node->model, pending.model);
  }
  Diff(before_, after_, node, delta);
  if (pending.removed) {
    tree_.Erase(node);
    ports.erase(std::find(ports.begin(), ports.end(), node));
    node_pool_.Delete(node);
  }
}

void IptablesFamily::Diff(const Fragment& before, const Fragment& after,
                          PortNode* node, IptablesDelta& delta) {
  const ChainMatch match(before, after);
  // New chains first: dispatch rules and balancing rules jump to them.
  for (size_t k = after.chains.size(); k-- > 0;) {
    const Fragment::ChainText& c = after.chains[k];
    if (c.dispatch != kOwnChain) continue;
    const int i = match.old_of(k);
    if (i < 0) {
      delta.Add(Kind::kChainAdded, c.table, after.name(c), after.rules(c), 0,
                c.rules);
    } else if (before.rules(before.chains[i]) != after.rules(c)) {
      delta.Add(Kind::kChainReplaced, c.table, after.name(c), after.rules(c), 0,
                c.rules);
    }
  }
  UpdateDispatch(before, after, node, delta);
  for (size_t i = 0; i < before.chains.size(); ++i) {
    const Fragment::ChainText& c = before.chains[i];
    if (c.dispatch == kOwnChain && match.new_of(i) < 0) {
      delta.Add(Kind::kChainDeleted, c.table, before.name(c), "", 0, 0);
    }
  }
}

void IptablesFamily::UpdateDispatch(const Fragment& before,
                                    const Fragment& after, PortNode* node,
                                    IptablesDelta& delta) {
  std::array<bool, kDispatchChains> changed = {};
  bool any = false;
  for (uint8_t d = 0; d < kDispatchChains; ++d) {
    const Fragment::ChainText* from = before.Find(d);
    const Fragment::ChainText* to = after.Find(d);
    changed[d] = (from == nullptr) != (to == nullptr) ||
                 (from != nullptr && before.rules(*from) != after.rules(*to));
    any |= changed[d];
  }
  if (!any) return;
  const RuleCounts position = tree_.CountsBefore(node);
  for (uint8_t d = 0; d < kDispatchChains; ++d) {
    if (!changed[d]) continue;
    const ChainRef& chain = kDispatchRefs[d];
    const uint32_t at = position[d] + 1;
    if (const auto* from = before.Find(d)) {
      delta.Add(Kind::kRulesDeleted, chain.table, chain.prefix, "", at,
                from->rules);
    }
    if (const auto* to = after.Find(d)) {
      delta.Add(Kind::kRulesInserted, chain.table, chain.prefix,
                after.rules(*to), at, to->rules);
    }
  }
  tree_.SetCounts(node, CountsOf(after));
}

// Of the fixed rules only those for node ports depend on the node.
void IptablesFamily::UpdateFixedRules(const RuleContext& before,
                                      IptablesDelta& delta) {
  EmitNodePorts(before, probabilities_, before_);
  EmitNodePorts(context_, probabilities_, after_);
  const Fragment::ChainText* from = before_.Find(kNatServices);
  const Fragment::ChainText* to = after_.Find(kNatServices);
  if (from != nullptr && to != nullptr &&
      before_.rules(*from) == after_.rules(*to)) {
    return;
  }
  if (!counted_) CountRules(context_);
  const ChainRef& chain = kDispatchRefs[kNatServices];
  const uint32_t at = tree_.Total()[kNatServices] + 1;
  if (from != nullptr) {
    delta.Add(Kind::kRulesDeleted, chain.table, chain.prefix, "", at,
              from->rules);
  }
  if (to != nullptr) {
    delta.Add(Kind::kRulesInserted, chain.table, chain.prefix,
              after_.rules(*to), at, to->rules);
  }
}

void IptablesFamily::CountRules(const RuleContext& context) {
  tree_.ForEach([&](PortNode& node) {
    node.own = {};
    CountingSink sink(node.own);
    PortRules<CountingSink> port(context, node.model, sink);
    port.Filter();
    port.Dispatch();
  });
  tree_.SumUp();
  counted_ = true;
}

}  // namespace k8sdns::proxy
