#include "k8sdns/netfilter/rule_translation.h"

#include <algorithm>
#include <limits>

namespace k8sdns::netfilter {
namespace {

constexpr StringId kUnset = std::numeric_limits<StringId>::max();

}  // namespace

RuleTranslation::RuleTranslation(const StringPool& from, const StringPool& to)
    : from_(from),
      to_(to),
      ids_(from.size(), kUnset),
      next_(static_cast<StringId>(to.size())) {}

StringId RuleTranslation::Translate(StringId id) {
  StringId& known = ids_[id];
  if (known == kUnset) {
    bool found = false;
    const StringId there = to_.Find(from_.Get(id), &found);
    known = id == 0 ? 0 : found ? there : next_++;
  }
  return known;
}

void RuleTranslation::Translate(RuleView rule,
                                std::initializer_list<OpKind> skip,
                                RuleBuilder* out) {
  out->Clear();
  // Copies the op with each text that it names translated.
  auto copy = [&]<typename T>(OpView op, auto... texts) {
    T value = op.As<T>();
    ((value.*texts = Translate(value.*texts)), ...);
    out->Add(value);
  };
  for (OpView op : rule.ops()) {
    const OpKind kind = op.kind();
    if (kind == OpKind::kCounters ||
        std::find(skip.begin(), skip.end(), kind) != skip.end()) {
      continue;
    }
    switch (kind) {
      case OpKind::kInInterface:
        copy.template operator()<InInterfaceMatch>(op, &InInterfaceMatch::name);
        break;
      case OpKind::kOutInterface:
        copy.template operator()<OutInterfaceMatch>(op,
                                                    &OutInterfaceMatch::name);
        break;
      case OpKind::kComment:
        copy.template operator()<CommentMatch>(op, &CommentMatch::text);
        break;
      case OpKind::kNfacct:
        copy.template operator()<NfacctMatch>(op, &NfacctMatch::name);
        break;
      case OpKind::kSctp:
        copy.template operator()<SctpMatch>(op, &SctpMatch::chunks);
        break;
      case OpKind::kRecent:
        copy.template operator()<RecentMatch>(op, &RecentMatch::name);
        break;
      case OpKind::kSet:
        copy.template operator()<SetMatch>(op, &SetMatch::name,
                                           &SetMatch::counters);
        break;
      case OpKind::kHashlimit:
        copy.template operator()<HashlimitMatch>(op, &HashlimitMatch::name);
        break;
      case OpKind::kPhysdev:
        copy.template operator()<PhysdevMatch>(op, &PhysdevMatch::in,
                                               &PhysdevMatch::out);
        break;
      case OpKind::kU32:
        copy.template operator()<U32Match>(op, &U32Match::program);
        break;
      case OpKind::kUnknownMatch:
        copy.template operator()<UnknownMatch>(op, &UnknownMatch::text);
        break;
      case OpKind::kJump:
        copy.template operator()<JumpTarget>(op, &JumpTarget::chain);
        break;
      case OpKind::kGoto:
        copy.template operator()<GotoTarget>(op, &GotoTarget::chain);
        break;
      case OpKind::kChangeSet: {
        SetTarget value = op.As<SetTarget>();
        for (SetTarget::Change* c : {&value.add, &value.remove, &value.map}) {
          c->name = Translate(c->name);
        }
        out->Add(value);
        break;
      }
      case OpKind::kCt:
        copy.template operator()<CtTarget>(op, &CtTarget::helper,
                                           &CtTarget::timeout);
        break;
      case OpKind::kLog:
        copy.template operator()<LogTarget>(op, &LogTarget::prefix);
        break;
      case OpKind::kNflog:
        copy.template operator()<NflogTarget>(op, &NflogTarget::prefix);
        break;
      case OpKind::kUnknownTarget:
        copy.template operator()<UnknownTarget>(op, &UnknownTarget::text);
        break;
      default:  // names no text
        out->Add(op);
    }
  }
}

}  // namespace k8sdns::netfilter
