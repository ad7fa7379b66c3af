// Each finding on a broken cluster and on a healthy one.
#include "k8sdns/dns/findings.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "k8sdns/testing/cluster_builder.h"

namespace k8sdns::dns {
namespace {

using ::k8sdns::testing::ClusterBuilder;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

ClusterBuilder Builder(bool ready = true) {
  ClusterBuilder builder;
  builder
      .AddPod("kube-system/coredns-1", "node-1", "10.244.1.2",
              {{"k8s-app", "kube-dns"}})
      .AddService("kube-system/kube-dns", "10.96.0.10",
                  {{"k8s-app", "kube-dns"}})
      .Port("dns", 53, 53, Protocol::kUdp)
      .Port("dns-tcp", 53, 53)
      .AddEndpoint("10.244.1.2", "node-1", ready);
  return builder;
}

DnsCheckOptions Options() {
  DnsCheckOptions options;
  options.node.kubelet.cluster_dns = {"10.96.0.10"};
  options.node.kubelet.cluster_domain = "cluster.local";
  options.node.resolv_conf_text = "nameserver 10.0.0.2\nsearch ec2.internal\n";
  return options;
}

// Few search domains, few dots, and no race: nothing to find.
Pod QuietPod() {
  Pod pod;
  pod.metadata.namespace_ = "default";
  pod.metadata.name = "web-0";
  pod.spec.dns_policy = "ClusterFirst";
  PodDnsConfig& config = pod.spec.dns_config.emplace();
  config.options = {{"ndots", "1"}, {"single-request-reopen", std::nullopt}};
  return pod;
}

std::vector<std::string> Ids(const std::vector<Finding>& findings) {
  std::vector<std::string> ids;
  for (const Finding& finding : findings) ids.push_back(finding.id);
  return ids;
}

std::vector<std::string> IdsOfPod(const Pod& pod,
                                  const DnsCheckOptions& options = Options()) {
  const Cluster cluster = Builder().Build();
  const auto dns = FormPodDns(pod, options.node);
  std::vector<std::string> ids = Ids(CheckPodDns(pod, options.node));
  for (std::string& id : Ids(CheckPodResolver(cluster, pod, *dns, options))) {
    ids.push_back(std::move(id));
  }
  return ids;
}

TEST(CheckDns, AHealthyClusterHasNone) {
  Cluster cluster = Builder().Build();
  Pod coredns = *cluster.pods().Find("kube-system", "coredns-1");
  coredns.spec.dns_policy = "Default";
  PodDnsConfig& config = coredns.spec.dns_config.emplace();
  config.options = {{"single-request-reopen", std::nullopt}};
  cluster.Put(coredns);
  cluster.Put(QuietPod());
  std::string all;
  for (const Finding& f : CheckDns(cluster, Options())) {
    all += f.ToString() + "\n";
  }
  EXPECT_EQ(all, "");
}

TEST(CheckDnsService, Missing) {
  const auto findings = CheckDnsService(Cluster(), Options());
  ASSERT_THAT(Ids(findings), ElementsAre("dns/service-missing"));
  EXPECT_EQ(findings[0].name, "kube-dns");
  EXPECT_THAT(CheckDnsService(Builder().Build(), Options()), IsEmpty());
}

TEST(CheckDnsService, SelectorMatchesNoPod) {
  Cluster cluster = Builder().Build();
  Service service = *cluster.services().Find("kube-system", "kube-dns");
  service.spec.selector = {{"k8s-app", "coredns"}};
  cluster.Put(service);
  const auto findings = CheckDnsService(cluster, Options());
  ASSERT_THAT(Ids(findings), ElementsAre("dns/selector-matches-no-pod"));
  EXPECT_THAT(findings[0].what, HasSubstr("k8s-app=coredns"));
}

TEST(CheckDnsService, NoReadyEndpoints) {
  EXPECT_THAT(Ids(CheckDnsService(Builder(false).Build(), Options())),
              ElementsAre("dns/no-ready-endpoints"));
}

TEST(CheckDnsService, PortMissing) {
  Cluster cluster = Builder().Build();
  Service service = *cluster.services().Find("kube-system", "kube-dns");
  service.spec.ports.resize(1);
  cluster.Put(service);
  auto findings = CheckDnsService(cluster, Options());
  ASSERT_THAT(Ids(findings), ElementsAre("dns/port-missing"));
  EXPECT_THAT(findings[0].what, HasSubstr("53/TCP"));
  EXPECT_EQ(findings[0].severity, Severity::kWarning);
  service.spec.ports[0].protocol = Protocol::kTcp;
  cluster.Put(service);
  findings = CheckDnsService(cluster, Options());
  ASSERT_THAT(Ids(findings), ElementsAre("dns/port-missing"));
  EXPECT_EQ(findings[0].severity, Severity::kError);
}

TEST(CheckNodeDns, NameserverNotVip) {
  const Cluster cluster = Builder().Build();
  DnsCheckOptions options = Options();
  options.node.kubelet.cluster_dns = {"10.96.0.10", "10.96.0.11", "x"};
  const auto findings = CheckNodeDns(cluster, "", options.node, options);
  ASSERT_THAT(Ids(findings),
              ElementsAre("dns/nameserver-not-vip", "dns/nameserver-not-vip"));
  EXPECT_EQ(findings[0].field, "clusterDNS[1]");
  EXPECT_THAT(findings[0].change, HasSubstr("10.96.0.10"));
  // A cache on the node is not the Service.
  options.node.kubelet.cluster_dns = {"169.254.20.10"};
  EXPECT_THAT(CheckNodeDns(cluster, "", options.node, options), IsEmpty());
}

TEST(CheckNodeDns, StubResolverLoop) {
  const Cluster cluster = Builder().Build();
  DnsCheckOptions options = Options();
  options.node.resolv_conf_text = "# stub\nnameserver 127.0.0.53\n";
  const auto findings = CheckNodeDns(cluster, "node-1", options.node, options);
  ASSERT_THAT(Ids(findings), ElementsAre("dns/stub-resolver-loop"));
  EXPECT_EQ(findings[0].what, "/etc/resolv.conf:2: nameserver 127.0.0.53");
  EXPECT_EQ(findings[0].name, "node-1");
}

TEST(CheckNodeDns, NodeLimitAndSandboxFails) {
  const Cluster cluster = Builder().Build();
  DnsCheckOptions options = Options();
  options.node.limits = KubeletDnsLimits::kLegacy;
  options.node.resolv_conf_text = "search a b c d\n";
  EXPECT_THAT(Ids(CheckNodeDns(cluster, "", options.node, options)),
              ElementsAre("dns/node-limit"));
  options.node.resolv_conf_text.reset();
  EXPECT_THAT(Ids(CheckNodeDns(cluster, "", options.node, options)),
              ElementsAre("dns/sandbox-fails"));
}

TEST(CheckPodDns, HostNetworkPolicy) {
  Pod pod = QuietPod();
  EXPECT_THAT(IdsOfPod(pod), IsEmpty());
  pod.spec.host_network = true;
  EXPECT_THAT(IdsOfPod(pod), ElementsAre("dns/host-network-policy"));
  pod.spec.dns_policy = "ClusterFirstWithHostNet";
  EXPECT_THAT(IdsOfPod(pod), IsEmpty());
}

TEST(CheckPodDns, MissingClusterDns) {
  DnsCheckOptions options = Options();
  options.node.kubelet.cluster_dns.clear();
  EXPECT_THAT(IdsOfPod(QuietPod(), options),
              ElementsAre("dns/missing-cluster-dns"));
}

TEST(CheckPodDns, PodLimit) {
  Pod pod = QuietPod();
  for (int i = 0; i < 40; ++i) {
    pod.spec.dns_config->searches.push_back("d" + std::to_string(i));
  }
  EXPECT_THAT(Ids(CheckPodDns(pod, Options().node)),
              ElementsAre("dns/pod-limit"));
}

TEST(CheckPodResolver, QueryAmplificationAndConntrackRace) {
  Pod pod = QuietPod();
  pod.spec.dns_config.reset();
  const Cluster cluster = Builder().Build();
  const auto dns = FormPodDns(pod, Options().node);
  const auto findings = CheckPodResolver(cluster, pod, *dns, Options());
  ASSERT_THAT(Ids(findings),
              ElementsAre("dns/query-amplification", "dns/conntrack-race"));
  // Four domains and the name itself, both families.
  EXPECT_THAT(findings[0].what,
              HasSubstr("10 queries (20 packets) where 2 (4) would do: "
                        "ndots:5 and 4 search domains"));
}

TEST(CheckPodResolver, MuslIgnoresLongLines) {
  Pod pod = QuietPod();
  for (int i = 0; i < 8; ++i) {
    pod.spec.dns_config->searches.push_back(std::string(40, 'x') +
                                            std::to_string(i));
  }
  EXPECT_THAT(IdsOfPod(pod), ElementsAre("dns/musl-ignores-line"));
}

TEST(CheckPodResolver, MuslSearchRoot) {
  Pod pod = QuietPod();
  pod.spec.dns_config->searches = {"."};
  EXPECT_THAT(IdsOfPod(pod), ElementsAre("dns/musl-search-root"));
}

TEST(CheckPodResolver, MuslParallelServers) {
  Pod pod = QuietPod();
  pod.spec.dns_config->nameservers = {"8.8.8.8"};
  EXPECT_THAT(IdsOfPod(pod), ElementsAre("dns/musl-parallel-servers"));
}

ResolverHost Host(const std::string& file) {
  ResolverHost host;
  host.resolv_conf = ResolvConf(file);
  host.addresses = {{*IpAddress::Parse("10.244.0.9"), 24}};
  return host;
}

const std::vector<IpAddress>& Found() {
  static const auto* found =
      new std::vector<IpAddress>{*IpAddress::Parse("10.96.1.1")};
  return *found;
}

// "web.b." exists; `first` is what "web.a." gets.
AnswerSource World(Answer first) {
  return [first](const Question& question) {
    if (question.name == "web.a.") return first;
    if (question.name == "web.b." && question.type == kTypeA) {
      return Answer::Addresses(question, Found());
    }
    if (question.name == "web.b.") return Answer::NoData();
    return Answer::NxDomain();
  };
}

TEST(CheckName, MuslStopsWhereGlibcGoesOn) {
  const ResolverHost host =
      Host("nameserver 10.96.0.10\nsearch a b\noptions ndots:5\n");
  EXPECT_THAT(CheckName("web", host, World(Answer::NxDomain())), IsEmpty());
  const auto no_data = CheckName("web", host, World(Answer::NoData()));
  EXPECT_THAT(Ids(no_data), ElementsAre("dns/musl-fails", "dns/musl-fails",
                                        "dns/musl-fails"));
  EXPECT_THAT(no_data[0].why, HasSubstr("exists without an address"));
  const auto failure = CheckName("web", host, World(Answer::ServFail()));
  ASSERT_THAT(Ids(failure), Contains("dns/musl-fails"));
  EXPECT_THAT(failure[0].why, HasSubstr("SERVFAIL"));
}

TEST(CheckName, OldMuslHasNoTcp) {
  const ResolverHost host = Host("nameserver 10.96.0.10\n");
  const AnswerSource big = [](const Question& question) {
    if (question.type != kTypeA) return Answer::NoData();
    return Answer::Truncated(question, Found());
  };
  const auto findings = CheckName("web.test", host, big);
  ASSERT_THAT(Ids(findings), ElementsAre("dns/musl-fails", "dns/musl-fails"));
  EXPECT_THAT(findings[0].why, HasSubstr("TCP"));
  EXPECT_THAT(findings[1].what, HasSubstr("musl/1.2.3"));
}

TEST(CheckHeadlessServices, HiddenUntilReady) {
  ClusterBuilder builder = Builder();
  builder.AddService("prod/db", "None")
      .Port("pg", 5432, 5432)
      .AddEndpoint("10.244.2.1")
      .AddEndpoint("10.244.2.2", "", false);
  Cluster cluster = builder.Build();
  const auto findings = CheckHeadlessServices(cluster);
  ASSERT_THAT(Ids(findings), ElementsAre("dns/headless-hidden"));
  EXPECT_THAT(findings[0].what, HasSubstr("10.244.2.2"));
  EXPECT_THAT(findings[0].what, Not(HasSubstr("10.244.2.1")));
  Service service = *cluster.services().Find("prod", "db");
  service.spec.publish_not_ready_addresses = true;
  cluster.Put(service);
  EXPECT_THAT(CheckHeadlessServices(cluster), IsEmpty());
}

}  // namespace
}  // namespace k8sdns::dns
