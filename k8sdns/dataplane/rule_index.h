// How Matcher finds the rules of a chain that may match a packet. Private to
// this room.
//
// A chain whose rules mostly ask for one address, protocol and port (as
// KUBE-SERVICES and KUBE-NODEPORTS do) is indexed by a shape: the fields that
// its rules are looked up by. Rules that lack one of these fields are its
// residue, and are tried for every packet. All indexed chains of a table share
// one open-addressing table, keyed by a hash of the chain and the fields. A
// rule that is found is evaluated in full, so that hashes may collide.
//
// A rule is looked up by a field only if the match stands before every match
// that draws, remembers, or may be unknown: skipping the rule then is the same
// as evaluating it.
#ifndef K8SDNS_DATAPLANE_RULE_INDEX_H_
#define K8SDNS_DATAPLANE_RULE_INDEX_H_

#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "k8sdns/dataplane/large_page_allocator.h"
#include "k8sdns/dataplane/service_chains.h"
#include "k8sdns/net/packet.h"
#include "k8sdns/net/prefetch.h"
#include "k8sdns/netfilter/ruleset.h"

namespace k8sdns::dataplane {

// The fields of a shape, as bits. Never both addresses.
enum ShapeField : uint8_t {
  kBySource = 1,
  kByDestination = 2,
  kByProtocol = 4,
  kByPort = 8,  // the destination port
};

// What a rule asks of a packet, before anything with a side effect.
struct ExactFields {
  uint8_t fields = 0;  // ShapeField
  IpAddress src;
  IpAddress dst;
  uint8_t protocol = 0;
  uint16_t port = 0;
  bool only = true;  // it asks for nothing else
};
ExactFields ExactFieldsOf(netfilter::RuleView rule, IpFamily family);

// The fields of a packet or a rule, as they are hashed. Refers to it.
class PacketKey {
 public:
  explicit PacketKey(const Packet& packet)
      : src_(packet.src),
        dst_(packet.dst),
        protocol_(static_cast<uint8_t>(packet.protocol)),
        port_(packet.dst_port) {}
  explicit PacketKey(const ExactFields& rule)
      : src_(rule.src),
        dst_(rule.dst),
        protocol_(rule.protocol),
        port_(rule.port) {}

  // `seed` tells chains apart.
  uint64_t Hash(uint8_t shape, uint32_t seed) const {
    uint64_t h = uint64_t{seed} * 0x9e3779b97f4a7c15;
    if (shape & kByDestination) h ^= HashAddress(dst_);
    if (shape & kBySource) h ^= HashAddress(src_);
    uint32_t rest = 0;
    if (shape & kByProtocol) rest = uint32_t{protocol_} << 16;
    if (shape & kByPort) rest |= port_;
    h = (h ^ uint64_t{rest} << 20) * 0xd6e8feb86659fd93;
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93;
    return h ^ h >> 29;
  }

 private:
  static uint64_t HashAddress(const IpAddress& address) {
    uint64_t words[2];
    std::memcpy(words, address.bytes().data(), sizeof(words));
    uint64_t h = words[0] * 0xff51afd7ed558ccd;
    h ^= (h >> 31) ^ words[1];
    return h * 0xc4ceb9fe1a85ec53;
  }

  const IpAddress& src_;
  const IpAddress& dst_;
  uint8_t protocol_;
  uint16_t port_;
};

// A table's chains and the index of its rules. Immutable; views point into the
// table.
class RuleIndex {
 public:
  static constexpr uint32_t kNone = ~uint32_t{0};

  struct Chain {
    uint32_t offset = 0;  // of its first rule
    uint32_t rules = 0;
    netfilter::ChainId id = 0;
    uint32_t lookup = kNone;   // in lookups_, if it is indexed
    uint32_t service = kNone;  // in services(), if it has that form
  };
  // How an indexed chain is looked up.
  struct Lookup {
    uint8_t shape = 0;
    uint32_t residue = 0;  // its first rule in residue_
  };
  // A rule of an indexed chain: its number from 1, where it is, and the next
  // one of the same key.
  struct Candidate {
    uint32_t number = kNone;
    uint32_t offset = 0;
    uint32_t next = kNone;  // in more_
  };
  // A key's entry. What a rule of a Service needs is here, so that neither its
  // words nor the table of chains are read.
  struct alignas(64) Slot {
    // A chain's rules stay with it whatever hashes do: the tag holds the number
    // of its lookup beside some bits of the hash.
    uint32_t tag = 0;  // 0: free
    Candidate first;
    // If `decided`: the first rule asks for the key's fields alone, these, and
    // jumps to this chain.
    bool decided = false;
    uint8_t protocol = 0;
    uint16_t port = 0;
    Chain jump;
    IpAddress address;
  };
  struct Residue {
    uint32_t number = kNone;  // kNone ends the chain's
    uint32_t offset = 0;
  };

  // Chains of fewer than `min_rules` rules are not indexed.
  RuleIndex(const netfilter::Table& table, IpFamily family, uint32_t min_rules);

