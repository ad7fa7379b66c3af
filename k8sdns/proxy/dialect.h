// The versions of kube-proxy whose behaviour is compiled, and the table of
// differences between them that every compiler of this room reads.
//
//   IptablesOptions options;
//   options.dialect = Dialect::kV1_11;
#ifndef K8SDNS_PROXY_DIALECT_H_
#define K8SDNS_PROXY_DIALECT_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"

namespace k8sdns::proxy {

enum class Dialect : uint8_t {
  kV1_11,  // what Docker EE 2.1 runs
  kV1_14,
  kV1_30,
};

// "1.11", "1.14", "1.30".
absl::string_view DialectName(Dialect dialect);
std::optional<Dialect> FindDialect(absl::string_view name);

// One row of the table. The facts are those of pkg/proxy in the Kubernetes
// releases 1.11, 1.14 and 1.30.
struct DialectTraits {
  // ---- objects ----
  // Reads EndpointSlices of both families; else Endpoints, of the family of
  // bindAddress, without conditions, hints or deduplication.
  bool endpoint_slices;
  bool dual_stack;
  // Objects with these labels are not watched.
  bool filters_service_proxy_name;
  bool filters_headless_label;
  // status.loadBalancer.ingress[].ipMode is known.
  bool ip_mode;
  bool internal_traffic_policy;
  // A port without a name is "namespace/name:", not "namespace/name".
  bool colon_of_unnamed_port;
  // externalTrafficPolicy Local also counts for a ClusterIP service with
  // external IPs, not only for NodePort and LoadBalancer.
  bool local_policy_of_external_ips;
  // detectLocalMode, iptables.localhostNodePorts and conntrack.tcpBeLiberal
  // are known.
  bool local_detectors;

  // ---- iptables mode ----
  // KUBE-EXT and KUBE-SVL chains, KUBE-PROXY-FIREWALL, health check rules, the
  // masquerade rule in the service's own chain. Else KUBE-XLB, KUBE-MARK-DROP
  // and the masquerade rule in front of each dispatch rule.
  bool external_chains;
  // Without external_chains: packets to load balancer IPs of a service without
  // endpoints are rejected.
  bool rejects_load_balancer_ips;
  // Comments on balancing and endpoint rules: none, "ns/name:port", or
  // "ns/name:port -> endpoint" (on balancing rules).
  enum class EndpointComment : uint8_t { kNone, kPort, kPortAndEndpoint };
  EndpointComment endpoint_comment;
  // Drops those comments with more than 1,000 endpoints.
  bool large_cluster_mode;
  // Digits of --probability.
  int probability_digits;
  // A rule in KUBE-FORWARD drops packets in state INVALID.
  bool drops_invalid;
  // The jumps to KUBE-SERVICES from filter INPUT and FORWARD.
  bool filters_input_and_forward;
};

const DialectTraits& TraitsOf(Dialect dialect);

}  // namespace k8sdns::proxy

#endif  // K8SDNS_PROXY_DIALECT_H_
