#include "k8sdns/dataplane/header_space.h"

#include <algorithm>

namespace k8sdns::dataplane {

ValueSet ValueSet::Of(FieldValue first, FieldValue last) {
  ValueSet set;
  if (first <= last) set.parts_.push_back({first, last});
  return set;
}

bool ValueSet::Contains(FieldValue value) const {
  auto at = std::lower_bound(
      parts_.begin(), parts_.end(), value,
      [](const Interval& i, FieldValue v) { return i.last < v; });
  return at != parts_.end() && at->first <= value;
}

bool ValueSet::Contains(const ValueSet& other) const {
  for (const Interval& part : other.parts_) {
    auto at = std::lower_bound(
        parts_.begin(), parts_.end(), part.first,
        [](const Interval& i, FieldValue v) { return i.last < v; });
    if (at == parts_.end() || at->first > part.first || at->last < part.last) {
      return false;
    }
  }
  return true;
}

bool ValueSet::Intersects(const ValueSet& other) const {
  const ValueSet& few = parts_.size() < other.parts_.size() ? *this : other;
  const ValueSet& many = &few == this ? other : *this;
  for (const Interval& part : few.parts_) {
    auto at = std::lower_bound(
        many.parts_.begin(), many.parts_.end(), part.first,
        [](const Interval& i, FieldValue v) { return i.last < v; });
    if (at != many.parts_.end() && at->first <= part.last) return true;
  }
  return false;
}

ValueSet ValueSet::And(const ValueSet& other) const {
  ValueSet out;
  auto a = parts_.begin();
  auto b = other.parts_.begin();
  while (a != parts_.end() && b != other.parts_.end()) {
    const FieldValue first = std::max(a->first, b->first);
    const FieldValue last = std::min(a->last, b->last);
    if (first <= last) out.parts_.push_back({first, last});
    if (a->last < b->last) {
      ++a;
    } else {
      ++b;
    }
  }
  return out;
}

ValueSet ValueSet::Minus(const ValueSet& other) const {
  ValueSet out;
  auto cut = other.parts_.begin();
  for (Interval part : parts_) {
    while (cut != other.parts_.end() && cut->last < part.first) ++cut;
    bool left = true;
    for (auto c = cut; c != other.parts_.end() && c->first <= part.last; ++c) {
      if (c->first > part.first) {
        out.parts_.push_back({part.first, c->first - 1});
      }
      if (c->last >= part.last) {
        left = false;
        break;
      }
      part.first = c->last + 1;
    }
    if (left) out.parts_.push_back(part);
  }
  return out;
}

void ValueSet::Add(FieldValue first, FieldValue last) {
  // Takes in what it touches.
  Interval added = {first, last};
  absl::InlinedVector<Interval, 1> parts;
  for (const Interval& part : parts_) {
    const bool before = part.last < added.first && part.last + 1 != added.first;
    const bool after = added.last < part.first && added.last + 1 != part.first;
    if (before || after) {
      parts.push_back(part);
    } else {
      added.first = std::min(added.first, part.first);
      added.last = std::max(added.last, part.last);
    }
  }
  parts.push_back(added);
  std::sort(
      parts.begin(), parts.end(),
      [](const Interval& a, const Interval& b) { return a.first < b.first; });
  parts_ = std::move(parts);
}

const bool* Box::Assumption(uint32_t variable) const {
  auto at = std::lower_bound(
      assumed.begin(), assumed.end(), variable,
      [](const auto& entry, uint32_t v) { return entry.first < v; });
  return at != assumed.end() && at->first == variable ? &at->second : nullptr;
}

void Box::Assume(uint32_t variable, bool value) {
  auto at = std::lower_bound(
      assumed.begin(), assumed.end(), variable,
      [](const auto& entry, uint32_t v) { return entry.first < v; });
  assumed.insert(at, {variable, value});
}

bool Box::Intersects(const Box& other) const {
  if (((mark_value ^ other.mark_value) & mark_known & other.mark_known) != 0) {
    return false;
  }
  for (const auto& [variable, value] : assumed) {
    const bool* there = other.Assumption(variable);
    if (there != nullptr && *there != value) return false;
  }
  for (int f = 0; f < kHeaderFields; ++f) {
    if (!fields[f].Intersects(other.fields[f])) return false;
  }
  return true;
}

}  // namespace k8sdns::dataplane
