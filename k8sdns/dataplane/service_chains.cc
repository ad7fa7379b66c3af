#include "k8sdns/dataplane/service_chains.h"

#include <algorithm>
#include <functional>

#include "k8sdns/dataplane/fast_match.h"
#include "k8sdns/dataplane/rule_index.h"
#include "k8sdns/netfilter/ops.h"

namespace k8sdns::dataplane {
namespace {

using netfilter::OpKind;
using netfilter::OpView;

constexpr size_t kHeaderWords = 4;  // without the marking rule's address

void ReadWords(const StoredOp& address, uint32_t (&words)[4]) {
  for (size_t i = 0; i < 4; ++i) words[i] = address.Word(2 + 4 * i);
}

bool SameWords(const uint32_t* a, const uint32_t* b, size_t count) {
  return std::equal(a, a + count, b);
}

}  // namespace

// What a rule asks for, as far as it may have a place in the form.
struct ServiceChains::Rule {
  bool has_source = false;
  bool inverts_source = false;
  uint32_t source_length = 0;
  uint32_t source[4] = {};
  bool has_destination = false;
  uint32_t destination[4] = {};
  uint32_t protocol = 0;  // 0: any
  bool has_port = false;
  uint16_t port = 0;
  bool has_chance = false;
  uint32_t chance = 0;
  const uint8_t* target = nullptr;

