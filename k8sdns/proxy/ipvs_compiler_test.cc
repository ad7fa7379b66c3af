#include "k8sdns/proxy/ipvs_compiler.h"

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "k8sdns/ipvs/ipvsadm_save.h"
#include "k8sdns/testing/cluster_builder.h"

namespace k8sdns::proxy {
namespace {

using testing::ClusterBuilder;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

KubeProxyConfig Config() {
  KubeProxyConfig config;
  config.mode = ProxyMode::kIpvs;
  config.hostname_override = "node-1";
  config.cluster_cidr = "10.244.0.0/16";
  return config;
}

ClusterBuilder TwoNodes() {
  ClusterBuilder builder;
  builder.AddNode("node-1", "172.18.0.11", "10.244.1.0/24", "zone-a");
  builder.AddNode("node-2", "172.18.0.12", "10.244.2.0/24", "zone-b");
  return builder;
}

IpvsCompiler Compile(const Cluster& cluster,
                     const KubeProxyConfig& config = Config(),
                     const IpvsOptions& options = {}) {
  auto compiler = IpvsCompiler::Create(cluster, config, options);
  EXPECT_TRUE(compiler.ok()) << compiler.status();
  return *std::move(compiler);
}

std::string Servers(const IpvsCompiler& compiler) {
  return ipvs::PrintIpvsadm(compiler.virtual_servers());
}

TEST(IpvsCompiler, ClusterIp) {
  const Cluster cluster = TwoNodes()
                              .AddService("web", "10.96.0.20")
                              .Port("http", 80, 8080)
                              .AddEndpoint("10.244.2.10", "node-2")
                              .AddEndpoint("10.244.2.9", "node-2")
                              .AddEndpoint("10.244.1.5", "node-1")
                              .Build();
  const IpvsCompiler compiler = Compile(cluster);
  EXPECT_EQ(Servers(compiler),
            "-A -t 10.96.0.20:80 -s rr\n"
            "-a -t 10.96.0.20:80 -r 10.244.1.5:8080 -m -w 1\n"
            "-a -t 10.96.0.20:80 -r 10.244.2.9:8080 -m -w 1\n"
            "-a -t 10.96.0.20:80 -r 10.244.2.10:8080 -m -w 1\n");
  const std::string sets = PrintSets(compiler.Sets());
  EXPECT_THAT(sets, HasSubstr("add KUBE-CLUSTER-IP 10.96.0.20,tcp:80\n"));
  EXPECT_THAT(sets,
              HasSubstr("add KUBE-LOOP-BACK 10.244.1.5,tcp:8080,10.244.1.5\n"));
  EXPECT_THAT(sets, HasSubstr("create KUBE-6-LOAD-BALANCER-SOURCE-CID "));
  ASSERT_EQ(compiler.BoundAddresses().size(), 1u);
  EXPECT_EQ(compiler.BoundAddresses()[0].ToString(), "10.96.0.20/32");
}

TEST(IpvsCompiler, LocalPolicyWithoutLocalEndpointsUsesAll) {
  const Cluster cluster = TwoNodes()
                              .AddService("web", "10.96.0.20")
                              .Port("", 80, 8080)
                              .NodePort(30080)
                              .ExternalPolicy(TrafficPolicy::kLocal)
                              .AddEndpoint("10.244.2.9", "node-2")
                              .Build();
  EXPECT_THAT(Servers(Compile(cluster)),
              HasSubstr("-a -t 172.18.0.11:30080 -r 10.244.2.9:8080 -m -w 1"));
}

TEST(IpvsCompiler, TheLaterOfTwoServicesHasASharedAddress) {
  ClusterBuilder builder = TwoNodes();
  builder.AddService("a", "10.96.0.1").Port("", 80, 1).ExternalIp("192.0.2.1");
  builder.AddEndpoint("10.244.1.1", "node-1");
  builder.AddService("b", "10.96.0.2").Port("", 80, 2).ExternalIp("192.0.2.1");
  builder.AddEndpoint("10.244.1.2", "node-1");
  const Cluster cluster = builder.Build();
  IpvsCompiler compiler = Compile(cluster);
  EXPECT_THAT(Servers(compiler),
              HasSubstr("-a -t 192.0.2.1:80 -r 10.244.1.2:2 -m -w 1\n"));
  // When it goes, the other one gets it.
  IpvsDelta delta;
  compiler.Apply(
      {WatchEvent::Type::kDeleted, *cluster.services().Find("default", "b")},
      &delta);
  EXPECT_EQ(delta.ipvsadm,
            "-a -t 192.0.2.1:80 -r 10.244.1.1:1 -m -w 1\n"
            "-d -t 192.0.2.1:80 -r 10.244.1.2:2\n"
            "-D -t 10.96.0.2:80\n");
  EXPECT_THAT(delta.bind, IsEmpty());
  ASSERT_EQ(delta.unbind.size(), 1u);
  EXPECT_EQ(delta.unbind[0].ToString(), "10.96.0.2");
}

TEST(IpvsCompiler, ExcludedVirtualServersStay) {
  const Cluster cluster =
      TwoNodes().AddService("web", "10.96.0.20").Port("", 80, 8080).Build();
  KubeProxyConfig config = Config();
  config.ipvs.exclude_cidrs = {"10.96.0.0/24"};
  IpvsCompiler compiler = Compile(cluster, config);
  compiler.Apply(
      {WatchEvent::Type::kDeleted, *cluster.services().Find("default", "web")});
  EXPECT_EQ(Servers(compiler), "-A -t 10.96.0.20:80 -s rr\n");
  EXPECT_THAT(compiler.BoundAddresses(), IsEmpty());
}

TEST(IpvsCompiler, SchedulersAndTheirFlags) {
  const Cluster cluster = TwoNodes()
                              .AddService("web", "10.96.0.20")
                              .Port("", 80, 8080)
                              .ClientIpAffinity(60)
                              .Build();
  KubeProxyConfig config = Config();
  config.ipvs.scheduler = "mh";
  EXPECT_EQ(Servers(Compile(cluster, config)),
            "-A -t 10.96.0.20:80 -s mh -p 60 -b mh-port\n");
  config.ipvs.scheduler = "nonsense";
  const IpvsCompiler other = Compile(cluster, config);
  EXPECT_EQ(Servers(other), "-A -t 10.96.0.20:80 -s nonsense -p 60\n");
  ASSERT_FALSE(other.findings().empty());
  EXPECT_EQ(other.findings()[0].field, "ipvs.scheduler");
}

TEST(IpvsCompiler, RefusesWhatKubeProxyRefuses) {
  KubeProxyConfig config = Config();
  config.cluster_cidr = "10.0.0.0/8,10.1.0.0/16";
  EXPECT_FALSE(IpvsCompiler::Create(Cluster(), config).ok());
  EXPECT_EQ(
      IpvsCompiler::Create(Cluster(), Config(), {.dialect = Dialect::kV1_11})
          .status()
          .code(),
      absl::StatusCode::kUnimplemented);
}

TEST(IpvsCompiler, SetsOverTheirLimitAreReported) {
  ClusterBuilder builder = TwoNodes();
  Service service;
  service.metadata.namespace_ = "default";
  service.spec.ip_families = {IpFamily::kIpv4};
  for (int s = 0; s < 700; ++s) {
    service.metadata.name = absl::StrCat("s", s);
    service.spec.cluster_ip = absl::StrCat("10.97.", s / 250, ".", s % 250);
    service.spec.cluster_ips = {service.spec.cluster_ip};
    service.spec.ports.clear();
    for (int p = 1; p <= 100; ++p) {
      ServicePort& port = service.spec.ports.emplace_back();
      port.name = absl::StrCat("p", p);
      port.port = p;
    }
    builder.Add(service);
  }
  const IpvsCompiler compiler = Compile(builder.Build());
  for (const KubeSetContents& set : compiler.Sets()) {
    if (set.name == "KUBE-CLUSTER-IP") {
      EXPECT_EQ(set.members.size(), kMaxSetMembers);
    }
  }
  EXPECT_TRUE(std::any_of(
      compiler.findings().begin(), compiler.findings().end(),
      [](const Finding& f) { return f.object == "KUBE-CLUSTER-IP"; }));
}

// ---- incremental ----

// A node that takes deltas as its tools would.
class NodeTables {
 public:
  explicit NodeTables(const IpvsCompiler& compiler) {
    EXPECT_TRUE(ipvs::ApplyIpvsadm(Servers(compiler), "save", servers_).ok());
    for (absl::string_view line :
         absl::StrSplit(PrintSets(compiler.Sets()), '\n')) {
      if (absl::StartsWith(line, "add ")) {
        members_.insert(std::string(line.substr(4)));
      }
    }
    for (const IpPrefix& p : compiler.BoundAddresses()) {
      bound_.insert(p.address());
    }
  }
  void Take(const IpvsDelta& delta) {
    const absl::Status status =
        ipvs::ApplyIpvsadm(delta.ipvsadm, "delta", servers_);
    EXPECT_TRUE(status.ok()) << status << "\n" << delta.ipvsadm;
    for (absl::string_view line : absl::StrSplit(delta.ipset, '\n')) {
      if (line.empty()) continue;
      const std::string member(line.substr(4));
      if (absl::StartsWith(line, "add ")) {
        EXPECT_TRUE(members_.insert(member).second) << line;
      } else {
        EXPECT_EQ(members_.erase(member), 1u) << line;
      }
    }
    for (const IpAddress& a : delta.bind) EXPECT_TRUE(bound_.insert(a).second);
    for (const IpAddress& a : delta.unbind) EXPECT_EQ(bound_.erase(a), 1u);
  }
  void ExpectSame(const NodeTables& other) const {
    EXPECT_TRUE(ipvs::SameServers(servers_, other.servers_))
        << ipvs::PrintIpvsadm(servers_) << "\nwant:\n"
        << ipvs::PrintIpvsadm(other.servers_);
    EXPECT_EQ(members_, other.members_);
    EXPECT_EQ(bound_, other.bound_);
  }

