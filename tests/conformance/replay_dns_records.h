#ifndef K8SDNS_TESTS_CONFORMANCE_REPLAY_DNS_RECORDS_H_
#define K8SDNS_TESTS_CONFORMANCE_REPLAY_DNS_RECORDS_H_

#include "absl/status/status.h"
#include "tests/conformance/replay.h"

namespace k8sdns::conformance {

// dns-records/<cluster>/<server>.yaml.
absl::Status ReplayDnsRecords(const ReplayPaths& paths);

}  // namespace k8sdns::conformance

#endif  // K8SDNS_TESTS_CONFORMANCE_REPLAY_DNS_RECORDS_H_
