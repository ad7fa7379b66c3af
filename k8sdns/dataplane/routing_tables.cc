// Building the tables, and lookups in them.
#include <algorithm>
#include <utility>

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
  for (auto& tables : tables_) {
    for (auto& [number, table] : tables) IndexRoutes(table);
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
  auto add = [](Device& device, const IpPrefix& prefix) {
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
    for (const DeviceAddress& other : device.ipv4) {
      if (!other.secondary && other.prefix_length == a.prefix_length &&
          IpPrefix(other.address, other.prefix_length).Masked() ==
              prefix.Masked()) {
        a.secondary = true;
      }
    }
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
}

DeviceIndex Routing::FindDevice(absl::string_view name) const {
  for (DeviceIndex i = 1; i < devices_.size(); ++i) {
    if (devices_[i].name == name) return i;
  }
  return kNoDevice;
}

void Routing::AddAddressRoutes(DeviceIndex index) {
  const Device& device = devices_[index];
  for (const DeviceAddress& a : device.ipv4) {
    // A secondary address' own route prefers the primary one as a source.
    IpAddress primary = a.address;
    const IpPrefix net = IpPrefix(a.address, a.prefix_length).Masked();
    for (const DeviceAddress& other : device.ipv4) {
      if (!other.secondary && other.prefix_length == a.prefix_length &&
          net.Contains(other.address)) {
        primary = other.address;
        break;
      }
    }
    FibRoute route;
    route.device = index;
    route.preferred_source = primary;
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
  routes.insert(std::find_if_not(routes.begin(), routes.end(), before), route);
}

void Routing::IndexRoutes(RouteTable& table) {
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
  const RouteTable& routes = it->second;
  if (device == kNoDevice && !routes.lengths.empty()) {
    for (const RouteTable::Length& l : routes.lengths) {
      auto first =
          l.first.find(IpPrefix(destination, l.length).Masked().address());
      if (first != l.first.end()) return &routes.routes[first->second];
    }
    return nullptr;
  }
  for (const FibRoute& route : routes.routes) {
    if (!route.prefix.Contains(destination)) continue;
    if (device != kNoDevice && route.device != device) continue;
    return &route;
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
    result.route = *route;
    return result;
  }
  result.error = RouteError::kNetUnreachable;
  return result;
}

}  // namespace k8sdns::dataplane
