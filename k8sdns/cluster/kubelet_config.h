// KubeletConfiguration (kubelet.config.k8s.io/v1beta1), the DNS part.
//
//   KubeletConfig kubelet;
//   kubelet.cluster_dns = {"10.96.0.10"};
//   kubelet.cluster_domain = "cluster.local";
#ifndef K8SDNS_CLUSTER_KUBELET_CONFIG_H_
#define K8SDNS_CLUSTER_KUBELET_CONFIG_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"

namespace k8sdns {

struct KubeletConfig {
  std::vector<std::string> cluster_dns;  // --cluster-dns
  std::string cluster_domain;            // --cluster-domain; empty: none
  // --resolv-conf: a path; unset: /etc/resolv.conf; "": no host file.
  std::optional<std::string> resolv_conf;
  int max_pods = 110;
  absl::btree_map<std::string, bool> feature_gates;

  friend bool operator==(const KubeletConfig&, const KubeletConfig&) = default;
};

}  // namespace k8sdns

#endif  // K8SDNS_CLUSTER_KUBELET_CONFIG_H_
