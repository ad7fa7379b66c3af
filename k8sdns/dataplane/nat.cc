#include "k8sdns/dataplane/nat.h"

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

namespace k8sdns::dataplane {
namespace {

using Words = std::array<uint32_t, 4>;  // bytes in network order

// As a little-endian CPU loads the bytes of an address.
Words LoadWords(const IpAddress& address) {
  Words w = {};
  const auto& b = address.bytes();
  for (int i = 0; i < 4; ++i) {
    w[i] = uint32_t{b[4 * i]} | uint32_t{b[4 * i + 1]} << 8 |
           uint32_t{b[4 * i + 2]} << 16 | uint32_t{b[4 * i + 3]} << 24;
  }
  return w;
}

uint32_t SwapBytes(uint32_t x) {
  return x << 24 | (x & 0xff00) << 8 | (x >> 8 & 0xff00) | x >> 24;
}

// Bob Jenkins' lookup3 hash of four words, as the kernel's jhash2().
uint32_t Jhash(const Words& k, uint32_t seed) {
  uint32_t a = 0xdeadbeef + (4 << 2) + seed;
  uint32_t b = a;
  uint32_t c = a;
  a += k[0];
  b += k[1];
  c += k[2];
  auto mix = [](uint32_t& x, uint32_t z, int n) {
    x -= z;
    x ^= std::rotl(z, n);
  };
  mix(a, c, 4);
  c += b;
  mix(b, a, 6);
  a += c;
  mix(c, b, 8);
  b += a;
  mix(a, c, 16);
  c += b;
  mix(b, a, 19);
  a += c;
  mix(c, b, 4);
  b += a;
  a += k[3];
  auto final = [](uint32_t& x, uint32_t z, int n) {
    x ^= z;
    x -= std::rotl(z, n);
  };
  final(c, b, 14);
  final(a, c, 11);
  final(b, a, 25);
  final(c, b, 16);
  final(a, c, 4);
  final(b, a, 14);
  final(c, b, 24);
  return c;
}

uint32_t Scale(uint32_t value, uint32_t range) {
  return static_cast<uint32_t>(uint64_t{value} * range >> 32);
}

bool UsesPorts(Protocol p) {
  return p == Protocol::kTcp || p == Protocol::kUdp ||
         p == Protocol::kUdpLite || p == Protocol::kSctp ||
         p == Protocol::kDccp;
}
bool IsIcmp(Protocol p) {
  return p == Protocol::kIcmp || p == Protocol::kIcmpv6;
}

uint16_t& PortOf(Tuple& tuple, Manipulation manipulation) {
  return manipulation == Manipulation::kSource || IsIcmp(tuple.protocol)
             ? tuple.src_port
             : tuple.dst_port;
}

// Up to so many ports are tried before another start is drawn.
constexpr uint32_t kMaxAttempts = 128;
// With so few attempts left, dead TCP entries are evicted.
constexpr uint32_t kHarderThreshold = 32;
// Draws among so few ports are enumerated; of larger ranges one port stands
// for all.
constexpr uint32_t kEnumeratedPorts = 8;

class TupleChoice {
 public:
  TupleChoice(const NatTarget& target, Manipulation manipulation, FlowId flow,
              int64_t now_us, Conntrack& conntrack, Decisions& decisions)
      : target_(target),
        manipulation_(manipulation),
        flow_(flow),
        now_us_(now_us),
        conntrack_(conntrack),
        decisions_(decisions) {}

  Tuple Choose(const Tuple& original) {
    if (manipulation_ == Manipulation::kSource && !target_.random) {
      if (InRange(original)) {
        if (!Used(original)) return original;
      } else if (std::optional<Tuple> mapped = MappedSource(original)) {
        if (!Used(*mapped)) return *mapped;
      }
    }
    Tuple tuple = original;
    ChooseAddress(tuple);
    if (!target_.random) {
      if (target_.has_ports) {
        if (!target_.base_port && PortInRange(tuple) &&
            (target_.first_port == target_.last_port || !Used(tuple))) {
          return tuple;
        }
      } else if (!Used(tuple)) {
        return tuple;
      }
    }
    ChoosePort(tuple);
    return tuple;
  }

  // The ports that ChoosePort() drew from; 0, 0 if it did not.
  uint16_t drawn_first() const { return drawn_first_; }
  uint16_t drawn_last() const { return drawn_last_; }

