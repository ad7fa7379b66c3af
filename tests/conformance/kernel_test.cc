// The recordings of the Linux kernel: what became of packets, rule by rule.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/conformance/conformance.h"
#include "tests/conformance/replay_kernel.h"
#include "tests/conformance/yaml_value.h"

namespace k8sdns::conformance {
namespace {

// Less likely than this to be unseen: wrong.
constexpr double kUnseen = 1e-4;

// A tree with sorted keys, as text, without the keys that only count.
std::string Text(const YamlValue& value) {
  if (value.is_scalar()) return value.str();
  std::string out;
  if (value.is_list()) {
    for (const YamlValue& item : value.items()) {
      absl::StrAppend(&out, "\n- ", Text(item));
    }
    return out;
  }
  std::vector<std::string> lines;
  for (const auto& [key, item] : value.entries()) {
    if (key == "count" || key == "nth" || key == "probability" ||
        key == "branch" || item.is_null()) {
      continue;
    }
    lines.push_back(absl::StrCat(key, ": ", Text(item), "\n"));
  }
  std::sort(lines.begin(), lines.end());
  for (const std::string& line : lines) absl::StrAppend(&out, line);
  return out;
}

std::string Missing(const std::string& want,
                    const std::vector<std::string>& have) {
  if (have.empty()) return "nothing predicted";
  std::string best;
  for (const std::string& text : have) {
    std::string difference = LineDifference(want, text);
    if (best.empty() || difference.size() < best.size()) {
      best = std::move(difference);
    }
  }
  return absl::StrCat("not predicted; the nearest:\n", best);
}

std::string CompareSequence(const YamlValue& recorded,
                            const YamlValue& predicted) {
  std::map<std::string, std::map<std::string, std::set<std::string>>> have;
  for (const YamlValue& outcome : predicted["outcomes"].items()) {
    have[outcome["branch"].str()][outcome["nth"].str()].insert(Text(outcome));
  }
  std::string difference = "nothing predicted";
  for (auto& [branch, by_nth] : have) {
    difference.clear();
    for (const YamlValue& outcome : recorded["outcomes"].items()) {
      const std::set<std::string>& texts = by_nth[outcome["nth"].str()];
      if (texts.contains(Text(outcome))) continue;
      difference =
          absl::StrCat("nth ", outcome["nth"].str(), " ",
                       Missing(Text(outcome), {texts.begin(), texts.end()}));
      break;
    }
    if (difference.empty()) return difference;
  }
  return difference;
}

// `remembers`: the rules follow earlier draws, so that counts say nothing.
std::string CompareCounted(const YamlValue& recorded,
                           const YamlValue& predicted, bool remembers) {
  const double n = static_cast<double>(recorded["repeat"].AsInt(1));
  std::map<std::string, double> probability;
  for (const YamlValue& outcome : predicted["outcomes"].items()) {
    probability[Text(outcome)] += outcome["probability"].AsDouble(1);
  }
  std::vector<std::string> texts;
  double sum = 0;
  for (const auto& [text, p] : probability) {
    texts.push_back(text);
    sum += p;
  }
  std::map<std::string, double> count;
  for (const YamlValue& outcome : recorded["outcomes"].items()) {
    const std::string text = Text(outcome);
    if (!probability.contains(text)) return Missing(text, texts);
    count[text] += static_cast<double>(outcome["count"].AsInt(1));
  }
  if (std::abs(sum - 1) > 1e-3) return absl::StrCat("probabilities: ", sum);
  if (remembers) return "";
  for (const auto& [text, p] : probability) {
    if (count[text] == 0 && std::pow(1 - std::min(p, 1.0), n) < kUnseen) {
      return absl::StrCat("probability ", p, ", but not seen:\n", text);
    }
    const double deviation = std::sqrt(n * p * (1 - p));
    if (std::abs(count[text] - n * p) > 5 * deviation + 1) {
      return absl::StrCat("probability ", p, ", but seen ", count[text],
                          " times:\n", text);
    }
  }
  return "";
}

YamlValue Read(const std::string& path) {
  auto text = ReadFile(path);
  EXPECT_TRUE(text.ok()) << text.status();
  auto document = ParseYaml(*text);
  EXPECT_TRUE(document.ok()) << path << ": " << document.status();
  return *document;
}

void ExpectAsRecorded(const std::string& family, ReplayFunction replay) {
  const ReplayPaths paths = ReplayForTest(family, replay);
  std::vector<CaseResult> results;
  for (const std::string& name : CaseFolders(paths.corpus, family)) {
    const std::string folder = absl::StrCat("/", family, "/", name);
    if (!ReadFile(paths.corpus + folder + "/probes.yaml").ok()) continue;
    const bool remembers = absl::StrContains(
        *ReadFile(paths.corpus + folder + "/rules.txt"), "-m recent");
    const YamlValue recorded = Read(paths.corpus + folder + "/probes.yaml");
    const YamlValue replayed = Read(paths.out + folder + "/probes.yaml");
    std::map<std::string, const YamlValue*> by_id;
    for (const YamlValue& probe : replayed["probes"].items()) {
      by_id[probe["id"].str()] = &probe;
    }
    for (const YamlValue& probe : recorded["probes"].items()) {
      CaseResult result = {name, probe["id"].str(), false, "no answer"};
      if (const YamlValue* got = by_id[result.id]) {
        result.difference = probe["sequence"].AsBool(false)
                                ? CompareSequence(probe, *got)
                                : CompareCounted(probe, *got, remembers);
        result.ok = result.difference.empty();
      }
      results.push_back(std::move(result));
    }
  }
  ExpectConforms(family, results);
}

TEST(Kernel, AsRecorded) { ExpectAsRecorded("kernel", ReplayKernel); }

TEST(KernelRandom, AsRecorded) {
  ExpectAsRecorded("kernel-random", ReplayKernelRandom);
}

TEST(KernelRandom6, AsRecorded) {
  ExpectAsRecorded("kernel-random6", ReplayKernelRandom6);
}

}  // namespace
}  // namespace k8sdns::conformance
