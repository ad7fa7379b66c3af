#include "k8sdns/fabric/fabric.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace k8sdns::fabric {
namespace {

using ::testing::HasSubstr;
using ::testing::IsNull;
using ::testing::NotNull;

Node MakeNode(std::string name, std::string address, std::string pod_cidr) {
  Node n;
  n.metadata.name = std::move(name);
  n.addresses.push_back({NodeAddressType::kInternalIp, std::move(address)});
  n.pod_cidrs = {std::move(pod_cidr)};
  return n;
}

Pod MakePod(std::string name, std::string node, std::string ip,
            bool host_network = false) {
  Pod p;
  p.metadata.namespace_ = "default";
  p.metadata.name = std::move(name);
  p.spec.node_name = std::move(node);
  p.spec.host_network = host_network;
  p.status.phase = PodPhase::kRunning;
  p.status.pod_ip = std::move(ip);
  return p;
}

// Two nodes in one subnet, one in another.
Cluster ThreeNodes() {
  Cluster c;
  c.Put(MakeNode("a", "172.18.0.11", "10.244.1.0/24"));
  c.Put(MakeNode("b", "172.18.0.12", "10.244.2.0/24"));
  c.Put(MakeNode("far", "172.18.9.13", "10.244.3.0/24"));
  c.Put(MakePod("web-a", "a", "10.244.1.5"));
  c.Put(MakePod("web-a2", "a", "10.244.1.6"));
  c.Put(MakePod("web-b", "b", "10.244.2.5"));
  c.Put(MakePod("web-far", "far", "10.244.3.5"));
  c.Put(MakePod("agent-b", "b", "172.18.0.12", /*host_network=*/true));
  return c;
}

Fabric Make(NetworkKind kind, const Cluster& cluster = ThreeNodes()) {
  FabricOptions options;
  options.network = kind;
  auto fabric = Fabric::FromCluster(cluster, options);
  EXPECT_TRUE(fabric.ok()) << fabric.status();
  return *std::move(fabric);
}

std::string Way(const Fabric& fabric, const Place& from, const Place& to) {
  auto path = fabric.FindPath(from, to);
  if (!path.ok()) return path.status().ToString();
  std::string out;
  for (const Hop& h : path->hops) absl::StrAppend(&out, h.description, "\n");
  absl::StrAppend(&out, "mtu ", path->Mtu(), "\n");
  return out;
}

const Place kWebA = Place::OfPod("default", "web-a");
const Place kWebB = Place::OfPod("default", "web-b");
const Place kWebFar = Place::OfPod("default", "web-far");

TEST(FabricTest, IpipTravelsInTheTunnel) {
  EXPECT_EQ(Way(Make(NetworkKind::kCalicoIpip), kWebA, kWebB),
            "eth0 of pod default/web-a -> cali" +
                CalicoVethName("default", "web-a").substr(4) +
                " of node a\n"
                "tunl0 of node a: IP in IP 172.18.0.11 -> 172.18.0.12\n"
                "wire 172.18.0.11 -> 172.18.0.12\n"
                "arrives by eth0 of node b\n" +
                CalicoVethName("default", "web-b") +
                " of node b -> eth0 of pod default/web-b\n"
                "mtu 1480\n");
}

TEST(FabricTest, CrossSubnetEncapsulatesOnlyBetweenSubnets) {
  const Fabric f = Make(NetworkKind::kCalicoIpipCrossSubnet);
  EXPECT_THAT(Way(f, kWebA, kWebB), HasSubstr("not encapsulated"));
  EXPECT_THAT(Way(f, kWebA, kWebFar),
              HasSubstr("IP in IP 172.18.0.11 -> 172.18.9.13\n"
                        "wire 172.18.0.11 -> 172.18.9.13 through the router"));
}

TEST(FabricTest, BgpAndCloudRoutesDoNotEncapsulate) {
  for (NetworkKind kind :
       {NetworkKind::kCalicoBgp, NetworkKind::kCloudRoutes}) {
    const std::string way = Way(Make(kind), kWebA, kWebFar);
    EXPECT_THAT(way, HasSubstr("not encapsulated"));
    EXPECT_THAT(way, HasSubstr("mtu 1500"));
  }
}

TEST(FabricTest, BridgePodsOfOneNodeStayOnIt) {
  const std::string way = Way(Make(NetworkKind::kBridgeVxlan), kWebA,
                              Place::OfPod("default", "web-a2"));
  EXPECT_THAT(way, HasSubstr("on bridge cni0 of node a\nbridge cni0, veth"));
  EXPECT_THAT(way, HasSubstr("mtu 1450"));
}

TEST(FabricTest, HostNetworkPodsAreTheirNode) {
  const std::string way = Way(Make(NetworkKind::kCalicoIpip), kWebA,
                              Place::OfPod("default", "agent-b"));
  EXPECT_THAT(way, HasSubstr("eth0 of node a\nwire 172.18.0.11"));
}

TEST(FabricTest, OutsideReachesNodes) {
  EXPECT_EQ(
      Way(Make(NetworkKind::kCalicoIpip), Place::Outside(), Place::OfNode("b")),
      "router -> eth0 of node b\narrives by eth0 of node b\nmtu 1500\n");
}

TEST(FabricTest, UnknownPlacesAreNotFound) {
  auto path = Make(NetworkKind::kCalicoIpip)
                  .FindPath(kWebA, Place::OfPod("default", "nobody"));
  EXPECT_EQ(path.status().message(),
            "pod default/nobody is not in the network");
}

TEST(FabricTest, MtuSaysWhichLinkIsNarrow) {
  auto path = Make(NetworkKind::kCalicoVxlan).FindPath(kWebA, kWebB);
  ASSERT_TRUE(path.ok());
  EXPECT_TRUE(path->Fits(1450));
  EXPECT_FALSE(path->Fits(1451));
  EXPECT_THAT(path->Narrow(1450), IsNull());
  ASSERT_THAT(path->Narrow(1460), NotNull());
  EXPECT_EQ(path->Narrow(1460)->interface, "eth0");
}

TEST(FabricTest, NodesHaveTheRoutesThatCalicoWrites) {
  const Fabric f = Make(NetworkKind::kCalicoIpip);
  const NodeNetwork& a = *f.FindNode("a");
  auto route = [&](absl::string_view to) {
    const Route* r = a.RouteTo(*IpAddress::Parse(to));
    return r == nullptr ? std::string("none") : r->ToString();
  };
  EXPECT_EQ(route("10.244.1.5"),
            "10.244.1.5 dev " + CalicoVethName("default", "web-a"));
  EXPECT_EQ(route("10.244.1.7"), "blackhole 10.244.1.0/26");
  EXPECT_EQ(route("10.244.2.5"), "10.244.2.0/26 via 172.18.0.12 dev tunl0");
  EXPECT_EQ(route("172.18.0.12"), "172.18.0.0/24 dev eth0");
  EXPECT_EQ(route("8.8.8.8"), "default via 172.18.0.1 dev eth0");
  EXPECT_EQ(f.NodeOf(*IpAddress::Parse("10.244.2.5")), "b");
  EXPECT_EQ(f.NodeOf(*IpAddress::Parse("8.8.8.8")), "");
}

TEST(FabricTest, NetworkIsToldFromTheNodes) {
  auto detect = [](std::string key, std::string value) {
    Cluster c;
    Node n = MakeNode("a", "172.18.0.11", "10.244.1.0/24");
    n.metadata.annotations[key] = value;
    c.Put(n);
    return std::string(NetworkKindName(DetectNetwork(c)));
  };
  EXPECT_EQ(detect("projectcalico.org/IPv4IPIPTunnelAddr", "10.244.1.1"),
            "calico-ipip");
  EXPECT_EQ(detect("projectcalico.org/IPv4Address", "172.18.0.11/20"),
            "calico-bgp");
  EXPECT_EQ(detect("flannel.alpha.coreos.com/backend-type", "host-gw"),
            "bridge-routes");
  EXPECT_EQ(detect("x", "y"), "bridge-vxlan");
  for (NetworkKind kind : AllNetworkKinds()) {
    EXPECT_EQ(ParseNetworkKind(NetworkKindName(kind)), kind);
  }
}

TEST(FabricTest, BadAddressesAreNamed) {
  Cluster c = ThreeNodes();
  c.Put(MakePod("odd", "a", "10.244.1"));
  EXPECT_THAT(Fabric::FromCluster(c).status().message(),
              HasSubstr("pod default/odd: found address \"10.244.1\""));
  Cluster d;
  Node n;
  n.metadata.name = "bare";
  d.Put(n);
  EXPECT_THAT(Fabric::FromCluster(d).status().message(),
              HasSubstr("node bare: no InternalIP"));
}

TEST(FabricTest, DotHoldsEveryPlace) {
  const std::string dot = Make(NetworkKind::kCalicoIpip).ToDot();
  EXPECT_THAT(dot, HasSubstr("pod default/web-far"));
  EXPECT_THAT(dot, HasSubstr("tunnel a -> far"));
}

}  // namespace
}  // namespace k8sdns::fabric
