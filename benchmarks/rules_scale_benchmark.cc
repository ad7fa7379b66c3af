// What tables cost as a cluster grows, by stage: compile, compile again, apply
// a change, print, read, memory. The argument is the number of Services, with
// 10 endpoints each.
//
// Floors of the same run: a copy of the text, a scan of it for newlines.
#include <malloc.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "benchmark/benchmark.h"
#include "k8sdns/bench/mode_tables.h"
#include "k8sdns/netfilter/iptables_save.h"
#include "k8sdns/proxy/iptables_compiler.h"
#include "k8sdns/testing/cluster_generator.h"

namespace k8sdns {
namespace {

constexpr size_t kEndpointsPerService = 10;

// The last cluster asked for: those of 100,000 Services are large.
const Cluster& ClusterOf(int64_t services) {
  static int64_t size = -1;
  static Cluster* cluster = new Cluster;
  if (size != services) {
    testing::ClusterShape shape;
    shape.services = static_cast<size_t>(services);
    shape.endpoints_per_service = kEndpointsPerService;
    *cluster = Cluster();
    *cluster = testing::GenerateCluster(shape);
    size = services;
  }
  return *cluster;
}

KubeProxyConfig ConfigOf(const Cluster& cluster, ProxyMode mode) {
  KubeProxyConfig config;
  config.mode = mode;
  config.hostname_override = cluster.nodes().begin()->metadata.name;
  config.cluster_cidr = "10.128.0.0/9";
  return config;
}

bool Compile(const Cluster& cluster, ProxyMode mode,
             bench::ModeTables& tables) {
  return tables
      .Compile(cluster, ConfigOf(cluster, mode), proxy::Dialect::kV1_30)
      .ok();
}

void Count(benchmark::State& state, size_t text_bytes) {
  const auto endpoints =
      static_cast<double>(state.range(0)) * kEndpointsPerService;
  state.SetComplexityN(state.range(0));
  state.counters["ns_per_endpoint"] = benchmark::Counter(
      endpoints * 1e-9, benchmark::Counter::kIsIterationInvariantRate |
                            benchmark::Counter::kInvert);
  if (text_bytes > 0) {
    state.counters["bytes_per_endpoint"] =
        static_cast<double>(text_bytes) / endpoints;
    state.SetBytesProcessed(state.iterations() *
                            static_cast<int64_t>(text_bytes));
  }
}

#define SIZES RangeMultiplier(10)->Range(10, 100'000)

template <ProxyMode kMode>
void BM_CompileAndPrint(benchmark::State& state) {
  const Cluster& cluster = ClusterOf(state.range(0));
  const std::unique_ptr<bench::ModeTables> tables =
      bench::MakeModeTables(kMode);
  for (auto _ : state) {
    if (!Compile(cluster, kMode, *tables)) {
      state.SkipWithError("does not compile");
      return;
    }
    tables->Print();
    state.PauseTiming();
    const size_t bytes = tables->text_bytes();
    benchmark::DoNotOptimize(bytes);
    tables->Drop();
    state.ResumeTiming();
  }
  Count(state, tables->text_bytes());
}
BENCHMARK_TEMPLATE(BM_CompileAndPrint, ProxyMode::kIptables)
    ->SIZES->Complexity(benchmark::oN)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_TEMPLATE(BM_CompileAndPrint, ProxyMode::kIpvs)
    ->SIZES->Complexity(benchmark::oN)
    ->Unit(benchmark::kMicrosecond);

template <ProxyMode kMode>
void BM_PrintAgain(benchmark::State& state) {
  const std::unique_ptr<bench::ModeTables> tables =
      bench::MakeModeTables(kMode);
  if (!Compile(ClusterOf(state.range(0)), kMode, *tables)) {
    state.SkipWithError("does not compile");
    return;
  }
  for (auto _ : state) tables->Print();
  Count(state, tables->text_bytes());
}
BENCHMARK_TEMPLATE(BM_PrintAgain, ProxyMode::kIptables)
    ->SIZES->Complexity(benchmark::oN)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_TEMPLATE(BM_PrintAgain, ProxyMode::kIpvs)
    ->SIZES->Complexity(benchmark::oN)
    ->Unit(benchmark::kMicrosecond);

// One endpoint of a slice is replaced, and back; 64 Services in turn.
template <ProxyMode kMode>
void BM_ApplyChange(benchmark::State& state) {
  const Cluster& cluster = ClusterOf(state.range(0));
  const std::unique_ptr<bench::ModeTables> tables =
      bench::MakeModeTables(kMode);
  if (!Compile(cluster, kMode, *tables)) {
    state.SkipWithError("does not compile");
    return;
  }
  std::vector<WatchEvent> events;
  const size_t stride = cluster.endpoint_slices().size() / 64 + 1;
  size_t i = 0;
  for (const EndpointSlice& slice : cluster.endpoint_slices()) {
    if (i++ % stride != 0) continue;
    EndpointSlice other = slice;
    other.endpoints[kEndpointsPerService / 2].addresses[0] = "10.254.7.7";
    events.push_back({WatchEvent::Type::kPut, std::move(other)});
    events.push_back({WatchEvent::Type::kPut, slice});
  }
  size_t at = 0;
  for (auto _ : state) {
    tables->Apply(events[at]);
    at = at + 1 == events.size() ? 0 : at + 1;
  }
  state.SetComplexityN(state.range(0));
}
BENCHMARK_TEMPLATE(BM_ApplyChange, ProxyMode::kIptables)
    ->SIZES->Complexity(benchmark::o1);
BENCHMARK_TEMPLATE(BM_ApplyChange, ProxyMode::kIpvs)
    ->SIZES->Complexity(benchmark::o1);

// Of the heap, in use.
size_t HeapBytes() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

// The compiler's state and the tables made of it; the Cluster apart.
template <ProxyMode kMode>
void BM_Memory(benchmark::State& state) {
  const Cluster& cluster = ClusterOf(state.range(0));
  for (auto _ : state) {
    const size_t before = HeapBytes();
    const std::unique_ptr<bench::ModeTables> tables =
        bench::MakeModeTables(kMode);
    if (!Compile(cluster, kMode, *tables)) {
      state.SkipWithError("does not compile");
      return;
    }
    const auto made = tables->Tables();
    const auto bytes = static_cast<double>(HeapBytes() - before);
    state.counters["megabytes"] = bytes * 1e-6;
    state.counters["memory_per_endpoint"] =
        bytes / (static_cast<double>(state.range(0)) * kEndpointsPerService);
  }
}
BENCHMARK_TEMPLATE(BM_Memory, ProxyMode::kIptables)
    ->SIZES->Iterations(1)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_TEMPLATE(BM_Memory, ProxyMode::kIpvs)
    ->SIZES->Iterations(1)
    ->Unit(benchmark::kMillisecond);

// ---- the text of iptables mode ----

std::string TextOf(int64_t services) {
  proxy::IptablesOptions options;
  const Cluster& cluster = ClusterOf(services);
  auto compiler = proxy::IptablesCompiler::Create(
      cluster, ConfigOf(cluster, ProxyMode::kIptables), options);
  std::string text;
  if (compiler.ok()) {
    compiler->PrintTo(IpFamily::kIpv4, proxy::IptablesCompiler::Print::kTables,
                      text);
  }
  return text;
}

void BM_ReadText(benchmark::State& state) {
  const std::string text = TextOf(state.range(0));
  size_t rules = 0;
  for (auto _ : state) {
    const auto parsed = netfilter::ParseIptablesSave(text, IpFamily::kIpv4);
    if (!parsed.ok()) {
      state.SkipWithError("does not parse");
      return;
    }
    rules = parsed->rule_count();
  }
  Count(state, text.size());
  state.counters["rules"] = static_cast<double>(rules);
}
BENCHMARK(BM_ReadText)
    ->SIZES->Complexity(benchmark::oN)
    ->Unit(benchmark::kMicrosecond);

void BM_PrintRules(benchmark::State& state) {
  const std::string text = TextOf(state.range(0));
  const auto rules = netfilter::ParseIptablesSave(text, IpFamily::kIpv4);
  if (!rules.ok()) {
    state.SkipWithError("does not parse");
    return;
  }
  std::string out;
  for (auto _ : state) {
    out.clear();
    netfilter::AppendIptablesSave(*rules, {}, &out);
    benchmark::DoNotOptimize(out.data());
  }
  Count(state, text.size());
  state.counters["memory_per_rule"] =
      static_cast<double>(rules->memory_bytes()) /
      static_cast<double>(rules->rule_count());
  state.counters["memory_per_endpoint"] =
      static_cast<double>(rules->memory_bytes()) /
      (static_cast<double>(state.range(0)) * kEndpointsPerService);
}
BENCHMARK(BM_PrintRules)
    ->SIZES->Complexity(benchmark::oN)
    ->Unit(benchmark::kMicrosecond);

void BM_FloorCopyText(benchmark::State& state) {
  const std::string text = TextOf(state.range(0));
  std::string copy(text.size(), ' ');
  for (auto _ : state) {
    std::memcpy(copy.data(), text.data(), text.size());
    benchmark::ClobberMemory();
  }
  Count(state, text.size());
}
BENCHMARK(BM_FloorCopyText)
    ->SIZES->Complexity(benchmark::oN)
    ->Unit(benchmark::kMicrosecond);

void BM_FloorScanForNewlines(benchmark::State& state) {
  const std::string text = TextOf(state.range(0));
  for (auto _ : state) {
    size_t lines = 0;
    const char* at = text.data();
    const char* const end = at + text.size();
    while ((at = static_cast<const char*>(
                std::memchr(at, '\n', static_cast<size_t>(end - at))))) {
      ++lines;
      ++at;
    }
    benchmark::DoNotOptimize(lines);
  }
  Count(state, text.size());
}
BENCHMARK(BM_FloorScanForNewlines)
    ->SIZES->Complexity(benchmark::oN)
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace k8sdns
