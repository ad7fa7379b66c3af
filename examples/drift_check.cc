// Does a node still do what the cluster says? A Service lost an endpoint, and
// this node's kube-proxy has not noticed: what differs, in words, and a packet
// that shows it.
#include <iostream>
#include <string>

#include "k8sdns/cluster/manifest_reader.h"
#include "k8sdns/dataplane/equivalence.h"
#include "k8sdns/journey/drift.h"
#include "k8sdns/netfilter/iptables_save.h"
#include "k8sdns/proxy/iptables_compiler.h"

namespace {

using namespace k8sdns;  // an example

// What kubectl get svc,endpointslices -o yaml prints, shortened.
std::string Manifest(const std::string& endpoints) {
  return R"(apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata: {name: web, namespace: default}
  spec:
    clusterIP: 10.96.0.20
    clusterIPs: [10.96.0.20]
    ipFamilies: [IPv4]
    ports: [{name: http, port: 80, protocol: TCP, targetPort: 8080}]
- apiVersion: discovery.k8s.io/v1
  kind: EndpointSlice
  metadata:
    name: web-1
    namespace: default
    labels: {kubernetes.io/service-name: web}
  addressType: IPv4
  ports: [{name: http, port: 8080, protocol: TCP}]
  endpoints:
)" + endpoints;
}

std::string EndpointYaml(const std::string& address) {
  return "  - {addresses: [" + address + "], conditions: {ready: true}}\n";
}

// What iptables-save would print on a node of such a cluster.
std::string Dump(const Cluster& cluster, const KubeProxyConfig& config) {
  auto compiler = proxy::IptablesCompiler::Create(cluster, config, {});
  return netfilter::PrintIptablesSave(compiler->Compile(IpFamily::kIpv4));
}

}  // namespace

int main() {
  KubeProxyConfig config;
  config.hostname_override = "node-1";
  const auto before = ReadCluster(
      Manifest(EndpointYaml("10.244.1.5") + EndpointYaml("10.244.1.7")),
      "before");
  const auto now = ReadCluster(Manifest(EndpointYaml("10.244.1.5")), "now");
  if (!before.ok() || !now.ok()) return 2;

  // The node's own dump is that of yesterday.
  journey::NodeDump node;
  node.ipv4 =
      *netfilter::ParseIptablesSave(Dump(*before, config), IpFamily::kIpv4);
  const auto drift = journey::FindDrift(*now, config, {}, node);
  if (!drift.ok()) return 2;
  std::cout << drift->ToString();

  const auto expected =
      netfilter::ParseIptablesSave(Dump(*now, config), IpFamily::kIpv4);
  const auto same = dataplane::CompareFates(*expected, *node.ipv4, {});
  if (!same.ok()) return 2;
  std::cout << "\nto packets they are "
            << dataplane::EquivalenceName(same->answer) << ":\n"
            << "  " << same->witness->ToString() << "\n";
  for (int side : {0, 1}) {
    for (const dataplane::Fate& fate : same->fates[side]) {
      std::cout << (side == 0 ? "  should be " : "  is        ")
                << fate.probability << " " << fate.text << "\n";
    }
  }
  return drift->found() ? 0 : 1;
}
