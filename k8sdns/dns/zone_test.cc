#include "k8sdns/dns/zone.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "k8sdns/dns/forward_table.h"
#include "k8sdns/testing/cluster_builder.h"

namespace k8sdns::dns {
namespace {

using ::k8sdns::testing::ClusterBuilder;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Namespace Named(const std::string& name) {
  Namespace ns;
  ns.metadata.name = name;
  return ns;
}

Service ExternalName(const std::string& name, const std::string& target) {
  Service service;
  service.metadata.name = name;
  service.metadata.namespace_ = "prod";
  service.spec.type = ServiceType::kExternalName;
  service.spec.external_name = target;
  return service;
}

Endpoint ReadyEndpoint(const std::string& ip, const std::string& hostname = "",
                       bool ready = true) {
  Endpoint endpoint;
  endpoint.addresses = {ip};
  endpoint.ready = ready;
  if (!hostname.empty()) endpoint.hostname = hostname;
  return endpoint;
}

// A StatefulSet's Service, its slice and its Endpoints object.
void AddDatabase(Cluster& cluster) {
  Service service;
  service.metadata.name = "db";
  service.metadata.namespace_ = "prod";
  service.spec.cluster_ip = "None";
  service.spec.cluster_ips = {"None"};
  ServicePort port;
  port.name = "pg";
  port.port = 5432;
  service.spec.ports.push_back(port);
  cluster.Put(service);

  EndpointSlice slice;
  slice.metadata.name = "db-x";
  slice.metadata.namespace_ = "prod";
  slice.metadata.labels[kServiceNameLabel] = "db";
  slice.ports.push_back({"pg", Protocol::kTcp, 5432, std::nullopt});
  slice.endpoints = {ReadyEndpoint("10.244.2.1", "db-0"),
                     ReadyEndpoint("10.244.2.2"),
                     ReadyEndpoint("10.244.2.3", "db-2", false)};
  cluster.Put(slice);

  Endpoints endpoints;
  endpoints.metadata = service.metadata;
  EndpointSubset subset;
  subset.addresses = {{"10.244.2.1", "db-0", {}, {}},
                      {"10.244.2.2", "", {}, {}}};
  subset.not_ready_addresses = {{"10.244.2.3", "db-2", {}, {}}};
  subset.ports = slice.ports;
  endpoints.subsets = {subset};
  cluster.Put(endpoints);
}

Cluster TestCluster() {
  Cluster cluster = ClusterBuilder()
                        .Add(Named("prod"))
                        .Add(Named("default"))
                        .AddService("prod/web", "10.96.1.1")
                        .Port("http", 80, 8080)
                        .Port("dns", 53, 53, Protocol::kUdp)
                        .AddEndpoint("10.244.1.4")
                        .AddService("prod/idle", "10.96.1.5")
                        .Port("http", 80, 8080)
                        .AddPod("default/client", "node", "10.244.9.9")
                        .Build();
  AddDatabase(cluster);
  cluster.Put(ExternalName("site", "www.example.com"));
  cluster.Put(ExternalName("inner", "WEB.prod.svc.cluster.local"));
  cluster.Put(ExternalName("ping", "pong.prod.svc.cluster.local"));
  cluster.Put(ExternalName("pong", "ping.prod.svc.cluster.local"));
  cluster.Put(ExternalName("ip", "10.1.2.3"));
  return cluster;
}

ForwardTable World() {
  ForwardTable table;
  table.Add({"www.example.com.", 300, RecordType::kA,
             *IpAddress::Parse("203.0.113.80")});
  return table;
}

// "NAME [TYPE]" to the printed reply.
std::string Ask(const Zone& zone, const std::string& name,
                RecordType type = RecordType::kA,
                const std::string& client = "10.244.9.9") {
  DnsQuestion question;
  question.name = name;
  question.type = type;
  question.client = *IpAddress::Parse(client);
  const auto response = zone.Answer(question);
  if (!response.ok()) return std::string(response.status().message());
  return response->ToString();
}

Zone CoreDns(CoreDnsOptions options = {}) {
  options.ttl = 30;
  auto zone = Zone::Create(TestCluster(), options, World());
  EXPECT_TRUE(zone.ok()) << zone.status();
  return *std::move(zone);
}

Zone KubeDns() {
  auto zone = Zone::Create(TestCluster(), KubeDnsOptions(), World());
  EXPECT_TRUE(zone.ok()) << zone.status();
  return *std::move(zone);
}

constexpr char kCoreNoData[] =
    "NOERROR aa; authority cluster.local. 30 SOA ns.dns.cluster.local. "
    "hostmaster.cluster.local. 0 7200 1800 86400 30";
constexpr char kCoreNoName[] =
    "NXDOMAIN aa; authority cluster.local. 30 SOA ns.dns.cluster.local. "
    "hostmaster.cluster.local. 0 7200 1800 86400 30";
constexpr char kKubeNoData[] =
    "NOERROR aa ra; authority cluster.local. 60 SOA ns.dns.cluster.local. "
    "hostmaster.cluster.local. 0 28800 7200 604800 60";
constexpr char kKubeNoName[] =
    "NXDOMAIN; authority cluster.local. 60 SOA ns.dns.cluster.local. "
    "hostmaster.cluster.local. 0 28800 7200 604800 60";

TEST(CoreDns, ServicesByName) {
  const Zone zone = CoreDns();
  EXPECT_EQ(Ask(zone, "web.prod.svc.cluster.local"),
            "NOERROR aa; web.prod.svc.cluster.local. 30 A 10.96.1.1");
  EXPECT_EQ(Ask(zone, "web.prod.svc.cluster.local", RecordType::kAaaa),
            kCoreNoData);
  EXPECT_EQ(Ask(zone, "gone.prod.svc.cluster.local"), kCoreNoName);
  EXPECT_EQ(Ask(zone, "web.nowhere.svc.cluster.local"), kCoreNoName);
  EXPECT_EQ(Ask(zone, "prod.svc.cluster.local"), kCoreNoData);
  EXPECT_EQ(Ask(zone, "nowhere.svc.cluster.local"), kCoreNoName);
  EXPECT_EQ(Ask(zone, "web.prod.svc.cluster.local", RecordType::kAny),
            kCoreNoData);
}

TEST(CoreDns, AnswersInTheCaseOfTheQuestion) {
  EXPECT_EQ(
      Ask(CoreDns(), "_HTTP._tcp.Web.prod.svc.Cluster.Local", RecordType::kSrv),
      "NOERROR aa; _HTTP._tcp.Web.prod.svc.Cluster.Local. 30 SRV 0 100 "
      "80 web.prod.svc.Cluster.Local.; additional "
      "web.prod.svc.Cluster.Local. 30 A 10.96.1.1");
}

TEST(CoreDns, HeadlessNamesHideEndpointsThatAreNotReady) {
  const Zone zone = CoreDns();
  EXPECT_EQ(Ask(zone, "db.prod.svc.cluster.local"),
            "NOERROR aa; db.prod.svc.cluster.local. 30 A 10.244.2.1; "
            "db.prod.svc.cluster.local. 30 A 10.244.2.2");
  EXPECT_EQ(Ask(zone, "db-0.db.prod.svc.cluster.local"),
            "NOERROR aa; db-0.db.prod.svc.cluster.local. 30 A 10.244.2.1");
  EXPECT_THAT(Ask(zone, "10-244-2-2.db.prod.svc.cluster.local"),
              HasSubstr("10.244.2.2"));
  EXPECT_EQ(Ask(zone, "db-2.db.prod.svc.cluster.local"), kCoreNoName);
  EXPECT_THAT(Ask(zone, "10-244-1-4.web.prod.svc.cluster.local"),
              HasSubstr("A 10.244.1.4"));
}

TEST(CoreDns, ExternalNames) {
  const Zone zone = CoreDns();
  EXPECT_EQ(Ask(zone, "site.prod.svc.cluster.local"),
            "NOERROR aa; site.prod.svc.cluster.local. 30 CNAME "
            "www.example.com.; www.example.com. 300 A 203.0.113.80");
  EXPECT_EQ(Ask(zone, "inner.prod.svc.cluster.local"),
            "NOERROR aa; inner.prod.svc.cluster.local. 30 CNAME "
            "WEB.prod.svc.cluster.local.; WEB.prod.svc.cluster.local. 30 A "
            "10.96.1.1");
  EXPECT_EQ(Ask(zone, "ping.prod.svc.cluster.local"), kCoreNoData);
  EXPECT_EQ(Ask(zone, "ip.prod.svc.cluster.local"), kCoreNoName);
  EXPECT_EQ(Ask(zone, "site.prod.svc.cluster.local", RecordType::kSrv),
            kCoreNoData);
  EXPECT_EQ(Ask(zone, "_http._tcp.site.prod.svc.cluster.local"), kCoreNoName);
}

TEST(CoreDns, PodsByMode) {
  CoreDnsOptions options;
  const std::string pod = "10-244-9-9.default.pod.cluster.local";
  const std::string none = "10-244-9-8.default.pod.cluster.local";
  EXPECT_EQ(Ask(CoreDns(options), pod), kCoreNoName);
  options.pods = CoreDnsOptions::Pods::kInsecure;
  EXPECT_THAT(Ask(CoreDns(options), none), HasSubstr("A 10.244.9.8"));
  EXPECT_THAT(Ask(CoreDns(options), "fd00--1.default.pod.cluster.local",
                  RecordType::kAaaa),
              HasSubstr("AAAA fd00::1"));
  options.pods = CoreDnsOptions::Pods::kVerified;
  EXPECT_THAT(Ask(CoreDns(options), pod), HasSubstr("A 10.244.9.9"));
  EXPECT_EQ(Ask(CoreDns(options), none), kCoreNoName);
  EXPECT_EQ(Ask(CoreDns(options), "10-244-9-9.prod.pod.cluster.local"),
            kCoreNoName);
}

TEST(CoreDns, ReverseNamesAndFallthrough) {
  CoreDnsOptions options;
  const Zone zone = CoreDns(options);
  EXPECT_EQ(Ask(zone, "1.1.96.10.in-addr.arpa", RecordType::kPtr),
            "NOERROR aa; 1.1.96.10.in-addr.arpa. 30 PTR "
            "web.prod.svc.cluster.local.");
  EXPECT_EQ(Ask(zone, "1.2.244.10.in-addr.arpa", RecordType::kPtr),
            "NOERROR aa; 1.2.244.10.in-addr.arpa. 30 PTR "
            "db-0.db.prod.svc.cluster.local.");
  EXPECT_THAT(Ask(zone, "9.9.9.9.in-addr.arpa", RecordType::kPtr),
              StartsWith("NXDOMAIN aa; authority in-addr.arpa. 30 SOA"));
  options.fallthrough = {"in-addr.arpa"};
  EXPECT_EQ(Ask(CoreDns(options), "9.9.9.9.in-addr.arpa", RecordType::kPtr),
            "NXDOMAIN ra");
}

TEST(CoreDns, ReverseZonesFromAddressRanges) {
  CoreDnsOptions options;
  options.reverse_zones = {"10.96.0.0/15", "fd00:96::/30"};
  const Zone zone = CoreDns(options);
  EXPECT_THAT(Ask(zone, "1.1.96.10.in-addr.arpa", RecordType::kPtr),
              HasSubstr("web.prod"));
  EXPECT_THAT(Ask(zone, "97.10.in-addr.arpa", RecordType::kSoa),
              HasSubstr("97.10.in-addr.arpa. 30 SOA"));
  EXPECT_EQ(Ask(zone, "98.10.in-addr.arpa", RecordType::kSoa), "NXDOMAIN ra");
  EXPECT_THAT(Ask(zone, "9.9.0.0.0.d.f.ip6.arpa", RecordType::kSoa),
              HasSubstr("NXDOMAIN ra"));
  EXPECT_THAT(Ask(zone, "7.9.0.0.0.0.d.f.ip6.arpa", RecordType::kSoa),
              HasSubstr("7.9.0.0.0.0.d.f.ip6.arpa. 30 SOA"));
}

TEST(CoreDns, ASliceWithoutAServiceMakesAReplyThatCannotBeSent) {
  Cluster cluster = TestCluster();
  EndpointSlice slice;
  slice.metadata.name = "loose";
  slice.metadata.namespace_ = "prod";
  slice.endpoints = {ReadyEndpoint("10.244.3.3")};
  cluster.Put(slice);
  const auto zone = Zone::Create(cluster, CoreDnsOptions());
  EXPECT_EQ(Ask(*zone, "3.3.244.10.in-addr.arpa", RecordType::kPtr),
            "no reply");
}

TEST(CoreDns, NameServersStandBehindAService) {
  CoreDnsOptions options;
  EXPECT_EQ(Ask(CoreDns(options), "cluster.local", RecordType::kNs),
            kCoreNoData);
  options.server_addresses = {*IpAddress::Parse("10.244.1.4")};
  EXPECT_EQ(Ask(CoreDns(options), "cluster.local", RecordType::kNs),
            "NOERROR aa; cluster.local. 30 NS web.prod.svc.cluster.local.; "
            "additional web.prod.svc.cluster.local. 30 A 10.96.1.1");
  options.server_addresses = {*IpAddress::Parse("192.0.2.1")};
  EXPECT_EQ(Ask(CoreDns(options), "ns.dns.cluster.local"),
            "NOERROR aa; ns.dns.cluster.local. 30 A 192.0.2.1");
}

TEST(CoreDns, IgnoreEmptyServiceAndNoEndpoints) {
  CoreDnsOptions options;
  options.ignore_empty_service = true;
  EXPECT_EQ(Ask(CoreDns(options), "idle.prod.svc.cluster.local"), kCoreNoName);
  EXPECT_THAT(Ask(CoreDns(options), "web.prod.svc.cluster.local"),
              HasSubstr("10.96.1.1"));
  options.ignore_empty_service = false;
  options.no_endpoints = true;
  EXPECT_EQ(Ask(CoreDns(options), "db.prod.svc.cluster.local"), kCoreNoName);
}

TEST(CoreDns, ExposesOnlyTheNamespacesAskedFor) {
  CoreDnsOptions options;
  options.namespaces = {"default"};
  EXPECT_EQ(Ask(CoreDns(options), "web.prod.svc.cluster.local"), kCoreNoName);
  options.namespaces = {"prod"};
  EXPECT_THAT(Ask(CoreDns(options), "web.prod.svc.cluster.local"),
              HasSubstr("10.96.1.1"));
}

TEST(CoreDns, AutopathWalksTheSearchListOfTheClient) {
  CoreDnsOptions options;
  options.pods = CoreDnsOptions::Pods::kVerified;
  options.autopath = true;
  const Zone zone = CoreDns(options);
  EXPECT_EQ(Ask(zone, "web.prod.default.svc.cluster.local"),
            "NOERROR aa; web.prod.default.svc.cluster.local. 30 CNAME "
            "web.prod.svc.cluster.local.; web.prod.svc.cluster.local. 30 A "
            "10.96.1.1");
  EXPECT_THAT(Ask(zone, "www.example.com.default.svc.cluster.local"),
              HasSubstr("CNAME www.example.com."));
  // Only for Pods that are known.
  EXPECT_EQ(Ask(zone, "web.prod.default.svc.cluster.local", RecordType::kA,
                "192.0.2.7"),
            kCoreNoName);
}

TEST(CoreDns, VersionAndTransfers) {
  const Zone zone = CoreDns();
  EXPECT_EQ(Ask(zone, "dns-version.cluster.local", RecordType::kTxt),
            "NOERROR aa; dns-version.cluster.local. 28800 TXT \"1.1.0\"");
  EXPECT_EQ(Ask(zone, "cluster.local", RecordType::kAxfr), "REFUSED");
}

TEST(CoreDns, WithoutAnUpstream) {
  const auto zone = Zone::Create(TestCluster(), CoreDnsOptions());
  EXPECT_EQ(Ask(*zone, "www.example.com"), "SERVFAIL");
}

TEST(CoreDns, OptionsThatCannotBe) {
  const auto error = [](const CoreDnsOptions& options) {
    return std::string(Zone::Create(Cluster(), options).status().message());
  };
  EXPECT_THAT(error({.ttl = 3601}), HasSubstr("expected 0 to 3600"));
  EXPECT_THAT(error({.zones = {"a..b"}}), HasSubstr("empty label"));
  EXPECT_THAT(error({.zones = {}}), HasSubstr("not a reverse zone"));
  EXPECT_THAT(error({.labels = "a in b"}), HasSubstr("label selector"));
  EXPECT_THAT(error({.namespaces = {"a"}, .namespace_labels = "b"}),
              HasSubstr("found both"));
}

TEST(KubeDns, ServicesByName) {
  const Zone zone = KubeDns();
  EXPECT_EQ(Ask(zone, "web.prod.svc.cluster.local"),
            "NOERROR aa ra; web.prod.svc.cluster.local. 30 A 10.96.1.1");
  EXPECT_EQ(Ask(zone, "web.prod.svc.cluster.local", RecordType::kAaaa),
            kKubeNoData);
  EXPECT_EQ(Ask(zone, "default.svc.cluster.local"), kKubeNoName);
  EXPECT_EQ(Ask(zone, "web.prod.svc.cluster.local", RecordType::kAny),
            "REFUSED");
  // Endpoints of Services with an address of their own are not known.
  EXPECT_EQ(Ask(zone, "10-244-1-4.web.prod.svc.cluster.local"), kKubeNoName);
}

TEST(KubeDns, PortsByName) {
  EXPECT_EQ(
      Ask(KubeDns(), "_http._tcp.web.prod.svc.cluster.local", RecordType::kSrv),
      "NOERROR aa ra; _http._tcp.web.prod.svc.cluster.local. 30 SRV 10 "
      "100 80 web.prod.svc.cluster.local.; additional "
      "web.prod.svc.cluster.local. 30 A 10.96.1.1");
}

TEST(KubeDns, HeadlessNamesComeFromEndpointsObjects) {
  const Zone zone = KubeDns();
  EXPECT_EQ(Ask(zone, "db.prod.svc.cluster.local"),
            "NOERROR aa ra; db.prod.svc.cluster.local. 30 A 10.244.2.1; "
            "db.prod.svc.cluster.local. 30 A 10.244.2.2");
  EXPECT_THAT(Ask(zone, "db-0.db.prod.svc.cluster.local"),
              HasSubstr("10.244.2.1"));
  // Only hostnames have reverse names.
  EXPECT_THAT(Ask(zone, "1.2.244.10.in-addr.arpa", RecordType::kPtr),
              HasSubstr("PTR db-0.db.prod.svc.cluster.local."));
  EXPECT_EQ(Ask(zone, "2.2.244.10.in-addr.arpa", RecordType::kPtr),
            "NXDOMAIN ra");
}

TEST(KubeDns, Wildcards) {
  const Zone zone = KubeDns();
  EXPECT_EQ(Ask(zone, "web.*.svc.cluster.local"),
            "NOERROR aa ra; web.*.svc.cluster.local. 30 A 10.96.1.1");
  EXPECT_THAT(Ask(zone, "*.db.prod.svc.cluster.local"),
              HasSubstr("10.244.2.2"));
  EXPECT_EQ(Ask(zone, "*._tcp.web.prod.svc.cluster.local"), kKubeNoName);
}

TEST(KubeDns, ExternalNames) {
  const Zone zone = KubeDns();
  EXPECT_EQ(Ask(zone, "site.prod.svc.cluster.local"),
            "NOERROR aa ra; site.prod.svc.cluster.local. 30 CNAME "
            "www.example.com.; www.example.com. 30 A 203.0.113.80");
  EXPECT_EQ(Ask(zone, "ip.prod.svc.cluster.local"),
            "NOERROR aa ra; ip.prod.svc.cluster.local. 30 A 10.1.2.3");
  EXPECT_EQ(Ask(zone, "ping.prod.svc.cluster.local"), kKubeNoData);
  // They are entries of their namespace, which so has an address.
  EXPECT_THAT(Ask(zone, "prod.svc.cluster.local"),
              HasSubstr("prod.svc.cluster.local. 30 A 10.1.2.3"));
}

TEST(KubeDns, PodNamesAreTakenAtTheirWord) {
  const Zone zone = KubeDns();
  EXPECT_EQ(Ask(zone, "8-8-8-8.nowhere.pod.cluster.local"),
            "NOERROR aa ra; 8-8-8-8.nowhere.pod.cluster.local. 30 A 8.8.8.8");
  EXPECT_EQ(Ask(zone, "x.nowhere.pod.cluster.local"), kKubeNoData);
  // A question that ends the server process.
  EXPECT_THAT(Ask(zone, "8-8-8-8.prod.pod.cluster.local", RecordType::kSrv),
              HasSubstr("the server crashes"));
}

TEST(KubeDns, ForwardsNamesOfTwoLabelsAndMore) {
  const Zone zone = KubeDns();
  EXPECT_EQ(Ask(zone, "www.example.com"),
            "NOERROR ra; www.example.com. 300 A 203.0.113.80");
  EXPECT_EQ(Ask(zone, "web"), "SERVFAIL ra");
}

TEST(KubeDns, SaysItsVersion) {
  DnsQuestion question;
  question.name = "version.bind.";
  question.type = RecordType::kTxt;
  question.klass = RecordClass::kChaos;
  EXPECT_EQ(KubeDns().Answer(question)->ToString(),
            "NOERROR aa ra; version.bind. 0 TXT \"2.5.3a\"");
}

TEST(Zone, NamesThatNoQuestionCanCarry) {
  for (const Zone& zone : {CoreDns(), KubeDns()}) {
    EXPECT_THAT(Ask(zone, "a..cluster.local"), HasSubstr("empty label"));
    EXPECT_THAT(Ask(zone, std::string(64, 'x') + ".cluster.local"),
                HasSubstr("64 bytes"));
    EXPECT_THAT(Ask(zone, "b\xC3\xBC.prod.svc.cluster.local"),
                StartsWith("NXDOMAIN"));
  }
}

}  // namespace
}  // namespace k8sdns::dns
