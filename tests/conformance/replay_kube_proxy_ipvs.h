// Replays kube-proxy/<version>/ipvs.
#ifndef K8SDNS_TESTS_CONFORMANCE_REPLAY_KUBE_PROXY_IPVS_H_
#define K8SDNS_TESTS_CONFORMANCE_REPLAY_KUBE_PROXY_IPVS_H_

#include "absl/status/status.h"
#include "tests/conformance/replay.h"

namespace k8sdns::conformance {

absl::Status ReplayKubeProxyIpvs(const ReplayPaths& paths);

}  // namespace k8sdns::conformance

#endif  // K8SDNS_TESTS_CONFORMANCE_REPLAY_KUBE_PROXY_IPVS_H_
