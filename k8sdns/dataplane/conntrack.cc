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

uint32_t Conntrack::FindEntry(const Tuple& tuple, uint32_t hash) const {
  return by_tuple_.Find(hash, [&](uint32_t entry) {
    return slots_[entry / 2].flow.tuples[entry % 2] == tuple;
  });
}

uint32_t Conntrack::ReplyHash(Slot& slot) {
  if (!slot.has_reply_hash) {
    slot.hashes[1] = slot.flow.tuples[1].Hash();
    slot.has_reply_hash = true;
  }
  return slot.hashes[1];
}

uint32_t Conntrack::FindEntry(Slot& slot, int direction) const {
  if (slot.free_as_of[direction] == entries_made_) return SlotTable::kNone;
  const uint32_t hash = direction == 0 ? slot.hashes[0] : ReplyHash(slot);
  const uint32_t entry = FindEntry(slot.flow.tuples[direction], hash);
  if (entry == SlotTable::kNone) slot.free_as_of[direction] = entries_made_;
  return entry;
}

void Conntrack::MakeEntry(uint32_t hash, uint32_t entry) {
  by_tuple_.Insert(hash, entry);
  ++entries_made_;
}

Conntrack::Found Conntrack::ToFound(uint32_t entry, int64_t now_us) const {
  if (entry == SlotTable::kNone) return {};
  const Slot& slot = slots_[entry / 2];
  if (slot.flow.expires_us <= now_us) return {};
  return {slot.id, static_cast<int>(entry % 2)};
}

Conntrack::Found Conntrack::Find(const Tuple& tuple, int64_t now_us) const {
  return ToFound(FindEntry(tuple, tuple.Hash()), now_us);
}

uint32_t Conntrack::FindSource(const Tuple& tuple, uint32_t hash) const {
  return by_source_.Find(hash, [&](uint32_t slot) {
    const Tuple& other = slots_[slot].flow.tuples[0];
    return other.SameSource(tuple);
  });
}