  bool has_fields() const {
    return has_source || has_destination || protocol != 0 || has_port;
  }
  OpKind target_kind() const { return OpView(target).kind(); }
  netfilter::StringId jump() const { return StoredOp(OpView(target)).Word(0); }
};

bool ServiceChains::ReadRule(const uint16_t* halves, Rule& rule) const {
  const uint32_t bits = family_ == IpFamily::kIpv4 ? 32 : 128;
  for (OpView view : netfilter::RuleView(halves).ops()) {
    const StoredOp op(view);
    switch (view.kind()) {
      case OpKind::kComment:
      case OpKind::kCounters:
        continue;
      case OpKind::kSource:
        if (rule.has_source || op.Byte(1) > bits) return false;
        rule.has_source = true;
        rule.inverts_source = op.Byte(0) != 0;
        rule.source_length = op.Byte(1);
        ReadWords(op, rule.source);
        continue;
      case OpKind::kDestination:
        if (rule.has_destination || op.Byte(0) != 0 || op.Byte(1) != bits) {
          return false;
        }
        rule.has_destination = true;
        ReadWords(op, rule.destination);
        continue;
      case OpKind::kProtocol:
        if (rule.protocol != 0 || op.Byte(0) != 0 || op.Byte(1) == 0) {
          return false;
        }
        rule.protocol = op.Byte(1);
        continue;
      case OpKind::kTcp:
      case OpKind::kUdp:
        if (op.Byte(0) == 0) continue;  // asks for nothing
        if (op.Byte(0) != netfilter::kHasDestinationPort || rule.has_port ||
            op.Half(2) != op.Half(4)) {
          return false;
        }
        rule.has_port = true;
        rule.port = op.Half(2);
        continue;
      case OpKind::kStatistic:
        if (rule.has_chance || op.Byte(0) != 0 || op.Byte(1) != 0) return false;
        rule.has_chance = true;
        rule.chance = op.Word(2);
        continue;
      default:
        rule.target = view.data();
        return IsTarget(view.kind());
    }
  }
  return false;  // no target
}

bool ServiceChains::ReadMarks(const RuleIndex& index,
                              netfilter::StringId chain) {
  if (draft_.has_marks) return draft_.marks == chain;
  const RuleIndex::Chain* to = index.FindChain(chain);
  if (to == nullptr || to->rules != 1) return false;
  Rule rule;
  if (!ReadRule(index.halves(to->offset), rule) || rule.has_fields() ||
      rule.has_chance || rule.target_kind() != OpKind::kSetMark) {
    return false;
  }
  const StoredOp target{OpView(rule.target)};
  draft_.has_marks = true;
  draft_.marks = chain;
  draft_.marking.value = target.Word(2);
  draft_.marking.mask = target.Word(6);
  return true;
}

bool ServiceChains::ReadMarkingRule(const RuleIndex& index, const Rule& rule) {
  if (!rule.has_destination || !rule.has_port || rule.protocol == 0 ||
      rule.has_chance || !ReadMarks(index, rule.jump())) {
    return false;
  }
  draft_.flags |= kMarks;
  if (rule.has_source) draft_.flags |= kTestsSource;
  if (rule.inverts_source) draft_.flags |= kInvertsSource;
  draft_.marking.source_length = rule.source_length;
  std::copy(rule.source, rule.source + 4, draft_.marking.source);
  std::copy(rule.destination, rule.destination + 4, draft_.destination);
  draft_.protocol = rule.protocol;
  draft_.port = rule.port;
  return true;
}

bool ServiceChains::ReadEndpoint(const RuleIndex& index,
                                 netfilter::StringId chain) {
  const RuleIndex::Chain* to = index.FindChain(chain);
  if (to == nullptr || to->rules == 0 || to->rules > 2) return false;
  const uint16_t* halves = index.halves(to->offset);
  Rule own;
  if (to->rules == 2) {
    const uint32_t bits = family_ == IpFamily::kIpv4 ? 32 : 128;
    if (!ReadRule(halves, own) || !own.has_source || own.inverts_source ||
        own.source_length != bits || own.has_destination || own.has_port ||
        own.protocol != 0 || own.has_chance ||
        own.target_kind() != OpKind::kJump || !ReadMarks(index, own.jump())) {
      return false;
    }
    halves += *halves;
  }
  Rule rule;
  if (!ReadRule(halves, rule) || rule.has_source || rule.has_destination ||
      rule.has_port || rule.has_chance || rule.protocol == 0 ||
      rule.target_kind() != OpKind::kDnat) {
    return false;
  }
  if (draft_.protocol == 0) draft_.protocol = rule.protocol;
  const auto range = OpView(rule.target).As<netfilter::DnatTarget>();
  if (rule.protocol != draft_.protocol ||
      range.flags != (netfilter::kNatHasAddress | netfilter::kNatHasPort)) {
    return false;
  }
  uint32_t address[4];
  std::copy(range.first, range.first + 4, address);
  uint32_t word = range.first_port;
  if (to->rules == 2) {
    if (!SameWords(own.source, address, 4)) return false;
    word |= kMarksOwn;
  }
  draft_.addresses.insert(draft_.addresses.end(), address,
                          address + address_words_);
  draft_.lasts.push_back(word);
  return true;
}

bool ServiceChains::ReadChain(const RuleIndex& index, const uint16_t* first,
                              uint32_t rules) {
  for (uint32_t i = 0; i < rules; ++i, first += *first) {
    Rule rule;
    if (!ReadRule(first, rule) || rule.target_kind() != OpKind::kJump) {
      return false;
    }
    if (rule.has_fields()) {
      if (i != 0 || !ReadMarkingRule(index, rule)) return false;
      continue;
    }
    const bool last = i + 1 == rules;
    if (rule.has_chance == last || !ReadEndpoint(index, rule.jump())) {
      return false;
    }
    if (!last) draft_.thresholds.push_back(rule.chance);
  }
  return !draft_.lasts.empty();
}

uint32_t ServiceChains::ChancesOfDraft() {
  const auto [it, added] = draft_.chances.try_emplace(
      draft_.thresholds, static_cast<uint32_t>(chances_.size()));
  if (added) chances_.emplace_back(draft_.thresholds);
  return it->second;
}

uint32_t ServiceChains::MarkingOfDraft() {
  const auto [it, added] = draft_.markings.try_emplace(
      draft_.marking, static_cast<uint32_t>(markings_.size()));
  if (added) markings_.push_back(draft_.marking);
  return it->second;
}

uint32_t ServiceChains::Add(const RuleIndex& index, const uint16_t* first,
                            uint32_t rules) {
  Draft& d = draft_;
  d.thresholds.clear();
  d.addresses.clear();
  d.lasts.clear();
  d.protocol = d.flags = d.port = 0;
  d.has_marks = false;
  d.marking = {};
  std::fill(d.destination, d.destination + 4, 0);
  if (!ReadChain(index, first, rules)) return kNone;
  const bool one_last =
      std::adjacent_find(d.lasts.begin(), d.lasts.end(),
                         std::not_equal_to<>()) == d.lasts.end();
  if (one_last) d.flags |= kOneLast;
  const size_t words = kHeaderWords + address_words_ + d.addresses.size() +
                       (one_last ? 1 : d.lasts.size());
  const size_t line = lines_.size();
  if (line + words / 16 + 4 > kNone) return kNone;
  lines_.resize(line + (words + 15) / 16);
  uint32_t* at = reinterpret_cast<uint32_t*>(lines_.data() + line);
  *at++ = static_cast<uint32_t>(d.lasts.size());
  // The port is kept apart from the protocol and flags.
  *at++ = d.protocol | d.flags | d.port << 16;
  *at++ = ChancesOfDraft();
  *at++ = MarkingOfDraft();
  at = std::copy(d.destination, d.destination + address_words_, at);
  if (one_last) *at++ = d.lasts[0];
  for (size_t i = 0; i < d.lasts.size(); ++i) {
    const uint32_t* address = d.addresses.data() + i * address_words_;
    at = std::copy(address, address + address_words_, at);
    if (!one_last) *at++ = d.lasts[i];
  }
  return static_cast<uint32_t>(line);
}

size_t ServiceChains::memory_bytes() const {
  size_t bytes =
      lines_.capacity() * sizeof(Line) + markings_.capacity() * sizeof(Marking);
  for (const ChanceList& chances : chances_) bytes += chances.memory_bytes();
  return bytes;
}

bool ServiceChains::MarksPacket(const uint32_t* record,
                                const Packet& packet) const {
  const uint32_t flags = record[1];
  if (!(flags & kMarks) || packet.dst_port != flags >> 16) return false;
  const AddressWords dst(packet.dst);
  if (!SameWords(dst.words, record + kHeaderWords, address_words_)) {
    return false;
  }
  if (!(flags & kTestsSource)) return true;
  const Marking& marking = markings_[record[3]];
  const AddressWords src(packet.src);
  bool inside = true;
  for (size_t i = 0; i < address_words_; ++i) {
    const int bits =
        static_cast<int>(marking.source_length) - 32 * static_cast<int>(i);
    const uint32_t mask = bits <= 0    ? 0
                          : bits >= 32 ? ~uint32_t{0}
                                       : ~uint32_t{0} << (32 - bits);
    inside &= (src.words[i] & mask) == marking.source[i];
  }
  return inside == !(flags & kInvertsSource);
}

ServiceChains::Endpoint ServiceChains::Choose(uint32_t chain,
                                              const Packet& packet,
                                              Decisions& decisions,
                                              uint32_t& mark) const {
  const uint32_t* record = Record(chain);
  if (family_ == IpFamily::kIpv4) {
    return Choose4(record, packet, decisions, mark);
  }
  const Marking& marking = markings_[record[3]];
  if (MarksPacket(record, packet)) Mark(marking, mark);
  const uint32_t chosen = decisions.FirstChance(chances_[record[2]]);
  const uint32_t* last = record + kHeaderWords + address_words_;
  const uint32_t* endpoint = last + 1 + size_t{chosen} * address_words_;
  if (!(record[1] & kOneLast)) {
    endpoint = last + size_t{chosen} * (address_words_ + 1);
    last = endpoint + address_words_;
  }
  if (*last & kMarksOwn) {
    const AddressWords src(packet.src);
    if (SameWords(src.words, endpoint, address_words_)) Mark(marking, mark);
  }
  uint32_t words[4] = {};
  std::copy(endpoint, endpoint + address_words_, words);
  return {netfilter::LoadAddress(family_, words), static_cast<uint16_t>(*last)};
}

// The same with addresses of one word.
ServiceChains::Endpoint ServiceChains::Choose4(const uint32_t* record,
                                               const Packet& packet,
                                               Decisions& decisions,
                                               uint32_t& mark) const {
  const uint32_t flags = record[1];
  const Marking& marking = markings_[record[3]];
  const uint32_t source = packet.src.v4();
  bool marks = (flags & kMarks) && packet.dst_port == flags >> 16 &&
               packet.dst.v4() == record[kHeaderWords];
  if (marks && (flags & kTestsSource)) {
    const uint32_t length = marking.source_length;
    const uint32_t mask = length == 0 ? 0 : ~uint32_t{0} << (32 - length);
    marks =
        ((source & mask) == marking.source[0]) != !!(flags & kInvertsSource);
  }
  const uint32_t chosen = decisions.FirstChance(chances_[record[2]]);
  const uint32_t* last = record + kHeaderWords + 1;
  const uint32_t* endpoint = last + 1 + chosen;
  if (!(flags & kOneLast)) {
    endpoint = last + size_t{2} * chosen;
    last = endpoint + 1;
  }
  if (marks) Mark(marking, mark);
  if ((*last & kMarksOwn) && source == *endpoint) Mark(marking, mark);
  return {IpAddress::V4(*endpoint), static_cast<uint16_t>(*last)};
}

}  // namespace k8sdns::dataplane
