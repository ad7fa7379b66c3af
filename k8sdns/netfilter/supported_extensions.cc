#include "k8sdns/netfilter/supported_extensions.h"

#include <algorithm>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "k8sdns/netfilter/extension.h"

namespace k8sdns::netfilter {
namespace {

SupportedExtension FromTable(const Extension& from) {
  SupportedExtension out;
  out.name = std::string(from.name);
  out.is_target = IsTarget(from.kind);
  out.ipv4 = (from.families & kV4) != 0;
  out.ipv6 = (from.families & kV6) != 0;
  const bool modelled =
      from.kind != OpKind::kUnknownMatch && from.kind != OpKind::kUnknownTarget;
  out.support = modelled ? Support::kEvaluated : Support::kText;
  out.note = std::string(from.note);
  for (const OptionSpec& option : from.options) {
    out.options.push_back(absl::StrCat("--", option.name));
  }
  return out;
}

void AddUnmodelled(std::span<const UnmodelledName> names, bool targets,
                   std::vector<SupportedExtension>& out) {
  for (const UnmodelledName& from : names) {
    const bool read =
        std::any_of(out.begin(), out.end(), [&](const SupportedExtension& e) {
          return e.is_target == targets && e.name == from.name;
        });
    if (read) continue;
    SupportedExtension e;
    e.name = std::string(from.name);
    e.is_target = targets;
    e.ipv4 = (from.families & kV4) != 0;
    e.ipv6 = (from.families & kV6) != 0;
    e.support = Support::kVerbatim;
    out.push_back(std::move(e));
  }
}

// "`tcp`, `ttl` (IPv4), `sctp` (chunk types are unknown)"
std::string List(const std::vector<SupportedExtension>& all, bool targets,
                 Support support) {
  std::string out;
  for (const SupportedExtension& e : all) {
    if (e.is_target != targets || e.support != support) continue;
    std::string note = e.note;
    if (!e.ipv4 || !e.ipv6) {
      note = absl::StrCat(e.ipv4 ? "IPv4" : "IPv6", note.empty() ? "" : "; ",
                          note);
    }
    absl::StrAppend(&out, out.empty() ? "" : ", ", "`", e.name, "`",
                    note.empty() ? "" : absl::StrCat(" (", note, ")"));
  }
  return out.empty() ? "none" : out;
}

}  // namespace

std::vector<SupportedExtension> SupportedExtensions() {
  std::vector<SupportedExtension> out;
  for (const Extension& e : ExtensionTable::Get().all()) {
    SupportedExtension row = FromTable(e);
    // Where the families' options differ there are two rows in the table.
    const auto same = std::find_if(
        out.begin(), out.end(), [&](const SupportedExtension& other) {
          return other.name == row.name && other.is_target == row.is_target &&
                 other.support == row.support;
        });
    if (same == out.end()) {
      out.push_back(std::move(row));
      continue;
    }
    same->ipv4 |= row.ipv4;
    same->ipv6 |= row.ipv6;
    for (std::string& option : row.options) {
      if (std::find(same->options.begin(), same->options.end(), option) ==
          same->options.end()) {
        same->options.push_back(std::move(option));
      }
    }
  }
  AddUnmodelled(UnmodelledMatches(), false, out);
  AddUnmodelled(UnmodelledTargets(), true, out);
  std::stable_sort(
      out.begin(), out.end(),
      [](const SupportedExtension& a, const SupportedExtension& b) {
        return std::tie(a.is_target, a.name) < std::tie(b.is_target, b.name);
      });
  return out;
}

std::string SupportedExtensionsMarkdown() {
  const std::vector<SupportedExtension> all = SupportedExtensions();
  std::string out =
      "| | matches (besides `-s -d -i -o -p -f`) | targets |\n|---|---|---|\n";
  for (const auto& [support, title] :
       {std::pair(Support::kEvaluated, "evaluated"),
        std::pair(Support::kText,
                  "read, checked and printed; `Unknown` when "
                  "reached"),
        std::pair(Support::kVerbatim,
                  "kept verbatim; `Unknown` when "
                  "reached")}) {
    absl::StrAppend(&out, "| ", title, " | ", List(all, false, support), " | ",
                    List(all, true, support), " |\n");
  }
  return out;
}

}  // namespace k8sdns::netfilter
