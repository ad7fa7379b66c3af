#include "k8sdns/testing/matchers.h"

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "k8sdns/dataplane/matcher.h"
#include "k8sdns/netfilter/iptables_save.h"
#include "k8sdns/testing/cluster_builder.h"

namespace k8sdns::testing {
namespace {

using fabric::Place;
using journey::Trip;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// What a failed EXPECT_THAT says: the matcher's own words.
template <typename T, typename M>
std::string Explain(const M& matcher, const T& value) {
  ::testing::StringMatchResultListener listener;
  const ::testing::Matcher<const T&> typed = matcher;
  return typed.MatchAndExplain(value, &listener) ? "matches" : listener.str();
}

template <typename T, typename M>
std::string Describe(const M& matcher) {
  return ::testing::DescribeMatcher<T>(matcher);
}

Packet Tcp(absl::string_view from, absl::string_view to) {
  return Packet::Tcp(*SocketAddress::Parse(from), *SocketAddress::Parse(to));
}

class TripMatchersTest : public ::testing::Test {
 protected:
  TripMatchersTest()
      : cluster_(ClusterBuilder()
                     .AddNode("a", "172.18.0.11", "10.244.1.0/24")
                     .AddNode("b", "172.18.0.12", "10.244.2.0/24")
                     .AddPod("client", "a", "10.244.1.5")
                     .AddPod("web-1", "a", "10.244.1.6")
                     .AddPod("web-2", "b", "10.244.2.6")
                     .AddService("web", "10.96.0.20")
                     .Port("http", 80, 8080)
                     .NodePort(30080)
                     .AddEndpoint("10.244.1.6", "a")
                     .AddEndpoint("10.244.2.6", "b")
                     .AddService("idle", "10.96.0.30")
                     .Port("http", 80, 8080)
                     .Build()),
        world_(World(cluster_)) {}

  static journey::World World(const Cluster& cluster) {
    journey::WorldOptions options;
    options.proxy.cluster_cidr = "10.244.0.0/16";
    auto world = journey::World::Create(cluster, options);
    EXPECT_TRUE(world.ok()) << world.status();
    return *std::move(world);
  }

  absl::StatusOr<std::vector<Trip>> FromClient(absl::string_view to) const {
    return world_.Send(Place::OfPod("default", "client"),
                       Tcp("10.244.1.5:40000", to));
  }

