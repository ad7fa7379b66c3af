// -m conntrack, state; -j CT, NOTRACK.
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "k8sdns/netfilter/extension.h"

namespace k8sdns::netfilter {
namespace {

struct BitName {
  absl::string_view name;
  uint16_t bit;
};

// In printing order.
constexpr BitName kStates[] = {
    {"INVALID", kStateInvalid},     {"NEW", kStateNew},
    {"RELATED", kStateRelated},     {"ESTABLISHED", kStateEstablished},
    {"UNTRACKED", kStateUntracked}, {"SNAT", kStateSnat},
    {"DNAT", kStateDnat},
};
constexpr BitName kStatuses[] = {
    {"NONE", kStatusNone},
    {"EXPECTED", kStatusExpected},
    {"SEEN_REPLY", kStatusSeenReply},
    {"ASSURED", kStatusAssured},
    {"CONFIRMED", kStatusConfirmed},
};

// Names in any case, abbreviated, separated by commas.
bool ReadBits(RuleContext& rule, absl::string_view text,
              std::span<const BitName> names, uint16_t* bits) {
  for (absl::string_view part : absl::StrSplit(text, ',')) {
    const BitName* found = nullptr;
    for (const BitName& n : names) {
      if (!part.empty() && absl::StartsWithIgnoreCase(n.name, part)) {
        found = &n;
        break;
      }
    }
    if (found == nullptr) return rule.Fail("bad value `", text, "'");
    *bits = static_cast<uint16_t>(*bits | found->bit);
  }
  return true;
}

void AppendBits(uint16_t bits, std::span<const BitName> names,
                std::string* out) {
  char separator = ' ';
  for (const BitName& n : names) {
    if ((bits & n.bit) == 0) continue;
    out->push_back(separator);
    out->append(n.name.data(), n.name.size());
    separator = ',';
  }
}

struct State : ExtensionBase<StateMatch> {
  static bool Parse(OptionCall& call, StateMatch& op) {
    op.invert = call.invert;
    uint16_t bits = 0;
    if (!ReadBits(*call.rule, call.text, std::span<const BitName>(kStates, 5),
                  &bits)) {
      return false;
    }
    op.state = bits;
    return true;
  }
  static void Print(const PrintContext&, const StateMatch& op,
                    std::string* out) {
    out->append(op.invert ? " ! --state" : " --state");
    AppendBits(op.state, kStates, out);
  }
};
constexpr OptionSpec kStateOptions[] = {
    {"state", 0, ValueType::kString, kMandatory | kInvertible}};

// Ids are the bit numbers of ConntrackField.
enum CtId : uint8_t {
  kIdState,
  kIdProtocol,
  kIdOriginalSource,
  kIdOriginalDestination,
  kIdReplySource,
  kIdReplyDestination,
  kIdStatus,
  kIdExpire,
  kIdOriginalSourcePort,
  kIdOriginalDestinationPort,
  kIdReplySourcePort,
  kIdReplyDestinationPort,
  kIdDirection,
};

struct Conntrack : ExtensionBase<ConntrackMatch> {
  static bool Parse(OptionCall& call, ConntrackMatch& op) {
    const int id = call.id();
    const uint16_t field = static_cast<uint16_t>(1 << id);
    switch (id) {
      case kIdState: {
        uint16_t bits = 0;
        if (!ReadBits(*call.rule, call.text, kStates, &bits)) return false;
        op.state = bits;
        break;
      }
      case kIdProtocol:
        op.protocol = static_cast<uint16_t>(call.number);
        break;
      case kIdOriginalSource:
      case kIdOriginalDestination:
      case kIdReplySource:
      case kIdReplyDestination:
        op.addresses[id - kIdOriginalSource] = call.address;
        break;
      case kIdStatus: {
        uint16_t bits = 0;
        if (!ReadBits(*call.rule, call.text, kStatuses, &bits)) return false;
        op.status = bits;
        break;
      }
      case kIdExpire:
        op.expire_first = static_cast<uint32_t>(call.first);
        op.expire_last = static_cast<uint32_t>(call.last);
        break;
      case kIdDirection:
        if (absl::EqualsIgnoreCase(call.text, "REPLY")) {
          op.invert = static_cast<uint16_t>(op.invert | kCtDirection);
        } else if (!absl::EqualsIgnoreCase(call.text, "ORIGINAL")) {
          return call.rule->Fail("bad --ctdir `", call.text, "'");
        }
        break;
      default:
        op.ports[id - kIdOriginalSourcePort] = call.ports;
    }
    op.given = static_cast<uint16_t>(op.given | field);
    if (call.invert) op.invert = static_cast<uint16_t>(op.invert | field);
    return true;
  }
  static bool Finish(FinishCall& call, ConntrackMatch&) {
    return call.seen != 0 ||
           call.rule->Fail("conntrack: at least one option is required");
  }
  static void Print(const PrintContext& context, const ConntrackMatch& op,
                    std::string* out) {
    auto option = [&](int id, absl::string_view name) {
      if ((op.given & 1 << id) == 0) return false;
      absl::StrAppend(out, (op.invert & 1 << id) != 0 ? " ! --" : " --", name);
      return true;
    };
    if (option(kIdState, "ctstate")) AppendBits(op.state, kStates, out);
    if (option(kIdProtocol, "ctproto")) absl::StrAppend(out, " ", op.protocol);
    static constexpr absl::string_view kAddressNames[] = {
        "ctorigsrc", "ctorigdst", "ctreplsrc", "ctrepldst"};
    for (int i = 0; i < 4; ++i) {
      if (!option(kIdOriginalSource + i, kAddressNames[i])) continue;
      out->push_back(' ');
      const AddressMask& a = op.addresses[i];
      uint32_t words[4];
      for (int w = 0; w < 4; ++w) words[w] = a.address[w];
      AppendAddress(context.family, words, out);
      // A mask that is no prefix is lost in the IPv4 text of 1.8.9.
      const bool v4 = context.family == IpFamily::kIpv4;
      if (a.prefix_length != (v4 ? 32 : 128) &&
          !(v4 && a.prefix_length == AddressMask::kExplicitMask)) {
        AppendMask(context.family, a, out);
      }
    }
    static constexpr absl::string_view kPortNames[] = {
        "ctorigsrcport", "ctorigdstport", "ctreplsrcport", "ctrepldstport"};
    for (int i = 0; i < 4; ++i) {
      if (!option(kIdOriginalSourcePort + i, kPortNames[i])) continue;
      absl::StrAppend(out, " ", op.ports[i].first);
      if (op.ports[i].first != op.ports[i].last) {
        absl::StrAppend(out, ":", op.ports[i].last);
      }
    }
    if (option(kIdStatus, "ctstatus")) {
      if ((op.status & ~kStatusNone) == 0) {
        out->append(" NONE");
      } else {
        AppendBits(op.status & ~kStatusNone, kStatuses, out);
      }
    }
    if (option(kIdExpire, "ctexpire")) {
      absl::StrAppend(out, " ", +op.expire_first);
      if (op.expire_first != op.expire_last) {
        absl::StrAppend(out, ":", +op.expire_last);
      }
    }
    if ((op.given & kCtDirection) != 0) {
      out->append(" --ctdir ");
      out->append((op.invert & kCtDirection) != 0 ? "REPLY" : "ORIGINAL");
    }
  }
};
constexpr OptionSpec kConntrackOptions[] = {
    {"ctstate", kIdState, ValueType::kString, kInvertible},
    {"ctproto", kIdProtocol, ValueType::kProtocol, kInvertible},
    {"ctorigsrc", kIdOriginalSource, ValueType::kHostMask, kInvertible},
    {"ctorigdst", kIdOriginalDestination, ValueType::kHostMask, kInvertible},
    {"ctreplsrc", kIdReplySource, ValueType::kHostMask, kInvertible},
    {"ctrepldst", kIdReplyDestination, ValueType::kHostMask, kInvertible},
    {"ctstatus", kIdStatus, ValueType::kString, kInvertible},
    {"ctexpire", kIdExpire, ValueType::kUint32Range, kInvertible},
    {"ctorigsrcport", kIdOriginalSourcePort, ValueType::kPortRange,
     kInvertible},
    {"ctorigdstport", kIdOriginalDestinationPort, ValueType::kPortRange,
     kInvertible},
    {"ctreplsrcport", kIdReplySourcePort, ValueType::kPortRange, kInvertible},
    {"ctrepldstport", kIdReplyDestinationPort, ValueType::kPortRange,
     kInvertible},
    {"ctdir", kIdDirection, ValueType::kString},
};

// ---- CT ----

constexpr BitName kEvents[] = {
    {"new", 1 << 0},     {"related", 1 << 1}, {"destroy", 1 << 2},
    {"reply", 1 << 3},   {"assured", 1 << 4}, {"protoinfo", 1 << 5},
    {"helper", 1 << 6},  {"mark", 1 << 7},    {"natseqinfo", 1 << 8},
    {"secmark", 1 << 9},
};
constexpr BitName kExpectationEvents[] = {{"new", 1}};

bool ReadEvents(OptionCall& call, std::span<const BitName> names,
                uint16_t* bits) {
  for (absl::string_view part : absl::StrSplit(call.text, ',')) {
    const BitName* found = nullptr;
    for (const BitName& n : names) {
      if (n.name == part) found = &n;
    }
    if (found == nullptr) {
      return call.rule->Fail("unknown event type `", part, "'");
    }
    *bits = static_cast<uint16_t>(*bits | found->bit);
  }
  return true;
}

struct Ct : ExtensionBase<CtTarget> {
  enum Id : uint8_t {
    kNotrack,
    kHelper,
    kTimeout,
    kEventsId,
    kExpEvents,
    kZone,
    kZoneOrig,
    kZoneReply,
  };
  static bool Parse(OptionCall& call, CtTarget& op) {
    uint16_t bits = 0;
    switch (call.id()) {
      case kNotrack:
        op.flags |= CtTarget::kNotrack;
        return true;
      case kHelper:
        op.helper = call.rule->strings->Intern(call.text.substr(0, 15));
        return true;
      case kTimeout:
        op.timeout = call.rule->strings->Intern(call.text.substr(0, 31));
        return true;
      case kEventsId:
        if (!ReadEvents(call, kEvents, &bits)) return false;
        op.events = bits;
        return true;
      case kExpEvents:
        if (!ReadEvents(call, kExpectationEvents, &bits)) return false;
        op.expectation_events = bits;
        return true;
    }
    op.flags |= CtTarget::kZone;
    if (call.id() == kZoneOrig) op.flags |= CtTarget::kZoneOriginal;
    if (call.id() == kZoneReply) op.flags |= CtTarget::kZoneReply;
    op.zone = 0;
    if (absl::EqualsIgnoreCase(call.text, "mark")) {
      op.flags |= CtTarget::kZoneMark;
      return true;
    }
    uint64_t zone;
    if (!ReadNumber(call.text, 0, 0, 0xffff, &zone)) {
      return call.rule->Fail("bad zone `", call.text, "'");
    }
    op.zone = static_cast<uint16_t>(zone);
    return true;
  }
  static void Print(const PrintContext& context, const CtTarget& op,
                    std::string* out) {
    if ((op.flags & CtTarget::kNotrackAlias) != 0) return;
    if ((op.flags & CtTarget::kNotrack) != 0) out->append(" --notrack");
    if (op.helper != 0) {
      absl::StrAppend(out, " --helper ", context.strings->Get(op.helper));
    }
    if (op.timeout != 0) {
      absl::StrAppend(out, " --timeout ", context.strings->Get(op.timeout));
    }
    if (op.events != 0) {
      out->append(" --ctevents");
      AppendBits(op.events, kEvents, out);
    }
    if (op.expectation_events != 0) {
      out->append(" --expevents");
      AppendBits(op.expectation_events, kExpectationEvents, out);
    }
    const bool by_mark = (op.flags & CtTarget::kZoneMark) != 0;
    if (!by_mark && op.zone == 0) return;
    const int direction =
        op.flags & (CtTarget::kZoneOriginal | CtTarget::kZoneReply);
    out->append(" --zone");
    if (direction == CtTarget::kZoneOriginal) out->append("-orig");
    if (direction == CtTarget::kZoneReply) out->append("-reply");
    if (by_mark) {
      out->append(" mark");
    } else {
      absl::StrAppend(out, " ", op.zone);
    }
  }
};
constexpr OptionSpec kCtOptions[] = {
    {"notrack", Ct::kNotrack, ValueType::kNone},
    {"helper", Ct::kHelper, ValueType::kString},
    {"timeout", Ct::kTimeout, ValueType::kString},
    {"ctevents", Ct::kEventsId, ValueType::kString},
    {"expevents", Ct::kExpEvents, ValueType::kString},
    {"zone-orig", Ct::kZoneOrig, ValueType::kString},
    {"zone-reply", Ct::kZoneReply, ValueType::kString},
    {"zone", Ct::kZone, ValueType::kString},
};

struct Notrack : Ct {
  static void Init(CtTarget& op, const RuleContext&) {
    op.flags = CtTarget::kNotrack | CtTarget::kNotrackAlias;
  }
};

}  // namespace

std::vector<Extension> ConntrackExtensions() {
  std::vector<Extension> out = {
      MakeExtension<Conntrack>("conntrack", kConntrackOptions),
      MakeExtension<State>("state", kStateOptions),
      MakeExtension<Ct>("CT", kCtOptions, kBoth,
                        "zones and helpers are unknown"),
      MakeExtension<Notrack>("NOTRACK", {}),
  };
  out[2].tables = out[3].tables = TableBit(TableId::kRaw);
  return out;
}

}  // namespace k8sdns::netfilter
