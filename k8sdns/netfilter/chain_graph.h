// Which chains of a table call which, as a graph: what is wrong with it, and a
// picture of it.
//
//   const ChainGraph graph(*rules.table(TableId::kNat));
//   for (const auto& loop : graph.Loops()) ...  // {"A", "B", "A"}
//   std::cout << graph.ToDot();
//
// Immutable; may be read from any number of threads. Its target needs
// Boost.Graph; the rest of the room does not.
#ifndef K8SDNS_NETFILTER_CHAIN_GRAPH_H_
#define K8SDNS_NETFILTER_CHAIN_GRAPH_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "k8sdns/netfilter/ruleset.h"

namespace k8sdns::netfilter {

class ChainGraph {
 public:
  struct Call {
    std::string chain;
    size_t rules = 0;  // that make it
    bool is_goto = false;
  };
  struct Chain {
    std::string name;
    bool built_in = false;
    bool reachable = false;  // from a built-in chain
    size_t rules = 0;
    std::vector<Call> calls;  // in the order of their first rules
  };

  // O(rules). The table is not needed afterwards.
  explicit ChainGraph(const Table& table);
  ChainGraph(ChainGraph&&) noexcept;
  ChainGraph& operator=(ChainGraph&&) noexcept;
  ~ChainGraph();

  // "nat", ...
  const std::string& table() const;
  // In the table's order. O(chains and calls).
  std::vector<Chain> Chains() const;
  // One way round for each group of chains that call each other, the first
  // chain named again at its end; the kernel refuses such a table. Also where
  // no built-in chain leads to it.
  std::vector<std::vector<std::string>> Loops() const;
  // User-defined chains that no built-in chain leads to, in the table's order.
  std::vector<std::string> Unreachable() const;
  // How deep the calls from built-in chains go: 0 if they call nothing.
  // nullopt if there are loops.
  std::optional<int> MaxDepth() const;

  // A tree from each built-in chain, for people: calls are indented below their
  // chain, what stands further up already is not told again. Then what is
  // wrong: chains that nothing calls, and loops.
  std::string ToText() const;
  // Graphviz: built-in chains as boxes, unreachable ones dashed, the calls of
  // a loop red; goto is dotted. A call says how many rules make it, if several.
  std::string ToDot() const;
  // The same as a Mermaid flowchart.
  std::string ToMermaid() const;

 private:
  struct Graph;
  std::unique_ptr<const Graph> graph_;
};

}  // namespace k8sdns::netfilter

#endif  // K8SDNS_NETFILTER_CHAIN_GRAPH_H_
