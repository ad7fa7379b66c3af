// A text of a value type that is there a hundred thousand times.
//
//   SharedText zone = "zone-a";
//   if (zone == "zone-b") ...
//   std::string copy(zone);
//
// Like a constant std::string, in 16 bytes: texts of up to 15 bytes lie in it,
// longer ones once on the heap, shared by all copies. Copying costs at most an
// atomic increment. As thread-safe as std::string: copies that share a text may
// be used by different threads.
#ifndef K8SDNS_CLUSTER_SHARED_TEXT_H_
#define K8SDNS_CLUSTER_SHARED_TEXT_H_

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <ostream>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "k8sdns/cluster/object_arena.h"

namespace k8sdns {

class SharedText {
 public:
  SharedText() = default;
  // NOLINTBEGIN(google-explicit-constructor): is a text.
  SharedText(absl::string_view text) { Set(text); }
  SharedText(const std::string& text) { Set(text); }
  SharedText(const char* text) { Set(text); }
  operator absl::string_view() const { return view(); }
  // NOLINTEND
  explicit operator std::string() const { return std::string(view()); }

  // The text, in the arena if it is long.
  SharedText(absl::string_view text, ObjectArena& arena) { Set(text, arena); }
  // *this = SharedText(text, arena), faster: kPadding bytes from the text's
  // start on must be readable.
  static constexpr size_t kPadding = 16;
  void AssignPadded(absl::string_view text, ObjectArena& arena) {
    if (std::endian::native != std::endian::little || !IsInline() ||
        text.size() > kLongestInline) {
      *this = SharedText(text, arena);
      return;
    }
    uint64_t words[2];
    std::memcpy(words, text.data(), kSize);
    const size_t bits = 8 * text.size();
    words[0] &= bits >= 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
    words[1] &= bits <= 64 ? 0 : (uint64_t{1} << (bits - 64)) - 1;
    words[1] |= uint64_t{text.size()} << 56;
    std::memcpy(bytes_, words, kSize);
  }

  SharedText(const SharedText& other) { Share(other); }
  SharedText(SharedText&& other) noexcept { Take(other); }
  SharedText& operator=(const SharedText& other) {
    if (this != &other) {
      Release();
      Share(other);
    }
    return *this;
  }
  SharedText& operator=(SharedText&& other) noexcept {
    if (this != &other) {
      if (!IsInline()) ReleaseBlock();
      Take(other);
    }
    return *this;
  }
  ~SharedText() {
    if (!IsInline()) ReleaseBlock();
  }

  // Valid as long as this object is not changed or moved.
  absl::string_view view() const {
    return IsInline() ? absl::string_view(bytes_, SizeByte())
                      : absl::string_view(block()->text(), block()->size);
  }
  bool empty() const { return SizeByte() == 0; }
  size_t size() const { return view().size(); }

  friend bool operator==(const SharedText& a, const SharedText& b) {
    return std::memcmp(a.bytes_, b.bytes_, kSize) == 0 ||
           (!a.IsInline() && a.view() == b.view());
  }
  friend bool operator==(const SharedText& a, absl::string_view b) {
    return a.view() == b;
  }
  friend bool operator==(const SharedText& a, const std::string& b) {
    return a.view() == b;
  }
  friend bool operator==(const SharedText& a, const char* b) {
    return a.view() == b;
  }
  friend bool operator<(const SharedText& a, const SharedText& b) {
    return a.view() < b.view();
  }

  // As that of the text.
  template <typename H>
  friend H AbslHashValue(H state, const SharedText& text) {
    return H::combine(std::move(state), text.view());
  }
  friend std::ostream& operator<<(std::ostream& out, const SharedText& text) {
    return out << text.view();
  }

 private:
  // The last byte is the size of a text that lies here, or kOnHeap. What the
  // text does not fill is 0, so that equal short texts have equal bytes.
  static constexpr size_t kSize = 16;
  static constexpr size_t kLongestInline = kSize - 1;
  static constexpr unsigned char kOnHeap = 0xFF;

  // The text lies behind it. In an arena, before it: the ArenaBlock.
  struct Block {
    std::atomic<uint32_t> owners;
    bool in_arena;
    size_t size;
    char* text() { return reinterpret_cast<char*>(this + 1); }
    ArenaBlock*& arena_block() {
      return reinterpret_cast<ArenaBlock**>(this)[-1];
    }
  };

  unsigned char SizeByte() const {
    return static_cast<unsigned char>(bytes_[kLongestInline]);
  }
  bool IsInline() const { return SizeByte() != kOnHeap; }
  Block* block() const {
    Block* block;
    std::memcpy(&block, bytes_, sizeof(block));
    return block;
  }

  void Set(absl::string_view text) {
    if (text.size() <= kLongestInline) {
      SetInline(text);
    } else {
      SetBlock(text, ::operator new(sizeof(Block) + text.size()), false);
    }
  }
  void Set(absl::string_view text, ObjectArena& arena) {
    if (text.size() <= kLongestInline) return SetInline(text);
    const size_t size = sizeof(ArenaBlock*) + sizeof(Block) + text.size();
    ArenaBlock* const block = arena.BlockFor(size);
    if (block == nullptr) return Set(text);
    auto** const memory =
        static_cast<ArenaBlock**>(block->Take(size, alignof(Block)));
    *memory = block;
    block->AddOwner();
    SetBlock(text, memory + 1, true);
  }
  void SetInline(absl::string_view text) {
    std::memcpy(bytes_, text.data(), text.size());
    bytes_[kLongestInline] = static_cast<char>(text.size());
  }
  void SetBlock(absl::string_view text, void* memory, bool in_arena) {
    Block* block = new (memory) Block{{1}, in_arena, text.size()};
    std::memcpy(block->text(), text.data(), text.size());
    std::memcpy(bytes_, &block, sizeof(block));
    bytes_[kLongestInline] = static_cast<char>(kOnHeap);
  }
  void Share(const SharedText& other) {
    std::memcpy(bytes_, other.bytes_, kSize);
    if (!IsInline()) block()->owners.fetch_add(1, std::memory_order_relaxed);
  }
  void Take(SharedText& other) {
    std::memcpy(bytes_, other.bytes_, kSize);
    std::memset(other.bytes_, 0, kSize);
  }
  void Release() {
    if (!IsInline()) ReleaseBlock();
    std::memset(bytes_, 0, kSize);
  }
  void ReleaseBlock() {
    if (block()->owners.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    if (block()->in_arena) {
      block()->arena_block()->RemoveOwner();
    } else {
      ::operator delete(block());
    }
  }

  alignas(8) char bytes_[kSize] = {};
};

}  // namespace k8sdns

#endif  // K8SDNS_CLUSTER_SHARED_TEXT_H_
