// IPVS: virtual servers, their real servers and schedulers, as ipvsadm(8)
// knows them, and the table of a node.
//
//   ipvs::Table table;
//   VirtualServer web;
//   web.key = ServiceKey::Of(Protocol::kTcp, *IpAddress::Parse("10.96.0.10"),
//                            80);
//   web.scheduler = Scheduler::kRr;
//   web.real_servers.push_back({.address = pod, .port = 8080});
//   table.Add(std::move(web));
//
// Value types; a const Table may be read from any number of threads.
#ifndef K8SDNS_IPVS_VIRTUAL_SERVER_H_
#define K8SDNS_IPVS_VIRTUAL_SERVER_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "k8sdns/net/ip_address.h"
#include "k8sdns/net/packet.h"

namespace k8sdns::ipvs {

// The schedulers of Linux (net/netfilter/ipvs), by their module's short name.
enum class Scheduler : uint8_t {
  kOther,  // a name that is not in this list
  kRr,     // round robin
  kWrr,    // weighted round robin
  kLc,     // least connections
  kWlc,    // weighted least connections
  kLblc,   // locality-based least connections
  kLblcr,  // the same with replication
  kDh,     // destination hashing
  kSh,     // source hashing
  kSed,    // shortest expected delay
  kNq,     // never queue
  kFo,     // weighted failover
  kOvf,    // weighted overflow
  kMh,     // Maglev hashing
  kTwos,   // weighted random twos choice
};

// "rr", "wrr", ...; "" for kOther.
absl::string_view SchedulerName(Scheduler scheduler);
// kOther for a name that is not known.
Scheduler FindScheduler(absl::string_view name);

// How packets reach the real server.
enum class Forwarding : uint8_t {
  kMasquerade,  // -m, NAT
  kRoute,       // -g, direct routing ("gatewaying")
  kTunnel,      // -i
};

enum class TunnelType : uint8_t { kIpip, kGue, kGre };

// What identifies a virtual server: a firewall mark, or protocol, address and
// port (0: any port).
struct ServiceKey {
  uint32_t fwmark = 0;  // 0: not by mark
  Protocol protocol = Protocol::kTcp;
  IpFamily family = IpFamily::kIpv4;
  uint16_t port = 0;
  IpAddress address;  // of `family`; the default for a mark

  static ServiceKey Of(Protocol protocol, const IpAddress& address,
                       uint16_t port) {
    ServiceKey key;
    key.protocol = protocol;
    key.family = address.family();
    key.port = port;
    key.address = address;
    return key;
  }
  static ServiceKey OfMark(uint32_t mark, IpFamily family) {
    ServiceKey key;
    key.fwmark = mark;
    key.family = family;
    return key;
  }

  friend bool operator==(const ServiceKey&, const ServiceKey&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const ServiceKey& k) {
    // In one number what fits; the address has the family, too.
    const uint64_t rest = uint64_t{k.fwmark} << 32 |
                          static_cast<uint64_t>(k.protocol) << 24 |
                          static_cast<uint64_t>(k.family) << 16 | k.port;
    return H::combine(std::move(h), rest, k.address);
  }
};

// The order in which `ipvsadm -S` lists virtual servers: by mark, family,
// protocol number, address, port (ipvsadm 1.31, ipvs_cmp_services).
bool IpvsadmLess(const ServiceKey& a, const ServiceKey& b);

// Rarely needed parts of a real server.
struct RealServerExtra {
  uint32_t upper_threshold = 0;  // connections; 0: none
  uint32_t lower_threshold = 0;
  TunnelType tunnel = TunnelType::kIpip;
  uint16_t tunnel_port = 0;     // GUE only
  uint8_t tunnel_checksum = 0;  // 0 none, 1 checksum, 2 remote checksum
  // Options that are not known, as they were written, separated by blanks.
  std::string unknown_options;

