#include "k8sdns/netfilter/ruleset.h"

#include <algorithm>
#include <cassert>

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

uint16_t* RuleBuilder::Extend(size_t halves) {
  const size_t at = halves_.size();
  halves_.resize(at + halves);
  assert(halves_.size() <= 0xffff);
  halves_[0] = static_cast<uint16_t>(halves_.size());
  return halves_.data() + at;
}

void RuleBuilder::AddBytes(OpKind kind, const uint8_t* bytes, size_t size) {
  while (size > 0 && bytes[size - 1] == 0) --size;
  const size_t halves = 1 + (size + 1) / 2;
  uint8_t* p = reinterpret_cast<uint8_t*>(Extend(halves));
  p[0] = static_cast<uint8_t>(kind);
  p[1] = static_cast<uint8_t>(halves);
  if (size > 0) std::memcpy(p + 2, bytes, size);
}

RuleBuilder& RuleBuilder::Add(OpView op) {
  std::memcpy(Extend(op.size_bytes() / 2), op.data(), op.size_bytes());
  return *this;
}

ChainId Table::AddChain(absl::string_view name) {
  return AddChain(strings_->Intern(name));
}

ChainId Table::AddChain(StringId name) {
  if (const auto chain = FindChain(name)) return *chain;
  return AddNewChain(name);
}

ChainId Table::AddNewChain(StringId name) {
  const ChainId id = static_cast<ChainId>(chains_.size());
  ChainData data;
  data.name = name;
  data.live = true;
  chains_.push_back(data);
  if (order_.size() > 0) order_.push_back(id);
  ++live_chains_;
  Index(id);
  return id;
}

void Table::Reserve(size_t chains, size_t halves) {
  chains_.Reserve(chains_.size() + chains);
  halves_.Reserve(halves_.size() + halves);
}

void Table::Index(ChainId chain) {
  const StringId name = chains_[chain].name;
  if (name >= by_name_.size()) {
    const size_t more = name + 1 - by_name_.size();
    std::fill_n(by_name_.Extend(more), more, kFree);
  }
  by_name_[name] = chain;
}

std::optional<ChainId> Table::FindChain(absl::string_view name) const {
  bool found;
  const StringId id = strings_->Find(name, &found);
  if (!found) return std::nullopt;
  return FindChain(id);
}

std::optional<ChainId> Table::FindChain(StringId name) const {
  if (name >= by_name_.size() || by_name_[name] == kFree) return std::nullopt;
  return by_name_[name];
}

std::optional<ChainId> Table::FindChain(Hook hook) const {
  return FindChain(HookName(hook));
}

void Table::RemoveChain(ChainId chain) {
  counters_.erase(chain);
  by_name_[chains_[chain].name] = kFree;
  chains_[chain] = ChainData();
  --live_chains_;
}

std::vector<ChainId> Table::chains() const {
  std::vector<ChainId> out;
  out.reserve(live_chains_);
  const bool by_id = order_.size() == 0;
  for (ChainId i = 0; i < chains_.size(); ++i) {
    const ChainId id = by_id ? i : order_[i];
    if (chains_[id].live) out.push_back(id);
  }
  return out;
}

void Table::SortChains() {
  std::vector<ChainId> order = chains();
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
  if (!std::is_sorted(order.begin(), order.end(), before)) {
    std::stable_sort(order.begin(), order.end(), before);
  }
  SetOrder(order);
}

