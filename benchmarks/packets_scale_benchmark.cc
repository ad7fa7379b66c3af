// What packets cost as a cluster grows: a node's index of its rules, new and
// known flows through all hooks, with and without a trace, in both modes. The
// argument is the number of Services, with 10 endpoints each; Services are
// drawn at random.
//
// The floor of the same run: one lookup in a hash table of the cluster IPs.
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "benchmark/benchmark.h"
#include "k8sdns/bench/flow_cost.h"
#include "k8sdns/bench/mode_tables.h"
#include "k8sdns/bench/rule_walk.h"
#include "k8sdns/dataplane/linear_matcher.h"
#include "k8sdns/dataplane/matcher.h"
#include "k8sdns/testing/cluster_generator.h"

namespace k8sdns {
namespace {

#define SIZES RangeMultiplier(10)->Range(10, 100'000)

enum class Matching { kLinear, kIndexed };

// A node of a generated cluster, and where its Pods may connect to.
struct World {
  std::vector<bench::ServiceTarget> targets;
  std::shared_ptr<const netfilter::Ruleset> rules;
  std::unique_ptr<bench::NodeUnderTest> node;
};

World MakeWorld(int64_t services, ProxyMode mode, Matching matching) {
  testing::ClusterShape shape;
  shape.services = static_cast<size_t>(services);
  shape.endpoints_per_service = 10;
  const Cluster cluster = testing::GenerateCluster(shape);
  KubeProxyConfig config;
  config.mode = mode;
  config.hostname_override = cluster.nodes().begin()->metadata.name;
  config.cluster_cidr = "10.128.0.0/9";
  const std::unique_ptr<bench::ModeTables> tables = bench::MakeModeTables(mode);
  World world;
  if (!tables->Compile(cluster, config, proxy::Dialect::kV1_30).ok()) {
    return world;
  }
  absl::StatusOr<bench::NodeTables> of_node = tables->Tables();
  if (!of_node.ok()) return world;
  world.targets = bench::FindTargets(cluster);
  world.rules = of_node->rules[0];
  bench::MakeMatcher make_matcher;
  if (matching == Matching::kLinear) {
    make_matcher = [](std::shared_ptr<const netfilter::Ruleset> rules) {
      return std::make_shared<const dataplane::LinearMatcher>(std::move(rules));
    };
  }
  world.node = std::make_unique<bench::NodeUnderTest>(
      *std::move(of_node), cluster, config, make_matcher);
  return world;
}

// Draws what comes next without asking a generator for every packet.
class Draws {
 public:
  explicit Draws(size_t targets) {
    std::mt19937_64 bits(1);
    for (uint32_t& d : draws_) d = static_cast<uint32_t>(bits() % targets);
  }
  size_t Next() { return draws_[at_++ % std::size(draws_)]; }

