#include "k8sdns/proxy/arena.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace k8sdns::proxy {
namespace {

constexpr size_t kFirstBlock = size_t{1} << 14;
constexpr size_t kHugePage = size_t{1} << 21;

}  // namespace

void Arena::Grow(size_t size) {
  next_ = blocks_.empty() ? kFirstBlock : std::min(4 * next_, kHugePage);
  const size_t wanted = std::max(next_, size);
  char* block;
  if (wanted < kHugePage) {
    block = static_cast<char*>(std::malloc(wanted));
    end_ = block + wanted;
  } else {
    const size_t room = (wanted + kHugePage - 1) / kHugePage * kHugePage;
    block = static_cast<char*>(std::aligned_alloc(kHugePage, room));
#if defined(MADV_HUGEPAGE)
    // Advice; nothing depends on whether it is taken.
    if (block != nullptr) (void)madvise(block, room, MADV_HUGEPAGE);
#endif
    end_ = block + room;
  }
  if (block == nullptr) std::abort();  // as operator new without exceptions
  blocks_.emplace_back(block);
  at_ = block;
}

}  // namespace k8sdns::proxy
