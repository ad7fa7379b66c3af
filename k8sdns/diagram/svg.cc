// Layout and drawing. Boxes stand in columns; each begins below what stands
// above it in its column, and not above the boxes whose arrows lead to it.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "k8sdns/diagram/diagram.h"
#include "k8sdns/diagram/escape.h"
#include "k8sdns/diagram/palette.h"

namespace k8sdns::diagram {
namespace {

// Pixels. The font is monospace at 11px: 6.7 a character, rounded up.
constexpr int kLine = 15;
constexpr int kPadding = 8;
constexpr int kGap = 18;        // between boxes of a column
constexpr int kColumnGap = 90;  // between columns; holds arrows and labels
constexpr int kMargin = 16;
constexpr int kHeading = 24;     // of the page and of a lane
constexpr size_t kColumns = 64;  // characters of a line

int TextWidth(size_t characters) {
  return static_cast<int>(characters * 67 + 9) / 10;
}

struct Placed {
  std::vector<std::string> lines;
  size_t column = 0;
  int x = 0;
  int y = 0;
  int width = 0;
  int height = 0;

  int right() const { return x + width; }
  int bottom() const { return y + height; }
  int middle() const { return x + width / 2; }
};

struct Layout {
  std::vector<Placed> boxes;
  std::vector<int> column_x;
  std::vector<int> column_width;
  int width = 0;
  int height = 0;
};

// Without lanes: the number of arrows of the longest way to the box. Arrows
// that close a cycle would make it endless; no way has more than all boxes.
std::vector<size_t> Ranks(const Diagram& d) {
  std::vector<size_t> rank(d.boxes.size(), 0);
  for (size_t round = 0; round < d.boxes.size(); ++round) {
    bool moved = false;
    for (const Arrow& a : d.arrows) {
      if (a.from >= a.to || rank[a.to] > rank[a.from]) continue;
      rank[a.to] = rank[a.from] + 1;
      moved = true;
    }
    if (!moved) break;
  }
  return rank;
}

Layout Arrange(const Diagram& d) {
  Layout layout;
  const std::vector<size_t> ranks =
      d.lanes.empty() ? Ranks(d) : std::vector<size_t>();
  size_t columns = d.lanes.size();
  for (size_t i = 0; i < d.boxes.size(); ++i) {
    const Box& box = d.boxes[i];
    Placed p;
    p.column =
        d.lanes.empty() ? ranks[i] : std::min(box.lane, d.lanes.size() - 1);
    columns = std::max(columns, p.column + 1);
    size_t widest = Width(Clean(box.title)) + 1;  // it is bold
    for (const std::string& line : box.lines) {
      for (std::string& piece : Wrap(line, kColumns)) {
        widest = std::max(widest, Width(piece));
        p.lines.push_back(std::move(piece));
      }
    }
    p.width = TextWidth(widest) + 2 * kPadding;
    p.height = kLine * static_cast<int>(p.lines.size() + 1) + 2 * kPadding;
    layout.boxes.push_back(std::move(p));
  }
  layout.column_width.assign(columns, 0);
  for (size_t lane = 0; lane < d.lanes.size(); ++lane) {
    layout.column_width[lane] = TextWidth(Width(Clean(d.lanes[lane])) + 2);
  }
  for (const Placed& p : layout.boxes) {
    layout.column_width[p.column] =
        std::max(layout.column_width[p.column], p.width);
  }
  int x = kMargin;
  for (int width : layout.column_width) {
    layout.column_x.push_back(x);
    x += width + kColumnGap;
  }
  layout.width = x - kColumnGap + kMargin;

  std::vector<std::vector<size_t>> into(d.boxes.size());
  for (const Arrow& a : d.arrows) {
    if (a.from < a.to) into[a.to].push_back(a.from);
  }
  const int top = kMargin + kHeading + (d.lanes.empty() ? 0 : kHeading);
  std::vector<int> bottom(columns, top);
  layout.height = top;
  for (size_t i = 0; i < layout.boxes.size(); ++i) {
    Placed& p = layout.boxes[i];
    p.y = bottom[p.column];
    for (size_t from : into[i]) {
      const Placed& f = layout.boxes[from];
      if (!d.lanes.empty()) {
        p.y = std::max(p.y, f.column == p.column ? f.bottom() + kGap : f.y);
      }
    }
    p.x = layout.column_x[p.column] +
          (layout.column_width[p.column] - p.width) / 2;
    bottom[p.column] = p.bottom() + kGap;
    layout.height = std::max(layout.height, p.bottom());
  }
  layout.height += kMargin;
  return layout;
}

void AppendText(int x, int y, absl::string_view text, absl::string_view style,
                std::string& out) {
  absl::StrAppend(&out, "<text x=\"", x, "\" y=\"", y, "\"",
                  style.empty() ? "" : " ", style, ">", EscapeXml(text),
                  "</text>\n");
}

void AppendBox(const Box& box, const Placed& p, std::string& out) {
  absl::StrAppend(&out, "<rect x=\"", p.x, "\" y=\"", p.y, "\" width=\"",
                  p.width, "\" height=\"", p.height, "\" rx=\"4\" fill=\"",
                  FillColour(box.style), "\" stroke=\"#374151\"/>\n");
  int y = p.y + kPadding + kLine - 4;
  AppendText(p.x + kPadding, y, box.title, "font-weight=\"bold\"", out);
  for (const std::string& line : p.lines) {
    y += kLine;
    AppendText(p.x + kPadding, y, line, "", out);
  }
}

void AppendArrow(const Arrow& arrow, const Layout& layout, std::string& out) {
  const Placed& from = layout.boxes[arrow.from];
  const Placed& to = layout.boxes[arrow.to];
  int x1, y1, x2, y2;
  std::string path;
  if (from.column == to.column && from.bottom() <= to.y) {
    x1 = from.middle(), y1 = from.bottom(), x2 = to.middle(), y2 = to.y;
    path = absl::StrCat("M", x1, " ", y1, " L", x2, " ", y2);
  } else if (from.column == to.column) {  // upwards, or to itself
    x1 = from.right(), y1 = from.y + from.height / 2;
    x2 = to.right(), y2 = to.y + to.height / 2 + (arrow.from == arrow.to) * 8;
    path = absl::StrCat("M", x1, " ", y1, " C", x1 + 40, " ", y1, " ", x2 + 40,
                        " ", y2, " ", x2, " ", y2);
  } else {
    const bool right = from.column < to.column;
    x1 = right ? from.right() : from.x, y1 = from.y + from.height / 2;
    x2 = right ? to.x : to.right(), y2 = to.y + kLine;
    const int bend = right ? 40 : -40;
    path = absl::StrCat("M", x1, " ", y1, " C", x1 + bend, " ", y1, " ",
                        x2 - bend, " ", y2, " ", x2, " ", y2);
  }
  absl::StrAppend(&out, "<path d=\"", path,
                  "\" fill=\"none\" stroke=\"#374151\" "
                  "marker-end=\"url(#head)\"",
                  arrow.dashed ? " stroke-dasharray=\"5 3\"" : "", "/>\n");
  if (!arrow.label.empty()) {
    AppendText((x1 + x2) / 2, (y1 + y2) / 2 - 4, arrow.label,
               "text-anchor=\"middle\" fill=\"#1d4ed8\"", out);
  }
}

}  // namespace

std::string ToSvg(const Diagram& diagram) {
  const Layout layout = Arrange(diagram);
  const int width =
      std::max(layout.width,
               TextWidth(Width(Clean(diagram.title)) * 5 / 4) + 2 * kMargin);
  std::string out = absl::StrCat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"", width,
      "\" height=\"", layout.height, "\" viewBox=\"0 0 ", width, " ",
      layout.height,
      "\" font-family=\"monospace\" font-size=\"11\" xml:space=\"preserve\">\n"
      "<defs><marker id=\"head\" markerWidth=\"8\" markerHeight=\"8\" "
      "refX=\"7\" refY=\"3\" orient=\"auto\"><path d=\"M0 0 L7 3 L0 6 z\" "
      "fill=\"#374151\"/></marker></defs>\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n");
  AppendText(kMargin, kMargin + 10, diagram.title,
             "font-size=\"14\" font-weight=\"bold\"", out);
  for (size_t lane = 0; lane < diagram.lanes.size(); ++lane) {
    const int x = layout.column_x[lane] - kPadding;
    absl::StrAppend(&out, "<rect x=\"", x, "\" y=\"", kMargin + kHeading - 8,
                    "\" width=\"", layout.column_width[lane] + 2 * kPadding,
                    "\" height=\"", layout.height - kMargin - kHeading,
                    "\" fill=\"#f9fafb\" stroke=\"#d1d5db\"/>\n");
    AppendText(x + kPadding, kMargin + kHeading + 8, diagram.lanes[lane],
               "font-weight=\"bold\" fill=\"#374151\"", out);
  }
  for (const Arrow& arrow : diagram.arrows) AppendArrow(arrow, layout, out);
  for (size_t i = 0; i < diagram.boxes.size(); ++i) {
    AppendBox(diagram.boxes[i], layout.boxes[i], out);
  }
  out += "</svg>\n";
  return out;
}

std::string ToHtml(absl::string_view title, std::span<const Diagram> diagrams,
                   std::span<const std::string> texts) {
  const std::string heading = EscapeXml(title);
  std::string out = absl::StrCat(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<title>",
      heading,
      "</title>\n<style>body{font-family:sans-serif;margin:1.5em}"
      "svg{max-width:none;border:1px solid #d1d5db}"
      "figure{overflow-x:auto;margin:1em 0}</style>\n</head>\n<body>\n<h1>",
      heading, "</h1>\n");
  for (size_t i = 0; i < diagrams.size(); ++i) {
    absl::StrAppend(&out, "<figure>\n", ToSvg(diagrams[i]), "</figure>\n");
    if (i >= texts.size() || texts[i].empty()) continue;
    // Lines stay lines: only what is inside them is cleaned.
    out += "<details><summary>as text</summary><pre>";
    absl::string_view rest = texts[i];
    while (!rest.empty()) {
      const size_t end = std::min(rest.find('\n'), rest.size());
      absl::StrAppend(&out, EscapeXml(rest.substr(0, end)), "\n");
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    out += "</pre></details>\n";
  }
  out += "</body>\n</html>\n";
  return out;
}

}  // namespace k8sdns::diagram
