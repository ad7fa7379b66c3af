// KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1). Field names and
// defaults are those of kube-proxy 1.30 (pkg/proxy/apis/config).
//
//   KubeProxyConfig config;
//   config.hostname_override = "node-1";
//   config.cluster_cidr = "10.244.0.0/16";
//   config.mode = ProxyMode::kIpvs;
#ifndef K8SDNS_CLUSTER_KUBE_PROXY_CONFIG_H_
#define K8SDNS_CLUSTER_KUBE_PROXY_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"

namespace k8sdns {

enum class ProxyMode { kIptables, kIpvs, kNftables };

// How kube-proxy tells that traffic comes from a Pod of this node.
enum class LocalMode {
  kClusterCidr,  // detectLocalMode "ClusterCIDR", also the default
  kNodeCidr,
  kBridgeInterface,
  kInterfaceNamePrefix,
};

struct KubeProxyConfig {
  ProxyMode mode = ProxyMode::kIptables;
  std::string hostname_override;  // the node's name; empty: not told
  std::string bind_address = "0.0.0.0";
  // "" or one CIDR, or two of different families joined by a comma.
  std::string cluster_cidr;
  LocalMode detect_local_mode = LocalMode::kClusterCidr;
  std::string bridge_interface;       // detectLocal.bridgeInterface
  std::string interface_name_prefix;  // detectLocal.interfaceNamePrefix
  std::vector<std::string> node_port_addresses;  // CIDRs, or "primary" (1.31)
  absl::btree_map<std::string, bool> feature_gates;
  std::string healthz_bind_address = "0.0.0.0:10256";

  struct Iptables {
    std::optional<int32_t> masquerade_bit;  // 0..31; unset: 14
    bool masquerade_all = false;
    bool localhost_node_ports = true;
    friend bool operator==(const Iptables&, const Iptables&) = default;
  } iptables;

  struct Ipvs {
    std::string scheduler;  // empty: "rr"
    std::vector<std::string> exclude_cidrs;
    bool strict_arp = false;
    // Durations as Go prints them ("15m0s"); empty: 0s, the kernel's own.
    std::string tcp_timeout;
    std::string tcp_fin_timeout;
    std::string udp_timeout;
    friend bool operator==(const Ipvs&, const Ipvs&) = default;
  } ipvs;

  struct Nftables {
    std::optional<int32_t> masquerade_bit;  // unset: 14
    bool masquerade_all = false;
    friend bool operator==(const Nftables&, const Nftables&) = default;
  } nftables;

  struct Conntrack {
    std::optional<int32_t> max_per_core;  // unset: 32768
    std::optional<int32_t> min;           // unset: 131072
    std::string tcp_established_timeout;  // empty: "24h0m0s"
    std::string tcp_close_wait_timeout;   // empty: "1h0m0s"
    bool tcp_be_liberal = false;
    std::string udp_timeout;
    std::string udp_stream_timeout;
    friend bool operator==(const Conntrack&, const Conntrack&) = default;
  } conntrack;

  friend bool operator==(const KubeProxyConfig&,
                         const KubeProxyConfig&) = default;
};

}  // namespace k8sdns

#endif  // K8SDNS_CLUSTER_KUBE_PROXY_CONFIG_H_
