// Texts side by side in memory, so that comparing the keys of a large index
// does not visit the objects they came from. Private to k8sdns/dns.
#ifndef K8SDNS_DNS_NAME_ARENA_H_
#define K8SDNS_DNS_NAME_ARENA_H_

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <vector>

#include "absl/strings/string_view.h"

namespace k8sdns::dns {

// Movable; what Store() returned stays valid. Not thread-safe while it grows.
class NameArena {
 public:
  absl::string_view Store(absl::string_view text) {
    if (text.empty()) return text;
    if (text.size() > room_) {
      const size_t size = std::max(kBlockSize, text.size());
      blocks_.push_back(std::make_unique<char[]>(size));
      next_ = blocks_.back().get();
      room_ = size;
    }
    std::memcpy(next_, text.data(), text.size());
    const absl::string_view stored(next_, text.size());
    next_ += text.size();
    room_ -= text.size();
    return stored;
  }

 private:
  static constexpr size_t kBlockSize = size_t{64} << 10;

  std::vector<std::unique_ptr<char[]>> blocks_;
  char* next_ = nullptr;
  size_t room_ = 0;
};

}  // namespace k8sdns::dns

#endif  // K8SDNS_DNS_NAME_ARENA_H_
