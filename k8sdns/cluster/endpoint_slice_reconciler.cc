#include "k8sdns/cluster/endpoint_slice_reconciler.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "k8sdns/net/ip_address.h"

namespace k8sdns::endpoints_internal {
namespace {

using Slices = std::vector<const EndpointSlice*>;

bool IsReservedLabel(absl::string_view key) {
  return key == kServiceNameLabel || key == kSliceManagedByLabel ||
         key == kHeadlessLabel;
}

StringMap WithoutReserved(const StringMap& labels) {
  StringMap out;
  for (const auto& [key, value] : labels) {
    if (!IsReservedLabel(key)) out.emplace(key, value);
  }
  return out;
}

StringMap LabelsFor(const Service& service) {
  StringMap labels = WithoutReserved(service.metadata.labels);
  if (LacksClusterIp(service)) labels[kHeadlessLabel] = "";
  labels[kServiceNameLabel] = service.metadata.name;
  labels[kSliceManagedByLabel] = kSliceController;
  return labels;
}

EndpointSlice NewSlice(const Service& service, AddressType type,
                       std::vector<EndpointPort> ports) {
  EndpointSlice slice;
  slice.metadata.namespace_ = service.metadata.namespace_;
  slice.metadata.generate_name = SlicePrefix(service.metadata.name);
  slice.metadata.labels = LabelsFor(service);
  slice.metadata.owner_references.push_back({"v1", "Service",
                                             service.metadata.name,
                                             service.metadata.uid, true, true});
  slice.address_type = type;
  slice.ports = std::move(ports);
  return slice;
}

bool IsOwnedBy(const EndpointSlice& slice, const Service& service) {
  for (const auto& owner : slice.metadata.owner_references) {
    if (owner.uid == service.metadata.uid && owner.kind == "Service" &&
        owner.api_version == "v1") {
      return true;
    }
  }
  return false;
}

std::vector<AddressType> AddressTypesOf(const Service& service) {
  std::vector<AddressType> types;
  for (AddressType type : {AddressType::kIpv4, AddressType::kIpv6}) {
    const IpFamily family =
        type == AddressType::kIpv4 ? IpFamily::kIpv4 : IpFamily::kIpv6;
    const auto& families = service.spec.ip_families;
    if (std::find(families.begin(), families.end(), family) != families.end()) {
      types.push_back(type);
    }
  }
  if (!types.empty()) return types;
  // Not filled in by the API server: guess by the cluster IP.
  if (LacksClusterIp(service)) return {AddressType::kIpv4, AddressType::kIpv6};
  const auto ip = IpAddress::ParseSloppy(service.spec.cluster_ip);
  return {ip && ip->is_v6() ? AddressType::kIpv6 : AddressType::kIpv4};
}

// The ports of a Service in one Pod; named ports that it lacks are left out.
std::vector<EndpointPort> PortsIn(const Pod& pod, const Service& service,
                                  const Context& context) {
  std::vector<EndpointPort> ports;
  for (const ServicePort& p : service.spec.ports) {
    const auto number =
        FindPort(pod, p, context.options.sidecar_ports_in_slices);
    if (!number) continue;
    ports.push_back({p.name, p.protocol, *number, p.app_protocol});
  }
  return ports;
}

Endpoint EndpointOf(const Pod& pod, const Node* node, const Service& service,
                    AddressType type) {
  Endpoint e;
  for (const std::string& text : pod.Addresses()) {
    const auto ip = IpAddress::ParseSloppy(text);
    if (ip && ip->is_v6() == (type == AddressType::kIpv6)) {
      e.addresses.push_back(ip->ToString());
    }
  }
  const bool serving = pod.IsReady();
  const bool terminating = !pod.metadata.deletion_timestamp.empty();
  e.ready =
      service.spec.publish_not_ready_addresses || (serving && !terminating);
  e.serving = serving;
  e.terminating = terminating;
  e.target_ref = ObjectReference{"Pod", pod.metadata.namespace_,
                                 pod.metadata.name, pod.metadata.uid};
  if (!pod.spec.node_name.empty()) e.node_name = pod.spec.node_name;
  if (node != nullptr && !node->Zone().empty()) {
    e.zone = std::string(node->Zone());
  }
  if (HasHostnameIn(pod, service)) e.hostname = pod.spec.hostname;
  return e;
}

// Left out because its Node is not known.
bool IsHidden(const Node* node, const Service& service,
              const Context& context) {
  return node == nullptr && !service.spec.publish_not_ready_addresses &&
         context.options.hide_pods_of_unknown_nodes;
}

// The endpoints that belong together in slices because their ports are equal.
struct PortGroup {
  std::vector<EndpointPort> ports;
  EndpointSet endpoints;
};

std::map<std::string, PortGroup> GroupByPorts(
    const Service& service, const std::vector<const Pod*>& pods,
    AddressType type, const ObjectSet<Node>& nodes, const Context& context) {
  std::map<std::string, PortGroup> groups;
  for (const Pod* pod : pods) {
    if (!BelongsInEndpoints(*pod, /*include_terminating=*/true)) continue;
    std::vector<EndpointPort> ports = PortsIn(*pod, service, context);
    // A group counts also if all of its endpoints are left out below.
    auto [it, inserted] = groups.try_emplace(PortsKey(ports));
    if (inserted) it->second.ports = std::move(ports);
    const Node* node = nodes.Find(pod->spec.node_name);
    if (IsHidden(node, service, context)) continue;
    Endpoint e = EndpointOf(*pod, node, service, type);
    if (!e.addresses.empty()) it->second.endpoints.Insert(std::move(e));
  }
  return groups;
}

// Plans the slices of one group, existing ones first: drop what is gone, fill
// what changes anyway, then one that has room for all that is left, then new
// ones.
class GroupPlanner {
 public:
  GroupPlanner(const Service& service, size_t capacity)
      : service_(service),
        capacity_(capacity),
        labels_(LabelsFor(service)),
        plain_labels_(WithoutReserved(service.metadata.labels)) {}

