// IptablesCompiler::Apply against full compiles.
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "k8sdns/netfilter/iptables_save.h"
#include "k8sdns/proxy/iptables_compiler.h"
#include "k8sdns/proxy/random_cluster_for_test.h"

namespace k8sdns::proxy {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// What iptables-restore --noflush does, for the lines that deltas have.
class TextTables {
 public:
  // Returns the first line that iptables-restore would refuse, or "".
  std::string Restore(absl::string_view input) {
    std::string table;
    for (absl::string_view line :
         absl::StrSplit(input, '\n', absl::SkipEmpty())) {
      if (line[0] == '*') {
        table = std::string(line.substr(1));
        continue;
      }
      if (line == "COMMIT") continue;
      auto& chains = tables_[table];
      if (line[0] == ':') {
        const std::string name(line.substr(1, line.find(' ') - 1));
        chains[name].clear();
        continue;
      }
      if (!Rule(chains, line)) return std::string(line);
    }
    return "";
  }
  std::string Print() const {
    std::string out;
    for (const auto& [table, chains] : tables_) {
      for (const auto& [name, rules] : chains) {
        absl::StrAppend(&out, table, " :", name, "\n");
        for (const std::string& rule : rules) absl::StrAppend(&out, rule, "\n");
      }
    }
    return out;
  }

 private:
  using Chains = std::map<std::string, std::vector<std::string>>;

  static bool Rule(Chains& chains, absl::string_view line) {
    const std::vector<std::string> words =
        absl::StrSplit(line, absl::MaxSplits(' ', 2));
    auto chain = chains.find(words[1]);
    if (chain == chains.end()) return false;
    auto& rules = chain->second;
    if (words[0] == "-X") {
      if (!rules.empty()) return false;
      for (const auto& [name, others] : chains) {
        for (const std::string& rule : others) {
          if (absl::StrContains(rule, absl::StrCat("-j ", words[1]))) {
            return false;
          }
        }
      }
      chains.erase(chain);
      return true;
    }
    // The target must be there.
    const size_t jump = line.rfind(" -j KUBE-");
    if (jump != absl::string_view::npos &&
        !chains.contains(std::string(line.substr(jump + 4)))) {
      return false;
    }
    if (words[0] == "-A") {
      rules.push_back(words[2]);
      return true;
    }
    const std::pair<std::string, std::string> rest =
        absl::StrSplit(words[2], absl::MaxSplits(' ', 1));
    size_t position;
    if (!absl::SimpleAtoi(rest.first, &position) || position == 0) return false;
    if (words[0] == "-D" && position <= rules.size()) {
      rules.erase(rules.begin() + static_cast<ptrdiff_t>(position - 1));
      return true;
    }
    if (words[0] == "-I" && position <= rules.size() + 1) {
      rules.insert(rules.begin() + static_cast<ptrdiff_t>(position - 1),
                   rest.second);
      return true;
    }
    return false;
  }

