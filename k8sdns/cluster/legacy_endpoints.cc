#include "k8sdns/cluster/legacy_endpoints.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "k8sdns/cluster/endpoint_set.h"
#include "k8sdns/net/ip_address.h"

namespace k8sdns::endpoints_internal {
namespace {

constexpr size_t kMaxAddresses = 1000;
constexpr char kOverCapacityAnnotation[] =
    "endpoints.kubernetes.io/over-capacity";
constexpr char kEndpointsManagedByLabel[] =
    "endpoints.kubernetes.io/managed-by";
constexpr char kEndpointsController[] = "endpoint-controller";

absl::string_view TargetUid(const EndpointAddress& address) {
  return address.target_ref ? address.target_ref->uid.view() : "";
}

bool AddressLess(const EndpointAddress& a, const EndpointAddress& b) {
  if (a.ip != b.ip) return a.ip < b.ip;
  if (!b.target_ref) return false;
  return !a.target_ref || a.target_ref->uid < b.target_ref->uid;
}

bool AddressesLess(const std::vector<EndpointAddress>& a,
                   const std::vector<EndpointAddress>& b) {
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(),
                                      AddressLess);
}

bool SubsetLess(const EndpointSubset& a, const EndpointSubset& b) {
  const auto ports_less = [](const auto& x, const auto& y) {
    return std::lexicographical_compare(x.begin(), x.end(), y.begin(), y.end(),
                                        PortLess);
  };
  if (ports_less(a.ports, b.ports)) return true;
  if (ports_less(b.ports, a.ports)) return false;
  if (AddressesLess(a.addresses, b.addresses)) return true;
  if (AddressesLess(b.addresses, a.addresses)) return false;
  return AddressesLess(a.not_ready_addresses, b.not_ready_addresses);
}

bool WantsIpv6(const Service& service, const Pod& pod) {
  if (!service.spec.ip_families.empty()) {
    return service.spec.ip_families[0] == IpFamily::kIpv6;
  }
  // Not filled in by the API server: the cluster IP says it, or the Pod.
  std::string ip = service.spec.cluster_ip;
  if (LacksClusterIp(service)) {
    const auto addresses = pod.Addresses();
    ip = pod.status.pod_ip.empty() && !addresses.empty() ? addresses[0]
                                                         : pod.status.pod_ip;
  }
  const auto address = IpAddress::ParseSloppy(ip);
  return address && address->is_v6();
}

std::optional<EndpointAddress> AddressOf(const Service& service, const Pod& pod,
                                         const Context& context) {
  const bool ipv6 = WantsIpv6(service, pod);
  for (const std::string& text : pod.Addresses()) {
    const auto ip = IpAddress::ParseSloppy(text);
    if (!ip || ip->is_v6() != ipv6) continue;
    EndpointAddress address;
    address.ip = ip->ToString();
    // The controller names a node in any case, and the API server refuses an
    // empty name; input that leaves out Nodes is taken as it is.
    if (context.options.hide_pods_of_unknown_nodes ||
        !pod.spec.node_name.empty()) {
      address.node_name = pod.spec.node_name;
    }
    address.target_ref = ObjectReference{"Pod", pod.metadata.namespace_,
                                         pod.metadata.name, pod.metadata.uid};
    if (HasHostnameIn(pod, service)) address.hostname = pod.spec.hostname;
    return address;
  }
  return std::nullopt;
}

std::vector<EndpointSubset> SubsetsOf(const Service& service,
                                      const std::vector<const Pod*>& pods,
                                      const Context& context) {
  const bool publish = service.spec.publish_not_ready_addresses;
  SubsetPacker packer;
  for (const Pod* pod : pods) {
    if (!BelongsInEndpoints(*pod, /*include_terminating=*/publish)) continue;
    const auto address = AddressOf(service, *pod, context);
    if (!address) continue;
    const bool ready = publish || pod->IsReady();
    if (service.spec.ports.empty() && service.IsHeadless()) {
      packer.Add(*address, nullptr, 0, ready);
    }
    for (size_t i = 0; i < service.spec.ports.size(); ++i) {
      const ServicePort& p = service.spec.ports[i];
      const auto number =
          FindPort(*pod, p, context.options.sidecar_ports_in_endpoints);
      if (!number) continue;
      const EndpointPort port = {p.name, p.protocol, *number, p.app_protocol};
      packer.Add(*address, &port, static_cast<int>(i), ready);
    }
  }
  return packer.Pack();
}

size_t CountAddresses(const std::vector<EndpointSubset>& subsets) {
  size_t count = 0;
  for (const EndpointSubset& s : subsets) {
    count += s.addresses.size() + s.not_ready_addresses.size();
  }
  return count;
}

// Cuts to kMaxAddresses, ready ones first, each subset by its share.
bool Truncate(std::vector<EndpointSubset>& subsets) {
  size_t ready = 0;
  for (const EndpointSubset& s : subsets) ready += s.addresses.size();
  const size_t total = CountAddresses(subsets);
  if (total <= kMaxAddresses) return false;
  const bool cut_ready = ready > kMaxAddresses;
  const size_t room = cut_ready ? kMaxAddresses : kMaxAddresses - ready;
  const size_t of = cut_ready ? ready : total - ready;
  size_t left = room;
  for (EndpointSubset& s : subsets) {
    auto& list = cut_ready ? s.addresses : s.not_ready_addresses;
    const double share =
        static_cast<double>(list.size()) / static_cast<double>(of);
    const auto wanted =
        static_cast<size_t>(std::ceil(share * static_cast<double>(room)));
    const size_t keep = std::min({wanted, left, list.size()});
    list.resize(keep);
    left -= keep;
    if (cut_ready) s.not_ready_addresses.clear();
  }
  return true;
}

bool IsDnsLabel(absl::string_view text) {
  return !text.empty() && text.size() <= 63 && text.front() != '-' &&
         text.back() != '-' &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-';
         });
}

