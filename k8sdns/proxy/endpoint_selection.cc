#include "k8sdns/proxy/endpoint_selection.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace k8sdns::proxy {
namespace {

// "[", an address, "]:", a port.
constexpr size_t kMaxEndpointText = IpAddress::kMaxTextSize + 8;

void Report(const EndpointReader& reader, Finding::Effect effect,
            absl::string_view kind, const ObjectMeta& meta, std::string field,
            std::string message) {
  if (reader.findings == nullptr) return;
  reader.findings->push_back(
      {effect, absl::StrCat(kind, " ", meta.namespace_, "/", meta.name),
       std::move(field), std::move(message)});
}

// kube-proxy leaves out port 0 and, of slices, ports without a number or a
// name.
bool ReadPort(const EndpointReader& reader, absl::string_view kind,
              const ObjectMeta& meta, const EndpointPort& port, size_t index,
              CompactSlice& out) {
  if (!port.port || *port.port < 1 || *port.port > 65535) {
    Report(reader, Finding::Effect::kIgnored, kind, meta,
           absl::StrCat("ports[", index, "].port"),
           "no usable port number; the port is skipped");
    return false;
  }
  out.ports.push_back({port.name.value_or(""),
                       port.protocol.value_or(Protocol::kTcp),
                       static_cast<uint16_t>(*port.port)});
  return true;
}

void Append(const CompactEndpoint& endpoint, uint16_t port, EndpointList& out) {
  EndpointInfo info;
  info.address = endpoint.address;
  info.port = port;
  info.flags = endpoint.flags;
  info.zone_hints = endpoint.zone_hints;
  info.node_hints = endpoint.node_hints;
  info.text_begin = static_cast<uint32_t>(out.texts.size());
  char text[kMaxEndpointText];
  char* at = text;
  if (endpoint.address.is_v6()) *at++ = '[';
  char* const address = at;
  at = endpoint.address.WriteTo(at);
  info.address_size = static_cast<uint8_t>(at - address);
  if (endpoint.address.is_v6()) *at++ = ']';
  *at++ = ':';
  at = std::to_chars(at, at + 5, port).ptr;
  info.text_size = static_cast<uint8_t>(at - text);
  out.texts.append(text, info.text_size);
  out.endpoints.push_back(info);
}

// Sorts by text and keeps one of each.
void SortAndDeduplicate(EndpointList& list) {
  auto less = [&](const EndpointInfo& a, const EndpointInfo& b) {
    return list.text(a) < list.text(b);
  };
  auto& endpoints = list.endpoints;
  bool strictly_sorted = true;
  for (size_t i = 1; i < endpoints.size() && strictly_sorted; ++i) {
    strictly_sorted = less(endpoints[i - 1], endpoints[i]);
  }
  if (strictly_sorted) return;
  std::stable_sort(endpoints.begin(), endpoints.end(), less);
  // Of equal ones the last local one stays, else the first
  // (endpointslicecache.go, addEndpoints).
  size_t kept = 0;
  for (size_t i = 1; i < endpoints.size(); ++i) {
    if (list.text(endpoints[kept]) == list.text(endpoints[i])) {
      if (endpoints[i].local()) endpoints[kept] = endpoints[i];
    } else {
      endpoints[++kept] = endpoints[i];
    }
  }
  endpoints.resize(kept + 1);
}

enum class TopologyMode { kNone, kZone, kNode };

// canUseTopology of 1.30, topologyModeFromHints of newer versions.
TopologyMode ModeFromHints(const EndpointList& list,
                           const ServicePortInfo& port,
                           const ProxyFeatures& features,
                           const HintSets& zone_hints,
                           const HintSets& node_hints) {
  if (!features.topology_aware_hints) return TopologyMode::kNone;
  if (!features.service_traffic_distribution && !features.prefer_same_node &&
      !port.hints_annotation) {
    return TopologyMode::kNone;
  }
  bool any_ready = false;
  bool all_zones = true;
  bool all_nodes = true;
  bool in_zone = false;
  bool on_node = false;
  for (const EndpointInfo& e : list.endpoints) {
    if (!e.ready()) continue;
    any_ready = true;
    all_zones &= e.zone_hints != 0;
    in_zone |= zone_hints.Contains(e.zone_hints);
    all_nodes &= e.node_hints != 0;
    on_node |= node_hints.Contains(e.node_hints);
  }
  if (!any_ready) return TopologyMode::kNone;
  if (features.prefer_same_node && all_nodes && on_node) {
    return TopologyMode::kNode;
  }
  return all_zones && in_zone ? TopologyMode::kZone : TopologyMode::kNone;
}

template <typename Predicate>
void Filter(const EndpointList& list, Predicate predicate,
            std::vector<uint32_t>& out) {
  for (uint32_t i = 0; i < list.endpoints.size(); ++i) {
    if (predicate(list.endpoints[i])) out.push_back(i);
  }
}

bool IsFallback(const EndpointInfo& e) {
  return e.serving() && e.terminating();
}

void SelectCluster(const EndpointList& list, TopologyMode mode,
                   const HintSets& zone_hints, const HintSets& node_hints,
                   std::vector<uint32_t>& out) {
  Filter(
      list,
      [&](const EndpointInfo& e) {
        return e.ready() && (mode == TopologyMode::kNone ||
                             (mode == TopologyMode::kZone &&
                              zone_hints.Contains(e.zone_hints)) ||
                             (mode == TopologyMode::kNode &&
                              node_hints.Contains(e.node_hints)));
      },
      out);
  // There is no ready endpoint anywhere: the hints were ignored in that case.
  if (out.empty()) Filter(list, IsFallback, out);
}

}  // namespace

