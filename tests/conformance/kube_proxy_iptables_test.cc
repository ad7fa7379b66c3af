#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "tests/conformance/conformance.h"
#include "tests/conformance/replay_kube_proxy_iptables.h"
#include "tests/conformance/yaml_value.h"

namespace k8sdns::conformance {
namespace {

// The recordings' order of services is the library's own, so that files are
// compared byte for byte.
TEST(KubeProxyIptables, AsRecorded) {
  const ReplayPaths paths =
      ReplayForTest("kube-proxy", ReplayKubeProxyIptables);
  std::vector<CaseResult> results;
  for (const std::string& file :
       FilesBelow(paths.corpus, "kube-proxy", ".txt")) {
    // kube-proxy/VERSION/MODE/CASE/FILE
    const std::vector<std::string> parts = absl::StrSplit(file, '/');
    if (parts.size() != 5 || parts[2] != "iptables") continue;
    if (!absl::StartsWith(parts[4], "save.") && parts[4] != "sysctl.txt") {
      continue;
    }
    CaseResult result;
    result.group = absl::StrCat(parts[1], "/iptables");
    result.id = absl::StrCat(parts[3], "/", parts[4]);
    const auto want = ReadFile(absl::StrCat(paths.corpus, "/", file));
    const auto got = ReadFile(absl::StrCat(paths.out, "/", file));
    ASSERT_TRUE(want.ok()) << want.status();
    if (!got.ok()) {
      result.difference = "not written";
    } else {
      result.difference = LineDifference(*want, *got);
    }
    result.ok = result.difference.empty();
    results.push_back(std::move(result));
  }
  ExpectConforms("kube-proxy-iptables", results);
}

}  // namespace
}  // namespace k8sdns::conformance
