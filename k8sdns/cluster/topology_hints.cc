#include "k8sdns/cluster/topology_hints.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace k8sdns::endpoints_internal {
namespace {

// How much more than its share a zone's endpoints may have to bear.
constexpr double kOverloadThreshold = 0.2;

struct Allocation {
  int minimum = 0;
  int maximum = 0;
  double desired = 0;
};
using Allocations = std::map<std::string, Allocation>;
using ZoneCounts = std::map<std::string, int>;

// Here unset is not ready; the controller always sets it.
bool IsReady(const Endpoint& endpoint) {
  return endpoint.ready.value_or(false);
}

bool HasHints(const Endpoint& e) {
  return e.hints_for_zones || e.hints_for_nodes;
}

void ClearHints(Endpoint& e) {
  e.hints_for_zones.reset();
  e.hints_for_nodes.reset();
}

int CountReady(const EndpointSlice& slice) {
  return static_cast<int>(
      std::count_if(slice.endpoints.begin(), slice.endpoints.end(), IsReady));
}

int CountReady(const HintedSlices& slices) {
  int total = 0;
  for (const EndpointSlice& s : slices.plan.create) total += CountReady(s);
  for (const EndpointSlice& s : slices.plan.update) total += CountReady(s);
  for (const EndpointSlice* s : slices.unchanged) total += CountReady(*s);
  return total;
}

// nullopt, with the reason, if the endpoints can't be shared out.
std::optional<Allocations> Allocate(const ZoneShares& shares, int endpoints,
                                    std::string& why_not) {
  if (shares.empty()) {
    why_not =
        "not every ready node has a zone and CPU, or there is only one zone";
    return std::nullopt;
  }
  const std::string counts =
      absl::StrCat(endpoints, " endpoints, ", shares.size(), " zones");
  if (static_cast<int>(shares.size()) > endpoints) {
    why_not = absl::StrCat("fewer endpoints than zones (", counts, ")");
    return std::nullopt;
  }
  Allocations allocations;
  int minimum_total = 0;
  for (const auto& [zone, share] : shares) {
    const double desired = share * endpoints;
    Allocation& a = allocations[zone];
    a.minimum =
        static_cast<int>(std::ceil(desired * (1 / (1 + kOverloadThreshold))));
    a.desired = std::max(desired, static_cast<double>(a.minimum));
    minimum_total += a.minimum;
  }
  if (minimum_total > endpoints) {
    why_not = absl::StrCat("a zone would be overloaded (", counts, ")");
    return std::nullopt;
  }
  for (auto& [zone, a] : allocations) {
    a.maximum = a.minimum + endpoints - minimum_total;
  }
  return allocations;
}

// How many hints of each zone a slice has that can stay as it is; nullopt if
// it can't.
std::optional<ZoneCounts> KeptHints(const EndpointSlice& slice,
                                    const ZoneCounts& hinted,
                                    const Allocations& allocations) {
  ZoneCounts counts;
  for (const Endpoint& e : slice.endpoints) {
    if (!IsReady(e)) continue;
    if (!e.hints_for_zones || e.hints_for_zones->empty()) return std::nullopt;
    for (const std::string& zone : *e.hints_for_zones) {
      if (!allocations.contains(zone)) return std::nullopt;
      ++counts[zone];
    }
  }
  for (const auto& [zone, count] : counts) {
    auto it = hinted.find(zone);
    const int before = it == hinted.end() ? 0 : it->second;
    if (count + before > allocations.at(zone).maximum) return std::nullopt;
  }
  return counts;
}

// Sums up the hints of the slices that can stay, and moves the others to the
// updates.
ZoneCounts TakeUnfitSlices(const Allocations& allocations,
                           HintedSlices& slices) {
  ZoneCounts hinted;
  std::vector<const EndpointSlice*> kept;
  for (const EndpointSlice* slice : slices.unchanged) {
    if (auto counts = KeptHints(*slice, hinted, allocations)) {
      kept.push_back(slice);
      for (const auto& [zone, count] : *counts) hinted[zone] += count;
    } else {
      slices.plan.update.push_back(*slice);
    }
  }
  slices.unchanged = std::move(kept);
  return hinted;
}

using ZoneAmounts = std::map<std::string, double>;

// The first of the zones with the greatest amount; end() if none is above 0.
ZoneAmounts::iterator Greatest(ZoneAmounts& amounts) {
  auto greatest = amounts.end();
  double most = 0;
  for (auto it = amounts.begin(); it != amounts.end(); ++it) {
    if (it->second > most) {
      most = it->second;
      greatest = it;
    }
  }
  return greatest;
}

// How many endpoints each zone gives to others, and gets.
struct Exchange {
  ZoneCounts giving;
  ZoneCounts receiving;
};

Exchange PlanExchange(const Allocations& allocations,
                      const ZoneCounts& hinted) {
  ZoneAmounts surplus;
  ZoneAmounts need;
  for (const auto& [zone, a] : allocations) {
    auto it = hinted.find(zone);
    const double have = it == hinted.end() ? 0 : it->second;
    if (have > a.desired) surplus[zone] = have - a.desired;
    if (have < a.desired) need[zone] = a.desired - have;
  }
  Exchange exchange;
  while (true) {
    auto from = Greatest(surplus);
    auto to = Greatest(need);
    if (from == surplus.end() || to == need.end() ||
        (from->second < 1 && to->second < 1) || from->second < 0.5 ||
        to->second < 0.5) {
      return exchange;
    }
    ++exchange.giving[from->first];
    ++exchange.receiving[to->first];
    --from->second;
    --to->second;
  }
}

// Calls `visit` with each ready endpoint that gets a hint now.
template <typename Visit>
void ForEachPlanned(SlicePlan& plan, Visit visit) {
  for (auto* list : {&plan.create, &plan.update}) {
    for (EndpointSlice& slice : *list) {
      for (Endpoint& e : slice.endpoints) {
        if (IsReady(e)) visit(e);
      }
    }
  }
}

void Redistribute(Exchange exchange, SlicePlan& plan) {
  ForEachPlanned(plan, [&](Endpoint& e) {
    auto from = exchange.giving.find(std::string(*e.zone));
    auto to = exchange.receiving.begin();
    if (from == exchange.giving.end() || to == exchange.receiving.end()) {
      return;
    }
    e.hints_for_zones = {to->first};
    if (--from->second == 0) exchange.giving.erase(from);
    if (--to->second == 0) exchange.receiving.erase(to);
  });
}

bool HasWantedCloseHints(const Endpoint& e, bool for_nodes) {
  std::vector<std::string> zones;
  std::vector<std::string> nodes;
  if (e.zone) zones.emplace_back(*e.zone);
  if (e.node_name && for_nodes) nodes.emplace_back(*e.node_name);
  return e.hints_for_zones.value_or(std::vector<std::string>()) == zones &&
         e.hints_for_nodes.value_or(std::vector<std::string>()) == nodes;
}

bool IsControlPlane(const Node& node) {
  return node.metadata.labels.contains(
             "node-role.kubernetes.io/control-plane") ||
         node.metadata.labels.contains("node-role.kubernetes.io/master");
}

bool IsNodeReady(const Node& node) {
  for (const NodeCondition& c : node.conditions) {
    if (c.type == "Ready") return c.status == "True";
  }
  return false;
}

// What a suffix multiplies by; nullopt if it is none.
std::optional<double> SuffixFactor(absl::string_view suffix) {
  static constexpr struct {
    absl::string_view suffix;
    double factor;
  } kSuffixes[] = {
      {"n", 1e-9},          {"u", 1e-6},
      {"m", 1e-3},          {"", 1},
      {"k", 1e3},           {"M", 1e6},
      {"G", 1e9},           {"T", 1e12},
      {"P", 1e15},          {"E", 1e18},
      {"Ki", 1024.0},       {"Mi", 1048576.0},
      {"Gi", 1073741824.0}, {"Ti", 1099511627776.0},
  };
  for (const auto& s : kSuffixes) {
    if (s.suffix == suffix) return s.factor;
  }
  int exponent = 0;
  if (suffix.size() >= 2 && (suffix[0] == 'e' || suffix[0] == 'E') &&
      absl::SimpleAtoi(suffix.substr(1), &exponent) && exponent >= -18 &&
      exponent <= 18) {
    return std::pow(10.0, exponent);
  }
  return std::nullopt;
}

}  // namespace

