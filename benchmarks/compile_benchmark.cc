// kube-proxy's iptables mode: whole tables, and one changed EndpointSlice.
//
// Times of whole tables are of 10,000 services with 10 endpoints each; the
// counter ns_per_endpoint is what the targets speak of.
#include <malloc.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "benchmark/benchmark.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/cluster/kube_proxy_config.h"
#include "k8sdns/netfilter/ruleset.h"
#include "k8sdns/proxy/iptables_compiler.h"
#include "k8sdns/testing/cluster_generator.h"

namespace k8sdns::proxy {
namespace {

using Print = IptablesCompiler::Print;

constexpr size_t kEndpointsPerService = 10;

testing::ClusterShape Shape(size_t services) {
  testing::ClusterShape shape;
  shape.services = services;
  shape.endpoints_per_service = kEndpointsPerService;
  return shape;
}

const Cluster& LargeCluster() {
  static const Cluster* cluster =
      new Cluster(testing::GenerateCluster(Shape(10'000)));
  return *cluster;
}

KubeProxyConfig Config(const Cluster& cluster) {
  KubeProxyConfig config;
  config.hostname_override = cluster.nodes().begin()->metadata.name;
  config.cluster_cidr = "10.0.0.0/8";
  return config;
}

IptablesCompiler Compiler(const Cluster& cluster) {
  auto compiler = IptablesCompiler::Create(cluster, Config(cluster), {});
  if (!compiler.ok()) std::abort();
  return *std::move(compiler);
}

void CountEndpoints(benchmark::State& state, size_t endpoints) {
  // Seconds an endpoint, times 1e9.
  state.counters["ns_per_endpoint"] =
      benchmark::Counter(static_cast<double>(endpoints) * 1e-9,
                         benchmark::Counter::kIsIterationInvariantRate |
                             benchmark::Counter::kInvert);
}

// From a loaded Cluster to text, names unknown.
void BM_CompileAndPrintFirstTime(benchmark::State& state) {
  const Cluster& cluster = LargeCluster();
  std::string out;
  size_t endpoints = 0;
  for (auto _ : state) {
    IptablesCompiler compiler = Compiler(cluster);
    compiler.PrintTo(IpFamily::kIpv4, Print::kTables, out);
    benchmark::DoNotOptimize(out.data());
    endpoints = compiler.endpoint_count(IpFamily::kIpv4);
    state.PauseTiming();
    { IptablesCompiler gone = std::move(compiler); }
    state.ResumeTiming();
  }
  CountEndpoints(state, endpoints);
}
BENCHMARK(BM_CompileAndPrintFirstTime)->Unit(benchmark::kMillisecond);

// All rules again, names known: what kube-proxy does in a full sync.
void BM_CompileAndPrintAgain(benchmark::State& state) {
  IptablesCompiler compiler = Compiler(LargeCluster());
  std::string out;
  for (auto _ : state) {
    compiler.PrintTo(IpFamily::kIpv4, Print::kTables, out);
    benchmark::DoNotOptimize(out.data());
  }
  CountEndpoints(state, compiler.endpoint_count(IpFamily::kIpv4));
  state.counters["bytes"] = static_cast<double>(out.size());
}
BENCHMARK(BM_CompileAndPrintAgain)->Unit(benchmark::kMillisecond);

// The floor: a copy of the same output.
void BM_CopyOfOutput(benchmark::State& state) {
  IptablesCompiler compiler = Compiler(LargeCluster());
  std::string out;
  compiler.PrintTo(IpFamily::kIpv4, Print::kTables, out);
  std::string copy(out.size(), ' ');
  for (auto _ : state) {
    std::memcpy(copy.data(), out.data(), out.size());
    benchmark::ClobberMemory();
  }
  CountEndpoints(state, compiler.endpoint_count(IpFamily::kIpv4));
}
BENCHMARK(BM_CopyOfOutput)->Unit(benchmark::kMillisecond);

// As a rule set of typed ops.
void BM_CompileRuleset(benchmark::State& state) {
  const IptablesCompiler compiler = Compiler(LargeCluster());
  for (auto _ : state) {
    netfilter::Ruleset rules = compiler.Compile(IpFamily::kIpv4);
    benchmark::DoNotOptimize(rules);
  }
  CountEndpoints(state, compiler.endpoint_count(IpFamily::kIpv4));
}
BENCHMARK(BM_CompileRuleset)->Unit(benchmark::kMillisecond);

// One EndpointSlice of 10 endpoints, of which one is replaced, and back; a
// different Service each time.
void BM_ApplySliceChange(benchmark::State& state) {
  const Cluster cluster =
      testing::GenerateCluster(Shape(static_cast<size_t>(state.range(0))));
  IptablesCompiler compiler = Compiler(cluster);
  constexpr size_t kServices = 64;
  std::vector<WatchEvent> changed, original;
  size_t stride = cluster.endpoint_slices().size() / kServices;
  size_t i = 0;
  for (const EndpointSlice& slice : cluster.endpoint_slices()) {
    if (i++ % stride != 0 || slice.endpoints.size() < 2) continue;
    EndpointSlice other = slice;
    other.endpoints[other.endpoints.size() / 2].addresses[0] = "10.254.7.7";
    original.push_back({WatchEvent::Type::kPut, slice});
    changed.push_back({WatchEvent::Type::kPut, std::move(other)});
  }
  IptablesDeltas deltas;
  size_t changes = 0;
  size_t at = 0;
  bool back = false;
  for (auto _ : state) {
    compiler.Apply({&(back ? original : changed)[at], 1}, deltas);
    changes += deltas.v4.changes().size();
    if (++at == changed.size()) {
      at = 0;
      back = !back;
    }
  }
  state.counters["changes"] =
      static_cast<double>(changes) / static_cast<double>(state.iterations());
}
BENCHMARK(BM_ApplySliceChange)->Arg(100)->Arg(10'000);

// Of the heap, in use.
double Megabytes() {
  const struct mallinfo2 info = mallinfo2();
  return static_cast<double>(info.uordblks + info.hblkhd) / 1e6;
}

// Objects, compiled state and rule set of 10,000 services together.
void BM_Memory(benchmark::State& state) {
  for (auto _ : state) {
    const double before = Megabytes();
    const Cluster cluster = testing::GenerateCluster(Shape(10'000));
    const double objects = Megabytes();
    const IptablesCompiler compiler = Compiler(cluster);
    const double compiled = Megabytes();
    const netfilter::Ruleset rules = compiler.Compile(IpFamily::kIpv4);
    const double after = Megabytes();
    state.counters["objects_mb"] = objects - before;
    state.counters["compiler_mb"] = compiled - objects;
    state.counters["rules_mb"] = after - compiled;
    state.counters["megabytes"] = after - before;
  }
}
BENCHMARK(BM_Memory)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace k8sdns::proxy
