// -m policy (IPsec): kept as text in the printed form (libxt_policy.c of
// iptables 1.8.9). A policy has up to four elements, divided by --next.
#include "absl/strings/str_format.h"
#include "k8sdns/netfilter/extension.h"

namespace k8sdns::netfilter {
namespace {

constexpr int kMaxElements = 4;  // XT_POLICY_MAX_ELEM

enum Id : uint8_t {
  kReqid,  // to kTunnelSource: parts of an element, in the order of printing
  kSpi,
  kProto,
  kMode,
  kTunnelDestination,
  kTunnelSource,
  kParts,
  kDir = kParts,
  kPol,
  kStrict,
  kNext,
};

struct PolicyOp {
  static constexpr OpKind kKind = OpKind::kUnknownMatch;
  struct Element {
    StringId parts[kParts] = {};
    uint8_t transport = 0;  // --mode transport or ! --mode tunnel
  };
  uint8_t out = 0;
  uint8_t has_direction = 0;
  uint8_t none = 0;
  uint8_t strict = 0;
  uint8_t count = 0;  // elements before the last
  Element elements[kMaxElements];
};

struct Policy : ExtensionBase<PolicyOp> {
  static bool Parse(OptionCall& call, PolicyOp& op) {
    switch (call.id()) {
      case kDir:
        op.has_direction = 1;
        op.out = call.text == "out";
        return op.out || call.text == "in" ||
               call.rule->Fail("policy: invalid dir `", call.text, "'");
      case kPol:
        op.none = call.text == "none";
        return op.none || call.text == "ipsec" ||
               call.rule->Fail("policy: invalid policy `", call.text, "'");
      case kStrict:
        op.strict = 1;
        return true;
      case kNext:
        return ++op.count < kMaxElements ||
               call.rule->Fail("policy: maximum policy depth reached");
      default:
        break;
    }
    PolicyOp::Element& element = op.elements[op.count];
    StringId& part = element.parts[call.id()];
    if (part != 0) {
      return call.rule->Fail("policy: double --", call.spec->name);
    }
    std::string text =
        absl::StrCat(call.invert ? " ! --" : " --", call.spec->name, " ");
    if (!AppendPart(call, &text)) return false;
    if (call.id() == kMode) {
      element.transport = (call.text == "transport") != call.invert;
    }
    part = call.rule->strings->Intern(text);
    return true;
  }

  static bool AppendPart(const OptionCall& call, std::string* text) {
    switch (call.id()) {
      case kReqid:
        absl::StrAppend(text, call.number);
        return true;
      case kSpi:
        absl::StrAppendFormat(text, "0x%x", call.number);
        return true;
      case kProto: {
        const absl::string_view name = call.number == 50    ? "esp"
                                       : call.number == 51  ? "ah"
                                       : call.number == 108 ? "ipcomp"
                                                            : "";
        if (name.empty()) {
          return call.rule->Fail("policy: protocol must be ah/esp/ipcomp");
        }
        absl::StrAppend(text, name);
        return true;
      }
      case kMode:
        absl::StrAppend(text, call.text);
        return call.text == "transport" || call.text == "tunnel" ||
               call.rule->Fail("policy: invalid mode `", call.text, "'");
      default: {
        uint32_t words[4];
        for (int i = 0; i < 4; ++i) words[i] = call.address.address[i];
        AppendAddress(call.rule->family, words, text);
        const int bits = call.rule->family == IpFamily::kIpv4 ? 32 : 128;
        if (call.address.prefix_length == AddressMask::kExplicitMask) {
          for (int i = 0; i < 4; ++i) words[i] = call.address.mask[i];
          text->push_back('/');
          AppendAddress(call.rule->family, words, text);
        } else if (call.address.prefix_length != bits) {
          absl::StrAppend(text, "/", call.address.prefix_length);
        }
        return true;
      }
    }
  }

  static bool Finish(FinishCall& call, PolicyOp& op) {
    if (!op.has_direction) {
      return call.rule->Fail("policy: neither --dir in nor --dir out");
    }
    if (op.none) {
      return (!op.strict && op.count == 0) ||
             call.rule->Fail("policy: policy none but policy given");
    }
    for (int i = 0; i <= op.count; ++i) {
      const PolicyOp::Element& e = op.elements[i];
      bool empty = true;
      for (int k = 0; k < kParts; ++k) empty = empty && e.parts[k] == 0;
      if (op.strict && empty) {
        return call.rule->Fail("policy: empty policy element ", i,
                               " with --strict");
      }
      const bool tunnel =
          e.parts[kTunnelSource] != 0 || e.parts[kTunnelDestination] != 0;
      // Without --mode it is transport.
      if (tunnel && (e.parts[kMode] == 0 || e.transport)) {
        return call.rule->Fail(
            "policy: --tunnel-src/--tunnel-dst is only valid in tunnel mode");
      }
    }
    return true;
  }

  static void Print(const PrintContext& context, const PolicyOp& op,
                    std::string* out) {
    absl::StrAppend(out, op.out ? " --dir out" : " --dir in",
                    op.none ? " --pol none" : " --pol ipsec",
                    op.strict ? " --strict" : "");
    if (op.none) return;
    for (int i = 0; i <= op.count; ++i) {
      if (i > 0) out->append(" --next");
      for (int k = 0; k < kParts; ++k) {
        absl::StrAppend(out, context.strings->Get(op.elements[i].parts[k]));
      }
    }
  }
};

constexpr uint8_t kPart = kInvertible | kRepeatable;
constexpr OptionSpec kPolicyOptions[] = {
    {"dir", kDir, ValueType::kString},
    {"pol", kPol, ValueType::kString},
    {"strict", kStrict, ValueType::kNone},
    {"reqid", kReqid, ValueType::kUint32, kPart},
    {"spi", kSpi, ValueType::kUint32, kPart},
    {"tunnel-src", kTunnelSource, ValueType::kHostMask, kPart},
    {"tunnel-dst", kTunnelDestination, ValueType::kHostMask, kPart},
    {"proto", kProto, ValueType::kProtocol, kPart},
    {"mode", kMode, ValueType::kString, kPart},
    {"next", kNext, ValueType::kNone, kRepeatable, 0, Bit(kStrict)},
};

}  // namespace

std::vector<Extension> PolicyExtensions() {
  return {MakeExtension<Policy>("policy", kPolicyOptions)};
}

}  // namespace k8sdns::netfilter
