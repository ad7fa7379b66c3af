// -j DNAT, SNAT, MASQUERADE, REDIRECT, NETMAP.
#include <algorithm>

#include "k8sdns/netfilter/extension.h"

namespace k8sdns::netfilter {
namespace {

enum Id : uint8_t { kTo, kPorts, kRandom, kRandomFully, kPersistent };

bool HasPorts(const RuleContext& rule) {
  switch (rule.protocol) {
    case 1:    // ICMP, by its identifier
    case 6:    // TCP
    case 17:   // UDP
    case 33:   // DCCP
    case 132:  // SCTP
      return true;
  }
  return false;
}

// "port", "port-port" or "port-port/base".
bool ReadPorts(OptionCall& call, absl::string_view text, NatRange& op) {
  RuleContext& rule = *call.rule;
  if (!HasPorts(rule)) {
    return rule.Fail("ports need -p tcp, udp, sctp or dccp before them");
  }
  uint64_t first;
  uint64_t last;
  size_t used;
  op.flags |= kNatHasPort;
  if (!ReadNumber(text, 0, 0, 65535, &first, &used)) {
    const auto named = FindService(text, "");
    if (!named) return rule.Fail("bad port `", text, "'");
    op.first_port = *named;
    return true;
  }
  op.first_port = static_cast<uint16_t>(first);
  if (used == text.size()) return true;
  if (text[used] != '-') return rule.Fail("bad port `", text, "'");
  text.remove_prefix(used + 1);
  if (!ReadNumber(text, 0, 0, 65535, &last, &used) || last < first) {
    return rule.Fail("bad port range `", call.text, "'");
  }
  if (last != first) {
    op.flags |= kNatHasPortRange;
    op.last_port = static_cast<uint16_t>(last);
  }
  if (used == text.size()) return true;
  if (text[used] != '/') return rule.Fail("bad port range `", call.text, "'");
  text.remove_prefix(used + 1);
  uint64_t base;
  if (!ReadNumber(text, 0, 1, 65535, &base, &used)) {
    const auto named = FindService(text, "");
    if (!named) return rule.Fail("bad port `", text, "'");
    base = *named;
  }
  op.flags |= kNatHasBasePort;
  op.base_port = static_cast<uint16_t>(base);
  return true;
}

bool ReadNatAddress(OptionCall& call, absl::string_view text,
                    uint32_t (&words)[4]) {
  const auto address = IpAddress::Parse(text);
  if (!address || address->family() != call.rule->family) {
    return call.rule->Fail("bad IP address `", text, "'");
  }
  StoreAddress(*address, words);
  return true;
}

// [address[-address]][:ports]
bool ReadTo(OptionCall& call, NatRange& op) {
  absl::string_view text = call.text;
  absl::string_view addresses = text;
  size_t colon;
  const size_t bracket = text.find('[');
  if (bracket == absl::string_view::npos) {
    // One colon is a port; more are an IPv6 address.
    colon = text.find(':');
    if (colon != absl::string_view::npos &&
        text.find(':', colon + 1) != absl::string_view::npos) {
      colon = absl::string_view::npos;
    }
    addresses = text.substr(0, colon);
  } else {
    const size_t end = text.find(']', bracket);
    if (end == absl::string_view::npos ||
        call.rule->family == IpFamily::kIpv4) {
      return call.rule->Fail("bad address `", text, "'");
    }
    addresses = text.substr(bracket + 1, end - bracket - 1);
    colon = text.find(':', end + 1);
  }
  if (colon != absl::string_view::npos) {
    if (!ReadPorts(call, text.substr(colon + 1), op)) return false;
    if (colon == 0 || colon == 2) return true;  // no address
  }
  const size_t dash = addresses.find('-');
  uint32_t first[4];
  if (!ReadNatAddress(call, addresses.substr(0, dash), first)) return false;
  std::copy(first, first + 4, op.first);
  op.flags |= kNatHasAddress;
  if (dash == absl::string_view::npos) return true;
  uint32_t last[4];
  if (!ReadNatAddress(call, addresses.substr(dash + 1), last)) return false;
  if (!std::equal(first, first + 4, last)) {
    op.flags |= kNatHasAddressRange;
    std::copy(last, last + 4, op.last);
  }
  return true;
}

template <typename Op>
struct Nat : ExtensionBase<Op> {
  static bool Parse(OptionCall& call, Op& op) {
    switch (call.id()) {
      case kTo:
      case kPorts:
        if (call.id() == kTo ? !ReadTo(call, op)
                             : !ReadPorts(call, call.text, op)) {
          return false;
        }
        // Only DNAT has room for the base port.
        if (Op::kKind != OpKind::kDnat) op.base_port = 0;
        return true;
      case kRandom:
        op.flags |= kNatRandom;
        return true;
      case kRandomFully:
        op.flags |= kNatRandomFully;
        return true;
      case kPersistent:
        op.flags |= kNatPersistent;
        return true;
    }
    return true;
  }
  static void Print(const PrintContext& context, const Op& op,
                    std::string* out) {
    const bool to_ports =
        Op::kKind == OpKind::kMasquerade || Op::kKind == OpKind::kRedirect;
    const bool address = (op.flags & kNatHasAddress) != 0;
    const bool port = (op.flags & kNatHasPort) != 0;
    if (address || port) {
      out->append(Op::kKind == OpKind::kDnat   ? " --to-destination "
                  : Op::kKind == OpKind::kSnat ? " --to-source "
                                               : " --to-ports ");
    }
    const bool brackets = address && port && context.family == IpFamily::kIpv6;
    if (brackets) out->push_back('[');
    uint32_t words[4];
    if (address) {
      for (int i = 0; i < 4; ++i) words[i] = op.first[i];
      AppendAddress(context.family, words, out);
    }
    if ((op.flags & kNatHasAddressRange) != 0) {
      out->push_back('-');
      for (int i = 0; i < 4; ++i) words[i] = op.last[i];
      AppendAddress(context.family, words, out);
    }
    if (brackets) out->push_back(']');
    if (port) {
      if (!to_ports) out->push_back(':');
      AppendNumber(op.first_port, out);
      if ((op.flags & kNatHasPortRange) != 0) {
        out->push_back('-');
        AppendNumber(op.last_port, out);
      }
      if ((op.flags & kNatHasBasePort) != 0) {
        out->push_back('/');
        AppendNumber(op.base_port, out);
      }
    }
    if ((op.flags & kNatRandom) != 0) out->append(" --random");
    if ((op.flags & kNatRandomFully) != 0) out->append(" --random-fully");
    if ((op.flags & kNatPersistent) != 0) out->append(" --persistent");
  }
};
constexpr OptionSpec kDnatOptions[] = {
    {"to-destination", kTo, ValueType::kString, kMandatory},
    {"random", kRandom, ValueType::kNone},
    {"persistent", kPersistent, ValueType::kNone},
};
constexpr OptionSpec kSnatOptions[] = {
    {"to-source", kTo, ValueType::kString, kMandatory},
    {"random", kRandom, ValueType::kNone},
    {"random-fully", kRandomFully, ValueType::kNone},
    {"persistent", kPersistent, ValueType::kNone},
};
constexpr OptionSpec kMasqueradeOptions[] = {
    {"to-ports", kPorts, ValueType::kString},
    {"random", kRandom, ValueType::kNone},
    {"random-fully", kRandomFully, ValueType::kNone},
};
constexpr OptionSpec kRedirectOptions[] = {
    {"to-ports", kPorts, ValueType::kString},
    {"random", kRandom, ValueType::kNone},
};

struct Netmap : ExtensionBase<NetmapTarget> {
  static bool Parse(OptionCall& call, NetmapTarget& op) {
    static_cast<AddressMask&>(op) = call.address;
    // A mask that is no prefix makes the address a single one.
    if (op.prefix_length == AddressMask::kExplicitMask) {
      op.prefix_length = call.rule->family == IpFamily::kIpv4 ? 32 : 128;
      for (uint32_t i = 0; i < 4; ++i) op.mask[i] = 0;
    }
    ApplyMask(call.rule->family, &op);
    return true;
  }
  static void Print(const PrintContext& context, const NetmapTarget& op,
                    std::string* out) {
    out->append(" --to ");
    uint32_t words[4];
    for (int i = 0; i < 4; ++i) words[i] = op.address[i];
    AppendAddress(context.family, words, out);
    AppendMask(context.family, op, out);
  }
};
constexpr OptionSpec kNetmapOptions[] = {
    {"to", 0, ValueType::kHostMask, kMandatory}};

}  // namespace

std::vector<Extension> NatExtensions() {
  std::vector<Extension> out = {
      MakeExtension<Nat<DnatTarget>>("DNAT", kDnatOptions),
      MakeExtension<Nat<RedirectTarget>>("REDIRECT", kRedirectOptions),
      MakeExtension<Nat<SnatTarget>>("SNAT", kSnatOptions),
      MakeExtension<Nat<MasqueradeTarget>>("MASQUERADE", kMasqueradeOptions),
      MakeExtension<Netmap>("NETMAP", kNetmapOptions),
  };
  for (Extension& e : out) e.tables = TableBit(TableId::kNat);
  out[0].hooks = out[1].hooks =
      HookBit(Hook::kPrerouting) | HookBit(Hook::kOutput);
  out[2].hooks = HookBit(Hook::kPostrouting) | HookBit(Hook::kInput);
  out[3].hooks = HookBit(Hook::kPostrouting);
  return out;
}

}  // namespace k8sdns::netfilter
