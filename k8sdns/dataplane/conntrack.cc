#include "k8sdns/dataplane/conntrack.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace k8sdns::dataplane {
namespace {

constexpr int64_t kSecond = 1'000'000;
// Timeouts in seconds.
constexpr int kUdpTimeout = 30;
constexpr int kUdpStreamTimeout = 120;
constexpr int kIcmpTimeout = 30;
constexpr int kGenericTimeout = 600;
// A UDP flow counts as a stream after this time.
constexpr int64_t kUdpStreamAfter = 2 * kSecond;

TcpSegment SegmentOf(const NodePacket& packet) {
  TcpSegment s;
  s.flags = packet.header.tcp_flags;
  s.seq = packet.tcp_seq;
  s.ack = packet.tcp_ack;
  s.window = packet.tcp_window;
  s.payload = packet.header.payload_size;
  return s;
}

// ICMP types that begin a flow.
bool MayBeginFlow(const Packet& packet) {
  if (packet.protocol == Protocol::kIcmp) {
    const uint8_t t = packet.icmp_type;
    return t == 8 || t == 13 || t == 15 || t == 17;
  }
  if (packet.protocol == Protocol::kIcmpv6) {
    return packet.icmp_type == 128 || packet.icmp_type == 139;
  }
  return true;
}

// Multicast listener and neighbour discovery are never tracked.
bool IsNeverTracked(const Packet& packet) {
  if (packet.protocol != Protocol::kIcmpv6) return false;
  const uint8_t t = packet.icmp_type;
  return (t >= 130 && t <= 137) || t == 143;
}

}  // namespace

Conntrack::Found Conntrack::Find(const Tuple& tuple, int64_t now_us) const {
  auto it = by_tuple_.find(tuple);
  if (it == by_tuple_.end()) return {};
  const Flow* f = flow(it->second.flow);
  if (f == nullptr || f->expires_us <= now_us) return {};
  return it->second;
}

Tracking Conntrack::Track(const NodePacket& packet,
                          const ConntrackOptions& options, int64_t now_us) {
  const Packet& header = packet.header;
  if (IsNeverTracked(header)) return {0, FlowState::kUntracked};
  if (IsIcmpError(header)) return TrackIcmpError(packet, now_us);
  const Tuple tuple = Tuple::Of(header);
  for (;;) {
    Tracking tracking;
    const Found found = Find(tuple, now_us);
    if (found.flow == 0) {
      auto expired = by_tuple_.find(tuple);
      if (expired != by_tuple_.end()) Kill(expired->second.flow);
      const std::optional<Tuple> reply = tuple.Inverse();
      if (!reply) return {};
      tracking = {Create(tuple, *reply), FlowState::kNew};
    } else {
      const Flow& f = *flow(found.flow);
      tracking.flow = found.flow;
      if (found.direction == 1) {
        tracking.state = FlowState::kEstablishedReply;
      } else if (f.status & kFlowSeenReply) {
        tracking.state = FlowState::kEstablished;
      } else {
        tracking.state = FlowState::kNew;
      }
    }
    bool again = false;
    if (!TrackProtocol(tracking.flow, packet, tracking, options, now_us,
                       &again)) {
      if (again) continue;
      if (found.flow == 0) Remove(tracking.flow);
      return {};
    }
    if (tracking.state == FlowState::kEstablishedReply) {
      flow(tracking.flow)->status |= kFlowSeenReply;
    }
    return tracking;
  }
}

Tracking Conntrack::TrackIcmpError(const NodePacket& packet,
                                   int64_t now_us) const {
  if (!packet.quoted) return {};
  // The quoted packet has been translated already: it is the inverse of what
  // the flow expects from the other side.
  const std::optional<Tuple> expected = Tuple::Of(*packet.quoted).Inverse();
  if (!expected) return {};
  const Found found = Find(*expected, now_us);
  if (found.flow == 0) return {};
  const Tuple& tuple = flow(found.flow)->tuples[found.direction];
  if (tuple.dst != packet.header.dst) return {};
  return {found.flow, found.direction == 1 ? FlowState::kRelatedReply
                                           : FlowState::kRelated};
}

