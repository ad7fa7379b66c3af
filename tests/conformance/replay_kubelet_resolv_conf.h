#ifndef K8SDNS_TESTS_CONFORMANCE_REPLAY_KUBELET_RESOLV_CONF_H_
#define K8SDNS_TESTS_CONFORMANCE_REPLAY_KUBELET_RESOLV_CONF_H_

#include "absl/status/status.h"
#include "tests/conformance/replay.h"

namespace k8sdns::conformance {

// kubelet-resolv-conf/cases.yaml.
absl::Status ReplayKubeletResolvConf(const ReplayPaths& paths);

}  // namespace k8sdns::conformance

#endif  // K8SDNS_TESTS_CONFORMANCE_REPLAY_KUBELET_RESOLV_CONF_H_
