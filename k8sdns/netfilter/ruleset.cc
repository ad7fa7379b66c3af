#include "k8sdns/netfilter/ruleset.h"

#include <algorithm>

namespace k8sdns::netfilter {
namespace {

constexpr absl::string_view kTableNames[kTableCount] = {"raw", "mangle", "nat",
                                                        "filter", "security"};
constexpr absl::string_view kHookNames[] = {"PREROUTING", "INPUT", "FORWARD",
                                            "OUTPUT", "POSTROUTING"};

constexpr Hook kRawHooks[] = {Hook::kPrerouting, Hook::kOutput};
constexpr Hook kMangleHooks[] = {Hook::kPrerouting, Hook::kInput,
                                 Hook::kForward, Hook::kOutput,
                                 Hook::kPostrouting};
constexpr Hook kNatHooks[] = {Hook::kPrerouting, Hook::kInput, Hook::kOutput,
                              Hook::kPostrouting};
constexpr Hook kFilterHooks[] = {Hook::kInput, Hook::kForward, Hook::kOutput};

}  // namespace

absl::string_view TableName(TableId table) {
  return kTableNames[static_cast<int>(table)];
}

std::optional<TableId> FindTable(absl::string_view name) {
  for (int i = 0; i < kTableCount; ++i) {
    if (kTableNames[i] == name) return static_cast<TableId>(i);
  }
  return std::nullopt;
}

absl::string_view HookName(Hook hook) {
  return kHookNames[static_cast<int>(hook)];
}

std::span<const Hook> HooksOf(TableId table) {
  switch (table) {
    case TableId::kRaw:
      return kRawHooks;
    case TableId::kMangle:
      return kMangleHooks;
    case TableId::kNat:
      return kNatHooks;
    case TableId::kFilter:
    case TableId::kSecurity:
      return kFilterHooks;
  }
  return {};
}

std::optional<OpView> RuleView::target() const {
  std::optional<OpView> last;
  for (OpView op : ops()) last = op;
  if (last && IsTarget(last->kind())) return last;
  return std::nullopt;
}

void RuleBuilder::AddBytes(OpKind kind, const uint8_t* bytes, size_t size) {
  while (size > 0 && bytes[size - 1] == 0) --size;
  const size_t words = (2 + size + 3) / 4;
  const size_t at = words_.size();
  words_.resize(at + words, 0);
  uint8_t* p = reinterpret_cast<uint8_t*>(words_.data() + at);
  p[0] = static_cast<uint8_t>(kind);
  p[1] = static_cast<uint8_t>(words);
  if (size > 0) std::memcpy(p + 2, bytes, size);
  words_[0] = static_cast<uint32_t>(words_.size());
}

RuleBuilder& RuleBuilder::Add(OpView op) {
  const size_t words = op.size_bytes() / 4;
  const size_t at = words_.size();
  words_.resize(at + words);
  std::memcpy(words_.data() + at, op.data(), op.size_bytes());
  words_[0] = static_cast<uint32_t>(words_.size());
  return *this;
}

ChainId Table::AddChain(absl::string_view name) {
  return AddChain(strings_->Intern(name));
}

ChainId Table::AddChain(StringId name) {
  auto [it, added] =
      by_name_.try_emplace(name, static_cast<ChainId>(chains_.size()));
  if (added) {
    ChainData data;
    data.name = name;
    data.live = true;
    chains_.push_back(data);
    order_.push_back(it->second);
    ++live_chains_;
  }
  return it->second;
}

std::optional<ChainId> Table::FindChain(absl::string_view name) const {
  bool found;
  const StringId id = strings_->Find(name, &found);
  if (!found) return std::nullopt;
  return FindChain(id);
}

std::optional<ChainId> Table::FindChain(StringId name) const {
  auto it = by_name_.find(name);
  if (it == by_name_.end()) return std::nullopt;
  return it->second;
}

std::optional<ChainId> Table::FindChain(Hook hook) const {
  return FindChain(HookName(hook));
}

void Table::RemoveChain(ChainId chain) {
  ChainData& c = chains_[chain];
  by_name_.erase(c.name);
  counters_.erase(chain);
  c = ChainData();
  --live_chains_;
}

std::vector<ChainId> Table::chains() const {
  std::vector<ChainId> out;
  out.reserve(live_chains_);
  for (ChainId id : order_) {
    if (chains_[id].live) out.push_back(id);
  }
  return out;
}

void Table::SortChains() {
  order_ = chains();
  const std::span<const Hook> hooks = HooksOf(id_);
  // Built-in chains by hook, the others after them.
  std::vector<uint8_t> rank(chains_.size(), static_cast<uint8_t>(hooks.size()));
  for (size_t i = 0; i < hooks.size(); ++i) {
    if (const auto chain = FindChain(hooks[i])) {
      rank[*chain] = static_cast<uint8_t>(i);
    }
  }
  auto before = [&](ChainId a, ChainId b) {
    if (rank[a] != rank[b]) return rank[a] < rank[b];
    return rank[a] == hooks.size() && name(a) < name(b);
  };
  // A dump is in this order already.
  if (std::is_sorted(order_.begin(), order_.end(), before)) return;
  std::stable_sort(order_.begin(), order_.end(), before);
}

Counters Table::counters(ChainId chain) const {
  auto it = counters_.find(chain);
  return it == counters_.end() ? Counters() : it->second;
}

void Table::set_counters(ChainId chain, const Counters& counters) {
  if (counters == Counters()) {
    counters_.erase(chain);
  } else {
    counters_[chain] = counters;
  }
}

size_t Table::rule_count() const {
  size_t n = 0;
  for (const ChainData& c : chains_) n += c.rules;
  return n;
}

void Table::Reserve(ChainData& chain, uint32_t words) {
  if (chain.limit - chain.end >= words) return;
  const uint32_t size = chain.end - chain.begin;
  if (chain.limit == words_.size()) {  // the last chain grows in place
    words_.resize(words_.size() + words);
    chain.limit = static_cast<uint32_t>(words_.size());
    return;
  }
  const uint32_t begin = static_cast<uint32_t>(words_.size());
  const uint32_t room = size == 0 ? words : 2 * (size + words);
  words_.resize(words_.size() + room);
  std::copy_n(words_.begin() + chain.begin, size, words_.begin() + begin);
  chain.begin = begin;
  chain.end = begin + size;
  chain.limit = begin + room;
}

void Table::Append(ChainId chain, RuleView rule) {
  ChainData& c = chains_[chain];
  const std::span<const uint32_t> words = rule.words();
  Reserve(c, static_cast<uint32_t>(words.size()));
  std::copy(words.begin(), words.end(), words_.begin() + c.end);
  c.end += static_cast<uint32_t>(words.size());
  ++c.rules;
}

void Table::Insert(ChainId chain, size_t position, RuleView rule) {
  ChainData& c = chains_[chain];
  if (position >= c.rules) return Append(chain, rule);
  const std::span<const uint32_t> words = rule.words();
  const uint32_t size = static_cast<uint32_t>(words.size());
  Reserve(c, size);
  uint32_t at = c.begin;
  for (size_t i = 0; i < position; ++i) at += words_[at];
  std::copy_backward(words_.begin() + at, words_.begin() + c.end,
                     words_.begin() + c.end + size);
  std::copy(words.begin(), words.end(), words_.begin() + at);
  c.end += size;
  ++c.rules;
}

void Table::Erase(ChainId chain, size_t position) {
  ChainData& c = chains_[chain];
  if (position >= c.rules) return;
  uint32_t at = c.begin;
  for (size_t i = 0; i < position; ++i) at += words_[at];
  const uint32_t size = words_[at];
  std::copy(words_.begin() + at + size, words_.begin() + c.end,
            words_.begin() + at);
  c.end -= size;
  --c.rules;
}

void Table::ClearRules(ChainId chain) {
  ChainData& c = chains_[chain];
  c.end = c.begin;
  c.rules = 0;
}

void Table::RenameChain(ChainId chain, absl::string_view to) {
  by_name_.erase(chains_[chain].name);
  chains_[chain].name = strings_->Intern(to);
  by_name_[chains_[chain].name] = chain;
}

void Table::Compact() {
  std::vector<uint32_t> packed;
  size_t total = 0;
  for (const ChainData& c : chains_) total += c.end - c.begin;
  packed.reserve(total);
  order_ = chains();
  for (ChainId id : order_) {
    ChainData& c = chains_[id];
    const uint32_t begin = static_cast<uint32_t>(packed.size());
    packed.insert(packed.end(), words_.begin() + c.begin,
                  words_.begin() + c.end);
    c.begin = begin;
    c.end = c.limit = static_cast<uint32_t>(packed.size());
  }
  words_ = std::move(packed);
}

size_t Table::memory_bytes() const {
  return words_.capacity() * sizeof(uint32_t) +
         chains_.capacity() * sizeof(ChainData) +
         order_.capacity() * sizeof(ChainId) +
         by_name_.capacity() * (sizeof(std::pair<StringId, ChainId>) + 1);
}

Ruleset Ruleset::Clone() const {
  Ruleset copy(family_);
  *copy.strings_ = *strings_;
  for (int i = 0; i < kTableCount; ++i) {
    if (tables_[i] == nullptr) continue;
    copy.tables_[i] = std::make_unique<Table>(*tables_[i]);
    copy.tables_[i]->Rebind(copy.strings_.get());
  }
  copy.order_ = order_;
  copy.comments_ = comments_;
  return copy;
}

Table& Ruleset::AddTable(TableId id) {
  auto& slot = tables_[static_cast<int>(id)];
  if (slot == nullptr) {
    slot = std::make_unique<Table>(id, strings_.get());
    order_.push_back(id);
  }
  return *slot;
}

void Ruleset::RemoveTable(TableId id) {
  tables_[static_cast<int>(id)] = nullptr;
  order_.erase(std::remove(order_.begin(), order_.end(), id), order_.end());
}

const Table* Ruleset::table(TableId id) const {
  return tables_[static_cast<int>(id)].get();
}
Table* Ruleset::table(TableId id) {
  return tables_[static_cast<int>(id)].get();
}

size_t Ruleset::rule_count() const {
  size_t n = 0;
  for (TableId id : order_) n += table(id)->rule_count();
  return n;
}

size_t Ruleset::memory_bytes() const {
  size_t n = strings_->memory_bytes();
  for (TableId id : order_) n += table(id)->memory_bytes();
  return n;
}

}  // namespace k8sdns::netfilter
