// Decisions for packets that come in or are sent, and address selection.
#include "k8sdns/dataplane/routing.h"

#include <algorithm>

namespace k8sdns::dataplane {
namespace {

constexpr uint8_t kIcmpUnreachable = 3;
constexpr uint8_t kIcmp6Unreachable = 1;

bool IsLimitedBroadcast(const IpAddress& a) {
  return a.is_v4() && a.v4() == 0xffffffff;
}
bool IsZeroNet(const IpAddress& a) { return a.is_v4() && a.v4() >> 24 == 0; }

int CommonBits(const IpAddress& a, const IpAddress& b) {
  int n = 0;
  while (n < a.bits() && a.bit(n) == b.bit(n)) ++n;
  return n;
}

// The labels of RFC 6724's default policy table, as the kernel has them.
int Label(const IpAddress& a) {
  struct Entry {
    const char* prefix;
    int label;
  };
  static constexpr Entry kEntries[] = {
      {"::1/128", 0},      {"::ffff:0:0/96", 4}, {"2001::/32", 6},
      {"2001:10::/28", 7}, {"::/96", 3},         {"fc00::/7", 5},
      {"2002::/16", 2},
  };
  for (const Entry& entry : kEntries) {
    if (IpPrefix::Parse(entry.prefix)->Contains(a)) return entry.label;
  }
  return 1;
}

}  // namespace

bool Routing::IsLocal(const IpAddress& address) const {
  if (address.is_v4() && address.IsLoopback()) return true;
  return IsOwn(address);
}

bool Routing::IsOwn(const IpAddress& address) const {
  // Each IPv4 address of a device has a local route.
  if (address.is_v4() && default_tables4_[0] != nullptr &&
      default_tables4_[0]->Find4(address.v4()) == nullptr) {
    return false;
  }
  return own_.contains(address);
}

RouteType Routing::AddressType(const IpAddress& address,
                               DeviceIndex device) const {
  if (IsZeroNet(address) || IsLimitedBroadcast(address)) {
    return RouteType::kBroadcast;
  }
  if (address.IsMulticast()) return RouteType::kMulticast;
  const FibRoute* route = LookupTable(kTableLocal, address);
  if (route == nullptr) return RouteType::kUnicast;
  if (device != kNoDevice && device != route->device) {
    return RouteType::kUnicast;
  }
  return route->type;
}

std::optional<IpAddress> Routing::SelectSource(
    DeviceIndex index, const std::optional<IpAddress>& toward,
    Scope scope) const {
  const Device& device = devices_[index];
  const Scope localnet = device.route_localnet ? Scope::kLink : Scope::kHost;
  std::optional<IpAddress> first;
  for (const DeviceAddress& a : device.ipv4) {
    if (a.secondary || std::min(a.scope, localnet) > scope) continue;
    if (!toward || IpPrefix(a.address, a.prefix_length).Contains(*toward)) {
      return a.address;
    }
    if (!first) first = a.address;
  }
  if (first) return first;
  // The device has none: any other's will do, in their order.
  for (const Device& other : devices_) {
    for (const DeviceAddress& a : other.ipv4) {
      if (!a.secondary && a.scope != Scope::kLink && a.scope <= scope) {
        return a.address;
      }
    }
  }
  return std::nullopt;
}

std::optional<IpAddress> Routing::SelectSource6(
    DeviceIndex out, const IpAddress& destination) const {
  std::optional<IpAddress> best;
  // Larger is better, compared in order (RFC 6724 rules 1, 2, 5, 6, 8).
  std::vector<int> best_score;
  auto scope_of = [](const IpAddress& a) {
    if (a.IsLoopback() || a.IsLinkLocal()) return 2;
    return 14;
  };
  const int wanted = destination.IsMulticast() ? destination.bytes()[1] & 0xf
                                               : scope_of(destination);
  const bool only_device =
      destination.IsMulticast() || destination.IsLinkLocal();
  for (DeviceIndex i = 1; i < devices_.size(); ++i) {
    if (only_device && out != kNoDevice && i != out) continue;
    for (const DeviceAddress& a : devices_[i].ipv6) {
      const int scope = scope_of(a.address);
      std::vector<int> score = {
          a.address == destination,
          scope >= wanted ? -scope : scope - 128,
          i == out,
          Label(a.address) == Label(destination),
          std::min(CommonBits(a.address, destination), a.prefix_length),
      };
      if (!best || score > best_score) {
        best = a.address;
        best_score = std::move(score);
      }
    }
  }
  return best;
}

OutputRoute Routing::Output(const RouteKey& key, bool any_source) const {
  if (key.destination.is_v6()) return Output6(key);
  OutputRoute out;
  auto fail = [&](RouteError error) {
    out.error = error;
    return out;
  };
  const IpAddress& dst = key.destination;
  if (key.source) {
    const IpAddress& src = *key.source;
    if (src.IsMulticast() || IsLimitedBroadcast(src) || IsZeroNet(src)) {
      return fail(RouteError::kInvalid);
    }
    out.source = src;
    if (key.out_device == kNoDevice &&
        (dst.IsMulticast() || IsLimitedBroadcast(dst))) {
      for (DeviceIndex i = 1; i < devices_.size(); ++i) {
        for (const DeviceAddress& a : devices_[i].ipv4) {
          if (a.address != src) continue;
          out.device = i;
          out.broadcast = true;
          return out;
        }
      }
      return fail(RouteError::kInvalid);
    }
    if (!any_source && !IsLocal(src)) return fail(RouteError::kInvalid);
  }
  const FibResult found = Lookup(key);
  if (found.error != RouteError::kNone) return fail(found.error);
  const FibRoute& route = *found.route;
  if (route.type == RouteType::kLocal) {
    if (!key.source) {
      out.source = route.preferred_source ? *route.preferred_source : dst;
    }
    out.device = kLoopback;
    out.local = true;
    return out;
  }
  if (!key.source) {
    std::optional<IpAddress> chosen = route.preferred_source;
    if (!chosen) {
      chosen = SelectSource(route.device, route.gateway, route.scope);
    }
    out.source = chosen ? *chosen : IpAddress::V4(0);
  }
  out.device = route.device;
  out.gateway = route.gateway;
  out.broadcast = route.type == RouteType::kBroadcast || dst.IsMulticast() ||
                  IsLimitedBroadcast(dst);
  if (IsZeroNet(dst)) return fail(RouteError::kInvalid);
  const Device& device = devices_[out.device];
  if (out.source.IsLoopback() && out.device != kLoopback &&
      !device.route_localnet) {
    return fail(RouteError::kInvalid);
  }
  if (out.device == kLoopback) out.local = true;
  return out;
}

OutputRoute Routing::Output6(const RouteKey& key) const {
  OutputRoute out;
  FibResult found = Lookup(key);
  if (key.source) {
    out.source = *key.source;
  } else {
    const DeviceIndex device =
        found.error == RouteError::kNone ? found.route->device : kNoDevice;
    std::optional<IpAddress> chosen;
    if (found.route != nullptr) chosen = found.route->preferred_source;
    if (!chosen) chosen = SelectSource6(device, key.destination);
    if (!chosen) {
      out.error = RouteError::kNetUnreachable;
      return out;
    }
    out.source = *chosen;
    if (found.error != RouteError::kNone) {
      // A failure without a source is not final.
      RouteKey again = key;
      again.source = chosen;
      found = Lookup(again);
    }
  }
  if (found.error != RouteError::kNone) {
    out.error = found.error;
    return out;
  }
  const bool own = found.route->type == RouteType::kLocal ||
                   found.route->type == RouteType::kAnycast;
  out.local = own || found.route->device == kLoopback;
  out.device = out.local ? kLoopback : found.route->device;
  out.gateway = found.route->gateway;
  out.broadcast = key.destination.IsMulticast();
  return out;
}

InputRoute Routing::Input(const IpAddress& source, const IpAddress& destination,
                          DeviceIndex index, uint32_t mark) const {
  if (destination.is_v6()) return Input6(source, destination, index, mark);
  const Device& device = devices_[index];
  InputRoute in;
  auto broadcast = [&] {
    if (!IsZeroNet(source) &&
        !ValidateSource(source, IpAddress::V4(0), kNoDevice, index, mark)) {
      return in;
    }
    in.fate = InputRoute::kLocal;
    in.broadcast = true;
    return in;
  };
  auto unreachable = [&](RouteError error) {
    in.icmp_type = kIcmpUnreachable;
    if (!device.forwarding && error != RouteError::kAccess) return in;
    if (error == RouteError::kInvalid) return in;
    in.fate = InputRoute::kUnreachable;
    in.icmp_code = error == RouteError::kNetUnreachable    ? 0
                   : error == RouteError::kHostUnreachable ? 1
                                                           : 13;
    return in;
  };
  if (source.IsMulticast() || IsLimitedBroadcast(source)) return in;
  if (destination.IsMulticast()) {
    // Every interface has joined the group of all hosts.
    if (destination != IpAddress::V4(0xe0000001)) return in;
    return broadcast();
  }
  if (IsLimitedBroadcast(destination) ||
      (source == IpAddress::V4(0) && destination == IpAddress::V4(0))) {
    return broadcast();
  }
  if (IsZeroNet(source) || IsZeroNet(destination)) return in;
  if ((destination.IsLoopback() || source.IsLoopback()) &&
      !device.route_localnet && index != kLoopback) {
    return in;
  }
  RouteKey key;
  key.destination = destination;
  key.source = source;
  key.mark = mark;
  key.in_device = index;
  const FibResult found = Lookup(key);
  if (found.error != RouteError::kNone) {
    return unreachable(device.forwarding ? found.error
                                         : RouteError::kHostUnreachable);
  }
  if (found.route->type == RouteType::kBroadcast) return broadcast();
  if (found.route->type == RouteType::kLocal) {
    if (!ValidateSource(source, destination, kNoDevice, index, mark)) {
      return in;
    }
    in.fate = InputRoute::kLocal;
    return in;
  }
  if (!device.forwarding) return unreachable(RouteError::kHostUnreachable);
  if (found.route->type != RouteType::kUnicast) return in;
  if (!ValidateSource(source, destination, found.route->device, index, mark)) {
    return in;
  }
  in.fate = InputRoute::kForward;
  in.device = found.route->device;
  in.gateway = found.route->gateway;
  return in;
}

InputRoute Routing::Input6(const IpAddress& source,
                           const IpAddress& destination, DeviceIndex index,
                           uint32_t mark) const {
  InputRoute in;
  if (destination.IsMulticast()) {
    // ff02::1 (and ff02::2 of a router) only.
    const auto& b = destination.bytes();
    const bool joined = b[0] == 0xff && (b[1] & 0xf) <= 2 &&
                        std::all_of(b.begin() + 2, b.begin() + 15,
                                    [](uint8_t x) { return x == 0; }) &&
                        (b[15] == 1 || (b[15] == 2 && forwarding6_));
    if (!joined) return in;
    in.fate = InputRoute::kLocal;
    in.broadcast = true;
    return in;
  }
  RouteKey key;
  key.destination = destination;
  key.source = source;
  key.mark = mark;
  key.in_device = index;
  const FibResult found = Lookup(key);
  if (found.error != RouteError::kNone) {
    if (found.error == RouteError::kInvalid) return in;
    in.fate = InputRoute::kUnreachable;
    in.icmp_type = kIcmp6Unreachable;
    in.icmp_code = found.error == RouteError::kAccess ? 1 : 0;
    return in;
  }
  if (found.route->type == RouteType::kLocal ||
      found.route->type == RouteType::kAnycast) {
    in.fate = InputRoute::kLocal;
    return in;
  }
  if (!forwarding6_) return in;
  if (source.IsUnspecified() || source.IsMulticast() || source.IsLoopback()) {
    return in;
  }
  in.fate = InputRoute::kForward;
  in.device = found.route->device;
  in.gateway = found.route->gateway;
  return in;
}

bool Routing::ValidateSource(const IpAddress& source,
                             const IpAddress& destination, DeviceIndex out,
                             DeviceIndex index, uint32_t mark) const {
  const Device& device = devices_[index];
  if (device.rp_filter == 0 && (index != out || !device.send_redirects)) {
    if (device.accept_local) return true;
    if (!custom_rules_) return !IsOwn(source);
  }
  return ValidateSourceFully(source, destination, out, index, mark);
}

bool Routing::ValidateSourceFully(const IpAddress& source,
                                  const IpAddress& destination, DeviceIndex out,
                                  DeviceIndex index, uint32_t mark) const {
  const Device& device = devices_[index];
  RouteKey key;
  key.destination = source;
  key.source = destination;
  key.mark = device.src_valid_mark ? mark : 0;
  key.in_device = out != kNoDevice ? out : kLoopback;
  const FibResult found = Lookup(key);
  if (found.error != RouteError::kNone) return device.rp_filter == 0;
  const RouteType type = found.route->type;
  if (type != RouteType::kUnicast &&
      (type != RouteType::kLocal || !device.accept_local)) {
    return false;
  }
  if (found.route->device == index ||
      (type == RouteType::kLocal && index == kLoopback)) {
    return true;
  }
  if (device.ipv4.empty()) return device.rp_filter == 0;
  return device.rp_filter != 1;
}

}  // namespace k8sdns::dataplane
