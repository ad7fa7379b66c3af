#include "k8sdns/bench/flow_cost.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "k8sdns/bench/cpu_time.h"
#include "k8sdns/bench/rule_walk.h"
#include "k8sdns/dataplane/matcher.h"

namespace k8sdns::bench {
namespace {

// A batch of new flows ends with the first of these.
constexpr int kFlowsInBatch = 4096;
constexpr double kBatchNs = 30e6;

constexpr char kUplink[] = "eth0";

// The first address of a network that is not the network's own.
std::optional<IpAddress> FirstAddressOf(absl::string_view cidr,
                                        IpFamily family) {
  const std::optional<IpPrefix> prefix = IpPrefix::Parse(cidr);
  if (!prefix || prefix->family() != family) return std::nullopt;
  const IpAddress network = prefix->Masked().address();
  if (family == IpFamily::kIpv4) return IpAddress::V4(network.v4() | 1);
  std::array<uint8_t, 16> bytes = network.bytes();
  bytes[15] |= 1;
  return IpAddress::V6(bytes);
}

dataplane::NodeConfig MakeConfig(const NodeTables& tables,
                                 const std::string& device,
                                 const IpAddress clients[2]) {
  dataplane::NodeConfig config;
  dataplane::Interface uplink;
  uplink.name = kUplink;
  uplink.ethernet = true;
  uplink.addresses = {*IpPrefix::Parse("192.0.2.2/24"),
                      *IpPrefix::Parse("2001:db8::2/64")};
  config.interfaces.push_back(std::move(uplink));
  dataplane::Interface pod;
  pod.name = device;
  pod.ethernet = true;
  config.interfaces.push_back(std::move(pod));
  if (tables.ipvs) {
    dataplane::Interface dummy;
    dummy.name = "kube-ipvs0";
    dummy.addresses = tables.bound;
    dummy.up = false;
    config.interfaces.push_back(std::move(dummy));
  }
  for (int i = 0; i < 2; ++i) {
    dataplane::Route to_pod;
    to_pod.prefix = IpPrefix::Host(clients[i]);
    to_pod.device = device;
    config.routes.push_back(std::move(to_pod));
  }
  for (const char* gateway : {"192.0.2.1", "2001:db8::1"}) {
    dataplane::Route out;
    out.gateway = IpAddress::Parse(gateway);
    out.prefix = *IpPrefix::Parse(
        out.gateway->family() == IpFamily::kIpv4 ? "0.0.0.0/0" : "::/0");
    out.device = kUplink;
    config.routes.push_back(std::move(out));
  }
  config.has_listeners = true;
  for (const std::string& s : tables.sysctls) {  // "net/ipv4/conf/all/x=1"
    const std::vector<std::string> parts =
        absl::StrSplit(s, absl::MaxSplits('=', 1));
    int64_t value;
    if (parts.size() == 2 && absl::SimpleAtoi(parts[1], &value)) {
      config.sysctls[absl::StrReplaceAll(parts[0], {{"/", "."}})] = value;
    }
  }
  return config;
}

std::string DeviceOf(const KubeProxyConfig& config) {
  if (config.detect_local_mode == LocalMode::kBridgeInterface) {
    return config.bridge_interface;
  }
  if (config.detect_local_mode == LocalMode::kInterfaceNamePrefix) {
    return absl::StrCat(config.interface_name_prefix, "0");
  }
  return "pod0";
}

std::string Describe(const dataplane::Outcome& outcome) {
  const dataplane::Verdict& v = outcome.verdict;
  switch (v.kind) {
    case dataplane::Verdict::kAccept:
      return outcome.local ? "reached the node itself" : "";
    case dataplane::Verdict::kDrop:
      return "was dropped";
    case dataplane::Verdict::kReject:
      return absl::StrCat("was rejected with ", v.reason);
    case dataplane::Verdict::kUnknown:
      return absl::StrCat("met what is not modelled: ", v.rule, ": ", v.reason);
  }
  return "";
}

}  // namespace

std::vector<ServiceTarget> FindTargets(const Cluster& cluster) {
  absl::flat_hash_set<std::pair<absl::string_view, absl::string_view>> served;
  for (const EndpointSlice& slice : cluster.endpoint_slices()) {
    for (const Endpoint& e : slice.endpoints) {
      if (e.ready.value_or(true)) {
        served.emplace(slice.metadata.namespace_, slice.ServiceName());
        break;
      }
    }
  }
  std::vector<ServiceTarget> out;
  for (const Service& s : cluster.services()) {
    if (s.spec.type == ServiceType::kExternalName || s.IsHeadless()) continue;
    const std::optional<IpAddress> address =
        IpAddress::Parse(s.spec.cluster_ip);
    if (!address) continue;
    if (!served.empty() &&
        !served.contains({s.metadata.namespace_, s.metadata.name})) {
      continue;
    }
    for (const ServicePort& port : s.spec.ports) {
      out.push_back({absl::StrCat(s.metadata.namespace_, "/", s.metadata.name,
                                  port.name.empty() ? "" : ":", port.name),
                     {*address, static_cast<uint16_t>(port.port)},
                     port.protocol});
    }
  }
  std::sort(out.begin(), out.end(),
            [](const ServiceTarget& a, const ServiceTarget& b) {
              return a.name < b.name;
            });
  return out;
}

IpAddress ClientAddress(const Cluster& cluster, const KubeProxyConfig& config,
                        IpFamily family) {
  std::vector<std::string> cidrs;
  for (const Node& node : cluster.nodes()) {
    if (node.metadata.name != config.hostname_override) continue;
    cidrs = node.pod_cidrs;
    cidrs.push_back(node.pod_cidr);
  }
  for (absl::string_view cidr : absl::StrSplit(config.cluster_cidr, ',')) {
    cidrs.emplace_back(cidr);
  }
  for (const std::string& cidr : cidrs) {
    if (const auto address = FirstAddressOf(cidr, family)) return *address;
  }
  // Of networks for documentation: no cluster has them.
  return family == IpFamily::kIpv4 ? IpAddress::V4(0xc6336401)  // 198.51.100.1
                                   : *IpAddress::Parse("2001:db8:1::1");
}

NodeUnderTest::NodeUnderTest(NodeTables tables, const Cluster& cluster,
                             const KubeProxyConfig& config,
                             const MakeMatcher& make_matcher)
    : device_(DeviceOf(config)) {
  clients_[0] = ClientAddress(cluster, config, IpFamily::kIpv4);
  clients_[1] = ClientAddress(cluster, config, IpFamily::kIpv6);
  const dataplane::NodeConfig node = MakeConfig(tables, device_, clients_);
  std::shared_ptr<const dataplane::RuleMatcher> matchers[2];
  for (int i = 0; i < 2; ++i) {
    rules_[i] = tables.rules[i];
    matchers[i] = make_matcher
                      ? make_matcher(rules_[i])
                      : std::make_shared<const dataplane::Matcher>(rules_[i]);
  }
  node_ = std::make_unique<dataplane::NodeDataplane>(
      node, matchers[0], matchers[1], std::move(tables.sets));
  if (tables.ipvs) node_->LoadIpvs(tables.servers);
}

dataplane::Arrival NodeUnderTest::NewFlow(const ServiceTarget& target,
                                          uint16_t port) const {
  const int family = target.address.address.family() == IpFamily::kIpv4 ? 0 : 1;
  dataplane::NodePacket packet;
  packet.header = Packet::Tcp({clients_[family], port}, target.address);
  packet.header.protocol = target.protocol;
  return dataplane::Arrival::On(device_, std::move(packet));
}

FlowCost NodeUnderTest::Measure(const ServiceTarget& target, int repetitions,
                                std::string& note) const {
  FlowCost cost;
  cost.service = target.name;
  const int family = target.address.address.family() == IpFamily::kIpv4 ? 0 : 1;
  for (const dataplane::Branch& b : node_->Match(NewFlow(target, 40000))) {
    const size_t rules = CountEvaluatedRules(b.outcome.trace, *rules_[family]);
    cost.rules_evaluated += b.probability * static_cast<double>(rules);
    const std::string fate = Describe(b.outcome);
    if (!fate.empty() && note.empty()) {
      note = absl::StrCat("a packet to ", target.name, " ", fate);
    }
  }
  std::mt19937_64 bits(1);
  std::vector<double> times;
  for (int i = 0; i < repetitions; ++i) {
    dataplane::NodeDataplane node = *node_;
    dataplane::Arrival arrival = NewFlow(target, 1024);
    int flows = 0;
    const double begin = CpuNs();
    double now = begin;
    while (flows < kFlowsInBatch && now - begin < kBatchNs) {
      // The clock is not asked for every flow: that would cost as much.
      for (int k = 0; k < 16; ++k) {
        arrival.packet.header.src_port = static_cast<uint16_t>(1024 + flows++);
        node.Sample(arrival, bits, false);
      }
      now = CpuNs();
    }
    times.push_back((now - begin) / flows);
  }
  cost.ns = Median(std::move(times));
  return cost;
}

}  // namespace k8sdns::bench
