#include <arpa/inet.h>

#include <array>
#include <cstdint>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "k8sdns/net/ip_address.h"
#include "k8sdns/net/packet.h"

namespace k8sdns {
namespace {

// Canonical text of what was read, or "refused".
std::string Read(absl::string_view text) {
  auto a = IpAddress::Parse(text);
  return a ? a->ToString() : "refused";
}

TEST(IpAddressTest, ReadsAndPrints) {
  EXPECT_EQ(Read("10.96.0.10"), "10.96.0.10");
  EXPECT_EQ(Read("255.255.255.255"), "255.255.255.255");
  EXPECT_EQ(Read("FD00:0:0::1"), "fd00::1");
  EXPECT_EQ(Read("::"), "::");
  EXPECT_EQ(Read("::ffff:1.2.3.4"), "::ffff:1.2.3.4");
}

TEST(IpAddressTest, RefusesWhatInetPtonRefuses) {
  for (absl::string_view bad :
       {"", "10.96.0", "10.96.0.256", "10.96.0.010", "10.96.0.10 ", " 1.2.3.4",
        "1.2.3.4.5", "1..2.3", ":::", "fe80::1%eth0", "12345::", "localhost"}) {
    EXPECT_EQ(Read(bad), "refused") << bad;
  }
  EXPECT_EQ(Read(absl::string_view("::1\0x", 5)), "refused");
}

TEST(IpAddressTest, SloppyReadsLeadingZerosAndMappedAddressesAsKubernetes) {
  EXPECT_EQ(IpAddress::ParseSloppy("010.096.0.010")->ToString(), "10.96.0.10");
  EXPECT_EQ(IpAddress::ParseSloppy("::ffff:10.0.0.1")->ToString(), "10.0.0.1");
  EXPECT_FALSE(IpAddress::ParseSloppy("10.0.0.0400"));
}

// Texts of a few pieces, most nearly an address, against inet_pton(3).
TEST(IpAddress, ReadsDottedTextsAsTheSystemDoes) {
  const char* const pieces[] = {"0",    "1",   "9",   "10",  "99", "100", "192",
                                "249",  "255", "256", "300", "01", "00",  "",
                                "1234", "x",   "/1",  ":",   "-1", " 2",  "1 "};
  std::mt19937 random(11);
  size_t valid = 0;
  for (int i = 0; i < 200'000; ++i) {
    std::string text;
    const size_t n = random() % 16 == 0 ? random() % 7 : 4;
    for (size_t k = 0; k < n; ++k) {
      if (k > 0) text += random() % 64 == 0 ? "," : ".";
      const size_t wide = random() % 4 == 0 ? std::size(pieces) : 9;
      text += pieces[random() % wide];
    }
    // Of its own size on the heap, so that what is read behind it shows.
    const std::vector<char> bytes(text.begin(), text.end());
    const auto a =
        IpAddress::Parse(absl::string_view(bytes.data(), bytes.size()));
    in_addr expected;
    const bool ok = inet_pton(AF_INET, text.c_str(), &expected) == 1;
    ASSERT_EQ(a.has_value() && a->is_v4(), ok) << text;
    if (!ok) continue;
    ++valid;
    ASSERT_EQ(a->v4(), ntohl(expected.s_addr)) << text;
    ASSERT_EQ(IpAddress::ParseSloppy(text), a) << text;
  }
  EXPECT_GT(valid, 50'000u);
}

TEST(IpAddressTest, Classes) {
  EXPECT_TRUE(IpAddress::Parse("127.3.4.5")->IsLoopback());
  EXPECT_TRUE(IpAddress::Parse("::1")->IsLoopback());
  EXPECT_FALSE(IpAddress::Parse("::2")->IsLoopback());
  EXPECT_TRUE(IpAddress::Parse("0.0.0.0")->IsUnspecified());
  EXPECT_TRUE(IpAddress::Parse("ff02::1")->IsMulticast());
  EXPECT_TRUE(IpAddress::Parse("fe80::1")->IsLinkLocal());
}

TEST(IpAddressTest, OrderIsByFamilyAndThenByBytes) {
  // Neighbours differ in one byte: every place of it, both families.
  std::vector<IpAddress> sorted;
  for (int place = 3; place >= 0; --place) {
    sorted.push_back(IpAddress::V4(uint32_t{1} << (24 - 8 * place)));
    sorted.push_back(IpAddress::V4(uint32_t{200} << (24 - 8 * place)));
  }
  for (int place = 15; place >= 0; --place) {
    for (uint8_t value : {1, 200}) {
      std::array<uint8_t, 16> bytes = {};
      bytes[place] = value;
      sorted.push_back(IpAddress::V6(bytes));
    }
  }
  for (size_t i = 0; i < sorted.size(); ++i) {
    for (size_t j = 0; j < sorted.size(); ++j) {
      EXPECT_EQ(sorted[i] < sorted[j], i < j) << i << " " << j;
      EXPECT_EQ(sorted[i] > sorted[j], i > j) << i << " " << j;
      EXPECT_EQ(sorted[i] == sorted[j], i == j) << i << " " << j;
      EXPECT_EQ(absl::HashOf(sorted[i]) == absl::HashOf(sorted[j]), i == j);
    }
  }
  // The same bytes in the other family are another address.
  std::array<uint8_t, 16> ten = {10};
  EXPECT_NE(IpAddress::V4(0x0A000000), IpAddress::V6(ten));
  static_assert(IpAddress::V4(1) < IpAddress::V4(2));
}

TEST(IpPrefixTest, ContainsMasksAndOverlaps) {
  const IpPrefix pods = *IpPrefix::Parse("192.168.5.1/20");
  EXPECT_EQ(pods.ToString(), "192.168.5.1/20");
  EXPECT_EQ(pods.Masked().ToString(), "192.168.0.0/20");
  EXPECT_TRUE(pods.Contains(*IpAddress::Parse("192.168.15.255")));
  EXPECT_FALSE(pods.Contains(*IpAddress::Parse("192.168.16.0")));
  EXPECT_FALSE(pods.Contains(*IpAddress::Parse("::")));
  EXPECT_TRUE(pods.Overlaps(*IpPrefix::Parse("192.168.0.0/16")));
  EXPECT_FALSE(pods.Overlaps(*IpPrefix::Parse("192.168.16.0/20")));
  EXPECT_EQ(IpPrefix::Parse("fd00:1:2::9/47")->Masked().ToString(),
            "fd00:1:2::/47");
  EXPECT_TRUE(IpPrefix::Parse("::/0")->Contains(*IpAddress::Parse("fd00::1")));
}

// Bit by bit, for every length of both families.
TEST(IpPrefixTest, LooksAtTheFirstBitsOnly) {
  const IpAddress addresses[] = {*IpAddress::Parse("10.150.99.200"),
                                 *IpAddress::Parse("fd5a:1:8000:ff::7")};
  for (const IpAddress& address : addresses) {
    for (int length = 0; length <= address.bits(); ++length) {
      const IpPrefix prefix(address, length);
      const IpAddress masked = prefix.Masked().address();
      EXPECT_EQ(masked.family(), address.family());
      for (int i = 0; i < address.bits(); ++i) {
        EXPECT_EQ(masked.bit(i), i < length && address.bit(i)) << length;
        // The same address with this bit turned over.
        std::array<uint8_t, 16> bytes = address.bytes();
        bytes[i / 8] ^= static_cast<uint8_t>(0x80 >> i % 8);
        const IpAddress other =
            address.is_v6()
                ? IpAddress::V6(bytes)
                : IpAddress::V4(uint32_t{bytes[0]} << 24 | bytes[1] << 16 |
                                bytes[2] << 8 | bytes[3]);
        EXPECT_EQ(prefix.Contains(other), i >= length) << length << " " << i;
      }
      EXPECT_TRUE(prefix.Contains(address));
      EXPECT_TRUE(prefix.Contains(masked));
    }
  }
}

TEST(IpPrefixTest, RefusesBadLengths) {
  for (absl::string_view bad :
       {"10.0.0.0", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "::/129"}) {
    EXPECT_FALSE(IpPrefix::Parse(bad)) << bad;
  }
}

TEST(SocketAddressTest, RoundTrip) {
  for (absl::string_view text : {"10.0.0.1:80", "[fd00::1]:65535"}) {
    EXPECT_EQ(SocketAddress::Parse(text)->ToString(), text);
  }
  for (absl::string_view bad :
       {"10.0.0.1", "fd00::1:80", "[10.0.0.1]:80", "10.0.0.1:65536"}) {
    EXPECT_FALSE(SocketAddress::Parse(bad)) << bad;
  }
}

TEST(PacketTest, SaysWhatItIs) {
  EXPECT_EQ(Packet::Udp(*SocketAddress::Parse("192.168.5.7:40000"),
                        *SocketAddress::Parse("10.96.0.10:53"))
                .ToString(),
            "UDP 192.168.5.7:40000 > 10.96.0.10:53");
  EXPECT_EQ(Packet::IcmpEcho(*IpAddress::Parse("fd00::1"),
                             *IpAddress::Parse("fd00::2"), 7)
                .ToString(),
            "IPV6-ICMP fd00::1 > fd00::2 type 128 code 0");
}

TEST(ProtocolTest, KubernetesNamesAreCaseSensitive) {
  EXPECT_EQ(ParseKubernetesProtocol("SCTP"), Protocol::kSctp);
  EXPECT_EQ(ParseKubernetesProtocol("tcp"), std::nullopt);
  EXPECT_EQ(ProtocolName(Protocol::kSctp), "sctp");
  EXPECT_EQ(ProtocolName(static_cast<Protocol>(200)), "200");
}

}  // namespace
}  // namespace k8sdns
