// Private to the endpoints controllers: the hints that tell kube-proxy for
// which zones (and nodes) an endpoint is meant
// (k8s.io/endpointslice/topologycache and trafficdist).
#ifndef K8SDNS_CLUSTER_TOPOLOGY_HINTS_H_
#define K8SDNS_CLUSTER_TOPOLOGY_HINTS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/cluster/endpoint_set.h"

namespace k8sdns::endpoints_internal {

// Billionths of a unit, rounded up, of a Kubernetes quantity ("3920m", "4",
// "0.5k", "1e3", "2Ki"). nullopt if it is none.
std::optional<int64_t> ParseQuantityNanos(absl::string_view text);

// The share of each zone in the CPU of the cluster: of its ready nodes that
// are not control plane nodes. Empty unless every such node has a zone and
// CPU, and there are two zones.
using ZoneShares = std::map<std::string, double>;
ZoneShares ComputeZoneShares(const ObjectSet<Node>& nodes);

// The slices of one Service and address type while they are being planned.
// Functions below copy an unchanged slice to `plan.update` to change it.
struct HintedSlices {
  SlicePlan& plan;
  std::vector<const EndpointSlice*> unchanged;
};

// The annotation says Auto.
bool WantsTopologyHints(const StringMap& annotations);

// Hints in proportion to `shares`. If that can't be done, removes all hints
// and says why.
std::optional<std::string> AddTopologyHints(const ZoneShares& shares,
                                            HintedSlices& slices);

// Hints for the endpoint's own zone, and its own node if asked for.
void AddCloseHints(bool for_nodes, HintedSlices& slices);

void RemoveHints(HintedSlices& slices);

}  // namespace k8sdns::endpoints_internal

#endif  // K8SDNS_CLUSTER_TOPOLOGY_HINTS_H_
