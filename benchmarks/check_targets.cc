// Checks the performance targets: runs the benchmark programs, prints a line
// for each target of targets.txt with its figure, floor, ratio and what was
// wanted, and "N of M hold" last. Exit status 0 if all hold, 1 if not, 2 if a
// program or the table is broken.
//
//   ./bazelw run -c opt //benchmarks:check_targets [-- SUBSTRING]
//
// With SUBSTRING only targets whose title contains it are checked.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "simdjson.h"

namespace k8sdns::benchmarks {
namespace {

constexpr char kTable[] = "benchmarks/targets.txt";
constexpr int kRepetitions = 5;

// A number that a benchmark reports: its median CPU time in ns, or a counter.
struct Figure {
  std::string program;
  std::string benchmark;
  std::string counter;  // empty: the time

  std::string Key() const { return absl::StrCat(benchmark, "#", counter); }
};

struct Target {
  std::string title;
  std::string unit;
  Figure figure;
  std::optional<Figure> floor;
  bool at_most = true;
  double wanted = 0;
};

// "program:benchmark" or "program:benchmark#counter".
absl::StatusOr<Figure> ParseFigure(absl::string_view text) {
  const std::vector<std::string> parts =
      absl::StrSplit(text, absl::MaxSplits(':', 1));
  if (parts.size() != 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("found \"", text, "\", expected program:benchmark"));
  }
  const std::vector<std::string> name =
      absl::StrSplit(parts[1], absl::MaxSplits('#', 1));
  return Figure{parts[0], name[0], name.size() > 1 ? name[1] : ""};
}

// title | unit | figure | floor or - | "<= X" or ">= X"
absl::StatusOr<Target> ParseTarget(absl::string_view line) {
  std::vector<std::string> f = absl::StrSplit(line, '|');
  if (f.size() != 5) {
    return absl::InvalidArgumentError(
        absl::StrCat("found ", f.size(), " columns, expected 5"));
  }
  for (std::string& s : f) absl::StripAsciiWhitespace(&s);
  Target t;
  t.title = f[0];
  t.unit = f[1];
  absl::StatusOr<Figure> figure = ParseFigure(f[2]);
  if (!figure.ok()) return figure.status();
  t.figure = *figure;
  if (f[3] != "-") {
    absl::StatusOr<Figure> floor = ParseFigure(f[3]);
    if (!floor.ok()) return floor.status();
    t.floor = *floor;
  }
  t.at_most = absl::StartsWith(f[4], "<=");
  if ((!t.at_most && !absl::StartsWith(f[4], ">=")) ||
      !absl::SimpleAtod(f[4].substr(2), &t.wanted)) {
    return absl::InvalidArgumentError(
        absl::StrCat("found \"", f[4], "\", expected <= X or >= X"));
  }
  return t;
}

absl::StatusOr<std::vector<Target>> ReadTable(absl::string_view only) {
  std::ifstream in(kTable);
  if (!in) return absl::NotFoundError(absl::StrCat(kTable, ": cannot open"));
  std::vector<Target> targets;
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    absl::StripAsciiWhitespace(&line);
    if (line.empty() || line[0] == '#') continue;
    absl::StatusOr<Target> target = ParseTarget(line);
    if (!target.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(kTable, ":", number, ": ", target.status().message()));
    }
    if (absl::StrContains(target->title, only)) {
      targets.push_back(*std::move(target));
    }
  }
  return targets;
}

absl::StatusOr<std::string> RunProgram(const std::string& program,
                                       const std::set<std::string>& names) {
  std::string filter = absl::StrCat("^(", absl::StrJoin(names, "|"), ")$");
  const std::string command =
      absl::StrCat("benchmarks/", program, " --benchmark_format=json",
                   " --benchmark_repetitions=", kRepetitions,
                   " --benchmark_report_aggregates_only=true",
                   " --benchmark_filter='", filter, "'");
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return absl::UnavailableError("cannot start a shell");
  std::string out;
  char buffer[1 << 16];
  while (size_t n = fread(buffer, 1, sizeof(buffer), pipe)) {
    out.append(buffer, n);
  }
  if (pclose(pipe) != 0) {
    return absl::UnavailableError(absl::StrCat("failed: ", command));
  }
  return out;
}

