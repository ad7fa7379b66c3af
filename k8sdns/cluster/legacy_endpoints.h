// Private to the endpoints controllers: the Endpoints of a Service with a
// selector (pkg/controller/endpoint), and their canonical form
// (pkg/api/v1/endpoints).
#ifndef K8SDNS_CLUSTER_LEGACY_ENDPOINTS_H_
#define K8SDNS_CLUSTER_LEGACY_ENDPOINTS_H_

#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/cluster/pod_endpoints.h"

namespace k8sdns::endpoints_internal {

// Packs pairs of an address and a port into as few subsets as possible: the
// ports that have the same addresses, ready and not ready, share one.
class SubsetPacker {
 public:
  // Ports that differ in `instance` are different if they have an appProtocol
  // (the real key holds a pointer to it). A null port stands for an address
  // without ports. An address is one by IP and target uid, the first one seen
  // counts; not ready anywhere wins over ready for the same port.
  void Add(const EndpointAddress& address, const EndpointPort* port,
           int instance, bool ready);

  // Addresses ordered by IP and target uid, the rest by ports.
  std::vector<EndpointSubset> Pack() const;

 private:
  struct PortEntry {
    std::optional<EndpointPort> port;
    std::map<size_t, bool> ready_by_address;
  };
  using PortId =
      std::tuple<bool, std::string, int32_t, Protocol, std::string, int>;

  std::vector<EndpointAddress> addresses_;
  absl::flat_hash_map<std::pair<std::string, std::string>, size_t>
      address_index_;
  std::map<PortId, PortEntry> ports_;
};

// The canonical form of hand-made subsets.
std::vector<EndpointSubset> RepackSubsets(
    const std::vector<EndpointSubset>& subsets);

// The same content, in the order that SubsetPacker gives, defaults set.
std::vector<EndpointSubset> Normalized(std::vector<EndpointSubset> subsets);

// One sync of a Service: what to write in place of `current` (may be null);
// nullopt if there is nothing to write.
std::optional<Endpoints> PlanEndpoints(const Service& service,
                                       const std::vector<const Pod*>& pods,
                                       const Endpoints* current,
                                       absl::string_view trigger_time,
                                       const Context& context);

// An annotation of leader election locks, which are no endpoints at all.
bool IsLeaderElectionLock(const Endpoints& endpoints);

}  // namespace k8sdns::endpoints_internal

#endif  // K8SDNS_CLUSTER_LEGACY_ENDPOINTS_H_
