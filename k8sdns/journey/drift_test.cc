// What differs between kube-proxy's rules and a dump, said in words.
#include "k8sdns/journey/drift.h"

#include <set>
#include <string>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "k8sdns/ipvs/ipvsadm_save.h"
#include "k8sdns/netfilter/iptables_save.h"
#include "k8sdns/proxy/iptables_compiler.h"
#include "k8sdns/proxy/ipvs_compiler.h"
#include "k8sdns/proxy/random_cluster_for_test.h"
#include "k8sdns/testing/cluster_builder.h"

namespace k8sdns::journey {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

testing::ClusterBuilder TwoServices() {
  return testing::ClusterBuilder()
      .AddNode("node-1", "172.18.0.11", "10.244.1.0/24")
      .AddService("default/web", "10.96.0.20")
      .Port("http", 80, 8080)
      .AddEndpoint("10.244.1.5", "node-1")
      .AddEndpoint("10.244.1.7", "node-1")
      .AddService("default/api", "10.96.0.30")
      .Port("grpc", 9000, 9000)
      .AddEndpoint("10.244.1.9", "node-1");
}

KubeProxyConfig Config(ProxyMode mode = ProxyMode::kIptables) {
  KubeProxyConfig config;
  config.mode = mode;
  config.hostname_override = "node-1";
  config.cluster_cidr = "10.244.0.0/16";
  return config;
}

std::string Save(const Cluster& cluster) {
  auto compiler = proxy::IptablesCompiler::Create(cluster, Config(), {});
  return netfilter::PrintIptablesSave(compiler->Compile(IpFamily::kIpv4));
}

netfilter::Ruleset Read(const std::string& text) {
  netfilter::ParseOptions options;
  options.keep_unknown_extensions = true;
  auto rules = netfilter::ParseIptablesSave(text, IpFamily::kIpv4, options);
  EXPECT_TRUE(rules.ok()) << rules.status();
  return *std::move(rules);
}

Drift Compare(const Cluster& cluster, const std::string& dump) {
  NodeDump actual;
  actual.ipv4 = Read(dump);
  auto drift = FindDrift(cluster, Config(), {}, actual);
  EXPECT_TRUE(drift.ok()) << drift.status();
  return *std::move(drift);
}

std::vector<std::string> Sentences(const Drift& drift) {
  std::vector<std::string> out;
  for (const DriftGroup& g : drift.groups) {
    out.insert(out.end(), g.explanations.begin(), g.explanations.end());
  }
  return out;
}

// The dump with every line that has `part` left out.
std::string Without(const std::string& dump, const std::string& part) {
  std::vector<std::string> kept;
  for (absl::string_view line : absl::StrSplit(dump, '\n')) {
    if (!absl::StrContains(line, part)) kept.emplace_back(line);
  }
  return absl::StrJoin(kept, "\n");
}
// The dump with a line added before the first one that has `part`.
std::string WithBefore(const std::string& dump, const std::string& part,
                       const std::string& added) {
  std::vector<std::string> lines = absl::StrSplit(dump, '\n');
  for (auto it = lines.begin(); it != lines.end(); ++it) {
    if (!absl::StrContains(*it, part)) continue;
    lines.insert(it, added);
    break;
  }
  return absl::StrJoin(lines, "\n");
}

TEST(DriftTest, WhatKubeProxyWroteIsNoDrift) {
  const Cluster cluster = TwoServices().Build();
  const Drift drift = Compare(cluster, Save(cluster));
  EXPECT_FALSE(drift.found());
  EXPECT_THAT(drift.groups, IsEmpty());
  EXPECT_THAT(drift.foreign, IsEmpty());
  EXPECT_THAT(drift.ToString(), HasSubstr(" rules compared: no drift\n"));
}

TEST(DriftTest, AnEndpointThatShouldBeGone) {
  const Cluster before = TwoServices().Build();
  const Cluster now = testing::ClusterBuilder()
                          .AddNode("node-1", "172.18.0.11", "10.244.1.0/24")
                          .AddService("default/web", "10.96.0.20")
                          .Port("http", 80, 8080)
                          .AddEndpoint("10.244.1.5", "node-1")
                          .AddService("default/api", "10.96.0.30")
                          .Port("grpc", 9000, 9000)
                          .AddEndpoint("10.244.1.9", "node-1")
                          .Build();
  const Drift drift = Compare(now, Save(before));
  EXPECT_TRUE(drift.found());
  EXPECT_THAT(Sentences(drift),
              ElementsAre("kube-proxy has not removed endpoint "
                          "10.244.1.7:8080 of default/web:http"));
  // The share of the other endpoint is told as what it is: a consequence.
  std::string kinds;
  for (const DriftItem& item : drift.groups[0].items) {
    absl::StrAppend(&kinds, DriftKindName(item.kind), " ");
  }
  EXPECT_EQ(kinds, "share stale stale stale stale ") << drift.ToString();
  // The other way round: it should be there.
  EXPECT_THAT(Sentences(Compare(before, Save(now))),
              ElementsAre("kube-proxy has not added endpoint "
                          "10.244.1.7:8080 of default/web:http"));
}

TEST(DriftTest, AWholeService) {
  const Cluster both = TwoServices().Build();
  const Cluster one = testing::ClusterBuilder()
                          .AddNode("node-1", "172.18.0.11", "10.244.1.0/24")
                          .AddService("default/api", "10.96.0.30")
                          .Port("grpc", 9000, 9000)
                          .AddEndpoint("10.244.1.9", "node-1")
                          .Build();
  EXPECT_THAT(
      Sentences(Compare(both, Save(one))),
      ElementsAre("kube-proxy has not added default/web:http (cluster IP "
                  "10.96.0.20:80/TCP, 2 endpoints)"));
  EXPECT_THAT(
      Sentences(Compare(one, Save(both))),
      ElementsAre("kube-proxy has not removed default/web:http (cluster IP "
                  "10.96.0.20:80/TCP, 2 endpoints)"));
}

TEST(DriftTest, AServiceThatLostItsEndpoints) {
  const Cluster with = TwoServices().Build();
  Cluster without = with;
  const EndpointSlice slice = *without.SlicesOf("default", "api")[0];
  without.RemoveEndpointSlice({"default", slice.metadata.name});
  EXPECT_THAT(
      Sentences(Compare(without, Save(with))),
      ElementsAre(
          "kube-proxy has not noticed that default/api:grpc has no endpoints",
          "kube-proxy has not removed endpoint 10.244.1.9:9000 of "
          "default/api:grpc",
          "kube-proxy has not removed cluster IP 10.96.0.30:9000/TCP of "
          "default/api:grpc"));
  EXPECT_THAT(Sentences(Compare(with, Save(without)))[0],
              "kube-proxy still refuses default/api:grpc as a Service without "
              "endpoints");
}

TEST(DriftTest, ATornRuleIsNamed) {
  const Cluster cluster = TwoServices().Build();
  const std::string dump = Save(cluster);
  EXPECT_THAT(
      Sentences(
          Compare(cluster, Without(dump, "-A KUBE-SERVICES -d 10.96.0.30/32"))),
      ElementsAre("kube-proxy has not added cluster IP 10.96.0.30:9000/TCP of "
                  "default/api:grpc"));
  const Drift jump =
      Compare(cluster, Without(dump, "default/web:http -> 10.244.1.5:8080"));
  EXPECT_THAT(Sentences(jump),
              ::testing::Contains(HasSubstr("kube-proxy sends no traffic of "
                                            "default/web:http to endpoint "
                                            "10.244.1.5:8080 (KUBE-SVC-")));
  const DriftItem& item = jump.groups[0].items[0];
  EXPECT_EQ(item.object, "Service default/web");
  EXPECT_EQ(item.field, "endpoints");
}

TEST(DriftTest, OrderCountsOnlyWhereItDecides) {
  const Cluster cluster = TwoServices().Build();
  const std::string dump = Save(cluster);
  // Two Services swapped in KUBE-SERVICES.
  std::vector<std::string> lines = absl::StrSplit(dump, '\n');
  std::vector<size_t> services;
  std::vector<size_t> balancing;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (absl::StrContains(lines[i], "cluster IP") &&
        absl::StartsWith(lines[i], "-A KUBE-SERVICES")) {
      services.push_back(i);
    }
    if (absl::StrContains(lines[i], "default/web:http -> ")) {
      balancing.push_back(i);
    }
  }
  ASSERT_EQ(services.size(), 2u);
  ASSERT_EQ(balancing.size(), 2u);
  std::vector<std::string> swapped = lines;
  std::swap(swapped[services[0]], swapped[services[1]]);
  EXPECT_FALSE(Compare(cluster, absl::StrJoin(swapped, "\n")).found());
  swapped = lines;
  std::swap(swapped[balancing[0]], swapped[balancing[1]]);
  EXPECT_THAT(Sentences(Compare(cluster, absl::StrJoin(swapped, "\n"))),
              ElementsAre("rules of default/web:http are in another order"));
  // The node ports must come last.
  const std::string last = absl::StrCat(lines[services[0]]);
  std::string late = Without(dump, last);
  late = WithBefore(late, "-A KUBE-SVC-", last);
  EXPECT_TRUE(Compare(cluster, late).found());
}