void Table::SetOrder(const std::vector<ChainId>& order) {
  if (std::is_sorted(order.begin(), order.end())) {
    order_ = GrowingArray<ChainId>();
    return;
  }
  // Removed chains behind the others: a place for each id.
  order_.Assign(0, 0);
  std::copy(order.begin(), order.end(), order_.Extend(order.size()));
  for (ChainId id = 0; id < chains_.size(); ++id) {
    if (!chains_[id].live) order_.push_back(id);
  }
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

uint16_t* Table::RoomFor(ChainData& chain, uint32_t halves) {
  if (chain.limit - chain.end >= halves) return halves_.data() + chain.end;
  const uint32_t size = chain.end - chain.begin;
  if (chain.limit == halves_.size() && chain.limit > 0) {
    halves_.Extend(halves);  // the last chain grows in place
    chain.limit = static_cast<uint32_t>(halves_.size());
    return halves_.data() + chain.end;
  }
  const uint32_t begin = static_cast<uint32_t>(halves_.size());
  const uint32_t room = size == 0 ? halves : 2 * (size + halves);
  halves_.Extend(room);
  std::copy_n(halves_.data() + chain.begin, size, halves_.data() + begin);
  chain.begin = begin;
  chain.end = begin + size;
  chain.limit = begin + room;
  return halves_.data() + chain.end;
}

void Table::Append(ChainId chain, RuleView rule) {
  ChainData& c = chains_[chain];
  const std::span<const uint16_t> halves = rule.halves();
  uint16_t* to = RoomFor(c, static_cast<uint32_t>(halves.size()));
  std::copy(halves.begin(), halves.end(), to);
  c.end += static_cast<uint32_t>(halves.size());
  c.rules = c.rules + 1;
}

void Table::Insert(ChainId chain, size_t position, RuleView rule) {
  ChainData& c = chains_[chain];
  if (position >= c.rules) return Append(chain, rule);
  const std::span<const uint16_t> halves = rule.halves();
  const uint32_t size = static_cast<uint32_t>(halves.size());
  RoomFor(c, size);
  uint32_t at = c.begin;
  for (size_t i = 0; i < position; ++i) at += halves_[at];
  std::copy_backward(halves_.data() + at, halves_.data() + c.end,
                     halves_.data() + c.end + size);
  std::copy(halves.begin(), halves.end(), halves_.data() + at);
  c.end += size;
  c.rules = c.rules + 1;
}

void Table::Erase(ChainId chain, size_t position) {
  ChainData& c = chains_[chain];
  if (position >= c.rules) return;
  uint32_t at = c.begin;
  for (size_t i = 0; i < position; ++i) at += halves_[at];
  const uint32_t size = halves_[at];
  std::copy(halves_.data() + at + size, halves_.data() + c.end,
            halves_.data() + at);
  c.end -= size;
  c.rules = c.rules - 1;
}

void Table::ClearRules(ChainId chain) {
  ChainData& c = chains_[chain];
  c.end = c.begin;
  c.rules = 0;
}

void Table::RenameChain(ChainId chain, absl::string_view to) {
  by_name_[chains_[chain].name] = kFree;
  chains_[chain].name = strings_->Intern(to);
  Index(chain);
}

void Table::Compact() {
  bool exact = true;
  uint32_t at = 0;
  const std::vector<ChainId> order = chains();
  size_t total = 0;
  for (ChainId id : order) {
    const ChainData& c = chains_[id];
    if (c.begin != c.end) {
      exact = exact && c.begin == at && c.end == c.limit;
      at = c.end;
    }
    total += c.end - c.begin;
  }
  if (!exact || total != halves_.size()) {
    GrowingArray<uint16_t> packed;
    packed.Reserve(total);
    for (ChainId id : order) {
      ChainData& c = chains_[id];
      const uint32_t begin = static_cast<uint32_t>(packed.size());
      const uint32_t size = c.end - c.begin;
      std::copy_n(halves_.data() + c.begin, size, packed.Extend(size));
      c.begin = begin;
      c.end = c.limit = begin + size;
    }
    halves_ = std::move(packed);
  }
  halves_.ShrinkToFit();
  chains_.ShrinkToFit();
  order_.ShrinkToFit();
  by_name_.ShrinkToFit();
}

size_t Table::memory_bytes() const {
  return halves_.memory_bytes() + chains_.memory_bytes() +
         order_.memory_bytes() + by_name_.memory_bytes() +
         counters_.capacity() * (sizeof(std::pair<ChainId, Counters>) + 1);
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

void Ruleset::Compact() {
  strings_->Compact();
  for (TableId id : order_) table(id)->Compact();
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
