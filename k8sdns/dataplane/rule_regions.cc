#include "k8sdns/dataplane/rule_regions.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"

namespace k8sdns::dataplane {
namespace {

using netfilter::ChainId;
using netfilter::OpKind;
using netfilter::Table;
using netfilter::TableId;

// How rules of a chain are told apart at one glance.
enum class KeyMode { kDestination, kPort };

const ValueSet* SingleField(const SymbolicRule& rule, HeaderField field) {
  for (const SymbolicTest& test : rule.tests) {
    if (test.any.size() != 1 || test.invert) continue;
    const SymbolicLiteral& literal = test.any[0];
    if (literal.kind == SymbolicLiteral::kField && literal.field == field &&
        literal.values.IsSingle()) {
      return &literal.values;
    }
  }
  return nullptr;
}

// "" for a rule that may match packets of many keys. Rules with different keys
// never match the same packet.
std::string KeyOf(const SymbolicRule& rule, KeyMode mode) {
  auto text = [](const ValueSet& set) {
    return absl::StrCat(absl::Uint128High64(set.first()), ":",
                        absl::Uint128Low64(set.first()));
  };
  if (mode == KeyMode::kDestination) {
    const ValueSet* destination = SingleField(rule, kFieldDst);
    return destination == nullptr ? "" : text(*destination);
  }
  const ValueSet* protocol = SingleField(rule, kFieldProtocol);
  const ValueSet* port = SingleField(rule, kFieldDstPort);
  if (protocol == nullptr || port == nullptr) return "";
  return absl::StrCat(text(*protocol), " ", text(*port));
}

class Regions {
 public:
  Regions(SymbolicRuleset& a, SymbolicRuleset& b, TableId table,
          std::vector<Box>& out)
      : a_(a), b_(b), table_(table), out_(out) {}

  void Chains(ChainId a, ChainId b, const Box& within) {
    if (a_.ClassOf(table_, a) == b_.ClassOf(table_, b)) return;
    if (a_.rules().table(table_)->policy(a) !=
        b_.rules().table(table_)->policy(b)) {
      return All(within);
    }
    const std::vector<SymbolicRule>& rules_a = a_.Compiled(table_, a);
    const std::vector<SymbolicRule>& rules_b = b_.Compiled(table_, b);
    Side sides[2][2];  // by mode
    for (KeyMode mode : {KeyMode::kDestination, KeyMode::kPort}) {
      sides[static_cast<int>(mode)][0] = Sort(rules_a, mode);
      sides[static_cast<int>(mode)][1] = Sort(rules_b, mode);
    }
    auto general = [&](int mode) {
      return sides[mode][0].general.size() + sides[mode][1].general.size();
    };
    const int mode = general(1) < general(0) ? 1 : 0;
    const Context context = {a, b, rules_a, rules_b};
    // Rules for all keys must be the same ones in the same order.
    if (!Pairs(context, sides[mode][0].general, sides[mode][1].general,
               within)) {
      return All(within);
    }
    for (const auto& [key, places] : sides[mode][0].by_key) {
      auto other = sides[mode][1].by_key.find(key);
      static const Places kNothing;
      ByKey(context, places,
            other == sides[mode][1].by_key.end() ? kNothing : other->second,
            static_cast<KeyMode>(mode), within);
    }
    for (const auto& [key, places] : sides[mode][1].by_key) {
      if (!sides[mode][0].by_key.contains(key)) {
        ByKey(context, {}, places, static_cast<KeyMode>(mode), within);
      }
    }
  }

  void All(const Box& within) { out_.push_back(within); }

 private:
  struct PlaceInChain {
    uint32_t rule;
    uint32_t general_before;
  };
  using Places = std::vector<PlaceInChain>;
  struct Side {
    Places general;
    absl::flat_hash_map<std::string, Places> by_key;
  };
  struct Context {
    ChainId a;
    ChainId b;
    const std::vector<SymbolicRule>& rules_a;
    const std::vector<SymbolicRule>& rules_b;
  };

