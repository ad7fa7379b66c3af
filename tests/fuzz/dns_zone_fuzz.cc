// Asks both DNS servers any name. The first two bytes choose the type and the
// way of asking.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/dns/message.h"
#include "k8sdns/dns/zone.h"

namespace {

using k8sdns::dns::CoreDnsOptions;
using k8sdns::dns::DnsQuestion;
using k8sdns::dns::DnsResponse;
using k8sdns::dns::KubeDnsOptions;
using k8sdns::dns::RecordType;
using k8sdns::dns::Zone;

k8sdns::Cluster SmallCluster() {
  k8sdns::Cluster cluster;
  k8sdns::Namespace ns;
  ns.metadata.name = "prod";
  cluster.Put(ns);
  const auto put = [&](const char* name, const char* ip) {
    k8sdns::Service service;
    service.metadata.name = name;
    service.metadata.namespace_ = "prod";
    service.spec.cluster_ip = ip;
    service.spec.ports.emplace_back();
    service.spec.ports[0].name = "http";
    service.spec.ports[0].port = 80;
    cluster.Put(std::move(service));
  };
  put("web", "10.96.0.1");
  put("db", "None");
  k8sdns::Service external;
  external.metadata.name = "site";
  external.metadata.namespace_ = "prod";
  external.spec.type = k8sdns::ServiceType::kExternalName;
  external.spec.external_name = "web.prod.svc.cluster.local";
  cluster.Put(external);
  k8sdns::EndpointSlice slice;
  slice.metadata.name = "db-x";
  slice.metadata.namespace_ = "prod";
  slice.metadata.labels[k8sdns::kServiceNameLabel] = "db";
  for (int i = 0; i < 60; ++i) {
    k8sdns::Endpoint endpoint;
    endpoint.addresses = {"10.244.0." + std::to_string(i)};
    slice.endpoints.push_back(std::move(endpoint));
  }
  cluster.Put(slice);
  return cluster;
}

std::vector<Zone> MakeZones() {
  const k8sdns::Cluster cluster = SmallCluster();
  CoreDnsOptions options;
  options.pods = CoreDnsOptions::Pods::kVerified;
  options.autopath = true;
  std::vector<Zone> zones;
  zones.push_back(*Zone::Create(cluster, CoreDnsOptions()));
  zones.push_back(*Zone::Create(cluster, options));
  zones.push_back(*Zone::Create(cluster, KubeDnsOptions()));
  return zones;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto* zones = new std::vector<Zone>(MakeZones());
  if (size < 2) return 0;
  DnsQuestion question;
  question.type = static_cast<RecordType>(data[0]);
  if ((data[1] & 1) != 0) {
    question.transport = k8sdns::dns::DnsTransport::kTcp;
  }
  if ((data[1] & 2) != 0) question.edns_udp_size = data[1] * 16;
  if ((data[1] & 4) != 0) question.klass = k8sdns::dns::RecordClass::kChaos;
  question.name.assign(reinterpret_cast<const char*>(data + 2), size - 2);
  for (const Zone& zone : *zones) {
    const auto response = zone.Answer(question);
    if (!response.ok()) continue;
    if (response->ToString().empty()) std::abort();
    const bool tcp = question.transport == k8sdns::dns::DnsTransport::kTcp;
    if (response->truncated && tcp) std::abort();
  }
  return 0;
}
