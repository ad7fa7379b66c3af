#include "k8sdns/dns/coredns_index.h"

#include <optional>
#include <string>

#include "k8sdns/dns/domain_name.h"

namespace k8sdns::dns {

absl::InlinedVector<absl::string_view, 2> ClusterIps(const Service& service) {
  const ServiceSpec& spec = service.spec;
  if (spec.cluster_ips.empty()) return {spec.cluster_ip};
  return {spec.cluster_ips.begin(), spec.cluster_ips.end()};
}

void CoreDnsIndex::Build(const Cluster& cluster, const CoreDnsOptions& options,
                         const LabelSelector& objects,
                         const LabelSelector& namespaces) {
  objects_.reserve(cluster.services().size() +
                   cluster.endpoint_slices().size());
  services_.reserve(cluster.services().size());
  services_by_ip_.reserve(cluster.services().size());
  const auto& services = cluster.services();
  for (auto it = services.begin(); it != services.end(); ++it) {
    if (objects.Matches(it->metadata.labels)) AddService(it.shared());
  }
  if (!options.no_endpoints) {
    const auto& slices = cluster.endpoint_slices();
    for (auto it = slices.begin(); it != slices.end(); ++it) {
      if (objects.Matches(it->metadata.labels)) AddSlice(it.shared());
    }
  }
  if (options.pods == CoreDnsOptions::Pods::kVerified) {
    const auto& pods = cluster.pods();
    for (auto it = pods.begin(); it != pods.end(); ++it) {
      if (objects.Matches(it->metadata.labels)) AddPod(it.shared());
    }
  }
  for (const Namespace& ns : cluster.namespaces()) {
    if (namespaces.Matches(ns.metadata.labels)) {
      namespaces_.insert(ns.metadata.name);
    }
  }
}

CoreDnsIndex::ServiceEntry& CoreDnsIndex::EntryOf(absl::string_view namespace_,
                                                  absl::string_view name) {
  auto it = services_.find(Key(namespace_, name));
  if (it == services_.end()) {
    const std::string& shared = *names_of_namespaces_.emplace(namespace_).first;
    it = services_.try_emplace(Key(shared, names_.Store(name))).first;
  }
  return it->second;
}

void CoreDnsIndex::AddService(const ObjectSet<Service>::Pointer& service) {
  objects_.push_back(service);
  ServiceEntry& entry =
      EntryOf(service->metadata.namespace_, service->metadata.name);
  entry.service = service.get();
  bool plain = service->spec.type != ServiceType::kExternalName;
  for (absl::string_view ip : ClusterIps(*service)) {
    if (!services_by_ip_.contains(ip)) {
      services_by_ip_.try_emplace(names_.Store(ip), service.get());
    }
    const std::optional<IpAddress> address = ParseGoIp(ip);
    plain = plain && address.has_value();
    if (plain) entry.addresses.push_back(*address);
  }
  if (!plain) entry.addresses.clear();
}

void CoreDnsIndex::AddSlice(const ObjectSet<EndpointSlice>::Pointer& slice) {
  objects_.push_back(slice);
  EntryOf(slice->metadata.namespace_, slice->ServiceName())
      .slices.push_back(slice.get());
  for (const Endpoint& endpoint : slice->endpoints) {
    if (!endpoint.IsReady()) continue;
    for (const absl::string_view address : endpoint.addresses) {
      auto& slices = slices_by_ip_[address];
      if (slices.empty() || slices.back() != slice.get()) {
        slices.push_back(slice.get());
      }
    }
  }
}

// CoreDNS' list of Pods leaves out those that ended, and its cache those that
// are being deleted.
void CoreDnsIndex::AddPod(const ObjectSet<Pod>::Pointer& pod) {
  const PodPhase phase = pod->status.phase;
  if (phase == PodPhase::kSucceeded || phase == PodPhase::kFailed ||
      phase == PodPhase::kUnknown ||
      !pod->metadata.deletion_timestamp.empty()) {
    return;
  }
  objects_.push_back(pod);
  pods_by_ip_[pod->status.pod_ip].push_back(pod.get());
}

const CoreDnsIndex::ServiceEntry* CoreDnsIndex::FindService(
    absl::string_view namespace_, absl::string_view name) const {
  auto it = services_.find(Key(namespace_, name));
  if (it == services_.end() || it->second.service == nullptr) return nullptr;
  return &it->second;
}

const Service* CoreDnsIndex::FindServiceByIp(absl::string_view ip) const {
  auto it = services_by_ip_.find(ip);
  return it == services_by_ip_.end() ? nullptr : it->second;
}

absl::Span<const EndpointSlice* const> CoreDnsIndex::FindSlicesByIp(
    absl::string_view ip) const {
  auto it = slices_by_ip_.find(ip);
  if (it == slices_by_ip_.end()) return {};
  return it->second;
}

absl::Span<const Pod* const> CoreDnsIndex::FindPodsByIp(
    absl::string_view ip) const {
  auto it = pods_by_ip_.find(ip);
  if (it == pods_by_ip_.end()) return {};
  return it->second;
}

}  // namespace k8sdns::dns
