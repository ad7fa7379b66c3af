// The tables of schema.h. Names and meanings are those of the Kubernetes API
// (core/v1, discovery.k8s.io/v1, networking.k8s.io/v1), of kube-proxy's
// v1alpha1 and of the kubelet's v1beta1 configuration. Numbers are those of
// proto/k8sdns/v1/cluster.proto and never change.

#include <cstddef>
#include <cstdint>

#include "k8sdns/cluster/endpoints.h"
#include "k8sdns/cluster/kube_proxy_config.h"
#include "k8sdns/cluster/kubelet_config.h"
#include "k8sdns/cluster/network_policy.h"
#include "k8sdns/cluster/node.h"
#include "k8sdns/cluster/pod.h"
#include "k8sdns/cluster/schema.h"
#include "k8sdns/cluster/service.h"

// The standard lets a compiler refuse offsetof of a class that is not of
// standard layout; GCC and Clang define it for any class without virtual bases.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

#define K8SDNS_FIELD(type, member, name, number)                 \
  Field {                                                        \
    name, number, static_cast<uint32_t>(offsetof(type, member)), \
        &TypeFor<decltype(type::member)>::kType                  \
  }

#define K8SDNS_OBJECT(type, api_name, fields) \
  template <>                                 \
  constinit const ObjectType ObjectFor<type>::kType = {api_name, fields}

#define K8SDNS_ENUM(type, names, wire_offset, empty)                    \
  template <>                                                           \
  constinit const EnumType EnumFor<type>::kType = {names, sizeof(type), \
                                                   wire_offset, empty}; \
  static_assert(sizeof(type) == 1 || sizeof(type) == 4)

