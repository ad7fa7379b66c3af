// glibc 2.36: resolv/res_init.c (the reader) and resolv/resolv_conf.c (what is
// kept, and the assertion that long search lists violate).
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "k8sdns/dns/libc_text.h"
#include "k8sdns/dns/resolv_conf.h"
#include "k8sdns/dns/resolv_conf_readers.h"

namespace k8sdns::dns {
namespace {

constexpr size_t kMaxServers = 3;       // MAXNS
constexpr size_t kLegacySearch = 6;     // MAXDNSRCH
constexpr size_t kLegacyBytes = 256;    // sizeof (_res.defdname)
constexpr size_t kLegacyPointers = 56;  // sizeof (_res.dnsrch)
constexpr int kMaxNdots = 15;
constexpr int kMaxTimeout = 30;
constexpr int kMaxAttempts = 5;

bool IsBlank(char c) { return c == ' ' || c == '\t'; }

void SkipBlanks(absl::string_view& s) {
  while (!s.empty() && IsBlank(s.front())) s.remove_prefix(1);
}

// The text up to the first blank, which is removed from `s`.
absl::string_view TakeWord(absl::string_view& s) {
  size_t n = 0;
  while (n < s.size() && !IsBlank(s[n])) ++n;
  const absl::string_view word = s.substr(0, n);
  s.remove_prefix(n);
  return word;
}

// The keyword must stand in the first column and be followed by a blank.
bool TakeKeyword(absl::string_view& line, absl::string_view keyword) {
  if (!absl::StartsWith(line, keyword) || line.size() == keyword.size() ||
      !IsBlank(line[keyword.size()])) {
    return false;
  }
  line.remove_prefix(keyword.size());
  SkipBlanks(line);
  return true;
}

std::vector<std::string> SplitSearch(absl::string_view s) {
  std::vector<std::string> out;
  while (true) {
    out.push_back(std::string(TakeWord(s)));
    SkipBlanks(s);
    if (s.empty()) return out;
  }
}

// The mask of the address's class, as before CIDR.
uint32_t ClassMask(uint32_t address) {
  if ((address & 0x80000000u) == 0) return 0xff000000u;
  if ((address & 0xc0000000u) == 0x80000000u) return 0xffff0000u;
  return 0xffffff00u;
}

struct FlagOption {
  absl::string_view name;
  bool ResolverSettings::*flag;
};
// In the order of the comparison: options match by prefix, so
// "single-request-reopen" must come before "single-request".
constexpr std::array<FlagOption, 9> kFlags = {{
    {"rotate", &ResolverSettings::rotate},
    {"edns0", &ResolverSettings::edns0},
    {"single-request-reopen", &ResolverSettings::single_request_reopen},
    {"single-request", &ResolverSettings::single_request},
    {"no_tld_query", &ResolverSettings::no_tld_query},
    {"no-tld-query", &ResolverSettings::no_tld_query},
    {"use-vc", &ResolverSettings::use_vc},
    {"trust-ad", &ResolverSettings::trust_ad},
    {"no-aaaa", &ResolverSettings::no_aaaa},
}};

class GlibcReader {
 public:
  explicit GlibcReader(const ResolverEnvironment& environment)
      : environment_(environment) {
    out_.library = Library::kGlibc2_36;
  }

  ResolverSettings Read(const absl::string_view* text) {
    ReadLocalDomain();
    if (text != nullptr) {
      for (const TextLine& l : SplitLines(*text)) {
        ++line_;
        ReadLine(l.text.substr(0, l.text.find('\0')));
      }
    }
    line_ = 0;
    if (out_.servers.empty()) {
      out_.servers.push_back({IpAddress::V4(0x7f000001), "", false});
    }
    DefaultSearch();
    const auto options = environment_.variables.find("RES_OPTIONS");
    if (options != environment_.variables.end()) ReadOptions(options->second);
    if (LegacySearchListMismatch()) out_.death = "killed by signal 6";
    if (endless_) out_.death = "hangs";
    return std::move(out_);
  }

 private:
  void Ignore(absl::string_view text, absl::string_view reason) {
    out_.ignored.push_back({line_, std::string(text), std::string(reason)});
  }

  void ReadLocalDomain() {
    const auto local = environment_.variables.find("LOCALDOMAIN");
    if (local == environment_.variables.end()) return;
    search_from_variable_ = true;
    const absl::string_view value = local->second;
    out_.search = SplitSearch(value.substr(0, value.find('\n')));
  }

  void ReadLine(absl::string_view line) {
    const absl::string_view whole = line;
    if (line.empty() || line.front() == ';' || line.front() == '#') return;
    if (TakeKeyword(line, "domain")) {
      SetSearch(whole, line, /*first_only=*/true);
    } else if (TakeKeyword(line, "search")) {
      SetSearch(whole, line, /*first_only=*/false);
    } else if (TakeKeyword(line, "nameserver")) {
      ReadServer(whole, line);
    } else if (TakeKeyword(line, "sortlist")) {
      ReadSortList(line);
    } else if (TakeKeyword(line, "options")) {
      ReadOptions(line);
    } else {
      absl::string_view rest = line;
      SkipBlanks(rest);
      if (rest.empty()) return;
      Ignore(whole, IsBlank(whole.front())
                        ? "a line that starts with a blank"
                        : "not a keyword followed by a blank");
    }
  }

