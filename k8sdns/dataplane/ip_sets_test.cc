#include "k8sdns/dataplane/ip_sets.h"

#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "k8sdns/net/packet.h"
#include "k8sdns/netfilter/ipset_save.h"

namespace k8sdns::dataplane {
namespace {

IpSets Load(const std::string& save) {
  const auto parsed = netfilter::ParseIpsetSave(save, {});
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  auto sets = LoadSets(*parsed);
  EXPECT_TRUE(sets.ok()) << sets.status();
  return *std::move(sets);
}

SocketAddress Socket(const char* text) { return *SocketAddress::Parse(text); }

// Whether a packet is in a set; `flags` as in --match-set: "dst,dst,src".
bool IsIn(const IpSets& sets, const char* set, const Packet& header,
          const std::string& flags, int64_t now_us = 0) {
  NodePacket packet;
  packet.header = header;
  SetQuery query;
  query.packet = &packet;
  query.family = header.family();
  query.in_interface = "eth0";
  query.mark = 0x10;
  query.now_us = now_us;
  for (size_t at = 0; at < flags.size(); at += 4, ++query.dimensions) {
    if (flags[at] == 's') query.sources |= 1 << query.dimensions;
  }
  return sets.Matches(set, query);
}

TEST(IpSets, PacketsAreInSetsOfEachKind) {
  const IpSets sets = Load(R"(
create IP hash:ip family inet hashsize 1024 maxelem 65536
add IP 10.0.0.1
add IP 0.0.0.1
create PORT hash:ip,port family inet hashsize 1024 maxelem 65536
add PORT 10.0.0.1,tcp:80
add PORT 10.0.0.1,udp:53
add PORT 10.0.0.1,icmp:echo-request
create LOOP hash:ip,port,ip family inet hashsize 1024 maxelem 65536
add LOOP 10.0.0.1,tcp:80,10.0.0.2
create TWO hash:ip,port,ip family inet6 hashsize 1024 maxelem 65536
add TWO fd00::1,tcp:80,fd00::2
create NET hash:ip,port,net family inet hashsize 1024 maxelem 65536
add NET 10.0.0.1,tcp:80,192.168.0.0/16
add NET 10.0.0.1,tcp:80,192.168.7.0/24 nomatch
create MARK hash:ip,mark family inet markmask 0xffffffff hashsize 1024 maxelem 65536
add MARK 10.0.0.1,0x00000010
create IFACE hash:net,iface family inet hashsize 1024 maxelem 65536
add IFACE 10.0.0.0/24,eth0
create MASKED hash:ip family inet netmask 24 hashsize 1024 maxelem 65536
add MASKED 10.0.0.0
create BITS bitmap:port range 1-1000
add BITS 80
create LATE hash:ip family inet hashsize 1024 maxelem 65536 timeout 30
add LATE 10.0.0.1 timeout 30
add LATE 10.0.0.2 timeout 0
create LIST list:set size 8
add LIST IP
add LIST PORT
)");
  const Packet web =
      Packet::Tcp(Socket("10.0.0.2:1234"), Socket("10.0.0.1:80"));
  const Packet web6 =
      Packet::Tcp(Socket("[fd00::2]:1234"), Socket("[fd00::1]:80"));
  const Packet dns =
      Packet::Udp(Socket("10.0.0.2:1234"), Socket("10.0.0.1:53"));
  const Packet ping = Packet::IcmpEcho(*IpAddress::Parse("10.0.0.2"),
                                       *IpAddress::Parse("10.0.0.1"), 7);
  struct Case {
    const char* set;
    const Packet& packet;
    const char* flags;
    bool in;
  };
  const Case cases[] = {
      {"IP", web, "dst", true},
      {"IP", web, "src", false},
      {"IP", web6, "dst", false},  // of the other family
      {"NONE", web, "dst", false},
      {"PORT", web, "dst,dst", true},
      {"PORT", web, "dst,src", false},
      {"PORT", web, "dst", false},  // too few flags
      {"PORT", web, "dst,dst,dst", true},
      {"PORT", dns, "dst,dst", true},
      {"PORT", ping, "dst,dst", true},
      {"LOOP", web, "dst,dst,src", true},
      {"LOOP", web, "dst,dst,dst", false},
      {"LOOP", dns, "dst,dst,src", false},
      {"TWO", web6, "dst,dst,src", true},
      {"TWO", web6, "dst,dst,dst", false},
      {"TWO", web, "dst,dst,src", false},
      {"NET", Packet::Tcp(Socket("192.168.8.1:5"), Socket("10.0.0.1:80")),
       "dst,dst,src", true},
      {"NET", Packet::Tcp(Socket("192.168.7.1:5"), Socket("10.0.0.1:80")),
       "dst,dst,src", false},  // nomatch
      {"NET", web, "dst,dst,src", false},
      {"MARK", web, "dst,dst", true},
      {"MARK", web, "src,dst", false},
      {"IFACE", web, "dst,src", true},
      {"IFACE", web, "dst,dst", false},  // it leaves by none
      {"MASKED", web, "dst", true},
      {"MASKED", web, "src", true},
      {"BITS", web, "dst", true},
      {"BITS", web, "src", false},
      {"BITS", ping, "dst", false},
      {"LIST", web, "dst,dst", true},
      {"LIST", web, "src,dst", false},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(IsIn(sets, c.set, c.packet, c.flags), c.in)
        << c.set << " " << c.packet.ToString() << " " << c.flags;
  }
  // Timeouts end.
  EXPECT_TRUE(IsIn(sets, "LATE", web, "dst", 29'000'000));
  EXPECT_FALSE(IsIn(sets, "LATE", web, "dst", 30'000'000));
  EXPECT_TRUE(IsIn(sets, "LATE", web, "src", 30'000'000));
}

// Sets that are asked the short way say the same as if it was the long one,
// which a netmask that masks nothing asks for.
TEST(IpSets, TheShortWayIsTheLongOne) {
  std::mt19937 random(5);
  const auto address = [&] {
    return IpAddress::V4(random() % 8 == 0 ? random() % 2
                                           : 0x0a000000 + random() % 16);
  };
  const std::vector<std::pair<std::string, std::string>> types = {
      {"hash:ip", "dst"},
      {"hash:ip,port", "dst,src"},
      {"hash:ip,port,ip", "src,dst,dst"}};
  for (const auto& [type, flags] : types) {
    IpSets sets;
    IpSet& plain = sets.Create("S");
    plain.dimensions = *ParseSetType(type);
    plain.family = IpFamily::kIpv4;
    IpSet& masked = sets.Create("L");
    masked = plain;
    masked.netmask = 32;
    for (int i = 0; i < 500; ++i) {
      SetElement e;
      e.addresses[0] = address();
      e.prefix_lengths[0] = 32;
      if (plain.dimensions.size() > 1) {
        e.protocol = random() % 3 == 0 ? 17 : 6;
        e.port = static_cast<uint16_t>(random() % 4);
      }
      if (plain.dimensions.size() > 2) {
        e.addresses[1] = address();
        e.prefix_lengths[1] = 32;
      }
      SetElementOptions options;
      if (random() % 4 == 0) options.expires_us = random() % 3;
      if (random() % 4 == 0) options.nomatch = true;
      plain.Add(e, options);
      masked.Add(e, options);
    }
    int in = 0;
    for (int i = 0; i < 20'000; ++i) {
      Packet p;
      p.src = address();
      p.dst = address();
      p.protocol = random() % 3 == 0   ? Protocol::kUdp
                   : random() % 9 == 0 ? Protocol::kGre
                                       : Protocol::kTcp;
      p.src_port = static_cast<uint16_t>(random() % 4);
      p.dst_port = static_cast<uint16_t>(random() % 4);
      const bool is_in = IsIn(sets, "S", p, flags, 1);
      ASSERT_EQ(is_in, IsIn(sets, "L", p, flags, 1)) << p.ToString();
      in += is_in;
    }
    EXPECT_GT(in, 100);
    EXPECT_LT(in, 19'900);
  }
}

// Elements are found, replaced and erased as in a plain map of them.
TEST(SetElements, AreAPlainMap) {
  std::mt19937 random(9);
  absl::flat_hash_map<SetElement, SetElementOptions> expected;
  SetElements elements;
  const auto address = [&] {
    const uint32_t low = random() % 3;
    std::array<uint8_t, 16> bytes = {};
    bytes[random() % 2 == 0 ? 3 : 15] = static_cast<uint8_t>(low);
    return random() % 3 == 0 ? IpAddress::V6(bytes) : IpAddress::V4(low);
  };
  for (int i = 0; i < 200'000; ++i) {
    SetElement e;
    e.addresses = {address(), address()};
    if (random() % 2 == 0) e.addresses[1] = IpAddress();
    e.prefix_lengths = {static_cast<uint8_t>(random() % 2 * 32),
                        static_cast<uint8_t>(random() % 2 * 24)};
    e.protocol = random() % 2 * 6;
    e.port = random() % 2;
    if (random() % 3 == 0) e.mark = random() % 3;
    if (random() % 9 == 0) e.interface = "eth0";
    if (random() % 9 == 0) e.mac[5] = 1;
    const auto it = expected.find(e);
    const auto found = elements.Find(e);
    ASSERT_EQ(found.has_value(), it != expected.end());
    if (found) {
      ASSERT_EQ(*found, it->second);
    }
    if (random() % 3 == 0) {
      ASSERT_EQ(elements.Erase(e), expected.erase(e) != 0);
    } else {
      const SetElementOptions options = {random() % 5 == 0,
                                         random() % 5 == 0 ? 7 : 0};
      ASSERT_EQ(elements.Put(e, options),
                expected.insert_or_assign(e, options).second);
    }
    ASSERT_EQ(elements.size(), expected.size());
  }
  EXPECT_GT(elements.size(), 1000u);
}

}  // namespace
}  // namespace k8sdns::dataplane
