// Packets through a node's rules: building the matcher, new flows, known flows,
// traces, batches.
//
// The rules are those that kube-proxy writes for so many Services with 10
// endpoints each; the argument is the number of Services. A new flow is a TCP
// SYN of a Pod to a random ClusterIP: it passes every hook from PREROUTING to
// POSTROUTING, draws an endpoint, is translated, routed and entered into the
// connection table.
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "benchmark/benchmark.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/cluster/kube_proxy_config.h"
#include "k8sdns/dataplane/linear_matcher.h"
#include "k8sdns/dataplane/matcher.h"
#include "k8sdns/dataplane/node_dataplane.h"
#include "k8sdns/proxy/iptables_compiler.h"
#include "k8sdns/testing/cluster_generator.h"

namespace k8sdns {
namespace {

using dataplane::Arrival;
using dataplane::NodeDataplane;
using dataplane::Outcome;

// A fast generator, so that its draws do not count.
class Random {
 public:
  using result_type = uint64_t;
  static constexpr uint64_t min() { return 0; }
  static constexpr uint64_t max() { return ~uint64_t{0}; }
  uint64_t operator()() {
    state_ += 0x9e3779b97f4a7c15;
    uint64_t z = state_;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }

 private:
  uint64_t state_ = 1;
};

// So many flows are kept; then the connection table is emptied.
constexpr size_t kFlows = 4096;
constexpr size_t kArrivals = 1 << 16;

struct World {
  std::shared_ptr<const netfilter::Ruleset> rules;
  std::vector<Arrival> arrivals;
};

dataplane::NodeConfig Node() {
  dataplane::NodeConfig node;
  node.interfaces.push_back({"eth0", {*IpPrefix::Parse("172.31.0.1/24")}});
  node.interfaces.push_back({"veth0", {}});
  dataplane::Route pod;
  pod.prefix = *IpPrefix::Parse("10.255.0.7/32");
  pod.device = "veth0";
  node.routes.push_back(pod);
  dataplane::Route others;
  others.prefix = *IpPrefix::Parse("0.0.0.0/0");
  others.gateway = IpAddress::Parse("172.31.0.254");
  others.device = "eth0";
  node.routes.push_back(others);
  return node;
}

const World& WorldOf(int64_t services) {
  static auto* worlds = new std::map<int64_t, World>();
  auto [it, added] = worlds->try_emplace(services);
  World& world = it->second;
  if (!added) return world;
  testing::ClusterShape shape;
  shape.services = static_cast<size_t>(services);
  shape.endpoints_per_service = 10;
  const Cluster cluster = testing::GenerateCluster(shape);
  KubeProxyConfig config;
  config.hostname_override = cluster.nodes().begin()->metadata.name;
  config.cluster_cidr = "10.128.0.0/9";
  auto compiler = proxy::IptablesCompiler::Create(cluster, config, {});
  if (!compiler.ok()) std::abort();
  world.rules = std::make_shared<const netfilter::Ruleset>(
      compiler->Compile(IpFamily::kIpv4));
  std::vector<SocketAddress> doors;
  for (const Service& service : cluster.services()) {
    const auto ip = IpAddress::Parse(service.spec.cluster_ip);
    if (!ip || service.spec.ports.empty()) continue;
    doors.push_back({*ip, static_cast<uint16_t>(service.spec.ports[0].port)});
  }
  Random random;
  const IpAddress pod = *IpAddress::Parse("10.255.0.7");
  for (size_t i = 0; i < kArrivals; ++i) {
    dataplane::NodePacket packet;
    packet.header = Packet::Tcp({pod, static_cast<uint16_t>(1024 + i % 60000)},
                                doors[random() % doors.size()]);
    world.arrivals.push_back(Arrival::On("veth0", packet));
  }
  return world;
}

template <typename M>
NodeDataplane Load(const World& world) {
  return NodeDataplane(Node(), std::make_shared<M>(world.rules), nullptr);
}

void CheckForwarded(const Outcome& outcome) {
  if (outcome.verdict.kind != dataplane::Verdict::kAccept || outcome.local ||
      outcome.packet.header.dst.v4() >> 23 == 0x0a600000 >> 23) {
    std::abort();
  }
}

void BM_BuildMatcher(benchmark::State& state) {
  const World& world = WorldOf(state.range(0));
  for (auto _ : state) {
    dataplane::Matcher matcher(world.rules);
    benchmark::DoNotOptimize(&matcher);
  }
  const dataplane::Matcher matcher(world.rules);
  state.counters["rules"] = static_cast<double>(world.rules->rule_count());
  state.counters["index_megabytes"] =
      static_cast<double>(matcher.memory_bytes()) / 1e6;
}
BENCHMARK(BM_BuildMatcher)->Arg(10'000)->Unit(benchmark::kMillisecond);

template <typename M, bool kTraced>
void NewFlow(benchmark::State& state) {
  const World& world = WorldOf(state.range(0));
  NodeDataplane node = Load<M>(world);
  Random random;
  size_t at = 0;
  for (auto _ : state) {
    const Outcome outcome = node.Sample(world.arrivals[at], random, kTraced);
    benchmark::DoNotOptimize(&outcome);
    if (++at % kFlows == 0) node.mutable_state().conntrack.Flush();
    if (at == kArrivals) at = 0;
  }
  CheckForwarded(node.Sample(world.arrivals[at], random, kTraced));
}
void BM_NewFlow(benchmark::State& state) {
  NewFlow<dataplane::Matcher, false>(state);
}
BENCHMARK(BM_NewFlow)->Arg(10)->Arg(1'000)->Arg(10'000)->Arg(50'000);
void BM_NewFlowTraced(benchmark::State& state) {
  NewFlow<dataplane::Matcher, true>(state);
}
BENCHMARK(BM_NewFlowTraced)->Arg(50'000);
void BM_NewFlowLinear(benchmark::State& state) {
  NewFlow<dataplane::LinearMatcher, false>(state);
}
BENCHMARK(BM_NewFlowLinear)->Arg(10'000);

void BM_NewFlowBatch(benchmark::State& state) {
  const World& world = WorldOf(state.range(0));
  NodeDataplane node = Load<dataplane::Matcher>(world);
  constexpr size_t kBatch = 32;
  std::vector<Outcome> outcomes(kBatch);
  Random random;
  size_t at = 0;
  for (auto _ : state) {
    node.SampleBatch({world.arrivals.data() + at, kBatch}, random, outcomes);
    benchmark::DoNotOptimize(outcomes.data());
    at += kBatch;
    if (at % kFlows == 0) node.mutable_state().conntrack.Flush();
    if (at == kArrivals) at = 0;
  }
  CheckForwarded(outcomes[0]);
  state.counters["ns_per_packet"] = benchmark::Counter(
      kBatch * 1e-9, benchmark::Counter::kIsIterationInvariantRate |
                         benchmark::Counter::kInvert);
}
BENCHMARK(BM_NewFlowBatch)->Arg(10)->Arg(50'000);

// The nat table at PREROUTING alone: what the rules cost, without the node.
template <typename M>
void NatRules(benchmark::State& state) {
  const World& world = WorldOf(state.range(0));
  const M matcher(world.rules);
  const dataplane::Routing routing(Node());
  const dataplane::ConntrackOptions options;
  dataplane::NodeState node;
  Random random;
  dataplane::Decisions decisions{absl::BitGenRef(random)};
  size_t at = 0;
  for (auto _ : state) {
    dataplane::TransitPacket transit;
    transit.packet = world.arrivals[at].packet;
    transit.in_device = 3;
    transit.tracking = {0, dataplane::FlowState::kNew};
    dataplane::RuleContext context{matcher.rules(), routing, options, node,
                                   decisions,       transit};
    context.hook = netfilter::Hook::kPrerouting;
    context.table = netfilter::TableId::kNat;
    context.in_device = 3;
    benchmark::DoNotOptimize(matcher.Run(context, nullptr));
    if (++at == kArrivals) at = 0;
  }
}
void BM_NatRules(benchmark::State& state) {
  NatRules<dataplane::Matcher>(state);
}
BENCHMARK(BM_NatRules)->Arg(10)->Arg(1'000)->Arg(10'000)->Arg(50'000);
void BM_NatRulesLinear(benchmark::State& state) {
  NatRules<dataplane::LinearMatcher>(state);
}
BENCHMARK(BM_NatRulesLinear)->Arg(10'000);

// Packets of a flow that both sides have sent in.
void BM_KnownFlow(benchmark::State& state) {
  const World& world = WorldOf(state.range(0));
  NodeDataplane node = Load<dataplane::Matcher>(world);
  Random random;
  Arrival request = world.arrivals[0];
  const Outcome first = node.Sample(request, random, false);
  CheckForwarded(first);
  Arrival reply = Arrival::On(first.out, first.packet);
  std::swap(reply.packet.header.src, reply.packet.header.dst);
  std::swap(reply.packet.header.src_port, reply.packet.header.dst_port);
  reply.packet.header.tcp_flags = kTcpSyn | kTcpAck;
  reply.packet.tcp_ack = 1;
  const Outcome answer = node.Sample(reply, random, false);
  if (answer.verdict.kind != dataplane::Verdict::kAccept) std::abort();
  request.packet.header.tcp_flags = kTcpAck;
  request.packet.tcp_seq = 1;
  request.packet.tcp_ack = 1;
  for (auto _ : state) {
    const Outcome outcome = node.Sample(request, random, false);
    benchmark::DoNotOptimize(&outcome);
  }
  CheckForwarded(node.Sample(request, random, false));
}
BENCHMARK(BM_KnownFlow)->Arg(10)->Arg(50'000);

// Every branch with the state behind it.
void BM_MatchAllBranches(benchmark::State& state) {
  const World& world = WorldOf(state.range(0));
  const NodeDataplane node = Load<dataplane::Matcher>(world);
  size_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(node.Match(world.arrivals[at], false));
    if (++at == kArrivals) at = 0;
  }
}
BENCHMARK(BM_MatchAllBranches)->Arg(50'000);

// The floor: one lookup in a hash table with a key for each Service.
void BM_FloorHashLookup(benchmark::State& state) {
  const World& world = WorldOf(state.range(0));
  absl::flat_hash_map<uint64_t, uint64_t> table;
  const auto key = [](const Arrival& arrival) {
    const Packet& p = arrival.packet.header;
    return uint64_t{p.dst.v4()} << 24 | uint64_t{p.dst_port} << 8 |
           static_cast<uint64_t>(p.protocol);
  };
  for (const Arrival& arrival : world.arrivals) table[key(arrival)] = 1;
  size_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(table.find(key(world.arrivals[at])));
    if (++at == kArrivals) at = 0;
  }
}
BENCHMARK(BM_FloorHashLookup)->Arg(10)->Arg(10'000)->Arg(50'000);

}  // namespace
}  // namespace k8sdns
