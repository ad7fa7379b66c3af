// Header fields: -m comment, nfacct, length, ttl, hl, tos, dscp; -j TTL, HL,
// DSCP, TCPMSS.
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "k8sdns/netfilter/extension.h"

namespace k8sdns::netfilter {
namespace {

struct Comment : ExtensionBase<CommentMatch> {
  static bool Parse(OptionCall& call, CommentMatch& op) {
    // The kernel keeps 255 bytes.
    op.text = call.rule->strings->Intern(call.text.substr(0, 255));
    return true;
  }
  static void Print(const PrintContext& context, const CommentMatch& op,
                    std::string* out) {
    out->append(" --comment");
    AppendQuoted(context.strings->Get(op.text), out);
  }
};
constexpr OptionSpec kCommentOptions[] = {
    {"comment", 0, ValueType::kString, kMandatory}};

struct Nfacct : ExtensionBase<NfacctMatch> {
  static bool Parse(OptionCall& call, NfacctMatch& op) {
    op.name = call.rule->strings->Intern(call.text);
    return true;
  }
  static void Print(const PrintContext& context, const NfacctMatch& op,
                    std::string* out) {
    out->append(" --nfacct-name ");  // and AppendQuoted()'s own space
    AppendQuoted(context.strings->Get(op.name), out);
  }
};
// NFACCT_NAME_MAX is 32, with the terminator.
constexpr OptionSpec kNfacctOptions[] = {
    {"nfacct-name", 0, ValueType::kString, kMandatory, 0, 0, 1, 31}};

struct Length : ExtensionBase<LengthMatch> {
  static bool Parse(OptionCall& call, LengthMatch& op) {
    op.invert = call.invert;
    op.first = static_cast<uint16_t>(call.first);
    op.last = static_cast<uint16_t>(call.last);
    return true;
  }
  static void Print(const PrintContext&, const LengthMatch& op,
                    std::string* out) {
    absl::StrAppend(out, op.invert ? " ! --length " : " --length ", op.first);
    if (op.first != op.last) absl::StrAppend(out, ":", op.last);
  }
};
constexpr OptionSpec kLengthOptions[] = {
    {"length", 0, ValueType::kUint16Range, kMandatory | kInvertible}};

// ---- ttl and hl ----

enum TtlId : uint8_t { kEq, kLt, kGt };

template <typename Op>
struct TtlTest : ExtensionBase<Op> {
  static bool Parse(OptionCall& call, Op& op) {
    op.value = static_cast<uint8_t>(call.number);
    op.mode = call.id() == kLt   ? Op::kLess
              : call.id() == kGt ? Op::kGreater
              : call.invert      ? Op::kNotEqual
                                 : Op::kEqual;
    return true;
  }
  static bool Finish(FinishCall& call, Op&) {
    return call.seen != 0 ||
           call.rule->Fail("one of -eq, -lt, -gt is required");
  }
  static void Print(const PrintContext&, const Op& op, std::string* out) {
    static constexpr absl::string_view kModes[] = {"-eq ", "-eq ", "-lt ",
                                                   "-gt "};
    absl::StrAppend(out, op.mode == Op::kNotEqual ? " ! --" : " --",
                    Op::kKind == OpKind::kTtl ? "ttl" : "hl", kModes[op.mode],
                    op.value);
  }
};
constexpr OptionSpec kTtlOptions[] = {
    {"ttl-lt", kLt, ValueType::kUint8, 0, 7},
    {"ttl-gt", kGt, ValueType::kUint8, 0, 7},
    {"ttl-eq", kEq, ValueType::kUint8, kInvertible, 7},
    {"ttl", kEq, ValueType::kUint8, kInvertible, 7},
};
constexpr OptionSpec kHlOptions[] = {
    {"hl-lt", kLt, ValueType::kUint8, 0, 7},
    {"hl-gt", kGt, ValueType::kUint8, 0, 7},
    {"hl-eq", kEq, ValueType::kUint8, kInvertible, 7},
    {"hl", kEq, ValueType::kUint8, kInvertible, 7},
};

template <typename Op>
struct TtlChange : ExtensionBase<Op> {
  static bool Parse(OptionCall& call, Op& op) {
    op.mode = static_cast<uint8_t>(call.id());
    op.value = static_cast<uint8_t>(call.number);
    return true;
  }
  static bool Finish(FinishCall& call, Op&) {
    return call.seen != 0 || call.rule->Fail("an action is required");
  }
  static void Print(const PrintContext&, const Op& op, std::string* out) {
    static constexpr absl::string_view kModes[] = {"-set ", "-inc ", "-dec "};
    absl::StrAppend(out, " --", Op::kKind == OpKind::kSetTtl ? "ttl" : "hl",
                    kModes[op.mode], op.value);
  }
};
constexpr OptionSpec kSetTtlOptions[] = {
    {"ttl-set", TtlTargetBase::kSet, ValueType::kUint8, 0, 7},
    {"ttl-dec", TtlTargetBase::kDecrease, ValueType::kUint8, 0, 7, 0, 1},
    {"ttl-inc", TtlTargetBase::kIncrease, ValueType::kUint8, 0, 7, 0, 1},
};
constexpr OptionSpec kSetHlOptions[] = {
    {"hl-set", TtlTargetBase::kSet, ValueType::kUint8, 0, 7},
    {"hl-dec", TtlTargetBase::kDecrease, ValueType::kUint8, 0, 7, 0, 1},
    {"hl-inc", TtlTargetBase::kIncrease, ValueType::kUint8, 0, 7, 0, 1},
};

// ---- tos and dscp ----

struct TosTest : ExtensionBase<TosMatch> {
  static bool Parse(OptionCall& call, TosMatch& op) {
    op.invert = call.invert;
    op.value = static_cast<uint8_t>(call.value);
    op.mask = static_cast<uint8_t>(call.mask);
    return true;
  }
  static void Print(const PrintContext&, const TosMatch& op, std::string* out) {
    out->append(op.invert ? " ! --tos" : " --tos");
    absl::StrAppendFormat(out, " 0x%02x/0x%02x", op.value, op.mask);
  }
};
constexpr OptionSpec kTosOptions[] = {
    {"tos", 0, ValueType::kTos, kMandatory | kInvertible, 0, 0, 0, 0x3f}};

struct DscpClass {
  absl::string_view name;
  uint8_t value;
};
constexpr DscpClass kDscpClasses[] = {
    {"CS0", 0},   {"CS1", 8},   {"CS2", 16},  {"CS3", 24},  {"CS4", 32},
    {"CS5", 40},  {"CS6", 48},  {"CS7", 56},  {"BE", 0},    {"AF11", 10},
    {"AF12", 12}, {"AF13", 14}, {"AF21", 18}, {"AF22", 20}, {"AF23", 22},
    {"AF31", 26}, {"AF32", 28}, {"AF33", 30}, {"AF41", 34}, {"AF42", 36},
    {"AF43", 38}, {"EF", 46},
};

bool ReadDscp(OptionCall& call, uint8_t* value) {
  if (call.id() == 0) {
    *value = static_cast<uint8_t>(call.number);
    return true;
  }
  for (const DscpClass& c : kDscpClasses) {
    // What follows the name is ignored.
    if (absl::StartsWithIgnoreCase(call.text, c.name)) {
      *value = c.value;
      return true;
    }
  }
  return call.rule->Fail("invalid DSCP class `", call.text, "'");
}

struct DscpTest : ExtensionBase<DscpMatch> {
  static bool Parse(OptionCall& call, DscpMatch& op) {
    op.invert = call.invert;
    return ReadDscp(call, &op.value);
  }
  static bool Finish(FinishCall& call, DscpMatch&) {
    return call.seen != 0 || call.rule->Fail("dscp: --dscp is required");
  }
  static void Print(const PrintContext&, const DscpMatch& op,
                    std::string* out) {
    absl::StrAppendFormat(out, "%s --dscp 0x%02x", op.invert ? " !" : "",
                          op.value);
  }
};
constexpr OptionSpec kDscpOptions[] = {
    {"dscp", 0, ValueType::kUint8, kInvertible, Bit(1), 0, 0, 63},
    {"dscp-class", 1, ValueType::kString, kInvertible, Bit(0)},
};

struct DscpChange : ExtensionBase<DscpTarget> {
  static bool Parse(OptionCall& call, DscpTarget& op) {
    return ReadDscp(call, &op.value);
  }
  static bool Finish(FinishCall& call, DscpTarget&) {
    return call.seen != 0 || call.rule->Fail("DSCP: --set-dscp is required");
  }
  static void Print(const PrintContext&, const DscpTarget& op,
                    std::string* out) {
    absl::StrAppendFormat(out, " --set-dscp 0x%02x", op.value);
  }
};
constexpr OptionSpec kSetDscpOptions[] = {
    {"set-dscp", 0, ValueType::kUint8, 0, Bit(1), 0, 0, 63},
    {"set-dscp-class", 1, ValueType::kString, 0, Bit(0)},
};

// ---- TCPMSS ----

// 65535 less an IP header.
constexpr uint16_t kMaxMss4 = 65515;
constexpr uint16_t kMaxMss6 = 65495;

struct Tcpmss : ExtensionBase<TcpmssTarget> {
  static bool Parse(OptionCall& call, TcpmssTarget& op) {
    // The last one counts (libxt_TCPMSS.c).
    op.clamp_to_pmtu = call.id() == 1;
    op.mss = op.clamp_to_pmtu ? 0 : static_cast<uint16_t>(call.number);
    return op.mss <= kMaxMss6 || call.rule->family == IpFamily::kIpv4 ||
           call.rule->Fail("TCPMSS: --set-mss is out of range (0-65495)");
  }
  static bool Finish(FinishCall& call, TcpmssTarget&) {
    return call.seen != 0 || call.rule->Fail(
                                 "TCPMSS: --set-mss or "
                                 "--clamp-mss-to-pmtu is required");
  }
  static void Print(const PrintContext&, const TcpmssTarget& op,
                    std::string* out) {
    if (op.clamp_to_pmtu) {
      out->append(" --clamp-mss-to-pmtu");
    } else {
      absl::StrAppend(out, " --set-mss ", op.mss);
    }
  }
};
constexpr OptionSpec kTcpmssOptions[] = {
    {"set-mss", 0, ValueType::kUint16, 0, 0, 0, 0, kMaxMss4},
    {"clamp-mss-to-pmtu", 1, ValueType::kNone},
};

}  // namespace

std::vector<Extension> HeaderExtensions() {
  std::vector<Extension> out = {
      MakeExtension<TtlChange<TtlTarget>>("TTL", kSetTtlOptions, kV4),
      MakeExtension<TtlChange<HlTarget>>("HL", kSetHlOptions, kV6),
      MakeExtension<DscpChange>("DSCP", kSetDscpOptions),
      MakeExtension<Tcpmss>("TCPMSS", kTcpmssOptions),
      MakeExtension<Comment>("comment", kCommentOptions),
      MakeExtension<Nfacct>("nfacct", kNfacctOptions, kBoth,
                            "counters have no quota"),
      MakeExtension<Length>("length", kLengthOptions),
      MakeExtension<TtlTest<TtlMatch>>("ttl", kTtlOptions, kV4),
      MakeExtension<TtlTest<HlMatch>>("hl", kHlOptions, kV6),
      MakeExtension<TosTest>("tos", kTosOptions),
      MakeExtension<DscpTest>("dscp", kDscpOptions),
  };
  for (int i = 0; i < 3; ++i) out[i].tables = TableBit(TableId::kMangle);
  out[3].protocol = 6;
  return out;
}

}  // namespace k8sdns::netfilter
