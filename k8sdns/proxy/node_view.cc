#include "k8sdns/proxy/node_view.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace k8sdns::proxy {
namespace {

constexpr char kConfig[] = "KubeProxyConfiguration";
constexpr char kRouteLocalnet[] = "net/ipv4/conf/all/route_localnet=1";
constexpr char kTcpBeLiberal[] = "net/netfilter/nf_conntrack_tcp_be_liberal=1";

const IpAddress kLoopback4 = IpAddress::V4(0x7f000001);

IpAddress Loopback(IpFamily family) {
  return family == IpFamily::kIpv4
             ? kLoopback4
             : IpAddress::V6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
}

void Add(Findings* findings, Finding::Effect effect, absl::string_view field,
         std::string message) {
  if (findings == nullptr) return;
  findings->push_back(
      {effect, kConfig, std::string(field), std::move(message)});
}

std::vector<std::string> ClusterCidrs(const KubeProxyConfig& config) {
  std::vector<std::string> out;
  for (absl::string_view part : absl::StrSplit(config.cluster_cidr, ',')) {
    part = absl::StripAsciiWhitespace(part);
    if (!part.empty()) out.emplace_back(part);
  }
  return out;
}

std::optional<IpPrefix> FirstOfFamily(const std::vector<std::string>& cidrs,
                                      IpFamily family) {
  for (const std::string& text : cidrs) {
    const auto cidr = IpPrefix::Parse(text);
    if (cidr && cidr->family() == family) return cidr->Masked();
  }
  return std::nullopt;
}

LocalDetector MakeDetector(const Node* node, const KubeProxyConfig& config,
                           IpFamily family, const DialectTraits& traits,
                           Findings* findings) {
  const LocalMode mode = traits.local_detectors ? config.detect_local_mode
                                                : LocalMode::kClusterCidr;
  switch (mode) {
    case LocalMode::kBridgeInterface:
      return {LocalDetector::Kind::kInterface, {}, config.bridge_interface};
    case LocalMode::kInterfaceNamePrefix:
      return {LocalDetector::Kind::kInterfacePrefix,
              {},
              config.interface_name_prefix};
    case LocalMode::kNodeCidr: {
      std::vector<std::string> cidrs;
      if (node != nullptr) {
        cidrs = node->pod_cidrs;
        if (cidrs.empty() && !node->pod_cidr.empty()) {
          cidrs = {node->pod_cidr};
        }
      }
      if (cidrs.empty()) {
        Add(findings, Finding::Effect::kRefused, "detectLocalMode",
            "NodeCIDR, but the node has no spec.podCIDRs; kube-proxy waits for "
            "them and programs nothing");
      }
      if (const auto cidr = FirstOfFamily(cidrs, family)) {
        return {LocalDetector::Kind::kSource, *cidr, ""};
      }
      return {};
    }
    case LocalMode::kClusterCidr:
      break;
  }
  if (const auto cidr = FirstOfFamily(ClusterCidrs(config), family)) {
    return {LocalDetector::Kind::kSource, *cidr, ""};
  }
  return {};
}

// All addresses of the node; InternalIPs come before ExternalIPs.
std::vector<IpAddress> HostAddresses(const Node* node) {
  std::vector<IpAddress> out;
  if (node == nullptr) return out;
  for (NodeAddressType type :
       {NodeAddressType::kInternalIp, NodeAddressType::kExternalIp}) {
    for (const NodeAddress& a : node->addresses) {
      if (a.type != type) continue;
      if (const auto ip = IpAddress::ParseSloppy(a.address)) out.push_back(*ip);
    }
  }
  return out;
}

bool IsZeroCidr(const IpPrefix& cidr) {
  return cidr.length() == 0 && cidr.address().IsUnspecified();
}

void SelectNodePortAddresses(const KubeProxyConfig& config,
                             const DialectTraits& traits,
                             const std::vector<IpAddress>& all, NodeView& view,
                             bool& contains_loopback, Findings* findings) {
  std::vector<IpPrefix> cidrs;
  bool any_given = false;
  for (size_t i = 0; i < config.node_port_addresses.size(); ++i) {
    const std::string& text = config.node_port_addresses[i];
    if (text == "primary") {  // Kubernetes 1.31 and later
      cidrs.push_back(IpPrefix::Host(view.ip));
      any_given = true;
      continue;
    }
    const auto cidr = IpPrefix::Parse(text);
    if (!cidr) {
      Add(findings, Finding::Effect::kIgnored,
          absl::StrCat("nodePortAddresses[", i, "]"),
          absl::StrCat("\"", text, "\" is not a CIDR"));
      continue;
    }
    any_given = true;
    // 1.14 asks one zero CIDR of any family to match everything.
    if (cidr->family() == view.family ||
        (!traits.dual_stack && IsZeroCidr(*cidr))) {
      cidrs.push_back(cidr->Masked());
    }
  }
  const bool zero =
      std::any_of(cidrs.begin(), cidrs.end(),
                  [](const IpPrefix& c) { return c.length() == 0; });
  view.node_port_all = zero || (traits.dual_stack ? cidrs.empty() : !any_given);
  contains_loopback = view.node_port_all;
  for (const IpPrefix& cidr : cidrs) {
    contains_loopback |=
        cidr.address().IsLoopback() || cidr.Contains(IpAddress::V4(0x7f000000));
  }
  if (view.node_port_all) return;

  std::vector<std::pair<std::string, IpAddress>> matched;
  for (const IpAddress& ip : view.addresses) {
    for (const IpPrefix& cidr : cidrs) {
      if (cidr.Contains(ip)) {
        matched.emplace_back(ip.ToString(), ip);
        break;
      }
    }
  }
  std::sort(matched.begin(), matched.end());
  matched.erase(std::unique(matched.begin(), matched.end()), matched.end());
  for (const auto& entry : matched) view.node_port_ips.push_back(entry.second);
  if (!traits.dual_stack && matched.empty()) {
    // Addresses of the other family are found, and skipped later.
    view.node_port_lookup_fails = true;
    for (const std::string& text : config.node_port_addresses) {
      const auto cidr = IpPrefix::Parse(text);
      for (const IpAddress& ip : all) {
        if (cidr && cidr->Contains(ip)) view.node_port_lookup_fails = false;
      }
    }
  }
  if (view.node_port_ips.empty()) {
    Add(findings, Finding::Effect::kIgnored, "nodePortAddresses",
        absl::StrCat("no ", IpFamilyName(view.family),
                     " address of the node matches; node ports do not work"));
  }
}

}  // namespace

