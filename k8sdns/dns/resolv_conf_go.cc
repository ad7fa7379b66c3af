// Go 1.22: src/net/dnsconfig_unix.go.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "k8sdns/dns/libc_text.h"
#include "k8sdns/dns/resolv_conf.h"
#include "k8sdns/dns/resolv_conf_readers.h"

namespace k8sdns::dns {
namespace {

constexpr size_t kMaxServers = 3;
constexpr int kBig = 0xFFFFFF;  // where dtoi() stops

// Decimal digits at the front; 0 without any.
int ReadDigits(absl::string_view s) {
  int n = 0;
  for (char c : s) {
    if (c < '0' || c > '9') break;
    n = n * 10 + (c - '0');
    if (n >= kBig) return kBig;
  }
  return n;
}

std::string Rooted(absl::string_view domain) {
  if (absl::EndsWith(domain, ".")) return std::string(domain);
  return absl::StrCat(domain, ".");
}

class GoReader {
 public:
  explicit GoReader(const ResolverEnvironment& environment)
      : environment_(environment) {
    out_.library = Library::kGo1_22;
  }

  ResolverSettings Read(const absl::string_view* text) {
    if (text != nullptr) {
      for (const TextLine& l : SplitLines(*text)) {
        ++line_;
        ReadLine(l.text);
      }
    }
    if (out_.servers.empty()) {
      out_.servers.push_back({IpAddress::V4(0x7f000001), "", false});
      out_.servers.push_back({*IpAddress::Parse("::1"), "", false});
    }
    if (out_.search.empty()) {
      const absl::string_view host = environment_.hostname;
      const size_t dot = host.find('.');
      if (dot != absl::string_view::npos && dot + 1 < host.size()) {
        out_.search = {Rooted(host.substr(dot + 1))};
        out_.search_from_hostname = true;
      }
    }
    return std::move(out_);
  }

 private:
  void Ignore(absl::string_view text, absl::string_view reason) {
    out_.ignored.push_back({line_, std::string(text), std::string(reason)});
  }

  void ReadLine(absl::string_view line) {
    if (!line.empty() && (line.front() == ';' || line.front() == '#')) return;
    const std::vector<absl::string_view> f =
        absl::StrSplit(line, absl::ByAnyChar(" \r\t\n"), absl::SkipEmpty());
    if (f.empty()) return;
    if (f[0] == "nameserver") {
      ReadServer(line, f);
    } else if (f[0] == "domain") {
      if (f.size() > 1) SetSearch(line, {Rooted(f[1])});
      if (f.size() < 2) Ignore(line, "no domain");
      for (size_t i = 2; i < f.size(); ++i) {
        Ignore(f[i], "text after the domain");
      }
    } else if (f[0] == "search") {
      std::vector<std::string> search;
      for (size_t i = 1; i < f.size(); ++i) {
        if (Rooted(f[i]) == ".") {
          Ignore(f[i], "the root in a search list");
        } else {
          search.push_back(Rooted(f[i]));
        }
      }
      SetSearch(line, std::move(search));
    } else if (f[0] == "options") {
      for (size_t i = 1; i < f.size(); ++i) ReadOption(f[i]);
    } else {
      Ignore(line, "unknown keyword");
    }
  }

  void SetSearch(absl::string_view line, std::vector<std::string> search) {
    if (!out_.search.empty()) {
      out_.ignored.push_back(
          {search_line_, search_text_, "replaced by a later line"});
    }
    search_line_ = line_;
    search_text_ = std::string(line);
    out_.search = std::move(search);
  }

  void ReadServer(absl::string_view line,
                  const std::vector<absl::string_view>& f) {
    const std::optional<ZonedAddress> address =
        f.size() > 1 ? ParseGoLiteral(f[1]) : std::nullopt;
    if (!address.has_value()) {
      Ignore(line, "not an address");
      return;
    }
    if (out_.servers.size() >= kMaxServers) {
      Ignore(line, "more than 3 name servers");
      return;
    }
    for (size_t i = 2; i < f.size(); ++i)
      Ignore(f[i], "text after the address");
    NameServer server{UnmapIpv4(address->address), address->zone, false};
    if (!server.zone.empty()) {
      server.bad_zone = true;
      for (const std::string& name : environment_.interfaces) {
        if (name == server.zone) server.bad_zone = false;
      }
    }
    out_.servers.push_back(std::move(server));
  }

  void ReadOption(absl::string_view s) {
    if (absl::ConsumePrefix(&s, "ndots:")) {
      out_.ndots = std::min(ReadDigits(s), 15);
    } else if (absl::ConsumePrefix(&s, "timeout:")) {
      out_.timeout_seconds = std::max(ReadDigits(s), 1);
    } else if (absl::ConsumePrefix(&s, "attempts:")) {
      out_.attempts = std::max(ReadDigits(s), 1);
    } else if (s == "rotate") {
      out_.rotate = true;
    } else if (s == "single-request" || s == "single-request-reopen") {
      out_.single_request = true;
    } else if (s == "use-vc" || s == "usevc" || s == "tcp") {
      out_.use_vc = true;
    } else if (s == "trust-ad") {
      out_.trust_ad = true;
    } else if (s != "edns0" && s != "no-reload") {
      Ignore(s, "an option that Go does not have");
    }
  }

  const ResolverEnvironment& environment_;
  ResolverSettings out_;
  int line_ = 0;
  int search_line_ = 0;
  std::string search_text_;
};

}  // namespace

ResolverSettings ReadAsGo(const absl::string_view* text,
                          const ResolverEnvironment& environment) {
  return GoReader(environment).Read(text);
}

}  // namespace k8sdns::dns
