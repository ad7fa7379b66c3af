// Connection tracking: the table of flows, and what a packet is to it. The
// state of one node, as a value.
//
//   const Conntrack& conntrack = node.state().conntrack;
//   const auto found = conntrack.Find(Tuple::Of(packet), node.state().now_us);
//   if (const Flow* flow = conntrack.flow(found.flow)) ... flow->tuples[1]
//
// Facts: Linux net/netfilter/nf_conntrack_{core,proto_*}.c. Not modelled:
// helpers and their expectations, zones, labels, table limits.
//
// A flow is made by the first packet that conntrack sees (Track()), and enters
// the table only when that packet has passed all hooks (Confirm()); a packet
// that is dropped leaves nothing behind (ForgetUnconfirmed()).
//
// Cost: a packet costs a few hash lookups whatever the number of flows; a copy
// of the table is linear in it. At most 2^28 flows at once. Nothing is
// allocated but for room for more flows than there ever were, or Reserve()
// made room for.
//
// The seam for IPVS: a flow may be looked up and its reply tuple altered by
// others than NAT (AlterReply()), as ip_vs_nfct.c does.
#ifndef K8SDNS_DATAPLANE_CONNTRACK_H_
#define K8SDNS_DATAPLANE_CONNTRACK_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "k8sdns/dataplane/large_page_allocator.h"
#include "k8sdns/dataplane/node_packet.h"
#include "k8sdns/dataplane/slot_table.h"
#include "k8sdns/dataplane/tcp_tracking.h"
#include "k8sdns/dataplane/tuple.h"

namespace k8sdns::dataplane {

enum FlowStatus : uint16_t {
  kFlowExpected = 1 << 0,
  kFlowSeenReply = 1 << 1,
  kFlowAssured = 1 << 2,
  kFlowConfirmed = 1 << 3,
  kFlowSourceNat = 1 << 4,
  kFlowDestinationNat = 1 << 5,
  kFlowSourceNatDone = 1 << 7,
  kFlowDestinationNatDone = 1 << 8,
  kFlowDying = 1 << 9,
};

// 0 is none. Ids grow in the order in which flows are made.
using FlowId = uint64_t;

// What a packet is to its flow (enum ip_conntrack_info).
enum class FlowState : uint8_t {
  kEstablished = 0,
  kRelated = 1,
  kNew = 2,
  kEstablishedReply = 3,
  kRelatedReply = 4,
  kUntracked = 7,
};

// What a packet carries of conntrack. Without a flow, kEstablished means that
// conntrack does not know the packet (INVALID in rules).
struct Tracking {
  FlowId flow = 0;
  FlowState state = FlowState::kEstablished;

  // 0 original, 1 reply.
  int direction() const { return state >= FlowState::kEstablishedReply; }
  bool none() const { return flow == 0 && state == FlowState::kEstablished; }
};

struct Flow {
  Tuple tuples[2];  // original, reply: as packets look before NAT
  uint16_t status = 0;
  uint32_t mark = 0;
  uint16_t masquerade_device = 0;
  // Where a source port was drawn from, if it was (0, 0: it was not).
  uint16_t drawn_first_port = 0;
  uint16_t drawn_last_port = 0;
  TcpTracking tcp;
  int64_t expires_us = 0;      // confirmed: a time; else a duration
  int64_t stream_us = 0;       // UDP: the time from which it counts as a stream
  uint64_t source_mapped = 0;  // order in which sources were mapped; 0: not

  friend bool operator==(const Flow&, const Flow&) = default;
};

struct ConntrackOptions {
  TcpOptions tcp;
};

class Conntrack {
 public:
  struct Found {
    FlowId flow = 0;  // 0: none
    int direction = 0;
  };

  // The entry that has this tuple in one of its directions.
  Found Find(const Tuple& tuple, int64_t now_us) const;
  // nullptr if it is gone. Valid until the next Track().
  Flow* flow(FlowId id) {
    const size_t slot = SlotOf(id);
    return slot < slots_.size() && slots_[slot].id == id && id != 0
               ? &slots_[slot].flow
               : nullptr;
  }
  const Flow* flow(FlowId id) const {
    return const_cast<Conntrack*>(this)->flow(id);
  }

  // What the packet is: finds or makes its flow and moves its state.
  // `packet.tracking` must not be set. PRE_ROUTING and LOCAL_OUT call it.
  Tracking Track(const NodePacket& packet, const ConntrackOptions& options,
                 int64_t now_us);

  // At the end of a packet's way. False: another flow has taken one of its
  // tuples meanwhile, and the packet is dropped.
  bool Confirm(FlowId id, int64_t now_us);
  // Deletes the entry; packets under way keep what they know of it.
  void Kill(FlowId id);
  // A RST was sent about the flow.
  void SetClosing(FlowId id, int64_t now_us);
  // Drops flows that were never confirmed and those that were killed.
  void ForgetUnconfirmed();
  // Empties the table (`conntrack -F`); its room stays.
  void Flush();
  // Makes room for so many flows.
  void Reserve(size_t flows);
  // Speed only: asks for the memory that the lookup of a tuple reads.
  void Prefetch(uint32_t tuple_hash) const { by_tuple_.Prefetch(tuple_hash); }
  size_t size() const { return slots_.size() - free_.size(); }
  size_t memory_bytes() const;

