#include "tests/conformance/replay_rule_text.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "k8sdns/netfilter/ipset_save.h"
#include "k8sdns/netfilter/iptables_save.h"
#include "k8sdns/netfilter/ruleset.h"
#include "tests/conformance/yaml_value.h"

namespace k8sdns::conformance {
namespace {

using netfilter::ParseOptions;
using netfilter::PrintOptions;
using netfilter::Ruleset;
using netfilter::TableId;
using netfilter::Variant;

YamlValue Refused(const absl::Status& why) {
  YamlValue out = YamlValue::Map();
  out.Set("refused", true);
  out.Set("error", absl::string_view(why.message()));
  return out;
}

// The -A lines of a printed text.
std::string RulesOnly(absl::string_view text) {
  std::string out;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!absl::StartsWith(line, "-A ")) continue;
    absl::StrAppend(&out, out.empty() ? "" : "\n", line);
  }
  return out;
}

std::vector<std::string> SetNames(const std::string& text) {
  std::vector<std::string> names;
  const auto sets = netfilter::ParseIpsetSave(text);
  if (!sets.ok()) return names;
  for (const netfilter::IpSet& set : sets->sets) names.push_back(set.name);
  return names;
}

YamlValue RunRule(const YamlValue& item, IpFamily family, Variant variant,
                  const std::vector<std::string>& sets) {
  std::string text = absl::StrCat("*", item["table"].str(), "\n");
  for (const YamlValue& chain : item["chains"].items()) {
    absl::StrAppend(&text, ":", chain.str(), " - [0:0]\n");
  }
  absl::StrAppend(&text, item["rule"].str(), "\nCOMMIT\n");
  ParseOptions options;
  options.variant = variant;
  options.sets = &sets;
  const auto rules = netfilter::ParseIptablesSave(text, family, options);
  if (!rules.ok()) return Refused(rules.status());
  PrintOptions print;
  print.variant = variant;
  YamlValue out = YamlValue::Map();
  out.Set("saved", RulesOnly(netfilter::PrintIptablesSave(*rules, print)));
  return out;
}

absl::Status ReplayRules(const ReplayPaths& paths, const std::string& file,
                         IpFamily family) {
  const auto text = ReadFile(absl::StrCat(paths.corpus, "/", file));
  if (!text.ok()) return text.status();
  const auto document = ParseYaml(*text);
  if (!document.ok()) return document.status();
  const std::vector<std::string> sets = SetNames((*document)["ipsets"].str());
  YamlValue cases = YamlValue::List();
  for (const YamlValue& item : (*document)["cases"].items()) {
    YamlValue out = YamlValue::Map();
    out.Set("id", item["id"].str());
    out.Set("legacy", RunRule(item, family, Variant::kLegacy, sets));
    out.Set("nft", RunRule(item, family, Variant::kNft, sets));
    cases.Add(std::move(out));
  }
  YamlValue out = YamlValue::Map();
  out.Set("group", (*document)["group"].str());
  out.Set("cases", std::move(cases));
  return WriteFile(absl::StrCat(paths.out, "/", file), out.ToYaml());
}

// iptables-legacy-save prints the table first that was touched last.
std::string PrintInToolOrder(const Ruleset& rules, const PrintOptions& print) {
  const std::string text = netfilter::PrintIptablesSave(rules, print);
  if (print.variant == Variant::kNft) return text;
  std::string out;
  for (absl::string_view table : absl::StrSplit(text, "COMMIT\n")) {
    if (!table.empty()) out = absl::StrCat(table, "COMMIT\n", out);
  }
  return out;
}

bool HasOption(const YamlValue& list, absl::string_view option) {
  for (const YamlValue& item : list.items()) {
    if (item.str() == option) return true;
  }
  return false;
}

ParseOptions RestoreOptions(const YamlValue& list, Variant variant) {
  ParseOptions options;
  options.variant = variant;
  options.keep_counters =
      HasOption(list, "-c") || HasOption(list, "--counters");
  options.no_flush = HasOption(list, "-n") || HasOption(list, "--noflush");
  const auto& items = list.items();
  for (size_t i = 0; i < items.size(); ++i) {
    const std::string& word = items[i].str();
    if ((word == "-T" || word == "--table") && i + 1 < items.size()) {
      options.only_table = items[i + 1].str();
    }
    if (absl::StartsWith(word, "--table=")) {
      options.only_table = word.substr(8);
    }
  }
  return options;
}

YamlValue RunFile(const YamlValue& item, IpFamily family, Variant variant) {
  Ruleset rules(family);
  if (item.Has("before")) {
    ParseOptions plain;
    plain.variant = variant;
    const absl::Status status =
        netfilter::ApplyIptablesSave(item["before"].str(), plain, &rules);
    if (!status.ok()) return Refused(status);
  }
  const absl::Status status = netfilter::ApplyIptablesSave(
      item["text"].str(), RestoreOptions(item["restore"], variant), &rules);
  if (!status.ok()) return Refused(status);
  PrintOptions print;
  print.variant = variant;
  print.counters = HasOption(item["save"], "-c");
  const ParseOptions only = RestoreOptions(item["save"], variant);
  for (int i = 0; i < netfilter::kTableCount; ++i) {
    const TableId id = static_cast<TableId>(i);
    if (!only.only_table.empty() && rules.table(id) != nullptr &&
        netfilter::TableName(id) != only.only_table) {
      rules.RemoveTable(id);
    }
  }
  const bool test =
      HasOption(item["restore"], "-t") || HasOption(item["restore"], "--test");
  YamlValue out = YamlValue::Map();
  if (test) {
    // The tables are there, and nothing of the file.
    for (TableId id : rules.tables()) {
      netfilter::Table* table = rules.table(id);
      for (netfilter::ChainId chain : table->chains()) {
        table->ClearRules(chain);
        if (table->policy(chain) == netfilter::Table::Policy::kNone) {
          table->RemoveChain(chain);
        } else {
          table->set_policy(chain, netfilter::Table::Policy::kAccept);
        }
      }
    }
    print.variant = Variant::kLegacy;
  }
  out.Set("saved", PrintInToolOrder(rules, print));
  return out;
}

