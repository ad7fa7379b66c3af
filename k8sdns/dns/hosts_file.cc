#include "k8sdns/dns/hosts_file.h"

#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "k8sdns/dns/libc_text.h"
#include "k8sdns/dns/query_name.h"

namespace k8sdns::dns {
namespace {

std::vector<absl::string_view> Fields(absl::string_view line) {
  line = line.substr(0, line.find('#'));
  return absl::StrSplit(line, absl::ByAnyChar(" \t\n\v\f\r"),
                        absl::SkipEmpty());
}

// The address of a line of nss_files as an address of `family`.
std::optional<IpAddress> GlibcHostsAddress(absl::string_view text,
                                           LookupFamily family) {
  const std::optional<IpAddress> a = IpAddress::Parse(text);
  if (!a.has_value() || family == LookupFamily::kUnspec) return a;
  if (family == LookupFamily::kInet6) {
    return a->is_v6() ? a : std::nullopt;
  }
  if (a->is_v4()) return a;
  if (a->IsLoopback()) return IpAddress::V4(0x7f000001);
  const IpAddress unmapped = UnmapIpv4(*a);
  if (unmapped.is_v4()) return unmapped;
  return std::nullopt;
}

// musl compares the text between spaces with the name.
bool MuslLineHasName(absl::string_view line, absl::string_view name) {
  for (size_t at = line.find(name, 1); at != absl::string_view::npos;
       at = line.find(name, at + 1)) {
    const size_t end = at + name.size();
    if (IsCSpace(line[at - 1]) && end < line.size() && IsCSpace(line[end])) {
      return true;
    }
  }
  return false;
}

// Go makes names with a dot absolute, others stay.
std::string GoHostsKey(absl::string_view name) {
  std::string key = absl::AsciiStrToLower(name);
  if (absl::StrContains(key, '.') && key.back() != '.') key += '.';
  return key;
}

}  // namespace

HostsMatch GlibcHosts(absl::string_view text, absl::string_view name,
                      LookupFamily family) {
  HostsMatch out;
  for (const TextLine& line : SplitLines(text)) {
    const std::vector<absl::string_view> f = Fields(line.text);
    if (f.size() < 2) continue;
    const bool matches =
        std::any_of(f.begin() + 1, f.end(), [&](absl::string_view alias) {
          return absl::EqualsIgnoreCase(alias, name);
        });
    if (!matches) continue;
    const std::optional<IpAddress> address = GlibcHostsAddress(f[0], family);
    if (!address.has_value()) continue;
    if (!out.found) out.canonical_name = std::string(f[1]);
    out.found = true;
    out.addresses.push_back(*address);
  }
  return out;
}

HostsMatch MuslHosts(absl::string_view text, absl::string_view name,
                     LookupFamily family, Library version,
                     const std::vector<std::string>& interfaces) {
  constexpr size_t kMaxLine = 511;
  constexpr size_t kMaxAddresses = 48;
  HostsMatch out;
  // 1.1.24 takes the canonical name of the last line that matches in name and
  // family, later versions that of the first that matches in name.
  const bool last_name_counts = version == Library::kMusl1_1_24;
  bool have_canon = false;
  bool bad_family = false;
  while (!text.empty() && out.addresses.size() < kMaxAddresses) {
    const size_t newline = text.find('\n');
    const size_t length = std::min(
        {newline == absl::string_view::npos ? text.size() : newline + 1,
         kMaxLine, text.size()});
    std::string line(text.substr(0, length));
    text.remove_prefix(length);
    const size_t hash = line.find('#');
    if (hash != std::string::npos) line = line.substr(0, hash) + "\n";
    if (!MuslLineHasName(line, name)) continue;
    const size_t space =
        std::find_if(line.begin(), line.end(), IsCSpace) - line.begin();
    const std::optional<ZonedAddress> address =
        ParseCLiteral(absl::string_view(line).substr(0, space), interfaces);
    const bool usable =
        address.has_value() && !address->bad_zone &&
        (family == LookupFamily::kUnspec ||
         (family == LookupFamily::kInet) == address->address.is_v4());
    if (usable) {
      out.addresses.push_back(address->address);
    } else if (!address.has_value()) {
      continue;
    } else {
      bad_family = true;
      if (last_name_counts) continue;
    }
    const std::vector<absl::string_view> f = Fields(line);
    if ((have_canon && !last_name_counts) || f.size() < 2) continue;
    if (MuslHostNameOk(f[1])) {
      out.canonical_name = std::string(f[1]);
      have_canon = true;
    }
  }
  out.found = !out.addresses.empty();
  out.other_family_only = !out.found && bad_family;
  return out;
}

HostsMatch GoHosts(absl::string_view text, absl::string_view name) {
  HostsMatch out;
  if (name.empty()) return out;
  const std::string key = GoHostsKey(name);
  for (const TextLine& line : SplitLines(text)) {
    const std::vector<absl::string_view> f =
        absl::StrSplit(line.text.substr(0, line.text.find('#')),
                       absl::ByAnyChar(" \r\t\n"), absl::SkipEmpty());
    if (f.size() < 2) continue;
    const std::optional<ZonedAddress> address = ParseGoLiteral(f[0]);
    if (!address.has_value()) continue;
    for (size_t i = 1; i < f.size(); ++i) {
      if (GoHostsKey(f[i]) != key) continue;
      out.found = true;
      out.addresses.push_back(UnmapIpv4(address->address));
    }
  }
  return out;
}

}  // namespace k8sdns::dns
