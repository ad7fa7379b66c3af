// What the rules of a node's hooks come to for packets that open a flow,
// found out once for each kind of them. Private to this room.
//
// A kind is what such a packet's rules know of it before its addresses and
// ports: see Key. Rules and devices never change under a node, so what was
// found out stays true. Two kinds of one place drive each other out, which
// costs time and nothing else.
#ifndef K8SDNS_DATAPLANE_OPENING_CACHE_H_
#define K8SDNS_DATAPLANE_OPENING_CACHE_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "k8sdns/dataplane/routing.h"
#include "k8sdns/dataplane/rule_matcher.h"
#include "k8sdns/net/packet.h"

namespace k8sdns::dataplane {

class OpeningCache {
 public:
  struct Key {
    uint32_t mark = 0;
    DeviceIndex in = kNoDevice;
    DeviceIndex out = kNoDevice;  // kNoDevice: before it is routed
    Protocol protocol = Protocol::kAny;
    bool v6 = false;

    // All of them but the mark.
    uint64_t Rest() const {
      return static_cast<uint64_t>(in) << 32 |
             static_cast<uint64_t>(out) << 16 |
             static_cast<uint64_t>(protocol) << 1 | static_cast<uint64_t>(v6);
    }
    friend bool operator==(const Key& a, const Key& b) {
      return a.mark == b.mark && a.Rest() == b.Rest();
    }
  };
  struct Entry {
    Key key;  // kAny: nothing is known yet
    // The rules have to be run.
    bool runs = true;
    // Else they accept, but for those of nat before routing: its residue.
    RuleMatcher::Residue nat;
  };

  // The place of a key. It may hold another.
  Entry& At(const Key& key) {
    const uint64_t mark = key.mark;
    const uint64_t h = (key.Rest() ^ mark << 12) * 0x9e3779b97f4a7c15;
    return entries_[h >> (64 - kBits)];
  }

 private:
  static constexpr int kBits = 5;
  std::array<Entry, size_t{1} << kBits> entries_;
};

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_OPENING_CACHE_H_
