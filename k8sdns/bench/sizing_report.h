// What a sizing run found, and how it is printed: as aligned text, CSV, JSON,
// or one self-contained HTML page with plots.
//
// JSON, schema "k8sdns.bench/v1": an object with
//   schema   "k8sdns.bench/v1"
//   source   what was measured: a file, or the shape that was generated
//   kernel   what the real kernel was measured with; "" if it was not
//   columns  [{name, unit, meaning}]: the keys of a row
//   rows     [{mode, <name>: number or null, ..., note}]
// Names of columns stay; later versions may add some. A number is null if it
// was not measured or does not exist for the mode.
//
// Values; the functions are pure.
#ifndef K8SDNS_BENCH_SIZING_REPORT_H_
#define K8SDNS_BENCH_SIZING_REPORT_H_

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace k8sdns::bench {

// A new flow from a Pod of the node to one Service.
struct FlowCost {
  std::string service;  // "default/web:http"
  // Of the library's dataplane, through all hooks, without a trace.
  double ns = 0;
  // Rules that the kernel looks at, one after another, until the packet is
  // through: the mean over the Service's endpoints.
  double rules_evaluated = 0;
};

// What the real kernel takes, in wall-clock time. Empty: not measured.
struct KernelCost {
  std::optional<double> load_ms;  // iptables-restore (ipset, ipvsadm)
  // From a process of the node: the system call that sends a flow's first
  // packet. Without any rules, and to the three Services.
  std::optional<double> no_rules_ns;
  std::optional<double> first_ns;
  std::optional<double> median_ns;
  std::optional<double> last_ns;
};

// One cluster in one mode.
struct SizingRow {
  std::string mode;  // "iptables", "ipvs"
  size_t services = 0;
  size_t endpoints = 0;  // of slices, both families
  size_t nodes = 0;

  // Of all families and tables of one node.
  size_t chains = 0;
  size_t rules = 0;
  // Rules, and in IPVS mode virtual servers, real servers and set members.
  size_t entries = 0;
  size_t text_bytes = 0;    // as iptables-save, ipvsadm -S and ipset save print
  size_t object_bytes = 0;  // heap of the Cluster; 0 if it was not measured
  size_t table_bytes = 0;   // heap of the compiler's state and its tables

  // CPU time, medians.
  double compile_ns = 0;    // from a Cluster to text, the first time
  double recompile_ns = 0;  // the same text again, names known
  double change_ns = 0;     // one EndpointSlice, with the delta
  double parse_ns = 0;      // the text, into rules

  // By the order of the rules; nullopt: no Service that has a cluster IP.
  std::optional<FlowCost> first;
  std::optional<FlowCost> median;
  std::optional<FlowCost> last;

  KernelCost kernel;
  std::string note;  // what could not be measured, and why
};

struct SizingReport {
  std::string source;
  std::string kernel;
  std::vector<SizingRow> rows;
};

// The figures of a row, in the order in which they are printed. Drives all
// printers.
struct Column {
  enum class Kind { kCount, kBytes, kNanoseconds, kMilliseconds };
  enum class Group { kSize, kTime, kFlow, kKernel };
  absl::string_view name;     // "compile_ns": in JSON and CSV
  absl::string_view title;    // "compile": above a column
  absl::string_view meaning;  // a sentence
  Kind kind;
  Group group;
  std::optional<double> (*value)(const SizingRow& row);
};
std::span<const Column> Columns();

// "12.3 us", "1.2 MB", "10,000"; "-" for nullopt.
std::string FormatValue(Column::Kind kind, std::optional<double> value);

std::string PrintTable(const SizingReport& report);
std::string PrintCsv(const SizingReport& report);
std::string PrintJson(const SizingReport& report);
// Well-formed XML as well as HTML; refers to nothing outside itself.
std::string PrintHtml(const SizingReport& report);

}  // namespace k8sdns::bench

#endif  // K8SDNS_BENCH_SIZING_REPORT_H_
