// Do two rule sets give every packet the same fate? Exact, not by sampling: a
// box of packets is run through both, and split at each match that straddles
// it.
//
//   absl::StatusOr<Equivalence> e = CompareFates(before, after, {});
//   if (e->answer == Equivalence::kDifferent) std::cout << e->ToString();
//
// A fate is: accepted, dropped or rejected; the mark, the translation of source
// and destination, and whatever else rules change; each with its probability
// (they are compared to 1e-8). Logging is no part of it. It is asked for every
// way through a node: forwarded, delivered, sent, and sent to itself by lo;
// whatever the node's routes and addresses are, as long as they are the same
// for both.
//
// What is not known of the node is left open, and must make no difference: who
// is in a `recent` list, whether a token bucket is empty, what type an address
// is of. A match without a model is taken for a variable that is the same
// wherever the same text is asked about the same packet. Rules that differ only
// where such a variable decides are kUnknown; rules that do not differ for
// either value are equivalent, and that is exact.
//
// Cost: linear in the rules where they are alike (chains are compared by what
// they do, whatever their names), and in the splits of what is not. Pure; may
// be called from any number of threads.
#ifndef K8SDNS_DATAPLANE_EQUIVALENCE_H_
#define K8SDNS_DATAPLANE_EQUIVALENCE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "k8sdns/net/packet.h"
#include "k8sdns/netfilter/ruleset.h"

namespace k8sdns::dataplane {

struct EquivalenceOptions {
  // How often boxes may be split before the answer is kUndecided.
  size_t max_splits = 2'000'000;
  // Packets may come with any mark; else it is 0 before the rules change it, as
  // it is of all that comes in by a wire.
  bool any_mark = true;
};

// A packet that two rule sets treat differently, and what must be so about it
// and the node.
struct WitnessPacket {
  // "forwarded", "delivered", "sent" or "looped".
  std::string path;
  Packet packet;
  std::string in;   // interface; "" for what the node sends
  std::string out;  // "" for what is delivered
  // kSent: the interface after a change of route by rules; else "".
  std::string rerouted_out;
  uint32_t mark = 0;  // at the start
  // "NEW", "ESTABLISHED", "RELATED" or "INVALID".
  std::string state;
  // Of an old flow whose packets conntrack translates: as it is after that.
  std::optional<Packet> translated;
  // The types of the addresses, as -m addrtype asks: "LOCAL", "UNICAST", ...
  std::string source_type;
  std::string destination_type;
  // "-m recent ... holds", and the like.
  std::vector<std::string> assumptions;

  std::string ToString() const;
};

struct Fate {
  double probability = 1;
  // "accepted, DNAT --to-destination 10.0.0.1:80, mark 0x4000"
  std::string text;
  std::vector<std::string> trace;  // of one packet with this fate
};

struct Equivalence {
  enum Answer : uint8_t {
    kEquivalent,
    kDifferent,
    kUnknown,    // only a match or target without a model tells them apart
    kUndecided,  // the limit was reached
  };
  Answer answer = kEquivalent;
  std::string reason;  // kUnknown, kUndecided
  // kDifferent, kUnknown.
  std::optional<WitnessPacket> witness;
  std::vector<Fate> fates[2];  // of `a`, of `b`
  size_t splits = 0;

  std::string ToString() const;
};
absl::string_view EquivalenceName(Equivalence::Answer answer);

// InvalidArgument if the families differ, or chains loop.
absl::StatusOr<Equivalence> CompareFates(const netfilter::Ruleset& a,
                                         const netfilter::Ruleset& b,
                                         const EquivalenceOptions& options);

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_EQUIVALENCE_H_
