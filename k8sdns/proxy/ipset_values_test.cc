#include "k8sdns/proxy/ipset_values.h"

#include "gtest/gtest.h"
#include "k8sdns/testing/cluster_builder.h"

namespace k8sdns::proxy {
namespace {

using testing::ClusterBuilder;

TEST(IpsetValuesTest, AreWhatTheTextReadsAs) {
  ClusterBuilder b;
  b.AddNode("a", "172.18.0.11", "10.244.1.0/24");
  b.AddService("web", "10.96.0.20")
      .Port("http", 80, 8080)
      .NodePort(30080)
      .LoadBalancer("192.0.2.10")
      .ExternalIp("198.51.100.1")
      .AddEndpoint("10.244.1.6", "a");
  Cluster cluster = b.Build();
  Service ranged = *cluster.services().Find("default", "web");
  ranged.spec.load_balancer_source_ranges = {"203.0.113.0/24"};
  cluster.Put(ranged);
  KubeProxyConfig config;
  config.mode = ProxyMode::kIpvs;
  config.hostname_override = "a";
  auto compiler = IpvsCompiler::Create(cluster, config);
  ASSERT_TRUE(compiler.ok()) << compiler.status();
  const std::string text = PrintSets(compiler->Sets());
  ASSERT_NE(text.find("192.0.2.10,tcp:80,203.0.113.0/24"), std::string::npos)
      << text;
  auto read = netfilter::ParseIpsetSave(text);
  ASSERT_TRUE(read.ok()) << read.status();
  const netfilter::IpSets values = ToIpSets(compiler->Sets());
  EXPECT_EQ(netfilter::PrintIpsetSave(values),
            netfilter::PrintIpsetSave(*read));
  for (size_t i = 0; i < values.sets.size(); ++i) {
    for (size_t j = 0; j < values.sets[i].elements.size(); ++j) {
      const netfilter::IpSetElement& e = values.sets[i].elements[j];
      const netfilter::IpSetElement& r = read->sets[i].elements[j];
      EXPECT_EQ(e.prefix_lengths, r.prefix_lengths) << values.sets[i].name;
      EXPECT_EQ(e.protocol, r.protocol) << values.sets[i].name;
    }
  }
}

}  // namespace
}  // namespace k8sdns::proxy
