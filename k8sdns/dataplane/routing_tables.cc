// Building the tables, and lookups in them.
#include <algorithm>
#include <numeric>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "k8sdns/dataplane/routing.h"

namespace k8sdns::dataplane {
namespace {

IpPrefix Prefix(absl::string_view text) { return *IpPrefix::Parse(text); }

// The address with all host bits set.
IpAddress BroadcastOf(const IpAddress& address, int length) {
  const uint32_t host = length == 0 ? 0xffffffff : (1u << (32 - length)) - 1;
  return IpAddress::V4(address.v4() | host);
}

Scope ScopeOf(const IpAddress& address) {
  if (address.IsLoopback()) return Scope::kHost;
  if (address.is_v6() && address.IsLinkLocal()) return Scope::kLink;
  return Scope::kUniverse;
}

RouteError ErrorOf(RouteType type) {
  switch (type) {
    case RouteType::kBlackhole:
      return RouteError::kInvalid;
    case RouteType::kUnreachable:
      return RouteError::kHostUnreachable;
    case RouteType::kProhibit:
      return RouteError::kAccess;
    default:
      return RouteError::kNone;
  }
}

int FamilyIndex(const IpAddress& address) { return address.is_v6() ? 1 : 0; }

}  // namespace

absl::string_view RouteErrorName(RouteError error) {
  switch (error) {
    case RouteError::kNone:
      return "";
    case RouteError::kNetUnreachable:
      return "ENETUNREACH";
    case RouteError::kHostUnreachable:
      return "EHOSTUNREACH";
    case RouteError::kAccess:
      return "EACCES";
    case RouteError::kInvalid:
      return "EINVAL";
  }
  return "";
}

Routing::Routing(const NodeConfig& node) {
  forwarding6_ = node.Sysctl("net.ipv6.conf.all.forwarding", 1) != 0;
  AddDevices(node);
  for (DeviceIndex i = 1; i < devices_.size(); ++i) AddAddressRoutes(i);
  for (const Route& route : node.routes) AddConfiguredRoute(route);
  for (auto& [number, table] : tables_[0]) IndexRoutes4(table);
  for (auto& [number, table] : tables_[1]) IndexRoutes6(table);
  for (int i = 0; i < 3; ++i) {
    constexpr uint32_t kDefaults[] = {kTableLocal, kTableMain, kTableDefault};
    const auto it = tables_[0].find(kDefaults[i]);
    if (it != tables_[0].end()) default_tables4_[i] = &it->second;
  }
  for (const Device& device : devices_) {
    for (const DeviceAddress& a : device.ipv4) own_.insert(a.address);
    for (const DeviceAddress& a : device.ipv6) own_.insert(a.address);
  }
  rules_ = node.policy_rules;
  for (const PolicyRule& rule : rules_) {
    if (rule.family == IpFamily::kIpv4) custom_rules_ = true;
  }
  for (IpFamily family : {IpFamily::kIpv4, IpFamily::kIpv6}) {
    for (auto [priority, table] :
         {std::pair<uint32_t, uint32_t>{0, kTableLocal},
          {32766, kTableMain},
          {32767, kTableDefault}}) {
      PolicyRule rule;
      rule.family = family;
      rule.priority = priority;
      rule.table = table;
      rules_.push_back(rule);
    }
  }
  // A new rule goes behind the others of its priority.
  std::stable_sort(rules_.begin(), rules_.end(),
                   [](const PolicyRule& a, const PolicyRule& b) {
                     return a.priority < b.priority;
                   });
  if (!custom_rules_) IndexPlain4();
}

void Routing::AddDevices(const NodeConfig& node) {
  devices_.resize(2);
  devices_[kLoopback].name = "lo";
  for (const Interface& interface : node.interfaces) {
    if (interface.name == "lo") continue;
    Device device;
    device.name = interface.name;
    device.up = interface.up;
    device.ethernet = interface.ethernet;
    devices_.push_back(std::move(device));
  }
  constexpr size_t kFewDevices = 8;
  if (devices_.size() > kFewDevices) {
    by_name_.reserve(devices_.size());
    for (DeviceIndex i = 1; i < devices_.size(); ++i) {
      by_name_.try_emplace(devices_[i].name, i);
    }
  }
  // The networks that the device has an address of.
  absl::flat_hash_set<std::pair<const Device*, IpPrefix>> networks;
  auto add = [&](Device& device, const IpPrefix& prefix) {
    DeviceAddress a;
    a.address = prefix.address();
    a.prefix_length = prefix.length();
    a.scope = ScopeOf(a.address);
    if (a.address.is_v6()) {
      // Sorted by scope, the widest first; among equals the newest first.
      auto at = std::find_if(
          device.ipv6.begin(), device.ipv6.end(),
          [&](const DeviceAddress& other) { return other.scope >= a.scope; });
      device.ipv6.insert(at, a);
      return;
    }
    a.secondary = !networks.emplace(&device, prefix.Masked()).second;
    device.ipv4.push_back(a);
  };
  add(devices_[kLoopback], Prefix("127.0.0.1/8"));
  add(devices_[kLoopback], Prefix("::1/128"));
  for (const Interface& interface : node.interfaces) {
    Device& device = devices_[FindDevice(interface.name)];
    for (const IpPrefix& prefix : interface.addresses) add(device, prefix);
  }
  for (Device& device : devices_) SetDeviceConfig(node, device);
}

void Routing::SetDeviceConfig(const NodeConfig& node, Device& device) {
  auto own = [&](absl::string_view key, int64_t otherwise) {
    return node.Sysctl(
        absl::StrCat("net.ipv4.conf.", device.name, ".", key),
        node.Sysctl(absl::StrCat("net.ipv4.conf.default.", key), otherwise));
  };
  auto all = [&](absl::string_view key, int64_t otherwise) {
    return node.Sysctl(absl::StrCat("net.ipv4.conf.all.", key), otherwise);
  };
  auto either = [&](absl::string_view key, int64_t otherwise) {
    return own(key, otherwise) != 0 || all(key, otherwise) != 0;
  };
  device.rp_filter =
      static_cast<int>(std::max(own("rp_filter", 0), all("rp_filter", 0)));
  device.accept_local = either("accept_local", 0);
  device.route_localnet = either("route_localnet", 0);
  device.src_valid_mark = either("src_valid_mark", 0);
  device.send_redirects = either("send_redirects", 1);
  // Setting the switch for all sets each device's.
  device.forwarding = own("forwarding", node.Sysctl("net.ipv4.ip_forward",
                                                    all("forwarding", 1))) != 0;
  // The kernel makes one for each device, if it is not told not to.
  constexpr int64_t kMakesNone = 1;
  const auto mode = [&](absl::string_view name, int64_t otherwise) {
    return node.Sysctl(absl::StrCat("net.ipv6.conf.", name, ".addr_gen_mode"),
                       otherwise);
  };
  device.has_link_local = mode(device.name, mode("default", 0)) != kMakesNone ||
                          std::any_of(device.ipv6.begin(), device.ipv6.end(),
                                      [](const DeviceAddress& a) {
                                        return a.address.IsLinkLocal();
                                      });
}

DeviceIndex Routing::FindDevice(absl::string_view name) const {
  if (!by_name_.empty()) {
    const auto it = by_name_.find(name);
    return it == by_name_.end() ? kNoDevice : it->second;
  }
  for (DeviceIndex i = 1; i < devices_.size(); ++i) {
    if (devices_[i].name == name) return i;
  }
  return kNoDevice;
}

void Routing::AddAddressRoutes(DeviceIndex index) {
  const Device& device = devices_[index];
  // A network's primary address: the first one.
  absl::flat_hash_map<IpPrefix, IpAddress> primaries;
  for (const DeviceAddress& a : device.ipv4) {
    const IpPrefix net = IpPrefix(a.address, a.prefix_length).Masked();
    FibRoute route;
    route.device = index;
    // A secondary address' own route prefers the primary one as a source.
    route.preferred_source =
        primaries.try_emplace(net, a.address).first->second;
    route.prefix = IpPrefix::Host(a.address);
    route.type = RouteType::kLocal;
    route.scope = Scope::kHost;
    AddRoute(kTableLocal, route);
    if (!device.up) continue;
    if (a.prefix_length < 32 && !a.secondary) {
      route.prefix = net;
      if (index == kLoopback && a.address.IsLoopback()) {
        AddRoute(kTableLocal, route);
      } else {
        route.type = RouteType::kUnicast;
        route.scope = Scope::kLink;
        AddRoute(kTableMain, route);
      }
    }
    // The lowest address of a network is no broadcast address since 5.14.
    if (a.prefix_length < 31 && !a.secondary) {
      route.type = RouteType::kBroadcast;
      route.scope = Scope::kLink;
      route.prefix = IpPrefix::Host(BroadcastOf(a.address, a.prefix_length));
      AddRoute(kTableLocal, route);
    }
  }
  for (const DeviceAddress& a : device.ipv6) {
    FibRoute route;
    route.device = index;
    route.prefix = IpPrefix::Host(a.address);
    route.type = RouteType::kLocal;
    AddRoute(kTableLocal, route);
    if (!device.up || a.prefix_length == 128) continue;
    route.prefix = IpPrefix(a.address, a.prefix_length).Masked();
    route.type = RouteType::kUnicast;
    route.metric = 256;
    AddRoute(kTableMain, route);
    if (!forwarding6_ || a.prefix_length >= 127) continue;
    // The subnet-router anycast address of RFC 4291.
    route.prefix = IpPrefix::Host(route.prefix.address());
    route.type = RouteType::kAnycast;
    route.metric = 0;
    AddRoute(kTableLocal, route);
  }
}

void Routing::AddConfiguredRoute(const Route& route) {
  FibRoute out;
  out.prefix = route.prefix.Masked();
  out.type = route.type;
  out.gateway = route.gateway;
  out.preferred_source = route.preferred_source;
  out.metric = route.metric;
  const bool needs_device =
      route.type == RouteType::kUnicast || route.type == RouteType::kLocal ||
      route.type == RouteType::kBroadcast || route.type == RouteType::kAnycast;
  if (!route.device.empty()) {
    out.device = FindDevice(route.device);
  } else if (route.gateway) {
    if (const FibRoute* via = LookupTable(kTableMain, *route.gateway)) {
      out.device = via->device;
    }
  } else if (needs_device) {
    out.device = kLoopback;
  }
  if (needs_device && (out.device == kNoDevice || !devices_[out.device].up)) {
    return;  // the kernel refuses it, or has removed it
  }
  switch (route.type) {
    case RouteType::kUnicast:
      out.scope = route.gateway ? Scope::kUniverse : Scope::kLink;
      break;
    case RouteType::kLocal:
      out.scope = Scope::kHost;
      break;
    case RouteType::kBroadcast:
      out.scope = Scope::kLink;
      break;
    default:
      break;
  }
  if (out.prefix.address().is_v6() && out.metric == 0) out.metric = 1024;
  AddRoute(route.table, out);
}

void Routing::AddRoute(uint32_t table, const FibRoute& route) {
  std::vector<FibRoute>& routes =
      tables_[FamilyIndex(route.prefix.address())][table].routes;
  // Kept in order, so that gateways can be looked up while routes are added.
  auto before = [&](const FibRoute& other) {
    if (other.prefix.length() != route.prefix.length()) {
      return other.prefix.length() > route.prefix.length();
    }
    return other.metric <= route.metric;
  };
  routes.insert(std::partition_point(routes.begin(), routes.end(), before),
                route);
}

void Routing::IndexRoutes4(RouteTable& table) {
  const std::vector<FibRoute>& routes = table.routes;
  const auto first = [&](uint32_t i) {
    return routes[i].prefix.address().v4();
  };
  const auto last = [&](uint32_t i) {
    return BroadcastOf(routes[i].prefix.address(), routes[i].prefix.length())
        .v4();
  };
  // Hosts come first. In IPVS mode each cluster IP is one.
  constexpr size_t kFewHosts = 16;
  const auto networks = std::partition_point(
      routes.begin(), routes.end(),
      [](const FibRoute& r) { return r.prefix.length() == 32; });
  auto hosts = static_cast<size_t>(networks - routes.begin());
  if (hosts <= kFewHosts) hosts = 0;
  table.hosts.reserve(hosts);
  for (uint32_t i = 0; i < hosts; ++i) table.hosts.try_emplace(first(i), i);
  // Prefixes before those that they contain; of equal ones the first counts.
  std::vector<uint32_t> order(routes.size() - hosts);
  std::iota(order.begin(), order.end(), static_cast<uint32_t>(hosts));
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return std::tuple(first(a), routes[a].prefix.length(), a) <
           std::tuple(first(b), routes[b].prefix.length(), b);
  });
  const auto begin_range = [&](uint32_t start, uint32_t route) {
    if (table.starts.empty() || table.starts.back() != start) {
      table.starts.push_back(start);
      table.best.push_back(route);
    } else {
      table.best.back() = route;
    }
  };
  begin_range(0, kNoRoute);
  std::vector<uint32_t> around;  // the prefixes that contain an address
  const auto leave_until = [&](uint64_t address) {
    while (!around.empty() && last(around.back()) < address) {
      const uint32_t end = last(around.back());
      around.pop_back();
      if (end == ~uint32_t{0}) continue;
      begin_range(end + 1, around.empty() ? kNoRoute : around.back());
    }
  };
  for (uint32_t i : order) {
    leave_until(first(i));
    if (!around.empty() && routes[around.back()].prefix == routes[i].prefix) {
      continue;
    }
    begin_range(first(i), i);
    around.push_back(i);
  }
  leave_until(uint64_t{1} << 32);
}

