// Rules as tests of boxes, and chains that are alike found alike. Private to
// equivalence.
#ifndef K8SDNS_DATAPLANE_SYMBOLIC_RULES_H_
#define K8SDNS_DATAPLANE_SYMBOLIC_RULES_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "k8sdns/dataplane/header_space.h"
#include "k8sdns/netfilter/rule_translation.h"
#include "k8sdns/netfilter/ruleset.h"

namespace k8sdns::dataplane {

// Names of interfaces that stand for all: those that rules name, one for each
// prefix that they name, and one that they do not.
class InterfaceNames {
 public:
  static constexpr uint32_t kNone = 0;  // a hook without this interface
  static constexpr uint32_t kLoopback = 1;

  void Collect(const netfilter::Ruleset& rules);
  // After all are collected.
  void Close();

  ValueSet Matching(absl::string_view name, bool prefix) const;
  ValueSet All() const { return ValueSet::Of(1, names_.size() - 1); }
  const std::string& name(FieldValue index) const {
    return names_[static_cast<size_t>(index)];
  }

 private:
  std::vector<std::string> names_ = {"", "lo"};
  std::vector<std::string> prefixes_;
};

struct SymbolicLiteral {
  enum Kind : uint8_t { kField, kMark, kState, kType, kOpaque };
  Kind kind = kField;
  HeaderField field = kFieldSrc;  // kField; kType: kFieldSrcType or ...DstType
  bool free = false;              // kOpaque: may be either, as lists may
  uint32_t mark_mask = 0;
  uint32_t mark_value = 0;
  uint16_t bits = 0;  // kState: ConntrackState; kType: AddressTypeBit
  ValueSet values;    // kField
  std::string text;   // kOpaque
};

// True if any of `any` holds, or none with `invert`.
struct SymbolicTest {
  std::vector<SymbolicLiteral> any;
  bool invert = false;
};

struct SymbolicRule {
  std::vector<SymbolicTest> tests;  // all must hold
  uint32_t probability = 0;         // of 2^31, with `random`
  bool random = false;
  std::string effect;  // of a match: "recent --set ..."
  std::optional<netfilter::OpView> target;
  netfilter::RuleView view;
  uint32_t place = 0;  // from 1
};

// What a rule is for comparing: rules with the same number do the same.
struct RuleClass {
  uint32_t match = 0;  // the matches alone
  uint32_t whole = 0;  // with the target, chains by what they do
};

// One of the two rule sets.
class SymbolicRuleset {
 public:
  using ClassIds = absl::flat_hash_map<std::string, uint32_t>;

  // `common`: the pool that texts are compared in; `ids` is shared by both.
  SymbolicRuleset(const netfilter::Ruleset& rules,
                  const netfilter::StringPool& common,
                  const InterfaceNames& interfaces, ClassIds& ids);

  // InvalidArgument if chains loop or jump to one that is not there.
  absl::Status Classify();

  const netfilter::Ruleset& rules() const { return rules_; }
  // nullptr if there is none, or if packets never come to it: nat tables see
  // only what conntrack follows, which it does only if a rule needs it.
  const netfilter::Table* table(netfilter::TableId id) const;
  // The number of what a built-in chain does; that of an empty accepting one
  // if it does not exist.
  uint32_t ClassOf(netfilter::TableId table, netfilter::Hook hook) const;
  uint32_t ClassOf(netfilter::TableId table, netfilter::ChainId chain) const;
  const std::vector<RuleClass>& RulesOf(netfilter::TableId table,
                                        netfilter::ChainId chain) const;
  // Compiled when first asked for.
  const std::vector<SymbolicRule>& Compiled(netfilter::TableId table,
                                            netfilter::ChainId chain);
  std::optional<netfilter::ChainId> TargetChain(
      netfilter::TableId table, const netfilter::OpView& target) const;

 private:
  struct ChainState {
    enum Phase : uint8_t { kNew, kOpen, kDone } phase = kNew;
    uint32_t id = 0;
    std::vector<RuleClass> rules;
    std::unique_ptr<std::vector<SymbolicRule>> compiled;
  };
  absl::Status Classify(const netfilter::Table& table,
                        netfilter::ChainId chain);
  uint32_t IdOf(std::string key);
  SymbolicRule Compile(netfilter::RuleView rule, uint32_t place) const;
  void CompileMatch(netfilter::OpView op, SymbolicRule& rule) const;
  void AddOpaque(netfilter::OpView op, bool free, SymbolicRule& rule) const;
  std::string TextOf(netfilter::OpView op) const;
  SymbolicTest AddressTest(HeaderField field,
                           const netfilter::AddressMask& match,
                           netfilter::OpView op) const;

  const netfilter::Ruleset& rules_;
  netfilter::RuleTranslation translation_;
  const InterfaceNames& interfaces_;
  ClassIds& ids_;
  std::vector<ChainState> chains_[netfilter::kTableCount];
  bool tracks_ = false;
  uint32_t nothing_ = 0;  // the number of an empty accepting chain
};

// All values that a field may have.
FieldValue LastValue(HeaderField field, IpFamily family);
// The address as a value of kFieldSrc or kFieldDst, and back.
FieldValue ToValue(const IpAddress& address);
IpAddress ToAddress(FieldValue value, IpFamily family);

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_SYMBOLIC_RULES_H_
