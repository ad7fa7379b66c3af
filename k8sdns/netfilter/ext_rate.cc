// How often: -m limit, hashlimit, statistic.
#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "k8sdns/netfilter/extension.h"

namespace k8sdns::netfilter {
namespace {

// atoll(3) of what a rate begins with.
uint64_t LeadingNumber(absl::string_view text) {
  uint64_t value;
  size_t used;
  return ReadNumber(text, 10, 0, UINT64_MAX, &value, &used) ? value : 0;
}

// "N/unit" or "N": *units is the seconds of the unit, *number N.
bool ReadRate(absl::string_view text, uint64_t* number, uint64_t* unit) {
  *unit = 1;
  const size_t slash = text.find('/');
  if (slash != absl::string_view::npos) {
    const absl::string_view name = text.substr(slash + 1);
    if (name.empty()) return false;
    if (absl::StartsWithIgnoreCase("second", name)) {
      *unit = 1;
    } else if (absl::StartsWithIgnoreCase("minute", name)) {
      *unit = 60;
    } else if (absl::StartsWithIgnoreCase("hour", name)) {
      *unit = 60 * 60;
    } else if (absl::StartsWithIgnoreCase("day", name)) {
      *unit = 24 * 60 * 60;
    } else {
      return false;
    }
  }
  *number = LeadingNumber(text);
  return *number != 0;
}

struct Unit {
  absl::string_view name;
  uint64_t seconds;
};
constexpr Unit kUnits[] = {
    {"day", 86400}, {"hour", 3600}, {"min", 60}, {"sec", 1}};

// The largest unit in which the period is (nearly) a whole rate. Returns its
// milliseconds.
uint64_t AppendRate(uint64_t period, uint64_t scale, std::string* out) {
  if (period == 0) {
    out->append(" inf");
    return 0;
  }
  size_t i = 1;
  for (; i < 4; ++i) {
    const uint64_t m = kUnits[i].seconds * scale;
    if (period > m || m / period < m % period) break;
  }
  const Unit& unit = kUnits[i - 1];
  absl::StrAppend(out, " ", unit.seconds * scale / period, "/", unit.name);
  return unit.seconds * 1000;
}

// ---- limit ----

constexpr uint64_t kLimitScale = 10000;

struct Limit : ExtensionBase<LimitMatch> {
  static void Init(LimitMatch& op, const RuleContext&) {
    op.interval = kLimitScale * 3600 / 3;
    op.burst = 5;
  }
  static bool Parse(OptionCall& call, LimitMatch& op) {
    if (call.id() == 1) {
      op.burst = static_cast<uint32_t>(call.number);
      // nft takes 0 for "not given".
      if (op.burst == 0 && call.rule->variant == Variant::kNft) op.burst = 5;
      return true;
    }
    uint64_t number;
    uint64_t unit;
    if (!ReadRate(call.text, &number, &unit)) {
      return call.rule->Fail("limit: bad rate `", call.text, "'");
    }
    // atoi(3) keeps the lower half.
    number &= 0xffffffff;
    const uint64_t interval = number == 0 ? 0 : kLimitScale * unit / number;
    if (interval == 0) {
      return call.rule->Fail("limit: rate too fast `", call.text, "'");
    }
    op.interval = static_cast<uint32_t>(interval);
    return true;
  }
  static void Print(const PrintContext&, const LimitMatch& op,
                    std::string* out) {
    out->append(" --limit");
    AppendRate(op.interval, kLimitScale, out);
    if (op.burst != 5) absl::StrAppend(out, " --limit-burst ", +op.burst);
  }
};
constexpr OptionSpec kLimitOptions[] = {
    {"limit", 0, ValueType::kString},
    {"limit-burst", 1, ValueType::kUint32, 0, 0, 0, 0, 10000},
};

// ---- hashlimit (revision 3) ----

constexpr uint64_t kHashScale = 1000000;
constexpr int kByteShift = 4;
constexpr uint32_t kDefaultGcMs = 1000;
constexpr uint32_t kMaxTable = 1048576;  // the kernel's HASHLIMIT_MAX_SIZE

uint64_t CostToBytes(uint64_t cost) {
  const uint64_t r = cost != 0 ? 0xffffffff / cost : 0xffffffff;
  return (r - 1) << kByteShift;
}
uint64_t BytesToCost(uint64_t bytes) {
  const uint32_t r = static_cast<uint32_t>(bytes >> kByteShift);
  return 0xffffffff / (uint64_t{r} + 1);
}

uint64_t Factor(char c) { return c == 'm' ? 1024 * 1024 : c == 'k' ? 1024 : 1; }

struct Hashlimit : ExtensionBase<HashlimitMatch> {
  enum Id : uint8_t {
    kUpto,
    kAboveId,
    kSrcmask,
    kDstmask,
    kBurst,
    kSize,
    kMax,
    kGc,
    kExpire,
    kMode,
    kName,
    kRateMatchId,
    kInterval,
  };
  static void Init(HashlimitMatch& op, const RuleContext& rule) {
    op.burst = 5;
    op.gc_interval_ms = kDefaultGcMs;
    op.source_prefix = op.destination_prefix =
        rule.family == IpFamily::kIpv4 ? 32 : 128;
  }
  static bool ReadLimit(OptionCall& call, HashlimitMatch& op) {
    const size_t bytes = call.text.find("b/s");
    uint64_t number = LeadingNumber(call.text);
    if (bytes != absl::string_view::npos && bytes > 0 && number != 0) {
      const uint64_t cost = BytesToCost(number * Factor(call.text[bytes - 1]));
      if (cost == 0) {
        return call.rule->Fail("hashlimit: rate too high `", call.text, "'");
      }
      op.mode |= HashlimitMatch::kBytes;
      op.average = cost;
      op.expire_ms = 15 * 1000;
      op.rate_interval = 15;
      return true;
    }
    uint64_t unit;
    if (!ReadRate(call.text, &number, &unit)) {
      return call.rule->Fail("hashlimit: bad rate `", call.text, "'");
    }
    op.average = kHashScale * unit / number;
    if (op.average == 0) {
      return call.rule->Fail("hashlimit: rate too fast `", call.text, "'");
    }
    return true;
  }
  // Seconds of the unit in which the rate was given.
  static uint64_t UnitOf(OptionCall& call) {
    uint64_t number;
    uint64_t unit;
    if (call.text.find("b/s") != absl::string_view::npos) return 15;
    return ReadRate(call.text, &number, &unit) ? unit : 1;
  }
  static bool ReadMode(OptionCall& call, HashlimitMatch& op) {
    for (absl::string_view name :
         absl::StrSplit(call.text, absl::ByAnyChar(",|"), absl::SkipEmpty())) {
      if (name == "dstip") {
        op.mode |= HashlimitMatch::kDestinationAddress;
      } else if (name == "srcip") {
        op.mode |= HashlimitMatch::kSourceAddress;
      } else if (name == "srcport") {
        op.mode |= HashlimitMatch::kSourcePort;
      } else if (name == "dstport") {
        op.mode |= HashlimitMatch::kDestinationPort;
      } else {
        return call.rule->Fail("hashlimit: bad mode `", name, "'");
      }
    }
    return true;
  }
  static bool ReadBurst(OptionCall& call, HashlimitMatch& op) {
    uint64_t value;
    size_t used;
    if (!ReadNumber(call.text, 0, 1, UINT64_MAX, &value, &used) ||
        (used == call.text.size() && value > 1000000)) {
      return call.rule->Fail("hashlimit: bad burst `", call.text, "'");
    }
    op.burst = value * (used < call.text.size() ? Factor(call.text[used]) : 1);
    return true;
  }
  static bool Parse(OptionCall& call, HashlimitMatch& op) {
    const uint32_t number = static_cast<uint32_t>(call.number);
    switch (call.id()) {
      case kUpto:
      case kAboveId: {
        if ((call.id() == kAboveId) != call.invert) {
          op.mode |= HashlimitMatch::kAbove;
        }
        // Until Finish(), `unused` and the high half of a free field would
        // not do: the unit is kept in rate_interval's stead.
        if (!ReadLimit(call, op)) return false;
        if (!call.Seen(kInterval)) {
          op.rate_interval = static_cast<uint32_t>(UnitOf(call));
        }
        if (!call.Seen(kExpire)) {
          op.expire_ms = static_cast<uint32_t>(UnitOf(call) * 1000);
        }
        return true;
      }
      case kSrcmask:
        op.source_prefix = call.address.prefix_length;
        return true;
      case kDstmask:
        op.destination_prefix = call.address.prefix_length;
        return true;
      case kBurst:
        return ReadBurst(call, op);
      case kSize:
        op.size = number < kMaxTable ? number : kMaxTable;
        return true;
      case kMax:
        op.max = number < kMaxTable ? number : kMaxTable;
        return true;
      case kGc:
        op.gc_interval_ms = number;
        return true;
      case kExpire:
        op.expire_ms = number;
        return true;
      case kMode:
        return ReadMode(call, op);
      case kName:
        op.name = call.rule->strings->Intern(call.text.substr(0, 254));
        return true;
      case kRateMatchId:
        op.mode |= HashlimitMatch::kRateMatch;
        return true;
      case kInterval: {
        const uint64_t value = LeadingNumber(call.text);
        if (value == 0 || value > 0x7fffffff) {
          return call.rule->Fail("hashlimit: bad interval `", call.text, "'");
        }
        op.rate_interval = static_cast<uint32_t>(value);
        return true;
      }
    }
    return true;
  }
  static bool Finish(FinishCall& call, HashlimitMatch& op) {
    if (!call.Seen(kUpto) && !call.Seen(kAboveId)) {
      return call.rule->Fail("hashlimit: a limit is required");
    }
    const uint64_t unit = call.Seen(kInterval) ? 0 : +op.rate_interval;
    if ((op.mode & HashlimitMatch::kBytes) != 0) {
      uint64_t burst = 0;
      if (call.Seen(kBurst)) {
        const uint64_t bytes = CostToBytes(op.average);
        if (op.burst < bytes) {
          return call.rule->Fail("hashlimit: burst cannot be smaller than ",
                                 bytes, "b");
        }
        burst = bytes == 0 ? 0 : (op.burst + bytes - 1) / bytes;
        if (!call.Seen(kExpire)) op.expire_ms = 60 * 1000;
      }
      op.burst = burst;
    } else if (op.burst > 1000000) {
      return call.rule->Fail("hashlimit: bad burst");
    }
    if ((op.mode & HashlimitMatch::kRateMatch) == 0) {
      if (!call.Seen(kInterval)) op.rate_interval = 0;
      return true;
    }
    const bool bytes = (op.mode & HashlimitMatch::kBytes) != 0;
    if (!call.Seen(kInterval)) {
      op.rate_interval = bytes ? 1 : static_cast<uint32_t>(unit);
    }
    const uint64_t divisor = unit != 0 ? unit : op.expire_ms / 1000;
    if (!bytes && divisor != 0) op.average = op.average / divisor;
    return true;
  }
  static uint64_t PrintBytes(const HashlimitMatch& op, std::string* out) {
    static constexpr Unit kSizes[] = {{"m", 1 << 20}, {"k", 1 << 10}, {"", 1}};
    uint64_t r = CostToBytes(op.average);
    size_t i = 0;
    for (; i < 2; ++i) {
      if (r >= kSizes[i].seconds &&
          BytesToCost(r & static_cast<uint32_t>(~(kSizes[i].seconds - 1))) ==
              op.average) {
        break;
      }
    }
    absl::StrAppend(out, " ", r / kSizes[i].seconds, kSizes[i].name, "b/s");
    if (op.burst == 0) return 15 * 1000;
    r *= op.burst;
    for (i = 0; i < 2; ++i) {
      if (r >= kSizes[i].seconds) break;
    }
    absl::StrAppend(out, " --hashlimit-burst ", r / kSizes[i].seconds,
                    kSizes[i].name, "b");
    return 60 * 1000;
  }
  static void Print(const PrintContext& context, const HashlimitMatch& op,
                    std::string* out) {
    out->append((op.mode & HashlimitMatch::kAbove) != 0 ? " --hashlimit-above"
                                                        : " --hashlimit-upto");
    uint64_t quantum;
    if ((op.mode & HashlimitMatch::kBytes) != 0) {
      quantum = PrintBytes(op, out);
    } else {
      quantum = AppendRate(op.average, kHashScale, out);
      absl::StrAppend(out, " --hashlimit-burst ", uint64_t{op.burst});
    }
    struct Name {
      absl::string_view name;
      uint8_t bit;
    };
    static constexpr Name kModes[] = {
        {"srcip", HashlimitMatch::kSourceAddress},
        {"srcport", HashlimitMatch::kSourcePort},
        {"dstip", HashlimitMatch::kDestinationAddress},
        {"dstport", HashlimitMatch::kDestinationPort}};
    absl::string_view separator = " --hashlimit-mode ";
    for (const Name& m : kModes) {
      if ((op.mode & m.bit) == 0) continue;
      absl::StrAppend(out, separator, m.name);
      separator = ",";
    }
    absl::StrAppend(out, " --hashlimit-name ", context.strings->Get(op.name));
    auto number = [&](absl::string_view name, uint64_t value) {
      absl::StrAppend(out, " --hashlimit-", name, " ", value);
    };
    if (op.size != 0) number("htable-size", op.size);
    if (op.max != 0) number("htable-max", op.max);
    if (op.gc_interval_ms != kDefaultGcMs) {
      number("htable-gcinterval", op.gc_interval_ms);
    }
    if (op.expire_ms != quantum) number("htable-expire", op.expire_ms);
    const int bits = context.family == IpFamily::kIpv4 ? 32 : 128;
    if (op.source_prefix != bits) number("srcmask", op.source_prefix);
    if (op.destination_prefix != bits) {
      number("dstmask", op.destination_prefix);
    }
    if ((op.mode & HashlimitMatch::kRateMatch) != 0) {
      out->append(" --hashlimit-rate-match");
      if (op.rate_interval != 1) number("rate-interval", op.rate_interval);
    }
  }
};
constexpr OptionSpec kHashlimitOptions[] = {
    {"hashlimit-upto", Hashlimit::kUpto, ValueType::kString, kInvertible,
     Bit(Hashlimit::kAboveId)},
    {"hashlimit-above", Hashlimit::kAboveId, ValueType::kString, kInvertible,
     Bit(Hashlimit::kUpto)},
    {"hashlimit", Hashlimit::kUpto, ValueType::kString, kInvertible,
     Bit(Hashlimit::kAboveId)},
    {"hashlimit-srcmask", Hashlimit::kSrcmask, ValueType::kPrefixLength},
    {"hashlimit-dstmask", Hashlimit::kDstmask, ValueType::kPrefixLength},
    {"hashlimit-burst", Hashlimit::kBurst, ValueType::kString},
    {"hashlimit-htable-size", Hashlimit::kSize, ValueType::kUint32},
    {"hashlimit-htable-max", Hashlimit::kMax, ValueType::kUint32},
    {"hashlimit-htable-gcinterval", Hashlimit::kGc, ValueType::kUint32},
    {"hashlimit-htable-expire", Hashlimit::kExpire, ValueType::kUint32},
    {"hashlimit-mode", Hashlimit::kMode, ValueType::kString},
    {"hashlimit-name", Hashlimit::kName, ValueType::kString, kMandatory, 0, 0,
     1},
    {"hashlimit-rate-match", Hashlimit::kRateMatchId, ValueType::kNone},
    {"hashlimit-rate-interval", Hashlimit::kInterval, ValueType::kString},
};

// ---- statistic ----

struct Statistic : ExtensionBase<StatisticMatch> {
  enum Id : uint8_t { kMode, kProbability, kEvery, kPacket };
  static bool Parse(OptionCall& call, StatisticMatch& op) {
    switch (call.id()) {
      case kMode:
        if (call.text == "nth") {
          op.nth = 1;
        } else if (call.text != "random") {
          return call.rule->Fail("statistic: bad mode `", call.text, "'");
        }
        break;
      case kProbability:
        op.probability =
            static_cast<uint32_t>(std::lround(0x80000000 * call.real));
        break;
      case kEvery:
        op.every = static_cast<uint32_t>(call.number);
        break;
      case kPacket:
        op.packet = static_cast<uint32_t>(call.number);
        return true;
    }
    if (call.invert) op.invert = 1;
    return true;
  }
  static bool Finish(FinishCall& call, StatisticMatch& op) {
    if (!call.Seen(kMode)) return true;  // said by CheckOptions()
    if (op.nth && !call.Seen(kEvery)) {
      return call.rule->Fail("statistic: --every is required for mode nth");
    }
    if (!op.nth && !call.Seen(kProbability)) {
      return call.rule->Fail(
          "statistic: --probability is required for mode random");
    }
    if (op.nth && op.packet >= op.every) {
      return call.rule->Fail("statistic: --packet must be less than --every");
    }
    return true;
  }
  static void Print(const PrintContext&, const StatisticMatch& op,
                    std::string* out) {
    const absl::string_view invert = op.invert ? " !" : "";
    if (op.nth) {
      absl::StrAppend(out, " --mode nth", invert, " --every ", +op.every,
                      " --packet ", +op.packet);
      return;
    }
    absl::StrAppend(out, " --mode random", invert, " --probability ");
    // %.11f of probability / 2^31, in integers: rounded to even at a tie, as
    // printf(3) rounds the exact value.
    const unsigned __int128 scaled =
        static_cast<unsigned __int128>(op.probability) * 100000000000ULL;
    uint64_t digits = static_cast<uint64_t>(scaled >> 31);
    const uint64_t rest = static_cast<uint64_t>(scaled) & 0x7fffffff;
    if (rest > 0x40000000 || (rest == 0x40000000 && (digits & 1) != 0)) {
      ++digits;
    }
    char text[13];
    for (int i = 12; i >= 0; --i) {
      if (i == 1) {
        text[i] = '.';
        continue;
      }
      text[i] = static_cast<char>('0' + digits % 10);
      digits /= 10;
    }
    out->append(text, sizeof(text));
  }
};
constexpr OptionSpec kStatisticOptions[] = {
    {"mode", Statistic::kMode, ValueType::kString, kMandatory},
    {"probability", Statistic::kProbability, ValueType::kDouble, kInvertible,
     Bit(Statistic::kEvery) | Bit(Statistic::kPacket), Bit(Statistic::kMode), 0,
     1},
    {"every", Statistic::kEvery, ValueType::kUint32, kInvertible,
     Bit(Statistic::kProbability),
     Bit(Statistic::kMode) | Bit(Statistic::kPacket), 1},
    {"packet", Statistic::kPacket, ValueType::kUint32, 0,
     Bit(Statistic::kProbability),
     Bit(Statistic::kMode) | Bit(Statistic::kEvery)},
};

}  // namespace

std::vector<Extension> RateExtensions() {
  return {
      MakeExtension<Limit>("limit", kLimitOptions),
      MakeExtension<Hashlimit>("hashlimit", kHashlimitOptions),
      MakeExtension<Statistic>("statistic", kStatisticOptions),
  };
}

}  // namespace k8sdns::netfilter