 private:
  bool Used(const Tuple& tuple) const {
    const std::optional<Tuple> reply = tuple.Inverse();
    return reply && conntrack_.Taken(*reply, flow_, now_us_);
  }

  bool PortInRange(const Tuple& tuple) const {
    uint16_t port = tuple.src_port;
    if (!IsIcmp(tuple.protocol)) {
      if (!UsesPorts(tuple.protocol)) return true;
      if (manipulation_ == Manipulation::kDestination) port = tuple.dst_port;
    }
    return port >= target_.first_port && port <= target_.last_port;
  }

  bool InRange(const Tuple& tuple) const {
    if (target_.first_address && (tuple.src < *target_.first_address ||
                                  tuple.src > target_.last_address)) {
      return false;
    }
    return !target_.has_ports || PortInRange(tuple);
  }

  // The mapping of another flow from the same source port, if it would do.
  std::optional<Tuple> MappedSource(const Tuple& original) const {
    for (FlowId id = conntrack_.LatestOfSource(original); id != 0;
         id = conntrack_.OlderOfSource(id)) {
      if (id == flow_) continue;
      const Flow* other = conntrack_.flow(id);
      if (other == nullptr || (other->status & kFlowDying)) continue;
      std::optional<Tuple> result = other->tuples[1].Inverse();
      if (!result) continue;
      result->dst = original.dst;
      result->dst_port = original.dst_port;
      result->protocol = original.protocol;
      if (InRange(*result)) return result;
    }
    return std::nullopt;
  }

  void ChooseAddress(Tuple& tuple) const {
    if (!target_.first_address) return;
    IpAddress& address =
        manipulation_ == Manipulation::kSource ? tuple.src : tuple.dst;
    if (*target_.first_address == target_.last_address) {
      address = target_.last_address;
      return;
    }
    // A hash of the client, so that it always meets the same address.
    const int words = address.is_v4() ? 1 : 4;
    Words dst = LoadWords(tuple.dst);
    uint32_t hash =
        Jhash(LoadWords(tuple.src), target_.persistent ? 0 : dst[words - 1]);
    const Words first = LoadWords(*target_.first_address);
    const Words last = LoadWords(target_.last_address);
    uint32_t chosen[4] = {};
    bool full_range = false;
    for (int i = 0; i < words; ++i) {
      uint32_t low = 0;
      uint32_t distance = ~uint32_t{0};
      if (!full_range) {
        low = SwapBytes(first[i]);
        distance = SwapBytes(last[i]) - low + 1;
      }
      chosen[i] = low + Scale(hash, distance);
      if (SwapBytes(chosen[i]) != last[i]) full_range = true;
      if (manipulation_ == Manipulation::kDestination) {
        dst[i] = SwapBytes(chosen[i]);
      }
      if (!target_.persistent) hash ^= dst[i];
    }
    address = netfilter::LoadAddress(address.family(), chosen);
  }

  // The start of the search: an offset into the ports.
  uint32_t DrawOffset(uint16_t port, uint32_t first, uint32_t size) {
    if (target_.base_port) {
      return static_cast<uint16_t>(port - *target_.base_port);
    }
    if (!target_.random && manipulation_ == Manipulation::kDestination) {
      return 0;
    }
    drawn_first_ = static_cast<uint16_t>(first);
    drawn_last_ = static_cast<uint16_t>(first + size - 1);
    if (size <= kEnumeratedPorts || decisions_.sampling()) {
      return decisions_.Pick(size);
    }
    // Any port may come out; the one half way round stands for all of them.
    return (port - first + size / 2) % size;
  }

  void ChoosePort(Tuple& tuple) {
    uint32_t first;
    uint32_t size;
    uint16_t& port = PortOf(tuple, manipulation_);
    if (IsIcmp(tuple.protocol)) {
      first = target_.has_ports ? target_.first_port : 0;
      size = target_.has_ports
                 ? uint32_t{target_.last_port} - target_.first_port + 1
                 : 65536;
    } else if (!UsesPorts(tuple.protocol)) {
      return;
    } else if (target_.has_ports) {
      first = std::min(target_.first_port, target_.last_port);
      size = std::max(target_.first_port, target_.last_port) - first + 1;
    } else if (manipulation_ == Manipulation::kDestination) {
      return;
    } else if (port < 512) {
      first = 1;
      size = 511;
    } else if (port < 1024) {
      first = 600;
      size = 424;
    } else {
      first = 1024;
      size = 64512;
    }
    uint32_t offset = DrawOffset(port, first, size);
    uint32_t attempts = std::min(size, kMaxAttempts);
    for (;;) {
      for (uint32_t i = 0; i < attempts; ++i, ++offset) {
        port = static_cast<uint16_t>(first + (offset & 0xffff) % size);
        if (!UsedHarder(tuple, attempts - i)) return;
      }
      if (attempts >= size || attempts < 16) return;
      attempts /= 2;
      offset = DrawOffset(port, first, size);
    }
  }