  // nullptr if there is no such chain.
  const Chain* FindChain(netfilter::StringId name) const {
    const uint32_t i = name - first_name_;  // wraps for smaller ones
    if (i >= by_name_.size() || by_name_[i].rules == kNone) return nullptr;
    return &by_name_[i];
  }
  // The built-in chain of a hook.
  const Chain* built_in(netfilter::Hook hook) const {
    return built_in_[static_cast<int>(hook)];
  }
  // Whether that chain's policy is DROP.
  bool DropsByPolicy(netfilter::Hook hook) const {
    return drops_[static_cast<int>(hook)];
  }
  // The rule, as it is stored.
  const uint16_t* halves(uint32_t offset) const { return base_ + offset; }
  const ServiceChains& services() const { return services_; }
  const Lookup& lookup(const Chain& chain) const {
    return lookups_[chain.lookup];
  }
  const Residue* residue(const Lookup& lookup) const {
    return residue_.data() + lookup.residue;
  }
  // The entry of the packet's key; nullptr if no rule is looked up by it.
  const Slot* Find(const Chain& chain, const PacketKey& key) const {
    const uint64_t hash = key.Hash(lookups_[chain.lookup].shape, chain.lookup);
    const uint32_t tag = Tag(hash, chain.lookup);
    for (uint64_t i = hash & slot_mask_;; i = (i + 1) & slot_mask_) {
      const Slot& slot = slots_[i];
      if (slot.tag == tag) return &slot;
      if (slot.tag == 0) return nullptr;
    }
  }
  // Whether a packet has the key of a decided entry of that chain.
  bool KeyIs(const Slot& slot, const Chain& chain, const Packet& packet) const {
    const uint8_t shape = lookups_[chain.lookup].shape;
    return (!(shape & kByDestination) || Same(packet.dst, slot.address)) &&
           (!(shape & kBySource) || Same(packet.src, slot.address)) &&
           (!(shape & kByProtocol) ||
            static_cast<uint8_t>(packet.protocol) == slot.protocol) &&
           (!(shape & kByPort) || packet.dst_port == slot.port);
  }
  // Whether the first rule of the chain that matches is the one of that slot.
  bool IsFirst(const Slot& slot, const Chain& chain,
               const Packet& packet) const {
    return slot.decided &&
           residue(lookup(chain))->number >= slot.first.number &&
           KeyIs(slot, chain, packet);
  }
  const Candidate* Next(const Candidate& candidate) const {
    return candidate.next == kNone ? nullptr : &more_[candidate.next];
  }
  // Asks for the slot that Find() will look at; `guess`: and at the same time
  // for what Choose() needs of the Service that most likely is there.
  void Prefetch(const Chain& chain, const PacketKey& key, bool guess) const {
    if (chain.lookup == kNone) return;
    const uint64_t hash = key.Hash(lookups_[chain.lookup].shape, chain.lookup);
    PrefetchLine(&slots_[hash & slot_mask_]);
    const uint32_t service = guess ? likely_[hash & slot_mask_] : kNone;
    if (service != kNone) services_.Prefetch(service);
  }
  // The largest indexed chain; nullptr if there is none.
  const Chain* largest() const { return largest_; }
  size_t memory_bytes() const;

 private:
  static constexpr int kTagHashBits = 18;
  static constexpr size_t kMaxLookups = (1 << (32 - kTagHashBits)) - 1;
  struct Plan;  // what the build knows of a chain that is to be indexed

  static bool Same(const IpAddress& a, const IpAddress& b) {
    uint64_t x[2];
    uint64_t y[2];
    std::memcpy(x, a.bytes().data(), sizeof(x));
    std::memcpy(y, b.bytes().data(), sizeof(y));
    return a.family() == b.family() && x[0] == y[0] && x[1] == y[1];
  }
  static uint32_t Tag(uint64_t hash, uint32_t lookup) {
    return (lookup + 1) << kTagHashBits |
           static_cast<uint32_t>(hash >> (64 - kTagHashBits));
  }
  void AddChains(const netfilter::Table& table);
  void PlanChain(const netfilter::Table& table, IpFamily family, Chain& chain,
                 std::vector<Plan>& plans) const;
  void Fill(const std::vector<Plan>& plans);
  void Insert(const Plan& plan, uint32_t number);

  const uint16_t* base_ = nullptr;
  netfilter::StringId first_name_ = 0;
  // By name from first_name_ on; rules is kNone where there is no chain.
  std::vector<Chain, LargePageAllocator<Chain>> by_name_;
  std::array<const Chain*, 5> built_in_ = {};
  std::array<bool, 5> drops_ = {};
  const Chain* largest_ = nullptr;
  ServiceChains services_;
  std::vector<Lookup> lookups_;
  std::vector<Residue> residue_;
  std::vector<Slot, LargePageAllocator<Slot>> slots_;
  uint64_t slot_mask_ = 0;
  // By the first slot of a search: the Service of a key that begins there.
  // Small beside the slots, so that it stays in the caches.
  std::vector<uint32_t, LargePageAllocator<uint32_t>> likely_;
  std::vector<Candidate, LargePageAllocator<Candidate>> more_;
};

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_RULE_INDEX_H_
