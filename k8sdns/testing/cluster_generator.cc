#include "k8sdns/testing/cluster_generator.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace k8sdns::testing {
namespace {

constexpr uint32_t kServiceBase = 0x0A600000;  // 10.96.0.0/12
constexpr uint32_t kPodBase = 0x0A800000;      // 10.128.0.0/9
constexpr uint32_t kNodeBase = 0xAC100000;     // 172.16.0.0/12
constexpr size_t kServiceRoom = (1 << 20) - 16;
constexpr size_t kPodRoom = 1 << 23;
constexpr size_t kNodeRoom = (1 << 20) - 16;
constexpr size_t kEndpointsPerSlice = 100;
constexpr int kFirstNodePort = 30000;
constexpr int kNodePorts = 2768;

// mt19937_64 is the same everywhere; the standard's distributions are not.
class Dice {
 public:
  explicit Dice(uint64_t seed) : bits_(seed) {}
  bool Chance(double share) {
    return static_cast<double>(bits_() >> 11) * 0x1.0p-53 < share;
  }

 private:
  std::mt19937_64 bits_;
};

size_t TotalEndpoints(const ClusterShape& shape) {
  return shape.total_endpoints.value_or(shape.services *
                                        shape.endpoints_per_service);
}

// The size of each Service by rank; sums up to TotalEndpoints().
class Sizes {
 public:
  explicit Sizes(const ClusterShape& shape)
      : shape_(shape), total_(static_cast<double>(TotalEndpoints(shape))) {
    if (!shape.zipf) return;
    for (size_t i = 1; i <= shape.services; ++i) {
      weight_sum_ += std::pow(static_cast<double>(i), -*shape.zipf);
    }
  }
  // To be asked for rank 0, 1, 2, ... in turn.
  size_t Next() {
    if (!shape_.zipf && !shape_.total_endpoints) {
      return shape_.endpoints_per_service;
    }
    ++rank_;
    wanted_ += shape_.zipf
                   ? total_ *
                         std::pow(static_cast<double>(rank_), -*shape_.zipf) /
                         weight_sum_
                   : total_ / static_cast<double>(shape_.services);
    // Rounding the running sum keeps the total exact.
    const size_t until = static_cast<size_t>(wanted_ + 0.5);
    const size_t size = until - given_;
    given_ = until;
    return size;
  }

 private:
  const ClusterShape& shape_;
  double total_;
  double weight_sum_ = 0;
  double wanted_ = 0;
  size_t rank_ = 0;
  size_t given_ = 0;
};

size_t NodeCount(const ClusterShape& shape) {
  if (shape.nodes > 0) return shape.nodes;
  return std::max<size_t>(3, (TotalEndpoints(shape) + 99) / 100);
}

IpAddress V6(uint16_t kind, uint32_t n) {
  std::array<uint8_t, 16> b = {0xfd, 0};
  b[2] = static_cast<uint8_t>(kind >> 8);
  b[3] = static_cast<uint8_t>(kind);
  for (int i = 0; i < 4; ++i)
    b[12 + i] = static_cast<uint8_t>(n >> (24 - 8 * i));
  return IpAddress::V6(b);
}

class Generator {
 public:
  Generator(const ClusterShape& shape, const ObjectSink& sink)
      : shape_(shape), sink_(sink), dice_(shape.seed), sizes_(shape) {
    const size_t nodes = NodeCount(shape);
    const size_t per_node = TotalEndpoints(shape) / nodes + 3;
    while ((size_t{1} << node_bits_) < per_node) ++node_bits_;
  }

  void Run() {
    for (size_t i = 0; i < NodeCount(shape_); ++i) {
      if (!sink_.node(MakeNode(i))) return;
    }
    for (size_t i = 0; i < shape_.services; ++i) {
      if (!MakeService(i)) return;
    }
  }

 private:
  struct Site {
    size_t pod;
    size_t node;
    bool ready;
  };

