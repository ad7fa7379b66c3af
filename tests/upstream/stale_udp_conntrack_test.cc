// kubernetes/kubernetes #126935 and its kin (#125467, #139628): UDP flows to an
// endpoint that is gone. kube-proxy changes rules; a flow that conntrack knows
// is translated without them. What is shown here is the kernel's side, with
// kube-proxy's rules and without its removal of conntrack entries.
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "k8sdns/dataplane/linear_matcher.h"
#include "k8sdns/dataplane/node_dataplane.h"
#include "k8sdns/proxy/iptables_compiler.h"
#include "k8sdns/testing/cluster_builder.h"

namespace k8sdns {
namespace {

using dataplane::Arrival;
using dataplane::Branch;
using dataplane::NodeConfig;
using dataplane::NodeDataplane;
using dataplane::NodePacket;
using dataplane::Verdict;

constexpr char kOld[] = "10.244.1.10";
constexpr char kNew[] = "10.244.1.20";

// The node with the rules for a UDP service with this endpoint, or with none.
NodeDataplane NodeWith(const char* endpoint) {
  testing::ClusterBuilder builder;
  builder.AddNode("node-1", "172.18.0.11", "10.244.1.0/24", "a");
  builder.AddService("default/statsd", "10.96.0.20")
      .Port("", 8125, 8125, Protocol::kUdp);
  if (endpoint != nullptr) builder.AddEndpoint(endpoint, "node-1");
  KubeProxyConfig config;
  config.hostname_override = "node-1";
  config.cluster_cidr = "10.244.0.0/16";
  auto compiler = proxy::IptablesCompiler::Create(builder.Build(), config, {});
  EXPECT_TRUE(compiler.ok());

  NodeConfig node;
  node.interfaces.push_back(
      {"eth0", {*IpPrefix::Parse("172.18.0.11/24")}, true, false});
  node.interfaces.push_back({"cni0", {}, true, false});
  dataplane::Route pods;
  pods.prefix = *IpPrefix::Parse("10.244.1.0/24");
  pods.device = "cni0";
  node.routes.push_back(pods);
  auto rules =
      std::make_shared<netfilter::Ruleset>(compiler->Compile(IpFamily::kIpv4));
  return NodeDataplane(node, std::make_shared<dataplane::LinearMatcher>(rules),
                       nullptr);
}

Arrival FromPort(uint16_t port) {
  NodePacket packet;
  packet.header = Packet::Udp({*IpAddress::Parse("10.244.1.99"), port},
                              *SocketAddress::Parse("10.96.0.20:8125"));
  return Arrival::On("cni0", packet);
}

// What comes of a datagram, which is then part of the node's memory.
dataplane::Outcome Send(NodeDataplane& node, uint16_t port) {
  const std::vector<Branch> branches = node.Match(FromPort(port));
  EXPECT_EQ(branches.size(), 1u);
  node.Take(branches[0]);
  return branches[0].outcome;
}

TEST(KubernetesIssue126935, AKnownFlowGoesOnToTheEndpointThatIsGone) {
  NodeDataplane before = NodeWith(kOld);
  EXPECT_EQ(Send(before, 4000).packet.header.dst.ToString(), kOld);

  // kube-proxy writes the rules for the new endpoint; conntrack stays.
  NodeDataplane after = NodeWith(kNew);
  after.mutable_state() = before.state();
  EXPECT_EQ(Send(after, 4000).packet.header.dst.ToString(), kOld);
  EXPECT_EQ(Send(after, 4001).packet.header.dst.ToString(), kNew);

  // Each datagram refreshes the entry: a sender that never pauses for the
  // timeout of UDP (30 s) is stuck for ever.
  for (int i = 0; i < 10; ++i) {
    after.Advance(25'000'000);
    EXPECT_EQ(Send(after, 4000).packet.header.dst.ToString(), kOld);
  }
  after.Advance(31'000'000);
  EXPECT_EQ(Send(after, 4000).packet.header.dst.ToString(), kNew);
}

TEST(KubernetesIssue126935, WithoutEndpointsTheRejectRuleMissesKnownFlows) {
  NodeDataplane before = NodeWith(kOld);
  Send(before, 4000);
  NodeDataplane after = NodeWith(nullptr);
  after.mutable_state() = before.state();
  // The rule names the service's address, which the packet no longer has.
  const dataplane::Outcome known = Send(after, 4000);
  EXPECT_EQ(known.verdict.kind, Verdict::kAccept);
  EXPECT_EQ(known.packet.header.dst.ToString(), kOld);
  EXPECT_EQ(Send(after, 4001).verdict.kind, Verdict::kReject);
}

}  // namespace
}  // namespace k8sdns
