#include "k8sdns/bench/sizing_report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace k8sdns::bench {
namespace {

using Kind = Column::Kind;
using Group = Column::Group;

std::optional<double> UnlessZero(double value) {
  if (value == 0) return std::nullopt;
  return value;
}

std::optional<double> PerEndpoint(const SizingRow& row, double value) {
  if (row.endpoints == 0) return std::nullopt;
  return value / static_cast<double>(row.endpoints);
}

std::optional<double> FlowNs(const std::optional<FlowCost>& flow) {
  if (!flow) return std::nullopt;
  return flow->ns;
}

std::optional<double> FlowRules(const std::optional<FlowCost>& flow) {
  if (!flow) return std::nullopt;
  return flow->rules_evaluated;
}

using Row = const SizingRow&;
using Figure = std::optional<double>;

constexpr Column kColumns[] = {
    {"services", "services", "Services of the cluster", Kind::kCount,
     Group::kSize,
     [](Row r) -> Figure { return static_cast<double>(r.services); }},
    {"endpoints", "endpoints", "endpoints in all EndpointSlices", Kind::kCount,
     Group::kSize,
     [](Row r) -> Figure { return static_cast<double>(r.endpoints); }},
    {"nodes", "nodes", "nodes of the cluster", Kind::kCount, Group::kSize,
     [](Row r) -> Figure { return static_cast<double>(r.nodes); }},
    {"chains", "chains", "iptables chains on a node", Kind::kCount,
     Group::kSize,
     [](Row r) -> Figure { return static_cast<double>(r.chains); }},
    {"rules", "rules", "iptables rules on a node", Kind::kCount, Group::kSize,
     [](Row r) -> Figure { return static_cast<double>(r.rules); }},
    {"entries", "entries",
     "rules, and in IPVS mode virtual servers, real servers and set members",
     Kind::kCount, Group::kSize,
     [](Row r) -> Figure { return static_cast<double>(r.entries); }},
    {"text_bytes", "text",
     "what iptables-save, ipvsadm -S and ipset save print", Kind::kBytes,
     Group::kSize,
     [](Row r) -> Figure { return static_cast<double>(r.text_bytes); }},
    {"text_bytes_per_endpoint", "text/ep", "the same, an endpoint",
     Kind::kBytes, Group::kSize,
     [](Row r) { return PerEndpoint(r, static_cast<double>(r.text_bytes)); }},
    {"object_bytes", "objects", "heap memory of the cluster's objects",
     Kind::kBytes, Group::kSize,
     [](Row r) { return UnlessZero(static_cast<double>(r.object_bytes)); }},
    {"table_bytes", "tables",
     "heap memory of the compiler's state and the tables", Kind::kBytes,
     Group::kSize,
     [](Row r) { return UnlessZero(static_cast<double>(r.table_bytes)); }},
    {"compile_ns", "compile",
     "CPU time from the objects to the text, the first time",
     Kind::kNanoseconds, Group::kTime,
     [](Row r) -> Figure { return r.compile_ns; }},
    {"compile_ns_per_endpoint", "an endpoint", "the same, an endpoint",
     Kind::kNanoseconds, Group::kTime,
     [](Row r) { return PerEndpoint(r, r.compile_ns); }},
    {"recompile_ns", "again", "CPU time to the same text with names known",
     Kind::kNanoseconds, Group::kTime,
     [](Row r) -> Figure { return r.recompile_ns; }},
    {"recompile_ns_per_endpoint", "an endpoint", "the same, an endpoint",
     Kind::kNanoseconds, Group::kTime,
     [](Row r) { return PerEndpoint(r, r.recompile_ns); }},
    {"change_ns", "one change",
     "CPU time of one changed EndpointSlice, with what it changes in the "
     "tables",
     Kind::kNanoseconds, Group::kTime,
     [](Row r) { return UnlessZero(r.change_ns); }},
    {"parse_ns", "parse", "CPU time to read the text", Kind::kNanoseconds,
     Group::kTime, [](Row r) -> Figure { return r.parse_ns; }},
    {"parse_ns_per_endpoint", "an endpoint", "the same, an endpoint",
     Kind::kNanoseconds, Group::kTime,
     [](Row r) { return PerEndpoint(r, r.parse_ns); }},
    {"rules_first", "rules, first",
     "rules that the kernel evaluates for a new flow to the first Service",
     Kind::kCount, Group::kFlow, [](Row r) { return FlowRules(r.first); }},
    {"rules_median", "median", "the same, to the median Service", Kind::kCount,
     Group::kFlow, [](Row r) { return FlowRules(r.median); }},
    {"rules_last", "last", "the same, to the last Service", Kind::kCount,
     Group::kFlow, [](Row r) { return FlowRules(r.last); }},
    {"flow_first_ns", "time, first",
     "CPU time of this library for a new flow to the first Service",
     Kind::kNanoseconds, Group::kFlow, [](Row r) { return FlowNs(r.first); }},
    {"flow_median_ns", "median", "the same, to the median Service",
     Kind::kNanoseconds, Group::kFlow, [](Row r) { return FlowNs(r.median); }},
    {"flow_last_ns", "last", "the same, to the last Service",
     Kind::kNanoseconds, Group::kFlow, [](Row r) { return FlowNs(r.last); }},
    {"kernel_load_ms", "load",
     "the real kernel: time of iptables-restore (and ipset, ipvsadm)",
     Kind::kMilliseconds, Group::kKernel,
     [](Row r) { return r.kernel.load_ms; }},
    {"kernel_no_rules_ns", "no rules",
     "the real kernel: sending a flow's first packet without any rules",
     Kind::kNanoseconds, Group::kKernel,
     [](Row r) { return r.kernel.no_rules_ns; }},
    {"kernel_first_ns", "first",
     "the real kernel: a flow's first packet to the first Service",
     Kind::kNanoseconds, Group::kKernel,
     [](Row r) { return r.kernel.first_ns; }},
    {"kernel_median_ns", "median", "the same, to the median Service",
     Kind::kNanoseconds, Group::kKernel,
     [](Row r) { return r.kernel.median_ns; }},
    {"kernel_last_ns", "last", "the same, to the last Service",
     Kind::kNanoseconds, Group::kKernel,
     [](Row r) { return r.kernel.last_ns; }},
};

std::string WithCommas(double value) {
  const std::string digits = absl::StrFormat("%.0f", value);
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out;
}

// Three digits, with the unit that leaves one to three before the point.
std::string Scaled(double value, double step,
                   std::span<const absl::string_view> units) {
  size_t unit = 0;
  while (std::abs(value) >= 999.5 && unit + 1 < units.size()) {
    value /= step;
    ++unit;
  }
  const int digits = std::abs(value) >= 99.95   ? 0
                     : std::abs(value) >= 9.995 ? 1
                                                : 2;
  return absl::StrFormat("%.*f %s", digits, value, units[unit]);
}

// Exact for counts, else four digits.
std::string Number(Kind kind, double value) {
  if (kind == Kind::kCount && value == std::floor(value)) {
    return absl::StrFormat("%.0f", value);
  }
  if (kind == Kind::kBytes && value == std::floor(value)) {
    return absl::StrFormat("%.0f", value);
  }
  return absl::StrFormat("%.6g", value);
}

absl::string_view UnitName(Kind kind) {
  switch (kind) {
    case Kind::kCount:
      return "1";
    case Kind::kBytes:
      return "B";
    case Kind::kNanoseconds:
      return "ns";
    case Kind::kMilliseconds:
      return "ms";
  }
  return "";
}

std::string JsonText(absl::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      absl::StrAppend(&out, "\\", std::string(1, c));
    } else if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppendFormat(&out, "\\u%04x", c);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string CsvText(absl::string_view text) {
  if (text.find_first_of(",\"\n") == absl::string_view::npos) {
    return std::string(text);
  }
  std::string out = "\"";
  for (char c : text) out.append(c == '"' ? 2 : 1, c);
  return out + "\"";
}

bool AnyIn(Group group, const SizingReport& report) {
  for (const Column& c : kColumns) {
    if (c.group != group) continue;
    for (const SizingRow& row : report.rows) {
      if (c.value(row)) return true;
    }
  }
  return false;
}

// Lines of cells, each column as wide as its widest cell; the first is of
// words, the others of numbers.
std::string Align(const std::vector<std::vector<std::string>>& lines) {
  std::vector<size_t> widths;
  for (const auto& line : lines) {
    widths.resize(std::max(widths.size(), line.size()));
    for (size_t i = 0; i < line.size(); ++i) {
      widths[i] = std::max(widths[i], line[i].size());
    }
  }
  std::string out;
  for (const auto& line : lines) {
    for (size_t i = 0; i < line.size(); ++i) {
      const std::string space(widths[i] - line[i].size(), ' ');
      if (i == 0) {
        absl::StrAppend(&out, line[i], space);
      } else {
        absl::StrAppend(&out, "  ", space, line[i]);
      }
    }
    out += '\n';
  }
  return out;
}

}  // namespace

