#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/conformance/conformance.h"
#include "tests/conformance/replay_kubelet_resolv_conf.h"
#include "tests/conformance/yaml_value.h"

namespace k8sdns::conformance {
namespace {

// Unset and empty lists are the same; the order of options and how scalars are
// quoted is free.
YamlValue Normalized(const YamlValue& expect) {
  YamlValue out = YamlValue::Map();
  for (const char* key : {"servers", "searches", "options", "events",
                          "node_events", "error", "resolv_conf"}) {
    const YamlValue& value = expect[key];
    if (value.items().empty() && !value.is_scalar()) continue;
    if (value.is_scalar()) {
      out.Set(key, value.str());
      continue;
    }
    std::vector<std::string> texts;
    for (const YamlValue& item : value.items()) texts.push_back(item.str());
    if (std::string(key) == "options") std::sort(texts.begin(), texts.end());
    YamlValue list = YamlValue::List();
    for (std::string& s : texts) list.Add(std::move(s));
    out.Set(key, std::move(list));
  }
  return out;
}

YamlValue Read(const std::string& root) {
  auto text = ReadFile(root + "/kubelet-resolv-conf/cases.yaml");
  EXPECT_TRUE(text.ok()) << text.status();
  auto document = ParseYaml(*text);
  EXPECT_TRUE(document.ok()) << document.status();
  return *document;
}

TEST(KubeletResolvConf, AsRecorded) {
  const ReplayPaths paths =
      ReplayForTest("kubelet-resolv-conf", ReplayKubeletResolvConf);
  const YamlValue recorded = Read(paths.corpus);
  const YamlValue replayed = Read(paths.out);
  std::map<std::string, const YamlValue*> by_id;
  for (const YamlValue& item : replayed["cases"].items()) {
    by_id[item["id"].str()] = &item;
  }
  const char kLegacy[] = "expect_1_26_legacy_limits";
  std::vector<CaseResult> results;
  for (const YamlValue& want : recorded["cases"].items()) {
    const YamlValue& got = *by_id[want["id"].str()];
    CaseResult result = {"cases", want["id"].str(), true, ""};
    for (const char* key : {"expect", kLegacy}) {
      const YamlValue& w = want.Has(key) ? want[key] : want["expect"];
      const YamlValue& g = got.Has(key) ? got[key] : got["expect"];
      result.difference +=
          LineDifference(Normalized(w).ToYaml(), Normalized(g).ToYaml());
    }
    result.ok = result.difference.empty();
    results.push_back(std::move(result));
  }
  ExpectConforms("kubelet-resolv-conf", results);
}

}  // namespace
}  // namespace k8sdns::conformance