TEST(DriftTest, ForeignRulesAreKeptApart) {
  const Cluster cluster = TwoServices().Build();
  std::string dump = Save(cluster);
  dump = absl::StrReplaceAll(
      dump, {{"*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n"
              ":OUTPUT ACCEPT [0:0]\n",
              "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [7:420]\n"
              ":OUTPUT ACCEPT [0:0]\n:DOCKER - [0:0]\n"
              ":KUBE-KUBELET-CANARY - [0:0]\n:cali-FORWARD - [0:0]\n"
              ":my-own - [0:0]\n"
              "-A FORWARD -m comment --comment \"cali:wUHhoiAYhphO9Mso\" -j "
              "cali-FORWARD\n"
              "-A DOCKER -d 172.17.0.2/32 -j ACCEPT\n"
              "-A my-own -m nfacct --nfacct-name x -j ACCEPT\n"}});
  const Drift drift = Compare(cluster, dump);
  EXPECT_FALSE(drift.found()) << drift.ToString();
  std::vector<std::string> foreign;
  for (const ForeignChain& f : drift.foreign) {
    foreign.push_back(
        absl::StrCat(f.owner, ": ", f.chain, " ", f.rules, " ", f.ahead));
  }
  EXPECT_THAT(foreign, UnorderedElementsAre(
                           "Calico: FORWARD 1 1", "Calico: cali-FORWARD 0 0",
                           "Docker: DOCKER 1 0",
                           "kubelet: KUBE-KUBELET-CANARY 0 0", ": my-own 1 0"));
  EXPECT_THAT(drift.ToString(),
              HasSubstr("  Calico: 1 rule in 2 chains, 1 of them ahead of "
                        "kube-proxy's\n"));
}

