// How large a node's rule set becomes as a cluster grows, in iptables mode and
// in IPVS mode.
#include <cstdio>
#include <string>

#include "k8sdns/cluster/kube_proxy_config.h"
#include "k8sdns/ipvs/ipvsadm_save.h"
#include "k8sdns/proxy/iptables_compiler.h"
#include "k8sdns/proxy/ipvs_compiler.h"
#include "k8sdns/testing/cluster_generator.h"

int main() {
  using k8sdns::IpFamily;
  std::printf("%31s %22s\n", "iptables mode", "IPVS mode");
  std::printf("%8s %9s %6s %5s  %6s %7s %7s\n", "services", "endpoints",
              "rules", "KiB", "rules", "servers", "in sets");
  for (const size_t services : {10, 100, 1000}) {
    k8sdns::testing::ClusterShape shape;
    shape.services = services;
    shape.endpoints_per_service = 10;
    shape.node_port = 0.2;
    const k8sdns::Cluster cluster = k8sdns::testing::GenerateCluster(shape);
    k8sdns::KubeProxyConfig config;
    config.hostname_override = cluster.nodes().begin()->metadata.name;
    config.cluster_cidr = "10.0.0.0/8";

    auto iptables =
        k8sdns::proxy::IptablesCompiler::Create(cluster, config, {});
    if (!iptables.ok()) return std::puts("cannot compile"), 1;
    std::string text;
    using Print = k8sdns::proxy::IptablesCompiler::Print;
    iptables->PrintTo(IpFamily::kIpv4, Print::kTables, text);

    config.mode = k8sdns::ProxyMode::kIpvs;
    auto ipvs = k8sdns::proxy::IpvsCompiler::Create(cluster, config, {});
    if (!ipvs.ok()) return std::puts("cannot compile"), 1;
    size_t members = 0;
    for (const auto& set : ipvs->Sets()) members += set.members.size();

    std::printf("%8zu %9zu %6zu %5zu  %6zu %7zu %7zu\n", services,
                iptables->endpoint_count(IpFamily::kIpv4),
                iptables->Compile(IpFamily::kIpv4).rule_count(),
                text.size() / 1024, ipvs->Rules(IpFamily::kIpv4).rule_count(),
                ipvs->virtual_servers().size(), members);
  }
}