uint32_t HintSets::Intern(const std::vector<std::string>& names) {
  if (names.empty()) return 0;
  auto [it, added] = by_key_.try_emplace(
      absl::StrJoin(names, "\n"), static_cast<uint32_t>(contains_.size()));
  if (added) {
    sets_.push_back(names);
    contains_.push_back(!own_.empty() && std::find(names.begin(), names.end(),
                                                   own_) != names.end());
  }
  return it->second;
}

void HintSets::SetOwn(absl::string_view own) {
  own_ = std::string(own);
  for (size_t i = 0; i < sets_.size(); ++i) {
    contains_[i + 1] =
        !own_.empty() &&
        std::find(sets_[i].begin(), sets_[i].end(), own_) != sets_[i].end();
  }
}

bool EndpointReader::ReadSlice(const EndpointSlice& slice,
                               CompactSlice& out) const {
  const AddressType wanted =
      family == IpFamily::kIpv4 ? AddressType::kIpv4 : AddressType::kIpv6;
  if (slice.address_type != wanted) return false;
  if (slice.ServiceName().empty()) {
    Report(
        *this, Finding::Effect::kSkipped, "EndpointSlice", slice.metadata,
        "metadata.labels",
        absl::StrCat("no label ", kServiceNameLabel, "; the slice is skipped"));
    return false;
  }
  out.name = slice.metadata.name;
  out.ports.clear();
  out.endpoints.clear();
  out.addresses_as_written.clear();
  for (size_t i = 0; i < slice.ports.size(); ++i) {
    ReadPort(*this, "EndpointSlice", slice.metadata, slice.ports[i], i, out);
  }
  out.endpoints.reserve(slice.endpoints.size());
  for (size_t i = 0; i < slice.endpoints.size(); ++i) {
    const Endpoint& endpoint = slice.endpoints[i];
    if (endpoint.addresses.empty()) {
      Report(*this, Finding::Effect::kIgnored, "EndpointSlice", slice.metadata,
             absl::StrCat("endpoints[", i, "].addresses"),
             "no address; the endpoint is skipped");
      continue;
    }
    const auto address = IpAddress::ParseSloppy(endpoint.addresses[0]);
    if (!address || address->family() != family) {
      Report(*this,
             address ? Finding::Effect::kIgnored : Finding::Effect::kRefused,
             "EndpointSlice", slice.metadata,
             absl::StrCat("endpoints[", i, "].addresses[0]"),
             absl::StrCat("\"", endpoint.addresses[0], "\" is not an ",
                          IpFamilyName(family),
                          " address; the endpoint is skipped"));
      continue;
    }
    CompactEndpoint& e = out.endpoints.emplace_back();
    e.address = *address;
    // Serving falls back to true, not to the ready condition.
    e.flags =
        (endpoint.IsReady() ? CompactEndpoint::kReady : 0) |
        (endpoint.serving.value_or(true) ? CompactEndpoint::kServing : 0) |
        (endpoint.IsTerminating() ? CompactEndpoint::kTerminating : 0) |
        (!node_name.empty() && endpoint.node_name == node_name
             ? CompactEndpoint::kLocal
             : 0);
    if (features.topology_aware_hints) {
      if (endpoint.hints_for_zones) {
        e.zone_hints = zone_hints->Intern(*endpoint.hints_for_zones);
      }
      if (features.prefer_same_node && endpoint.hints_for_nodes) {
        e.node_hints = node_hints->Intern(*endpoint.hints_for_nodes);
      }
    }
  }
  return true;
}

