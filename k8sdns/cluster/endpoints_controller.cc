#include "k8sdns/cluster/endpoints_controller.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "k8sdns/cluster/endpoint_set.h"
#include "k8sdns/cluster/endpoint_slice_reconciler.h"
#include "k8sdns/cluster/legacy_endpoints.h"
#include "k8sdns/cluster/pod_endpoints.h"
#include "k8sdns/cluster/slice_mirroring.h"
#include "k8sdns/cluster/topology_hints.h"
#include "k8sdns/net/ip_address.h"

namespace k8sdns {
namespace {

using endpoints_internal::Context;
using endpoints_internal::SlicePlan;
using endpoints_internal::ZoneShares;

// Syncs of one object until nothing is written any more are two, rarely
// three; a bound, should an input make them go on.
constexpr int kMaxSyncs = 8;

// Five letters like those that the API server draws, of a hash (FNV-1a) that
// is the same everywhere.
std::string NameSuffix(absl::string_view namespace_, absl::string_view prefix,
                       int count) {
  static constexpr absl::string_view kLetters = "bcdfghjklmnpqrstvwxz2456789";
  uint64_t hash = 14695981039346656037u;
  for (char c : absl::StrCat(namespace_, "/", prefix, count)) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  }
  std::string suffix;
  for (int i = 0; i < 5; ++i) {
    suffix += kLetters[hash % kLetters.size()];
    hash /= kLetters.size();
  }
  return suffix;
}

// A name for a new slice that is not taken.
std::string NewSliceName(const Cluster& cluster, const ObjectMeta& meta) {
  // The API server cuts a prefix so that the name has at most 63 characters.
  const absl::string_view prefix =
      absl::string_view(meta.generate_name).substr(0, 58);
  for (int count = 0;; ++count) {
    std::string name =
        absl::StrCat(prefix, NameSuffix(meta.namespace_, prefix, count));
    if (cluster.endpoint_slices().Find(meta.namespace_, name) == nullptr) {
      return name;
    }
  }
}

// Carries a plan out; false if it changes nothing.
bool Execute(SlicePlan plan, Cluster& cluster) {
  bool changed = !plan.create.empty() || !plan.remove.empty();
  for (EndpointSlice& slice : plan.create) {
    slice.metadata.name = NewSliceName(cluster, slice.metadata);
    cluster.Put(std::move(slice));
  }
  // Keys first: the slices they belong to go away while they are removed.
  std::vector<std::pair<std::string, std::string>> remove;
  for (const EndpointSlice* s : plan.remove) {
    remove.emplace_back(s->metadata.namespace_, s->metadata.name);
  }
  for (EndpointSlice& slice : plan.update) {
    const EndpointSlice* old = cluster.endpoint_slices().Find(
        slice.metadata.namespace_, slice.metadata.name);
    slice.metadata.uid = old->metadata.uid;
    slice.metadata.creation_timestamp = old->metadata.creation_timestamp;
    if (slice == *old) continue;
    changed = true;
    cluster.Put(std::move(slice));
  }
  for (const auto& [namespace_, name] : remove) {
    cluster.RemoveEndpointSlice({namespace_, name});
  }
  return changed;
}

std::vector<const EndpointSlice*> SlicesManagedBy(absl::string_view controller,
                                                  const ObjectMeta& service,
                                                  const Cluster& cluster) {
  std::vector<const EndpointSlice*> slices =
      cluster.SlicesOf(service.namespace_, service.name);
  slices.erase(std::remove_if(slices.begin(), slices.end(),
                              [&](const EndpointSlice* s) {
                                return Find(s->metadata.labels,
                                            kSliceManagedByLabel) != controller;
                              }),
               slices.end());
  return slices;
}

// The controllers over one cluster.
class Controllers {
 public:
  Controllers(const EndpointsControllerOptions& options, Cluster& cluster,
              std::vector<Finding>* findings)
      : options_(WithinLimits(options)),
        cluster_(cluster),
        findings_(findings),
        pods_(cluster.pods()),
        shares_(endpoints_internal::ComputeZoneShares(cluster.nodes())) {}

  std::vector<const Pod*> PodsOf(const Service& service) const {
    return pods_.Matching(service.metadata.namespace_, service.spec.selector);
  }

  void SyncEndpoints(const Service& service,
                     const std::vector<const Pod*>& pods) {
    SyncUntilSettled(
        service, [&](absl::string_view trigger_time, const Context& context) {
          const Endpoints* current = cluster_.endpoints().Find(
              service.metadata.namespace_, service.metadata.name);
          std::optional<Endpoints> next = endpoints_internal::PlanEndpoints(
              service, pods, current, trigger_time, context);
          if (!next || (current != nullptr && *next == *current)) return false;
          cluster_.Put(*std::move(next));
          return true;
        });
  }

