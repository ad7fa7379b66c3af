// Network address translation on top of conntrack: choosing a flow's new
// tuple, and rewriting its packets, ICMP errors included.
//
// Facts: Linux net/netfilter/nf_nat_{core,proto}.c.
#ifndef K8SDNS_DATAPLANE_NAT_H_
#define K8SDNS_DATAPLANE_NAT_H_

#include <cstdint>
#include <optional>

#include "k8sdns/dataplane/conntrack.h"
#include "k8sdns/dataplane/decisions.h"
#include "k8sdns/netfilter/ops.h"
#include "k8sdns/netfilter/ruleset.h"

namespace k8sdns::dataplane {

// Which half of a tuple is changed.
enum class Manipulation : uint8_t { kSource, kDestination };

// PREROUTING and OUTPUT change destinations, INPUT and POSTROUTING sources.
inline Manipulation ManipulationAt(netfilter::Hook hook) {
  return hook == netfilter::Hook::kPostrouting ||
                 hook == netfilter::Hook::kInput
             ? Manipulation::kSource
             : Manipulation::kDestination;
}

// What a tuple may be mapped to.
struct NatTarget {
  std::optional<IpAddress> first_address;
  IpAddress last_address;
  bool has_ports = false;
  uint16_t first_port = 0;
  uint16_t last_port = 0;
  std::optional<uint16_t> base_port;  // shifted port mapping
  bool random = false;                // --random, --random-fully
  bool persistent = false;
};
NatTarget ToNatTarget(const netfilter::NatRange& range, IpFamily family);

inline bool IsInitialized(const Flow& flow, Manipulation manipulation) {
  return flow.status &
         (manipulation == Manipulation::kSource ? kFlowSourceNatDone
                                                : kFlowDestinationNatDone);
}

// Binds a flow that is not yet confirmed; nothing happens to others.
void BindNat(const NatTarget& target, Manipulation manipulation, FlowId flow,
             int64_t now_us, Conntrack& conntrack, Decisions& decisions);
// The same to one address and port, as the chains of Services do it.
void BindDestination(const IpAddress& address, uint16_t port, FlowId flow,
                     int64_t now_us, Conntrack& conntrack,
                     Decisions& decisions);
// The binding of a flow that no rule translates: its own address. The port
// still changes if the tuple is taken.
void BindNatToItself(Manipulation manipulation, FlowId flow, int64_t now_us,
                     Conntrack& conntrack, Decisions& decisions);

// Rewrites a packet as its flow says at that hook.
void TranslatePacket(const Flow& flow, const Tracking& tracking,
                     Manipulation manipulation, NodePacket& packet);
// The same for an ICMP error about a packet of the flow. False: dropped.
bool TranslateIcmpError(const Flow& flow, const Tracking& tracking,
                        Manipulation manipulation, NodePacket& packet);

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_NAT_H_
