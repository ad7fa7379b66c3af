// What a Pod's lookup of a name costs as a cluster grows: the whole search of
// a C library over the search list, each query answered by the cluster's zone.
// The argument is the number of Services; names are drawn at random.
//
// The floor of the same run: one lookup of the name in a hash table.
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "benchmark/benchmark.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/dns/resolver.h"
#include "k8sdns/dns/zone.h"
#include "k8sdns/dns/zone_answers.h"
#include "k8sdns/testing/cluster_generator.h"

namespace k8sdns::dns {
namespace {

#define SIZES RangeMultiplier(10)->Range(10, 100'000)->Complexity(benchmark::o1)

constexpr size_t kNames = 1024;

Cluster ClusterOf(int64_t services) {
  testing::ClusterShape shape;
  shape.services = static_cast<size_t>(services);
  shape.endpoints_per_service = 2;
  Cluster cluster = testing::GenerateCluster(shape);
  // CoreDNS answers nothing for a Namespace that is not there.
  for (size_t i = 0; i < shape.namespaces; ++i) {
    Namespace ns;
    ns.metadata.name = absl::StrCat("ns-00", i);
    cluster.Put(std::move(ns));
  }
  return cluster;
}

// "svc-000042.ns-002": found with the second entry of the search list.
std::vector<std::string> Names(const Cluster& cluster) {
  std::vector<std::string> names;
  for (const Service& s : cluster.services()) {
    names.push_back(absl::StrCat(s.metadata.name, ".", s.metadata.namespace_));
  }
  std::mt19937_64 bits(1);
  std::vector<std::string> drawn;
  for (size_t i = 0; i < kNames; ++i) {
    drawn.push_back(names[bits() % names.size()]);
  }
  return drawn;
}

template <Library kLibrary>
void BM_Search(benchmark::State& state) {
  const Cluster cluster = ClusterOf(state.range(0));
  const absl::StatusOr<Zone> zone = Zone::Create(cluster, CoreDnsOptions());
  if (!zone.ok()) {
    state.SkipWithError("no zone");
    return;
  }
  const IpAddress server = *IpAddress::Parse("10.96.0.10");
  const IpAddress client = *IpAddress::Parse("10.128.0.2");
  ResolverHost host;
  host.resolv_conf = ResolvConf(
      "search ns-000.svc.cluster.local svc.cluster.local cluster.local "
      "us-east-2.compute.internal\nnameserver 10.96.0.10\noptions ndots:5\n");
  host.addresses = {{client, 24}};
  const AnswerSource answers = ZoneAnswers(*zone, {server}, client);
  const std::vector<std::string> names = Names(cluster);
  LookupCall call;
  size_t at = 0;
  size_t queries = 0;
  for (auto _ : state) {
    call.name = names[at++ % kNames];
    const LookupTranscript transcript = Resolve(call, host, kLibrary, answers);
    queries += transcript.queries.size();
    if (transcript.results.front().addresses.empty()) {
      state.SkipWithError("not found");
      return;
    }
  }
  state.SetComplexityN(state.range(0));
  state.counters["queries"] =
      static_cast<double>(queries) / static_cast<double>(state.iterations());
}
BENCHMARK_TEMPLATE(BM_Search, Library::kGlibc2_36)->SIZES;
BENCHMARK_TEMPLATE(BM_Search, Library::kMusl1_2_5)->SIZES;
BENCHMARK_TEMPLATE(BM_Search, Library::kGo1_22)->SIZES;

void BM_FloorHashLookup(benchmark::State& state) {
  const Cluster cluster = ClusterOf(state.range(0));
  absl::flat_hash_map<std::string, size_t> table;
  for (const Service& s : cluster.services()) {
    table.emplace(absl::StrCat(s.metadata.name, ".", s.metadata.namespace_),
                  table.size());
  }
  const std::vector<std::string> names = Names(cluster);
  size_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(table.find(names[at++ % kNames])->second);
  }
  state.SetComplexityN(state.range(0));
}
BENCHMARK(BM_FloorHashLookup)->SIZES;

}  // namespace
}  // namespace k8sdns::dns
