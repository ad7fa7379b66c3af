// kube-proxy's IPVS mode: everything it programs, one changed EndpointSlice,
// and new flows through IPVS.
//
// Whole compiles are of 10,000 services with 10 endpoints each; the counter
// ns_per_endpoint is what the targets speak of.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "benchmark/benchmark.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/cluster/kube_proxy_config.h"
#include "k8sdns/dataplane/ipvs_state.h"
#include "k8sdns/ipvs/ipvsadm_save.h"
#include "k8sdns/netfilter/iptables_save.h"
#include "k8sdns/proxy/ipvs_compiler.h"
#include "k8sdns/testing/cluster_generator.h"

namespace k8sdns {
namespace {

using proxy::IpvsCompiler;
using proxy::IpvsDelta;

constexpr size_t kServices = 10'000;
constexpr size_t kEndpointsPerService = 10;

testing::ClusterShape Shape(size_t services) {
  testing::ClusterShape shape;
  shape.services = services;
  shape.endpoints_per_service = kEndpointsPerService;
  return shape;
}

const Cluster& LargeCluster() {
  static const Cluster* cluster =
      new Cluster(testing::GenerateCluster(Shape(kServices)));
  return *cluster;
}

IpvsCompiler Compile(const Cluster& cluster) {
  KubeProxyConfig config;
  config.mode = ProxyMode::kIpvs;
  config.hostname_override = cluster.nodes().begin()->metadata.name;
  config.cluster_cidr = "10.0.0.0/8";
  auto compiler = IpvsCompiler::Create(cluster, config);
  if (!compiler.ok()) std::abort();
  return *std::move(compiler);
}

// ipvsadm -S, ipset save, iptables-save and the bound addresses.
void PrintAll(const IpvsCompiler& compiler, std::string& out) {
  out.clear();
  for (const ipvs::VirtualServer* server : compiler.virtual_servers().List()) {
    ipvs::AppendWithRealServers(*server, true, out);
  }
  proxy::AppendSets(compiler.Sets(), out);
  for (IpFamily family : compiler.families()) {
    netfilter::AppendIptablesSave(compiler.Rules(family), {}, &out);
  }
  for (const IpPrefix& prefix : compiler.BoundAddresses()) {
    absl::StrAppend(&out, prefix.ToString(), "\n");
  }
}

void CountEndpoints(benchmark::State& state) {
  state.counters["ns_per_endpoint"] =
      benchmark::Counter(kServices * kEndpointsPerService * 1e-9,
                         benchmark::Counter::kIsIterationInvariantRate |
                             benchmark::Counter::kInvert);
}

// Into a reused buffer, as the iptables benchmarks.
void BM_CompileAndPrint(benchmark::State& state) {
  const Cluster& cluster = LargeCluster();
  std::string out;
  for (auto _ : state) {
    IpvsCompiler compiler = Compile(cluster);
    PrintAll(compiler, out);
    benchmark::DoNotOptimize(out.data());
    state.PauseTiming();
    { IpvsCompiler gone = std::move(compiler); }
    state.ResumeTiming();
  }
  CountEndpoints(state);
}
BENCHMARK(BM_CompileAndPrint)->Unit(benchmark::kMillisecond);

void BM_CompileOnly(benchmark::State& state) {
  const Cluster& cluster = LargeCluster();
  for (auto _ : state) {
    IpvsCompiler compiler = Compile(cluster);
    state.PauseTiming();
    { IpvsCompiler gone = std::move(compiler); }
    state.ResumeTiming();
  }
  CountEndpoints(state);
}
BENCHMARK(BM_CompileOnly)->Unit(benchmark::kMillisecond);

// The floor: a copy of the same output.
void BM_CopyOfOutput(benchmark::State& state) {
  std::string out;
  PrintAll(Compile(LargeCluster()), out);
  std::string copy(out.size(), ' ');
  for (auto _ : state) {
    std::memcpy(copy.data(), out.data(), out.size());
    benchmark::ClobberMemory();
  }
  CountEndpoints(state);
  state.counters["bytes"] = static_cast<double>(out.size());
}
BENCHMARK(BM_CopyOfOutput)->Unit(benchmark::kMillisecond);

// One EndpointSlice of 10 endpoints, of which one is replaced, and back; with
// the delta for the tools.
void BM_ApplySliceChange(benchmark::State& state) {
  const Cluster cluster =
      testing::GenerateCluster(Shape(static_cast<size_t>(state.range(0))));
  IpvsCompiler compiler = Compile(cluster);
  std::vector<WatchEvent> changed, original;
  const size_t stride = cluster.endpoint_slices().size() / 64 + 1;
  size_t i = 0;
  for (const EndpointSlice& slice : cluster.endpoint_slices()) {
    if (i++ % stride != 0 || slice.endpoints.size() < 2) continue;
    EndpointSlice other = slice;
    other.endpoints[other.endpoints.size() / 2].addresses[0] = "10.254.7.7";
    original.push_back({WatchEvent::Type::kPut, slice});
    changed.push_back({WatchEvent::Type::kPut, std::move(other)});
  }
  IpvsDelta delta;
  size_t at = 0;
  bool back = false;
  for (auto _ : state) {
    compiler.Apply(back ? original[at] : changed[at], &delta);
    benchmark::DoNotOptimize(delta.ipvsadm.data());
    if (++at == changed.size()) {
      at = 0;
      back = !back;
    }
  }
}
BENCHMARK(BM_ApplySliceChange)->Arg(100)->Arg(10'000)->Arg(50'000);

// A new TCP flow to a random service: found, scheduled (rr), entered.
void BM_NewFlow(benchmark::State& state) {
  const auto services = static_cast<uint32_t>(state.range(0));
  ipvs::Table table;
  for (uint32_t i = 0; i < services; ++i) {
    ipvs::VirtualServer server;
    server.key =
        ipvs::ServiceKey::Of(Protocol::kTcp, IpAddress::V4(0x0a600000 + i), 80);
    server.scheduler = ipvs::Scheduler::kRr;
    for (uint32_t k = 0; k < 10; ++k) {
      ipvs::RealServer& real = server.real_servers.emplace_back();
      real.address = IpAddress::V4(0x0af40000 + 16 * i + k);
      real.port = 8080;
    }
    table.Add(std::move(server));
  }
  dataplane::IpvsState node;
  node.Load(table);
  dataplane::IpvsOptions options;
  options.conntrack = true;
  dataplane::Decisions decisions;
  Packet packet = Packet::Tcp({IpAddress::V4(0xcb007107), 1},
                              {IpAddress::V4(0x0a600000), 80});
  uint32_t random = 1;
  int64_t now = 0;
  for (auto _ : state) {
    random = random * 1664525u + 1013904223u;
    packet.src = IpAddress::V4(0xcb000000 + (random >> 8) % 4096);
    packet.src_port = static_cast<uint16_t>(random >> 16);
    packet.dst = IpAddress::V4(0x0a600000 + (random >> 4) % services);
    // A thousand flows a second: those of the last minute are remembered.
    now += 1000;
    benchmark::DoNotOptimize(
        node.Request(packet, 0, false, false, options, now, decisions));
  }
}
BENCHMARK(BM_NewFlow)->Arg(10)->Arg(50'000);

}  // namespace
}  // namespace k8sdns
