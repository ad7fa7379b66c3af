#include "k8sdns/bench/svg_plot.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"

namespace k8sdns::bench {
namespace {

constexpr double kWidth = 460;
constexpr double kHeight = 330;
constexpr double kLeft = 72;
constexpr double kRight = 14;
constexpr double kTop = 34;
constexpr double kBottom = 44;
constexpr absl::string_view kColors[] = {"#1f5fa8", "#c2410c", "#15803d",
                                         "#7e22ce"};

// A logarithmic axis from one power of ten to another.
class Axis {
 public:
  Axis(double least, double most, double from, double to)
      : low_(std::floor(std::log10(least) + 1e-9)),
        high_(std::ceil(std::log10(most) - 1e-9)),
        from_(from),
        to_(to) {
    if (high_ <= low_) high_ = low_ + 1;
  }
  int low() const { return static_cast<int>(low_); }
  int high() const { return static_cast<int>(high_); }
  double At(double value) const {
    return from_ + (to_ - from_) * (std::log10(value) - low_) / (high_ - low_);
  }

 private:
  double low_, high_, from_, to_;
};

std::string Line(double x1, double y1, double x2, double y2,
                 absl::string_view type) {
  return absl::StrFormat(
      "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n",
      type, x1, y1, x2, y2);
}

std::string Text(double x, double y, absl::string_view anchor,
                 const std::string& text, absl::string_view more = "") {
  return absl::StrFormat(
      "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\"%s>%s</text>\n", x, y,
      anchor, more, EscapeXml(text));
}

std::string Count(double value) {
  if (value >= 1e6) return absl::StrFormat("%gM", value / 1e6);
  if (value >= 1e3) return absl::StrFormat("%gk", value / 1e3);
  return absl::StrFormat("%g", value);
}

// Lines at 2 to 9 of each decade only while they do not crowd.
std::string Grid(const Axis& x, const Axis& y, const Plot& plot) {
  std::string out;
  for (int d = x.low(); d <= x.high(); ++d) {
    const double at = x.At(std::pow(10, d));
    out += Line(at, kTop, at, kHeight - kBottom, "major");
    out += Text(at, kHeight - kBottom + 15, "middle", Count(std::pow(10, d)));
    for (int k = 2; k < 10 && d < x.high() && x.high() - x.low() <= 6; ++k) {
      const double minor = x.At(k * std::pow(10, d));
      out += Line(minor, kTop, minor, kHeight - kBottom, "minor");
    }
  }
  const int step = y.high() - y.low() > 7 ? 2 : 1;
  for (int d = y.low(); d <= y.high(); ++d) {
    const double at = y.At(std::pow(10, d));
    out += Line(kLeft, at, kWidth - kRight, at, "major");
    if ((d - y.low()) % step == 0) {
      out += Text(kLeft - 6, at + 4, "end", plot.format_y(std::pow(10, d)));
    }
    for (int k = 2; k < 10 && d < y.high() && y.high() - y.low() <= 4; ++k) {
      const double minor = y.At(k * std::pow(10, d));
      out += Line(kLeft, minor, kWidth - kRight, minor, "minor");
    }
  }
  return out;
}

// Circles for the first colour, squares for the second, so that the modes can
// be told apart without colours.
std::string Marker(double x, double y, const Series& s,
                   const std::string& tip) {
  const absl::string_view color = kColors[s.color % std::size(kColors)];
  const std::string title = absl::StrCat("<title>", EscapeXml(tip), "</title>");
  if (s.color % 2 == 0) {
    return absl::StrFormat(
        "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" fill=\"%s\">%s</circle>\n",
        x, y, color, title);
  }
  return absl::StrFormat(
      "<rect x=\"%.1f\" y=\"%.1f\" width=\"6\" height=\"6\" "
      "fill=\"%s\">%s</rect>\n",
      x - 3, y - 3, color, title);
}

std::string Stroke(const Series& s) {
  return absl::StrFormat("fill=\"none\" stroke-width=\"1.8\" stroke=\"%s\"%s",
                         kColors[s.color % std::size(kColors)],
                         s.dashed ? " stroke-dasharray=\"6 4\"" : "");
}

std::string DrawSeries(const Series& s, const Axis& x, const Axis& y,
                       const Plot& plot) {
  std::string points;
  std::string markers;
  for (const auto& [px, py] : s.points) {
    if (!(px > 0) || !(py > 0)) continue;
    absl::StrAppendFormat(&points, "%s%.1f,%.1f", points.empty() ? "" : " ",
                          x.At(px), y.At(py));
    markers +=
        Marker(x.At(px), y.At(py), s,
               absl::StrCat(s.label, ", ", Count(px), ": ", plot.format_y(py)));
  }
  if (points.empty()) return "";
  return absl::StrCat("<polyline points=\"", points, "\" ", Stroke(s), "/>\n",
                      markers);
}

std::string Legend(const Plot& plot) {
  std::string out;
  double y = kTop + 14;
  for (const Series& s : plot.series) {
    if (s.points.empty()) continue;
    absl::StrAppendFormat(&out,
                          "<polyline points=\"%.1f,%.1f %.1f,%.1f\" %s/>\n",
                          kLeft + 10, y - 4, kLeft + 34, y - 4, Stroke(s));
    out += Marker(kLeft + 22, y - 4, s, s.label);
    out += Text(kLeft + 40, y, "start", s.label, " class=\"legend\"");
    y += 16;
  }
  return out;
}

}  // namespace

std::string EscapeXml(const std::string& text) {
  return absl::StrReplaceAll(text, {{"&", "&amp;"},
                                    {"<", "&lt;"},
                                    {">", "&gt;"},
                                    {"\"", "&quot;"},
                                    {"'", "&#39;"}});
}

std::string DrawPlot(const Plot& plot) {
  const double none = std::numeric_limits<double>::infinity();
  double x_least = none, x_most = 0, y_least = none, y_most = 0;
  for (const Series& s : plot.series) {
    for (const auto& [x, y] : s.points) {
      if (!(x > 0) || !(y > 0)) continue;
      x_least = std::min(x_least, x);
      x_most = std::max(x_most, x);
      y_least = std::min(y_least, y);
      y_most = std::max(y_most, y);
    }
  }
  if (x_most == 0) return "";
  const Axis x(x_least, x_most, kLeft, kWidth - kRight);
  const Axis y(y_least, y_most, kHeight - kBottom, kTop);
  std::string out = absl::StrFormat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" "
      "role=\"img\" aria-label=\"%s\">\n",
      kWidth, kHeight, EscapeXml(plot.title));
  out += Text(kLeft, 20, "start", plot.title, " class=\"title\"");
  out += Grid(x, y, plot);
  out +=
      Text((kLeft + kWidth - kRight) / 2, kHeight - 8, "middle", plot.x_label);
  out += Text(14, (kTop + kHeight - kBottom) / 2, "middle", plot.y_label,
              absl::StrFormat(" transform=\"rotate(-90 14 %.1f)\"",
                              (kTop + kHeight - kBottom) / 2));
  for (const Series& s : plot.series) out += DrawSeries(s, x, y, plot);
  out += Legend(plot);
  return out + "</svg>\n";
}

}  // namespace k8sdns::bench