  std::string NodeName(size_t i) const {
    return absl::StrFormat("node-%05d", i);
  }
  std::string ZoneName(size_t node) const {
    const auto letter =
        static_cast<char>('a' + node % static_cast<size_t>(shape_.zones));
    return absl::StrCat("zone-", std::string(1, letter));
  }
  // Pods are dealt to the nodes in turn and numbered on each from 2 on.
  IpAddress PodAddress(size_t pod, IpFamily family) const {
    const size_t nodes = NodeCount(shape_);
    const uint32_t offset =
        static_cast<uint32_t>(((pod % nodes) << node_bits_) + pod / nodes + 2);
    return family == IpFamily::kIpv4 ? IpAddress::V4(kPodBase + offset)
                                     : V6(0x244, offset);
  }

  Node MakeNode(size_t i) const {
    Node n;
    n.metadata.name = NodeName(i);
    n.metadata.labels[kHostnameLabel] = n.metadata.name;
    n.metadata.labels[kZoneLabel] = ZoneName(i);
    const uint32_t pods = static_cast<uint32_t>(i << node_bits_);
    n.pod_cidr =
        IpPrefix(IpAddress::V4(kPodBase + pods), 32 - node_bits_).ToString();
    n.pod_cidrs = {n.pod_cidr};
    n.addresses.push_back(
        {NodeAddressType::kInternalIp,
         IpAddress::V4(kNodeBase + 10 + static_cast<uint32_t>(i)).ToString()});
    if (shape_.dual_stack > 0 || shape_.ipv6 > 0) {
      n.pod_cidrs.push_back(
          IpPrefix(V6(0x244, pods), 128 - node_bits_).ToString());
      n.addresses.push_back(
          {NodeAddressType::kInternalIp,
           V6(0x18, static_cast<uint32_t>(i) + 10).ToString()});
    }
    n.addresses.push_back({NodeAddressType::kHostname, n.metadata.name});
    n.conditions.push_back({"Ready", "True"});
    n.allocatable["cpu"] = "4";
    return n;
  }

  bool MakeService(size_t index) {
    Service s;
    s.metadata.name = absl::StrFormat("svc-%06d", index);
    s.metadata.namespace_ = absl::StrFormat(
        "ns-%03d", index % std::max<size_t>(1, shape_.namespaces));
    const uint32_t number = static_cast<uint32_t>(index) + 11;
    const bool headless = dice_.Chance(shape_.headless);
    const bool dual = dice_.Chance(shape_.dual_stack);
    const bool v6 = !dual && DrawIfAny(shape_.ipv6);
    s.spec.ip_families = {v6 ? IpFamily::kIpv6 : IpFamily::kIpv4};
    s.spec.ip_family_policy =
        dual ? IpFamilyPolicy::kRequireDualStack : IpFamilyPolicy::kSingleStack;
    if (dual) s.spec.ip_families.push_back(IpFamily::kIpv6);
    for (IpFamily family : s.spec.ip_families) {
      if (headless && !s.spec.cluster_ips.empty()) break;
      s.spec.cluster_ips.push_back(
          headless ? "None" : ServiceAddress(number, family).ToString());
    }
    s.spec.cluster_ip = s.spec.cluster_ips[0];
    s.spec.internal_traffic_policy =
        DrawIfAny(shape_.internal_traffic_policy_local)
            ? TrafficPolicy::kLocal
            : TrafficPolicy::kCluster;
    s.spec.selector["app"] = s.metadata.name;
    if (dice_.Chance(shape_.session_affinity)) {
      s.spec.session_affinity = SessionAffinity::kClientIp;
      s.spec.session_affinity_timeout_seconds = 10800;
    }
    const bool balanced = !headless && dice_.Chance(shape_.load_balancer);
    const bool node_port =
        balanced || (!headless && dice_.Chance(shape_.node_port));
    Protocol protocol =
        dice_.Chance(shape_.udp) ? Protocol::kUdp : Protocol::kTcp;
    if (protocol == Protocol::kTcp && DrawIfAny(shape_.sctp)) {
      protocol = Protocol::kSctp;
    }
    AddPorts(s, protocol, node_port);
    if (node_port) {
      s.spec.type =
          balanced ? ServiceType::kLoadBalancer : ServiceType::kNodePort;
      s.spec.external_traffic_policy =
          dice_.Chance(shape_.external_traffic_policy_local)
              ? TrafficPolicy::kLocal
              : TrafficPolicy::kCluster;
    }
    if (balanced) {
      const IpAddress ip =
          v6 ? V6(0x203, number) : IpAddress::V4(0xCB000000 + number);
      s.load_balancer_ingress.push_back({ip.ToString(), "", IpMode::kVip});
    }
    return MakeEndpoints(s) && sink_.service(std::move(s));
  }

