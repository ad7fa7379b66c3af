// Pod (core/v1), as far as its network and DNS settings go.
//
//   for (const std::string& address : pod.Addresses()) ...
//   if (pod.spec.host_network) ...
#ifndef K8SDNS_CLUSTER_POD_H_
#define K8SDNS_CLUSTER_POD_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "k8sdns/cluster/object_meta.h"
#include "k8sdns/net/packet.h"

namespace k8sdns {

enum class PodPhase { kPending, kRunning, kSucceeded, kFailed, kUnknown };

struct ContainerPort {
  std::string name;
  int32_t container_port = 0;
  int32_t host_port = 0;  // 0: none
  std::string host_ip;
  Protocol protocol = Protocol::kTcp;

  friend bool operator==(const ContainerPort&, const ContainerPort&) = default;
};

struct Container {
  std::string name;
  std::string image;
  std::vector<ContainerPort> ports;
  // Only of init containers; "Always" makes it a sidecar.
  std::optional<std::string> restart_policy;

  friend bool operator==(const Container&, const Container&) = default;
};

struct PodDnsConfig {
  struct Option {
    std::string name;
    std::optional<std::string> value;
    friend bool operator==(const Option&, const Option&) = default;
  };
  std::vector<std::string> nameservers;
  std::vector<std::string> searches;
  std::vector<Option> options;

  friend bool operator==(const PodDnsConfig&, const PodDnsConfig&) = default;
};

struct PodCondition {
  std::string type;
  std::string status;  // "True", "False" or "Unknown"
  std::string last_transition_time;

  friend bool operator==(const PodCondition&, const PodCondition&) = default;
};

struct PodSpec {
  std::string node_name;
  bool host_network = false;
  std::string hostname;
  std::string subdomain;
  std::string restart_policy;  // empty: "Always"
  // "ClusterFirst" (also if empty), "ClusterFirstWithHostNet", "Default",
  // "None"; other texts are kept, the kubelet has a treatment for them.
  std::string dns_policy;
  std::optional<PodDnsConfig> dns_config;
  std::vector<Container> init_containers;
  std::vector<Container> containers;

  friend bool operator==(const PodSpec&, const PodSpec&) = default;
};

struct PodStatus {
  PodPhase phase = PodPhase::kPending;
  std::vector<PodCondition> conditions;
  std::string pod_ip;
  std::vector<std::string> pod_ips;
  std::string host_ip;
  std::vector<std::string> host_ips;

  friend bool operator==(const PodStatus&, const PodStatus&) = default;
};

struct Pod {
  ObjectMeta metadata;
  PodSpec spec;
  PodStatus status;

  // The Ready condition is there and "True".
  bool IsReady() const;
  // status.podIPs, or status.podIP where only that is set.
  std::vector<std::string> Addresses() const;

  friend bool operator==(const Pod&, const Pod&) = default;
};

}  // namespace k8sdns

#endif  // K8SDNS_CLUSTER_POD_H_
