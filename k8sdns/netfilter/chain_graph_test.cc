#include "k8sdns/netfilter/chain_graph.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"
#include "k8sdns/netfilter/iptables_save.h"

namespace k8sdns::netfilter {
namespace {

ChainGraph GraphOf(absl::string_view rules) {
  ParseOptions options;
  options.kernel_checks = false;  // loops are read
  const auto parsed = ParseIptablesSave(
      absl::StrCat("*filter\n:A - [0:0]\n:B - [0:0]\n:C - [0:0]\n", rules,
                   "COMMIT\n"),
      IpFamily::kIpv4, options);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return ChainGraph(*parsed->table(TableId::kFilter));
}

// "loops: A B A; unreachable: C; depth 2"
std::string Summary(const ChainGraph& graph) {
  std::string out = "loops:";
  for (const auto& loop : graph.Loops()) {
    absl::StrAppend(&out, " ", absl::StrJoin(loop, " "), ",");
  }
  absl::StrAppend(&out,
                  " unreachable: ", absl::StrJoin(graph.Unreachable(), " "),
                  "; depth ");
  const auto depth = graph.MaxDepth();
  return depth ? absl::StrCat(out, *depth) : out + "none";
}

TEST(ChainGraph, DepthAndWhatIsNotReached) {
  EXPECT_EQ(Summary(GraphOf("")), "loops: unreachable: A B C; depth 0");
  EXPECT_EQ(Summary(GraphOf("-A INPUT -j A\n-A A -j B\n-A C -j A\n")),
            "loops: unreachable: C; depth 2");
}

TEST(ChainGraph, Loops) {
  EXPECT_EQ(Summary(GraphOf("-A A -j A\n")),
            "loops: A A, unreachable: A B C; depth none");
  EXPECT_EQ(Summary(GraphOf("-A INPUT -j A\n-A A -j B\n-A B -g C\n"
                            "-A C -j A\n")),
            "loops: A B C A, unreachable: ; depth none");
}

TEST(ChainGraph, TreeForPeople) {
  EXPECT_EQ(GraphOf("-A INPUT -j A\n-A INPUT -p tcp -j A\n-A A -g B\n"
                    "-A B -j ACCEPT\n-A OUTPUT -j A\n-A C -j C\n")
                .ToText(),
            "table filter: 6 chains\n"
            "INPUT  2 rules\n"
            "  2 x A  1 rule\n"
            "    goto B  1 rule\n"
            "FORWARD  0 rules\n"
            "OUTPUT  1 rule\n"
            "  A  1 rule, its calls stand above\n"
            "not reached from a built-in chain: C\n"
            "loop: C -> C\n");
  EXPECT_EQ(GraphOf("-A INPUT -j A\n").ToText(),
            "table filter: 6 chains, calls go 1 deep\n"
            "INPUT  1 rule\n"
            "  A  0 rules\n"
            "FORWARD  0 rules\n"
            "OUTPUT  0 rules\n"
            "not reached from a built-in chain: B C\n");
}

TEST(ChainGraph, ALoopThatIsReachedEnds) {
  EXPECT_EQ(
      GraphOf("-A INPUT -j A\n-A A -j B\n-A B -j A\n-A OUTPUT -j C\n").ToText(),
      "table filter: 6 chains\n"
      "INPUT  1 rule\n"
      "  A  1 rule\n"
      "    B  1 rule\n"
      "      A  1 rule, its calls stand above\n"
      "FORWARD  0 rules\n"
      "OUTPUT  1 rule\n"
      "  C  0 rules\n"
      "loop: A -> B -> A\n");
}

TEST(ChainGraph, Pictures) {
  const ChainGraph graph =
      GraphOf("-A INPUT -j A\n-A INPUT -j A\n-A A -g B\n-A C -j C\n");
  EXPECT_EQ(graph.ToDot(),
            "digraph chains {\n"
            "  rankdir=LR;\n"
            "  \"INPUT\" [shape=box];\n"
            "  \"FORWARD\" [shape=box];\n"
            "  \"OUTPUT\" [shape=box];\n"
            "  \"A\";\n"
            "  \"B\";\n"
            "  \"C\" [style=dashed];\n"
            "  \"INPUT\" -> \"A\" [label=2];\n"
            "  \"A\" -> \"B\" [style=dotted];\n"
            "  \"C\" -> \"C\" [color=red];\n"
            "}\n");
  EXPECT_EQ(graph.ToMermaid(),
            "flowchart LR\n"
            "  c0[\"INPUT\"]\n  c1[\"FORWARD\"]\n  c2[\"OUTPUT\"]\n"
            "  c3(\"A\")\n  c4(\"B\")\n  c5(\"C\")\n"
            "  c0 -->|2| c3\n  c3 -.-> c4\n  c5 --> c5\n");
}

}  // namespace
}  // namespace k8sdns::netfilter
