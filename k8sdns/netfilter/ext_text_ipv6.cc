// The matches of ip6tables for extension headers, and the targets SNPT and
// DNPT: kept as text in the printed form (libip6t_*.c of iptables 1.8.9).
#include <algorithm>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "k8sdns/netfilter/text_extension.h"

namespace k8sdns::netfilter {
namespace {

constexpr uint8_t kInv = kInvertible;
constexpr uint8_t kMan = kMandatory;
constexpr size_t kMaxOptions = 16;    // IP6T_OPTS_OPTSNR
constexpr size_t kMaxAddresses = 16;  // IP6T_RT_HOPS

// "type[:length],...", a byte each; a length of 255 stands for any.
bool WriteHeaderOptions(const OptionCall& call, const TextOp&,
                        std::string* out) {
  const std::vector<absl::string_view> parts = absl::StrSplit(call.text, ',');
  if (parts.size() > kMaxOptions) return false;
  out->push_back(' ');
  for (absl::string_view part : parts) {
    const size_t colon = part.find(':');
    uint64_t type;
    uint64_t length = 255;
    if (!ReadNumber(part.substr(0, colon), 0, 0, UINT32_MAX, &type)) {
      return false;
    }
    if (colon != absl::string_view::npos &&
        !ReadNumber(part.substr(colon + 1), 0, 0, UINT32_MAX, &length)) {
      return false;
    }
    absl::StrAppend(out, out->back() == ' ' ? "" : ",", type & 0xff);
    if ((length & 0xff) != 0xff) absl::StrAppend(out, ":", length & 0xff);
  }
  return true;
}

// ---- rt ----

bool IsType0(const OptionCall& call, const TextOp& op) {
  return call.Seen(0) && call.rule->strings->Get(op.slots[0]) == " --rt-type 0";
}
bool WriteReserved(const OptionCall& call, const TextOp& op, std::string*) {
  return IsType0(call, op);
}
bool WriteRouteAddresses(const OptionCall& call, const TextOp& op,
                         std::string* out) {
  if (!IsType0(call, op)) return false;
  const std::vector<absl::string_view> parts = absl::StrSplit(call.text, ',');
  if (parts.size() > kMaxAddresses) return false;
  out->push_back(' ');
  for (absl::string_view part : parts) {
    const auto address = IpAddress::Parse(part);
    if (!address || !address->is_v6()) return false;
    absl::StrAppend(out, out->back() == ' ' ? "" : ",", address->ToString());
  }
  return true;
}
bool WriteNotStrict(const OptionCall& call, const TextOp&, std::string*) {
  return call.Seen(4);
}

// ---- mh ----

// A type by its number, or by the beginning of a name.
bool ReadMobilityType(absl::string_view text, uint64_t* type) {
  static constexpr absl::string_view kNames[] = {"binding-refresh-request",
                                                 "brr",
                                                 "home-test-init",
                                                 "hoti",
                                                 "careof-test-init",
                                                 "coti",
                                                 "home-test",
                                                 "hot",
                                                 "careof-test",
                                                 "cot",
                                                 "binding-update",
                                                 "bu",
                                                 "binding-acknowledgement",
                                                 "ba",
                                                 "binding-error",
                                                 "be"};
  size_t found = std::size(kNames);
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (absl::StartsWithIgnoreCase(kNames[i], text) &&
        (found == std::size(kNames) || kNames[i].size() == text.size())) {
      found = i;
    }
  }
  if (found < std::size(kNames)) {
    *type = found / 2;
    return true;
  }
  return ReadNumber(text, 0, 0, 255, type);
}
bool WriteMobilityTypes(const OptionCall& call, const TextOp&,
                        std::string* out) {
  const size_t colon = call.text.find(':');
  uint64_t first = 0;
  uint64_t last = 255;
  if (colon == absl::string_view::npos) {
    if (!ReadMobilityType(call.text, &first)) return false;
    last = first;
  } else {
    const absl::string_view low = call.text.substr(0, colon);
    const absl::string_view high = call.text.substr(colon + 1);
    if (!low.empty() && !ReadMobilityType(low, &first)) return false;
    if (!high.empty() && !ReadMobilityType(high, &last)) return false;
    if (first > last) return false;
  }
  if (first == 0 && last == 255) {
    out->clear();
    return true;
  }
  absl::StrAppend(out, " ", first);
  if (first != last) absl::StrAppend(out, ":", last);
  return true;
}

// ---- ipv6header ----

struct Header {
  absl::string_view name;  // as printed
  absl::string_view other;
  absl::string_view alias;
  uint8_t protocol;
};
// In the order of printing.
constexpr Header kHeaders[] = {
    {"hop-by-hop", "hop", "hopopt", 0},
    {"ipv6-opts", "dst", "", 60},
    {"ipv6-route", "route", "", 43},
    {"ipv6-frag", "frag", "", 44},
    {"ah", "auth", "", 51},
    {"esp", "", "", 50},
    {"ipv6-nonxt", "none", "", 59},
    {"protocol", "prot", "", 255},
};
bool WriteHeaders(const OptionCall& call, const TextOp&, std::string* out) {
  uint32_t found = 0;
  for (absl::string_view part :
       absl::StrSplit(call.text, ',', absl::SkipEmpty())) {
    uint64_t number = 256;
    ReadNumber(part, 0, 0, 255, &number);
    bool known = false;
    for (size_t i = 0; i < std::size(kHeaders); ++i) {
      const Header& h = kHeaders[i];
      if (part == h.name || part == h.other || part == h.alias ||
          absl::EqualsIgnoreCase(part, h.name) || number == h.protocol) {
        found |= Bit(static_cast<int>(i));
        known = true;
        break;
      }
    }
    if (!known) return false;
  }
  if (found == 0) return false;
  out->push_back(' ');
  for (size_t i = 0; i < std::size(kHeaders); ++i) {
    if ((found & Bit(static_cast<int>(i))) == 0) continue;
    absl::StrAppend(out, out->back() == ' ' ? "" : ",", kHeaders[i].name);
  }
  return true;
}

// ---- addresses with a mask ----

// Always with the mask; host bits stay.
bool WritePrefix(const OptionCall& call, const TextOp&, std::string* out) {
  uint32_t words[4];
  for (int i = 0; i < 4; ++i) words[i] = call.address.address[i];
  out->push_back(' ');
  AppendAddress(call.rule->family, words, out);
  if (call.address.prefix_length == AddressMask::kExplicitMask) {
    for (int i = 0; i < 4; ++i) words[i] = call.address.mask[i];
    out->push_back('/');
    AppendAddress(call.rule->family, words, out);
  } else {
    absl::StrAppend(out, "/", call.address.prefix_length);
  }
  return true;
}

// The ids are the order of printing.
constexpr TextOption kFragOptions[] = {
    {{"fragid", 0, ValueType::kUint32Range, kInv}, Format::kSpi},
    {{"fraglen", 1, ValueType::kUint32, kInv}, Format::kDecimal},
    {{"fragres", 2, ValueType::kNone}, Format::kFlag},
    {{"fragfirst", 3, ValueType::kNone}, Format::kFlag},
    {{"fragmore", 4, ValueType::kNone, 0, Bit(5)}, Format::kFlag},
    {{"fraglast", 5, ValueType::kNone, 0, Bit(4)}, Format::kFlag},
};
constexpr TextOption kHbhOptions[] = {
    {{"hbh-len", 0, ValueType::kUint32, kInv}, Format::kDecimal},
    {{"hbh-opts", 1, ValueType::kString},
     Format::kCustom,
     "",
     "",
     WriteHeaderOptions},
};
constexpr TextOption kDstOptions[] = {
    {{"dst-len", 0, ValueType::kUint32, kInv}, Format::kDecimal},
    {{"dst-opts", 1, ValueType::kString},
     Format::kCustom,
     "",
     "",
     WriteHeaderOptions},
};
constexpr TextOption kRtOptions[] = {
    {{"rt-type", 0, ValueType::kUint32, kInv}, Format::kDecimal},
    {{"rt-segsleft", 1, ValueType::kUint32Range, kInv}, Format::kSpi},
    {{"rt-len", 2, ValueType::kUint32, kInv}, Format::kDecimal},
    {{"rt-0-res", 3, ValueType::kNone}, Format::kCustom, "", "", WriteReserved},
    {{"rt-0-addrs", 4, ValueType::kString},
     Format::kCustom,
     "",
     "",
     WriteRouteAddresses},
    {{"rt-0-not-strict", 5, ValueType::kNone},
     Format::kCustom,
     "",
     "",
     WriteNotStrict},
};
constexpr TextOption kMhOptions[] = {
    {{"mh-type", 0, ValueType::kString, kInv},
     Format::kCustom,
     "",
     "",
     WriteMobilityTypes},
};
constexpr TextOption kIpv6headerOptions[] = {
    {{"header", 0, ValueType::kString, kMan | kInv},
     Format::kCustom,
     "",
     "",
     WriteHeaders},
    {{"soft", 1, ValueType::kNone}, Format::kFlag},
};
constexpr TextOption kSrhOptions[] = {
    {{"srh-next-hdr", 0, ValueType::kUint8, kInv}, Format::kDecimal},
    {{"srh-hdr-len-eq", 1, ValueType::kUint8, kInv}, Format::kDecimal},
    {{"srh-hdr-len-gt", 2, ValueType::kUint8, kInv}, Format::kDecimal},
    {{"srh-hdr-len-lt", 3, ValueType::kUint8, kInv}, Format::kDecimal},
    {{"srh-segs-left-eq", 4, ValueType::kUint8, kInv}, Format::kDecimal},
    {{"srh-segs-left-gt", 5, ValueType::kUint8, kInv}, Format::kDecimal},
    {{"srh-segs-left-lt", 6, ValueType::kUint8, kInv}, Format::kDecimal},
    {{"srh-last-entry-eq", 7, ValueType::kUint8, kInv}, Format::kDecimal},
    {{"srh-last-entry-gt", 8, ValueType::kUint8, kInv}, Format::kDecimal},
    {{"srh-last-entry-lt", 9, ValueType::kUint8, kInv}, Format::kDecimal},
    {{"srh-tag", 10, ValueType::kUint16, kInv}, Format::kDecimal},
    {{"srh-psid", 11, ValueType::kHostMask, kInv},
     Format::kCustom,
     "",
     "",
     WritePrefix},
    {{"srh-nsid", 12, ValueType::kHostMask, kInv},
     Format::kCustom,
     "",
     "",
     WritePrefix},
    {{"srh-lsid", 13, ValueType::kHostMask, kInv},
     Format::kCustom,
     "",
     "",
     WritePrefix},
};
constexpr TextOption kPrefixOptions[] = {
    {{"src-pfx", 0, ValueType::kHostMask, kMan},
     Format::kCustom,
     "",
     "",
     WritePrefix},
    {{"dst-pfx", 1, ValueType::kHostMask, kMan},
     Format::kCustom,
     "",
     "",
     WritePrefix},
};

constexpr TextExtension kIpv6Extensions[] = {
    {"frag", false, kV6, kFragOptions},
    {"hbh", false, kV6, kHbhOptions},
    {"dst", false, kV6, kDstOptions},
    {"rt", false, kV6, kRtOptions},
    {"mh", false, kV6, kMhOptions, 135},
    {"ipv6header", false, kV6, kIpv6headerOptions},
    {"srh", false, kV6, kSrhOptions},
    {"eui64",
     false,
     kV6,
     {},
     0,
     nullptr,
     0,
     HookBit(Hook::kPrerouting) | HookBit(Hook::kInput) |
         HookBit(Hook::kForward)},
    {"SNPT", true, kV6, kPrefixOptions, 0, nullptr, TableBit(TableId::kMangle),
     HookBit(Hook::kInput) | HookBit(Hook::kPostrouting)},
    {"DNPT", true, kV6, kPrefixOptions, 0, nullptr, TableBit(TableId::kMangle),
     HookBit(Hook::kPrerouting) | HookBit(Hook::kOutput)},
};

}  // namespace

std::vector<Extension> Ipv6TextExtensions() {
  return MakeTextExtensions<kIpv6Extensions>();
}

}  // namespace k8sdns::netfilter
