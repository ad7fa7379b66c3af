// kube-proxy/<version>/iptables/<case>: save.v4.txt, save.v6.txt, sysctl.txt,
// and save.next.* after a change of the cluster.
#ifndef K8SDNS_TESTS_CONFORMANCE_REPLAY_KUBE_PROXY_IPTABLES_H_
#define K8SDNS_TESTS_CONFORMANCE_REPLAY_KUBE_PROXY_IPTABLES_H_

#include "tests/conformance/replay.h"

namespace k8sdns::conformance {

absl::Status ReplayKubeProxyIptables(const ReplayPaths& paths);

}  // namespace k8sdns::conformance

#endif  // K8SDNS_TESTS_CONFORMANCE_REPLAY_KUBE_PROXY_IPTABLES_H_
