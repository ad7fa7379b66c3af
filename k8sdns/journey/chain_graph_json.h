// The chains of a table as JSON, for programs.
//
//   const netfilter::ChainGraph graph(*rules.table(TableId::kNat));
//   absl::StatusOr<std::string> json = ChainGraphToJson(graph);
#ifndef K8SDNS_JOURNEY_CHAIN_GRAPH_JSON_H_
#define K8SDNS_JOURNEY_CHAIN_GRAPH_JSON_H_

#include <string>

#include "absl/status/statusor.h"
#include "k8sdns/netfilter/chain_graph.h"

namespace k8sdns::journey {

// Schema: proto/k8sdns/v1/chain_graph.proto. Indented, with a newline at the
// end. An error only for names that are not UTF-8.
absl::StatusOr<std::string> ChainGraphToJson(
    const netfilter::ChainGraph& graph);

}  // namespace k8sdns::journey

#endif  // K8SDNS_JOURNEY_CHAIN_GRAPH_JSON_H_
