// An object of each kind with every field that is modelled: for tests.
#ifndef K8SDNS_CLUSTER_FULL_CLUSTER_H_
#define K8SDNS_CLUSTER_FULL_CLUSTER_H_

#include "gtest/gtest.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/cluster/manifest_reader.h"

namespace k8sdns {

inline constexpr char kFullCluster[] = R"(apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata:
    name: a
    namespace: x
    uid: u
    generateName: a-
    creationTimestamp: "2024-01-01T00:00:00Z"
    deletionTimestamp: "2024-01-01T00:00:00Z"
    labels: {a: b}
    annotations: {c: "d\n"}
    ownerReferences:
    - {apiVersion: v1, kind: K, name: o, uid: u, controller: true,
       blockOwnerDeletion: false}
  spec:
    type: LoadBalancer
    clusterIP: 10.0.0.1
    clusterIPs: [10.0.0.1, "fd00::1"]
    ipFamilies: [IPv4, IPv6]
    ipFamilyPolicy: RequireDualStack
    ports:
    - {name: p, port: 1, protocol: SCTP, targetPort: 3, nodePort: 4,
       appProtocol: ""}
    - {port: 2, targetPort: name}
    selector: {s: t}
    externalIPs: [1.1.1.1]
    externalName: e
    loadBalancerIP: 2.2.2.2
    loadBalancerSourceRanges: [3.0.0.0/8]
    loadBalancerClass: c
    allocateLoadBalancerNodePorts: false
    externalTrafficPolicy: Local
    internalTrafficPolicy: Cluster
    healthCheckNodePort: 5
    publishNotReadyAddresses: true
    sessionAffinity: ClientIP
    sessionAffinityConfig: {clientIP: {timeoutSeconds: 0}}
    trafficDistribution: PreferClose
  status:
    loadBalancer:
      ingress: [{ip: 1.2.3.4, ipMode: Proxy}, {hostname: h}]
- apiVersion: discovery.k8s.io/v1
  kind: EndpointSlice
  metadata: {name: a, namespace: x}
  addressType: IPv6
  endpoints:
  - addresses: ["::1", "::2"]
    conditions: {ready: false, serving: true, terminating: false}
    hostname: h
    nodeName: n1
    zone: z
    targetRef: {kind: Pod, namespace: x, name: p, uid: u}
    hints: {forZones: [{name: z}], forNodes: []}
    deprecatedTopology: {a: b}
  - {}
  ports:
  - {name: "", port: 1, protocol: UDP, appProtocol: x}
  - {}
- apiVersion: v1
  kind: Endpoints
  metadata: {name: a, namespace: x}
  subsets:
  - addresses:
    - {ip: 1.1.1.1, hostname: h, nodeName: n1, targetRef: {}}
    notReadyAddresses: [{ip: 1.1.1.2}]
    ports: [{port: 1}]
- apiVersion: v1
  kind: Pod
  metadata: {name: a, namespace: x}
  spec:
    nodeName: n1
    hostNetwork: true
    hostname: h
    subdomain: s
    restartPolicy: Never
    dnsPolicy: None
    dnsConfig:
      nameservers: [1.1.1.1]
      searches: [a.b]
      options: [{name: ndots, value: "2"}, {name: edns0}]
    initContainers: [{name: i, restartPolicy: Always}]
    containers:
    - name: c
      image: img
      ports:
      - {name: p, containerPort: 1, hostPort: 2, hostIP: 1.1.1.1, protocol: UDP}
  status:
    phase: Succeeded
    conditions: [{type: Ready, status: "True", lastTransitionTime: "t"}]
    podIP: 1.1.1.1
    podIPs: [{ip: 1.1.1.1}, {ip: "::1"}]
    hostIP: 2.2.2.2
    hostIPs: [{ip: 2.2.2.2}]
- apiVersion: v1
  kind: Pod
  metadata: {name: b, namespace: x}
  spec: {dnsConfig: {}}
- apiVersion: v1
  kind: Node
  metadata: {name: a}
  spec:
    podCIDR: 10.0.0.0/24
    podCIDRs: [10.0.0.0/24]
    providerID: p
    unschedulable: true
  status:
    addresses: [{type: ExternalDNS, address: a}]
    conditions: [{type: Ready, status: "False"}]
    allocatable: {cpu: "4"}
- apiVersion: v1
  kind: Namespace
  metadata: {name: x}
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: {name: a, namespace: x}
  spec:
    podSelector:
      matchLabels: {a: b}
      matchExpressions: [{key: k, operator: Exists}]
    policyTypes: [Egress, Ingress]
    ingress:
    - from: [{podSelector: {}}, {namespaceSelector: {matchLabels: {a: b}}}]
      ports: [{protocol: SCTP, port: 1, endPort: 2}]
    - {}
    egress:
    - to: [{ipBlock: {cidr: 1.0.0.0/8, except: [1.1.0.0/16]}}]
      ports: [{port: name}]
)";

inline Cluster FullCluster() {
  ReadReport report;
  absl::StatusOr<Cluster> cluster =
      ReadCluster(kFullCluster, "full", {}, &report);
  EXPECT_TRUE(cluster.ok()) << cluster.status();
  EXPECT_EQ(report.ignored_field_count, 0u);
  return cluster.ok() ? *cluster : Cluster();
}

}  // namespace k8sdns

#endif  // K8SDNS_CLUSTER_FULL_CLUSTER_H_
