#include "k8sdns/proxy/service_ports.h"

#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "k8sdns/cluster/endpoints.h"

namespace k8sdns::proxy {
namespace {

constexpr char kTopologyModeAnnotation[] =
    "service.kubernetes.io/topology-mode";
constexpr char kDeprecatedHintsAnnotation[] =
    "service.kubernetes.io/topology-aware-hints";
constexpr int32_t kDefaultAffinitySeconds = 10800;  // three hours

// Notes findings about one Service.
class Reporter {
 public:
  Reporter(const Service& service, Findings* findings)
      : service_(service), findings_(findings) {}

  template <typename... Field>
  void Add(Finding::Effect effect, absl::string_view message,
           const Field&... field) const {
    if (findings_ == nullptr) return;
    findings_->push_back({effect,
                          absl::StrCat("Service ", service_.metadata.namespace_,
                                       "/", service_.metadata.name),
                          absl::StrCat(field...), std::string(message)});
  }

 private:
  const Service& service_;
  Findings* findings_;
};

absl::string_view ClusterIpOf(const Service& service, IpFamily family,
                              const DialectTraits& traits) {
  const ServiceSpec& spec = service.spec;
  if (!traits.dual_stack || spec.ip_families.empty()) {
    const auto ip = IpAddress::ParseSloppy(spec.cluster_ip);
    return ip && ip->family() == family ? absl::string_view(spec.cluster_ip)
                                        : absl::string_view();
  }
  for (size_t i = 0; i < spec.ip_families.size(); ++i) {
    if (spec.ip_families[i] == family && i < spec.cluster_ips.size()) {
      return spec.cluster_ips[i];
    }
  }
  return "";
}

// apiservice.ExternalPolicyLocal of 1.30, RequestsOnlyLocalTraffic of 1.14.
bool ExternalPolicyLocal(const Service& service, const DialectTraits& traits) {
  const ServiceSpec& spec = service.spec;
  if (spec.external_traffic_policy != TrafficPolicy::kLocal) return false;
  return spec.type == ServiceType::kLoadBalancer ||
         spec.type == ServiceType::kNodePort ||
         (traits.local_policy_of_external_ips &&
          spec.type == ServiceType::kClusterIp && !spec.external_ips.empty());
}

bool HintsAnnotation(const ObjectMeta& meta) {
  auto it = meta.annotations.find(kDeprecatedHintsAnnotation);
  if (it == meta.annotations.end()) {
    it = meta.annotations.find(kTopologyModeAnnotation);
  }
  if (it == meta.annotations.end()) return false;
  return !it->second.empty() && it->second != "disabled" &&
         it->second != "Disabled";
}

void ReadAddresses(const Service& service, IpFamily family,
                   const ExpandOptions& options, const Reporter& report,
                   ServicePortInfo& info) {
  const ServiceSpec& spec = service.spec;
  for (size_t i = 0; i < spec.external_ips.size(); ++i) {
    const auto ip = IpAddress::ParseSloppy(spec.external_ips[i]);
    if (!ip) {
      report.Add(Finding::Effect::kIgnored,
                 absl::StrCat("\"", spec.external_ips[i],
                              "\" is not an IP address; it is skipped"),
                 "spec.externalIPs[", i, "]");
    } else if (ip->family() == family) {
      info.external_ips.push_back(*ip);
    }
  }
  for (size_t i = 0; i < spec.load_balancer_source_ranges.size(); ++i) {
    // The API server's validation lets white space around ranges pass.
    const absl::string_view text =
        absl::StripAsciiWhitespace(spec.load_balancer_source_ranges[i]);
    const auto range = IpPrefix::Parse(text);
    if (!range) {
      report.Add(Finding::Effect::kIgnored,
                 absl::StrCat("\"", text, "\" is not a CIDR; it is skipped"),
                 "spec.loadBalancerSourceRanges[", i, "]");
    } else if (range->family() == family) {
      info.source_ranges.push_back(range->Masked());
    }
  }
  for (size_t i = 0; i < service.load_balancer_ingress.size(); ++i) {
    const LoadBalancerIngress& ingress = service.load_balancer_ingress[i];
    if (ingress.ip.empty()) continue;
    if (options.traits.ip_mode && options.features.load_balancer_ip_mode &&
        ingress.ip_mode == IpMode::kProxy) {
      continue;
    }
    const auto ip = IpAddress::ParseSloppy(ingress.ip);
    if (ip && ip->family() == family) {
      info.load_balancer_vips.push_back(*ip);
    } else if (!ip) {
      report.Add(Finding::Effect::kIgnored,
                 absl::StrCat("\"", ingress.ip,
                              "\" is not an IP address; it is skipped"),
                 "status.loadBalancer.ingress[", i, "].ip");
    } else if (!options.traits.dual_stack) {
      report.Add(Finding::Effect::kRefused,
                 absl::StrCat(ingress.ip,
                              " is of the other family; kube-proxy writes it "
                              "into this family's rules"),
                 "status.loadBalancer.ingress[", i, "].ip");
    }
  }
}

bool IsServiceProtocol(Protocol protocol) {
  return protocol == Protocol::kTcp || protocol == Protocol::kUdp ||
         protocol == Protocol::kSctp;
}

bool CheckPort(const ServicePort& port, size_t index, const Reporter& report) {
  if (!IsServiceProtocol(port.protocol)) {
    report.Add(Finding::Effect::kSkipped, "not TCP, UDP or SCTP", "spec.ports[",
               index, "].protocol");
    return false;
  }
  if (port.port < 1 || port.port > 65535) {
    report.Add(Finding::Effect::kRefused,
               absl::StrCat(port.port,
                            " is not a port number; the port is "
                            "left out"),
               "spec.ports[", index, "].port");
    return false;
  }
  if (port.node_port < 0 || port.node_port > 65535) {
    report.Add(Finding::Effect::kRefused,
               absl::StrCat(port.node_port,
                            " is not a port number; the port "
                            "is left out"),
               "spec.ports[", index, "].nodePort");
    return false;
  }
  return true;
}

// What all ports of a Service share.
ServicePortInfo ReadService(const Service& service, IpFamily family,
                            const IpAddress& cluster_ip,
                            const ExpandOptions& options,
                            const Reporter& report) {
  ServicePortInfo info;
  info.cluster_ip = cluster_ip;
  info.external_policy_local = ExternalPolicyLocal(service, options.traits);
  info.internal_policy_local =
      options.traits.internal_traffic_policy &&
      service.spec.internal_traffic_policy == TrafficPolicy::kLocal;
  info.session_affinity =
      service.spec.session_affinity == SessionAffinity::kClientIp;
  if (info.session_affinity) {
    info.affinity_seconds =
        service.spec.session_affinity_timeout_seconds.value_or(
            kDefaultAffinitySeconds);
  }
  info.hints_annotation = HintsAnnotation(service.metadata);
  ReadAddresses(service, family, options, report, info);
  if (service.spec.type == ServiceType::kLoadBalancer &&
      info.external_policy_local) {
    const int32_t port = service.spec.health_check_node_port;
    if (port < 0 || port > 65535) {
      report.Add(Finding::Effect::kRefused, "not a port number",
                 "spec.healthCheckNodePort");
    } else if (port == 0) {
      report.Add(Finding::Effect::kIgnored,
                 "a LoadBalancer with externalTrafficPolicy Local has none; "
                 "no health check rule is written",
                 "spec.healthCheckNodePort");
    } else {
      info.health_check_node_port = static_cast<uint16_t>(port);
    }
  }
  return info;
}

}  // namespace

ProxyFeatures FeaturesOf(const KubeProxyConfig& config) {
  ProxyFeatures features;
  const std::pair<const char*, bool*> gates[] = {
      {"TopologyAwareHints", &features.topology_aware_hints},
      {"ServiceTrafficDistribution", &features.service_traffic_distribution},
      {"LoadBalancerIPMode", &features.load_balancer_ip_mode},
      {"PreferSameTrafficDistribution", &features.prefer_same_node},
  };
  for (const auto& [name, value] : gates) {
    auto it = config.feature_gates.find(name);
    if (it != config.feature_gates.end()) *value = it->second;
  }
  return features;
}

bool IsWatched(const ObjectMeta& meta, const DialectTraits& traits) {
  // Both labels are of the same domain: one look-up, mostly in vain.
  constexpr absl::string_view kDomain = "service.kubernetes.io/";
  for (auto it = meta.labels.lower_bound(kDomain);
       it != meta.labels.end() && absl::StartsWith(it->first, kDomain); ++it) {
    if (traits.filters_service_proxy_name &&
        it->first == kServiceProxyNameLabel) {
      return false;
    }
    if (traits.filters_headless_label && it->first == kHeadlessLabel) {
      return false;
    }
  }
  return true;
}

void ExpandService(const Service& service, IpFamily family,
                   const ExpandOptions& options,
                   std::vector<ServicePortInfo>& ports, Findings* findings) {
  const ServiceSpec& spec = service.spec;
  if (spec.cluster_ip.empty() || spec.cluster_ip == "None") return;
  if (spec.type == ServiceType::kExternalName) return;
  const Reporter report(service, findings);
  const absl::string_view cluster_ip =
      ClusterIpOf(service, family, options.traits);
  if (cluster_ip.empty()) {
    if (IsWatched(service.metadata, options.traits) &&
        !IpAddress::ParseSloppy(spec.cluster_ip)) {
      report.Add(Finding::Effect::kSkipped,
                 absl::StrCat("\"", spec.cluster_ip, "\" is not an IP address"),
                 "spec.clusterIP");
    }
    return;
  }
  if (!IsWatched(service.metadata, options.traits)) return;
  const auto ip = IpAddress::ParseSloppy(cluster_ip);
  if (!ip || ip->family() != family) {
    report.Add(
        Finding::Effect::kRefused,
        absl::StrCat("\"", cluster_ip, "\" is not an ", IpFamilyName(family),
                     " address; the service is left out"),
        "spec.clusterIPs");
    return;
  }
  if (spec.ports.empty()) {
    report.Add(Finding::Effect::kSkipped,
               "the service has no ports; nothing is programmed", "spec.ports");
    return;
  }

  ServicePortInfo base = ReadService(service, family, *ip, options, report);
  const size_t first = ports.size();
  for (size_t i = 0; i < spec.ports.size(); ++i) {
    const ServicePort& port = spec.ports[i];
    if (!CheckPort(port, i, report)) continue;
    ServicePortInfo* info = nullptr;
    for (size_t k = first; k < ports.size(); ++k) {
      // 1.14 and before key ports by name alone.
      if (ports[k].port_name == port.name &&
          (!options.traits.endpoint_slices ||
           ports[k].protocol == port.protocol)) {
        info = &ports[k];
        report.Add(Finding::Effect::kIgnored,
                   absl::StrCat("the name \"", port.name,
                                "\" comes twice; the last port counts"),
                   "spec.ports[", i, "].name");
      }
    }
    if (info == nullptr) {
      const bool last = i + 1 == spec.ports.size();
      info = &ports.emplace_back(last ? std::move(base) : base);
      const bool colon =
          !port.name.empty() || options.traits.colon_of_unnamed_port;
      info->name =
          absl::StrCat(service.metadata.namespace_, "/", service.metadata.name,
                       colon ? ":" : "", port.name);
      info->port_name = port.name;
    }
    info->protocol = port.protocol;
    info->port = static_cast<uint16_t>(port.port);
    info->node_port = static_cast<uint16_t>(port.node_port);
  }
}

}  // namespace k8sdns::proxy
