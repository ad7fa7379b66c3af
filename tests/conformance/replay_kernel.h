// Families kernel, kernel-ipvs, kernel-random and kernel-random6: packets
// through the rules of a node.
#ifndef K8SDNS_TESTS_CONFORMANCE_REPLAY_KERNEL_H_
#define K8SDNS_TESTS_CONFORMANCE_REPLAY_KERNEL_H_

#include "absl/status/status.h"
#include "tests/conformance/replay.h"

namespace k8sdns::conformance {

absl::Status ReplayKernel(const ReplayPaths& paths);
absl::Status ReplayKernelIpvs(const ReplayPaths& paths);
absl::Status ReplayKernelRandom(const ReplayPaths& paths);
absl::Status ReplayKernelRandom6(const ReplayPaths& paths);

}  // namespace k8sdns::conformance

#endif  // K8SDNS_TESTS_CONFORMANCE_REPLAY_KERNEL_H_
