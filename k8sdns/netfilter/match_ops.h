// The basic ops and the matches of a rule: see ops.h.
#ifndef K8SDNS_NETFILTER_MATCH_OPS_H_
#define K8SDNS_NETFILTER_MATCH_OPS_H_

#include <cstdint>

#include "k8sdns/netfilter/op_kind.h"
#include "k8sdns/netfilter/packed.h"

namespace k8sdns::netfilter {

// Numbers of more than two bytes are Packed: an op is stored by its bytes, and
// has no holes.

// ---- basic ----

struct AddressMask {
  static constexpr uint8_t kExplicitMask = 0xff;

  uint8_t invert = 0;
  // 0..32 or 0..128; kExplicitMask: a mask that is not a prefix, in `mask`.
  uint8_t prefix_length = 0;
  Packed<uint32_t> address[4] = {};
  Packed<uint32_t> mask[4] = {};
};
struct SourceMatch : AddressMask {
  static constexpr OpKind kKind = OpKind::kSource;
};
struct DestinationMatch : AddressMask {
  static constexpr OpKind kKind = OpKind::kDestination;
};

struct InterfaceMatch {
  uint8_t invert = 0;
  uint8_t prefix = 0;         // the name ended in '+': matches by prefix
  Packed<StringId> name = 0;  // without the '+'
};
struct InInterfaceMatch : InterfaceMatch {
  static constexpr OpKind kKind = OpKind::kInInterface;
};
struct OutInterfaceMatch : InterfaceMatch {
  static constexpr OpKind kKind = OpKind::kOutInterface;
};

struct ProtocolMatch {
  static constexpr OpKind kKind = OpKind::kProtocol;
  uint8_t invert = 0;
  uint8_t protocol = 0;
};

struct FragmentMatch {
  static constexpr OpKind kKind = OpKind::kFragment;
  uint8_t invert = 0;
};

// ---- matches ----

struct CommentMatch {
  static constexpr OpKind kKind = OpKind::kComment;
  Packed<StringId> text = 0;
};

// Counts packets by a name that the nfacct tool made. It matches, unless the
// tool gave the counter a quota (xt_nfacct.c), which no dump of rules shows.
struct NfacctMatch {
  static constexpr OpKind kKind = OpKind::kNfacct;
  Packed<StringId> name = 0;
};

// Whether a range is given is said by a flag: 0..0 is a legal range.
struct PortRange {
  uint16_t first = 0;
  uint16_t last = 0;
};

enum PortFlag : uint8_t {
  kHasSourcePort = 1,
  kHasDestinationPort = 2,
  kInvertSourcePort = 4,
  kInvertDestinationPort = 8,
  kHasTcpFlags = 16,
  kInvertTcpFlags = 32,
  kHasTcpOption = 64,
  kInvertTcpOption = 128,
};

struct TcpMatch {
  static constexpr OpKind kKind = OpKind::kTcp;
  uint8_t flags = 0;  // PortFlag
  uint8_t option = 0;
  PortRange destination;
  PortRange source;
  uint8_t flag_mask = 0;  // TcpFlag bits looked at
  uint8_t flag_compare = 0;
};
struct UdpMatch {
  static constexpr OpKind kKind = OpKind::kUdp;
  uint8_t flags = 0;  // PortFlag
  uint8_t unused = 0;
  PortRange destination;
  PortRange source;
};
struct SctpMatch {
  static constexpr OpKind kKind = OpKind::kSctp;
  uint8_t flags = 0;  // PortFlag
  uint8_t has_chunks = 0;
  PortRange destination;
  PortRange source;
  Packed<StringId> chunks =
      0;  // "[!] --chunk-types ..." as printed; 0: not given
};

struct MarkMatch {
  static constexpr OpKind kKind = OpKind::kMark;
  uint8_t invert = 0;
  uint8_t unused = 0;
  Packed<uint32_t> value = 0;
  Packed<uint32_t> mask = 0xffffffff;
};

// Bits of `state` in ConntrackMatch and StateMatch.
enum ConntrackState : uint16_t {
  kStateInvalid = 1 << 0,
  kStateEstablished = 1 << 1,
  kStateRelated = 1 << 2,
  kStateNew = 1 << 3,
  kStateUntracked = 1 << 6,
  kStateSnat = 1 << 7,
  kStateDnat = 1 << 8,
};
// Bits of `status`.
enum ConntrackStatus : uint16_t {
  kStatusExpected = 1 << 0,
  kStatusSeenReply = 1 << 1,
  kStatusAssured = 1 << 2,
  kStatusConfirmed = 1 << 3,
  kStatusNone = 1 << 15,  // --ctstatus NONE was given
};
// Bits of `given` and `invert`: which options of -m conntrack are there.
enum ConntrackField : uint16_t {
  kCtState = 1 << 0,
  kCtProtocol = 1 << 1,
  kCtOriginalSource = 1 << 2,
  kCtOriginalDestination = 1 << 3,
  kCtReplySource = 1 << 4,
  kCtReplyDestination = 1 << 5,
  kCtStatus = 1 << 6,
  kCtExpire = 1 << 7,
  kCtOriginalSourcePort = 1 << 8,
  kCtOriginalDestinationPort = 1 << 9,
  kCtReplySourcePort = 1 << 10,
  kCtReplyDestinationPort = 1 << 11,
  kCtDirection = 1 << 12,  // inverted: REPLY
};
struct ConntrackMatch {
  static constexpr OpKind kKind = OpKind::kConntrack;
  uint16_t given = 0;
  uint16_t invert = 0;
  uint16_t state = 0;
  uint16_t status = 0;
  uint16_t protocol = 0;
  Packed<uint32_t> expire_first = 0;
  Packed<uint32_t> expire_last = 0;
  // In the order original source, original destination, reply source, reply
  // destination.
  PortRange ports[4];
  AddressMask addresses[4];
};
struct StateMatch {
  static constexpr OpKind kKind = OpKind::kState;
  uint8_t invert = 0;
  uint8_t unused = 0;
  uint16_t state = 0;
};

struct StatisticMatch {
  static constexpr OpKind kKind = OpKind::kStatistic;
  uint8_t nth = 0;  // 0: --mode random
  uint8_t invert = 0;
  Packed<uint32_t> probability = 0;  // of 2^31 (random)
  Packed<uint32_t> every = 0;        // nth: as given to --every
  Packed<uint32_t> packet = 0;       // nth: as given to --packet
};

struct RecentMatch {
  static constexpr OpKind kKind = OpKind::kRecent;
  enum Mode : uint8_t { kNone, kSet, kCheck, kUpdate, kRemove };
  uint8_t mode = kNone;
  uint8_t invert = 0;
  Packed<StringId> name = 0;
  Packed<uint32_t> seconds = 0;    // 0: not given
  Packed<uint32_t> hit_count = 0;  // 0: not given
  uint8_t destination = 0;         // --rdest
  uint8_t reap = 0;
  uint8_t ttl = 0;  // --rttl
  uint8_t has_mask = 0;
  Packed<uint32_t> mask[4] = {};  // only if has_mask; else all ones
};

// Bits as in the kernel's xt_addrtype (1 << RTN_*).
enum AddressTypeBit : uint16_t {
  kTypeUnspec = 1 << 0,
  kTypeUnicast = 1 << 1,
  kTypeLocal = 1 << 2,
  kTypeBroadcast = 1 << 3,
  kTypeAnycast = 1 << 4,
  kTypeMulticast = 1 << 5,
  kTypeBlackhole = 1 << 6,
  kTypeUnreachable = 1 << 7,
  kTypeProhibit = 1 << 8,
  kTypeThrow = 1 << 9,
  kTypeNat = 1 << 10,
  kTypeXresolve = 1 << 11,
};
struct AddrtypeMatch {
  static constexpr OpKind kKind = OpKind::kAddrtype;
  uint16_t destination = 0;  // AddressTypeBit; 0: not asked
  uint16_t source = 0;
  uint8_t invert_destination = 0;
  uint8_t invert_source = 0;
  uint8_t limit_in = 0;
  uint8_t limit_out = 0;
};

struct SetMatch {
  static constexpr OpKind kKind = OpKind::kSet;
  uint8_t invert = 0;
  // `src` (1) or `dst` (0) by dimension, the first in bit 0.
  uint8_t sources = 0;
  Packed<StringId> name = 0;
  uint8_t dimensions = 0;  // how many flags were given, 1..6
  uint8_t return_nomatch = 0;
  // "! --update-counters --packets-gt 3 ..." as printed; 0: none.
  Packed<StringId> counters = 0;
};

struct IpvsMatch {
  static constexpr OpKind kKind = OpKind::kIpvs;
  enum Field : uint16_t {
    kIpvs = 1,
    kVproto = 2,
    kVaddr = 4,
    kVport = 8,
    kVdir = 16,  // inverted: REPLY
    kVmethod = 32,
    kVportctl = 64,
  };
  uint16_t given = 0;
  uint16_t invert = 0;
  uint16_t vproto = 0;
  uint16_t vport = 0;
  AddressMask vaddr;
  uint16_t vportctl = 0;
  uint16_t vmethod = 0;  // 0 masq, 1 ipip, 2 gatewaying
};

// ---- the rest of the transport protocols ----

// DCCP packet types are numbered as on the wire, from REQUEST = 0.
struct DccpMatch {
  static constexpr OpKind kKind = OpKind::kDccp;
  uint8_t flags = 0;  // PortFlag; kHasTcpOption, kInvertTcpOption: `option`
  uint8_t option = 0;
  PortRange destination;
  PortRange source;
  uint8_t has_types = 0;
  uint8_t invert_types = 0;
  uint16_t types = 0;  // bit n: type n
};

struct IcmpMatchBase {
  uint8_t invert = 0;
  uint8_t type = 0;
  uint8_t first_code = 0;
  uint8_t last_code = 0;
};
// Type 255 means any (--icmp-type any).
struct IcmpMatch : IcmpMatchBase {
  static constexpr OpKind kKind = OpKind::kIcmp;
};
struct Icmp6Match : IcmpMatchBase {
  static constexpr OpKind kKind = OpKind::kIcmp6;
};

struct MultiportMatch {
  static constexpr OpKind kKind = OpKind::kMultiport;
  static constexpr int kMaxPorts = 15;
  enum Which : uint8_t { kSource, kDestination, kEither };
  uint8_t invert = 0;
  uint8_t which = kSource;
  uint8_t count = 0;  // of `ports` used
  uint8_t unused = 0;
  uint16_t range_starts = 0;  // bit i: ports[i] to ports[i + 1] is a range
  uint16_t ports[kMaxPorts] = {};
};

// ---- addresses ----

struct IprangeMatch {
  static constexpr OpKind kKind = OpKind::kIprange;
  enum Flag : uint8_t {
    kSource = 1,
    kDestination = 2,
    kInvertSource = 4,
    kInvertDestination = 8,
  };
  uint8_t flags = 0;
  uint8_t unused = 0;
  Packed<uint32_t> source_first[4] = {};
  Packed<uint32_t> source_last[4] = {};
  Packed<uint32_t> destination_first[4] = {};
  Packed<uint32_t> destination_last[4] = {};
};

struct ConnmarkMatch {
  static constexpr OpKind kKind = OpKind::kConnmark;
  uint8_t invert = 0;
  uint8_t unused = 0;
  Packed<uint32_t> value = 0;
  Packed<uint32_t> mask = 0xffffffff;
};

// ---- rates ----

// A token bucket (xt_limit).
struct LimitMatch {
  static constexpr OpKind kKind = OpKind::kLimit;
  uint8_t unused[2] = {};
  // Time between two packets in 1/10000 s: 10000 is 1/second.
  Packed<uint32_t> interval = 0;
  Packed<uint32_t> burst = 0;
};

// A token bucket for each key (xt_hashlimit revision 3).
struct HashlimitMatch {
  static constexpr OpKind kKind = OpKind::kHashlimit;
  enum Mode : uint8_t {  // the kernel's XT_HASHLIMIT_*
    kDestinationAddress = 1,
    kDestinationPort = 2,
    kSourceAddress = 4,
    kSourcePort = 8,
    kAbove = 16,      // matches what is over the limit
    kBytes = 32,      // the rate is in bytes
    kRateMatch = 64,  // --hashlimit-rate-match
  };
  uint8_t mode = 0;
  uint8_t source_prefix = 0;
  uint8_t destination_prefix = 0;
  uint8_t unused = 0;
  // Packets: time between two in 1/1000000 s. Bytes: bytes a second in units
  // as the kernel keeps them (2^32 divided by it). Rate match: packets or
  // bytes an interval.
  Packed<uint64_t> average = 0;
  Packed<uint64_t> burst = 0;
  Packed<StringId> name = 0;
  Packed<uint32_t> size = 0;            // buckets; 0: the kernel chooses
  Packed<uint32_t> max = 0;             // entries; 0: the kernel chooses
  Packed<uint32_t> expire_ms = 0;       // 0: the kernel chooses
  Packed<uint32_t> gc_interval_ms = 0;  // 0: the kernel chooses
  Packed<uint32_t> rate_interval = 0;   // seconds, with kRateMatch
};

// ---- headers ----

struct MacMatch {
  static constexpr OpKind kKind = OpKind::kMac;
  uint8_t invert = 0;
  uint8_t unused = 0;
  uint8_t address[6] = {};
};

// The length of the packet from the IP header on, in bytes.
struct LengthMatch {
  static constexpr OpKind kKind = OpKind::kLength;
  uint8_t invert = 0;
  uint8_t unused = 0;
  uint16_t first = 0;
  uint16_t last = 0;
};

struct TtlMatchBase {
  enum Mode : uint8_t { kEqual, kNotEqual, kLess, kGreater };
  uint8_t mode = kEqual;
  uint8_t value = 0;
};
struct TtlMatch : TtlMatchBase {
  static constexpr OpKind kKind = OpKind::kTtl;
};
struct HlMatch : TtlMatchBase {
  static constexpr OpKind kKind = OpKind::kHl;
};

// (tos & mask) == value, tos being the whole byte of the header.
struct TosMatch {
  static constexpr OpKind kKind = OpKind::kTos;
  uint8_t invert = 0;
  uint8_t value = 0;
  uint8_t mask = 0;
  uint8_t unused = 0;
};
struct DscpMatch {
  static constexpr OpKind kKind = OpKind::kDscp;
  uint8_t invert = 0;
  uint8_t value = 0;  // 0..63: the upper six bits of the byte
};

// ---- devices and sockets ----

struct PkttypeMatch {
  static constexpr OpKind kKind = OpKind::kPkttype;
  enum Type : uint8_t { kUnicast, kBroadcast, kMulticast, kOther };
  uint8_t invert = 0;
  uint8_t type = kUnicast;
};

struct PhysdevMatch {
  static constexpr OpKind kKind = OpKind::kPhysdev;
  enum Field : uint8_t {
    kIn = 1,       // --physdev-in
    kOut = 2,      // --physdev-out
    kBridged = 4,  // --physdev-is-bridged
    kIsIn = 8,     // --physdev-is-in
    kIsOut = 16,   // --physdev-is-out
  };
  uint8_t given = 0;
  uint8_t invert = 0;
  uint8_t in_prefix = 0;  // the name ended in '+'
  uint8_t out_prefix = 0;
  Packed<StringId> in = 0;  // without the '+'
  Packed<StringId> out = 0;
};

struct OwnerMatch {
  static constexpr OpKind kKind = OpKind::kOwner;
  enum Field : uint8_t {
    kUid = 1,
    kGid = 2,
    kSocket = 4,
    kSupplementaryGroups = 8,
  };
  uint8_t given = 0;
  uint8_t invert = 0;
  Packed<uint32_t> first_uid = 0;
  Packed<uint32_t> last_uid = 0;
  Packed<uint32_t> first_gid = 0;
  Packed<uint32_t> last_gid = 0;
};

struct RpfilterMatch {
  static constexpr OpKind kKind = OpKind::kRpfilter;
  uint8_t loose = 0;
  uint8_t valid_mark = 0;
  uint8_t accept_local = 0;
  uint8_t invert = 0;
};

// Bytes of the packet, by a program as it is printed: "0x0>>0x1c=0x4&&...".
struct U32Match {
  static constexpr OpKind kKind = OpKind::kU32;
  uint8_t invert = 0;
  uint8_t unused = 0;
  StringId program = 0;
};

// A match that is not modelled: kept as it was written, "-m name options".
struct UnknownMatch {
  static constexpr OpKind kKind = OpKind::kUnknownMatch;
  Packed<StringId> text = 0;
};

// ---- notes ----

// The counters of a rule in a dump, if they were asked for. Always the first
// op of its rule; the matchers skip it.
struct CountersNote {
  static constexpr OpKind kKind = OpKind::kCounters;
  uint8_t unused[2] = {};
  Packed<uint64_t> packets = 0;
  Packed<uint64_t> bytes = 0;
};

}  // namespace k8sdns::netfilter

#endif  // K8SDNS_NETFILTER_MATCH_OPS_H_
