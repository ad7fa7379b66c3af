#include "k8sdns/netfilter/string_pool.h"

#include <bit>
#include <cstring>

namespace k8sdns::netfilter {
namespace {

// Fullness, in fourths.
constexpr size_t kFull = 3;

}  // namespace

// The seed differs between processes, so that nobody can prepare names that
// collide. Ids do not depend on it.
StringPool::StringPool() : seed_(reinterpret_cast<uintptr_t>(this) ^ kOdd2) {
  offsets_.push_back(0);
  offsets_.push_back(0);
  Rehash(64);
}

size_t StringPool::FindSlot(absl::string_view text, uint64_t hash) const {
  size_t i = SlotOf(hash);
  while (slots_[i] != kFree &&
         !(MayBe(slots_[i], hash) && IsText(slots_[i] & id_mask_, text))) {
    i = After(i);
  }
  return i;
}

StringId StringPool::Intern(absl::string_view text) {
  if (text.empty()) return 0;
  bool added;
  return Intern(text, Hash(text), &added);
}

StringId StringPool::Intern(absl::string_view text, uint64_t hash,
                            bool* added) {
  if (size() * 4 >= slots_.size() * kFull) Rehash(slots_.size() * 2);
  const size_t slot = FindSlot(text, hash);
  *added = slots_[slot] == kFree;
  if (!*added) return slots_[slot] & id_mask_;
  const StringId id = static_cast<StringId>(size());
  slots_[slot] = SlotFor(id, hash);
  std::memcpy(text_.Extend(text.size()), text.data(), text.size());
  offsets_.push_back(static_cast<uint32_t>(text_.size()));
  return id;
}

StringId StringPool::Find(absl::string_view text, bool* found) const {
  *found = true;
  if (text.empty()) return 0;
  const StringId id = Find(text, Hash(text));
  *found = id != 0;
  return id;
}

StringId StringPool::Find(absl::string_view text, uint64_t hash) const {
  return slots_[FindSlot(text, hash)] & id_mask_;  // of a free one: 0
}

void StringPool::Reserve(size_t texts, size_t bytes) {
  text_.Reserve(text_.size() + bytes);
  offsets_.Reserve(offsets_.size() + texts);
  const size_t slots = (size() + texts) * 4 / kFull + 2;
  if (slots > slots_.size()) Rehash(slots);
}

void StringPool::Compact() {
  text_.ShrinkToFit();
  offsets_.ShrinkToFit();
  const size_t slots = size() * 4 / kFull + 2;
  // A little too large is not worth the time.
  if (slots_.size() > 2 * slots && slots_.size() > 64) Rehash(slots);
}

void StringPool::Rehash(size_t slots) {
  slots_.Assign(slots, kFree);
  id_mask_ = ~uint32_t{0} >> (std::countl_zero(static_cast<uint32_t>(slots)));
  for (StringId id = 1; id < size(); ++id) {
    const uint64_t hash = Hash(Get(id));
    size_t i = SlotOf(hash);
    while (slots_[i] != kFree) i = After(i);
    slots_[i] = SlotFor(id, hash);
  }
}

size_t StringPool::memory_bytes() const {
  return text_.memory_bytes() + offsets_.memory_bytes() + slots_.memory_bytes();
}

}  // namespace k8sdns::netfilter
