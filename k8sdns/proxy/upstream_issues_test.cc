// Bugs of kube-proxy that were reported upstream, one test each, named for the
// issue: the modelled versions do what the fix made of it.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "k8sdns/netfilter/iptables_save.h"
#include "k8sdns/proxy/iptables_compiler.h"
#include "k8sdns/proxy/ipvs_compiler.h"
#include "k8sdns/testing/cluster_builder.h"

namespace k8sdns::proxy {
namespace {

using ::testing::AllOf;
using testing::ClusterBuilder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

ClusterBuilder TwoNodes() {
  ClusterBuilder builder;
  builder.AddNode("node-1", "172.18.0.11", "10.244.1.0/24", "a");
  builder.AddNode("node-2", "172.18.0.12", "10.244.2.0/24", "b");
  return builder;
}

std::vector<std::string> LinesWith(absl::string_view text,
                                   absl::string_view what) {
  std::vector<std::string> out;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::StrContains(line, what)) out.emplace_back(line);
  }
  return out;
}

IptablesCompiler Compiler(const Cluster& cluster,
                          Dialect dialect = Dialect::kV1_30) {
  KubeProxyConfig config;
  config.hostname_override = "node-1";
  config.cluster_cidr = "10.244.0.0/16";
  auto compiler =
      IptablesCompiler::Create(cluster, config, {.dialect = dialect});
  EXPECT_TRUE(compiler.ok()) << compiler.status();
  return *std::move(compiler);
}

std::string Print(IptablesCompiler& compiler) {
  std::string text;
  compiler.PrintTo(IpFamily::kIpv4, IptablesCompiler::Print::kTables, text);
  return text;
}

std::string Rules(const Cluster& cluster, Dialect dialect = Dialect::kV1_30) {
  IptablesCompiler compiler = Compiler(cluster, dialect);
  return Print(compiler);
}

// Session affinity did not count for external traffic with policy Local.
TEST(KubernetesIssue55429, AffinityHoldsForExternalTrafficWithPolicyLocal) {
  const Cluster cluster = TwoNodes()
                              .AddService("default/web", "10.96.0.20")
                              .Port("http", 80, 8080)
                              .NodePort(30080)
                              .ExternalPolicy(TrafficPolicy::kLocal)
                              .ClientIpAffinity(600)
                              .AddEndpoint("10.244.1.5", "node-1")
                              .AddEndpoint("10.244.1.6", "node-1")
                              .AddEndpoint("10.244.2.7", "node-2")
                              .Build();
  struct Case {
    Dialect dialect;
    const char* chain;
  };
  for (const Case& c :
       {Case{Dialect::kV1_30, "KUBE-SVL-"}, Case{Dialect::kV1_14, "KUBE-XLB-"},
        Case{Dialect::kV1_11, "KUBE-XLB-"}}) {
    const std::string rules = Rules(cluster, c.dialect);
    // Only for the two local endpoints, and before a random one is chosen.
    const auto local = LinesWith(rules, absl::StrCat("-A ", c.chain));
    const auto remembered =
        LinesWith(rules, "-m recent --rcheck --seconds 600 --reap");
    std::vector<std::string> of_local;
    for (const std::string& line : remembered) {
      if (absl::StartsWith(line, absl::StrCat("-A ", c.chain))) {
        of_local.push_back(line);
      }
    }
    EXPECT_THAT(of_local, SizeIs(2)) << rules;
    size_t last_check = 0;
    size_t first_choice = local.size();
    for (size_t i = 0; i < local.size(); ++i) {
      if (absl::StrContains(local[i], "--rcheck")) last_check = i;
      if (absl::StrContains(local[i], "statistic")) {
        first_choice = std::min(first_choice, i);
      }
    }
    EXPECT_LT(last_check, first_choice);
  }
}

// A client kept its endpoint after the endpoint had become not ready: its
// affinity rule stayed as long as the endpoint was there.
TEST(KubernetesIssue110302, AffinityEndsWhenTheEndpointIsNotReady) {
  const Cluster cluster = TwoNodes()
                              .AddService("default/web", "10.96.0.20")
                              .Port("http", 80, 8080)
                              .ClientIpAffinity()
                              .AddEndpoint("10.244.1.5", "node-1")
                              .AddEndpoint("10.244.2.6", "node-2")
                              .Build();
  IptablesCompiler compiler = Compiler(cluster);
  EXPECT_THAT(LinesWith(Print(compiler), "--rcheck"), SizeIs(2));
  EndpointSlice slice = *cluster.endpoint_slices().begin();
  slice.endpoints[1].ready = false;
  slice.endpoints[1].serving = false;
  const WatchEvent event = {WatchEvent::Type::kPut, slice};
  IptablesDeltas deltas;
  compiler.Apply({&event, 1}, deltas);
  const std::string after = Print(compiler);
  EXPECT_THAT(LinesWith(after, "--rcheck"), SizeIs(1));
  EXPECT_THAT(LinesWith(after, "10.244.2.6"), IsEmpty());
}

Cluster LocalServiceOfTheOtherNode() {
  return TwoNodes()
      .AddService("default/web", "10.96.0.20")
      .Port("http", 80, 8080)
      .NodePort(30080)
      .ExternalPolicy(TrafficPolicy::kLocal)
      .AddEndpoint("10.244.2.5", "node-2")
      .Build();
}

