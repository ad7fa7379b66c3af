// What IptablesCompiler writes, where recordings do not show it: dialect 1.11,
// options of newer versions, explanations, findings, bad configuration.
#include "k8sdns/proxy/iptables_compiler.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "k8sdns/testing/cluster_builder.h"

namespace k8sdns::proxy {
namespace {

using ::testing::AllOf;
using testing::ClusterBuilder;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

KubeProxyConfig Config() {
  KubeProxyConfig config;
  config.hostname_override = "node-1";
  config.cluster_cidr = "10.244.0.0/16";
  return config;
}

IptablesCompiler Compiler(const Cluster& cluster, const KubeProxyConfig& config,
                          const IptablesOptions& options = {}) {
  auto compiler = IptablesCompiler::Create(cluster, config, options);
  EXPECT_TRUE(compiler.ok()) << compiler.status();
  return *std::move(compiler);
}

// The lines that contain `what`.
std::vector<std::string> Lines(IptablesCompiler& compiler,
                               absl::string_view what,
                               IpFamily family = IpFamily::kIpv4) {
  std::string text;
  compiler.PrintTo(family, IptablesCompiler::Print::kTables, text);
  std::vector<std::string> out;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::StrContains(line, what)) out.emplace_back(line);
  }
  return out;
}

ClusterBuilder OneNode() {
  return ClusterBuilder().AddNode("node-1", "172.18.0.11", "10.244.1.0/24",
                                  "a");
}

// The rules that a Docker EE 2.1 node showed for kube-dns.
TEST(IptablesDialect, V1_11CommentsServiceAndEndpointRules) {
  KubeProxyConfig config = Config();
  config.cluster_cidr = "192.168.0.0/16";
  const Cluster cluster = OneNode()
                              .AddService("kube-system/kube-dns", "10.96.0.10")
                              .Port("dns", 53, 53, Protocol::kUdp)
                              .Port("dns-tcp", 53, 53)
                              .AddEndpoint("192.168.237.9", "node-1")
                              .Build();
  auto compiler = Compiler(cluster, config, {.dialect = Dialect::kV1_11});
  EXPECT_THAT(
      Lines(compiler, "dns"),
      ElementsAre(
          "-A KUBE-SERVICES ! -s 192.168.0.0/16 -d 10.96.0.10/32 -p udp -m "
          "comment --comment \"kube-system/kube-dns:dns cluster IP\" -m udp "
          "--dport 53 -j KUBE-MARK-MASQ",
          "-A KUBE-SERVICES -d 10.96.0.10/32 -p udp -m comment --comment "
          "\"kube-system/kube-dns:dns cluster IP\" -m udp --dport 53 -j "
          "KUBE-SVC-TCOU7JCQXEZGVUNU",
          "-A KUBE-SVC-TCOU7JCQXEZGVUNU -m comment --comment "
          "\"kube-system/kube-dns:dns\" -j KUBE-SEP-VMNICV4GUKMZMBOY",
          "-A KUBE-SEP-VMNICV4GUKMZMBOY -s 192.168.237.9/32 -m comment "
          "--comment \"kube-system/kube-dns:dns\" -j KUBE-MARK-MASQ",
          "-A KUBE-SEP-VMNICV4GUKMZMBOY -p udp -m comment --comment "
          "\"kube-system/kube-dns:dns\" -m udp -j DNAT --to-destination "
          "192.168.237.9:53",
          "-A KUBE-SERVICES ! -s 192.168.0.0/16 -d 10.96.0.10/32 -p tcp -m "
          "comment --comment \"kube-system/kube-dns:dns-tcp cluster IP\" -m "
          "tcp --dport 53 -j KUBE-MARK-MASQ",
          "-A KUBE-SERVICES -d 10.96.0.10/32 -p tcp -m comment --comment "
          "\"kube-system/kube-dns:dns-tcp cluster IP\" -m tcp --dport 53 -j "
          "KUBE-SVC-ERIFXISQEP7F7OF4",
          "-A KUBE-SVC-ERIFXISQEP7F7OF4 -m comment --comment "
          "\"kube-system/kube-dns:dns-tcp\" -j KUBE-SEP-SKI5LDIQRRMBYDWW",
          "-A KUBE-SEP-SKI5LDIQRRMBYDWW -s 192.168.237.9/32 -m comment "
          "--comment \"kube-system/kube-dns:dns-tcp\" -j KUBE-MARK-MASQ",
          "-A KUBE-SEP-SKI5LDIQRRMBYDWW -p tcp -m comment --comment "
          "\"kube-system/kube-dns:dns-tcp\" -m tcp -j DNAT --to-destination "
          "192.168.237.9:53"));
  EXPECT_THAT(
      Lines(compiler, "kubernetes service portals"),
      ElementsAre("-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "
                  "\"kubernetes service portals\" -j KUBE-SERVICES",
                  "-A PREROUTING -m comment --comment \"kubernetes service "
                  "portals\" -j KUBE-SERVICES",
                  "-A OUTPUT -m comment --comment \"kubernetes service "
                  "portals\" -j KUBE-SERVICES"));
  EXPECT_THAT(compiler.families(), ElementsAre(IpFamily::kIpv4));
}

