#include "k8sdns/netfilter/chain_graph.h"

#include <algorithm>
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/strong_components.hpp>
#include <boost/graph/topological_sort.hpp>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace k8sdns::netfilter {
namespace {

struct Node {
  std::string name;
  size_t rules = 0;
  bool built_in = false;
  bool reached = false;
  size_t component = 0;  // chains that reach each other share it
};
struct Edge {
  size_t rules = 0;
  bool is_goto = false;
  bool in_loop = false;
};
using Calls = boost::adjacency_list<boost::vecS, boost::vecS, boost::directedS,
                                    Node, Edge>;
using Vertex = Calls::vertex_descriptor;

std::string Quoted(const std::string& text) {
  return absl::StrCat(
      "\"", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"\"", "\\\""}}), "\"");
}

std::string Count(size_t n, const char* one, const char* many) {
  return absl::StrCat(n, " ", n == 1 ? one : many);
}

// With a stack of its own: calls may go as deep as there are chains.
void AppendTree(const Calls& calls, Vertex root, std::vector<bool>& told,
                std::string& out) {
  using Edges = boost::graph_traits<Calls>::out_edge_iterator;
  std::vector<std::pair<Edges, Edges>> open;
  const auto enter = [&](Vertex v) {
    absl::StrAppend(&out, calls[v].name, "  ",
                    Count(calls[v].rules, "rule", "rules"));
    if (told[v] && boost::out_degree(v, calls) > 0) {
      out += ", its calls stand above\n";
      return;
    }
    told[v] = true;
    out += "\n";
    open.push_back(boost::out_edges(v, calls));
  };
  enter(root);
  while (!open.empty()) {
    auto& [next, end] = open.back();
    if (next == end) {
      open.pop_back();
      continue;
    }
    const Edge& call = calls[*next];
    const Vertex to = boost::target(*next, calls);
    ++next;
    out.append(2 * open.size(), ' ');
    if (call.is_goto) out += "goto ";
    if (call.rules > 1) absl::StrAppend(&out, call.rules, " x ");
    enter(to);
  }
}

}  // namespace

struct ChainGraph::Graph {
  std::string table;
  Calls calls;
  std::vector<Vertex> roots;

  // The shortest way from `from` back to it, by chains of its component.
  std::vector<Vertex> WayRound(Vertex from) const {
    const Vertex none = boost::num_vertices(calls);
    std::vector<Vertex> before(none, none);
    std::vector<Vertex> open = {from};
    for (size_t i = 0; i < open.size(); ++i) {
      for (auto [e, end] = boost::out_edges(open[i], calls); e != end; ++e) {
        const Vertex to = boost::target(*e, calls);
        if (calls[to].component != calls[from].component) continue;
        if (before[to] != none) continue;
        before[to] = open[i];
        if (to != from) {
          open.push_back(to);
          continue;
        }
        std::vector<Vertex> way = {from};
        do {
          way.push_back(before[way.back()]);
        } while (way.back() != from);
        std::reverse(way.begin(), way.end());
        return way;
      }
    }
    return {};
  }
};

ChainGraph::ChainGraph(const Table& table) {
  auto graph = std::make_unique<Graph>();
  graph->table = std::string(TableName(table.id()));
  Calls& calls = graph->calls;
  absl::flat_hash_map<StringId, Vertex> by_name;
  const std::vector<ChainId> chains = table.chains();
  for (ChainId id : chains) {
    const Vertex v = boost::add_vertex(calls);
    calls[v].name = std::string(table.name(id));
    calls[v].built_in = table.policy(id) != Table::Policy::kNone;
    if (calls[v].built_in) graph->roots.push_back(v);
    by_name[table.name_id(id)] = v;
  }
  for (size_t from = 0; from < chains.size(); ++from) {
    absl::flat_hash_map<std::pair<Vertex, bool>, Calls::edge_descriptor> known;
    for (RuleView rule : table.rules(chains[from])) {
      ++calls[from].rules;
      const auto target = rule.target();
      if (!target || (target->kind() != OpKind::kJump &&
                      target->kind() != OpKind::kGoto)) {
        continue;
      }
      // Both ops begin with the name.
      const auto to = by_name.find(StringId{target->As<JumpTarget>().chain});
      if (to == by_name.end()) continue;
      const bool is_goto = target->kind() == OpKind::kGoto;
      auto [it, added] = known.try_emplace({to->second, is_goto});
      if (added) {
        it->second = boost::add_edge(from, to->second, calls).first;
        calls[it->second].is_goto = is_goto;
      }
      ++calls[it->second].rules;
    }
  }
  boost::strong_components(calls, boost::get(&Node::component, calls));
  for (auto [e, end] = boost::edges(calls); e != end; ++e) {
    calls[*e].in_loop = calls[boost::source(*e, calls)].component ==
                        calls[boost::target(*e, calls)].component;
  }
  std::vector<Vertex> open = graph->roots;
  for (Vertex root : open) calls[root].reached = true;
  while (!open.empty()) {
    const Vertex v = open.back();
    open.pop_back();
    for (auto [e, end] = boost::out_edges(v, calls); e != end; ++e) {
      Node& to = calls[boost::target(*e, calls)];
      if (to.reached) continue;
      to.reached = true;
      open.push_back(boost::target(*e, calls));
    }
  }
  graph_ = std::move(graph);
}

ChainGraph::ChainGraph(ChainGraph&&) noexcept = default;
ChainGraph& ChainGraph::operator=(ChainGraph&&) noexcept = default;
ChainGraph::~ChainGraph() = default;

