#include "k8sdns/proxy/endpoint_selection.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <numeric>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace k8sdns::proxy {
namespace {

// "[", an address, "]", ":" and a port with zeros: eight bytes.
constexpr size_t kMaxEndpointText = IpAddress::kMaxTextSize + 10;

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

// An endpoint before it has its place in an EndpointList. Texts are compared by
// their first 16 bytes as numbers, and as a whole only where these are equal.
struct Candidate {
  Candidate() {}  // all is written by who makes one

  uint64_t key[2];
  const CompactEndpoint* from;
  uint16_t port;
  uint8_t text_size;
  uint8_t address_size;
  char text[kMaxEndpointText];

  absl::string_view view() const { return {text, text_size}; }
  friend bool operator<(const Candidate& a, const Candidate& b) {
    if (a.key[0] != b.key[0]) return a.key[0] < b.key[0];
    if (a.key[1] != b.key[1]) return a.key[1] < b.key[1];
    return a.view() < b.view();
  }
};

uint64_t BigEndian(const char* bytes) {
  uint64_t value;
  std::memcpy(&value, bytes, sizeof value);
  if constexpr (std::endian::native == std::endian::little) {
    value = __builtin_bswap64(value);
  }
  return value;
}

// Most services have no more endpoints than that.
constexpr size_t kFew = 16;
using Candidates = absl::InlinedVector<Candidate, kFew>;

void AppendCandidates(const CompactSlice& slice, uint16_t port,
                      Candidates& out) {
  char suffix[8] = {':'};  // zeros behind the number
  const size_t suffix_size = static_cast<size_t>(
      std::to_chars(suffix + 1, suffix + 6, port).ptr - suffix);
  for (const CompactEndpoint& endpoint : slice.endpoints) {
    Candidate& c = out.emplace_back();
    c.from = &endpoint;
    c.port = port;
    std::memset(c.text, 0, 2 * sizeof(uint64_t));
    const bool v6 = endpoint.address.is_v6();
    c.text[0] = '[';
    char* at = endpoint.address.WriteTo(c.text + (v6 ? 1 : 0));
    c.address_size = static_cast<uint8_t>(at - c.text - (v6 ? 1 : 0));
    if (v6) *at++ = ']';
    std::memcpy(at, suffix, sizeof suffix);
    c.text_size = static_cast<uint8_t>(at + suffix_size - c.text);
  }
}

// Apart from the above, so that the texts have left the processor's write
// queue.
void MakeKeys(Candidates& candidates) {
  for (Candidate& c : candidates) {
    c.key[0] = BigEndian(c.text);
    c.key[1] = BigEndian(c.text + sizeof(uint64_t));
  }
}

// Indexes of candidates.
using Order = absl::InlinedVector<uint32_t, kFew>;

// The place of each is the number of smaller ones, which is found without a
// branch to guess wrong. False if first bytes are equal, which tells nothing.
bool SortByKeys(const Candidates& candidates, Order& order) {
  const size_t n = candidates.size();
  const Candidate* const all = candidates.data();
  uint32_t places[kFew] = {};
  uint32_t equal = 0;
  for (size_t i = 1; i < n; ++i) {
    const uint64_t high = all[i].key[0];
    const uint64_t low = all[i].key[1];
    uint32_t place = 0;
    for (size_t j = 0; j < i; ++j) {
      const uint32_t same = all[j].key[0] == high;
      const uint32_t less = static_cast<uint32_t>(all[j].key[0] < high) |
                            (same & static_cast<uint32_t>(all[j].key[1] < low));
      equal |= same & static_cast<uint32_t>(all[j].key[1] == low);
      place += less;
      places[j] += 1 - less;
    }
    places[i] = place;
  }
  if (equal != 0) return false;
  for (size_t i = 0; i < n; ++i) order[places[i]] = static_cast<uint32_t>(i);
  return true;
}

void SortFew(const Candidates& candidates, Order& order) {
  if (SortByKeys(candidates, order)) return;
  for (size_t i = 1; i < order.size(); ++i) {
    const uint32_t moved = order[i];
    size_t to = i;
    while (to > 0 && candidates[moved] < candidates[order[to - 1]]) {
      order[to] = order[to - 1];
      --to;
    }
    order[to] = moved;
  }
}

// By text, one of each.
void SortAndDeduplicate(const Candidates& candidates, Order& order) {
  if (order.size() <= kFew) {
    SortFew(candidates, order);
  } else {
    std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
      return candidates[a] < candidates[b];
    });
  }
  // Of equal ones the last local one stays, else the first
  // (endpointslicecache.go, addEndpoints).
  size_t kept = 0;
  for (size_t i = 1; i < order.size(); ++i) {
    const Candidate& c = candidates[order[i]];
    if (!(candidates[order[kept]] < c)) {
      if ((c.from->flags & CompactEndpoint::kLocal) != 0) {
        order[kept] = order[i];
      }
    } else {
      order[++kept] = order[i];
    }
  }
  if (!order.empty()) order.resize(kept + 1);
}

