// An array of plain values that grows at its end, by realloc(3): large ones
// move by their page tables and not byte for byte, and new elements cost
// nothing until they are written. Internal to the rule set.
#ifndef K8SDNS_NETFILTER_GROWING_ARRAY_H_
#define K8SDNS_NETFILTER_GROWING_ARRAY_H_

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace k8sdns::netfilter {

template <typename T>
class GrowingArray {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  GrowingArray() = default;
  GrowingArray(const GrowingArray& other) { *this = other; }
  GrowingArray(GrowingArray&& other) noexcept { *this = std::move(other); }
  ~GrowingArray() { std::free(data_); }
  GrowingArray& operator=(const GrowingArray& other) {
    if (this == &other) return *this;
    size_ = 0;
    SetCapacity(other.size_);
    if (other.size_ > 0)
      std::memcpy(data_, other.data_, other.size_ * sizeof(T));
    size_ = other.size_;
    return *this;
  }
  GrowingArray& operator=(GrowingArray&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
    return *this;
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  size_t capacity() const { return capacity_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }

  // `count` more elements, not initialised.
  T* Extend(size_t count) {
    if (capacity_ - size_ < count) {
      const size_t grown = capacity_ + capacity_ / 2 + 16;
      SetCapacity(size_ + count > grown ? size_ + count : grown);
    }
    T* added = data_ + size_;
    size_ += count;
    return added;
  }
  void push_back(T value) { *Extend(1) = value; }
  // Gives the last `count` elements back.
  void Shorten(size_t count) { size_ -= count; }
  void Assign(size_t count, T value) {
    size_ = 0;
    SetCapacity(count);
    for (size_t i = 0; i < count; ++i) data_[i] = value;
    size_ = count;
  }
  void Reserve(size_t count) {
    if (count > capacity_) SetCapacity(count);
  }
  void ShrinkToFit() {
    if (capacity_ != size_) SetCapacity(size_);
  }
  size_t memory_bytes() const { return capacity_ * sizeof(T); }

 private:
  void SetCapacity(size_t count) {
    if (count == 0) {
      std::free(data_);
      data_ = nullptr;
    } else {
      void* moved = std::realloc(static_cast<void*>(data_), count * sizeof(T));
      if (moved == nullptr) std::abort();  // as a throw would end here
      data_ = static_cast<T*>(moved);
      AdviseLargePages(count * sizeof(T));
    }
    capacity_ = count;
  }

  // Large arrays are read at random: a hint to map them by large pages, which
  // need not be heard.
  void AdviseLargePages(size_t bytes) {
#if defined(__linux__)
    constexpr uintptr_t kLargePage = uintptr_t{2} << 20;
    const uintptr_t begin =
        (reinterpret_cast<uintptr_t>(data_) + kLargePage - 1) &
        ~(kLargePage - 1);
    const uintptr_t end = reinterpret_cast<uintptr_t>(data_) + bytes;
    if (begin + kLargePage > end) return;
    (void)madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#else
    (void)bytes;
#endif
  }

  T* data_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace k8sdns::netfilter

#endif  // K8SDNS_NETFILTER_GROWING_ARRAY_H_
