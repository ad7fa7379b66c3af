// The page: a few words, the plots, the tables.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "k8sdns/bench/sizing_report.h"
#include "k8sdns/bench/svg_plot.h"

namespace k8sdns::bench {
namespace {

constexpr char kStyle[] =
    "body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:"
    "1000px;padding:0 1em;color:#1b1f24;background:#fff}"
    "h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em}"
    ".plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(420px,"
    "1fr));gap:1em}"
    "svg text{font:11px system-ui,sans-serif;fill:#40464e}"
    "svg text.title{font-size:14px;font-weight:600;fill:#1b1f24}"
    "svg .major{stroke:#d0d5db}svg .minor{stroke:#eef0f2}"
    ".wide{overflow-x:auto}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums;"
    "white-space:nowrap;font-size:13px}"
    "th,td{padding:.25em .6em;text-align:right;border-bottom:1px solid "
    "#e3e6ea}th:first-child,td:first-child{text-align:left}";

std::string CountText(double v) {
  if (v >= 1e6) return absl::StrCat(v / 1e6, "M");
  if (v >= 1e3) return absl::StrCat(v / 1e3, "k");
  return absl::StrCat(v);
}
std::string BytesText(double v) { return FormatValue(Column::Kind::kBytes, v); }
std::string TimeText(double v) {
  return FormatValue(Column::Kind::kNanoseconds, v);
}
std::string MillisecondsText(double v) {
  return FormatValue(Column::Kind::kMilliseconds, v);
}

const Column* FindColumn(absl::string_view name) {
  for (const Column& c : Columns()) {
    if (c.name == name) return &c;
  }
  return nullptr;
}

// One curve of a plot: a column, for every mode.
struct Curve {
  absl::string_view column;
  absl::string_view label;  // behind the mode; may be empty
  bool dashed = false;
};

Plot MakePlot(const SizingReport& report, const std::string& title,
              const std::vector<Curve>& curves) {
  Plot plot;
  plot.title = title;
  plot.x_label = "Services";
  std::vector<std::string> modes;
  for (const SizingRow& row : report.rows) {
    if (std::find(modes.begin(), modes.end(), row.mode) == modes.end()) {
      modes.push_back(row.mode);
    }
  }
  for (size_t m = 0; m < modes.size(); ++m) {
    for (const Curve& curve : curves) {
      const Column& column = *FindColumn(curve.column);
      switch (column.kind) {
        case Column::Kind::kCount:
          plot.format_y = &CountText;
          break;
        case Column::Kind::kBytes:
          plot.format_y = &BytesText;
          break;
        case Column::Kind::kNanoseconds:
          plot.format_y = &TimeText;
          break;
        case Column::Kind::kMilliseconds:
          plot.format_y = &MillisecondsText;
          break;
      }
      Series s;
      s.label = curve.label.empty() ? modes[m]
                                    : absl::StrCat(modes[m], ", ", curve.label);
      s.color = static_cast<int>(m);
      s.dashed = curve.dashed;
      for (const SizingRow& row : report.rows) {
        if (row.mode != modes[m]) continue;
        if (const std::optional<double> y = column.value(row)) {
          s.points.emplace_back(static_cast<double>(row.services), *y);
        }
      }
      std::sort(s.points.begin(), s.points.end());
      plot.series.push_back(std::move(s));
    }
  }
  return plot;
}

std::string Plots(const SizingReport& report) {
  const std::pair<std::string, std::vector<Curve>> kPlots[] = {
      {"iptables rules on a node", {{"rules", ""}}},
      {"Rules, virtual and real servers, set members", {{"entries", ""}}},
      {"Bytes of the printed tables", {{"text_bytes", ""}}},
      {"Memory of compiler and tables", {{"table_bytes", ""}}},
      {"Compile and print, first time (solid), again (dashed)",
       {{"compile_ns", "first"}, {"recompile_ns", "again", true}}},
      {"One changed EndpointSlice", {{"change_ns", ""}}},
      {"Rules the kernel evaluates for a new flow",
       {{"rules_median", "median Service"},
        {"rules_first", "first Service", true}}},
      {"A new flow to the median Service, our own cost",
       {{"flow_median_ns", ""}}},
      {"Real kernel: loading the tables", {{"kernel_load_ms", ""}}},
      {"Real kernel: first packet of a flow",
       {{"kernel_median_ns", "median Service"},
        {"kernel_no_rules_ns", "no rules", true}}},
  };
  std::string out;
  for (const auto& [title, curves] : kPlots) {
    const std::string svg = DrawPlot(MakePlot(report, title, curves));
    if (!svg.empty()) absl::StrAppend(&out, "<div>\n", svg, "</div>\n");
  }
  return out;
}

std::string Tables(const SizingReport& report) {
  std::string out =
      "<div class=\"wide\"><table>\n<tr><th>mode</th><th>services</th>";
  std::vector<const Column*> shown;
  for (const Column& c : Columns()) {
    if (c.name == "services") continue;
    const bool any = std::any_of(
        report.rows.begin(), report.rows.end(),
        [&](const SizingRow& row) { return c.value(row).has_value(); });
    if (any) shown.push_back(&c);
  }
  for (const Column* c : shown) {
    absl::StrAppend(&out, "<th title=\"", EscapeXml(std::string(c->meaning)),
                    "\">", EscapeXml(std::string(c->name)), "</th>");
  }
  out += "</tr>\n";
  for (const SizingRow& row : report.rows) {
    absl::StrAppend(
        &out, "<tr><td>", EscapeXml(row.mode), "</td><td>",
        FormatValue(Column::Kind::kCount, static_cast<double>(row.services)),
        "</td>");
    for (const Column* c : shown) {
      absl::StrAppend(&out, "<td>",
                      EscapeXml(FormatValue(c->kind, c->value(row))), "</td>");
    }
    out += "</tr>\n";
  }
  out += "</table></div>\n<h2>What the columns mean</h2>\n<ul>\n";
  for (const Column* c : shown) {
    absl::StrAppend(&out, "<li><b>", EscapeXml(std::string(c->name)),
                    "</b>: ", EscapeXml(std::string(c->meaning)), "</li>\n");
  }
  return out + "</ul>\n";
}

}  // namespace

std::string PrintHtml(const SizingReport& report) {
  std::string out = absl::StrCat(
      "<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" "
      "lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<title>k8sdns bench</title>\n<style>",
      kStyle,
      "</style>\n</head>\n<body>\n<h1>Rule sets as Services grow</h1>\n"
      "<p>Measured: ",
      EscapeXml(report.source), ".");
  if (!report.kernel.empty()) {
    absl::StrAppend(&out, " Real kernel: ", EscapeXml(report.kernel), ".");
  }
  absl::StrAppend(
      &out,
      " Times are medians of CPU time on one core. The first, median and last "
      "Service are by the order of the rules.</p>\n<h2>Plots</h2>\n"
      "<div class=\"plots\">\n",
      Plots(report), "</div>\n<h2>Figures</h2>\n", Tables(report));
  bool any = false;
  for (const SizingRow& row : report.rows) {
    if (row.note.empty()) continue;
    absl::StrAppend(&out, any ? "" : "<h2>Notes</h2>\n<ul>\n", "<li>",
                    EscapeXml(absl::StrCat(row.mode, ", ", row.services,
                                           " Services: ", row.note)),
                    "</li>\n");
    any = true;
  }
  return absl::StrCat(out, any ? "</ul>\n" : "", "</body>\n</html>\n");
}

}  // namespace k8sdns::bench
