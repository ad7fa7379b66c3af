#include <iostream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "k8sdns/netfilter/iptables_save.h"
#include "tests/conformance/conformance.h"
#include "tests/conformance/replay_rule_text.h"
#include "tests/conformance/yaml_value.h"

namespace k8sdns::conformance {
namespace {

using netfilter::ParseOptions;
using netfilter::PrintOptions;
using netfilter::Variant;

YamlValue Read(const std::string& path) {
  const auto text = ReadFile(path);
  EXPECT_TRUE(text.ok()) << text.status();
  const auto document = ParseYaml(*text);
  EXPECT_TRUE(document.ok()) << document.status();
  return *document;
}

// "refused", or the saved text.
std::string Outcome(const YamlValue& outcome) {
  if (outcome["refused"].AsBool(false)) return "refused";
  std::string saved = outcome["saved"].str();
  while (!saved.empty() && saved.back() == '\n') saved.pop_back();
  return saved;
}

// What the kernel refused, and what crashed the tool, says as much about that
// kernel and that tool: it is not demanded.
bool IsDemanded(const YamlValue& recorded) {
  if (!recorded["refused"].AsBool(false)) return true;
  return recorded["by"].str() != "kernel" && recorded["exit"].AsInt(0) >= 0 &&
         !absl::StrContains(recorded["error"].str(), "killed by signal");
}

// The outcome of a variant; `same` points to the legacy one's.
const YamlValue& Recorded(const YamlValue& item, const char* variant) {
  return item[variant]["same"].AsBool(false) ? item["legacy"] : item[variant];
}

TEST(RuleText, AsRecorded) {
  const ReplayPaths paths = ReplayForTest("rule-text", ReplayRuleText);
  std::vector<CaseResult> results;
  for (const std::string& file :
       FilesBelow(paths.corpus, "rule-text", ".yaml")) {
    const YamlValue recorded = Read(paths.corpus + "/" + file);
    std::map<std::string, YamlValue> replayed;
    const auto text = ReadFile(paths.out + "/" + file);
    if (text.ok()) {
      const YamlValue document = Read(paths.out + "/" + file);
      for (const YamlValue& item : document["cases"].items()) {
        replayed[item["id"].str()] = item;
      }
    }
    for (const YamlValue& want : recorded["cases"].items()) {
      const std::string& id = want["id"].str();
      for (const char* variant : {"legacy", "nft", "ipset"}) {
        if (!want.Has(variant)) continue;
        const YamlValue& outcome = Recorded(want, variant);
        if (!IsDemanded(outcome)) continue;
        CaseResult result = {file, absl::StrCat(id, "/", variant), true, ""};
        result.difference = LineDifference(
            Outcome(outcome), Outcome(Recorded(replayed[id], variant)));
        result.ok = result.difference.empty();
        results.push_back(std::move(result));
      }
    }
  }
  ExpectConforms("rule-text", results);
}

// What the tools printed is a fixed point.
TEST(RuleText, SavedTextComesBackUnchanged) {
  const ReplayPaths paths = ReplayForTest("rule-text", ReplayRuleText);
  int passed = 0;
  int failed = 0;
  for (const std::string& file :
       FilesBelow(paths.corpus, "rule-text", ".yaml")) {
    const bool ipv6 = absl::StartsWith(file, "rule-text/ip6tables/");
    if (!ipv6 && !absl::StartsWith(file, "rule-text/iptables/")) continue;
    const IpFamily family = ipv6 ? IpFamily::kIpv6 : IpFamily::kIpv4;
    const YamlValue recorded = Read(paths.corpus + "/" + file);
    for (const YamlValue& item : recorded["cases"].items()) {
      for (const char* name : {"legacy", "nft"}) {
        const YamlValue& outcome = Recorded(item, name);
        if (!outcome.Has("saved")) continue;
        std::string text = absl::StrCat("*", item["table"].str(), "\n");
        for (const YamlValue& chain : item["chains"].items()) {
          absl::StrAppend(&text, ":", chain.str(), " - [0:0]\n");
        }
        std::string saved = outcome["saved"].str();
        while (!saved.empty() && saved.back() == '\n') saved.pop_back();
        if (!saved.empty()) saved += "\n";
        absl::StrAppend(&text, saved, "COMMIT\n");
        ParseOptions options;
        PrintOptions print;
        options.variant = print.variant =
            std::string(name) == "nft" ? Variant::kNft : Variant::kLegacy;
        const auto rules = netfilter::ParseIptablesSave(text, family, options);
        if (!rules.ok()) {
          ++failed;
          std::cout << "not read again: " << saved << rules.status().message()
                    << "\n";
          continue;
        }
        std::string again;
        for (absl::string_view line : absl::StrSplit(
                 netfilter::PrintIptablesSave(*rules, print), '\n')) {
          if (absl::StartsWith(line, "-A "))
            absl::StrAppend(&again, line, "\n");
        }
        ++(again == saved ? passed : failed);
        if (again != saved) std::cout << "changed: " << saved << again;
      }
    }
  }
  EXPECT_GT(passed, 5000);
  // What the tool itself does not read again: shifted ports of SNAT, names
  // with blanks, quotes that it drops, -m ipcomp of all SPIs (which it prints
  // without them, and reads as SPI 0).
  EXPECT_LE(failed, 42);
}

// Whole dumps: what kube-proxy wrote and a kernel saved, and the rules of the
// kernel recordings.
TEST(RuleText, DumpsComeBackUnchanged) {
  int dumps = 0;
  for (const char* tree :
       {"kube-proxy", "kernel", "kernel-random", "kernel-random6"}) {
    for (const std::string& file :
         FilesBelow("tests/recordings", tree, ".txt")) {
      const size_t slash = file.rfind('/');
      const std::string name = file.substr(slash + 1);
      if (!absl::StartsWith(name, "save.") && name != "rules.txt") continue;
      const auto text = ReadFile("tests/recordings/" + file);
      ASSERT_TRUE(text.ok());
      const bool ipv6 = absl::StrContains(name, ".v6.") ||
                        absl::StrContains(file, "kernel-random6") ||
                        absl::StrContains(file, "kernel/kp6-");
      ParseOptions options;
      options.keep_counters = absl::StrContains(*text, "] -A ");
      const auto rules = netfilter::ParseIptablesSave(
          *text, ipv6 ? IpFamily::kIpv6 : IpFamily::kIpv4, options);
      if (!rules.ok()) {
        ADD_FAILURE() << file << ": " << rules.status();
        continue;
      }
      ++dumps;
      // Files for iptables-restore leave chains and counters to the tool.
      auto rule_lines = [](absl::string_view t) {
        std::string out;
        for (absl::string_view line : absl::StrSplit(t, '\n')) {
          if (absl::StartsWith(line, "-A ") || absl::StartsWith(line, "[")) {
            absl::StrAppend(&out, line, "\n");
          }
        }
        return out;
      };
      if (absl::StartsWith(name, "save.")) {
        EXPECT_EQ(LineDifference(
                      rule_lines(*text),
                      rule_lines(netfilter::PrintIptablesSave(*rules, {}))),
                  "")
            << file;
      }
    }
  }
  EXPECT_GT(dumps, 50);
}

}  // namespace
}  // namespace k8sdns::conformance
