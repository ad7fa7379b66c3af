#ifndef K8SDNS_TESTS_CONFORMANCE_REPLAY_ENDPOINTS_CONTROLLER_H_
#define K8SDNS_TESTS_CONFORMANCE_REPLAY_ENDPOINTS_CONTROLLER_H_

#include "absl/status/status.h"
#include "tests/conformance/replay.h"

namespace k8sdns::conformance {

// endpoints-controller/<case>/endpointslices.yaml and endpoints.yaml.
absl::Status ReplayEndpointsController(const ReplayPaths& paths);

}  // namespace k8sdns::conformance

#endif  // K8SDNS_TESTS_CONFORMANCE_REPLAY_ENDPOINTS_CONTROLLER_H_
