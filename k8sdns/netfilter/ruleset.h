// The rule set: tables of chains of rules, for one address family. It is what
// the compilers make, the parser reads, the printer prints and the matchers
// compile; there is no second representation of a rule.
//
//   Ruleset rules(IpFamily::kIpv4);
//   Table& nat = rules.AddTable(TableId::kNat);
//   ChainId mark = nat.AddChain("KUBE-MARK-MASQ");
//   RuleBuilder b;
//   b.Add(MarkTarget{{}, 0x4000, 0x4000});
//   nat.Append(mark, b);
//   for (RuleView rule : nat.rules(mark))
//     for (OpView op : rule.ops())
//       if (op.kind() == OpKind::kSetMark) op.As<MarkTarget>().value ...
//
// Storage: a table is one array of 16-bit halves; a rule is its ops one after
// another, each with trailing zeros dropped; names and comments are interned.
// Views point into the table: changing it invalidates them. A const Ruleset may
// be read from any number of threads.
#ifndef K8SDNS_NETFILTER_RULESET_H_
#define K8SDNS_NETFILTER_RULESET_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "k8sdns/net/ip_address.h"
#include "k8sdns/netfilter/growing_array.h"
#include "k8sdns/netfilter/ops.h"
#include "k8sdns/netfilter/string_pool.h"

namespace k8sdns::netfilter {

enum class TableId : uint8_t { kRaw, kMangle, kNat, kFilter, kSecurity };
inline constexpr int kTableCount = 5;
absl::string_view TableName(TableId table);  // "raw", "mangle", ...
std::optional<TableId> FindTable(absl::string_view name);

enum class Hook : uint8_t {
  kPrerouting,
  kInput,
  kForward,
  kOutput,
  kPostrouting
};
absl::string_view HookName(Hook hook);  // "PREROUTING", ...
// The hooks at which a table is called, in the order in which iptables-save
// prints its built-in chains.
std::span<const Hook> HooksOf(TableId table);

struct Counters {
  uint64_t packets = 0;
  uint64_t bytes = 0;
  friend bool operator==(const Counters&, const Counters&) = default;
};

// One op of a stored rule.
class OpView {
 public:
  explicit OpView(const uint8_t* data) : data_(data) {}

  OpKind kind() const { return static_cast<OpKind>(data_[0]); }
  // The op by value. T::kKind must be kind().
  template <typename T>
  T As() const {
    static_assert(std::is_trivially_copyable_v<T>);
    T value{};
    const size_t stored = size_bytes() - 2;
    // A stored op lacks only trailing zeros, which `value` must then have.
    std::memset(static_cast<void*>(&value), 0, sizeof(T));
    std::memcpy(static_cast<void*>(&value), data_ + 2,
                stored < sizeof(T) ? stored : sizeof(T));
    return value;
  }

  // How the next op is found.
  size_t size_bytes() const { return size_t{data_[1]} * 2; }
  const uint8_t* data() const { return data_; }

 private:
  const uint8_t* data_;  // kind, size in halves, then the op
};

// A stored rule.
class RuleView {
 public:
  explicit RuleView(const uint16_t* halves) : halves_(halves) {}

  class OpRange {
   public:
    class iterator {
     public:
      explicit iterator(const uint8_t* data) : data_(data) {}
      OpView operator*() const { return OpView(data_); }
      iterator& operator++() {
        data_ += OpView(data_).size_bytes();
        return *this;
      }
      friend bool operator==(const iterator&, const iterator&) = default;

     private:
      const uint8_t* data_;
    };
    OpRange(const uint8_t* begin, const uint8_t* end)
        : begin_(begin), end_(end) {}
    iterator begin() const { return iterator(begin_); }
    iterator end() const { return iterator(end_); }

   private:
    const uint8_t* begin_;
    const uint8_t* end_;
  };

  // All ops in printing order; the target, if there is one, is the last.
  OpRange ops() const {
    const uint8_t* p = reinterpret_cast<const uint8_t*>(halves_ + 1);
    return OpRange(p, p + (size_halves() - 1) * 2);
  }
  // The first op of type T, if there is one.
  template <typename T>
  std::optional<T> Get() const {
    for (OpView op : ops()) {
      if (op.kind() == T::kKind) return op.As<T>();
    }
    return std::nullopt;
  }
  // The target op; nullopt for a rule without target.
  std::optional<OpView> target() const;

  // The rule as it is stored, in 16-bit halves.
  uint32_t size_halves() const { return halves_[0]; }
  std::span<const uint16_t> halves() const { return {halves_, size_halves()}; }

