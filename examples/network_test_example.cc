// The unit test of a network tool, without root and without a cluster: build
// the cluster that the tool works on, let the tool do its work, and say what
// has to become of packets and names.
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/journey/diagnose.h"
#include "k8sdns/journey/name_lookup.h"
#include "k8sdns/journey/trip.h"
#include "k8sdns/testing/cluster_builder.h"
#include "k8sdns/testing/matchers.h"

namespace {

using k8sdns::Cluster;
using k8sdns::Packet;
using k8sdns::Service;
using k8sdns::SocketAddress;
using k8sdns::fabric::Place;
using k8sdns::journey::Trip;
using k8sdns::testing::ClusterBuilder;
using k8sdns::testing::HasFinding;
using k8sdns::testing::IsDropped;
using k8sdns::testing::IsRejectedWith;
using k8sdns::testing::ResolvesTo;
using k8sdns::testing::RoutesToOneOf;
using k8sdns::testing::SendsQueries;
using ::testing::AllOf;
using ::testing::Not;

// ---- the tool under test: opens a Service to one network, and no other ----

Service OpenToOffice(Service service, const std::string& network) {
  service.spec.load_balancer_source_ranges = {network};
  return service;
}

// ---- its test ----

class OpenToOfficeTest : public ::testing::Test {
 protected:
  OpenToOfficeTest()
      : cluster_(
            ClusterBuilder()
                .AddNode("node-1", "172.18.0.11", "10.244.1.0/24")
                .AddNode("node-2", "172.18.0.12", "10.244.2.0/24")
                .AddPod("default/client", "node-1", "10.244.1.5")
                .AddPod("shop/web-1", "node-1", "10.244.1.6", {{"app", "web"}})
                .AddPod("shop/web-2", "node-2", "10.244.2.6", {{"app", "web"}})
                .AddService("shop/web", "10.96.0.20", {{"app", "web"}})
                .Port("http", 80, 8080)
                .LoadBalancer("192.0.2.10")
                .AddEndpoint("10.244.1.6", "node-1")
                .AddEndpoint("10.244.2.6", "node-2")
                .AddService("shop/queue", "10.96.0.30", {{"app", "queue"}})
                .Port("amqp", 5672, 5672)
                .Build()) {
    cluster_.Put(OpenToOffice(*cluster_.services().Find("shop", "web"),
                              "203.0.113.0/24"));
  }

  absl::StatusOr<std::vector<Trip>> Send(const Place& from,
                                         const std::string& source,
                                         const std::string& target) const {
    k8sdns::journey::WorldOptions options;
    options.proxy.cluster_cidr = "10.244.0.0/16";
    auto world = k8sdns::journey::World::Create(cluster_, options);
    if (!world.ok()) return world.status();
    return world->Send(from, Packet::Tcp(*SocketAddress::Parse(source),
                                         *SocketAddress::Parse(target)));
  }

  Cluster cluster_;
};

TEST_F(OpenToOfficeTest, TheOfficeReachesEveryEndpoint) {
  EXPECT_THAT(Send(Place::Outside(), "203.0.113.7:40000", "192.0.2.10:80"),
              RoutesToOneOf("10.244.1.6:8080", "10.244.2.6:8080"));
}

TEST_F(OpenToOfficeTest, OthersAreDropped) {
  EXPECT_THAT(Send(Place::Outside(), "198.51.100.7:40000", "192.0.2.10:80"),
              IsDropped());
}

TEST_F(OpenToOfficeTest, InsideTheClusterNothingChanges) {
  const Place client = Place::OfPod("default", "client");
  EXPECT_THAT(Send(client, "10.244.1.5:40000", "10.96.0.20:80"),
              RoutesToOneOf("Pod shop/web-1", "Pod shop/web-2"));
  EXPECT_THAT(Send(client, "10.244.1.5:40000", "10.96.0.30:5672"),
              IsRejectedWith("icmp-port-unreachable"));
}

TEST_F(OpenToOfficeTest, NamesStayAsTheyAre) {
  k8sdns::dns::NodeDns node_dns;
  node_dns.kubelet.cluster_dns = {"10.96.0.10"};
  node_dns.kubelet.cluster_domain = "cluster.local";
  node_dns.resolv_conf_text = "nameserver 192.0.2.53\n";
  k8sdns::journey::NameLookupOptions options;
  options.family = k8sdns::dns::LookupFamily::kInet;
  k8sdns::Namespace shop;
  shop.metadata.name = "shop";
  cluster_.Put(shop);
  EXPECT_THAT(
      k8sdns::journey::LookUpName({cluster_, node_dns},
                                  *cluster_.pods().Find("default", "client"),
                                  "web.shop", options),
      AllOf(ResolvesTo("10.96.0.20"),
            SendsQueries("A web.shop.default.svc.cluster.local.",
                         "A web.shop.svc.cluster.local.")));
}

TEST_F(OpenToOfficeTest, WhatElseIsWrongIsFound) {
  EXPECT_THAT(
      k8sdns::journey::CheckRouting(cluster_, {}),
      AllOf(HasFinding("routing/no-endpoints", "Service shop/queue"),
            Not(HasFinding("routing/no-endpoints", "Service shop/web"))));
}

}  // namespace