// pkg/proxy/iptables/proxier.go of Kubernetes 1.32 and later.
TEST(IptablesOptions, NfacctCountsInvalidPacketsAndLocalhostNodePorts) {
  const Cluster cluster = OneNode()
                              .AddService("default/web", "10.96.0.20")
                              .Port("http", 80, 8080)
                              .NodePort(30080)
                              .AddEndpoint("10.244.1.5", "node-1")
                              .Build();
  auto compiler = Compiler(cluster, Config(), {.nfacct = true});
  EXPECT_THAT(
      Lines(compiler, "nfacct"),
      ElementsAre(
          "-A KUBE-FORWARD -m conntrack --ctstate INVALID -m nfacct "
          "--nfacct-name  ct_state_invalid_dropped_pkts -j DROP",
          AllOf(HasSubstr("-A KUBE-NODEPORTS -d 127.0.0.0/8 -p tcp -m comment "
                          "--comment \"default/web:http\" -m tcp --dport "
                          "30080 -m nfacct --nfacct-name  "
                          "localhost_nps_accepted_pkts -j KUBE-EXT-"))));
  auto without = Compiler(cluster, Config());
  EXPECT_THAT(Lines(without, "nfacct"), IsEmpty());
}

// pkg/proxy/topology.go of Kubernetes 1.33 and later.
TEST(IptablesOptions, NewerVersionsPreferEndpointsOnTheNode) {
  Cluster cluster = OneNode()
                        .AddService("default/web", "10.96.0.20")
                        .Port("http", 80, 8080)
                        .AddEndpoint("10.244.1.5", "node-1")
                        .AddEndpoint("10.244.2.5", "node-2")
                        .Build();
  EndpointSlice slice = *cluster.endpoint_slices().begin();
  slice.endpoints[0].hints_for_nodes = {{"node-1"}};
  slice.endpoints[1].hints_for_nodes = {{"node-2"}};
  cluster.Put(slice);
  auto compiler = Compiler(cluster, Config(), {.prefer_same_node = true});
  EXPECT_THAT(Lines(compiler, "DNAT --to-destination"),
              ElementsAre(HasSubstr("10.244.1.5:8080")));
  auto older = Compiler(cluster, Config());
  EXPECT_THAT(Lines(older, "DNAT --to-destination"), SizeIs(2));
}

TEST(IptablesExplain, EveryRuleHasItsObjectAndField) {
  const Cluster cluster = OneNode()
                              .AddService("default/web", "10.96.0.20")
                              .Port("http", 80, 8080)
                              .NodePort(30080)
                              .AddEndpoint("10.244.1.5", "node-1")
                              .Build();
  const auto compiler = Compiler(cluster, Config());
  std::vector<RuleExplanation> explanations;
  const netfilter::Ruleset rules =
      compiler.Explain(IpFamily::kIpv4, explanations);
  ASSERT_EQ(explanations.size(), rules.rule_count());
  // Walk both in step, and look at the chains by their prefix.
  size_t i = 0;
  for (netfilter::TableId id : rules.tables()) {
    const netfilter::Table& table = *rules.table(id);
    for (netfilter::ChainId chain : table.chains()) {
      for (size_t r = 0; r < table.rule_count(chain); ++r, ++i) {
        const RuleExplanation& e = explanations[i];
        const absl::string_view name = table.name(chain);
        if (absl::StartsWith(name, "KUBE-SEP-")) {
          EXPECT_EQ(e, (RuleExplanation{"Service default/web", "endpoints",
                                        "endpoint 10.244.1.5:8080"}));
        } else if (absl::StartsWith(name, "KUBE-EXT-")) {
          EXPECT_EQ(e.field, "spec.externalTrafficPolicy");
        } else if (name == "KUBE-NODEPORTS") {
          EXPECT_EQ(e.field, "spec.ports[].nodePort");
          EXPECT_EQ(e.detail, "30080");
        } else if (name == "KUBE-MARK-MASQ") {
          EXPECT_EQ(e.object, "KubeProxyConfiguration");
          EXPECT_EQ(e.field, "iptables.masqueradeBit");
        }
      }
    }
  }
}

