#include "tests/conformance/conformance.h"

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "tests/conformance/yaml_value.h"

namespace k8sdns::conformance {
namespace {

// Tests run at the root of the runfiles tree.
constexpr absl::string_view kRecordings = "tests/recordings";

using CaseName = std::pair<std::string, std::string>;

std::set<CaseName> ExpectedFailures(absl::string_view family) {
  std::set<CaseName> out;
  const std::string path =
      absl::StrCat("tests/conformance/expected_failures/", family, ".txt");
  auto text = ReadFile(path);
  if (!text.ok()) return out;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    const std::vector<std::string> parts =
        absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (parts.size() != 2) {
      ADD_FAILURE() << path << ": want \"group id  # reason\", found: " << line;
      continue;
    }
    out.insert({parts[0], parts[1]});
  }
  return out;
}

}  // namespace

ReplayPaths ReplayForTest(absl::string_view family, ReplayFunction replay) {
  const char* tmp = std::getenv("TEST_TMPDIR");
  ReplayPaths paths;
  paths.corpus = std::string(kRecordings);
  paths.out = absl::StrCat(tmp == nullptr ? "/tmp" : tmp, "/replay");
  EXPECT_TRUE(
      std::filesystem::is_directory(absl::StrCat(paths.corpus, "/", family)))
      << "no recordings of " << family;
  const absl::Status status = replay(paths);
  EXPECT_TRUE(status.ok()) << status;
  return paths;
}

void ExpectConforms(absl::string_view family,
                    const std::vector<CaseResult>& results) {
  EXPECT_FALSE(results.empty()) << "no case of " << family << " was compared";
  const std::set<CaseName> expected = ExpectedFailures(family);
  std::set<CaseName> failed;
  std::map<std::string, std::pair<int, int>> groups;  // passed, total
  int passed = 0;
  for (const CaseResult& r : results) {
    auto& [ok, total] = groups[r.group];
    ++total;
    if (r.ok) {
      ++ok;
      ++passed;
      continue;
    }
    failed.insert({r.group, r.id});
    if (!expected.contains({r.group, r.id})) {
      ADD_FAILURE() << family << " " << r.group << " " << r.id << "\n"
                    << r.difference;
    }
  }
  for (const CaseName& name : expected) {
    EXPECT_TRUE(failed.contains(name))
        << name.first << " " << name.second
        << " is listed as an expected failure of " << family
        << " but passes or is not there: take it off the list";
  }
  for (const auto& [group, counts] : groups) {
    std::cout << family << " " << group << ": " << counts.first << "/"
              << counts.second << "\n";
  }
  std::cout << family << " in all: " << passed << "/" << results.size() << "\n";
}

std::string LineDifference(absl::string_view want, absl::string_view got,
                           int limit) {
  if (want == got) return "";
  const std::vector<absl::string_view> a = absl::StrSplit(want, '\n');
  const std::vector<absl::string_view> b = absl::StrSplit(got, '\n');
  std::multiset<absl::string_view> only_a(a.begin(), a.end());
  std::multiset<absl::string_view> only_b;
  for (absl::string_view line : b) {
    auto it = only_a.find(line);
    if (it == only_a.end()) {
      only_b.insert(line);
    } else {
      only_a.erase(it);
    }
  }
  std::string out;
  int shown = 0;
  for (absl::string_view line : a) {
    auto it = only_a.find(line);
    if (it == only_a.end()) continue;
    only_a.erase(it);
    if (shown++ < limit) absl::StrAppend(&out, "- ", line, "\n");
  }
  for (absl::string_view line : b) {
    auto it = only_b.find(line);
    if (it == only_b.end()) continue;
    only_b.erase(it);
    if (shown++ < limit) absl::StrAppend(&out, "+ ", line, "\n");
  }
  if (shown > limit) absl::StrAppend(&out, "... ", shown - limit, " more\n");
  return out.empty() ? "the same lines in another order\n" : out;
}

}  // namespace k8sdns::conformance
