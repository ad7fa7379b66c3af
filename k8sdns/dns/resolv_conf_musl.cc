// musl: src/network/resolvconf.c, the same in 1.1.24, 1.2.3 and 1.2.5.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "k8sdns/dns/libc_text.h"
#include "k8sdns/dns/resolv_conf.h"
#include "k8sdns/dns/resolv_conf_readers.h"

namespace k8sdns::dns {
namespace {

constexpr size_t kMaxServers = 3;
// fgets() into 256 bytes: a longer line, newline included, is dropped whole.
constexpr size_t kMaxLine = 255;

void SkipSpace(absl::string_view& s) {
  while (!s.empty() && IsCSpace(s.front())) s.remove_prefix(1);
}

absl::string_view TakeWord(absl::string_view& s) {
  size_t n = 0;
  while (n < s.size() && !IsCSpace(s[n])) ++n;
  const absl::string_view word = s.substr(0, n);
  s.remove_prefix(n);
  SkipSpace(s);
  return word;
}

class MuslReader {
 public:
  MuslReader(Library version, const ResolverEnvironment& environment)
      : environment_(environment) {
    out_.library = version;
  }

  ResolverSettings Read(const absl::string_view* text) {
    if (text != nullptr) {
      for (const TextLine& l : SplitLines(*text)) {
        ++line_;
        if (l.text.size() >= kMaxLine) {
          Ignore(l.text, "a line of more than 254 characters");
          continue;
        }
        ReadLine(l.text.substr(0, l.text.find('\0')), l.newline);
      }
    }
    if (out_.servers.empty()) {
      out_.servers.push_back({IpAddress::V4(0x7f000001), "", false});
    }
    return std::move(out_);
  }

 private:
  void Ignore(absl::string_view text, absl::string_view reason) {
    out_.ignored.push_back({line_, std::string(text), std::string(reason)});
  }

  // A keyword in the first column and a space of any kind; the newline counts.
  static bool TakeKeyword(absl::string_view& line, bool newline,
                          absl::string_view keyword) {
    if (!absl::StartsWith(line, keyword)) return false;
    if (line.size() == keyword.size()) {
      if (!newline) return false;
    } else if (!IsCSpace(line[keyword.size()])) {
      return false;
    }
    line.remove_prefix(keyword.size());
    SkipSpace(line);
    return true;
  }

  void ReadLine(absl::string_view line, bool newline) {
    const absl::string_view whole = line;
    if (TakeKeyword(line, newline, "options")) {
      ReadOptions(whole);
    } else if (TakeKeyword(line, newline, "nameserver")) {
      ReadServer(whole, line);
    } else if (TakeKeyword(line, newline, "search") ||
               TakeKeyword(line, newline, "domain")) {
      if (!out_.search.empty()) {
        out_.ignored.push_back(
            {search_line_, search_text_, "replaced by a later line"});
      }
      search_line_ = line_;
      search_text_ = std::string(whole);
      out_.search.clear();
      while (!line.empty()) out_.search.push_back(std::string(TakeWord(line)));
    } else {
      SkipSpace(line);
      if (line.empty() || whole.front() == '#' || whole.front() == ';') return;
      Ignore(whole, IsCSpace(whole.front())
                        ? "a line that starts with a blank"
                        : "not a keyword followed by a space");
    }
  }

  // Options are found anywhere in the line, so "xndots:3" counts as well.
  void ReadOptions(absl::string_view line) {
    const auto number = [&](absl::string_view name, uint64_t limit,
                            int* value) {
      const size_t at = line.find(name);
      if (at == absl::string_view::npos) return;
      const absl::string_view digits = line.substr(at + name.size());
      if (digits.empty() || !absl::ascii_isdigit(digits.front())) {
        Ignore(line.substr(at, line.find_first_of(" \t", at) - at),
               "not a number");
        return;
      }
      *value = static_cast<int>(
          std::min(limit, static_cast<uint64_t>(CStrtol(digits))));
    };
    number("ndots:", 15, &out_.ndots);
    number("attempts:", 10, &out_.attempts);
    number("timeout:", 60, &out_.timeout_seconds);
    TakeWord(line);
    while (!line.empty()) {
      const absl::string_view word = TakeWord(line);
      if (!absl::StrContains(word, "ndots:") &&
          !absl::StrContains(word, "attempts:") &&
          !absl::StrContains(word, "timeout:")) {
        Ignore(word, "an option that musl does not have");
      }
    }
  }

  void ReadServer(absl::string_view whole, absl::string_view value) {
    if (out_.servers.size() >= kMaxServers) {
      Ignore(whole, "more than 3 name servers");
      return;
    }
    const std::optional<ZonedAddress> address =
        ParseCLiteral(TakeWord(value), environment_.interfaces);
    if (!address.has_value() || address->bad_zone) {
      Ignore(whole,
             address.has_value() ? "no such interface" : "not an address");
      return;
    }
    if (!value.empty()) Ignore(value, "text after the address");
    out_.servers.push_back({UnmapIpv4(address->address), address->zone, false});
  }

  const ResolverEnvironment& environment_;
  ResolverSettings out_;
  int line_ = 0;
  int search_line_ = 0;
  std::string search_text_;
};

}  // namespace

ResolverSettings ReadAsMusl(Library version, const absl::string_view* text,
                            const ResolverEnvironment& environment) {
  return MuslReader(version, environment).Read(text);
}

}  // namespace k8sdns::dns