  static IpAddress ServiceAddress(uint32_t number, IpFamily family) {
    return family == IpFamily::kIpv4 ? IpAddress::V4(kServiceBase + number)
                                     : V6(0x96, number);
  }

  // A share that a shape does not use does not change the others' dice.
  bool DrawIfAny(double share) { return share > 0 && dice_.Chance(share); }

  static int32_t TargetPort(size_t port) {
    return 8080 + static_cast<int32_t>(port);
  }

  void AddPorts(Service& s, Protocol protocol, bool node_port) {
    const bool named = DrawIfAny(shape_.named_target);
    for (int p = 0; p < shape_.ports_per_service; ++p) {
      ServicePort port;
      port.name = p == 0 ? "http" : absl::StrCat("port-", p);
      port.protocol = protocol;
      port.port = 80 + p;
      if (named) {
        port.target_port = port.name;
      } else {
        port.target_port = TargetPort(static_cast<size_t>(p));
      }
      if (node_port && next_node_port_ < kNodePorts) {
        port.node_port = kFirstNodePort + next_node_port_++;
      }
      s.spec.ports.push_back(std::move(port));
    }
  }

  bool MakeEndpoints(const Service& s) {
    const size_t count = sizes_.Next();
    std::vector<Site> sites;
    sites.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      const size_t pod = next_pod_++;
      sites.push_back(
          {pod, pod % NodeCount(shape_), !dice_.Chance(shape_.not_ready)});
      if (shape_.pods && !sink_.pod(MakePod(s, sites.back()))) return false;
    }
    for (IpFamily family : s.spec.ip_families) {
      if (!MakeSlices(s, sites, family)) return false;
    }
    return !shape_.endpoints || sink_.endpoints(MakeLegacy(s, sites));
  }

  ObjectReference Reference(const Service& s, const Site& site) const {
    return {"Pod", s.metadata.namespace_, PodName(s, site), ""};
  }
  static std::string PodName(const Service& s, const Site& site) {
    return absl::StrFormat("%s-%07d", s.metadata.name, site.pod);
  }

  bool MakeSlices(const Service& s, const std::vector<Site>& sites,
                  IpFamily family) {
    for (size_t begin = 0; begin == 0 || begin < sites.size();
         begin += kEndpointsPerSlice) {
      EndpointSlice slice;
      slice.metadata.namespace_ = s.metadata.namespace_;
      slice.metadata.name = absl::StrFormat(
          "%s-%s%d", s.metadata.name, family == IpFamily::kIpv4 ? "" : "v6-",
          begin / kEndpointsPerSlice);
      slice.metadata.labels[kServiceNameLabel] = s.metadata.name;
      slice.metadata.labels[kSliceManagedByLabel] =
          "endpointslice-controller.k8s.io";
      if (s.IsHeadless()) slice.metadata.labels[kHeadlessLabel] = "";
      slice.address_type =
          family == IpFamily::kIpv4 ? AddressType::kIpv4 : AddressType::kIpv6;
      slice.ports = Ports(s);
      const size_t end = std::min(sites.size(), begin + kEndpointsPerSlice);
      slice.endpoints.reserve(end - begin);
      for (size_t i = begin; i < end; ++i) {
        Endpoint e;
        e.addresses = {PodAddress(sites[i].pod, family).ToString()};
        e.ready = sites[i].ready;
        e.serving = sites[i].ready;
        e.terminating = false;
        e.node_name = NodeName(sites[i].node);
        e.zone = ZoneName(sites[i].node);
        e.target_ref = Reference(s, sites[i]);
        slice.endpoints.push_back(std::move(e));
      }
      if (!sink_.slice(std::move(slice))) return false;
    }
    return true;
  }

