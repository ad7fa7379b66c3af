// The targets of a rule: see ops.h.
#ifndef K8SDNS_NETFILTER_TARGET_OPS_H_
#define K8SDNS_NETFILTER_TARGET_OPS_H_

#include <cstdint>

#include "k8sdns/netfilter/match_ops.h"
#include "k8sdns/netfilter/op_kind.h"
#include "k8sdns/netfilter/packed.h"

namespace k8sdns::netfilter {

// ---- targets ----

struct AcceptTarget {
  static constexpr OpKind kKind = OpKind::kAccept;
  uint8_t unused = 0;
};
struct DropTarget {
  static constexpr OpKind kKind = OpKind::kDrop;
  uint8_t unused = 0;
};
struct ReturnTarget {
  static constexpr OpKind kKind = OpKind::kReturn;
  uint8_t unused = 0;
};
struct QueueTarget {
  static constexpr OpKind kKind = OpKind::kQueue;
  uint8_t unused = 0;
};
struct JumpTarget {
  static constexpr OpKind kKind = OpKind::kJump;
  Packed<StringId> chain = 0;
};
struct GotoTarget {
  static constexpr OpKind kKind = OpKind::kGoto;
  Packed<StringId> chain = 0;
};

struct RejectTarget {
  static constexpr OpKind kKind = OpKind::kReject;
  // IPv4 and IPv6 share the enum; the printer knows the family's spelling.
  enum With : uint8_t {
    kPortUnreachable,
    kNetUnreachable,   // IPv6: icmp6-no-route
    kHostUnreachable,  // IPv6: icmp6-addr-unreachable
    kProtoUnreachable,
    kNetProhibited,
    kHostProhibited,
    kAdminProhibited,
    kTcpReset,
    kPolicyFail,   // IPv6 only
    kRejectRoute,  // IPv6 only
  };
  uint8_t with = kPortUnreachable;
};

enum NatFlag : uint8_t {
  kNatHasAddress = 1,
  kNatHasAddressRange = 2,
  kNatHasPort = 4,
  kNatHasPortRange = 8,
  kNatRandom = 16,
  kNatRandomFully = 32,
  kNatPersistent = 64,
  kNatHasBasePort = 128,  // "first-last/base" (shifted port mapping)
};
struct NatRange {
  uint8_t flags = 0;  // NatFlag
  uint8_t unused = 0;
  uint16_t first_port = 0;
  Packed<uint32_t> first[4] = {};
  uint16_t last_port = 0;         // only with kNatHasPortRange
  uint16_t base_port = 0;         // only with kNatHasBasePort
  Packed<uint32_t> last[4] = {};  // only with kNatHasAddressRange
};
struct DnatTarget : NatRange {
  static constexpr OpKind kKind = OpKind::kDnat;
};
struct SnatTarget : NatRange {
  static constexpr OpKind kKind = OpKind::kSnat;
};
// No addresses.
struct MasqueradeTarget : NatRange {
  static constexpr OpKind kKind = OpKind::kMasquerade;
};

// Destination: the primary address of the interface the packet came in by, or
// loopback in OUTPUT. No addresses.
struct RedirectTarget : NatRange {
  static constexpr OpKind kKind = OpKind::kRedirect;
};

// Maps prefix to prefix: the bits of the mask are replaced. Destination in
// PREROUTING and OUTPUT, source in POSTROUTING and INPUT.
struct NetmapTarget : AddressMask {
  static constexpr OpKind kKind = OpKind::kNetmap;
};

// mark = (mark & ~mask) ^ value (xt_MARK revision 2, --set-xmark).
struct MarkTarget {
  static constexpr OpKind kKind = OpKind::kSetMark;
  uint8_t unused[2] = {};
  Packed<uint32_t> value = 0;
  Packed<uint32_t> mask = 0;
};

// xt_CONNMARK revision 2.
// Set:     ctmark = (ctmark & ~ct_mask) ^ ct_value
// Save:    ctmark = (ctmark & ~ct_mask) ^ (mark & mask)
// Restore: mark   = (mark & ~mask) ^ (ctmark & ct_mask)
// A shift is applied to the new value before it is stored.
struct ConnmarkTarget {
  static constexpr OpKind kKind = OpKind::kSetConnmark;
  enum Mode : uint8_t { kSet, kSave, kRestore };
  uint8_t mode = kSet;
  uint8_t unused = 0;
  Packed<uint32_t> ct_value = 0;
  Packed<uint32_t> ct_mask = 0;
  Packed<uint32_t> mask = 0;
  uint8_t shift_right = 0;  // else left
  uint8_t shift_bits = 0;
};

// Adds to, removes from or maps by ipsets.
struct SetTarget {
  static constexpr OpKind kKind = OpKind::kChangeSet;
  struct Change {
    Packed<StringId> name = 0;
    uint8_t dimensions = 0;  // 0: not asked
    uint8_t sources = 0;     // as in SetMatch
  };
  uint8_t exist = 0;
  uint8_t has_timeout = 0;
  Change add;
  Change remove;
  Change map;
  Packed<uint32_t> timeout_s = 0;
  uint8_t map_mark = 0;
  uint8_t map_priority = 0;
  uint8_t map_queue = 0;
  uint8_t unused = 0;
};

struct CtTarget {
  static constexpr OpKind kKind = OpKind::kCt;
  enum Flag : uint8_t {
    kNotrack = 1,
    kZone = 2,           // `zone` for both directions
    kZoneOriginal = 4,   // only the original direction
    kZoneReply = 8,      // only the reply direction
    kZoneMark = 16,      // the zone is the packet's mark
    kNotrackAlias = 32,  // written as -j NOTRACK
  };
  uint8_t flags = 0;
  uint8_t unused = 0;
  uint16_t zone = 0;
  Packed<StringId> helper = 0;
  Packed<StringId> timeout = 0;
  uint16_t events = 0;              // bits of enum ip_conntrack_events
  uint16_t expectation_events = 0;  // bit 0: new
};

struct LogTarget {
  static constexpr OpKind kKind = OpKind::kLog;
  enum Flag : uint8_t {  // the kernel's XT_LOG_*
    kTcpSequence = 1,
    kTcpOptions = 2,
    kIpOptions = 4,
    kUid = 8,
    kMacDecode = 32,
  };
  uint8_t level = 4;
  uint8_t flags = 0;
  Packed<StringId> prefix = 0;
};

struct NflogTarget {
  static constexpr OpKind kKind = OpKind::kNflog;
  uint16_t group = 0;
  Packed<StringId> prefix = 0;
  Packed<uint32_t> size = 0;  // --nflog-size or --nflog-range
  uint16_t threshold = 0;     // 0: not given
  uint8_t has_size = 0;       // --nflog-size
  uint8_t unused = 0;
};

struct TraceTarget {
  static constexpr OpKind kKind = OpKind::kTrace;
  uint8_t unused = 0;
};

struct TcpmssTarget {
  static constexpr OpKind kKind = OpKind::kTcpmss;
  uint8_t clamp_to_pmtu = 0;
  uint8_t unused = 0;
  uint16_t mss = 0;
};

// tos = (tos & ~mask) ^ value.
struct TosTarget {
  static constexpr OpKind kKind = OpKind::kSetTos;
  uint8_t value = 0;
  uint8_t mask = 0;
};
struct DscpTarget {
  static constexpr OpKind kKind = OpKind::kSetDscp;
  uint8_t value = 0;  // 0..63
};

struct TtlTargetBase {
  enum Mode : uint8_t { kSet, kIncrease, kDecrease };
  uint8_t mode = kSet;
  uint8_t value = 0;
};
struct TtlTarget : TtlTargetBase {
  static constexpr OpKind kKind = OpKind::kSetTtl;
};
struct HlTarget : TtlTargetBase {
  static constexpr OpKind kKind = OpKind::kSetHl;
};

struct ClassifyTarget {
  static constexpr OpKind kKind = OpKind::kClassify;
  uint8_t unused[2] = {};
  Packed<uint32_t> handle = 0;  // major in the upper 16 bits
};

// Hands the packet to user space; its verdict is not known.
struct NfqueueTarget {
  static constexpr OpKind kKind = OpKind::kNfqueue;
  uint16_t first_queue = 0;
  uint16_t queue_count = 0;  // 0 or 1: one
  uint8_t bypass = 0;        // accepted if nobody listens
  uint8_t cpu_fanout = 0;
};

// A target that is not modelled: kept as it was written, "NAME options".
struct UnknownTarget {
  static constexpr OpKind kKind = OpKind::kUnknownTarget;
  uint8_t is_goto = 0;
  uint8_t unused = 0;
  Packed<StringId> text = 0;
};

}  // namespace k8sdns::netfilter

#endif  // K8SDNS_NETFILTER_TARGET_OPS_H_
