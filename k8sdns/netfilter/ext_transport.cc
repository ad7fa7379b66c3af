// -m tcp, udp, sctp, dccp, multiport, icmp, icmp6.
#include <algorithm>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "k8sdns/netfilter/extension.h"

namespace k8sdns::netfilter {
namespace {

enum Id : uint8_t { kSport, kDport, kSyn, kFlags, kOption, kTypes };

void AppendPorts(absl::string_view option, PortRange ports, bool invert,
                 std::string* out) {
  if (ports.first == 0 && ports.last == 65535) return;
  if (invert) out->append(" !");
  absl::StrAppend(out, " ", option, " ");
  AppendNumber(ports.first, out);
  if (ports.first != ports.last) {
    out->push_back(':');
    AppendNumber(ports.last, out);
  }
}

// xtables_parse_port() of each end.
bool ReadProtocolPorts(OptionCall& call, absl::string_view protocol,
                       PortRange* ports) {
  const size_t colon = call.text.find(':');
  const absl::string_view first = call.text.substr(0, colon);
  uint16_t port = 0;
  ports->first = 0;
  ports->last = 65535;
  if (!first.empty() || colon == absl::string_view::npos) {
    if (!ReadPort(first, protocol, &port)) {
      return call.rule->Fail("invalid port or service `", first, "'");
    }
    ports->first = port;
  }
  if (colon == absl::string_view::npos) {
    ports->last = ports->first;
    return true;
  }
  const absl::string_view last = call.text.substr(colon + 1);
  if (!last.empty()) {
    if (!ReadPort(last, protocol, &port)) {
      return call.rule->Fail("invalid port or service `", last, "'");
    }
    ports->last = port;
  }
  if (ports->first > ports->last) {
    return call.rule->Fail("invalid port range `", call.text, "'");
  }
  return true;
}

// Fields that tcp, udp, sctp and dccp share.
template <typename Op>
void SetPorts(const OptionCall& call, PortRange ports, Op& op) {
  const bool source = call.id() == kSport;
  op.flags |= source ? kHasSourcePort : kHasDestinationPort;
  if (call.invert) {
    op.flags |= source ? kInvertSourcePort : kInvertDestinationPort;
  }
  (source ? op.source : op.destination) = ports;
}

// nft compares a negated range that begins at 0 with its end.
// A whole range is none at all.
template <typename Op>
void NormalizePorts(const RuleContext& rule, Op& op) {
  auto normalize = [&](uint8_t has, uint8_t invert, PortRange& ports) {
    if ((op.flags & has) == 0) return;
    const bool whole = ports.first == 0 && ports.last == 65535;
    if ((op.flags & invert) == 0) {
      if (whole) op.flags &= ~has;
      if (whole) ports = PortRange();
      return;
    }
    if (rule.variant != Variant::kNft || whole) return;
    if (ports.first == 0 && ports.first != ports.last) {
      ports.first = static_cast<uint16_t>(ports.last + 1);
      ports.last = 65535;
      op.flags &= ~invert;
    }
  };
  normalize(kHasSourcePort, kInvertSourcePort, op.source);
  normalize(kHasDestinationPort, kInvertDestinationPort, op.destination);
}

template <typename Op>
void PrintPorts(const Op& op, std::string* out) {
  if ((op.flags & kHasSourcePort) != 0) {
    AppendPorts("--sport", op.source, (op.flags & kInvertSourcePort) != 0, out);
  }
  if ((op.flags & kHasDestinationPort) != 0) {
    AppendPorts("--dport", op.destination,
                (op.flags & kInvertDestinationPort) != 0, out);
  }
}

// ---- tcp ----

struct FlagName {
  absl::string_view name;
  uint8_t bits;
};
constexpr FlagName kFlagNames[] = {
    {"FIN", 0x01}, {"SYN", 0x02}, {"RST", 0x04}, {"PSH", 0x08},
    {"ACK", 0x10}, {"URG", 0x20}, {"ALL", 0x3f}, {"NONE", 0x00},
};

bool ReadTcpFlags(RuleContext& rule, absl::string_view text, uint8_t* bits) {
  *bits = 0;
  for (absl::string_view name : absl::StrSplit(text, ',', absl::SkipEmpty())) {
    const FlagName* found = nullptr;
    for (const FlagName& f : kFlagNames) {
      if (absl::EqualsIgnoreCase(f.name, name)) found = &f;
    }
    if (found == nullptr) return rule.Fail("unknown TCP flag `", name, "'");
    *bits |= found->bits;
  }
  return true;
}

void AppendTcpFlags(uint8_t bits, std::string* out) {
  bool any = false;
  for (const FlagName& f : kFlagNames) {
    if ((f.bits & bits) == 0) continue;
    if (any) out->push_back(',');
    out->append(f.name.data(), f.name.size());
    bits &= ~f.bits;
    any = true;
  }
  if (!any) out->append("NONE");
}

struct Tcp : ExtensionBase<TcpMatch> {
  static bool Parse(OptionCall& call, TcpMatch& op) {
    switch (call.id()) {
      case kSport:
      case kDport: {
        PortRange ports;
        if (!ReadProtocolPorts(call, "tcp", &ports)) return false;
        SetPorts(call, ports, op);
        return true;
      }
      case kSyn:
        if (call.Seen(kFlags)) {
          return call.rule->Fail("only one of --syn or --tcp-flags allowed");
        }
        *call.seen |= Bit(kFlags);
        op.flag_mask = 0x17;
        op.flag_compare = 0x02;
        break;
      case kFlags: {
        if (call.following.empty() ||
            absl::StartsWith(call.following[0], "-") ||
            absl::StartsWith(call.following[0], "!")) {
          return call.rule->Fail("--tcp-flags requires two arguments");
        }
        call.taken = 1;
        uint8_t mask;
        uint8_t compare;
        if (!ReadTcpFlags(*call.rule, call.text, &mask) ||
            !ReadTcpFlags(*call.rule, call.following[0], &compare)) {
          return false;
        }
        op.flag_mask = mask;
        op.flag_compare = compare;
        break;
      }
      case kOption:
        op.option = static_cast<uint8_t>(call.number);
        op.flags |= kHasTcpOption;
        if (call.invert) op.flags |= kInvertTcpOption;
        return true;
    }
    op.flags |= kHasTcpFlags;
    if (call.invert) op.flags |= kInvertTcpFlags;
    return true;
  }
  static bool Finish(FinishCall& call, TcpMatch& op) {
    NormalizePorts(*call.rule, op);
    if (call.rule->variant == Variant::kNft && op.flags != 0 &&
        (op.flags & kHasTcpOption) == 0 && call.rule->protocol != 6) {
      return call.rule->Fail("tcp needs -p tcp");
    }
    if (op.flag_mask == 0 && op.flag_compare == 0 &&
        (op.flags & kInvertTcpFlags) == 0) {
      op.flags &= ~kHasTcpFlags;
    }
    return true;
  }
  static void Print(const PrintContext&, const TcpMatch& op, std::string* out) {
    PrintPorts(op, out);
    if ((op.flags & kHasTcpOption) != 0) {
      if ((op.flags & kInvertTcpOption) != 0) out->append(" !");
      out->append(" --tcp-option ");
      AppendNumber(op.option, out);
    }
    if (op.flag_mask != 0 || (op.flags & kInvertTcpFlags) != 0) {
      if ((op.flags & kInvertTcpFlags) != 0) out->append(" !");
      out->append(" --tcp-flags ");
      AppendTcpFlags(op.flag_mask, out);
      out->push_back(' ');
      AppendTcpFlags(op.flag_compare, out);
    }
  }
};
constexpr OptionSpec kTcpOptions[] = {
    {"source-port", kSport, ValueType::kString, kInvertible},
    {"sport", kSport, ValueType::kString, kInvertible},
    {"destination-port", kDport, ValueType::kString, kInvertible},
    {"dport", kDport, ValueType::kString, kInvertible},
    {"syn", kSyn, ValueType::kNone, kInvertible},
    {"tcp-flags", kFlags, ValueType::kString, kInvertible},
    {"tcp-option", kOption, ValueType::kUint8, kInvertible, 0, 0, 1, 255},
};

// ---- udp ----

struct Udp : ExtensionBase<UdpMatch> {
  static bool Parse(OptionCall& call, UdpMatch& op) {
    SetPorts(call, call.ports, op);
    return true;
  }
  static bool Finish(FinishCall& call, UdpMatch& op) {
    NormalizePorts(*call.rule, op);
    if (call.rule->variant == Variant::kNft && op.flags != 0 &&
        call.rule->protocol != 17) {
      return call.rule->Fail("udp needs -p udp");
    }
    return true;
  }
  static void Print(const PrintContext&, const UdpMatch& op, std::string* out) {
    PrintPorts(op, out);
  }
};
constexpr OptionSpec kUdpOptions[] = {
    {"source-port", kSport, ValueType::kPortRange, kInvertible},
    {"sport", kSport, ValueType::kPortRange, kInvertible},
    {"destination-port", kDport, ValueType::kPortRange, kInvertible},
    {"dport", kDport, ValueType::kPortRange, kInvertible},
};

// ---- sctp ----

struct ChunkName {
  absl::string_view name;
  uint8_t type;
  absl::string_view flags;  // of bits 7..0; '-': none
};
constexpr ChunkName kChunks[] = {
    {"DATA", 0, "----IUBE"},
    {"INIT", 1, "--------"},
    {"INIT_ACK", 2, "--------"},
    {"SACK", 3, "--------"},
    {"HEARTBEAT", 4, "--------"},
    {"HEARTBEAT_ACK", 5, "--------"},
    {"ABORT", 6, "-------T"},
    {"SHUTDOWN", 7, "--------"},
    {"SHUTDOWN_ACK", 8, "--------"},
    {"ERROR", 9, "--------"},
    {"COOKIE_ECHO", 10, "--------"},
    {"COOKIE_ACK", 11, "--------"},
    {"ECN_ECNE", 12, "--------"},
    {"ECN_CWR", 13, "--------"},
    {"SHUTDOWN_COMPLETE", 14, "-------T"},
    {"I_DATA", 64, "----IUBE"},
    {"RE_CONFIG", 130, "--------"},
    {"PAD", 132, "--------"},
    {"ASCONF", 193, "--------"},
    {"ASCONF_ACK", 128, "--------"},
    {"FORWARD_TSN", 192, "--------"},
    {"I_FORWARD_TSN", 194, "--------"},
};

// "any DATA:be,INIT" in the printed form. False: refused.
bool CanonicalChunks(RuleContext& rule, absl::string_view how,
                     absl::string_view list, std::string* out) {
  if (!absl::EqualsIgnoreCase(how, "any") &&
      !absl::EqualsIgnoreCase(how, "all") &&
      !absl::EqualsIgnoreCase(how, "only")) {
    return rule.Fail(
        "match type has to be one of \"all\", \"any\" or \"only\"");
  }
  absl::StrAppend(out, absl::AsciiStrToLower(how), " ");
  if (absl::EqualsIgnoreCase(list, "ALL")) {
    out->append("ALL");
    return true;
  }
  if (absl::EqualsIgnoreCase(list, "NONE")) {
    out->append("NONE");
    return true;
  }
  std::string chosen[256];
  bool is_set[256] = {};
  for (absl::string_view item : absl::StrSplit(list, ',', absl::SkipEmpty())) {
    const size_t colon = item.find(':');
    const absl::string_view name = item.substr(0, colon);
    const ChunkName* chunk = nullptr;
    for (const ChunkName& c : kChunks) {
      if (absl::EqualsIgnoreCase(c.name, name)) chunk = &c;
    }
    if (chunk == nullptr) return rule.Fail("unknown sctp chunk `", name, "'");
    is_set[chunk->type] = true;
    std::string flags;
    if (colon != absl::string_view::npos) {
      std::string bits(8, '\0');
      for (char c : item.substr(colon + 1)) {
        const size_t bit = chunk->flags.find(absl::ascii_toupper(c));
        if (bit == absl::string_view::npos || c == '-') {
          return rule.Fail("invalid flags for chunk `", name, "'");
        }
        bits[bit] = c;
      }
      for (char c : bits) {
        if (c != '\0') flags.push_back(c);
      }
    }
    chosen[chunk->type] = flags.empty() ? std::string(chunk->name)
                                        : absl::StrCat(chunk->name, ":", flags);
  }
  bool any = false;
  for (int type = 0; type < 256; ++type) {
    if (!is_set[type]) continue;
    if (any) out->push_back(',');
    out->append(chosen[type]);
    any = true;
  }
  if (!any) out->append("NONE");
  return true;
}

struct Sctp : ExtensionBase<SctpMatch> {
  static bool Parse(OptionCall& call, SctpMatch& op) {
    if (call.id() != kTypes) {
      PortRange ports;
      if (!ReadProtocolPorts(call, "sctp", &ports)) return false;
      SetPorts(call, ports, op);
      return true;
    }
    if (call.following.empty() || absl::StartsWith(call.following[0], "-") ||
        absl::StartsWith(call.following[0], "!")) {
      return call.rule->Fail("--chunk-types requires two arguments");
    }
    call.taken = 1;
    std::string text = call.invert ? "! --chunk-types " : "--chunk-types ";
    if (!CanonicalChunks(*call.rule, call.text, call.following[0], &text)) {
      return false;
    }
    op.has_chunks = 1;
    op.chunks = call.rule->strings->Intern(text);
    return true;
  }
  static void Print(const PrintContext& context, const SctpMatch& op,
                    std::string* out) {
    // Unlike tcp, the whole range is printed.
    auto ports = [&](absl::string_view option, PortRange p, bool invert) {
      if (p.first == 0 && p.last == 65535) {
        absl::StrAppend(out, invert ? " ! " : " ", option, " 0:65535");
      } else {
        AppendPorts(option, p, invert, out);
      }
    };
    if ((op.flags & kHasSourcePort) != 0) {
      ports("--sport", op.source, (op.flags & kInvertSourcePort) != 0);
    }
    if ((op.flags & kHasDestinationPort) != 0) {
      ports("--dport", op.destination,
            (op.flags & kInvertDestinationPort) != 0);
    }
    if (op.chunks != 0) {
      absl::StrAppend(out, " ", context.strings->Get(op.chunks));
    }
  }
};
constexpr OptionSpec kSctpOptions[] = {
    {"source-port", kSport, ValueType::kString, kInvertible},
    {"sport", kSport, ValueType::kString, kInvertible},
    {"destination-port", kDport, ValueType::kString, kInvertible},
    {"dport", kDport, ValueType::kString, kInvertible},
    {"chunk-types", kTypes, ValueType::kString, kInvertible},
};

// ---- dccp ----

constexpr absl::string_view kDccpTypes[] = {
    "REQUEST",  "RESPONSE", "DATA",  "ACK",  "DATAACK",
    "CLOSEREQ", "CLOSE",    "RESET", "SYNC", "SYNCACK"};
constexpr int kDccpInvalid = 10;

struct Dccp : ExtensionBase<DccpMatch> {
  static bool Parse(OptionCall& call, DccpMatch& op) {
    if (call.id() == kSport || call.id() == kDport) {
      SetPorts(call, call.ports, op);
      return true;
    }
    if (call.id() == kOption) {
      op.flags |= kHasTcpOption;
      if (call.invert) op.flags |= kInvertTcpOption;
      op.option = static_cast<uint8_t>(call.number);
      return true;
    }
    op.has_types = 1;
    op.invert_types = call.invert;
    for (absl::string_view name :
         absl::StrSplit(call.text, ',', absl::SkipEmpty())) {
      int type = -1;
      for (int i = 0; i < 10; ++i) {
        if (absl::EqualsIgnoreCase(kDccpTypes[i], name)) type = i;
      }
      if (absl::EqualsIgnoreCase("INVALID", name)) type = kDccpInvalid;
      if (type < 0) return call.rule->Fail("unknown DCCP type `", name, "'");
      op.types = static_cast<uint16_t>(op.types | 1 << type);
    }
    return true;
  }
  static void Print(const PrintContext&, const DccpMatch& op,
                    std::string* out) {
    auto ports = [&](absl::string_view option, PortRange p, bool invert) {
      absl::StrAppend(out, invert ? " ! " : " ", option, " ");
      AppendNumber(p.first, out);
      if (p.first != p.last) {
        out->push_back(':');
        AppendNumber(p.last, out);
      }
    };
    if ((op.flags & kHasSourcePort) != 0) {
      ports("--sport", op.source, (op.flags & kInvertSourcePort) != 0);
    }
    if ((op.flags & kHasDestinationPort) != 0) {
      ports("--dport", op.destination,
            (op.flags & kInvertDestinationPort) != 0);
    }
    if (op.has_types != 0) {
      absl::StrAppend(out, op.invert_types ? " ! " : " ", "--dccp-types ");
      bool any = false;
      for (int i = 0; i <= kDccpInvalid; ++i) {
        if ((op.types >> i & 1) == 0) continue;
        if (any) out->push_back(',');
        absl::StrAppend(out, i == kDccpInvalid ? "INVALID" : kDccpTypes[i]);
        any = true;
      }
    }
    if ((op.flags & kHasTcpOption) != 0) {
      absl::StrAppend(out, (op.flags & kInvertTcpOption) != 0 ? " ! " : " ",
                      "--dccp-option ", op.option);
    }
  }
};
constexpr OptionSpec kDccpOptions[] = {
    {"source-port", kSport, ValueType::kPortRange, kInvertible},
    {"sport", kSport, ValueType::kPortRange, kInvertible},
    {"destination-port", kDport, ValueType::kPortRange, kInvertible},
    {"dport", kDport, ValueType::kPortRange, kInvertible},
    {"dccp-types", kTypes, ValueType::kString, kInvertible},
    {"dccp-option", kOption, ValueType::kUint8, kInvertible, 0, 0, 1, 255},
};

// ---- multiport ----

struct Multiport : ExtensionBase<MultiportMatch> {
  static bool Parse(OptionCall& call, MultiportMatch& op) {
    RuleContext& rule = *call.rule;
    absl::string_view protocol;
    switch (rule.protocol) {
      case 6:
        protocol = "tcp";
        break;
      case 17:
        protocol = "udp";
        break;
      case 33:
        protocol = "dccp";
        break;
      case 132:
        protocol = "sctp";
        break;
      case 136:
        protocol = "udplite";
        break;
    }
    if (protocol.empty() || rule.protocol_inverted) {
      return rule.Fail(
          "multiport needs -p tcp, udp, udplite, sctp or dccp before it");
    }
    op.which = static_cast<uint8_t>(call.id());
    op.invert = call.invert;
    for (absl::string_view item : absl::StrSplit(call.text, ',')) {
      const size_t colon = item.find(':');
      const bool range = colon != absl::string_view::npos;
      if (op.count + (range ? 2 : 1) > MultiportMatch::kMaxPorts) {
        return rule.Fail("too many ports specified");
      }
      uint16_t first;
      uint16_t last;
      if (!ReadPort(item.substr(0, colon), protocol, &first) ||
          (range && !ReadPort(item.substr(colon + 1), protocol, &last))) {
        return rule.Fail("invalid port or service `", item, "'");
      }
      if (range && first >= last) {
        return rule.Fail("invalid port range `", item, "'");
      }
      if (range) {
        op.range_starts =
            static_cast<uint16_t>(op.range_starts | 1 << op.count);
      }
      op.ports[op.count++] = first;
      if (range) op.ports[op.count++] = last;
    }
    return true;
  }
  static bool Finish(FinishCall& call, MultiportMatch&) {
    return call.seen != 0 || call.rule->Fail("multiport: no ports given");
  }
  static void Print(const PrintContext&, const MultiportMatch& op,
                    std::string* out) {
    if (op.invert) out->append(" !");
    out->append(op.which == MultiportMatch::kSource        ? " --sports "
                : op.which == MultiportMatch::kDestination ? " --dports "
                                                           : " --ports ");
    for (int i = 0; i < op.count; ++i) {
      if (i > 0) out->push_back((op.range_starts >> (i - 1) & 1) ? ':' : ',');
      AppendNumber(op.ports[i], out);
    }
  }
};
constexpr uint32_t kAnyPorts = Bit(0) | Bit(1) | Bit(2);
constexpr OptionSpec kMultiportOptions[] = {
    {"source-ports", 0, ValueType::kString, kInvertible, kAnyPorts},
    {"sports", 0, ValueType::kString, kInvertible, kAnyPorts},
    {"destination-ports", 1, ValueType::kString, kInvertible, kAnyPorts},
    {"dports", 1, ValueType::kString, kInvertible, kAnyPorts},
    {"ports", 2, ValueType::kString, kInvertible, kAnyPorts},
};

// ---- icmp ----

struct IcmpName {
  absl::string_view name;
  uint8_t type;
  uint8_t first_code;
  uint8_t last_code;
};
constexpr IcmpName kIcmpNames[] = {
    {"any", 255, 0, 255},
    {"echo-reply", 0, 0, 255},
    {"pong", 0, 0, 255},
    {"destination-unreachable", 3, 0, 255},
    {"network-unreachable", 3, 0, 0},
    {"host-unreachable", 3, 1, 1},
    {"protocol-unreachable", 3, 2, 2},
    {"port-unreachable", 3, 3, 3},
    {"fragmentation-needed", 3, 4, 4},
    {"source-route-failed", 3, 5, 5},
    {"network-unknown", 3, 6, 6},
    {"host-unknown", 3, 7, 7},
    {"network-prohibited", 3, 9, 9},
    {"host-prohibited", 3, 10, 10},
    {"TOS-network-unreachable", 3, 11, 11},
    {"TOS-host-unreachable", 3, 12, 12},
    {"communication-prohibited", 3, 13, 13},
    {"host-precedence-violation", 3, 14, 14},
    {"precedence-cutoff", 3, 15, 15},
    {"source-quench", 4, 0, 255},
    {"redirect", 5, 0, 255},
    {"network-redirect", 5, 0, 0},
    {"host-redirect", 5, 1, 1},
    {"TOS-network-redirect", 5, 2, 2},
    {"TOS-host-redirect", 5, 3, 3},
    {"echo-request", 8, 0, 255},
    {"ping", 8, 0, 255},
    {"router-advertisement", 9, 0, 255},
    {"router-solicitation", 10, 0, 255},
    {"time-exceeded", 11, 0, 255},
    {"ttl-exceeded", 11, 0, 255},
    {"ttl-zero-during-transit", 11, 0, 0},
    {"ttl-zero-during-reassembly", 11, 1, 1},
    {"parameter-problem", 12, 0, 255},
    {"ip-header-bad", 12, 0, 0},
    {"required-option-missing", 12, 1, 1},
    {"timestamp-request", 13, 0, 255},
    {"timestamp-reply", 14, 0, 255},
    {"address-mask-request", 17, 0, 255},
    {"address-mask-reply", 18, 0, 255},
};
constexpr IcmpName kIcmp6Names[] = {
    {"destination-unreachable", 1, 0, 255},
    {"no-route", 1, 0, 0},
    {"communication-prohibited", 1, 1, 1},
    {"beyond-scope", 1, 2, 2},
    {"address-unreachable", 1, 3, 3},
    {"port-unreachable", 1, 4, 4},
    {"failed-policy", 1, 5, 5},
    {"reject-route", 1, 6, 6},
    {"packet-too-big", 2, 0, 255},
    {"time-exceeded", 3, 0, 255},
    {"ttl-exceeded", 3, 0, 255},
    {"ttl-zero-during-transit", 3, 0, 0},
    {"ttl-zero-during-reassembly", 3, 1, 1},
    {"parameter-problem", 4, 0, 255},
    {"bad-header", 4, 0, 0},
    {"unknown-header-type", 4, 1, 1},
    {"unknown-option", 4, 2, 2},
    {"echo-request", 128, 0, 255},
    {"ping", 128, 0, 255},
    {"echo-reply", 129, 0, 255},
    {"pong", 129, 0, 255},
    {"mld-listener-query", 130, 0, 255},
    {"mld-listener-report", 131, 0, 255},
    {"mld-listener-done", 132, 0, 255},
    {"mld-listener-reduction", 132, 0, 255},
    {"router-solicitation", 133, 0, 255},
    {"router-advertisement", 134, 0, 255},
    {"neighbour-solicitation", 135, 0, 255},
    {"neighbor-solicitation", 135, 0, 255},
    {"neighbour-advertisement", 136, 0, 255},
    {"neighbor-advertisement", 136, 0, 255},
    {"redirect", 137, 0, 255},
};

// Names may be abbreviated and in any case.
bool ReadIcmp(RuleContext& rule, absl::string_view text,
              std::span<const IcmpName> names, IcmpMatchBase& op) {
  const IcmpName* found = nullptr;
  for (const IcmpName& n : names) {
    if (!absl::StartsWithIgnoreCase(n.name, text)) continue;
    if (found != nullptr) {
      return rule.Fail("ambiguous ICMP type `", text, "'");
    }
    found = &n;
  }
  if (found != nullptr) {
    op.type = found->type;
    op.first_code = found->first_code;
    op.last_code = found->last_code;
    return true;
  }
  const size_t slash = text.find('/');
  uint64_t type;
  uint64_t code;
  if (!ReadNumber(text.substr(0, slash), 0, 0, 255, &type)) {
    return rule.Fail("invalid ICMP type `", text, "'");
  }
  op.type = static_cast<uint8_t>(type);
  op.first_code = 0;
  op.last_code = 255;
  if (slash == absl::string_view::npos) return true;
  if (!ReadNumber(text.substr(slash + 1), 0, 0, 255, &code)) {
    return rule.Fail("invalid ICMP code `", text, "'");
  }
  op.first_code = op.last_code = static_cast<uint8_t>(code);
  return true;
}

struct Icmp : ExtensionBase<IcmpMatch> {
  static void Init(IcmpMatch& op, const RuleContext&) {
    op.type = 255;
    op.last_code = 255;
  }
  static bool Parse(OptionCall& call, IcmpMatch& op) {
    op.invert = call.invert;
    return ReadIcmp(*call.rule, call.text, kIcmpNames, op);
  }
  static void Print(const PrintContext&, const IcmpMatch& op,
                    std::string* out) {
    if (op.invert) out->append(" !");
    if (op.type == 255) {
      out->append(" --icmp-type any");
      return;
    }
    absl::StrAppend(out, " --icmp-type ", op.type);
    if (op.first_code != 0 || op.last_code != 255) {
      absl::StrAppend(out, "/", op.first_code);
    }
  }
};
constexpr OptionSpec kIcmpOptions[] = {
    {"icmp-type", 0, ValueType::kString, kInvertible | kMandatory}};

struct Icmp6 : ExtensionBase<Icmp6Match> {
  static void Init(Icmp6Match& op, const RuleContext&) { op.last_code = 255; }
  static bool Parse(OptionCall& call, Icmp6Match& op) {
    op.invert = call.invert;
    return ReadIcmp(*call.rule, call.text, kIcmp6Names, op);
  }
  static void Print(const PrintContext&, const Icmp6Match& op,
                    std::string* out) {
    if (op.invert) out->append(" !");
    absl::StrAppend(out, " --icmpv6-type ", op.type);
    if (op.first_code != 0 || op.last_code != 255) {
      absl::StrAppend(out, "/", op.first_code);
    }
  }
};
constexpr OptionSpec kIcmp6Options[] = {
    {"icmpv6-type", 0, ValueType::kString, kInvertible | kMandatory}};

}  // namespace

std::vector<Extension> TransportExtensions() {
  std::vector<Extension> out = {
      MakeExtension<Tcp>("tcp", kTcpOptions),
      MakeExtension<Udp>("udp", kUdpOptions),
      MakeExtension<Sctp>("sctp", kSctpOptions, kBoth,
                          "chunk types are unknown"),
      MakeExtension<Dccp>("dccp", kDccpOptions, kBoth,
                          "types and options are unknown"),
      MakeExtension<Icmp>("icmp", kIcmpOptions, kV4),
      MakeExtension<Icmp6>("icmp6", kIcmp6Options, kV6),
      MakeExtension<Multiport>("multiport", kMultiportOptions),
  };
  out[0].protocol = 6;
  out[2].protocol = 132;
  out[3].protocol = 33;
  out[4].protocol = 1;
  out[5].protocol = 58;
  return out;
}

}  // namespace k8sdns::netfilter