void Routing::IndexRoutes6(RouteTable& table) {
  constexpr size_t kFewRoutes = 8;
  if (table.routes.size() <= kFewRoutes) return;
  for (uint32_t i = 0; i < table.routes.size(); ++i) {
    const IpPrefix& prefix = table.routes[i].prefix;
    if (table.lengths.empty() ||
        table.lengths.back().length != prefix.length()) {
      table.lengths.push_back({prefix.length(), {}});
    }
    table.lengths.back().first.try_emplace(prefix.address(), i);
  }
}

const FibRoute* Routing::LookupTable(uint32_t table,
                                     const IpAddress& destination,
                                     DeviceIndex device) const {
  const auto& tables = tables_[FamilyIndex(destination)];
  auto it = tables.find(table);
  if (it == tables.end()) return nullptr;
  if (device == kNoDevice) return it->second.Find(destination);
  for (const FibRoute& route : it->second.routes) {
    if (route.device == device && route.prefix.Contains(destination)) {
      return &route;
    }
  }
  return nullptr;
}

void Routing::IndexPlain4() {
  constexpr uint32_t kNet0End = uint32_t{1} << 24;
  constexpr uint32_t kLoopbackNet = uint32_t{127} << 24;
  constexpr uint32_t kMulticast = uint32_t{224} << 24;
  std::vector<uint32_t> starts = {0, kNet0End, kLoopbackNet,
                                  kLoopbackNet + kNet0End, kMulticast};
  for (const RouteTable* table : default_tables4_) {
    if (table == nullptr) continue;
    starts.insert(starts.end(), table->starts.begin(), table->starts.end());
    for (const auto& [host, route] : table->hosts) {
      starts.push_back(host);
      if (host != ~uint32_t{0}) starts.push_back(host + 1);
    }
  }
  std::sort(starts.begin(), starts.end());
  starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
  for (uint32_t start : starts) {
    RouteKey key;
    key.destination = IpAddress::V4(start);
    const FibResult found = Lookup(key);
    const bool plain = start >= kNet0End && start < kMulticast &&
                       start >> 24 != kLoopbackNet >> 24 &&
                       found.error == RouteError::kNone &&
                       found.route->type == RouteType::kUnicast;
    const DeviceIndex device = plain ? found.route->device : kNoDevice;
    if (!plain_devices_.empty() && plain_devices_.back() == device) continue;
    plain_starts_.push_back(start);
    plain_devices_.push_back(device);
  }
}

