// The loop of a controller: watch events in, the changes of the node's rules
// out. What each event costs is what it changes.
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "k8sdns/cluster/cluster.h"
#include "k8sdns/cluster/kube_proxy_config.h"
#include "k8sdns/proxy/iptables_compiler.h"

namespace {

using k8sdns::WatchEvent;

k8sdns::Service Web() {
  k8sdns::Service web;
  web.metadata.namespace_ = "default";
  web.metadata.name = "web";
  web.spec.cluster_ip = "10.96.0.20";
  web.spec.cluster_ips = {"10.96.0.20"};
  k8sdns::ServicePort port;
  port.name = "http";
  port.port = 80;
  port.target_port = 8080;
  web.spec.ports.push_back(port);
  return web;
}

// The slice of the Service with these endpoints.
k8sdns::EndpointSlice Slice(const std::vector<std::string>& addresses) {
  k8sdns::EndpointSlice slice;
  slice.metadata.namespace_ = "default";
  slice.metadata.name = "web-1";
  slice.metadata.labels["kubernetes.io/service-name"] = "web";
  k8sdns::EndpointPort port;
  port.name = "http";
  port.port = 8080;
  slice.ports.push_back(port);
  for (const std::string& address : addresses) {
    k8sdns::Endpoint endpoint;
    endpoint.addresses = {address};
    slice.endpoints.push_back(endpoint);
  }
  return slice;
}

struct Step {
  const char* what;
  WatchEvent event;
};

}  // namespace

int main() {
  k8sdns::KubeProxyConfig config;
  config.hostname_override = "node-1";
  config.cluster_cidr = "10.244.0.0/16";
  auto compiler =
      k8sdns::proxy::IptablesCompiler::Create(k8sdns::Cluster(), config, {});
  if (!compiler.ok()) return std::cerr << compiler.status() << "\n", 1;

  using Type = WatchEvent::Type;
  const Step steps[] = {
      {"a Service", {Type::kPut, Web()}},
      {"its first endpoint", {Type::kPut, Slice({"10.244.1.5"})}},
      {"a second one", {Type::kPut, Slice({"10.244.1.5", "10.244.2.5"})}},
      {"nothing new", {Type::kPut, Slice({"10.244.1.5", "10.244.2.5"})}},
      {"the first one goes", {Type::kPut, Slice({"10.244.2.5"})}},
      {"the Service goes", {Type::kDeleted, Web()}},
  };
  k8sdns::proxy::IptablesDeltas deltas;  // its memory is used again
  for (const Step& step : steps) {
    compiler->Apply({&step.event, 1}, deltas);
    std::string input;
    deltas.v4.AppendRestoreInput(input);
    std::cout << "# " << step.what << ": " << deltas.v4.changes().size()
              << " changes\n"
              << input;
  }
}