  std::map<std::string, Chains> tables_;
};

std::string Tables(IptablesCompiler& compiler, IpFamily family) {
  std::string text;
  compiler.PrintTo(family, IptablesCompiler::Print::kTables, text);
  return text;
}

struct Setting {
  std::string name;
  Dialect dialect;
  KubeProxyConfig config;
  size_t extra_endpoints;  // brings the cluster near the large-cluster mode
};

KubeProxyConfig Config() {
  KubeProxyConfig config;
  config.hostname_override = "node-1";
  config.cluster_cidr = "10.244.0.0/16";
  return config;
}

std::vector<Setting> Settings() {
  std::vector<Setting> out;
  out.push_back({"v1_30", Dialect::kV1_30, Config(), 0});
  out.push_back({"v1_14", Dialect::kV1_14, Config(), 0});
  out.push_back({"v1_11", Dialect::kV1_11, Config(), 0});
  KubeProxyConfig local = Config();
  local.detect_local_mode = LocalMode::kNodeCidr;
  local.node_port_addresses = {"172.18.0.0/24", "127.0.0.0/8", "fc00::/16"};
  out.push_back({"node_dependent", Dialect::kV1_30, local, 0});
  KubeProxyConfig old = Config();
  old.node_port_addresses = {"172.18.0.0/24"};
  out.push_back({"v1_14_lookup_fails", Dialect::kV1_14, old, 0});
  out.push_back({"near_large", Dialect::kV1_30, Config(), 985});
  return out;
}

void PutExtraEndpoints(size_t count, Cluster& cluster) {
  if (count == 0) return;
  Service service;
  service.metadata.namespace_ = "many";
  service.metadata.name = "many";
  service.spec.cluster_ip = "10.97.0.1";
  service.spec.ports.resize(1);
  service.spec.ports[0].port = 80;
  cluster.Put(service);
  EndpointSlice slice;
  slice.metadata.namespace_ = "many";
  slice.metadata.name = "many-1";
  slice.metadata.labels[kServiceNameLabel] = "many";
  slice.ports.resize(1);
  slice.ports[0].name = "";
  slice.ports[0].port = 80;
  for (size_t i = 0; i < count; ++i) {
    slice.endpoints.emplace_back().addresses = {
        absl::StrCat("10.245.", i / 250, ".", i % 250)};
  }
  cluster.Put(slice);
}

class IptablesApplyTest : public ::testing::TestWithParam<Setting> {};

TEST_P(IptablesApplyTest, DeltasLeadToWhatAFullCompileGives) {
  const Setting& setting = GetParam();
  // Building a thousand endpoints anew each time takes its time.
  const bool large = setting.extra_endpoints > 0;
  size_t changes = 0;
  for (uint64_t seed = 1; seed <= (large ? 1 : 3); ++seed) {
    RandomEvents random(seed);
    Cluster cluster;
    cluster.Put(RandomEvents::FirstNode());
    PutExtraEndpoints(setting.extra_endpoints, cluster);
    for (int i = 0; i < 20; ++i) random.Next(cluster);
    auto compiler = IptablesCompiler::Create(cluster, setting.config,
                                             {.dialect = setting.dialect});
    ASSERT_TRUE(compiler.ok()) << compiler.status();
    TextTables v4, v6;
    v4.Restore(Tables(*compiler, IpFamily::kIpv4));
    v6.Restore(Tables(*compiler, IpFamily::kIpv6));
    IptablesDeltas deltas;
    for (int step = 0; step < (large ? 25 : 60); ++step) {
      std::vector<WatchEvent> events;
      for (int i = 0; i <= step % 4; ++i)
        events.push_back(random.Next(cluster));
      compiler->Apply(events, deltas);
      for (auto [delta, tables] :
           {std::pair{&deltas.v4, &v4}, std::pair{&deltas.v6, &v6}}) {
        changes += delta->changes().size();
        std::string input;
        delta->AppendRestoreInput(input);
        ASSERT_EQ(tables->Restore(input), "")
            << "seed " << seed << " step " << step << "\n"
            << input;
      }
      auto fresh = IptablesCompiler::Create(cluster, setting.config,
                                            {.dialect = setting.dialect});
      ASSERT_TRUE(fresh.ok());
      for (auto [family, tables] :
           {std::pair{IpFamily::kIpv4, &v4}, std::pair{IpFamily::kIpv6, &v6}}) {
        const std::string want = Tables(*fresh, family);
        ASSERT_EQ(Tables(*compiler, family), want)
            << "seed " << seed << " step " << step;
        TextTables full;
        full.Restore(want);
        ASSERT_EQ(tables->Print(), full.Print())
            << "seed " << seed << " step " << step;
      }
    }
  }
  EXPECT_GT(changes, 100u);
}

// The rule set, the text that is written without it, and the deltas taken by
// the reader of the iptables-save format are all the same rules.
TEST_P(IptablesApplyTest, RulesetsAndTextAgree) {
  const Setting& setting = GetParam();
  RandomEvents random(99);
  Cluster cluster;
  cluster.Put(RandomEvents::FirstNode());
  PutExtraEndpoints(setting.extra_endpoints, cluster);
  for (int i = 0; i < 60; ++i) random.Next(cluster);
  auto compiler = IptablesCompiler::Create(cluster, setting.config,
                                           {.dialect = setting.dialect});
  ASSERT_TRUE(compiler.ok()) << compiler.status();
  std::map<IpFamily, netfilter::Ruleset> followed;
  for (IpFamily family : compiler->families()) {
    followed.emplace(family, compiler->Compile(family));
  }
  netfilter::ParseOptions no_flush;
  no_flush.no_flush = true;
  IptablesDeltas deltas;
  for (int step = 0; step < 10; ++step) {
    std::vector<WatchEvent> events;
    for (int i = 0; i < 10; ++i) events.push_back(random.Next(cluster));
    compiler->Apply(events, deltas);
    for (IpFamily family : compiler->families()) {
      const std::string want =
          netfilter::PrintIptablesSave(compiler->Compile(family));
      auto read =
          netfilter::ParseIptablesSave(Tables(*compiler, family), family, {});
      ASSERT_TRUE(read.ok()) << read.status();
      EXPECT_EQ(netfilter::PrintIptablesSave(*read), want);

      std::string input;
      (family == IpFamily::kIpv4 ? deltas.v4 : deltas.v6)
          .AppendRestoreInput(input);
      netfilter::Ruleset& rules = followed.at(family);
      const absl::Status status =
          netfilter::ApplyIptablesSave(input, no_flush, &rules);
      ASSERT_TRUE(status.ok()) << status << input;
      EXPECT_EQ(netfilter::PrintIptablesSave(rules), want);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Settings, IptablesApplyTest,
                         ::testing::ValuesIn(Settings()),
                         [](const auto& p) { return p.param.name; });

}  // namespace
}  // namespace k8sdns::proxy