  void SyncSlices(const Service& service, const std::vector<const Pod*>& pods) {
    SyncUntilSettled(
        service, [&](absl::string_view trigger_time, const Context& context) {
          auto existing = SlicesManagedBy(endpoints_internal::kSliceController,
                                          service.metadata, cluster_);
          existing.erase(
              std::remove_if(existing.begin(), existing.end(),
                             [](const EndpointSlice* s) {
                               return !s->metadata.deletion_timestamp.empty();
                             }),
              existing.end());
          return Execute(endpoints_internal::PlanSlices(
                             service, pods, existing, trigger_time,
                             cluster_.nodes(), shares_, context),
                         cluster_);
        });
  }

  // The slices that mirror the Endpoints of this name; none if they must not
  // be mirrored.
  void SyncMirrors(const ObjectMeta& key, const Endpoints* endpoints) {
    Service about;
    about.metadata = key;
    SyncUntilSettled(about, [&](absl::string_view, const Context& context) {
      const auto existing = SlicesManagedBy(
          endpoints_internal::kMirroringController, key, cluster_);
      SlicePlan plan;
      if (endpoints == nullptr) {
        plan.remove = existing;
      } else {
        plan = endpoints_internal::PlanMirroring(*endpoints, existing, context);
      }
      return Execute(std::move(plan), cluster_);
    });
  }

 private:
  static EndpointsControllerOptions WithinLimits(
      EndpointsControllerOptions options) {
    for (size_t* limit : {&options.max_endpoints_per_slice,
                          &options.max_mirrored_endpoints_per_subset}) {
      *limit = std::clamp<size_t>(*limit, 1, 1000);
    }
    return options;
  }

  // The Service's creation is what triggers the first sync; later ones are
  // triggered by nothing. Findings are those of the last.
  template <typename Sync>
  void SyncUntilSettled(const Service& service, Sync sync) {
    std::vector<Finding> findings;
    const Context context = {options_, &findings};
    std::string trigger_time = endpoints_internal::TriggerTime(service);
    for (int i = 0; i < kMaxSyncs; ++i) {
      findings.clear();
      if (!sync(absl::string_view(trigger_time), context)) break;
      trigger_time.clear();
    }
    if (findings_ == nullptr) return;
    for (Finding& f : findings) findings_->push_back(std::move(f));
  }

  const EndpointsControllerOptions options_;
  Cluster& cluster_;
  std::vector<Finding>* const findings_;
  const endpoints_internal::PodIndex pods_;
  const ZoneShares shares_;
};

bool LacksDefaults(const std::vector<EndpointPort>& ports) {
  return std::any_of(ports.begin(), ports.end(), [](const EndpointPort& p) {
    return !p.name || !p.protocol;
  });
}

// As the API server returns objects.
void SetDefaults(Cluster& cluster) {
  std::vector<EndpointSlice> slices;
  for (const EndpointSlice& slice : cluster.endpoint_slices()) {
    if (!LacksDefaults(slice.ports)) continue;
    slices.push_back(slice);
    endpoints_internal::SetDefaults(slices.back().ports);
  }
  for (EndpointSlice& slice : slices) cluster.Put(std::move(slice));
  std::vector<Endpoints> all;
  for (const Endpoints& endpoints : cluster.endpoints()) {
    if (std::none_of(
            endpoints.subsets.begin(), endpoints.subsets.end(),
            [](const EndpointSubset& s) { return LacksDefaults(s.ports); })) {
      continue;
    }
    all.push_back(endpoints);
    for (EndpointSubset& subset : all.back().subsets) {
      endpoints_internal::SetDefaults(subset.ports);
    }
  }
  for (Endpoints& endpoints : all) cluster.Put(std::move(endpoints));
}

void RemoveLeftoverEndpoints(Cluster& cluster) {
  std::vector<ObjectMeta> leftover;
  for (const Endpoints& e : cluster.endpoints()) {
    if (!endpoints_internal::IsLeaderElectionLock(e) &&
        cluster.services().Find(e.metadata.namespace_, e.metadata.name) ==
            nullptr) {
      leftover.push_back(e.metadata);
    }
  }
  for (const ObjectMeta& meta : leftover) {
    cluster.RemoveEndpoints(KeyOf(meta));
  }
}

ObjectMeta MetaOf(absl::string_view namespace_, absl::string_view name) {
  ObjectMeta meta;
  meta.namespace_ = std::string(namespace_);
  meta.name = std::string(name);
  return meta;
}

void MirrorAll(Cluster& cluster, Controllers& controllers) {
  std::set<std::pair<std::string, std::string>> keys;
  for (const Endpoints& e : cluster.endpoints()) {
    keys.emplace(e.metadata.namespace_, e.metadata.name);
  }
  for (const EndpointSlice& s : cluster.endpoint_slices()) {
    if (Find(s.metadata.labels, kSliceManagedByLabel) ==
        endpoints_internal::kMirroringController) {
      keys.emplace(s.metadata.namespace_, std::string(s.ServiceName()));
    }
  }
  for (const auto& [namespace_, name] : keys) {
    const Endpoints* endpoints = cluster.endpoints().Find(namespace_, name);
    const Service* service = cluster.services().Find(namespace_, name);
    const bool mirrored = endpoints != nullptr && service != nullptr &&
                          service->spec.selector.empty() &&
                          endpoints_internal::ShouldMirror(*endpoints);
    controllers.SyncMirrors(MetaOf(namespace_, name),
                            mirrored ? endpoints : nullptr);
  }
}

// Endpoints that say what the slices of the Service's first family say.
Endpoints EndpointsOfSlices(const Service& service,
                            const std::vector<const EndpointSlice*>& slices) {
  AddressType type = slices[0]->address_type;
  if (!service.spec.ip_families.empty()) {
    type = service.spec.ip_families[0] == IpFamily::kIpv6 ? AddressType::kIpv6
                                                          : AddressType::kIpv4;
  }
  endpoints_internal::SubsetPacker packer;
  for (const EndpointSlice* slice : slices) {
    if (slice->address_type != type) continue;
    for (const Endpoint& e : slice->endpoints) {
      if (e.addresses.empty()) continue;
      if (e.IsTerminating() && !e.IsReady()) continue;
      EndpointAddress address;
      address.ip = std::string(e.addresses[0]);
      address.hostname = e.hostname.value_or("");
      address.node_name = e.node_name;
      address.target_ref = e.target_ref;
      if (slice->ports.empty()) packer.Add(address, nullptr, 0, e.IsReady());
      for (const EndpointPort& port : slice->ports) {
        packer.Add(address, &port, 0, e.IsReady());
      }
    }
  }
  Endpoints endpoints;
  endpoints.metadata =
      MetaOf(service.metadata.namespace_, service.metadata.name);
  endpoints.metadata.labels = service.metadata.labels;
  endpoints.subsets = packer.Pack();
  return endpoints;
}

// Mirrored endpoints have no zone; here their nodes may be known.
void FillZones(const ObjectMeta& service, Cluster& cluster) {
  std::vector<EndpointSlice> slices;
  for (const EndpointSlice* slice : SlicesManagedBy(
           endpoints_internal::kMirroringController, service, cluster)) {
    slices.push_back(*slice);
    for (Endpoint& e : slices.back().endpoints) {
      const Node* node = cluster.nodes().Find(e.node_name.value_or(""));
      if (node != nullptr && !node->Zone().empty()) {
        e.zone = std::string(node->Zone());
      }
    }
  }
  for (EndpointSlice& slice : slices) cluster.Put(std::move(slice));
}

}  // namespace

