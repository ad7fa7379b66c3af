#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "tests/conformance/conformance.h"
#include "tests/conformance/replay_kube_proxy_ipvs.h"
#include "tests/conformance/yaml_value.h"

namespace k8sdns::conformance {
namespace {

// Sets and lists have no order; rules have theirs, chain lines have none.
std::string Normalized(absl::string_view file, const std::string& text) {
  std::vector<std::string> lines = absl::StrSplit(text, '\n');
  if (!absl::StartsWith(file, "save.")) {
    std::sort(lines.begin(), lines.end());
    return absl::StrJoin(lines, "\n");
  }
  for (auto it = lines.begin(); it != lines.end();) {
    auto end = std::find_if(it, lines.end(), [](const std::string& line) {
      return !absl::StartsWith(line, ":");
    });
    std::sort(it, end);
    it = end == lines.end() ? end : end + 1;
  }
  return absl::StrJoin(lines, "\n");
}

TEST(KubeProxyIpvs, AsRecorded) {
  const ReplayPaths paths = ReplayForTest("kube-proxy", ReplayKubeProxyIpvs);
  std::vector<CaseResult> results;
  for (const std::string& path :
       FilesBelow(paths.corpus, "kube-proxy", ".txt")) {
    const std::vector<std::string> parts = absl::StrSplit(path, '/');
    if (parts.size() != 5 || parts[2] != "ipvs" ||
        absl::StartsWith(parts[4], "restore.") ||
        absl::StartsWith(parts[4], "ensure.")) {
      continue;
    }
    const auto want = ReadFile(paths.corpus + "/" + path);
    const auto got = ReadFile(paths.out + "/" + path);
    CaseResult result;
    result.group = absl::StrCat(parts[1], "/", parts[3]);
    result.id = parts[4];
    result.difference = got.ok() ? LineDifference(Normalized(parts[4], *want),
                                                  Normalized(parts[4], *got))
                                 : "not written";
    result.ok = result.difference.empty();
    results.push_back(std::move(result));
  }
  ExpectConforms("kube-proxy-ipvs", results);
}

}  // namespace
}  // namespace k8sdns::conformance