absl::Status CheckConfig(const KubeProxyConfig& config,
                         const DialectTraits& traits) {
  std::vector<std::string> errors;
  const int32_t bit = config.iptables.masquerade_bit.value_or(14);
  if (bit < 0 || bit > 31) {
    errors.push_back(absl::StrCat("iptables.masqueradeBit: ", bit,
                                  " is not in the range 0 to 31"));
  }
  const std::vector<std::string> cidrs = ClusterCidrs(config);
  std::vector<IpPrefix> prefixes;
  for (const std::string& text : cidrs) {
    if (const auto cidr = IpPrefix::Parse(text)) {
      prefixes.push_back(*cidr);
    } else {
      errors.push_back(
          absl::StrCat("clusterCIDR: \"", text, "\" is not a CIDR"));
    }
  }
  if (cidrs.size() > 2 ||
      (prefixes.size() == 2 && prefixes[0].family() == prefixes[1].family())) {
    errors.push_back("clusterCIDR: more than one CIDR of a family");
  }
  for (const std::string& text : config.node_port_addresses) {
    if (text != "primary" && !IpPrefix::Parse(text)) {
      errors.push_back(
          absl::StrCat("nodePortAddresses: \"", text, "\" is not a CIDR"));
    }
  }
  if (!config.bind_address.empty() &&
      !IpAddress::ParseSloppy(config.bind_address)) {
    errors.push_back(absl::StrCat("bindAddress: \"", config.bind_address,
                                  "\" is not an IP address"));
  }
  if (traits.local_detectors) {
    if (config.detect_local_mode == LocalMode::kBridgeInterface &&
        config.bridge_interface.empty()) {
      errors.push_back("detectLocal.bridgeInterface: must be given");
    }
    if (config.detect_local_mode == LocalMode::kInterfaceNamePrefix &&
        config.interface_name_prefix.empty()) {
      errors.push_back("detectLocal.interfaceNamePrefix: must be given");
    }
  } else if (prefixes.size() == 1 &&
             prefixes[0].family() != ProgrammedFamilies(config, traits)[0]) {
    errors.push_back("clusterCIDR: has another IP version than bindAddress");
  }
  if (errors.empty()) return absl::OkStatus();
  std::string message = kConfig;
  for (const std::string& e : errors) {
    absl::StrAppend(&message, message == kConfig ? ": " : "\n", e);
  }
  return absl::InvalidArgumentError(message);
}

std::vector<IpFamily> ProgrammedFamilies(const KubeProxyConfig& config,
                                         const DialectTraits& traits) {
  if (traits.dual_stack) return {IpFamily::kIpv4, IpFamily::kIpv6};
  const auto bind = IpAddress::ParseSloppy(config.bind_address);
  return {bind && bind->is_v6() ? IpFamily::kIpv6 : IpFamily::kIpv4};
}

NodeView MakeNodeView(const Node* node, const KubeProxyConfig& config,
                      IpFamily family, const DialectTraits& traits,
                      Findings* findings) {
  NodeView view;
  view.family = family;
  view.name = config.hostname_override;
  if (node != nullptr) {
    view.zone = std::string(node->Zone());
  } else {
    Add(findings, Finding::Effect::kIgnored, "hostnameOverride",
        absl::StrCat("there is no Node \"", config.hostname_override,
                     "\"; it has no addresses and no zone"));
  }

  const std::vector<IpAddress> host = HostAddresses(node);
  view.ip = Loopback(family);
  for (auto it = host.rbegin(); it != host.rend(); ++it) {
    if (it->family() == family) view.ip = *it;
  }
  const auto bind = IpAddress::ParseSloppy(config.bind_address);
  if (bind && !bind->IsUnspecified() && bind->family() == family) {
    view.ip = *bind;
  }

  std::vector<IpAddress> all = host;
  all.push_back(Loopback(IpFamily::kIpv4));
  all.push_back(Loopback(IpFamily::kIpv6));
  for (const IpAddress& ip : all) {
    if (ip.family() == family) view.addresses.push_back(ip);
  }

  bool contains_loopback = false;
  SelectNodePortAddresses(config, traits, all, view, contains_loopback,
                          findings);
  view.localhost_node_ports =
      family == IpFamily::kIpv4 &&
      (!traits.local_detectors ||
       (config.iptables.localhost_node_ports && contains_loopback));
  view.local = MakeDetector(node, config, family, traits, findings);
  return view;
}

std::vector<std::string> IptablesSysctls(const KubeProxyConfig& config,
                                         const DialectTraits& traits) {
  std::vector<std::string> out;
  const bool localnet = !traits.local_detectors ||
                        MakeNodeView(nullptr, config, IpFamily::kIpv4, traits)
                            .localhost_node_ports;
  if (localnet) out.push_back(kRouteLocalnet);
  if (traits.local_detectors && config.conntrack.tcp_be_liberal) {
    out.push_back(kTcpBeLiberal);
  }
  return out;
}

}  // namespace k8sdns::proxy
