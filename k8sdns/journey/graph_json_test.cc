#include "gtest/gtest.h"
#include "k8sdns/journey/chain_graph_json.h"
#include "k8sdns/journey/fabric_json.h"
#include "k8sdns/netfilter/iptables_save.h"
#include "k8sdns/testing/cluster_builder.h"

namespace k8sdns::journey {
namespace {

TEST(GraphJsonTest, Chains) {
  const auto rules = netfilter::ParseIptablesSave(
      "*raw\n:PREROUTING ACCEPT [0:0]\n:A - [0:0]\n:B - [0:0]\n"
      "-A PREROUTING -j A\n-A PREROUTING -p tcp -g A\nCOMMIT\n",
      IpFamily::kIpv4);
  ASSERT_TRUE(rules.ok()) << rules.status();
  const auto json = ChainGraphToJson(
      netfilter::ChainGraph(*rules->table(netfilter::TableId::kRaw)));
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_EQ(*json,
            "{\n"
            " \"table\": \"raw\",\n"
            " \"chains\": [\n"
            "  {\n"
            "   \"name\": \"PREROUTING\",\n"
            "   \"built_in\": true,\n"
            "   \"reachable\": true,\n"
            "   \"rules\": 2,\n"
            "   \"calls\": [\n"
            "    {\n"
            "     \"chain\": \"A\",\n"
            "     \"rules\": 1\n"
            "    },\n"
            "    {\n"
            "     \"chain\": \"A\",\n"
            "     \"rules\": 1,\n"
            "     \"goto\": true\n"
            "    }\n"
            "   ]\n"
            "  },\n"
            "  {\n"
            "   \"name\": \"OUTPUT\",\n"
            "   \"built_in\": true,\n"
            "   \"reachable\": true\n"
            "  },\n"
            "  {\n"
            "   \"name\": \"A\",\n"
            "   \"reachable\": true\n"
            "  },\n"
            "  {\n"
            "   \"name\": \"B\"\n"
            "  }\n"
            " ],\n"
            " \"max_depth\": 1\n"
            "}\n");
}

TEST(GraphJsonTest, Network) {
  const Cluster cluster = testing::ClusterBuilder()
                              .AddNode("a", "172.18.0.11", "10.244.1.0/24")
                              .AddPod("web", "a", "10.244.1.5")
                              .Build();
  fabric::FabricOptions options;
  options.network = fabric::NetworkKind::kBridgeRoutes;
  const auto fabric = fabric::Fabric::FromCluster(cluster, options);
  ASSERT_TRUE(fabric.ok()) << fabric.status();
  const auto json = FabricToJson(*fabric, cluster);
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_EQ(*json,
            "{\n"
            " \"network\": \"bridge-routes\",\n"
            " \"nodes\": [\n"
            "  {\n"
            "   \"name\": \"a\",\n"
            "   \"interfaces\": [\n"
            "    {\n"
            "     \"name\": \"lo\",\n"
            "     \"kind\": \"loopback\",\n"
            "     \"mtu\": 65536,\n"
            "     \"addresses\": [\n"
            "      \"127.0.0.1/8\",\n"
            "      \"::1/128\"\n"
            "     ]\n"
            "    },\n"
            "    {\n"
            "     \"name\": \"eth0\",\n"
            "     \"kind\": \"wire\",\n"
            "     \"mtu\": 1500,\n"
            "     \"addresses\": [\n"
            "      \"172.18.0.11/24\"\n"
            "     ]\n"
            "    },\n"
            "    {\n"
            "     \"name\": \"cni0\",\n"
            "     \"kind\": \"bridge\",\n"
            "     \"mtu\": 1500,\n"
            "     \"addresses\": [\n"
            "      \"10.244.1.1/24\"\n"
            "     ]\n"
            "    },\n"
            "    {\n"
            "     \"name\": \"veth68caf03a\",\n"
            "     \"kind\": \"veth\",\n"
            "     \"mtu\": 1500\n"
            "    }\n"
            "   ],\n"
            "   \"routes\": [\n"
            "    {\n"
            "     \"destination\": \"172.18.0.0/24\",\n"
            "     \"dev\": \"eth0\"\n"
            "    },\n"
            "    {\n"
            "     \"destination\": \"10.244.1.0/24\",\n"
            "     \"dev\": \"cni0\"\n"
            "    },\n"
            "    {\n"
            "     \"destination\": \"0.0.0.0/0\",\n"
            "     \"via\": \"172.18.0.1\",\n"
            "     \"dev\": \"eth0\"\n"
            "    }\n"
            "   ],\n"
            "   \"pods\": [\n"
            "    {\n"
            "     \"namespace\": \"default\",\n"
            "     \"name\": \"web\",\n"
            "     \"addresses\": [\n"
            "      \"10.244.1.5\"\n"
            "     ],\n"
            "     \"device\": \"cni0\"\n"
            "    }\n"
            "   ]\n"
            "  }\n"
            " ]\n"
            "}\n");
}

}  // namespace
}  // namespace k8sdns::journey