TEST(DriftTest, FixedRulesAndTables) {
  const Cluster cluster = TwoServices().Build();
  const std::string dump = Save(cluster);
  EXPECT_THAT(
      Sentences(Compare(cluster, Without(dump, "-A PREROUTING -m comment"))),
      ElementsAre("nat PREROUTING does not jump to KUBE-SERVICES"));
  EXPECT_THAT(Sentences(Compare(cluster, dump.substr(dump.find("*nat")))),
              ElementsAre(HasSubstr("the iptables dump has no table filter")));
  EXPECT_THAT(
      Sentences(Compare(cluster, WithBefore(dump, "-A KUBE-MARK-MASQ",
                                            "-A KUBE-POSTROUTING -j ACCEPT"))),
      ElementsAre("nat KUBE-POSTROUTING has a rule that kube-proxy does not "
                  "write"));
}

TEST(DriftTest, StaleChainsWithoutCommentsAreOfUnknownServices) {
  const Cluster cluster = TwoServices().Build();
  std::string dump = Save(cluster);
  const size_t nat = dump.find("*nat");
  dump.insert(dump.find("-A ", nat),
              "-N KUBE-SEP-AAAAAAAAAAAAAAAA\n"
              "-A KUBE-SEP-AAAAAAAAAAAAAAAA -p tcp -m tcp -j DNAT "
              "--to-destination 10.244.9.9:80\n");
  EXPECT_THAT(
      Sentences(Compare(cluster, dump)),
      ElementsAre("kube-proxy has not removed KUBE-SEP-AAAAAAAAAAAAAAAA "
                  "(endpoint 10.244.9.9:80) of a Service that is no more"));
}

TEST(DriftTest, CommentsAloneAreNoDrift) {
  const Cluster cluster = TwoServices().Build();
  const std::string dump = absl::StrReplaceAll(
      Save(cluster),
      {{" -m comment --comment \"default/web:http -> 10.244.1.5:8080\"", ""}});
  const Drift drift = Compare(cluster, dump);
  EXPECT_FALSE(drift.found()) << drift.ToString();
  EXPECT_EQ(drift.comments_differ, 1u);
}

