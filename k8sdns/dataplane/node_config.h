// What a node is, apart from its rules: interfaces with their addresses,
// routes, policy rules and sysctls. Plain data that a test writes down; the
// routes that the kernel itself adds for an address are not listed here.
//
//   NodeConfig node;
//   node.interfaces.push_back({"eth0", {*ParseInterfaceAddress(
//       "192.168.10.11/24")}});
//   node.routes.push_back({.prefix = *IpPrefix::Parse("0.0.0.0/0"),
//                          .gateway = IpAddress::Parse("192.168.10.1"),
//                          .device = "eth0"});
//   node.sysctls["net.ipv4.conf.all.rp_filter"] = 1;
#ifndef K8SDNS_DATAPLANE_NODE_CONFIG_H_
#define K8SDNS_DATAPLANE_NODE_CONFIG_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "k8sdns/net/ip_address.h"

namespace k8sdns::dataplane {

struct Interface {
  std::string name;
  // Host bits are the address. In the order in which they were added.
  std::vector<IpPrefix> addresses;
  bool up = true;
  // True for interfaces with a link layer (Ethernet); false for
  // point-to-point ones, on which `-m mac` never matches.
  bool ethernet = false;
};

// Types of routes, by the kernel's RTN_* numbers.
enum class RouteType : uint8_t {
  kUnicast = 1,
  kLocal = 2,
  kBroadcast = 3,
  kAnycast = 4,
  kMulticast = 5,
  kBlackhole = 6,
  kUnreachable = 7,
  kProhibit = 8,
  kThrow = 9,
};
// "unicast", "unreachable", ... as ip-route(8) spells them.
std::optional<RouteType> ParseRouteType(absl::string_view text);

constexpr uint32_t kTableLocal = 255;
constexpr uint32_t kTableMain = 254;
constexpr uint32_t kTableDefault = 253;

struct Route {
  IpPrefix prefix;
  std::optional<IpAddress> gateway;
  // Name of the interface. May be empty if there is a gateway on a connected
  // network, or for a type without next hop.
  std::string device;
  uint32_t table = kTableMain;
  RouteType type = RouteType::kUnicast;
  std::optional<IpAddress> preferred_source;
  uint32_t metric = 0;
};

struct PolicyRule {
  IpFamily family = IpFamily::kIpv4;
  uint32_t priority = 32765;
  std::optional<IpPrefix> from;
  std::optional<IpPrefix> to;
  std::optional<uint32_t> mark;
  uint32_t mark_mask = 0xffffffff;
  std::string in_interface;   // "" for any; "lo": what the node itself sends
  std::string out_interface;  // "" for any
  bool invert = false;        // "not"
  // What to do: look into `table`, or fail as a route of that type.
  uint32_t table = kTableMain;
  RouteType action = RouteType::kUnicast;
};

// Reads "pref 1000 from 10.0.0.0/8 fwmark 0x1/0xff iif eth0 lookup 100", the
// arguments of `ip rule add`. nullopt if a word is not understood.
std::optional<PolicyRule> ParsePolicyRule(absl::string_view text,
                                          IpFamily family);

struct NodeConfig {
  // "lo" need not be listed; 127.0.0.1/8 and ::1/128 are always there.
  std::vector<Interface> interfaces;
  std::vector<Route> routes;
  std::vector<PolicyRule> policy_rules;
  // By full name. Not given: the kernel's default, except that forwarding is
  // on in both families.
  std::map<std::string, int64_t> sysctls;

  // Servers of the node take what is delivered to it and answer for
  // themselves. Else TCP is answered by RST, UDP by port unreachable, echo
  // requests by echo replies, as on a node without any server.
  bool has_listeners = false;

  // A limit: n rules that draw at random and do not end a packet's way give
  // 2^n outcomes. Those over the limit are one outcome, kUnknown.
  size_t max_outcomes = 65536;

  // The sysctl or `otherwise`.
  int64_t Sysctl(const std::string& name, int64_t otherwise) const;
};

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_NODE_CONFIG_H_
