// For arrays that are read at random, by hash: from 2 MiB on they lie in large
// pages where the system gives them, as else most reads miss the TLB too.
// Private to the room.
#ifndef K8SDNS_DATAPLANE_LARGE_PAGE_ALLOCATOR_H_
#define K8SDNS_DATAPLANE_LARGE_PAGE_ALLOCATOR_H_

#include <cstddef>
#include <cstdlib>
#include <memory>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace k8sdns::dataplane {

template <typename T>
class LargePageAllocator {
 public:
  using value_type = T;

  LargePageAllocator() = default;
  template <typename U>
  // NOLINTNEXTLINE(google-explicit-constructor): allocators convert.
  LargePageAllocator(const LargePageAllocator<U>&) {}

  T* allocate(size_t count) {
    const size_t bytes = count * sizeof(T);
    if (bytes < kLargePage) return std::allocator<T>().allocate(count);
    const size_t rounded = (bytes + kLargePage - 1) & ~(kLargePage - 1);
    void* memory = std::aligned_alloc(kLargePage, rounded);
    if (memory == nullptr) std::abort();  // as a throw would end here
#if defined(__linux__)
    (void)madvise(memory, rounded, MADV_HUGEPAGE);  // a hint
#endif
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, size_t count) {
    if (count * sizeof(T) < kLargePage) {
      return std::allocator<T>().deallocate(memory, count);
    }
    std::free(memory);
  }

  friend bool operator==(LargePageAllocator, LargePageAllocator) {
    return true;
  }

 private:
  static constexpr size_t kLargePage = size_t{2} << 20;
};

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_LARGE_PAGE_ALLOCATOR_H_