  static std::vector<EndpointPort> Ports(const Service& s) {
    std::vector<EndpointPort> out;
    for (const ServicePort& p : s.spec.ports) {
      out.push_back({p.name, p.protocol, TargetPort(out.size()), {}});
    }
    return out;
  }

  Endpoints MakeLegacy(const Service& s, const std::vector<Site>& sites) const {
    Endpoints e;
    e.metadata.namespace_ = s.metadata.namespace_;
    e.metadata.name = s.metadata.name;
    EndpointSubset subset;
    for (const Site& site : sites) {
      EndpointAddress a;
      a.ip = PodAddress(site.pod, s.spec.ip_families[0]).ToString();
      a.node_name = NodeName(site.node);
      a.target_ref = Reference(s, site);
      (site.ready ? subset.addresses : subset.not_ready_addresses)
          .push_back(std::move(a));
    }
    subset.ports = Ports(s);
    if (!sites.empty()) e.subsets.push_back(std::move(subset));
    return e;
  }

  Pod MakePod(const Service& s, const Site& site) const {
    Pod p;
    p.metadata.namespace_ = s.metadata.namespace_;
    p.metadata.name = PodName(s, site);
    p.metadata.labels["app"] = s.metadata.name;
    p.spec.node_name = NodeName(site.node);
    Container c;
    c.name = "app";
    for (const ServicePort& port : s.spec.ports) {
      ContainerPort cp;
      cp.name = port.name;
      cp.container_port = TargetPort(c.ports.size());
      cp.protocol = port.protocol;
      c.ports.push_back(std::move(cp));
    }
    p.spec.containers.push_back(std::move(c));
    p.status.phase = PodPhase::kRunning;
    p.status.conditions.push_back({"Ready", site.ready ? "True" : "False", ""});
    for (IpFamily family : s.spec.ip_families) {
      p.status.pod_ips.push_back(PodAddress(site.pod, family).ToString());
    }
    p.status.pod_ip = p.status.pod_ips[0];
    return p;
  }

  const ClusterShape& shape_;
  const ObjectSink& sink_;
  Dice dice_;
  Sizes sizes_;
  int node_bits_ = 8;
  size_t next_pod_ = 0;
  int next_node_port_ = 0;
};

constexpr struct {
  absl::string_view name;
  size_t services;
  size_t endpoints;
} kPresets[] = {
    {"5006-services", 5006, 250'011},
    {"44128-services", 44128, 2 * 44128},
    // 4 lines an endpoint, 2 lines a Service, and those that are always there.
    {"696k-lines", 16'000, 165'987},
};

// Bytes of a node, a Service, a slice, a port of a slice (with that of its
// Service), an endpoint, a Pod and a port of a Pod: least squares over clusters
// of a dozen shapes.
using BytesOfObjects = std::array<double, 7>;
constexpr BytesOfObjects kMemory = {1106, 635, 830, 386, 232, 1149, 139};
constexpr BytesOfObjects kYaml = {479, 384, 260, 122, 242, 341, 73};
constexpr BytesOfObjects kJson = {1211, 903, 412, 347, 603, 983, 220};
constexpr BytesOfObjects kProto = {205, 71, 158, 33, 77, 117, 15};

absl::Status OutOfRange(absl::string_view field, absl::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat("cluster shape: ", field, ": expected ", expected));
}

}  // namespace