DeviceIndex Routing::PlainDevice4(uint32_t address) const {
  size_t at = 0;
  for (size_t n = plain_starts_.size(); n > 1;) {
    const size_t half = n / 2;
    at = plain_starts_[at + half] <= address ? at + half : at;
    n -= half;
  }
  return plain_devices_[at];
}

DeviceIndex Routing::ForwardsPlainly(const IpAddress& source,
                                     const IpAddress& destination,
                                     DeviceIndex index) const {
  const Device& device = devices_[index];
  if (plain_starts_.empty() || destination.is_v6() || source.is_v6() ||
      !device.forwarding || device.rp_filter != 0) {
    return kNoDevice;
  }
  const DeviceIndex out = PlainDevice4(destination.v4());
  // A source that is reached by a unicast route is not the node's own.
  if (out == index || PlainDevice4(source.v4()) == kNoDevice) return kNoDevice;
  return out;
}

const FibRoute* Routing::RouteTable::Find4(uint32_t destination) const {
  if (!hosts.empty()) {
    const auto it = hosts.find(destination);
    if (it != hosts.end()) return &routes[it->second];
  }
  size_t at = 0;
  for (size_t n = starts.size(); n > 1;) {
    const size_t half = n / 2;
    at = starts[at + half] <= destination ? at + half : at;
    n -= half;
  }
  return best[at] == kNoRoute ? nullptr : &routes[best[at]];
}