  friend bool operator==(const RealServerExtra&,
                         const RealServerExtra&) = default;
};

struct RealServer {
  IpAddress address;
  uint16_t port = 0;
  Forwarding forwarding = Forwarding::kMasquerade;
  int32_t weight = 1;  // 0..65535; 0 is quiescent: no new connections
  std::shared_ptr<const RealServerExtra> extra;  // null: all defaults

  friend bool operator==(const RealServer& a, const RealServer& b) {
    return a.address == b.address && a.port == b.port &&
           a.forwarding == b.forwarding && a.weight == b.weight &&
           (a.extra == b.extra ||
            (a.extra != nullptr && b.extra != nullptr && *a.extra == *b.extra));
  }
};

// The order in which `ipvsadm -S` lists real servers (ipvs_cmp_dests).
inline bool IpvsadmLess(const RealServer& a, const RealServer& b) {
  if (auto order = a.address <=> b.address; order != 0) return order < 0;
  return a.port < b.port;
}

struct VirtualServer {
  // Flags of a scheduler. The names depend on the scheduler: the first two are
  // fallback and port for sh and mh.
  enum SchedulerFlag : uint8_t {
    kFlag1 = 1,  // sh-fallback, mh-fallback
    kFlag2 = 2,  // sh-port, mh-port
    kFlag3 = 4,
  };

  ServiceKey key;
  Scheduler scheduler = Scheduler::kWlc;
  uint8_t scheduler_flags = 0;
  bool one_packet = false;           // -o: a new choice for each packet
  bool persistent = false;           // -p
  uint8_t persistence_prefix = 128;  // -M of IPv6: 1..128
  uint32_t persistence_seconds = 0;
  uint32_t netmask = 0xffffffff;  // -M of IPv4, in host order
  std::string other_scheduler;    // the name, for kOther
  std::string persistence_engine;
  std::string unknown_options;  // as written, separated by blanks
  std::vector<RealServer> real_servers;

  absl::string_view scheduler_name() const {
    return scheduler == Scheduler::kOther ? absl::string_view(other_scheduler)
                                          : SchedulerName(scheduler);
  }
  // Index into real_servers, or -1.
  int Find(const IpAddress& address, uint16_t port) const;

  friend bool operator==(const VirtualServer&, const VirtualServer&) = default;
};

// The virtual servers of a node, in the order in which they were added.
class Table {
 public:
  // nullptr if there is none. O(1). Pointers are valid until the next Add() or
  // Remove().
  const VirtualServer* Find(const ServiceKey& key) const;
  VirtualServer* Find(const ServiceKey& key);

  // nullptr if one with this key is there already. Amortised O(1). Do not
  // change the key of what is returned.
  VirtualServer* Add(VirtualServer server);
  // What Find() finds, else what Add() makes of a default with this key.
  VirtualServer* FindOrAdd(const ServiceKey& key);
  // False if there was none. Amortised O(1).
  bool Remove(const ServiceKey& key);
  void Clear();
  void Reserve(size_t servers);
  // Asks for the memory that FindOrAdd() will look at.
  void Prefetch(const ServiceKey& key) const { index_.prefetch(key); }

  size_t size() const { return index_.size(); }
  bool empty() const { return index_.empty(); }
  // Calls `visit(const VirtualServer&)` in order.
  template <typename Visitor>
  void ForEach(Visitor&& visit) const {
    for (const Slot& slot : slots_) {
      if (slot.live) visit(slot.server);
    }
  }
  // All of them, in ipvsadm's order, or in the order of addition. O(n log n).
  std::vector<const VirtualServer*> List(bool sorted = true) const;

  // The same virtual servers with the same real servers; the order of both is
  // not compared.
  friend bool SameServers(const Table& a, const Table& b);

 private:
  struct Slot {
    VirtualServer server;
    bool live = true;
  };
  void Compact();

  std::vector<Slot> slots_;
  absl::flat_hash_map<ServiceKey, uint32_t> index_;
};

bool SameServers(const Table& a, const Table& b);

}  // namespace k8sdns::ipvs

#endif  // K8SDNS_IPVS_VIRTUAL_SERVER_H_
