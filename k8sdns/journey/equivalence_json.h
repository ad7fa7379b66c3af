// An answer about equivalence as JSON, for programs.
#ifndef K8SDNS_JOURNEY_EQUIVALENCE_JSON_H_
#define K8SDNS_JOURNEY_EQUIVALENCE_JSON_H_

#include <string>

#include "absl/status/statusor.h"
#include "k8sdns/dataplane/equivalence.h"

namespace k8sdns::journey {

// Schema: proto/k8sdns/v1/equivalence.proto. Indented, with a newline at the
// end. An error only for texts that are not UTF-8.
absl::StatusOr<std::string> EquivalenceToJson(
    const dataplane::Equivalence& result);

}  // namespace k8sdns::journey

#endif  // K8SDNS_JOURNEY_EQUIVALENCE_JSON_H_
