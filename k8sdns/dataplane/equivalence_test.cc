// Whether two rule sets give every packet the same fate: the answer, the
// witness, and both held against running packets one by one.
#include "k8sdns/dataplane/equivalence.h"

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "k8sdns/dataplane/linear_matcher.h"
#include "k8sdns/dataplane/node_dataplane.h"
#include "k8sdns/netfilter/iptables_save.h"

namespace k8sdns::dataplane {
namespace {

using ::testing::HasSubstr;
using Answer = Equivalence::Answer;

netfilter::Ruleset Read(const std::string& text) {
  netfilter::ParseOptions options;
  options.keep_unknown_extensions = true;
  auto rules = netfilter::ParseIptablesSave(text, IpFamily::kIpv4, options);
  EXPECT_TRUE(rules.ok()) << rules.status() << text;
  return *std::move(rules);
}

Equivalence Compare(const std::string& a, const std::string& b,
                    EquivalenceOptions options = {}) {
  auto result = CompareFates(Read(a), Read(b), options);
  EXPECT_TRUE(result.ok()) << result.status();
  return *std::move(result);
}

std::string Filter(const std::string& rules, const char* policy = "ACCEPT") {
  return absl::StrCat("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ", policy,
                      " [0:0]\n:OUTPUT ACCEPT [0:0]\n:a - [0:0]\n:b - [0:0]\n",
                      rules, "COMMIT\n");
}
std::string Nat(const std::string& rules) {
  return absl::StrCat(
      "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT "
      "[0:0]\n:POSTROUTING ACCEPT [0:0]\n:a - [0:0]\n:b - [0:0]\n",
      rules, "COMMIT\n");
}

TEST(EquivalenceTest, NamesCommentsAndIndirectionDoNotCount) {
  EXPECT_EQ(Compare(Filter("-A FORWARD -s 10.0.0.1/32 -j a\n-A a -j DROP\n"),
                    Filter("-A FORWARD -s 10.0.0.1/32 -m comment --comment "
                           "\"bad\" -j b\n-A b -j DROP\n"))
                .answer,
            Answer::kEquivalent);
  EXPECT_EQ(Compare(Filter("-A FORWARD -s 10.0.0.1/32 -j a\n-A a -j DROP\n"),
                    Filter("-A FORWARD -s 10.0.0.1/32 -j DROP\n"))
                .answer,
            Answer::kEquivalent);
  EXPECT_EQ(Compare(Filter("-A FORWARD -s 10.0.0.0/31 -j DROP\n"),
                    Filter("-A FORWARD -s 10.0.0.1/32 -j DROP\n"
                           "-A FORWARD -s 10.0.0.0/32 -j DROP\n"))
                .answer,
            Answer::kEquivalent);
  EXPECT_EQ(Compare(Filter("-A FORWARD -j DROP\n"), Filter("", "DROP")).answer,
            Answer::kEquivalent);
}

TEST(EquivalenceTest, AWitnessIsOnePacketWithBothTraces) {
  const Equivalence e = Compare(
      Filter("-A FORWARD -d 10.0.0.0/8 -p tcp -m tcp --dport 22 -j DROP\n"),
      Filter("-A FORWARD -d 10.0.0.0/9 -p tcp -m tcp --dport 22 -j DROP\n"));
  EXPECT_EQ(e.ToString(),
            "different\n"
            "  TCP 192.168.1.2:40000 > 10.128.0.0:22, forwarded, in by if0, "
            "out by if0, state NEW, source UNICAST, destination UNICAST\n"
            "  A: 1 dropped\n"
            "       filter:FORWARD:rule:1 -A FORWARD -d 10.0.0.0/8 -p tcp -m "
            "tcp --dport 22 -j DROP\n"
            "  B: 1 accepted, mark 0x0\n"
            "       filter:FORWARD:policy:ACCEPT\n");
}

TEST(EquivalenceTest, OrderCountsWhereRulesOverlap) {
  const std::string drop = "-A FORWARD -s 10.0.0.1/32 -j DROP\n";
  const std::string accept = "-A FORWARD -d 10.0.0.2/32 -j ACCEPT\n";
  const std::string other = "-A FORWARD -s 10.0.0.3/32 -j ACCEPT\n";
  EXPECT_EQ(Compare(Filter(drop + accept), Filter(accept + drop)).answer,
            Answer::kDifferent);
  EXPECT_EQ(Compare(Filter(drop + other), Filter(other + drop)).answer,
            Answer::kEquivalent);
}

TEST(EquivalenceTest, SharesAreCompared) {
  auto balance = [](const std::string& first, const std::string& a,
                    const std::string& b) {
    return Nat(
        absl::StrCat("-A PREROUTING -d 10.96.0.1/32 -m statistic --mode "
                     "random --probability ",
                     first, " -j DNAT --to-destination ", a,
                     "\n-A PREROUTING -d 10.96.0.1/32 -j DNAT "
                     "--to-destination ",
                     b, "\n"));
  };
  const std::string base = balance("0.5", "10.1.0.1", "10.1.0.2");
  EXPECT_EQ(Compare(base, balance("0.5", "10.1.0.2", "10.1.0.1")).answer,
            Answer::kEquivalent);
  const Equivalence e = Compare(base, balance("0.25", "10.1.0.1", "10.1.0.2"));
  ASSERT_EQ(e.answer, Answer::kDifferent);
  ASSERT_EQ(e.fates[1].size(), 2u);
  EXPECT_DOUBLE_EQ(e.fates[1][0].probability, 0.25);
  EXPECT_THAT(e.fates[1][0].text, HasSubstr("10.1.0.1"));
}

TEST(EquivalenceTest, LaterRulesSeeTheTranslatedPacket) {
  const std::string nat =
      Nat("-A PREROUTING -d 10.96.0.1/32 -j DNAT --to-destination 10.1.0.1\n");
  // After the translation 10.96.0.1 does not come any more ... but to the
  // packets of flows that conntrack does not know.
  EXPECT_EQ(Compare(nat, nat + Filter("-A FORWARD -d 10.96.0.1/32 -m conntrack "
                                      "--ctstate NEW -j DROP\n"))
                .answer,
            Answer::kEquivalent);
  EXPECT_EQ(Compare(nat, nat + Filter("-A FORWARD -d 10.96.0.1/32 -j DROP\n"))
                .witness->state,
            "INVALID");
  const Equivalence e =
      Compare(nat, nat + Filter("-A FORWARD -d 10.1.0.1/32 -m conntrack "
                                "--ctstate DNAT -j DROP\n"));
  EXPECT_EQ(e.answer, Answer::kDifferent);
}

TEST(EquivalenceTest, MarksAreFollowedBitByBit) {
  const std::string mark =
      "*mangle\n:PREROUTING ACCEPT [0:0]\n"
      "-A PREROUTING -i eth0 -j MARK --set-xmark "
      "0x4000/0x4000\nCOMMIT\n";
  const std::string by_mark =
      mark + Filter("-A FORWARD -m mark --mark 0x4000/0x4000 -j DROP\n");
  const std::string by_device = mark + Filter("-A FORWARD -i eth0 -j DROP\n");
  EquivalenceOptions unmarked;
  unmarked.any_mark = false;
  EXPECT_EQ(Compare(by_mark, by_device, unmarked).answer, Answer::kEquivalent);
  const Equivalence e = Compare(by_mark, by_device);
  EXPECT_EQ(e.answer, Answer::kDifferent);
  EXPECT_EQ(e.witness->mark, 0x4000u);
}

TEST(EquivalenceTest, AMatchWithoutAModelIsAVariable) {
  const std::string odd = "-A FORWARD -m ttl --ttl-lt 5 -j DROP\n";
  const std::string other = "-A FORWARD -s 10.0.0.1/32 -j DROP\n";
  EXPECT_EQ(Compare(Filter(odd + other), Filter(other + odd)).answer,
            Answer::kEquivalent);
  const Equivalence e = Compare(Filter(odd), Filter(""));
  EXPECT_EQ(e.answer, Answer::kUnknown);
  EXPECT_THAT(e.reason, HasSubstr("-m ttl --ttl-lt 5"));
  // Elsewhere they differ for sure.
  EXPECT_EQ(
      Compare(Filter(odd + "-A INPUT -s 10.0.0.1/32 -j DROP\n"), Filter(""))
          .answer,
      Answer::kDifferent);
}

TEST(EquivalenceTest, AffinityIsAVariable) {
  auto rules = [](const std::string& seconds) {
    return Nat(
        absl::StrCat("-A PREROUTING -d 10.96.0.1/32 -m recent --rcheck "
                     "--seconds ",
                     seconds,
                     " --name x --mask 255.255.255.255 --rsource -j "
                     "DNAT --to-destination 10.1.0.1\n"));
  };
  EXPECT_EQ(Compare(rules("100"), rules("100")).answer, Answer::kEquivalent);
  const Equivalence e = Compare(rules("100"), rules("200"));
  EXPECT_EQ(e.answer, Answer::kDifferent);
  EXPECT_THAT(e.ToString(), HasSubstr("--seconds 100"));
}

TEST(EquivalenceTest, LimitsAndBadInput) {
  EquivalenceOptions options;
  options.max_splits = 3;
  EXPECT_EQ(
      Compare(Filter("-A FORWARD -s 10.0.0.1/32 -d 10.0.0.7/32 -j DROP\n"),
              Filter("-A FORWARD -d 10.0.0.7/32 -s 10.0.0.1/32 -j a\n"
                     "-A a -s 10.0.0.1/32 -j DROP\n"),
              options)
          .answer,
      Answer::kUndecided);
  const netfilter::Ruleset v4 = Read("");
  EXPECT_FALSE(CompareFates(v4, netfilter::Ruleset(IpFamily::kIpv6), {}).ok());
  netfilter::ParseOptions parse;
  parse.kernel_checks = false;
  auto loop = netfilter::ParseIptablesSave(
      Filter("-A FORWARD -j a\n-A a -j b\n-A b -j a\n"), IpFamily::kIpv4,
      parse);
  if (loop.ok()) {
    EXPECT_THAT(std::string(CompareFates(*loop, v4, {}).status().message()),
                HasSubstr("leads back to itself"));
  }
}

// ---- against packets that are run one by one ----

// Rules from a small vocabulary.
class RandomRules {
 public:
  explicit RandomRules(uint64_t seed) : random_(seed) {}

