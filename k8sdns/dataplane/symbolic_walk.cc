#include "k8sdns/dataplane/symbolic_walk.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "k8sdns/netfilter/iptables_save.h"

namespace k8sdns::dataplane {
namespace {

using netfilter::ChainId;
using netfilter::Hook;
using netfilter::OpKind;
using netfilter::OpView;
using netfilter::Table;
using netfilter::TableId;

constexpr Stage kTrack = {Stage::kTrack, TableId::kFilter, Hook::kPrerouting};
constexpr Stage kRoute = {Stage::kRoute, TableId::kFilter, Hook::kPrerouting};
constexpr Stage At(TableId table, Hook hook) {
  return {Stage::kTable, table, hook};
}

}  // namespace

std::span<const Stage> StagesOf(PacketPath path) {
  using enum TableId;
  static constexpr Stage kForwarded[] = {
      At(kRaw, Hook::kPrerouting),
      kTrack,
      At(kMangle, Hook::kPrerouting),
      At(kNat, Hook::kPrerouting),
      kRoute,
      At(kMangle, Hook::kForward),
      At(kFilter, Hook::kForward),
      At(kSecurity, Hook::kForward),
      At(kMangle, Hook::kPostrouting),
      At(kNat, Hook::kPostrouting),
  };
  static constexpr Stage kDelivered[] = {
      At(kRaw, Hook::kPrerouting),
      kTrack,
      At(kMangle, Hook::kPrerouting),
      At(kNat, Hook::kPrerouting),
      kRoute,
      At(kMangle, Hook::kInput),
      At(kFilter, Hook::kInput),
      At(kSecurity, Hook::kInput),
      At(kNat, Hook::kInput),
  };
  static constexpr Stage kSent[] = {
      At(kRaw, Hook::kOutput),
      kTrack,
      At(kMangle, Hook::kOutput),
      At(kNat, Hook::kOutput),
      kRoute,
      At(kFilter, Hook::kOutput),
      At(kSecurity, Hook::kOutput),
      At(kMangle, Hook::kPostrouting),
      At(kNat, Hook::kPostrouting),
  };
  static constexpr Stage kLooped[] = {
      At(kRaw, Hook::kPrerouting),    kTrack,
      At(kMangle, Hook::kPrerouting), kRoute,
      At(kMangle, Hook::kInput),      At(kFilter, Hook::kInput),
      At(kSecurity, Hook::kInput),
  };
  switch (path) {
    case PacketPath::kForwarded:
      return kForwarded;
    case PacketPath::kDelivered:
      return kDelivered;
    case PacketPath::kSent:
      return kSent;
    case PacketPath::kLooped:
      return kLooped;
  }
  return {};
}

uint32_t SymbolNames::Text(const std::string& text) {
  if (texts_.empty()) {
    texts_.push_back("");
    text_ids_[""] = 0;
  }
  auto [it, added] =
      text_ids_.try_emplace(text, static_cast<uint32_t>(texts_.size()));
  if (added) texts_.push_back(text);
  return it->second;
}

uint32_t SymbolNames::Variable(const std::string& key, bool free) {
  auto [it, added] =
      variable_ids_.try_emplace(key, static_cast<uint32_t>(variables_.size()));
  if (added) {
    variables_.push_back(key);
    free_.push_back(free);
  }
  return it->second;
}

bool SymbolicWalk::Run(const Box& box, PacketPath path, bool traced,
                       std::vector<Leaf>& leaves) {
  path_ = path;
  stages_ = StagesOf(path);
  traced_ = traced;
  leaves_ = &leaves;
  work_.clear();
  Item item;
  item.box = box;
  work_.push_back(std::move(item));
  while (!work_.empty()) {
    if (budget_ == 0) return false;
    --budget_;
    Item next = std::move(work_.back());
    work_.pop_back();
    Step(std::move(next));
  }
  return true;
}

void SymbolicWalk::Push(Item item) { work_.push_back(std::move(item)); }

void SymbolicWalk::Step(Item item) {
  if (item.in_chain) return Walk(std::move(item));
  if (item.stage == stages_.size()) {
    return End(std::move(item), Leaf::kAccept);
  }
  const Stage& now = stage(item);
  switch (now.action) {
    case Stage::kTrack:
      return Track(std::move(item));
    case Stage::kRoute:
      return Route(std::move(item));
    case Stage::kTable:
      return EnterTable(std::move(item), now);
  }
}

void SymbolicWalk::NextStage(Item item) {
  item.in_chain = false;
  item.callers.clear();
  ++item.stage;
  Push(std::move(item));
}

void SymbolicWalk::EnterTable(Item item, const Stage& now) {
  const Table* table = rules_.table(now.table);
  const std::optional<ChainId> chain =
      table == nullptr ? std::nullopt : table->FindChain(now.hook);
  if (now.table == TableId::kNat) {
    // Only the first packet of a flow is asked about; the others go the way
    // that was found then.
    std::vector<Box> first;
    std::vector<Box> others;
    SplitField(item.box, kFieldState,
               item.changes.untracked ? ValueSet() : ValueSet::Of(kValueNew),
               first, others);
    for (Box& box : others) {
      Item old = item;
      old.box = std::move(box);
      if (now.hook == Hook::kPrerouting || now.hook == Hook::kOutput) {
        // Whether that translated anything is a field of its own.
        std::vector<Box> changed;
        std::vector<Box> same;
        SplitField(old.box, kFieldFlowNat, ValueSet::Of(1, 3), changed, same);
        for (Box& b : changed) {
          Item translated = old;
          translated.box = std::move(b);
          translated.translated = !item.changes.untracked;
          NextStage(std::move(translated));
        }
        for (Box& b : same) {
          Item untouched = old;
          untouched.box = std::move(b);
          NextStage(std::move(untouched));
        }
      } else {
        NextStage(std::move(old));
      }
    }
    if (first.empty()) return;
    item.box = std::move(first[0]);
  }
  if (!chain) return NextStage(std::move(item));
  item.in_chain = true;
  item.place = {*chain, 0};
  Walk(std::move(item));
}

void SymbolicWalk::Track(Item item) {
  item.tracked = true;
  NextStage(std::move(item));
}

void SymbolicWalk::Route(Item item) {
  item.changes.routed_mark = item.changes.mark;
  if (path_ == PacketPath::kSent) {
    item.rerouted = item.changes.destination != 0 ||
                    item.changes.mark.fixed != 0 ||
                    item.changes.mark.value != 0;
    return NextStage(std::move(item));
  }
  // Where the packet goes says what its destination is.
  SymbolicLiteral local;
  local.kind = SymbolicLiteral::kType;
  local.field = kFieldDstType;
  local.bits = netfilter::kTypeLocal;
  if (path_ == PacketPath::kForwarded) {
    local.bits |= netfilter::kTypeBroadcast;
  } else {
    local.bits |= netfilter::kTypeBroadcast | netfilter::kTypeMulticast |
                  netfilter::kTypeAnycast;
  }
  std::vector<Box> yes;
  std::vector<Box> no;
  Split(item, item.box, local, yes, no);
  for (Box& box : path_ == PacketPath::kForwarded ? no : yes) {
    Item next = item;
    next.box = std::move(box);
    NextStage(std::move(next));
  }
}

bool SymbolicWalk::CannotMatch(const Item& item,
                               const SymbolicRule& rule) const {
  for (const SymbolicTest& test : rule.tests) {
    if (test.any.size() != 1 || test.invert) continue;
    const SymbolicLiteral& literal = test.any[0];
    if (literal.kind != SymbolicLiteral::kField) continue;
    std::optional<FieldValue> constant;
    bool unknown = false;
    const HeaderField field = Current(item, literal.field, &constant, &unknown);
    if (unknown) continue;
    if (constant ? !literal.values.Contains(*constant)
                 : !literal.values.Intersects(item.box.fields[field])) {
      return true;
    }
  }
  return false;
}

void SymbolicWalk::Walk(Item item) {
  const TableId table = stage(item).table;
  const std::vector<SymbolicRule>& rules =
      rules_.Compiled(table, item.place.chain);
  while (item.place.rule < rules.size() &&
         CannotMatch(item, rules[item.place.rule])) {
    ++item.place.rule;
  }
  if (item.place.rule == rules.size()) return EndOfChain(std::move(item));
  const SymbolicRule& rule = rules[item.place.rule];
  ++item.place.rule;
  std::vector<Box> yes;
  std::vector<Box> no;
  Test(item, rule, yes, no);
  for (Box& box : no) {
    Item other = item;
    other.box = std::move(box);
    Push(std::move(other));
  }
  const double chance =
      rule.random ? static_cast<double>(rule.probability) / 2147483648.0 : 1;
  for (Box& box : yes) {
    if (chance < 1) {
      Item other = item;
      other.box = box;
      other.probability *= 1 - chance;
      Push(std::move(other));
    }
    if (chance <= 0) continue;
    Item next = item;
    next.box = std::move(box);
    next.probability *= chance;
    Apply(std::move(next), rule);
  }
}

void SymbolicWalk::Effect(const std::string& text, Item& item) {
  const std::string before =
      item.changes.effects == 0 ? "" : names_.text(item.changes.effects);
  item.changes.effects = names_.Text(absl::StrCat(before, text, "\n"));
}

void SymbolicWalk::Apply(Item item, const SymbolicRule& rule) {
  if (traced_) {
    const Table& table = *rules_.rules().table(stage(item).table);
    item.trace.push_back(absl::StrCat(
        std::string(netfilter::TableName(stage(item).table)), ":",
        std::string(table.name(item.place.chain)), ":rule:", rule.place, " ",
        netfilter::PrintRule(rules_.rules(), table, item.place.chain,
                             rule.view)));
  }
  if (!rule.effect.empty()) Effect(rule.effect, item);
  if (!rule.target) return Push(std::move(item));
  const OpView target = *rule.target;
  std::string text;
  switch (target.kind()) {
    case OpKind::kAccept:
      return NextStage(std::move(item));
    case OpKind::kDrop:
      return End(std::move(item), Leaf::kDrop);
    case OpKind::kReject:
      return End(std::move(item), Leaf::kReject,
                 target.As<netfilter::RejectTarget>().with);
    case OpKind::kReturn:
      return EndOfChain(std::move(item));
    case OpKind::kJump:
      item.callers.push_back(item.place);
      [[fallthrough]];
    case OpKind::kGoto:
      item.place = {*rules_.TargetChain(stage(item).table, target), 0};
      return Walk(std::move(item));
    case OpKind::kSetMark: {
      const auto mark = target.As<netfilter::MarkTarget>();
      MarkFunction& f = item.changes.mark;
      f.fixed |= mark.mask;
      f.value = (f.value & ~mark.mask) ^ mark.value;
      return Push(std::move(item));
    }
    case OpKind::kLog:
    case OpKind::kNflog:
    case OpKind::kTrace:
      return Push(std::move(item));
    case OpKind::kDnat:
    case OpKind::kSnat:
    case OpKind::kMasquerade:
    case OpKind::kRedirect:
    case OpKind::kNetmap:
      return ApplyNat(std::move(item), target);
    case OpKind::kCt: {
      const auto ct = target.As<netfilter::CtTarget>();
      if ((ct.flags & netfilter::CtTarget::kNotrack) && !item.tracked) {
        item.changes.untracked = true;
        return Push(std::move(item));
      }
      break;
    }
    case OpKind::kQueue:
    case OpKind::kNfqueue:
    case OpKind::kUnknownTarget:
      return ApplyUnknown(std::move(item), rule);
    default:
      break;
  }
  // Changes that are compared, but that only opaque matches look at.
  netfilter::RuleBuilder builder;
  builder.Add(target);
  netfilter::AppendRule(rules_.rules(), builder.view(), {}, &text);
  Effect(text, item);
  Push(std::move(item));
}

void SymbolicWalk::ApplyNat(Item item, OpView target) {
  netfilter::RuleBuilder builder;
  builder.Add(target);
  std::string text;
  netfilter::AppendRule(rules_.rules(), builder.view(), {}, &text);
  const Hook hook = stage(item).hook;
  if (hook == Hook::kPostrouting || hook == Hook::kInput) {
    item.changes.source = names_.Text(text);
    return NextStage(std::move(item));
  }
  item.changes.destination = names_.Text(text);
  if (target.kind() == OpKind::kDnat) {
    const auto dnat = target.As<netfilter::DnatTarget>();
    uint32_t words[4];
    std::copy(dnat.first, dnat.first + 4, words);
    if (dnat.flags & netfilter::kNatHasAddressRange) {
      item.destination_unknown = true;
    } else if (dnat.flags & netfilter::kNatHasAddress) {
      item.new_destination =
          ToValue(netfilter::LoadAddress(rules_.rules().family(), words));
    }
    if (dnat.flags & netfilter::kNatHasPortRange) {
      item.port_unknown = true;
    } else if (dnat.flags & netfilter::kNatHasPort) {
      item.new_port = uint16_t{dnat.first_port};
    }
    if (!item.destination_unknown && !item.port_unknown) {
      return ApplyDnat(std::move(item));
    }
  } else {
    item.destination_unknown = true;
    item.port_unknown = target.kind() == OpKind::kRedirect;
  }
  NextStage(std::move(item));
}

// What has this destination already stays as it is.
void SymbolicWalk::ApplyDnat(Item item) {
  std::vector<Box> changes;
  std::vector<Box> same = {item.box};
  for (auto [field, value] : {std::pair(kFieldDst, item.new_destination),
                              std::pair(kFieldDstPort, item.new_port)}) {
    if (!value) continue;
    std::vector<Box> left;
    for (const Box& box : same) {
      SplitField(box, field, ValueSet::Of(*value), left, changes);
    }
    same = std::move(left);
  }
  for (Box& box : same) {
    Item untouched = item;
    untouched.box = std::move(box);
    untouched.changes.destination = 0;
    untouched.new_destination.reset();
    untouched.new_port.reset();
    NextStage(std::move(untouched));
  }
  for (Box& box : changes) {
    Item changed = item;
    changed.box = std::move(box);
    NextStage(std::move(changed));
  }
}

// What a program or a target without a model decides: to go on, to accept or
// to drop.
void SymbolicWalk::ApplyUnknown(Item item, const SymbolicRule& rule) {
  netfilter::RuleBuilder builder;
  builder.Add(*rule.target);
  std::string text;
  netfilter::AppendRule(rules_.rules(), builder.view(), {}, &text);
  const std::string key = absl::StrCat(text, Circumstances(item));
  Effect(text, item);
  std::vector<Box> ends;
  std::vector<Box> goes_on;
  SplitVariable(item.box, names_.Variable(absl::StrCat("ends: ", key), false),
                ends, goes_on);
  for (Box& box : goes_on) {
    Item next = item;
    next.box = std::move(box);
    Push(std::move(next));
  }
  for (const Box& ended : ends) {
    std::vector<Box> accepts;
    std::vector<Box> drops;
    SplitVariable(ended, names_.Variable(absl::StrCat("accepts: ", key), false),
                  accepts, drops);
    for (Box& box : accepts) {
      Item next = item;
      next.box = std::move(box);
      NextStage(std::move(next));
    }
    for (Box& box : drops) {
      Item next = item;
      next.box = std::move(box);
      End(std::move(next), Leaf::kDrop);
    }
  }
}

void SymbolicWalk::EndOfChain(Item item) {
  if (item.callers.empty()) return PolicyOf(std::move(item));
  item.place = item.callers.back();
  item.callers.pop_back();
  Walk(std::move(item));
}

void SymbolicWalk::PolicyOf(Item item) {
  const Stage& now = stage(item);
  const Table& table = *rules_.rules().table(now.table);
  const bool drop =
      table.policy(*table.FindChain(now.hook)) == Table::Policy::kDrop;
  if (traced_) {
    item.trace.push_back(
        absl::StrCat(std::string(netfilter::TableName(now.table)), ":",
                     std::string(netfilter::HookName(now.hook)),
                     ":policy:", drop ? "DROP" : "ACCEPT"));
  }
  if (drop) return End(std::move(item), Leaf::kDrop);
  NextStage(std::move(item));
}

void SymbolicWalk::End(Item item, Leaf::Verdict verdict, uint8_t with) {
  Leaf leaf;
  leaf.box = std::move(item.box);
  leaf.probability = item.probability;
  leaf.verdict = verdict;
  leaf.with = with;
  // Of a packet that is gone only what others may notice counts.
  if (verdict == Leaf::kAccept) {
    leaf.changes = item.changes;
  } else {
    leaf.changes.effects = item.changes.effects;
  }
  leaf.trace = std::move(item.trace);
  leaves_->push_back(std::move(leaf));
}

}  // namespace k8sdns::dataplane
