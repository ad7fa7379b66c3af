// Interned texts: chain names, comments, interface and set names. Equal texts
// have equal ids.
//
//   StringPool pool;
//   StringId id = pool.Intern("KUBE-SERVICES");
//   absl::string_view name = pool.Get(id);
#ifndef K8SDNS_NETFILTER_STRING_POOL_H_
#define K8SDNS_NETFILTER_STRING_POOL_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "k8sdns/netfilter/growing_array.h"
#include "k8sdns/netfilter/ops.h"

namespace k8sdns::netfilter {

// Texts are kept until the pool dies. At most 4 GiB of text. Ids count in the
// order of interning.
class StringPool {
 public:
  StringPool();

  // Amortised O(size of the text).
  StringId Intern(absl::string_view text);
  // The same, by the hash of `text`. *added says whether it is new.
  StringId Intern(absl::string_view text, uint64_t hash, bool* added);
  // 0 (the id of "") with *found = false if it was never interned.
  StringId Find(absl::string_view text, bool* found) const;
  // The same, by the hash of `text`, which must not be empty; 0: not found.
  StringId Find(absl::string_view text, uint64_t hash) const;
  // Valid until the next Intern().
  absl::string_view Get(StringId id) const {
    const uint32_t begin = offsets_[id];
    return absl::string_view(text_.data() + begin, offsets_[id + 1] - begin);
  }
  uint64_t Hash(absl::string_view text) const;
  // Asks for the memory that an Intern() or Find() of this hash looks at.
  void PrefetchSlot(uint64_t hash) const {
    const size_t slot = SlotOf(hash);
    __builtin_prefetch(tags_.data() + slot);
    __builtin_prefetch(slots_.data() + slot);
  }
  // The same, when PrefetchSlot() has had its time.
  void PrefetchText(uint64_t hash) const {
    const size_t slot = SlotOf(hash);
    if (tags_[slot] == TagOf(hash)) {
      __builtin_prefetch(text_.data() + offsets_[slots_[slot]]);
    }
  }

  // Makes room for so many more texts of so many bytes in all.
  void Reserve(size_t texts, size_t bytes);
  // Gives back what Reserve() and growth took too much.
  void Compact();
  // How many texts there are, with "".
  size_t size() const { return offsets_.size() - 1; }
  size_t memory_bytes() const;

 private:
  size_t SlotOf(uint64_t hash) const {
    return static_cast<size_t>((hash >> 32) * slots_.size() >> 32);
  }
  static constexpr uint8_t kFree = 0;
  static uint8_t TagOf(uint64_t hash) {
    return static_cast<uint8_t>(hash | 0x80);
  }
  // The slot of the text, or the free one where it belongs.
  size_t FindSlot(absl::string_view text, uint64_t hash) const;
  void Rehash(size_t slots);

  GrowingArray<char> text_;
  GrowingArray<uint32_t> offsets_;  // text of id i: offsets_[i]..offsets_[i+1]
  // Open addressing. A tag is a part of the hash, so that texts of other
  // names are seldom looked at; kFree: no text.
  GrowingArray<uint8_t> tags_;
  GrowingArray<uint32_t> slots_;  // ids
  uint64_t seed_;
};

}  // namespace k8sdns::netfilter

#endif  // K8SDNS_NETFILTER_STRING_POOL_H_
