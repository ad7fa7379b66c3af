#include "k8sdns/dataplane/decisions.h"

#include <algorithm>

#include "absl/random/distributions.h"

namespace k8sdns::dataplane {

bool Decisions::EnumerateChance(uint32_t numerator) {
  const double p = static_cast<double>(numerator) / kOne;
  if (at_ == draws_.size()) draws_.push_back({0, 2, p, true});
  const Draw& draw = draws_[at_++];
  return draw.taken == 0;
}

uint32_t Decisions::Pick(uint32_t count) {
  if (count <= 1) return 0;
  if (generator_) return absl::Uniform<uint32_t>(*generator_, 0, count);
  if (at_ == draws_.size()) draws_.push_back({0, count, 1.0 / count, false});
  return draws_[at_++].taken;
}

double Decisions::probability() const {
  double p = 1;
  for (const Draw& draw : draws_) p *= draw.probability;
  return p;
}

bool Decisions::Next() {
  if (generator_) return false;
  while (!draws_.empty()) {
    Draw& last = draws_.back();
    if (++last.taken < last.count) {
      if (last.chance) last.probability = 1 - last.probability;
      at_ = 0;
      return true;
    }
    draws_.pop_back();
  }
  return false;
}

ChanceList::ChanceList(std::span<const uint32_t> numerators)
    : numerators_(numerators.begin(), numerators.end()) {
  // What Chance() does if none comes true.
  uint64_t start = 0;
  starts_.reserve(numerators.size() + 2);
  for (uint32_t numerator : numerators) {
    const uint64_t rest = Decisions::kWhole - start;
    if (numerator == 0 || numerator >= Decisions::kOne ||
        rest < Decisions::kNarrow) {
      starts_.clear();
      return;
    }
    starts_.push_back(start);
    start += Decisions::PartOf(rest, numerator);
  }
  starts_.push_back(start);
  starts_.push_back(Decisions::kWhole);
}

uint32_t ChanceList::Search(uint64_t point) const {
  const auto after = std::upper_bound(starts_.begin(), starts_.end(), point);
  return static_cast<uint32_t>(after - starts_.begin()) - 1;
}

}  // namespace k8sdns::dataplane
