#include "k8sdns/dataplane/node_packet.h"

namespace k8sdns::dataplane {

uint32_t NodePacket::Length() const {
  uint32_t transport = 0;
  switch (header.protocol) {
    case Protocol::kTcp:
      transport = 20 + tcp_option_bytes;
      break;
    case Protocol::kUdp:
    case Protocol::kUdpLite:
    case Protocol::kIcmp:
    case Protocol::kIcmpv6:
      transport = 8;
      break;
    case Protocol::kSctp:
    case Protocol::kDccp:
      transport = 12;
      break;
    default:
      break;
  }
  return (header.family() == IpFamily::kIpv4 ? 20 : 40) + transport +
         header.payload_size;
}

}  // namespace k8sdns::dataplane
