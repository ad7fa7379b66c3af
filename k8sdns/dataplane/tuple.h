// What conntrack knows a flow by.
//
//   Tuple request = Tuple::Of(packet);
//   std::optional<Tuple> reply = request.Inverse();
#ifndef K8SDNS_DATAPLANE_TUPLE_H_
#define K8SDNS_DATAPLANE_TUPLE_H_

#include <cstdint>
#include <cstring>
#include <optional>

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
  std::optional<Tuple> Inverse() const {
    if (protocol == Protocol::kIcmp || protocol == Protocol::kIcmpv6) {
      return InverseOfIcmp();
    }
    return Tuple{dst, src, dst_port, src_port, protocol};
  }

  // The same on every machine and in every run.
  uint32_t Hash() const {
    const uint64_t ports = uint64_t{src_port} << 24 | uint64_t{dst_port} << 8 |
                           static_cast<uint64_t>(protocol);
    if (src.is_v4() && dst.is_v4()) {
      return Finish(Mix(uint64_t{src.v4()} << 32 | dst.v4(), ports));
    }
    return Finish(Mix(Mix(0, src), dst) ^ ports);
  }
  // Of what flows of the same client socket have in common.
  uint32_t SourceHash() const {
    return Finish(Mix(Mix(1, src), uint64_t{src_port} << 8 |
                                       static_cast<uint64_t>(protocol)));
  }

  // Whether both are of the same client socket.
  bool SameSource(const Tuple& other) const {
    return src == other.src && src_port == other.src_port &&
           protocol == other.protocol;
  }
  friend bool operator==(const Tuple& a, const Tuple& b) {
    return ((a.src_port ^ b.src_port) | (a.dst_port ^ b.dst_port)) == 0 &&
           a.dst == b.dst && a.src == b.src && a.protocol == b.protocol;
  }

 private:
  static uint64_t Mix(uint64_t a, uint64_t b) {
    const uint64_t h = (a ^ (a >> 29)) * 0xff51afd7ed558ccd + b;
    return (h ^ (h >> 32)) * 0xc4ceb9fe1a85ec53;
  }
  static uint64_t Mix(uint64_t h, const IpAddress& address) {
    uint64_t words[2];
    std::memcpy(words, address.bytes().data(), sizeof(words));
    h ^= static_cast<uint64_t>(address.family());
    return Mix(Mix(h, words[0]), words[1]);
  }
  static uint32_t Finish(uint64_t h) {
    return static_cast<uint32_t>((h ^ (h >> 29)) * 0xd6e8feb86659fd93 >> 32);
  }
  std::optional<Tuple> InverseOfIcmp() const;
};

// ICMP messages about another packet (RFC 792, RFC 4443).
bool IsIcmpError(const Packet& packet);

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_TUPLE_H_
