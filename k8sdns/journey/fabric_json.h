// The network of a cluster as JSON, for programs.
//
//   absl::StatusOr<std::string> json = FabricToJson(*fabric, cluster);
#ifndef K8SDNS_JOURNEY_FABRIC_JSON_H_
#define K8SDNS_JOURNEY_FABRIC_JSON_H_

#include <string>

#include "absl/status/statusor.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/fabric/fabric.h"

namespace k8sdns::journey {

// Schema: proto/k8sdns/v1/fabric.proto. Indented, with a newline at the end.
// `cluster` is the one that the fabric was made of. An error only for names
// that are not UTF-8.
absl::StatusOr<std::string> FabricToJson(const fabric::Fabric& fabric,
                                         const Cluster& cluster);

}  // namespace k8sdns::journey

#endif  // K8SDNS_JOURNEY_FABRIC_JSON_H_