std::span<const Column> Columns() { return kColumns; }

std::string FormatValue(Kind kind, std::optional<double> value) {
  static constexpr absl::string_view kBytes[] = {"B", "kB", "MB", "GB"};
  static constexpr absl::string_view kTimes[] = {"ns", "us", "ms", "s"};
  if (!value) return "-";
  switch (kind) {
    case Kind::kCount:
      return WithCommas(*value);
    case Kind::kBytes:
      return Scaled(*value, 1000, kBytes);
    case Kind::kNanoseconds:
      return Scaled(*value, 1000, kTimes);
    case Kind::kMilliseconds:
      return Scaled(*value * 1e6, 1000, kTimes);
  }
  return "-";
}

std::string PrintTable(const SizingReport& report) {
  static constexpr std::pair<Group, absl::string_view> kGroups[] = {
      {Group::kSize, "What kube-proxy programs on a node"},
      {Group::kTime, "CPU time of this library"},
      {Group::kFlow,
       "A new flow: rules that the kernel evaluates, and our own time"},
      {Group::kKernel, "The real kernel: loading, and a flow's first packet"},
  };
  std::string out = absl::StrCat(report.source, "\n");
  for (const auto& [group, title] : kGroups) {
    if (!AnyIn(group, report)) continue;
    std::vector<std::vector<std::string>> lines;
    std::vector<std::string>& head = lines.emplace_back();
    head.push_back("mode");
    if (group != Group::kSize) head.push_back("services");
    for (const Column& c : kColumns) {
      if (c.group == group) head.emplace_back(c.title);
    }
    for (const SizingRow& row : report.rows) {
      std::vector<std::string>& line = lines.emplace_back();
      line.push_back(row.mode);
      if (group != Group::kSize) {
        line.push_back(WithCommas(static_cast<double>(row.services)));
      }
      for (const Column& c : kColumns) {
        if (c.group != group) continue;
        line.push_back(FormatValue(c.kind, c.value(row)));
      }
    }
    absl::StrAppend(
        &out, "\n", title,
        group == Group::kKernel ? absl::StrCat(" (", report.kernel, ")") : "",
        "\n", Align(lines));
  }
  bool first = true;
  for (const SizingRow& row : report.rows) {
    if (row.note.empty()) continue;
    absl::StrAppend(&out, first ? "\n" : "", row.mode, ", ",
                    WithCommas(static_cast<double>(row.services)),
                    " services: ", row.note, "\n");
    first = false;
  }
  return out;
}

