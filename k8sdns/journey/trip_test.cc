#include "k8sdns/journey/trip.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "k8sdns/testing/cluster_builder.h"

namespace k8sdns::journey {
namespace {

using fabric::Place;
using testing::ClusterBuilder;
using ::testing::HasSubstr;

ClusterBuilder TwoNodes() {
  ClusterBuilder b;
  b.AddNode("a", "172.18.0.11", "10.244.1.0/24")
      .AddNode("b", "172.18.0.12", "10.244.2.0/24")
      .AddPod("client", "a", "10.244.1.5", {{"app", "client"}})
      .AddPod("web-a", "a", "10.244.1.6", {{"app", "web"}})
      .AddPod("web-b", "b", "10.244.2.6", {{"app", "web"}});
  return b;
}

WorldOptions Options(
    fabric::NetworkKind network = fabric::NetworkKind::kCalicoIpip) {
  WorldOptions o;
  o.proxy.cluster_cidr = "10.244.0.0/16";
  o.fabric.network = network;
  return o;
}

std::vector<Trip> Send(const Cluster& cluster, const Place& from,
                       const Packet& packet,
                       const WorldOptions& options = Options()) {
  auto world = World::Create(cluster, options);
  EXPECT_TRUE(world.ok()) << world.status();
  auto trips = world->Send(from, packet);
  EXPECT_TRUE(trips.ok()) << trips.status();
  return *std::move(trips);
}

Packet Tcp(absl::string_view from, absl::string_view to) {
  return Packet::Tcp(*SocketAddress::Parse(from), *SocketAddress::Parse(to));
}

const Place kClient = Place::OfPod("default", "client");

TEST(TripTest, AVipIsBalancedAndTheReplyComesFromIt) {
  const Cluster c = TwoNodes()
                        .AddService("web", "10.96.0.20")
                        .Port("http", 80, 8080)
                        .AddEndpoint("10.244.1.6", "a")
                        .AddEndpoint("10.244.2.6", "b")
                        .Build();
  for (auto kind : fabric::AllNetworkKinds()) {
    const std::vector<Trip> trips = Send(
        c, kClient, Tcp("10.244.1.5:40000", "10.96.0.20:80"), Options(kind));
    ASSERT_EQ(trips.size(), 2u) << fabric::NetworkKindName(kind);
    EXPECT_EQ(trips[0].receiver, "Pod default/web-a");
    EXPECT_EQ(trips[1].receiver, "Pod default/web-b");
    for (const Trip& t : trips) {
      EXPECT_DOUBLE_EQ(t.probability, 0.5);
      EXPECT_TRUE(t.reply_arrives) << fabric::NetworkKindName(kind) << "\n"
                                   << t.ToString();
      EXPECT_EQ(t.reply_received.ToString(),
                "TCP 10.96.0.20:80 > 10.244.1.5:40000");
    }
  }
}

TEST(TripTest, AServiceWithoutEndpointsRejects) {
  const Cluster c =
      TwoNodes().AddService("web", "10.96.0.20").Port("http", 80, 80).Build();
  const std::vector<Trip> trips =
      Send(c, kClient, Tcp("10.244.1.5:40000", "10.96.0.20:80"));
  ASSERT_EQ(trips.size(), 1u);
  EXPECT_EQ(trips[0].fate, Trip::Fate::kRejected);
  EXPECT_EQ(trips[0].reason, "rejected with icmp-port-unreachable by node a");
}

TEST(TripTest, PoliciesDenyAtThePodsInterface) {
  Cluster c = TwoNodes().Build();
  NetworkPolicy deny;
  deny.metadata.namespace_ = "default";
  deny.metadata.name = "deny-web";
  deny.pod_selector.match_labels["app"] = "web";
  c.Put(deny);
  const std::vector<Trip> trips =
      Send(c, kClient, Tcp("10.244.1.5:40000", "10.244.2.6:8080"));
  ASSERT_EQ(trips.size(), 1u);
  EXPECT_EQ(trips[0].fate, Trip::Fate::kDenied);
  EXPECT_THAT(trips[0].ToString(),
              HasSubstr("ingress denied by default/deny-web"));
}

TEST(TripTest, NodesReachNodePortsOfEachOther) {
  const Cluster c = TwoNodes()
                        .AddService("web", "10.96.0.20")
                        .Port("http", 80, 8080)
                        .NodePort(30080)
                        .AddEndpoint("10.244.1.6", "a")
                        .Build();
  const std::vector<Trip> trips = Send(
      c, Place::OfNode("a"), Tcp("172.18.0.11:40000", "172.18.0.12:30080"));
  ASSERT_EQ(trips.size(), 1u);
  EXPECT_EQ(trips[0].receiver, "Pod default/web-a");
  EXPECT_TRUE(trips[0].reply_arrives) << trips[0].ToString();
}

TEST(TripTest, InIpvsModeAnyServerMayBeNext) {
  const Cluster c = TwoNodes()
                        .AddService("web", "10.96.0.20")
                        .Port("http", 80, 8080)
                        .AddEndpoint("10.244.1.6", "a")
                        .AddEndpoint("10.244.2.6", "b")
                        .Build();
  WorldOptions options = Options();
  options.proxy.mode = ProxyMode::kIpvs;
  const std::vector<Trip> trips =
      Send(c, kClient, Tcp("10.244.1.5:40000", "10.96.0.20:80"), options);
  ASSERT_EQ(trips.size(), 2u);
  EXPECT_EQ(trips[0].receiver, "Pod default/web-b");
  EXPECT_EQ(trips[1].receiver, "Pod default/web-a");
  for (const Trip& t : trips) {
    EXPECT_NEAR(t.probability, 0.5, 1e-9);
    EXPECT_TRUE(t.reply_arrives) << t.ToString();
    EXPECT_EQ(t.reply_received.ToString(),
              "TCP 10.96.0.20:80 > 10.244.1.5:40000");
    EXPECT_THAT(t.ToString(), HasSubstr("=> by IPVS: destination"));
    EXPECT_THAT(t.ToString(), HasSubstr("=> by IPVS: source"));
  }
}

// One endpoint, on node a.
ClusterBuilder OneEndpoint() {
  ClusterBuilder b = TwoNodes();
  b.AddService("web", "10.96.0.20")
      .Port("http", 80, 8080)
      .NodePort(30080)
      .LoadBalancer("192.0.2.10")
      .AddEndpoint("10.244.1.6", "a");
  return b;
}

TEST(TripTest, ClientsOutsideUseNodePorts) {
  const Cluster c = OneEndpoint().Build();
  const std::vector<Trip> trips =
      Send(c, Place::Outside(), Tcp("203.0.113.7:40000", "172.18.0.12:30080"));
  ASSERT_EQ(trips.size(), 1u);
  EXPECT_EQ(trips[0].receiver, "Pod default/web-a");
  // Node b has masqueraded it, so that the reply comes back to it.
  EXPECT_EQ(trips[0].received.src.ToString(), "172.18.0.12");
  EXPECT_TRUE(trips[0].reply_arrives) << trips[0].ToString();
  EXPECT_EQ(trips[0].reply_received.ToString(),
            "TCP 172.18.0.12:30080 > 203.0.113.7:40000");
}

TEST(TripTest, LoadBalancersChooseAnyNode) {
  const Cluster c = OneEndpoint().Build();
  for (ProxyMode mode : {ProxyMode::kIptables, ProxyMode::kIpvs}) {
    WorldOptions options = Options();
    options.proxy.mode = mode;
    const std::vector<Trip> trips =
        Send(c, Place::Outside(), Tcp("203.0.113.7:40000", "192.0.2.10:80"),
             options);
    ASSERT_EQ(trips.size(), 2u);
    for (const Trip& t : trips) {
      EXPECT_DOUBLE_EQ(t.probability, 0.5);
      EXPECT_EQ(t.receiver, "Pod default/web-a");
      EXPECT_TRUE(t.reply_arrives) << t.ToString();
    }
  }
}

TEST(TripTest, WithPolicyLocalTheHealthCheckChoosesTheNodes) {
  ClusterBuilder b = OneEndpoint();
  b.ExternalPolicy(TrafficPolicy::kLocal);
  const Cluster c = b.Build();
  const std::vector<Trip> trips =
      Send(c, Place::Outside(), Tcp("203.0.113.7:40000", "192.0.2.10:80"));
  ASSERT_EQ(trips.size(), 1u);
  EXPECT_EQ(trips[0].received.src.ToString(), "203.0.113.7");
  EXPECT_TRUE(trips[0].reply_arrives) << trips[0].ToString();
  // A router that sends it to the wrong node loses it.
  const std::vector<Trip> wrong =
      Send(c, Place::Outside("b"), Tcp("203.0.113.7:40000", "192.0.2.10:80"));
  ASSERT_EQ(wrong.size(), 1u);
  EXPECT_EQ(wrong[0].fate, Trip::Fate::kDropped);
}

TEST(TripTest, ABalancerOfModeProxyUsesTheNodePort) {
  Cluster c = OneEndpoint().Build();
  Service s = *c.services().Find("default", "web");
  s.load_balancer_ingress[0].ip_mode = IpMode::kProxy;
  c.Put(s);
  const std::vector<Trip> trips =
      Send(c, Place::Outside(), Tcp("203.0.113.7:40000", "192.0.2.10:80"));
  ASSERT_EQ(trips.size(), 2u);
  for (const Trip& t : trips) {
    EXPECT_TRUE(t.reply_arrives) << t.ToString();
    EXPECT_EQ(t.reply_received.src_port, 30080);
  }
}

TEST(TripTest, NothingOutsideRoutesClusterIps) {
  const std::vector<Trip> trips =
      Send(OneEndpoint().Build(), Place::Outside(),
           Tcp("203.0.113.7:40000", "10.96.0.20:80"));
  ASSERT_EQ(trips.size(), 1u);
  EXPECT_EQ(trips[0].fate, Trip::Fate::kDropped);
  EXPECT_EQ(trips[0].reason,
            "nothing outside routes 10.96.0.20 to the cluster");
}

TEST(TripTest, UnknownAddressesGoOutside) {
  const std::vector<Trip> trips =
      Send(TwoNodes().Build(), kClient, Tcp("10.244.1.5:40000", "8.8.8.8:53"));
  ASSERT_EQ(trips.size(), 1u);
  EXPECT_EQ(trips[0].fate, Trip::Fate::kOutside);
  EXPECT_EQ(trips[0].reason, "leaves the cluster by eth0 of node a");
}

TEST(TripTest, UnknownSourcesAreErrors) {
  const Cluster c = TwoNodes().Build();
  auto world = World::Create(c, Options());
  ASSERT_TRUE(world.ok());
  EXPECT_EQ(world->Send(Place::OfPod("default", "nobody"), Packet())
                .status()
                .message(),
            "pod default/nobody is not in the cluster");
  EXPECT_EQ(world->Send(Place::OfNode("z"), Packet()).status().message(),
            "node z is not in the cluster");
}

TEST(TripTest, TooManyTripsAreRefused) {
  ClusterBuilder b = TwoNodes();
  b.AddService("web", "10.96.0.20").Port("http", 80, 8080);
  for (int i = 0; i < 20; ++i) {
    b.AddEndpoint("10.244.1." + std::to_string(100 + i), "a");
  }
  WorldOptions options = Options();
  options.max_trips = 10;
  const Cluster c = b.Build();
  auto world = World::Create(c, options);
  ASSERT_TRUE(world.ok());
  EXPECT_EQ(world->Send(kClient, Tcp("10.244.1.5:40000", "10.96.0.20:80"))
                .status()
                .code(),
            absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace k8sdns::journey
