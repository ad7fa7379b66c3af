#ifndef K8SDNS_TESTS_CONFORMANCE_REPLAY_RESOLVER_H_
#define K8SDNS_TESTS_CONFORMANCE_REPLAY_RESOLVER_H_

#include "absl/status/status.h"
#include "tests/conformance/replay.h"

namespace k8sdns::conformance {

// resolver/LIBRARY/VERSION/GROUP.yaml.
absl::Status ReplayResolver(const ReplayPaths& paths);

}  // namespace k8sdns::conformance

#endif  // K8SDNS_TESTS_CONFORMANCE_REPLAY_RESOLVER_H_