  // ---- for packets that open a flow ----

  // Whether no entry has the tuple, not even an expired one.
  bool IsFree(const Tuple& tuple, uint32_t hash) const {
    return FindEntry(tuple, hash) == SlotTable::kNone;
  }
  // What Track(), AlterReply(), NoteMappedSource() and Confirm() come to for a
  // UDP packet or an opening TCP segment, whose flow gets another destination
  // and keeps its source. Both tuples are free, and not the same.
  void Enter(const NodePacket& packet, const Tuple& tuple, uint32_t hash,
             const Tuple& reply, uint32_t reply_hash, int64_t now_us);

  // ---- for NAT ----

  // Only before confirmation.
  void AlterReply(FlowId id, const Tuple& reply);
  // The same, if no entry has the tuple, not even an expired one; else false.
  bool AlterReplyIfFree(FlowId id, const Tuple& reply);
  // Whether no entry has the flow's reply tuple, not even an expired one.
  bool ReplyIsFree(FlowId id);
  // Whether another flow than `except` has this tuple.
  bool Taken(const Tuple& tuple, FlowId except, int64_t now_us) const;
  // Notes that the flow's source is mapped, for FindMappedSource().
  void NoteMappedSource(FlowId id);
  // Flows with the same protocol, source and source port in their original
  // direction, the latest first: LatestOfSource(), then OlderOfSource() of
  // each. 0 ends them. The first call goes over the table to make the lists.
  FlowId LatestOfSource(const Tuple& original);
  FlowId OlderOfSource(FlowId id) const { return slots_[SlotOf(id)].older; }

  // Equal tables: the same flows in the same order, whatever their ids.
  friend bool operator==(const Conntrack& a, const Conntrack& b);

 private:
  // Where a flow is kept. The lower bits of an id are its slot, the others
  // count up. A power of two of bytes: slots are found by a shift.
  struct alignas(256) Slot {
    FlowId id = 0;     // 0: free
    FlowId older = 0;  // the flow of the same source that was mapped before
    // Of the flow's tuples; that of the reply is made when it is needed.
    uint32_t hashes[2] = {0, 0};
    bool has_reply_hash = false;
    // When a tuple was found in no entry, by entries_made_; 0: it was not. It
    // holds as long as no entry is made.
    uint64_t free_as_of[2] = {0, 0};
    Flow flow;
  };

  Tracking TrackIcmpError(const NodePacket& packet, int64_t now_us) const;
  // Create() lists it as pending as well.
  Slot& Create(const Tuple& tuple, uint32_t hash, const Tuple& reply);
  Slot& Take(const Tuple& tuple, uint32_t hash, const Tuple& reply);
  // False: the packet is not of this flow after all; kReopen through *again.
  bool TrackProtocol(FlowId id, const NodePacket& packet, Tracking tracking,
                     const ConntrackOptions& options, int64_t now_us,
                     bool* again);
  bool TrackTcpSegment(FlowId id, const NodePacket& packet, Tracking tracking,
                       const ConntrackOptions& options, int64_t now_us,
                       bool* again);
  void Refresh(Flow& flow, int64_t now_us, int seconds);
  void Remove(FlowId id);
  void IndexMappedSource(Slot& slot);
  void ForgetMappedSource(FlowId id);
  static uint32_t ReplyHash(Slot& slot);
  // What by_tuple_ has for a tuple, expired or not; SlotTable::kNone: nothing.
  uint32_t FindEntry(const Tuple& tuple, uint32_t hash) const;
  // The same of a slot's tuple.
  uint32_t FindEntry(Slot& slot, int direction) const;
  void MakeEntry(uint32_t hash, uint32_t entry);
  Tracking TrackOpening(const NodePacket& packet, const Tuple& tuple,
                        uint32_t hash);
  Found ToFound(uint32_t entry, int64_t now_us) const;
  // The slot that by_source_ has for the source of a tuple.
  uint32_t FindSource(const Tuple& tuple, uint32_t hash) const;

  static constexpr int kSlotBits = 28;
  static size_t SlotOf(FlowId id) {
    return id & ((FlowId{1} << kSlotBits) - 1);
  }

  std::vector<Slot, LargePageAllocator<Slot>> slots_;
  std::vector<uint32_t> free_;
  // Flows that may have to go at the end of the packet.
  std::vector<FlowId> pending_;
  // Confirmed flows by both tuples: twice the slot, plus the direction.
  SlotTable by_tuple_;
  // How many entries were ever put into by_tuple_, and one more.
  uint64_t entries_made_ = 1;
  // By the source of the original tuple, the flow that was mapped last. Made
  // when it is first asked for: few rules need it.
  SlotTable by_source_;
  bool has_by_source_ = false;
  FlowId next_ = 1;
  uint64_t next_mapped_ = 1;
};

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_CONNTRACK_H_