void EndpointReader::ReadEndpoints(const Endpoints& endpoints,
                                   std::vector<CompactSlice>& out) const {
  for (size_t s = 0; s < endpoints.subsets.size(); ++s) {
    const EndpointSubset& subset = endpoints.subsets[s];
    CompactSlice& slice = out.emplace_back();
    for (size_t i = 0; i < subset.ports.size(); ++i) {
      ReadPort(*this, "Endpoints", endpoints.metadata, subset.ports[i], i,
               slice);
    }
    for (size_t i = 0; i < subset.addresses.size(); ++i) {
      const EndpointAddress& from = subset.addresses[i];
      const auto address = IpAddress::ParseSloppy(from.ip);
      if (!address || address->family() != family) {
        Report(
            *this, Finding::Effect::kIgnored, "Endpoints", endpoints.metadata,
            absl::StrCat("subsets[", s, "].addresses[", i, "].ip"),
            absl::StrCat("\"", from.ip, "\" is not an ", IpFamilyName(family),
                         " address; the endpoint is skipped"));
        continue;
      }
      CompactEndpoint& e = slice.endpoints.emplace_back();
      e.address = *address;
      e.flags = CompactEndpoint::kReady | CompactEndpoint::kServing;
      if (!node_name.empty() && from.node_name == node_name) {
        e.flags |= CompactEndpoint::kLocal;
      }
      if (address->ToString() != from.ip) {
        slice.addresses_as_written.resize(slice.endpoints.size());
        slice.addresses_as_written.back() = from.ip;
      }
    }
  }
}

void MergeEndpoints(std::span<const CompactSlice> slices,
                    absl::string_view name, Protocol protocol,
                    const DialectTraits& traits, EndpointList& out,
                    std::vector<std::string>* written) {
  out.Clear();
  if (written != nullptr) written->clear();
  size_t expected = 0;
  for (const CompactSlice& slice : slices) expected += slice.endpoints.size();
  out.endpoints.reserve(expected);
  out.texts.reserve(expected * 20 + EndpointList::kPadding);
  for (const CompactSlice& slice : slices) {
    for (const CompactSlice::Port& port : slice.ports) {
      if (port.name != name) continue;
      if (traits.endpoint_slices && port.protocol != protocol) continue;
      for (size_t i = 0; i < slice.endpoints.size(); ++i) {
        Append(slice.endpoints[i], port.number, out);
        if (written == nullptr || i >= slice.addresses_as_written.size() ||
            slice.addresses_as_written[i].empty()) {
          continue;
        }
        const std::string& raw = slice.addresses_as_written[i];
        written->resize(out.size());
        written->back() = raw.find(':') == std::string::npos
                              ? absl::StrCat(raw, ":", port.number)
                              : absl::StrCat("[", raw, "]:", port.number);
      }
    }
  }
  out.texts.append(EndpointList::kPadding, '\0');
  if (out.size() < 2) return;
  if (traits.endpoint_slices) {
    SortAndDeduplicate(out);
    return;
  }
  absl::flat_hash_set<absl::string_view> seen;
  for (const EndpointInfo& e : out.endpoints) {
    out.has_duplicates |= !seen.insert(out.text(e)).second;
  }
}

void CategorizeEndpoints(const EndpointList& list, const ServicePortInfo& port,
                         const ProxyFeatures& features,
                         const HintSets& zone_hints, const HintSets& node_hints,
                         SelectedEndpoints& out) {
  out.cluster.clear();
  out.local.clear();
  out.reachable.clear();
  out.has_endpoints = false;
  TopologyMode mode = TopologyMode::kNone;
  if (port.UsesClusterEndpoints()) {
    mode = ModeFromHints(list, port, features, zone_hints, node_hints);
    SelectCluster(list, mode, zone_hints, node_hints, out.cluster);
    out.has_endpoints = !out.cluster.empty();
  }
  if (!port.UsesLocalEndpoints()) {
    out.reachable = out.cluster;
    return;
  }
  for (const EndpointInfo& e : list.endpoints) {
    out.has_endpoints |= e.ready() || IsFallback(e);
  }
  auto local_ready = [](const EndpointInfo& e) {
    return e.local() && e.ready();
  };
  auto local_fallback = [](const EndpointInfo& e) {
    return e.local() && IsFallback(e);
  };
  Filter(list, local_ready, out.local);
  if (out.local.empty()) Filter(list, local_fallback, out.local);
  if (!port.UsesClusterEndpoints()) {
    out.reachable = out.local;
    return;
  }
  out.reachable.reserve(out.cluster.size() + out.local.size());
  std::set_union(out.cluster.begin(), out.cluster.end(), out.local.begin(),
                 out.local.end(), std::back_inserter(out.reachable));
}

}  // namespace k8sdns::proxy
