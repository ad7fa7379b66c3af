// -j ACCEPT, DROP, RETURN, QUEUE, REJECT, TRACE, NFQUEUE.
#include "absl/strings/match.h"
#include "k8sdns/netfilter/extension.h"

namespace k8sdns::netfilter {
namespace {

struct RejectName {
  absl::string_view name;
  absl::string_view alias;
  RejectTarget::With with;
};
// The first that begins with the given text is taken.
constexpr RejectName kRejectNames[] = {
    {"icmp-net-unreachable", "net-unreach", RejectTarget::kNetUnreachable},
    {"icmp-host-unreachable", "host-unreach", RejectTarget::kHostUnreachable},
    {"icmp-proto-unreachable", "proto-unreach",
     RejectTarget::kProtoUnreachable},
    {"icmp-port-unreachable", "port-unreach", RejectTarget::kPortUnreachable},
    {"icmp-net-prohibited", "net-prohib", RejectTarget::kNetProhibited},
    {"icmp-host-prohibited", "host-prohib", RejectTarget::kHostProhibited},
    {"tcp-reset", "tcp-rst", RejectTarget::kTcpReset},
    {"icmp-admin-prohibited", "admin-prohib", RejectTarget::kAdminProhibited},
};
constexpr RejectName kReject6Names[] = {
    {"icmp6-no-route", "no-route", RejectTarget::kNetUnreachable},
    {"icmp6-adm-prohibited", "adm-prohibited", RejectTarget::kAdminProhibited},
    {"icmp6-addr-unreachable", "addr-unreach", RejectTarget::kHostUnreachable},
    {"icmp6-port-unreachable", "port-unreach", RejectTarget::kPortUnreachable},
    {"tcp-reset", "tcp-reset", RejectTarget::kTcpReset},
    {"icmp6-policy-fail", "policy-fail", RejectTarget::kPolicyFail},
    {"icmp6-reject-route", "reject-route", RejectTarget::kRejectRoute},
};
std::span<const RejectName> RejectNames(IpFamily family) {
  if (family == IpFamily::kIpv4) return kRejectNames;
  return kReject6Names;
}

struct Reject : ExtensionBase<RejectTarget> {
  static bool Parse(OptionCall& call, RejectTarget& op) {
    for (const RejectName& n : RejectNames(call.rule->family)) {
      if (absl::StartsWithIgnoreCase(n.name, call.text) ||
          absl::StartsWithIgnoreCase(n.alias, call.text)) {
        op.with = n.with;
        return true;
      }
    }
    return call.rule->Fail("unknown reject type `", call.text, "'");
  }
  static bool Finish(FinishCall& call, RejectTarget& op) {
    const RuleContext& rule = *call.rule;
    if (op.with == RejectTarget::kTcpReset && rule.options->kernel_checks &&
        (rule.protocol != 6 || rule.protocol_inverted)) {
      return call.rule->Fail("REJECT: tcp-reset needs -p tcp");
    }
    return true;
  }
  static void Print(const PrintContext& context, const RejectTarget& op,
                    std::string* out) {
    for (const RejectName& n : RejectNames(context.family)) {
      if (n.with == op.with) absl::StrAppend(out, " --reject-with ", n.name);
    }
  }
};
constexpr OptionSpec kRejectOptions[] = {
    {"reject-with", 0, ValueType::kString}};

struct Nfqueue : ExtensionBase<NfqueueTarget> {
  enum Id : uint8_t { kNum, kBalance, kBypass, kFanout };
  static bool Parse(OptionCall& call, NfqueueTarget& op) {
    switch (call.id()) {
      case kNum:
        op.first_queue = static_cast<uint16_t>(call.number);
        break;
      case kBalance:
        if (call.values != 2 || call.first >= call.last) {
          return call.rule->Fail("NFQUEUE: bad range `", call.text, "'");
        }
        op.first_queue = static_cast<uint16_t>(call.first);
        op.queue_count = static_cast<uint16_t>(call.last - call.first + 1);
        break;
      case kBypass:
        op.bypass = 1;
        break;
      case kFanout:
        op.cpu_fanout = 1;
        break;
    }
    return true;
  }
  static void Print(const PrintContext&, const NfqueueTarget& op,
                    std::string* out) {
    if (op.queue_count > 1) {
      absl::StrAppend(out, " --queue-balance ", op.first_queue, ":",
                      op.first_queue + op.queue_count - 1);
    } else {
      absl::StrAppend(out, " --queue-num ", op.first_queue);
    }
    if (op.bypass) out->append(" --queue-bypass");
    if (op.cpu_fanout) out->append(" --queue-cpu-fanout");
  }
};
constexpr OptionSpec kNfqueueOptions[] = {
    {"queue-num", Nfqueue::kNum, ValueType::kUint16, 0, Bit(Nfqueue::kBalance)},
    {"queue-balance", Nfqueue::kBalance, ValueType::kUint16Range, 0,
     Bit(Nfqueue::kNum)},
    {"queue-bypass", Nfqueue::kBypass, ValueType::kNone},
    {"queue-cpu-fanout", Nfqueue::kFanout, ValueType::kNone, 0, 0,
     Bit(Nfqueue::kBalance)},
};

}  // namespace

std::vector<Extension> VerdictExtensions() {
  std::vector<Extension> out = {
      MakeExtension<ExtensionBase<AcceptTarget>>("ACCEPT", {}),
      MakeExtension<ExtensionBase<DropTarget>>("DROP", {}),
      MakeExtension<ExtensionBase<ReturnTarget>>("RETURN", {}),
      MakeExtension<ExtensionBase<QueueTarget>>("QUEUE", {}, kBoth,
                                                "a program decides: unknown"),
      MakeExtension<ExtensionBase<TraceTarget>>("TRACE", {}),
      MakeExtension<Reject>("REJECT", kRejectOptions),
      MakeExtension<Nfqueue>("NFQUEUE", kNfqueueOptions, kBoth,
                             "a program decides: unknown"),
  };
  out[4].tables = TableBit(TableId::kRaw);
  out[5].tables = TableBit(TableId::kFilter);
  out[5].hooks =
      HookBit(Hook::kInput) | HookBit(Hook::kForward) | HookBit(Hook::kOutput);
  return out;
}

}  // namespace k8sdns::netfilter
