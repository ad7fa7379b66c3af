#ifndef K8SDNS_TESTS_CONFORMANCE_REPLAY_RULE_TEXT_H_
#define K8SDNS_TESTS_CONFORMANCE_REPLAY_RULE_TEXT_H_

#include "absl/status/status.h"
#include "tests/conformance/replay.h"

namespace k8sdns::conformance {

// rule-text/: what iptables and ipset make of a text.
absl::Status ReplayRuleText(const ReplayPaths& paths);

// kernel/load-errors/loads.yaml.
absl::Status ReplayLoadErrors(const ReplayPaths& paths);

}  // namespace k8sdns::conformance

#endif  // K8SDNS_TESTS_CONFORMANCE_REPLAY_RULE_TEXT_H_