 private:
  ipvs::Table servers_;
  std::set<std::string> members_;
  std::set<IpAddress> bound_;
};

bool SameRules(const netfilter::Ruleset& a, const netfilter::Ruleset& b) {
  for (netfilter::TableId id :
       {netfilter::TableId::kNat, netfilter::TableId::kFilter}) {
    const netfilter::Table& x = *a.table(id);
    const netfilter::Table& y = *b.table(id);
    if (x.chain_count() != y.chain_count()) return false;
    for (netfilter::ChainId chain : x.chains()) {
      const auto other = y.FindChain(x.name(chain));
      if (!other || x.rule_count(chain) != y.rule_count(*other)) return false;
      auto it = y.rules(*other).begin();
      for (netfilter::RuleView rule : x.rules(chain)) {
        // Names are interned in the order of use, which is the same.
        if (!(rule == *it)) return false;
        ++it;
      }
    }
  }
  return true;
}

class RandomWorld {
 public:
  explicit RandomWorld(uint32_t seed) : random_(seed) {
    cluster_ = TwoNodes().Build();
  }
  const Cluster& cluster() const { return cluster_; }

  WatchEvent Next() {
    const int kind = Draw(10);
    if (kind < 4) return ServiceEvent();
    if (kind < 9) return SliceEvent();
    return NodeEvent();
  }

