// One packet's way through a node's hooks, and what it sets off: the kernel's
// answers, and packets that come back over the loopback device. Private to
// this room; NodeDataplane is the public face.
#ifndef K8SDNS_DATAPLANE_PACKET_WALK_H_
#define K8SDNS_DATAPLANE_PACKET_WALK_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "k8sdns/dataplane/opening_cache.h"
#include "k8sdns/dataplane/outcome.h"
#include "k8sdns/dataplane/rule_context.h"
#include "k8sdns/dataplane/rule_matcher.h"

namespace k8sdns::dataplane {

// What does not change while packets pass.
struct NodeTables {
  explicit NodeTables(const NodeConfig& config)
      : routing(config),
        has_listeners(config.has_listeners),
        max_outcomes(config.max_outcomes) {}

  Routing routing;
  bool has_listeners;
  size_t max_outcomes;
  ConntrackOptions conntrack;
  IpvsOptions ipvs;
  // By family: whether a rule needs conntrack. Without one the kernel does not
  // track at all (nf_ct_netns_get()), and nat tables see no packet.
  bool conntrack_used[2] = {false, false};
  // IPv4, IPv6; nullptr: no rules.
  std::shared_ptr<const RuleMatcher> matchers[2];
  // By family: the rules of that matcher, and whether it has a nat table.
  const netfilter::Ruleset* rules[2] = {nullptr, nullptr};
  bool has_nat[2] = {false, false};
};

class PacketWalk {
 public:
  // All must outlive the walk. `outcome` is as it was made; without `traced`
  // it gets no trace. `cache`: of this node; nullptr: no short cuts.
  PacketWalk(const NodeTables& node, NodeState& state, Decisions& decisions,
             bool traced, Outcome& outcome, OpeningCache* cache = nullptr)
      : node_(node),
        state_(state),
        decisions_(decisions),
        traced_(traced),
        outcome_(outcome),
        cache_(cache) {}

  // A packet that comes in by a device. `source_mac`: nullptr if not known.
  void Receive(const NodePacket& packet, DeviceIndex device, uint32_t mark = 0,
               const MacAddress* source_mac = nullptr);
  // A packet that a process of the node sends. Without `has_source` routing
  // chooses one; a source that is not the node's is kept, but not used for
  // routing. `credentials`: nullptr if not known.
  void Send(NodePacket packet, bool has_source, uint32_t mark = 0,
            const SocketCredentials* credentials = nullptr);

 private:
  // A packet under way.
  struct Item {
    TransitPacket transit;
    bool observed = false;  // the outcome is about it
    bool answer = false;    // to the observed one, and decides its verdict
    OutputRoute route;      // of what the node sends
    bool routed_to_self = false;  // came over lo with its route
    bool stolen = false;          // IPVS took it: its sender knows no more
  };
  // An answer of the node to a packet.
  struct Answer {
    NodePacket packet;
    Tracking tracking;
    std::optional<IpAddress> source;  // nullopt: routing chooses
    bool any_source = false;          // need not be the node's
  };

  // The way of a packet. Each ends with one of the End functions.
  void Input(Item& item, DeviceIndex device);
  void RouteInput(Item& item);
  void Forward(Item& item, const InputRoute& route);
  void Deliver(Item& item, bool broadcast);
  void Output(Item& item);
  void Postrouting(Item& item, DeviceIndex in, DeviceIndex out,
                   const std::optional<IpAddress>& gateway);
  void RunLoopback();