  void SetSearch(absl::string_view whole, absl::string_view value,
                 bool first_only) {
    if (search_from_variable_) {
      Ignore(whole, "overridden by LOCALDOMAIN");
      return;
    }
    if (value.empty()) {
      Ignore(whole, "no domain");
      return;
    }
    if (!out_.search.empty()) {
      out_.ignored.push_back(
          {search_line_, search_text_, "replaced by a later line"});
    }
    search_line_ = line_;
    search_text_ = std::string(whole);
    if (first_only) {
      out_.search = {std::string(TakeWord(value))};
      SkipBlanks(value);
      if (!value.empty()) Ignore(value, "text after the domain");
    } else {
      out_.search = SplitSearch(value);
    }
  }

  void ReadServer(absl::string_view whole, absl::string_view value) {
    const absl::string_view word = TakeWord(value);
    SkipBlanks(value);
    const std::optional<ZonedAddress> address =
        ParseCLiteral(word, environment_.interfaces);
    if (!address.has_value()) {
      Ignore(whole, "not an address");
      return;
    }
    if (!value.empty()) Ignore(value, "text after the address");
    if (out_.servers.size() == kMaxServers) {
      Ignore(whole, "more than 3 name servers");
      return;
    }
    // An unknown zone is dropped; only link-local servers cannot be reached
    // without one.
    out_.servers.push_back(
        {UnmapIpv4(address->address), address->zone,
         address->bad_zone && address->address.IsLinkLocal()});
  }

  // "address[/mask] ...". A token that the loop cannot get past is read for
  // ever by glibc 2.36.
  void ReadSortList(absl::string_view s) {
    const auto token = [&s](bool stop_at_mask) {
      size_t n = 0;
      while (n < s.size() && s[n] != ';' && !IsCSpace(s[n]) &&
             static_cast<unsigned char>(s[n]) < 0x80 &&
             !(stop_at_mask && (s[n] == '/' || s[n] == '&'))) {
        ++n;
      }
      const absl::string_view word = s.substr(0, n);
      s.remove_prefix(n);
      return word;
    };
    while (true) {
      SkipBlanks(s);
      if (s.empty() || s.front() == ';') return;
      const absl::string_view net = token(/*stop_at_mask=*/true);
      const std::optional<uint32_t> address = ParseAton(net);
      if (!address.has_value()) {
        Ignore(net, "not an address in sortlist");
        if (!s.empty() && !IsBlank(s.front()) && s.front() != ';') {
          endless_ = true;
          return;
        }
        continue;
      }
      SortListEntry entry{*address, ClassMask(*address)};
      if (!s.empty() && (s.front() == '/' || s.front() == '&')) {
        s.remove_prefix(1);
        const std::optional<uint32_t> mask = ParseAton(token(false));
        if (mask.has_value()) entry.mask = *mask;
      }
      out_.sort_list.push_back(entry);
      if (!s.empty() && !IsBlank(s.front()) && s.front() != ';') {
        endless_ = true;
        return;
      }
    }
  }

  void ReadOptions(absl::string_view s) {
    while (true) {
      SkipBlanks(s);
      if (s.empty()) return;
      const absl::string_view rest = s;
      ReadOption(TakeWord(s), rest);
    }
  }

  // `rest` is the line from the option on.
  void ReadOption(absl::string_view option, absl::string_view rest) {
    // strtol() skips blanks, so "ndots: 5" is 5. It gives a long, which is
    // stored in an int.
    const auto number = [&](absl::string_view name, int limit, int* value) {
      if (!absl::StartsWith(option, name)) return false;
      const int n = static_cast<int>(
          static_cast<uint32_t>(CStrtol(rest.substr(name.size()))));
      *value = n <= limit ? n : limit;
      return true;
    };
    if (number("ndots:", kMaxNdots, &out_.ndots)) {
      out_.ndots &= 0xf;  // a bit field of four
      return;
    }
    if (number("timeout:", kMaxTimeout, &out_.timeout_seconds)) return;
    if (number("attempts:", kMaxAttempts, &out_.attempts)) return;
    for (const FlagOption& f : kFlags) {
      if (absl::StartsWith(option, f.name)) {
        out_.*f.flag = true;
        return;
      }
    }
    if (absl::StartsWith(option, "no-reload")) return;
    Ignore(option, "unknown option");
  }

  void DefaultSearch() {
    if (!out_.search.empty()) return;
    // gethostname() is asked for 255 bytes.
    const absl::string_view host =
        absl::string_view(environment_.hostname).substr(0, 255);
    const size_t dot = host.find('.');
    if (dot == absl::string_view::npos) return;
    out_.search = {std::string(host.substr(dot + 1))};
    out_.search_from_hostname = true;
  }

  // The search list is copied into the 256 bytes of struct __res_state, as far
  // as it fits, and an assertion compares both. It takes a short copy for
  // granted only after six domains or more than 56 bytes.
  bool LegacySearchListMismatch() const {
    size_t used = 0;
    for (size_t i = 0; i < out_.search.size(); ++i) {
      const size_t need = out_.search[i].size() + 1;
      if (i == kLegacySearch) return false;
      if (used + need > kLegacyBytes) return used <= kLegacyPointers;
      used += need;
    }
    return false;
  }

  const ResolverEnvironment& environment_;
  ResolverSettings out_;
  int line_ = 0;
  bool search_from_variable_ = false;
  int search_line_ = 0;
  std::string search_text_;
  bool endless_ = false;
};

}  // namespace

ResolverSettings ReadAsGlibc(const absl::string_view* text,
                             const ResolverEnvironment& environment) {
  return GlibcReader(environment).Read(text);
}

}  // namespace k8sdns::dns
