// Matcher against LinearMatcher: the same verdict, trace, state and draws.
//
// Small worlds are gone through exhaustively: every short chain over a
// vocabulary of rules, every packet over a vocabulary of packets. Large ones
// are random: rule sets of compiled clusters, and rules of every kind.
#include "k8sdns/dataplane/matcher.h"

#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"
#include "k8sdns/dataplane/linear_matcher.h"
#include "k8sdns/dataplane/node_dataplane.h"
#include "k8sdns/netfilter/iptables_save.h"
#include "k8sdns/proxy/iptables_compiler.h"
#include "k8sdns/testing/cluster_generator.h"

namespace k8sdns::dataplane {
namespace {

using netfilter::Hook;
using netfilter::Ruleset;
using netfilter::TableId;

std::shared_ptr<const Ruleset> Parse(const std::string& text,
                                     IpFamily family = IpFamily::kIpv4) {
  netfilter::ParseOptions options;
  options.keep_unknown_extensions = true;
  auto parsed = netfilter::ParseIptablesSave(text, family, options);
  EXPECT_TRUE(parsed.ok()) << parsed.status() << "\n" << text;
  return std::make_shared<const Ruleset>(*std::move(parsed));
}

NodeConfig Config() {
  NodeConfig node;
  node.interfaces.push_back(
      {"eth0",
       {*IpPrefix::Parse("192.168.10.11/24"), *IpPrefix::Parse("fd00::11/64")},
       true,
       false});
  node.interfaces.push_back({"veth-a", {}, true, false});
  auto route = [&](const char* prefix, const char* gateway, const char* dev) {
    Route r;
    r.prefix = *IpPrefix::Parse(prefix);
    if (gateway != nullptr) r.gateway = IpAddress::Parse(gateway);
    r.device = dev;
    node.routes.push_back(r);
  };
  route("10.244.1.10/32", nullptr, "veth-a");
  route("fd01::10/128", nullptr, "veth-a");
  route("0.0.0.0/0", "192.168.10.1", "eth0");
  route("::/0", "fd00::1", "eth0");
  return node;
}

// One table's built-in chain run by one matcher, packet after packet.
class Bench {
 public:
  explicit Bench(std::unique_ptr<RuleMatcher> matcher)
      : matcher_(std::move(matcher)), routing_(Config()) {}

  // Everything that can be told from outside, for every draw, as a text. The
  // state goes on from the first possibility.
  std::string Run(TableId table, Hook hook, const Packet& packet, bool traced) {
    std::string out;
    const NodeState before = state_;
    Decisions decisions;
    bool first = true;
    do {
      NodeState state = before;
      state.conntrack.Flush();
      TransitPacket transit;
      transit.packet.header = packet;
      transit.in_device = 2;
      transit.tracking = state.conntrack.Track(transit.packet, {}, 0);
      RuleContext context{matcher_->rules(), routing_, options_, state,
                          decisions,         transit};
      context.hook = hook;
      context.table = table;
      context.in_device = 2;
      Trace trace;
      const TableVerdict verdict =
          matcher_->Run(context, traced ? &trace : nullptr);
      absl::StrAppend(&out, "verdict ", static_cast<int>(verdict.kind), " ",
                      verdict.open ? verdict.open->rule : "", " ",
                      verdict.open ? verdict.open->reason : "", " with ",
                      static_cast<int>(verdict.with), " mark ", transit.mark,
                      " probability ", decisions.probability(), "\n");
      for (const TraceStep& step : trace) {
        absl::StrAppend(&out, "  ", TraceLine(step, matcher_->rules()), "\n");
      }
      if (const Flow* flow = state.conntrack.flow(transit.tracking.flow)) {
        absl::StrAppend(&out, "  to ", flow->tuples[1].src.ToString(), ":",
                        flow->tuples[1].src_port, " ctmark ", flow->mark, "\n");
      }
      if (first) state_ = std::move(state);
      first = false;
    } while (decisions.Next());
    return out;
  }
  const NodeState& state() const { return state_; }

 private:
  std::unique_ptr<RuleMatcher> matcher_;
  Routing routing_;
  ConntrackOptions options_;
  NodeState state_;
};

// Both matchers on the same packets.
class Pair {
 public:
  explicit Pair(std::shared_ptr<const Ruleset> rules, uint32_t min_rules = 1)
      : linear_(std::make_unique<LinearMatcher>(rules)),
        indexed_(std::make_unique<Matcher>(rules, MatcherOptions{min_rules})) {}

