#include "k8sdns/fabric/fabric_diagram.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "k8sdns/fabric/fabric_text.h"
#include "k8sdns/testing/cluster_builder.h"

namespace k8sdns::fabric {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Cluster TwoNodes() {
  return testing::ClusterBuilder()
      .AddNode("a", "172.18.0.11", "10.244.1.0/24")
      .AddNode("b", "172.18.0.12", "10.244.2.0/24")
      .AddPod("web", "a", "10.244.1.5")
      .Build();
}

diagram::Diagram Draw(NetworkKind kind) {
  const Cluster cluster = TwoNodes();
  FabricOptions options;
  options.network = kind;
  auto fabric = Fabric::FromCluster(cluster, options);
  EXPECT_TRUE(fabric.ok()) << fabric.status();
  return DiagramOf(*fabric, cluster);
}

TEST(FabricDiagramTest, PodsHangOnTheirNodesAndNodesOnTheWire) {
  const diagram::Diagram d = Draw(NetworkKind::kCalicoIpip);
  EXPECT_EQ(d.title, "Network: calico-ipip");
  EXPECT_THAT(d.lanes, ElementsAre("node a", "node b", "between the nodes"));
  ASSERT_EQ(d.boxes.size(), 4u);
  EXPECT_EQ(d.boxes[0].title, "pod default/web");
  EXPECT_THAT(d.boxes[1].lines,
              ::testing::Contains(HasSubstr("tunl0 mtu 1480")));
  ASSERT_EQ(d.arrows.size(), 3u);
  EXPECT_EQ(d.arrows[0].label, CalicoVethName("default", "web"));
  EXPECT_EQ(d.arrows[1].label, "eth0, tunl0");
}

TEST(FabricTextTest, ATreeOfNodes) {
  const Cluster cluster = TwoNodes();
  FabricOptions options;
  options.network = NetworkKind::kBridgeRoutes;
  auto fabric = Fabric::FromCluster(cluster, options);
  ASSERT_TRUE(fabric.ok()) << fabric.status();
  EXPECT_EQ(FabricToText(*fabric, cluster),
            "network bridge-routes\n"
            "node a\n"
            "  devices\n"
            "    lo  loopback  mtu 65536  127.0.0.1/8  ::1/128\n"
            "    eth0  wire  mtu 1500  172.18.0.11/24\n"
            "    cni0  bridge  mtu 1500  10.244.1.1/24\n"
            "    veth68caf03a  veth  mtu 1500\n"
            "  routes\n"
            "    172.18.0.0/24 dev eth0\n"
            "    10.244.1.0/24 dev cni0\n"
            "    10.244.2.0/24 via 172.18.0.12 dev eth0\n"
            "    default via 172.18.0.1 dev eth0\n"
            "  pods\n"
            "    default/web  10.244.1.5  by cni0\n"
            "node b\n"
            "  devices\n"
            "    lo  loopback  mtu 65536  127.0.0.1/8  ::1/128\n"
            "    eth0  wire  mtu 1500  172.18.0.12/24\n"
            "    cni0  bridge  mtu 1500  10.244.2.1/24\n"
            "  routes\n"
            "    172.18.0.0/24 dev eth0\n"
            "    10.244.2.0/24 dev cni0\n"
            "    10.244.1.0/24 via 172.18.0.11 dev eth0\n"
            "    default via 172.18.0.1 dev eth0\n");
}

TEST(FabricDiagramTest, PodsHangOnTheBridge) {
  const diagram::Diagram d = Draw(NetworkKind::kBridgeRoutes);
  EXPECT_EQ(d.arrows[0].label, "cni0");
  EXPECT_EQ(d.arrows[1].label, "eth0");
}

}  // namespace
}  // namespace k8sdns::fabric