  friend bool operator==(const RuleView& a, const RuleView& b) {
    return a.size_halves() == b.size_halves() &&
           std::memcmp(a.halves_, b.halves_, a.size_halves() * 2) == 0;
  }

 private:
  const uint16_t* halves_;  // size in halves, then the ops
};

// Builds one rule; reuse it by Clear() to save allocations. Add ops in
// printing order. The ops of a rule take at most 128 KiB; iptables' own limit
// of 255 words a line stays far below.
class RuleBuilder {
 public:
  RuleBuilder() { Clear(); }

  void Clear() { halves_.assign(1, 1); }
  template <typename T>
  RuleBuilder& Add(const T& op) {
    static_assert(std::is_trivially_copyable_v<T>);
    AddBytes(T::kKind, reinterpret_cast<const uint8_t*>(&op), sizeof(T));
    return *this;
  }
  // Adds an op of a stored rule (of the same string pool).
  RuleBuilder& Add(OpView op);

  // Adds an op by its bytes: `size` is that of the struct of `kind`.
  void AddBytes(OpKind kind, const uint8_t* bytes, size_t size);

  RuleView view() const { return RuleView(halves_.data()); }

 private:
  // Room for an op of so many halves.
  uint16_t* Extend(size_t halves);

  std::vector<uint16_t> halves_;
};

// Index of a chain in its table. Stays valid until the chain is removed.
using ChainId = uint32_t;

class Table {
 public:
  Table(TableId id, StringPool* strings) : id_(id), strings_(strings) {}

  TableId id() const { return id_; }

  // Adds an empty chain behind the others, or returns the one of that name.
  ChainId AddChain(absl::string_view name);
  ChainId AddChain(StringId name);
  // The same for a name that no chain of the table has.
  ChainId AddNewChain(StringId name);
  // Makes room for so many chains, and so many halves of rules.
  void Reserve(size_t chains, size_t halves);
  // nullopt if there is none. O(1).
  std::optional<ChainId> FindChain(absl::string_view name) const;
  std::optional<ChainId> FindChain(StringId name) const;
  // The built-in chain of a hook, if it is declared.
  std::optional<ChainId> FindChain(Hook hook) const;
  void RemoveChain(ChainId chain);

  // The chains in the order in which they were declared.
  std::vector<ChainId> chains() const;
  size_t chain_count() const { return live_chains_; }
  // Ids are below; those of removed chains are not live.
  ChainId chain_limit() const { return static_cast<ChainId>(chains_.size()); }
  bool is_live(ChainId chain) const { return chains_[chain].live; }
  absl::string_view name(ChainId chain) const {
    return strings_->Get(chains_[chain].name);
  }
  StringId name_id(ChainId chain) const { return chains_[chain].name; }
  // Sorts as the kernel lists them: built-in chains by hook, then user-defined
  // ones bytewise by name. Chain ids stay.
  void SortChains();

  // ACCEPT or DROP of a built-in chain; nullopt ("-") for a user-defined one.
  enum class Policy : uint8_t { kNone, kAccept, kDrop };
  Policy policy(ChainId chain) const { return chains_[chain].policy; }
  void set_policy(ChainId chain, Policy policy) {
    chains_[chain].policy = policy;
  }

  // Of the policy of a built-in chain; zero unless a dump's were kept.
  Counters counters(ChainId chain) const;
  void set_counters(ChainId chain, const Counters& counters);

  size_t rule_count(ChainId chain) const { return chains_[chain].rules; }
  size_t rule_count() const;

  class RuleRange {
   public:
    class iterator {
     public:
      explicit iterator(const uint16_t* halves) : halves_(halves) {}
      RuleView operator*() const { return RuleView(halves_); }
      iterator& operator++() {
        halves_ += *halves_;
        return *this;
      }
      friend bool operator==(const iterator&, const iterator&) = default;

     private:
      const uint16_t* halves_;
    };
    RuleRange(const uint16_t* begin, const uint16_t* end)
        : begin_(begin), end_(end) {}
    iterator begin() const { return iterator(begin_); }
    iterator end() const { return iterator(end_); }

   private:
    const uint16_t* begin_;
    const uint16_t* end_;
  };
  RuleRange rules(ChainId chain) const {
    const ChainData& c = chains_[chain];
    return RuleRange(halves_.data() + c.begin, halves_.data() + c.end);
  }

