// Where IPVS meets a packet's way through the hooks. At LOCAL_IN it comes after
// the filter and security tables, before nat; at FORWARD after filter; at
// LOCAL_OUT between nat and filter. What it forwards passes LOCAL_OUT and
// POSTROUTING.
//
// Facts: Linux net/netfilter/ipvs/ip_vs_{core,xmit,nfct}.c.
#include <utility>

#include "k8sdns/dataplane/packet_walk.h"

namespace k8sdns::dataplane {
namespace {

using netfilter::Hook;

constexpr uint8_t kIcmpUnreachable = 3;
constexpr uint8_t kIcmpHost = 1;
constexpr uint8_t kIcmpPort = 3;
constexpr uint8_t kIcmpSourceQuench = 4;
constexpr uint8_t kIcmpTimeExceeded = 11;
constexpr uint8_t kIcmp6Unreachable = 1;
constexpr uint8_t kIcmp6TimeExceeded = 3;
constexpr uint8_t kIcmp6Address = 3;
constexpr uint8_t kIcmp6Port = 4;

// ICMP errors that IPVS follows to their connection.
bool IsFollowed(const Packet& header) {
  if (header.protocol == Protocol::kIcmp) {
    return header.icmp_type == kIcmpUnreachable ||
           header.icmp_type == kIcmpSourceQuench ||
           header.icmp_type == kIcmpTimeExceeded;
  }
  return header.icmp_type < 128;
}

}  // namespace

bool PacketWalk::IpvsRequest(Item& item, Hook hook) {
  if (!state_.ipvs.enabled() || item.transit.ipvs_property) return true;
  if (hook == Hook::kInput && item.route.broadcast) return true;
  const Packet& header = item.transit.packet.header;
  if (header.IsIcmp()) return IpvsIcmpRequest(item);
  const Flow* flow = state_.conntrack.flow(item.transit.tracking.flow);
  const bool known = flow != nullptr && (flow->status & kFlowConfirmed) != 0;
  const bool own = item.transit.in_device == kNoDevice ||
                   item.transit.in_device == kLoopback;
  const IpvsVerdict verdict =
      state_.ipvs.Request(header, item.transit.mark, own, known, node_.ipvs,
                          state_.now_us, decisions_);
  switch (verdict.kind) {
    case IpvsVerdict::kPass:
      return true;
    case IpvsVerdict::kDrop:
      EndDropped(item);
      return false;
    case IpvsVerdict::kUnknown:
      EndUnknown(item, TableVerdict::Unknown(verdict.service, verdict.reason));
      return false;
    case IpvsVerdict::kLeave:
      EndDropped(item);
      if (header.dst.is_v6()) {
        SendIcmpError(item, kIcmp6Unreachable, kIcmp6Port, true);
      } else {
        SendIcmpError(item, kIcmpUnreachable, kIcmpPort, true);
      }
      return false;
    case IpvsVerdict::kForward:
      return IpvsForward(item, verdict.connection);
  }
  return true;
}

// ip_vs_nat_xmit(), ip_vs_icmp_xmit().
bool PacketWalk::IpvsForward(Item& item, const IpvsConnection& connection) {
  Packet& header = item.transit.packet.header;
  const bool v6 = header.dst.is_v6();
  RouteKey key;
  key.destination = connection.dest;
  const OutputRoute route = node_.routing.Output(key);
  if (!route.local) item.stolen = true;
  if (route.error != RouteError::kNone) {
    EndDropped(item);
    SendIcmpError(item, v6 ? kIcmp6Unreachable : kIcmpUnreachable,
                  v6 ? kIcmp6Address : kIcmpHost, true);
    return false;
  }
  if (!route.local) {
    // The loopback address does not leave the node.
    if (header.src.IsLoopback()) {
      EndDropped(item);
      return false;
    }
    if (header.ttl <= 1) {
      EndDropped(item);
      SendIcmpError(item, v6 ? kIcmp6TimeExceeded : kIcmpTimeExceeded, 0, true);
      return false;
    }
    --header.ttl;
  }
  header.dst = connection.dest;
  if (header.IsIcmp()) {
    Packet& quoted = *item.transit.packet.quoted;
    quoted.src = connection.dest;
    quoted.src_port = connection.dest_port;
  } else {
    header.dst_port = connection.dest_port;
  }
  item.transit.ipvs_property = true;

  Tracking& tracking = item.transit.tracking;
  Flow* flow = state_.conntrack.flow(tracking.flow);
  if (!connection.conntrack) {
    tracking = {0, FlowState::kUntracked};
  } else if (flow != nullptr && tracking.direction() == 0 &&
             (flow->status & kFlowConfirmed) == 0 && !connection.one_packet &&
             !header.IsIcmp()) {
    Tuple reply = flow->tuples[1];
    reply.src = connection.dest;
    reply.src_port = connection.dest_port;
    state_.conntrack.AlterReply(tracking.flow, reply);
  }
  item.route = route;
  if (route.local) return true;
  if (LocalOut(item)) {
    Postrouting(item, item.transit.in_device, item.route.device,
                item.route.gateway);
  }
  return false;
}

void PacketWalk::IpvsReply(Item& item) {
  if (!state_.ipvs.enabled() || item.transit.ipvs_property) return;
  Packet& header = item.transit.packet.header;
  if (header.IsIcmp()) return IpvsIcmpReply(item);
  const IpvsConnection* connection = state_.ipvs.Reply(header, state_.now_us);
  if (connection == nullptr) return;
  header.src = connection->virtual_address;
  header.src_port = connection->virtual_port;
  item.transit.ipvs_property = true;
  if (!connection->conntrack) {
    item.transit.tracking = {0, FlowState::kUntracked};
  }
}

// An error of the client about a reply.
bool PacketWalk::IpvsIcmpRequest(Item& item) {
  const NodePacket& packet = item.transit.packet;
  if (!IsFollowed(packet.header) || !packet.quoted) return true;
  Packet request = *packet.quoted;
  std::swap(request.src, request.dst);
  std::swap(request.src_port, request.dst_port);
  const IpvsConnection* connection = state_.ipvs.Find(request);
  if (connection == nullptr) return true;
  return IpvsForward(item, IpvsConnection(*connection));
}

// An error of or on the way to the real server, about a request.
void PacketWalk::IpvsIcmpReply(Item& item) {
  NodePacket& packet = item.transit.packet;
  if (!IsFollowed(packet.header) || !packet.quoted) return;
  const IpvsConnection* connection = state_.ipvs.Translated(*packet.quoted);
  if (connection == nullptr) return;
  packet.header.src = connection->virtual_address;
  packet.quoted->dst = connection->virtual_address;
  packet.quoted->dst_port = connection->virtual_port;
  item.transit.ipvs_property = true;
  if (!connection->conntrack) {
    item.transit.tracking = {0, FlowState::kUntracked};
  }
}

}  // namespace k8sdns::dataplane
