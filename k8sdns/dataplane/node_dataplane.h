// One node: what its kernel does with a packet that comes in or that it
// sends. A value that holds the node's state (conntrack, sets, lists, time);
// copying it copies the state and shares the rest.
//
//   NodeDataplane node(config, rules4, rules6, sets);
//   for (const Branch& b : node.Match(Arrival::On("eth0", packet)))
//     ... b.outcome, b.probability
//   node.Take(branch);                     // goes on from there
//   Outcome one = node.Sample(arrival, bitgen);   // draws, and goes on
//
// What is delivered to the node is answered as NodeConfig::has_listeners says.
// Bridges and expectations are not modelled.
//
// Not thread-safe, but copies are independent, and the rules are shared.
#ifndef K8SDNS_DATAPLANE_NODE_DATAPLANE_H_
#define K8SDNS_DATAPLANE_NODE_DATAPLANE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/random/bit_gen_ref.h"
#include "k8sdns/dataplane/node_config.h"
#include "k8sdns/dataplane/outcome.h"
#include "k8sdns/dataplane/packet_walk.h"
#include "k8sdns/dataplane/rule_matcher.h"

namespace k8sdns::dataplane {

// A packet and where it enters.
struct Arrival {
  NodePacket packet;
  std::string interface;   // "": sent by a process of the node
  bool has_source = true;  // false: routing chooses packet's source
  uint32_t mark = 0;       // before any rule
  // For -m owner and -m mac; unset: not known, and rules that ask are Unknown.
  std::optional<SocketCredentials> credentials = {};  // of the sending process
  std::optional<MacAddress> source_mac = {};          // of what comes in

  static Arrival On(absl::string_view interface, NodePacket packet);
  static Arrival Sent(NodePacket packet, bool has_source = true);
};

// One way that it may go.
struct Branch {
  Outcome outcome;
  double probability = 1;
  NodeState after;
};

class NodeDataplane {
 public:
  // Matchers may be nullptr: no rules of that family.
  NodeDataplane(const NodeConfig& config,
                std::shared_ptr<const RuleMatcher> ipv4,
                std::shared_ptr<const RuleMatcher> ipv6, IpSets sets = {});

  // Every outcome with its probability; they add up to 1. Outcomes that look
  // the same but leave other state behind are separate. The node itself does
  // not change. An interface that does not exist: one outcome, kDrop.
  std::vector<Branch> Match(const Arrival& arrival, bool traced = true) const;
  // Goes on from a branch that Match() gave.
  void Take(const Branch& branch) { state_ = branch.after; }
  // Draws one outcome and goes on from it.
  Outcome Sample(const Arrival& arrival, absl::BitGenRef generator,
                 bool traced = true);

  // The same into an outcome that may be used again and again: nothing is
  // allocated but what rules do (limit, recent, ...), room for more flows than
  // there ever were (see Reserve()), and a trace longer than those before.
  void Sample(const Arrival& arrival, absl::BitGenRef generator, bool traced,
              Outcome& outcome);

  // Sample() of each arrival in turn, without traces, into the outcome of the
  // same index. Faster than one by one where rules do not fit in the caches.
  // outcomes.size() >= arrivals.size(). Allocates no more than Sample() does.
  void SampleBatch(std::span<const Arrival> arrivals, absl::BitGenRef generator,
                   std::span<Outcome> outcomes);

  const NodeState& state() const { return state_; }
  NodeState& mutable_state() { return state_; }
  // Makes room for so many flows at once: new ones allocate nothing then.
  void Reserve(size_t flows) { state_.conntrack.Reserve(flows); }
  // Lets time pass.
  void Advance(int64_t microseconds) { state_.now_us += microseconds; }
  // Loads rules and sets anew: all that rules remember is gone.
  void ReloadRules(IpSets sets);
  // Loads virtual servers: connections and the schedulers' positions are gone.
  // Without a call there is no IPVS.
  void LoadIpvs(const ipvs::Table& table) { state_.ipvs.Load(table); }
  // Changes them as ipvsadm does: connections stay.
  void ChangeIpvs(const ipvs::Table& table) { state_.ipvs.Change(table); }

  const NodeTables& tables() const { return *tables_; }

 private:
  std::shared_ptr<const NodeTables> tables_;
  NodeState state_;
  OpeningCache cache_;
};

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_NODE_DATAPLANE_H_
