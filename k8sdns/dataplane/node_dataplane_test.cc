#include "k8sdns/dataplane/node_dataplane.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "k8sdns/dataplane/linear_matcher.h"
#include "k8sdns/netfilter/iptables_save.h"

namespace k8sdns::dataplane {
namespace {

NodeConfig TwoPods() {
  NodeConfig node;
  node.interfaces.push_back(
      {"eth0", {*IpPrefix::Parse("192.168.10.11/24")}, true, false});
  node.interfaces.push_back({"veth-a", {}, true, false});
  node.interfaces.push_back({"veth-b", {}, true, false});
  auto route = [&](const char* prefix, const char* device) {
    Route r;
    r.prefix = *IpPrefix::Parse(prefix);
    r.device = device;
    node.routes.push_back(r);
  };
  route("10.244.1.10/32", "veth-a");
  route("10.244.1.20/32", "veth-b");
  Route gateway;
  gateway.prefix = *IpPrefix::Parse("0.0.0.0/0");
  gateway.gateway = IpAddress::Parse("192.168.10.1");
  gateway.device = "eth0";
  node.routes.push_back(gateway);
  return node;
}

NodeDataplane Node(absl::string_view rules,
                   const NodeConfig& config = TwoPods()) {
  netfilter::ParseOptions options;
  options.keep_unknown_extensions = true;
  auto parsed = netfilter::ParseIptablesSave(rules, IpFamily::kIpv4, options);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  auto shared = std::make_shared<netfilter::Ruleset>(*std::move(parsed));
  return NodeDataplane(config, std::make_shared<LinearMatcher>(shared),
                       nullptr);
}

NodePacket Udp(const char* from, const char* to) {
  NodePacket packet;
  packet.header =
      Packet::Udp(*SocketAddress::Parse(from), *SocketAddress::Parse(to));
  return packet;
}

constexpr char kServiceRules[] =
    "*nat\n"
    ":PREROUTING ACCEPT [0:0]\n"
    ":INPUT ACCEPT [0:0]\n"
    ":OUTPUT ACCEPT [0:0]\n"
    ":POSTROUTING ACCEPT [0:0]\n"
    "-A PREROUTING -d 10.96.0.10/32 -p udp -m udp --dport 53 -m statistic "
    "--mode random --probability 0.5 -j DNAT --to-destination "
    "10.244.1.10:5353\n"
    "-A PREROUTING -d 10.96.0.10/32 -p udp -m udp --dport 53 -j DNAT "
    "--to-destination 10.244.1.20:5353\n"
    "COMMIT\n";

TEST(NodeDataplane, ForwardsByRoute) {
  const NodeDataplane node = Node("");
  const std::vector<Branch> branches = node.Match(
      Arrival::On("veth-a", Udp("10.244.1.10:4000", "10.244.1.20:53")));
  ASSERT_EQ(branches.size(), 1u);
  const Outcome& outcome = branches[0].outcome;
  EXPECT_EQ(outcome.verdict.kind, Verdict::kAccept);
  EXPECT_EQ(outcome.out, "veth-b");
  EXPECT_EQ(outcome.packet.header.ttl, 63);
}

// conntrack_addrcmp() of xt_conntrack.c: what lies outside of the mask does not
// count, in the rule either.
TEST(NodeDataplane, AConntrackAddressMayHaveHostBits) {
  for (const auto& [match, fate] :
       {std::pair("--ctorigsrc 10.244.1.99/24", Verdict::kDrop),
        std::pair("! --ctorigsrc 10.244.1.99/24", Verdict::kAccept),
        std::pair("--ctorigdst 10.244.2.99/24", Verdict::kAccept)}) {
    const NodeDataplane node = Node(absl::StrCat(
        "*filter\n-A FORWARD -m conntrack ", match, " -j DROP\nCOMMIT\n"));
    const Arrival arrival =
        Arrival::On("veth-a", Udp("10.244.1.10:4000", "10.244.1.20:53"));
    EXPECT_EQ(node.Match(arrival)[0].outcome.verdict.kind, fate) << match;
  }
}

// "accept", "drop" or "unknown: why", of what a process of the node sends.
std::string FateOfSent(absl::string_view match,
                       std::optional<SocketCredentials> sender) {
  const NodeDataplane node =
      Node(absl::StrCat("*filter\n-A OUTPUT ", match, " -j DROP\nCOMMIT\n"));
  Arrival arrival = Arrival::Sent(Udp("192.168.10.11:4000", "10.244.1.20:53"));
  arrival.credentials = std::move(sender);
  const Verdict verdict = node.Match(arrival)[0].outcome.verdict;
  if (verdict.kind == Verdict::kUnknown) return "unknown: " + verdict.reason;
  return verdict.kind == Verdict::kDrop ? "drop" : "accept";
}

// As xt_owner.c: ranges, inversion, supplementary groups only if asked for.
TEST(NodeDataplane, OwnerAsksTheSendersCredentials) {
  const SocketCredentials istio{1337, 1337, {10, 20}};
  EXPECT_EQ(FateOfSent("-m owner --uid-owner 1337", istio), "drop");
  EXPECT_EQ(FateOfSent("-m owner --uid-owner 0", istio), "accept");
  EXPECT_EQ(FateOfSent("-m owner ! --uid-owner 0", istio), "drop");
  EXPECT_EQ(FateOfSent("-m owner --uid-owner 1000-2000", istio), "drop");
  EXPECT_EQ(FateOfSent("-m owner --uid-owner 1337 ! --gid-owner 1337", istio),
            "accept");
  EXPECT_EQ(FateOfSent("-m owner --gid-owner 20", istio), "accept");
  EXPECT_EQ(FateOfSent("-m owner --gid-owner 20 --suppl-groups", istio),
            "drop");
  EXPECT_EQ(FateOfSent("-m owner --socket-exists", istio), "drop");
  EXPECT_EQ(FateOfSent("-m owner ! --socket-exists", istio), "accept");
  EXPECT_EQ(FateOfSent("-m owner --socket-exists", std::nullopt), "drop");
  EXPECT_EQ(FateOfSent("-m owner --uid-owner 0", std::nullopt),
            "unknown: the sending process is not known");
}

TEST(NodeDataplane, MacAsksTheSendersAddress) {
  const auto fate = [](absl::string_view match, const char* device,
                       std::optional<MacAddress> mac) {
    NodeConfig config = TwoPods();
    for (auto& interface : config.interfaces) interface.ethernet = true;
    const NodeDataplane node =
        Node(absl::StrCat("*filter\n-A FORWARD ", match, " -j DROP\nCOMMIT\n"),
             config);
    Arrival arrival =
        Arrival::On(device, Udp("10.244.1.10:4000", "10.244.1.20:53"));
    arrival.source_mac = mac;
    const Verdict verdict = node.Match(arrival)[0].outcome.verdict;
    if (verdict.kind == Verdict::kUnknown) return "unknown: " + verdict.reason;
    return std::string(verdict.kind == Verdict::kDrop ? "drop" : "accept");
  };
  const MacAddress mac = {2, 0, 0, 0, 0, 1};
  EXPECT_EQ(fate("-m mac --mac-source 02:00:00:00:00:01", "veth-a", mac),
            "drop");
  EXPECT_EQ(fate("-m mac --mac-source 02:00:00:00:00:02", "veth-a", mac),
            "accept");
  EXPECT_EQ(fate("-m mac ! --mac-source 02:00:00:00:00:02", "veth-a", mac),
            "drop");
  EXPECT_EQ(fate("-m mac --mac-source 02:00:00:00:00:01", "veth-a", {}),
            "unknown: the packet's source MAC address is not known");
}

TEST(NodeDataplane, ARandomRuleSplitsTheWorld) {
  const NodeDataplane node = Node(kServiceRules);
  const std::vector<Branch> branches =
      node.Match(Arrival::On("eth0", Udp("203.0.113.7:4000", "10.96.0.10:53")));
  ASSERT_EQ(branches.size(), 2u);
  EXPECT_EQ(branches[0].outcome.out, "veth-a");
  EXPECT_EQ(branches[1].outcome.out, "veth-b");
  EXPECT_DOUBLE_EQ(branches[0].probability + branches[1].probability, 1);
}

TEST(NodeDataplane, TooManyOutcomesAreCutShort) {
  std::string rules = "*mangle\n";
  for (int i = 0; i < 40; ++i) {
    rules +=
        "-A PREROUTING -m statistic --mode random --probability 0.5 "
        "-j MARK --set-mark 1\n";
  }
  rules += "COMMIT\n";
  NodeConfig config = TwoPods();
  config.max_outcomes = 100;
  const std::vector<Branch> branches =
      Node(rules, config)
          .Match(Arrival::On("eth0", Udp("203.0.113.7:4000", "10.96.0.10:53")));
  ASSERT_EQ(branches.size(), 100u);
  EXPECT_EQ(branches.back().outcome.verdict.kind, Verdict::kUnknown);
  double sum = 0;
  for (const Branch& b : branches) sum += b.probability;
  EXPECT_DOUBLE_EQ(sum, 1);
}

TEST(NodeDataplane, TheFlowStaysAndItsReplyIsTranslatedBack) {
  NodeDataplane node = Node(kServiceRules);
  const Arrival request =
      Arrival::On("eth0", Udp("203.0.113.7:4000", "10.96.0.10:53"));
  node.Take(node.Match(request)[1]);
  const std::vector<Branch> again = node.Match(request);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].outcome.out, "veth-b");
  const std::vector<Branch> reply = node.Match(
      Arrival::On("veth-b", Udp("10.244.1.20:5353", "203.0.113.7:4000")));
  ASSERT_EQ(reply.size(), 1u);
  EXPECT_EQ(reply[0].outcome.out, "eth0");
  EXPECT_EQ(reply[0].outcome.packet.header.src.ToString(), "10.96.0.10");
  EXPECT_EQ(reply[0].outcome.packet.header.src_port, 53);
}

