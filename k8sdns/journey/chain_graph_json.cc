#include "k8sdns/journey/chain_graph_json.h"

#include "k8sdns/journey/render_json.h"
#include "proto/k8sdns/v1/chain_graph.pb.h"

namespace k8sdns::journey {

absl::StatusOr<std::string> ChainGraphToJson(
    const netfilter::ChainGraph& graph) {
  v1::ChainGraph message;
  message.set_table(graph.table());
  for (const netfilter::ChainGraph::Chain& from : graph.Chains()) {
    v1::Chain& to = *message.add_chains();
    to.set_name(from.name);
    to.set_built_in(from.built_in);
    to.set_reachable(from.reachable);
    to.set_rules(static_cast<uint32_t>(from.rules));
    for (const netfilter::ChainGraph::Call& call : from.calls) {
      v1::ChainCall& c = *to.add_calls();
      c.set_chain(call.chain);
      c.set_rules(static_cast<uint32_t>(call.rules));
      c.set_goto_(call.is_goto);
    }
  }
  for (const std::vector<std::string>& loop : graph.Loops()) {
    v1::ChainLoop& to = *message.add_loops();
    for (const std::string& chain : loop) to.add_chains(chain);
  }
  if (const std::optional<int> depth = graph.MaxDepth()) {
    message.set_max_depth(*depth);
  }
  return RenderJson(message);
}

}  // namespace k8sdns::journey
