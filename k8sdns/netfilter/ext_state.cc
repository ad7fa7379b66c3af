// Matches that ask outside state: -m recent, ipvs.
#include "absl/strings/match.h"
#include "k8sdns/netfilter/extension.h"

namespace k8sdns::netfilter {
namespace {

struct Recent : ExtensionBase<RecentMatch> {
  enum Id : uint8_t {
    kSetId,
    kRcheck,
    kUpdateId,
    kRemoveId,
    kSeconds,
    kReap,
    kHitcount,
    kRttl,
    kName,
    kRsource,
    kRdest,
    kMask,
  };
  static void Init(RecentMatch& op, const RuleContext& rule) {
    op.name = rule.strings->Intern("DEFAULT");
  }
  static bool Parse(OptionCall& call, RecentMatch& op) {
    const uint32_t number = static_cast<uint32_t>(call.number);
    switch (call.id()) {
      case kSetId:
      case kRcheck:
      case kUpdateId:
      case kRemoveId:
        op.mode = call.id() == kSetId      ? RecentMatch::kSet
                  : call.id() == kRcheck   ? RecentMatch::kCheck
                  : call.id() == kUpdateId ? RecentMatch::kUpdate
                                           : RecentMatch::kRemove;
        op.invert = call.invert;
        break;
      case kSeconds:
        op.seconds = number;
        break;
      case kReap:
        op.reap = 1;
        break;
      case kHitcount:
        op.hit_count = number;
        break;
      case kRttl:
        op.ttl = 1;
        break;
      case kName:
        op.name = call.rule->strings->Intern(call.text.substr(0, 199));
        break;
      case kRsource:
        op.destination = 0;
        break;
      case kRdest:
        op.destination = 1;
        break;
      case kMask: {
        const uint32_t used = call.rule->family == IpFamily::kIpv4 ? 1 : 4;
        op.has_mask = 0;
        for (uint32_t i = 0; i < used; ++i) {
          op.mask[i] = call.address.address[i];
          if (op.mask[i] != 0xffffffff) op.has_mask = 1;
        }
        if (!op.has_mask) {
          std::fill(op.mask, op.mask + 4, 0);
        }
        break;
      }
    }
    return true;
  }
  static bool Finish(FinishCall& call, RecentMatch&) {
    return (call.seen & 0xf) != 0 ||
           call.rule->Fail(
               "recent: one of --set, --rcheck, --update and "
               "--remove is required");
  }
  static void Print(const PrintContext& context, const RecentMatch& op,
                    std::string* out) {
    static constexpr absl::string_view kModes[] = {"", " --set", " --rcheck",
                                                   " --update", " --remove"};
    if (op.invert) out->append(" !");
    absl::StrAppend(out, kModes[op.mode]);
    if (op.seconds != 0) absl::StrAppend(out, " --seconds ", +op.seconds);
    if (op.reap) out->append(" --reap");
    if (op.hit_count != 0) absl::StrAppend(out, " --hitcount ", +op.hit_count);
    if (op.ttl) out->append(" --rttl");
    absl::StrAppend(out, " --name ", context.strings->Get(op.name), " --mask ");
    uint32_t mask[4];
    for (int i = 0; i < 4; ++i) mask[i] = op.has_mask ? +op.mask[i] : ~0u;
    AppendAddress(context.family, mask, out);
    out->append(op.destination ? " --rdest" : " --rsource");
  }
};
constexpr uint32_t kAnyOp = 0xf;
constexpr uint32_t kSetOrRemove = Bit(Recent::kSetId) | Bit(Recent::kRemoveId);
constexpr OptionSpec kRecentOptions[] = {
    {"set", Recent::kSetId, ValueType::kNone, kInvertible, kAnyOp},
    {"rcheck", Recent::kRcheck, ValueType::kNone, kInvertible, kAnyOp},
    {"update", Recent::kUpdateId, ValueType::kNone, kInvertible, kAnyOp},
    {"remove", Recent::kRemoveId, ValueType::kNone, kInvertible, kAnyOp},
    {"seconds", Recent::kSeconds, ValueType::kUint32, 0, kSetOrRemove, 0, 1},
    {"reap", Recent::kReap, ValueType::kNone, 0, kSetOrRemove,
     Bit(Recent::kSeconds)},
    {"hitcount", Recent::kHitcount, ValueType::kUint32, 0, kSetOrRemove},
    {"rttl", Recent::kRttl, ValueType::kNone, 0, kSetOrRemove},
    {"name", Recent::kName, ValueType::kString},
    {"rsource", Recent::kRsource, ValueType::kNone},
    {"rdest", Recent::kRdest, ValueType::kNone},
    {"mask", Recent::kMask, ValueType::kHost},
};

// ---- ipvs ----

struct Ipvs : ExtensionBase<IpvsMatch> {
  enum Id : uint8_t { kAny, kProto, kAddr, kPort, kDir, kMethod, kCtl };
  static bool Parse(OptionCall& call, IpvsMatch& op) {
    const uint16_t field = static_cast<uint16_t>(1 << call.id());
    op.given = static_cast<uint16_t>(op.given | field);
    if (call.invert) op.invert = static_cast<uint16_t>(op.invert | field);
    switch (call.id()) {
      case kProto:
        op.vproto = static_cast<uint16_t>(call.number);
        break;
      case kAddr:
        op.vaddr = call.address;
        ApplyMask(call.rule->family, &op.vaddr);
        break;
      case kPort:
        op.vport = call.ports.first;
        break;
      case kDir:
        if (absl::EqualsIgnoreCase(call.text, "REPLY")) {
          op.invert = static_cast<uint16_t>(op.invert | field);
        } else if (!absl::EqualsIgnoreCase(call.text, "ORIGINAL")) {
          return call.rule->Fail("bad --vdir `", call.text, "'");
        }
        break;
      case kMethod:
        if (absl::EqualsIgnoreCase(call.text, "MASQ")) {
          op.vmethod = 0;
        } else if (absl::EqualsIgnoreCase(call.text, "IPIP")) {
          op.vmethod = 1;
        } else if (absl::EqualsIgnoreCase(call.text, "GATE")) {
          op.vmethod = 2;
        } else {
          return call.rule->Fail("bad --vmethod `", call.text, "'");
        }
        break;
      case kCtl:
        op.vportctl = call.ports.first;
        break;
    }
    return true;
  }
  static bool Finish(FinishCall& call, IpvsMatch& op) {
    if (call.seen == 0) {
      return call.rule->Fail("ipvs: at least one option is required");
    }
    // Any other property implies that IPVS handles the packet.
    if ((op.given & ~IpvsMatch::kIpvs) != 0) {
      op.given = static_cast<uint16_t>(op.given & ~IpvsMatch::kIpvs);
    }
    return true;
  }
  static void Print(const PrintContext& context, const IpvsMatch& op,
                    std::string* out) {
    auto option = [&](int id, absl::string_view name) {
      if ((op.given >> id & 1) == 0) return false;
      absl::StrAppend(out, (op.invert >> id & 1) != 0 ? " ! --" : " --", name);
      return true;
    };
    option(kAny, "ipvs");
    if (option(kProto, "vproto")) absl::StrAppend(out, " ", op.vproto);
    if (option(kAddr, "vaddr")) {
      out->push_back(' ');
      uint32_t words[4];
      for (int i = 0; i < 4; ++i) words[i] = op.vaddr.address[i];
      AppendAddress(context.family, words, out);
      if (op.vaddr.prefix_length !=
          (context.family == IpFamily::kIpv4 ? 32 : 128)) {
        AppendMask(context.family, op.vaddr, out);
      }
    }
    if (option(kPort, "vport")) absl::StrAppend(out, " ", op.vport);
    if ((op.given >> kDir & 1) != 0) {
      out->append(" --vdir ");
      out->append((op.invert >> kDir & 1) != 0 ? "REPLY" : "ORIGINAL");
    }
    if (option(kMethod, "vmethod")) {
      out->append(op.vmethod == 0   ? " MASQ"
                  : op.vmethod == 1 ? " IPIP"
                                    : " GATE");
    }
    if (option(kCtl, "vportctl")) absl::StrAppend(out, " ", op.vportctl);
  }
};
constexpr OptionSpec kIpvsOptions[] = {
    {"ipvs", Ipvs::kAny, ValueType::kNone, kInvertible},
    {"vproto", Ipvs::kProto, ValueType::kProtocol, kInvertible},
    {"vaddr", Ipvs::kAddr, ValueType::kHostMask, kInvertible},
    {"vport", Ipvs::kPort, ValueType::kPort, kInvertible},
    {"vdir", Ipvs::kDir, ValueType::kString},
    {"vmethod", Ipvs::kMethod, ValueType::kString, kInvertible},
    {"vportctl", Ipvs::kCtl, ValueType::kPort, kInvertible},
};

}  // namespace

std::vector<Extension> StateExtensions() {
  return {
      MakeExtension<Recent>("recent", kRecentOptions),
      MakeExtension<Ipvs>("ipvs", kIpvsOptions),
  };
}

}  // namespace k8sdns::netfilter
