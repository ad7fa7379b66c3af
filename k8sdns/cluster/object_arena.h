// Memory for the objects of a large file: they, their lists and their texts lie
// side by side in blocks of 2 MiB, in large pages where the system gives them.
// They then cost a page fault for every two megabytes, not for every four
// kilobytes: without it, page faults are a third of the time that reading a
// hundred thousand endpoints takes. Maps and std::strings stay on the heap.
//
// A block lives as long as something in it does: what lies in one keeps it.
// Copies of an object lie on the heap, as everything does that was not read
// from a large file; so an arena is nothing to know about for users of objects.
#ifndef K8SDNS_CLUSTER_OBJECT_ARENA_H_
#define K8SDNS_CLUSTER_OBJECT_ARENA_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "absl/base/attributes.h"

namespace k8sdns {

// Owners may be on any thread; only one thread at a time takes from it.
class ArenaBlock {
 public:
  static constexpr size_t kSize = size_t{2} << 20;

  // With one owner; nullptr without memory.
  static ArenaBlock* Make() {
    void* memory = std::aligned_alloc(kSize, kSize);
    if (memory == nullptr) return nullptr;
#if defined(__linux__)
    (void)madvise(memory, kSize, MADV_HUGEPAGE);  // a hint
#endif
    return new (memory) ArenaBlock;
  }

  // nullptr if there is not enough left. `alignment` is a power of two.
  void* Take(size_t bytes, size_t alignment) {
    const size_t at = (taken_ + alignment - 1) & ~(alignment - 1);
    if (bytes > kSize || at > kSize - bytes) return nullptr;
    taken_ = at + bytes;
    return reinterpret_cast<char*>(this) + at;
  }
  size_t left() const { return kSize - taken_; }
  bool Holds(const void* memory) const {
    return (reinterpret_cast<uintptr_t>(memory) & ~(kSize - 1)) ==
           reinterpret_cast<uintptr_t>(this);
  }

  void AddOwner() { owners_.fetch_add(1, std::memory_order_relaxed); }
  void RemoveOwner() {
    if (owners_.fetch_sub(1, std::memory_order_acq_rel) == 1) Free();
  }

 private:
  // Not inline: GCC 12 does not see that only the last owner comes here, and
  // warns of use after free.
  ABSL_ATTRIBUTE_NOINLINE void Free() {
    this->~ArenaBlock();
    std::free(this);
  }

  ArenaBlock() = default;
  ~ArenaBlock() = default;

  std::atomic<uint32_t> owners_{1};
  size_t taken_ = sizeof(ArenaBlock);
};

// Owns a part of a block, or nothing.
class ArenaHold {
 public:
  ArenaHold() = default;
  // Becomes one more owner.
  explicit ArenaHold(ArenaBlock* block) : block_(block) {
    if (block_ != nullptr) block_->AddOwner();
  }
  ArenaHold(const ArenaHold& other) : ArenaHold(other.block_) {}
  ArenaHold(ArenaHold&& other) noexcept
      : block_(std::exchange(other.block_, nullptr)) {}
  ArenaHold& operator=(ArenaHold other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~ArenaHold() {
    if (block_ != nullptr) block_->RemoveOwner();
  }

  ArenaBlock* get() const { return block_; }

 private:
  ArenaBlock* block_ = nullptr;
};

// Takes from a block, and from the heap without one or when it is full. A copy
// of a container takes from the heap.
template <typename T>
class ArenaAllocator {
 public:
  using value_type = T;
  using propagate_on_container_copy_assignment = std::false_type;
  using propagate_on_container_move_assignment = std::true_type;
  using propagate_on_container_swap = std::true_type;
  using is_always_equal = std::false_type;

  ArenaAllocator() = default;
  explicit ArenaAllocator(ArenaHold hold) : hold_(std::move(hold)) {}
  template <typename U>
  // NOLINTNEXTLINE(google-explicit-constructor): allocators convert.
  ArenaAllocator(const ArenaAllocator<U>& other) : hold_(other.hold()) {}

  T* allocate(size_t count) {
    if (hold_.get() != nullptr) {
      if (void* p = hold_.get()->Take(count * sizeof(T), alignof(T))) {
        return static_cast<T*>(p);
      }
    }
    return std::allocator<T>().allocate(count);
  }
  void deallocate(T* memory, size_t count) {
    if (hold_.get() != nullptr && hold_.get()->Holds(memory)) return;
    std::allocator<T>().deallocate(memory, count);
  }
  ArenaAllocator select_on_container_copy_construction() const { return {}; }

  const ArenaHold& hold() const { return hold_; }

  template <typename U>
  friend bool operator==(const ArenaAllocator& a, const ArenaAllocator<U>& b) {
    return a.hold().get() == b.hold().get();
  }

 private:
  ArenaHold hold_;
};

// Where a reader puts what it makes. One of no use gives no blocks, so that all
// lies on the heap. Not thread-safe.
class ObjectArena {
 public:
  explicit ObjectArena(bool in_use) : in_use_(in_use) {}
  ObjectArena(const ObjectArena&) = delete;
  ObjectArena& operator=(const ObjectArena&) = delete;
  ~ObjectArena() {
    if (block_ != nullptr) block_->RemoveOwner();
  }

  // A new object, which stays where it is made.
  template <typename T>
  std::shared_ptr<T> Make() {
    constexpr size_t kOwnersAndAllocator = 64;  // at most
    return std::allocate_shared<T>(ArenaAllocator<T>(
        ArenaHold(BlockFor(sizeof(T) + kOwnersAndAllocator))));
  }

  // A block that has `bytes` left, and some for alignment; nullptr for what
  // should lie on the heap. Valid until the next call.
  ArenaBlock* BlockFor(size_t bytes) {
    bytes += kAlignment;
    if (block_ != nullptr && block_->left() >= bytes) return block_;
    return NewBlockFor(bytes);
  }

 private:
  static constexpr size_t kAlignment = alignof(std::max_align_t);
  // More would leave too much of a block unused.
  static constexpr size_t kLargest = ArenaBlock::kSize / 16;

  ArenaBlock* NewBlockFor(size_t bytes) {
    if (!in_use_ || bytes > kLargest) return nullptr;
    if (block_ != nullptr) block_->RemoveOwner();
    block_ = ArenaBlock::Make();
    return block_;
  }

  const bool in_use_;
  ArenaBlock* block_ = nullptr;
};

}  // namespace k8sdns

#endif  // K8SDNS_CLUSTER_OBJECT_ARENA_H_
