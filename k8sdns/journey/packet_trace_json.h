// A packet's trace as JSON, for programs.
#ifndef K8SDNS_JOURNEY_PACKET_TRACE_JSON_H_
#define K8SDNS_JOURNEY_PACKET_TRACE_JSON_H_

#include <string>

#include "absl/status/statusor.h"
#include "k8sdns/journey/packet_trace.h"

namespace k8sdns::journey {

// Schema: proto/k8sdns/v1/packet_trace.proto. Indented, with a newline at the
// end. An error only for texts that are not UTF-8.
absl::StatusOr<std::string> PacketTraceToJson(const PacketTrace& trace);

}  // namespace k8sdns::journey

#endif  // K8SDNS_JOURNEY_PACKET_TRACE_JSON_H_
