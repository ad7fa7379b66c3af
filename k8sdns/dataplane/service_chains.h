// The chains that spread a Service's new flows over its endpoints (KUBE-SVC-*,
// KUBE-SVL-*), each laid out with its endpoints' chains (KUBE-SEP-*) in a few
// cache lines. Private to this room.
//
// A chain has this form if it is, comments aside:
//   [[!] -s NET] -d IP -p PROTOCOL --dport PORT -j MARKS      at most once
//   -m statistic --mode random --probability P -j ENDPOINT    any number
//   -j ENDPOINT
// where MARKS does nothing but set a mark, and each ENDPOINT is
//   [-s ADDRESS -j MARKS]
//   -p PROTOCOL -j DNAT --to-destination ADDRESS:PORT
// Such a chain always ends by DNAT for packets of the protocol. Others are not
// added, and are walked rule by rule.
//
// Cost: building is linear in the rules; Choose() allocates nothing and draws
// as the rules do. Memory: 64 bytes a line; 10 IPv4 endpoints of one port take
// one line. What many chains have in common is kept once: the source that the
// marking rule asks for, and the chances, which are those of the count.
#ifndef K8SDNS_DATAPLANE_SERVICE_CHAINS_H_
#define K8SDNS_DATAPLANE_SERVICE_CHAINS_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "k8sdns/dataplane/decisions.h"
#include "k8sdns/dataplane/large_page_allocator.h"
#include "k8sdns/dataplane/rule_matcher.h"
#include "k8sdns/net/packet.h"
#include "k8sdns/net/prefetch.h"
#include "k8sdns/netfilter/ruleset.h"

namespace k8sdns::dataplane {

class RuleIndex;

class ServiceChains {
 public:
  static constexpr uint32_t kNone = ~uint32_t{0};

  // `family` is the rules'.
  explicit ServiceChains(IpFamily family)
      : address_words_(family == IpFamily::kIpv4 ? 1 : 4), family_(family) {}

  // Adds a chain of `rules` > 0 rules that begin at `first`. kNone: it does not
  // have the form. `index` finds the chains that it jumps to.
  uint32_t Add(const RuleIndex& index, const uint16_t* first, uint32_t rules);

  using Endpoint = RuleMatcher::Endpoint;
  // Whether the chain ends by DNAT for packets of this protocol; Choose() is
  // for these only.
  bool Takes(uint32_t chain, Protocol protocol) const {
    return (Record(chain)[1] & 0xff) == static_cast<uint8_t>(protocol);
  }
  // How many rules are evaluated at most.
  uint64_t MaxSteps(uint32_t chain) const {
    return uint64_t{Record(chain)[0]} + 16;
  }
  // What the rules come to, from the chain's first to the DNAT; sets marks as
  // they do. The packet is of the family.
  Endpoint Choose(uint32_t chain, const Packet& packet, Decisions& decisions,
                  uint32_t& mark) const;

  // Speed only: asks for the memory that Choose() reads, but of large Services.
  void Prefetch(uint32_t chain) const {
    PrefetchLine(lines_.data() + chain);
    PrefetchLine(lines_.data() + chain + 1);
  }
  size_t memory_bytes() const;

 private:
  // A record begins at a line: count of endpoints; protocol, flags and port;
  // number of its chances; number of its marking; destination of the marking
  // rule; with kOneLast the last word of each endpoint. Then for each endpoint
  // an address and, without kOneLast, a last word: of port and kMarksOwn.
  struct alignas(64) Line {
    uint32_t words[16];
  };
  enum Flag : uint32_t {
    kMarks = 1 << 8,           // it has the marking rule
    kTestsSource = 1 << 9,     // which asks for a source
    kInvertsSource = 1 << 10,  // not to be of the prefix
    kOneLast = 1 << 11,
    kMarksOwn = 1 << 16,  // of an endpoint: it marks its own packets
  };
  // How packets are marked, and the source that the marking rule asks for.
  struct Marking {
    uint32_t mask = 0;
    uint32_t value = 0;
    uint32_t source_length = 0;
    uint32_t source[4] = {};

    template <typename H>
    friend H AbslHashValue(H h, const Marking& m) {
      return H::combine(std::move(h), m.mask, m.value, m.source_length,
                        m.source[0], m.source[1], m.source[2], m.source[3]);
    }
    friend bool operator==(const Marking&, const Marking&) = default;
  };
  struct Rule;
  // The chain that is being added.
  struct Draft {
    uint32_t protocol = 0;  // 0: of no endpoint yet
    uint32_t flags = 0;
    bool has_marks = false;
    netfilter::StringId marks = 0;  // the chain that sets the mark
    Marking marking;
    uint32_t destination[4] = {};
    uint32_t port = 0;
    std::vector<uint32_t> thresholds;
    std::vector<uint32_t> addresses;
    std::vector<uint32_t> lasts;
    // Of the chains that were added: their numbers.
    absl::flat_hash_map<std::vector<uint32_t>, uint32_t> chances;
    absl::flat_hash_map<Marking, uint32_t> markings;
  };

  const uint32_t* Record(uint32_t chain) const {
    return reinterpret_cast<const uint32_t*>(lines_.data() + chain);
  }
  Endpoint Choose4(const uint32_t* record, const Packet& packet,
                   Decisions& decisions, uint32_t& mark) const;
  // The numbers of what the draft asks for.
  uint32_t ChancesOfDraft();
  uint32_t MarkingOfDraft();
  // Each is false if the form is not met.
  bool ReadChain(const RuleIndex& index, const uint16_t* first, uint32_t rules);
  bool ReadRule(const uint16_t* halves, Rule& rule) const;
  bool ReadMarks(const RuleIndex& index, netfilter::StringId chain);
  bool ReadMarkingRule(const RuleIndex& index, const Rule& rule);
  bool ReadEndpoint(const RuleIndex& index, netfilter::StringId chain);
  bool MarksPacket(const uint32_t* record, const Packet& packet) const;
  static void Mark(const Marking& marking, uint32_t& mark) {
    mark = (mark & ~marking.mask) ^ marking.value;
  }

  size_t address_words_;
  IpFamily family_;
  std::vector<Line, LargePageAllocator<Line>> lines_;
  std::vector<ChanceList> chances_;
  std::vector<Marking> markings_;
  Draft draft_;
};

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_SERVICE_CHAINS_H_
