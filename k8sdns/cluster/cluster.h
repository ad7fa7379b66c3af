// A snapshot of the objects that decide routing and DNS, and the watch events
// that change it.
//
//   Cluster cluster;
//   cluster.Put(service);                       // add or replace
//   for (const Service& s : cluster.services()) ...   // by namespace, name
//   const Service* dns = cluster.services().Find("kube-system", "kube-dns");
//
// Objects are immutable once put and shared between copies of the snapshot, so
// that a copy costs a pointer per object, and Difference() of a snapshot and a
// changed copy compares only what changed. Not thread-safe while it is being
// changed; a const Cluster may be read from any number of threads.
#ifndef K8SDNS_CLUSTER_CLUSTER_H_
#define K8SDNS_CLUSTER_CLUSTER_H_

#include <cstddef>
#include <iterator>
#include <memory>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/strings/string_view.h"
#include "k8sdns/cluster/endpoints.h"
#include "k8sdns/cluster/network_policy.h"
#include "k8sdns/cluster/node.h"
#include "k8sdns/cluster/object_meta.h"
#include "k8sdns/cluster/pod.h"
#include "k8sdns/cluster/service.h"

namespace k8sdns {

// The objects of one kind, ordered by namespace and name, bytewise.
template <typename T>
class ObjectSet {
 public:
  using Pointer = std::shared_ptr<const T>;

 private:
  struct Less {
    using is_transparent = void;
    static ObjectKey Key(const Pointer& p) { return KeyOf(p->metadata); }
    static ObjectKey Key(const ObjectKey& key) { return key; }
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return Key(a) < Key(b);
    }
  };
  using Set = absl::btree_set<Pointer, Less>;

 public:
  class const_iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = const T*;
    using reference = const T&;

    const_iterator() = default;
    explicit const_iterator(typename Set::const_iterator it) : it_(it) {}
    reference operator*() const { return **it_; }
    pointer operator->() const { return it_->get(); }
    const Pointer& shared() const { return *it_; }
    const_iterator& operator++() {
      ++it_;
      return *this;
    }
    const_iterator operator++(int) {
      const_iterator old = *this;
      ++it_;
      return old;
    }
    friend bool operator==(const const_iterator& a, const const_iterator& b) {
      return a.it_ == b.it_;
    }

   private:
    typename Set::const_iterator it_;
  };

  size_t size() const { return set_.size(); }
  bool empty() const { return set_.empty(); }
  const_iterator begin() const { return const_iterator(set_.begin()); }
  const_iterator end() const { return const_iterator(set_.end()); }

  // nullptr if there is none. O(log n).
  const T* Find(absl::string_view namespace_, absl::string_view name) const {
    auto it = set_.find(ObjectKey{namespace_, name});
    return it == set_.end() ? nullptr : it->get();
  }
  // For cluster-scoped kinds.
  const T* Find(absl::string_view name) const { return Find("", name); }
  // The first object whose key is not less than (namespace_, name).
  const_iterator LowerBound(absl::string_view namespace_,
                            absl::string_view name) const {
    return const_iterator(set_.lower_bound(ObjectKey{namespace_, name}));
  }

  // Adds or replaces; returns what was there before, or null.
  Pointer Put(Pointer object) {
    // Objects mostly come in order; then none of them has to be looked for.
    if (set_.empty() || Less()(*std::prev(set_.end()), object)) {
      set_.insert(set_.end(), std::move(object));
      return nullptr;
    }
    auto it = set_.find(KeyOf(object->metadata));
    Pointer old;
    if (it != set_.end()) {
      old = *it;
      it = set_.erase(it);
    }
    set_.insert(it, std::move(object));
    return old;
  }
  // Returns what was removed, or null.
  Pointer Remove(ObjectKey key) {
    auto it = set_.find(key);
    if (it == set_.end()) return nullptr;
    Pointer old = *it;
    set_.erase(it);
    return old;
  }

 private:
  Set set_;
};