  Cluster cluster_;
  journey::World world_;
};

TEST_F(TripMatchersTest, AVipRoutesToOneOfItsEndpoints) {
  EXPECT_THAT(FromClient("10.96.0.20:80"),
              RoutesToOneOf("10.244.1.6:8080", "10.244.2.6:8080"));
  EXPECT_THAT(FromClient("10.96.0.20:80"),
              RoutesToOneOf("Pod default/web-1", "Pod default/web-2"));
  EXPECT_THAT(FromClient("10.96.0.20:80"), Not(RoutesTo("10.244.1.6:8080")));
}

TEST_F(TripMatchersTest, TargetsMayLeaveOutThePort) {
  EXPECT_THAT(FromClient("10.244.2.6:1234"), RoutesTo("10.244.2.6"));
  EXPECT_THAT(FromClient("10.244.2.6:1234"), Not(RoutesTo("10.244.2.6:8080")));
}

TEST_F(TripMatchersTest, ATripAndAVectorOfThemMatchLikeTheStatusOr) {
  const std::vector<Trip> trips = *FromClient("10.244.2.6:8080");
  EXPECT_THAT(trips, RoutesTo("10.244.2.6:8080"));
  EXPECT_THAT(trips[0], RoutesTo("10.244.2.6:8080"));
}

TEST_F(TripMatchersTest, AFailureShowsTheTraceOfEachOutcomeThatFails) {
  const std::string text =
      Explain(RoutesTo("10.244.1.6:8080"), FromClient("10.96.0.20:80"));
  EXPECT_THAT(text, StartsWith("with probability 0.5 it arrives at Pod "
                               "default/web-2 as TCP 10.244.1.5:40000 > "
                               "10.244.2.6:8080\n"));
  EXPECT_THAT(text, HasSubstr("-j DNAT --to-destination 10.244.2.6:8080\n"));
  EXPECT_THAT(text, HasSubstr("    => destination 10.96.0.20:80 -> "
                              "10.244.2.6:8080\n"));
  EXPECT_THAT(text, Not(HasSubstr("web-1")));
}

TEST_F(TripMatchersTest, AnEndpointThatIsNeverReachedIsNamed) {
  EXPECT_THAT(Explain(RoutesToOneOf("10.244.1.6:8080", "10.244.2.6:8080",
                                    "10.244.2.7:8080"),
                      FromClient("10.96.0.20:80")),
              "which never reaches 10.244.2.7:8080");
}

TEST_F(TripMatchersTest, AServiceWithoutEndpointsRejects) {
  EXPECT_THAT(FromClient("10.96.0.30:80"),
              IsRejectedWith("icmp-port-unreachable"));
  EXPECT_THAT(FromClient("10.96.0.30:80"), Not(IsDropped()));
  EXPECT_THAT(Explain(IsRejectedWith("tcp-reset"), FromClient("10.96.0.30:80")),
              StartsWith("with probability 1 it is rejected with "
                         "icmp-port-unreachable (rejected with "
                         "icmp-port-unreachable by node a)\n"));
}

TEST_F(TripMatchersTest, WhatAPolicyDeniesIsDropped) {
  NetworkPolicy deny;
  deny.metadata.namespace_ = "default";
  deny.metadata.name = "deny-all";
  cluster_.Put(deny);
  world_ = World(cluster_);
  EXPECT_THAT(FromClient("10.244.2.6:8080"), IsDropped());
}

TEST_F(TripMatchersTest, NodePortsAreMasqueraded) {
  const auto trips = world_.Send(Place::OfNode("b"),
                                 Tcp("172.18.0.12:40000", "172.18.0.11:30080"));
  EXPECT_THAT(trips, IsMasqueraded());
  EXPECT_THAT(trips->front(),
              AllOf(RoutesTo("Pod default/web-1"), IsMasqueraded("10.244.1.1"),
                    Not(IsMasqueraded("172.18.0.99"))));
  EXPECT_THAT(Explain(IsMasqueraded(), FromClient("10.244.2.6:8080")),
              StartsWith("with probability 1 it keeps its source: it arrives "
                         "at Pod default/web-2"));
}

TEST_F(TripMatchersTest, AnErrorMatchesNothing) {
  const auto trips = world_.Send(Place::OfPod("default", "nobody"),
                                 Tcp("1.1.1.1:1", "2.2.2.2:2"));
  EXPECT_THAT(Explain(IsDropped(), trips),
              "which is the error NOT_FOUND: pod default/nobody is not in the "
              "cluster");
}

TEST(MatcherDescriptions, SayWhatIsExpected) {
  using Trips = std::vector<Trip>;
  EXPECT_EQ(Describe<Trips>(RoutesTo("10.0.0.1:80")), "routes to 10.0.0.1:80");
  EXPECT_EQ(Describe<Trips>(RoutesToOneOf("10.0.0.1:80", "10.0.0.2:80")),
            "routes to one of {10.0.0.1:80, 10.0.0.2:80}");
  EXPECT_EQ(Describe<Trips>(Not(IsDropped())), "isn't dropped");
  EXPECT_EQ(Describe<Trips>(IsRejectedWith("tcp-reset")),
            "is rejected with tcp-reset");
  EXPECT_EQ(Describe<Trips>(IsMasqueraded("10.0.0.1")),
            "is masqueraded as 10.0.0.1");
  EXPECT_EQ(Describe<dns::LookupTranscript>(ResolvesTo("10.0.0.1")),
            "resolves to 10.0.0.1");
  EXPECT_EQ(Describe<dns::LookupTranscript>(SendsQueries("A a.", "AAAA a.")),
            "sends the queries {A a., AAAA a.}");
  EXPECT_EQ(Describe<std::vector<Finding>>(HasFinding("x/y", "Node a")),
            "has the finding x/y about Node a");
}

// ---- one node ----

dataplane::NodeDataplane Node(absl::string_view rules) {
  dataplane::NodeConfig config;
  config.interfaces.push_back(
      {"eth0", {*IpPrefix::Parse("192.168.10.11/24")}, true, false});
  config.interfaces.push_back({"veth-a", {}, true, false});
  dataplane::Route route;
  route.prefix = *IpPrefix::Parse("10.244.1.10/32");
  route.device = "veth-a";
  config.routes.push_back(route);
  auto parsed = netfilter::ParseIptablesSave(rules, IpFamily::kIpv4);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return dataplane::NodeDataplane(
      config,
      std::make_shared<dataplane::Matcher>(
          std::make_shared<netfilter::Ruleset>(*std::move(parsed))),
      nullptr);
}

constexpr char kNodeRules[] = R"(*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -d 10.96.0.10/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.244.1.10:8080
-A POSTROUTING -s 192.168.10.7/32 -j MASQUERADE
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -s 192.168.10.8/32 -j DROP
-A FORWARD -s 192.168.10.9/32 -j REJECT --reject-with icmp-port-unreachable
COMMIT
)";

dataplane::Arrival ToVip(absl::string_view from) {
  dataplane::NodePacket packet;
  packet.header = Tcp(from, "10.96.0.10:80");
  return dataplane::Arrival::On("eth0", packet);
}

TEST(BranchMatchers, TellWhatTheNodeDoes) {
  const dataplane::NodeDataplane node = Node(kNodeRules);
  EXPECT_THAT(node.Match(ToVip("192.168.10.6:4000")),
              AllOf(RoutesTo("10.244.1.10:8080"), Not(IsMasqueraded())));
  EXPECT_THAT(node.Match(ToVip("192.168.10.7:4000")), IsMasqueraded());
  EXPECT_THAT(node.Match(ToVip("192.168.10.8:4000")), IsDropped());
  EXPECT_THAT(node.Match(ToVip("192.168.10.9:4000")),
              IsRejectedWith("icmp-port-unreachable"));
}

TEST(BranchMatchers, ABranchAndItsOutcomeMatchToo) {
  const dataplane::NodeDataplane node = Node(kNodeRules);
  const auto branches = node.Match(ToVip("192.168.10.8:4000"));
  EXPECT_THAT(branches[0], IsDropped());
  EXPECT_THAT(branches[0].outcome, IsDropped());
}

TEST(BranchMatchers, RulesAreNamedWhereTheNodeIsKnown) {
  const dataplane::NodeDataplane node = Node(kNodeRules);
  const auto branches = node.Match(ToVip("192.168.10.8:4000"));
  EXPECT_EQ(
      Explain(RoutesTo("10.244.1.10:8080"), WithRules(branches, node)),
      "with probability 1 it is dropped\n"
      "    nat:PREROUTING:rule:1  -A PREROUTING -d 10.96.0.10/32 -p tcp -m "
      "tcp --dport 80 -j DNAT --to-destination 10.244.1.10:8080\n"
      "    filter:FORWARD:rule:1  -A FORWARD -s 192.168.10.8/32 -j DROP\n");
  EXPECT_THAT(Explain(RoutesTo("10.244.1.10:8080"), branches),
              HasSubstr("filter: chain #1, rule 1\n"));
}

TEST(BranchMatchers, AnOutcomeAloneDoesNotTellItsSource) {
  const dataplane::NodeDataplane node = Node(kNodeRules);
  const auto branches = node.Match(ToVip("192.168.10.7:4000"));
  EXPECT_THAT(Explain(IsMasqueraded(), branches[0].outcome),
              HasSubstr("use its Branch"));
}

// ---- names ----

dns::LookupTranscript LookUp(const std::string& name) {
  dns::ResolverHost pod;
  pod.resolv_conf = dns::ResolvConf(
      "nameserver 10.96.0.10\nsearch default.svc.cluster.local "
      "svc.cluster.local\noptions ndots:5\n");
  dns::LookupCall call;
  call.name = name;
  call.family = dns::LookupFamily::kInet;
  return dns::Resolve(
      call, pod, dns::Library::kGlibc2_36, [](const dns::Question& q) {
        if (q.name != "web.prod.svc.cluster.local.") {
          return dns::Answer::NxDomain();
        }
        return dns::Answer::Addresses(q, {*IpAddress::Parse("10.96.0.20")});
      });
}

TEST(NameMatchers, TellQueriesAndResult) {
  EXPECT_THAT(LookUp("web.prod"),
              AllOf(ResolvesTo("10.96.0.20"),
                    SendsQueries("A web.prod.default.svc.cluster.local.",
                                 "A web.prod.svc.cluster.local.")));
  EXPECT_THAT(LookUp("web.test"), FailsToResolve());
  EXPECT_THAT(LookUp("web.test"), FailsToResolve("EAI_NONAME"));
  EXPECT_THAT(LookUp("web.prod").results[0], ResolvesTo("10.96.0.20"));
}

TEST(NameMatchers, AFailureShowsTheTranscript) {
  EXPECT_EQ(Explain(SendsQueries("A web.prod."), LookUp("web.prod")),
            "which sends query 1 A web.prod.default.svc.cluster.local. "
            "(expected A web.prod.)\n"
            "0 10.96.0.10 udp/0 A web.prod.default.svc.cluster.local.\n"
            "0 10.96.0.10 udp/1 A web.prod.svc.cluster.local.\n"
            "= OK 10.96.0.20\n");
  EXPECT_THAT(Explain(SendsQueries("A web.prod.default.svc.cluster.local."),
                      LookUp("web.prod")),
              StartsWith("which sends query 2 A web.prod.svc.cluster.local. "
                         "(expected none)"));
  EXPECT_THAT(Explain(ResolvesTo("10.96.0.21"), LookUp("web.prod")),
              StartsWith("which resolves to 10.96.0.20\n"));
  EXPECT_THAT(Explain(ResolvesTo("10.96.0.21"), LookUp("web.test")),
              StartsWith("which fails with EAI_NONAME\n"));
  EXPECT_THAT(Explain(FailsToResolve(), LookUp("web.prod")),
              StartsWith("which resolves\n"));
}

// ---- findings ----

TEST(FindingMatchers, FindByIdAndObject) {
  Finding finding;
  finding.id = "dns/ndots";
  finding.kind = "Pod";
  finding.namespace_ = "default";
  finding.name = "web";
  finding.what = "ndots is 5";
  const std::vector<Finding> findings = {finding};
  EXPECT_THAT(findings, HasFinding("dns/ndots"));
  EXPECT_THAT(findings, HasFinding("dns/ndots", "Pod default/web"));
  EXPECT_THAT(findings, Not(HasFinding("dns/ndots", "Pod default/db")));
  EXPECT_EQ(Explain(HasFinding("dns/search"), findings),
            "whose findings are\n"
            "    warning dns/ndots: Pod default/web: ndots is 5");
  EXPECT_EQ(Explain(HasFinding("dns/search"), std::vector<Finding>()),
            "which has no finding");
}

// ---- how values print ----

TEST(PrintedValues, AreLinesToRead) {
  const dataplane::NodeDataplane node = Node(kNodeRules);
  EXPECT_EQ(::testing::PrintToString(node.Match(ToVip("192.168.10.8:4000"))),
            "{ 1: is dropped }");
  EXPECT_EQ(::testing::PrintToString(LookUp("web.prod")),
            "2 queries, OK 10.96.0.20");
  EXPECT_EQ(::testing::PrintToString(
                absl::StatusOr<std::vector<Trip>>(std::vector<Trip>(1))),
            "1: arrives as " + Packet().ToString());
  EXPECT_EQ(::testing::PrintToString(absl::StatusOr<std::vector<Trip>>(
                absl::NotFoundError("no such Pod"))),
            "NOT_FOUND: no such Pod");
}

}  // namespace
}  // namespace k8sdns::testing