  struct Tables {
    std::vector<std::string> mangle;
    std::vector<std::string> nat;
    std::vector<std::string> filter;

    std::string Text() const {
      std::string mangle_rules;
      std::string nat_rules;
      std::string filter_rules;
      for (const std::string& r : mangle) mangle_rules += r;
      for (const std::string& r : nat) nat_rules += r;
      for (const std::string& r : filter) filter_rules += r;
      return absl::StrCat(
          "*mangle\n:PREROUTING ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT "
          "ACCEPT [0:0]\n",
          mangle_rules, "COMMIT\n", Nat(nat_rules), Filter(filter_rules));
    }
  };

  Tables Next() {
    Tables t;
    for (uint32_t i = Draw(2); i > 0; --i) t.mangle.push_back(MangleRule());
    for (uint32_t i = 1 + Draw(5); i > 0; --i) t.nat.push_back(NatRule());
    for (uint32_t i = 1 + Draw(5); i > 0; --i) t.filter.push_back(FilterRule());
    return t;
  }
  Tables Changed(Tables t) {
    std::vector<std::string>& rules = Draw(2) ? t.nat : t.filter;
    if (rules.empty()) return t;
    const size_t at = Draw(static_cast<uint32_t>(rules.size()));
    switch (Draw(4)) {
      case 0:
        rules.erase(rules.begin() + at);
        break;
      case 1:
        rules.insert(rules.begin() + at, rules[at]);
        break;
      case 2:
        if (at > 0) std::swap(rules[at], rules[at - 1]);
        break;
      default:
        rules[at] = &rules == &t.nat ? NatRule() : FilterRule();
    }
    return t;
  }

