#include "k8sdns/journey/name_lookup.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "k8sdns/testing/cluster_builder.h"

namespace k8sdns::journey {
namespace {

using ::testing::HasSubstr;

class NameLookupTest : public ::testing::Test {
 protected:
  NameLookupTest()
      : cluster_(testing::ClusterBuilder()
                     .AddNode("n", "172.18.0.11")
                     .AddPod("client", "n", "10.244.1.5")
                     .AddService("web", "10.96.0.20", {{"app", "web"}})
                     .Port("http", 80, 8080)
                     .AddEndpoint("10.244.1.6")
                     .Add(DefaultNamespace())
                     .Build()) {
    node_dns_.kubelet.cluster_dns = {"10.96.0.10"};
    node_dns_.kubelet.cluster_domain = "cluster.local";
    node_dns_.resolv_conf_text = "search example.com\nnameserver 192.0.2.1\n";
  }

  static Namespace DefaultNamespace() {
    Namespace ns;
    ns.metadata.name = "default";
    return ns;
  }

  std::string LookUp(absl::string_view name, const NameLookupWorld& world) {
    NameLookupOptions options;
    options.family = dns::LookupFamily::kInet;
    auto lookup = LookUpName(world, *cluster_.pods().Find("default", "client"),
                             name, options);
    return lookup.ok() ? lookup->ToString() : lookup.status().ToString();
  }

  Cluster cluster_;
  dns::NodeDns node_dns_;
};

TEST_F(NameLookupTest, TellsFileQueriesAndResult) {
  EXPECT_EQ(LookUp("web", {cluster_, node_dns_}),
            R"(/etc/resolv.conf of the Pod:
  search default.svc.cluster.local svc.cluster.local cluster.local example.com
      from dnsPolicy ClusterFirst: namespace and clusterDomain, then /etc/resolv.conf of the node
  nameserver 10.96.0.10
      from clusterDNS of the kubelet
  options ndots:5
      from dnsPolicy ClusterFirst
queries (glibc/2.36, server CoreDNS):
  0 10.96.0.10 udp/0 A web.default.svc.cluster.local. -> A 10.96.0.20 (TTL 30 s)
result: OK 10.96.0.20 after 0.0 s and 2 packets
)");
}

TEST_F(NameLookupTest, NamesOutsideGoToTheUpstreamIfThereIsOne) {
  EXPECT_THAT(LookUp("www.example.org", {cluster_, node_dns_}),
              HasSubstr("not modelled; taken as SERVFAIL"));
  NameLookupWorld world{cluster_, node_dns_};
  world.upstream = [](const dns::DnsQuestion& q) {
    dns::DnsResponse r;
    if (q.name == "www.example.org.") {
      r.answer.push_back({q.name, 300, dns::RecordType::kA,
                          *IpAddress::Parse("203.0.113.80")});
    } else {
      r.rcode = dns::Rcode::kNxDomain;
    }
    return r;
  };
  EXPECT_THAT(LookUp("www.example.org", world),
              HasSubstr("result: OK 203.0.113.80 after 0.0 s and 10 packets"));
}

TEST_F(NameLookupTest, DroppedQueriesCostTheResolversPatience) {
  NameLookupWorld world{cluster_, node_dns_};
  world.deliver = [](const Packet&) {
    return Delivery{Delivery::Fate::kDropped, "filter FORWARD policy"};
  };
  EXPECT_THAT(LookUp("web", world), HasSubstr("no answer"));
  EXPECT_THAT(LookUp("web", world), HasSubstr("result: EAI_AGAIN"));
}

TEST_F(NameLookupTest, TheServerIsToldByItsImage) {
  EXPECT_EQ(DetectDnsServer(cluster_), DnsServerKind::kCoreDns);
  Pod pod;
  pod.metadata.name = "kube-dns-1";
  pod.spec.containers.push_back(
      {"kubedns", "docker/ucp-kube-dns:3.1.7", {}, std::nullopt});
  cluster_.Put(pod);
  EXPECT_EQ(DetectDnsServer(cluster_), DnsServerKind::kKubeDns);
}

// The host's search domain answers NODATA: glibc goes on, musl stops there.
TEST_F(NameLookupTest, NamesThatOnlyGlibcFindsAreFindings) {
  NameLookupWorld world{cluster_, node_dns_};
  world.upstream = [](const dns::DnsQuestion& q) {
    dns::DnsResponse r;
    if (q.name == "www.example.org." && q.type == dns::RecordType::kA) {
      r.answer.push_back({q.name, 300, dns::RecordType::kA,
                          *IpAddress::Parse("203.0.113.80")});
    } else if (q.name != "www.example.org.example.com.") {
      r.rcode = q.name == "www.example.org." ? dns::Rcode::kNoError
                                             : dns::Rcode::kNxDomain;
    }
    return r;
  };
  const Pod& pod = *cluster_.pods().Find("default", "client");
  auto found = CheckNames(world, pod, {"www.example.org"});
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_FALSE(found->empty());
  EXPECT_EQ((*found)[0].id, "dns/musl-fails");
  EXPECT_EQ((*found)[0].name, "client");
  auto healthy = CheckNames({cluster_, node_dns_}, pod, {"web"});
  ASSERT_TRUE(healthy.ok()) << healthy.status();
  EXPECT_TRUE(healthy->empty());
}

TEST_F(NameLookupTest, APodWithoutAddressCannotAsk) {
  Pod pod;
  pod.metadata.namespace_ = "default";
  pod.metadata.name = "pending";
  EXPECT_EQ(
      LookUpName({cluster_, node_dns_}, pod, "web", {}).status().message(),
      "Pod default/pending has no address yet");
}

}  // namespace
}  // namespace k8sdns::journey
