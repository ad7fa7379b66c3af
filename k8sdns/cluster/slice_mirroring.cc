#include "k8sdns/cluster/slice_mirroring.h"

#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "k8sdns/cluster/legacy_endpoints.h"
#include "k8sdns/net/ip_address.h"

namespace k8sdns::endpoints_internal {
namespace {

// The slices that mirror one list of ports in one family are one slice.
struct Mirror {
  AddressType type = AddressType::kIpv4;
  std::vector<EndpointPort> ports;
  EndpointSet endpoints;
};
using Mirrors = std::map<std::string, Mirror>;

std::string MirrorKey(AddressType type,
                      const std::vector<EndpointPort>& ports) {
  return absl::StrCat(static_cast<int>(type), ":", PortsKey(ports));
}

Finding AboutEndpoints(const Endpoints& endpoints, absl::string_view id,
                       std::string what) {
  Finding finding;
  finding.id = std::string(id);
  finding.kind = "Endpoints";
  finding.namespace_ = endpoints.metadata.namespace_;
  finding.name = endpoints.metadata.name;
  finding.field = "subsets";
  finding.what = std::move(what);
  return finding;
}

// False if the address is none.
bool AddTo(Mirrors& mirrors, const EndpointAddress& address,
           const std::vector<EndpointPort>& ports, bool ready) {
  const auto ip = IpAddress::ParseSloppy(address.ip);
  if (!ip) return false;
  Endpoint e;
  e.addresses.push_back(ip->ToString());
  e.ready = ready;
  e.target_ref = address.target_ref;
  e.node_name = address.node_name;
  if (!address.hostname.empty()) e.hostname = address.hostname;
  const AddressType type =
      ip->is_v6() ? AddressType::kIpv6 : AddressType::kIpv4;
  Mirror& mirror = mirrors[MirrorKey(type, ports)];
  mirror.type = type;
  mirror.ports = ports;
  mirror.endpoints.Insert(std::move(e));
  return true;
}

Mirrors MirrorsOf(const Endpoints& endpoints, const Context& context) {
  const size_t most = context.options.max_mirrored_endpoints_per_subset;
  Mirrors mirrors;
  size_t invalid = 0;
  size_t too_many = 0;
  for (const EndpointSubset& subset : RepackSubsets(endpoints.subsets)) {
    size_t added = 0;
    const auto add = [&](const std::vector<EndpointAddress>& list, bool ready) {
      for (const EndpointAddress& address : list) {
        if (added >= most) {
          ++too_many;
        } else if (AddTo(mirrors, address, subset.ports, ready)) {
          ++added;
        } else {
          ++invalid;
        }
      }
    };
    add(subset.addresses, true);
    add(subset.not_ready_addresses, false);
  }
  if (invalid > 0) {
    context.findings->push_back(
        AboutEndpoints(endpoints, "endpoints/invalid-address",
                       absl::StrCat(invalid,
                                    " invalid addresses are not mirrored to "
                                    "EndpointSlices")));
  }
  if (too_many > 0) {
    context.findings->push_back(AboutEndpoints(
        endpoints, "endpoints/mirror-truncated",
        absl::StrCat(too_many, " addresses are not mirrored: at most ", most,
                     " of a subset are")));
  }
  return mirrors;
}

StringMap AnnotationsFor(const Endpoints& endpoints) {
  StringMap annotations = endpoints.metadata.annotations;
  annotations.erase(kTriggerTimeAnnotation);
  annotations.erase("kubectl.kubernetes.io/last-applied-configuration");
  return annotations;
}

EndpointSlice NewMirror(const Endpoints& endpoints, const Mirror& mirror) {
  EndpointSlice slice;
  slice.metadata.namespace_ = endpoints.metadata.namespace_;
  slice.metadata.labels = endpoints.metadata.labels;
  slice.metadata.labels[kServiceNameLabel] = endpoints.metadata.name;
  slice.metadata.labels[kSliceManagedByLabel] = kMirroringController;
  slice.metadata.annotations = AnnotationsFor(endpoints);
  slice.metadata.owner_references.push_back(
      {"v1", "Endpoints", endpoints.metadata.name, endpoints.metadata.uid, true,
       true});
  slice.address_type = mirror.type;
  slice.ports = mirror.ports;
  return slice;
}

bool HasEndpoints(const EndpointSlice& slice, const EndpointSet& desired) {
  if (slice.endpoints.size() != desired.size()) return false;
  for (const Endpoint& e : slice.endpoints) {
    const Endpoint* want = desired.Find(e);
    if (want == nullptr || !EqualBeyondKey(*want, e)) return false;
  }
  return true;
}

bool IsUpToDate(const EndpointSlice& slice, const Endpoints& endpoints,
                const Mirror& mirror) {
  StringMap labels = slice.metadata.labels;
  labels.erase(kSliceManagedByLabel);
  labels.erase(kServiceNameLabel);
  return HasEndpoints(slice, mirror.endpoints) &&
         labels == endpoints.metadata.labels &&
         slice.metadata.annotations == AnnotationsFor(endpoints);
}

// Slices to be removed take the content of those to be created.
void RecycleSlices(SlicePlan& plan) {
  std::vector<EndpointSlice> create;
  for (EndpointSlice& slice : plan.create) {
    auto old = plan.remove.begin();
    while (old != plan.remove.end() &&
           (*old)->address_type != slice.address_type) {
      ++old;
    }
    if (old == plan.remove.end()) {
      create.push_back(std::move(slice));
      continue;
    }
    slice.metadata.name = (*old)->metadata.name;
    plan.remove.erase(old);
    plan.update.push_back(std::move(slice));
  }
  plan.create = std::move(create);
}

}  // namespace

bool ShouldMirror(const Endpoints& endpoints) {
  return Find(endpoints.metadata.labels,
              "endpointslice.kubernetes.io/skip-mirror") != "true" &&
         !IsLeaderElectionLock(endpoints);
}

SlicePlan PlanMirroring(const Endpoints& endpoints,
                        const std::vector<const EndpointSlice*>& existing,
                        const Context& context) {
  Mirrors mirrors = MirrorsOf(endpoints, context);
  std::map<std::string, std::vector<const EndpointSlice*>> by_key;
  for (const EndpointSlice* slice : existing) {
    by_key[MirrorKey(slice->address_type, slice->ports)].push_back(slice);
  }
  SlicePlan plan;
  for (auto& [key, mirror] : mirrors) {
    const auto& slices = by_key[key];
    // One of them stays.
    if (!slices.empty()) {
      plan.remove.insert(plan.remove.end(), slices.begin() + 1, slices.end());
      if (IsUpToDate(*slices[0], endpoints, mirror)) continue;
    }
    EndpointSlice slice = NewMirror(endpoints, mirror);
    while (!mirror.endpoints.empty() &&
           slice.endpoints.size() <
               context.options.max_mirrored_endpoints_per_subset) {
      slice.endpoints.push_back(mirror.endpoints.PopFirst());
    }
    if (slices.empty()) {
      slice.metadata.generate_name = SlicePrefix(endpoints.metadata.name);
      plan.create.push_back(std::move(slice));
    } else {
      slice.metadata.name = slices[0]->metadata.name;
      plan.update.push_back(std::move(slice));
    }
  }
  for (const auto& [key, slices] : by_key) {
    if (mirrors.contains(key)) continue;
    plan.remove.insert(plan.remove.end(), slices.begin(), slices.end());
  }
  RecycleSlices(plan);
  if (!endpoints.metadata.deletion_timestamp.empty()) plan.create.clear();
  return plan;
}

}  // namespace k8sdns::endpoints_internal
