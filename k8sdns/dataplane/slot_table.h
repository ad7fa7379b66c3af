// From hashes to numbers of slots: an open-addressing table whose keys are kept
// elsewhere, so that an entry is 8 bytes and a search that finds nothing reads
// one cache line. Private to this room.
//
//   uint32_t slot = table.Find(hash, [&](uint32_t s) { return keys[s] == k; });
//   if (slot == SlotTable::kNone) table.Insert(hash, NewSlot(k));
//
// Cost: constant. Nothing is allocated until more than half of the room is
// taken; Clear() keeps the room. Not thread-safe; a value.
#ifndef K8SDNS_DATAPLANE_SLOT_TABLE_H_
#define K8SDNS_DATAPLANE_SLOT_TABLE_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "k8sdns/dataplane/large_page_allocator.h"
#include "k8sdns/net/prefetch.h"

namespace k8sdns::dataplane {

class SlotTable {
 public:
  // No slot; slots are less.
  static constexpr uint32_t kNone = ~uint32_t{0};

  // A slot that was inserted with this hash and is `equal`; kNone: none.
  template <typename Equal>
  uint32_t Find(uint32_t hash, const Equal& equal) const {
    if (entries_.empty()) return kNone;
    for (size_t i = hash & mask_; entries_[i] != 0; i = (i + 1) & mask_) {
      if (HashOf(entries_[i]) == hash && equal(SlotOf(entries_[i]))) {
        return SlotOf(entries_[i]);
      }
    }
    return kNone;
  }
  void Insert(uint32_t hash, uint32_t slot) {
    if (2 * (size_ + 1) > entries_.size()) Grow(2 * (size_ + 1));
    size_t i = hash & mask_;
    while (entries_[i] != 0) i = (i + 1) & mask_;
    entries_[i] = Entry(hash, slot);
    ++size_;
  }
  // Puts another slot into the entry. False if there is no such entry.
  bool Replace(uint32_t hash, uint32_t slot, uint32_t by) {
    const size_t i = Place(hash, slot);
    if (i == kNowhere) return false;
    entries_[i] = Entry(hash, by);
    return true;
  }
  // False if there is no such entry.
  bool Erase(uint32_t hash, uint32_t slot) {
    size_t hole = Place(hash, slot);
    if (hole == kNowhere) return false;
    // Entries behind it move up, unless they would come before their place.
    for (size_t i = (hole + 1) & mask_; entries_[i] != 0; i = (i + 1) & mask_) {
      const size_t home = HashOf(entries_[i]) & mask_;
      if (((i - home) & mask_) < ((i - hole) & mask_)) continue;
      entries_[hole] = entries_[i];
      hole = i;
    }
    entries_[hole] = 0;
    --size_;
    return true;
  }
  void Clear() {
    std::fill(entries_.begin(), entries_.end(), 0);
    size_ = 0;
  }
  // Makes room for so many entries.
  void Reserve(size_t entries) {
    if (2 * entries > entries_.size()) Grow(2 * entries);
  }
  // Speed only: asks for the memory that a search reads.
  void Prefetch(uint32_t hash) const {
    if (!entries_.empty()) PrefetchLine(&entries_[hash & mask_]);
  }
  size_t size() const { return size_; }
  size_t memory_bytes() const { return entries_.capacity() * sizeof(uint64_t); }

 private:
  static constexpr size_t kNowhere = ~size_t{0};

  // 0 is a free entry.
  static uint64_t Entry(uint32_t hash, uint32_t slot) {
    return uint64_t{hash} << 32 | (uint64_t{slot} + 1);
  }
  static uint32_t HashOf(uint64_t entry) {
    return static_cast<uint32_t>(entry >> 32);
  }
  static uint32_t SlotOf(uint64_t entry) {
    return static_cast<uint32_t>(entry) - 1;
  }
  size_t Place(uint32_t hash, uint32_t slot) const {
    if (entries_.empty()) return kNowhere;
    const uint64_t wanted = Entry(hash, slot);
    for (size_t i = hash & mask_; entries_[i] != 0; i = (i + 1) & mask_) {
      if (entries_[i] == wanted) return i;
    }
    return kNowhere;
  }
  void Grow(size_t room) {
    std::vector<uint64_t, LargePageAllocator<uint64_t>> old(
        std::bit_ceil(std::max<size_t>(room, 16)));
    old.swap(entries_);
    mask_ = entries_.size() - 1;
    for (uint64_t entry : old) {
      if (entry == 0) continue;
      size_t i = HashOf(entry) & mask_;
      while (entries_[i] != 0) i = (i + 1) & mask_;
      entries_[i] = entry;
    }
  }

  std::vector<uint64_t, LargePageAllocator<uint64_t>>
      entries_;  // a power of two of them, or none
  size_t mask_ = 0;
  size_t size_ = 0;
};

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_SLOT_TABLE_H_
