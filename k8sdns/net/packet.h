// A packet as the routing and netfilter code of a host sees it: the header
// fields that rules, routes and conntrack look at, and no payload.
//
//   Packet p = Packet::Udp(*SocketAddress::Parse("192.168.5.7:40000"),
//                          *SocketAddress::Parse("10.96.0.10:53"));
#ifndef K8SDNS_NET_PACKET_H_
#define K8SDNS_NET_PACKET_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "k8sdns/net/ip_address.h"

namespace k8sdns {

// An IP protocol number. Any value 0..255 is legal; the names are those the
// models know by name.
enum class Protocol : uint8_t {
  kAny = 0,
  kIcmp = 1,
  kTcp = 6,
  kUdp = 17,
  kDccp = 33,
  kGre = 47,
  kEsp = 50,
  kAh = 51,
  kIcmpv6 = 58,
  kSctp = 132,
  kUdpLite = 136,
};

// "TCP", "UDP", "SCTP": the Kubernetes spelling. Only for these three.
absl::string_view KubernetesProtocolName(Protocol protocol);
// The inverse; nullopt for any other text (the API is case-sensitive).
std::optional<Protocol> ParseKubernetesProtocol(absl::string_view text);
// Lower-case name ("tcp", "ipv6-icmp"), or the number in decimal.
std::string ProtocolName(Protocol protocol);

// TCP header flags, as in the 13th byte of the TCP header (RFC 793, 3168).
enum TcpFlag : uint8_t {
  kTcpFin = 0x01,
  kTcpSyn = 0x02,
  kTcpRst = 0x04,
  kTcpPsh = 0x08,
  kTcpAck = 0x10,
  kTcpUrg = 0x20,
  kTcpEce = 0x40,
  kTcpCwr = 0x80,
};

struct Packet {
  IpAddress src;
  IpAddress dst;
  Protocol protocol = Protocol::kTcp;

  // Ports of TCP, UDP, SCTP, DCCP and UDP-Lite. For ICMP echo, `src_port`
  // holds the identifier.
  uint16_t src_port = 0;
  uint16_t dst_port = 0;

  uint8_t tcp_flags = kTcpSyn;  // TcpFlag bits; only for TCP
  uint8_t icmp_type = 8;        // only for ICMP and ICMPv6
  uint8_t icmp_code = 0;

  uint8_t ttl = 64;  // hop limit in IPv6
  uint8_t tos = 0;   // traffic class in IPv6
  // Bytes after the TCP, UDP, SCTP or ICMP header.
  uint16_t payload_size = 0;

  static Packet Tcp(const SocketAddress& src, const SocketAddress& dst,
                    uint8_t flags = kTcpSyn);
  static Packet Udp(const SocketAddress& src, const SocketAddress& dst);
  static Packet Sctp(const SocketAddress& src, const SocketAddress& dst);
  static Packet IcmpEcho(const IpAddress& src, const IpAddress& dst,
                         uint16_t id);

  IpFamily family() const { return dst.family(); }
  bool HasPorts() const {
    return protocol == Protocol::kTcp || protocol == Protocol::kUdp ||
           protocol == Protocol::kSctp || protocol == Protocol::kDccp ||
           protocol == Protocol::kUdpLite;
  }
  bool IsIcmp() const {
    return protocol == Protocol::kIcmp || protocol == Protocol::kIcmpv6;
  }

  // "UDP 192.168.5.7:40000 > 10.96.0.10:53"
  std::string ToString() const;

  friend bool operator==(const Packet&, const Packet&) = default;
};

}  // namespace k8sdns

#endif  // K8SDNS_NET_PACKET_H_
