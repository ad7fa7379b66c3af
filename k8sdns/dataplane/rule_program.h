// A built-in chain with the chains that it calls, as one list of instructions:
// rules are read once, when it is built, and a packet only runs over it.
// Private to this room; Matcher runs it.
//
// Chains that are long, looked up by key or nested deeply stay outside and are
// called. Nothing is left out: a traced run gives the steps of the rules, and
// an instruction that evaluates a rare match or target hands it to
// EvaluateMatch() and EvaluateTarget().
//
// Without a trace, instructions that are only steps of it need not run: each
// other one knows the next that does something, and the steps on the way there
// (`short_next`, `short_otherwise`).
//
// Cost: building is linear in the instructions, at most kMaxInstructions; 40
// bytes each. Immutable.
#ifndef K8SDNS_DATAPLANE_RULE_PROGRAM_H_
#define K8SDNS_DATAPLANE_RULE_PROGRAM_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "k8sdns/dataplane/rule_index.h"
#include "k8sdns/netfilter/ruleset.h"

namespace k8sdns::dataplane {

class RuleProgram {
 public:
  static constexpr size_t kMaxInstructions = 512;

  enum Kind : uint8_t {
    // Matches: go on at `otherwise` if they do not hold.
    kSource4,  // IPv4 address & a == b; negated by `invert`
    kDestination4,
    kProtocol,  // a
    kPort,      // destination port a..b
    kMark,      // mark & a == b
    kState,     // ConntrackState bits a
    kChance,    // a of 2^31
    kSet,       // a set; the hash of its name in a (upper half) and b
    kMatch,     // any other
    // Targets: the rule matches.
    kJump,      // the chain's instructions follow
    kCall,      // of a chain that is not in the program
    kGotoCall,  // the same by -g; then on at `otherwise`
    kGoOn,      // RETURN, or -g: on at `otherwise`
    kNoTarget,
    kAccept,
    kSetMark,  // mark = (mark & ~a) ^ b
    kNoChain,  // a jump to a chain that is not there
    kTarget,   // any other
    // No rule's target: on at `otherwise`.
    kSkip,
    // The end of a chain.
    kEnd,
    kPolicy,  // of the built-in one
  };
  struct Instruction {
    Kind kind;
    bool invert = false;
    bool first = false;      // of a rule or an end: a step of the walk
    uint8_t op = 0;          // of kMatch, kSet: its place in the rule
    uint16_t otherwise = 0;  // an instruction
    uint32_t a = 0;
    uint32_t b = 0;
    // The match or target, as it is stored.
    const uint8_t* data = nullptr;
    netfilter::ChainId chain = 0;
    uint32_t rule = 0;  // from 1; of an end: one more than there are
    // Where to go on without a trace, and how many steps that passes over.
    struct Way {
      uint16_t to = 0;
      uint16_t steps = 0;
    };
    Way short_next = {};
    Way short_otherwise = {};
  };

  // Empty if `built_in` is itself looked up by key, or is too large.
  RuleProgram(const RuleIndex& index, const netfilter::Ruleset& rules,
              const RuleIndex::Chain& built_in);

  bool empty() const { return code_.empty(); }
  // The first instruction without a trace.
  Instruction::Way short_begin() const { return short_begin_; }
  const Instruction* code() const { return code_.data(); }
  // What kCall and kGotoCall call: `a` is its number.
  const RuleIndex::Chain& called(uint32_t number) const {
    return *called_[number];
  }
  size_t memory_bytes() const {
    return code_.capacity() * sizeof(Instruction) +
           called_.capacity() * sizeof(called_[0]);
  }

 private:
  // False: the program is too large.
  bool AddChain(const RuleIndex::Chain& chain, int depth);
  void AddMatch(netfilter::OpView match, uint8_t place, Instruction& out) const;
  bool AddTarget(netfilter::OpView target, Instruction out, int depth,
                 std::vector<uint32_t>& to_end);
  bool AddJump(netfilter::StringId name, bool call, Instruction out, int depth,
               std::vector<uint32_t>& to_end);

  // From an instruction on, over those that do nothing without a trace.
  Instruction::Way ShortWay(uint32_t from) const;

  // While it is built.
  const RuleIndex* index_;
  const netfilter::Ruleset* rules_;
  Instruction::Way short_begin_;
  std::vector<Instruction> code_;
  std::vector<const RuleIndex::Chain*> called_;
};

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_RULE_PROGRAM_H_
