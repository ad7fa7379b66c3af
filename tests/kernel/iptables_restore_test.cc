// What the iptables compiler writes, taken by a real iptables-restore in an
// empty network namespace: whole tables, and deltas one after another. What
// iptables-save prints afterwards must be what the rule set prints.
//
// Needs root, unshare(1) and iptables-legacy; is skipped, saying so, elsewhere.
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/netfilter/iptables_save.h"
#include "k8sdns/proxy/iptables_compiler.h"
#include "k8sdns/proxy/random_cluster_for_test.h"
#include "tests/conformance/yaml_value.h"

namespace k8sdns {
namespace {

using conformance::ReadFile;
using conformance::WriteFile;

std::string Folder() {
  const char* tmp = std::getenv("TEST_TMPDIR");
  return tmp == nullptr ? "/tmp" : tmp;
}

int Shell(const std::string& command) {
  // Bazel's PATH does not have the tools of root.
  return std::system(("export PATH=$PATH:/usr/sbin:/sbin\n" + command).c_str());
}

// Comments and counters removed, filter before nat.
std::string Normalized(const std::string& saved) {
  std::string filter, rest;
  std::string* to = &rest;
  for (absl::string_view line :
       absl::StrSplit(saved, '\n', absl::SkipEmpty())) {
    if (line[0] == '#') continue;
    if (line[0] == '*') to = line == "*filter" ? &filter : &rest;
    if (line[0] == ':') {
      absl::StrAppend(to, line.substr(0, line.rfind('[')), "[0:0]\n");
    } else {
      absl::StrAppend(to, line, "\n");
    }
  }
  return filter + rest;
}

struct Case {
  std::string name;
  IpFamily family;
  proxy::Dialect dialect;
  std::string tool;  // "iptables-legacy"
};

class IptablesRestoreTest : public ::testing::TestWithParam<Case> {};

TEST_P(IptablesRestoreTest, TakesWholeTablesAndDeltas) {
  const Case& c = GetParam();
  if (Shell("unshare -n true 2>/dev/null") != 0) {
    GTEST_SKIP() << "no new network namespace: not root?";
  }
  if (Shell(absl::StrCat("unshare -n ", c.tool,
                         " -t nat -L >/dev/null 2>&1")) != 0) {
    GTEST_SKIP() << c.tool << " does not work here";
  }
  KubeProxyConfig config;
  config.hostname_override = "node-1";
  config.bind_address = c.family == IpFamily::kIpv4 ? "0.0.0.0" : "::";
  config.cluster_cidr =
      c.family == IpFamily::kIpv4 ? "10.244.0.0/16" : "fd00:10:244::/56";
  proxy::RandomEvents random(7);
  Cluster cluster;
  cluster.Put(proxy::RandomEvents::FirstNode());
  for (int i = 0; i < 80; ++i) random.Next(cluster);
  auto compiler =
      proxy::IptablesCompiler::Create(cluster, config, {.dialect = c.dialect});
  ASSERT_TRUE(compiler.ok()) << compiler.status();

  // All steps run in one namespace.
  const std::string stem = absl::StrCat(Folder(), "/", c.name);
  std::string script = "set -e\n";
  std::vector<std::string> wanted;
  auto add_step = [&](const std::string& input, absl::string_view flags) {
    const std::string file = absl::StrCat(stem, ".", wanted.size());
    ASSERT_TRUE(WriteFile(file + ".in", input).ok());
    absl::StrAppend(&script, c.tool, "-restore ", flags, " < ", file, ".in\n",
                    c.tool, "-save > ", file, ".out\n");
    wanted.push_back(netfilter::PrintIptablesSave(compiler->Compile(c.family)));
  };
  std::string text;
  compiler->PrintTo(c.family, proxy::IptablesCompiler::Print::kTables, text);
  add_step(text, "");
  proxy::IptablesDeltas deltas;
  while (wanted.size() < 12) {
    std::vector<WatchEvent> events;
    for (int i = 0; i < 8; ++i) events.push_back(random.Next(cluster));
    compiler->Apply(events, deltas);
    std::string input;
    (c.family == IpFamily::kIpv4 ? deltas.v4 : deltas.v6)
        .AppendRestoreInput(input);
    if (!input.empty()) add_step(input, "--noflush");
  }
  // kube-proxy's own full sync over what is there changes nothing.
  compiler->PrintTo(c.family, proxy::IptablesCompiler::Print::kOwnChains, text);
  add_step(text, "--noflush");

  ASSERT_TRUE(WriteFile(stem + ".sh", script).ok());
  ASSERT_EQ(Shell(absl::StrCat("unshare -n sh ", stem, ".sh")), 0);
  for (size_t i = 0; i < wanted.size(); ++i) {
    const auto saved = ReadFile(absl::StrCat(stem, ".", i, ".out"));
    ASSERT_TRUE(saved.ok()) << saved.status();
    ASSERT_EQ(Normalized(*saved), wanted[i]) << c.name << " step " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, IptablesRestoreTest,
    ::testing::Values(
        Case{"v4", IpFamily::kIpv4, proxy::Dialect::kV1_30, "iptables-legacy"},
        Case{"v6", IpFamily::kIpv6, proxy::Dialect::kV1_30, "ip6tables-legacy"},
        Case{"v4_1_14", IpFamily::kIpv4, proxy::Dialect::kV1_14,
             "iptables-legacy"},
        Case{"v4_1_11", IpFamily::kIpv4, proxy::Dialect::kV1_11,
             "iptables-legacy"}),
    [](const auto& p) { return p.param.name; });

}  // namespace
}  // namespace k8sdns
