#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "tests/conformance/conformance.h"
#include "tests/conformance/replay_dns_records.h"
#include "tests/conformance/yaml_value.h"

namespace k8sdns::conformance {
namespace {

using Records = std::vector<std::string>;

// The word `index` of a record: owner, TTL, type, data.
std::string Word(const std::string& record, size_t index) {
  const std::vector<std::string> words = absl::StrSplit(record, ' ');
  return index < words.size() ? words[index] : "";
}

// Records of one type that follow each other are a set.
Records SortedRuns(const YamlValue& section) {
  Records records;
  for (const YamlValue& item : section.items()) records.push_back(item.str());
  auto begin = records.begin();
  while (begin != records.end()) {
    auto end = begin;
    while (end != records.end() && Word(*end, 2) == Word(*begin, 2)) ++end;
    std::sort(begin, end);
    begin = end;
  }
  return records;
}

std::string Sorted(Records records) {
  std::sort(records.begin(), records.end());
  return absl::StrJoin(records, "\n");
}

constexpr const char* kSections[] = {"answer", "authority", "additional"};

std::string Print(const YamlValue& query) {
  std::string out = absl::StrCat(query["rcode"].str(), "\n");
  std::vector<std::string> flags;
  for (const YamlValue& flag : query["flags"].items()) {
    flags.push_back(flag.str());
  }
  std::sort(flags.begin(), flags.end());
  absl::StrAppend(&out, "flags ", absl::StrJoin(flags, " "), "\nedns ",
                  query["edns"].str(), "\n");
  for (const char* section : kSections) {
    for (const std::string& record : SortedRuns(query[section])) {
      absl::StrAppend(&out, section, " ", record, "\n");
    }
  }
  return out;
}

// What stays the same of an answer that the server draws: its TTLs and types
// and, up to one record where it was cut, how many there are.
bool SameShape(const YamlValue& want, const YamlValue& got) {
  if (want["rcode"].str() != got["rcode"].str()) return false;
  bool empty = true;
  for (const char* section : kSections) {
    empty = empty && want[section].items().empty();
  }
  if (empty) return true;
  const bool cut = absl::StrContains(want["flags"].ToYaml(), "tc");
  for (const char* section : kSections) {
    std::map<std::string, int> shape;
    for (const std::string& r : SortedRuns(want[section])) {
      ++shape[absl::StrCat(Word(r, 1), " ", Word(r, 2))];
    }
    for (const std::string& r : SortedRuns(got[section])) {
      --shape[absl::StrCat(Word(r, 1), " ", Word(r, 2))];
    }
    for (const auto& [unused, difference] : shape) {
      if (std::abs(difference) > (cut ? 1 : 0)) return false;
    }
  }
  return true;
}

CaseResult Compare(const std::string& group, size_t number,
                   const YamlValue& want, const YamlValue& got) {
  CaseResult result;
  result.group = group;
  const YamlValue& question = want["question"];
  result.id = absl::StrCat(number, ":", question["name"].str(), ":",
                           question["type"].str());
  const std::string expected = Print(want);
  const std::string actual = Print(got);
  result.ok = expected == actual;
  // A server that is gone says nothing else.
  if (want["rcode"].str() == "server-crash") {
    result.ok = got["rcode"].str() == "server-crash";
  }
  if (!result.ok && want["varies"].AsBool(false)) {
    result.ok = Sorted(SortedRuns(want["answer"])) ==
                    Sorted(SortedRuns(got["answer"])) ||
                SameShape(want, got);
  }
  if (!result.ok) result.difference = LineDifference(expected, actual);
  return result;
}

TEST(DnsRecords, AsRecorded) {
  const ReplayPaths paths = ReplayForTest("dns-records", ReplayDnsRecords);
  std::vector<CaseResult> results;
  for (const std::string& file :
       FilesBelow(paths.corpus, "dns-records", ".yaml")) {
    if (absl::EndsWith(file, "/cluster.yaml")) continue;
    const auto recorded = ParseYaml(*ReadFile(paths.corpus + "/" + file));
    const auto replayed = ParseYaml(*ReadFile(paths.out + "/" + file));
    ASSERT_TRUE(recorded.ok() && replayed.ok()) << file;
    const auto& want = (*recorded)["queries"].items();
    const auto& got = (*replayed)["queries"].items();
    ASSERT_EQ(want.size(), got.size()) << file;
    const std::string group = file.substr(file.find('/') + 1);
    for (size_t i = 0; i < want.size(); ++i) {
      results.push_back(Compare(group, i + 1, want[i], got[i]));
    }
  }
  ExpectConforms("dns-records", results);
}

}  // namespace
}  // namespace k8sdns::conformance