TEST(NodeDataplane, ADroppedPacketLeavesNoFlow) {
  NodeDataplane node = Node(
      "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n"
      ":OUTPUT ACCEPT [0:0]\nCOMMIT\n");
  const std::vector<Branch> branches = node.Match(
      Arrival::On("veth-a", Udp("10.244.1.10:4000", "10.244.1.20:53")));
  ASSERT_EQ(branches.size(), 1u);
  EXPECT_EQ(branches[0].outcome.verdict.kind, Verdict::kDrop);
  EXPECT_EQ(branches[0].after.conntrack.size(), 0u);
}

TEST(NodeDataplane, RejectAnswersFromTheNode) {
  const NodeDataplane node = Node(
      "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n"
      ":OUTPUT ACCEPT [0:0]\n-A FORWARD -j REJECT\nCOMMIT\n");
  const std::vector<Branch> branches = node.Match(
      Arrival::On("eth0", Udp("203.0.113.7:4000", "10.244.1.20:53")));
  ASSERT_EQ(branches.size(), 1u);
  const Outcome& outcome = branches[0].outcome;
  EXPECT_EQ(outcome.verdict.kind, Verdict::kReject);
  EXPECT_EQ(outcome.verdict.reason, "icmp-port-unreachable");
  ASSERT_TRUE(outcome.answer_source.has_value());
  EXPECT_EQ(outcome.answer_source->ToString(), "192.168.10.11");
}