std::string PrintCsv(const SizingReport& report) {
  std::string out = "mode";
  for (const Column& c : kColumns) absl::StrAppend(&out, ",", c.name);
  out += ",note\n";
  for (const SizingRow& row : report.rows) {
    out += CsvText(row.mode);
    for (const Column& c : kColumns) {
      const std::optional<double> value = c.value(row);
      absl::StrAppend(&out, ",", value ? Number(c.kind, *value) : "");
    }
    absl::StrAppend(&out, ",", CsvText(row.note), "\n");
  }
  return out;
}

std::string PrintJson(const SizingReport& report) {
  std::string out = absl::StrCat(
      "{\n  \"schema\": \"k8sdns.bench/v1\",\n  \"source\": ",
      JsonText(report.source), ",\n  \"kernel\": ", JsonText(report.kernel),
      ",\n  \"columns\": [");
  absl::string_view comma = "\n";
  for (const Column& c : kColumns) {
    absl::StrAppend(&out, comma, "    {\"name\": ", JsonText(c.name),
                    ", \"unit\": ", JsonText(UnitName(c.kind)),
                    ", \"meaning\": ", JsonText(c.meaning), "}");
    comma = ",\n";
  }
  out += "\n  ],\n  \"rows\": [";
  comma = "\n";
  for (const SizingRow& row : report.rows) {
    absl::StrAppend(&out, comma, "    {\"mode\": ", JsonText(row.mode));
    for (const Column& c : kColumns) {
      const std::optional<double> value = c.value(row);
      absl::StrAppend(&out, ", ", JsonText(c.name), ": ",
                      value ? Number(c.kind, *value) : "null");
    }
    absl::StrAppend(&out, ", \"note\": ", JsonText(row.note), "}");
    comma = ",\n";
  }
  out += report.rows.empty() ? "]\n}\n" : "\n  ]\n}\n";
  return out;
}

}  // namespace k8sdns::bench
