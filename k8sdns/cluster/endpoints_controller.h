// What kube-controller-manager makes of Services, Pods and Nodes: the
// EndpointSlices of Services with a selector, their legacy Endpoints, and the
// EndpointSlices that mirror hand-made Endpoints.
//
//   Cluster settled = ReconcileEndpoints(cluster);
//   for (const EndpointSlice* s : settled.SlicesOf("default", "web")) ...
//
// The model is the three controllers of Kubernetes 1.32
// (k8s.io/endpointslice v0.32, pkg/controller/endpoint,
// pkg/controller/endpointslicemirroring) run until none writes any more, as
// after a restart: what is there already is kept where the controllers keep
// it. Where the real ones follow the order of a Go map, this one follows the
// order of names, so that the same input gives the same objects:
//   - endpoints fill slices in the order of their Pods' names;
//   - a new slice is named "<service>-" and five letters, a hash of namespace,
//     prefix and a count (the API server draws them at random);
//   - subsets and ports are ordered by name, number, protocol.
//
// Pure functions; thread-safe. Cost: about the size of the cluster, once to
// index the Pods by label, once or twice for each Service's Pods.
#ifndef K8SDNS_CLUSTER_ENDPOINTS_CONTROLLER_H_
#define K8SDNS_CLUSTER_ENDPOINTS_CONTROLLER_H_

#include <cstddef>
#include <vector>

#include "k8sdns/cluster/cluster.h"
#include "k8sdns/cluster/finding.h"

namespace k8sdns {

// Flags of kube-controller-manager, and what differs between releases. The
// defaults are those of 1.32.
struct EndpointsControllerOptions {
  // --max-endpoints-per-slice and --mirroring-max-endpoints-per-subset; what is
  // outside of 1..1000 is taken as the nearest.
  size_t max_endpoints_per_slice = 100;
  size_t max_mirrored_endpoints_per_subset = 1000;

  // Feature gate TopologyAwareHints: the annotation
  // service.kubernetes.io/topology-mode: Auto gives hints by the CPU of zones.
  bool topology_aware_hints = true;
  // Feature gate ServiceTrafficDistribution: trafficDistribution: PreferClose
  // gives hints for the endpoint's own zone. On from 1.31.
  bool traffic_distribution = true;
  // Feature gate PreferSameTrafficDistribution: PreferSameZone and
  // PreferSameNode as well. On from 1.34.
  bool prefer_same_traffic_distribution = false;
  // Named ports of sidecars (init containers with restartPolicy Always) count:
  // in neither in 1.30, in Endpoints from 1.32, in both from 1.33.
  bool sidecar_ports_in_endpoints = true;
  bool sidecar_ports_in_slices = false;
  // Endpoints get the label endpoints.kubernetes.io/managed-by. From 1.33.
  bool label_managed_endpoints = false;

  // A Pod whose Node is not in the cluster has no place in a slice. Off, it is
  // listed without a zone: for input that leaves out Nodes.
  bool hide_pods_of_unknown_nodes = true;

  // As Kubernetes 1.`minor` behaves. 30 and later; older ones count as 30.
  static EndpointsControllerOptions ForRelease(int minor);
};

// The cluster after the controllers have settled: all EndpointSlices and
// Endpoints, also those that they leave alone. Endpoints without a Service are
// removed but for leader election locks; slices without a Service stay (the
// garbage collector is not modelled). What a Service asks for and does not get
// is reported in `findings`: a Pod on an unknown node, a named port that a Pod
// lacks, hints that could not be given, truncation, an object that the API
// server would refuse.
Cluster ReconcileEndpoints(const Cluster& cluster,
                           const EndpointsControllerOptions& options = {},
                           std::vector<Finding>* findings = nullptr);

// For input that is less than a whole cluster: leaves what is there as it is,
// and adds what is missing.
//   - A Service with a selector and no slice gets slices from its Pods, or, if
//     no Pod of the cluster matches, from its Endpoints.
//   - A Service with a selector and no Endpoints gets them from its Pods, or,
//     if no Pod matches, from its slices.
//   - A Service without selector that has Endpoints and no slice gets the
//     mirrored slices.
// Without any Node in the cluster, hide_pods_of_unknown_nodes counts as off.
Cluster DeriveMissingEndpoints(const Cluster& cluster,
                               const EndpointsControllerOptions& options = {},
                               std::vector<Finding>* findings = nullptr);

}  // namespace k8sdns

#endif  // K8SDNS_CLUSTER_ENDPOINTS_CONTROLLER_H_
