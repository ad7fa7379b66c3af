#include "k8sdns/dataplane/decisions.h"

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

}  // namespace k8sdns::dataplane
