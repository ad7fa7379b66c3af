#include "k8sdns/proxy/iptables_family.h"

#include <algorithm>
#include <iterator>
#include <variant>

#include "k8sdns/net/prefetch.h"
#include "k8sdns/proxy/iptables_fixed_rules.h"
#include "k8sdns/proxy/iptables_rules.h"

namespace k8sdns::proxy {
namespace {

void Prefetch(const void* begin, size_t size) {
  for (size_t at = 0; at < size; at += 64) {
    PrefetchLine(static_cast<const char*>(begin) + at);
  }
}

// Visits ports in order. They lie scattered in memory, so that what comes next
// is asked for ahead.
template <typename Visit>
void VisitAhead(const std::vector<PortNode*>& ports, Visit visit) {
  constexpr size_t kNodes = 8;
  constexpr size_t kEndpoints = 3;
  constexpr size_t kMaxBytes = 4096;
  for (size_t i = 0; i < ports.size(); ++i) {
    if (i + kNodes < ports.size()) {
      Prefetch(&ports[i + kNodes]->model, sizeof(PortModel));
    }
    if (i + kEndpoints < ports.size()) {
      const PortModel& next = ports[i + kEndpoints]->model;
      Prefetch(next.list.endpoints.data(),
               std::min(next.list.size() * sizeof(EndpointInfo), kMaxBytes));
      Prefetch(next.list.texts.data(),
               std::min(next.list.texts.size(), kMaxBytes));
      PrefetchLine(next.info.name.data());
    }
    visit(*ports[i]);
  }
}

}  // namespace

IptablesFamily::IptablesFamily(const RuleContext& context,
                               const KubeProxyConfig& config)
    : context_(context),
      config_(config),
      probabilities_(context.traits.probability_digits) {
  zone_hints_.SetOwn(context.node.zone);
  node_hints_.SetOwn(context.node.name);
}

// ---- what is read ----

IptablesFamily::ServiceState* IptablesFamily::FindState(
    absl::string_view namespace_, absl::string_view name) const {
  auto it = services_.find(Name(namespace_, name));
  return it == services_.end() ? nullptr : *it;
}

IptablesFamily::ServiceState& IptablesFamily::StateOf(
    absl::string_view namespace_, absl::string_view name) {
  if (ServiceState* state = FindState(namespace_, name)) return *state;
  ServiceState* const state = state_pool_.New();
  state->namespace_ = std::string(namespace_);
  state->name = std::string(name);
  services_.insert(state);
  return *state;
}

void IptablesFamily::MarkDirty(ServiceState& state) {
  if (state.dirty) return;
  state.dirty = true;
  dirty_.push_back(&state);
}

EndpointReader IptablesFamily::Reader(Findings* findings) {
  return {.node_name = context_.node.name,
          .family = context_.node.family,
          .features = context_.features,
          .zone_hints = &zone_hints_,
          .node_hints = &node_hints_,
          .findings = findings};
}

void IptablesFamily::ReadService(const Service& service, bool deleted,
                                 Findings* findings) {
  const ObjectMeta& meta = service.metadata;
  std::vector<ServicePortInfo> infos;
  if (!deleted) {
    ExpandService(service, context_.node.family,
                  {context_.traits, context_.features}, infos, findings);
  }
  ServiceState* known = FindState(meta.namespace_, meta.name);
  if (infos.empty() && known == nullptr) return;
  ServiceState& state =
      known != nullptr ? *known : StateOf(meta.namespace_, meta.name);
  if (SameInfos(state, infos)) return;
  state.new_infos = std::move(infos);
  MarkDirty(state);
}

bool IptablesFamily::SameInfos(const ServiceState& state,
                               const std::vector<ServicePortInfo>& infos) {
  if (state.new_infos) return *state.new_infos == infos;
  if (state.ports.size() != infos.size()) return false;
  for (const ServicePortInfo& info : infos) {
    if (std::none_of(
            state.ports.begin(), state.ports.end(),
            [&](const auto& node) { return node->model.info == info; })) {
      return false;
    }
  }
  return true;
}

CompactSlice* IptablesFamily::FindSlice(ServiceState& state,
                                        absl::string_view name) {
  auto it = std::lower_bound(
      state.slices.begin(), state.slices.end(), name,
      [](const CompactSlice& s, absl::string_view n) { return s.name < n; });
  return it != state.slices.end() && it->name == name ? it : state.slices.end();
}

// KnowOwners() was called.
void IptablesFamily::RemoveSlice(ServiceState& state, absl::string_view name) {
  auto owners = slice_owners_.find(
      absl::HashOf(absl::string_view(state.namespace_), name));
  auto& states = owners->second;
  states.erase(std::find(states.begin(), states.end(), &state));
  if (states.empty()) slice_owners_.erase(owners);
  state.slices.erase(FindSlice(state, name));
  MarkDirty(state);
}

void IptablesFamily::ReadSlice(const EndpointSlice& slice, bool deleted,
                               Findings* findings) {
  const ObjectMeta& meta = slice.metadata;
  std::optional<absl::string_view> service;
  if (!deleted) service = Reader(findings).ReadSlice(slice, slice_scratch_);
  const bool wanted = service && IsWatched(meta, context_.traits);
  const absl::string_view namespace_ = meta.namespace_;
  ServiceState* state = nullptr;
  if (wanted) {
    state = &StateOf(namespace_, *service);
    auto kept = FindSlice(*state, meta.name);
    if (kept != state->slices.end()) {
      if (*kept == slice_scratch_) return;
      std::swap(*kept, slice_scratch_);
      MarkDirty(*state);
      return;
    }
  }
  // It is new to its service, or not wanted (any more): it may be another
  // service's.
  KnowOwners();
  const size_t hash = absl::HashOf(namespace_, absl::string_view(meta.name));
  if (auto owners = slice_owners_.find(hash); owners != slice_owners_.end()) {
    for (ServiceState* owner : owners->second) {
      if (owner->namespace_ != namespace_ ||
          FindSlice(*owner, meta.name) == owner->slices.end()) {
        continue;
      }
      RemoveSlice(*owner, meta.name);
      break;
    }
  }
  if (!wanted) return;
  auto& slices = state->slices;
  slices.insert(
      std::upper_bound(slices.begin(), slices.end(), meta.name,
                       [](const std::string& n, const CompactSlice& s) {
                         return n < s.name;
                       }),
      slice_scratch_);
  slice_owners_[hash].push_back(state);
  MarkDirty(*state);
}

void IptablesFamily::LoadSlice(const EndpointSlice& slice,
                               absl::string_view service, Findings* findings) {
  const ObjectMeta& meta = slice.metadata;
  EndpointReader reader = Reader(findings);
  if (!reader.IsOfFamily(slice)) return;
  if (service.empty() || !IsWatched(meta, context_.traits)) {
    reader.ReadSliceOf(service, slice, slice_scratch_);
    return;
  }
  reader.arena = &arena_;
  if (last_loaded_ == nullptr || last_loaded_->name != service ||
      last_loaded_->namespace_ != meta.namespace_) {
    last_loaded_ = &StateOf(meta.namespace_, service);
  }
  reader.ReadSliceOf(service, slice, last_loaded_->slices.emplace_back());
}

void IptablesFamily::KnowOwners() {
  if (owners_known_) return;
  owners_known_ = true;
  for (ServiceState* state : services_) {
    const absl::string_view namespace_ = state->namespace_;
    for (const CompactSlice& slice : state->slices) {
      slice_owners_[absl::HashOf(namespace_, absl::string_view(slice.name))]
          .push_back(state);
    }
  }
}

void IptablesFamily::ReadEndpoints(const Endpoints& endpoints, bool deleted,
                                   Findings* findings) {
  const ObjectMeta& meta = endpoints.metadata;
  std::vector<CompactSlice> subsets;
  if (!deleted && IsWatched(meta, context_.traits)) {
    Reader(findings).ReadEndpoints(endpoints, subsets);
  }
  if (subsets.empty() && FindState(meta.namespace_, meta.name) == nullptr) {
    return;
  }
  ServiceState& state = StateOf(meta.namespace_, meta.name);
  if (std::equal(subsets.begin(), subsets.end(), state.slices.begin(),
                 state.slices.end())) {
    return;
  }
  state.slices.assign(std::make_move_iterator(subsets.begin()),
                      std::make_move_iterator(subsets.end()));
  MarkDirty(state);
}

void IptablesFamily::ReadNode(const Node& node, bool deleted) {
  if (node.metadata.name != config_.hostname_override) return;
  next_node_ = MakeNodeView(deleted ? nullptr : &node, config_,
                            context_.node.family, context_.traits, nullptr);
}

void IptablesFamily::Read(const WatchEvent& event, Findings* findings) {
  const bool deleted = event.type == WatchEvent::Type::kDeleted;
  if (const auto* service = std::get_if<Service>(&event.object)) {
    ReadService(*service, deleted, findings);
  } else if (const auto* slice = std::get_if<EndpointSlice>(&event.object)) {
    if (context_.traits.endpoint_slices) ReadSlice(*slice, deleted, findings);
  } else if (const auto* endpoints = std::get_if<Endpoints>(&event.object)) {
    if (!context_.traits.endpoint_slices) {
      ReadEndpoints(*endpoints, deleted, findings);
    }
  } else if (const auto* node = std::get_if<Node>(&event.object)) {
    ReadNode(*node, deleted);
  }
}

// ---- what is derived ----

void IptablesFamily::Categorize(PortModel& model) {
  EndpointList& list = model.list;
  for (EndpointInfo& e : list.endpoints) e.use = 0;
  if (!context_.traits.endpoint_slices) {
    model.has_endpoints = list.size() > 0;
    model.cluster_count = static_cast<uint32_t>(list.size());
    model.local_count = 0;
    for (EndpointInfo& e : list.endpoints) {
      e.use = kUsedByCluster;
      if (model.info.external_policy_local && e.local()) {
        e.use |= kUsedByLocal;
        ++model.local_count;
      }
    }
    return;
  }
  CategorizeEndpoints(list, model.info, context_.features, zone_hints_,
                      node_hints_, selected_);
  for (uint32_t i : selected_.cluster) list.endpoints[i].use = kUsedByCluster;
  for (uint32_t i : selected_.local) list.endpoints[i].use |= kUsedByLocal;
  model.has_endpoints = selected_.has_endpoints;
  model.cluster_count = static_cast<uint32_t>(selected_.cluster.size());
  model.local_count = static_cast<uint32_t>(selected_.local.size());
}

void IptablesFamily::Derive(const ServiceState& state, const PortModel* old,
                            Arena* arena, PortModel& model) {
  const ServicePortInfo& info = model.info;
  const ChainNamer namer(info.name, info.protocol);
  ChainNameBatch names(namer);
  if (old != nullptr) {
    model.hash = old->hash;
  } else {
    names.Add("", &model.hash);
  }
  MergeEndpoints(state.slices, info.port_name, info.protocol, context_.traits,
                 model.list,
                 context_.traits.endpoint_slices ? nullptr : &written_, arena);
  // Both lists are sorted.
  EndpointList& list = model.list;
  size_t next = 0;
  for (size_t i = 0; i < list.size(); ++i) {
    EndpointInfo& e = list.endpoints[i];
    const absl::string_view text = i < written_.size() && !written_[i].empty()
                                       ? written_[i]
                                       : list.text(e);
    // What a name of 1.14 is a hash of is not kept.
    if (old != nullptr && context_.traits.endpoint_slices) {
      const auto& known = old->list.endpoints;
      auto is_next = [&] {
        return next < known.size() && old->list.text(known[next]) == text;
      };
      if (!is_next()) {
        while (next < known.size() && old->list.text(known[next]) < text) {
          ++next;
        }
      }
      if (is_next()) {
        e.chain = known[next++].chain;
        continue;
      }
    }
    names.Add(text, &e.chain);
  }
  names.Flush();
  Categorize(model);
}

void IptablesFamily::LoadService(const Service& service, Findings* findings) {
  std::vector<ServicePortInfo>& infos = infos_scratch_;
  infos.clear();
  ExpandService(service, context_.node.family,
                {context_.traits, context_.features}, infos, findings);
  if (infos.empty()) return;
  const ObjectMeta& meta = service.metadata;
  ServiceState* state = last_loaded_;
  if (state == nullptr || state->name != meta.name ||
      state->namespace_ != meta.namespace_) {
    state = &StateOf(meta.namespace_, meta.name);
  }
  state->ports.reserve(infos.size());
  for (ServicePortInfo& info : infos) {
    PortNode* const node = node_pool_.New();
    state->ports.push_back(node);
    node->model.info = std::move(info);
    Derive(*state, nullptr, &arena_, node->model);
    endpoint_count_ += node->model.list.size();
    loaded_.push_back(node);
  }
}

void IptablesFamily::FinishLoad() {
  for (ServiceState* state : dirty_) state->dirty = false;
  dirty_.clear();
  auto less = [](const PortNode* a, const PortNode* b) {
    return a->model.info < b->model.info;
  };
  // Services come in almost the same order.
  if (!std::is_sorted(loaded_.begin(), loaded_.end(), less)) {
    std::sort(loaded_.begin(), loaded_.end(), less);
  }
  tree_.Build(std::move(loaded_));
  loaded_ = {};
  context_.large_cluster = IsLarge();
}

// ---- whole tables ----

netfilter::Ruleset IptablesFamily::Compile(
    std::vector<RuleOrigin>* origins) const {
  using netfilter::TableId;
  netfilter::Ruleset rules(context_.node.family);
  // A chain name and a comment for each endpoint, and some for the port.
  rules.strings().Reserve(2 * endpoint_count_ + 6 * tree_.size(),
                          80 * endpoint_count_ + 200 * tree_.size());
  for (TableId id : {TableId::kFilter, TableId::kNat}) {
    netfilter::Table& table = rules.AddTable(id);
    for (netfilter::Hook hook : netfilter::HooksOf(id)) {
      table.set_policy(table.AddChain(netfilter::HookName(hook)),
                       netfilter::Table::Policy::kAccept);
    }
  }
  RulesetSink sink(rules, origins);
  sink.set_probability_digits(context_.traits.probability_digits);
  FixedRules<RulesetSink> fixed(context_, sink);
  for (TableId id : {TableId::kFilter, TableId::kNat}) {
    fixed.Chains(id);
    fixed.Jumps(id);
  }
  fixed.Filter();
  fixed.Nat();
  tree_.ForEach([&](const PortNode& node) {
    sink.set_port(&node.model);
    PortRules<RulesetSink> port(context_, node.model, sink);
    port.Chains();
    port.Filter();
    port.Nat();
  });
  sink.set_port(nullptr);
  fixed.NodePorts();
  for (TableId id : {TableId::kFilter, TableId::kNat}) {
    rules.table(id)->SortChains();
    rules.table(id)->Compact();
  }
  return rules;
}

void IptablesFamily::PrintTo(bool builtin_chains, std::string& out) {
  using netfilter::TableId;
  TextBuffer buffer(out);
  TextSink sink(buffer, context_.is_v6(), probabilities_);
  FixedRules<TextSink> fixed(context_, sink);
  auto begin = [&](TableId id) {
    buffer.Reserve(TextSink::kRuleRoom);
    buffer.Put('*');
    buffer.Put(netfilter::TableName(id));
    buffer.Put('\n');
    if (builtin_chains) {
      for (netfilter::Hook hook : netfilter::HooksOf(id)) {
        buffer.Put(':');
        buffer.Put(netfilter::HookName(hook));
        buffer.Literal(" ACCEPT [0:0]\n");
      }
    }
    fixed.Chains(id);
  };
  begin(TableId::kFilter);
  if (builtin_chains) fixed.Jumps(TableId::kFilter);
  fixed.Filter();
  VisitAhead(tree_.InOrder(), [&](const PortNode& node) {
    PortRules<TextSink>(context_, node.model, sink).Filter();
  });
  buffer.Reserve(TextSink::kRuleRoom);
  buffer.Literal("COMMIT\n");

  begin(TableId::kNat);
  VisitAhead(tree_.InOrder(), [&](const PortNode& node) {
    PortRules<TextSink>(context_, node.model, sink).Chains();
  });
  if (builtin_chains) fixed.Jumps(TableId::kNat);
  fixed.Nat();
  VisitAhead(tree_.InOrder(), [&](const PortNode& node) {
    PortRules<TextSink>(context_, node.model, sink).Nat();
  });
  fixed.NodePorts();
  buffer.Reserve(TextSink::kRuleRoom);
  buffer.Literal("COMMIT\n");
  buffer.Finish();
}

}  // namespace k8sdns::proxy
