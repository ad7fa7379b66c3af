#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "tests/conformance/conformance.h"
#include "tests/conformance/replay_resolver.h"
#include "tests/conformance/yaml_value.h"

namespace k8sdns::conformance {
namespace {

// Cases whose outcome depends on the routing of the recording host.
bool DependsOnRouting(const std::string& id) {
  static const auto* const kIds =
      new std::set<std::string>{"nameservers-010", "nameservers-019",
                                "nameservers-020", "nameservers-035"};
  return kIds->contains(id);
}

// A query without its time, the flags in order.
std::string WithoutTime(const std::string& query, double* time) {
  std::vector<std::string> words =
      absl::StrSplit(query, ' ', absl::SkipEmpty());
  *time = 0;
  if (words.empty() || !absl::SimpleAtod(words[0], time)) return query;
  words.erase(words.begin());
  if (words.size() > 4) std::sort(words.begin() + 4, words.end());
  return absl::StrJoin(words, " ");
}

// Recorded times are rounded to a half, and half a second more is allowed.
bool Near(double a, double b) { return std::abs(a - b) <= 0.5 + 1e-6; }

// The ephemeral port in Go's messages is of no interest.
std::string WithoutPort(std::string message) {
  const size_t arrow = message.find("->");
  if (arrow == std::string::npos) return message;
  size_t colon = message.rfind(':', arrow);
  return message.substr(0, colon + 1) + "PORT" + message.substr(arrow);
}

std::string ResultText(const YamlValue& result) {
  std::string out;
  if (result.is_list()) {
    for (const YamlValue& r : result.items()) out += ResultText(r);
    return out;
  }
  for (const char* key : {"rc", "msg", "rcode", "ancount", "canon"}) {
    if (!result.Has(key)) continue;
    absl::StrAppend(&out, key, ": ", WithoutPort(result[key].str()), "\n");
  }
  for (const YamlValue& a : result["addrs"].items()) {
    absl::StrAppend(&out, "  ", a.str(), "\n");
  }
  return out;
}

std::string Difference(const YamlValue& want, const YamlValue& got) {
  std::string want_text;
  std::string got_text;
  const auto& w = want["queries"].items();
  const auto& g = got["queries"].items();
  for (size_t i = 0; i < std::max(w.size(), g.size()); ++i) {
    double want_time = 0;
    double got_time = 0;
    std::string want_line;
    std::string got_line;
    if (i < w.size()) want_line = WithoutTime(w[i].str(), &want_time);
    if (i < g.size()) got_line = WithoutTime(g[i].str(), &got_time);
    if (!Near(want_time, got_time)) {
      absl::StrAppend(&want_line, " at ", want_time);
      absl::StrAppend(&got_line, " at ", got_time);
    }
    absl::StrAppend(&want_text, want_line, "\n");
    absl::StrAppend(&got_text, got_line, "\n");
  }
  want_text += ResultText(want["result"]);
  got_text += ResultText(got["result"]);
  const double want_elapsed = want["elapsed_s"].AsDouble(0);
  const double got_elapsed = got["elapsed_s"].AsDouble(-1);
  if (!Near(want_elapsed, got_elapsed)) {
    absl::StrAppend(&want_text, "elapsed ", want_elapsed);
    absl::StrAppend(&got_text, "elapsed ", got_elapsed);
  }
  return LineDifference(want_text, got_text);
}

YamlValue Read(const std::string& path) {
  auto text = ReadFile(path);
  EXPECT_TRUE(text.ok()) << text.status();
  if (!text.ok()) return YamlValue();
  auto document = ParseYaml(*text);
  EXPECT_TRUE(document.ok()) << path << ": " << document.status();
  return document.ok() ? *std::move(document) : YamlValue();
}

TEST(Resolver, AsRecorded) {
  const ReplayPaths paths = ReplayForTest("resolver", ReplayResolver);
  std::vector<CaseResult> results;
  for (const std::string& file :
       FilesBelow(paths.corpus, "resolver", ".yaml")) {
    const YamlValue recorded = Read(absl::StrCat(paths.corpus, "/", file));
    const YamlValue replayed = Read(absl::StrCat(paths.out, "/", file));
    std::map<std::string, const YamlValue*> by_id;
    for (const YamlValue& item : replayed["cases"].items()) {
      by_id[item["id"].str()] = &item;
    }
    // resolver/LIBRARY/VERSION/GROUP.yaml
    const std::vector<std::string> parts = absl::StrSplit(file, '/');
    ASSERT_EQ(parts.size(), 4u) << file;
    const std::string group = absl::StrCat(
        parts[1], "/", parts[2], "/", parts[3].substr(0, parts[3].find('.')));
    for (const YamlValue& want : recorded["cases"].items()) {
      const std::string& id = want["id"].str();
      if (want["nondeterministic"].AsBool(false) || DependsOnRouting(id)) {
        continue;
      }
      ASSERT_TRUE(by_id.contains(id)) << file << " " << id;
      CaseResult result = {group, id, true, Difference(want, *by_id[id])};
      result.ok = result.difference.empty();
      results.push_back(std::move(result));
    }
  }
  ExpectConforms("resolver", results);
}

}  // namespace
}  // namespace k8sdns::conformance
