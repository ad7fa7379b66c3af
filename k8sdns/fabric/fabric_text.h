// The network of a cluster as a person reads it: a tree of nodes, their
// devices, routes and Pods.
//
//   std::cout << FabricToText(*fabric, cluster);
//
// Pure; thread-safe. Linear in Pods, interfaces and routes.
#ifndef K8SDNS_FABRIC_FABRIC_TEXT_H_
#define K8SDNS_FABRIC_FABRIC_TEXT_H_

#include <string>

#include "k8sdns/cluster/cluster.h"
#include "k8sdns/fabric/fabric.h"

namespace k8sdns::fabric {

// `cluster` is the one that the fabric was made of. Routes as `ip route`
// prints them; MTUs in bytes.
std::string FabricToText(const Fabric& fabric, const Cluster& cluster);

}  // namespace k8sdns::fabric

#endif  // K8SDNS_FABRIC_FABRIC_TEXT_H_
