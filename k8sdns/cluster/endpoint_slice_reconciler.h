// Private to the endpoints controllers: the EndpointSlices of a Service with a
// selector (k8s.io/endpointslice reconciler.go).
#ifndef K8SDNS_CLUSTER_ENDPOINT_SLICE_RECONCILER_H_
#define K8SDNS_CLUSTER_ENDPOINT_SLICE_RECONCILER_H_

#include <vector>

#include "absl/strings/string_view.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/cluster/endpoint_set.h"
#include "k8sdns/cluster/pod_endpoints.h"
#include "k8sdns/cluster/topology_hints.h"

namespace k8sdns::endpoints_internal {

inline constexpr char kSliceController[] = "endpointslice-controller.k8s.io";

// One sync of a Service. `pods` are those its selector matches, `existing` the
// slices labelled with its name and kSliceController that are not being
// deleted; `trigger_time` (may be empty) goes into what is written.
SlicePlan PlanSlices(const Service& service,
                     const std::vector<const Pod*>& pods,
                     const std::vector<const EndpointSlice*>& existing,
                     absl::string_view trigger_time,
                     const ObjectSet<Node>& nodes, const ZoneShares& shares,
                     const Context& context);

}  // namespace k8sdns::endpoints_internal

#endif  // K8SDNS_CLUSTER_ENDPOINT_SLICE_RECONCILER_H_