 private:
  int Draw(int n) { return static_cast<int>(random_() % n); }
  bool Sometimes(int one_in) { return Draw(one_in) == 0; }

  template <typename T>
  WatchEvent Take(WatchEvent::Type type, T object) {
    WatchEvent event{type, std::move(object)};
    k8sdns::Apply(event, cluster_);
    return event;
  }

  WatchEvent ServiceEvent() {
    const std::string name = absl::StrCat("s", Draw(5));
    if (Sometimes(4)) {
      if (const Service* s = cluster_.services().Find("default", name)) {
        return Take(WatchEvent::Type::kDeleted, Service(*s));
      }
    }
    Service s;
    s.metadata.namespace_ = "default";
    s.metadata.name = name;
    // Few addresses, so that services clash.
    s.spec.cluster_ips = {absl::StrCat("10.96.0.", 1 + Draw(4)),
                          absl::StrCat("fd00::", 1 + Draw(4))};
    if (Sometimes(2)) s.spec.cluster_ips.pop_back();
    s.spec.cluster_ip = s.spec.cluster_ips[0];
    s.spec.ip_families = {IpFamily::kIpv4};
    if (s.spec.cluster_ips.size() > 1) {
      s.spec.ip_families.push_back(IpFamily::kIpv6);
    }
    const int ports = 1 + Draw(2);
    for (int p = 0; p < ports; ++p) {
      ServicePort port;
      port.name = absl::StrCat("p", p);
      port.protocol = Sometimes(3)   ? Protocol::kUdp
                      : Sometimes(4) ? Protocol::kSctp
                                     : Protocol::kTcp;
      port.port = 80 + p;
      if (Sometimes(2)) port.node_port = 30000 + Draw(4);
      s.spec.ports.push_back(port);
    }
    s.spec.type = ServiceType::kLoadBalancer;
    if (Sometimes(3)) s.spec.external_ips = {absl::StrCat("192.0.2.", Draw(3))};
    if (Sometimes(8)) s.spec.external_ips.push_back("172.18.0.11");
    if (Sometimes(3)) {
      s.load_balancer_ingress.emplace_back().ip =
          absl::StrCat("192.0.2.", Draw(3));
    }
    if (Sometimes(3)) {
      s.spec.load_balancer_source_ranges = {
          Sometimes(2) ? "10.0.0.0/8" : "172.18.0.0/16",
          Sometimes(4) ? "0.0.0.0/0" : "198.51.100.0/24"};
    }
    if (Sometimes(3)) s.spec.external_traffic_policy = TrafficPolicy::kLocal;
    if (Sometimes(4)) s.spec.internal_traffic_policy = TrafficPolicy::kLocal;
    if (Sometimes(4)) s.spec.session_affinity = SessionAffinity::kClientIp;
    if (Sometimes(4)) s.spec.health_check_node_port = 31000 + Draw(2);
    if (Sometimes(3)) {
      s.metadata.annotations["service.kubernetes.io/topology-mode"] = "Auto";
    }
    if (Sometimes(8)) s.metadata.labels[kServiceProxyNameLabel] = "other";
    return Take(WatchEvent::Type::kPut, std::move(s));
  }