 private:
  uint32_t Draw(uint32_t n) {
    return std::uniform_int_distribution<uint32_t>(0, n - 1)(random_);
  }
  std::string One(std::initializer_list<const char*> of) {
    return *(of.begin() + Draw(static_cast<uint32_t>(of.size())));
  }
  std::string Matches(bool tcp = false) {
    std::string out = One(
        {"", "", "-s 10.0.0.1/32 ", "! -s 10.0.0.1/32 ", "-s 10.0.0.0/30 "});
    out += One({"", "", "", "", "-d 10.96.0.1/32 ", "-d 10.96.0.2/32 ",
                "! -d 10.96.0.1/32 ", "-d 10.244.0.5/32 ", "-d 10.1.0.9/32 "});
    out += tcp ? One({"-p tcp ", "-p tcp -m tcp --dport 80 "})
               : One({"", "", "-p tcp -m tcp --dport 80 ", "-p udp ",
                      "-p tcp -m multiport --ports 53,80:90 ", "! -p udp "});
    out += One({"", "", "", "", "", "", "-m mark --mark 0x1/0x1 ",
                "-m mark ! --mark 0x2/0x3 ", "-m addrtype --dst-type LOCAL ",
                "-m conntrack --ctstate NEW ", "-m conntrack ! --ctstate DNAT ",
                "-m statistic --mode random --probability 0.5 "});
    return out;
  }
  std::string MangleRule() {
    return absl::StrCat("-A ", One({"PREROUTING", "FORWARD", "OUTPUT"}), " ",
                        Matches(), "-j MARK --set-xmark ",
                        One({"0x1/0x1", "0x2/0x2", "0x0/0x1"}), "\n");
  }
  std::string NatRule() {
    const std::string chain =
        One({"PREROUTING", "PREROUTING", "OUTPUT", "a", "b", "POSTROUTING"});
    std::string target;
    if (chain == "POSTROUTING") {
      target = One({"MASQUERADE", "RETURN", "MARK --set-xmark 0x1/0x1"});
    } else if (chain == "a") {
      target =
          One({"DNAT --to-destination 10.244.0.5:8080", "b", "RETURN",
               "DNAT --to-destination 10.244.0.6", "MARK --set-xmark 0x1/0x1"});
    } else {
      target = One({"DNAT --to-destination 10.244.0.5:8080", "RETURN",
                    "DNAT --to-destination 10.1.0.9:80", "ACCEPT"});
      if (chain != "b" && Draw(2)) target = One({"a", "b", "a"});
    }
    const bool port = target.find(":80") != std::string::npos;
    return absl::StrCat("-A ", chain, " ", Matches(port), "-j ", target, "\n");
  }
  std::string FilterRule() {
    const std::string chain =
        One({"FORWARD", "FORWARD", "INPUT", "OUTPUT", "a"});
    std::string target = One({"DROP", "ACCEPT", "RETURN", "DROP"});
    if (chain != "a" && Draw(2)) target = "a";
    return absl::StrCat("-A ", chain, " ", Matches(), "-j ", target, "\n");
  }

