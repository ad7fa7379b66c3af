#include "k8sdns/dns/kubelet_dns.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace k8sdns::dns {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

NodeDns Node() {
  NodeDns node;
  node.kubelet.cluster_dns = {"10.96.0.10"};
  node.kubelet.cluster_domain = "cluster.local";
  node.resolv_conf_text = "nameserver 10.0.0.2\nsearch ec2.internal\n";
  return node;
}

Pod PodWith(const std::string& policy, bool host_network = false) {
  Pod pod;
  pod.metadata.namespace_ = "default";
  pod.metadata.name = "web-0";
  pod.metadata.uid = "0b1c";
  pod.spec.dns_policy = policy;
  pod.spec.host_network = host_network;
  return pod;
}

TEST(FormPodDns, ClusterFirstAddsTheHostsSearchListOnly) {
  NodeDns node = Node();
  node.resolv_conf_text->append("options timeout:1\n");
  const auto dns = FormPodDns(PodWith("ClusterFirst"), node);
  ASSERT_TRUE(dns.ok());
  EXPECT_EQ(dns->ToResolvConf(),
            "search default.svc.cluster.local svc.cluster.local cluster.local "
            "ec2.internal\n"
            "nameserver 10.96.0.10\n"
            "options ndots:5\n");
}

TEST(FormPodDns, ClusterFirstOnTheHostsNetworkIsDefault) {
  EXPECT_EQ(FormPodDns(PodWith("ClusterFirst", true), Node())->ToResolvConf(),
            "search ec2.internal\nnameserver 10.0.0.2\n");
  EXPECT_THAT(
      FormPodDns(PodWith("ClusterFirstWithHostNet", true), Node())->servers,
      ElementsAre("10.96.0.10"));
}

TEST(FormPodDns, NoClusterDnsFallsBackAndSaysSo) {
  NodeDns node = Node();
  node.kubelet.cluster_dns = {"not an address"};
  const auto dns = FormPodDns(PodWith("ClusterFirst"), node);
  EXPECT_THAT(dns->servers, ElementsAre("10.0.0.2"));
  ASSERT_THAT(dns->events, SizeIs(2));
  EXPECT_EQ(dns->events[0].object, KubeletEvent::Object::kNode);
  EXPECT_EQ(dns->events[1].object, KubeletEvent::Object::kPod);
}

TEST(FormPodDns, AMissingFileFailsEvenPolicyNone) {
  NodeDns node = Node();
  node.resolv_conf_text.reset();
  const auto dns = FormPodDns(PodWith("None"), node);
  EXPECT_EQ(dns.status().message(),
            "open /etc/resolv.conf: no such file or directory");
}

TEST(FormPodDns, NoneWithoutConfigLeavesTheFileToTheRuntime) {
  const auto dns = FormPodDns(PodWith("None"), Node());
  EXPECT_TRUE(dns->CopiesNodeFile());
  EXPECT_EQ(dns->ToResolvConf(), "");
}

TEST(FormPodDns, LimitsCountBeforeTheyDropLongEntries) {
  NodeDns node = Node();
  node.limits = KubeletDnsLimits::kLegacy;
  Pod pod = PodWith("None");
  PodDnsConfig& config = pod.spec.dns_config.emplace();
  config.nameservers = {"1.1.1.1", "2.2.2.2", "3.3.3.3", "4.4.4.4"};
  config.searches = {"a", std::string(254, 'x'), "b", "c", "d", "e", "f"};
  const auto dns = FormPodDns(pod, node);
  EXPECT_THAT(dns->servers, ElementsAre("1.1.1.1", "2.2.2.2", "3.3.3.3"));
  EXPECT_THAT(dns->searches, ElementsAre("a", "b", "c", "d", "e"));
  ASSERT_THAT(dns->events, SizeIs(2));
  EXPECT_EQ(dns->events[1].ToString(),
            "Warning DNSConfigForming Search Line limits were exceeded, some "
            "search paths have been omitted, the applied search line is: "
            "a b c d e");
}

TEST(FormPodDns, OptionsOfTheDnsConfigReplace) {
  Pod pod = PodWith("ClusterFirst");
  PodDnsConfig& config = pod.spec.dns_config.emplace();
  config.options = {{"ndots", "2"}, {"edns0", std::nullopt}};
  EXPECT_THAT(FormPodDns(pod, Node())->options,
              ElementsAre("edns0", "ndots:2"));
}

TEST(FormPodDns, BytesOutsideAsciiAreSpaceOnlyWhereUnicodeSaysSo) {
  NodeDns node = Node();
  node.resolv_conf_text =
      "\xC2\xA0nameserver\xE2\x80\x83"
      "1.1.1.1\xE3\x80\x80rest\nsearch \xFF\xC2 a\xE2";
  const auto dns = FormPodDns(PodWith("Default"), node);
  EXPECT_THAT(dns->servers, ElementsAre("1.1.1.1"));
  EXPECT_THAT(dns->searches, ElementsAre("\xFF\xC2", "a\xE2"));
}

TEST(FormPodDns, AFileOverTheReadLimitIsAnError) {
  NodeDns node = Node();
  node.resolv_conf_text = std::string((10 << 20) + 1, '\n');
  EXPECT_FALSE(FormPodDns(PodWith("Default"), node).ok());
}

TEST(CheckNodeResolvConf, LeavesRoomForTheClustersDomains) {
  NodeDns node = Node();
  node.limits = KubeletDnsLimits::kLegacy;
  node.resolv_conf_text = "search a b c d\n";
  EXPECT_EQ(CheckNodeResolvConf(node)->message,
            "Resolv.conf file '/etc/resolv.conf' contains search line "
            "consisting of more than 3 domains!");
  node.kubelet.cluster_domain.clear();
  EXPECT_EQ(CheckNodeResolvConf(node), std::nullopt);
}

TEST(CheckNodeResolvConf, NothingToCheckWithoutAFile) {
  NodeDns node = Node();
  node.kubelet.resolv_conf = "";
  EXPECT_EQ(CheckNodeResolvConf(node), std::nullopt);
  EXPECT_THAT(FormPodDns(PodWith("Default"), node)->searches, ElementsAre("."));
}

}  // namespace
}  // namespace k8sdns::dns
