#include "k8sdns/netfilter/kernel_values.h"

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "k8sdns/net/ip_address.h"

namespace k8sdns::netfilter {
namespace {

// ---- limit, hashlimit ----

// HZ * CREDITS_PER_JIFFY of xt_limit.c, the same for 250 and 1000 Hz.
constexpr uint32_t kLimitCredits = 32000;
constexpr uint32_t kLimitScale = 10000;

// user2credits() of xt_limit.c: overflow is what the check looks for.
uint32_t LimitCredits(uint32_t user) {
  return user > 0xffffffff / kLimitCredits ? user / kLimitScale * kLimitCredits
                                           : user * kLimitCredits / kLimitScale;
}

std::string CheckLimit(const LimitMatch& m) {
  const uint32_t all = m.interval * m.burst;
  return m.burst == 0 || LimitCredits(all) < LimitCredits(m.interval)
             ? "limit: rate and burst overflow"
             : "";
}

// xt_check_proc_name(): what cannot be a file's name.
bool IsFileName(absl::string_view name) {
  return !name.empty() && name != "." && name != ".." &&
         !absl::StrContains(name, '/');
}

// hashlimit_mt_check_common().
std::string CheckHashlimit(const HashlimitMatch& m, const StringPool& strings) {
  // HZ * CREDITS_PER_JIFFY / XT_HASHLIMIT_SCALE_v2, the same for 250 and 1000
  // Hz.
  constexpr uint64_t kCredits = (uint64_t{250} << 39) / 1000000;
  if (!IsFileName(strings.Get(m.name))) return "hashlimit: bad name";
  if (m.gc_interval_ms == 0) return "hashlimit: an interval of 0";
  if ((m.mode & HashlimitMatch::kRateMatch) != 0) {
    return m.average == 0 || m.average > 0xffffffff ? "hashlimit: bad rate"
                                                    : "";
  }
  if ((m.mode & HashlimitMatch::kBytes) != 0) return "";
  const uint64_t one = m.average * kCredits;
  const uint64_t all = m.average * m.burst * kCredits;
  return m.burst == 0 || all < one ? "hashlimit: rate and burst overflow" : "";
}

// ---- others with a model ----

// xt_recent.c: recent_mt_check().
std::string CheckRecent(const RecentMatch& m, const StringPool& strings) {
  if (!IsFileName(strings.Get(m.name))) return "recent: bad name";
  return m.hit_count > 65535 ? "recent: hitcount is over 65535" : "";
}

// xt_owner.c: owner_check().
std::string CheckOwner(const OwnerMatch& m) {
  const bool uids =
      (m.given & OwnerMatch::kUid) == 0 || m.first_uid <= m.last_uid;
  const bool gids =
      (m.given & OwnerMatch::kGid) == 0 || m.first_gid <= m.last_gid;
  return uids && gids ? "" : "owner: a range that is empty";
}

// xt_u32.c: u32_mt_checkentry(). The program is in canonical form: all numbers
// are hexadecimal.
std::string CheckU32(absl::string_view program) {
  for (absl::string_view shift : {">>0x", "<<0x"}) {
    for (size_t at = program.find(shift); at != absl::string_view::npos;
         at = program.find(shift, at + 1)) {
      const size_t begin = at + shift.size();
      size_t end = begin;
      while (end < program.size() && absl::ascii_isxdigit(program[end])) ++end;
      uint32_t bits = 0;
      if (!absl::SimpleHexAtoi(program.substr(begin, end - begin), &bits) ||
          bits > 31) {
        return "u32: a shift by more than 31 bits";
      }
    }
  }
  return "";
}

// xt_addrtype.c: addrtype_mt_checkentry_v1().
std::string CheckAddrtype(const AddrtypeMatch& m, IpFamily family) {
  if (family == IpFamily::kIpv4) return "";
  const uint16_t types = m.source | m.destination;
  const uint16_t unsupported = kTypeBlackhole | kTypeProhibit | kTypeThrow |
                               kTypeNat | kTypeXresolve | kTypeBroadcast;
  return (types & unsupported) != 0 ? "addrtype: a type that IPv6 does not have"
                                    : "";
}

// ---- what is kept as text ----

// The words after an option, as printed: quoted ones without their quotes.
class PrintedOptions {
 public:
  explicit PrintedOptions(absl::string_view text) {
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] == ' ') continue;
      const bool quoted = text[i] == '"';
      std::string word;
      for (i += quoted ? 1 : 0; i < text.size(); ++i) {
        if (text[i] == (quoted ? '"' : ' ')) break;
        if (quoted && text[i] == '\\' && i + 1 < text.size()) ++i;
        word.push_back(text[i]);
      }
      words_.push_back({std::move(word), quoted});
    }
  }
  // nullptr: not given.
  const std::string* ValueOf(absl::string_view option) const {
    for (size_t i = 0; i + 1 < words_.size(); ++i) {
      if (!words_[i].quoted && words_[i].text == option) {
        return &words_[i + 1].text;
      }
    }
    return nullptr;
  }
  int64_t NumberOf(absl::string_view option, int64_t absent) const {
    const std::string* const text = ValueOf(option);
    int64_t value = 0;
    return text != nullptr && absl::SimpleAtoi(*text, &value) ? value : absent;
  }

 private:
  struct Word {
    std::string text;
    bool quoted;
  };
  std::vector<Word> words_;
};

