#include "k8sdns/cluster/cluster.h"

#include <string>

#include "absl/strings/string_view.h"

namespace k8sdns {
namespace {

template <typename T>
std::shared_ptr<const T> Share(T object) {
  return std::make_shared<const T>(std::move(object));
}

// Walks two sets in step and reports each key that is not the same object.
template <typename T>
void Compare(const ObjectSet<T>& from, const ObjectSet<T>& to,
             std::vector<WatchEvent>& deleted, std::vector<WatchEvent>& put) {
  auto a = from.begin();
  auto b = to.begin();
  while (a != from.end() || b != to.end()) {
    const bool only_a =
        b == to.end() ||
        (a != from.end() && KeyOf(a->metadata) < KeyOf(b->metadata));
    if (only_a) {
      deleted.push_back({WatchEvent::Type::kDeleted, *a});
      ++a;
      continue;
    }
    if (a == from.end() || KeyOf(b->metadata) < KeyOf(a->metadata)) {
      put.push_back({WatchEvent::Type::kPut, *b});
      ++b;
      continue;
    }
    if (a.shared() != b.shared() && !(*a == *b)) {
      put.push_back({WatchEvent::Type::kPut, *b});
    }
    ++a;
    ++b;
  }
}

}  // namespace

bool Pod::IsReady() const {
  for (const PodCondition& c : status.conditions) {
    if (c.type == "Ready") return c.status == "True";
  }
  return false;
}

std::vector<std::string> Pod::Addresses() const {
  if (!status.pod_ips.empty()) return status.pod_ips;
  if (!status.pod_ip.empty()) return {status.pod_ip};
  return {};
}

std::vector<const EndpointSlice*> Cluster::SlicesByService() const {
  std::vector<const EndpointSlice*> out;
  out.reserve(slices_by_service_.size());
  for (const auto& slice : slices_by_service_) out.push_back(slice.get());
  return out;
}

std::vector<const EndpointSlice*> Cluster::SlicesOf(
    absl::string_view namespace_, absl::string_view service) const {
  std::vector<const EndpointSlice*> out;
  for (auto it = slices_by_service_.lower_bound(
           ByService::Key{namespace_, service, ""});
       it != slices_by_service_.end(); ++it) {
    const EndpointSlice& slice = **it;
    if (slice.metadata.namespace_ != namespace_ ||
        slice.ServiceName() != service) {
      break;
    }
    out.push_back(&slice);
  }
  return out;
}

void Cluster::Put(Service object) { Put(Share(std::move(object))); }
void Cluster::Put(EndpointSlice object) { Put(Share(std::move(object))); }
void Cluster::Put(Endpoints object) { Put(Share(std::move(object))); }
void Cluster::Put(Pod object) { Put(Share(std::move(object))); }
void Cluster::Put(Node object) { Put(Share(std::move(object))); }
void Cluster::Put(Namespace object) { Put(Share(std::move(object))); }
void Cluster::Put(NetworkPolicy object) { Put(Share(std::move(object))); }

void Cluster::Put(std::shared_ptr<const EndpointSlice> object) {
  if (auto old = slices_.Put(object)) {
    slices_by_service_.erase(ByService::KeyFor(old));
  }
  // Names of slices begin with their Service's: mostly in order, too.
  slices_by_service_.insert(slices_by_service_.end(), std::move(object));
}
void Cluster::Put(std::shared_ptr<const Service> object) {
  services_.Put(std::move(object));
}
void Cluster::Put(std::shared_ptr<const Endpoints> object) {
  endpoints_.Put(std::move(object));
}
void Cluster::Put(std::shared_ptr<const Pod> object) {
  pods_.Put(std::move(object));
}
void Cluster::Put(std::shared_ptr<const Node> object) {
  nodes_.Put(std::move(object));
}
void Cluster::Put(std::shared_ptr<const Namespace> object) {
  namespaces_.Put(std::move(object));
}
void Cluster::Put(std::shared_ptr<const NetworkPolicy> object) {
  network_policies_.Put(std::move(object));
}

bool Cluster::RemoveService(ObjectKey key) {
  return services_.Remove(key) != nullptr;
}

bool Cluster::RemoveEndpointSlice(ObjectKey key) {
  auto old = slices_.Remove(key);
  if (old == nullptr) return false;
  slices_by_service_.erase(ByService::KeyFor(old));
  return true;
}

bool Cluster::RemoveEndpoints(ObjectKey key) {
  return endpoints_.Remove(key) != nullptr;
}
bool Cluster::RemovePod(ObjectKey key) { return pods_.Remove(key) != nullptr; }
bool Cluster::RemoveNode(absl::string_view name) {
  return nodes_.Remove({"", name}) != nullptr;
}
bool Cluster::RemoveNamespace(absl::string_view name) {
  return namespaces_.Remove({"", name}) != nullptr;
}
bool Cluster::RemoveNetworkPolicy(ObjectKey key) {
  return network_policies_.Remove(key) != nullptr;
}

namespace {

struct Remover {
  Cluster& cluster;
  void operator()(const Service& o) const {
    cluster.RemoveService(KeyOf(o.metadata));
  }
  void operator()(const EndpointSlice& o) const {
    cluster.RemoveEndpointSlice(KeyOf(o.metadata));
  }
  void operator()(const Endpoints& o) const {
    cluster.RemoveEndpoints(KeyOf(o.metadata));
  }
  void operator()(const Pod& o) const { cluster.RemovePod(KeyOf(o.metadata)); }
  void operator()(const Node& o) const { cluster.RemoveNode(o.metadata.name); }
  void operator()(const Namespace& o) const {
    cluster.RemoveNamespace(o.metadata.name);
  }
  void operator()(const NetworkPolicy& o) const {
    cluster.RemoveNetworkPolicy(KeyOf(o.metadata));
  }
};

}  // namespace

void Apply(const WatchEvent& event, Cluster& cluster) {
  if (event.type == WatchEvent::Type::kDeleted) {
    std::visit(Remover{cluster}, event.object);
  } else {
    std::visit([&](const auto& object) { cluster.Put(object); }, event.object);
  }
}

std::vector<WatchEvent> Difference(const Cluster& from, const Cluster& to) {
  std::vector<WatchEvent> events;
  std::vector<WatchEvent> put;
  Compare(from.namespaces(), to.namespaces(), events, put);
  Compare(from.nodes(), to.nodes(), events, put);
  Compare(from.pods(), to.pods(), events, put);
  Compare(from.services(), to.services(), events, put);
  Compare(from.endpoint_slices(), to.endpoint_slices(), events, put);
  Compare(from.endpoints(), to.endpoints(), events, put);
  Compare(from.network_policies(), to.network_policies(), events, put);
  for (WatchEvent& e : put) events.push_back(std::move(e));
  return events;
}

}  // namespace k8sdns
