// The way of a packet that opens a flow to a Service and is forwarded: what
// Input() comes to if no rule does anything but choose an endpoint. The flow
// is entered at once, as it is when such a packet has passed all hooks.
#include "k8sdns/dataplane/nat.h"
#include "k8sdns/dataplane/packet_walk.h"

namespace k8sdns::dataplane {
namespace {

using netfilter::Hook;
using netfilter::TableId;

}  // namespace

RuleMatcher::Residue PacketWalk::ResidueAt(TableId table, Hook hook,
                                           const OpeningCache::Key& key) {
  const RuleMatcher& matcher = *node_.matchers[key.v6];
  // All that a residue may depend on.
  TransitPacket transit;
  transit.packet.header.protocol = key.protocol;
  transit.packet.header.src = transit.packet.header.dst =
      key.v6 ? IpAddress::V6({}) : IpAddress::V4(0);
  transit.mark = key.mark;
  transit.in_device = key.in;
  if (table != TableId::kRaw) transit.tracking = {1, FlowState::kNew};
  RuleContext context{*node_.rules[key.v6], node_.routing,
                      node_.conntrack,      state_,
                      decisions_,           transit};
  context.hook = hook;
  context.table = table;
  context.in_device = hook == Hook::kPostrouting ? kNoDevice : key.in;
  context.out_device = key.out;
  return matcher.ResidueOf(context);
}

void PacketWalk::FindResidues(const OpeningCache::Key& key,
                              OpeningCache::Entry& entry) {
  const auto accepts = [&](TableId table, Hook hook) {
    return ResidueAt(table, hook, key).kind == RuleMatcher::Residue::kAccepts;
  };
  entry.key = key;
  entry.nat = {};
  entry.runs = node_.rules[key.v6]->family() !=
               (key.v6 ? IpFamily::kIpv6 : IpFamily::kIpv4);
  if (entry.runs) return;
  if (key.out != kNoDevice) {
    entry.runs = !accepts(TableId::kMangle, Hook::kForward) ||
                 !accepts(TableId::kFilter, Hook::kForward) ||
                 !accepts(TableId::kSecurity, Hook::kForward) ||
                 !accepts(TableId::kMangle, Hook::kPostrouting) ||
                 !accepts(TableId::kNat, Hook::kPostrouting);
    return;
  }
  entry.nat = ResidueAt(TableId::kNat, Hook::kPrerouting, key);
  entry.runs = !accepts(TableId::kRaw, Hook::kPrerouting) ||
               !accepts(TableId::kMangle, Hook::kPrerouting) ||
               entry.nat.kind != RuleMatcher::Residue::kLooksUp;
}

bool PacketWalk::Open(const NodePacket& packet, DeviceIndex device,
                      uint32_t mark) {
  const Packet& header = packet.header;
  const bool v6 = header.dst.is_v6();
  const bool opens = header.protocol == Protocol::kTcp
                         ? OpensTcp(header.tcp_flags)
                         : header.protocol == Protocol::kUdp;
  if (cache_ == nullptr || traced_ || !opens || device == kLoopback ||
      !node_.has_nat[v6] || !node_.conntrack_used[v6] ||
      header.src.is_v6() != v6 || state_.ipvs.enabled() ||
      (v6 && (header.dst.IsLoopback() || header.src.IsLoopback() ||
              header.src.IsMulticast()))) {
    return false;
  }
  const OpeningCache::Entry before =
      Residues({mark, device, kNoDevice, header.protocol, v6});
  if (before.runs) return false;
  const RuleMatcher& matcher = *node_.matchers[v6];
  Conntrack& conntrack = state_.conntrack;
  const Tuple tuple = {header.src, header.dst, header.src_port, header.dst_port,
                       header.protocol};
  const uint32_t hash = tuple.Hash();
  if (!conntrack.IsFree(tuple, hash)) return false;
  const auto endpoint =
      matcher.ChooseEndpoint(before.nat, header, decisions_, mark);
  if (!endpoint) return false;

  // From here on the packet cannot start again: it was drawn for.
  const Tuple reply = {endpoint->address, header.src, endpoint->port,
                       header.src_port, header.protocol};
  const uint32_t reply_hash = reply.Hash();
  const bool plain =
      header.ttl > 1 &&
      (reply.src != header.dst || reply.src_port != header.dst_port) &&
      !(reply == tuple) && conntrack.IsFree(reply, reply_hash);
  DeviceIndex out = kNoDevice;
  if (plain) {
    out = node_.routing.ForwardsPlainly(header.src, reply.src, device);
    if (out == kNoDevice) {
      const InputRoute route =
          node_.routing.Input(header.src, reply.src, device, mark);
      const bool onward =
          route.fate == InputRoute::kForward && route.device != device;
      if (onward) out = route.device;
    }
  }
  if (out == kNoDevice || out == kLoopback ||
      Residues({mark, device, out, header.protocol, v6}).runs) {
    OpenInTurn(packet, device, mark, *endpoint);
    return true;
  }
  conntrack.Enter(packet, tuple, hash, reply, reply_hash, state_.now_us);
  outcome_.verdict.kind = Verdict::kAccept;
  outcome_.out = node_.routing.device(out).name;
  outcome_.packet = packet;
  outcome_.packet.header.dst = reply.src;
  outcome_.packet.header.dst_port = reply.src_port;
  --outcome_.packet.header.ttl;
  outcome_.mark = mark;
  return true;
}

void PacketWalk::OpenInTurn(const NodePacket& packet, DeviceIndex device,
                            uint32_t mark,
                            const RuleMatcher::Endpoint& endpoint) {
  ++packets_;
  Item item;
  item.transit.mark = mark;
  item.transit.packet = packet;
  item.transit.in_device = device;
  item.observed = true;
  Track(item);
  BindDestination(endpoint.address, endpoint.port, item.transit.tracking.flow,
                  state_.now_us, state_.conntrack, decisions_);
  TranslatePacket(*state_.conntrack.flow(item.transit.tracking.flow),
                  item.transit.tracking, Manipulation::kDestination,
                  item.transit.packet);
  RouteInput(item);
  Finish();
}

}  // namespace k8sdns::dataplane
