// The common matches, evaluated on the stored bytes. Private to this room:
// EvaluateMatch() says what matches mean, this only says it faster, and leaves
// to it what is rare.
#ifndef K8SDNS_DATAPLANE_FAST_MATCH_H_
#define K8SDNS_DATAPLANE_FAST_MATCH_H_

#include <cstdint>
#include <cstring>
#include <string>

#include "k8sdns/dataplane/rule_eval.h"

namespace k8sdns::dataplane {

// The bytes of a stored op: kind, size in halves, and the struct without the
// halves at its end that are zero.
class StoredOp {
 public:
  explicit StoredOp(netfilter::OpView op)
      : data_(op.data()), size_(op.size_bytes()) {}

  // Fields at an offset in the struct.
  uint8_t Byte(size_t at) const { return 2 + at < size_ ? data_[2 + at] : 0; }
  uint16_t Half(size_t at) const {
    uint16_t value = 0;
    if (2 + at < size_) std::memcpy(&value, data_ + 2 + at, sizeof(value));
    return value;
  }
  uint32_t Word(size_t at) const {
    uint32_t value = 0;
    if (2 + at + sizeof(value) <= size_) {
      std::memcpy(&value, data_ + 2 + at, sizeof(value));
    } else if (2 + at < size_) {
      std::memcpy(&value, data_ + 2 + at, 2);  // the rest was zero
    }
    return value;
  }

 private:
  const uint8_t* data_;
  size_t size_;
};

// The words of an address as ops hold them.
struct AddressWords {
  explicit AddressWords(const IpAddress& address) {
    if (address.is_v4()) {
      words[0] = address.v4();
    } else {
      netfilter::StoreAddress(address, words);
    }
  }
  uint32_t words[4] = {};
};

inline bool FastAddress(StoredOp op, const IpAddress& address) {
  const bool invert = op.Byte(0) != 0;
  const int length = op.Byte(1);
  if (address.is_v4()) {
    const uint32_t mask = length == 0 ? 0 : ~uint32_t{0} << (32 - length);
    return ((address.v4() & mask) == op.Word(2)) != invert;
  }
  const AddressWords own(address);
  bool equal = true;
  for (int i = 0; i < 4; ++i) {
    const int bits = length - 32 * i;
    const uint32_t mask = bits <= 0    ? 0
                          : bits >= 32 ? ~uint32_t{0}
                                       : ~uint32_t{0} << (32 - bits);
    equal &= (own.words[i] & mask) == op.Word(2 + 4 * static_cast<size_t>(i));
  }
  return equal != invert;
}

inline MatchResult FastMatch(netfilter::OpView view, const OpPosition& position,
                             RuleContext& context, std::string* why) {
  using netfilter::OpKind;
  const StoredOp op(view);
  const Packet& p = context.header();
  auto yes = [](bool matches) {
    return matches ? MatchResult::kYes : MatchResult::kNo;
  };
  switch (view.kind()) {
    case OpKind::kComment:
    case OpKind::kNfacct:
    case OpKind::kCounters:
      return MatchResult::kYes;
    case OpKind::kSource:
    case OpKind::kDestination: {
      const IpAddress& address = view.kind() == OpKind::kSource ? p.src : p.dst;
      // Explicit masks, and lengths that are not of the address' family.
      if (op.Byte(1) > address.bits()) break;
      if (address.is_v4() && context.family() != IpFamily::kIpv4) break;
      return yes(FastAddress(op, address));
    }
    case OpKind::kProtocol:
      if (op.Byte(1) == 0) break;
      return yes((static_cast<uint8_t>(p.protocol) == op.Byte(1)) !=
                 (op.Byte(0) != 0));
    case OpKind::kTcp:
    case OpKind::kUdp:
      // A destination port, and nothing else.
      if (op.Byte(0) != netfilter::kHasDestinationPort) break;
      return yes(p.dst_port >= op.Half(2) && p.dst_port <= op.Half(4));
    case OpKind::kMark:
      return yes(((context.transit.mark & op.Word(6)) == op.Word(2)) !=
                 (op.Byte(0) != 0));
    case OpKind::kConntrack: {
      // The state, and nothing else.
      const uint16_t state = op.Half(4);
      if (op.Half(0) != netfilter::kCtState ||
          (state & (netfilter::kStateSnat | netfilter::kStateDnat))) {
        break;
      }
      const bool has = state & ConntrackStateBit(context.transit.tracking);
      return yes(has != ((op.Half(2) & netfilter::kCtState) != 0));
    }
    case OpKind::kStatistic:
      if (op.Byte(0) != 0) break;  // nth
      return yes(context.decisions.Chance(op.Word(2)) != (op.Byte(1) != 0));
    default:
      break;
  }
  return EvaluateMatch(view, position, context, why);
}

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_FAST_MATCH_H_
