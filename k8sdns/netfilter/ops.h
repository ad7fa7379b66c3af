// The parts of a rule: what it matches and what it does, as typed values.
//
// Every part ("op") is a small trivially copyable struct with a `kKind`. A rule
// is a sequence of ops in the order in which iptables-save prints them: the
// basic ones (-s -d -i -o -p -f), the matches (-m ...), at most one target.
// K8SDNS_OPS below is the one list of them: the encoding, the parser, the
// printer, the matchers and the README's list of what is supported are all
// driven by it.
//
// The all-zero value of every field means "not given", and fields that are
// rarely given stand last: a stored op drops its trailing zero bytes, so that
// a rule costs what it says and no more.
//
// Numbers are in host order. Addresses are four words, the most significant
// first; IPv4 uses the first word only.
#ifndef K8SDNS_NETFILTER_OPS_H_
#define K8SDNS_NETFILTER_OPS_H_

#include <cstdint>

#include "k8sdns/net/ip_address.h"

namespace k8sdns::netfilter {

// Index of an interned text in the StringPool of the rule set; 0 is "".
using StringId = uint32_t;

// Name of the op's kind, its struct, and the word by which it is known after
// -m or -j (basic ops: the option).
#define K8SDNS_OPS(X)                            \
  /* basic */                                    \
  X(kSource, SourceMatch, "-s")                  \
  X(kDestination, DestinationMatch, "-d")        \
  X(kInInterface, InInterfaceMatch, "-i")        \
  X(kOutInterface, OutInterfaceMatch, "-o")      \
  X(kProtocol, ProtocolMatch, "-p")              \
  X(kFragment, FragmentMatch, "-f")              \
  /* matches */                                  \
  X(kComment, CommentMatch, "comment")           \
  X(kTcp, TcpMatch, "tcp")                       \
  X(kUdp, UdpMatch, "udp")                       \
  X(kSctp, SctpMatch, "sctp")                    \
  X(kMark, MarkMatch, "mark")                    \
  X(kConntrack, ConntrackMatch, "conntrack")     \
  X(kState, StateMatch, "state")                 \
  X(kStatistic, StatisticMatch, "statistic")     \
  X(kRecent, RecentMatch, "recent")              \
  X(kAddrtype, AddrtypeMatch, "addrtype")        \
  X(kSet, SetMatch, "set")                       \
  X(kIpvs, IpvsMatch, "ipvs")                    \
  X(kUnknownMatch, UnknownMatch, "")             \
  /* targets */                                  \
  X(kAccept, AcceptTarget, "ACCEPT")             \
  X(kDrop, DropTarget, "DROP")                   \
  X(kReturn, ReturnTarget, "RETURN")             \
  X(kJump, JumpTarget, "")                       \
  X(kGoto, GotoTarget, "")                       \
  X(kReject, RejectTarget, "REJECT")             \
  X(kDnat, DnatTarget, "DNAT")                   \
  X(kSnat, SnatTarget, "SNAT")                   \
  X(kMasquerade, MasqueradeTarget, "MASQUERADE") \
  X(kSetMark, MarkTarget, "MARK")                \
  X(kUnknownTarget, UnknownTarget, "")

enum class OpKind : uint8_t {
#define K8SDNS_OP_KIND(kind, type, name) kind,
  K8SDNS_OPS(K8SDNS_OP_KIND)
#undef K8SDNS_OP_KIND
};

constexpr bool IsTarget(OpKind kind) { return kind >= OpKind::kAccept; }
constexpr bool IsBasic(OpKind kind) { return kind <= OpKind::kFragment; }

// Ops are packed so that they can be stored without holes; read fields by
// value.
#pragma pack(push, 2)

// ---- basic ----

struct AddressMask {
  static constexpr uint8_t kExplicitMask = 0xff;

