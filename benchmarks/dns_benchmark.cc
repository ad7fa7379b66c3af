// What a DNS question costs, by the size of the cluster: an answer must not
// depend on the number of Services, and making a Zone must stay below twice the
// time that reading the cluster takes.
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "benchmark/benchmark.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/dns/kubelet_dns.h"
#include "k8sdns/dns/message.h"
#include "k8sdns/dns/zone.h"
#include "k8sdns/testing/cluster_generator.h"

namespace k8sdns::dns {
namespace {

const Cluster& ClusterOf(int64_t services) {
  static auto* clusters = new std::vector<std::pair<int64_t, Cluster>>;
  for (const auto& [size, cluster] : *clusters) {
    if (size == services) return cluster;
  }
  testing::ClusterShape shape;
  shape.services = static_cast<size_t>(services);
  shape.endpoints_per_service = 10;
  shape.headless = 0.2;
  shape.endpoints = true;
  Cluster cluster = testing::GenerateCluster(shape);
  // The generator makes no Namespaces, and without them CoreDNS answers
  // nothing.
  for (const Service& service : cluster.services()) {
    if (cluster.namespaces().Find(service.metadata.namespace_) != nullptr) {
      continue;
    }
    Namespace ns;
    ns.metadata.name = service.metadata.namespace_;
    cluster.Put(std::move(ns));
  }
  clusters->emplace_back(services, std::move(cluster));
  return clusters->back().second;
}

template <typename Options>
Zone MakeZone(const Cluster& cluster) {
  return *Zone::Create(cluster, Options());
}

// One question for each Service of a kind, in a scattered order.
std::vector<DnsQuestion> Questions(const Cluster& cluster, bool headless,
                                   RecordType type, const char* prefix) {
  std::vector<DnsQuestion> questions;
  for (const Service& service : cluster.services()) {
    if (service.IsHeadless() != headless) continue;
    DnsQuestion question;
    question.name = prefix + service.metadata.name + "." +
                    service.metadata.namespace_ + ".svc.cluster.local.";
    question.type = type;
    questions.push_back(std::move(question));
  }
  uint64_t random = 1;
  for (size_t i = questions.size(); i > 1; --i) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    std::swap(questions[i - 1], questions[(random >> 33) % i]);
  }
  return questions;
}

void Ask(benchmark::State& state, const Zone& zone,
         const std::vector<DnsQuestion>& questions) {
  size_t next = 0;
  for (auto _ : state) {
    auto response = zone.Answer(questions[next]);
    benchmark::DoNotOptimize(response);
    if (++next == questions.size()) next = 0;
  }
  state.SetItemsProcessed(state.iterations());
}

template <typename Options>
void BM_ClusterIp(benchmark::State& state) {
  const Cluster& cluster = ClusterOf(state.range(0));
  Ask(state, MakeZone<Options>(cluster),
      Questions(cluster, false, RecordType::kA, ""));
}

template <typename Options>
void BM_Headless(benchmark::State& state) {
  const Cluster& cluster = ClusterOf(state.range(0));
  Ask(state, MakeZone<Options>(cluster),
      Questions(cluster, true, RecordType::kA, ""));
}

template <typename Options>
void BM_MissingName(benchmark::State& state) {
  const Cluster& cluster = ClusterOf(state.range(0));
  Ask(state, MakeZone<Options>(cluster),
      Questions(cluster, false, RecordType::kA, "no-such-"));
}

template <typename Options>
void BM_Reverse(benchmark::State& state) {
  const Cluster& cluster = ClusterOf(state.range(0));
  std::vector<DnsQuestion> questions;
  for (const Service& service : cluster.services()) {
    const auto ip = IpAddress::Parse(service.spec.cluster_ip);
    if (!ip.has_value() || !ip->is_v4()) continue;
    std::string name;
    for (int i = 3; i >= 0; --i) {
      name += std::to_string(ip->bytes()[i]) + ".";
    }
    DnsQuestion question;
    question.name = name + "in-addr.arpa.";
    question.type = RecordType::kPtr;
    questions.push_back(std::move(question));
  }
  Ask(state, MakeZone<Options>(cluster), questions);
}

template <typename Options>
void BM_Load(benchmark::State& state) {
  const Cluster& cluster = ClusterOf(state.range(0));
  for (auto _ : state) {
    auto zone = Zone::Create(cluster, Options());
    benchmark::DoNotOptimize(zone);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

// The floor of BM_Load: the same objects put into a Cluster.
void BM_PutObjects(benchmark::State& state) {
  const Cluster& from = ClusterOf(state.range(0));
  for (auto _ : state) {
    Cluster to;
    for (const Service& object : from.services()) to.Put(object);
    for (const EndpointSlice& object : from.endpoint_slices()) to.Put(object);
    for (const Endpoints& object : from.endpoints()) to.Put(object);
    benchmark::DoNotOptimize(to);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void BM_PodDns(benchmark::State& state) {
  NodeDns node;
  node.kubelet.cluster_dns = {"10.96.0.10"};
  node.kubelet.cluster_domain = "cluster.local";
  node.resolv_conf_text =
      "nameserver 169.254.169.253\nsearch us-east-2.compute.internal\n";
  Pod pod;
  pod.metadata.namespace_ = "default";
  pod.spec.dns_policy = "ClusterFirst";
  for (auto _ : state) {
    auto dns = FormPodDns(pod, node);
    benchmark::DoNotOptimize(dns);
  }
}

#define SIZES RangeMultiplier(10)->Range(100, 10'000)
BENCHMARK_TEMPLATE(BM_ClusterIp, CoreDnsOptions)->SIZES;
BENCHMARK_TEMPLATE(BM_ClusterIp, KubeDnsOptions)->SIZES;
BENCHMARK_TEMPLATE(BM_Headless, CoreDnsOptions)->SIZES;
BENCHMARK_TEMPLATE(BM_Headless, KubeDnsOptions)->SIZES;
BENCHMARK_TEMPLATE(BM_MissingName, CoreDnsOptions)->SIZES;
BENCHMARK_TEMPLATE(BM_MissingName, KubeDnsOptions)->SIZES;
BENCHMARK_TEMPLATE(BM_Reverse, CoreDnsOptions)->SIZES;
BENCHMARK_TEMPLATE(BM_Reverse, KubeDnsOptions)->SIZES;
BENCHMARK(BM_PutObjects)->Arg(10'000)->Unit(benchmark::kMillisecond);
BENCHMARK_TEMPLATE(BM_Load, CoreDnsOptions)
    ->Arg(10'000)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_TEMPLATE(BM_Load, KubeDnsOptions)
    ->Arg(10'000)
    ->Unit(benchmark::kMillisecond);
BENCHMARK(BM_PodDns);

}  // namespace
}  // namespace k8sdns::dns
