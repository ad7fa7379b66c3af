// A packet on its way through a node: the headers of net's Packet, the rest
// of the TCP header, the packet that an ICMP error quotes, and what the kernel
// keeps beside a packet.
//
//   NodePacket packet;
//   packet.header = Packet::Tcp(client, vip);
#ifndef K8SDNS_DATAPLANE_NODE_PACKET_H_
#define K8SDNS_DATAPLANE_NODE_PACKET_H_

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "k8sdns/net/packet.h"

namespace k8sdns::dataplane {

struct NodePacket {
  Packet header;
  // TCP only.
  uint32_t tcp_seq = 0;
  uint32_t tcp_ack = 0;
  uint16_t tcp_window = 65535;
  uint8_t tcp_option_bytes = 0;  // none of them is looked at
  // ICMP errors: the packet they are about.
  std::optional<Packet> quoted;

  // Length from the IP header on, in bytes.
  uint32_t Length() const;

  friend bool operator==(const NodePacket&, const NodePacket&) = default;
};

using MacAddress = std::array<uint8_t, 6>;

// With whose rights a socket was made; numbers of the node's user namespace.
struct SocketCredentials {
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::vector<uint32_t> groups = {};  // supplementary

  friend bool operator==(const SocketCredentials&,
                         const SocketCredentials&) = default;
};

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_NODE_PACKET_H_