  uint8_t invert = 0;
  // 0..32 or 0..128; kExplicitMask: a mask that is not a prefix, in `mask`.
  uint8_t prefix_length = 0;
  uint32_t address[4] = {};
  uint32_t mask[4] = {};
};
struct SourceMatch : AddressMask {
  static constexpr OpKind kKind = OpKind::kSource;
};
struct DestinationMatch : AddressMask {
  static constexpr OpKind kKind = OpKind::kDestination;
};

struct InterfaceMatch {
  uint8_t invert = 0;
  uint8_t prefix = 0;  // the name ended in '+': matches by prefix
  StringId name = 0;   // without the '+'
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
  StringId text = 0;
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
  StringId chunks = 0;  // "[!] --chunk-types ..." as printed; 0: not given
};

struct MarkMatch {
  static constexpr OpKind kKind = OpKind::kMark;
  uint8_t invert = 0;
  uint8_t unused = 0;
  uint32_t value = 0;
  uint32_t mask = 0xffffffff;
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
  uint32_t expire_first = 0;
  uint32_t expire_last = 0;
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
  uint32_t probability = 0;  // of 2^31 (random)
  uint32_t every = 0;        // nth: as given to --every
  uint32_t packet = 0;       // nth: as given to --packet
};

struct RecentMatch {
  static constexpr OpKind kKind = OpKind::kRecent;
  enum Mode : uint8_t { kNone, kSet, kCheck, kUpdate, kRemove };
  uint8_t mode = kNone;
  uint8_t invert = 0;
  StringId name = 0;
  uint32_t seconds = 0;     // 0: not given
  uint32_t hit_count = 0;   // 0: not given
  uint8_t destination = 0;  // --rdest
  uint8_t reap = 0;
  uint8_t ttl = 0;  // --rttl
  uint8_t has_mask = 0;
  uint32_t mask[4] = {};  // only if has_mask; else all ones
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
  StringId name = 0;
  uint8_t dimensions = 0;  // how many flags were given, 1..6
  uint8_t return_nomatch = 0;
  // "! --update-counters --packets-gt 3 ..." as printed; 0: none.
  StringId counters = 0;
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

// A match that is not modelled: kept as it was written, "-m name options".
struct UnknownMatch {
  static constexpr OpKind kKind = OpKind::kUnknownMatch;
  StringId text = 0;
};

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
struct JumpTarget {
  static constexpr OpKind kKind = OpKind::kJump;
  StringId chain = 0;
};
struct GotoTarget {
  static constexpr OpKind kKind = OpKind::kGoto;
  StringId chain = 0;
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
  uint32_t first[4] = {};
  uint16_t last_port = 0;  // only with kNatHasPortRange
  uint16_t base_port = 0;  // only with kNatHasBasePort
  uint32_t last[4] = {};   // only with kNatHasAddressRange
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

// mark = (mark & ~mask) ^ value (xt_MARK revision 2, --set-xmark).
struct MarkTarget {
  static constexpr OpKind kKind = OpKind::kSetMark;
  uint8_t unused[2] = {};
  uint32_t value = 0;
  uint32_t mask = 0;
};

// A target that is not modelled: kept as it was written, "NAME options".
struct UnknownTarget {
  static constexpr OpKind kKind = OpKind::kUnknownTarget;
  uint8_t is_goto = 0;
  uint8_t unused = 0;
  StringId text = 0;
};

#pragma pack(pop)

// ---- conversions ----

// Puts `address` into the words of an op.
void StoreAddress(const IpAddress& address, uint32_t (&words)[4]);
IpAddress LoadAddress(IpFamily family, const uint32_t (&words)[4]);

// "-s prefix" / "-d prefix"; host bits are cleared, as iptables does.
AddressMask ToAddressMask(const IpPrefix& prefix, bool invert = false);
// The mask, also where it is a prefix length.
void LoadMask(IpFamily family, const AddressMask& match, uint32_t (&words)[4]);

}  // namespace k8sdns::netfilter

#endif  // K8SDNS_NETFILTER_OPS_H_