TEST(NodeDataplane, AnAnswerThatOutputDropsIsNoRejection) {
  const NodeDataplane node = Node(
      "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n"
      ":OUTPUT DROP [0:0]\n-A FORWARD -j REJECT\nCOMMIT\n");
  const std::vector<Branch> branches = node.Match(
      Arrival::On("eth0", Udp("203.0.113.7:4000", "10.244.1.20:53")));
  EXPECT_EQ(branches[0].outcome.verdict.kind, Verdict::kDrop);
}

TEST(NodeDataplane, WhatIsNotModelledIsSaid) {
  const NodeDataplane node = Node(
      "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n"
      ":OUTPUT ACCEPT [0:0]\n"
      "-A FORWARD -m cpu --cpu 0 -j DROP\nCOMMIT\n");
  const Outcome outcome = node.Match(Arrival::On(
      "veth-a", Udp("10.244.1.10:4000", "10.244.1.20:53")))[0]
                              .outcome;
  EXPECT_EQ(outcome.verdict.kind, Verdict::kUnknown);
  EXPECT_EQ(outcome.verdict.rule, "filter:FORWARD:rule:1");
}

TEST(NodeDataplane, AnInterfaceThatIsNotThereDrops) {
  EXPECT_EQ(Node("")
                .Match(Arrival::On("eth9", Udp("10.0.0.1:1", "10.0.0.2:2")))[0]
                .outcome.verdict.kind,
            Verdict::kDrop);
}

TEST(Decisions, EnumeratesEveryVectorOnce) {
  Decisions decisions;
  double sum = 0;
  int runs = 0;
  do {
    if (decisions.Chance(uint32_t{1} << 29)) decisions.Pick(3);
    sum += decisions.probability();
    ++runs;
  } while (decisions.Next());
  EXPECT_EQ(runs, 4);
  EXPECT_DOUBLE_EQ(sum, 1);
}

}  // namespace
}  // namespace k8sdns::dataplane
