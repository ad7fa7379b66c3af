// What is wrong, or will surprise, in a cluster's DNS: the DNS Service, what
// the kubelet gives to Pods, and what resolver libraries make of that.
//
//   DnsCheckOptions options;
//   options.node.kubelet = kubelet_config;
//   options.node.resolv_conf_text = host_file;
//   for (const Finding& f : CheckDns(cluster, options))
//     std::cout << f.ToString() << "\n";
//
// Ids, each with a test on a broken and on a healthy cluster:
//   dns/service-missing          no DNS Service
//   dns/selector-matches-no-pod  its selector matches no Pod
//   dns/no-ready-endpoints       nothing ready stands behind it
//   dns/port-missing             53/UDP or 53/TCP is not served
//   dns/nameserver-not-vip       --cluster-dns is not the DNS Service's address
//   dns/stub-resolver-loop       the host file names a server on loopback
//   dns/node-limit               the host file is over the kubelet's limits
//   dns/sandbox-fails            the host file is missing or bad: no Pod starts
//   dns/missing-cluster-dns      no --cluster-dns: ClusterFirst becomes Default
//   dns/pod-limit                servers or search domains of a Pod are cut
//   dns/host-network-policy      hostNetwork with ClusterFirst: no cluster DNS
//   dns/query-amplification      ndots and search list multiply queries
//   dns/conntrack-race           A and AAAA from one source port (5 s delays)
//   dns/musl-ignores-line        musl passes over a line that glibc reads
//   dns/musl-search-root         musl sends malformed questions for `search .`
//   dns/musl-parallel-servers    musl asks all servers at once; they disagree
//   dns/musl-fails               a name resolves with glibc and not with musl
//   dns/headless-hidden          endpoints without names until they are ready
//
// Functions are pure and thread-safe. Order is that of the objects.
#ifndef K8SDNS_DNS_FINDINGS_H_
#define K8SDNS_DNS_FINDINGS_H_

#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/strings/string_view.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/cluster/finding.h"
#include "k8sdns/dns/kubelet_dns.h"
#include "k8sdns/dns/resolver.h"

namespace k8sdns::dns {

struct DnsCheckOptions {
  // The DNS Service.
  std::string service_namespace = "kube-system";
  std::string service_name = "kube-dns";
  // What the nodes' kubelets know: of all nodes, and of single ones by name.
  NodeDns node;
  absl::btree_map<std::string, NodeDns> nodes;
  // A name outside the cluster, to count what looking it up costs.
  std::string example_name = "www.example.com";
  // More queries than this for it are a finding.
  int max_queries = 4;
};

// The DNS Service: dns/service-missing to dns/port-missing.
std::vector<Finding> CheckDnsService(const Cluster& cluster,
                                     const DnsCheckOptions& options);

// A node's kubelet: dns/nameserver-not-vip to dns/sandbox-fails. `name` is the
// node's; empty for what holds for all nodes.
std::vector<Finding> CheckNodeDns(const Cluster& cluster,
                                  absl::string_view name, const NodeDns& node,
                                  const DnsCheckOptions& options);

// A Pod's settings on its node: dns/missing-cluster-dns to
// dns/host-network-policy.
std::vector<Finding> CheckPodDns(const Pod& pod, const NodeDns& node);

// What resolver libraries make of a Pod's file: dns/query-amplification to
// dns/musl-parallel-servers. `dns` is from FormPodDns().
std::vector<Finding> CheckPodResolver(const Cluster& cluster, const Pod& pod,
                                      const PodDns& dns,
                                      const DnsCheckOptions& options);

// One name from one host: dns/musl-fails, with the first cause that explains
// it. The object of the finding is left empty.
std::vector<Finding> CheckName(absl::string_view name, const ResolverHost& host,
                               const AnswerSource& answers);

// dns/headless-hidden, one for each headless Service that has them.
std::vector<Finding> CheckHeadlessServices(const Cluster& cluster);

// All of these but CheckName(). CheckPodResolver() is done once for all Pods
// that get the same file. Linear in the cluster.
std::vector<Finding> CheckDns(const Cluster& cluster,
                              const DnsCheckOptions& options);

}  // namespace k8sdns::dns

#endif  // K8SDNS_DNS_FINDINGS_H_
