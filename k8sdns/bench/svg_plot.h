// A plot on two logarithmic axes as an SVG element, to be put into a page.
// Private to the room.
#ifndef K8SDNS_BENCH_SVG_PLOT_H_
#define K8SDNS_BENCH_SVG_PLOT_H_

#include <string>
#include <utility>
#include <vector>

namespace k8sdns::bench {

struct Series {
  std::string label;
  int color = 0;        // series of one colour belong together
  bool dashed = false;  // tells them apart
  std::vector<std::pair<double, double>> points;  // by x; > 0, others left out
};

struct Plot {
  std::string title;
  std::string x_label;
  std::string y_label;
  std::vector<Series> series;
  // How a value reads at a tick and in a tool tip.
  std::string (*format_y)(double value) = nullptr;
};

// Well-formed XML. "" if no series has a point.
std::string DrawPlot(const Plot& plot);

// `text` with the five characters replaced that XML gives a meaning.
std::string EscapeXml(const std::string& text);

}  // namespace k8sdns::bench

#endif  // K8SDNS_BENCH_SVG_PLOT_H_
