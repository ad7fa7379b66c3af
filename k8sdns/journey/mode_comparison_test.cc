#include "k8sdns/journey/mode_comparison.h"

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
      .AddPod("client", "b", "10.244.2.5", {{"app", "client"}})
      .AddPod("web-a", "a", "10.244.1.6", {{"app", "web"}});
  return b;
}

ModeComparison Compare(const Cluster& cluster,
                       proxy::Dialect dialect = proxy::Dialect::kV1_30) {
  ModeComparisonOptions options;
  options.world.dialect = dialect;
  options.world.proxy.cluster_cidr = "10.244.0.0/16";
  auto comparison = CompareModes(cluster, options);
  EXPECT_TRUE(comparison.ok()) << comparison.status();
  return *std::move(comparison);
}

// The differing probes whose description contains `what`.
std::vector<ModeDifference> About(const ModeComparison& comparison,
                                  absl::string_view what) {
  std::vector<ModeDifference> out;
  for (const ModeDifference& d : comparison.differences) {
    if (d.probe.what.find(std::string(what)) != std::string::npos) {
      out.push_back(d);
    }
  }
  return out;
}

TEST(ModeComparisonTest, ClusterIpsGoToTheSameEndpoints) {
  ClusterBuilder b = TwoNodes();
  b.AddPod("web-b", "b", "10.244.2.6", {{"app", "web"}});
  b.AddService("web", "10.96.0.20")
      .Port("http", 80, 8080)
      .AddEndpoint("10.244.1.6", "a")
      .AddEndpoint("10.244.2.6", "b");
  const Cluster cluster = b.Build();
  const ModeComparison c = Compare(cluster);
  EXPECT_GE(c.probes, 6u);
  EXPECT_THAT(About(c, "web:http, cluster IP, "), ::testing::IsEmpty())
      << c.ToString();
}

// The address is on kube-ipvs0 of every node; 1.30 rejects in KUBE-IPVS-FILTER
// what is not for a service port.
TEST(ModeComparisonTest, InIpvsModeNodesOwnTheClusterIps) {
  const Cluster cluster = TwoNodes()
                              .AddService("web", "10.96.0.20")
                              .Port("http", 80, 8080)
                              .AddEndpoint("10.244.1.6", "a")
                              .Build();
  for (absl::string_view what :
       {"ping of the cluster IP, from pod default/cl",
        "a port that the Service lacks, from pod def"}) {
    const auto now = About(Compare(cluster), what);
    ASSERT_EQ(now.size(), 1u);
    EXPECT_THAT(now[0].iptables.ToString(), HasSubstr("outside: leaves"));
    EXPECT_THAT(now[0].ipvs.ToString(),
                HasSubstr("rejected with icmp-port-unreachable by node b"));
    const auto then = About(Compare(cluster, proxy::Dialect::kV1_14), what);
    ASSERT_EQ(then.size(), 1u);
    EXPECT_THAT(then[0].ipvs.ToString(), HasSubstr("arrives: node b"));
  }
}

TEST(ModeComparisonTest, IpvsHasNoNodePortsAtLocalhost) {
  const Cluster cluster = TwoNodes()
                              .AddService("web", "10.96.0.20")
                              .Port("http", 80, 8080)
                              .NodePort(30080)
                              .AddEndpoint("10.244.1.6", "a")
                              .Build();
  const ModeComparison c = Compare(cluster);
  const auto local = About(c, "node port at localhost, from node a");
  ASSERT_EQ(local.size(), 1u) << c.ToString();
  EXPECT_THAT(local[0].iptables.ToString(),
              HasSubstr("arrives: Pod default/web-a at 10.244.1.6:8080, "
                        "masqueraded"));
  EXPECT_THAT(local[0].ipvs.ToString(),
              ::testing::Not(HasSubstr("arrives: Pod")));
}

// Outside clients that the source ranges shut out are dropped by both, and
// policy Local keeps sources in both.
TEST(ModeComparisonTest, SourceRangesAndPolicyLocal) {
  ClusterBuilder b = TwoNodes();
  b.AddService("web", "10.96.0.20")
      .Port("http", 80, 8080)
      .NodePort(30080)
      .LoadBalancer("192.0.2.10")
      .ExternalPolicy(TrafficPolicy::kLocal)
      .AddEndpoint("10.244.1.6", "a");
  Cluster cluster = b.Build();
  Service s = *cluster.services().Find("default", "web");
  s.spec.load_balancer_source_ranges = {"198.51.100.0/24"};
  cluster.Put(s);
  const ModeComparison c = Compare(cluster);
  EXPECT_THAT(About(c, "load balancer address, from outside by node a"),
              ::testing::IsEmpty())
      << c.ToString();
  EXPECT_THAT(
      About(c,
            "load balancer address, from outside (of 198.51.100.0/24) by "
            "node a"),
      ::testing::IsEmpty())
      << c.ToString();
}

TEST(ModeComparisonTest, GivenProbesAreComparedAlone) {
  const Cluster cluster = TwoNodes()
                              .AddService("web", "10.96.0.20")
                              .Port("http", 80, 8080)
                              .AddEndpoint("10.244.1.6", "a")
                              .Build();
  const ModeProbe probe = {"mine", Place::OfPod("default", "client"),
                           Packet::Tcp(*SocketAddress::Parse("10.244.2.5:1"),
                                       *SocketAddress::Parse("10.96.0.20:80"))};
  ModeComparisonOptions options;
  auto comparison = CompareModes(cluster, options, {&probe, 1});
  ASSERT_TRUE(comparison.ok()) << comparison.status();
  EXPECT_EQ(comparison->probes, 1u);
  EXPECT_THAT(comparison->ToString(), HasSubstr("0 of 1 probes"));
  options.max_probes = 0;
  comparison = CompareModes(cluster, options, {&probe, 1});
  ASSERT_TRUE(comparison.ok());
  EXPECT_THAT(comparison->ToString(), HasSubstr("1 more were not sent"));
}

}  // namespace
}  // namespace k8sdns::journey