  WatchEvent SliceEvent() {
    const std::string name = absl::StrCat("slice", Draw(8));
    if (Sometimes(4)) {
      if (const EndpointSlice* s =
              cluster_.endpoint_slices().Find("default", name)) {
        return Take(WatchEvent::Type::kDeleted, EndpointSlice(*s));
      }
    }
    EndpointSlice s;
    s.metadata.namespace_ = "default";
    s.metadata.name = name;
    s.metadata.labels[kServiceNameLabel] = absl::StrCat("s", Draw(5));
    const bool v6 = Sometimes(3);
    s.address_type = v6 ? AddressType::kIpv6 : AddressType::kIpv4;
    for (int p = 0; p < 2; ++p) {
      EndpointPort& port = s.ports.emplace_back();
      port.name = absl::StrCat("p", p);
      port.protocol = Sometimes(3) ? Protocol::kUdp : Protocol::kTcp;
      port.port = 8080 + p;
    }
    const int n = Draw(5);
    for (int i = 0; i < n; ++i) {
      Endpoint e;
      e.addresses = {absl::StrCat(v6 ? "fd00:1::" : "10.244.1.", 1 + Draw(9))};
      if (Sometimes(4)) e.ready = false;
      if (Sometimes(5)) e.terminating = true;
      e.node_name = Sometimes(2) ? "node-1" : "node-2";
      if (!Sometimes(3)) {
        e.hints_for_zones = {{Sometimes(2) ? "zone-a" : "zone-b"}};
      }
      s.endpoints.push_back(e);
    }
    return Take(WatchEvent::Type::kPut, std::move(s));
  }

  WatchEvent NodeEvent() {
    Node node = *cluster_.nodes().Find("node-1");
    node.metadata.labels[kZoneLabel] = Sometimes(2) ? "zone-a" : "zone-b";
    node.addresses = {{NodeAddressType::kInternalIp, "172.18.0.11"}};
    if (Sometimes(2)) {
      node.addresses.push_back({NodeAddressType::kExternalIp, "203.0.113.11"});
    }
    return Take(WatchEvent::Type::kPut, std::move(node));
  }

  std::mt19937 random_;
  Cluster cluster_;
};

TEST(IpvsCompiler, AnySequenceOfEventsEqualsAFullCompile) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    RandomWorld world(seed);
    IpvsCompiler compiler = Compile(world.cluster());
    NodeTables node(compiler);
    for (int i = 0; i < 60; ++i) {
      const WatchEvent event = world.Next();
      IpvsDelta delta;
      compiler.Apply(event, &delta);
      node.Take(delta);
      const IpvsCompiler full = Compile(world.cluster());
      NodeTables(compiler).ExpectSame(NodeTables(full));
      node.ExpectSame(NodeTables(full));
      for (IpFamily family : full.families()) {
        EXPECT_TRUE(SameRules(compiler.Rules(family), full.Rules(family)));
      }
      if (HasFailure()) {
        ADD_FAILURE() << "seed " << seed << " event " << i;
        return;
      }
    }
  }
}

}  // namespace
}  // namespace k8sdns::proxy
