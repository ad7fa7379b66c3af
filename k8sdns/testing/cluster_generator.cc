#include "k8sdns/testing/cluster_generator.h"

#include <algorithm>
#include <array>
#include <cmath>
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

// The size of each Service by rank; sums up to services * mean.
class Sizes {
 public:
  explicit Sizes(const ClusterShape& shape) : shape_(shape) {
    if (!shape.zipf) return;
    for (size_t i = 1; i <= shape.services; ++i) {
      weight_sum_ += std::pow(static_cast<double>(i), -*shape.zipf);
    }
  }
  // To be asked for rank 0, 1, 2, ... in turn.
  size_t Next() {
    if (!shape_.zipf) return shape_.endpoints_per_service;
    const double total = static_cast<double>(shape_.services) *
                         static_cast<double>(shape_.endpoints_per_service);
    ++rank_;
    wanted_ += total * std::pow(static_cast<double>(rank_), -*shape_.zipf) /
               weight_sum_;
    // Rounding the running sum keeps the total exact.
    const size_t until = static_cast<size_t>(wanted_ + 0.5);
    const size_t size = until - given_;
    given_ = until;
    return size;
  }

 private:
  const ClusterShape& shape_;
  double weight_sum_ = 0;
  double wanted_ = 0;
  size_t rank_ = 0;
  size_t given_ = 0;
};

size_t TotalEndpoints(const ClusterShape& shape) {
  return shape.services * shape.endpoints_per_service;
}

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
    for (size_t i = 0; i < NodeCount(shape_); ++i) sink_.node(MakeNode(i));
    for (size_t i = 0; i < shape_.services; ++i) MakeService(i);
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
    if (shape_.dual_stack > 0) {
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

  void MakeService(size_t index) {
    Service s;
    s.metadata.name = absl::StrFormat("svc-%06d", index);
    s.metadata.namespace_ = absl::StrFormat(
        "ns-%03d", index % std::max<size_t>(1, shape_.namespaces));
    const uint32_t number = static_cast<uint32_t>(index) + 11;
    const bool headless = dice_.Chance(shape_.headless);
    const bool dual = dice_.Chance(shape_.dual_stack);
    s.spec.cluster_ip =
        headless ? "None" : IpAddress::V4(kServiceBase + number).ToString();
    s.spec.cluster_ips = {s.spec.cluster_ip};
    s.spec.ip_families = {IpFamily::kIpv4};
    s.spec.ip_family_policy = IpFamilyPolicy::kSingleStack;
    if (dual) {
      if (!headless) {
        s.spec.cluster_ips.push_back(V6(0x96, number).ToString());
      }
      s.spec.ip_families.push_back(IpFamily::kIpv6);
      s.spec.ip_family_policy = IpFamilyPolicy::kRequireDualStack;
    }
    s.spec.internal_traffic_policy = TrafficPolicy::kCluster;
    s.spec.selector["app"] = s.metadata.name;
    if (dice_.Chance(shape_.session_affinity)) {
      s.spec.session_affinity = SessionAffinity::kClientIp;
      s.spec.session_affinity_timeout_seconds = 10800;
    }
    const bool balanced = !headless && dice_.Chance(shape_.load_balancer);
    const bool node_port =
        balanced || (!headless && dice_.Chance(shape_.node_port));
    const Protocol protocol =
        dice_.Chance(shape_.udp) ? Protocol::kUdp : Protocol::kTcp;
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
      s.load_balancer_ingress.push_back(
          {IpAddress::V4(0xCB000000 + number).ToString(), "", IpMode::kVip});
    }
    MakeEndpoints(s, dual);
    sink_.service(std::move(s));
  }

  void AddPorts(Service& s, Protocol protocol, bool node_port) {
    for (int p = 0; p < shape_.ports_per_service; ++p) {
      ServicePort port;
      port.name = p == 0 ? "http" : absl::StrCat("port-", p);
      port.protocol = protocol;
      port.port = 80 + p;
      port.target_port = 8080 + p;
      if (node_port && next_node_port_ < kNodePorts) {
        port.node_port = kFirstNodePort + next_node_port_++;
      }
      s.spec.ports.push_back(std::move(port));
    }
  }

  void MakeEndpoints(const Service& s, bool dual) {
    const size_t count = sizes_.Next();
    std::vector<Site> sites;
    sites.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      const size_t pod = next_pod_++;
      sites.push_back(
          {pod, pod % NodeCount(shape_), !dice_.Chance(shape_.not_ready)});
      if (shape_.pods) sink_.pod(MakePod(s, sites.back(), dual));
    }
    MakeSlices(s, sites, IpFamily::kIpv4);
    if (dual) MakeSlices(s, sites, IpFamily::kIpv6);
    if (shape_.endpoints) MakeLegacy(s, sites);
  }

  ObjectReference Reference(const Service& s, const Site& site) const {
    return {"Pod", s.metadata.namespace_, PodName(s, site), ""};
  }
  static std::string PodName(const Service& s, const Site& site) {
    return absl::StrFormat("%s-%07d", s.metadata.name, site.pod);
  }

  void MakeSlices(const Service& s, const std::vector<Site>& sites,
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
      sink_.slice(std::move(slice));
    }
  }

  static std::vector<EndpointPort> Ports(const Service& s) {
    std::vector<EndpointPort> out;
    for (const ServicePort& p : s.spec.ports) {
      out.push_back({p.name, p.protocol, std::get<int32_t>(p.target_port), {}});
    }
    return out;
  }

  void MakeLegacy(const Service& s, const std::vector<Site>& sites) {
    Endpoints e;
    e.metadata.namespace_ = s.metadata.namespace_;
    e.metadata.name = s.metadata.name;
    EndpointSubset subset;
    for (const Site& site : sites) {
      EndpointAddress a;
      a.ip = PodAddress(site.pod, IpFamily::kIpv4).ToString();
      a.node_name = NodeName(site.node);
      a.target_ref = Reference(s, site);
      (site.ready ? subset.addresses : subset.not_ready_addresses)
          .push_back(std::move(a));
    }
    subset.ports = Ports(s);
    if (!sites.empty()) e.subsets.push_back(std::move(subset));
    sink_.endpoints(std::move(e));
  }

  Pod MakePod(const Service& s, const Site& site, bool dual) const {
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
      cp.container_port = std::get<int32_t>(port.target_port);
      cp.protocol = port.protocol;
      c.ports.push_back(std::move(cp));
    }
    p.spec.containers.push_back(std::move(c));
    p.status.phase = PodPhase::kRunning;
    p.status.conditions.push_back({"Ready", site.ready ? "True" : "False", ""});
    p.status.pod_ip = PodAddress(site.pod, IpFamily::kIpv4).ToString();
    p.status.pod_ips = {p.status.pod_ip};
    if (dual) {
      p.status.pod_ips.push_back(
          PodAddress(site.pod, IpFamily::kIpv6).ToString());
    }
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

