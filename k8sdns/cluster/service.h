// Service (core/v1), as the Kubernetes API has it. Strings of the API stay
// strings, so that a value reads like the YAML; readers check addresses, and
// whoever uses a text as an address parses it.
//
//   Service web;
//   web.metadata.namespace_ = "default";
//   web.metadata.name = "web";
//   web.spec.cluster_ip = "10.96.0.20";
//   web.spec.selector["app"] = "web";
#ifndef K8SDNS_CLUSTER_SERVICE_H_
#define K8SDNS_CLUSTER_SERVICE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "k8sdns/cluster/object_meta.h"
#include "k8sdns/net/ip_address.h"
#include "k8sdns/net/packet.h"

namespace k8sdns {

enum class ServiceType { kClusterIp, kNodePort, kLoadBalancer, kExternalName };
enum class TrafficPolicy { kCluster, kLocal };
enum class SessionAffinity { kNone, kClientIp };
enum class IpFamilyPolicy { kSingleStack, kPreferDualStack, kRequireDualStack };
enum class IpMode { kVip, kProxy };

// A port number, or the name of a container port (intstr.IntOrString).
using PortOrName = std::variant<int32_t, std::string>;

struct ServicePort {
  std::string name;
  Protocol protocol = Protocol::kTcp;  // TCP, UDP or SCTP
  int32_t port = 0;
  PortOrName target_port = 0;  // 0: the same as `port`
  int32_t node_port = 0;       // 0: none
  std::optional<std::string> app_protocol;

  friend bool operator==(const ServicePort&, const ServicePort&) = default;
};

struct ServiceSpec {
  ServiceType type = ServiceType::kClusterIp;
  std::string cluster_ip;  // empty: none yet; "None": headless
  std::vector<std::string> cluster_ips;
  std::vector<IpFamily> ip_families;
  std::optional<IpFamilyPolicy> ip_family_policy;
  std::vector<ServicePort> ports;
  // Empty is no selector: the API server drops an empty map.
  StringMap selector;
  std::vector<std::string> external_ips;
  std::string external_name;
  std::string load_balancer_ip;
  std::vector<std::string> load_balancer_source_ranges;
  std::optional<std::string> load_balancer_class;
  std::optional<bool> allocate_load_balancer_node_ports;
  std::optional<TrafficPolicy> external_traffic_policy;  // unset: Cluster
  std::optional<TrafficPolicy> internal_traffic_policy;  // unset: Cluster
  int32_t health_check_node_port = 0;                    // 0: none
  bool publish_not_ready_addresses = false;
  SessionAffinity session_affinity = SessionAffinity::kNone;
  // sessionAffinityConfig.clientIP.timeoutSeconds; unset: 10800.
  std::optional<int32_t> session_affinity_timeout_seconds;
  std::optional<std::string> traffic_distribution;

  friend bool operator==(const ServiceSpec&, const ServiceSpec&) = default;
};

struct LoadBalancerIngress {
  std::string ip;
  std::string hostname;
  std::optional<IpMode> ip_mode;  // unset: VIP

  friend bool operator==(const LoadBalancerIngress&,
                         const LoadBalancerIngress&) = default;
};

struct Service {
  ObjectMeta metadata;
  ServiceSpec spec;
  std::vector<LoadBalancerIngress> load_balancer_ingress;  // status

  bool IsHeadless() const { return spec.cluster_ip == "None"; }

  friend bool operator==(const Service&, const Service&) = default;
};

}  // namespace k8sdns

#endif  // K8SDNS_CLUSTER_SERVICE_H_
