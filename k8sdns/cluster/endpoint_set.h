// Private to the endpoints controllers: what makes two lists of ports, and two
// endpoints, the same for them (k8s.io/endpointslice/util).
#ifndef K8SDNS_CLUSTER_ENDPOINT_SET_H_
#define K8SDNS_CLUSTER_ENDPOINT_SET_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "k8sdns/cluster/endpoints.h"

namespace k8sdns::endpoints_internal {

// Changes to the EndpointSlices of one namespace. Updates and removals name
// existing slices; slices to create have generate_name and no name.
struct SlicePlan {
  std::vector<EndpointSlice> create;
  std::vector<EndpointSlice> update;
  std::vector<const EndpointSlice*> remove;
};

// Defaults of the API: name "" and protocol TCP.
void SetDefaults(std::vector<EndpointPort>& ports);

// Ordered by name, number, protocol, appProtocol.
bool PortLess(const EndpointPort& a, const EndpointPort& b);

// Equal for lists that hold the same ports in any order.
std::string PortsKey(std::vector<EndpointPort> ports);

// Addresses in any order, hostname, and the target's namespace and name.
std::string EndpointKey(const Endpoint& endpoint);

// Equal in what the key leaves out, hints aside.
bool EqualBeyondKey(const Endpoint& a, const Endpoint& b);

// The generateName of a Service's slices: the name and a dash, where that is
// a valid prefix.
std::string SlicePrefix(absl::string_view service);

// A set of endpoints by EndpointKey() that remembers the order of insertion.
class EndpointSet {
 public:
  // Replaces an endpoint of the same key, in its place. Sorts the addresses.
  void Insert(Endpoint endpoint);
  // The member with the key of `endpoint`, or null.
  const Endpoint* Find(const Endpoint& endpoint) const;
  // Removes and returns it, if it is there.
  std::optional<Endpoint> Take(const Endpoint& endpoint);
  // Removes and returns the first. Requires !empty().
  Endpoint PopFirst();

  size_t size() const { return index_.size(); }
  bool empty() const { return index_.empty(); }

 private:
  std::vector<std::optional<Endpoint>> items_;
  absl::flat_hash_map<std::string, size_t> index_;
  size_t first_ = 0;
};

}  // namespace k8sdns::endpoints_internal

#endif  // K8SDNS_CLUSTER_ENDPOINT_SET_H_