std::optional<int64_t> ParseQuantityNanos(absl::string_view text) {
  const size_t end =
      std::min(text.find_first_not_of("+-.0123456789"), text.size());
  double number = 0;
  const std::optional<double> factor = SuffixFactor(text.substr(end));
  if (!factor || !absl::SimpleAtod(text.substr(0, end), &number)) {
    return std::nullopt;
  }
  const double nanos = number * *factor * 1e9;
  constexpr double kMost = 4e18;
  if (nanos >= kMost) return static_cast<int64_t>(kMost);
  if (nanos <= -kMost) return -static_cast<int64_t>(kMost);
  // Decimal fractions are not exact in binary: 0.1 must not become 100000001.
  const double nearest = std::round(nanos);
  return static_cast<int64_t>(
      std::abs(nanos - nearest) < 1e-3 ? nearest : std::ceil(nanos));
}

ZoneShares ComputeZoneShares(const ObjectSet<Node>& nodes) {
  std::map<std::string, int64_t> nanos_by_zone;
  double total = 0;
  for (const Node& node : nodes) {
    if (IsControlPlane(node) || !IsNodeReady(node)) continue;
    const int64_t cpu =
        ParseQuantityNanos(Find(node.allocatable, "cpu")).value_or(0);
    const std::string zone(node.Zone());
    if (zone.empty() || cpu == 0) return {};
    int64_t& sum = nanos_by_zone[zone];
    if (__builtin_add_overflow(sum, cpu, &sum)) return {};
    total += static_cast<double>(cpu);
  }
  if (nanos_by_zone.size() < 2 || total == 0) return {};
  // Both sides in whole milli-CPUs, as the controller divides them.
  const double total_milli = std::ceil(total / 1e6);
  ZoneShares shares;
  for (const auto& [zone, nanos] : nanos_by_zone) {
    shares[zone] = std::ceil(static_cast<double>(nanos) / 1e6) / total_milli;
  }
  return shares;
}

