#include "k8sdns/netfilter/string_pool.h"

#include "absl/hash/hash.h"

namespace k8sdns::netfilter {
namespace {

size_t HashOf(absl::string_view text) {
  return absl::Hash<absl::string_view>()(text);
}

}  // namespace

StringPool::StringPool() : offsets_({0, 0}), slots_(64, 0) {}

StringId StringPool::Intern(absl::string_view text) {
  if (text.empty()) return 0;
  if (size() * 4 >= slots_.size() * 3) Grow(slots_.size() * 2);
  const size_t mask = slots_.size() - 1;
  size_t i = HashOf(text) & mask;
  while (slots_[i] != 0) {
    if (Get(slots_[i]) == text) return slots_[i];
    i = (i + 1) & mask;
  }
  const StringId id = static_cast<StringId>(size());
  slots_[i] = id;
  text_.append(text.data(), text.size());
  offsets_.push_back(static_cast<uint32_t>(text_.size()));
  return id;
}

StringId StringPool::Find(absl::string_view text, bool* found) const {
  *found = true;
  if (text.empty()) return 0;
  const size_t mask = slots_.size() - 1;
  for (size_t i = HashOf(text) & mask; slots_[i] != 0; i = (i + 1) & mask) {
    if (Get(slots_[i]) == text) return slots_[i];
  }
  *found = false;
  return 0;
}

void StringPool::Reserve(size_t texts, size_t bytes) {
  text_.reserve(text_.size() + bytes);
  offsets_.reserve(offsets_.size() + texts);
  size_t slots = slots_.size();
  while ((size() + texts) * 4 >= slots * 3) slots *= 2;
  if (slots != slots_.size()) Grow(slots);
}

void StringPool::Grow(size_t slots) {
  slots_.assign(slots, 0);
  const size_t mask = slots_.size() - 1;
  for (StringId id = 1; id < size(); ++id) {
    size_t i = HashOf(Get(id)) & mask;
    while (slots_[i] != 0) i = (i + 1) & mask;
    slots_[i] = id;
  }
}

size_t StringPool::memory_bytes() const {
  return text_.capacity() + (offsets_.capacity() + slots_.capacity()) * 4;
}

}  // namespace k8sdns::netfilter
