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
#include "k8sdns/dataplane/slot_table.h"
#include "k8sdns/ipvs/virtual_server.h"
#include "k8sdns/net/packet.h"

namespace k8sdns::dataplane {

struct IpvsDest {
  IpAddress address;
  uint16_t port = 0;  // 0: that of the packet
  ipvs::Forwarding forwarding = ipvs::Forwarding::kMasquerade;
  // Whether its connections are counted: its scheduler or a threshold asks.
  bool counted = false;
  int32_t weight = 1;
  uint32_t upper_threshold = 0;  // 0: none
  uint32_t lower_threshold = 0;
};

// What a scheduler remembers of a service.
struct IpvsPosition {
  int32_t last = -1;   // dest chosen last; -1: the head of the list
  int32_t weight = 0;  // wrr: of the current pass
  friend bool operator==(const IpvsPosition&, const IpvsPosition&) = default;
};

// What every new connection asks for comes first, in one cache line.
struct alignas(64) IpvsService {
  ipvs::ServiceKey key;
  ipvs::Scheduler scheduler = ipvs::Scheduler::kRr;
  uint8_t scheduler_flags = 0;  // ipvs::VirtualServer::SchedulerFlag
  bool one_packet = false;
  bool persistent = false;
  bool known = true;  // else packets to it have an outcome that is not
  // Index of the first real server; the last added one comes first.
  uint32_t first_dest = 0;
  uint32_t dest_count = 0;
  IpvsPosition start;             // of rr and wrr after all were added
  uint8_t prefix = 128;           // of IPv6 clients
  uint32_t netmask = 0xffffffff;  // of IPv4 clients
  int32_t max_weight = 0;         // wrr: of a pass
  int32_t weight_step = 1;        // wrr: the greatest common divisor
  int64_t timeout_us = 0;
  std::string unknown;  // why it is not known
  // sh, dh, mh: bucket to dest, counted from first_dest; empty: no dest.
  std::vector<uint16_t> buckets;
};

class IpvsServices {
 public:
  IpvsServices() = default;
  explicit IpvsServices(const ipvs::Table& table);

  // The service of a packet: that of its mark, that of its destination, that
  // of the address with any port. -1: none.
  int32_t Find(const Packet& packet, uint32_t mark) const;

  const IpvsService& service(int32_t index) const { return services_[index]; }
  std::span<const IpvsDest> dests(const IpvsService& service) const {
    return {dests_.data() + service.first_dest, service.dest_count};
  }
  const IpvsDest& dest(uint32_t index) const { return dests_[index]; }
  bool empty() const { return services_.empty(); }
  // Speed only: asks for what Find() reads first.
  void Prefetch(const Packet& packet) const;
  size_t size() const { return services_.size(); }

 private:
  int32_t Find(const ipvs::ServiceKey& key) const;

  std::vector<IpvsService, LargePageAllocator<IpvsService>> services_;
  std::vector<IpvsDest, LargePageAllocator<IpvsDest>> dests_;
  SlotTable by_key_;
  bool has_marks_ = false;
  bool has_any_port_ = false;
};

// The bucket of an address for sh, dh and mh. `offset` is for their fallback.
uint32_t IpvsHash(ipvs::Scheduler scheduler, const IpAddress& address,
                  uint16_t port, uint32_t offset);

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_IPVS_SERVICES_H_
