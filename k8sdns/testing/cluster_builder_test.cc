#include "k8sdns/testing/cluster_builder.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace k8sdns::testing {
namespace {

TEST(ClusterBuilderTest, BuildsServicesWithTheirEndpoints) {
  const Cluster c =
      ClusterBuilder()
          .AddNode("node-1", "172.18.0.11", "10.244.1.0/24", "zone-a")
          .AddPod("web-1", "node-1", "10.244.1.5", {{"app", "web"}})
          .AddService("web", "10.96.0.20", {{"app", "web"}})
          .Port("http", 80, 8080)
          .NodePort(30080)
          .AddEndpoint("10.244.1.5", "node-1")
          .AddEndpoint("10.244.2.5", "node-2", /*ready=*/false)
          .AddService("kube-system/dns", "10.96.0.10")
          .Port("dns", 53, 53, Protocol::kUdp)
          .Build();

  const Service* web = c.services().Find("default", "web");
  ASSERT_NE(web, nullptr);
  EXPECT_EQ(web->spec.type, ServiceType::kNodePort);
  EXPECT_EQ(web->spec.ports[0].node_port, 30080);
  const auto slices = c.SlicesOf("default", "web");
  ASSERT_EQ(slices.size(), 1u);
  EXPECT_EQ(slices[0]->ports[0].port, 8080);
  EXPECT_EQ(slices[0]->endpoints[0].zone, "zone-a");
  EXPECT_FALSE(slices[0]->endpoints[1].IsReady());
  const Endpoints* legacy = c.endpoints().Find("default", "web");
  ASSERT_NE(legacy, nullptr);
  EXPECT_EQ(legacy->subsets[0].addresses.size(), 1u);
  EXPECT_EQ(legacy->subsets[0].not_ready_addresses.size(), 1u);
  EXPECT_TRUE(c.endpoints().Find("kube-system", "dns")->subsets.empty());
}

TEST(ClusterBuilderDeathTest, MisuseSaysWhatIsWrong) {
  EXPECT_DEATH(ClusterBuilder().NodePort(30080), "there is no Service yet");
  EXPECT_DEATH(ClusterBuilder().AddNode("n", "10.0.0"), "is no IP address");
}

}  // namespace
}  // namespace k8sdns::testing
