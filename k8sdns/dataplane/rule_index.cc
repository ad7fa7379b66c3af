#include "k8sdns/dataplane/rule_index.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <utility>

#include "k8sdns/netfilter/ops.h"

namespace k8sdns::dataplane {
namespace {

using netfilter::OpKind;
using netfilter::OpView;

// Matches that only look: no draws, nothing remembered, never unknown.
bool OnlyLooks(OpKind kind) {
  switch (kind) {
    case OpKind::kSource:
    case OpKind::kDestination:
    case OpKind::kInInterface:
    case OpKind::kOutInterface:
    case OpKind::kProtocol:
    case OpKind::kFragment:
    case OpKind::kComment:
    case OpKind::kNfacct:
    case OpKind::kCounters:
    case OpKind::kTcp:
    case OpKind::kUdp:
    case OpKind::kIcmp:
    case OpKind::kIcmp6:
    case OpKind::kMultiport:
    case OpKind::kIprange:
    case OpKind::kMark:
    case OpKind::kConnmark:
    case OpKind::kConntrack:
    case OpKind::kState:
    case OpKind::kAddrtype:
    case OpKind::kLength:
    case OpKind::kTtl:
    case OpKind::kHl:
    case OpKind::kTos:
    case OpKind::kDscp:
    case OpKind::kPkttype:
    case OpKind::kPhysdev:
    case OpKind::kRpfilter:
      return true;
    default:
      return false;
  }
}

// Sets the address if `match` asks for one only.
bool ExactAddress(const netfilter::AddressMask& match, IpFamily family,
                  IpAddress& address) {
  const int bits = family == IpFamily::kIpv4 ? 32 : 128;
  if (match.invert || match.prefix_length != bits) return false;
  const netfilter::AddressMask copy = match;
  uint32_t words[4];
  std::copy(copy.address, copy.address + 4, words);
  if (family == IpFamily::kIpv4 && (words[1] | words[2] | words[3]) != 0) {
    return false;  // matches nothing; not worth a key
  }
  address = netfilter::LoadAddress(family, words);
  return true;
}

// Adds a field. False if the rule has it already.
bool AddField(ShapeField field, ExactFields& out) {
  if (out.fields & field) return false;
  out.fields |= field;
  return true;
}

// Whether the destination port is all that the match asks for.
template <typename T>
bool AddPort(const T& match, ExactFields& out) {
  using namespace netfilter;  // the flags
  if ((match.flags & (kHasDestinationPort | kInvertDestinationPort)) !=
          kHasDestinationPort ||
      match.destination.first != match.destination.last ||
      !AddField(kByPort, out)) {
    return false;
  }
  out.port = match.destination.first;
  return match.flags == kHasDestinationPort;
}

bool AddAddress(const netfilter::AddressMask& match, IpFamily family,
                ShapeField field, ExactFields& out) {
  IpAddress address;
  if (!ExactAddress(match, family, address) || !AddField(field, out)) {
    return false;
  }
  (field == kBySource ? out.src : out.dst) = address;
  return true;
}

bool AddProtocol(const netfilter::ProtocolMatch& match, ExactFields& out) {
  if (match.invert || match.protocol == 0 || !AddField(kByProtocol, out)) {
    return false;
  }
  out.protocol = match.protocol;
  return true;
}

// The shapes that a chain may have, and what they are worth for each rule
// that has all of their fields: the more fields, the fewer rules are left.
struct ShapeWorth {
  uint8_t shape;
  int worth;
};
constexpr ShapeWorth kShapes[] = {
    {kByDestination | kByProtocol | kByPort, 100},
    {kBySource | kByProtocol | kByPort, 99},
    {kByDestination | kByPort, 98},
    {kBySource | kByPort, 97},
    {kByDestination | kByProtocol, 96},
    {kBySource | kByProtocol, 95},
    {kByDestination, 94},
    {kBySource, 93},
    {kByProtocol | kByPort, 90},
    {kByPort, 88},
};

}  // namespace

ExactFields ExactFieldsOf(netfilter::RuleView rule, IpFamily family) {
  ExactFields out;
  for (OpView op : rule.ops()) {
    if (IsTarget(op.kind())) break;
    switch (op.kind()) {
      case OpKind::kComment:
      case OpKind::kNfacct:
      case OpKind::kCounters:
        break;
      case OpKind::kSource:
        out.only &=
            AddAddress(op.As<netfilter::SourceMatch>(), family, kBySource, out);
        break;
      case OpKind::kDestination:
        out.only &= AddAddress(op.As<netfilter::DestinationMatch>(), family,
                               kByDestination, out);
        break;
      case OpKind::kProtocol:
        out.only &= AddProtocol(op.As<netfilter::ProtocolMatch>(), out);
        break;
      case OpKind::kTcp:
        out.only &= AddPort(op.As<netfilter::TcpMatch>(), out);
        break;
      case OpKind::kUdp:
        out.only &= AddPort(op.As<netfilter::UdpMatch>(), out);
        break;
      case OpKind::kSctp:
        // Its ports are looked at first; the rest may be unknown.
        out.only = false;
        AddPort(op.As<netfilter::SctpMatch>(), out);
        if (op.As<netfilter::SctpMatch>().has_chunks) return out;
        break;
      default:
        out.only = false;
        if (!OnlyLooks(op.kind())) return out;
    }
  }
  return out;
}

struct RuleIndex::Plan {
  Chain* chain;
  uint8_t shape;
  struct Rule {
    uint32_t offset;
    ExactFields fields;
  };
  std::vector<Rule> rules;
};

RuleIndex::RuleIndex(const netfilter::Table& table, IpFamily family,
                     uint32_t min_rules)
    : services_(family) {
  AddChains(table);
  std::vector<Plan> plans;
  for (Chain& chain : by_name_) {
    if (chain.rules == kNone || chain.rules == 0) continue;
    chain.service = services_.Add(*this, halves(chain.offset), chain.rules);
    if (chain.service != kNone || chain.rules < min_rules) continue;
    PlanChain(table, family, chain, plans);
  }
  if (plans.size() > kMaxLookups) {  // the smaller ones are walked
    std::stable_sort(plans.begin(), plans.end(),
                     [](const Plan& a, const Plan& b) {
                       return a.rules.size() > b.rules.size();
                     });
    plans.resize(kMaxLookups);
  }
  Fill(plans);
}

void RuleIndex::AddChains(const netfilter::Table& table) {
  const std::vector<netfilter::ChainId> ids = table.chains();
  if (ids.empty()) return;
  netfilter::StringId last_name = 0;
  first_name_ = ~netfilter::StringId{0};
  for (netfilter::ChainId id : ids) {
    const netfilter::StringId name = table.name_id(id);
    first_name_ = std::min(first_name_, name);
    last_name = std::max(last_name, name);
    if (table.rule_count(id) == 0) continue;
    const uint16_t* begin = (*table.rules(id).begin()).halves().data();
    if (base_ == nullptr || begin < base_) base_ = begin;
  }
  by_name_.resize(size_t{last_name} - first_name_ + 1,
                  {0, kNone, 0, kNone, kNone});
  for (netfilter::ChainId id : ids) {
    Chain& chain = by_name_[table.name_id(id) - first_name_];
    chain.id = id;
    chain.rules = static_cast<uint32_t>(table.rule_count(id));
    if (chain.rules == 0) continue;
    chain.offset = static_cast<uint32_t>(
        (*table.rules(id).begin()).halves().data() - base_);
  }
  for (int i = 0; i < static_cast<int>(built_in_.size()); ++i) {
    const auto hook = static_cast<netfilter::Hook>(i);
    const std::optional<netfilter::ChainId> id = table.FindChain(hook);
    if (!id) continue;
    built_in_[i] = FindChain(table.name_id(*id));
    drops_[i] = table.policy(*id) == netfilter::Table::Policy::kDrop;
  }
}

void RuleIndex::PlanChain(const netfilter::Table& table, IpFamily family,
                          Chain& chain, std::vector<Plan>& plans) const {
  uint32_t counts[16] = {};
  for (netfilter::RuleView rule : table.rules(chain.id)) {
    ++counts[ExactFieldsOf(rule, family).fields];
  }
  uint8_t best = 0;
  uint64_t best_worth = 0;
  uint32_t best_rules = 0;
  for (const ShapeWorth& s : kShapes) {
    uint32_t rules = 0;
    for (uint8_t fields = 0; fields < 16; ++fields) {
      if ((fields & s.shape) == s.shape) rules += counts[fields];
    }
    const uint64_t worth = uint64_t{rules} * static_cast<uint64_t>(s.worth);
    if (worth > best_worth) {
      best = s.shape;
      best_worth = worth;
      best_rules = rules;
    }
  }
  // Without many to skip, walking is faster.
  if (best_rules == 0 || best_rules * 4 < chain.rules) return;
  Plan plan{&chain, best, {}};
  plan.rules.reserve(chain.rules);
  for (netfilter::RuleView rule : table.rules(chain.id)) {
    plan.rules.push_back({static_cast<uint32_t>(rule.halves().data() - base_),
                          ExactFieldsOf(rule, family)});
  }
  plans.push_back(std::move(plan));
}

void RuleIndex::Fill(const std::vector<Plan>& plans) {
  size_t keyed = 0;
  size_t residue = 0;
  for (const Plan& plan : plans) {
    for (const Plan::Rule& rule : plan.rules) {
      const bool has_key = (rule.fields.fields & plan.shape) == plan.shape;
      ++(has_key ? keyed : residue);
    }
  }
  if (plans.empty()) return;
  slots_.resize(std::bit_ceil(2 * keyed + 1));
  slot_mask_ = slots_.size() - 1;
  likely_.resize(slots_.size(), kNone);
  residue_.reserve(residue + plans.size());
  for (const Plan& plan : plans) {
    Chain& chain = *plan.chain;
    chain.lookup = static_cast<uint32_t>(lookups_.size());
    lookups_.push_back({plan.shape, static_cast<uint32_t>(residue_.size())});
    if (largest_ == nullptr || chain.rules > largest_->rules) largest_ = &chain;
    for (uint32_t n = 0; n < plan.rules.size(); ++n) {
      const Plan::Rule& rule = plan.rules[n];
      if ((rule.fields.fields & plan.shape) == plan.shape) continue;
      residue_.push_back({n + 1, rule.offset});
    }
    residue_.push_back({});
  }
  // Backwards, as Insert() puts each before the others of its key.
  for (const Plan& plan : plans) {
    for (uint32_t n = plan.chain->rules; n > 0; --n) Insert(plan, n);
  }
}

void RuleIndex::Insert(const Plan& plan, uint32_t number) {
  const Plan::Rule& rule = plan.rules[number - 1];
  const ExactFields& fields = rule.fields;
  if ((fields.fields & plan.shape) != plan.shape) return;
  const uint32_t lookup = plan.chain->lookup;
  const uint64_t hash = PacketKey(fields).Hash(plan.shape, lookup);
  const uint32_t tag = Tag(hash, lookup);
  uint64_t i = hash & slot_mask_;
  while (slots_[i].tag != 0 && slots_[i].tag != tag) i = (i + 1) & slot_mask_;
  Slot& slot = slots_[i];
  uint32_t next = kNone;
  if (slot.tag == tag) {
    next = static_cast<uint32_t>(more_.size());
    more_.push_back(slot.first);
  }
  slot = Slot();
  slot.tag = tag;
  slot.first = {number, rule.offset, next};
  if (!fields.only || fields.fields != plan.shape) return;
  const std::optional<OpView> target =
      netfilter::RuleView(halves(rule.offset)).target();
  if (!target || target->kind() != OpKind::kJump) return;
  const Chain* to = FindChain(target->As<netfilter::JumpTarget>().chain);
  if (to == nullptr) return;
  slot.decided = true;
  slot.jump = *to;
  slot.protocol = fields.protocol;
  slot.port = fields.port;
  slot.address = plan.shape & kBySource ? fields.src : fields.dst;
  if (to->service != kNone) likely_[hash & slot_mask_] = to->service;
}

size_t RuleIndex::memory_bytes() const {
  return by_name_.capacity() * sizeof(Chain) + services_.memory_bytes() +
         lookups_.capacity() * sizeof(Lookup) +
         residue_.capacity() * sizeof(Residue) +
         slots_.capacity() * sizeof(Slot) +
         likely_.capacity() * sizeof(likely_[0]) +
         more_.capacity() * sizeof(Candidate);
}

}  // namespace k8sdns::dataplane
