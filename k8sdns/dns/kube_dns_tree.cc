#include "k8sdns/dns/kube_dns_tree.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "k8sdns/dns/domain_name.h"

namespace k8sdns::dns {
namespace {

// The label that stands for an address without a hostname: FNV-1a of the
// record as Go prints it, twice in hexadecimal.
std::string RecordLabel(absl::string_view host) {
  constexpr char kDigits[] = "0123456789abcdef";
  uint32_t hash = 2166136261u;
  for (absl::string_view part :
       {absl::string_view("&{"), host,
        absl::string_view(" 0 10 10  false 30 0  }")}) {
    for (char c : part) {
      hash ^= static_cast<uint8_t>(c);
      hash *= 16777619u;
    }
  }
  std::string label;
  label.reserve(16);
  int shift = 28;
  while (shift > 0 && hash >> shift == 0) shift -= 4;
  for (; shift >= 0; shift -= 4) {
    // Digits are 0x30.., letters 0x61...
    const uint32_t digit = hash >> shift & 15;
    label.push_back(digit < 10 ? '3' : '6');
    label.push_back(kDigits[digit < 10 ? digit : digit - 9]);
  }
  return label;
}

bool HasClusterIp(const Service& service) {
  return service.spec.cluster_ip != "None" && !service.spec.cluster_ip.empty();
}

// An address as Go prints it.
std::string Printed(const std::optional<IpAddress>& address) {
  return address.has_value() ? address->ToString() : "<nil>";
}

TreeRecord RecordOf(std::optional<IpAddress> address, absl::string_view text) {
  TreeRecord record;
  record.address = address;
  if (!address.has_value()) record.host = std::string(text);
  return record;
}

TreeRecord NameRecord(std::string host, int32_t port) {
  TreeRecord record;
  record.host = std::move(host);
  record.port = port;
  return record;
}

// "_TCP" in lower case.
std::string ProtocolLabel(Protocol protocol) {
  return absl::StrCat("_",
                      absl::AsciiStrToLower(KubernetesProtocolName(protocol)));
}

// True if a named port of this protocol hangs below `protocol` and `port`; an
// empty `port` stands for any.
bool PortAt(absl::string_view name, Protocol port_protocol,
            absl::string_view protocol, absl::string_view port) {
  if (name.empty() || ProtocolLabel(port_protocol) != protocol) return false;
  return port.empty() || (port[0] == '_' && port.substr(1) == name);
}

// Maps here have no order of their own.
template <typename Map>
std::vector<absl::string_view> SortedKeys(const Map& map) {
  std::vector<absl::string_view> keys;
  keys.reserve(map.size());
  for (const auto& [key, unused] : map) keys.push_back(key);
  std::sort(keys.begin(), keys.end());
  return keys;
}

}  // namespace

KubeDnsTree::KubeDnsTree(const Cluster& cluster, std::string domain)
    : domain_(std::move(domain)) {
  for (absl::string_view label : SplitLabels(domain_)) {
    domain_path_.emplace_back(label);
  }
  std::reverse(domain_path_.begin(), domain_path_.end());
  objects_.reserve(cluster.services().size());
  reverse_.reserve(cluster.services().size());
  const auto& services = cluster.services();
  for (auto it = services.begin(); it != services.end(); ++it) {
    AddService(it.shared(), cluster);
  }
}

std::string KubeDnsTree::NameOf(const Service& service) const {
  return absl::StrCat(service.metadata.name, ".", service.metadata.namespace_,
                      ".svc.", domain_);
}

void KubeDnsTree::AddService(const ObjectSet<Service>::Pointer& pointer,
                             const Cluster& cluster) {
  const Service& service = *pointer;
  const ObjectMeta& meta = service.metadata;
  ServiceRef ref;
  ref.service = &service;
  if (service.spec.type == ServiceType::kExternalName) {
    objects_.push_back(pointer);
    namespaces_[meta.namespace_].external[meta.name] = &service;
    return;
  }
  if (HasClusterIp(service)) {
    const auto add = [&](const std::string& text) {
      ref.addresses.push_back(ParseGoIp(text));
      reverse_[Printed(ref.addresses.back())] = NameOf(service);
    };
    if (service.spec.cluster_ips.empty()) {
      add(service.spec.cluster_ip);
    } else {
      for (const std::string& text : service.spec.cluster_ips) add(text);
    }
  } else {
    // Without an Endpoints object, nothing is known of a headless Service.
    const auto& endpoints = cluster.endpoints();
    const auto found = endpoints.LowerBound(meta.namespace_, meta.name);
    if (found == endpoints.end() || !(KeyOf(found->metadata) == KeyOf(meta))) {
      return;
    }
    objects_.push_back(found.shared());
    ref.endpoints = &*found;
    for (const EndpointSubset& subset : found->subsets) {
      for (const EndpointAddress& address : subset.addresses) {
        if (address.hostname.empty()) continue;
        reverse_[address.ip] =
            absl::StrCat(address.hostname, ".", NameOf(service));
      }
    }
  }
  objects_.push_back(pointer);
  namespaces_[meta.namespace_].services[names_.Store(meta.name)] =
      std::move(ref);
}

const std::string* KubeDnsTree::FindReverse(absl::string_view address) const {
  auto it = reverse_.find(address);
  return it == reverse_.end() ? nullptr : &it->second;
}

bool KubeDnsTree::HasPort(const ServiceRef& ref, absl::string_view protocol,
                          absl::string_view port) const {
  if (ref.endpoints == nullptr) {
    const auto& ports = ref.service->spec.ports;
    return std::any_of(ports.begin(), ports.end(), [&](const ServicePort& p) {
      return PortAt(p.name, p.protocol, protocol, port);
    });
  }
  for (const EndpointSubset& subset : ref.endpoints->subsets) {
    // A port is stored with an address only.
    if (subset.addresses.empty()) continue;
    for (const EndpointPort& p : subset.ports) {
      if (p.protocol.has_value() &&
          PortAt(p.name.value_or(""), *p.protocol, protocol, port)) {
        return true;
      }
    }
  }
  return false;
}

std::optional<KubeDnsTree::Node> KubeDnsTree::Child(
    const Node& node, absl::string_view label) const {
  Node child = node;
  switch (node.level) {
    case Node::Level::kDomain:
      if (node.depth < domain_path_.size()) {
        if (domain_path_[node.depth] != label) return std::nullopt;
        child.depth = node.depth + 1;
        return child;
      }
      if (label != "svc") return std::nullopt;
      child.level = Node::Level::kSvc;
      return child;
    case Node::Level::kSvc: {
      auto it = namespaces_.find(label);
      if (it == namespaces_.end()) return std::nullopt;
      child.level = Node::Level::kNamespace;
      child.namespace_ = &it->second;
      return child;
    }
    case Node::Level::kNamespace: {
      auto it = node.namespace_->services.find(label);
      if (it == node.namespace_->services.end()) return std::nullopt;
      child.level = Node::Level::kService;
      child.service = &it->second;
      return child;
    }
    case Node::Level::kService:
      if (!HasPort(*node.service, label, "")) return std::nullopt;
      child.level = Node::Level::kProtocol;
      child.protocol = label;
      return child;
    case Node::Level::kProtocol:
      if (!HasPort(*node.service, node.protocol, label)) return std::nullopt;
      child.level = Node::Level::kPort;
      child.port = label;
      return child;
    case Node::Level::kPort:
      return std::nullopt;
  }
  return std::nullopt;
}

// Protocols and ports begin with an underscore: a wildcard does not see them.
std::vector<KubeDnsTree::Node> KubeDnsTree::VisibleChildren(
    const Node& node) const {
  std::vector<Node> children;
  if (node.level == Node::Level::kDomain) {
    const bool end = node.depth == domain_path_.size();
    children.push_back(*Child(node, end ? "svc" : domain_path_[node.depth]));
    return children;
  }
  std::vector<absl::string_view> labels;
  if (node.level == Node::Level::kSvc) {
    labels = SortedKeys(namespaces_);
  } else if (node.level == Node::Level::kNamespace) {
    labels = SortedKeys(node.namespace_->services);
  }
  for (absl::string_view label : labels) {
    children.push_back(*Child(node, label));
  }
  return children;
}

void KubeDnsTree::AddPortalEntries(const Node& node,
                                   std::vector<Entry>& entries) const {
  const Service& service = *node.service->service;
  const std::string name = NameOf(service);
  for (const std::optional<IpAddress>& address : node.service->addresses) {
    const std::string ip = Printed(address);
    std::string label = RecordLabel(ip);
    if (node.level == Node::Level::kService) {
      TreeRecord record = RecordOf(address, ip);
      record.own_name = absl::StrCat(label, ".", name);
      entries.push_back({std::move(label), std::move(record)});
      continue;
    }
    for (const ServicePort& port : service.spec.ports) {
      if (!PortAt(port.name, port.protocol, node.protocol, node.port)) continue;
      entries.push_back({label, NameRecord(name, port.port)});
    }
  }
}

void KubeDnsTree::AddHeadlessEntries(const Node& node,
                                     std::vector<Entry>& entries) const {
  const std::string name = NameOf(*node.service->service);
  for (const EndpointSubset& subset : node.service->endpoints->subsets) {
    for (const EndpointAddress& address : subset.addresses) {
      const std::string label =
          address.hostname.empty() ? RecordLabel(address.ip) : address.hostname;
      std::string own_name = absl::StrCat(label, ".", name);
      if (node.level == Node::Level::kService) {
        TreeRecord record = RecordOf(ParseGoIp(address.ip), address.ip);
        record.own_name = std::move(own_name);
        entries.push_back({label, std::move(record)});
        continue;
      }
      for (const EndpointPort& port : subset.ports) {
        if (!port.protocol.has_value() ||
            !PortAt(port.name.value_or(""), *port.protocol, node.protocol,
                    node.port)) {
          continue;
        }
        entries.push_back({label, NameRecord(own_name, port.port.value_or(0))});
      }
    }
  }
}

std::vector<KubeDnsTree::Entry> KubeDnsTree::Entries(const Node& node) const {
  std::vector<Entry> entries;
  if (node.level == Node::Level::kNamespace) {
    for (absl::string_view name : SortedKeys(node.namespace_->external)) {
      entries.push_back({std::string(name), *FindEntry(node, name)});
    }
  } else if (node.level == Node::Level::kService ||
             node.level == Node::Level::kPort) {
    if (node.service->endpoints == nullptr) {
      AddPortalEntries(node, entries);
    } else {
      AddHeadlessEntries(node, entries);
    }
  }
  if (entries.size() < 2) return entries;
  // A later entry with the same key takes the place of an earlier one.
  absl::flat_hash_map<std::string, size_t> places;
  std::vector<Entry> unique;
  for (Entry& entry : entries) {
    const auto [place, added] = places.try_emplace(entry.key, unique.size());
    if (added) {
      unique.push_back(std::move(entry));
    } else {
      unique[place->second] = std::move(entry);
    }
  }
  return unique;
}

void KubeDnsTree::AddRecords(const Node& node, OwnNames own_names,
                             std::vector<TreeRecord>& records) const {
  if (own_names == OwnNames::kYes || node.level != Node::Level::kService) {
    for (Entry& entry : Entries(node)) {
      records.push_back(std::move(entry.record));
    }
    return;
  }
  // The common case: addresses, without the labels that stand for them.
  if (node.service->endpoints == nullptr) {
    for (const std::optional<IpAddress>& address : node.service->addresses) {
      records.push_back(RecordOf(address, "<nil>"));
    }
    return;
  }
  absl::flat_hash_map<absl::string_view, size_t> places;
  for (const EndpointSubset& subset : node.service->endpoints->subsets) {
    for (const EndpointAddress& address : subset.addresses) {
      const std::string& key =
          address.hostname.empty() ? address.ip : address.hostname;
      TreeRecord record = RecordOf(ParseGoIp(address.ip), address.ip);
      const auto [place, added] = places.try_emplace(key, records.size());
      if (added) {
        records.push_back(std::move(record));
      } else {
        records[place->second] = std::move(record);
      }
    }
  }
}

std::vector<TreeRecord> KubeDnsTree::Find(
    absl::Span<const absl::string_view> path, OwnNames own_names) const {
  std::vector<TreeRecord> records;
  absl::InlinedVector<Node, 1> nodes = {Node()};
  for (size_t i = 0; i < path.size(); ++i) {
    const absl::string_view label = path[i];
    const bool last = i + 1 == path.size();
    if (label == "*" && last) break;  // all entries of the nodes so far
    absl::InlinedVector<Node, 1> next;
    for (const Node& node : nodes) {
      if (label == "*") {
        for (const Node& child : VisibleChildren(node)) next.push_back(child);
        continue;
      }
      if (last) {
        // An entry of this name hides a child of this name.
        if (auto record = FindEntry(node, label)) {
          records.push_back(*std::move(record));
          continue;
        }
      }
      if (auto child = Child(node, label)) next.push_back(*child);
    }
    nodes = std::move(next);
  }
  for (const Node& node : nodes) AddRecords(node, own_names, records);
  return records;
}

std::optional<TreeRecord> KubeDnsTree::FindEntry(const Node& node,
                                                 absl::string_view key) const {
  if (node.level == Node::Level::kNamespace) {
    auto it = node.namespace_->external.find(key);
    if (it == node.namespace_->external.end()) return std::nullopt;
    const std::string& name = it->second->spec.external_name;
    TreeRecord record = RecordOf(ParseGoIp(name), name);
    record.own_name = NameOf(*it->second);
    return record;
  }
  for (Entry& entry : Entries(node)) {
    if (entry.key == key) return std::move(entry.record);
  }
  return std::nullopt;
}

std::optional<TreeRecord> KubeDnsTree::FindExact(
    absl::Span<const absl::string_view> path) const {
  if (path.empty()) return std::nullopt;
  Node node;
  for (absl::string_view label : path.subspan(0, path.size() - 1)) {
    std::optional<Node> child = Child(node, label);
    if (!child.has_value()) return std::nullopt;
    node = *child;
  }
  return FindEntry(node, path.back());
}

}  // namespace k8sdns::dns