EndpointsControllerOptions EndpointsControllerOptions::ForRelease(int minor) {
  EndpointsControllerOptions options;
  options.traffic_distribution = minor >= 31;
  options.prefer_same_traffic_distribution = minor >= 34;
  options.sidecar_ports_in_endpoints = minor >= 32;
  options.sidecar_ports_in_slices = minor >= 33;
  options.label_managed_endpoints = minor >= 33;
  return options;
}

Cluster ReconcileEndpoints(const Cluster& cluster,
                           const EndpointsControllerOptions& options,
                           std::vector<Finding>* findings) {
  Cluster out = cluster;
  SetDefaults(out);
  RemoveLeftoverEndpoints(out);
  Controllers controllers(options, out, findings);
  for (const Service& service : cluster.services()) {
    if (!endpoints_internal::IsSelected(service)) continue;
    const std::vector<const Pod*> pods = controllers.PodsOf(service);
    controllers.SyncEndpoints(service, pods);
    controllers.SyncSlices(service, pods);
  }
  MirrorAll(out, controllers);
  return out;
}

Cluster DeriveMissingEndpoints(const Cluster& cluster,
                               const EndpointsControllerOptions& options,
                               std::vector<Finding>* findings) {
  EndpointsControllerOptions lenient = options;
  if (cluster.nodes().empty()) lenient.hide_pods_of_unknown_nodes = false;
  Cluster out = cluster;
  Controllers controllers(lenient, out, findings);
  for (const Service& service : cluster.services()) {
    const ObjectMeta key =
        MetaOf(service.metadata.namespace_, service.metadata.name);
    const auto slices = cluster.SlicesOf(key.namespace_, key.name);
    const Endpoints* endpoints =
        cluster.endpoints().Find(key.namespace_, key.name);
    const bool selected = endpoints_internal::IsSelected(service);
    const std::vector<const Pod*> pods =
        selected ? controllers.PodsOf(service) : std::vector<const Pod*>();
    if (slices.empty()) {
      if (endpoints != nullptr && pods.empty() &&
          (selected || endpoints_internal::ShouldMirror(*endpoints))) {
        controllers.SyncMirrors(key, endpoints);
        FillZones(key, out);
      } else if (selected) {
        controllers.SyncSlices(service, pods);
      }
    }
    if (endpoints == nullptr && selected) {
      if (pods.empty() && !slices.empty()) {
        out.Put(EndpointsOfSlices(service, slices));
      } else {
        controllers.SyncEndpoints(service, pods);
      }
    }
  }
  return out;
}

}  // namespace k8sdns
