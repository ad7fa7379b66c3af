#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "k8sdns/bench/sizing.h"
#include "k8sdns/bench/sizing_report.h"
#include "k8sdns/cli/commands.h"
#include "k8sdns/cli/inputs.h"

namespace k8sdns::cli {
namespace {

// "10,100,1000"
absl::StatusOr<std::vector<size_t>> ReadSizes(const std::string& text) {
  std::vector<size_t> sizes;
  for (absl::string_view word : absl::StrSplit(text, ',')) {
    uint32_t size;
    if (!absl::SimpleAtoi(word, &size)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--services: found \"", word,
                       "\", expected numbers separated by commas"));
    }
    sizes.push_back(size);
  }
  return sizes;
}

absl::StatusOr<std::vector<ProxyMode>> ReadModes(const std::string& text) {
  std::vector<ProxyMode> modes;
  for (absl::string_view word : absl::StrSplit(text, ',')) {
    if (word == "iptables") {
      modes.push_back(ProxyMode::kIptables);
    } else if (word == "ipvs") {
      modes.push_back(ProxyMode::kIpvs);
    } else {
      return absl::InvalidArgumentError(absl::StrCat(
          "--modes: found \"", word, "\", expected iptables or ipvs"));
    }
  }
  return modes;
}

absl::StatusOr<bench::SizingOptions> ReadOptions(const Args& args,
                                                 Streams streams) {
  bench::SizingOptions options;
  const auto preset = testing::FindPreset(args.Get("preset"));
  if (args.Has("preset") && !preset) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--preset: found \"", args.Get("preset"), "\", expected one of ",
        absl::StrJoin(testing::PresetNames(), ", ")));
  }
  if (preset) {
    options.shape = *preset;
    options.services = {preset->services};
  }
  if (!preset || args.Has("services")) {
    absl::StatusOr<std::vector<size_t>> sizes = ReadSizes(args.Get("services"));
    if (!sizes.ok()) return sizes.status();
    options.services = *std::move(sizes);
  }
  constexpr int64_t kMany = 100'000'000;
  if (!preset || args.Has("endpoints")) {
    absl::StatusOr<int64_t> endpoints = ReadInt(args, "endpoints", 0, kMany);
    if (!endpoints.ok()) return endpoints.status();
    options.shape.endpoints_per_service = static_cast<size_t>(*endpoints);
  }
  if (args.Has("zipf")) {
    absl::StatusOr<double> zipf = ReadNumber(args, "zipf", 0, 10);
    if (!zipf.ok()) return zipf.status();
    options.shape.zipf = *zipf;
  }
  absl::StatusOr<int64_t> seed = ReadInt(args, "seed", 0, INT64_MAX);
  if (!seed.ok()) return seed.status();
  options.shape.seed = static_cast<uint64_t>(*seed);
  absl::StatusOr<std::vector<ProxyMode>> modes = ReadModes(args.Get("modes"));
  if (!modes.ok()) return modes.status();
  options.modes = *std::move(modes);
  absl::StatusOr<int64_t> memory = ReadInt(args, "max-memory", 1, kMany);
  if (!memory.ok()) return memory.status();
  options.max_memory_bytes = static_cast<size_t>(*memory) << 20;
  absl::StatusOr<int64_t> repetitions = ReadInt(args, "repetitions", 1, 1000);
  if (!repetitions.ok()) return repetitions.status();
  options.repetitions = static_cast<int>(*repetitions);
  absl::StatusOr<KubeProxyConfig> config =
      LoadKubeProxyConfig(args.Get("config"), streams);
  if (!config.ok()) return config.status();
  options.config = *std::move(config);
  if (args.Has("node")) options.config.hostname_override = args.Get("node");
  absl::StatusOr<proxy::Dialect> dialect = ReadDialect(args);
  if (!dialect.ok()) return dialect.status();
  options.dialect = *dialect;
  options.kernel = args.Has("kernel");
  return options;
}

// One line on a terminal, rewritten; nothing elsewhere.
class ProgressBar {
 public:
  explicit ProgressBar(std::ostream& out)
      : out_(out), shown_(&out == &std::cerr && isatty(STDERR_FILENO) == 1) {}
  ~ProgressBar() {
    if (shown_) out_ << "\r\033[K" << std::flush;
  }
  void Show(absl::string_view step, size_t done, size_t total) {
    if (!shown_) return;
    constexpr size_t kWidth = 30;
    const size_t full = total == 0 ? 0 : kWidth * done / total;
    out_ << "\r\033[K[" << std::string(full, '=')
         << std::string(kWidth - full, ' ') << "] " << step << std::flush;
  }

 private:
  std::ostream& out_;
  const bool shown_;
};

// The file is there whole, or as it was before.
absl::Status WriteWhole(const std::string& file, const std::string& text) {
  const std::string unfinished = absl::StrCat(file, ".", getpid(), ".tmp");
  {
    std::ofstream out(unfinished, std::ios::binary);
    out << text << std::flush;
    if (!out) {
      std::remove(unfinished.c_str());
      return absl::UnavailableError(absl::StrCat(file, ": cannot write"));
    }
  }
  if (std::rename(unfinished.c_str(), file.c_str()) != 0) {
    std::remove(unfinished.c_str());
    return absl::UnavailableError(absl::StrCat(file, ": cannot write"));
  }
  return absl::OkStatus();
}

}  // namespace

int RunBench(const Args& args, Streams streams) {
  static constexpr std::pair<absl::string_view,
                             std::string (*)(const bench::SizingReport&)>
      kFormats[] = {{"table", &bench::PrintTable},
                    {"json", &bench::PrintJson},
                    {"csv", &bench::PrintCsv},
                    {"html", &bench::PrintHtml}};
  const std::string format = args.Get("output");
  const auto* printer =
      std::find_if(std::begin(kFormats), std::end(kFormats),
                   [&](const auto& f) { return f.first == format; });
  if (printer == std::end(kFormats)) {
    return Fail(streams, absl::StrCat("--output: found \"", format,
                                      "\", expected table, json, csv or html"));
  }
  absl::StatusOr<bench::SizingOptions> options = ReadOptions(args, streams);
  if (!options.ok()) return Fail(streams, options.status().message());
  Cluster cluster;
  if (args.Has("file")) {
    absl::StatusOr<Cluster> loaded = LoadCluster(args.GetAll("file"), streams);
    if (!loaded.ok()) return Fail(streams, loaded.status().message());
    cluster = *std::move(loaded);
    options->cluster = &cluster;
    options->cluster_name = absl::StrJoin(args.GetAll("file"), ", ");
  }
  absl::StatusOr<bench::SizingReport> report;
  {
    ProgressBar bar(streams.err);
    options->progress = [&bar](absl::string_view step, size_t done,
                               size_t total) { bar.Show(step, done, total); };
    report = bench::RunSizing(*options);
  }
  if (!report.ok()) return Fail(streams, report.status().message());
  const std::string text = printer->second(*report);
  if (args.Has("out")) {
    const absl::Status written = WriteWhole(args.Get("out"), text);
    return written.ok() ? kOk : Fail(streams, written.message());
  }
  streams.out << text << std::flush;
  return streams.out.good() ? kOk : Fail(streams, "cannot write the output");
}

}  // namespace k8sdns::cli
