// What will not route as it looks: Services, their endpoints and their
// addresses. The DNS findings are those of k8sdns/dns/findings.h.
//
//   for (const Finding& f : CheckRouting(cluster, options))
//     std::cout << f.ToString() << "\n";
//
// Ids, each with a test on a broken and on a healthy cluster:
//   routing/no-endpoints           nothing stands behind a Service
//   routing/none-ready             endpoints, but none is ready
//   routing/target-port-missing    a named target port that no Pod has
//   routing/port-unserved          a Service port without an endpoint port
//   routing/vip-outside-cidr       a cluster IP outside the service CIDR
//   routing/duplicate-vip          two Services with one cluster IP
//   routing/duplicate-node-port    two ports with one node port
//   routing/overlapping-cidrs      Pod, Service and node networks overlap
//   routing/local-black-hole       policy Local: nodes that drop
//   routing/source-ranges-nodes    loadBalancerSourceRanges shut out the nodes
//   routing/source-range-invalid   a range that is no CIDR shuts out everybody
//   routing/affinity-local         affinity with policy Local: uneven load
//   routing/no-masquerade          no clusterCIDR: off-cluster sources stay
//   routing/pod-cidr-outside       a node's Pod CIDR outside clusterCIDR
//   routing/endpoint-no-pod        an endpoint whose address no Pod has
//
// Pure; thread-safe. Linear in the cluster but for overlapping CIDRs.
#ifndef K8SDNS_JOURNEY_DIAGNOSE_H_
#define K8SDNS_JOURNEY_DIAGNOSE_H_

#include <optional>
#include <vector>

#include "k8sdns/cluster/cluster.h"
#include "k8sdns/cluster/finding.h"
#include "k8sdns/cluster/kube_proxy_config.h"
#include "k8sdns/net/ip_address.h"

namespace k8sdns::journey {

struct RoutingCheckOptions {
  KubeProxyConfig proxy;
  // --service-cluster-ip-range of the API server; empty: not checked.
  std::vector<IpPrefix> service_cidrs;
};

// Findings by object: configuration and nodes first, then Services by
// namespace and name.
std::vector<Finding> CheckRouting(const Cluster& cluster,
                                  const RoutingCheckOptions& options);

}  // namespace k8sdns::journey

#endif  // K8SDNS_JOURNEY_DIAGNOSE_H_
