// A box of packets on its way through the hooks of a node, split wherever a
// match straddles it. Private to equivalence.
#ifndef K8SDNS_DATAPLANE_SYMBOLIC_WALK_H_
#define K8SDNS_DATAPLANE_SYMBOLIC_WALK_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "k8sdns/dataplane/header_space.h"
#include "k8sdns/dataplane/symbolic_rules.h"
#include "k8sdns/netfilter/ruleset.h"

namespace k8sdns::dataplane {

// The ways through a node.
enum class PacketPath : uint8_t {
  kForwarded,  // in by one interface, out by another
  kDelivered,  // in by an interface, to the node itself
  kSent,       // by the node itself
  kLooped,     // what the node sent to itself, as it comes in by lo
};

struct Stage {
  enum Action : uint8_t { kTable, kTrack, kRoute };
  Action action = kTable;
  netfilter::TableId table = netfilter::TableId::kFilter;
  netfilter::Hook hook = netfilter::Hook::kPrerouting;
};
std::span<const Stage> StagesOf(PacketPath path);

// Texts and variables by number, shared by both rule sets.
class SymbolNames {
 public:
  uint32_t Text(const std::string& text);
  const std::string& text(uint32_t id) const { return texts_[id]; }
  // A variable that is no field of the header. `free`: it may have either
  // value, whatever else is so.
  uint32_t Variable(const std::string& key, bool free);
  bool IsFree(uint32_t variable) const { return free_[variable]; }
  const std::string& variable(uint32_t id) const { return variables_[id]; }

 private:
  absl::flat_hash_map<std::string, uint32_t> text_ids_;
  std::vector<std::string> texts_;
  absl::flat_hash_map<std::string, uint32_t> variable_ids_;
  std::vector<std::string> variables_;
  std::vector<bool> free_;
};

// The mark as a function of what it was at the start, bit by bit: a constant
// where `fixed` has the bit, else the bit itself, turned over where `value`
// has it.
struct MarkFunction {
  uint32_t fixed = 0;
  uint32_t value = 0;
  friend bool operator==(const MarkFunction&, const MarkFunction&) = default;
};

// What rules have done to a packet. Numbers are SymbolNames::Text; 0: nothing.
struct PacketChanges {
  MarkFunction mark;
  MarkFunction routed_mark;  // as routing saw it
  uint32_t destination = 0;  // "-j DNAT ..."
  uint32_t source = 0;
  uint32_t effects = 0;  // other changes, in order
  bool untracked = false;
  friend bool operator==(const PacketChanges&, const PacketChanges&) = default;
};

// Part of a box with one fate of it.
struct Leaf {
  enum Verdict : uint8_t { kAccept, kDrop, kReject };
  Box box;
  double probability = 1;  // of this fate, for every packet of `box`
  Verdict verdict = kAccept;
  uint8_t with = 0;       // kReject
  PacketChanges changes;  // kAccept
  std::vector<std::string> trace;
};

class SymbolicWalk {
 public:
  // All must outlive the walk. `budget` counts down with each split; at 0 the
  // walk stops, and Run() returns false.
  SymbolicWalk(SymbolicRuleset& rules, SymbolNames& names, size_t& budget)
      : rules_(rules), names_(names), budget_(budget) {}

  // Appends the fates of `box`.
  bool Run(const Box& box, PacketPath path, bool traced,
           std::vector<Leaf>& leaves);

 private:
  struct Place {
    netfilter::ChainId chain;
    uint32_t rule;
  };
  struct Item {
    Box box;
    double probability = 1;
    PacketChanges changes;
    // What the destination is after DNAT, where one address or port is meant.
    std::optional<FieldValue> new_destination;
    std::optional<FieldValue> new_port;
    bool destination_unknown = false;  // REDIRECT, NETMAP, ranges
    bool port_unknown = false;
    bool tracked = false;
    bool translated = false;  // an old flow, after conntrack
    bool rerouted = false;
    size_t stage = 0;
    bool in_chain = false;
    std::vector<Place> callers;
    Place place = {0, 0};
    std::vector<std::string> trace;
  };

  void Step(Item item);
  void NextStage(Item item);
  void EnterTable(Item item, const Stage& stage);
  void Track(Item item);
  void Route(Item item);
  // Runs on in its chain until the box is split or the chain ends.
  void Walk(Item item);
  void Apply(Item item, const SymbolicRule& rule);
  void ApplyNat(Item item, netfilter::OpView target);
  void ApplyDnat(Item item);
  void ApplyUnknown(Item item, const SymbolicRule& rule);
  void EndOfChain(Item item);
  void PolicyOf(Item item);
  void End(Item item, Leaf::Verdict verdict, uint8_t with = 0);
  void Push(Item item);

  // Splits `item` by a rule's tests: those that hold into `yes`.
  void Test(const Item& item, const SymbolicRule& rule, std::vector<Box>& yes,
            std::vector<Box>& no);
  void TestOne(const Item& item, const SymbolicTest& test,
               std::vector<Box>& boxes, std::vector<Box>& no);
  void Split(const Item& item, const Box& box, const SymbolicLiteral& literal,
             std::vector<Box>& yes, std::vector<Box>& no);
  void SplitField(const Box& box, HeaderField field, const ValueSet& values,
                  std::vector<Box>& yes, std::vector<Box>& no);
  void SplitMark(const Item& item, const Box& box,
                 const SymbolicLiteral& literal, std::vector<Box>& yes,
                 std::vector<Box>& no);
  void SplitState(const Item& item, const Box& box, uint16_t bits,
                  std::vector<Box>& yes, std::vector<Box>& no);
  void SplitVariable(const Box& box, uint32_t variable, std::vector<Box>& yes,
                     std::vector<Box>& no);
  bool CannotMatch(const Item& item, const SymbolicRule& rule) const;
  // The field of the box that holds a header field now; kHeaderFields if it is
  // `*constant`.
  HeaderField Current(const Item& item, HeaderField field,
                      std::optional<FieldValue>* constant, bool* unknown) const;
  // All that an opaque match may look at, as text.
  std::string Circumstances(const Item& item) const;
  void Effect(const std::string& text, Item& item);
  const Stage& stage(const Item& item) const { return stages_[item.stage]; }

  SymbolicRuleset& rules_;
  SymbolNames& names_;
  size_t& budget_;
  PacketPath path_ = PacketPath::kForwarded;
  std::span<const Stage> stages_;
  bool traced_ = false;
  std::vector<Item> work_;
  std::vector<Leaf>* leaves_ = nullptr;
};

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_SYMBOLIC_WALK_H_