// xt_string.c: string_mt_check(); of the kernel's algorithms fsm wants another
// kind of pattern.
std::string CheckString(const PrintedOptions& options) {
  const std::string* const algorithm = options.ValueOf("--algo");
  if (algorithm != nullptr && *algorithm != "bm" && *algorithm != "kmp") {
    return "string: no such algorithm";
  }
  const std::string* const pattern = options.ValueOf("--string");
  if (pattern != nullptr && pattern->empty()) return "string: empty";
  return options.NumberOf("--from", 0) > options.NumberOf("--to", 65535)
             ? "string: --from is beyond --to"
             : "";
}

// xt_IDLETIMER.c: idletimer_tg_helper(), idletimer_check_sysfs_name().
std::string CheckIdletimer(const PrintedOptions& options) {
  const int64_t timeout = options.NumberOf("--timeout", 1);
  if (timeout == 0 || timeout >= 0x7fffffff / 1000) {
    return "IDLETIMER: bad timeout";
  }
  const std::string* const label = options.ValueOf("--label");
  if (label != nullptr && (!IsFileName(*label) || *label == "power" ||
                           *label == "subsystem" || *label == "uevent")) {
    return "IDLETIMER: bad label";
  }
  return "";
}

// ip6t_NPT.c: ip6t_npt_checkentry().
std::string CheckPrefixTranslation(const PrintedOptions& options) {
  for (const char* option : {"--src-pfx", "--dst-pfx"}) {
    const std::string* const text = options.ValueOf(option);
    if (text == nullptr) continue;
    const auto prefix = IpPrefix::Parse(
        absl::StrContains(*text, '/') ? *text : absl::StrCat(*text, "/128"));
    if (prefix && prefix->length() > 64) return "a prefix longer than 64 bits";
    if (prefix && *prefix != prefix->Masked()) return "a prefix with host bits";
  }
  return "";
}

// tee_tg_check().
std::string CheckTee(const PrintedOptions& options) {
  const std::string* const gateway = options.ValueOf("--gateway");
  return gateway != nullptr && (*gateway == "0.0.0.0" || *gateway == "::")
             ? "TEE: no gateway"
             : "";
}

// connlabel_mt_check(): XT_CONNLABEL_MAXBIT.
std::string CheckConnlabel(const PrintedOptions& options) {
  return options.NumberOf("--label", 0) > 127 ? "connlabel: label is over 127"
                                              : "";
}

struct TextCheck {
  absl::string_view name;
  std::string (*check)(const PrintedOptions& options);
};
constexpr TextCheck kMatchChecks[] = {
    {"connlabel", CheckConnlabel},
    {"string", CheckString},
};
constexpr TextCheck kTargetChecks[] = {
    {"DNPT", CheckPrefixTranslation},
    {"IDLETIMER", CheckIdletimer},
    {"SNPT", CheckPrefixTranslation},
    {"TEE", CheckTee},
};

std::string CheckText(std::span<const TextCheck> checks, absl::string_view name,
                      absl::string_view text) {
  for (const TextCheck& c : checks) {
    if (c.name == name) return c.check(PrintedOptions(text));
  }
  return "";
}

}  // namespace

std::string CheckValues(Variant variant, IpFamily family,
                        const Extension& extension, OpView op,
                        const StringPool& strings) {
  switch (op.kind()) {
    case OpKind::kLimit:
      // nft writes it as an expression of nftables' own.
      return variant == Variant::kLegacy ? CheckLimit(op.As<LimitMatch>()) : "";
    case OpKind::kHashlimit:
      return CheckHashlimit(op.As<HashlimitMatch>(), strings);
    case OpKind::kRecent:
      return CheckRecent(op.As<RecentMatch>(), strings);
    case OpKind::kOwner:
      return CheckOwner(op.As<OwnerMatch>());
    case OpKind::kU32:
      return CheckU32(strings.Get(op.As<U32Match>().program));
    case OpKind::kAddrtype:
      return CheckAddrtype(op.As<AddrtypeMatch>(), family);
    case OpKind::kSetConnmark:
      // connmark_tg_check() of xt_connmark.c.
      return op.As<ConnmarkTarget>().shift_bits > 31
                 ? "CONNMARK: a shift by more than 31 bits"
                 : "";
    case OpKind::kUnknownMatch:
      return CheckText(kMatchChecks, extension.name,
                       strings.Get(op.As<UnknownMatch>().text));
    case OpKind::kUnknownTarget:
      return CheckText(kTargetChecks, extension.name,
                       strings.Get(op.As<UnknownTarget>().text));
    default:
      return "";
  }
}

}  // namespace k8sdns::netfilter
