// Routing decisions of a node, as the kernel's FIB makes them: policy rules,
// tables with longest prefix match, source address selection and validation,
// and the routes that the kernel itself adds for each address.
//
// Facts: Linux net/ipv4/{route,fib_frontend,fib_trie,devinet}.c,
// net/ipv6/{route,addrconf}.c, RFC 6724 (source address selection).
//
// Immutable after construction; safe to share between threads. A lookup in a
// table costs a binary search (IPv4) or a hash lookup for each prefix length
// (IPv6); one that is restricted to a device is linear in the table's routes.
#ifndef K8SDNS_DATAPLANE_ROUTING_H_
#define K8SDNS_DATAPLANE_ROUTING_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "k8sdns/dataplane/node_config.h"
#include "k8sdns/net/ip_address.h"

namespace k8sdns::dataplane {

// 0 is no device, 1 is lo.
using DeviceIndex = uint16_t;
constexpr DeviceIndex kNoDevice = 0;
constexpr DeviceIndex kLoopback = 1;

// Scopes of routes and addresses (RT_SCOPE_*); wider is smaller.
enum class Scope : uint8_t { kUniverse = 0, kLink = 253, kHost = 254 };

struct DeviceAddress {
  IpAddress address;
  int prefix_length = 0;
  Scope scope = Scope::kUniverse;
  bool secondary = false;  // IPv4: a later address of the same prefix
};

struct Device {
  std::string name;
  bool up = true;
  bool ethernet = false;
  std::vector<DeviceAddress> ipv4;  // in the order of addition
  std::vector<DeviceAddress> ipv6;  // as the kernel lists them: newest first
  // Effective values: "all" and the device's own are combined.
  int rp_filter = 0;
  bool accept_local = false;
  bool route_localnet = false;
  bool src_valid_mark = false;
  bool forwarding = true;  // IPv4; IPv6 has one switch for all
  bool send_redirects = true;
  bool has_link_local = true;  // IPv6: an address that begins with fe80
};

// Why there is no route, by the error that a sender sees.
enum class RouteError : uint8_t {
  kNone,
  kNetUnreachable,   // ENETUNREACH
  kHostUnreachable,  // EHOSTUNREACH
  kAccess,           // EACCES
  kInvalid,          // EINVAL
};
absl::string_view RouteErrorName(RouteError error);  // "EHOSTUNREACH"

// What a route lookup asks.
struct RouteKey {
  IpAddress destination;
  std::optional<IpAddress> source;
  uint32_t mark = 0;
  DeviceIndex in_device = kLoopback;  // kLoopback: the node itself sends
  DeviceIndex out_device = kNoDevice;
};

// A route as the kernel keeps it.
struct FibRoute {
  IpPrefix prefix;
  RouteType type = RouteType::kUnicast;
  DeviceIndex device = kNoDevice;
  std::optional<IpAddress> gateway;
  std::optional<IpAddress> preferred_source;
  Scope scope = Scope::kUniverse;
  uint32_t metric = 0;
};

struct FibResult {
  RouteError error = RouteError::kNone;
  const FibRoute* route = nullptr;  // only without error; of the Routing
};

// The route of a packet that the node sends.
struct OutputRoute {
  RouteError error = RouteError::kNone;
  DeviceIndex device = kNoDevice;
  std::optional<IpAddress> gateway;
  IpAddress source;        // as asked, or the one chosen
  bool local = false;      // goes to the node itself, by lo
  bool broadcast = false;  // or multicast: no ICMP errors about it
};

// What becomes of a packet that came in.
struct InputRoute {
  enum Fate : uint8_t {
    kLocal,        // to the node itself
    kForward,      // out by `device`
    kDrop,         // martian, or not forwarding: no answer
    kUnreachable,  // answered by ICMP type and code
  };
  Fate fate = kDrop;
  DeviceIndex device = kNoDevice;
  std::optional<IpAddress> gateway;
  bool broadcast = false;  // local by broadcast or multicast
  uint8_t icmp_type = 0;
  uint8_t icmp_code = 0;
};

class Routing {
 public:
  explicit Routing(const NodeConfig& node);

  const Device& device(DeviceIndex index) const { return devices_[index]; }
  size_t device_count() const { return devices_.size(); }
  // kNoDevice if there is none of that name.
  DeviceIndex FindDevice(absl::string_view name) const;

  // The FIB's answer: rules, then tables.
  FibResult Lookup(const RouteKey& key) const;
  // The best route of one table, by address only; `device` other than
  // kNoDevice restricts the next hop.
  const FibRoute* LookupTable(uint32_t table, const IpAddress& destination,
                              DeviceIndex device = kNoDevice) const;