const std::string& ChainGraph::table() const { return graph_->table; }

std::vector<ChainGraph::Chain> ChainGraph::Chains() const {
  const Calls& calls = graph_->calls;
  std::vector<Chain> out;
  out.reserve(boost::num_vertices(calls));
  for (Vertex v = 0; v < boost::num_vertices(calls); ++v) {
    const Node& from = calls[v];
    Chain& to = out.emplace_back();
    to.name = from.name;
    to.built_in = from.built_in;
    to.reachable = from.reached;
    to.rules = from.rules;
    for (auto [e, end] = boost::out_edges(v, calls); e != end; ++e) {
      to.calls.push_back({calls[boost::target(*e, calls)].name, calls[*e].rules,
                          calls[*e].is_goto});
    }
  }
  return out;
}

std::vector<std::vector<std::string>> ChainGraph::Loops() const {
  const Calls& calls = graph_->calls;
  std::vector<std::vector<std::string>> out;
  std::vector<bool> told(boost::num_vertices(calls), false);  // by component
  for (Vertex v = 0; v < boost::num_vertices(calls); ++v) {
    if (told[calls[v].component]) continue;
    const std::vector<Vertex> way = graph_->WayRound(v);
    if (way.empty()) continue;
    told[calls[v].component] = true;
    out.emplace_back();
    for (Vertex chain : way) out.back().push_back(calls[chain].name);
  }
  return out;
}

std::vector<std::string> ChainGraph::Unreachable() const {
  const Calls& calls = graph_->calls;
  std::vector<std::string> out;
  for (Vertex v = 0; v < boost::num_vertices(calls); ++v) {
    if (!calls[v].reached) out.push_back(calls[v].name);
  }
  return out;
}

std::optional<int> ChainGraph::MaxDepth() const {
  const Calls& calls = graph_->calls;
  for (auto [e, end] = boost::edges(calls); e != end; ++e) {
    if (calls[*e].in_loop) return std::nullopt;
  }
  std::vector<Vertex> order;  // callees before callers
  boost::topological_sort(calls, std::back_inserter(order));
  std::vector<int> depth(order.size(), 0);
  for (Vertex v : order) {
    for (auto [e, end] = boost::out_edges(v, calls); e != end; ++e) {
      depth[v] = std::max(depth[v], depth[boost::target(*e, calls)] + 1);
    }
  }
  int most = 0;
  for (Vertex root : graph_->roots) most = std::max(most, depth[root]);
  return most;
}

std::string ChainGraph::ToText() const {
  const Calls& calls = graph_->calls;
  std::string out =
      absl::StrCat("table ", graph_->table, ": ",
                   Count(boost::num_vertices(calls), "chain", "chains"));
  if (const std::optional<int> depth = MaxDepth()) {
    absl::StrAppend(&out, ", calls go ", *depth, " deep");
  }
  out += "\n";
  std::vector<bool> told(boost::num_vertices(calls), false);
  for (Vertex root : graph_->roots) AppendTree(calls, root, told, out);
  const std::vector<std::string> lost = Unreachable();
  if (!lost.empty()) {
    absl::StrAppend(&out, "not reached from a built-in chain: ",
                    absl::StrJoin(lost, " "), "\n");
  }
  for (const std::vector<std::string>& loop : Loops()) {
    absl::StrAppend(&out, "loop: ", absl::StrJoin(loop, " -> "), "\n");
  }
  return out;
}

std::string ChainGraph::ToDot() const {
  const Calls& calls = graph_->calls;
  std::string out = "digraph chains {\n  rankdir=LR;\n";
  for (Vertex v = 0; v < boost::num_vertices(calls); ++v) {
    const Node& chain = calls[v];
    absl::StrAppend(&out, "  ", Quoted(chain.name),
                    chain.built_in   ? " [shape=box]"
                    : !chain.reached ? " [style=dashed]"
                                     : "",
                    ";\n");
  }
  for (auto [e, end] = boost::edges(calls); e != end; ++e) {
    const Edge& call = calls[*e];
    std::string style;
    if (call.rules > 1) absl::StrAppend(&style, " label=", call.rules);
    if (call.is_goto) absl::StrAppend(&style, " style=dotted");
    if (call.in_loop) absl::StrAppend(&style, " color=red");
    absl::StrAppend(&out, "  ", Quoted(calls[boost::source(*e, calls)].name),
                    " -> ", Quoted(calls[boost::target(*e, calls)].name));
    if (!style.empty()) absl::StrAppend(&out, " [", style.substr(1), "]");
    absl::StrAppend(&out, ";\n");
  }
  return absl::StrCat(out, "}\n");
}

std::string ChainGraph::ToMermaid() const {
  const Calls& calls = graph_->calls;
  std::string out = "flowchart LR\n";
  for (Vertex v = 0; v < boost::num_vertices(calls); ++v) {
    const std::string name =
        absl::StrReplaceAll(calls[v].name, {{"\"", "#quot;"}});
    absl::StrAppend(&out, "  c", v, calls[v].built_in ? "[\"" : "(\"", name,
                    calls[v].built_in ? "\"]" : "\")", "\n");
  }
  for (auto [e, end] = boost::edges(calls); e != end; ++e) {
    absl::StrAppend(&out, "  c", boost::source(*e, calls),
                    calls[*e].is_goto ? " -.->" : " -->");
    if (calls[*e].rules > 1) absl::StrAppend(&out, "|", calls[*e].rules, "|");
    absl::StrAppend(&out, " c", boost::target(*e, calls), "\n");
  }
  return out;
}

}  // namespace k8sdns::netfilter