  // As Used(), but evicts a finished TCP flow that holds the tuple.
  bool UsedHarder(const Tuple& tuple, uint32_t attempts_left) {
    const Flow& ours = *conntrack_.flow(flow_);
    if (attempts_left > kHarderThreshold || tuple.protocol != Protocol::kTcp ||
        ours.tcp.state != TcpState::kSynSent) {
      return Used(tuple);
    }
    const Conntrack::Found found = conntrack_.Find(*tuple.Inverse(), now_us_);
    if (found.flow == 0) return false;
    if (found.direction == 0 || found.flow == flow_) return true;
    const Flow& other = *conntrack_.flow(found.flow);
    const bool finished = other.tcp.state >= TcpState::kTimeWait &&
                          (other.status & kFlowSourceNat) &&
                          !(other.status & kFlowDying);
    const bool advanced =
        static_cast<int32_t>(ours.tcp.seen[0].end - other.tcp.seen[0].end) > 0;
    if (!finished || !advanced) return true;
    conntrack_.Kill(found.flow);
    return false;
  }

  const NatTarget& target_;
  const Manipulation manipulation_;
  const FlowId flow_;
  const int64_t now_us_;
  Conntrack& conntrack_;
  Decisions& decisions_;
  uint16_t drawn_first_ = 0;
  uint16_t drawn_last_ = 0;
};

// Whether a flow's packets change in this half, seen from the packet.
bool Changes(const Flow& flow, const Tracking& tracking,
             Manipulation manipulation) {
  const bool source =
      (manipulation == Manipulation::kSource) != (tracking.direction() == 1);
  return flow.status & (source ? kFlowSourceNat : kFlowDestinationNat);
}

// Sets one half of a packet's addresses and ports.
void Rewrite(const Tuple& target, Manipulation manipulation, Packet& packet) {
  if (manipulation == Manipulation::kSource) {
    packet.src = target.src;
  } else {
    packet.dst = target.dst;
  }
  if (packet.HasPorts()) {
    if (manipulation == Manipulation::kSource) {
      packet.src_port = target.src_port;
    } else {
      packet.dst_port = target.dst_port;
    }
  } else if (packet.IsIcmp() && !IsIcmpError(packet)) {
    packet.src_port = target.src_port;
  }
}

Manipulation Other(Manipulation m) {
  return m == Manipulation::kSource ? Manipulation::kDestination
                                    : Manipulation::kSource;
}

}  // namespace

NatTarget ToNatTarget(const netfilter::NatRange& range, IpFamily family) {
  NatTarget target;
  const uint8_t flags = range.flags;
  if (flags & netfilter::kNatHasAddress) {
    netfilter::NatRange copy = range;
    uint32_t words[4];
    std::copy(copy.first, copy.first + 4, words);
    target.first_address = netfilter::LoadAddress(family, words);
    if (flags & netfilter::kNatHasAddressRange) {
      std::copy(copy.last, copy.last + 4, words);
    }
    target.last_address = netfilter::LoadAddress(family, words);
  }
  if (flags & netfilter::kNatHasPort) {
    target.has_ports = true;
    target.first_port = range.first_port;
    target.last_port = flags & netfilter::kNatHasPortRange ? range.last_port
                                                           : range.first_port;
  }
  if (flags & netfilter::kNatHasBasePort) target.base_port = range.base_port;
  target.random = flags & (netfilter::kNatRandom | netfilter::kNatRandomFully);
  target.persistent = flags & netfilter::kNatPersistent;
  return target;
}

void BindNat(const NatTarget& target, Manipulation manipulation, FlowId id,
             int64_t now_us, Conntrack& conntrack, Decisions& decisions) {
  Flow* flow = conntrack.flow(id);
  if (flow == nullptr || (flow->status & kFlowConfirmed)) return;
  const bool source = manipulation == Manipulation::kSource;
  const std::optional<Tuple> current = flow->tuples[1].Inverse();
  if (current) {
    TupleChoice choice(target, manipulation, id, now_us, conntrack, decisions);
    const Tuple chosen = choice.Choose(*current);
    if (!(chosen == *current)) {
      conntrack.AlterReply(id, *chosen.Inverse());
      flow->status |= source ? kFlowSourceNat : kFlowDestinationNat;
    }
    if (source && choice.drawn_last() != 0) {
      flow->drawn_first_port = choice.drawn_first();
      flow->drawn_last_port = choice.drawn_last();
    }
  }
  if (source) conntrack.NoteMappedSource(id);
  flow->status |= source ? kFlowSourceNatDone : kFlowDestinationNatDone;
}

void BindDestination(const IpAddress& address, uint16_t port, FlowId id,
                     int64_t now_us, Conntrack& conntrack,
                     Decisions& decisions) {
  Flow* flow = conntrack.flow(id);
  if (flow == nullptr || (flow->status & kFlowConfirmed)) return;
  Tuple reply = flow->tuples[1];
  if (UsesPorts(reply.protocol) &&
      (reply.src != address || reply.src_port != port)) {
    reply.src = address;
    reply.src_port = port;
    // What BindNat() comes to if nobody has the tuple.
    if (conntrack.AlterReplyIfFree(id, reply)) {
      flow->status |= kFlowDestinationNat | kFlowDestinationNatDone;
      return;
    }
  }
  NatTarget target;
  target.first_address = target.last_address = address;
  target.has_ports = true;
  target.first_port = target.last_port = port;
  BindNat(target, Manipulation::kDestination, id, now_us, conntrack, decisions);
}

void BindNatToItself(Manipulation manipulation, FlowId id, int64_t now_us,
                     Conntrack& conntrack, Decisions& decisions) {
  Flow* flow = conntrack.flow(id);
  if (flow == nullptr || (flow->status & kFlowConfirmed)) return;
  if (conntrack.ReplyIsFree(id) ||
      !conntrack.Taken(flow->tuples[1], id, now_us)) {
    // What BindNat() comes to: the tuple stays as it is.
    const bool source = manipulation == Manipulation::kSource;
    if (source) conntrack.NoteMappedSource(id);
    flow->status |= source ? kFlowSourceNatDone : kFlowDestinationNatDone;
    return;
  }
  NatTarget target;
  target.first_address = target.last_address =
      manipulation == Manipulation::kSource ? flow->tuples[1].dst
                                            : flow->tuples[1].src;
  BindNat(target, manipulation, id, now_us, conntrack, decisions);
}

void TranslatePacket(const Flow& flow, const Tracking& tracking,
                     Manipulation manipulation, NodePacket& packet) {
  if (!Changes(flow, tracking, manipulation)) return;
  const Tuple& other = flow.tuples[1 - tracking.direction()];
  if (!packet.header.HasPorts()) {
    const std::optional<Tuple> target = other.Inverse();
    if (target) Rewrite(*target, manipulation, packet.header);
  } else if (manipulation == Manipulation::kSource) {
    packet.header.src = other.dst;
    packet.header.src_port = other.dst_port;
  } else {
    packet.header.dst = other.src;
    packet.header.dst_port = other.src_port;
  }
}

bool TranslateIcmpError(const Flow& flow, const Tracking& tracking,
                        Manipulation manipulation, NodePacket& packet) {
  constexpr uint8_t kRedirect = 5;
  if (packet.header.protocol == Protocol::kIcmp &&
      packet.header.icmp_type == kRedirect) {
    // A redirect about a translated flow would be wrong.
    constexpr uint16_t kDone = kFlowSourceNatDone | kFlowDestinationNatDone;
    if ((flow.status & kDone) != kDone) return false;
    if (flow.status & (kFlowSourceNat | kFlowDestinationNat)) return false;
  }
  if (!Changes(flow, tracking, manipulation)) return true;
  const Tuple& other = flow.tuples[1 - tracking.direction()];
  if (packet.quoted) Rewrite(other, Other(manipulation), *packet.quoted);
  const std::optional<Tuple> outer = other.Inverse();
  if (!outer) return true;
  if (manipulation == Manipulation::kSource) {
    packet.header.src = outer->src;
  } else {
    packet.header.dst = outer->dst;
  }
  return true;
}

}  // namespace k8sdns::dataplane
