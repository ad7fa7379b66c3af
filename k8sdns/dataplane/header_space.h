// Sets of packets as boxes: a set of values for each header field. Private to
// equivalence.
#ifndef K8SDNS_DATAPLANE_HEADER_SPACE_H_
#define K8SDNS_DATAPLANE_HEADER_SPACE_H_

#include <array>
#include <cstdint>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/numeric/int128.h"

namespace k8sdns::dataplane {

using FieldValue = absl::uint128;

// A set of values as ascending intervals with gaps between them.
class ValueSet {
 public:
  struct Interval {
    FieldValue first;
    FieldValue last;
    friend bool operator==(const Interval&, const Interval&) = default;
  };

  ValueSet() = default;  // empty
  static ValueSet Of(FieldValue first, FieldValue last);
  static ValueSet Of(FieldValue value) { return Of(value, value); }

  bool empty() const { return parts_.empty(); }
  FieldValue first() const { return parts_.front().first; }
  bool IsSingle() const {
    return parts_.size() == 1 && parts_[0].first == parts_[0].last;
  }
  bool Contains(FieldValue value) const;
  bool Contains(const ValueSet& other) const;
  bool Intersects(const ValueSet& other) const;
  // Linear in the intervals of both.
  ValueSet And(const ValueSet& other) const;
  ValueSet Minus(const ValueSet& other) const;
  void Add(FieldValue first, FieldValue last);
  const auto& parts() const { return parts_; }

  friend bool operator==(const ValueSet&, const ValueSet&) = default;

 private:
  absl::InlinedVector<Interval, 1> parts_;
};

enum HeaderField : uint8_t {
  kFieldSrc,
  kFieldDst,
  kFieldSrcPort,
  kFieldDstPort,
  kFieldSrcType,  // 0..11: the bit of AddressTypeBit
  kFieldDstType,
  // The same six of a packet of an old flow after conntrack translated it.
  kFieldTranslated,
  kFieldProtocol = kFieldTranslated + 6,
  kFieldIcmp,      // type * 256 + code
  kFieldTcpFlags,  // 0..255
  kFieldIn,        // index into the engine's names of interfaces
  kFieldOut,
  kFieldOutRerouted,  // of a sent packet that rules changed
  kFieldState,        // FlowStateValue
  kFieldFlowNat,      // 1: source translated, 2: destination, of old flows
  kHeaderFields,
};

enum FlowStateValue : uint8_t {
  kValueInvalid,
  kValueNew,
  kValueEstablished,
  kValueRelated,
  kValueUntracked,
};

struct Box {
  std::array<ValueSet, kHeaderFields> fields;
  // Bits of the mark at the start that are fixed.
  uint32_t mark_known = 0;
  uint32_t mark_value = 0;
  // What is assumed about variables that are no field; ascending by variable.
  absl::InlinedVector<std::pair<uint32_t, bool>, 2> assumed;

  // nullptr if nothing is assumed about it.
  const bool* Assumption(uint32_t variable) const;
  void Assume(uint32_t variable, bool value);
  bool Intersects(const Box& other) const;
};

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_HEADER_SPACE_H_