namespace k8sdns::schema {
namespace {

constexpr Field Group(FieldName name, absl::Span<const Field> fields) {
  return Field{name, 0, 0, nullptr, Check::kNone, false, {}, fields};
}

template <typename E>
constexpr EnumName Name(absl::string_view name, E value) {
  return {name, static_cast<int>(value)};
}

// --- Enums -----------------------------------------------------------------

// Protocols keep their IP numbers on the wire; all others are moved by one, so
// that 0 means "not set".
constexpr EnumName kProtocols[] = {Name("SCTP", Protocol::kSctp),
                                   Name("TCP", Protocol::kTcp),
                                   Name("UDP", Protocol::kUdp)};
constexpr EnumName kIpFamilies[] = {Name("IPv4", IpFamily::kIpv4),
                                    Name("IPv6", IpFamily::kIpv6)};
constexpr EnumName kAddressTypes[] = {Name("FQDN", AddressType::kFqdn),
                                      Name("IPv4", AddressType::kIpv4),
                                      Name("IPv6", AddressType::kIpv6)};
constexpr EnumName kServiceTypes[] = {
    Name("ClusterIP", ServiceType::kClusterIp),
    Name("ExternalName", ServiceType::kExternalName),
    Name("LoadBalancer", ServiceType::kLoadBalancer),
    Name("NodePort", ServiceType::kNodePort)};
constexpr EnumName kTrafficPolicies[] = {
    Name("Cluster", TrafficPolicy::kCluster),
    Name("Local", TrafficPolicy::kLocal)};
constexpr EnumName kSessionAffinities[] = {
    Name("ClientIP", SessionAffinity::kClientIp),
    Name("None", SessionAffinity::kNone)};
constexpr EnumName kIpFamilyPolicies[] = {
    Name("PreferDualStack", IpFamilyPolicy::kPreferDualStack),
    Name("RequireDualStack", IpFamilyPolicy::kRequireDualStack),
    Name("SingleStack", IpFamilyPolicy::kSingleStack)};
constexpr EnumName kIpModes[] = {Name("Proxy", IpMode::kProxy),
                                 Name("VIP", IpMode::kVip)};
constexpr EnumName kPodPhases[] = {Name("Failed", PodPhase::kFailed),
                                   Name("Pending", PodPhase::kPending),
                                   Name("Running", PodPhase::kRunning),
                                   Name("Succeeded", PodPhase::kSucceeded),
                                   Name("Unknown", PodPhase::kUnknown)};
constexpr EnumName kNodeAddressTypes[] = {
    Name("ExternalDNS", NodeAddressType::kExternalDns),
    Name("ExternalIP", NodeAddressType::kExternalIp),
    Name("Hostname", NodeAddressType::kHostname),
    Name("InternalDNS", NodeAddressType::kInternalDns),
    Name("InternalIP", NodeAddressType::kInternalIp)};
constexpr EnumName kOperators[] = {
    Name("DoesNotExist", LabelSelector::Operator::kDoesNotExist),
    Name("Exists", LabelSelector::Operator::kExists),
    Name("In", LabelSelector::Operator::kIn),
    Name("NotIn", LabelSelector::Operator::kNotIn)};
constexpr EnumName kPolicyTypes[] = {Name("Egress", PolicyType::kEgress),
                                     Name("Ingress", PolicyType::kIngress)};
constexpr EnumName kProxyModes[] = {Name("iptables", ProxyMode::kIptables),
                                    Name("ipvs", ProxyMode::kIpvs),
                                    Name("nftables", ProxyMode::kNftables)};
constexpr EnumName kLocalModes[] = {
    Name("BridgeInterface", LocalMode::kBridgeInterface),
    Name("ClusterCIDR", LocalMode::kClusterCidr),
    Name("InterfaceNamePrefix", LocalMode::kInterfaceNamePrefix),
    Name("NodeCIDR", LocalMode::kNodeCidr)};

}  // namespace

K8SDNS_ENUM(Protocol, kProtocols, 0, "TCP");
K8SDNS_ENUM(IpFamily, kIpFamilies, 1, "");
K8SDNS_ENUM(AddressType, kAddressTypes, 1, "");
K8SDNS_ENUM(ServiceType, kServiceTypes, 1, "ClusterIP");
K8SDNS_ENUM(TrafficPolicy, kTrafficPolicies, 1, "Cluster");
K8SDNS_ENUM(SessionAffinity, kSessionAffinities, 1, "None");
K8SDNS_ENUM(IpFamilyPolicy, kIpFamilyPolicies, 1, "SingleStack");
K8SDNS_ENUM(IpMode, kIpModes, 1, "");
K8SDNS_ENUM(PodPhase, kPodPhases, 1, "Pending");
K8SDNS_ENUM(NodeAddressType, kNodeAddressTypes, 1, "");
K8SDNS_ENUM(LabelSelector::Operator, kOperators, 1, "");
K8SDNS_ENUM(PolicyType, kPolicyTypes, 1, "");
K8SDNS_ENUM(ProxyMode, kProxyModes, 1, "iptables");
K8SDNS_ENUM(LocalMode, kLocalModes, 1, "ClusterCIDR");

// --- Metadata --------------------------------------------------------------

namespace {
constexpr Field kOwnerReference[] = {
    K8SDNS_FIELD(ObjectMeta::OwnerReference, api_version, "apiVersion", 1),
    K8SDNS_FIELD(ObjectMeta::OwnerReference, block_owner_deletion,
                 "blockOwnerDeletion", 6),
    K8SDNS_FIELD(ObjectMeta::OwnerReference, controller, "controller", 5),
    K8SDNS_FIELD(ObjectMeta::OwnerReference, kind, "kind", 2),
    K8SDNS_FIELD(ObjectMeta::OwnerReference, name, "name", 3),
    K8SDNS_FIELD(ObjectMeta::OwnerReference, uid, "uid", 4),
};
}  // namespace
K8SDNS_OBJECT(ObjectMeta::OwnerReference, "OwnerReference", kOwnerReference);

namespace {
constexpr Field kObjectMeta[] = {
    K8SDNS_FIELD(ObjectMeta, annotations, "annotations", 8),
    K8SDNS_FIELD(ObjectMeta, creation_timestamp, "creationTimestamp", 5),
    K8SDNS_FIELD(ObjectMeta, deletion_timestamp, "deletionTimestamp", 6),
    K8SDNS_FIELD(ObjectMeta, generate_name, "generateName", 3),
    K8SDNS_FIELD(ObjectMeta, labels, "labels", 7),
    K8SDNS_FIELD(ObjectMeta, name, "name", 1),
    K8SDNS_FIELD(ObjectMeta, namespace_, "namespace", 2),
    K8SDNS_FIELD(ObjectMeta, owner_references, "ownerReferences", 9),
    K8SDNS_FIELD(ObjectMeta, uid, "uid", 4),
};
}  // namespace
K8SDNS_OBJECT(ObjectMeta, "ObjectMeta", kObjectMeta);

// --- Service ---------------------------------------------------------------

namespace {
constexpr Field kServicePort[] = {
    K8SDNS_FIELD(ServicePort, app_protocol, "appProtocol", 6),
    K8SDNS_FIELD(ServicePort, name, "name", 1),
    K8SDNS_FIELD(ServicePort, node_port, "nodePort", 5)
        .Checked(Check::kPortOrZero),
    K8SDNS_FIELD(ServicePort, port, "port", 3).Checked(Check::kPort),
    K8SDNS_FIELD(ServicePort, protocol, "protocol", 2).Always(),
    K8SDNS_FIELD(ServicePort, target_port, "targetPort", 4)
        .Checked(Check::kPortOrZero),
};
}  // namespace
K8SDNS_OBJECT(ServicePort, "ServicePort", kServicePort);

namespace {
constexpr Field kClientIp[] = {
    K8SDNS_FIELD(ServiceSpec, session_affinity_timeout_seconds,
                 "timeoutSeconds", 19)
        .Checked(Check::kNotNegative),
};
constexpr Field kSessionAffinityConfig[] = {Group("clientIP", kClientIp)};
constexpr Field kServiceSpec[] = {
    K8SDNS_FIELD(ServiceSpec, allocate_load_balancer_node_ports,
                 "allocateLoadBalancerNodePorts", 13),
    K8SDNS_FIELD(ServiceSpec, cluster_ip, "clusterIP", 2)
        .Checked(Check::kClusterIp),
    K8SDNS_FIELD(ServiceSpec, cluster_ips, "clusterIPs", 3)
        .Checked(Check::kClusterIp),
    K8SDNS_FIELD(ServiceSpec, external_ips, "externalIPs", 8)
        .Checked(Check::kIp),
    K8SDNS_FIELD(ServiceSpec, external_name, "externalName", 9),
    K8SDNS_FIELD(ServiceSpec, external_traffic_policy, "externalTrafficPolicy",
                 14),
    K8SDNS_FIELD(ServiceSpec, health_check_node_port, "healthCheckNodePort", 16)
        .Checked(Check::kPortOrZero),
    K8SDNS_FIELD(ServiceSpec, internal_traffic_policy, "internalTrafficPolicy",
                 15),
    K8SDNS_FIELD(ServiceSpec, ip_families, "ipFamilies", 4),
    K8SDNS_FIELD(ServiceSpec, ip_family_policy, "ipFamilyPolicy", 5),
    K8SDNS_FIELD(ServiceSpec, load_balancer_class, "loadBalancerClass", 12),
    K8SDNS_FIELD(ServiceSpec, load_balancer_ip, "loadBalancerIP", 10)
        .Checked(Check::kIp),
    K8SDNS_FIELD(ServiceSpec, load_balancer_source_ranges,
                 "loadBalancerSourceRanges", 11)
        .Checked(Check::kCidr),
    K8SDNS_FIELD(ServiceSpec, ports, "ports", 6),
    K8SDNS_FIELD(ServiceSpec, publish_not_ready_addresses,
                 "publishNotReadyAddresses", 17),
    K8SDNS_FIELD(ServiceSpec, selector, "selector", 7),
    K8SDNS_FIELD(ServiceSpec, session_affinity, "sessionAffinity", 18).Always(),
    Group("sessionAffinityConfig", kSessionAffinityConfig),
    K8SDNS_FIELD(ServiceSpec, traffic_distribution, "trafficDistribution", 20),
    K8SDNS_FIELD(ServiceSpec, type, "type", 1).Always(),
};
}  // namespace
K8SDNS_OBJECT(ServiceSpec, "ServiceSpec", kServiceSpec);

namespace {
constexpr Field kLoadBalancerIngress[] = {
    K8SDNS_FIELD(LoadBalancerIngress, hostname, "hostname", 2),
    K8SDNS_FIELD(LoadBalancerIngress, ip, "ip", 1).Checked(Check::kIp),
    K8SDNS_FIELD(LoadBalancerIngress, ip_mode, "ipMode", 3),
};
}  // namespace
K8SDNS_OBJECT(LoadBalancerIngress, "LoadBalancerIngress", kLoadBalancerIngress);

namespace {
constexpr Field kLoadBalancerStatus[] = {
    K8SDNS_FIELD(Service, load_balancer_ingress, "ingress", 3)};
constexpr Field kServiceStatus[] = {Group("loadBalancer", kLoadBalancerStatus)};
constexpr Field kService[] = {
    K8SDNS_FIELD(Service, metadata, "metadata", 1),
    K8SDNS_FIELD(Service, spec, "spec", 2),
    Group("status", kServiceStatus),
};
}  // namespace
K8SDNS_OBJECT(Service, "Service", kService);

// --- EndpointSlice and Endpoints -------------------------------------------

namespace {
constexpr Field kObjectReference[] = {
    K8SDNS_FIELD(ObjectReference, kind, "kind", 1),
    K8SDNS_FIELD(ObjectReference, name, "name", 3),
    K8SDNS_FIELD(ObjectReference, namespace_, "namespace", 2),
    K8SDNS_FIELD(ObjectReference, uid, "uid", 4),
};
}  // namespace
K8SDNS_OBJECT(ObjectReference, "ObjectReference", kObjectReference);

namespace {
constexpr Field kConditions[] = {
    K8SDNS_FIELD(Endpoint, ready, "ready", 2),
    K8SDNS_FIELD(Endpoint, serving, "serving", 3),
    K8SDNS_FIELD(Endpoint, terminating, "terminating", 4),
};
constexpr Field kHints[] = {
    K8SDNS_FIELD(Endpoint, hints_for_nodes, "forNodes", 10).Wrapped("name"),
    K8SDNS_FIELD(Endpoint, hints_for_zones, "forZones", 9).Wrapped("name"),
};
constexpr Field kEndpoint[] = {
    K8SDNS_FIELD(Endpoint, addresses, "addresses", 1)
        .Checked(Check::kEndpointAddress)
        .Always(),
    Group("conditions", kConditions),
    K8SDNS_FIELD(Endpoint, deprecated_topology, "deprecatedTopology", 11),
    Group("hints", kHints),
    K8SDNS_FIELD(Endpoint, hostname, "hostname", 5),
    K8SDNS_FIELD(Endpoint, node_name, "nodeName", 6),
    K8SDNS_FIELD(Endpoint, target_ref, "targetRef", 8),
    K8SDNS_FIELD(Endpoint, zone, "zone", 7),
};
}  // namespace
K8SDNS_OBJECT(Endpoint, "Endpoint", kEndpoint);

namespace {
constexpr Field kEndpointPort[] = {
    K8SDNS_FIELD(EndpointPort, app_protocol, "appProtocol", 4),
    K8SDNS_FIELD(EndpointPort, name, "name", 1),
    K8SDNS_FIELD(EndpointPort, port, "port", 3).Checked(Check::kPortOrZero),
    K8SDNS_FIELD(EndpointPort, protocol, "protocol", 2),
};
}  // namespace
K8SDNS_OBJECT(EndpointPort, "EndpointPort", kEndpointPort);

namespace {
constexpr Field kEndpointSlice[] = {
    K8SDNS_FIELD(EndpointSlice, address_type, "addressType", 2).Always(),
    K8SDNS_FIELD(EndpointSlice, endpoints, "endpoints", 3).Always(),
    K8SDNS_FIELD(EndpointSlice, metadata, "metadata", 1),
    K8SDNS_FIELD(EndpointSlice, ports, "ports", 4).Always(),
};
}  // namespace
K8SDNS_OBJECT(EndpointSlice, "EndpointSlice", kEndpointSlice);

namespace {
constexpr Field kEndpointAddress[] = {
    K8SDNS_FIELD(EndpointAddress, hostname, "hostname", 2),
    K8SDNS_FIELD(EndpointAddress, ip, "ip", 1).Checked(Check::kIp),
    K8SDNS_FIELD(EndpointAddress, node_name, "nodeName", 3),
    K8SDNS_FIELD(EndpointAddress, target_ref, "targetRef", 4),
};
}  // namespace
K8SDNS_OBJECT(EndpointAddress, "EndpointAddress", kEndpointAddress);

namespace {
constexpr Field kEndpointSubset[] = {
    K8SDNS_FIELD(EndpointSubset, addresses, "addresses", 1),
    K8SDNS_FIELD(EndpointSubset, not_ready_addresses, "notReadyAddresses", 2),
    K8SDNS_FIELD(EndpointSubset, ports, "ports", 3),
};
}  // namespace
K8SDNS_OBJECT(EndpointSubset, "EndpointSubset", kEndpointSubset);

namespace {
constexpr Field kEndpoints[] = {
    K8SDNS_FIELD(Endpoints, metadata, "metadata", 1),
    K8SDNS_FIELD(Endpoints, subsets, "subsets", 2),
};
}  // namespace
K8SDNS_OBJECT(Endpoints, "Endpoints", kEndpoints);

// --- Pod -------------------------------------------------------------------

namespace {
constexpr Field kContainerPort[] = {
    K8SDNS_FIELD(ContainerPort, container_port, "containerPort", 2)
        .Checked(Check::kPort),
    K8SDNS_FIELD(ContainerPort, host_ip, "hostIP", 4).Checked(Check::kIp),
    K8SDNS_FIELD(ContainerPort, host_port, "hostPort", 3)
        .Checked(Check::kPortOrZero),
    K8SDNS_FIELD(ContainerPort, name, "name", 1),
    K8SDNS_FIELD(ContainerPort, protocol, "protocol", 5).Always(),
};
}  // namespace
K8SDNS_OBJECT(ContainerPort, "ContainerPort", kContainerPort);

namespace {
constexpr Field kContainer[] = {
    K8SDNS_FIELD(Container, image, "image", 2),
    K8SDNS_FIELD(Container, name, "name", 1).Always(),
    K8SDNS_FIELD(Container, ports, "ports", 3),
    K8SDNS_FIELD(Container, restart_policy, "restartPolicy", 4),
};
}  // namespace
K8SDNS_OBJECT(Container, "Container", kContainer);

namespace {
constexpr Field kDnsOption[] = {
    K8SDNS_FIELD(PodDnsConfig::Option, name, "name", 1).Always(),
    K8SDNS_FIELD(PodDnsConfig::Option, value, "value", 2),
};
}  // namespace
K8SDNS_OBJECT(PodDnsConfig::Option, "PodDNSConfigOption", kDnsOption);

namespace {
constexpr Field kPodDnsConfig[] = {
    K8SDNS_FIELD(PodDnsConfig, nameservers, "nameservers", 1)
        .Checked(Check::kIp),
    K8SDNS_FIELD(PodDnsConfig, options, "options", 3),
    K8SDNS_FIELD(PodDnsConfig, searches, "searches", 2),
};
}  // namespace
K8SDNS_OBJECT(PodDnsConfig, "PodDNSConfig", kPodDnsConfig);

namespace {
constexpr Field kPodCondition[] = {
    K8SDNS_FIELD(PodCondition, last_transition_time, "lastTransitionTime", 3),
    K8SDNS_FIELD(PodCondition, status, "status", 2).Always(),
    K8SDNS_FIELD(PodCondition, type, "type", 1).Always(),
};
}  // namespace
K8SDNS_OBJECT(PodCondition, "PodCondition", kPodCondition);

namespace {
constexpr Field kPodSpec[] = {
    K8SDNS_FIELD(PodSpec, containers, "containers", 9),
    K8SDNS_FIELD(PodSpec, dns_config, "dnsConfig", 7),
    K8SDNS_FIELD(PodSpec, dns_policy, "dnsPolicy", 6),
    K8SDNS_FIELD(PodSpec, host_network, "hostNetwork", 2),
    K8SDNS_FIELD(PodSpec, hostname, "hostname", 3),
    K8SDNS_FIELD(PodSpec, init_containers, "initContainers", 8),
    K8SDNS_FIELD(PodSpec, node_name, "nodeName", 1),
    K8SDNS_FIELD(PodSpec, restart_policy, "restartPolicy", 5),
    K8SDNS_FIELD(PodSpec, subdomain, "subdomain", 4),
};
}  // namespace
K8SDNS_OBJECT(PodSpec, "PodSpec", kPodSpec);

namespace {
constexpr Field kPodStatus[] = {
    K8SDNS_FIELD(PodStatus, conditions, "conditions", 2),
    K8SDNS_FIELD(PodStatus, host_ip, "hostIP", 5).Checked(Check::kIp),
    K8SDNS_FIELD(PodStatus, host_ips, "hostIPs", 6)
        .Checked(Check::kIp)
        .Wrapped("ip"),
    K8SDNS_FIELD(PodStatus, phase, "phase", 1).Always(),
    K8SDNS_FIELD(PodStatus, pod_ip, "podIP", 3).Checked(Check::kIp),
    K8SDNS_FIELD(PodStatus, pod_ips, "podIPs", 4)
        .Checked(Check::kIp)
        .Wrapped("ip"),
};
}  // namespace
K8SDNS_OBJECT(PodStatus, "PodStatus", kPodStatus);

namespace {
constexpr Field kPod[] = {
    K8SDNS_FIELD(Pod, metadata, "metadata", 1),
    K8SDNS_FIELD(Pod, spec, "spec", 2),
    K8SDNS_FIELD(Pod, status, "status", 3),
};
}  // namespace
K8SDNS_OBJECT(Pod, "Pod", kPod);

// --- Node and Namespace ----------------------------------------------------

namespace {
constexpr Field kNodeAddress[] = {
    K8SDNS_FIELD(NodeAddress, address, "address", 2).Always(),
    K8SDNS_FIELD(NodeAddress, type, "type", 1).Always(),
};
}  // namespace
K8SDNS_OBJECT(NodeAddress, "NodeAddress", kNodeAddress);

namespace {
constexpr Field kNodeCondition[] = {
    K8SDNS_FIELD(NodeCondition, status, "status", 2).Always(),
    K8SDNS_FIELD(NodeCondition, type, "type", 1).Always(),
};
}  // namespace
K8SDNS_OBJECT(NodeCondition, "NodeCondition", kNodeCondition);

namespace {
constexpr Field kNodeSpec[] = {
    K8SDNS_FIELD(Node, pod_cidr, "podCIDR", 2).Checked(Check::kCidr),
    K8SDNS_FIELD(Node, pod_cidrs, "podCIDRs", 3).Checked(Check::kCidr),
    K8SDNS_FIELD(Node, provider_id, "providerID", 4),
    K8SDNS_FIELD(Node, unschedulable, "unschedulable", 5),
};
constexpr Field kNodeStatus[] = {
    K8SDNS_FIELD(Node, addresses, "addresses", 6),
    K8SDNS_FIELD(Node, allocatable, "allocatable", 8),
    K8SDNS_FIELD(Node, conditions, "conditions", 7),
};
constexpr Field kNode[] = {
    K8SDNS_FIELD(Node, metadata, "metadata", 1),
    Group("spec", kNodeSpec),
    Group("status", kNodeStatus),
};
}  // namespace
K8SDNS_OBJECT(Node, "Node", kNode);

namespace {
constexpr Field kNamespace[] = {
    K8SDNS_FIELD(Namespace, metadata, "metadata", 1),
};
}  // namespace
K8SDNS_OBJECT(Namespace, "Namespace", kNamespace);

// --- NetworkPolicy ---------------------------------------------------------

namespace {
constexpr Field kRequirement[] = {
    K8SDNS_FIELD(LabelSelector::Requirement, key, "key", 1).Always(),
    K8SDNS_FIELD(LabelSelector::Requirement, op, "operator", 2).Always(),
    K8SDNS_FIELD(LabelSelector::Requirement, values, "values", 3),
};
}  // namespace
K8SDNS_OBJECT(LabelSelector::Requirement, "LabelSelectorRequirement",
              kRequirement);

namespace {
constexpr Field kLabelSelector[] = {
    K8SDNS_FIELD(LabelSelector, match_expressions, "matchExpressions", 2),
    K8SDNS_FIELD(LabelSelector, match_labels, "matchLabels", 1),
};
}  // namespace
K8SDNS_OBJECT(LabelSelector, "LabelSelector", kLabelSelector);

namespace {
constexpr Field kIpBlock[] = {
    K8SDNS_FIELD(IpBlock, cidr, "cidr", 1).Checked(Check::kCidr).Always(),
    K8SDNS_FIELD(IpBlock, except, "except", 2).Checked(Check::kCidr),
};
}  // namespace
K8SDNS_OBJECT(IpBlock, "IPBlock", kIpBlock);

namespace {
constexpr Field kNetworkPolicyPeer[] = {
    K8SDNS_FIELD(NetworkPolicyPeer, ip_block, "ipBlock", 3),
    K8SDNS_FIELD(NetworkPolicyPeer, namespace_selector, "namespaceSelector", 2),
    K8SDNS_FIELD(NetworkPolicyPeer, pod_selector, "podSelector", 1),
};
}  // namespace
K8SDNS_OBJECT(NetworkPolicyPeer, "NetworkPolicyPeer", kNetworkPolicyPeer);

namespace {
constexpr Field kNetworkPolicyPort[] = {
    K8SDNS_FIELD(NetworkPolicyPort, end_port, "endPort", 3)
        .Checked(Check::kPort),
    K8SDNS_FIELD(NetworkPolicyPort, port, "port", 2)
        .Checked(Check::kPortOrZero),
    K8SDNS_FIELD(NetworkPolicyPort, protocol, "protocol", 1),
};
}  // namespace
K8SDNS_OBJECT(NetworkPolicyPort, "NetworkPolicyPort", kNetworkPolicyPort);

namespace {
constexpr Field kIngressRule[] = {
    K8SDNS_FIELD(NetworkPolicyIngressRule, from, "from", 2),
    K8SDNS_FIELD(NetworkPolicyIngressRule, ports, "ports", 1),
};
constexpr Field kEgressRule[] = {
    K8SDNS_FIELD(NetworkPolicyEgressRule, ports, "ports", 1),
    K8SDNS_FIELD(NetworkPolicyEgressRule, to, "to", 2),
};
}  // namespace
K8SDNS_OBJECT(NetworkPolicyIngressRule, "NetworkPolicyIngressRule",
              kIngressRule);
K8SDNS_OBJECT(NetworkPolicyEgressRule, "NetworkPolicyEgressRule", kEgressRule);

namespace {
constexpr Field kNetworkPolicySpec[] = {
    K8SDNS_FIELD(NetworkPolicy, egress, "egress", 4),
    K8SDNS_FIELD(NetworkPolicy, ingress, "ingress", 3),
    K8SDNS_FIELD(NetworkPolicy, pod_selector, "podSelector", 2).Always(),
    K8SDNS_FIELD(NetworkPolicy, policy_types, "policyTypes", 5),
};
constexpr Field kNetworkPolicy[] = {
    K8SDNS_FIELD(NetworkPolicy, metadata, "metadata", 1),
    Group("spec", kNetworkPolicySpec),
};
}  // namespace
K8SDNS_OBJECT(NetworkPolicy, "NetworkPolicy", kNetworkPolicy);

// --- Configuration ---------------------------------------------------------
// Not in the protobuf schema: the numbers are 0.

namespace {
constexpr Field kIptables[] = {
    K8SDNS_FIELD(KubeProxyConfig::Iptables, localhost_node_ports,
                 "localhostNodePorts", 0),
    K8SDNS_FIELD(KubeProxyConfig::Iptables, masquerade_all, "masqueradeAll", 0),
    K8SDNS_FIELD(KubeProxyConfig::Iptables, masquerade_bit, "masqueradeBit", 0)
        .Checked(Check::kMasqueradeBit),
};
constexpr Field kIpvs[] = {
    K8SDNS_FIELD(KubeProxyConfig::Ipvs, exclude_cidrs, "excludeCIDRs", 0)
        .Checked(Check::kCidr),
    K8SDNS_FIELD(KubeProxyConfig::Ipvs, scheduler, "scheduler", 0),
    K8SDNS_FIELD(KubeProxyConfig::Ipvs, strict_arp, "strictARP", 0),
    K8SDNS_FIELD(KubeProxyConfig::Ipvs, tcp_fin_timeout, "tcpFinTimeout", 0)
        .Checked(Check::kDuration),
    K8SDNS_FIELD(KubeProxyConfig::Ipvs, tcp_timeout, "tcpTimeout", 0)
        .Checked(Check::kDuration),
    K8SDNS_FIELD(KubeProxyConfig::Ipvs, udp_timeout, "udpTimeout", 0)
        .Checked(Check::kDuration),
};
constexpr Field kNftables[] = {
    K8SDNS_FIELD(KubeProxyConfig::Nftables, masquerade_all, "masqueradeAll", 0),
    K8SDNS_FIELD(KubeProxyConfig::Nftables, masquerade_bit, "masqueradeBit", 0)
        .Checked(Check::kMasqueradeBit),
};
constexpr Field kConntrack[] = {
    K8SDNS_FIELD(KubeProxyConfig::Conntrack, max_per_core, "maxPerCore", 0)
        .Checked(Check::kNotNegative),
    K8SDNS_FIELD(KubeProxyConfig::Conntrack, min, "min", 0)
        .Checked(Check::kNotNegative),
    K8SDNS_FIELD(KubeProxyConfig::Conntrack, tcp_be_liberal, "tcpBeLiberal", 0),
    K8SDNS_FIELD(KubeProxyConfig::Conntrack, tcp_close_wait_timeout,
                 "tcpCloseWaitTimeout", 0)
        .Checked(Check::kDuration),
    K8SDNS_FIELD(KubeProxyConfig::Conntrack, tcp_established_timeout,
                 "tcpEstablishedTimeout", 0)
        .Checked(Check::kDuration),
    K8SDNS_FIELD(KubeProxyConfig::Conntrack, udp_stream_timeout,
                 "udpStreamTimeout", 0)
        .Checked(Check::kDuration),
    K8SDNS_FIELD(KubeProxyConfig::Conntrack, udp_timeout, "udpTimeout", 0)
        .Checked(Check::kDuration),
};
}  // namespace
K8SDNS_OBJECT(KubeProxyConfig::Iptables, "KubeProxyIPTablesConfiguration",
              kIptables);
K8SDNS_OBJECT(KubeProxyConfig::Ipvs, "KubeProxyIPVSConfiguration", kIpvs);
K8SDNS_OBJECT(KubeProxyConfig::Nftables, "KubeProxyNFTablesConfiguration",
              kNftables);
K8SDNS_OBJECT(KubeProxyConfig::Conntrack, "KubeProxyConntrackConfiguration",
              kConntrack);

namespace {
constexpr Field kDetectLocal[] = {
    K8SDNS_FIELD(KubeProxyConfig, bridge_interface, "bridgeInterface", 0),
    K8SDNS_FIELD(KubeProxyConfig, interface_name_prefix, "interfaceNamePrefix",
                 0),
};
constexpr Field kKubeProxyConfig[] = {
    K8SDNS_FIELD(KubeProxyConfig, bind_address, "bindAddress", 0)
        .Checked(Check::kIp),
    K8SDNS_FIELD(KubeProxyConfig, cluster_cidr, "clusterCIDR", 0)
        .Checked(Check::kCidrs),
    K8SDNS_FIELD(KubeProxyConfig, conntrack, "conntrack", 0),
    Group("detectLocal", kDetectLocal),
    K8SDNS_FIELD(KubeProxyConfig, detect_local_mode, "detectLocalMode", 0),
    K8SDNS_FIELD(KubeProxyConfig, feature_gates, "featureGates", 0),
    K8SDNS_FIELD(KubeProxyConfig, healthz_bind_address, "healthzBindAddress",
                 0),
    K8SDNS_FIELD(KubeProxyConfig, hostname_override, "hostnameOverride", 0),
    K8SDNS_FIELD(KubeProxyConfig, iptables, "iptables", 0),
    K8SDNS_FIELD(KubeProxyConfig, ipvs, "ipvs", 0),
    K8SDNS_FIELD(KubeProxyConfig, mode, "mode", 0),
    K8SDNS_FIELD(KubeProxyConfig, nftables, "nftables", 0),
    K8SDNS_FIELD(KubeProxyConfig, node_port_addresses, "nodePortAddresses", 0)
        .Checked(Check::kNodePortAddress),
};
constexpr Field kKubeletConfig[] = {
    K8SDNS_FIELD(KubeletConfig, cluster_dns, "clusterDNS", 0)
        .Checked(Check::kIp),
    K8SDNS_FIELD(KubeletConfig, cluster_domain, "clusterDomain", 0),
    K8SDNS_FIELD(KubeletConfig, feature_gates, "featureGates", 0),
    K8SDNS_FIELD(KubeletConfig, max_pods, "maxPods", 0)
        .Checked(Check::kNotNegative),
    K8SDNS_FIELD(KubeletConfig, resolv_conf, "resolvConf", 0),
};
}  // namespace
K8SDNS_OBJECT(KubeProxyConfig, "KubeProxyConfiguration", kKubeProxyConfig);
K8SDNS_OBJECT(KubeletConfig, "KubeletConfiguration", kKubeletConfig);

const ObjectType& KubeProxyConfigType() {
  return ObjectFor<KubeProxyConfig>::kType;
}
const ObjectType& KubeletConfigType() {
  return ObjectFor<KubeletConfig>::kType;
}

// --- Kinds -----------------------------------------------------------------

namespace {
constexpr Kind kKinds[] = {
    {"v1", "Service", &ObjectFor<Service>::kType, true},
    {"discovery.k8s.io/v1", "EndpointSlice", &ObjectFor<EndpointSlice>::kType,
     true},
    {"v1", "Endpoints", &ObjectFor<Endpoints>::kType, true},
    {"v1", "Pod", &ObjectFor<Pod>::kType, true},
    {"v1", "Node", &ObjectFor<Node>::kType, false},
    {"v1", "Namespace", &ObjectFor<Namespace>::kType, false},
    {"networking.k8s.io/v1", "NetworkPolicy", &ObjectFor<NetworkPolicy>::kType,
     true},
};
}  // namespace

absl::Span<const Kind> ClusterKinds() { return kKinds; }

}  // namespace k8sdns::schema