class Cluster {
 public:
  const ObjectSet<Service>& services() const { return services_; }
  const ObjectSet<EndpointSlice>& endpoint_slices() const { return slices_; }
  const ObjectSet<Endpoints>& endpoints() const { return endpoints_; }
  const ObjectSet<Pod>& pods() const { return pods_; }
  const ObjectSet<Node>& nodes() const { return nodes_; }
  const ObjectSet<Namespace>& namespaces() const { return namespaces_; }
  const ObjectSet<NetworkPolicy>& network_policies() const {
    return network_policies_;
  }

  // The slices labelled with the Service's name, by slice name. O(log n + k).
  std::vector<const EndpointSlice*> SlicesOf(absl::string_view namespace_,
                                             absl::string_view service) const;

  // All slices by namespace, Service and name: those of a Service stand one
  // after another, the Services in the order of services(). O(slices).
  std::vector<const EndpointSlice*> SlicesByService() const;

  // Adds the object, or replaces the one of the same kind and name.
  void Put(Service object);
  void Put(EndpointSlice object);
  void Put(Endpoints object);
  void Put(Pod object);
  void Put(Node object);
  void Put(Namespace object);
  void Put(NetworkPolicy object);
  // The same, shared with whoever else has it.
  void Put(std::shared_ptr<const Service> object);
  void Put(std::shared_ptr<const EndpointSlice> object);
  void Put(std::shared_ptr<const Endpoints> object);
  void Put(std::shared_ptr<const Pod> object);
  void Put(std::shared_ptr<const Node> object);
  void Put(std::shared_ptr<const Namespace> object);
  void Put(std::shared_ptr<const NetworkPolicy> object);

  // Removes it; false if it was not there.
  bool RemoveService(ObjectKey key);
  bool RemoveEndpointSlice(ObjectKey key);
  bool RemoveEndpoints(ObjectKey key);
  bool RemovePod(ObjectKey key);
  bool RemoveNode(absl::string_view name);
  bool RemoveNamespace(absl::string_view name);
  bool RemoveNetworkPolicy(ObjectKey key);

 private:
  struct ByService {
    using is_transparent = void;
    struct Key {
      absl::string_view namespace_, service, name;
      friend bool operator<(const Key& a, const Key& b) {
        return std::tie(a.namespace_, a.service, a.name) <
               std::tie(b.namespace_, b.service, b.name);
      }
    };
    static Key KeyFor(const std::shared_ptr<const EndpointSlice>& s) {
      return {s->metadata.namespace_, s->ServiceName(), s->metadata.name};
    }
    static Key KeyFor(const Key& key) { return key; }
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return KeyFor(a) < KeyFor(b);
    }
  };

  ObjectSet<Service> services_;
  ObjectSet<EndpointSlice> slices_;
  absl::btree_set<std::shared_ptr<const EndpointSlice>, ByService>
      slices_by_service_;
  ObjectSet<Endpoints> endpoints_;
  ObjectSet<Pod> pods_;
  ObjectSet<Node> nodes_;
  ObjectSet<Namespace> namespaces_;
  ObjectSet<NetworkPolicy> network_policies_;
};

// What a watch reports about one object (ADDED and MODIFIED are both kPut).
// A deletion carries the last known object, as the API's watch does.
struct WatchEvent {
  enum class Type { kPut, kDeleted };
  Type type = Type::kPut;
  std::variant<Service, EndpointSlice, Endpoints, Pod, Node, Namespace,
               NetworkPolicy>
      object;
};

void Apply(const WatchEvent& event, Cluster& cluster);

// The events that lead from `from` to `to`: deletions first, then puts, each
// by kind and key. Objects that both share are not compared.
std::vector<WatchEvent> Difference(const Cluster& from, const Cluster& to);

}  // namespace k8sdns

#endif  // K8SDNS_CLUSTER_CLUSTER_H_