  void Plan(const Slices& existing, AddressType type, PortGroup& group,
            SlicePlan& plan) {
    std::vector<EndpointSlice> updated;
    Slices unchanged;
    for (const EndpointSlice* slice : existing) {
      Keep(*slice, group.endpoints, updated, unchanged, plan);
    }
    std::vector<EndpointSlice*> by_size;
    for (EndpointSlice& slice : updated) by_size.push_back(&slice);
    std::stable_sort(by_size.begin(), by_size.end(),
                     [](const EndpointSlice* a, const EndpointSlice* b) {
                       return a->endpoints.size() > b->endpoints.size();
                     });
    for (EndpointSlice* slice : by_size) Fill(group.endpoints, *slice);
    while (!group.endpoints.empty()) {
      const EndpointSlice* roomy =
          TakeRoomiest(group.endpoints.size(), unchanged);
      EndpointSlice slice =
          roomy ? *roomy : NewSlice(service_, type, group.ports);
      Fill(group.endpoints, slice);
      (roomy ? updated : plan.create).push_back(std::move(slice));
    }
    for (EndpointSlice& slice : updated) {
      plan.update.push_back(std::move(slice));
    }
  }

 private:
  // Takes the endpoints of an existing slice out of those desired.
  void Keep(const EndpointSlice& slice, EndpointSet& desired,
            std::vector<EndpointSlice>& updated, Slices& unchanged,
            SlicePlan& plan) {
    EndpointList kept;
    bool changed = false;
    for (const Endpoint& e : slice.endpoints) {
      std::optional<Endpoint> got = desired.Take(e);
      if (!got) continue;
      if (!EqualBeyondKey(*got, e)) changed = true;
      kept.push_back(*std::move(got));
    }
    if (kept.size() != slice.endpoints.size()) changed = true;
    if (changed && kept.empty()) {
      plan.remove.push_back(&slice);
      return;
    }
    if (!changed && WithoutReserved(slice.metadata.labels) == plain_labels_) {
      unchanged.push_back(&slice);
      return;
    }
    EndpointSlice copy = slice;
    if (changed) copy.endpoints = std::move(kept);
    copy.metadata.labels = labels_;
    updated.push_back(std::move(copy));
  }

  void Fill(EndpointSet& desired, EndpointSlice& slice) const {
    while (!desired.empty() && slice.endpoints.size() < capacity_) {
      slice.endpoints.push_back(desired.PopFirst());
    }
  }

