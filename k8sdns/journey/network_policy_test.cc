#include "k8sdns/journey/network_policy.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "k8sdns/testing/cluster_builder.h"

namespace k8sdns::journey {
namespace {

NetworkPolicy Policy(std::string name, std::string app, PolicyType type) {
  NetworkPolicy p;
  p.metadata.namespace_ = "default";
  p.metadata.name = std::move(name);
  if (!app.empty()) p.pod_selector.match_labels["app"] = std::move(app);
  p.policy_types = {type};
  return p;
}

NetworkPolicyPeer FromApp(std::string app) {
  NetworkPolicyPeer peer;
  peer.pod_selector.emplace().match_labels["app"] = std::move(app);
  return peer;
}

class NetworkPolicyTest : public ::testing::Test {
 protected:
  NetworkPolicyTest()
      : cluster_(
            testing::ClusterBuilder()
                .AddNode("n", "172.18.0.11")
                .AddPod("client", "n", "10.244.1.5", {{"app", "client"}})
                .AddPod("server", "n", "10.244.1.6", {{"app", "server"}})
                .AddPod("other/client", "n", "10.244.1.7", {{"app", "client"}})
                .Build()) {}

  std::string Decide(absl::string_view from_namespace = "default",
                     int port = 80) {
    const Pod* from = cluster_.pods().Find(from_namespace, "client");
    const Pod* to = cluster_.pods().Find("default", "server");
    return DecidePolicies(
               cluster_, from, to,
               Packet::Tcp({*IpAddress::Parse(from->status.pod_ip), 40000},
                           {*IpAddress::Parse(to->status.pod_ip),
                            static_cast<uint16_t>(port)}))
        .ToString();
  }

  Cluster cluster_;
};

constexpr char kOpenEgress[] =
    "egress allowed: no NetworkPolicy selects the Pod\n";

TEST_F(NetworkPolicyTest, WithoutPoliciesEverythingIsAllowed) {
  EXPECT_EQ(Decide(),
            std::string(kOpenEgress) +
                "ingress allowed: no NetworkPolicy selects the Pod\n");
}

TEST_F(NetworkPolicyTest, DefaultDenyNamesThePolicies) {
  cluster_.Put(Policy("deny-all", "", PolicyType::kIngress));
  cluster_.Put(Policy("deny-too", "server", PolicyType::kIngress));
  EXPECT_EQ(Decide(), std::string(kOpenEgress) +
                          "ingress denied by default/deny-all, "
                          "default/deny-too\n");
}

TEST_F(NetworkPolicyTest, OnePolicyThatAllowsIsEnough) {
  cluster_.Put(Policy("deny-all", "", PolicyType::kIngress));
  NetworkPolicy allow = Policy("web", "server", PolicyType::kIngress);
  allow.ingress.push_back(
      {{{Protocol::kTcp, 80, std::nullopt}}, {FromApp("client")}});
  cluster_.Put(allow);
  EXPECT_EQ(Decide(),
            std::string(kOpenEgress) + "ingress allowed by default/web\n");
  // A peer without a namespaceSelector is one of the policy's namespace.
  EXPECT_THAT(Decide("other"), ::testing::HasSubstr("ingress denied"));
  EXPECT_THAT(Decide("default", 81), ::testing::HasSubstr("ingress denied"));
}

TEST_F(NetworkPolicyTest, EgressByBlockWithException) {
  NetworkPolicy p = Policy("out", "client", PolicyType::kEgress);
  NetworkPolicyPeer peer;
  peer.ip_block = IpBlock{"10.244.0.0/16", {"10.244.1.6/32"}};
  p.egress.push_back({{}, {peer}});
  cluster_.Put(p);
  EXPECT_THAT(Decide(), ::testing::HasSubstr("egress denied by default/out"));
  p.egress[0].to[0].ip_block->except.clear();
  cluster_.Put(p);
  EXPECT_THAT(Decide(), ::testing::HasSubstr("egress allowed by default/out"));
}

TEST_F(NetworkPolicyTest, PortRangesAndNamedPorts) {
  NetworkPolicy p = Policy("ports", "server", PolicyType::kIngress);
  p.ingress.push_back({{{Protocol::kTcp, 80, 90}}, {}});
  cluster_.Put(p);
  EXPECT_THAT(Decide("default", 90), ::testing::HasSubstr("ingress allowed"));
  EXPECT_THAT(Decide("default", 91), ::testing::HasSubstr("ingress denied"));

  p.ingress[0].ports = {{std::nullopt, std::string("http"), std::nullopt}};
  cluster_.Put(p);
  EXPECT_THAT(Decide("default", 8080), ::testing::HasSubstr("ingress denied"));
  Pod server = *cluster_.pods().Find("default", "server");
  server.spec.containers.push_back(
      {"c", "", {{"http", 8080, 0, "", Protocol::kTcp}}, std::nullopt});
  cluster_.Put(server);
  EXPECT_THAT(Decide("default", 8080), ::testing::HasSubstr("ingress allowed"));
}

TEST_F(NetworkPolicyTest, NamespaceSelectorsSeeTheNamesOfNamespaces) {
  NetworkPolicy p = Policy("ns", "server", PolicyType::kIngress);
  NetworkPolicyPeer peer;
  peer.namespace_selector.emplace().match_expressions.push_back(
      {"kubernetes.io/metadata.name", LabelSelector::Operator::kIn, {"other"}});
  p.ingress.push_back({{}, {peer}});
  cluster_.Put(p);
  EXPECT_THAT(Decide("other"), ::testing::HasSubstr("ingress allowed"));
  EXPECT_THAT(Decide("default"), ::testing::HasSubstr("ingress denied"));
}

TEST_F(NetworkPolicyTest, TheOwnNodeAlwaysReachesItsPods) {
  cluster_.Put(Policy("deny-all", "", PolicyType::kIngress));
  Pod agent = *cluster_.pods().Find("default", "client");
  agent.spec.host_network = true;
  cluster_.Put(agent);
  EXPECT_THAT(Decide(), ::testing::HasSubstr("ingress allowed"));
}

TEST(SelectsTest, Operators) {
  using Operator = LabelSelector::Operator;
  const StringMap labels = {{"a", "1"}};
  auto one = [&](std::string key, Operator op, std::vector<std::string> v) {
    LabelSelector s;
    s.match_expressions.push_back({std::move(key), op, std::move(v)});
    return Selects(s, labels);
  };
  EXPECT_TRUE(one("a", Operator::kIn, {"0", "1"}));
  EXPECT_FALSE(one("b", Operator::kIn, {"1"}));
  EXPECT_TRUE(one("b", Operator::kNotIn, {"1"}));
  EXPECT_FALSE(one("a", Operator::kNotIn, {"1"}));
  EXPECT_TRUE(one("a", Operator::kExists, {}));
  EXPECT_TRUE(one("b", Operator::kDoesNotExist, {}));
}

}  // namespace
}  // namespace k8sdns::journey
