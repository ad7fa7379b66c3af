// Where a packet comes from: -m addrtype, iprange, physdev, owner, rpfilter,
// mac, pkttype.
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "k8sdns/netfilter/extension.h"

namespace k8sdns::netfilter {
namespace {

// ---- addrtype ----

constexpr absl::string_view kTypes[] = {
    "UNSPEC",    "UNICAST",     "LOCAL",    "BROADCAST", "ANYCAST", "MULTICAST",
    "BLACKHOLE", "UNREACHABLE", "PROHIBIT", "THROW",     "NAT",     "XRESOLVE"};

struct Addrtype : ExtensionBase<AddrtypeMatch> {
  enum Id : uint8_t { kSrc, kDst, kIn, kOut };
  static bool Parse(OptionCall& call, AddrtypeMatch& op) {
    if (call.id() == kIn) op.limit_in = 1;
    if (call.id() == kOut) op.limit_out = 1;
    if (call.id() != kSrc && call.id() != kDst) return true;
    int bits = 0;
    for (absl::string_view part : absl::StrSplit(call.text, ',')) {
      int bit = -1;
      for (int i = 0; i < 12 && bit < 0; ++i) {
        if (!part.empty() && absl::StartsWithIgnoreCase(kTypes[i], part)) {
          bit = i;
        }
      }
      if (bit < 0) return call.rule->Fail("bad address type `", part, "'");
      bits |= 1 << bit;
    }
    if (call.id() == kSrc) {
      op.source = static_cast<uint16_t>(bits);
      op.invert_source = call.invert;
    } else {
      op.destination = static_cast<uint16_t>(bits);
      op.invert_destination = call.invert;
    }
    return true;
  }
  static bool Finish(FinishCall& call, AddrtypeMatch&) {
    return call.Seen(kSrc) || call.Seen(kDst) ||
           call.rule->Fail("addrtype: --src-type or --dst-type is required");
  }
  static void Print(const PrintContext&, const AddrtypeMatch& op,
                    std::string* out) {
    auto types = [&](absl::string_view name, uint16_t bits, bool invert) {
      if (bits == 0) return;
      absl::StrAppend(out, invert ? " ! --" : " --", name);
      char separator = ' ';
      for (int i = 0; i < 12; ++i) {
        if ((bits >> i & 1) == 0) continue;
        out->push_back(separator);
        absl::StrAppend(out, kTypes[i]);
        separator = ',';
      }
    };
    types("src-type", op.source, op.invert_source);
    types("dst-type", op.destination, op.invert_destination);
    if (op.limit_in) out->append(" --limit-iface-in");
    if (op.limit_out) out->append(" --limit-iface-out");
  }
};
constexpr OptionSpec kAddrtypeOptions[] = {
    {"src-type", Addrtype::kSrc, ValueType::kString, kInvertible},
    {"dst-type", Addrtype::kDst, ValueType::kString, kInvertible},
    {"limit-iface-in", Addrtype::kIn, ValueType::kNone, 0, Bit(Addrtype::kOut)},
    {"limit-iface-out", Addrtype::kOut, ValueType::kNone, 0,
     Bit(Addrtype::kIn)},
};

// ---- iprange ----

struct Iprange : ExtensionBase<IprangeMatch> {
  enum Id : uint8_t { kSrc, kDst };
  static bool ReadEnd(OptionCall& call, absl::string_view text,
                      uint32_t (&words)[4]) {
    for (uint32_t& w : words) w = 0;
    const bool ok = call.rule->family == IpFamily::kIpv4
                        ? ReadIpv4Sloppy(text, &words[0])
                        : ReadHost(call.rule->family, text, words);
    return ok || call.rule->Fail("iprange: bad IP address `", text, "'");
  }
  static bool Parse(OptionCall& call, IprangeMatch& op) {
    const size_t dash = call.text.find('-');
    uint32_t first[4];
    uint32_t last[4];
    if (!ReadEnd(call, call.text.substr(0, dash), first)) return false;
    if (dash == absl::string_view::npos) {
      std::copy(first, first + 4, last);
    } else if (!ReadEnd(call, call.text.substr(dash + 1), last)) {
      return false;
    }
    const bool source = call.id() == kSrc;
    op.flags |= source ? IprangeMatch::kSource : IprangeMatch::kDestination;
    if (call.invert) {
      op.flags |= source ? IprangeMatch::kInvertSource
                         : IprangeMatch::kInvertDestination;
    }
    std::copy(first, first + 4,
              source ? op.source_first : op.destination_first);
    std::copy(last, last + 4, source ? op.source_last : op.destination_last);
    return true;
  }
  static bool Finish(FinishCall& call, IprangeMatch&) {
    return call.seen != 0 ||
           call.rule->Fail("iprange: --src-range or --dst-range is required");
  }
  static void Print(const PrintContext& context, const IprangeMatch& op,
                    std::string* out) {
    auto range = [&](absl::string_view name, bool invert,
                     const Packed<uint32_t>(&first)[4],
                     const Packed<uint32_t>(&last)[4]) {
      absl::StrAppend(out, invert ? " ! --" : " --", name, " ");
      AppendAddress(context.family, first, out);
      out->push_back('-');
      AppendAddress(context.family, last, out);
    };
    if ((op.flags & IprangeMatch::kSource) != 0) {
      range("src-range", (op.flags & IprangeMatch::kInvertSource) != 0,
            op.source_first, op.source_last);
    }
    if ((op.flags & IprangeMatch::kDestination) != 0) {
      range("dst-range", (op.flags & IprangeMatch::kInvertDestination) != 0,
            op.destination_first, op.destination_last);
    }
  }
};
constexpr OptionSpec kIprangeOptions[] = {
    {"src-range", Iprange::kSrc, ValueType::kString, kInvertible},
    {"dst-range", Iprange::kDst, ValueType::kString, kInvertible},
};

// ---- physdev ----

struct Physdev : ExtensionBase<PhysdevMatch> {
  enum Id : uint8_t { kIn, kOut, kBridged, kIsIn, kIsOut };  // bit numbers
  static bool Parse(OptionCall& call, PhysdevMatch& op) {
    const uint8_t field = static_cast<uint8_t>(1 << call.id());
    op.given |= field;
    if (call.invert) op.invert |= field;
    if (call.id() != kIn && call.id() != kOut) return true;
    absl::string_view name = call.text;
    if (name.size() > 15) {
      return call.rule->Fail("interface name longer than 15 bytes");
    }
    const bool prefix = !name.empty() && name.back() == '+';
    if (prefix) name.remove_suffix(1);
    const StringId id = call.rule->strings->Intern(name);
    if (call.id() == kIn) {
      op.in = id;
      op.in_prefix = prefix;
    } else {
      op.out = id;
      op.out_prefix = prefix;
    }
    return true;
  }
  static bool Finish(FinishCall& call, PhysdevMatch&) {
    return call.seen != 0 || call.rule->Fail("physdev: no option specified");
  }
  static void Print(const PrintContext& context, const PhysdevMatch& op,
                    std::string* out) {
    auto option = [&](int id, absl::string_view name) {
      if ((op.given >> id & 1) == 0) return false;
      absl::StrAppend(out, (op.invert >> id & 1) != 0 ? " ! --" : " --",
                      "physdev-", name);
      return true;
    };
    option(kIsIn, "is-in");
    if (option(kIn, "in")) {
      absl::StrAppend(out, " ", context.strings->Get(op.in),
                      op.in_prefix ? "+" : "");
    }
    option(kIsOut, "is-out");
    if (option(kOut, "out")) {
      absl::StrAppend(out, " ", context.strings->Get(op.out),
                      op.out_prefix ? "+" : "");
    }
    option(kBridged, "is-bridged");
  }
};
constexpr OptionSpec kPhysdevOptions[] = {
    {"physdev-in", Physdev::kIn, ValueType::kString, kInvertible},
    {"physdev-out", Physdev::kOut, ValueType::kString, kInvertible},
    {"physdev-is-in", Physdev::kIsIn, ValueType::kNone, kInvertible},
    {"physdev-is-out", Physdev::kIsOut, ValueType::kNone, kInvertible},
    {"physdev-is-bridged", Physdev::kBridged, ValueType::kNone, kInvertible},
};

// ---- owner ----

struct Owner : ExtensionBase<OwnerMatch> {
  enum Id : uint8_t { kUid, kGid, kSocket, kGroups };  // bit numbers
  static bool ReadIds(OptionCall& call, uint32_t* first, uint32_t* last) {
    const auto named =
        call.id() == kUid ? FindUser(call.text) : FindGroup(call.text);
    if (named) {
      *first = *last = *named;
      return true;
    }
    uint64_t low;
    uint64_t high;
    size_t used;
    if (!ReadNumber(call.text, 0, 0, 0xfffffffe, &low, &used)) return false;
    high = low;
    if (used < call.text.size()) {
      if (call.text[used] != '-' && call.text[used] != ':') return false;
      if (!ReadNumber(call.text.substr(used + 1), 0, 0, 0xfffffffe, &high)) {
        return false;
      }
    }
    *first = static_cast<uint32_t>(low);
    *last = static_cast<uint32_t>(high);
    return true;
  }
  static bool Parse(OptionCall& call, OwnerMatch& op) {
    const uint8_t field = static_cast<uint8_t>(1 << call.id());
    op.given |= field;
    if (call.invert) op.invert |= field;
    uint32_t first;
    uint32_t last;
    if (call.id() == kGroups && !call.Seen(kGid)) {
      return call.rule->Fail("owner: --suppl-groups needs --gid-owner first");
    }
    if (call.id() != kUid && call.id() != kGid) return true;
    if (!ReadIds(call, &first, &last)) {
      return call.rule->Fail("owner: bad value `", call.text, "'");
    }
    if (call.id() == kUid) {
      op.first_uid = first;
      op.last_uid = last;
    } else {
      op.first_gid = first;
      op.last_gid = last;
    }
    return true;
  }
  static bool Finish(FinishCall& call, OwnerMatch&) {
    return call.seen != 0 ||
           call.rule->Fail("owner: at least one option is required");
  }
  static void Print(const PrintContext&, const OwnerMatch& op,
                    std::string* out) {
    auto option = [&](int id, absl::string_view name) {
      if ((op.given >> id & 1) == 0) return false;
      absl::StrAppend(out, (op.invert >> id & 1) != 0 ? " ! --" : " --", name);
      return true;
    };
    auto ids = [&](uint32_t first, uint32_t last) {
      absl::StrAppend(out, " ", first);
      if (first != last) absl::StrAppend(out, "-", last);
    };
    option(kSocket, "socket-exists");
    if (option(kUid, "uid-owner")) ids(op.first_uid, op.last_uid);
    if (option(kGid, "gid-owner")) ids(op.first_gid, op.last_gid);
    option(kGroups, "suppl-groups");
  }
};
constexpr OptionSpec kOwnerOptions[] = {
    {"uid-owner", Owner::kUid, ValueType::kString, kInvertible},
    {"gid-owner", Owner::kGid, ValueType::kString, kInvertible},
    {"socket-exists", Owner::kSocket, ValueType::kNone, kInvertible},
    {"suppl-groups", Owner::kGroups, ValueType::kNone},
};

// ---- rpfilter ----

struct Rpfilter : ExtensionBase<RpfilterMatch> {
  static bool Parse(OptionCall& call, RpfilterMatch& op) {
    if (call.id() == 0) op.loose = 1;
    if (call.id() == 1) op.valid_mark = 1;
    if (call.id() == 2) op.accept_local = 1;
    if (call.id() == 3) op.invert = 1;
    return true;
  }
  static void Print(const PrintContext&, const RpfilterMatch& op,
                    std::string* out) {
    if (op.loose) out->append(" --loose");
    if (op.valid_mark) out->append(" --validmark");
    if (op.accept_local) out->append(" --accept-local");
    if (op.invert) out->append(" --invert");
  }
};
constexpr OptionSpec kRpfilterOptions[] = {
    {"loose", 0, ValueType::kNone},
    {"validmark", 1, ValueType::kNone},
    {"accept-local", 2, ValueType::kNone},
    {"invert", 3, ValueType::kNone},
};

// ---- mac ----

struct Mac : ExtensionBase<MacMatch> {
  static bool Parse(OptionCall& call, MacMatch& op) {
    op.invert = call.invert;
    std::copy(call.mac, call.mac + 6, op.address);
    return true;
  }
  static void Print(const PrintContext&, const MacMatch& op, std::string* out) {
    out->append(op.invert ? " ! --mac-source " : " --mac-source ");
    for (int i = 0; i < 6; ++i) {
      absl::StrAppendFormat(out, "%s%02x", i == 0 ? "" : ":", op.address[i]);
    }
  }
};
constexpr OptionSpec kMacOptions[] = {
    {"mac-source", 0, ValueType::kMac, kMandatory | kInvertible}};

// ---- pkttype ----

struct Pkttype : ExtensionBase<PkttypeMatch> {
  struct Name {
    absl::string_view name;
    PkttypeMatch::Type type;
  };
  static constexpr Name kNames[] = {{"unicast", PkttypeMatch::kUnicast},
                                    {"broadcast", PkttypeMatch::kBroadcast},
                                    {"multicast", PkttypeMatch::kMulticast},
                                    {"otherhost", PkttypeMatch::kOther},
                                    {"bcast", PkttypeMatch::kBroadcast},
                                    {"mcast", PkttypeMatch::kMulticast},
                                    {"host", PkttypeMatch::kUnicast}};
  static bool Parse(OptionCall& call, PkttypeMatch& op) {
    op.invert = call.invert;
    for (const Name& n : kNames) {
      if (absl::EqualsIgnoreCase(n.name, call.text)) {
        op.type = n.type;
        return true;
      }
    }
    return call.rule->Fail("bad packet type `", call.text, "'");
  }
  static void Print(const PrintContext&, const PkttypeMatch& op,
                    std::string* out) {
    absl::StrAppend(out, op.invert ? " ! " : " ", "--pkt-type ",
                    kNames[op.type < 4 ? op.type : 0].name);
  }
};
constexpr OptionSpec kPkttypeOptions[] = {
    {"pkt-type", 0, ValueType::kString, kMandatory | kInvertible}};

}  // namespace

std::vector<Extension> AddressExtensions() {
  std::vector<Extension> out = {
      MakeExtension<Addrtype>("addrtype", kAddrtypeOptions),
      MakeExtension<Iprange>("iprange", kIprangeOptions),
      MakeExtension<Physdev>("physdev", kPhysdevOptions),
      MakeExtension<Owner>("owner", kOwnerOptions, kBoth,
                           "unknown without the credentials of the sender"),
      MakeExtension<Rpfilter>("rpfilter", kRpfilterOptions),
      MakeExtension<Mac>("mac", kMacOptions, kBoth,
                         "unknown on Ethernet without the sender's address"),
      MakeExtension<Pkttype>("pkttype", kPkttypeOptions),
  };
  out[3].hooks = HookBit(Hook::kOutput) | HookBit(Hook::kPostrouting);
  out[4].tables = TableBit(TableId::kRaw) | TableBit(TableId::kMangle);
  out[4].hooks = HookBit(Hook::kPrerouting);
  out[5].hooks = HookBit(Hook::kPrerouting) | HookBit(Hook::kInput) |
                 HookBit(Hook::kForward);
  return out;
}

}  // namespace k8sdns::netfilter
