#include "k8sdns/testing/cluster_generator.h"

#include <malloc.h>

#include <set>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "k8sdns/cluster/manifest_writer.h"
#include "k8sdns/cluster/snapshot.h"

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

TEST(ClusterGeneratorTest, EndpointsInAll) {
  ClusterShape shape;
  shape.services = 7;
  shape.total_endpoints = 100;
  const Cluster c = GenerateCluster(shape);
  EXPECT_EQ(EndpointCount(c, AddressType::kIpv4), 100u);
  for (const EndpointSlice& s : c.endpoint_slices()) {
    EXPECT_NEAR(static_cast<double>(s.endpoints.size()), 14.3, 1);
  }
}

TEST(ClusterGeneratorTest, Ipv6Alone) {
  ClusterShape shape;
  shape.services = 10;
  shape.ipv6 = 1;
  shape.pods = true;
  shape.load_balancer = 1;
  const Cluster c = GenerateCluster(shape);
  EXPECT_EQ(EndpointCount(c, AddressType::kIpv4), 0u);
  EXPECT_EQ(EndpointCount(c, AddressType::kIpv6), 100u);
  for (const Service& s : c.services()) {
    EXPECT_EQ(IpAddress::Parse(s.spec.cluster_ip)->family(), IpFamily::kIpv6);
    EXPECT_EQ(IpAddress::Parse(s.load_balancer_ingress[0].ip)->family(),
              IpFamily::kIpv6);
  }
  for (const Pod& p : c.pods()) {
    EXPECT_EQ(IpAddress::Parse(p.status.pod_ip)->family(), IpFamily::kIpv6);
  }
}

TEST(ClusterGeneratorTest, NamedTargetsAreNumbersInSlices) {
  ClusterShape shape;
  shape.services = 3;
  shape.ports_per_service = 2;
  shape.named_target = 1;
  shape.sctp = 1;
  const Cluster c = GenerateCluster(shape);
  for (const Service& s : c.services()) {
    EXPECT_EQ(s.spec.ports[1].target_port, PortOrName("port-1"));
    EXPECT_EQ(s.spec.ports[1].protocol, Protocol::kSctp);
  }
  for (const EndpointSlice& s : c.endpoint_slices()) {
    EXPECT_EQ(s.ports[1].port, 8081);
    EXPECT_EQ(s.ports[1].name, "port-1");
  }
}

TEST(ClusterGeneratorTest, AFunctionEndsTheGeneration) {
  ClusterShape shape;
  size_t services = 0;
  const auto take = [](const auto&) { return true; };
  GenerateObjects(shape, {take, [&](const Service&) { return ++services < 3; },
                          take, take, take});
  EXPECT_EQ(services, 3u);
}

// The bytes that the heap has given out; 0 if that cannot be asked for.
size_t HeapInUse() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    !defined(__GLIBC__)
  return 0;
#else
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
#endif
}

MATCHER_P(IsWithinAQuarterOf, actual, "") {
  const double ratio = static_cast<double>(arg) / static_cast<double>(actual);
  *result_listener << "which is " << ratio << " of " << actual;
  return ratio > 0.75 && ratio < 1.25;
}

TEST(ClusterGeneratorTest, SizesAreAsEstimated) {
  ClusterShape plain;
  ClusterShape large;
  large.services = 2000;
  ClusterShape many_endpoints;
  many_endpoints.services = 3;
  many_endpoints.endpoints_per_service = 1500;
  ClusterShape mixed;
  mixed.services = 300;
  mixed.endpoints_per_service = 3;
  mixed.ports_per_service = 4;
  mixed.nodes = 200;
  mixed.load_balancer = 0.2;
  mixed.node_port = 0.3;
  mixed.headless = 0.1;
  mixed.dual_stack = 0.5;
  mixed.pods = true;
  for (const ClusterShape& shape : {plain, large, many_endpoints, mixed}) {
    const ShapeSize size = EstimateSize(shape);
    const size_t before = HeapInUse();
    const Cluster c = GenerateCluster(shape);
    const size_t after = HeapInUse();
    EXPECT_EQ(c.nodes().size(), size.nodes);
    EXPECT_EQ(c.services().size(), size.services);
    EXPECT_THAT(size.slices, IsWithinAQuarterOf(c.endpoint_slices().size()));
    EXPECT_EQ(c.pods().size(), size.pods);
    EXPECT_THAT(size.yaml_bytes, IsWithinAQuarterOf(WriteYaml(c).size()));
    EXPECT_THAT(size.json_bytes, IsWithinAQuarterOf(WriteJson(c).size()));
    EXPECT_THAT(size.proto_bytes, IsWithinAQuarterOf(WriteSnapshot(c)->size()));
    if (after > 0) {
      EXPECT_THAT(size.memory_bytes, IsWithinAQuarterOf(after - before));
    }
  }
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
