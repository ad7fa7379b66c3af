#include <map>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/conformance/conformance.h"
#include "tests/conformance/replay_kernel.h"
#include "tests/conformance/yaml_value.h"

namespace k8sdns::conformance {
namespace {

YamlValue ReadProbes(const std::string& path) {
  auto text = ReadFile(path);
  EXPECT_TRUE(text.ok()) << text.status();
  auto document = ParseYaml(*text);
  EXPECT_TRUE(document.ok()) << document.status();
  return (*document)["probes"];
}

// Keys sorted, quoting left out.
void Dump(const YamlValue& value, const std::string& key, std::string& out) {
  if (value.is_scalar()) out += key + ": " + value.str() + "\n";
  for (const YamlValue& item : value.items()) Dump(item, key, out);
  std::map<std::string, const YamlValue*> entries;
  for (const auto& [name, entry] : value.entries()) entries[name] = &entry;
  // How often an outcome was seen is not predicted.
  entries.erase("count");
  for (const auto& [name, entry] : entries) {
    Dump(*entry, key + "." + name, out);
  }
}

// Nothing in these recordings is drawn: the outcomes must be the same ones in
// the same order.
std::string Outcomes(const YamlValue& probe) {
  std::string out;
  Dump(probe["outcomes"], "", out);
  return out;
}

TEST(KernelIpvs, AsRecorded) {
  const ReplayPaths paths = ReplayForTest("kernel-ipvs", ReplayKernelIpvs);
  std::vector<CaseResult> results;
  for (const std::string& name : CaseFolders(paths.corpus, "kernel-ipvs")) {
    const std::string file = "/kernel-ipvs/" + name + "/probes.yaml";
    const YamlValue replayed = ReadProbes(paths.out + file);
    std::map<std::string, const YamlValue*> by_id;
    for (const YamlValue& probe : replayed.items()) {
      by_id[probe["id"].str()] = &probe;
    }
    const YamlValue recorded = ReadProbes(paths.corpus + file);
    for (const YamlValue& probe : recorded.items()) {
      CaseResult result;
      result.group = name;
      result.id = probe["id"].str();
      const YamlValue* got = by_id[result.id];
      result.difference = got == nullptr
                              ? "not written"
                              : LineDifference(Outcomes(probe), Outcomes(*got));
      result.ok = result.difference.empty();
      results.push_back(std::move(result));
    }
  }
  ExpectConforms("kernel-ipvs", results);
}

}  // namespace
}  // namespace k8sdns::conformance