bool IsDnsSubdomain(absl::string_view text) {
  if (text.size() > 253) return false;
  for (absl::string_view label : absl::StrSplit(text, '.')) {
    if (!IsDnsLabel(label)) return false;
  }
  return true;
}

// Loopback, link-local and the like can't be endpoints.
bool IsSpecial(const IpAddress& ip) {
  static constexpr IpPrefix kLinkLocalMulticast4(IpAddress::V4(0xE0000000), 24);
  if (ip.IsUnspecified() || ip.IsLoopback() || ip.IsLinkLocal()) return true;
  if (ip.is_v4()) return kLinkLocalMulticast4.Contains(ip);
  return ip.bytes()[0] == 0xFF && (ip.bytes()[1] & 0x0F) == 0x02;
}

// Why the API server refuses an address (validation of core/v1 Endpoints);
// empty if it does not.
std::string RefusalOf(const EndpointAddress& a) {
  const auto ip = IpAddress::ParseSloppy(a.ip);
  if (!ip || IsSpecial(*ip)) {
    return absl::StrCat("address ", a.ip, " can't be an endpoint");
  }
  if (!a.hostname.empty() && !IsDnsLabel(a.hostname)) {
    return absl::StrCat("hostname \"", a.hostname, "\" is not a DNS label");
  }
  if (a.node_name && !IsDnsSubdomain(*a.node_name)) {
    return absl::StrCat("address ", a.ip, " has the node name \"",
                        a.node_name->view(), "\"");
  }
  return "";
}

std::string RefusalOf(const std::vector<EndpointSubset>& subsets) {
  for (const EndpointSubset& s : subsets) {
    // Truncation may have left nothing of a subset.
    if (s.addresses.empty() && s.not_ready_addresses.empty()) {
      return "a subset has no addresses";
    }
    for (const auto* list : {&s.addresses, &s.not_ready_addresses}) {
      for (const EndpointAddress& a : *list) {
        if (std::string why = RefusalOf(a); !why.empty()) return why;
      }
    }
    for (const EndpointPort& p : s.ports) {
      const std::string name = p.name.value_or("");
      if (name.empty() ? s.ports.size() > 1 : !IsDnsLabel(name)) {
        return absl::StrCat("port name \"", name, "\"");
      }
      if (!p.port || *p.port < 1 || *p.port > 65535) {
        return absl::StrCat("port number ", p.port.value_or(0));
      }
    }
  }
  return "";
}

// The labels of the Service, and what the controller adds.
StringMap LabelsFor(const Service& service, const Context& context) {
  StringMap labels = service.metadata.labels;
  if (LacksClusterIp(service)) {
    labels[kHeadlessLabel] = "";
  } else {
    labels.erase(kHeadlessLabel);
  }
  if (context.options.label_managed_endpoints) {
    labels[kEndpointsManagedByLabel] = kEndpointsController;
  }
  return labels;
}

// The headless label of what is there is not looked at.
bool HasLabelsFor(const Endpoints& current, const Service& service,
                  const Context& context) {
  StringMap have = current.metadata.labels;
  have.erase(kHeadlessLabel);
  StringMap want = service.metadata.labels;
  if (context.options.label_managed_endpoints) {
    want[kEndpointsManagedByLabel] = kEndpointsController;
  }
  return have == want;
}

bool HasRightCapacityAnnotation(const Endpoints& current) {
  return CountAddresses(current.subsets) <= kMaxAddresses &&
         !current.metadata.annotations.contains(kOverCapacityAnnotation);
}

}  // namespace

