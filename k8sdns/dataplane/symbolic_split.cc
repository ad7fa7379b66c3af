// How matches split boxes.
#include <algorithm>
#include <bit>
#include <utility>

#include "absl/strings/str_cat.h"
#include "k8sdns/dataplane/symbolic_walk.h"

namespace k8sdns::dataplane {
namespace {

using netfilter::Hook;

bool IsAddressField(HeaderField field) { return field < kFieldTranslated; }

}  // namespace

HeaderField SymbolicWalk::Current(const Item& item, HeaderField field,
                                  std::optional<FieldValue>* constant,
                                  bool* unknown) const {
  if (field == kFieldIn || field == kFieldOut) {
    const Hook hook = stage(item).hook;
    const bool in_given =
        hook != Hook::kOutput &&
        !(hook == Hook::kPostrouting && path_ == PacketPath::kSent);
    const bool out_given = hook == Hook::kForward || hook == Hook::kOutput ||
                           hook == Hook::kPostrouting;
    if (!(field == kFieldIn ? in_given : out_given)) {
      *constant = InterfaceNames::kNone;
      return kHeaderFields;
    }
    if (field == kFieldOut && hook == Hook::kPostrouting && item.rerouted) {
      return kFieldOutRerouted;
    }
    return field;
  }
  if (!IsAddressField(field)) return field;
  if (field == kFieldDst || field == kFieldDstType) {
    if (item.new_destination) {
      if (field == kFieldDst) {
        *constant = *item.new_destination;
      } else {
        *unknown = true;
      }
      return kHeaderFields;
    }
    if (item.destination_unknown) {
      *unknown = true;
      return kHeaderFields;
    }
  }
  if (field == kFieldDstPort) {
    if (item.new_port) {
      *constant = *item.new_port;
      return kHeaderFields;
    }
    if (item.port_unknown) {
      *unknown = true;
      return kHeaderFields;
    }
  }
  return item.translated ? static_cast<HeaderField>(kFieldTranslated + field)
                         : field;
}

std::string SymbolicWalk::Circumstances(const Item& item) const {
  return absl::StrCat(" @", static_cast<int>(stage(item).table), " ",
                      static_cast<int>(stage(item).hook), " ",
                      item.changes.destination, " ", item.changes.effects, " ",
                      item.changes.mark.fixed, " ", item.changes.mark.value,
                      item.translated ? " t" : "",
                      item.changes.untracked ? " u" : "");
}

void SymbolicWalk::Test(const Item& item, const SymbolicRule& rule,
                        std::vector<Box>& yes, std::vector<Box>& no) {
  yes.push_back(item.box);
  for (const SymbolicTest& test : rule.tests) TestOne(item, test, yes, no);
}

void SymbolicWalk::TestOne(const Item& item, const SymbolicTest& test,
                           std::vector<Box>& boxes, std::vector<Box>& no) {
  std::vector<Box> rest = std::move(boxes);
  std::vector<Box> found;
  for (const SymbolicLiteral& literal : test.any) {
    std::vector<Box> left;
    for (const Box& box : rest) Split(item, box, literal, found, left);
    rest = std::move(left);
  }
  if (test.invert) std::swap(found, rest);
  boxes = std::move(found);
  no.insert(no.end(), std::make_move_iterator(rest.begin()),
            std::make_move_iterator(rest.end()));
}

void SymbolicWalk::Split(const Item& item, const Box& box,
                         const SymbolicLiteral& literal, std::vector<Box>& yes,
                         std::vector<Box>& no) {
  switch (literal.kind) {
    case SymbolicLiteral::kMark:
      return SplitMark(item, box, literal, yes, no);
    case SymbolicLiteral::kState:
      return SplitState(item, box, literal.bits, yes, no);
    case SymbolicLiteral::kOpaque: {
      std::string key = absl::StrCat(literal.text, Circumstances(item));
      return SplitVariable(box, names_.Variable(key, literal.free), yes, no);
    }
    case SymbolicLiteral::kType:
    case SymbolicLiteral::kField:
      break;
  }
  std::optional<FieldValue> constant;
  bool unknown = false;
  const HeaderField field = Current(item, literal.field, &constant, &unknown);
  ValueSet types;
  const ValueSet* values = &literal.values;
  if (literal.kind == SymbolicLiteral::kType) {
    for (int i = 0; i < 12; ++i) {
      if (literal.bits >> i & 1) types.Add(i, i);
    }
    values = &types;
  }
  if (constant) {
    (values->Contains(*constant) ? yes : no).push_back(box);
  } else if (!unknown) {
    SplitField(box, field, *values, yes, no);
  } else if (literal.kind == SymbolicLiteral::kType && item.new_destination) {
    // The type of a certain address: the node's configuration decides.
    SplitVariable(
        box,
        names_.Variable(absl::StrCat("type ", literal.bits, " of ",
                                     ToAddress(*item.new_destination,
                                               rules_.rules().family())
                                         .ToString()),
                        true),
        yes, no);
  } else {
    std::string key = absl::StrCat("field ", static_cast<int>(literal.field),
                                   " after translation", Circumstances(item));
    for (const ValueSet::Interval& part : values->parts()) {
      absl::StrAppend(&key, " ", absl::Uint128High64(part.first), ":",
                      absl::Uint128Low64(part.first), "-",
                      absl::Uint128High64(part.last), ":",
                      absl::Uint128Low64(part.last));
    }
    SplitVariable(box, names_.Variable(key, false), yes, no);
  }
}

void SymbolicWalk::SplitField(const Box& box, HeaderField field,
                              const ValueSet& values, std::vector<Box>& yes,
                              std::vector<Box>& no) {
  ValueSet inside = box.fields[field].And(values);
  if (inside.empty()) {
    no.push_back(box);
    return;
  }
  ValueSet outside = box.fields[field].Minus(values);
  if (outside.empty()) {
    yes.push_back(box);
    return;
  }
  no.push_back(box);
  no.back().fields[field] = std::move(outside);
  yes.push_back(box);
  yes.back().fields[field] = std::move(inside);
}

void SymbolicWalk::SplitMark(const Item& item, const Box& box,
                             const SymbolicLiteral& literal,
                             std::vector<Box>& yes, std::vector<Box>& no) {
  if ((literal.mark_value & ~literal.mark_mask) != 0) {
    no.push_back(box);
    return;
  }
  const MarkFunction& f = item.changes.mark;
  // Bits that the rules fixed decide at once.
  if (((f.value ^ literal.mark_value) & literal.mark_mask & f.fixed) != 0) {
    no.push_back(box);
    return;
  }
  const uint32_t asked = literal.mark_mask & ~f.fixed;
  // What the mark at the start must have been.
  const uint32_t wanted = (literal.mark_value ^ f.value) & asked;
  if (((box.mark_value ^ wanted) & box.mark_known & asked) != 0) {
    no.push_back(box);
    return;
  }
  Box rest = box;
  for (uint32_t open = asked & ~box.mark_known; open != 0; open &= open - 1) {
    const uint32_t bit = open & ~(open - 1);
    Box other = rest;
    other.mark_known |= bit;
    other.mark_value |= ~wanted & bit;
    no.push_back(std::move(other));
    rest.mark_known |= bit;
    rest.mark_value |= wanted & bit;
  }
  yes.push_back(std::move(rest));
}

void SymbolicWalk::SplitState(const Item& item, const Box& box, uint16_t bits,
                              std::vector<Box>& yes, std::vector<Box>& no) {
  auto constant = [&](uint16_t bit) {
    ((bits & bit) != 0 ? yes : no).push_back(box);
  };
  if (item.changes.untracked) return constant(netfilter::kStateUntracked);
  if (!item.tracked) return constant(netfilter::kStateInvalid);
  ValueSet states;
  auto add = [&](uint16_t bit, FlowStateValue value) {
    if (bits & bit) states.Add(value, value);
  };
  add(netfilter::kStateInvalid, kValueInvalid);
  add(netfilter::kStateNew, kValueNew);
  add(netfilter::kStateEstablished, kValueEstablished);
  add(netfilter::kStateRelated, kValueRelated);
  add(netfilter::kStateUntracked, kValueUntracked);
  std::vector<Box> rest;
  SplitField(box, kFieldState, states, yes, rest);
  if ((bits & (netfilter::kStateSnat | netfilter::kStateDnat)) == 0) {
    no.insert(no.end(), rest.begin(), rest.end());
    return;
  }
  ValueSet translations;
  for (int i = 1; i <= 3; ++i) {
    if (((bits & netfilter::kStateSnat) && (i & 1)) ||
        ((bits & netfilter::kStateDnat) && (i & 2))) {
      translations.Add(i, i);
    }
  }
  for (const Box& b : rest) {
    // The first packet of a flow: what this walk has done to it.
    std::vector<Box> first;
    std::vector<Box> old;
    SplitField(b, kFieldState, ValueSet::Of(kValueNew), first, old);
    for (Box& f : first) {
      const bool holds =
          ((bits & netfilter::kStateDnat) && item.changes.destination != 0) ||
          ((bits & netfilter::kStateSnat) && item.changes.source != 0);
      // What came over lo was translated on its way out.
      if (!holds && path_ == PacketPath::kLooped) {
        SplitField(f, kFieldFlowNat, translations, yes, no);
      } else {
        (holds ? yes : no).push_back(std::move(f));
      }
    }
    for (const Box& o : old) {
      SplitField(o, kFieldFlowNat, translations, yes, no);
    }
  }
}

void SymbolicWalk::SplitVariable(const Box& box, uint32_t variable,
                                 std::vector<Box>& yes, std::vector<Box>& no) {
  if (const bool* value = box.Assumption(variable)) {
    (*value ? yes : no).push_back(box);
    return;
  }
  no.push_back(box);
  no.back().Assume(variable, false);
  yes.push_back(box);
  yes.back().Assume(variable, true);
}

}  // namespace k8sdns::dataplane