TEST(IptablesFindings, SayWhatKubeProxySkips) {
  Service service;
  service.metadata.namespace_ = "default";
  service.metadata.name = "web";
  service.spec.cluster_ip = "10.96.0.20";
  const Cluster cluster = ClusterBuilder().Add(service).Build();
  auto compiler = Compiler(cluster, Config());
  std::vector<std::string> texts;
  for (const Finding& f : compiler.findings()) texts.push_back(f.ToString());
  EXPECT_THAT(texts,
              AllOf(Contains("Service default/web: spec.ports: the service "
                             "has no ports; nothing is programmed (skipped)"),
                    Contains(HasSubstr("there is no Node \"node-1\""))));
  EXPECT_EQ(compiler.port_count(IpFamily::kIpv4), 0u);
}

TEST(IptablesFindings, ComeWithTheEventsToo) {
  auto compiler = Compiler(OneNode().Build(), Config());
  Service service;
  service.metadata.namespace_ = "default";
  service.metadata.name = "web";
  service.spec.cluster_ip = "nonsense";
  IptablesDeltas deltas;
  const WatchEvent event = {WatchEvent::Type::kPut, service};
  compiler.Apply({&event, 1}, deltas);
  EXPECT_TRUE(deltas.empty());
  EXPECT_THAT(deltas.findings,
              Each(::testing::Field(&Finding::field, "spec.clusterIP")));
  EXPECT_THAT(deltas.findings, Not(IsEmpty()));
}

TEST(IptablesConfig, WhatKeepsKubeProxyFromStartingIsAnError) {
  KubeProxyConfig config = Config();
  config.iptables.masquerade_bit = 32;
  config.cluster_cidr = "10.244.0.0/33";
  config.node_port_addresses = {"172.18.0.11"};
  const auto status = IptablesCompiler::Create(Cluster(), config, {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(),
            "KubeProxyConfiguration: iptables.masqueradeBit: 32 is not in the "
            "range 0 to 31\n"
            "clusterCIDR: \"10.244.0.0/33\" is not a CIDR\n"
            "nodePortAddresses: \"172.18.0.11\" is not a CIDR");
  config = Config();
  config.mode = ProxyMode::kIpvs;
  EXPECT_FALSE(IptablesCompiler::Create(Cluster(), config, {}).ok());
}

// Names of the API never need it; a manifest written by hand may.
TEST(IptablesText, QuotesInNamesAreEscaped) {
  const Cluster cluster = OneNode()
                              .AddService("default/we\"b\\", "10.96.0.20")
                              .Port("http", 80, 8080)
                              .Build();
  auto compiler = Compiler(cluster, Config());
  EXPECT_THAT(Lines(compiler, "no endpoints"),
              ElementsAre(HasSubstr(
                  "--comment \"default/we\\\"b\\\\:http has no endpoints\"")));
}

TEST(IptablesText, OwnChainsAloneComeWithoutTheBuiltInOnes) {
  auto compiler = Compiler(OneNode().Build(), Config());
  std::string text = "what was there before, and is longer than nothing";
  compiler.PrintTo(IpFamily::kIpv6, IptablesCompiler::Print::kOwnChains, text);
  EXPECT_THAT(text, AllOf(HasSubstr(":KUBE-SERVICES - [0:0]\n"),
                          Not(HasSubstr("PREROUTING")), HasSubstr("COMMIT\n"),
                          Not(HasSubstr("before"))));
}

}  // namespace
}  // namespace k8sdns::proxy
