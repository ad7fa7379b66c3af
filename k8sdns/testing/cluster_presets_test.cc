// The presets are what they say, measured with the compiler.

#include <algorithm>
#include <string>

#include "gtest/gtest.h"
#include "k8sdns/cluster/kube_proxy_config.h"
#include "k8sdns/proxy/iptables_compiler.h"
#include "k8sdns/testing/cluster_generator.h"

namespace k8sdns::testing {
namespace {

using proxy::IptablesCompiler;

struct Counts {
  size_t services = 0;
  size_t endpoints = 0;
};

Counts CountsOf(absl::string_view preset) {
  Counts counts;
  const auto pass = [](const auto&) { return true; };
  const auto service = [&](const Service&) {
    ++counts.services;
    return true;
  };
  const auto slice = [&](const EndpointSlice& s) {
    counts.endpoints += s.endpoints.size();
    return true;
  };
  GenerateObjects(*FindPreset(preset), {pass, service, slice, pass, pass});
  return counts;
}

TEST(ClusterPresetsTest, FiveThousandServicesWithAQuarterMillionEndpoints) {
  const Counts counts = CountsOf("5006-services");
  EXPECT_EQ(counts.services, 5006u);
  EXPECT_EQ(counts.endpoints, 250'011u);
}

TEST(ClusterPresetsTest, ServicesWithTwoEndpoints) {
  const Counts counts = CountsOf("44128-services");
  EXPECT_EQ(counts.services, 44128u);
  EXPECT_EQ(counts.endpoints, 88256u);
}

TEST(ClusterPresetsTest, LinesOfASave) {
  const Cluster cluster = GenerateCluster(*FindPreset("696k-lines"));
  KubeProxyConfig config;
  config.hostname_override = cluster.nodes().begin()->metadata.name;
  auto compiler = IptablesCompiler::Create(cluster, config, {});
  ASSERT_TRUE(compiler.ok()) << compiler.status();
  std::string text;
  compiler->PrintTo(IpFamily::kIpv4, IptablesCompiler::Print::kTables, text);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 695'992);
}

}  // namespace
}  // namespace k8sdns::testing
