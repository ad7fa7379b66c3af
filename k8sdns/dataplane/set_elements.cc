#include "k8sdns/dataplane/set_elements.h"

#include <cstring>

namespace k8sdns::dataplane {
namespace {

constexpr uint64_t kHasMark = uint64_t{1} << 40;

// What is the same in the keys of both families.
uint64_t RestOf(const SetElement& e) {
  return uint64_t{e.port} | uint64_t{e.protocol} << 16 |
         uint64_t{e.prefix_lengths[0]} << 24 |
         uint64_t{e.prefix_lengths[1]} << 32 | (e.mark != 0 ? kHasMark : 0);
}

}  // namespace

template <typename Self, typename Packed, typename Other>
auto SetElements::Visit(Self& self, const SetElement& e, const Packed& packed,
                        const Other& other) {
  constexpr std::array<uint8_t, 6> kNoMac = {};
  const auto& [a, b] = e.addresses;
  if (!e.interface.empty() || e.mac != kNoMac ||
      (e.mark != 0 && (b != IpAddress() || e.prefix_lengths[1] != 0))) {
    return other(self.others_);
  }
  const uint64_t rest = RestOf(e);
  if (a.is_v4() && b.is_v4()) {
    const uint32_t second = e.mark != 0 ? e.mark : b.v4();
    return packed(self.ipv4_, Key<1>{{uint64_t{a.v4()} << 32 | second}, rest});
  }
  Key<4> key = {{},
                rest | uint64_t{a.is_v6()} << 41 | uint64_t{b.is_v6()} << 42};
  std::memcpy(&key.addresses[0], a.bytes().data(), 16);
  std::memcpy(&key.addresses[2], b.bytes().data(), 16);
  if (e.mark != 0) key.addresses[2] = e.mark;
  return packed(self.ipv6_, key);
}

template <typename K>
bool SetElements::Put(Family<K>& family, const K& key,
                      const SetElementOptions& options) {
  if (options == SetElementOptions()) {
    family.options.erase(key);
  } else {
    family.options.insert_or_assign(key, options);
  }
  return family.keys.insert(key).second;
}

template <typename K>
bool SetElements::Erase(Family<K>& family, const K& key) {
  family.options.erase(key);
  return family.keys.erase(key) != 0;
}

bool SetElements::Put(const SetElement& element,
                      const SetElementOptions& options) {
  return Visit(
      *this, element,
      [&](auto& family, const auto& key) { return Put(family, key, options); },
      [&](auto& others) {
        return others.insert_or_assign(element, options).second;
      });
}

bool SetElements::Erase(const SetElement& element) {
  return Visit(
      *this, element,
      [](auto& family, const auto& key) { return Erase(family, key); },
      [&](auto& others) { return others.erase(element) != 0; });
}

std::optional<SetElementOptions> SetElements::Find(
    const SetElement& element) const {
  using Found = std::optional<SetElementOptions>;
  return Visit(
      *this, element,
      [](const auto& family, const auto& key) { return Find(family, key); },
      [&](const auto& others) -> Found {
        const auto it = others.find(element);
        return it == others.end() ? Found() : Found(it->second);
      });
}

size_t SetElements::memory_bytes() const {
  // A byte of control for each place.
  return ipv4_.keys.capacity() * (sizeof(Key<1>) + 1) +
         ipv6_.keys.capacity() * (sizeof(Key<4>) + 1) +
         ipv4_.options.capacity() *
             (sizeof(std::pair<Key<1>, SetElementOptions>) + 1) +
         ipv6_.options.capacity() *
             (sizeof(std::pair<Key<4>, SetElementOptions>) + 1) +
         others_.capacity() *
             (sizeof(std::pair<SetElement, SetElementOptions>) + 1);
}

}  // namespace k8sdns::dataplane
