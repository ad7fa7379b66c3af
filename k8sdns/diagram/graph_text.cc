// DOT and Mermaid.
#include "absl/strings/str_cat.h"
#include "k8sdns/diagram/diagram.h"
#include "k8sdns/diagram/escape.h"
#include "k8sdns/diagram/palette.h"

namespace k8sdns::diagram {
namespace {

constexpr size_t kColumns = 72;

const char* MermaidClass(Style style) {
  switch (style) {
    case Style::kStart:
      return "start";
    case Style::kChange:
      return "change";
    case Style::kGood:
      return "good";
    case Style::kBad:
      return "bad";
    case Style::kQuiet:
      return "quiet";
    case Style::kPlain:
      break;
  }
  return "plain";
}

// Calls f(lane, boxes of the lane) for each lane, or once without one.
template <typename F>
void ForEachLane(const Diagram& diagram, F f) {
  const size_t lanes = diagram.lanes.empty() ? 1 : diagram.lanes.size();
  std::vector<std::vector<size_t>> by_lane(lanes);
  for (size_t i = 0; i < diagram.boxes.size(); ++i) {
    const size_t lane = diagram.lanes.empty() ? 0 : diagram.boxes[i].lane;
    by_lane[lane < lanes ? lane : lanes - 1].push_back(i);
  }
  for (size_t lane = 0; lane < lanes; ++lane) f(lane, by_lane[lane]);
}

}  // namespace

std::string ToDot(const Diagram& diagram) {
  std::string out =
      "digraph {\n  rankdir=TB;\n  node [shape=box, style=filled, "
      "fontname=\"monospace\", fontsize=10];\n";
  absl::StrAppend(&out, "  label=\"", EscapeDot(diagram.title), "\";\n");
  ForEachLane(diagram, [&](size_t lane, const std::vector<size_t>& boxes) {
    const bool cluster = !diagram.lanes.empty();
    if (cluster) {
      absl::StrAppend(&out, "  subgraph cluster_", lane, " {\n    label=\"",
                      EscapeDot(diagram.lanes[lane]), "\";\n");
    }
    for (size_t i : boxes) {
      const Box& box = diagram.boxes[i];
      // \l ends a line that is set to the left.
      std::string label = EscapeDot(box.title) + "\\n";
      for (const std::string& line : box.lines) {
        for (const std::string& piece : Wrap(line, kColumns)) {
          absl::StrAppend(&label, EscapeDot(piece), "\\l");
        }
      }
      absl::StrAppend(&out, "    b", i, " [label=\"", label, "\", fillcolor=\"",
                      FillColour(box.style), "\"];\n");
    }
    if (cluster) out += "  }\n";
  });
  for (const Arrow& arrow : diagram.arrows) {
    absl::StrAppend(&out, "  b", arrow.from, " -> b", arrow.to, " [label=\"",
                    EscapeDot(arrow.label), "\"",
                    arrow.dashed ? ", style=dashed" : "", "];\n");
  }
  out += "}\n";
  return out;
}

std::string ToMermaid(const Diagram& diagram) {
  std::string out = "flowchart TB\n";
  ForEachLane(diagram, [&](size_t lane, const std::vector<size_t>& boxes) {
    const bool cluster = !diagram.lanes.empty();
    if (cluster) {
      absl::StrAppend(&out, "  subgraph lane", lane, "[\"",
                      EscapeMermaid(diagram.lanes[lane]), "\"]\n");
    }
    for (size_t i : boxes) {
      const Box& box = diagram.boxes[i];
      absl::StrAppend(&out, "    b", i, "[\"", EscapeMermaid(box.title));
      for (const std::string& line : box.lines) {
        absl::StrAppend(&out, "<br/>", EscapeMermaid(line));
      }
      absl::StrAppend(&out, "\"]:::", MermaidClass(box.style), "\n");
    }
    if (cluster) out += "  end\n";
  });
  for (const Arrow& arrow : diagram.arrows) {
    absl::StrAppend(&out, "  b", arrow.from, arrow.dashed ? " -.->" : " -->");
    if (!arrow.label.empty()) {
      absl::StrAppend(&out, "|\"", EscapeMermaid(arrow.label), "\"|");
    }
    absl::StrAppend(&out, " b", arrow.to, "\n");
  }
  for (Style style : {Style::kPlain, Style::kStart, Style::kChange,
                      Style::kGood, Style::kBad, Style::kQuiet}) {
    absl::StrAppend(&out, "  classDef ", MermaidClass(style),
                    " fill:", FillColour(style),
                    ",stroke:#374151,text-align:left\n");
  }
  return out;
}

}  // namespace k8sdns::diagram
