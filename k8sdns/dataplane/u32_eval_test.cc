#include <string>

#include "gtest/gtest.h"
#include "k8sdns/dataplane/rule_eval.h"

namespace k8sdns::dataplane {
namespace {

NodePacket Dns() {
  NodePacket packet;
  packet.header = Packet::Udp(*SocketAddress::Parse("10.1.2.3:40000"),
                              *SocketAddress::Parse("10.96.0.10:53"));
  packet.header.payload_size = 13;
  packet.header.ttl = 7;
  return packet;
}

// "yes", "no" or "unknown".
std::string Ask(absl::string_view program, const NodePacket& packet = Dns()) {
  std::string why;
  switch (EvaluateU32(program, packet, &why)) {
    case MatchResult::kYes:
      return "yes";
    case MatchResult::kNo:
      return "no";
    default:
      return "unknown";
  }
}

TEST(U32, FieldsOfTheIpHeader) {
  EXPECT_EQ(Ask("0x0>>0x1c=0x4"), "yes");
  EXPECT_EQ(Ask("0x0>>0x1c=0x6"), "no");
  EXPECT_EQ(Ask("0x0&0xffff=0x29"), "yes");  // 20 + 8 + 13
  EXPECT_EQ(Ask("0x5&0xff=0x7"), "yes");     // bytes 5 to 8: ttl
  EXPECT_EQ(Ask("0x6&0xff=0x11"), "yes");    // bytes 6 to 9: protocol
  EXPECT_EQ(Ask("0xc=0xa010203"), "yes");
  EXPECT_EQ(Ask("0x10=0xa000000:0xaffffff"), "yes");
  EXPECT_EQ(Ask("0x10=0x1,0xa60000a"), "yes");
}

TEST(U32, AtFollowsTheLengthOfTheHeader) {
  // The destination port behind the IP header, however long it is.
  EXPECT_EQ(Ask("0x0>>0x16&0x3c@0x0&0xffff=0x35"), "yes");
  EXPECT_EQ(Ask("0x0>>0x16&0x3c@0x0>>0x10=0x9c40"), "yes");
  EXPECT_EQ(Ask("0x0>>0x16&0x3c@0x0&0xffff=0x36"), "no");
}

TEST(U32, AllTestsMustHold) {
  EXPECT_EQ(Ask("0x0>>0x1c=0x4&&0x6&0xff=0x11"), "yes");
  EXPECT_EQ(Ask("0x0>>0x1c=0x4&&0x6&0xff=0x6"), "no");
}

TEST(U32, OutsideOfThePacketNothingMatches) {
  EXPECT_EQ(Ask("0x25=0x0:0xffffffff"), "yes");  // the last four bytes
  EXPECT_EQ(Ask("0x26=0x0:0xffffffff"), "no");
  EXPECT_EQ(Ask("0xffffffff=0x0:0xffffffff"), "no");
  EXPECT_EQ(Ask("0x0@0x0=0x0:0xffffffff"), "no");
}

TEST(U32, BytesThatAreNotModelledAreUnknown) {
  EXPECT_EQ(Ask("0x1c=0x1"), "unknown");            // payload
  EXPECT_EQ(Ask("0x4>>0x10=0x0"), "unknown");       // identification
  EXPECT_EQ(Ask("0x4&0x3fff=0x0"), "yes");          // no fragment
  EXPECT_EQ(Ask("0x1c=0x1&&0x0>>0x1c=0x6"), "no");  // decided elsewhere
  EXPECT_EQ(Ask("0x1c@0x0=0x1&&0x0>>0x1c=0x4"), "unknown");
  EXPECT_EQ(Ask("0x1c&0x0=0x0"), "yes");
}

TEST(U32, Ipv6AndTcp) {
  NodePacket packet;
  packet.header = Packet::Tcp(*SocketAddress::Parse("[fd00::1]:40000"),
                              *SocketAddress::Parse("[fd00::2]:80"));
  packet.tcp_seq = 0x01020304;
  EXPECT_EQ(Ask("0x0>>0x1c=0x6", packet), "yes");
  EXPECT_EQ(Ask("0x4>>0x10=0x14", packet), "yes");     // payload length
  EXPECT_EQ(Ask("0x3&0xff=0x6", packet), "yes");       // bytes 3 to 6
  EXPECT_EQ(Ask("0x4>>0x8&0xff=0x6", packet), "yes");  // next header
  EXPECT_EQ(Ask("0x28&0xffff=0x50", packet), "yes");
  EXPECT_EQ(Ask("0x2c=0x1020304", packet), "yes");
  EXPECT_EQ(Ask("0x34>>0x10&0xff=0x2", packet), "yes");  // SYN
}

}  // namespace
}  // namespace k8sdns::dataplane