  // The unchanged slice that `count` more endpoints fill best; null if they
  // don't fit into one, or would fill one of their own.
  const EndpointSlice* TakeRoomiest(size_t count, Slices& unchanged) const {
    if (count >= capacity_) return nullptr;
    size_t least = capacity_;
    auto best = unchanged.end();
    for (auto it = unchanged.begin(); it != unchanged.end(); ++it) {
      const size_t size = count + (*it)->endpoints.size();
      if (size <= capacity_ && capacity_ - size < least) {
        least = capacity_ - size;
        best = it;
      }
    }
    if (best == unchanged.end()) return nullptr;
    const EndpointSlice* slice = *best;
    unchanged.erase(best);
    return slice;
  }

  const Service& service_;
  const size_t capacity_;
  const StringMap labels_;
  const StringMap plain_labels_;
};

// A label that is missing counts as an empty one.
bool SameLabels(const StringMap& a, const StringMap& b) {
  for (const auto* map : {&a, &b}) {
    for (const auto& [key, value] : *map) {
      if (Find(a, key) != Find(b, key)) return false;
    }
  }
  return true;
}

bool IsPlaceholder(const EndpointSlice& slice, const EndpointSlice& model) {
  return slice.endpoints.empty() && slice.ports.empty() &&
         slice.address_type == model.address_type &&
         SameLabels(slice.metadata.labels, model.metadata.labels);
}

// A Service always has a slice for each family, if only an empty one.
void AddPlaceholder(const Service& service, AddressType type,
                    size_t existing_count, SlicePlan& plan) {
  if (existing_count != plan.remove.size() || !plan.create.empty()) return;
  EndpointSlice placeholder = NewSlice(service, type, {});
  if (plan.remove.size() == 1 && IsPlaceholder(*plan.remove[0], placeholder)) {
    plan.remove.clear();
  } else {
    plan.create.push_back(std::move(placeholder));
  }
}

Slices UnchangedSlices(const Slices& existing, const SlicePlan& plan) {
  absl::flat_hash_set<absl::string_view> changed;
  for (const EndpointSlice& s : plan.update) changed.insert(s.metadata.name);
  for (const EndpointSlice* s : plan.remove) changed.insert(s->metadata.name);
  Slices unchanged;
  for (const EndpointSlice* s : existing) {
    if (!changed.contains(s->metadata.name)) unchanged.push_back(s);
  }
  return unchanged;
}

void PlanHints(const Service& service, const Slices& existing,
               const ZoneShares& shares, const Context& context,
               SlicePlan& plan) {
  HintedSlices slices = {plan, UnchangedSlices(existing, plan)};
  const EndpointsControllerOptions& options = context.options;
  const bool by_annotation = WantsTopologyHints(service.metadata.annotations);
  if (options.topology_aware_hints && by_annotation) {
    if (auto why_not = AddTopologyHints(shares, slices)) {
      context.findings->push_back(
          About(service, "endpoints/hints-disabled", "metadata.annotations",
                absl::StrCat("no topology hints: ", *why_not)));
    }
    return;
  }
  const std::string wanted = service.spec.traffic_distribution.value_or("");
  const bool same = options.prefer_same_traffic_distribution;
  const bool known =
      wanted == "PreferClose" ||
      (same && (wanted == "PreferSameZone" || wanted == "PreferSameNode"));
  if (options.traffic_distribution && !by_annotation && known) {
    AddCloseHints(/*for_nodes=*/wanted == "PreferSameNode", slices);
  } else {
    RemoveHints(slices);
  }
}

// A slice to be removed takes the content of one to be created, and a Service
// that is being deleted gets no new slices.
void ReuseSlices(const Service& service, SlicePlan& plan) {
  Slices remove;
  for (const EndpointSlice* old : plan.remove) {
    if (!plan.create.empty() &&
        old->address_type == plan.create.back().address_type &&
        IsOwnedBy(*old, service)) {
      EndpointSlice slice = std::move(plan.create.back());
      plan.create.pop_back();
      slice.metadata.name = old->metadata.name;
      plan.update.push_back(std::move(slice));
    } else {
      remove.push_back(old);
    }
  }
  plan.remove = std::move(remove);
  if (!service.metadata.deletion_timestamp.empty()) plan.create.clear();
}

SlicePlan PlanAddressType(const Service& service,
                          const std::vector<const Pod*>& pods,
                          const Slices& existing, AddressType type,
                          const ObjectSet<Node>& nodes,
                          const ZoneShares& shares, const Context& context) {
  SlicePlan plan;
  std::map<std::string, Slices> existing_groups;
  for (const EndpointSlice* slice : existing) {
    if (IsOwnedBy(*slice, service)) {
      existing_groups[PortsKey(slice->ports)].push_back(slice);
    } else {
      plan.remove.push_back(slice);
    }
  }
  auto groups = GroupByPorts(service, pods, type, nodes, context);
  GroupPlanner planner(service, context.options.max_endpoints_per_slice);
  for (auto& [key, group] : groups) {
    planner.Plan(existing_groups[key], type, group, plan);
  }
  for (const auto& [key, slices] : existing_groups) {
    if (groups.contains(key)) continue;
    plan.remove.insert(plan.remove.end(), slices.begin(), slices.end());
  }
  AddPlaceholder(service, type, existing.size(), plan);
  PlanHints(service, existing, shares, context, plan);
  ReuseSlices(service, plan);
  return plan;
}

void SetTriggerTime(absl::string_view time, EndpointSlice& slice) {
  if (time.empty()) {
    slice.metadata.annotations.erase(kTriggerTimeAnnotation);
  } else {
    slice.metadata.annotations[kTriggerTimeAnnotation] = std::string(time);
  }
}

void ReportUnknownNodes(const Service& service,
                        const std::vector<const Pod*>& pods,
                        const ObjectSet<Node>& nodes, const Context& context) {
  for (const Pod* pod : pods) {
    if (!BelongsInEndpoints(*pod, /*include_terminating=*/true) ||
        !IsHidden(nodes.Find(pod->spec.node_name), service, context)) {
      continue;
    }
    context.findings->push_back(
        About(service, "endpoints/node-not-found", "spec.selector",
              absl::StrCat("Pod ", pod->metadata.name, " is on node \"",
                           pod->spec.node_name,
                           "\", which is not in the cluster: it is left out "
                           "of the EndpointSlices")));
  }
}

// Named ports that Pods lack, counted, one finding a port.
void ReportMissingPorts(const Service& service,
                        const std::vector<const Pod*>& pods,
                        const Context& context) {
  for (size_t i = 0; i < service.spec.ports.size(); ++i) {
    const ServicePort& port = service.spec.ports[i];
    const std::string* name = std::get_if<std::string>(&port.target_port);
    if (name == nullptr) continue;
    const Pod* first = nullptr;
    size_t count = 0;
    for (const Pod* pod : pods) {
      if (!BelongsInEndpoints(*pod, true) ||
          FindPort(*pod, port, context.options.sidecar_ports_in_slices)) {
        continue;
      }
      if (count++ == 0) first = pod;
    }
    if (count == 0) continue;
    context.findings->push_back(
        About(service, "endpoints/named-port-not-found",
              absl::StrCat("spec.ports[", i, "].targetPort"),
              absl::StrCat(count, " of ", pods.size(), " Pods (",
                           first->metadata.name, count > 1 ? ", ..." : "",
                           ") have no ", KubernetesProtocolName(port.protocol),
                           " port named \"", *name, "\"")));
  }
}

}  // namespace

SlicePlan PlanSlices(const Service& service,
                     const std::vector<const Pod*>& pods,
                     const std::vector<const EndpointSlice*>& existing,
                     absl::string_view trigger_time,
                     const ObjectSet<Node>& nodes, const ZoneShares& shares,
                     const Context& context) {
  ReportMissingPorts(service, pods, context);
  ReportUnknownNodes(service, pods, nodes, context);
  const std::vector<AddressType> types = AddressTypesOf(service);
  SlicePlan all;
  for (const EndpointSlice* slice : existing) {
    if (std::find(types.begin(), types.end(), slice->address_type) ==
        types.end()) {
      all.remove.push_back(slice);
    }
  }
  for (AddressType type : types) {
    Slices of_type;
    for (const EndpointSlice* slice : existing) {
      if (slice->address_type == type) of_type.push_back(slice);
    }
    SlicePlan plan =
        PlanAddressType(service, pods, of_type, type, nodes, shares, context);
    for (EndpointSlice& s : plan.create) all.create.push_back(std::move(s));
    for (EndpointSlice& s : plan.update) all.update.push_back(std::move(s));
    for (const EndpointSlice* s : plan.remove) all.remove.push_back(s);
  }
  for (EndpointSlice& s : all.create) SetTriggerTime(trigger_time, s);
  for (EndpointSlice& s : all.update) SetTriggerTime(trigger_time, s);
  return all;
}

}  // namespace k8sdns::endpoints_internal
