// The random draws of one packet's way through a node, as a source that can
// be replayed: running the same packet once for each vector of draws gives
// every possible outcome with its probability.
//
//   Decisions decisions;
//   do {
//     NodeState state = before;
//     Run(packet, state, decisions);       // asks decisions.Chance(...)
//     use(decisions.probability());
//   } while (decisions.Next());
//
// A Decisions that was made with a bit generator draws instead, once: a chance
// comes true as often as it should to within 2^-40, and a generator that is in
// the same state gives the same, whichever matcher asks.
#ifndef K8SDNS_DATAPLANE_DECISIONS_H_
#define K8SDNS_DATAPLANE_DECISIONS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "absl/numeric/int128.h"
#include "absl/random/bit_gen_ref.h"

namespace k8sdns::dataplane {

class ChanceList;

class Decisions {
 public:
  // Enumerates: the first run takes the first possibility of every draw.
  Decisions() = default;
  // Draws from `generator`, which must outlive this object.
  explicit Decisions(absl::BitGenRef generator) : generator_(generator) {}

  // True with probability numerator / 2^31, as `-m statistic --mode random`
  // compares 31 random bits with its threshold.
  bool Chance(uint32_t numerator) {
    if (numerator == 0) return false;
    if (numerator >= kOne) return true;
    if (!generator_) return EnumerateChance(numerator);
    if (range_ < kNarrow) Widen();
    const uint64_t part = PartOf(range_, numerator);
    if (point_ < part) {
      range_ = part;
      return true;
    }
    point_ -= part;
    range_ -= part;
    return false;
  }
  // The first of some chances that comes true, as if Chance() was asked for
  // each in turn; their number if none does. One draw, whatever their number.
  uint32_t FirstChance(const ChanceList& chances);
  // One of 0..count-1, all equally likely. count >= 1.
  uint32_t Pick(uint32_t count);

  // Whether it draws, rather than enumerates.
  bool sampling() const { return generator_.has_value(); }

  // Of the run that ended: the product of the probabilities of its draws.
  double probability() const;
  // Whether there was any draw in the run that ended.
  bool drew() const { return !draws_.empty(); }
  // Prepares the next run; false if there is none (always, when drawing).
  bool Next();

 private:
  friend class ChanceList;

  static constexpr uint32_t kOne = uint32_t{1} << 31;
  // The range of a first draw; and how wide one has to be for a chance, whose
  // rounding then is less than 2^-40 of it.
  static constexpr uint64_t kWhole = uint64_t{1} << 63;
  static constexpr uint64_t kNarrow = uint64_t{1} << 40;

  static uint64_t PartOf(uint64_t range, uint32_t numerator) {
    return absl::Uint128Low64(absl::uint128(range) * numerator >> 31);
  }
  // Draws, so that the range is wide enough again.
  void Widen() {
    if (range_ == 0) {
      point_ = (*generator_)() >> 1;
      range_ = kWhole;
    } else {
      point_ = point_ << 22 | (*generator_)() >> 42;
      range_ <<= 22;
    }
  }
  bool EnumerateChance(uint32_t numerator);

  struct Draw {
    uint32_t taken;
    uint32_t count;
    double probability;  // of `taken`
    bool chance;         // of Chance(): the second possibility has the rest
  };

  std::optional<absl::BitGenRef> generator_;
  // What chances are read off, as an arithmetic decoder does: a number that may
  // be any below range_, all equally likely. 0: nothing was drawn yet.
  uint64_t point_ = 0;
  uint64_t range_ = 0;
  std::vector<Draw> draws_;
  size_t at_ = 0;  // the next draw of the current run
};

// Some chances that are tried in turn, prepared for FirstChance(). Immutable.
class ChanceList {
 public:
  // Numerators of 2^31.
  explicit ChanceList(std::span<const uint32_t> numerators);

  uint32_t count() const { return static_cast<uint32_t>(numerators_.size()); }
  std::span<const uint32_t> numerators() const { return numerators_; }
  size_t memory_bytes() const {
    return sizeof(*this) + numerators_.capacity() * sizeof(uint32_t) +
           starts_.capacity() * sizeof(uint64_t);
  }

 private:
  friend class Decisions;

  // Which chance comes true if `point` was drawn from the whole range.
  uint32_t Find(uint64_t point) const {
    // Most lists give all the same share.
    const uint32_t guess = static_cast<uint32_t>(
        absl::Uint128Low64(absl::uint128(point) * (starts_.size() - 1) >> 63));
    if (starts_[guess] <= point && point < starts_[guess + 1]) return guess;
    return Search(point);
  }
  uint32_t Search(uint64_t point) const;

  std::vector<uint32_t> numerators_;
  // Where in the whole range each chance begins, then where none comes true,
  // then the end. Empty: they have to be tried in turn.
  std::vector<uint64_t> starts_;
};

inline uint32_t Decisions::FirstChance(const ChanceList& chances) {
  if (!generator_ || range_ != 0 || chances.starts_.empty()) {
    uint32_t i = 0;
    while (i < chances.count() && !Chance(chances.numerators_[i])) ++i;
    return i;
  }
  if (chances.count() == 0) return 0;
  Widen();
  const uint32_t found = chances.Find(point_);
  point_ -= chances.starts_[found];
  range_ = chances.starts_[found + 1] - chances.starts_[found];
  return found;
}

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_DECISIONS_H_