absl::Status ReplayFiles(const ReplayPaths& paths, const std::string& file) {
  const auto text = ReadFile(absl::StrCat(paths.corpus, "/", file));
  if (!text.ok()) return text.status();
  const auto document = ParseYaml(*text);
  if (!document.ok()) return document.status();
  YamlValue cases = YamlValue::List();
  for (const YamlValue& item : (*document)["cases"].items()) {
    const IpFamily family =
        item["family"].str() == "ipv6" ? IpFamily::kIpv6 : IpFamily::kIpv4;
    YamlValue out = YamlValue::Map();
    out.Set("id", item["id"].str());
    out.Set("legacy", RunFile(item, family, Variant::kLegacy));
    out.Set("nft", RunFile(item, family, Variant::kNft));
    cases.Add(std::move(out));
  }
  YamlValue out = YamlValue::Map();
  out.Set("group", (*document)["group"].str());
  out.Set("cases", std::move(cases));
  return WriteFile(absl::StrCat(paths.out, "/", file), out.ToYaml());
}

// Members of hash sets have no order of their own.
std::string PrintSets(netfilter::IpSets sets) {
  for (netfilter::IpSet& set : sets.sets) {
    set.bucket_size.reset();
    set.initial_value.reset();
    if (!set.is_hash()) continue;
    std::stable_sort(set.elements.begin(), set.elements.end(),
                     [&](const auto& a, const auto& b) {
                       return netfilter::PrintIpsetElement(set, a) <
                              netfilter::PrintIpsetElement(set, b);
                     });
  }
  return netfilter::PrintIpsetSave(sets);
}

absl::Status ReplaySets(const ReplayPaths& paths, const std::string& file) {
  const auto text = ReadFile(absl::StrCat(paths.corpus, "/", file));
  if (!text.ok()) return text.status();
  const auto document = ParseYaml(*text);
  if (!document.ok()) return document.status();
  YamlValue cases = YamlValue::List();
  for (const YamlValue& item : (*document)["cases"].items()) {
    netfilter::IpsetParseOptions options;
    options.exist = HasOption(item["options"], "-exist") ||
                    HasOption(item["options"], "-!");
    // See the README of the recordings.
    options.missing_types = {"hash:mac", "hash:ip,mac", "hash:ip,mark",
                             "hash:net,net", "hash:net,port,net"};
    const auto sets = netfilter::ParseIpsetSave(item["text"].str(), options);
    YamlValue outcome = YamlValue::Map();
    if (sets.ok()) {
      outcome.Set("saved", PrintSets(*sets));
    } else {
      outcome = Refused(sets.status());
    }
    YamlValue out = YamlValue::Map();
    out.Set("id", item["id"].str());
    out.Set("ipset", std::move(outcome));
    cases.Add(std::move(out));
  }
  YamlValue out = YamlValue::Map();
  out.Set("group", (*document)["group"].str());
  out.Set("cases", std::move(cases));
  return WriteFile(absl::StrCat(paths.out, "/", file), out.ToYaml());
}

YamlValue Load(const std::string& text, Variant variant) {
  ParseOptions options;
  options.variant = variant;
  YamlValue out = YamlValue::Map();
  const auto rules =
      netfilter::ParseIptablesSave(text, IpFamily::kIpv4, options);
  out.Set("loads", rules.ok());
  if (rules.ok()) {
    PrintOptions print;
    print.variant = variant;
    out.Set("saved", PrintInToolOrder(*rules, print));
  } else {
    out.Set("error", absl::string_view(rules.status().message()));
  }
  return out;
}

}  // namespace

absl::Status ReplayRuleText(const ReplayPaths& paths) {
  for (const std::string& file :
       FilesBelow(paths.corpus, "rule-text", ".yaml")) {
    absl::Status status;
    if (absl::StartsWith(file, "rule-text/iptables/")) {
      status = ReplayRules(paths, file, IpFamily::kIpv4);
    } else if (absl::StartsWith(file, "rule-text/ip6tables/")) {
      status = ReplayRules(paths, file, IpFamily::kIpv6);
    } else if (absl::StartsWith(file, "rule-text/files/")) {
      status = ReplayFiles(paths, file);
    } else if (absl::StartsWith(file, "rule-text/ipset/")) {
      status = ReplaySets(paths, file);
    }
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status ReplayLoadErrors(const ReplayPaths& paths) {
  const std::string file = "/kernel/load-errors/loads.yaml";
  const auto text = ReadFile(paths.corpus + file);
  if (!text.ok()) return text.status();
  const auto document = ParseYaml(*text);
  if (!document.ok()) return document.status();
  YamlValue files = YamlValue::List();
  for (const YamlValue& item : (*document)["files"].items()) {
    YamlValue out = YamlValue::Map();
    out.Set("id", item["id"].str());
    out.Set("legacy", Load(item["rules"].str(), Variant::kLegacy));
    out.Set("nft", Load(item["rules"].str(), Variant::kNft));
    files.Add(std::move(out));
  }
  YamlValue out = YamlValue::Map();
  out.Set("files", std::move(files));
  return WriteFile(paths.out + file, out.ToYaml());
}

}  // namespace k8sdns::conformance
