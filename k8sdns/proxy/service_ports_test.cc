#include "k8sdns/proxy/service_ports.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "k8sdns/cluster/endpoints.h"

namespace k8sdns::proxy {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

Service Web() {
  Service s;
  s.metadata.namespace_ = "default";
  s.metadata.name = "web";
  s.spec.cluster_ip = "10.96.0.1";
  s.spec.cluster_ips = {"10.96.0.1"};
  s.spec.ip_families = {IpFamily::kIpv4};
  ServicePort http;
  http.name = "http";
  http.port = 80;
  s.spec.ports = {http};
  return s;
}

std::vector<ServicePortInfo> Expand(const Service& service,
                                    IpFamily family = IpFamily::kIpv4,
                                    Dialect dialect = Dialect::kV1_30,
                                    Findings* findings = nullptr) {
  std::vector<ServicePortInfo> ports;
  ExpandService(service, family, {TraitsOf(dialect), ProxyFeatures()}, ports,
                findings);
  return ports;
}

TEST(ExpandService, APortHasTheNameKubeProxyGivesIt) {
  Service s = Web();
  ASSERT_THAT(Expand(s), SizeIs(1));
  EXPECT_EQ(Expand(s)[0].name, "default/web:http");
  EXPECT_EQ(Expand(s)[0].cluster_ip, IpAddress::V4(0x0a600001));
  s.spec.ports[0].name = "";
  EXPECT_EQ(Expand(s)[0].name, "default/web");
}

TEST(ExpandService, WhatIsNotProxiedGivesNothing) {
  Service headless = Web();
  headless.spec.cluster_ip = "None";
  EXPECT_THAT(Expand(headless), IsEmpty());
  Service pending = Web();
  pending.spec.cluster_ip = "";
  EXPECT_THAT(Expand(pending), IsEmpty());
  Service external_name = Web();
  external_name.spec.type = ServiceType::kExternalName;
  EXPECT_THAT(Expand(external_name), IsEmpty());
  EXPECT_THAT(Expand(Web(), IpFamily::kIpv6), IsEmpty());
}

TEST(ExpandService, LabelsHandAServiceToSomeoneElse) {
  Service s = Web();
  s.metadata.labels[kServiceProxyNameLabel] = "";
  EXPECT_THAT(Expand(s), IsEmpty());
  EXPECT_THAT(Expand(s, IpFamily::kIpv4, Dialect::kV1_11), SizeIs(1));
  s.metadata.labels = {{kHeadlessLabel, ""}};
  EXPECT_THAT(Expand(s), IsEmpty());
  EXPECT_THAT(Expand(s, IpFamily::kIpv4, Dialect::kV1_14), SizeIs(1));
}

TEST(ExpandService, AddressesGoToTheirFamily) {
  Service s = Web();
  s.spec.cluster_ips = {"10.96.0.1", "fd00::1"};
  s.spec.ip_families = {IpFamily::kIpv4, IpFamily::kIpv6};
  s.spec.external_ips = {"198.51.100.1", "2001:db8::1", "198.51.100.300"};
  s.spec.load_balancer_source_ranges = {" 203.0.113.7/24", "2001:db8::/32",
                                        "10.0.0.0"};
  Findings findings;
  const auto v4 =
      Expand(s, IpFamily::kIpv4, Dialect::kV1_30, &findings).front();
  EXPECT_THAT(v4.external_ips, ElementsAre(IpAddress::V4(0xc6336401)));
  EXPECT_THAT(v4.source_ranges,
              ElementsAre(*IpPrefix::Parse("203.0.113.0/24")));
  ASSERT_THAT(findings, SizeIs(2));
  EXPECT_EQ(findings[0].ToString(),
            "Service default/web: spec.externalIPs[2]: \"198.51.100.300\" is "
            "not an IP address; it is skipped (ignored)");
  EXPECT_EQ(findings[1].field, "spec.loadBalancerSourceRanges[2]");
  const auto v6 = Expand(s, IpFamily::kIpv6).front();
  EXPECT_EQ(v6.cluster_ip.ToString(), "fd00::1");
  EXPECT_THAT(v6.external_ips, SizeIs(1));
}

TEST(ExpandService, TheTypeIsNotAskedForLoadBalancerStatus) {
  Service s = Web();
  s.load_balancer_ingress = {{"192.0.2.1", "", std::nullopt},
                             {"192.0.2.2", "", IpMode::kProxy},
                             {"", "lb.example.com", std::nullopt}};
  EXPECT_THAT(Expand(s).front().load_balancer_vips,
              ElementsAre(IpAddress::V4(0xc0000201)));
  EXPECT_THAT(
      Expand(s, IpFamily::kIpv4, Dialect::kV1_14).front().load_balancer_vips,
      SizeIs(2));
}

TEST(ExpandService, LocalPolicyNeedsAnExternalWayIn) {
  Service s = Web();
  s.spec.external_traffic_policy = TrafficPolicy::kLocal;
  EXPECT_FALSE(Expand(s).front().external_policy_local);
  s.spec.external_ips = {"198.51.100.1"};
  EXPECT_TRUE(Expand(s).front().external_policy_local);
  EXPECT_FALSE(Expand(s, IpFamily::kIpv4, Dialect::kV1_14)
                   .front()
                   .external_policy_local);
}

TEST(ExpandService, ANameGivenTwiceMeansTheLastPort) {
  Service s = Web();
  s.spec.ports.push_back(s.spec.ports[0]);
  s.spec.ports[1].port = 8080;
  Findings findings;
  const auto ports = Expand(s, IpFamily::kIpv4, Dialect::kV1_30, &findings);
  ASSERT_THAT(ports, SizeIs(1));
  EXPECT_EQ(ports[0].port, 8080);
  EXPECT_THAT(findings, SizeIs(1));
}

TEST(ExpandService, NoPortsIsAFinding) {
  Service s = Web();
  s.spec.ports.clear();
  Findings findings;
  EXPECT_THAT(Expand(s, IpFamily::kIpv4, Dialect::kV1_30, &findings),
              IsEmpty());
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].effect, Finding::Effect::kSkipped);
}

}  // namespace
}  // namespace k8sdns::proxy
