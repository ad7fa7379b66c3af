// Packets allocate nothing: a known flow never does, and a new one does not
// while there is room for it.
//
// This program counts every call of operator new.
#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "k8sdns/dataplane/matcher.h"
#include "k8sdns/dataplane/node_dataplane.h"
#include "k8sdns/proxy/iptables_compiler.h"
#include "k8sdns/testing/cluster_generator.h"

namespace {

std::atomic<size_t> allocations;

}  // namespace

void* operator new(size_t size) {
  ++allocations;
  void* p = std::malloc(size == 0 ? 1 : size);
  if (p == nullptr) std::abort();
  return p;
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }

namespace k8sdns::dataplane {
namespace {

constexpr size_t kFlows = 2000;

class Sealed : public ::testing::Test {
 protected:
  Sealed() : outcomes_(kFlows) {
    testing::ClusterShape shape;
    shape.services = 200;
    shape.endpoints_per_service = 5;
    const Cluster cluster = testing::GenerateCluster(shape);
    KubeProxyConfig config;
    config.hostname_override = cluster.nodes().begin()->metadata.name;
    config.cluster_cidr = "10.128.0.0/9";
    auto compiler = proxy::IptablesCompiler::Create(cluster, config, {});
    EXPECT_TRUE(compiler.ok()) << compiler.status();
    NodeConfig node;
    node.interfaces.push_back({"eth0", {*IpPrefix::Parse("172.31.0.1/24")}});
    node.interfaces.push_back({"veth0", {}});
    Route route;
    route.prefix = *IpPrefix::Parse("0.0.0.0/0");
    route.gateway = IpAddress::Parse("172.31.0.254");
    route.device = "eth0";
    node.routes.push_back(route);
    route = Route();
    route.prefix = *IpPrefix::Parse("10.255.0.7/32");
    route.device = "veth0";
    node.routes.push_back(route);
    node_ = std::make_unique<NodeDataplane>(
        node,
        std::make_shared<const Matcher>(std::make_shared<netfilter::Ruleset>(
            compiler->Compile(IpFamily::kIpv4))),
        nullptr);
    std::vector<SocketAddress> doors;
    for (const Service& service : cluster.services()) {
      const auto ip = IpAddress::Parse(service.spec.cluster_ip);
      if (!ip || service.spec.ports.empty()) continue;
      doors.push_back({*ip, static_cast<uint16_t>(service.spec.ports[0].port)});
    }
    for (size_t i = 0; i < kFlows; ++i) {
      NodePacket packet;
      packet.header = Packet::Tcp(
          {*IpAddress::Parse("10.255.0.7"), static_cast<uint16_t>(1024 + i)},
          doors[i % doors.size()]);
      arrivals_.push_back(Arrival::On("veth0", packet));
    }
  }

  // Sends every packet, and says how often memory was allocated.
  size_t AllocationsOfAll() {
    const size_t before = allocations;
    for (size_t i = 0; i < kFlows; ++i) {
      node_->Sample(arrivals_[i], draws_, /*traced=*/false, outcomes_[i]);
    }
    return allocations - before;
  }

  std::unique_ptr<NodeDataplane> node_;
  std::vector<Arrival> arrivals_;
  std::vector<Outcome> outcomes_;
  std::mt19937_64 draws_;
};

TEST_F(Sealed, NewFlowsWithRoomAllocateNothing) {
  node_->Reserve(kFlows + 1);
  EXPECT_EQ(AllocationsOfAll(), 0u);
  EXPECT_EQ(node_->state().conntrack.size(), kFlows);
  for (const Outcome& outcome : outcomes_) {
    ASSERT_EQ(outcome.verdict.kind, Verdict::kAccept);
    ASSERT_EQ(outcome.out, "eth0");
  }
}

TEST_F(Sealed, KnownFlowsAllocateNothing) {
  AllocationsOfAll();
  for (Arrival& arrival : arrivals_) {
    arrival.packet.header.tcp_flags = kTcpAck;
    arrival.packet.tcp_seq = 1;
  }
  EXPECT_EQ(AllocationsOfAll(), 0u);
}

TEST_F(Sealed, FlowsAfterAFlushHaveTheRoomOfThoseBefore) {
  AllocationsOfAll();
  node_->mutable_state().conntrack.Flush();
  EXPECT_EQ(AllocationsOfAll(), 0u);
}

TEST_F(Sealed, BatchesAllocateNothing) {
  node_->Reserve(kFlows + 1);
  const size_t before = allocations;
  node_->SampleBatch(arrivals_, draws_, outcomes_);
  EXPECT_EQ(allocations - before, 0u);
  EXPECT_EQ(node_->state().conntrack.size(), kFlows);
}

TEST_F(Sealed, TracesUseTheirRoomAgain) {
  node_->Reserve(2 * kFlows + 1);
  Outcome outcome;
  outcome.trace.reserve(256);
  const size_t before = allocations;
  for (const Arrival& arrival : arrivals_) {
    node_->Sample(arrival, draws_, /*traced=*/true, outcome);
    ASSERT_LE(outcome.trace.size(), 256u);
  }
  EXPECT_EQ(allocations - before, 0u);
}

}  // namespace
}  // namespace k8sdns::dataplane