  std::mt19937_64 random_;
};

NodeDataplane NodeWith(const NodeConfig& config, const std::string& rules) {
  auto shared = std::make_shared<netfilter::Ruleset>(Read(rules));
  return NodeDataplane(config, std::make_shared<LinearMatcher>(shared),
                       nullptr);
}

// Everything that becomes of a packet, with its share.
std::map<std::string, double> FatesAt(const NodeDataplane& node,
                                      const Arrival& arrival) {
  std::map<std::string, double> out;
  for (const Branch& b : node.Match(arrival, /*traced=*/false)) {
    const Outcome& o = b.outcome;
    Packet p = o.packet.header;
    if (o.drawn_last_port != 0) p.src_port = 0;
    out[o.verdict.kind == Verdict::kAccept
            ? absl::StrCat(o.local, " ", o.out, " ", p.ToString(), " ", o.mark)
            : absl::StrCat("verdict ", int{o.verdict.kind}, " ",
                           o.verdict.reason)] += b.probability;
  }
  return out;
}

bool SameShares(const std::map<std::string, double>& a,
                const std::map<std::string, double>& b) {
  std::map<std::string, double> left = a;
  for (const auto& [fate, share] : b) left[fate] -= share;
  for (const auto& [fate, share] : left) {
    if (share > 1e-9 || share < -1e-9) return false;
  }
  return true;
}

NodeConfig FixedNode() {
  NodeConfig node;
  node.has_listeners = true;
  node.interfaces.push_back(
      {"eth0", {*IpPrefix::Parse("192.168.10.11/24")}, true, false});
  node.interfaces.push_back(
      {"veth", {*IpPrefix::Parse("10.1.0.9/32")}, true, false});
  Route route;
  route.prefix = *IpPrefix::Parse("10.0.0.0/8");
  route.device = "veth";
  node.routes.push_back(route);
  route.prefix = *IpPrefix::Parse("0.0.0.0/0");
  route.device = "eth0";
  node.routes.push_back(route);
  node.sysctls["net.ipv4.conf.all.rp_filter"] = 0;
  return node;
}

std::vector<Arrival> Vocabulary() {
  std::vector<Arrival> out;
  for (const char* src : {"10.0.0.1", "10.0.0.9"}) {
    for (const char* dst :
         {"10.96.0.1", "10.96.0.2", "10.244.0.5", "10.1.0.9", "172.16.0.1"}) {
      for (int port : {80, 53}) {
        for (bool udp : {false, true}) {
          const SocketAddress from = {*IpAddress::Parse(src), 40000};
          const SocketAddress to = {*IpAddress::Parse(dst),
                                    static_cast<uint16_t>(port)};
          NodePacket p;
          p.header = udp ? Packet::Udp(from, to) : Packet::Tcp(from, to);
          out.push_back(Arrival::On("veth", p));
          out.push_back(Arrival::On("eth0", p));
          p.header.src = *IpAddress::Parse("192.168.10.11");
          out.push_back(Arrival::Sent(p));
        }
      }
    }
  }
  return out;
}

// A node on which the witness goes the way that it tells; nullopt if there is
// none, or its past cannot be made.
std::optional<std::pair<NodeConfig, Arrival>> NodeFor(const WitnessPacket& w) {
  if (w.state != "NEW" || w.path == "looped" || w.mark != 0 ||
      !w.assumptions.empty()) {
    return std::nullopt;
  }
  const bool local = w.path == "delivered";
  if (w.path != "sent" && w.destination_type != (local ? "LOCAL" : "UNICAST")) {
    return std::nullopt;
  }
  if (w.path == "sent" && w.destination_type != "UNICAST") return std::nullopt;
  if (!w.packet.HasPorts()) return std::nullopt;
  NodeConfig node;
  node.has_listeners = true;
  node.sysctls["net.ipv4.conf.all.rp_filter"] = 0;
  Interface in = {w.in, {*IpPrefix::Parse("192.168.77.1/24")}, true, false};
  Interface out = {w.out, {*IpPrefix::Parse("192.168.78.1/24")}, true, false};
  if (local) {
    for (const char* own : {"10.244.0.5/32", "10.244.0.6/32", "10.1.0.9/32"}) {
      in.addresses.push_back(*IpPrefix::Parse(own));
    }
    in.addresses.push_back(IpPrefix::Host(w.packet.dst));
  }
  if (w.path == "sent") out.addresses.push_back(IpPrefix::Host(w.packet.src));
  Route route;
  route.prefix = *IpPrefix::Parse("0.0.0.0/0");
  if (!w.in.empty()) {
    node.interfaces.push_back(in);
    route.device = w.in;
  }
  if (!w.out.empty()) {
    if (w.out != w.in) node.interfaces.push_back(out);
    route.device = w.out;
  }
  node.routes.push_back(route);
  NodePacket p;
  p.header = w.packet;
  p.header.tcp_flags = kTcpSyn;
  return std::pair(node,
                   w.in.empty() ? Arrival::Sent(p) : Arrival::On(w.in, p));
}

TEST(EquivalenceTest, AgreesWithPacketsRunOneByOne) {
  const NodeConfig node = FixedNode();
  const std::vector<Arrival> vocabulary = Vocabulary();
  int equivalent = 0;
  int different = 0;
  int witnesses = 0;
  EquivalenceOptions unmarked;
  unmarked.any_mark = false;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    RandomRules random(seed);
    const RandomRules::Tables tables = random.Next();
    const std::string a = tables.Text();
    const std::string b = random.Changed(random.Changed(tables)).Text();
    const Equivalence e = Compare(a, b, unmarked);
    ASSERT_TRUE(e.answer == Answer::kEquivalent ||
                e.answer == Answer::kDifferent)
        << e.ToString() << a << b;
    if (e.answer == Answer::kEquivalent) {
      ++equivalent;
      const NodeDataplane with_a = NodeWith(node, a);
      const NodeDataplane with_b = NodeWith(node, b);
      for (const Arrival& arrival : vocabulary) {
        ASSERT_TRUE(
            SameShares(FatesAt(with_a, arrival), FatesAt(with_b, arrival)))
            << "seed " << seed << " " << arrival.packet.header.ToString()
            << " by " << arrival.interface << "\n"
            << a << b;
      }
      continue;
    }
    ++different;
    EXPECT_NE(Compare(a, b).answer, Answer::kEquivalent) << a << b;
    const auto place = NodeFor(*e.witness);
    if (!place) continue;
    ++witnesses;
    EXPECT_FALSE(SameShares(FatesAt(NodeWith(place->first, a), place->second),
                            FatesAt(NodeWith(place->first, b), place->second)))
        << "seed " << seed << " " << e.ToString() << a << b;
  }
  // The test tests something.
  EXPECT_GT(equivalent, 10);
  EXPECT_GT(different, 10);
  EXPECT_GT(witnesses, 5);
}

}  // namespace
}  // namespace k8sdns::dataplane
