// The article's question: how does a Pod's lookup of kube-dns reach the
// kube-dns Pod, and how does the answer come back? Prints the walk for the
// cluster of docker-ee-2.1.yaml.
//
//   kube_dns_walk [FOLDER with the docker-ee-2.1 files]
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "k8sdns/cluster/endpoints_controller.h"
#include "k8sdns/cluster/manifest_reader.h"
#include "k8sdns/journey/walk.h"

namespace {

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

template <typename T>
T Take(absl::StatusOr<T> value) {
  if (!value.ok()) {
    std::cerr << value.status().message() << "\n";
    std::exit(2);
  }
  return *std::move(value);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string base =
      (argc > 1 ? argv[1] : std::string("examples")) + "/docker-ee-2.1";
  const auto read = [&](const std::string& suffix) {
    return ReadFile(base + suffix);
  };
  const k8sdns::Cluster cluster = k8sdns::DeriveMissingEndpoints(
      Take(k8sdns::ReadCluster(read(".yaml"), base + ".yaml")));

  k8sdns::dns::NodeDns node_dns;
  node_dns.kubelet = Take(
      k8sdns::ReadKubeletConfig(read("-kubelet.yaml"), base + "-kubelet.yaml"));
  node_dns.resolv_conf_text = read("-resolv.conf");

  k8sdns::journey::WorldOptions options;
  options.proxy = Take(k8sdns::ReadKubeProxyConfig(read("-kube-proxy.yaml"),
                                                   base + "-kube-proxy.yaml"));
  options.dialect = k8sdns::proxy::Dialect::kV1_11;

  k8sdns::journey::WalkRequest request;
  request.pod_name = "netshoot-deploy-5f8cfd5d94-xxlxp";
  request.name = "kube-dns.kube-system";
  request.lookup.family = k8sdns::dns::LookupFamily::kInet;

  std::cout << Take(k8sdns::journey::TakeWalk(cluster, node_dns, options,
                                              request))
                   .ToString();
  return 0;
}
