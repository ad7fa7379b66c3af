#include "k8sdns/dataplane/ipvs_state.h"

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "k8sdns/ipvs/ipvsadm_save.h"

namespace k8sdns::dataplane {
namespace {

ipvs::Table Read(absl::string_view text) {
  auto table = ipvs::ReadIpvsadm(text, "test");
  EXPECT_TRUE(table.ok()) << table.status();
  return *std::move(table);
}

// Three real servers; 10.1.0.N has weight `weights`[N - 1].
std::string Three(absl::string_view options, const std::vector<int>& weights) {
  std::string out = absl::StrCat("-A -t 10.0.0.1:80 ", options, "\n");
  for (size_t i = 0; i < weights.size(); ++i) {
    absl::StrAppend(&out, "-a -t 10.0.0.1:80 -r 10.1.0.", i + 1, ":8080 -m -w ",
                    weights[i], "\n");
  }
  return out;
}

Packet Syn(uint16_t port, absl::string_view client = "203.0.113.7") {
  return Packet::Tcp({*IpAddress::Parse(client), port},
                     {*IpAddress::Parse("10.0.0.1"), 80});
}

class Node {
 public:
  explicit Node(const std::string& text) { state.Load(Read(text)); }

  IpvsVerdict Send(const Packet& packet, bool known_flow = false) {
    return state.Request(packet, 0, false, known_flow, options, now_us,
                         decisions);
  }
  // The last number of the real server's address; "-": none.
  std::string To(const Packet& packet) {
    const IpvsVerdict v = Send(packet);
    if (v.kind != IpvsVerdict::kForward) return "-";
    return absl::StrCat(v.connection.dest.v4() & 0xff);
  }
  std::string Flows(int n) {
    std::string out;
    for (int i = 0; i < n; ++i) out += To(Syn(next_port_++));
    return out;
  }

  IpvsState state;
  IpvsOptions options;
  Decisions decisions;
  int64_t now_us = 0;