  // `any_source` allows a source that is not the node's (re-routing).
  OutputRoute Output(const RouteKey& key, bool any_source = false) const;
  InputRoute Input(const IpAddress& source, const IpAddress& destination,
                   DeviceIndex device, uint32_t mark) const;

  // Speed only: where Input() forwards a packet, if that is another device and
  // nothing about the packet is unusual; else kNoDevice, ask Input().
  DeviceIndex ForwardsPlainly(const IpAddress& source,
                              const IpAddress& destination,
                              DeviceIndex device) const;

  // Whether the address is the node's own (any device, up or not).
  bool IsLocal(const IpAddress& address) const;
  // As inet_addr_type(): by the local table alone. With a device, the
  // address' type counts only if it is on that device.
  RouteType AddressType(const IpAddress& address,
                        DeviceIndex device = kNoDevice) const;
  // The address that MASQUERADE and ICMP errors use on a device;
  // nullopt if the node has none that would do.
  std::optional<IpAddress> SelectSource(DeviceIndex device,
                                        const std::optional<IpAddress>& toward,
                                        Scope scope) const;
  std::optional<IpAddress> SelectSource6(DeviceIndex device,
                                         const IpAddress& destination) const;
  bool forwarding6() const { return forwarding6_; }

 private:
  void AddDevices(const NodeConfig& node);
  void SetDeviceConfig(const NodeConfig& node, Device& device);
  void AddAddressRoutes(DeviceIndex index);
  void AddRoute(uint32_t table, const FibRoute& route);
  void AddConfiguredRoute(const Route& route);

  bool RuleMatches(const PolicyRule& rule, const RouteKey& key) const;
  OutputRoute Output6(const RouteKey& key) const;
  InputRoute Input6(const IpAddress& source, const IpAddress& destination,
                    DeviceIndex device, uint32_t mark) const;
  // 0 or more: fine; false: the packet is a martian.
  bool ValidateSource(const IpAddress& source, const IpAddress& destination,
                      DeviceIndex out, DeviceIndex device, uint32_t mark) const;
  bool ValidateSourceFully(const IpAddress& source,
                           const IpAddress& destination, DeviceIndex out,
                           DeviceIndex device, uint32_t mark) const;

  std::vector<Device> devices_;
  // The first device of each name, if there are many.
  absl::flat_hash_map<std::string, DeviceIndex> by_name_;
  std::vector<PolicyRule> rules_;  // by priority, the default ones included
  bool custom_rules_ = false;      // IPv4: more than the default ones
  struct RouteTable {
    // The best; nullptr: none.
    const FibRoute* Find(const IpAddress& destination) const;
    const FibRoute* Find4(uint32_t destination) const;

    std::vector<FibRoute> routes;  // longest prefix first
    // IPv4: the addresses from starts[i] on, up to the next, have best[i] (an
    // index of routes, or kNoRoute). Empty until the table is complete.
    std::vector<uint32_t> starts;
    std::vector<uint32_t> best;
    // IPv4: the /32 routes, if there are many; the ranges are without them
    // then.
    absl::flat_hash_map<uint32_t, uint32_t> hosts;
    // IPv6: by prefix length, as routes are ordered: the first route of a
    // prefix. Empty for few routes.
    struct Length {
      int length;
      absl::flat_hash_map<IpAddress, uint32_t> first;
    };
    std::vector<Length> lengths;
  };
  static constexpr uint32_t kNoRoute = ~uint32_t{0};
  static void IndexRoutes4(RouteTable& table);
  void IndexPlain4();
  DeviceIndex PlainDevice4(uint32_t address) const;
  static void IndexRoutes6(RouteTable& table);
  FibResult LookupByRules(const RouteKey& key) const;
  bool IsOwn(const IpAddress& address) const;

  std::map<uint32_t, RouteTable> tables_[2];
  // Those of the default rules, of IPv4; nullptr: there is none.
  const RouteTable* default_tables4_[3] = {nullptr, nullptr, nullptr};
  // IPv4, the default rules alone: unicast addresses from plain_starts_[i] on,
  // up to the next, are reached by plain_devices_[i]; kNoDevice for all others.
  std::vector<uint32_t> plain_starts_;
  std::vector<DeviceIndex> plain_devices_;
  absl::flat_hash_set<IpAddress> own_;  // the addresses of all devices
  bool forwarding6_ = true;
};

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_ROUTING_H_
