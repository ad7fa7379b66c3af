// What a rule is evaluated against: a packet at a hook of a node.
#ifndef K8SDNS_DATAPLANE_RULE_CONTEXT_H_
#define K8SDNS_DATAPLANE_RULE_CONTEXT_H_

#include <cstdint>
#include <map>
#include <optional>

#include "k8sdns/dataplane/conntrack.h"
#include "k8sdns/dataplane/decisions.h"
#include "k8sdns/dataplane/ip_sets.h"
#include "k8sdns/dataplane/ipvs_state.h"
#include "k8sdns/dataplane/node_packet.h"
#include "k8sdns/dataplane/routing.h"
#include "k8sdns/dataplane/rule_state.h"
#include "k8sdns/netfilter/ruleset.h"

namespace k8sdns::dataplane {

// How many redirects were sent to whom: the kernel limits them.
struct RedirectLimits {
  struct Sent {
    int count = 0;
    int64_t last_us = 0;
    friend bool operator==(const Sent&, const Sent&) = default;
  };
  std::map<IpAddress, Sent> ipv4;
  // By address, whether packets come from it or go to it.
  std::map<IpAddress, TokenBucket> ipv6;
  friend bool operator==(const RedirectLimits&,
                         const RedirectLimits&) = default;
};

// All that a node remembers from packet to packet. A value: copy it to try
// something.
struct NodeState {
  Conntrack conntrack;
  RuleState rules;
  IpSets sets;
  IpvsState ipvs;
  RedirectLimits redirects;
  int64_t now_us = 0;

  friend bool operator==(const NodeState&, const NodeState&) = default;
};

// Who sent a packet, as `-m owner` asks.
enum class SocketOwner : uint8_t {
  kNone,     // forwarded, or sent by the kernel itself
  kProcess,  // a process of the node
};

// A packet on its way, with what the kernel keeps beside it.
struct TransitPacket {
  NodePacket packet;
  uint32_t mark = 0;
  Tracking tracking;
  DeviceIndex in_device = kNoDevice;  // kNoDevice: not received yet
  SocketOwner owner = SocketOwner::kNone;
  // What the Arrival says of them; nullptr: not known. They point into it.
  const SocketCredentials* credentials = nullptr;  // of owner
  const MacAddress* source_mac = nullptr;          // on in_device
  bool ipvs_property = false;                      // IPVS has handled it
};

struct RuleContext {
  const netfilter::Ruleset& rules;
  const Routing& routing;
  const ConntrackOptions& conntrack_options;
  NodeState& state;
  Decisions& decisions;
  TransitPacket& transit;
  netfilter::Hook hook = netfilter::Hook::kPrerouting;
  netfilter::TableId table = netfilter::TableId::kFilter;
  // As the hook gives them to rules; kNoDevice if it does not.
  DeviceIndex in_device = kNoDevice;
  DeviceIndex out_device = kNoDevice;
  // Where the packet goes next, for MASQUERADE; nullopt: to its destination.
  std::optional<IpAddress> gateway = std::nullopt;

  IpFamily family() const { return rules.family(); }
  const Packet& header() const { return transit.packet.header; }
  Flow* flow() const { return state.conntrack.flow(transit.tracking.flow); }
  // "" for kNoDevice.
  absl::string_view DeviceName(DeviceIndex device) const {
    return device == kNoDevice ? absl::string_view()
                               : absl::string_view(routing.device(device).name);
  }
};

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_RULE_CONTEXT_H_
