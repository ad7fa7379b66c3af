// The elements of one ipset, by what a packet is compared with.
//
// Sets are as large as clusters (KUBE-LOOP-BACK has an element for each
// endpoint), so an IPv4 element takes 16 bytes, an IPv6 one 40; only those with
// an interface or a MAC address are kept as they come. What nearly no element
// has, a timeout or `nomatch`, is kept apart.
//
// Cost: each operation is constant. Not thread-safe; a value.
#ifndef K8SDNS_DATAPLANE_SET_ELEMENTS_H_
#define K8SDNS_DATAPLANE_SET_ELEMENTS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "k8sdns/net/ip_address.h"

namespace k8sdns::dataplane {

// One element, or what a packet is compared with. What a type does not have
// stays zero.
struct SetElement {
  // Addresses by dimension; the first and the second one of the type.
  std::array<IpAddress, 2> addresses;
  std::array<uint8_t, 2> prefix_lengths = {0, 0};
  uint8_t protocol = 0;
  uint16_t port = 0;  // ICMP: type * 256 + code
  uint32_t mark = 0;
  std::string interface;
  std::array<uint8_t, 6> mac = {};

  friend bool operator==(const SetElement&, const SetElement&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const SetElement& e) {
    return H::combine(std::move(h), e.addresses, e.prefix_lengths, e.protocol,
                      e.port, e.mark, e.interface, e.mac);
  }
};

struct SetElementOptions {
  bool nomatch = false;
  int64_t expires_us = 0;  // 0: never
  friend bool operator==(const SetElementOptions&,
                         const SetElementOptions&) = default;
};

class SetElements {
 public:
  // Speed only: an IPv4 element of addresses, protocol and port, made without
  // a SetElement. Addresses count as /32; those that a type lacks are left out.
  class PlainKey {
   public:
    void AddAddress(const IpAddress& v4) {
      const bool second = prefixes_ != 0;
      words_[second] = v4.v4();
      prefixes_ |= uint64_t{32} << (second ? 8 : 0);
    }
    void SetProtocol(uint8_t protocol) { protocol_ = protocol; }
    void SetPort(uint16_t port) { port_ = port; }

   private:
    friend class SetElements;
    uint32_t words_[2] = {0, 0};
    uint64_t prefixes_ = 0;
    uint8_t protocol_ = 0;
    uint16_t port_ = 0;
  };

  // False: it was there, and has got these options.
  bool Put(const SetElement& element, const SetElementOptions& options);
  // False: it was not there.
  bool Erase(const SetElement& element);
  // The options of an element; nullopt: it is not there.
  std::optional<SetElementOptions> Find(const SetElement& element) const;
  std::optional<SetElementOptions> Find(const PlainKey& key) const {
    return Find(ipv4_,
                Key<1>{{uint64_t{key.words_[0]} << 32 | key.words_[1]},
                       uint64_t{key.port_} | uint64_t{key.protocol_} << 16 |
                           key.prefixes_ << 24});
  }
  // Makes room for so many IPv4 elements.
  void Reserve(size_t elements) { ipv4_.keys.reserve(elements); }
  size_t size() const {
    return ipv4_.keys.size() + ipv6_.keys.size() + others_.size();
  }
  bool empty() const { return size() == 0; }
  size_t memory_bytes() const;

  friend bool operator==(const SetElements&, const SetElements&) = default;

 private:
  // Both addresses in kWords words each (of two), then the rest: port,
  // protocol, prefix lengths, and what else tells elements apart. In an element
  // with a mark it stands in place of the second address, which none such has.
  template <size_t kWords>
  struct Key {
    std::array<uint64_t, kWords> addresses;
    uint64_t rest;

    friend bool operator==(const Key&, const Key&) = default;
    template <typename H>
    friend H AbslHashValue(H h, const Key& key) {
      return H::combine(std::move(h), key.addresses, key.rest);
    }
  };
  // The keys, and the options of those that have some.
  template <typename K>
  struct Family {
    absl::flat_hash_set<K> keys;
    absl::flat_hash_map<K, SetElementOptions> options;
    friend bool operator==(const Family&, const Family&) = default;
  };

  template <typename K>
  static std::optional<SetElementOptions> Find(const Family<K>& family,
                                               const K& key) {
    if (!family.keys.contains(key)) return std::nullopt;
    if (family.options.empty()) return SetElementOptions();
    const auto it = family.options.find(key);
    return it == family.options.end() ? SetElementOptions() : it->second;
  }
  template <typename K>
  static bool Put(Family<K>& family, const K& key,
                  const SetElementOptions& options);
  template <typename K>
  static bool Erase(Family<K>& family, const K& key);
  // Calls what knows the family of an element: with it and the key, or with
  // none if the element is kept as it is.
  template <typename Self, typename Packed, typename Other>
  static auto Visit(Self& self, const SetElement& element, const Packed& packed,
                    const Other& other);

  Family<Key<1>> ipv4_;
  Family<Key<4>> ipv6_;
  absl::flat_hash_map<SetElement, SetElementOptions> others_;
};

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_SET_ELEMENTS_H_
