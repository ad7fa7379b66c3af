// Boxes, lanes and arrows, and their pictures: Graphviz DOT, Mermaid, SVG and
// a self-contained HTML page. Knows nothing of networks.
//
//   Diagram d{.title = "web", .lanes = {"node a"}};
//   const size_t a = d.Add({.lane = 0, .title = "nat PREROUTING"});
//   const size_t b = d.Add({.lane = 0, .title = "nat KUBE-SERVICES"});
//   d.Connect(a, b, "-j");
//   out << ToHtml("the walk", {{d}});
//
// Any text may hold any bytes: what is special in a format is escaped, and
// what is no UTF-8 or a control character is replaced. Pure functions;
// thread-safe. Linear in boxes and arrows, but for the layout of diagrams
// without lanes, which visits each arrow once a rank.
#ifndef K8SDNS_DIAGRAM_DIAGRAM_H_
#define K8SDNS_DIAGRAM_DIAGRAM_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace k8sdns::diagram {

enum class Style : uint8_t {
  kPlain,
  kStart,   // where it begins
  kChange,  // something is rewritten
  kGood,    // it ends well
  kBad,     // it ends badly
  kQuiet,   // of little weight
};

struct Box {
  size_t lane = 0;  // index in Diagram::lanes; ignored if there are none
  std::string title;
  std::vector<std::string> lines = {};
  Style style = Style::kPlain;
};

struct Arrow {
  size_t from = 0;  // index in Diagram::boxes
  size_t to = 0;
  std::string label = "";
  bool dashed = false;
};

struct Diagram {
  std::string title;
  // Columns from left to right. Empty: boxes stand in the column of their
  // distance from where the arrows begin.
  std::vector<std::string> lanes;
  std::vector<Box> boxes;  // in reading order
  std::vector<Arrow> arrows;

  // Index of the new box.
  size_t Add(Box box) {
    boxes.push_back(std::move(box));
    return boxes.size() - 1;
  }
  void Connect(size_t from, size_t to, std::string label = "",
               bool dashed = false) {
    arrows.push_back({from, to, std::move(label), dashed});
  }
};

// For dot(1). Lanes are clusters.
std::string ToDot(const Diagram& diagram);
// A Mermaid flowchart. Lanes are subgraphs.
std::string ToMermaid(const Diagram& diagram);
// A drawing of its own size, in pixels.
std::string ToSvg(const Diagram& diagram);

// A page with the drawings one below the other, each followed by the text of
// the same index, if there is one, folded away. Nothing is loaded from outside.
std::string ToHtml(absl::string_view title, std::span<const Diagram> diagrams,
                   std::span<const std::string> texts = {});

}  // namespace k8sdns::diagram

#endif  // K8SDNS_DIAGRAM_DIAGRAM_H_