absl::Status CheckShape(const ClusterShape& s) {
  const std::pair<absl::string_view, double> shares[] = {
      {"node_port", s.node_port},
      {"load_balancer", s.load_balancer},
      {"external_traffic_policy_local", s.external_traffic_policy_local},
      {"session_affinity", s.session_affinity},
      {"headless", s.headless},
      {"internal_traffic_policy_local", s.internal_traffic_policy_local},
      {"udp", s.udp},
      {"sctp", s.sctp},
      {"named_target", s.named_target},
      {"dual_stack", s.dual_stack},
      {"ipv6", s.ipv6},
      {"not_ready", s.not_ready},
  };
  for (const auto& [name, share] : shares) {
    if (!(share >= 0 && share <= 1)) return OutOfRange(name, "0 to 1");
  }
  if (s.services > kServiceRoom)
    return OutOfRange("services", "at most 1048560");
  if (s.endpoints_per_service > kPodRoom) {
    return OutOfRange("endpoints_per_service", "at most 8388608");
  }
  if (s.total_endpoints && *s.total_endpoints > 0 && s.services == 0) {
    return OutOfRange("total_endpoints", "0 without Services");
  }
  if (s.total_endpoints && *s.total_endpoints > kPodRoom) {
    return OutOfRange("total_endpoints", "at most 8388608");
  }
  if (s.ports_per_service < 1 || s.ports_per_service > 100) {
    return OutOfRange("ports_per_service", "1 to 100");
  }
  if (s.zones < 1 || s.zones > 26) return OutOfRange("zones", "1 to 26");
  if (s.zipf && !(*s.zipf >= 0 && *s.zipf <= 10)) {
    return OutOfRange("zipf", "0 to 10");
  }
  const size_t nodes = NodeCount(s);
  if (nodes > kNodeRoom) return OutOfRange("nodes", "at most 1048560");
  int bits = 8;
  while ((size_t{1} << bits) < TotalEndpoints(s) / nodes + 3) ++bits;
  if ((nodes << bits) > kPodRoom) {
    return OutOfRange(
        "endpoints_per_service",
        "fewer: nodes and endpoints do not fit into 10.128.0.0/9");
  }
  return absl::OkStatus();
}

std::optional<ClusterShape> FindPreset(absl::string_view name) {
  for (const auto& preset : kPresets) {
    if (preset.name != name) continue;
    ClusterShape shape;
    shape.services = preset.services;
    shape.total_endpoints = preset.endpoints;
    return shape;
  }
  return std::nullopt;
}

std::vector<std::string> PresetNames() {
  std::vector<std::string> out;
  for (const auto& preset : kPresets) out.emplace_back(preset.name);
  return out;
}

ShapeSize EstimateSize(const ClusterShape& shape) {
  ShapeSize size;
  size.nodes = NodeCount(shape);
  size.services = shape.services;
  size.endpoints = TotalEndpoints(shape);
  const double families = 1 + shape.dual_stack;
  const double services = static_cast<double>(shape.services);
  const double per_service =
      shape.services == 0 ? 0 : static_cast<double>(size.endpoints) / services;
  const double slices_of_one = std::max(
      1.0, std::ceil(per_service / static_cast<double>(kEndpointsPerSlice)));
  size.slices = static_cast<size_t>(services * slices_of_one * families);
  size.pods = shape.pods ? size.endpoints : 0;

  const double ports = shape.ports_per_service;
  const double slices = static_cast<double>(size.slices);
  const double pods = static_cast<double>(size.pods);
  const double counts[] = {static_cast<double>(size.nodes),
                           services,
                           slices,
                           slices * ports,
                           static_cast<double>(size.endpoints) * families,
                           pods,
                           pods * ports};
  const auto sum = [&counts](const BytesOfObjects& bytes) {
    double total = 0;
    for (size_t i = 0; i < std::size(counts); ++i)
      total += counts[i] * bytes[i];
    return static_cast<size_t>(total);
  };
  size.memory_bytes = sum(kMemory);
  size.yaml_bytes = sum(kYaml);
  size.json_bytes = sum(kJson);
  size.proto_bytes = sum(kProto);
  return size;
}

void GenerateObjects(const ClusterShape& shape, const ObjectSink& sink) {
  Generator(shape, sink).Run();
}

Cluster GenerateCluster(const ClusterShape& shape) {
  Cluster cluster;
  const auto put = [&cluster](auto object) {
    cluster.Put(std::move(object));
    return true;
  };
  GenerateObjects(shape, {put, put, put, put, put});
  return cluster;
}

}  // namespace k8sdns::testing