void Fill(const Candidates& candidates, const Order& order, Arena* arena,
          EndpointList& out) {
  size_t size = EndpointList::kPadding;
  for (uint32_t i : order) size += candidates[i].text_size;
  out.texts.ResizeForOverwrite(size, arena);
  out.endpoints.ResizeForOverwrite(order.size(), arena);
  uint32_t begin = 0;
  for (size_t k = 0; k < order.size(); ++k) {
    const Candidate& c = candidates[order[k]];
    EndpointInfo& info = out.endpoints[k];
    info.address = c.from->address;
    info.flags = c.from->flags;
    info.port = c.port;
    info.text_begin = begin;
    info.text_size = c.text_size;
    info.address_size = c.address_size;
    info.zone_hints = c.from->zone_hints;
    info.node_hints = c.from->node_hints;
    info.use = 0;
    // Over the end; what comes next, or the padding, is written over it.
    if (c.text_size <= EndpointList::kPadding) {
      std::memcpy(out.texts.data() + begin, c.text, EndpointList::kPadding);
    } else {
      std::memcpy(out.texts.data() + begin, c.text, c.text_size);
    }
    begin += c.text_size;
  }
  std::memset(out.texts.data() + begin, 0, EndpointList::kPadding);
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

std::optional<absl::string_view> EndpointReader::ReadSlice(
    const EndpointSlice& slice, CompactSlice& out) const {
  const absl::string_view service = slice.ServiceName();
  if (!ReadSliceOf(service, slice, out)) return std::nullopt;
  return service;
}

bool EndpointReader::ReadSliceOf(absl::string_view service,
                                 const EndpointSlice& slice,
                                 CompactSlice& out) const {
  if (!IsOfFamily(slice)) return false;
  if (service.empty()) {
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
  out.endpoints.Reserve(slice.endpoints.size(), arena);
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
             absl::StrCat("\"", endpoint.addresses[0].view(), "\" is not an ",
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
                    std::vector<std::string>* written, Arena* arena) {
  out.Clear();
  if (written != nullptr) written->clear();
  Candidates candidates;
  for (const CompactSlice& slice : slices) {
    for (const CompactSlice::Port& port : slice.ports) {
      if (port.name != name) continue;
      if (traits.endpoint_slices && port.protocol != protocol) continue;
      const size_t first = candidates.size();
      AppendCandidates(slice, port.number, candidates);
      if (written == nullptr) continue;
      for (size_t i = 0; i < slice.addresses_as_written.size(); ++i) {
        const std::string& raw = slice.addresses_as_written[i];
        if (raw.empty()) continue;
        written->resize(first + i + 1);
        written->back() = raw.find(':') == std::string::npos
                              ? absl::StrCat(raw, ":", port.number)
                              : absl::StrCat("[", raw, "]:", port.number);
      }
    }
  }
  Order order(candidates.size());
  std::iota(order.begin(), order.end(), 0);
  if (traits.endpoint_slices) {
    MakeKeys(candidates);
    SortAndDeduplicate(candidates, order);
  }
  Fill(candidates, order, arena, out);
  if (traits.endpoint_slices || out.size() < 2) return;
  absl::flat_hash_set<absl::string_view> seen;
  for (const EndpointInfo& e : out.endpoints) {
    out.has_duplicates |= !seen.insert(out.text(e)).second;
  }
}

void MergeEndpointsByAddress(std::span<const CompactSlice> slices,
                             absl::string_view name, Protocol protocol,
                             EndpointList& out) {
  out.Clear();
  auto& all = out.endpoints;
  for (const CompactSlice& slice : slices) {
    for (const CompactSlice::Port& port : slice.ports) {
      if (port.name != name || port.protocol != protocol) continue;
      all.Reserve(all.size() + slice.endpoints.size());
      for (const CompactEndpoint& from : slice.endpoints) {
        EndpointInfo& e = all.emplace_back();
        e.address = from.address;
        e.flags = from.flags;
        e.port = port.number;
        e.zone_hints = from.zone_hints;
        e.node_hints = from.node_hints;
      }
    }
  }
  const auto less = [](const EndpointInfo& a, const EndpointInfo& b) {
    if (auto order = a.address <=> b.address; order != 0) return order < 0;
    return a.port < b.port;
  };
  if (!std::is_sorted(all.begin(), all.end(), less)) {
    std::stable_sort(all.begin(), all.end(), less);
  }
  // As in SortAndDeduplicate().
  size_t kept = 0;
  for (size_t i = 1; i < all.size(); ++i) {
    if (less(all[kept], all[i])) {
      if (++kept != i) all[kept] = all[i];
    } else if (all[i].local()) {
      all[kept] = all[i];
    }
  }
  if (!all.empty()) all.ResizeForOverwrite(kept + 1);
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