 private:
  uint16_t next_port_ = 1000;
};

TEST(IpvsState, SchedulersWalkFromTheLastAddedServer) {
  EXPECT_EQ(Node(Three("-s rr", {3, 2, 1})).Flows(6), "321321");
  EXPECT_EQ(Node(Three("-s rr", {1, 0, 1})).Flows(4), "3131");
  EXPECT_EQ(Node(Three("-s wrr", {3, 2, 1})).Flows(12), "321121321121");
  EXPECT_EQ(Node(Three("-s wrr", {4, 0, 2})).Flows(6), "311311");
  EXPECT_EQ(Node(Three("-s lc", {3, 2, 1})).Flows(6), "321321");
  EXPECT_EQ(Node(Three("-s wlc", {3, 2, 1})).Flows(6), "321121");
  EXPECT_EQ(Node(Three("-s sed", {3, 2, 1})).Flows(6), "121321");
  EXPECT_EQ(Node(Three("-s nq", {3, 2, 1})).Flows(6), "321121");
  EXPECT_EQ(Node(Three("-s fo", {3, 2, 1})).Flows(3), "111");
}

// Services are found by a hash of their keys, whatever else hashes there.
TEST(IpvsState, EachOfManyServicesHasItsOwnServersAndTurns) {
  constexpr uint32_t kServices = 3000;
  std::string text;
  for (uint32_t s = 0; s < kServices; ++s) {
    const std::string vip =
        absl::StrCat("10.0.", s / 100, ".", s % 100, ":", 80 + s % 3);
    absl::StrAppend(&text, "-A -t ", vip, " -s rr\n");
    for (uint32_t d = 0; d < s % 4; ++d) {
      absl::StrAppend(&text, "-a -t ", vip, " -r 10.", 100 + d, ".", s / 100,
                      ".", s % 100, ":8080 -m -w ", d == 2 ? 0 : 1, "\n");
    }
  }
  Node node(text);
  uint16_t port = 1024;
  for (uint32_t turn = 0; turn < 4; ++turn) {
    for (uint32_t s = 0; s < kServices; ++s) {
      Packet packet =
          Packet::Tcp({IpAddress::V4(0xcb007107), port++},
                      {IpAddress::V4(0x0a000000 + (s / 100 << 8) + s % 100),
                       static_cast<uint16_t>(80 + s % 3)});
      const IpvsVerdict v = node.Send(packet);
      if (s % 4 == 0) {
        ASSERT_EQ(v.kind, IpvsVerdict::kLeave) << s;
      } else {
        ASSERT_EQ(v.kind, IpvsVerdict::kForward) << s;
        // The last added one comes first; the third takes no connections.
        const uint32_t usable = s % 4 == 1 ? 1 : 2;
        const uint32_t d = usable - 1 - turn % usable;
        ASSERT_EQ(v.connection.dest.v4(),
                  0x0a000000 + ((100 + d) << 16) + (s / 100 << 8) + s % 100)
            << s << " " << turn;
      }
      packet.dst_port = 83;
      ASSERT_EQ(node.Send(packet).kind, IpvsVerdict::kPass) << s;
    }
  }
  // Changed to the same services: the turns start anew, connections stay.
  const size_t connections = node.state.connection_count();
  node.state.Change(Read(text));
  EXPECT_EQ(node.state.connection_count(), connections);
  const IpvsVerdict v = node.Send(Packet::Tcp({IpAddress::V4(0xcb007108), 1},
                                              {IpAddress::V4(0x0a000002), 82}));
  EXPECT_EQ(v.connection.dest.v4() >> 16 & 0xff, 101u);
}

// Every possible choice for one new connection, with its probability in 1/12.
std::string Choices(const std::string& text) {
  std::string out;
  Decisions decisions;
  do {
    Node node(text);
    node.state.StartAnywhere();
    const IpvsVerdict v =
        node.state.Request(Syn(1), 0, false, false, {}, 0, decisions);
    absl::StrAppend(&out,
                    v.kind == IpvsVerdict::kForward
                        ? absl::StrCat(v.connection.dest.v4() & 0xff)
                        : "-",
                    ":", std::lround(decisions.probability() * 12), " ");
  } while (decisions.Next());
  return out;
}

TEST(IpvsState, OnANodeThatRunsForAWhileAnyServerMayBeNext) {
  EXPECT_EQ(Choices(Three("-s rr", {3, 2, 1})), "3:4 2:4 1:4 ");
  EXPECT_EQ(Choices(Three("-s rr", {3, 0, 1})), "3:6 1:6 ");
  EXPECT_EQ(Choices(Three("-s wrr", {3, 2, 1})), "3:2 2:4 1:6 ");
  EXPECT_EQ(Choices(Three("-s lc", {3, 2, 1})), "3:4 2:4 1:4 ");
  EXPECT_EQ(Choices(Three("-s fo", {3, 2, 1})), "1:12 ");
  EXPECT_EQ(Choices(Three("-s rr", {0, 0})), "-:12 ");
}

TEST(IpvsState, WithoutUsableServerThereIsNothing) {
  EXPECT_EQ(Node(Three("-s rr", {0, 0})).Flows(1), "-");
  EXPECT_EQ(Node(Three("-s wrr", {0, 0})).Flows(1), "-");
  EXPECT_EQ(Node(Three("-s sh", {0, 0})).Flows(1), "-");
  EXPECT_EQ(Node(Three("-s mh", {0, 0})).Flows(1), "-");
  Node empty("-A -t 10.0.0.1:80 -s rr\n");
  EXPECT_EQ(empty.Send(Syn(1)).kind, IpvsVerdict::kLeave);
}

TEST(IpvsState, PacketsOfAConnectionStay) {
  Node node(Three("-s rr", {1, 1, 1}));
  EXPECT_EQ(node.To(Syn(1)), "3");
  Packet ack = Syn(1);
  ack.tcp_flags = kTcpAck;
  EXPECT_EQ(node.To(ack), "3");
  // An ACK out of nowhere is none of its business.
  ack.src_port = 2;
  EXPECT_EQ(node.Send(ack).kind, IpvsVerdict::kPass);
  Packet other = Syn(3);
  other.dst_port = 81;
  EXPECT_EQ(node.Send(other).kind, IpvsVerdict::kPass);
}

TEST(IpvsState, RepliesAreOfTheVirtualServer) {
  Node node(Three("-s rr", {1}));
  node.Send(Syn(1));
  const Packet reply =
      Packet::Tcp({*IpAddress::Parse("10.1.0.1"), 8080},
                  {*IpAddress::Parse("203.0.113.7"), 1}, kTcpSyn | kTcpAck);
  const IpvsConnection* connection = node.state.Reply(reply, 0);
  ASSERT_NE(connection, nullptr);
  EXPECT_EQ(connection->virtual_address.ToString(), "10.0.0.1");
  EXPECT_EQ(connection->virtual_port, 80);
}

TEST(IpvsState, PersistentClientsStayUntilTheirTimeIsOver) {
  Node node(Three("-s rr -p 60 -M 255.255.255.0", {1, 1, 1}));
  EXPECT_EQ(node.To(Syn(1, "203.0.113.7")), "3");
  EXPECT_EQ(node.To(Syn(2, "203.0.113.8")), "3");
  EXPECT_EQ(node.To(Syn(3, "203.0.114.8")), "2");
  node.now_us += 61'000'000;
  EXPECT_EQ(node.To(Syn(4, "203.0.113.7")), "1");
}

TEST(IpvsState, QuiescentServersLoseTheirTemplatesIfAsked) {
  for (bool expire : {false, true}) {
    Node node(Three("-s rr -p 60", {1, 1}));
    node.options.expire_quiescent_template = expire;
    EXPECT_EQ(node.To(Syn(1)), "2");
    node.state.Change(Read(Three("-s rr -p 60", {1, 0})));
    EXPECT_EQ(node.To(Syn(2)), expire ? "1" : "2");
  }
}

TEST(IpvsState, ConnectionsOfRemovedServers) {
  for (bool expire : {false, true}) {
    Node node(Three("-s rr", {1, 1}));
    node.options.expire_nodest_conn = expire;
    EXPECT_EQ(node.To(Syn(1)), "2");
    node.state.Change(Read(Three("-s rr", {1})));
    EXPECT_EQ(node.To(Syn(1)), expire ? "1" : "-");
  }
}

TEST(IpvsState, ConnectionsEnd) {
  Node node(Three("-s lc", {1, 1}));
  for (uint16_t port = 1; port <= 10; ++port) node.Send(Syn(port));
  EXPECT_EQ(node.state.connection_count(), 10u);
  node.now_us += 62'000'000;  // SYN_RECV lasts a minute
  node.Send(Syn(100));
  EXPECT_EQ(node.state.connection_count(), 1u);
}

TEST(IpvsState, WhatIsNotModelledIsSaid) {
  Node scheduler(Three("-s magic", {1}));
  const IpvsVerdict verdict = scheduler.Send(Syn(1));
  EXPECT_EQ(verdict.kind, IpvsVerdict::kUnknown);
  EXPECT_EQ(verdict.service, "ipvs:-t 10.0.0.1:80");
  EXPECT_EQ(verdict.reason, "scheduler magic");
  Node routed("-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.1.0.1:80 -g\n");
  EXPECT_EQ(routed.Send(Syn(1)).kind, IpvsVerdict::kUnknown);
}

}  // namespace
}  // namespace k8sdns::dataplane
