// A unit test with the installed matchers.
#include "k8sdns/journey/trip.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "k8sdns/testing/cluster_builder.h"
#include "k8sdns/testing/matchers.h"

TEST(Trip, TheVipRoutesToItsEndpoint) {
  const k8sdns::Cluster cluster =
      k8sdns::testing::ClusterBuilder()
          .AddNode("node-1", "172.18.0.11", "10.244.1.0/24")
          .AddPod("client", "node-1", "10.244.1.2")
          .AddPod("web-1", "node-1", "10.244.1.5")
          .AddService("web", "10.96.0.20")
          .Port("http", 80, 8080)
          .AddEndpoint("10.244.1.5", "node-1")
          .Build();
  const auto world = k8sdns::journey::World::Create(cluster, {});
  ASSERT_TRUE(world.ok());
  EXPECT_THAT(world->Send(k8sdns::fabric::Place::OfPod("default", "client"),
                          k8sdns::Packet::Tcp(
                              *k8sdns::SocketAddress::Parse("10.244.1.2:40000"),
                              *k8sdns::SocketAddress::Parse("10.96.0.20:80"))),
              k8sdns::testing::RoutesTo("10.244.1.5:8080"));
}
