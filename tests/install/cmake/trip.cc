// A program of its own that reads a manifest and follows a packet.
#include "k8sdns/journey/trip.h"

#include <iostream>

#include "k8sdns/cluster/manifest_reader.h"
#include "k8sdns/version.h"

constexpr char kYaml[] = R"(
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Node, metadata: {name: node-1}, spec: {podCIDR: 10.244.1.0/24},
   status: {addresses: [{type: InternalIP, address: 172.18.0.11}]}}
- {apiVersion: v1, kind: Pod, metadata: {name: client, namespace: default}, spec: {nodeName: node-1},
   status: {phase: Running, podIP: 10.244.1.2}}
- {apiVersion: v1, kind: Pod, metadata: {name: web-1, namespace: default}, spec: {nodeName: node-1},
   status: {phase: Running, podIP: 10.244.1.5}}
- {apiVersion: v1, kind: Service, metadata: {name: web, namespace: default},
   spec: {clusterIP: 10.96.0.20, ports: [{name: http, port: 80, targetPort: 8080}]}}
- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,
   metadata: {name: web-1, namespace: default, labels: {kubernetes.io/service-name: web}},
   ports: [{name: http, port: 8080}], endpoints: [{addresses: [10.244.1.5]}]}
)";

int main() {
  using namespace k8sdns;
  const auto cluster = ReadCluster(kYaml, "cluster.yaml");
  if (!cluster.ok()) return std::cerr << cluster.status() << "\n", 1;
  const auto world = journey::World::Create(*cluster, {});
  if (!world.ok()) return std::cerr << world.status() << "\n", 1;
  const auto trips =
      world->Send(fabric::Place::OfPod("default", "client"),
                  Packet::Tcp(*SocketAddress::Parse("10.244.1.2:40000"),
                              *SocketAddress::Parse("10.96.0.20:80")));
  if (!trips.ok()) return std::cerr << trips.status() << "\n", 1;
  const std::string received = trips->at(0).received.ToString();
  std::cout << "k8sdns " << K8SDNS_VERSION << ": " << received << "\n";
  return received == "TCP 10.244.1.2:40000 > 10.244.1.5:8080" ? 0 : 1;
}