// #99317 wanted Pods to be refused at a node port with policy Local where the
// node has no endpoint. It was not merged: Pods, and the node itself, still
// get all endpoints; everybody else is dropped.
TEST(KubernetesPull99317, PodsReachALocalNodePortWithoutLocalEndpoints) {
  const std::string rules = Rules(LocalServiceOfTheOtherNode());
  EXPECT_THAT(
      LinesWith(rules, "-A KUBE-EXT-"),
      ElementsAre(
          HasSubstr("-s 10.244.0.0/16 -m comment --comment \"pod traffic for "
                    "default/web:http external destinations\" -j KUBE-SVC-"),
          HasSubstr("--src-type LOCAL -j KUBE-MARK-MASQ"),
          HasSubstr("--src-type LOCAL -j KUBE-SVC-")));
  EXPECT_THAT(
      LinesWith(rules, "has no local endpoints"),
      ElementsAre(AllOf(HasSubstr("-A KUBE-EXTERNAL-SERVICES"),
                        HasSubstr("--dport 30080"), HasSubstr("-j DROP"))));
  EXPECT_THAT(LinesWith(Rules(LocalServiceOfTheOtherNode(), Dialect::kV1_14),
                        "-A KUBE-XLB-"),
              ElementsAre(HasSubstr("-s 10.244.0.0/16"),
                          HasSubstr("has no local endpoints\" -j "
                                    "KUBE-MARK-DROP")));
}

// A node dropped traffic of policy Local although it had endpoints, since it
// had missed a change. Whatever the order of the events, the rules are those
// of the objects.
TEST(KubernetesIssue99299, LocalEndpointsCountHoweverTheyArrive) {
  const Cluster without = LocalServiceOfTheOtherNode();
  EndpointSlice slice = *without.endpoint_slices().begin();
  slice.endpoints[0].node_name = "node-1";
  slice.endpoints[0].addresses[0] = "10.244.1.5";
  Cluster with = without;
  with.Put(slice);
  const std::string expected = Rules(with);
  ASSERT_THAT(LinesWith(expected, "has no local endpoints"), IsEmpty());

  IptablesDeltas deltas;
  const WatchEvent put = {WatchEvent::Type::kPut, slice};
  const WatchEvent deleted = {WatchEvent::Type::kDeleted, slice};
  const WatchEvent service = {WatchEvent::Type::kPut,
                              *without.services().begin()};
  const WatchEvent no_service = {WatchEvent::Type::kDeleted,
                                 *without.services().begin()};
  for (const std::vector<WatchEvent>& order : {std::vector<WatchEvent>{put},
                                               {deleted, put},
                                               {no_service, put, service},
                                               {put, no_service, service}}) {
    IptablesCompiler one_by_one = Compiler(without);
    for (const WatchEvent& event : order) {
      one_by_one.Apply({&event, 1}, deltas);
    }
    EXPECT_EQ(Print(one_by_one), expected);
    IptablesCompiler at_once = Compiler(without);
    at_once.Apply(order, deltas);
    EXPECT_EQ(Print(at_once), expected);
  }
}

// The rule that masquerades stood before the one that lets policy Local pass,
// for SCTP alone.
TEST(KubernetesIssue104755, SctpNodePortsWithPolicyLocalKeepTheClientAddress) {
  KubeProxyConfig config;
  config.mode = ProxyMode::kIpvs;
  config.hostname_override = "node-1";
  const Cluster cluster = TwoNodes()
                              .AddService("default/sctp", "10.96.0.20")
                              .Port("", 7000, 7000, Protocol::kSctp)
                              .NodePort(30700)
                              .ExternalPolicy(TrafficPolicy::kLocal)
                              .AddEndpoint("10.244.1.5", "node-1")
                              .Build();
  auto compiler = IpvsCompiler::Create(cluster, config, {});
  ASSERT_TRUE(compiler.ok()) << compiler.status();
  std::string rules;
  netfilter::AppendIptablesSave(compiler->Rules(IpFamily::kIpv4), {}, &rules);
  EXPECT_THAT(LinesWith(rules, "KUBE-NODE-PORT -p sctp"),
              ElementsAre(AllOf(HasSubstr("KUBE-NODE-PORT-LOCAL-SCTP-HASH"),
                                HasSubstr("-j RETURN")),
                          AllOf(HasSubstr("KUBE-NODE-PORT-SCTP-HASH"),
                                HasSubstr("-j KUBE-MARK-MASQ"))));
  EXPECT_THAT(PrintSets(compiler->Sets()),
              HasSubstr("add KUBE-NODE-PORT-LOCAL-SCTP-HASH "
                        "172.18.0.11,sctp:30700\n"));
}

// Replies that conntrack found invalid reached the client untranslated, which
// reset the connection. From 1.15 on they are dropped; not if conntrack is told
// to be liberal, where they are not invalid.
TEST(KubernetesIssue74839, InvalidPacketsAreDroppedInTheForwardChain) {
  const Cluster cluster = TwoNodes().Build();
  EXPECT_THAT(LinesWith(Rules(cluster), "INVALID"),
              ElementsAre("-A KUBE-FORWARD -m conntrack --ctstate INVALID -j "
                          "DROP"));
  KubeProxyConfig config;
  config.hostname_override = "node-1";
  config.conntrack.tcp_be_liberal = true;
  auto liberal = IptablesCompiler::Create(cluster, config, {});
  ASSERT_TRUE(liberal.ok());
  EXPECT_THAT(Print(*liberal), Not(HasSubstr("INVALID")));
}

}  // namespace
}  // namespace k8sdns::proxy
