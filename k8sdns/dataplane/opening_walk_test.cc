// Packets that open flows go a short way where rules allow it. These tests
// send the same packets to a node with the matcher that knows such ways and
// to one that walks every rule, and compare all that comes of them.
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "k8sdns/dataplane/linear_matcher.h"
#include "k8sdns/dataplane/matcher.h"
#include "k8sdns/dataplane/node_dataplane.h"
#include "k8sdns/netfilter/iptables_save.h"

namespace k8sdns::dataplane {
namespace {

using Random = std::mt19937;

bool OneIn(uint32_t n, Random& random) { return random() % n == 0; }

template <size_t kCount>
std::string Any(const char* const (&texts)[kCount], Random& random) {
  return texts[random() % kCount];
}

// Addresses are written for IPv4 as "10.96.0." or "10.128.0." and a number.
std::string Ip(bool v6, absl::string_view net, uint32_t host) {
  if (!v6) return absl::StrCat(net, host);
  return absl::StrCat(net == "10.96.0." ? "fd00:96::" : "fd00:80::",
                      absl::Hex(host));
}

constexpr uint32_t kServices = 12;

std::string Dnat(bool v6, uint32_t host, int port) {
  const std::string ip = Ip(v6, "10.128.0.", host);
  return v6 ? absl::StrCat("[", ip, "]:", port) : absl::StrCat(ip, ":", port);
}

// As kube-proxy writes them, with some things added here and there.
std::string RandomNat(bool v6, Random& random) {
  const absl::string_view bits = v6 ? "/128" : "/32";
  std::string chains =
      "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n"
      ":OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n"
      ":KUBE-SERVICES - [0:0]\n:KUBE-MARK-MASQ - [0:0]\n"
      ":KUBE-POSTROUTING - [0:0]\n";
  std::string rules;
  if (OneIn(4, random)) {
    rules +=
        Any({"-A PREROUTING -i veth1 -j ACCEPT\n",
             "-A PREROUTING -i eth+ -j RETURN\n",
             "-A PREROUTING -m mark --mark 0x1/0x1 -j RETURN\n",
             "-A PREROUTING -p udp -j MARK --set-xmark 0x2/0x2\n",
             "-A PREROUTING ! -i veth0 -p tcp -m tcp --dport 81 -j ACCEPT\n",
             "-A PREROUTING -m conntrack --ctstate NEW -j MARK "
             "--set-xmark 0x4000/0x4000\n"},
            random);
  }
  rules += "-A PREROUTING -j KUBE-SERVICES\n-A OUTPUT -j KUBE-SERVICES\n";
  if (OneIn(4, random)) {
    rules +=
        Any({"-A POSTROUTING -o eth0 -j MASQUERADE\n",
             "-A POSTROUTING -o veth1 -j ACCEPT\n",
             "-A POSTROUTING -p udp -o eth0 -j MASQUERADE --random-fully\n",
             "-A POSTROUTING -m mark --mark 0x1/0x1 -j MASQUERADE\n"},
            random);
  }
  rules +=
      "-A POSTROUTING -j KUBE-POSTROUTING\n"
      "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000\n"
      "-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN\n"
      "-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0\n"
      "-A KUBE-POSTROUTING -j MASQUERADE --random-fully\n";
  for (uint32_t s = 0; s < kServices; ++s) {
    const std::string svc = absl::StrCat("KUBE-SVC-", s);
    const std::string vip = absl::StrCat(Ip(v6, "10.96.0.", s), bits);
    const std::string protocol = s % 3 == 0 ? "udp" : "tcp";
    absl::StrAppend(&chains, ":", svc, " - [0:0]\n");
    absl::StrAppend(&rules, "-A KUBE-SERVICES -d ", vip, " -p ", protocol,
                    " -m ", protocol, " --dport 80 -j ", svc, "\n");
    if (!OneIn(3, random)) {
      absl::StrAppend(&rules, "-A ", svc, " ! -s ", Ip(v6, "10.128.0.", 0),
                      v6 ? "/112" : "/24", " -d ", vip, " -p ", protocol,
                      " -m ", protocol, " --dport 80 -j KUBE-MARK-MASQ\n");
    }
    const uint32_t endpoints = 1 + random() % 4;
    for (uint32_t e = 0; e < endpoints; ++e) {
      const std::string sep = absl::StrCat("KUBE-SEP-", s, "-", e);
      // Few addresses: replies collide, and clients meet themselves.
      const uint32_t host = 1 + random() % 6;
      absl::StrAppend(&chains, ":", sep, " - [0:0]\n");
      absl::StrAppend(&rules, "-A ", svc);
      if (e + 1 < endpoints) {
        absl::StrAppend(&rules, " -m statistic --mode random --probability 0.",
                        10 + random() % 80);
      }
      absl::StrAppend(&rules, " -j ", sep, "\n");
      if (!OneIn(4, random)) {
        absl::StrAppend(&rules, "-A ", sep, " -s ", Ip(v6, "10.128.0.", host),
                        bits, " -j KUBE-MARK-MASQ\n");
      }
      absl::StrAppend(&rules, "-A ", sep, " -p ", protocol, " -m ", protocol,
                      " -j DNAT --to-destination ",
                      Dnat(v6, host, OneIn(2, random) ? 8080 : 80), "\n");
    }
  }
  return chains + rules + "COMMIT\n";
}

std::string RandomOthers(bool v6, Random& random) {
  std::string text = "*filter\n:INPUT ACCEPT [0:0]\n";
  absl::StrAppend(&text, ":FORWARD ", OneIn(8, random) ? "DROP" : "ACCEPT",
                  " [0:0]\n:OUTPUT ACCEPT [0:0]\n:KUBE-FORWARD - [0:0]\n");
  if (OneIn(3, random)) {
    text +=
        Any({"-A FORWARD -i veth0 -o eth0 -j REJECT\n",
             "-A FORWARD -o veth1 -j ACCEPT\n", "-A FORWARD -p udp -j DROP\n",
             "-A FORWARD -p tcp -m tcp --dport 8080 -j DROP\n",
             "-A FORWARD -m conntrack --ctstate DNAT -j DROP\n",
             "-A FORWARD -m conntrack ! --ctstate NEW -j DROP\n",
             "-A FORWARD -i veth1 -j MARK --set-xmark 0x1/0x1\n",
             "-A FORWARD -m mark --mark 0x1/0x1 -j DROP\n"},
            random);
  }
  text +=
      "-A FORWARD -j KUBE-FORWARD\n"
      "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP\n"
      "-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT\n"
      "-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
      "COMMIT\n";
  if (OneIn(3, random)) {
    text +=
        "*mangle\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n"
        ":FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
        ":POSTROUTING ACCEPT [0:0]\n";
    text += Any({"-A PREROUTING -p udp -j MARK --set-xmark 0x1/0x1\n",
                 "-A PREROUTING -i veth1 -j DROP\n",
                 "-A FORWARD -o eth0 -p tcp -j DROP\n",
                 "-A POSTROUTING -o veth1 -j DROP\n",
                 "-A POSTROUTING -m mark --mark 0x4000/0x4000 -j ACCEPT\n"},
                random);
    text += "COMMIT\n";
  }
  if (OneIn(4, random)) {
    text += "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n";
    text += Any({"-A PREROUTING -p udp -j CT --notrack\n",
                 "-A PREROUTING -m conntrack --ctstate NEW -j DROP\n",
                 "-A PREROUTING -i veth1 -j MARK --set-xmark 0x4000/0x4000\n"},
                random);
    text += "COMMIT\n";
  }
  (void)v6;
  return text;
}

NodeConfig Node(bool v6, Random& random) {
  NodeConfig node;
  node.interfaces.push_back(
      {"eth0", {*IpPrefix::Parse(v6 ? "fd00:31::1/64" : "172.31.0.1/24")}});
  node.interfaces.push_back({"veth0", {}});
  node.interfaces.push_back({"veth1", {}});
  const auto add = [&](const std::string& prefix, const char* device) {
    Route route;
    route.prefix = *IpPrefix::Parse(prefix);
    route.device = device;
    node.routes.push_back(route);
  };
  const char* bits = v6 ? "/128" : "/32";
  for (uint32_t host = 1; host <= 4; ++host) {
    add(Ip(v6, "10.128.0.", host) + bits, host % 2 == 0 ? "veth0" : "veth1");
  }
  if (!OneIn(4, random)) {
    add(v6 ? "::/0" : "0.0.0.0/0", "eth0");
    node.routes.back().gateway =
        IpAddress::Parse(v6 ? "fd00:31::fe" : "172.31.0.254");
  }
  if (OneIn(3, random)) node.has_listeners = false;
  return node;
}

Arrival RandomArrival(bool v6, Random& random) {
  const auto client = [&] {
    if (OneIn(5, random)) {
      return *IpAddress::Parse(v6 ? "fd00:31::9" : "172.31.0.9");
    }
    return *IpAddress::Parse(Ip(v6, "10.128.0.", 1 + random() % 6));
  };
  const auto port = static_cast<uint16_t>(1024 + random() % 12);
  const uint32_t service = random() % (kServices + 1);
  IpAddress to = *IpAddress::Parse(Ip(v6, "10.96.0.", service));
  if (OneIn(6, random)) to = client();
  const SocketAddress src = {client(), port};
  SocketAddress dst = {to, static_cast<uint16_t>(OneIn(9, random) ? 81 : 80)};
  if (OneIn(5, random)) dst.port = OneIn(2, random) ? 8080 : port;
  NodePacket packet;
  packet.header =
      service % 3 == 0 ? Packet::Udp(src, dst) : Packet::Tcp(src, dst);
  if (OneIn(4, random)) {
    packet.header.tcp_flags = OneIn(2, random) ? kTcpAck : kTcpSyn | kTcpEce;
  }
  if (OneIn(5, random))
    std::swap(packet.header.src_port, packet.header.dst_port);
  if (OneIn(10, random)) packet.header.ttl = 1;
  if (OneIn(30, random)) return Arrival::Sent(packet);
  const uint32_t from = random() % 6;
  Arrival arrival = Arrival::On(from == 0   ? "eth0"
                                : from == 1 ? "veth1"
                                            : "veth0",
                                packet);
  if (OneIn(6, random)) arrival.mark = OneIn(2, random) ? 1 : 0x4000;
  return arrival;
}

class OpeningWalk : public ::testing::TestWithParam<bool> {};

TEST_P(OpeningWalk, GoesAsTheWholeWayDoes) {
  const bool v6 = GetParam();
  size_t forwarded = 0;
  for (uint32_t seed = 0; seed < 150; ++seed) {
    Random random(seed);
    const std::string text = RandomNat(v6, random) + RandomOthers(v6, random);
    auto parsed = netfilter::ParseIptablesSave(
        text, v6 ? IpFamily::kIpv6 : IpFamily::kIpv4, {});
    ASSERT_TRUE(parsed.ok()) << parsed.status() << "\n" << text;
    const auto rules =
        std::make_shared<const netfilter::Ruleset>(*std::move(parsed));
    const NodeConfig config = Node(v6, random);
    const auto make = [&](std::shared_ptr<const RuleMatcher> matcher) {
      return v6 ? NodeDataplane(config, nullptr, matcher)
                : NodeDataplane(config, matcher, nullptr);
    };
    NodeDataplane fast = make(std::make_shared<const Matcher>(rules));
    NodeDataplane plain = make(std::make_shared<const LinearMatcher>(rules));
    std::mt19937_64 draws_of_fast(seed);
    std::mt19937_64 draws_of_plain(seed);
    for (int i = 0; i < 300; ++i) {
      const Arrival arrival = RandomArrival(v6, random);
      const Outcome got = fast.Sample(arrival, draws_of_fast, false);
      const Outcome want = plain.Sample(arrival, draws_of_plain, false);
      ASSERT_EQ(got, want) << "seed " << seed << " packet " << i << " "
                           << arrival.packet.header.ToString() << " on "
                           << arrival.interface << " mark " << arrival.mark
                           << "\n"
                           << text;
      ASSERT_EQ(fast.state(), plain.state()) << seed << " " << i;
      ASSERT_EQ(draws_of_fast, draws_of_plain) << seed << " " << i;
      if (got.verdict.kind == Verdict::kAccept && !got.local) ++forwarded;
      const uint32_t event = random() % 100;
      const int64_t passed =
          event < 10 ? 40'000'000 * (1 + random() % 4) : 1000;
      fast.Advance(passed);
      plain.Advance(passed);
      if (event == 99) {
        fast.mutable_state().conntrack.Flush();
        plain.mutable_state().conntrack.Flush();
      }
    }
  }
  EXPECT_GT(forwarded, 5000u);
}

INSTANTIATE_TEST_SUITE_P(BothFamilies, OpeningWalk, ::testing::Bool());

}  // namespace
}  // namespace k8sdns::dataplane
