// Memory for the many small arrays that a compiler makes of a whole cluster:
// they lie next to each other in a few large blocks, which costs less than a
// heap block for each, to make and to read. What changes later goes to the
// heap. Internal to the compilers.
//
//   Arena arena;
//   ArenaVector<int> kept;
//   kept.Reserve(3, &arena);
//   kept.push_back(1);
//
// Not thread-safe.
#ifndef K8SDNS_PROXY_ARENA_H_
#define K8SDNS_PROXY_ARENA_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

namespace k8sdns::proxy {

// Gives out memory that is freed all at once. From a megabyte on it asks for
// huge pages: a page fault costs more than what is then written to the page.
class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Not initialised.
  template <typename T>
  T* Allocate(size_t n) {
    static_assert(alignof(T) <= alignof(std::max_align_t));
    const size_t skip =
        (alignof(T) - reinterpret_cast<uintptr_t>(at_)) % alignof(T);
    if (static_cast<size_t>(end_ - at_) < skip + n * sizeof(T)) {
      Grow(n * sizeof(T));
    } else {
      at_ += skip;
    }
    T* const out = reinterpret_cast<T*>(at_);
    at_ += n * sizeof(T);
    return out;
  }

 private:
  struct Free {
    void operator()(char* block) const { std::free(block); }
  };
  void Grow(size_t size);

  std::vector<std::unique_ptr<char, Free>> blocks_;
  size_t next_ = 0;
  char* at_ = nullptr;
  char* end_ = nullptr;
};

// Like a std::vector of plain values, in 16 bytes. Its memory is the heap's, or
// an arena's, which must then be there as long as this or who it was moved to.
template <typename T>
class ArenaVector {
  static_assert(std::is_trivially_copyable_v<T> &&
                std::is_trivially_destructible_v<T>);

 public:
  using value_type = T;
  using iterator = T*;
  using const_iterator = const T*;

  ArenaVector() = default;
  ArenaVector(const ArenaVector& other) { Append(other); }
  ArenaVector(ArenaVector&& other) noexcept { swap(other); }
  ArenaVector& operator=(const ArenaVector& other) {
    if (this != &other) {
      clear();
      Append(other);
    }
    return *this;
  }
  ArenaVector& operator=(ArenaVector&& other) noexcept {
    swap(other);
    return *this;
  }
  ~ArenaVector() { Free(); }
  void swap(ArenaVector& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    const uint32_t capacity = capacity_;
    capacity_ = other.capacity_;
    other.capacity_ = capacity;
    const uint32_t on_heap = on_heap_;
    on_heap_ = other.on_heap_;
    other.on_heap_ = on_heap;
  }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  T& back() { return data_[size_ - 1]; }

  void clear() { size_ = 0; }
  // Makes room for `n` in all: in `arena`, or on the heap if that is null.
  void Reserve(size_t n, Arena* arena = nullptr) {
    if (n <= capacity_) return;
    T* const data = arena != nullptr
                        ? arena->Allocate<T>(n)
                        : static_cast<T*>(::operator new(n * sizeof(T)));
    if (size_ > 0) std::memcpy(static_cast<void*>(data), data_, bytes());
    Free();
    data_ = data;
    capacity_ = static_cast<uint32_t>(n);
    on_heap_ = arena == nullptr;
  }
  // What is new is for the caller to fill.
  void ResizeForOverwrite(size_t n, Arena* arena = nullptr) {
    Reserve(n, arena);
    size_ = static_cast<uint32_t>(n);
  }
  T& emplace_back() {
    if (size_ == capacity_) Reserve(std::max<size_t>(4, 2 * size_));
    return *new (data_ + size_++) T();
  }
  void push_back(const T& value) { emplace_back() = value; }

  friend bool operator==(const ArenaVector& a, const ArenaVector& b) {
    return a.size_ == b.size_ && std::equal(a.begin(), a.end(), b.begin());
  }

 private:
  size_t bytes() const { return size_ * sizeof(T); }
  void Free() {
    if (on_heap_) ::operator delete(data_);
  }
  void Append(const ArenaVector& other) {
    if (other.empty()) return;
    Reserve(size_ + other.size_);
    std::memcpy(static_cast<void*>(data_ + size_), other.data_, other.bytes());
    size_ += other.size_;
  }

  T* data_ = nullptr;
  uint32_t size_ = 0;
  uint32_t capacity_ : 31 = 0;
  uint32_t on_heap_ : 1 = 0;
};

// Objects of one kind that lie in an arena and stay where they are.
template <typename T>
class Pool {
 public:
  explicit Pool(Arena* arena) : arena_(arena) {}
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool() {
    for (size_t i = 0; i < blocks_.size(); ++i) {
      std::destroy_n(blocks_[i], i + 1 < blocks_.size() ? kBlock : used_);
    }
  }

  T* New() {
    if (!free_.empty()) {
      T* const object = free_.back();
      free_.pop_back();
      return object;
    }
    if (used_ == kBlock) {
      blocks_.push_back(arena_->Allocate<T>(kBlock));
      used_ = 0;
    }
    // Not T(), which would first fill it with zeros.
    return new (blocks_.back() + used_++) T;
  }
  // `object` came from New().
  void Delete(T* object) {
    *object = T();
    free_.push_back(object);
  }

 private:
  static constexpr size_t kBlock = 8;

  Arena* arena_;
  std::vector<T*> blocks_;
  std::vector<T*> free_;
  size_t used_ = kBlock;
};

}  // namespace k8sdns::proxy

#endif  // K8SDNS_PROXY_ARENA_H_
