#include "k8sdns/dataplane/packet_walk.h"

#include <utility>

#include "k8sdns/dataplane/nat.h"

namespace k8sdns::dataplane {
namespace {

using netfilter::Hook;
using netfilter::TableId;

// Answers about answers end somewhere; this only bounds odd rule sets.
constexpr int kMaxPackets = 64;

constexpr uint8_t kIcmpTimeExceeded = 11;
constexpr uint8_t kIcmp6TimeExceeded = 3;

}  // namespace

void PacketWalk::Receive(const NodePacket& packet, DeviceIndex device,
                         uint32_t mark, const MacAddress* source_mac) {
  if (source_mac == nullptr && Open(packet, device, mark)) return;
  Item item;
  item.transit.mark = mark;
  item.transit.source_mac = source_mac;
  item.transit.packet = packet;
  item.observed = true;
  Input(item, device);
  Finish();
}

void PacketWalk::Send(NodePacket packet, bool has_source, uint32_t mark,
                      const SocketCredentials* credentials) {
  Item item;
  item.transit.mark = mark;
  item.observed = true;
  item.transit.owner = SocketOwner::kProcess;
  item.transit.credentials = credentials;
  RouteKey key;
  key.destination = packet.header.dst;
  key.mark = mark;
  const bool own = has_source && !packet.header.src.IsLoopback() &&
                   node_.routing.IsLocal(packet.header.src);
  if (own) key.source = packet.header.src;
  item.route = node_.routing.Output(key);
  if (item.route.error != RouteError::kNone) {
    item.transit.packet = packet;
    EndDropped(item, item.route.error);
    return Finish();
  }
  if (!has_source) {
    packet.header.src = item.route.source;
    outcome_.sent_source = item.route.source;
  }
  item.transit.packet = packet;
  Output(item);
  Finish();
}

void PacketWalk::Finish() {
  RunLoopback();
  state_.conntrack.ForgetUnconfirmed();
  if (outcome_.verdict.kind == Verdict::kReject && !answered_) {
    outcome_.verdict = Verdict();
    outcome_.answer_source.reset();
  }
}

void PacketWalk::RunLoopback() {
  while (next_loopback_ < loopback_.size() && packets_ < kMaxPackets) {
    Item item = std::move(loopback_[next_loopback_++]);
    Input(item, kLoopback);
  }
}

void PacketWalk::Input(Item& item, DeviceIndex device) {
  ++packets_;
  const Packet& header = item.transit.packet.header;
  if (header.dst.is_v6() && device != kLoopback &&
      (header.dst.IsLoopback() || header.src.IsLoopback() ||
       header.src.IsMulticast())) {
    return EndDropped(item);  // before any hook (RFC 4291 2.5.3)
  }
  item.transit.in_device = device;
  item.transit.owner = SocketOwner::kNone;
  const IpAddress sent_to = header.dst;
  if (!Prerouting(item)) return;
  if (item.routed_to_self && header.dst == sent_to) {
    return Deliver(item, item.route.broadcast);
  }
  RouteInput(item);
}

void PacketWalk::RouteInput(Item& item) {
  const Packet& header = item.transit.packet.header;
  const InputRoute route = node_.routing.Input(
      header.src, header.dst, item.transit.in_device, item.transit.mark);
  switch (route.fate) {
    case InputRoute::kDrop:
      return EndDropped(item);
    case InputRoute::kUnreachable:
      EndDropped(item);
      return SendIcmpError(item, route.icmp_type, route.icmp_code, true);
    case InputRoute::kLocal:
      return Deliver(item, route.broadcast);
    case InputRoute::kForward:
      return Forward(item, route);
  }
}

void PacketWalk::Forward(Item& item, const InputRoute& route) {
  Packet& header = item.transit.packet.header;
  if (header.ttl <= 1) {
    EndDropped(item);
    return SendIcmpError(
        item, header.dst.is_v6() ? kIcmp6TimeExceeded : kIcmpTimeExceeded, 0,
        true);
  }
  --header.ttl;
  const DeviceIndex in = item.transit.in_device;
  if (in == route.device) SendRedirect(item, route);
  for (TableId table :
       {TableId::kMangle, TableId::kFilter, TableId::kSecurity}) {
    if (!RunTable(table, Hook::kForward, item, in, route.device)) return;
  }
  IpvsReply(item);
  Postrouting(item, in, route.device, route.gateway);
}

void PacketWalk::Deliver(Item& item, bool broadcast) {
  item.route.broadcast = broadcast;
  item.route.local = true;
  if (!LocalIn(item)) return;
  EndLocal(item);
  if (!node_.has_listeners) AnswerLikeHost(item);
}

void PacketWalk::Output(Item& item) {
  ++packets_;
  if (!LocalOut(item)) return;
  Postrouting(item, kNoDevice, item.route.device, item.route.gateway);
}

void PacketWalk::Postrouting(Item& item, DeviceIndex in, DeviceIndex out,
                             const std::optional<IpAddress>& gateway) {
  if (!RunTable(TableId::kMangle, Hook::kPostrouting, item, in, out)) return;
  if (!RunNat(Hook::kPostrouting, item, in, out, gateway)) return;
  if (!Confirm(item)) return;
  if (out != kLoopback) return EndLeft(item, out);
  item.routed_to_self = item.route.local;
  loopback_.push_back(std::move(item));
}

bool PacketWalk::Prerouting(Item& item) {
  const DeviceIndex in = item.transit.in_device;
  if (!RunTable(TableId::kRaw, Hook::kPrerouting, item, in, kNoDevice)) {
    return false;
  }
  Track(item);
  return RunTable(TableId::kMangle, Hook::kPrerouting, item, in, kNoDevice) &&
         RunNat(Hook::kPrerouting, item, in, kNoDevice);
}

// IPVS acts here between the security table and nat (priorities 98 and 99).
bool PacketWalk::LocalIn(Item& item) {
  const DeviceIndex in = item.transit.in_device;
  for (TableId table :
       {TableId::kMangle, TableId::kFilter, TableId::kSecurity}) {
    if (!RunTable(table, Hook::kInput, item, in, kNoDevice)) return false;
  }
  IpvsReply(item);
  if (!IpvsRequest(item, Hook::kInput)) return false;
  return RunNat(Hook::kInput, item, in, kNoDevice) && Confirm(item);
}

// IPVS acts here between nat and filter (priorities -99 and -98).
bool PacketWalk::LocalOut(Item& item) {
  // Rules see the first route's device throughout.
  const DeviceIndex out = item.route.device;
  const Packet& header = item.transit.packet.header;
  if (!RunTable(TableId::kRaw, Hook::kOutput, item, kNoDevice, out)) {
    return false;
  }
  Track(item);
  const Packet before = header;
  const uint32_t mark = item.transit.mark;
  if (!RunTable(TableId::kMangle, Hook::kOutput, item, kNoDevice, out)) {
    return false;
  }
  const bool v6 = header.dst.is_v6();
  if (mark != item.transit.mark || before.src != header.src ||
      before.dst != header.dst ||
      (v6 ? before.ttl != header.ttl : before.tos != header.tos)) {
    if (!Reroute(item)) return false;
  }
  if (!RunNat(Hook::kOutput, item, kNoDevice, out)) return false;
  if (node_.has_nat[FamilyOf(item)]) {
    const Tracking& tracking = item.transit.tracking;
    const Flow* flow = state_.conntrack.flow(tracking.flow);
    const int direction = tracking.direction();
    if (flow != nullptr &&
        flow->tuples[direction].dst != flow->tuples[1 - direction].src &&
        !Reroute(item)) {
      return false;
    }
  }
  IpvsReply(item);
  if (!IpvsRequest(item, Hook::kOutput)) return false;
  return RunTable(TableId::kFilter, Hook::kOutput, item, kNoDevice, out) &&
         RunTable(TableId::kSecurity, Hook::kOutput, item, kNoDevice, out);
}

bool PacketWalk::Reroute(Item& item) {
  const Packet& header = item.transit.packet.header;
  RouteKey key;
  key.destination = header.dst;
  key.mark = item.transit.mark;
  const RouteType type = node_.routing.AddressType(header.src);
  if (header.src.is_v6() || type == RouteType::kLocal ||
      type == RouteType::kUnicast) {
    key.source = header.src;
  }
  item.route = node_.routing.Output(key, /*any_source=*/true);
  if (item.route.error == RouteError::kNone) return true;
  EndDropped(item, item.route.error);
  return false;
}

bool PacketWalk::RunRules(const RuleMatcher& matcher, TableId table, Hook hook,
                          Item& item, DeviceIndex in, DeviceIndex out,
                          const std::optional<IpAddress>& gateway) {
  RuleContext context{*node_.rules[FamilyOf(item)],
                      node_.routing,
                      node_.conntrack,
                      state_,
                      decisions_,
                      item.transit};
  context.hook = hook;
  context.table = table;
  context.in_device = in;
  context.out_device = out;
  context.gateway = gateway;
  const TableVerdict verdict = matcher.Run(
      context, traced_ && item.observed ? &outcome_.trace : nullptr);
  switch (verdict.kind) {
    case TableVerdict::kAccept:
      return true;
    case TableVerdict::kDrop:
      EndDropped(item);
      return false;
    case TableVerdict::kReject:
      EndDropped(item);
      AnswerReject(item, hook, verdict.with);
      return false;
    case TableVerdict::kUnknown:
      EndUnknown(item, verdict);
      return false;
  }
  return false;
}

void PacketWalk::Track(Item& item) {
  if (!node_.conntrack_used[item.transit.packet.header.dst.is_v6() ? 1 : 0]) {
    return;
  }
  Tracking& tracking = item.transit.tracking;
  // Seen before (loopback), answered by a rule, or not to be tracked.
  if (tracking.flow != 0 || tracking.state == FlowState::kUntracked) return;
  tracking = state_.conntrack.Track(item.transit.packet, node_.conntrack,
                                    state_.now_us);
}

bool PacketWalk::RunNat(Hook hook, Item& item, DeviceIndex in, DeviceIndex out,
                        const std::optional<IpAddress>& gateway) {
  if (!node_.has_nat[FamilyOf(item)]) return true;
  const Tracking tracking = item.transit.tracking;
  Flow* flow = state_.conntrack.flow(tracking.flow);
  if (flow == nullptr) return true;
  const Manipulation manipulation = ManipulationAt(hook);
  NodePacket& packet = item.transit.packet;
  const bool related = tracking.state == FlowState::kRelated ||
                       tracking.state == FlowState::kRelatedReply;
  if (related && packet.header.IsIcmp()) {
    if (TranslateIcmpError(*flow, tracking, manipulation, packet)) {
      return true;
    }
    EndDropped(item);
    return false;
  }
  const bool may_bind = related || tracking.state == FlowState::kNew;
  if (may_bind && !IsInitialized(*flow, manipulation)) {
    if (!TranslateForNew(hook, item, in, out, gateway)) return false;
  } else if (flow->masquerade_device != 0 && hook == Hook::kPostrouting &&
             tracking.direction() == 0 && flow->masquerade_device != out) {
    // Its address belonged to another interface.
    state_.conntrack.Kill(tracking.flow);
    EndDropped(item);
    return false;
  }
  flow = state_.conntrack.flow(tracking.flow);
  if (flow != nullptr) TranslatePacket(*flow, tracking, manipulation, packet);
  return true;
}

bool PacketWalk::TranslateForNew(Hook hook, Item& item, DeviceIndex in,
                                 DeviceIndex out,
                                 const std::optional<IpAddress>& gateway) {
  if (!RunTable(TableId::kNat, hook, item, in, out, gateway)) return false;
  const FlowId id = item.transit.tracking.flow;
  const Flow* flow = state_.conntrack.flow(id);
  if (flow != nullptr && !IsInitialized(*flow, ManipulationAt(hook))) {
    BindNatToItself(ManipulationAt(hook), id, state_.now_us, state_.conntrack,
                    decisions_);
  }
  return true;
}

bool PacketWalk::Confirm(Item& item) {
  const Tracking& tracking = item.transit.tracking;
  if (tracking.flow == 0 || tracking.direction() != 0) return true;
  if (state_.conntrack.Confirm(tracking.flow, state_.now_us)) return true;
  EndDropped(item);
  return false;
}

// ---- ends ----

void PacketWalk::EndDropped(const Item& item) {
  if (!item.observed) return;
  outcome_.verdict = Verdict();
  outcome_.mark = item.transit.mark;
  if (item.transit.owner == SocketOwner::kProcess && !item.stolen) {
    outcome_.send_error = "EPERM";
  }
}

void PacketWalk::EndDropped(const Item& item, RouteError error) {
  EndDropped(item);
  if (item.observed) {
    const absl::string_view name = RouteErrorName(error);
    outcome_.send_error.assign(name.data(), name.size());
  }
}

void PacketWalk::EndUnknown(const Item& item, const TableVerdict& verdict) {
  const bool decides = item.observed || (item.answer && outcome_.verdict.kind ==
                                                            Verdict::kReject);
  if (!decides) return;
  outcome_.verdict.kind = Verdict::kUnknown;
  outcome_.verdict.rule = verdict.open->rule;
  outcome_.verdict.reason = verdict.open->reason;
}

void PacketWalk::EndLeft(const Item& item, DeviceIndex out) {
  NoteAnswer(item);
  if (!item.observed) return;
  outcome_.out = node_.routing.device(out).name;
  EndLocal(item);
  outcome_.local = false;
}

void PacketWalk::EndLocal(const Item& item) {
  NoteAnswer(item);
  if (!item.observed) return;
  outcome_.verdict.kind = Verdict::kAccept;
  outcome_.local = true;
  outcome_.packet = item.transit.packet;
  outcome_.mark = item.transit.mark;
  const Flow* flow = state_.conntrack.flow(item.transit.tracking.flow);
  if (flow != nullptr && item.transit.tracking.direction() == 0) {
    outcome_.drawn_first_port = flow->drawn_first_port;
    outcome_.drawn_last_port = flow->drawn_last_port;
  }
}

void PacketWalk::NoteAnswer(const Item& item) {
  if (!item.answer) return;
  answered_ = true;
  outcome_.answer_source = item.transit.packet.header.src;
}

}  // namespace k8sdns::dataplane