// The medians of a program's report, by Figure::Key().
absl::Status ReadReport(const std::string& json,
                        std::map<std::string, double>& medians) {
  simdjson::dom::parser parser;
  simdjson::dom::element document;
  if (parser.parse(json).get(document) != simdjson::SUCCESS) {
    return absl::InternalError("a benchmark program printed no JSON");
  }
  simdjson::dom::array runs;
  if (document["benchmarks"].get(runs) != simdjson::SUCCESS) {
    return absl::InternalError("a benchmark program printed no benchmarks");
  }
  for (simdjson::dom::object run : runs) {
    std::string_view name, aggregate, unit;
    if (run["aggregate_name"].get(aggregate) != simdjson::SUCCESS ||
        aggregate != "median" || run["run_name"].get(name)) {
      continue;
    }
    double scale = 1;
    if (run["time_unit"].get(unit) == simdjson::SUCCESS) {
      scale = unit == "us" ? 1e3 : unit == "ms" ? 1e6 : unit == "s" ? 1e9 : 1;
    }
    for (auto [key, value] : run) {
      double number;
      if (value.get(number) != simdjson::SUCCESS) continue;
      const bool is_time = key == "cpu_time";
      medians[absl::StrCat(std::string(name), "#",
                           is_time ? "" : std::string(key))] =
          is_time ? number * scale : number;
    }
  }
  return absl::OkStatus();
}

int Main(absl::string_view only) {
  absl::StatusOr<std::vector<Target>> targets = ReadTable(only);
  if (!targets.ok()) {
    std::cerr << targets.status().message() << "\n";
    return 2;
  }
  if (targets->empty()) {
    std::cerr << kTable << ": no target"
              << (only.empty() ? "" : " with this title") << "\n";
    return 2;
  }
  std::map<std::string, std::set<std::string>> wanted;
  for (const Target& t : *targets) {
    wanted[t.figure.program].insert(t.figure.benchmark);
    if (t.floor) wanted[t.floor->program].insert(t.floor->benchmark);
  }
  std::map<std::string, std::map<std::string, double>> medians;
  for (const auto& [program, names] : wanted) {
    std::cerr << "running " << program << "\n";
    absl::StatusOr<std::string> json = RunProgram(program, names);
    absl::Status status =
        json.ok() ? ReadReport(*json, medians[program]) : json.status();
    if (!status.ok()) std::cerr << program << ": " << status.message() << "\n";
  }
  auto find = [&](const Figure& f) -> std::optional<double> {
    auto& report = medians[f.program];
    auto it = report.find(f.Key());
    if (it == report.end()) return std::nullopt;
    return it->second;
  };
  int held = 0;
  bool broken = false;
  std::cout << absl::StrFormat("%-58s %14s %14s %10s %12s\n", "target",
                               "figure", "floor", "ratio", "wanted");
  for (const Target& t : *targets) {
    const std::optional<double> figure = find(t.figure);
    std::optional<double> floor;
    if (t.floor) floor = find(*t.floor);
    if (!figure || (t.floor && !floor)) {
      std::cout << absl::StrFormat("%-58s not measured\n", t.title);
      broken = true;
      continue;
    }
    const double value = floor ? *figure / *floor : *figure;
    const bool ok = t.at_most ? value <= t.wanted : value >= t.wanted;
    held += ok;
    std::cout << absl::StrFormat(
        "%-58s %14s %14s %10s %12s %s\n", t.title,
        absl::StrFormat("%.4g %s", *figure, t.unit),
        floor ? absl::StrFormat("%.4g", *floor) : "-",
        floor ? absl::StrFormat("%.3g", value) : "-",
        absl::StrFormat("%s %g", t.at_most ? "<=" : ">=", t.wanted),
        ok ? "holds" : "MISSED");
  }
  std::cout << held << " of " << targets->size() << " hold\n";
  if (broken) return 2;
  return held == static_cast<int>(targets->size()) ? 0 : 1;
}

}  // namespace
}  // namespace k8sdns::benchmarks

int main(int argc, char** argv) {
  return k8sdns::benchmarks::Main(argc > 1 ? argv[1] : "");
}