const FibRoute* Routing::RouteTable::Find(const IpAddress& destination) const {
  if (!starts.empty()) return Find4(destination.v4());
  for (const Length& l : lengths) {
    const auto it =
        l.first.find(IpPrefix(destination, l.length).Masked().address());
    if (it != l.first.end()) return &routes[it->second];
  }
  if (!lengths.empty()) return nullptr;
  for (const FibRoute& route : routes) {
    if (route.prefix.Contains(destination)) return &route;
  }
  return nullptr;
}

bool Routing::RuleMatches(const PolicyRule& rule, const RouteKey& key) const {
  auto matches = [&] {
    if (!rule.in_interface.empty() &&
        rule.in_interface != devices_[key.in_device].name) {
      return false;
    }
    if (!rule.out_interface.empty() &&
        rule.out_interface != devices_[key.out_device].name) {
      return false;
    }
    if (rule.mark && ((key.mark ^ *rule.mark) & rule.mark_mask) != 0) {
      return false;
    }
    if (rule.from && rule.from->length() > 0 &&
        (!key.source || !rule.from->Contains(*key.source))) {
      return false;
    }
    return !rule.to || rule.to->Contains(key.destination);
  };
  return matches() != rule.invert;
}

FibResult Routing::Lookup(const RouteKey& key) const {
  if (custom_rules_ || key.destination.is_v6() || key.out_device != kNoDevice) {
    return LookupByRules(key);
  }
  for (const RouteTable* table : default_tables4_) {
    if (table == nullptr) continue;
    const FibRoute* route = table->Find4(key.destination.v4());
    if (route == nullptr || route->type == RouteType::kThrow) continue;
    return {ErrorOf(route->type), route};
  }
  return {RouteError::kNetUnreachable, nullptr};
}

FibResult Routing::LookupByRules(const RouteKey& key) const {
  FibResult result;
  for (const PolicyRule& rule : rules_) {
    if (rule.family != key.destination.family()) continue;
    if (!RuleMatches(rule, key)) continue;
    if (rule.action != RouteType::kUnicast) {
      // A rule's "unreachable" is another error than a route's.
      result.error = rule.action == RouteType::kUnreachable
                         ? RouteError::kNetUnreachable
                         : ErrorOf(rule.action);
      return result;
    }
    const FibRoute* route =
        LookupTable(rule.table, key.destination, key.out_device);
    if (route == nullptr || route->type == RouteType::kThrow) continue;
    result.error = ErrorOf(route->type);
    result.route = route;
    return result;
  }
  result.error = RouteError::kNetUnreachable;
  return result;
}

}  // namespace k8sdns::dataplane