// 695,992 lines of iptables-save are about 77,000 endpoints of 7,700 Services
// at 3 rules and a chain line an endpoint, 8 lines a Service.
constexpr struct {
  absl::string_view name;
  size_t services;
  size_t endpoints_per_service;
} kPresets[] = {
    {"5006-services", 5006, 50},
    {"44128-services", 44128, 2},
    {"696k-lines", 14500, 10},
};

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
      {"udp", s.udp},
      {"dual_stack", s.dual_stack},
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
    shape.endpoints_per_service = preset.endpoints_per_service;
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
  const size_t per_family =
      shape.services *
      std::max<size_t>(1, (shape.endpoints_per_service + 99) / 100);
  size.slices = static_cast<size_t>(static_cast<double>(per_family) *
                                    (1 + shape.dual_stack));
  size.pods = shape.pods ? size.endpoints : 0;
  const double slice_endpoints =
      static_cast<double>(size.endpoints) * (1 + shape.dual_stack);
  // Bytes an object, measured on generated clusters of 10,000 Services.
  size.memory_bytes =
      size.nodes * 900 + size.services * 1100 + size.slices * 700 +
      static_cast<size_t>(slice_endpoints * 420) + size.pods * 1500;
  size.yaml_bytes = size.nodes * 600 + size.services * 700 + size.slices * 420 +
                    static_cast<size_t>(slice_endpoints * 310) +
                    size.pods * 650;
  return size;
}

void GenerateObjects(const ClusterShape& shape, const ObjectSink& sink) {
  Generator(shape, sink).Run();
}

Cluster GenerateCluster(const ClusterShape& shape) {
  Cluster cluster;
  const auto put = [&cluster](auto object) { cluster.Put(std::move(object)); };
  GenerateObjects(shape, {put, put, put, put, put});
  return cluster;
}

}  // namespace k8sdns::testing
