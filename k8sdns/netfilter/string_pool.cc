#include "k8sdns/netfilter/string_pool.h"

#include <bit>
#include <cstring>

namespace k8sdns::netfilter {
namespace {

uint64_t Load64(const char* p) {
  uint64_t v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}

// Multiplies to 128 bits and folds them, as wyhash does.
uint64_t Mix(uint64_t a, uint64_t b) {
  const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

bool SameText(const char* a, const char* b, size_t size) {
  if (size < 8) return std::memcmp(a, b, size) == 0;
  uint64_t differs = Load64(a + size - 8) ^ Load64(b + size - 8);
  for (size_t i = 0; i + 8 < size; i += 8) {
    differs |= Load64(a + i) ^ Load64(b + i);
  }
  return differs == 0;
}

constexpr uint64_t kOdd1 = 0xa0761d6478bd642fULL;
constexpr uint64_t kOdd2 = 0xe7037ed1a0b428dbULL;
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

uint64_t StringPool::Hash(absl::string_view text) const {
  const char* p = text.data();
  size_t left = text.size();
  uint64_t h = Mix(seed_ ^ left, kOdd1);
  if (left < 8) {
    uint64_t v = 0;
    if (left > 0) std::memcpy(&v, p, left);
    return Mix(h ^ v, kOdd2);
  }
  while (left > 16) {
    h = Mix(Load64(p) ^ kOdd1, Load64(p + 8) ^ h);
    p += 16;
    left -= 16;
  }
  // The last 16 bytes, some of them perhaps a second time.
  const char* end = p + left;
  if (text.size() >= 16) {
    return Mix(Load64(end - 16) ^ kOdd2, Load64(end - 8) ^ h);
  }
  return Mix(Load64(p) ^ kOdd2, Load64(end - 8) ^ h);
}

bool StringPool::IsText(StringId id, absl::string_view text) const {
  const absl::string_view other = Get(id);
  return other.size() == text.size() &&
         SameText(other.data(), text.data(), text.size());
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
