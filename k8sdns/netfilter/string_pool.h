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
#include <cstring>

#include "absl/strings/string_view.h"
#include "k8sdns/net/prefetch.h"
#include "k8sdns/netfilter/growing_array.h"
#include "k8sdns/netfilter/ops.h"

namespace k8sdns::netfilter {

// Whether two texts of `size` bytes are equal, by words.
inline bool EqualBytes(const char* a, const char* b, size_t size) {
  const auto load = [](const char* p) {
    uint64_t v;
    std::memcpy(&v, p, sizeof(v));
    return v;
  };
  if (size < 8) return std::memcmp(a, b, size) == 0;
  if (size >= 16 && size <= 32) {  // names of chains
    return ((load(a) ^ load(b)) | (load(a + 8) ^ load(b + 8)) |
            (load(a + size - 16) ^ load(b + size - 16)) |
            (load(a + size - 8) ^ load(b + size - 8))) == 0;
  }
  uint64_t differs = load(a + size - 8) ^ load(b + size - 8);
  for (size_t i = 0; i + 8 < size; i += 8) differs |= load(a + i) ^ load(b + i);
  return differs == 0;
}

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
  uint64_t Hash(absl::string_view text) const {
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

  // A lookup waits for the memory three times: for a slot, for the place of the
  // text, for the text. Whoever knows early what will be asked takes these
  // steps with other work between them, and gives Intern() or Find() the
  // candidate: the answer is the same, without waiting.
  void PrefetchSlot(uint64_t hash) const {
    PrefetchLine(slots_.data() + SlotOf(hash));
  }
  // The first text that may have this hash; 0: none.
  StringId Candidate(uint64_t hash) const {
    size_t i = SlotOf(hash);
    while (slots_[i] != kFree && !MayBe(slots_[i], hash)) i = After(i);
    const StringId id = slots_[i] & id_mask_;
    PrefetchLine(offsets_.data() + id);
    return id;
  }
  // For a text whose id is known: before PrefetchText().
  void PrefetchPlace(StringId id) const {
    __builtin_prefetch(offsets_.data() + id);
  }
  void PrefetchText(StringId candidate) const {
    if (candidate == 0) return;
    const char* text = text_.data() + offsets_[candidate];
    PrefetchLine(text);
    PrefetchLine(text + 32);  // most are not longer than two lines
  }
  StringId Intern(absl::string_view text, uint64_t hash, StringId candidate,
                  bool* added) {
    *added = false;
    return candidate != 0 && IsText(candidate, text)
               ? candidate
               : Intern(text, hash, added);
  }
  StringId Find(absl::string_view text, uint64_t hash,
                StringId candidate) const {
    return candidate != 0 && IsText(candidate, text) ? candidate
                                                     : Find(text, hash);
  }

  // Makes room for so many more texts of so many bytes in all.
  void Reserve(size_t texts, size_t bytes);
  // Gives back what Reserve() and growth took too much.
  void Compact();
  // How many texts there are, with "".
  size_t size() const { return offsets_.size() - 1; }
  size_t memory_bytes() const;

 private:
  static constexpr uint32_t kFree = 0;
  static constexpr uint64_t kOdd1 = 0xa0761d6478bd642fULL;
  static constexpr uint64_t kOdd2 = 0xe7037ed1a0b428dbULL;

  static uint64_t Load64(const char* p) {
    uint64_t v;
    std::memcpy(&v, p, sizeof(v));
    return v;
  }
  // Multiplies to 128 bits and folds them, as wyhash does.
  static uint64_t Mix(uint64_t a, uint64_t b) {
    const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
    return static_cast<uint64_t>(product) ^
           static_cast<uint64_t>(product >> 64);
  }

  size_t SlotOf(uint64_t hash) const {
    return static_cast<size_t>((hash >> 32) * slots_.size() >> 32);
  }
  size_t After(size_t slot) const {
    return slot + 1 == slots_.size() ? 0 : slot + 1;
  }
  bool MayBe(uint32_t slot, uint64_t hash) const {
    return ((slot ^ static_cast<uint32_t>(hash)) & ~id_mask_) == 0;
  }
  uint32_t SlotFor(StringId id, uint64_t hash) const {
    return id | (static_cast<uint32_t>(hash) & ~id_mask_);
  }
  bool IsText(StringId id, absl::string_view text) const {
    const absl::string_view other = Get(id);
    return other.size() == text.size() &&
           EqualBytes(other.data(), text.data(), text.size());
  }
  // The slot of the text, or the free one where it belongs.
  size_t FindSlot(absl::string_view text, uint64_t hash) const;
  void Rehash(size_t slots);

  GrowingArray<char> text_;
  GrowingArray<uint32_t> offsets_;  // text of id i: offsets_[i]..offsets_[i+1]
  // Open addressing. A slot is an id, which is below the number of slots, and
  // in the bits above a part of the hash, so that other texts are seldom
  // looked at. kFree: no text; "" has no slot.
  GrowingArray<uint32_t> slots_;
  uint32_t id_mask_ = 0;
  uint64_t seed_;
};

}  // namespace k8sdns::netfilter

#endif  // K8SDNS_NETFILTER_STRING_POOL_H_