  // Hooks: false if the packet ended there.
  bool Prerouting(Item& item);
  bool LocalIn(Item& item);
  bool LocalOut(Item& item);
  bool RunTable(netfilter::TableId table, netfilter::Hook hook, Item& item,
                DeviceIndex in, DeviceIndex out,
                const std::optional<IpAddress>& gateway = std::nullopt) {
    const RuleMatcher* matcher = node_.matchers[FamilyOf(item)].get();
    return matcher == nullptr ||
           !matcher->Acts(table, hook, traced_ && item.observed) ||
           RunRules(*matcher, table, hook, item, in, out, gateway);
  }
  bool RunRules(const RuleMatcher& matcher, netfilter::TableId table,
                netfilter::Hook hook, Item& item, DeviceIndex in,
                DeviceIndex out, const std::optional<IpAddress>& gateway);
  bool RunNat(netfilter::Hook hook, Item& item, DeviceIndex in, DeviceIndex out,
              const std::optional<IpAddress>& gateway = std::nullopt);
  bool TranslateForNew(netfilter::Hook hook, Item& item, DeviceIndex in,
                       DeviceIndex out,
                       const std::optional<IpAddress>& gateway);
  void Track(Item& item);
  bool Confirm(Item& item);
  // False, and the packet is dropped with an error, if there is no route.
  bool Reroute(Item& item);
  static int FamilyOf(const Item& item) {
    return item.transit.packet.header.dst.is_v6() ? 1 : 0;
  }

  // ---- packets that open a flow (opening_walk.cc) ----
  // The whole way of a received packet, if it is of the usual kind. False:
  // nothing was done.
  bool Open(const NodePacket& packet, DeviceIndex device, uint32_t mark);
  // The same from routing on, step by step. The mark is that after nat.
  void OpenInTurn(const NodePacket& packet, DeviceIndex device, uint32_t mark,
                  const RuleMatcher::Endpoint& endpoint);
  const OpeningCache::Entry& Residues(const OpeningCache::Key& key) {
    OpeningCache::Entry& entry = cache_->At(key);
    if (!(entry.key == key)) FindResidues(key, entry);
    return entry;
  }
  void FindResidues(const OpeningCache::Key& key, OpeningCache::Entry& entry);
  RuleMatcher::Residue ResidueAt(netfilter::TableId table, netfilter::Hook hook,
                                 const OpeningCache::Key& key);

  // ---- IPVS (ipvs_walk.cc) ----
  // A request at LOCAL_IN or LOCAL_OUT. False: the packet's way through this
  // hook ended.
  bool IpvsRequest(Item& item, netfilter::Hook hook);
  // What comes back, at LOCAL_IN, FORWARD and LOCAL_OUT.
  void IpvsReply(Item& item);
  bool IpvsForward(Item& item, const IpvsConnection& connection);
  bool IpvsIcmpRequest(Item& item);
  void IpvsIcmpReply(Item& item);

  // ---- the node's answers (node_answers.cc) ----
  void AnswerReject(const Item& item, netfilter::Hook hook, uint8_t with);
  void AnswerLikeHost(const Item& item);
  void SendIcmpError(const Item& item, uint8_t type, uint8_t code,
                     bool decides);
  void SendReset(const Item& item, bool by_rule);
  void SendEchoReply(const Item& item);
  void SendRedirect(const Item& item, const InputRoute& route);
  std::optional<IpAddress> IcmpSource6(const Item& item) const;
  bool MayBeAnsweredByIcmp(const Item& item) const;
  void SendAnswer(const Item& about, Answer answer, bool decides);

  void EndDropped(const Item& item);
  void EndDropped(const Item& item, RouteError error);
  void EndUnknown(const Item& item, const TableVerdict& verdict);
  void EndLeft(const Item& item, DeviceIndex out);
  void EndLocal(const Item& item);
  void NoteAnswer(const Item& item);
  void Finish();

  const NodeTables& node_;
  NodeState& state_;
  Decisions& decisions_;
  const bool traced_;
  Outcome& outcome_;
  OpeningCache* const cache_;
  bool answered_ = false;       // the answer has got through
  std::vector<Item> loopback_;  // those before next_loopback_ are done
  size_t next_loopback_ = 0;
  int packets_ = 0;  // how many went through, to end loops
};

// "icmp-port-unreachable", "tcp-reset", "icmp-type-11-code-0": what an answer
// is called, as iptables names what REJECT can send.
std::string AnswerName(const Packet& answer);

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_PACKET_WALK_H_