 private:
  uint32_t draws_[4096];
  size_t at_ = 0;
};

// Conntrack's table is emptied after so many flows: ports do not repeat.
constexpr int kFlows = 4096;

// What a new flow is sent to. The packets of a test would be larger than the
// tables that are to be measured, so one packet is made after another.
struct Door {
  IpAddress address;
  uint16_t port = 0;
  Protocol protocol = Protocol::kTcp;
};

void NewFlows(benchmark::State& state, const World& world, bool traced) {
  if (world.node == nullptr) {
    state.SkipWithError("does not compile");
    return;
  }
  std::mt19937_64 bits(2);
  std::vector<Door> doors;
  for (int i = 0; i < (1 << 16); ++i) {
    const Packet header =
        world.node->NewFlow(world.targets[bits() % world.targets.size()], 1024)
            .packet.header;
    doors.push_back({header.dst, header.dst_port, header.protocol});
  }
  dataplane::NodeDataplane node = world.node->node();
  node.Reserve(kFlows);
  dataplane::Arrival arrival = world.node->NewFlow(world.targets[0], 1024);
  Packet& header = arrival.packet.header;
  size_t at = 0;
  for (auto _ : state) {
    const Door& door = doors[at % doors.size()];
    header.dst = door.address;
    header.dst_port = door.port;
    header.protocol = door.protocol;
    header.src_port = static_cast<uint16_t>(1024 + at % kFlows);
    const dataplane::Outcome outcome = node.Sample(arrival, bits, traced);
    benchmark::DoNotOptimize(outcome.verdict.kind);
    if (++at % kFlows == 0) {
      state.PauseTiming();
      node.mutable_state() = world.node->node().state();
      node.Reserve(kFlows);
      state.ResumeTiming();
    }
  }
  double rules = 0;
  for (int i = 0; i < 64; ++i) {
    dataplane::NodeDataplane fresh = world.node->node();
    const dataplane::Outcome outcome = fresh.Sample(
        world.node->NewFlow(world.targets[bits() % world.targets.size()], 1024),
        bits, true);
    rules += static_cast<double>(
        bench::CountEvaluatedRules(outcome.trace, *world.rules));
  }
  state.SetComplexityN(state.range(0));
  state.SetItemsProcessed(state.iterations());  // packets per second
  state.counters["kernel_rules"] = rules / 64;
}

template <ProxyMode kMode>
void BM_NewFlow(benchmark::State& state) {
  NewFlows(state, MakeWorld(state.range(0), kMode, Matching::kIndexed), false);
}
BENCHMARK_TEMPLATE(BM_NewFlow, ProxyMode::kIptables)
    ->SIZES->Arg(50'000)
    ->Complexity(benchmark::o1);
BENCHMARK_TEMPLATE(BM_NewFlow, ProxyMode::kIpvs)
    ->SIZES->Arg(50'000)
    ->Complexity(benchmark::o1);

template <ProxyMode kMode>
void BM_NewFlowTraced(benchmark::State& state) {
  NewFlows(state, MakeWorld(state.range(0), kMode, Matching::kIndexed), true);
}
BENCHMARK_TEMPLATE(BM_NewFlowTraced, ProxyMode::kIptables)
    ->SIZES->Arg(50'000)
    ->Complexity(benchmark::o1);

// Rule by rule, as the kernel does it.
void BM_NewFlowLinear(benchmark::State& state) {
  NewFlows(state,
           MakeWorld(state.range(0), ProxyMode::kIptables, Matching::kLinear),
           false);
}
BENCHMARK(BM_NewFlowLinear)
    ->RangeMultiplier(10)
    ->Range(10, 10'000)
    ->Complexity(benchmark::oN);

// Further packets of flows that conntrack knows: no nat rules.
template <ProxyMode kMode>
void BM_KnownFlow(benchmark::State& state) {
  const World world = MakeWorld(state.range(0), kMode, Matching::kIndexed);
  if (world.node == nullptr) {
    state.SkipWithError("does not compile");
    return;
  }
  dataplane::NodeDataplane node = world.node->node();
  std::mt19937_64 bits(2);
  Draws draws(world.targets.size());
  std::vector<dataplane::Arrival> arrivals;
  for (int i = 0; i < 256; ++i) {
    arrivals.push_back(world.node->NewFlow(world.targets[draws.Next()],
                                           static_cast<uint16_t>(1024 + i)));
    node.Sample(arrivals.back(), bits, false);
  }
  size_t at = 0;
  for (auto _ : state) {
    const dataplane::Outcome outcome =
        node.Sample(arrivals[at++ % arrivals.size()], bits, false);
    benchmark::DoNotOptimize(outcome.verdict.kind);
  }
  state.SetComplexityN(state.range(0));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_TEMPLATE(BM_KnownFlow, ProxyMode::kIptables)
    ->SIZES->Arg(50'000)
    ->Complexity(benchmark::o1);
BENCHMARK_TEMPLATE(BM_KnownFlow, ProxyMode::kIpvs)
    ->SIZES->Arg(50'000)
    ->Complexity(benchmark::o1);

void BM_BuildMatcher(benchmark::State& state) {
  const World world =
      MakeWorld(state.range(0), ProxyMode::kIptables, Matching::kLinear);
  if (world.node == nullptr) {
    state.SkipWithError("does not compile");
    return;
  }
  size_t bytes = 0;
  for (auto _ : state) {
    const dataplane::Matcher matcher(world.rules);
    state.PauseTiming();
    bytes = matcher.memory_bytes();
    state.ResumeTiming();
  }
  const auto rules = static_cast<double>(world.rules->rule_count());
  state.SetComplexityN(state.range(0));
  state.counters["rules"] = rules;
  state.counters["memory_per_rule"] = static_cast<double>(bytes) / rules;
}
BENCHMARK(BM_BuildMatcher)
    ->SIZES->Complexity(benchmark::oN)
    ->Unit(benchmark::kMicrosecond);

void BM_FloorHashLookup(benchmark::State& state) {
  absl::flat_hash_map<SocketAddress, uint32_t> table;
  std::vector<SocketAddress> keys;
  for (int64_t i = 0; i < state.range(0); ++i) {
    const auto number = static_cast<uint32_t>(i);
    keys.push_back({IpAddress::V4(0x0A600000 + number), 80});
    table.emplace(keys.back(), number);
  }
  Draws draws(keys.size());
  for (auto _ : state) {
    benchmark::DoNotOptimize(table.find(keys[draws.Next()])->second);
  }
  state.SetComplexityN(state.range(0));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_FloorHashLookup)->SIZES->Arg(50'000)->Complexity(benchmark::o1);

}  // namespace
}  // namespace k8sdns
