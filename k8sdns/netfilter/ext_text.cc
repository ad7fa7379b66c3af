// Matches and targets without a model whose text is still brought to the
// printed form: their options are read and checked, written in the tool's
// order with its defaults, and kept as text (UnknownMatch, UnknownTarget).
#include <algorithm>
#include <initializer_list>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "k8sdns/netfilter/text_extension.h"

namespace k8sdns::netfilter {
namespace {

constexpr uint8_t kInv = kInvertible;
constexpr uint8_t kMan = kMandatory;

// ---- values that the tools look at ----

bool IsOneOf(absl::string_view text,
             std::initializer_list<absl::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

bool WriteConnbytesMode(const OptionCall& call, const TextOp&,
                        std::string* out) {
  absl::StrAppend(out, " ", call.text);
  return IsOneOf(call.text, {"packets", "bytes", "avgpkt"});
}
bool WriteConnbytesDirection(const OptionCall& call, const TextOp&,
                             std::string* out) {
  absl::StrAppend(out, " ", call.text);
  return IsOneOf(call.text, {"original", "reply", "both"});
}
// A mask, or its length; of IPv4 any larger number is all of it.
bool WriteConnlimitMask(const OptionCall& call, const TextOp&,
                        std::string* out) {
  const IpFamily family = call.rule->family;
  AddressMask mask;
  uint64_t length;
  if (ReadMask(family, call.text, &mask)) {
    length = mask.prefix_length;
  } else if (family == IpFamily::kIpv6 ||
             !ReadNumber(call.text, 0, 0, 0xffffffff, &length)) {
    return false;
  }
  absl::StrAppend(out, " ",
                  family == IpFamily::kIpv4 && length > 32 ? 32 : length);
  return true;
}
bool WriteAuditType(const OptionCall& call, const TextOp&, std::string* out) {
  const std::string lower = absl::AsciiStrToLower(call.text);
  absl::StrAppend(out, " ", lower);
  return IsOneOf(lower, {"accept", "drop", "reject"});
}
// Names that are cut to the kernel's field.
template <size_t kSize>
bool WriteShort(const OptionCall& call, const TextOp&, std::string* out) {
  if (call.text.empty()) {
    out->clear();
  } else {
    absl::StrAppend(out, " ", call.text.substr(0, kSize));
  }
  return true;
}
bool WriteGrowingRange(const OptionCall& call, const TextOp&,
                       std::string* out) {
  absl::StrAppend(out, " ", call.first);
  if (call.first != call.last) absl::StrAppend(out, ":", call.last);
  return call.first <= call.last;
}

// The ids are the order of printing.
constexpr TextOption kConnbytesOptions[] = {
    {{"connbytes", 0, ValueType::kUint64Range, kMan | kInv}, Format::kFrom},
    {{"connbytes-mode", 1, ValueType::kString, kMan},
     Format::kCustom,
     "",
     "",
     WriteConnbytesMode},
    {{"connbytes-dir", 2, ValueType::kString, kMan},
     Format::kCustom,
     "",
     "",
     WriteConnbytesDirection},
};
// The ids of upto and above are exchanged by "!".
constexpr TextOption kConnlimitOptions[] = {
    {{"connlimit-upto", 0, ValueType::kUint32, kInv, Bit(1)}, Format::kDecimal},
    {{"connlimit-above", 1, ValueType::kUint32, kInv, Bit(0)},
     Format::kDecimal},
    {{"connlimit-mask", 2, ValueType::kString},
     Format::kCustom,
     "",
     " --connlimit-mask @w",
     WriteConnlimitMask},
    {{"connlimit-saddr", 3, ValueType::kNone, 0, Bit(4)},
     Format::kFlag,
     "",
     " --connlimit-saddr"},
    {{"connlimit-daddr", 4, ValueType::kNone, 0, Bit(3)}, Format::kFlag},
};
constexpr TextOption kTimeOptions[] = {
    {{"timestart", 0, ValueType::kString}, Format::kTime},
    {{"timestop", 1, ValueType::kString}, Format::kTime},
    {{"monthdays", 2, ValueType::kString, kInv}, Format::kMonthDays},
    {{"weekdays", 3, ValueType::kString, kInv}, Format::kWeekDays},
    {{"datestart", 4, ValueType::kString}, Format::kDate},
    {{"datestop", 5, ValueType::kString},
     Format::kDate,
     "",
     " --datestop 2038-01-19T03:14:07"},
    {{"kerneltz", 6, ValueType::kNone}, Format::kFlag},
    {{"contiguous", 7, ValueType::kNone}, Format::kFlag},
    {{"utc", 8, ValueType::kNone}, Format::kNothing},
};
constexpr TextOption kCpuOptions[] = {
    {{"cpu", 0, ValueType::kUint32, kMan | kInv}, Format::kDecimal}};
constexpr TextOption kDevgroupOptions[] = {
    {{"src-group", 0, ValueType::kString, kInv}, Format::kHexMask, "default"},
    {{"dst-group", 1, ValueType::kString, kInv}, Format::kHexMask, "default"},
};
constexpr TextOption kRealmOptions[] = {
    {{"realm", 0, ValueType::kString, kMan | kInv},
     Format::kHexMask,
     "cosmos"}};
constexpr TextOption kHelperOptions[] = {
    {{"helper", 0, ValueType::kString, kMan | kInv}, Format::kQuoted}};
constexpr TextOption kQuotaOptions[] = {
    {{"quota", 0, ValueType::kUint64, kMan | kInv}, Format::kDecimal}};
constexpr TextOption kCgroupOptions[] = {
    {{"path", 0, ValueType::kString, kInv, Bit(1)}, Format::kQuoted},
    {{"cgroup", 1, ValueType::kUint32, kInv, Bit(0)}, Format::kDecimal},
};
constexpr TextOption kEspOptions[] = {
    {{"espspi", 0, ValueType::kUint32Range, kInv}, Format::kSpi}};
constexpr TextOption kAhOptions[] = {
    {{"ahspi", 0, ValueType::kUint32Range, kInv}, Format::kSpi}};
constexpr TextOption kAh6Options[] = {
    {{"ahspi", 0, ValueType::kUint32Range, kInv}, Format::kSpi},
    {{"ahlen", 1, ValueType::kUint32, kInv}, Format::kDecimal, "0"},
    {{"ahres", 2, ValueType::kNone}, Format::kFlag},
};
constexpr TextOption kIpcompOptions[] = {
    {{"ipcompspi", 0, ValueType::kUint32Range, kInv},
     Format::kSpi,
     "",
     " --ipcompspi 0"},
    {{"compres", 1, ValueType::kNone}, Format::kFlag},
};
constexpr TextOption kEcnOptions[] = {
    {{"ecn-tcp-ece", 0, ValueType::kNone, kInv}, Format::kFlag},
    {{"ecn-tcp-cwr", 1, ValueType::kNone, kInv}, Format::kFlag},
    {{"ecn-ip-ect", 2, ValueType::kUint8, kInv, 0, 0, 0, 3}, Format::kDecimal},
};
constexpr TextOption kSocketOptions[] = {
    {{"transparent", 0, ValueType::kNone}, Format::kFlag},
    {{"nowildcard", 1, ValueType::kNone}, Format::kFlag},
    {{"restore-skmark", 2, ValueType::kNone}, Format::kFlag},
};
constexpr TextOption kTcpmssOptions[] = {
    {{"mss", 0, ValueType::kUint16Range, kMan | kInv},
     Format::kCustom,
     "",
     "",
     WriteGrowingRange}};
constexpr TextOption kConnlabelOptions[] = {
    {{"label", 0, ValueType::kUint16, kMan | kInv}, Format::kString},
    {{"set", 1, ValueType::kNone}, Format::kFlag},
};
constexpr TextOption kOsfOptions[] = {
    {{"genre", 0, ValueType::kString, kMan | kInv}, Format::kPlain},
    {{"ttl", 1, ValueType::kUint32, 0, 0, 0, 0, 2}, Format::kDecimal},
    {{"log", 2, ValueType::kUint32, 0, 0, 0, 0, 2}, Format::kDecimal},
};

constexpr TextOption kTproxyOptions[] = {
    {{"on-port", 0, ValueType::kPort, kMan}, Format::kDecimal},
    {{"on-ip", 1, ValueType::kHost}, Format::kAddress, "", " --on-ip @0"},
    {{"tproxy-mark", 2, ValueType::kMark},
     Format::kMark,
     "",
     " --tproxy-mark 0x0/0x0"},
};
constexpr TextOption kTeeOptions[] = {
    {{"gateway", 0, ValueType::kHost, kMan}, Format::kAddress},
    {{"oif", 1, ValueType::kString}, Format::kCustom, "", "", WriteShort<15>},
};
constexpr TextOption kAuditOptions[] = {{{"type", 0, ValueType::kString, kMan},
                                         Format::kCustom,
                                         "",
                                         "",
                                         WriteAuditType}};
constexpr TextOption kIdletimerOptions[] = {
    {{"timeout", 0, ValueType::kUint32, kMan}, Format::kDecimal},
    {{"label", 1, ValueType::kString, kMan},
     Format::kCustom,
     "",
     "",
     WriteShort<27>},
    {{"alarm", 2, ValueType::kNone}, Format::kFlag},
};
constexpr TextOption kSynproxyOptions[] = {
    {{"sack-perm", 0, ValueType::kNone}, Format::kFlag},
    {{"timestamp", 1, ValueType::kNone}, Format::kFlag},
    {{"wscale", 2, ValueType::kUint32}, Format::kDecimal},
    {{"mss", 3, ValueType::kUint32}, Format::kDecimal},
    {{"ecn", 4, ValueType::kNone}, Format::kFlag},
};
constexpr TextOption kChecksumOptions[] = {
    {{"checksum-fill", 0, ValueType::kNone, kMan}, Format::kFlag}};
constexpr TextOption kSecmarkOptions[] = {
    {{"selctx", 0, ValueType::kString, kMan}, Format::kPlain}};
constexpr TextOption kEcnTargetOptions[] = {
    {{"ecn-tcp-remove", 0, ValueType::kNone}, Format::kFlag},
    {{"ecn-tcp-cwr", 1, ValueType::kUint8, 0, 0, 0, 0, 1}, Format::kDecimal},
    {{"ecn-tcp-ece", 2, ValueType::kUint8, 0, 0, 0, 0, 1}, Format::kDecimal},
    {{"ecn-ip-ect", 3, ValueType::kUint8, 0, 0, 0, 0, 3}, Format::kDecimal},
};
constexpr TextOption kConnsecmarkOptions[] = {
    {{"save", 0, ValueType::kNone, 0, Bit(1)}, Format::kFlag},
    {{"restore", 1, ValueType::kNone, 0, Bit(0)}, Format::kFlag},
};

// ---- values ----

void AppendAlwaysQuoted(absl::string_view value, std::string* out) {
  out->append(" \"");
  for (char c : value) {
    if (c == '"' || c == '\\' || c == '\'') out->push_back('\\');
    out->push_back(c);
  }
  out->push_back('"');
}

// "value" or "value/mask" in hexadecimal.
bool AppendHexMask(absl::string_view text, absl::string_view zero,
                   std::string* out) {
  uint32_t value;
  uint32_t mask;
  if (text == zero) {
    value = 0;
    mask = 0xffffffff;
  } else if (!ReadMarkMask(text, &value, &mask)) {
    return false;
  }
  out->push_back(' ');
  if (value == 0 && mask == 0xffffffff) {
    absl::StrAppend(out, zero);
  } else {
    AppendMarkMask(value, mask, out);
  }
  return true;
}

// The numbers of `text` between `separators`, each in its range.
bool ReadFields(absl::string_view text, absl::string_view separators,
                std::span<const uint64_t> maxima, std::vector<uint64_t>* out) {
  for (size_t i = 0; i < maxima.size(); ++i) {
    size_t used;
    uint64_t value;
    if (!ReadNumber(text, 10, 0, maxima[i], &value, &used)) return false;
    out->push_back(value);
    text.remove_prefix(used);
    if (text.empty()) return true;
    if (i >= separators.size() || text[0] != separators[i]) return false;
    text.remove_prefix(1);
  }
  return false;
}

bool AppendTime(absl::string_view text, std::string* out) {
  static constexpr uint64_t kMaxima[] = {23, 59, 59};
  std::vector<uint64_t> f;
  if (!ReadFields(text, "::", kMaxima, &f) || f.size() < 2) return false;
  f.resize(3);
  absl::StrAppendFormat(out, " %02d:%02d:%02d", f[0], f[1], f[2]);
  return true;
}

// Missing parts are the first of their kind. Days beyond the month's end
// count on, as timegm(3) does.
bool AppendDate(absl::string_view text, std::string* out) {
  static constexpr uint64_t kMaxima[] = {2038, 12, 31, 23, 59, 59};
  std::vector<uint64_t> f;
  if (!ReadFields(text, "--T::", kMaxima, &f) || f[0] < 1970) return false;
  if (f.size() < 2) f.push_back(1);
  if (f.size() < 3) f.push_back(1);
  if (f[1] < 1 || f[2] < 1) return false;
  f.resize(6);
  static constexpr uint64_t kDays[] = {31, 28, 31, 30, 31, 30,
                                       31, 31, 30, 31, 30, 31};
  const bool leap = f[0] % 4 == 0 && (f[0] % 100 != 0 || f[0] % 400 == 0);
  const uint64_t days = kDays[f[1] - 1] + (f[1] == 2 && leap ? 1 : 0);
  if (f[2] > days) {
    f[2] -= days;
    ++f[1];
  }
  absl::StrAppendFormat(out, " %04d-%02d-%02dT%02d:%02d:%02d", f[0], f[1], f[2],
                        f[3], f[4], f[5]);
  return true;
}

constexpr absl::string_view kWeekDays[] = {"Mon", "Tue", "Wed", "Thu",
                                           "Fri", "Sat", "Sun"};

bool AppendMonthDays(absl::string_view text, bool invert, std::string* out) {
  uint32_t days = 0;
  for (absl::string_view part : absl::StrSplit(text, ',', absl::SkipEmpty())) {
    uint64_t day;
    if (!ReadNumber(part, 0, 1, 31, &day)) return false;
    days |= uint32_t{1} << day;
  }
  if (invert) days = ~days & 0xfffffffe;
  if (days == 0xfffffffe) {
    out->clear();
    return true;
  }
  *out = " --monthdays ";
  for (int i = 1; i <= 31; ++i) {
    if ((days >> i & 1) == 0) continue;
    absl::StrAppend(out, out->back() == ' ' ? "" : ",", i);
  }
  return true;
}

bool AppendWeekDays(absl::string_view text, bool invert, std::string* out) {
  uint32_t days = 0;
  for (absl::string_view part : absl::StrSplit(text, ',', absl::SkipEmpty())) {
    uint64_t day = 0;
    if (ReadNumber(part, 10, 0, 255, &day)) {
      if (day == 0) return false;
    } else {
      for (int i = 0; i < 7; ++i) {
        if (absl::StartsWith(part, kWeekDays[i].substr(0, 2))) day = i + 1;
      }
      if (day == 0) return false;
    }
    if (day >= 1 && day <= 7) days |= 1u << day;
  }
  if (invert) days = ~days & 0xfe;
  if (days == 0xfe) {
    out->clear();
    return true;
  }
  *out = " --weekdays ";
  for (int i = 1; i <= 7; ++i) {
    if ((days >> i & 1) == 0) continue;
    absl::StrAppend(out, out->back() == ' ' ? "" : ",", kWeekDays[i - 1]);
  }
  return true;
}

bool AppendValue(const OptionCall& call, const TextOption& option,
                 const TextOp& op, std::string* out) {
  switch (option.format) {
    case Format::kCustom:
      return option.write(call, op, out);
    case Format::kFlag:
      return true;
    case Format::kPlain:
      absl::StrAppend(out, " ", call.text);
      return true;
    case Format::kQuoted:
      AppendQuoted(call.text, out);
      return true;
    case Format::kString:
      if (option.spec.type == ValueType::kString) {
        AppendAlwaysQuoted(call.text, out);
      } else {
        absl::StrAppend(out, " \"", call.number, "\"");
      }
      return true;
    case Format::kLower:
      absl::StrAppend(out, " ", absl::AsciiStrToLower(call.text));
      return true;
    case Format::kDecimal:
      absl::StrAppend(out, " ",
                      option.spec.type == ValueType::kPort ? call.ports.first
                                                           : call.number);
      return true;
    case Format::kHex:
      absl::StrAppendFormat(out, " 0x%x", call.number);
      return true;
    case Format::kHexMask:
      return AppendHexMask(call.text, option.zero, out);
    case Format::kColon:
    case Format::kSpi:
      absl::StrAppend(out, " ", call.first);
      if (call.first != call.last) absl::StrAppend(out, ":", call.last);
      return true;
    case Format::kFrom:
      if (call.values == 2 && call.last < call.first) return false;
      absl::StrAppend(out, " ", call.first);
      if (call.values == 2 && call.last != 0 && call.last != UINT64_MAX) {
        absl::StrAppend(out, ":", call.last);
      }
      return true;
    case Format::kAddress: {
      uint32_t words[4];
      for (int i = 0; i < 4; ++i) words[i] = call.address.address[i];
      out->push_back(' ');
      AppendAddress(call.rule->family, words, out);
      return true;
    }
    case Format::kMark:
      absl::StrAppendFormat(out, " 0x%x/0x%x", call.value, call.mask);
      return true;
    case Format::kTime:
      return AppendTime(call.text, out);
    case Format::kDate:
      return AppendDate(call.text, out);
    case Format::kMonthDays:
      return AppendMonthDays(call.text, call.invert, out);
    case Format::kWeekDays:
      return AppendWeekDays(call.text, call.invert, out);
    case Format::kNothing:
      out->clear();
      return true;
  }
  return false;
}

bool FinishTime(FinishCall& call, TextOp* op) {
  StringPool* strings = call.rule->strings;
  std::string start(strings->Get(op->slots[0]));
  std::string stop(strings->Get(op->slots[1]));
  if (start.empty()) start = " --timestart 00:00:00";
  if (stop.empty()) stop = " --timestop 23:59:59";
  const absl::string_view from = absl::string_view(start).substr(13);
  const absl::string_view to = absl::string_view(stop).substr(12);
  if (call.Seen(7) && from <= to) {
    return call.rule->Fail("time: --contiguous needs a stop before the start");
  }
  const bool whole = from == "00:00:00" && to == "23:59:59";
  op->slots[0] = strings->Intern(whole ? "" : start);
  op->slots[1] = strings->Intern(whole ? "" : stop);
  if (strings->Get(op->slots[4]) == " --datestart 1970-01-01T00:00:00") {
    op->slots[4] = 0;
  }
  return true;
}

bool OneOfTheFirstTwo(FinishCall& call, TextOp*) {
  return (call.seen & 3) != 0 || call.rule->Fail("an option is missing");
}

// Tables and hooks are those of the kernel's xt_target and xt_match of the
// name (net/netfilter/xt_*.c, net/ipv4/netfilter/ipt_*.c).
constexpr uint8_t kMangle = TableBit(TableId::kMangle);
constexpr uint8_t kReceiving =
    HookBit(Hook::kPrerouting) | HookBit(Hook::kInput);
constexpr uint8_t kNotPrerouting = 0x1f & ~HookBit(Hook::kPrerouting);

constexpr TextExtension kExtensions[] = {
    {"connbytes", false, kBoth, kConnbytesOptions},
    {"connlimit", false, kBoth, kConnlimitOptions, 0, OneOfTheFirstTwo},
    {"time", false, kBoth, kTimeOptions, 0, FinishTime},
    {"cpu", false, kBoth, kCpuOptions},
    {"devgroup", false, kBoth, kDevgroupOptions, 0, OneOfTheFirstTwo},
    {"realm", false, kV4, kRealmOptions, 0, nullptr, 0, kNotPrerouting},
    {"helper", false, kBoth, kHelperOptions},
    {"quota", false, kBoth, kQuotaOptions},
    {"cgroup", false, kBoth, kCgroupOptions},
    {"esp", false, kBoth, kEspOptions, 50},
    {"ah", false, kV4, kAhOptions, 51},
    {"ah", false, kV6, kAh6Options},
    {"ipcomp", false, kBoth, kIpcompOptions, 108},
    {"ecn", false, kBoth, kEcnOptions},
    {"socket", false, kBoth, kSocketOptions, 0, nullptr, 0, kReceiving},
    {"tcpmss", false, kBoth, kTcpmssOptions, 6},
    {"connlabel", false, kBoth, kConnlabelOptions},
    {"osf", false, kBoth, kOsfOptions, 6, nullptr, 0,
     kReceiving | HookBit(Hook::kForward)},
    {"TPROXY", true, kBoth, kTproxyOptions, 0, nullptr, kMangle,
     HookBit(Hook::kPrerouting)},
    {"TEE", true, kBoth, kTeeOptions},
    {"AUDIT", true, kBoth, kAuditOptions},
    {"IDLETIMER", true, kBoth, kIdletimerOptions},
    {"SYNPROXY", true, kBoth, kSynproxyOptions, 6, nullptr, 0,
     HookBit(Hook::kInput) | HookBit(Hook::kForward)},
    {"CHECKSUM", true, kBoth, kChecksumOptions, 0, nullptr, kMangle},
    {"CONNSECMARK", true, kBoth, kConnsecmarkOptions, 0, OneOfTheFirstTwo},
    {"SECMARK", true, kBoth, kSecmarkOptions},
    {"ECN", true, kV4, kEcnTargetOptions, 0, nullptr, kMangle},
};

}  // namespace

bool ParseText(const TextExtension& extension, OptionCall& call, TextOp* op) {
  const TextOption* option = nullptr;
  for (const TextOption& o : extension.options) {
    if (o.spec.name == call.spec->name) option = &o;
  }
  std::string text = call.invert ? " ! --" : " --";
  absl::StrAppend(&text, option->spec.name);
  if (!AppendValue(call, *option, *op, &text)) {
    return call.rule->Fail(extension.name, ": bad value `", call.text,
                           "' for --", option->spec.name);
  }
  int slot = call.id();
  if (extension.options.data() == kConnlimitOptions && call.invert &&
      slot < 2) {
    slot = 1 - slot;
    text = absl::StrCat(" --", kConnlimitOptions[slot].spec.name, " ",
                        call.number);
  }
  const bool left_out =
      (option->format == Format::kSpi && call.first == 0 &&
       call.last == 0xffffffff) ||
      (option->format == Format::kDecimal && !option->zero.empty() &&
       absl::StrCat(call.number) == option->zero) ||
      (option->format == Format::kPlain && call.text.empty() &&
       (option->spec.flags & kMandatory) == 0);
  op->slots[slot] = call.rule->strings->Intern(left_out ? "" : text);
  return true;
}

bool FinishText(const TextExtension& extension, FinishCall& call, TextOp* op) {
  if (extension.finish != nullptr && !extension.finish(call, op)) return false;
  for (const TextOption& o : extension.options) {
    if (o.absent.empty() || call.Seen(o.spec.id)) continue;
    if (o.spec.id == 3 && extension.options.data() == kConnlimitOptions &&
        call.Seen(4)) {
      continue;
    }
    std::string text(o.absent);
    const size_t width = text.find("@w");
    if (width != std::string::npos) {
      text.replace(width, 2,
                   call.rule->family == IpFamily::kIpv4 ? "32" : "128");
    }
    const size_t at = text.find("@0");
    if (at != std::string::npos) {
      text.replace(at, 2,
                   call.rule->family == IpFamily::kIpv4 ? "0.0.0.0" : "::");
    }
    op->slots[o.spec.id] = call.rule->strings->Intern(text);
  }
  return true;
}

std::vector<Extension> TextExtensions() {
  return MakeTextExtensions<kExtensions>();
}

}  // namespace k8sdns::netfilter
