// The network of a cluster as a diagram: a column for each node with its Pods
// and its devices and routes, and one for what joins them.
//
//   out << diagram::ToSvg(DiagramOf(*fabric, cluster));
//
// Pure; thread-safe. Linear in Pods and routes: O(nodes^2) with tunnels.
#ifndef K8SDNS_FABRIC_FABRIC_DIAGRAM_H_
#define K8SDNS_FABRIC_FABRIC_DIAGRAM_H_

#include "k8sdns/cluster/cluster.h"
#include "k8sdns/diagram/diagram.h"
#include "k8sdns/fabric/fabric.h"

namespace k8sdns::fabric {

// `cluster` is the one that the fabric was made of.
diagram::Diagram DiagramOf(const Fabric& fabric, const Cluster& cluster);

}  // namespace k8sdns::fabric

#endif  // K8SDNS_FABRIC_FABRIC_DIAGRAM_H_
