#include "k8sdns/testing/cluster_generator.h"

#include <set>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace k8sdns::testing {
namespace {

using ::testing::HasSubstr;

size_t EndpointCount(const Cluster& c, AddressType type) {
  size_t n = 0;
  for (const EndpointSlice& s : c.endpoint_slices()) {
    if (s.address_type == type) n += s.endpoints.size();
  }
  return n;
}

TEST(ClusterGeneratorTest, SameShapeSameCluster) {
  ClusterShape shape;
  shape.node_port = 0.5;
  shape.not_ready = 0.2;
  const Cluster a = GenerateCluster(shape);
  EXPECT_TRUE(Difference(a, GenerateCluster(shape)).empty());
  shape.seed = 2;
  EXPECT_FALSE(Difference(a, GenerateCluster(shape)).empty());
}

TEST(ClusterGeneratorTest, FixedSizes) {
  ClusterShape shape;
  shape.services = 20;
  shape.endpoints_per_service = 150;
  const Cluster c = GenerateCluster(shape);
  EXPECT_EQ(c.services().size(), 20u);
  EXPECT_EQ(c.endpoint_slices().size(), 40u);
  EXPECT_EQ(EndpointCount(c, AddressType::kIpv4), 3000u);
  EXPECT_EQ(c.nodes().size(), 30u);
}

TEST(ClusterGeneratorTest, ZipfKeepsTheSumAndIsSkewed) {
  ClusterShape shape;
  shape.services = 200;
  shape.endpoints_per_service = 5;
  shape.zipf = 1.0;
  const Cluster c = GenerateCluster(shape);
  EXPECT_EQ(EndpointCount(c, AddressType::kIpv4), 1000u);
  const size_t first = c.SlicesOf("ns-000", "svc-000000")[0]->endpoints.size();
  const size_t last = c.SlicesOf("ns-009", "svc-000199")[0]->endpoints.size();
  EXPECT_GT(first, 50u);
  EXPECT_LT(last, 3u);
}

TEST(ClusterGeneratorTest, AddressesAreUniqueAndInTheirNodesCidr) {
  ClusterShape shape;
  shape.services = 50;
  shape.nodes = 2;
  shape.pods = true;
  const Cluster c = GenerateCluster(shape);
  std::set<std::string> seen;
  for (const Pod& p : c.pods()) {
    EXPECT_TRUE(seen.insert(p.status.pod_ip).second) << p.status.pod_ip;
    const Node* node = c.nodes().Find(p.spec.node_name);
    ASSERT_NE(node, nullptr);
    EXPECT_TRUE(IpPrefix::Parse(node->pod_cidr)
                    ->Contains(*IpAddress::Parse(p.status.pod_ip)));
  }
  EXPECT_EQ(seen.size(), 500u);
}

TEST(ClusterGeneratorTest, SharesAreHeld) {
  ClusterShape shape;
  shape.services = 2000;
  shape.endpoints_per_service = 1;
  shape.load_balancer = 0.25;
  shape.headless = 0.1;
  shape.dual_stack = 1;
  size_t balanced = 0;
  size_t headless = 0;
  const Cluster c = GenerateCluster(shape);
  for (const Service& s : c.services()) {
    balanced += s.spec.type == ServiceType::kLoadBalancer;
    headless += s.IsHeadless();
  }
  EXPECT_NEAR(static_cast<double>(headless), 200, 60);
  EXPECT_NEAR(static_cast<double>(balanced), 450, 90);
  EXPECT_EQ(EndpointCount(c, AddressType::kIpv6), 2000u);
}

TEST(ClusterGeneratorTest, BadShapesNameTheField) {
  ClusterShape shape;
  shape.headless = 1.5;
  EXPECT_THAT(CheckShape(shape).message(), HasSubstr("headless: expected 0"));
  shape = {};
  shape.services = 2'000'000;
  EXPECT_THAT(CheckShape(shape).message(), HasSubstr("services"));
  shape = {};
  shape.services = 1'000'000;
  shape.endpoints_per_service = 100;
  EXPECT_THAT(CheckShape(shape).message(), HasSubstr("endpoints_per_service"));
  for (const std::string& name : PresetNames()) {
    EXPECT_TRUE(CheckShape(*FindPreset(name)).ok()) << name;
  }
}

}  // namespace
}  // namespace k8sdns::testing