bool WantsTopologyHints(const StringMap& annotations) {
  // The old name wins, whatever its value.
  auto it = annotations.find("service.kubernetes.io/topology-aware-hints");
  if (it == annotations.end()) {
    it = annotations.find("service.kubernetes.io/topology-mode");
  }
  return it != annotations.end() &&
         (it->second == "Auto" || it->second == "auto");
}

std::optional<std::string> AddTopologyHints(const ZoneShares& shares,
                                            HintedSlices& slices) {
  std::string why_not;
  const auto allocations = Allocate(shares, CountReady(slices), why_not);
  if (!allocations) {
    RemoveHints(slices);
    return why_not;
  }
  ZoneCounts hinted = TakeUnfitSlices(*allocations, slices);
  bool all_zones_known = true;
  ForEachPlanned(slices.plan, [&](Endpoint& e) {
    if (!e.zone || e.zone->empty()) {
      all_zones_known = false;
      return;
    }
    ClearHints(e);
    const std::string zone(*e.zone);
    e.hints_for_zones = {zone};
    ++hinted[zone];
  });
  if (!all_zones_known) {
    RemoveHints(slices);
    return "an endpoint has no zone";
  }
  Redistribute(PlanExchange(*allocations, hinted), slices.plan);
  return std::nullopt;
}

void AddCloseHints(bool for_nodes, HintedSlices& slices) {
  std::vector<const EndpointSlice*> kept;
  for (const EndpointSlice* slice : slices.unchanged) {
    const bool fits =
        std::all_of(slice->endpoints.begin(), slice->endpoints.end(),
                    [&](const Endpoint& e) {
                      return !IsReady(e) || HasWantedCloseHints(e, for_nodes);
                    });
    if (fits) {
      kept.push_back(slice);
    } else {
      slices.plan.update.push_back(*slice);
    }
  }
  slices.unchanged = std::move(kept);
  ForEachPlanned(slices.plan, [&](Endpoint& e) {
    ClearHints(e);
    if (e.zone) e.hints_for_zones = {std::string(*e.zone)};
    if (e.node_name && for_nodes) {
      e.hints_for_nodes = {std::string(*e.node_name)};
    }
  });
}

void RemoveHints(HintedSlices& slices) {
  std::vector<const EndpointSlice*> kept;
  for (const EndpointSlice* slice : slices.unchanged) {
    if (std::any_of(slice->endpoints.begin(), slice->endpoints.end(),
                    HasHints)) {
      slices.plan.update.push_back(*slice);
    } else {
      kept.push_back(slice);
    }
  }
  slices.unchanged = std::move(kept);
  for (auto* list : {&slices.plan.create, &slices.plan.update}) {
    for (EndpointSlice& slice : *list) {
      for (Endpoint& e : slice.endpoints) ClearHints(e);
    }
  }
}

}  // namespace k8sdns::endpoints_internal
