#include "k8sdns/dns/resolv_conf.h"

#include <array>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "k8sdns/dns/resolv_conf_readers.h"

namespace k8sdns::dns {
namespace {

struct NamedLibrary {
  Library library;
  absl::string_view name;
};
constexpr std::array<NamedLibrary, 5> kLibraries = {{
    {Library::kGlibc2_36, "glibc/2.36"},
    {Library::kMusl1_1_24, "musl/1.1.24"},
    {Library::kMusl1_2_3, "musl/1.2.3"},
    {Library::kMusl1_2_5, "musl/1.2.5"},
    {Library::kGo1_22, "go/1.22"},
}};

std::string NameServerText(const NameServer& server) {
  if (server.zone.empty()) return server.address.ToString();
  // An IPv4 address has a zone only if it was written as an IPv6 one.
  return absl::StrCat(server.address.is_v4() ? "::ffff:" : "",
                      server.address.ToString(), "%", server.zone);
}

}  // namespace

absl::string_view LibraryName(Library library) {
  for (const NamedLibrary& l : kLibraries) {
    if (l.library == library) return l.name;
  }
  return "?";
}

absl::StatusOr<Library> ParseLibrary(absl::string_view name) {
  for (const NamedLibrary& l : kLibraries) {
    if (l.name == name) return l.library;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "unknown resolver library \"", name, "\", expected one of ",
      absl::StrJoin(kLibraries, ", ", [](std::string* out, const auto& l) {
        out->append(std::string(l.name));
      })));
}

bool IsMusl(Library library) {
  return library == Library::kMusl1_1_24 || library == Library::kMusl1_2_3 ||
         library == Library::kMusl1_2_5;
}

std::vector<Library> AllLibraries() {
  std::vector<Library> out;
  for (const NamedLibrary& l : kLibraries) out.push_back(l.library);
  return out;
}

std::string ResolverSettings::ToString() const {
  std::string out;
  for (const NameServer& s : servers) {
    absl::StrAppend(&out, "nameserver ", NameServerText(s), "\n");
  }
  if (!search.empty()) {
    std::vector<std::string> domains = search;
    for (std::string& d : domains) {
      if (d.empty()) d.assign(1, '.');
    }
    absl::StrAppend(&out, "search ", absl::StrJoin(domains, " "), "\n");
  }
  std::vector<std::string> options;
  const auto number = [&](absl::string_view name, int value, int otherwise) {
    if (value != otherwise) options.push_back(absl::StrCat(name, ":", value));
  };
  const auto flag = [&](absl::string_view name, bool value) {
    if (value) options.push_back(std::string(name));
  };
  number("ndots", ndots, 1);
  number("timeout", timeout_seconds, 5);
  number("attempts", attempts, 2);
  flag("rotate", rotate);
  flag("edns0", edns0);
  flag("single-request", single_request);
  flag("single-request-reopen", single_request_reopen);
  flag("no-tld-query", no_tld_query);
  flag("use-vc", use_vc);
  flag("trust-ad", trust_ad);
  flag("no-aaaa", no_aaaa);
  if (!options.empty()) {
    absl::StrAppend(&out, "options ", absl::StrJoin(options, " "), "\n");
  }
  if (!sort_list.empty()) {
    absl::StrAppend(
        &out, "sortlist ",
        absl::StrJoin(sort_list, " ",
                      [](std::string* text, const SortListEntry& e) {
                        absl::StrAppend(text,
                                        IpAddress::V4(e.address).ToString(),
                                        "/", IpAddress::V4(e.mask).ToString());
                      }),
        "\n");
  }
  return out;
}

absl::string_view ResolvConf::text() const {
  return text_.has_value() ? absl::string_view(*text_) : absl::string_view();
}

ResolverSettings ResolvConf::ReadAs(
    Library library, const ResolverEnvironment& environment) const {
  const absl::string_view text = this->text();
  const absl::string_view* file = exists() ? &text : nullptr;
  if (library == Library::kGlibc2_36) return ReadAsGlibc(file, environment);
  if (library == Library::kGo1_22) return ReadAsGo(file, environment);
  return ReadAsMusl(library, file, environment);
}

}  // namespace k8sdns::dns