FlowId Conntrack::Create(const Tuple& tuple, const Tuple& reply) {
  size_t slot = slots_.size();
  if (free_.empty()) {
    slots_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  const FlowId id = next_++ << kSlotBits | slot;
  Slot& s = slots_[slot];
  s.id = id;
  s.flow.tuples[0] = tuple;
  s.flow.tuples[1] = reply;
  pending_.push_back(id);
  return id;
}

bool Conntrack::TrackProtocol(FlowId id, const NodePacket& packet,
                              Tracking tracking,
                              const ConntrackOptions& options, int64_t now_us,
                              bool* again) {
  Flow& f = *flow(id);
  const bool confirmed = f.status & kFlowConfirmed;
  switch (packet.header.protocol) {
    case Protocol::kTcp:
      return TrackTcpSegment(id, packet, tracking, options, now_us, again);
    case Protocol::kUdp:
    case Protocol::kUdpLite:
      if (!confirmed) f.stream_us = now_us + kUdpStreamAfter;
      if (f.status & kFlowSeenReply) {
        const bool stream = now_us > f.stream_us;
        if (stream) f.status |= kFlowAssured;
        Refresh(f, now_us, stream ? kUdpStreamTimeout : kUdpTimeout);
      } else {
        Refresh(f, now_us, kUdpTimeout);
      }
      return true;
    case Protocol::kIcmp:
    case Protocol::kIcmpv6:
      if (!confirmed && !MayBeginFlow(packet.header)) return false;
      Refresh(f, now_us, kIcmpTimeout);
      return true;
    default:
      Refresh(f, now_us, kGenericTimeout);
      return true;
  }
}

bool Conntrack::TrackTcpSegment(FlowId id, const NodePacket& packet,
                                Tracking tracking,
                                const ConntrackOptions& options, int64_t now_us,
                                bool* again) {
  const TcpSegment segment = SegmentOf(packet);
  if (TcpFlagsAreInvalid(segment.flags)) return false;
  Flow& f = *flow(id);
  if (!(f.status & kFlowConfirmed) &&
      !TrackNewTcp(segment, options.tcp, f.tcp)) {
    return false;
  }
  const bool seen_reply = f.status & kFlowSeenReply;
  const bool assured = f.status & kFlowAssured;
  const TcpResult result = TrackTcp(segment, tracking.direction(), seen_reply,
                                    assured, options.tcp, f.tcp);
  switch (result.verdict) {
    case TcpVerdict::kReopen:
      Kill(id);
      *again = true;
      return false;
    case TcpVerdict::kInvalid:
      return false;
    case TcpVerdict::kIgnored:
      return true;
    case TcpVerdict::kValid:
      break;
  }
  int seconds = TcpTimeout(f.tcp, result);
  if (!seen_reply) {
    if (result.reset) {
      // A flow whose only answer is a RST is no flow.
      Kill(id);
      return true;
    }
    if (result.syn_again && (f.status & kFlowConfirmed)) return true;
    if (result.after == TcpState::kEstablished) {
      seconds = std::min(seconds, 300);
    }
  } else if (!assured && result.after == TcpState::kEstablished &&
             (result.before == TcpState::kSynRecv ||
              result.before == TcpState::kEstablished)) {
    f.status |= kFlowAssured;
  }
  Refresh(f, now_us, seconds);
  return true;
}

void Conntrack::Refresh(Flow& flow, int64_t now_us, int seconds) {
  flow.expires_us =
      seconds * kSecond + (flow.status & kFlowConfirmed ? now_us : 0);
}

bool Conntrack::Confirm(FlowId id, int64_t now_us) {
  Flow* f = flow(id);
  if (f == nullptr || (f->status & (kFlowConfirmed | kFlowDying))) return true;
  for (int direction : {0, 1}) {
    if (Find(f->tuples[direction], now_us).flow != 0) {
      f->status |= kFlowDying;
      return false;
    }
  }
  f->status |= kFlowConfirmed;
  f->expires_us += now_us;
  by_tuple_[f->tuples[0]] = {id, 0};
  by_tuple_.try_emplace(f->tuples[1], Found{id, 1});
  return true;
}

void Conntrack::Kill(FlowId id) {
  Flow* f = flow(id);
  if (f == nullptr) return;
  f->status |= kFlowDying;
  pending_.push_back(id);
  if (!(f->status & kFlowConfirmed)) return;
  for (const Tuple& tuple : f->tuples) {
    auto it = by_tuple_.find(tuple);
    if (it != by_tuple_.end() && it->second.flow == id) by_tuple_.erase(it);
  }
}

void Conntrack::SetClosing(FlowId id, int64_t now_us) {
  Flow* f = flow(id);
  if (f == nullptr || !(f->status & kFlowConfirmed)) return;
  if (f->tuples[0].protocol != Protocol::kTcp) return;
  if (f->tcp.state == TcpState::kClose) return;
  f->tcp.state = TcpState::kClose;
  Refresh(*f, now_us, 10);
}

void Conntrack::Remove(FlowId id) {
  Flow* f = flow(id);
  if (f == nullptr) return;
  Kill(id);
  if (f->source_mapped != 0) ForgetMappedSource(id);
  slots_[SlotOf(id)] = Slot();
  free_.push_back(static_cast<uint32_t>(SlotOf(id)));
}

void Conntrack::ForgetMappedSource(FlowId id) {
  const Slot& gone = slots_[SlotOf(id)];
  const Tuple& t = gone.flow.tuples[0];
  auto it = by_source_.find({t.src, t.src_port, t.protocol});
  if (it == by_source_.end()) return;
  if (it->second == id) {
    it->second = gone.older;
    if (gone.older == 0) by_source_.erase(it);
    return;
  }
  for (FlowId later = it->second; later != 0; later = OlderOfSource(later)) {
    Slot& s = slots_[SlotOf(later)];
    if (s.older == id) s.older = gone.older;
  }
}

void Conntrack::ForgetUnconfirmed() {
  // Remove() adds to the list again.
  for (size_t i = 0, n = pending_.size(); i < n; ++i) {
    const FlowId id = pending_[i];
    const Flow* f = flow(id);
    if (f == nullptr) continue;
    if (!(f->status & kFlowConfirmed) || (f->status & kFlowDying)) Remove(id);
  }
  pending_.clear();
}

void Conntrack::Flush() {
  slots_.clear();
  free_.clear();
  pending_.clear();
  by_tuple_.clear();
  by_source_.clear();
}

size_t Conntrack::memory_bytes() const {
  return slots_.capacity() * sizeof(Slot) +
         by_source_.capacity() * (sizeof(SourceKey) + sizeof(FlowId) + 1) +
         by_tuple_.capacity() * (sizeof(Tuple) + sizeof(Found) + 1);
}

void Conntrack::AlterReply(FlowId id, const Tuple& reply) {
  Flow* f = flow(id);
  if (f != nullptr && !(f->status & kFlowConfirmed)) f->tuples[1] = reply;
}

bool Conntrack::Taken(const Tuple& tuple, FlowId except, int64_t now_us) const {
  const Found found = Find(tuple, now_us);
  if (found.flow == 0 || found.flow == except) return false;
  // Two packets of one socket at once: left to Confirm().
  const Flow* ours = flow(except);
  return ours == nullptr || flow(found.flow)->tuples[0] != ours->tuples[0];
}

void Conntrack::NoteMappedSource(FlowId id) {
  Flow* f = flow(id);
  if (f == nullptr || f->source_mapped != 0) return;
  f->source_mapped = next_mapped_++;
  const Tuple& t = f->tuples[0];
  FlowId& latest = by_source_[{t.src, t.src_port, t.protocol}];
  slots_[SlotOf(id)].older = latest;
  latest = id;
}

FlowId Conntrack::LatestOfSource(const Tuple& original) const {
  auto it =
      by_source_.find({original.src, original.src_port, original.protocol});
  return it == by_source_.end() ? 0 : it->second;
}

bool operator==(const Conntrack& a, const Conntrack& b) {
  if (a.size() != b.size()) return false;
  const auto sorted = [](const Conntrack& c) {
    std::vector<FlowId> ids;
    for (const Conntrack::Slot& slot : c.slots_) {
      if (slot.id != 0) ids.push_back(slot.id);
    }
    std::sort(ids.begin(), ids.end());
    return ids;
  };
  const std::vector<FlowId> x = sorted(a);
  const std::vector<FlowId> y = sorted(b);
  for (size_t i = 0; i < x.size(); ++i) {
    const Flow& f = *b.flow(y[i]);
    Flow other = *a.flow(x[i]);
    // Only the order of source mappings matters, which is that of the ids
    // but for flows that were mapped late.
    other.source_mapped = f.source_mapped;
    if (!(other == f)) return false;
  }
  return true;
}

}  // namespace k8sdns::dataplane
