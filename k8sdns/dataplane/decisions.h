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
// A Decisions that was made with a bit generator draws instead, once.
#ifndef K8SDNS_DATAPLANE_DECISIONS_H_
#define K8SDNS_DATAPLANE_DECISIONS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/random/bit_gen_ref.h"

namespace k8sdns::dataplane {

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
    // Two draws of 31 bits come of one call of the generator.
    if (!has_bits_) bits_ = (*generator_)();
    const auto drawn = static_cast<uint32_t>(bits_) & (kOne - 1);
    bits_ >>= 32;
    has_bits_ = !has_bits_;
    return drawn < numerator;
  }
  // The first of some chances that comes true, tried in turn; `count` if none
  // does.
  uint32_t FirstChance(const uint32_t* numerators, uint32_t count) {
    uint32_t i = 0;
    while (i < count && !Chance(numerators[i])) ++i;
    return i;
  }
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
  static constexpr uint32_t kOne = uint32_t{1} << 31;

  bool EnumerateChance(uint32_t numerator);

  struct Draw {
    uint32_t taken;
    uint32_t count;
    double probability;  // of `taken`
    bool chance;         // of Chance(): the second possibility has the rest
  };

  std::optional<absl::BitGenRef> generator_;
  uint64_t bits_ = 0;      // of the generator, that are not used up
  bool has_bits_ = false;  // 32 of them
  std::vector<Draw> draws_;
  size_t at_ = 0;  // the next draw of the current run
};

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_DECISIONS_H_