  ::testing::AssertionResult Agree(TableId table, Hook hook,
                                   const Packet& packet, bool traced = true) {
    const std::string want = linear_.Run(table, hook, packet, traced);
    const std::string got = indexed_.Run(table, hook, packet, traced);
    if (want != got) {
      return ::testing::AssertionFailure() << packet.ToString() << "\nlinear:\n"
                                           << want << "indexed:\n"
                                           << got;
    }
    if (!(linear_.state() == indexed_.state())) {
      return ::testing::AssertionFailure()
             << packet.ToString() << ": other state";
    }
    return ::testing::AssertionSuccess();
  }

 private:
  Bench linear_;
  Bench indexed_;
};

// ---- small worlds ----

constexpr const char* kVocabulary[] = {
    "-d 10.0.0.1/32 -p tcp -m tcp --dport 80 -j A",
    "-d 10.0.0.1/32 -p tcp -m tcp --dport 80 -j MARK --set-xmark 0x1/0x1",
    "-d 10.0.0.2/32 -p udp -m udp --dport 53 -j DROP",
    "-d 10.0.0.1/32 -g A",
    "-s 10.0.0.9/32 -p tcp -m tcp --dport 80 -j RETURN",
    "-p tcp -m tcp --dport 80 -j A",
    "-p udp -j ACCEPT",
    "! -d 10.0.0.1/32 -j A",
    "-d 10.0.0.0/30 -p tcp -m tcp --dport 80:81",
    "-d 10.0.0.1/32 -p tcp -m tcp --dport 80 -m mark --mark 0x1/0x1 -j DROP",
    "-d 10.0.0.1/32 -m statistic --mode nth --every 2 --packet 0 -j A",
    "-m statistic --mode nth --every 2 --packet 0 -p tcp --dport 81 -j DROP",
    "-d 10.0.0.2/32 -m statistic --mode random --probability 0.5 -j RETURN",
    "-m martian --green -p tcp -m tcp --dport 81 -j DROP",
    "-d 10.0.0.2/32 -p tcp -m tcp --dport 81 -m martian --green -j DROP",
    "-p tcp -m tcp --dport 81 -m limit --limit 1/sec --limit-burst 2 -j DROP",
};
constexpr const char* kCalled[] = {
    "", "-d 10.0.0.1/32 -p tcp -m tcp --dport 80 -j RETURN",
    "-s 10.0.0.9/32 -j MARK --set-xmark 0x2/0x2",
    "-m mark --mark 0x1/0x1 -j DROP"};

std::vector<Packet> SmallPackets() {
  std::vector<Packet> packets;
  for (const char* src : {"10.0.0.9", "10.0.0.8"}) {
    for (const char* dst : {"10.0.0.1", "10.0.0.2", "10.0.0.5"}) {
      for (uint16_t port : {80, 81, 53}) {
        const SocketAddress from{*IpAddress::Parse(src), 4000};
        const SocketAddress to{*IpAddress::Parse(dst), port};
        if (port != 53) packets.push_back(Packet::Tcp(from, to));
        if (port != 81) packets.push_back(Packet::Udp(from, to));
      }
    }
  }
  packets.push_back(Packet::IcmpEcho(*IpAddress::Parse("10.0.0.9"),
                                     *IpAddress::Parse("10.0.0.1"), 80));
  return packets;
}

TEST(Matcher, AgreesOnEverySmallWorld) {
  const std::vector<Packet> packets = SmallPackets();
  const size_t n = std::size(kVocabulary);
  for (size_t world = 0; world < n * n * n; ++world) {
    // The called chain takes turns.
    const std::string called = kCalled[world % std::size(kCalled)];
    std::string text =
        "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n"
        ":OUTPUT ACCEPT [0:0]\n:A - [0:0]\n";
    for (size_t rule : {world % n, world / n % n, world / n / n}) {
      absl::StrAppend(&text, "-A FORWARD ", kVocabulary[rule], "\n");
    }
    if (!called.empty()) absl::StrAppend(&text, "-A A ", called, "\n");
    absl::StrAppend(&text, "COMMIT\n");
    Pair pair(Parse(text));
    for (const Packet& packet : packets) {
      ASSERT_TRUE(pair.Agree(TableId::kFilter, Hook::kForward, packet,
                             /*traced=*/world % 2 == 0))
          << text;
    }
  }
}

// ---- random rules ----

template <typename T>
const T& Pick(const std::vector<T>& from, std::mt19937& random) {
  return from[random() % from.size()];
}

// One random rule; `v6` chooses addresses.
std::string RandomRule(bool v6, const std::vector<std::string>& chains,
                       std::mt19937& random) {
  const std::string net = v6 ? "fd02::" : "10.0.0.";
  const std::string host = v6 ? "/128" : "/32";
  auto address = [&] { return absl::StrCat(net, 1 + random() % 6); };
  std::string rule;
  auto maybe = [&](unsigned percent) { return random() % 100 < percent; };
  if (maybe(15)) {
    absl::StrAppend(&rule, maybe(30) ? "! " : "", "-s ", address(),
                    maybe(70) ? host
                    : v6      ? "/126"
                              : "/30",
                    " ");
  }
  if (maybe(65)) {
    absl::StrAppend(&rule, maybe(10) ? "! " : "", "-d ", address(),
                    maybe(85) ? host
                    : v6      ? "/126"
                              : "/30",
                    " ");
  }
  if (maybe(10)) absl::StrAppend(&rule, maybe(50) ? "! " : "", "-i eth+ ");
  const std::string protocol = maybe(60) ? "tcp" : "udp";
  const bool has_protocol = maybe(80);
  if (has_protocol) absl::StrAppend(&rule, "-p ", protocol, " ");
  if (maybe(8)) {
    absl::StrAppend(&rule, "-m statistic --mode nth --every 3 --packet 1 ");
  }
  if (maybe(3)) absl::StrAppend(&rule, "-m martian --color green ");
  if (has_protocol && maybe(85)) {
    absl::StrAppend(&rule, "-m ", protocol,
                    maybe(8) ? " ! --dport " : " --dport ", 80 + random() % 4,
                    maybe(8) ? ":83 " : " ");
  }
  if (maybe(20)) absl::StrAppend(&rule, "-m comment --comment \"a b\" ");
  if (maybe(8)) absl::StrAppend(&rule, "-m mark --mark 0x1/0x3 ");
  if (maybe(8)) absl::StrAppend(&rule, "-m conntrack --ctstate NEW,INVALID ");
  if (maybe(8)) {
    absl::StrAppend(&rule, "-m statistic --mode random --probability 0.25 ");
  }
  if (maybe(5)) {
    absl::StrAppend(&rule, "-m recent --", maybe(50) ? "set" : "rcheck",
                    " --name L --", maybe(50) ? "rsource " : "rdest ");
  }
  const std::vector<std::string> targets = {
      "-j ACCEPT",
      "-j RETURN",
      "-j MARK --set-xmark 0x1/0x1",
      "-j MARK --set-xmark 0x2/0xffffffff",
      "",
      "-j LOG",
      absl::StrCat("-j DNAT --to-destination ",
                   v6 ? has_protocol ? "[fd01::10]:8080" : "fd01::10"
                   : has_protocol ? "10.244.1.10:8080"
                                  : "10.244.1.10")};
  if (!chains.empty() && maybe(40)) {
    absl::StrAppend(&rule, maybe(80) ? "-j " : "-g ", Pick(chains, random));
  } else {
    absl::StrAppend(&rule, Pick(targets, random));
  }
  return rule;
}

std::string RandomNatTable(bool v6, std::mt19937& random) {
  std::string text =
      "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n"
      ":OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n";
  std::vector<std::string> names = {"PREROUTING"};
  for (int i = 0; i < 4; ++i) {
    names.push_back(absl::StrCat("C", i));
    absl::StrAppend(&text, ":C", i, " - [0:0]\n");
  }
  for (size_t i = 0; i < names.size(); ++i) {
    // Only later chains are called, so that there are no loops.
    const std::vector<std::string> callees(names.begin() + i + 1, names.end());
    const size_t rules = random() % 24;
    for (size_t k = 0; k < rules; ++k) {
      absl::StrAppend(&text, "-A ", names[i], " ",
                      RandomRule(v6, callees, random), "\n");
    }
  }
  return text + "COMMIT\n";
}

Packet RandomPacket(bool v6, std::mt19937& random) {
  auto address = [&] {
    return *IpAddress::Parse(
        absl::StrCat(v6 ? "fd02::" : "10.0.0.", 1 + random() % 7));
  };
  const SocketAddress from{address(), static_cast<uint16_t>(random() % 65536)};
  const SocketAddress to{address(), static_cast<uint16_t>(79 + random() % 6)};
  switch (random() % 8) {
    case 0:
      if (!v6) return Packet::IcmpEcho(from.address, to.address, 80);
      return Packet::Sctp(from, to);
    case 1:
    case 2:
    case 3:
      return Packet::Udp(from, to);
    default:
      return Packet::Tcp(from, to);
  }
}

class MatcherOnRandomRules : public ::testing::TestWithParam<bool> {};

TEST_P(MatcherOnRandomRules, Agrees) {
  const bool v6 = GetParam();
  std::mt19937 random(v6 ? 6 : 4);
  for (int world = 0; world < 300; ++world) {
    const std::string text = RandomNatTable(v6, random);
    const uint32_t min_rules = random() % 2 == 0 ? 1 : 8;
    Pair pair(Parse(text, v6 ? IpFamily::kIpv6 : IpFamily::kIpv4), min_rules);
    for (int i = 0; i < 60; ++i) {
      const bool traced = random() % 2 == 0;
      ASSERT_TRUE(pair.Agree(TableId::kNat, Hook::kPrerouting,
                             RandomPacket(v6, random), traced))
          << text;
    }
  }
}

// A Service's chains as kube-proxy writes them, or nearly so.
std::string RandomServices(bool v6, std::mt19937& random) {
  const std::string net = v6 ? "fd02::" : "10.0.0.";
  const std::string host = v6 ? "/128" : "/32";
  const auto now_and_then = [&] { return random() % 12 == 0; };
  const auto dnat = [&](size_t address) {
    return absl::StrCat("-j DNAT --to-destination ", v6 ? "[" : "", net,
                        address, v6 ? "]" : "", ":", 8080 + random() % 2);
  };
  std::string text =
      "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n"
      ":OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n"
      ":SERVICES - [0:0]\n:MARKS - [0:0]\n:OTHER - [0:0]\n";
  std::string rules =
      "-A PREROUTING -j SERVICES\n"
      "-A MARKS -j MARK --set-xmark 0x4000/0x4000\n"
      "-A OTHER -j MARK --set-xmark 0x1/0x1\n";
  for (int s = 1; s <= 4; ++s) {
    const std::string name = absl::StrCat("SVC", s);
    const std::string protocol = random() % 3 == 0 ? "udp" : "tcp";
    const std::string key =
        absl::StrCat("-d ", net, s, host, " -p ", protocol, " -m ", protocol,
                     " --dport ", 80 + random() % 2);
    absl::StrAppend(&text, ":", name, " - [0:0]\n");
    absl::StrAppend(&rules, "-A SERVICES ", key, " -m comment --comment c -j ",
                    name, "\n");
    if (random() % 4 != 0) {
      absl::StrAppend(&rules, "-A ", name,
                      random() % 3 == 0 ? " -s " : " ! -s ", net, 5, host, " ",
                      key, " -j ", now_and_then() ? "OTHER" : "MARKS", "\n");
    }
    const size_t endpoints = 1 + random() % 5;
    for (size_t e = 1; e <= endpoints; ++e) {
      const std::string sep = absl::StrCat("SEP", s, "-", e);
      absl::StrAppend(&text, ":", sep, " - [0:0]\n");
      absl::StrAppend(&rules, "-A ", name, " ");
      if (e != endpoints || now_and_then()) {
        absl::StrAppend(&rules, "-m statistic --mode random --probability 0.",
                        1 + random() % 9, " ");
      }
      absl::StrAppend(&rules, "-j ", sep, "\n");
      const size_t address = 3 + random() % 4;
      if (random() % 4 != 0) {
        absl::StrAppend(&rules, "-A ", sep, " -s ", net,
                        now_and_then() ? 1 : address, host, " -j MARKS\n");
      }
      if (now_and_then()) {
        absl::StrAppend(&rules, "-A ", sep, " -m recent --name ", sep,
                        " --set\n");
      }
      absl::StrAppend(&rules, "-A ", sep, " -p ",
                      now_and_then() ? "sctp" : protocol, " -m comment ",
                      "--comment c ", dnat(address), "\n");
    }
  }
  return text + rules + "COMMIT\n";
}

TEST_P(MatcherOnRandomRules, AgreesOnServices) {
  const bool v6 = GetParam();
  std::mt19937 random(v6 ? 66 : 44);
  for (int world = 0; world < 200; ++world) {
    const std::string text = RandomServices(v6, random);
    const uint32_t min_rules = random() % 2 == 0 ? 1 : 8;
    Pair pair(Parse(text, v6 ? IpFamily::kIpv6 : IpFamily::kIpv4), min_rules);
    for (int i = 0; i < 60; ++i) {
      const bool traced = random() % 4 == 0;
      ASSERT_TRUE(pair.Agree(TableId::kNat, Hook::kPrerouting,
                             RandomPacket(v6, random), traced))
          << text;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(BothFamilies, MatcherOnRandomRules, ::testing::Bool());

// ---- rules of clusters ----

struct Node {
  std::shared_ptr<const Ruleset> rules[2];

  NodeDataplane With(bool indexed) const {
    std::shared_ptr<const RuleMatcher> matchers[2];
    for (int i : {0, 1}) {
      if (indexed) {
        matchers[i] = std::make_shared<Matcher>(rules[i]);
      } else {
        matchers[i] = std::make_shared<LinearMatcher>(rules[i]);
      }
    }
    return NodeDataplane(Config(), matchers[0], matchers[1]);
  }
};

Node Compile(const Cluster& cluster) {
  KubeProxyConfig config;
  config.hostname_override = cluster.nodes().begin()->metadata.name;
  config.cluster_cidr = "10.0.0.0/8";
  auto compiler = proxy::IptablesCompiler::Create(cluster, config, {});
  EXPECT_TRUE(compiler.ok()) << compiler.status();
  Node node;
  node.rules[0] =
      std::make_shared<const Ruleset>(compiler->Compile(IpFamily::kIpv4));
  node.rules[1] =
      std::make_shared<const Ruleset>(compiler->Compile(IpFamily::kIpv6));
  return node;
}

testing::ClusterShape MixedShape() {
  testing::ClusterShape shape;
  shape.services = 300;
  shape.endpoints_per_service = 4;
  shape.zipf = 1.0;
  shape.node_port = 0.3;
  shape.load_balancer = 0.2;
  shape.external_traffic_policy_local = 0.3;
  shape.session_affinity = 0.2;
  shape.udp = 0.3;
  shape.dual_stack = 0.5;
  shape.not_ready = 0.2;
  return shape;
}

// Addresses and ports that the Services of a cluster listen on.
std::vector<SocketAddress> Doors(const Cluster& cluster) {
  std::vector<SocketAddress> doors;
  for (const Service& service : cluster.services()) {
    for (const auto& port : service.spec.ports) {
      for (const auto& ip : service.spec.cluster_ips) {
        if (auto a = IpAddress::Parse(ip)) {
          doors.push_back({*a, static_cast<uint16_t>(port.port)});
        }
      }
      if (port.node_port != 0) {
        doors.push_back({*IpAddress::Parse("192.168.10.11"),
                         static_cast<uint16_t>(port.node_port)});
      }
    }
  }
  return doors;
}

std::string Describe(const std::vector<Branch>& branches,
                     const Ruleset& rules) {
  std::string out;
  for (const Branch& b : branches) {
    absl::StrAppend(
        &out, b.probability, " ", static_cast<int>(b.outcome.verdict.kind), " ",
        b.outcome.verdict.rule, " ", b.outcome.out, " ",
        b.outcome.packet.header.ToString(), " mark ", b.outcome.mark, "\n");
    for (const TraceStep& step : b.outcome.trace) {
      absl::StrAppend(&out, "  ", TraceLine(step, rules), "\n");
    }
  }
  return out;
}

TEST(Matcher, AgreesOnAClustersRules) {
  const Cluster cluster = testing::GenerateCluster(MixedShape());
  const Node node = Compile(cluster);
  NodeDataplane linear = node.With(false);
  NodeDataplane indexed = node.With(true);
  const std::vector<SocketAddress> doors = Doors(cluster);
  ASSERT_GT(doors.size(), 300u);
  std::mt19937 random(1);
  for (int i = 0; i < 400; ++i) {
    SocketAddress to = Pick(doors, random);
    if (random() % 10 == 0) ++to.port;
    const bool v6 = to.address.is_v6();
    const SocketAddress from{
        *IpAddress::Parse(v6                  ? "fd01::10"
                          : random() % 2 == 0 ? "10.244.1.10"
                                              : "203.0.113.9"),
        static_cast<uint16_t>(1024 + random() % 60000)};
    NodePacket packet;
    packet.header =
        random() % 3 == 0 ? Packet::Udp(from, to) : Packet::Tcp(from, to);
    const Arrival arrival = random() % 4 == 0 ? Arrival::Sent(packet, false)
                                              : Arrival::On("eth0", packet);
    const bool traced = random() % 2 == 0;
    std::vector<Branch> want = linear.Match(arrival, traced);
    std::vector<Branch> got = indexed.Match(arrival, traced);
    const Ruleset& rules = *node.rules[v6 ? 1 : 0];
    ASSERT_EQ(Describe(want, rules), Describe(got, rules));
    for (size_t b = 0; b < want.size(); ++b) {
      ASSERT_EQ(want[b].outcome, got[b].outcome);
      ASSERT_TRUE(want[b].after == got[b].after);
    }
    // Goes on, so that later packets meet flows and lists.
    const size_t taken = random() % want.size();
    linear.Take(want[taken]);
    indexed.Take(got[taken]);
    linear.Advance(1000);
    indexed.Advance(1000);
  }
}

TEST(Matcher, DrawsAsLinearMatcherDoes) {
  const Cluster cluster = testing::GenerateCluster(MixedShape());
  const Node node = Compile(cluster);
  NodeDataplane linear = node.With(false);
  NodeDataplane indexed = node.With(true);
  NodeDataplane batched = node.With(true);
  const std::vector<SocketAddress> doors = Doors(cluster);
  std::mt19937 random(2);
  std::mt19937_64 draws[3];
  for (int round = 0; round < 40; ++round) {
    std::vector<Arrival> arrivals;
    for (int i = 0; i < 50; ++i) {
      const SocketAddress to = Pick(doors, random);
      const SocketAddress from{
          *IpAddress::Parse(to.address.is_v6() ? "fd01::10" : "10.244.1.10"),
          static_cast<uint16_t>(1024 + random() % 60000)};
      NodePacket packet;
      packet.header =
          random() % 3 == 0 ? Packet::Udp(from, to) : Packet::Tcp(from, to);
      arrivals.push_back(Arrival::On("veth-a", packet));
    }
    std::vector<Outcome> at_once(arrivals.size());
    batched.SampleBatch(arrivals, draws[2], at_once);
    for (size_t i = 0; i < arrivals.size(); ++i) {
      const Outcome want = linear.Sample(arrivals[i], draws[0], false);
      ASSERT_EQ(indexed.Sample(arrivals[i], draws[1], false), want);
      ASSERT_EQ(at_once[i], want);
    }
    ASSERT_TRUE(linear.state() == indexed.state());
    ASSERT_TRUE(linear.state() == batched.state());
    ASSERT_EQ(draws[0], draws[1]);
    ASSERT_EQ(draws[0], draws[2]);
  }
}

// ---- other promises ----

TEST(Matcher, SaysThatRulesLoopAsLinearMatcherDoes) {
  auto rules = std::make_unique<Ruleset>(IpFamily::kIpv4);
  netfilter::Table& table = rules->AddTable(TableId::kFilter);
  const netfilter::ChainId forward = table.AddChain("FORWARD");
  netfilter::RuleBuilder b;
  for (uint8_t i = 0; i < 5; ++i) {
    b.Clear();
    b.Add(netfilter::DestinationMatch{netfilter::ToAddressMask(
        IpPrefix::Host(IpAddress::V4(0x0a000001u + i)))});
    b.Add(netfilter::DropTarget{});
    table.Append(forward, b);
  }
  b.Clear();
  b.Add(netfilter::GotoTarget{table.name_id(forward)});
  table.Append(forward, b);
  Pair pair(std::shared_ptr<const Ruleset>(std::move(rules)));
  EXPECT_TRUE(pair.Agree(
      TableId::kFilter, Hook::kForward,
      Packet::Tcp({IpAddress::V4(1), 1}, {IpAddress::V4(0x0b000001), 80})));
}

TEST(Matcher, MayBeSharedBetweenThreads) {
  const Cluster cluster = testing::GenerateCluster(MixedShape());
  const Node node = Compile(cluster);
  const NodeDataplane shared = node.With(true);
  const std::vector<SocketAddress> doors = Doors(cluster);
  std::vector<std::string> seen(4);
  std::vector<std::thread> threads;
  for (std::string& out : seen) {
    threads.emplace_back([&shared, &doors, &node, &out] {
      for (size_t i = 0; i < 50; ++i) {
        const SocketAddress& to = doors[i * 7 % doors.size()];
        if (to.address.is_v6()) continue;
        NodePacket packet;
        packet.header = Packet::Tcp({IpAddress::V4(0xcb007109), 4000}, to);
        out +=
            Describe(shared.Match(Arrival::On("eth0", packet)), *node.rules[0]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(seen[0].empty());
  for (const std::string& out : seen) EXPECT_EQ(out, seen[0]);
}

}  // namespace
}  // namespace k8sdns::dataplane
