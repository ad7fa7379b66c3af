// Comparing dumps: drift by rules, and equivalence by packets. 10,000 Services
// of 10 endpoints each, 320,000 rules; the floor is a copy of both rule sets.
#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "benchmark/benchmark.h"
#include "k8sdns/dataplane/equivalence.h"
#include "k8sdns/journey/drift.h"
#include "k8sdns/netfilter/iptables_save.h"
#include "k8sdns/proxy/iptables_compiler.h"
#include "k8sdns/testing/cluster_generator.h"

namespace k8sdns {
namespace {

using dataplane::Equivalence;
using netfilter::Ruleset;

struct World {
  Cluster cluster;
  KubeProxyConfig config;
  std::string same;       // as kube-proxy would write it
  std::string reordered;  // Services in another order
  std::string changed;    // one endpoint fewer
};

std::string Print(const Cluster& cluster, const KubeProxyConfig& config) {
  auto compiler = proxy::IptablesCompiler::Create(cluster, config, {});
  if (!compiler.ok()) std::abort();
  return netfilter::PrintIptablesSave(compiler->Compile(IpFamily::kIpv4));
}

// The rules of KUBE-SERVICES the other way round, but for the last.
std::string Reordered(const std::string& dump) {
  std::vector<absl::string_view> lines = absl::StrSplit(dump, '\n');
  auto is_service = [](absl::string_view line) {
    return absl::StartsWith(line, "-A KUBE-SERVICES -d ");
  };
  const auto first = std::find_if(lines.begin(), lines.end(), is_service);
  const auto last = std::find_if_not(first, lines.end(), is_service);
  std::reverse(first, last);
  std::string out;
  for (absl::string_view line : lines) absl::StrAppend(&out, line, "\n");
  out.pop_back();
  return out;
}

const World& Large() {
  static const World* const world = [] {
    testing::ClusterShape shape;
    shape.services = 10'000;
    shape.node_port = 0.1;
    auto* w = new World();
    w->cluster = testing::GenerateCluster(shape);
    w->config.hostname_override = w->cluster.nodes().begin()->metadata.name;
    w->config.cluster_cidr = "10.0.0.0/8";
    w->same = Print(w->cluster, w->config);
    w->reordered = Reordered(w->same);
    Cluster changed = w->cluster;
    EndpointSlice slice = *changed.endpoint_slices().begin();
    slice.endpoints.pop_back();
    changed.Put(std::move(slice));
    w->changed = Print(changed, w->config);
    return w;
  }();
  return *world;
}

Ruleset Read(const std::string& text) {
  auto rules = netfilter::ParseIptablesSave(text, IpFamily::kIpv4);
  if (!rules.ok()) std::abort();
  return *std::move(rules);
}

const std::string& Dump(int which) {
  return which == 0   ? Large().same
         : which == 1 ? Large().reordered
                      : Large().changed;
}

void BM_CopyOfBoth(benchmark::State& state) {
  const Ruleset a = Read(Large().same);
  for (auto _ : state) {
    benchmark::DoNotOptimize(a.Clone());
    benchmark::DoNotOptimize(a.Clone());
  }
}
BENCHMARK(BM_CopyOfBoth)->Unit(benchmark::kMillisecond);

// Both rule sets read before; 0: the same, 1: reordered, 2: an endpoint fewer.
void BM_CompareRules(benchmark::State& state) {
  const Ruleset a = Read(Large().same);
  const Ruleset b = Read(Dump(static_cast<int>(state.range(0))));
  for (auto _ : state) {
    const journey::Drift drift = journey::CompareRules(a, b);
    if (drift.found() != (state.range(0) == 2)) std::abort();
  }
}
BENCHMARK(BM_CompareRules)
    ->Arg(0)
    ->Arg(1)
    ->Arg(2)
    ->Unit(benchmark::kMillisecond);

// Two dumps as text: read and compared.
void BM_ReadAndCompareDumps(benchmark::State& state) {
  Large();
  for (auto _ : state) {
    const Ruleset a = Read(Large().same);
    const Ruleset b = Read(Large().changed);
    if (!journey::CompareRules(a, b).found()) std::abort();
  }
}
BENCHMARK(BM_ReadAndCompareDumps)->Unit(benchmark::kMillisecond);

// From objects and a dump's rules to the answer.
void BM_FindDrift(benchmark::State& state) {
  journey::NodeDump dump;
  dump.ipv4 = Read(Large().changed);
  for (auto _ : state) {
    auto drift = journey::FindDrift(Large().cluster, Large().config, {}, dump);
    if (!drift.ok() || drift->groups.size() != 1) std::abort();
  }
}
BENCHMARK(BM_FindDrift)->Unit(benchmark::kMillisecond);

void BM_CompareFates(benchmark::State& state) {
  const Ruleset a = Read(Large().same);
  const Ruleset b = Read(Dump(static_cast<int>(state.range(0))));
  const auto expected =
      state.range(0) == 2 ? Equivalence::kDifferent : Equivalence::kEquivalent;
  size_t splits = 0;
  for (auto _ : state) {
    auto e = dataplane::CompareFates(a, b, {});
    if (!e.ok() || e->answer != expected) std::abort();
    splits = e->splits;
  }
  state.counters["splits"] = static_cast<double>(splits);
}
BENCHMARK(BM_CompareFates)
    ->Arg(0)
    ->Arg(1)
    ->Arg(2)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace k8sdns
