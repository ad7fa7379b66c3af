// The list of all kinds of ops: see ops.h.
#ifndef K8SDNS_NETFILTER_OP_KIND_H_
#define K8SDNS_NETFILTER_OP_KIND_H_

#include <cstdint>

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
  X(kDccp, DccpMatch, "dccp")                    \
  X(kIcmp, IcmpMatch, "icmp")                    \
  X(kIcmp6, Icmp6Match, "icmp6")                 \
  X(kMultiport, MultiportMatch, "multiport")     \
  X(kIprange, IprangeMatch, "iprange")           \
  X(kMark, MarkMatch, "mark")                    \
  X(kConnmark, ConnmarkMatch, "connmark")        \
  X(kConntrack, ConntrackMatch, "conntrack")     \
  X(kState, StateMatch, "state")                 \
  X(kStatistic, StatisticMatch, "statistic")     \
  X(kRecent, RecentMatch, "recent")              \
  X(kAddrtype, AddrtypeMatch, "addrtype")        \
  X(kSet, SetMatch, "set")                       \
  X(kIpvs, IpvsMatch, "ipvs")                    \
  X(kLimit, LimitMatch, "limit")                 \
  X(kHashlimit, HashlimitMatch, "hashlimit")     \
  X(kMac, MacMatch, "mac")                       \
  X(kLength, LengthMatch, "length")              \
  X(kTtl, TtlMatch, "ttl")                       \
  X(kHl, HlMatch, "hl")                          \
  X(kTos, TosMatch, "tos")                       \
  X(kDscp, DscpMatch, "dscp")                    \
  X(kPkttype, PkttypeMatch, "pkttype")           \
  X(kPhysdev, PhysdevMatch, "physdev")           \
  X(kOwner, OwnerMatch, "owner")                 \
  X(kRpfilter, RpfilterMatch, "rpfilter")        \
  X(kU32, U32Match, "u32")                       \
  X(kNfacct, NfacctMatch, "nfacct")              \
  X(kUnknownMatch, UnknownMatch, "")             \
  /* notes: never decide anything */             \
  X(kCounters, CountersNote, "-c")               \
  /* targets */                                  \
  X(kAccept, AcceptTarget, "ACCEPT")             \
  X(kDrop, DropTarget, "DROP")                   \
  X(kReturn, ReturnTarget, "RETURN")             \
  X(kQueue, QueueTarget, "QUEUE")                \
  X(kJump, JumpTarget, "")                       \
  X(kGoto, GotoTarget, "")                       \
  X(kReject, RejectTarget, "REJECT")             \
  X(kDnat, DnatTarget, "DNAT")                   \
  X(kSnat, SnatTarget, "SNAT")                   \
  X(kMasquerade, MasqueradeTarget, "MASQUERADE") \
  X(kRedirect, RedirectTarget, "REDIRECT")       \
  X(kNetmap, NetmapTarget, "NETMAP")             \
  X(kSetMark, MarkTarget, "MARK")                \
  X(kSetConnmark, ConnmarkTarget, "CONNMARK")    \
  X(kChangeSet, SetTarget, "SET")                \
  X(kCt, CtTarget, "CT")                         \
  X(kLog, LogTarget, "LOG")                      \
  X(kNflog, NflogTarget, "NFLOG")                \
  X(kTrace, TraceTarget, "TRACE")                \
  X(kTcpmss, TcpmssTarget, "TCPMSS")             \
  X(kSetTos, TosTarget, "TOS")                   \
  X(kSetDscp, DscpTarget, "DSCP")                \
  X(kSetTtl, TtlTarget, "TTL")                   \
  X(kSetHl, HlTarget, "HL")                      \
  X(kClassify, ClassifyTarget, "CLASSIFY")       \
  X(kNfqueue, NfqueueTarget, "NFQUEUE")          \
  X(kUnknownTarget, UnknownTarget, "")

enum class OpKind : uint8_t {
#define K8SDNS_OP_KIND(kind, type, name) kind,
  K8SDNS_OPS(K8SDNS_OP_KIND)
#undef K8SDNS_OP_KIND
};

constexpr bool IsTarget(OpKind kind) { return kind >= OpKind::kAccept; }
constexpr bool IsBasic(OpKind kind) { return kind <= OpKind::kFragment; }

}  // namespace k8sdns::netfilter

#endif  // K8SDNS_NETFILTER_OP_KIND_H_
