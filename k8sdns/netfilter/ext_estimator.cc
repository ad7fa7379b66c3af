// HMARK, and the rate estimators: RATEEST makes them, rateest compares them.
//
// Facts: iptables 1.8.9 libxt_{HMARK,RATEEST,rateest}.c.
#include <cmath>
#include <cstdlib>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "k8sdns/netfilter/text_extension.h"

namespace k8sdns::netfilter {
namespace {

// ---- HMARK ----

// The ids are the order of printing.
enum HmarkId : uint8_t {
  kSrcPrefix,
  kDstPrefix,
  kSportMask,
  kDportMask,
  kSpiMask,
  kSport,
  kDport,
  kSpi,
  kProtoMask,
  kRnd,
  kMod,
  kOffset,
  kCt,
  kTuple,
};

bool WritePrefix(const OptionCall& call, const TextOp&, std::string* out) {
  const uint64_t bits = call.rule->family == IpFamily::kIpv4 ? 32 : 128;
  absl::StrAppend(out, " ", call.number);
  return call.number <= bits;
}
bool WriteHex2(const OptionCall& call, const TextOp&, std::string* out) {
  absl::StrAppendFormat(out, " 0x%02x", call.number);
  return true;
}
bool WriteHex4(const OptionCall& call, const TextOp&, std::string* out) {
  absl::StrAppendFormat(out, " 0x%04x", call.number);
  return true;
}
bool WriteHex8(const OptionCall& call, const TextOp&, std::string* out) {
  absl::StrAppendFormat(out, " 0x%08x", call.number);
  return true;
}

// What a word of --hmark-tuple stands for; "@w": the width of an address. A
// word may be cut short: the first that fits counts.
struct TupleField {
  absl::string_view word;
  HmarkId id;
  absl::string_view text;
};
constexpr TupleField kTupleFields[] = {
    {"ct", kCt, " --hmark-tuple ct"},
    {"src", kSrcPrefix, " --hmark-src-prefix @w"},
    {"dst", kDstPrefix, " --hmark-dst-prefix @w"},
    {"sport", kSportMask, " --hmark-sport-mask 0xffff"},
    {"dport", kDportMask, " --hmark-dport-mask 0xffff"},
    {"proto", kProtoMask, " --hmark-proto-mask 0xffff"},
    {"spi", kSpiMask, " --hmark-spi-mask 0xffffffff"},
};
const TupleField* FindTupleField(absl::string_view word) {
  for (const TupleField& field : kTupleFields) {
    if (!word.empty() && absl::StartsWithIgnoreCase(field.word, word)) {
      return &field;
    }
  }
  return nullptr;
}

// Keeps the words for FinishHmark(). Their options may not follow.
bool WriteTuple(const OptionCall& call, const TextOp&, std::string* out) {
  for (absl::string_view word : absl::StrSplit(call.text, ',')) {
    const TupleField* field = FindTupleField(word);
    if (field == nullptr) return false;
    *call.seen |= Bit(field->id);
  }
  *out = std::string(call.text);
  return true;
}

bool FinishHmark(FinishCall& call, TextOp* op) {
  StringPool* strings = call.rule->strings;
  const std::string tuple(strings->Get(op->slots[kTuple]));
  op->slots[kTuple] = 0;
  for (absl::string_view word : absl::StrSplit(tuple, ',', absl::SkipEmpty())) {
    const TupleField& field = *FindTupleField(word);
    std::string text(field.text);
    if (const size_t at = text.find("@w"); at != std::string::npos) {
      text.replace(at, 2, call.rule->family == IpFamily::kIpv4 ? "32" : "128");
    }
    op->slots[field.id] = strings->Intern(text);
  }
  if (op->slots[kMod] == 0) {
    return call.rule->Fail("HMARK: --hmark-mod is required");
  }
  if (op->slots[kRnd] == 0) {
    return call.rule->Fail("HMARK: --hmark-rnd is required");
  }
  if (op->slots[kSpiMask] != 0 &&
      (op->slots[kSportMask] != 0 || op->slots[kDportMask] != 0)) {
    return call.rule->Fail("HMARK: masks of an SPI and of ports together");
  }
  for (int id = kSrcPrefix; id <= kProtoMask; ++id) {
    if (op->slots[id] != 0) return true;
  }
  return op->slots[kCt] != 0 ||
         call.rule->Fail("HMARK: nothing to hash: --hmark-tuple is required");
}

constexpr TextOption Custom(OptionSpec spec,
                            bool (*write)(const OptionCall&, const TextOp&,
                                          std::string*)) {
  return {spec, Format::kCustom, "", "", write};
}

constexpr TextOption kHmarkOptions[] = {
    Custom({"hmark-src-prefix", kSrcPrefix, ValueType::kUint8}, WritePrefix),
    Custom({"hmark-dst-prefix", kDstPrefix, ValueType::kUint8}, WritePrefix),
    Custom({"hmark-sport-mask", kSportMask, ValueType::kUint16}, WriteHex4),
    Custom({"hmark-dport-mask", kDportMask, ValueType::kUint16}, WriteHex4),
    Custom({"hmark-spi-mask", kSpiMask, ValueType::kUint32}, WriteHex8),
    Custom({"hmark-sport", kSport, ValueType::kUint16}, WriteHex4),
    Custom({"hmark-dport", kDport, ValueType::kUint16}, WriteHex4),
    Custom({"hmark-spi", kSpi, ValueType::kUint32}, WriteHex8),
    Custom({"hmark-proto-mask", kProtoMask, ValueType::kUint16}, WriteHex2),
    Custom({"hmark-rnd", kRnd, ValueType::kUint32}, WriteHex8),
    {{"hmark-mod", kMod, ValueType::kUint32, 0, 0, 0, 1, 0xffffffff},
     Format::kDecimal},
    {{"hmark-offset", kOffset, ValueType::kUint32}, Format::kDecimal},
    Custom({"hmark-tuple", kTuple, ValueType::kString}, WriteTuple),
};

// ---- RATEEST ----

constexpr size_t kMaxName = 15;

// A number in front of `text`, as strtod(3) reads it; `rest`: what follows.
bool TakeReal(absl::string_view text, double* value, std::string* rest) {
  const std::string copy(text);
  char* end = nullptr;
  *value = std::strtod(copy.c_str(), &end);
  *rest = absl::AsciiStrToLower(end);
  return end != copy.c_str();
}

// "250ms" in microseconds.
bool ReadMicroseconds(absl::string_view text, uint32_t* microseconds) {
  struct Unit {
    absl::string_view name;
    double microseconds;
  };
  static constexpr Unit kUnits[] = {
      {"", 1},       {"s", 1e6}, {"sec", 1e6}, {"secs", 1e6},  {"ms", 1e3},
      {"msec", 1e3}, {"us", 1},  {"usec", 1},  {"msecs", 1e3}, {"usecs", 1},
  };
  double value;
  std::string unit;
  if (!TakeReal(text, &value, &unit)) return false;
  for (const Unit& u : kUnits) {
    if (u.name != unit) continue;
    value *= u.microseconds;
    if (!(value >= 0 && value <= 4294967295.0)) return false;
    *microseconds = static_cast<uint32_t>(value);
    return true;
  }
  return false;
}

bool WriteName(const OptionCall& call, const TextOp&, std::string* out) {
  absl::StrAppend(out, " ", call.text.substr(0, kMaxName));
  return true;
}
// The microseconds, for FinishRateestTarget().
bool WriteMicroseconds(const OptionCall& call, const TextOp&,
                       std::string* out) {
  uint32_t value;
  if (!ReadMicroseconds(call.text, &value)) return false;
  *out = absl::StrCat(value);
  return true;
}

std::string TimeText(uint32_t microseconds) {
  const double value = microseconds;
  if (microseconds >= 1'000'000) return absl::StrFormat(" %.1fs", value / 1e6);
  if (microseconds >= 1'000) return absl::StrFormat(" %.1fms", value / 1e3);
  return absl::StrCat(" ", microseconds, "us");
}

// The kernel has both times as powers of two: of a quarter of a second, and of
// the interval.
bool FinishRateestTarget(FinishCall& call, TextOp* op) {
  StringPool* strings = call.rule->strings;
  const auto microseconds = [&](int id) {
    return static_cast<uint32_t>(std::strtoul(
        std::string(strings->Get(op->slots[id])).c_str(), nullptr, 10));
  };
  const uint32_t asked = microseconds(1);
  int interval = 0;
  while (interval <= 5 && asked > (250'000u << interval)) ++interval;
  if (interval > 5) return call.rule->Fail("RATEEST: the interval is too long");
  const uint32_t constant = microseconds(2);
  int log = 1;
  for (; log < 32; ++log) {
    const double rest =
        1.0 - 1.0 / static_cast<double>(static_cast<int64_t>(1) << log);
    if (asked / -std::log(rest) > constant) break;
  }
  --log;
  if (log == 0 || log >= 31) {
    return call.rule->Fail("RATEEST: the ewmalog value is out of range");
  }
  const uint32_t quarters = 250'000u << interval;
  op->slots[1] =
      strings->Intern(absl::StrCat(" --rateest-interval", TimeText(quarters)));
  op->slots[2] = strings->Intern(
      absl::StrCat(" --rateest-ewmalog", TimeText(quarters << log)));
  return true;
}

constexpr TextOption kRateestTargetOptions[] = {
    Custom({"rateest-name", 0, ValueType::kString, kMandatory}, WriteName),
    Custom({"rateest-interval", 1, ValueType::kString, kMandatory},
           WriteMicroseconds),
    Custom({"rateest-ewmalog", 2, ValueType::kString, kMandatory},
           WriteMicroseconds),
};

// ---- rateest ----

enum RateestId : uint8_t {
  kName1,
  kName2,
  kBps1,
  kPps1,
  kBps2,
  kPps2,
  kDelta,
  kLess,
  kGreater,
  kEqual,
};

// "1mbit" in bytes a second; a plain number is in bits.
bool ReadRate(absl::string_view text, uint32_t* rate) {
  constexpr double kKibi = 1024;
  struct Unit {
    absl::string_view name;
    double bits;
  };
  static constexpr Unit kUnits[] = {
      {"", 1},
      {"bit", 1},
      {"kibit", kKibi},
      {"kbit", 1e3},
      {"mibit", kKibi * kKibi},
      {"mbit", 1e6},
      {"gibit", kKibi * kKibi * kKibi},
      {"gbit", 1e9},
      {"tibit", kKibi * kKibi * kKibi * kKibi},
      {"tbit", 1e12},
      {"bps", 8},
      {"kibps", 8 * kKibi},
      {"kbps", 8e3},
      {"mibps", 8 * kKibi * kKibi},
      {"mbps", 8e6},
      {"gibps", 8 * kKibi * kKibi * kKibi},
      {"gbps", 8e9},
      {"tibps", 8 * kKibi * kKibi * kKibi * kKibi},
      {"tbps", 8e12},
  };
  double value;
  std::string unit;
  if (!TakeReal(text, &value, &unit)) return false;
  for (const Unit& u : kUnits) {
    if (u.name != unit) continue;
    value = value * u.bits / 8;
    if (!(value >= 0 && value <= 4294967295.0)) return false;
    *rate = static_cast<uint32_t>(value);
    return true;
  }
  return false;
}
std::string RateText(uint32_t rate) {
  const double bits = rate * 8.0;
  if (bits >= 1e9) return absl::StrFormat(" %.0fMbit", bits / 1e6);
  if (bits >= 1e6) return absl::StrFormat(" %.0fKbit", bits / 1e3);
  return absl::StrFormat(" %.0fbit", bits);
}

// The value of a rate is optional. The printed text of it is kept, " " if
// there is none: FinishRateestMatch() gives it a name.
bool WriteRate(const OptionCall& call, const TextOp&, std::string* out) {
  const bool bits = call.id() == kBps1 || call.id() == kBps2;
  *out = bits ? RateText(0) : " 0";
  if (call.following.empty() || absl::StartsWith(call.following[0], "-") ||
      absl::StartsWith(call.following[0], "!")) {
    return true;
  }
  call.taken = 1;
  if (bits) {
    uint32_t rate;
    if (!ReadRate(call.following[0], &rate)) return false;
    *out = RateText(rate);
    return true;
  }
  uint64_t packets;
  if (!ReadNumber(call.following[0], 0, 0, UINT32_MAX, &packets)) return false;
  *out = absl::StrCat(" ", packets);
  return true;
}
bool WriteFlag(const OptionCall& call, const TextOp&, std::string* out) {
  *out = absl::StrCat(call.invert ? " !" : "", " --", call.spec->name);
  return true;
}
bool WriteEstimator(const OptionCall& call, const TextOp&, std::string* out) {
  *out = std::string(call.text.substr(0, kMaxName));
  return true;
}

bool FinishRateestMatch(FinishCall& call, TextOp* op) {
  StringPool* strings = call.rule->strings;
  const auto text = [&](int id) {
    return std::string(strings->Get(op->slots[id]));
  };
  const bool relative = call.Seen(kName2);
  const bool delta = call.Seen(kDelta);
  // Of two modes iptables takes the last; they are refused here.
  std::string mode;
  for (int id : {kLess, kGreater, kEqual}) {
    if (!call.Seen(id)) continue;
    if (!mode.empty()) {
      return call.rule->Fail("rateest: one of -lt, -gt, -eq");
    }
    mode = text(id);
  }
  if (call.seen == 0) return call.rule->Fail("rateest: an option is missing");
  std::string before;
  std::string after;
  const auto add = [&](absl::string_view name, int first, int second) {
    if (!call.Seen(first) && !call.Seen(second)) return;
    const std::string zero = first == kBps1 ? RateText(0) : " 0";
    if (delta) {
      absl::StrAppend(&before, name, "1",
                      call.Seen(first) ? text(first) : zero);
      absl::StrAppend(&after, name, "2",
                      call.Seen(second) ? text(second) : zero);
    } else if (relative) {
      absl::StrAppend(&after, name);
    } else {
      absl::StrAppend(&after, name, call.Seen(second) ? text(second) : zero);
    }
  };
  add(" --rateest-bps", kBps1, kBps2);
  add(" --rateest-pps", kPps1, kPps2);
  std::string all = delta ? " --rateest-delta" : "";
  absl::StrAppend(&all, relative ? " --rateest1 " : " --rateest ", text(kName1),
                  before, mode, after);
  if (relative) absl::StrAppend(&all, " --rateest2 ", text(kName2));
  for (StringId& slot : op->slots) slot = 0;
  op->slots[0] = strings->Intern(all);
  return true;
}

constexpr TextOption kRateestMatchOptions[] = {
    Custom({"rateest1", kName1, ValueType::kString}, WriteEstimator),
    Custom({"rateest", kName1, ValueType::kString}, WriteEstimator),
    Custom({"rateest2", kName2, ValueType::kString}, WriteEstimator),
    Custom({"rateest-bps1", kBps1}, WriteRate),
    Custom({"rateest-pps1", kPps1}, WriteRate),
    Custom({"rateest-bps2", kBps2}, WriteRate),
    Custom({"rateest-pps2", kPps2}, WriteRate),
    Custom({"rateest-bps", kBps2}, WriteRate),
    Custom({"rateest-pps", kPps2}, WriteRate),
    Custom({"rateest-delta", kDelta}, WriteFlag),
    Custom({"rateest-lt", kLess, ValueType::kNone, kInvertible}, WriteFlag),
    Custom({"rateest-gt", kGreater, ValueType::kNone, kInvertible}, WriteFlag),
    Custom({"rateest-eq", kEqual, ValueType::kNone, kInvertible}, WriteFlag),
};

constexpr TextExtension kExtensions[] = {
    {"HMARK", true, kBoth, kHmarkOptions, 0, FinishHmark},
    {"RATEEST", true, kBoth, kRateestTargetOptions, 0, FinishRateestTarget},
    {"rateest", false, kBoth, kRateestMatchOptions, 0, FinishRateestMatch},
};

}  // namespace

std::vector<Extension> EstimatorExtensions() {
  return MakeTextExtensions<kExtensions>();
}

}  // namespace k8sdns::netfilter
