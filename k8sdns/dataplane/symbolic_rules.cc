#include "k8sdns/dataplane/symbolic_rules.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "k8sdns/netfilter/iptables_save.h"

namespace k8sdns::dataplane {
namespace {

using netfilter::AddressMask;
using netfilter::ChainId;
using netfilter::Hook;
using netfilter::OpKind;
using netfilter::OpView;
using netfilter::RuleBuilder;
using netfilter::RuleView;
using netfilter::Table;
using netfilter::TableId;

SymbolicTest FieldTest(HeaderField field, ValueSet values, bool invert,
                       FieldValue last) {
  SymbolicLiteral literal;
  literal.field = field;
  literal.values =
      invert ? ValueSet::Of(0, last).Minus(values) : std::move(values);
  return {{std::move(literal)}, false};
}

ValueSet PortSet(const netfilter::PortRange& range) {
  return ValueSet::Of(uint16_t{range.first}, uint16_t{range.last});
}

template <typename T>
void AddPorts(const T& match, std::vector<SymbolicTest>& tests) {
  using namespace netfilter;  // the flags
  if (match.flags & kHasSourcePort) {
    tests.push_back(FieldTest(kFieldSrcPort, PortSet(PortRange(match.source)),
                              match.flags & kInvertSourcePort, 65535));
  }
  if (match.flags & kHasDestinationPort) {
    tests.push_back(FieldTest(kFieldDstPort,
                              PortSet(PortRange(match.destination)),
                              match.flags & kInvertDestinationPort, 65535));
  }
}

// As in NodeDataplane: matches and targets that turn conntrack on.
bool NeedsConntrack(OpKind kind) {
  switch (kind) {
    case OpKind::kConntrack:
    case OpKind::kState:
    case OpKind::kConnmark:
    case OpKind::kDnat:
    case OpKind::kSnat:
    case OpKind::kMasquerade:
    case OpKind::kRedirect:
    case OpKind::kNetmap:
    case OpKind::kSetConnmark:
    case OpKind::kCt:
    case OpKind::kUnknownMatch:
    case OpKind::kUnknownTarget:
      return true;
    default:
      return false;
  }
}

// Of an op's address, or of words in memory.
template <typename Word>
FieldValue WordsToValue(IpFamily family, const Word* words) {
  uint32_t copy[4];
  std::copy(words, words + 4, copy);
  return ToValue(netfilter::LoadAddress(family, copy));
}

}  // namespace

FieldValue ToValue(const IpAddress& address) {
  if (address.is_v4()) return address.v4();
  FieldValue value = 0;
  for (uint8_t byte : address.bytes()) value = value << 8 | byte;
  return value;
}

IpAddress ToAddress(FieldValue value, IpFamily family) {
  if (family == IpFamily::kIpv4) {
    return IpAddress::V4(static_cast<uint32_t>(value));
  }
  std::array<uint8_t, 16> bytes;
  for (int i = 15; i >= 0; --i, value >>= 8) {
    bytes[i] = static_cast<uint8_t>(absl::Uint128Low64(value));
  }
  return IpAddress::V6(bytes);
}

FieldValue LastValue(HeaderField field, IpFamily family) {
  switch (field) {
    case kFieldSrc:
    case kFieldDst:
      return family == IpFamily::kIpv4 ? FieldValue(0xffffffff)
                                       : absl::Uint128Max();
    case kFieldSrcPort:
    case kFieldDstPort:
    case kFieldIcmp:
      return 65535;
    case kFieldSrcType:
    case kFieldDstType:
      return 11;
    case kFieldProtocol:
    case kFieldTcpFlags:
      return 255;
    default:
      return 0;
  }
}

void InterfaceNames::Collect(const netfilter::Ruleset& rules) {
  auto add = [&](netfilter::StringId id, bool prefix) {
    std::string name(rules.strings().Get(id));
    std::vector<std::string>& to = prefix ? prefixes_ : names_;
    if (std::find(to.begin(), to.end(), name) == to.end()) {
      to.push_back(std::move(name));
    }
  };
  for (TableId id : rules.tables()) {
    const Table& table = *rules.table(id);
    for (ChainId chain : table.chains()) {
      for (RuleView rule : table.rules(chain)) {
        for (OpView op : rule.ops()) {
          if (op.kind() == OpKind::kInInterface) {
            const auto m = op.As<netfilter::InInterfaceMatch>();
            add(m.name, m.prefix);
          } else if (op.kind() == OpKind::kOutInterface) {
            const auto m = op.As<netfilter::OutInterfaceMatch>();
            add(m.name, m.prefix);
          }
        }
      }
    }
  }
}

void InterfaceNames::Close() {
  prefixes_.push_back("");
  for (const std::string& prefix : prefixes_) {
    // A name with this prefix that is not named, and has no longer prefix.
    for (int n = 0;; ++n) {
      const std::string name =
          absl::StrCat(prefix, prefix.empty() ? "if" : "", n);
      const bool taken =
          std::find(names_.begin(), names_.end(), name) != names_.end() ||
          std::any_of(
              prefixes_.begin(), prefixes_.end(), [&](const std::string& p) {
                return p.size() > prefix.size() && absl::StartsWith(name, p);
              });
      if (taken) continue;
      names_.push_back(name);
      break;
    }
  }
}

ValueSet InterfaceNames::Matching(absl::string_view name, bool prefix) const {
  ValueSet out;
  for (size_t i = 0; i < names_.size(); ++i) {
    if (prefix ? absl::StartsWith(names_[i], name) : names_[i] == name) {
      out.Add(i, i);
    }
  }
  return out;
}

SymbolicRuleset::SymbolicRuleset(const netfilter::Ruleset& rules,
                                 const netfilter::StringPool& common,
                                 const InterfaceNames& interfaces,
                                 ClassIds& ids)
    : rules_(rules),
      translation_(rules.strings(), common),
      interfaces_(interfaces),
      ids_(ids) {}

uint32_t SymbolicRuleset::IdOf(std::string key) {
  return ids_.try_emplace(std::move(key), static_cast<uint32_t>(ids_.size()))
      .first->second;
}

absl::Status SymbolicRuleset::Classify() {
  nothing_ = IdOf("chain 0");
  for (TableId id : rules_.tables()) {
    const Table& table = *rules_.table(id);
    const std::vector<ChainId> chains = table.chains();
    ChainId last = 0;
    for (ChainId chain : chains) last = std::max(last, chain);
    chains_[static_cast<int>(id)].resize(chains.empty() ? 0 : last + 1);
    for (ChainId chain : chains) {
      absl::Status status = Classify(table, chain);
      if (!status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

absl::Status SymbolicRuleset::Classify(const Table& table, ChainId chain) {
  ChainState& state = chains_[static_cast<int>(table.id())][chain];
  if (state.phase == ChainState::kDone) return absl::OkStatus();
  if (state.phase == ChainState::kOpen) {
    return absl::InvalidArgumentError(absl::StrCat(
        "chain ", std::string(table.name(chain)), " leads back to itself"));
  }
  state.phase = ChainState::kOpen;
  std::string chain_key = absl::StrCat(
      "chain ", table.policy(chain) == Table::Policy::kDrop ? 1 : 0);
  RuleBuilder scratch;
  auto append = [](const void* bytes, size_t size, std::string& key) {
    key.append(static_cast<const char*>(bytes), size);
  };
  state.rules.reserve(table.rule_count(chain));
  for (RuleView rule : table.rules(chain)) {
    translation_.Translate(rule, {OpKind::kComment}, &scratch);
    std::string match = "m";
    for (OpView op : scratch.view().ops()) {
      tracks_ = tracks_ || NeedsConntrack(op.kind());
      if (!IsTarget(op.kind())) append(op.data(), op.size_bytes(), match);
    }
    RuleClass found;
    const std::optional<OpView> target = rule.target();
    found.match = IdOf(std::move(match));
    std::string whole = "r";
    append(&found.match, 4, whole);
    if (target &&
        (target->kind() == OpKind::kJump || target->kind() == OpKind::kGoto)) {
      const std::optional<ChainId> to = TargetChain(table.id(), *target);
      if (!to) {
        return absl::InvalidArgumentError(
            absl::StrCat("chain ", std::string(table.name(chain)),
                         " jumps to a chain that is not there"));
      }
      absl::Status status = Classify(table, *to);
      if (!status.ok()) return status;
      whole += target->kind() == OpKind::kJump ? 'j' : 'g';
      append(&chains_[static_cast<int>(table.id())][*to].id, 4, whole);
    } else if (target) {
      const OpView same = *scratch.view().target();
      append(same.data(), same.size_bytes(), whole);
    }
    found.whole = IdOf(std::move(whole));
    append(&found.whole, 4, chain_key);
    state.rules.push_back(found);
  }
  state.id = IdOf(std::move(chain_key));
  state.phase = ChainState::kDone;
  return absl::OkStatus();
}

std::optional<ChainId> SymbolicRuleset::TargetChain(
    TableId table, const OpView& target) const {
  const netfilter::StringId name =
      target.kind() == OpKind::kJump ? target.As<netfilter::JumpTarget>().chain
                                     : target.As<netfilter::GotoTarget>().chain;
  return rules_.table(table)->FindChain(name);
}

const Table* SymbolicRuleset::table(TableId id) const {
  return id == TableId::kNat && !tracks_ ? nullptr : rules_.table(id);
}

uint32_t SymbolicRuleset::ClassOf(TableId table, Hook hook) const {
  const Table* t = this->table(table);
  if (t == nullptr) return nothing_;
  const std::optional<ChainId> chain = t->FindChain(hook);
  return chain ? ClassOf(table, *chain) : nothing_;
}

uint32_t SymbolicRuleset::ClassOf(TableId table, ChainId chain) const {
  return chains_[static_cast<int>(table)][chain].id;
}

const std::vector<RuleClass>& SymbolicRuleset::RulesOf(TableId table,
                                                       ChainId chain) const {
  return chains_[static_cast<int>(table)][chain].rules;
}

const std::vector<SymbolicRule>& SymbolicRuleset::Compiled(TableId table,
                                                           ChainId chain) {
  ChainState& state = chains_[static_cast<int>(table)][chain];
  if (state.compiled == nullptr) {
    state.compiled = std::make_unique<std::vector<SymbolicRule>>();
    uint32_t place = 0;
    for (RuleView rule : rules_.table(table)->rules(chain)) {
      state.compiled->push_back(Compile(rule, ++place));
    }
  }
  return *state.compiled;
}

SymbolicRule SymbolicRuleset::Compile(RuleView rule, uint32_t place) const {
  SymbolicRule out{{}, 0, false, "", rule.target(), rule, place};
  for (OpView op : rule.ops()) {
    if (IsTarget(op.kind())) break;
    CompileMatch(op, out);
  }
  return out;
}

std::string SymbolicRuleset::TextOf(OpView op) const {
  RuleBuilder builder;
  builder.Add(op);
  std::string text;
  netfilter::AppendRule(rules_, builder.view(), {}, &text);
  return text;
}

void SymbolicRuleset::AddOpaque(OpView op, bool free,
                                SymbolicRule& rule) const {
  SymbolicLiteral literal;
  literal.kind = SymbolicLiteral::kOpaque;
  literal.free = free;
  literal.text = TextOf(op);
  rule.tests.push_back({{std::move(literal)}, false});
}

SymbolicTest SymbolicRuleset::AddressTest(HeaderField field,
                                          const AddressMask& match,
                                          OpView op) const {
  const IpFamily family = rules_.family();
  uint32_t words[4];
  netfilter::LoadMask(family, match, words);
  const FieldValue mask = WordsToValue(family, words);
  const FieldValue base = WordsToValue(family, match.address) & mask;
  const FieldValue last = LastValue(field, family);
  const FieldValue host = last ^ mask;
  if ((host & (host + 1)) != 0) {  // no prefix
    SymbolicLiteral literal;
    literal.kind = SymbolicLiteral::kOpaque;
    literal.text = TextOf(op);
    return {{std::move(literal)}, false};
  }
  return FieldTest(field, ValueSet::Of(base, base | host), match.invert, last);
}

void SymbolicRuleset::CompileMatch(OpView op, SymbolicRule& rule) const {
  using namespace netfilter;  // the ops
  std::vector<SymbolicTest>& tests = rule.tests;
  const IpFamily family = rules_.family();
  switch (op.kind()) {
    case OpKind::kComment:
    case OpKind::kNfacct:
    case OpKind::kCounters:
      return;
    case OpKind::kSource:
      tests.push_back(AddressTest(kFieldSrc, op.As<SourceMatch>(), op));
      return;
    case OpKind::kDestination:
      tests.push_back(AddressTest(kFieldDst, op.As<DestinationMatch>(), op));
      return;
    case OpKind::kInInterface: {
      const auto m = op.As<InInterfaceMatch>();
      tests.push_back(FieldTest(
          kFieldIn,
          interfaces_.Matching(rules_.strings().Get(m.name), m.prefix),
          m.invert, interfaces_.All().parts().back().last));
      return;
    }
    case OpKind::kOutInterface: {
      const auto m = op.As<OutInterfaceMatch>();
      tests.push_back(FieldTest(
          kFieldOut,
          interfaces_.Matching(rules_.strings().Get(m.name), m.prefix),
          m.invert, interfaces_.All().parts().back().last));
      return;
    }
    case OpKind::kProtocol: {
      const auto m = op.As<ProtocolMatch>();
      if (m.protocol == 0) return;
      tests.push_back(FieldTest(
          kFieldProtocol, ValueSet::Of(uint8_t{m.protocol}), m.invert, 255));
      return;
    }
    case OpKind::kFragment:
      // Conntrack puts fragments together before any rule sees them.
      if (!op.As<FragmentMatch>().invert) {
        tests.push_back(FieldTest(kFieldProtocol, {}, false, 255));
      }
      return;
    case OpKind::kTcp: {
      const auto m = op.As<TcpMatch>();
      AddPorts(m, tests);
      if (m.flags & kHasTcpFlags) {
        ValueSet flags;
        for (uint32_t f = 0; f < 256; ++f) {
          if ((f & m.flag_mask) == m.flag_compare) flags.Add(f, f);
        }
        tests.push_back(FieldTest(kFieldTcpFlags, std::move(flags),
                                  m.flags & kInvertTcpFlags, 255));
      }
      if (m.flags & kHasTcpOption) AddOpaque(op, false, rule);
      return;
    }
    case OpKind::kUdp:
      AddPorts(op.As<UdpMatch>(), tests);
      return;
    case OpKind::kSctp: {
      const auto m = op.As<SctpMatch>();
      AddPorts(m, tests);
      if (m.has_chunks) AddOpaque(op, false, rule);
      return;
    }
    case OpKind::kIcmp:
    case OpKind::kIcmp6: {
      const IcmpMatchBase m = op.kind() == OpKind::kIcmp
                                  ? IcmpMatchBase(op.As<IcmpMatch>())
                                  : IcmpMatchBase(op.As<Icmp6Match>());
      const uint32_t type = m.type;
      tests.push_back(FieldTest(
          kFieldIcmp,
          type == 255 && op.kind() == OpKind::kIcmp
              ? ValueSet::Of(0, 65535)
              : ValueSet::Of(type << 8 | m.first_code, type << 8 | m.last_code),
          m.invert, 65535));
      return;
    }
    case OpKind::kMultiport: {
      const auto m = op.As<MultiportMatch>();
      ValueSet ports;
      for (int i = 0; i < m.count; ++i) {
        const uint16_t first = m.ports[i];
        if (m.range_starts >> i & 1) ++i;
        ports.Add(first, uint16_t{m.ports[i]});
      }
      SymbolicTest test;
      test.invert = m.invert;
      for (HeaderField field : {kFieldSrcPort, kFieldDstPort}) {
        if (m.which == MultiportMatch::kSource && field == kFieldDstPort) {
          continue;
        }
        if (m.which == MultiportMatch::kDestination && field == kFieldSrcPort) {
          continue;
        }
        SymbolicLiteral literal;
        literal.field = field;
        literal.values = ports;
        test.any.push_back(std::move(literal));
      }
      tests.push_back(std::move(test));
      return;
    }
    case OpKind::kIprange: {
      const auto m = op.As<IprangeMatch>();
      const FieldValue last = LastValue(kFieldSrc, family);
      if (m.flags & IprangeMatch::kSource) {
        tests.push_back(
            FieldTest(kFieldSrc,
                      ValueSet::Of(WordsToValue(family, m.source_first),
                                   WordsToValue(family, m.source_last)),
                      m.flags & IprangeMatch::kInvertSource, last));
      }
      if (m.flags & IprangeMatch::kDestination) {
        tests.push_back(
            FieldTest(kFieldDst,
                      ValueSet::Of(WordsToValue(family, m.destination_first),
                                   WordsToValue(family, m.destination_last)),
                      m.flags & IprangeMatch::kInvertDestination, last));
      }
      return;
    }
    case OpKind::kMark: {
      const auto m = op.As<MarkMatch>();
      SymbolicLiteral literal;
      literal.kind = SymbolicLiteral::kMark;
      literal.mark_mask = m.mask;
      literal.mark_value = m.value;
      tests.push_back({{std::move(literal)}, m.invert != 0});
      return;
    }
    case OpKind::kState:
    case OpKind::kConntrack: {
      SymbolicLiteral literal;
      literal.kind = SymbolicLiteral::kState;
      bool invert;
      if (op.kind() == OpKind::kState) {
        const auto m = op.As<StateMatch>();
        literal.bits = m.state;
        invert = m.invert;
      } else {
        const auto m = op.As<ConntrackMatch>();
        if (m.given != kCtState) return AddOpaque(op, false, rule);
        literal.bits = m.state;
        invert = m.invert & kCtState;
      }
      tests.push_back({{std::move(literal)}, invert});
      return;
    }
    case OpKind::kAddrtype: {
      const auto m = op.As<AddrtypeMatch>();
      if (m.limit_in || m.limit_out) return AddOpaque(op, false, rule);
      for (bool source : {true, false}) {
        const uint16_t bits = source ? m.source : m.destination;
        if (bits == 0) continue;
        SymbolicLiteral literal;
        literal.kind = SymbolicLiteral::kType;
        literal.field = source ? kFieldSrcType : kFieldDstType;
        literal.bits = bits;
        tests.push_back(
            {{std::move(literal)},
             (source ? m.invert_source : m.invert_destination) != 0});
      }
      return;
    }
    case OpKind::kStatistic: {
      const auto m = op.As<StatisticMatch>();
      if (m.nth || rule.random) return AddOpaque(op, true, rule);
      rule.random = true;
      rule.probability =
          m.invert ? (uint32_t{1} << 31) - m.probability : +m.probability;
      return;
    }
    case OpKind::kRecent: {
      const auto m = op.As<RecentMatch>();
      if (m.mode != RecentMatch::kCheck) {
        absl::StrAppend(&rule.effect, TextOf(op), ";");
      }
      // --set holds always.
      if (m.mode != RecentMatch::kSet || m.invert) AddOpaque(op, true, rule);
      return;
    }
    case OpKind::kLimit:
    case OpKind::kHashlimit:
      return AddOpaque(op, true, rule);
    default:
      return AddOpaque(op, false, rule);
  }
}

}  // namespace k8sdns::dataplane
