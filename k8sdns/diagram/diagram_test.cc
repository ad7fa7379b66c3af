#include "k8sdns/diagram/diagram.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "k8sdns/diagram/escape.h"

namespace k8sdns::diagram {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

Diagram TwoLanes() {
  Diagram d;
  d.title = "a \"walk\"";
  d.lanes = {"pod a", "node <b>"};
  const size_t a =
      d.Add({0, "sends", {"TCP 10.0.0.1:1 > 10.0.0.2:80"}, Style::kStart});
  const size_t b = d.Add({1, "nat KUBE-SERVICES", {"-j \"X\" & Y"}});
  const size_t c = d.Add({1, "arrives", {}, Style::kGood});
  d.Connect(a, b, "veth");
  d.Connect(b, c, "", true);
  return d;
}

TEST(DiagramTest, Dot) {
  EXPECT_EQ(ToDot(TwoLanes()),
            R"(digraph {
  rankdir=TB;
  node [shape=box, style=filled, fontname="monospace", fontsize=10];
  label="a \"walk\"";
  subgraph cluster_0 {
    label="pod a";
    b0 [label="sends\nTCP 10.0.0.1:1 > 10.0.0.2:80\l", fillcolor="#dbeafe"];
  }
  subgraph cluster_1 {
    label="node <b>";
    b1 [label="nat KUBE-SERVICES\n-j \"X\" & Y\l", fillcolor="#ffffff"];
    b2 [label="arrives\n", fillcolor="#dcfce7"];
  }
  b0 -> b1 [label="veth"];
  b1 -> b2 [label="", style=dashed];
}
)");
}

TEST(DiagramTest, Mermaid) {
  EXPECT_THAT(ToMermaid(TwoLanes()), HasSubstr(R"(flowchart TB
  subgraph lane0["pod a"]
    b0["sends<br/>TCP 10.0.0.1:1 #62; 10.0.0.2:80"]:::start
  end
  subgraph lane1["node #60;b#62;"]
    b1["nat KUBE-SERVICES<br/>-j #34;X#34; #38; Y"]:::plain
    b2["arrives"]:::good
  end
  b0 -->|"veth"| b1
  b1 -.-> b2
)"));
}

// Whether every tag that opens closes, in order.
bool Balanced(const std::string& xml) {
  std::vector<std::string> open;
  for (size_t at = xml.find('<'); at != std::string::npos;
       at = xml.find('<', at + 1)) {
    const size_t end = xml.find('>', at);
    if (end == std::string::npos) return false;
    if (xml[at + 1] == '!' || xml[end - 1] == '/') continue;
    const size_t name = at + 1 + (xml[at + 1] == '/');
    const std::string tag =
        xml.substr(name, xml.find_first_of(" >", name) - name);
    if (xml[at + 1] != '/') {
      open.push_back(tag);
    } else if (open.empty() || open.back() != tag) {
      return false;
    } else {
      open.pop_back();
    }
  }
  return open.empty();
}

TEST(DiagramTest, SvgIsWellFormed) {
  const std::string svg = ToSvg(TwoLanes());
  EXPECT_TRUE(Balanced(svg)) << svg;
  EXPECT_THAT(svg, HasSubstr(">-j &quot;X&quot; &amp; Y</text>"));
  EXPECT_THAT(svg, HasSubstr("node &lt;b&gt;"));
  EXPECT_THAT(svg, HasSubstr("stroke-dasharray"));
}

TEST(DiagramTest, WithoutLanesColumnsFollowTheArrows) {
  Diagram d;
  const size_t a = d.Add({.title = "A"});
  const size_t b = d.Add({.title = "B"});
  const size_t c = d.Add({.title = "C"});
  d.Connect(a, b);
  d.Connect(b, c);
  d.Connect(a, c);
  d.Connect(c, a);  // a cycle does no harm
  d.Connect(b, b);
  const std::string svg = ToSvg(d);
  EXPECT_TRUE(Balanced(svg)) << svg;
  const auto x_of = [&](const std::string& title) {
    const size_t text = svg.rfind("<text x=\"", svg.find(">" + title + "<"));
    return std::stoi(svg.substr(text + 9));
  };
  EXPECT_LT(x_of("A"), x_of("B"));
  EXPECT_LT(x_of("B"), x_of("C"));
}

TEST(DiagramTest, PagesAreSelfContained) {
  const std::vector<Diagram> diagrams = {TwoLanes(), TwoLanes()};
  const std::vector<std::string> texts = {"line <1>\nline 2"};
  const std::string page = ToHtml("a & b", diagrams, texts);
  EXPECT_TRUE(Balanced(page)) << page;
  EXPECT_THAT(page, HasSubstr("<h1>a &amp; b</h1>"));
  EXPECT_THAT(page, HasSubstr("<pre>line &lt;1&gt;\nline 2\n</pre>"));
  EXPECT_THAT(page, Not(HasSubstr("src=")));
  EXPECT_THAT(page, Not(HasSubstr("href=")));
}

TEST(DiagramTest, EmptyDiagramsAndStrayLanes) {
  EXPECT_TRUE(Balanced(ToSvg(Diagram())));
  Diagram d;
  d.lanes = {"one"};
  d.Add({.lane = 7, .title = "stray"});
  EXPECT_TRUE(Balanced(ToSvg(d)));
  EXPECT_THAT(ToDot(d), HasSubstr("stray"));
  EXPECT_THAT(ToMermaid(d), HasSubstr("stray"));
}

TEST(DiagramTest, AnyBytesAreText) {
  EXPECT_EQ(Clean("a\x01"
                  "b\xff\tc\xc3\xa9"),
            "a?b? c\xc3\xa9");
  EXPECT_EQ(Clean("\xed\xa0\x80"), "???");  // a surrogate
  EXPECT_EQ(EscapeDot("\\\""), "\\\\\\\"");
  EXPECT_EQ(Width("\xc3\xa9"), 1u);
}

TEST(DiagramTest, LongLinesAreWrapped) {
  EXPECT_THAT(Wrap("one two three four", 9),
              ElementsAre("one two", "  three", "  four"));
  EXPECT_THAT(Wrap("abcdefghijkl", 5),
              ElementsAre("abcde", "  fgh", "  ijk", "  l"));
  EXPECT_THAT(Wrap("", 5), ElementsAre(""));
  EXPECT_THAT(Wrap("\xc3\xa9\xc3\xa9\xc3\xa9", 3),
              ElementsAre("\xc3\xa9\xc3\xa9\xc3\xa9"));
}

}  // namespace
}  // namespace k8sdns::diagram
