// Walks over the objects of a Cluster that kube-proxy watches, in the order
// that suits a compiler: what holds endpoints before its Service, so that the
// Service's ports can be made at once, while all of it is in the cache.
#ifndef K8SDNS_PROXY_CLUSTER_WALK_H_
#define K8SDNS_PROXY_CLUSTER_WALK_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

#include "absl/strings/string_view.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/cluster/endpoints.h"
#include "k8sdns/cluster/service.h"
#include "k8sdns/net/prefetch.h"

namespace k8sdns::proxy {

// Calls `slice(const EndpointSlice&, its ServiceName())`,
// `endpoints(const Endpoints&)` and `service(const Service&)`: for each
// Service, in order, its slices by name and then itself; slices without a
// Service in between. Endpoints objects come before everything, and only they
// or slices. Objects lie scattered in memory: what comes next is asked for
// ahead.
template <typename VisitSlice, typename VisitEndpoints, typename VisitService>
void WalkCluster(const Cluster& cluster, bool endpoint_slices, VisitSlice slice,
                 VisitEndpoints endpoints, VisitService service);

// ---- implementation ----

namespace walk_internal {

inline constexpr size_t kHeadsAhead = 8;
inline constexpr size_t kPartsAhead = 4;

inline void PrefetchParts(const Service& service) {
  if (!service.spec.ports.empty()) {
    // Longer than a line; of its end the port number is read.
    PrefetchLine(&service.spec.ports[0]);
    PrefetchLine(&service.spec.ports[0].port);
  }
  PrefetchLine(service.spec.ip_families.data());
  PrefetchLine(service.spec.cluster_ips.data());
}
inline void PrefetchParts(const EndpointSlice& slice) {
  PrefetchLine(slice.ports.data());
  // What is read of an endpoint; the processor follows along longer lists.
  for (size_t i = 0; i < slice.endpoints.size() && i < 16; ++i) {
    PrefetchLine(&slice.endpoints[i].addresses);
    PrefetchLine(&slice.endpoints[i].node_name);
    PrefetchLine(&slice.endpoints[i].hints_for_zones);
  }
}

template <typename T>
void PrefetchHead(const std::vector<const T*>& objects, size_t i) {
  if (i >= objects.size()) return;
  const char* head = reinterpret_cast<const char*>(objects[i]);
  for (size_t at = 0; at < sizeof(T); at += 64) PrefetchLine(head + at);
}
template <typename T>
void PrefetchParts(const std::vector<const T*>& objects, size_t i) {
  if (i + kPartsAhead < objects.size()) {
    PrefetchParts(*objects[i + kPartsAhead]);
  }
}

}  // namespace walk_internal

template <typename VisitSlice, typename VisitEndpoints, typename VisitService>
void WalkCluster(const Cluster& cluster, bool endpoint_slices, VisitSlice slice,
                 VisitEndpoints endpoints, VisitService service) {
  std::vector<const EndpointSlice*> slices;
  if (endpoint_slices) {
    slices = cluster.SlicesByService();
  } else {
    for (const Endpoints& object : cluster.endpoints()) endpoints(object);
  }
  std::vector<const Service*> services;
  services.reserve(cluster.services().size());
  for (const Service& s : cluster.services()) services.push_back(&s);

  // A service's name is a label, three steps away from its slice. Looked up
  // several one after another, they are waited for together.
  constexpr size_t kWindow = 16;
  std::array<absl::string_view, kWindow> names;
  size_t next = 0;
  auto read_names = [&] {
    const size_t n = std::min(kWindow, slices.size() - next);
    for (size_t i = 0; i < n; ++i) {
      walk_internal::PrefetchHead(slices, next + n + i);
      names[i] = slices[next + i]->ServiceName();
    }
  };
  read_names();
  auto visit_next_slice = [&] {
    walk_internal::PrefetchParts(slices, next);
    slice(*slices[next], names[next % kWindow]);
    ++next;
    if (next % kWindow == 0) read_names();
  };
  for (size_t i = 0; i < services.size(); ++i) {
    walk_internal::PrefetchHead(services, i + walk_internal::kHeadsAhead);
    walk_internal::PrefetchParts(services, i);
    const ObjectKey key = KeyOf(services[i]->metadata);
    while (next < slices.size() &&
           !(key < ObjectKey{slices[next]->metadata.namespace_,
                             names[next % kWindow]})) {
      visit_next_slice();
    }
    service(*services[i]);
  }
  while (next < slices.size()) visit_next_slice();
}

}  // namespace k8sdns::proxy

#endif  // K8SDNS_PROXY_CLUSTER_WALK_H_
