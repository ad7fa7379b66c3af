#include "k8sdns/dataplane/tuple.h"

namespace k8sdns::dataplane {
namespace {

// Answers to ICMP requests and back; nullopt if there is none.
std::optional<uint8_t> InverseIcmpType(Protocol protocol, uint8_t type) {
  struct Pair {
    uint8_t request;
    uint8_t answer;
  };
  static constexpr Pair kIcmp[] = {{8, 0}, {13, 14}, {15, 16}, {17, 18}};
  static constexpr Pair kIcmpv6[] = {{128, 129}, {139, 140}};
  auto find = [type](auto& pairs) -> std::optional<uint8_t> {
    for (const Pair& pair : pairs) {
      if (pair.request == type) return pair.answer;
      if (pair.answer == type) return pair.request;
    }
    return std::nullopt;
  };
  return protocol == Protocol::kIcmp ? find(kIcmp) : find(kIcmpv6);
}

}  // namespace

Tuple Tuple::Of(const Packet& packet) {
  Tuple t;
  t.src = packet.src;
  t.dst = packet.dst;
  t.protocol = packet.protocol;
  if (packet.IsIcmp()) {
    t.src_port = packet.src_port;
    t.dst_port =
        static_cast<uint16_t>(packet.icmp_type << 8 | packet.icmp_code);
  } else if (packet.HasPorts()) {
    t.src_port = packet.src_port;
    t.dst_port = packet.dst_port;
  }
  return t;
}

std::optional<Tuple> Tuple::InverseOfIcmp() const {
  const std::optional<uint8_t> type =
      InverseIcmpType(protocol, static_cast<uint8_t>(dst_port >> 8));
  if (!type) return std::nullopt;
  return Tuple{dst, src, src_port,
               static_cast<uint16_t>(*type << 8 | (dst_port & 0xff)), protocol};
}

bool IsIcmpError(const Packet& packet) {
  if (packet.protocol == Protocol::kIcmp) {
    const uint8_t t = packet.icmp_type;
    return t == 3 || t == 4 || t == 5 || t == 11 || t == 12;
  }
  return packet.protocol == Protocol::kIcmpv6 && packet.icmp_type < 128;
}

}  // namespace k8sdns::dataplane
