// Reads `ipset save` text into the sets of a node.
#ifndef K8SDNS_TESTS_CONFORMANCE_KERNEL_SETS_H_
#define K8SDNS_TESTS_CONFORMANCE_KERNEL_SETS_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "k8sdns/dataplane/ip_sets.h"

namespace k8sdns::conformance {

absl::Status ReadSets(absl::string_view text, dataplane::IpSets& sets);

}  // namespace k8sdns::conformance

#endif  // K8SDNS_TESTS_CONFORMANCE_KERNEL_SETS_H_
