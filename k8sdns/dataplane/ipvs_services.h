// The virtual servers of a node, made ready for packets: real servers in the
// order in which the kernel walks them, the schedulers' tables. Immutable.
//
// Facts: Linux net/netfilter/ipvs/ip_vs_{ctl,rr,wrr,lc,wlc,sed,nq,sh,dh,mh,
// fo,ovf,lblc,twos}.c.
#ifndef K8SDNS_DATAPLANE_IPVS_SERVICES_H_
#define K8SDNS_DATAPLANE_IPVS_SERVICES_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "k8sdns/dataplane/large_page_allocator.h"
#include "k8sdns/ipvs/virtual_server.h"
#include "k8sdns/net/packet.h"
#include "k8sdns/net/prefetch.h"

namespace k8sdns::dataplane {

// Half a cache line.
struct alignas(32) IpvsDest {
  IpAddress address;
  ipvs::Forwarding forwarding : 7 = ipvs::Forwarding::kMasquerade;
  // Whether its connections are counted: its scheduler or a threshold asks.
  bool counted : 1 = false;
  uint16_t port = 0;  // 0: that of the packet
  int32_t weight = 1;
  uint32_t upper_threshold = 0;  // 0: none
  uint32_t lower_threshold = 0;
};
static_assert(sizeof(IpvsDest) == 32);

// What a scheduler remembers of a service.
struct IpvsPosition {
  int32_t last = -1;   // dest chosen last; -1: the head of the list
  int32_t weight = 0;  // wrr: of the current pass
  friend bool operator==(const IpvsPosition&, const IpvsPosition&) = default;
};

// What few services have.
struct IpvsServiceExtra {
  IpvsPosition start;       // of rr and wrr after all were added
  int32_t max_weight = 0;   // wrr: of a pass
  int32_t weight_step = 1;  // wrr: the greatest common divisor
  std::string unknown;      // why it is not known
  // sh, dh, mh: bucket to dest, counted from first_dest; empty: no dest.
  std::vector<uint16_t> buckets;
};

// One cache line: a search for a key ends in it.
struct alignas(64) IpvsService {
  ipvs::ServiceKey key;
  bool used = false;  // else the place is free
  ipvs::Scheduler scheduler = ipvs::Scheduler::kRr;
  uint8_t scheduler_flags = 0;  // ipvs::VirtualServer::SchedulerFlag
  bool one_packet = false;
  bool persistent = false;
  bool known = true;     // else packets to it have an outcome that is not
  uint8_t prefix = 128;  // of IPv6 clients
  // Index of the first real server; the last added one comes first.
  uint32_t first_dest = 0;
  uint32_t dest_count = 0;
  uint32_t netmask = 0xffffffff;  // of IPv4 clients
  uint32_t extra = 0;             // IpvsServices::extra()
  uint32_t timeout_s = 0;         // of a persistent one
};
static_assert(sizeof(IpvsService) == 64);

class IpvsServices {
 public:
  explicit IpvsServices(const ipvs::Table& table);

  // The service of a packet: that of its mark, that of its destination, that
  // of the address with any port. -1: none.
  int32_t Find(const Packet& packet, uint32_t mark) const;

  int32_t Find(const ipvs::ServiceKey& key) const;

  // Less than size(); not all are used.
  const IpvsService& service(int32_t index) const { return services_[index]; }
  const IpvsServiceExtra& extra(const IpvsService& service) const {
    return extras_[service.extra];
  }
  std::span<const IpvsDest> dests(const IpvsService& service) const {
    return {dests_.data() + service.first_dest, service.dest_count};
  }
  const IpvsDest& dest(uint32_t index) const { return dests_[index]; }
  size_t dest_count() const { return dests_.size(); }
  void PrefetchDest(uint32_t index) const { PrefetchLine(&dests_[index]); }
  // Speed only: the index that the packet's service most likely has, and the
  // real servers that are there. Asks for the service's line.
  struct Ahead {
    uint32_t service = 0;
    uint32_t first_dest = 0;
    uint32_t dest_count = 0;
  };
  Ahead Prefetch(const Packet& packet) const;
  size_t size() const { return services_.size(); }

 private:
  void Add(const IpvsService& service);

  // An open-addressing table, by key: a power of two of places, at most half of
  // them used.
  std::vector<IpvsService, LargePageAllocator<IpvsService>> services_;
  // The real servers of each place: small enough to stay in the caches, so that
  // memory is asked for them and for the service at once.
  struct DestRange {
    uint32_t first = 0;
    uint32_t count = 0;
  };
  std::vector<DestRange, LargePageAllocator<DestRange>> ranges_;
  std::vector<IpvsDest, LargePageAllocator<IpvsDest>> dests_;
  std::vector<IpvsServiceExtra> extras_;  // the first is that of most
  bool has_marks_ = false;
  bool has_any_port_ = false;
};

// The bucket of an address for sh, dh and mh. `offset` is for their fallback.
uint32_t IpvsHash(ipvs::Scheduler scheduler, const IpAddress& address,
                  uint16_t port, uint32_t offset);

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_IPVS_SERVICES_H_