TEST(DriftTest, IpvsServersAndSets) {
  const Cluster before = TwoServices().Build();
  const Cluster now = testing::ClusterBuilder()
                          .AddNode("node-1", "172.18.0.11", "10.244.1.0/24")
                          .AddService("default/web", "10.96.0.20")
                          .Port("http", 80, 8080)
                          .AddEndpoint("10.244.1.5", "node-1")
                          .AddService("default/api", "10.96.0.31")
                          .Port("grpc", 9000, 9000)
                          .AddEndpoint("10.244.1.9", "node-1")
                          .Build();
  const KubeProxyConfig config = Config(ProxyMode::kIpvs);
  auto compiler = proxy::IpvsCompiler::Create(before, config);
  ASSERT_TRUE(compiler.ok());
  auto dump_of = [&](const std::string& servers) {
    NodeDump dump;
    dump.ipv4 = compiler->Rules(IpFamily::kIpv4).Clone();
    dump.sets = *netfilter::ParseIpsetSave(proxy::PrintSets(compiler->Sets()));
    dump.servers = *ipvs::ReadIpvsadm(servers, "ipvs");
    return dump;
  };
  const std::string servers = ipvs::PrintIpvsadm(compiler->virtual_servers());
  auto same = FindDrift(before, config, {}, dump_of(servers));
  ASSERT_TRUE(same.ok()) << same.status();
  EXPECT_FALSE(same->found()) << same->ToString();

  auto drift = FindDrift(now, config, {}, dump_of(servers));
  ASSERT_TRUE(drift.ok()) << drift.status();
  EXPECT_THAT(
      Sentences(*drift),
      ::testing::IsSupersetOf(
          {std::string("kube-proxy has not removed endpoint 10.244.1.7:8080 of "
                       "default/web:http"),
           std::string("kube-proxy has not added virtual server -t "
                       "10.96.0.31:9000 of default/api:grpc"),
           std::string("kube-proxy has not removed virtual server -t "
                       "10.96.0.30:9000"),
           std::string("kube-proxy has not added 10.96.0.31,tcp:9000 to set "
                       "KUBE-CLUSTER-IP for default/api:grpc")}))
      << drift->ToString();

  // A real server that waits for its connections to end.
  const std::string draining = absl::StrReplaceAll(
      servers, {{"-r 10.244.1.7:8080 -m -w 1", "-r 10.244.1.7:8080 -m -w 0"}});
  NodeDump dump;
  dump.servers = *ipvs::ReadIpvsadm(draining, "ipvs");
  Cluster without = before;
  EndpointSlice slice = *without.SlicesOf("default", "web")[0];
  slice.endpoints.pop_back();
  without.Put(slice);
  auto waits = FindDrift(without, config, {}, dump);
  ASSERT_TRUE(waits.ok());
  EXPECT_FALSE(waits->found()) << waits->ToString();
  EXPECT_THAT(waits->ToString(), HasSubstr("weight 0"));
}

// Whatever the cluster, what is printed is what was compiled; and a change
// names the Service that changed and no other.
TEST(DriftTest, RandomChangesNameTheirService) {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    proxy::RandomEvents random(seed);
    Cluster cluster;
    cluster.Put(proxy::RandomEvents::FirstNode());
    for (int i = 0; i < 30; ++i) random.Next(cluster);
    for (int i = 0; i < 12; ++i) {
      const std::string before = Save(cluster);
      ASSERT_FALSE(Compare(cluster, before).found()) << "seed " << seed;
      const WatchEvent event = random.Next(cluster);
      const Drift drift = Compare(cluster, before);
      EXPECT_EQ(drift.found(), before != Save(cluster));
      std::string service;
      if (const auto* s = std::get_if<Service>(&event.object)) {
        service = absl::StrCat(s->metadata.namespace_, "/", s->metadata.name);
      } else if (const auto* e = std::get_if<EndpointSlice>(&event.object)) {
        service = absl::StrCat(e->metadata.namespace_, "/", e->ServiceName());
      } else {
        continue;
      }
      for (const DriftGroup& group : drift.groups) {
        EXPECT_EQ(group.service, service) << "seed " << seed << "\n"
                                          << drift.ToString();
        EXPECT_FALSE(group.explanations.empty());
      }
    }
  }
}

}  // namespace
}  // namespace k8sdns::journey
