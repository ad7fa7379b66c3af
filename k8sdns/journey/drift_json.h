// Drift as JSON, for programs.
//
//   absl::StatusOr<std::string> json = DriftToJson(drift);
#ifndef K8SDNS_JOURNEY_DRIFT_JSON_H_
#define K8SDNS_JOURNEY_DRIFT_JSON_H_

#include <string>

#include "absl/status/statusor.h"
#include "k8sdns/journey/drift.h"

namespace k8sdns::journey {

// Schema: proto/k8sdns/v1/drift.proto. Indented, with a newline at the end. An
// error only for texts that are not UTF-8.
absl::StatusOr<std::string> DriftToJson(const Drift& drift);

}  // namespace k8sdns::journey

#endif  // K8SDNS_JOURNEY_DRIFT_JSON_H_