Tracking Conntrack::Track(const NodePacket& packet,
                          const ConntrackOptions& options, int64_t now_us) {
  const Packet& header = packet.header;
  if (IsNeverTracked(header)) return {0, FlowState::kUntracked};
  if (IsIcmpError(header)) return TrackIcmpError(packet, now_us);
  const Tuple tuple = Tuple::Of(header);
  const uint32_t hash = tuple.Hash();
  for (;;) {
    Tracking tracking;
    const uint32_t entry = FindEntry(tuple, hash);
    if (entry == SlotTable::kNone && header.protocol == Protocol::kTcp &&
        OpensTcp(header.tcp_flags)) {
      return TrackOpening(packet, tuple, hash);
    }
    const Found found = ToFound(entry, now_us);
    if (found.flow == 0) {
      if (entry != SlotTable::kNone) Kill(slots_[entry / 2].id);  // expired
      const std::optional<Tuple> reply = tuple.Inverse();
      if (!reply) return {};
      Slot& slot = Create(tuple, hash, *reply);
      if (entry == SlotTable::kNone) slot.free_as_of[0] = entries_made_;
      tracking = {slot.id, FlowState::kNew};
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

// What Track() comes to for the usual new flow.
Tracking Conntrack::TrackOpening(const NodePacket& packet, const Tuple& tuple,
                                 uint32_t hash) {
  Slot& slot = Create(
      tuple, hash,
      {tuple.dst, tuple.src, tuple.dst_port, tuple.src_port, tuple.protocol});
  slot.free_as_of[0] = entries_made_;
  const TcpResult result = TrackOpeningTcp(SegmentOf(packet), slot.flow.tcp);
  slot.flow.expires_us = TcpTimeout(slot.flow.tcp, result) * kSecond;
  return {slot.id, FlowState::kNew};
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

void Conntrack::Enter(const NodePacket& packet, const Tuple& tuple,
                      uint32_t hash, const Tuple& reply, uint32_t reply_hash,
                      int64_t now_us) {
  Slot& slot = Take(tuple, hash, reply);
  slot.hashes[1] = reply_hash;
  slot.has_reply_hash = true;
  Flow& f = slot.flow;
  f.status = kFlowConfirmed | kFlowDestinationNat | kFlowDestinationNatDone |
             kFlowSourceNatDone;
  if (tuple.protocol == Protocol::kUdp) {
    f.stream_us = now_us + kUdpStreamAfter;
    f.expires_us = now_us + kUdpTimeout * kSecond;
  } else {
    const TcpResult result = TrackOpeningTcp(SegmentOf(packet), f.tcp);
    f.expires_us = now_us + TcpTimeout(f.tcp, result) * kSecond;
  }
  f.source_mapped = next_mapped_++;
  if (has_by_source_) IndexMappedSource(slot);
  const auto number = static_cast<uint32_t>(SlotOf(slot.id));
  MakeEntry(hash, 2 * number);
  MakeEntry(reply_hash, 2 * number + 1);
}

Conntrack::Slot& Conntrack::Create(const Tuple& tuple, uint32_t hash,
                                   const Tuple& reply) {
  Slot& slot = Take(tuple, hash, reply);
  pending_.push_back(slot.id);
  return slot;
}

Conntrack::Slot& Conntrack::Take(const Tuple& tuple, uint32_t hash,
                                 const Tuple& reply) {
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
  s.hashes[0] = hash;
  return s;
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
  const uint32_t slot = static_cast<uint32_t>(SlotOf(id));
  ReplyHash(slots_[slot]);
  const uint32_t* hashes = slots_[slot].hashes;
  uint32_t expired[2];
  for (int direction : {0, 1}) {
    expired[direction] = FindEntry(slots_[slot], direction);
    if (ToFound(expired[direction], now_us).flow != 0) {
      f->status |= kFlowDying;
      return false;
    }
  }
  f->status |= kFlowConfirmed;
  f->expires_us += now_us;
  // Of an expired flow only the original tuple is taken over.
  if (expired[0] != SlotTable::kNone) {
    by_tuple_.Replace(hashes[0], expired[0], 2 * slot);
  } else {
    MakeEntry(hashes[0], 2 * slot);
  }
  if (expired[1] == SlotTable::kNone && !(f->tuples[0] == f->tuples[1])) {
    MakeEntry(hashes[1], 2 * slot + 1);
  }
  return true;
}

void Conntrack::Kill(FlowId id) {
  Flow* f = flow(id);
  if (f == nullptr) return;
  f->status |= kFlowDying;
  pending_.push_back(id);
  if (!(f->status & kFlowConfirmed)) return;
  const uint32_t slot = static_cast<uint32_t>(SlotOf(id));
  for (uint32_t direction : {0u, 1u}) {
    by_tuple_.Erase(slots_[slot].hashes[direction], 2 * slot + direction);
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
  if (f->source_mapped != 0 && has_by_source_) ForgetMappedSource(id);
  slots_[SlotOf(id)] = Slot();
  free_.push_back(static_cast<uint32_t>(SlotOf(id)));
}

void Conntrack::ForgetMappedSource(FlowId id) {
  const Slot& gone = slots_[SlotOf(id)];
  const Tuple& t = gone.flow.tuples[0];
  const uint32_t hash = t.SourceHash();
  const uint32_t latest = FindSource(t, hash);
  if (latest == SlotTable::kNone) return;
  if (slots_[latest].id == id) {
    if (gone.older == 0) {
      by_source_.Erase(hash, latest);
    } else {
      by_source_.Replace(hash, latest,
                         static_cast<uint32_t>(SlotOf(gone.older)));
    }
    return;
  }
  for (FlowId later = slots_[latest].id; later != 0;
       later = OlderOfSource(later)) {
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
  by_tuple_.Clear();
  by_source_.Clear();
  has_by_source_ = false;
}

void Conntrack::Reserve(size_t flows) {
  slots_.reserve(flows);
  free_.reserve(flows);
  pending_.reserve(16);  // of one packet
  by_tuple_.Reserve(2 * flows);
  by_source_.Reserve(flows);
}

size_t Conntrack::memory_bytes() const {
  return slots_.capacity() * sizeof(Slot) + by_source_.memory_bytes() +
         by_tuple_.memory_bytes();
}

void Conntrack::AlterReply(FlowId id, const Tuple& reply) {
  Flow* f = flow(id);
  if (f == nullptr || (f->status & kFlowConfirmed)) return;
  f->tuples[1] = reply;
  Slot& slot = slots_[SlotOf(id)];
  slot.has_reply_hash = false;
  slot.free_as_of[1] = 0;
}

bool Conntrack::AlterReplyIfFree(FlowId id, const Tuple& reply) {
  Flow* f = flow(id);
  if (f == nullptr || (f->status & kFlowConfirmed)) return false;
  const uint32_t hash = reply.Hash();
  if (FindEntry(reply, hash) != SlotTable::kNone) return false;
  f->tuples[1] = reply;
  Slot& slot = slots_[SlotOf(id)];
  slot.hashes[1] = hash;
  slot.has_reply_hash = true;
  slot.free_as_of[1] = entries_made_;
  return true;
}

bool Conntrack::ReplyIsFree(FlowId id) {
  return flow(id) != nullptr &&
         FindEntry(slots_[SlotOf(id)], 1) == SlotTable::kNone;
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
  if (has_by_source_) IndexMappedSource(slots_[SlotOf(id)]);
}

// Into the list of its source, by the order of mapping.
void Conntrack::IndexMappedSource(Slot& slot) {
  const auto number = static_cast<uint32_t>(&slot - slots_.data());
  const uint32_t hash = slot.flow.tuples[0].SourceHash();
  const uint32_t latest = FindSource(slot.flow.tuples[0], hash);
  if (latest == SlotTable::kNone) return by_source_.Insert(hash, number);
  const uint64_t mapped = slot.flow.source_mapped;
  if (slots_[latest].flow.source_mapped < mapped) {
    slot.older = slots_[latest].id;
    by_source_.Replace(hash, latest, number);
    return;
  }
  Slot* newer = &slots_[latest];
  for (;;) {
    const FlowId next = newer->older;
    if (next == 0 || flow(next)->source_mapped < mapped) break;
    newer = &slots_[SlotOf(next)];
  }
  slot.older = newer->older;
  newer->older = slot.id;
}

FlowId Conntrack::LatestOfSource(const Tuple& original) {
  if (!has_by_source_) {
    has_by_source_ = true;
    for (Slot& slot : slots_) {
      if (slot.id != 0 && slot.flow.source_mapped != 0) IndexMappedSource(slot);
    }
  }
  const uint32_t slot = FindSource(original, original.SourceHash());
  return slot == SlotTable::kNone ? 0 : slots_[slot].id;
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