void SubsetPacker::Add(const EndpointAddress& address, const EndpointPort* port,
                       int instance, bool ready) {
  const auto [it, inserted] = address_index_.try_emplace(
      std::make_pair(address.ip, std::string(TargetUid(address))),
      addresses_.size());
  if (inserted) addresses_.push_back(address);
  PortId id(false, "", 0, Protocol::kTcp, "", 0);
  if (port != nullptr) {
    id = PortId(true, port->name.value_or(""), port->port.value_or(0),
                port->protocol.value_or(Protocol::kTcp),
                port->app_protocol.value_or(""),
                port->app_protocol ? instance + 1 : 0);
  }
  PortEntry& entry = ports_[id];
  if (port != nullptr && !entry.port) entry.port = *port;
  bool& state =
      entry.ready_by_address.try_emplace(it->second, ready).first->second;
  state = state && ready;
}

std::vector<EndpointSubset> SubsetPacker::Pack() const {
  std::map<std::map<size_t, bool>, std::vector<EndpointPort>> ports_of;
  for (const auto& [id, entry] : ports_) {
    std::vector<EndpointPort>& ports = ports_of[entry.ready_by_address];
    if (entry.port) ports.push_back(*entry.port);
  }
  std::vector<EndpointSubset> subsets;
  for (auto& [ready_by_address, ports] : ports_of) {
    EndpointSubset& subset = subsets.emplace_back();
    subset.ports = ports;
    for (const auto& [index, ready] : ready_by_address) {
      (ready ? subset.addresses : subset.not_ready_addresses)
          .push_back(addresses_[index]);
    }
  }
  return Normalized(std::move(subsets));
}

std::vector<EndpointSubset> RepackSubsets(
    const std::vector<EndpointSubset>& subsets) {
  SubsetPacker packer;
  int instance = 0;
  for (const EndpointSubset& s : subsets) {
    const auto add = [&](const EndpointPort* port) {
      for (const EndpointAddress& a : s.addresses) {
        packer.Add(a, port, instance, true);
      }
      for (const EndpointAddress& a : s.not_ready_addresses) {
        packer.Add(a, port, instance, false);
      }
    };
    if (s.ports.empty()) add(nullptr);
    for (const EndpointPort& port : s.ports) {
      add(&port);
      ++instance;
    }
  }
  return packer.Pack();
}

std::vector<EndpointSubset> Normalized(std::vector<EndpointSubset> subsets) {
  for (EndpointSubset& s : subsets) {
    SetDefaults(s.ports);
    std::sort(s.ports.begin(), s.ports.end(), PortLess);
    std::stable_sort(s.addresses.begin(), s.addresses.end(), AddressLess);
    std::stable_sort(s.not_ready_addresses.begin(), s.not_ready_addresses.end(),
                     AddressLess);
  }
  std::stable_sort(subsets.begin(), subsets.end(), SubsetLess);
  return subsets;
}

std::optional<Endpoints> PlanEndpoints(const Service& service,
                                       const std::vector<const Pod*>& pods,
                                       const Endpoints* current,
                                       absl::string_view trigger_time,
                                       const Context& context) {
  std::vector<EndpointSubset> subsets = SubsetsOf(service, pods, context);
  if (current != nullptr && Normalized(current->subsets) == subsets &&
      HasLabelsFor(*current, service, context) &&
      HasRightCapacityAnnotation(*current)) {
    return std::nullopt;
  }
  Endpoints next;
  if (current != nullptr) next.metadata = current->metadata;
  next.metadata.namespace_ = service.metadata.namespace_;
  next.metadata.name = service.metadata.name;
  next.metadata.labels = LabelsFor(service, context);
  StringMap& annotations = next.metadata.annotations;
  if (trigger_time.empty()) {
    annotations.erase(kTriggerTimeAnnotation);
  } else {
    annotations[kTriggerTimeAnnotation] = std::string(trigger_time);
  }
  const size_t count = CountAddresses(subsets);
  if (Truncate(subsets)) {
    annotations[kOverCapacityAnnotation] = "truncated";
    context.findings->push_back(
        About(service, "endpoints/truncated", "spec.selector",
              absl::StrCat("Endpoints hold ", kMaxAddresses, " of ", count,
                           " addresses; EndpointSlices hold all")));
  } else {
    annotations.erase(kOverCapacityAnnotation);
  }
  if (std::string why = RefusalOf(subsets); !why.empty()) {
    context.findings->push_back(
        About(service, "endpoints/refused", "",
              absl::StrCat("the API server refuses the Endpoints: ", why)));
    return std::nullopt;
  }
  next.subsets = std::move(subsets);
  return next;
}

bool IsLeaderElectionLock(const Endpoints& endpoints) {
  return endpoints.metadata.annotations.contains(
      "control-plane.alpha.kubernetes.io/leader");
}

}  // namespace k8sdns::endpoints_internal
