// Any bytes as a node's resolv.conf: what a Pod gets must keep the limits.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/str_join.h"
#include "k8sdns/cluster/pod.h"
#include "k8sdns/dns/kubelet_dns.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  k8sdns::dns::NodeDns node;
  node.kubelet.cluster_dns = {"10.96.0.10"};
  node.kubelet.cluster_domain = "cluster.local";
  node.resolv_conf_text =
      std::string(reinterpret_cast<const char*>(data), size);
  for (const char* policy : {"ClusterFirst", "Default", "None"}) {
    k8sdns::Pod pod;
    pod.metadata.namespace_ = "default";
    pod.spec.dns_policy = policy;
    const auto dns = k8sdns::dns::FormPodDns(pod, node);
    if (!dns.ok()) continue;
    if (dns->servers.size() > 3 || dns->searches.size() > 32 ||
        absl::StrJoin(dns->searches, " ").size() > 2048) {
      std::abort();
    }
  }
  k8sdns::dns::CheckNodeResolvConf(node);
  return 0;
}
