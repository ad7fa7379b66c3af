// What conntrack knows a flow by.
//
//   Tuple request = Tuple::Of(packet);
//   std::optional<Tuple> reply = request.Inverse();
#ifndef K8SDNS_DATAPLANE_TUPLE_H_
#define K8SDNS_DATAPLANE_TUPLE_H_

#include <cstdint>
#include <optional>
#include <utility>

#include "k8sdns/net/packet.h"

namespace k8sdns::dataplane {

// One direction of a flow. For ICMP, src_port is the echo identifier and
// dst_port is type * 256 + code; protocols without ports have zeros.
struct Tuple {
  IpAddress src;
  IpAddress dst;
  uint16_t src_port = 0;
  uint16_t dst_port = 0;
  Protocol protocol = Protocol::kAny;

  static Tuple Of(const Packet& packet);
  // The answer's tuple. nullopt for ICMP types that have no answer.
  std::optional<Tuple> Inverse() const;

  friend bool operator==(const Tuple&, const Tuple&) = default;

  template <typename H>
  friend H AbslHashValue(H h, const Tuple& t) {
    if (t.src.is_v4() && t.dst.is_v4()) {  // the same, with fewer steps
      return H::combine(std::move(h), uint64_t{t.src.v4()} << 32 | t.dst.v4(),
                        uint64_t{t.src_port} << 32 |
                            uint64_t{t.dst_port} << 16 |
                            static_cast<uint64_t>(t.protocol));
    }
    return H::combine(std::move(h), t.src, t.dst, t.src_port, t.dst_port,
                      t.protocol);
  }
};

// ICMP messages about another packet (RFC 792, RFC 4443).
bool IsIcmpError(const Packet& packet);

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_TUPLE_H_