  // Amortised O(size of the rule).
  void Append(ChainId chain, RuleView rule);
  void Append(ChainId chain, const RuleBuilder& rule) {
    Append(chain, rule.view());
  }
  // Appends in place: room for a rule of up to `most` halves at the end of the
  // chain, until CloseRule() says how many it took, 0 for no rule. Nothing else
  // may be done to the table between the two.
  uint16_t* OpenRule(ChainId chain, uint32_t most) {
    ChainData& c = chains_[chain];
    const uint32_t size = static_cast<uint32_t>(halves_.size());
    if (c.begin == c.end) c.begin = c.end = c.limit = size;
    if (c.end != size) return RoomFor(c, most);
    return halves_.Extend(most);
  }
  void CloseRule(ChainId chain, uint32_t most, uint32_t halves) {
    ChainData& c = chains_[chain];
    if (c.limit == c.end) {  // it was opened behind all others
      halves_.Shorten(most - halves);
      c.limit += halves;
    }
    c.end += halves;
    c.rules = c.rules + (halves > 0 ? 1 : 0);
  }
  // `position` counts from 0; beyond the end appends. O(size of the chain).
  void Insert(ChainId chain, size_t position, RuleView rule);
  // Removes rule `position`, counted from 0. O(size of the chain).
  void Erase(ChainId chain, size_t position);
  void ClearRules(ChainId chain);
  // A chain of the name `to` must not exist. Rules that jump to it by its old
  // name are not changed.
  void RenameChain(ChainId chain, absl::string_view to);

  // Drops the space that moved and removed chains left behind. Iteration in
  // chain order is fastest afterwards.
  void Compact();
  size_t memory_bytes() const;

 private:
  struct ChainData {
    StringId name = 0;
    // Halves begin..end hold the rules; up to limit is room to grow.
    uint32_t begin = 0;
    uint32_t end = 0;
    uint32_t limit = 0;
    uint32_t rules : 29 = 0;
    Policy policy : 2 = Policy::kNone;
    bool live : 1 = false;
  };
  static constexpr uint32_t kFree = 0xffffffff;

  uint16_t* RoomFor(ChainData& chain, uint32_t halves);
  void Index(ChainId chain);
  void SetOrder(const std::vector<ChainId>& order);
  void Rebind(StringPool* strings) { strings_ = strings; }
  friend class Ruleset;

  TableId id_;
  StringPool* strings_;
  GrowingArray<uint16_t> halves_;
  GrowingArray<ChainData> chains_;
  GrowingArray<ChainId> order_;  // empty: that of the ids
  // The chain of a name, by its id; kFree. Ids are dense, and the names of a
  // table were interned one after another: no hash is smaller or faster.
  GrowingArray<ChainId> by_name_;
  absl::flat_hash_map<ChainId, Counters> counters_;  // those not zero
  size_t live_chains_ = 0;
};

class Ruleset {
 public:
  explicit Ruleset(IpFamily family)
      : family_(family), strings_(std::make_unique<StringPool>()) {}
  Ruleset(Ruleset&&) = default;
  Ruleset& operator=(Ruleset&&) = default;
  // A deep copy.
  Ruleset Clone() const;

  IpFamily family() const { return family_; }
  StringPool& strings() { return *strings_; }
  const StringPool& strings() const { return *strings_; }

  // Adds an empty table behind the others, or returns the one that is there.
  Table& AddTable(TableId id);
  // nullptr if there is none.
  const Table* table(TableId id) const;
  Table* table(TableId id);
  // In the order in which they were added.
  const std::vector<TableId>& tables() const { return order_; }
  void RemoveTable(TableId id);

  // The comment lines of a dump before a table, and those at its end, each
  // with its newline; "" unless they were kept.
  const std::string& comments(TableId table) const {
    return comments_[static_cast<int>(table)];
  }
  const std::string& final_comments() const { return comments_[kTableCount]; }
  void set_comments(TableId table, std::string text) {
    comments_[static_cast<int>(table)] = std::move(text);
  }
  void set_final_comments(std::string text) {
    comments_[kTableCount] = std::move(text);
  }

  // Gives back the memory that growth took too much: O(rules).
  void Compact();

  size_t rule_count() const;
  // Heap memory of rules, chains and names.
  size_t memory_bytes() const;

 private:
  IpFamily family_;
  std::unique_ptr<StringPool> strings_;
  std::array<std::unique_ptr<Table>, kTableCount> tables_;
  std::vector<TableId> order_;
  std::array<std::string, kTableCount + 1> comments_;
};

}  // namespace k8sdns::netfilter

#endif  // K8SDNS_NETFILTER_RULESET_H_
