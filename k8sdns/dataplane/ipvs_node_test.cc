// Whole nodes with virtual servers, in both families.
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gtest/gtest.h"
#include "k8sdns/dataplane/matcher.h"
#include "k8sdns/dataplane/node_dataplane.h"
#include "k8sdns/ipvs/ipvsadm_save.h"
#include "k8sdns/netfilter/iptables_save.h"

namespace k8sdns::dataplane {
namespace {

// The same world twice.
struct Family {
  absl::string_view name;
  IpFamily family;
  absl::string_view node, subnet;  // on eth0
  absl::string_view client;        // beyond eth0
  absl::string_view virtual_ip;    // on kube-ipvs0
  absl::string_view pods[2];       // behind veth-a and veth-b
  absl::string_view unreachable;   // what REJECT calls the answer
};
constexpr Family kFamilies[] = {
    {"IPv4",
     IpFamily::kIpv4,
     "192.0.2.1",
     "24",
     "192.0.2.99",
     "10.96.0.10",
     {"10.244.1.10", "10.244.1.20"},
     "icmp-port-unreachable"},
    {"IPv6",
     IpFamily::kIpv6,
     "fd00:a::1",
     "64",
     "fd00:a::99",
     "fd96::a",
     {"fd44::10", "fd44::20"},
     "icmp6-port-unreachable"},
};

class IpvsNode : public ::testing::TestWithParam<Family> {
 protected:
  IpAddress Ip(absl::string_view text) const { return *IpAddress::Parse(text); }
  int bits() const { return GetParam().family == IpFamily::kIpv4 ? 32 : 128; }

