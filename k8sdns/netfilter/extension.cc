#include "k8sdns/netfilter/extension.h"

#include <algorithm>
#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"

namespace k8sdns::netfilter {
namespace {

uint64_t MaxOf(ValueType type) {
  switch (type) {
    case ValueType::kUint8:
    case ValueType::kUint8Range:
      return 0xff;
    case ValueType::kUint16:
    case ValueType::kUint16Range:
      return 0xffff;
    case ValueType::kUint32:
    case ValueType::kUint32Range:
      return 0xffffffff;
    default:
      return std::numeric_limits<uint64_t>::max();
  }
}

// "a", "a:b", ":b", "a:", ":": missing parts are the limits.
bool ReadRange(const OptionSpec& spec, OptionCall& call) {
  uint64_t low = spec.min;
  uint64_t high = MaxOf(spec.type);
  if (spec.max != 0) high = std::min(high, spec.max);
  absl::string_view text = call.text;
  call.values = 0;
  while (true) {
    if (call.values == 2) return false;
    uint64_t value = call.values == 1 ? high : low;
    if (!text.empty() && text[0] != ':') {
      size_t used;
      if (!ReadNumber(text, 0, low, high, &value, &used)) return false;
      if (used < text.size() && text[used] != ':') return false;
      text.remove_prefix(used);
    }
    (call.values == 0 ? call.first : call.last) = value;
    ++call.values;
    if (text.empty()) break;
    text.remove_prefix(1);
  }
  if (call.values == 1) call.last = call.first;
  return true;
}

bool ReadTos(const OptionSpec& spec, OptionCall& call) {
  struct Name {
    absl::string_view name;
    uint8_t value;
  };
  static constexpr Name kNames[] = {{"Minimize-Delay", 0x10},
                                    {"Maximize-Throughput", 0x08},
                                    {"Maximize-Reliability", 0x04},
                                    {"Minimize-Cost", 0x02},
                                    {"Normal-Service", 0x00}};
  uint64_t value;
  uint64_t mask = 0xff;
  size_t used;
  if (ReadNumber(call.text, 0, 0, 0xff, &value, &used)) {
    if (used < call.text.size()) {
      if (call.text[used] != '/') return false;
      if (!ReadNumber(call.text.substr(used + 1), 0, 0, 0xff, &mask)) {
        return false;
      }
    }
    call.value = static_cast<uint32_t>(value);
    call.mask = static_cast<uint32_t>(mask);
    return true;
  }
  for (const Name& n : kNames) {
    if (absl::EqualsIgnoreCase(n.name, call.text)) {
      call.value = n.value;
      call.mask = static_cast<uint32_t>(spec.max);
      return true;
    }
  }
  return false;
}

bool ReadSyslogLevel(OptionCall& call) {
  struct Name {
    absl::string_view name;
    uint8_t level;
  };
  static constexpr Name kNames[] = {
      {"alert", 1}, {"crit", 2},   {"debug", 7}, {"emerg", 0},  {"error", 3},
      {"info", 6},  {"notice", 5}, {"panic", 0}, {"warning", 4}};
  if (ReadNumber(call.text, 0, 0, 7, &call.number)) return true;
  for (const Name& n : kNames) {
    if (n.name == call.text) {
      call.number = n.level;
      return true;
    }
  }
  return false;
}

bool ReadTyped(OptionCall& call) {
  const OptionSpec& spec = *call.spec;
  const IpFamily family = call.rule->family;
  switch (spec.type) {
    case ValueType::kNone:
      return true;
    case ValueType::kUint8:
    case ValueType::kUint16:
    case ValueType::kUint32:
    case ValueType::kUint64:
      return ReadNumber(call.text, 0, spec.min,
                        spec.max != 0 ? spec.max : MaxOf(spec.type),
                        &call.number);
    case ValueType::kUint8Range:
    case ValueType::kUint16Range:
    case ValueType::kUint32Range:
    case ValueType::kUint64Range:
      return ReadRange(spec, call);
    case ValueType::kDouble:
      return ReadDouble(call.text, &call.real) &&
             (spec.min == spec.max ||
              (call.real >= static_cast<double>(spec.min) &&
               call.real <= static_cast<double>(spec.max)));
    case ValueType::kString:
      return (spec.min == 0 || call.text.size() >= spec.min) &&
             (spec.max == 0 || call.text.size() <= spec.max);
    case ValueType::kTos:
      return ReadTos(spec, call);
    case ValueType::kMark:
      return ReadMarkMask(call.text, &call.value, &call.mask);
    case ValueType::kSyslogLevel:
      return ReadSyslogLevel(call);
    case ValueType::kHost: {
      uint32_t words[4];
      if (!ReadHost(family, call.text, words)) return false;
      std::copy(words, words + 4, call.address.address);
      return true;
    }
    case ValueType::kHostMask:
      return ReadHostMask(family, call.text, &call.address);
    case ValueType::kPrefixLength: {
      AddressMask mask;
      mask.address[0] = 0;
      if (!ReadMask(family, call.text, &mask)) return false;
      call.address.prefix_length = mask.prefix_length;
      std::copy(mask.mask, mask.mask + 4, call.address.mask);
      call.number = mask.prefix_length;
      return true;
    }
    case ValueType::kProtocol: {
      uint8_t protocol;
      if (!ReadProtocol(call.text, &protocol)) return false;
      call.number = protocol;
      return true;
    }
    case ValueType::kPort:
      call.ports = PortRange();
      if (uint16_t port; ReadServicePort(call.text, &port)) {
        call.ports.first = call.ports.last = port;
        return true;
      }
      return false;
    case ValueType::kPortRange:
      return ReadServicePortRange(call.text, &call.ports);
    case ValueType::kMac:
      return ReadMac(call.text, call.mac);
  }
  return false;
}

}  // namespace

bool ReadOptionValue(absl::string_view extension, OptionCall& call) {
  const OptionSpec& spec = *call.spec;
  if (call.Seen(spec.id) && (spec.flags & kRepeatable) == 0) {
    return call.rule->Fail(extension, ": --", spec.name,
                           " can only be used once");
  }
  if (call.invert && (spec.flags & kInvertible) == 0) {
    return call.rule->Fail(extension, ": --", spec.name, " cannot be inverted");
  }
  if (ReadTyped(call)) return true;
  return call.rule->Fail(extension, ": bad value `", call.text, "' for --",
                         spec.name);
}

bool CheckOptions(const Extension& extension, uint32_t seen,
                  RuleContext& rule) {
  for (const OptionSpec& spec : extension.options) {
    const bool here = (seen & Bit(spec.id)) != 0;
    if (!here) {
      if ((spec.flags & kMandatory) != 0) {
        return rule.Fail(extension.name, ": --", spec.name,
                         " must be specified");
      }
      continue;
    }
    for (const OptionSpec& other : extension.options) {
      if (other.id == spec.id) continue;
      const bool there = (seen & Bit(other.id)) != 0;
      if ((spec.requires_all & Bit(other.id)) != 0 && !there) {
        return rule.Fail(extension.name, ": --", spec.name, " also requires --",
                         other.name);
      }
      if ((spec.excludes & Bit(other.id)) != 0 && there) {
        return rule.Fail(extension.name, ": --", spec.name,
                         " cannot be used together with --", other.name);
      }
    }
  }
  return true;
}

const ExtensionTable& ExtensionTable::Get() {
  static const ExtensionTable* const table = new ExtensionTable();
  return *table;
}

ExtensionTable::ExtensionTable() {
  for (auto part :
       {TransportExtensions, MarkExtensions, ConntrackExtensions,
        AddressExtensions, HeaderExtensions, RateExtensions, StateExtensions,
        SetExtensions, VerdictExtensions, NatExtensions, LogExtensions,
        U32Extensions, TextExtensions, PolicyExtensions, MatchTextExtensions,
        Ipv6TextExtensions, EstimatorExtensions}) {
    for (Extension& e : part()) all_.push_back(e);
  }
  // The first of a kind prints it; an alias comes later.
  for (const Extension& e : all_) {
    // Text prints itself.
    if (e.kind == OpKind::kUnknownMatch || e.kind == OpKind::kUnknownTarget) {
      continue;
    }
    const Extension*& slot = by_kind_[static_cast<int>(e.kind)];
    if (slot == nullptr) slot = &e;
  }
}

const Extension* ExtensionTable::FindMatch(absl::string_view name,
                                           IpFamily family) const {
  const uint8_t bit = family == IpFamily::kIpv4 ? kV4 : kV6;
  for (const Extension& e : all_) {
    if (!IsTarget(e.kind) && e.name == name && (e.families & bit) != 0) {
      return &e;
    }
  }
  return nullptr;
}

const Extension* ExtensionTable::Find(OpView op, IpFamily family,
                                      const StringPool& strings) const {
  const auto first_word = [](absl::string_view text) {
    return text.substr(0, text.find(' '));
  };
  if (op.kind() == OpKind::kUnknownMatch) {
    absl::string_view text = strings.Get(op.As<UnknownMatch>().text);
    absl::ConsumePrefix(&text, "-m ");
    return FindMatch(first_word(text), family);
  }
  if (op.kind() == OpKind::kUnknownTarget) {
    return FindTarget(first_word(strings.Get(op.As<UnknownTarget>().text)),
                      family);
  }
  return Find(op.kind());
}

const Extension* ExtensionTable::FindTarget(absl::string_view name,
                                            IpFamily family) const {
  const uint8_t bit = family == IpFamily::kIpv4 ? kV4 : kV6;
  for (const Extension& e : all_) {
    if (IsTarget(e.kind) && e.name == name && (e.families & bit) != 0) {
      return &e;
    }
  }
  return nullptr;
}

const Extension* ExtensionTable::Find(OpKind kind) const {
  return by_kind_[static_cast<int>(kind)];
}

}  // namespace k8sdns::netfilter