  static Side Sort(const std::vector<SymbolicRule>& rules, KeyMode mode) {
    Side side;
    uint32_t general = 0;
    for (uint32_t i = 0; i < rules.size(); ++i) {
      std::string key = KeyOf(rules[i], mode);
      if (key.empty()) {
        side.general.push_back({i, general++});
      } else {
        side.by_key[std::move(key)].push_back({i, general});
      }
    }
    return side;
  }

  // `within` as far as the rule's fields allow; nullopt if nothing is left.
  static std::optional<Box> Narrow(const Box& within,
                                   const SymbolicRule& rule) {
    Box box = within;
    for (const SymbolicTest& test : rule.tests) {
      if (test.any.size() != 1 || test.invert) continue;
      const SymbolicLiteral& literal = test.any[0];
      // Which device a hook shows differs from hook to hook.
      if (literal.kind != SymbolicLiteral::kField ||
          literal.field == kFieldIn || literal.field == kFieldOut) {
        continue;
      }
      box.fields[literal.field] = box.fields[literal.field].And(literal.values);
      if (box.fields[literal.field].empty()) return std::nullopt;
    }
    return box;
  }

  // Whether both lists pair up; notes where pairs lead to different ends.
  bool Pairs(const Context& c, const Places& a, const Places& b,
             const Box& within) {
    if (a.size() != b.size()) return false;
    const std::vector<RuleClass>& classes_a = a_.RulesOf(table_, c.a);
    const std::vector<RuleClass>& classes_b = b_.RulesOf(table_, c.b);
    for (size_t i = 0; i < a.size(); ++i) {
      if (a[i].general_before != b[i].general_before ||
          classes_a[a[i].rule].match != classes_b[b[i].rule].match) {
        return false;
      }
    }
    for (size_t i = 0; i < a.size(); ++i) {
      if (classes_a[a[i].rule].whole == classes_b[b[i].rule].whole) continue;
      const SymbolicRule& rule_a = c.rules_a[a[i].rule];
      const SymbolicRule& rule_b = c.rules_b[b[i].rule];
      const std::optional<Box> box = Narrow(within, rule_a);
      if (!box) continue;
      if (rule_a.target && rule_b.target &&
          rule_a.target->kind() == rule_b.target->kind() &&
          (rule_a.target->kind() == OpKind::kJump ||
           rule_a.target->kind() == OpKind::kGoto)) {
        Chains(*a_.TargetChain(table_, *rule_a.target),
               *b_.TargetChain(table_, *rule_b.target), *box);
      } else {
        All(*box);
      }
    }
    return true;
  }

  void ByKey(const Context& c, const Places& a, const Places& b, KeyMode mode,
             const Box& within) {
    if (Pairs(c, a, b, within)) return;
    const SymbolicRule& rule =
        a.empty() ? c.rules_b[b[0].rule] : c.rules_a[a[0].rule];
    Box box = within;
    auto narrow = [&](HeaderField field) {
      box.fields[field] = box.fields[field].And(*SingleField(rule, field));
      return !box.fields[field].empty();
    };
    if (mode == KeyMode::kDestination
            ? narrow(kFieldDst)
            : narrow(kFieldProtocol) && narrow(kFieldDstPort)) {
      All(box);
    }
  }

  SymbolicRuleset& a_;
  SymbolicRuleset& b_;
  TableId table_;
  std::vector<Box>& out_;
};

}  // namespace

void FindRegions(SymbolicRuleset& a, SymbolicRuleset& b, TableId table,
                 netfilter::Hook hook, const Box& within,
                 std::vector<Box>& regions) {
  if (a.ClassOf(table, hook) == b.ClassOf(table, hook)) return;
  const Table* table_a = a.table(table);
  const Table* table_b = b.table(table);
  const std::optional<ChainId> chain_a =
      table_a == nullptr ? std::nullopt : table_a->FindChain(hook);
  const std::optional<ChainId> chain_b =
      table_b == nullptr ? std::nullopt : table_b->FindChain(hook);
  Regions finder(a, b, table, regions);
  if (!chain_a || !chain_b) return finder.All(within);
  finder.Chains(*chain_a, *chain_b, within);
}

}  // namespace k8sdns::dataplane
