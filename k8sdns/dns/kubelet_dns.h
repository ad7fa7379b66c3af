// What the kubelet writes into a Pod's /etc/resolv.conf, and what it says about
// it in events.
//
//   NodeDns node;
//   node.kubelet.cluster_dns = {"10.96.0.10"};
//   node.kubelet.cluster_domain = "cluster.local";
//   node.resolv_conf_text = "nameserver 169.254.169.253\n";
//   absl::StatusOr<PodDns> dns = FormPodDns(pod, node);
//   std::string text = dns->ToResolvConf();
//
// Facts: kubelet 1.32 and 1.26 (pkg/kubelet/network/dns), containerd and CRI-O
// for the file itself. Functions are pure and thread-safe.
#ifndef K8SDNS_DNS_KUBELET_DNS_H_
#define K8SDNS_DNS_KUBELET_DNS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "k8sdns/cluster/kubelet_config.h"
#include "k8sdns/cluster/pod.h"
#include "k8sdns/net/ip_address.h"

namespace k8sdns::dns {

// Which release's limits apply.
enum class KubeletDnsLimits {
  kExpanded,  // 1.26 and later: 32 search domains, 2048 characters
  // Before 1.26, unless the feature gate ExpandedDNSConfig was on: 6 search
  // domains, 256 characters. Error messages are those of that time as well.
  kLegacy,
};

// What a node's kubelet knows.
struct NodeDns {
  KubeletConfig kubelet;
  // The node's addresses, as the kubelet found them; matter only if
  // kubelet.resolv_conf is "".
  std::vector<IpAddress> addresses;
  // The content of the file that kubelet.resolv_conf names (unset:
  // /etc/resolv.conf). Unset: there is no such file. Not read if
  // kubelet.resolv_conf is "".
  std::optional<std::string> resolv_conf_text;
  KubeletDnsLimits limits = KubeletDnsLimits::kExpanded;
};

// An event of type Warning.
struct KubeletEvent {
  enum class Object { kPod, kNode };
  Object object = Object::kPod;
  std::string reason;  // "DNSConfigForming", "MissingClusterDNS", ...
  std::string message;

  std::string ToString() const;  // "Warning Reason Message"

  friend bool operator==(const KubeletEvent&, const KubeletEvent&) = default;
};

// The DNS settings of a Pod's sandbox.
struct PodDns {
  std::vector<std::string> servers;
  std::vector<std::string> searches;
  // Sorted: the kubelet keeps merged options in a map and writes them in
  // random order.
  std::vector<std::string> options;
  std::vector<KubeletEvent> events;

  // True if nothing is set at all: container runtimes then copy the node's own
  // /etc/resolv.conf, whatever file the kubelet was told to use.
  bool CopiesNodeFile() const {
    return servers.empty() && searches.empty() && options.empty();
  }
  // The file as containerd and CRI-O write it; "" if CopiesNodeFile().
  std::string ToResolvConf() const;

  friend bool operator==(const PodDns&, const PodDns&) = default;
};

// The settings for `pod`. An error (kFailedPrecondition, with the kubelet's own
// message) means that the sandbox cannot be created: the node's file is missing
// or bad. That fails even a Pod with dnsPolicy None.
absl::StatusOr<PodDns> FormPodDns(const Pod& pod, const NodeDns& node);

// The event of the check that the kubelet repeats from its start on; nullopt if
// it has nothing to say. Not done if kubelet.resolv_conf is "".
std::optional<KubeletEvent> CheckNodeResolvConf(const NodeDns& node);

}  // namespace k8sdns::dns

#endif  // K8SDNS_DNS_KUBELET_DNS_H_
