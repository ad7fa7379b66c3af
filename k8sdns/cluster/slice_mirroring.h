// Private to the endpoints controllers: EndpointSlices that mirror the
// Endpoints of a Service without selector
// (pkg/controller/endpointslicemirroring).
#ifndef K8SDNS_CLUSTER_SLICE_MIRRORING_H_
#define K8SDNS_CLUSTER_SLICE_MIRRORING_H_

#include <vector>

#include "k8sdns/cluster/endpoint_set.h"
#include "k8sdns/cluster/pod_endpoints.h"

namespace k8sdns::endpoints_internal {

inline constexpr char kMirroringController[] =
    "endpointslicemirroring-controller.k8s.io";

// Neither labelled endpointslice.kubernetes.io/skip-mirror: "true" nor a
// leader election lock.
bool ShouldMirror(const Endpoints& endpoints);

// One sync. `existing` are the slices labelled with the name of `endpoints`
// and kMirroringController.
SlicePlan PlanMirroring(const Endpoints& endpoints,
                        const std::vector<const EndpointSlice*>& existing,
                        const Context& context);

}  // namespace k8sdns::endpoints_internal

#endif  // K8SDNS_CLUSTER_SLICE_MIRRORING_H_
