// What CoreDNS' `kubernetes` plugin keeps of the API's objects, by the keys
// that it looks them up with. Private to k8sdns/dns.
#ifndef K8SDNS_DNS_COREDNS_INDEX_H_
#define K8SDNS_DNS_COREDNS_INDEX_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "absl/container/node_hash_set.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/dns/label_selector.h"
#include "k8sdns/dns/name_arena.h"
#include "k8sdns/dns/zone.h"
#include "k8sdns/net/ip_address.h"

namespace k8sdns::dns {

// Immutable after Build(). Keeps the objects alive that it points to.
class CoreDnsIndex {
 public:
  struct ServiceEntry {
    const Service* service = nullptr;  // null: slices without their Service
    absl::InlinedVector<const EndpointSlice*, 1> slices;
    // What most questions are about, without a look at the Service: its cluster
    // IPs, if it has nothing but these.
    absl::InlinedVector<IpAddress, 1> addresses;
  };

  void Build(const Cluster& cluster, const CoreDnsOptions& options,
             const LabelSelector& objects, const LabelSelector& namespaces);

  // Names in lower case. nullptr if there is no such Service.
  const ServiceEntry* FindService(absl::string_view namespace_,
                                  absl::string_view name) const;
  // The Service that has the text as a cluster IP.
  const Service* FindServiceByIp(absl::string_view ip) const;
  // Slices with a ready endpoint of that address.
  absl::Span<const EndpointSlice* const> FindSlicesByIp(
      absl::string_view ip) const;
  // Pods that have it as status.podIP; none unless Pods::kVerified.
  absl::Span<const Pod* const> FindPodsByIp(absl::string_view ip) const;
  bool HasNamespace(absl::string_view name) const {
    return namespaces_.contains(name);
  }

 private:
  using Key = std::pair<absl::string_view, absl::string_view>;

  // The entry of a Service or of slices that name it.
  ServiceEntry& EntryOf(absl::string_view namespace_, absl::string_view name);
  void AddService(const ObjectSet<Service>::Pointer& service);
  void AddSlice(const ObjectSet<EndpointSlice>::Pointer& slice);
  void AddPod(const ObjectSet<Pod>::Pointer& pod);

  std::vector<std::shared_ptr<const void>> objects_;
  NameArena names_;  // names and addresses of Services, for keys
  // Keys share one text a namespace.
  absl::node_hash_set<std::string> names_of_namespaces_;
  absl::flat_hash_map<Key, ServiceEntry> services_;
  absl::flat_hash_map<absl::string_view, const Service*> services_by_ip_;
  absl::flat_hash_map<absl::string_view,
                      absl::InlinedVector<const EndpointSlice*, 1>>
      slices_by_ip_;
  absl::flat_hash_map<absl::string_view, absl::InlinedVector<const Pod*, 1>>
      pods_by_ip_;
  absl::flat_hash_set<std::string> namespaces_;
};

// spec.clusterIPs, or spec.clusterIP where only that is set.
absl::InlinedVector<absl::string_view, 2> ClusterIps(const Service& service);

}  // namespace k8sdns::dns

#endif  // K8SDNS_DNS_COREDNS_INDEX_H_