  // `servers`: lines of ipvsadm -S, where VIP, A and B are addresses.
  NodeDataplane Node(absl::string_view servers) const {
    const Family& f = GetParam();
    NodeConfig config;
    config.interfaces.push_back(
        {"eth0", {*IpPrefix::Parse(absl::StrCat(f.node, "/", f.subnet))}});
    config.interfaces.push_back({"veth-a", {}});
    config.interfaces.push_back({"veth-b", {}});
    config.interfaces.push_back(
        {"kube-ipvs0", {IpPrefix::Host(Ip(f.virtual_ip))}});
    for (int i : {0, 1}) {
      Route route;
      route.prefix = IpPrefix::Host(Ip(f.pods[i]));
      route.device = i == 0 ? "veth-a" : "veth-b";
      config.routes.push_back(route);
    }
    config.sysctls["net.ipv4.vs.conntrack"] = 1;
    auto rules = netfilter::ParseIptablesSave(
        "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT "
        "[0:0]\n-A FORWARD -m conntrack --ctstate INVALID -j DROP\nCOMMIT\n",
        f.family);
    EXPECT_TRUE(rules.ok()) << rules.status();
    const auto matcher = std::make_shared<Matcher>(
        std::make_shared<netfilter::Ruleset>(*std::move(rules)));
    const bool v4 = f.family == IpFamily::kIpv4;
    NodeDataplane node(config, v4 ? matcher : nullptr, v4 ? nullptr : matcher);
    const auto spelled = [&](absl::string_view address) {
      return v4 ? std::string(address) : absl::StrCat("[", address, "]");
    };
    const auto table = ipvs::ReadIpvsadm(
        absl::StrReplaceAll(servers, {{"VIP", spelled(f.virtual_ip)},
                                      {"POD-A", spelled(f.pods[0])},
                                      {"POD-B", spelled(f.pods[1])}}),
        "test");
    EXPECT_TRUE(table.ok()) << table.status();
    node.LoadIpvs(*table);
    return node;
  }
  NodePacket Tcp(absl::string_view from, uint16_t from_port,
                 absl::string_view to, uint16_t to_port,
                 uint8_t flags = kTcpSyn) const {
    NodePacket packet;
    packet.header =
        Packet::Tcp({Ip(from), from_port}, {Ip(to), to_port}, flags);
    return packet;
  }
  // The only outcome, and on from it.
  static Outcome Send(NodeDataplane& node, const Arrival& arrival) {
    const std::vector<Branch> branches = node.Match(arrival);
    EXPECT_EQ(branches.size(), 1u);
    node.Take(branches[0]);
    return branches[0].outcome;
  }
};

constexpr char kTwoServers[] =
    "-A -t VIP:80 -s rr\n"
    "-a -t VIP:80 -r POD-A:8080 -m -w 1\n"
    "-a -t VIP:80 -r POD-B:8080 -m -w 1\n";

TEST_P(IpvsNode, RequestsGoToRealServersInTurnAndRepliesComeBack) {
  const Family& f = GetParam();
  NodeDataplane node = Node(kTwoServers);
  // The last added one comes first.
  for (int i : {1, 0, 1}) {
    const auto port =
        static_cast<uint16_t>(4000 + node.state().ipvs.connection_count());
    const Outcome there =
        Send(node, Arrival::On("eth0", Tcp(f.client, port, f.virtual_ip, 80)));
    ASSERT_EQ(there.verdict.kind, Verdict::kAccept);
    EXPECT_FALSE(there.local);
    EXPECT_EQ(there.out, i == 0 ? "veth-a" : "veth-b");
    EXPECT_EQ(there.packet.header.dst, Ip(f.pods[i]));
    EXPECT_EQ(there.packet.header.dst_port, 8080);
    EXPECT_EQ(there.packet.header.src, Ip(f.client));
    EXPECT_EQ(there.packet.header.ttl, 63);
    const Outcome back =
        Send(node, Arrival::On(there.out, Tcp(f.pods[i], 8080, f.client, port,
                                              kTcpSyn | kTcpAck)));
    ASSERT_EQ(back.verdict.kind, Verdict::kAccept);
    EXPECT_EQ(back.out, "eth0");
    EXPECT_EQ(back.packet.header.src, Ip(f.virtual_ip));
    EXPECT_EQ(back.packet.header.src_port, 80);
    // The flow stays with its server.
    const Outcome again = Send(
        node,
        Arrival::On("eth0", Tcp(f.client, port, f.virtual_ip, 80, kTcpAck)));
    EXPECT_EQ(again.packet.header.dst, Ip(f.pods[i]));
  }
  EXPECT_EQ(node.state().ipvs.connection_count(), 3u);
  EXPECT_EQ(node.state().conntrack.size(), 3u);
}

TEST_P(IpvsNode, TheNodeItselfIsAClientToo) {
  const Family& f = GetParam();
  NodeDataplane node = Node(kTwoServers);
  const Outcome there =
      Send(node, Arrival::Sent(Tcp(f.node, 5000, f.virtual_ip, 80)));
  ASSERT_EQ(there.verdict.kind, Verdict::kAccept);
  EXPECT_EQ(there.out, "veth-b");
  EXPECT_EQ(there.packet.header.dst, Ip(f.pods[1]));
  const Outcome back = Send(
      node, Arrival::On("veth-b",
                        Tcp(f.pods[1], 8080, f.node, 5000, kTcpSyn | kTcpAck)));
  ASSERT_EQ(back.verdict.kind, Verdict::kAccept);
  EXPECT_TRUE(back.local);
  EXPECT_EQ(back.packet.header.src, Ip(f.virtual_ip));
  EXPECT_EQ(back.packet.header.src_port, 80);
}

TEST_P(IpvsNode, WithoutAUsableServerThePortIsUnreachable) {
  const Family& f = GetParam();
  for (absl::string_view servers :
       {"-A -t VIP:80 -s rr\n",
        "-A -t VIP:80 -s rr\n-a -t VIP:80 -r POD-A:8080 -m -w 0\n"}) {
    NodeDataplane node = Node(servers);
    const Outcome outcome =
        Send(node, Arrival::On("eth0", Tcp(f.client, 4000, f.virtual_ip, 80)));
    EXPECT_EQ(outcome.verdict.kind, Verdict::kReject);
    EXPECT_EQ(outcome.verdict.reason, f.unreachable);
    EXPECT_EQ(node.state().ipvs.connection_count(), 0u);
    EXPECT_EQ(node.state().conntrack.size(), 0u);
  }
}

TEST_P(IpvsNode, PersistentClientsKeepTheirServer) {
  const Family& f = GetParam();
  NodeDataplane node =
      Node(absl::StrReplaceAll(kTwoServers, {{"-s rr", "-s rr -p 10800"}}));
  for (uint16_t port = 4000; port < 4005; ++port) {
    const Outcome outcome =
        Send(node, Arrival::On("eth0", Tcp(f.client, port, f.virtual_ip, 80)));
    EXPECT_EQ(outcome.packet.header.dst, Ip(f.pods[1])) << port;
  }
}

INSTANTIATE_TEST_SUITE_P(BothFamilies, IpvsNode, ::testing::ValuesIn(kFamilies),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

}  // namespace
}  // namespace k8sdns::dataplane
