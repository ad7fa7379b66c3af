// Matches that look at the packet, its devices and routes alone.
#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "k8sdns/dataplane/rule_eval.h"

namespace k8sdns::dataplane {
namespace {

using netfilter::AddrtypeMatch;
using netfilter::OpKind;
using netfilter::OpView;
using netfilter::PortRange;

MatchResult Yes(bool matches) {
  return matches ? MatchResult::kYes : MatchResult::kNo;
}

bool InRange(const PortRange& range, uint16_t port) {
  return port >= range.first && port <= range.last;
}

template <typename T>
bool MatchesPorts(const T& match, const Packet& p) {
  using namespace netfilter;  // the flags
  const uint8_t flags = match.flags;
  if ((flags & kHasSourcePort) &&
      InRange(match.source, p.src_port) == ((flags & kInvertSourcePort) != 0)) {
    return false;
  }
  return !(flags & kHasDestinationPort) ||
         InRange(match.destination, p.dst_port) !=
             ((flags & kInvertDestinationPort) != 0);
}

bool MatchesTcp(const netfilter::TcpMatch& match, const Packet& p) {
  using namespace netfilter;  // the flags
  if (!MatchesPorts(match, p)) return false;
  if (match.flags & kHasTcpFlags) {
    const bool equal = (p.tcp_flags & match.flag_mask) == match.flag_compare;
    if (equal == ((match.flags & kInvertTcpFlags) != 0)) return false;
  }
  if (match.flags & kHasTcpOption) {
    // No packet here has any.
    return match.flags & kInvertTcpOption;
  }
  return true;
}

bool MatchesInterface(const netfilter::InterfaceMatch& match,
                      DeviceIndex device, const RuleContext& context) {
  const absl::string_view name = context.DeviceName(device);
  const absl::string_view wanted = context.rules.strings().Get(match.name);
  const bool equal =
      match.prefix ? absl::StartsWith(name, wanted) : name == wanted;
  return equal != (match.invert != 0);
}

bool MatchesIcmp(const netfilter::IcmpMatchBase& match, const Packet& p) {
  const bool equal = match.type == 255 || (p.icmp_type == match.type &&
                                           p.icmp_code >= match.first_code &&
                                           p.icmp_code <= match.last_code);
  return equal != (match.invert != 0);
}

bool MatchesMultiport(const netfilter::MultiportMatch& match, const Packet& p) {
  using netfilter::MultiportMatch;
  auto hits = [&](uint16_t first, uint16_t last) {
    const bool src = p.src_port >= first && p.src_port <= last;
    const bool dst = p.dst_port >= first && p.dst_port <= last;
    switch (match.which) {
      case MultiportMatch::kSource:
        return src;
      case MultiportMatch::kDestination:
        return dst;
      default:
        return src || dst;
    }
  };
  bool found = false;
  for (int i = 0; i < match.count && !found; ++i) {
    const uint16_t first = match.ports[i];
    if (match.range_starts >> i & 1) ++i;
    found = hits(first, match.ports[i]);
  }
  return found != (match.invert != 0);
}

bool MatchesRange(const netfilter::IprangeMatch& match, IpFamily family,
                  const Packet& p) {
  using netfilter::IprangeMatch;
  auto inside = [&](const uint32_t* first, const uint32_t* last,
                    const IpAddress& address) {
    uint32_t low[4];
    uint32_t high[4];
    std::copy(first, first + 4, low);
    std::copy(last, last + 4, high);
    return address >= netfilter::LoadAddress(family, low) &&
           address <= netfilter::LoadAddress(family, high);
  };
  uint32_t words[4][4];
  std::copy(match.source_first, match.source_first + 4, words[0]);
  std::copy(match.source_last, match.source_last + 4, words[1]);
  std::copy(match.destination_first, match.destination_first + 4, words[2]);
  std::copy(match.destination_last, match.destination_last + 4, words[3]);
  if ((match.flags & IprangeMatch::kSource) &&
      inside(words[0], words[1], p.src) ==
          ((match.flags & IprangeMatch::kInvertSource) != 0)) {
    return false;
  }
  return !(match.flags & IprangeMatch::kDestination) ||
         inside(words[2], words[3], p.dst) !=
             ((match.flags & IprangeMatch::kInvertDestination) != 0);
}

// xt_addrtype for IPv6: only some types exist, and a route is asked.
bool HasType6(const RuleContext& context, DeviceIndex device,
              const IpAddress& address, uint16_t mask) {
  using namespace netfilter;  // the types
  if ((mask & kTypeMulticast) && !address.IsMulticast()) return false;
  if ((mask & kTypeUnicast) &&
      (address.IsMulticast() || address.IsUnspecified())) {
    return false;
  }
  if ((mask & kTypeUnspec) && !address.IsUnspecified()) return false;
  if (!(mask & (kTypeAnycast | kTypeLocal | kTypeUnreachable))) return true;
  uint16_t types = 0;
  RouteKey key;
  key.destination = address;
  key.out_device = device;
  if (device != kNoDevice && (mask & kTypeLocal)) {
    const auto& own = context.routing.device(device).ipv6;
    if (std::any_of(own.begin(), own.end(), [&](const DeviceAddress& a) {
          return a.address == address;
        })) {
      types |= kTypeLocal;
    }
  }
  const FibResult found = context.routing.Lookup(key);
  if (found.error != RouteError::kNone) {
    types = kTypeUnreachable;
  } else {
    const FibRoute& route = *found.route;
    if (device == kNoDevice && route.type == RouteType::kLocal) {
      types |= kTypeLocal;
    }
    if (route.type == RouteType::kAnycast ||
        (route.prefix.length() < 127 && !route.gateway &&
         route.prefix.address() == address)) {
      types |= kTypeAnycast;
    }
  }
  return mask & types;
}

bool MatchesAddrtype(const AddrtypeMatch& match, const RuleContext& context) {
  DeviceIndex device = kNoDevice;
  if (match.limit_in) device = context.in_device;
  if (match.limit_out) device = context.out_device;
  auto has = [&](const IpAddress& address, uint16_t mask) {
    if (address.is_v6()) return HasType6(context, device, address, mask);
    const RouteType type = context.routing.AddressType(address, device);
    return (mask >> static_cast<int>(type) & 1) != 0;
  };
  const Packet& p = context.header();
  if (match.source != 0 &&
      has(p.src, match.source) == (match.invert_source != 0)) {
    return false;
  }
  return match.destination == 0 ||
         has(p.dst, match.destination) != (match.invert_destination != 0);
}

bool MatchesTtl(const netfilter::TtlMatchBase& match, uint8_t ttl) {
  using netfilter::TtlMatchBase;
  switch (match.mode) {
    case TtlMatchBase::kEqual:
      return ttl == match.value;
    case TtlMatchBase::kNotEqual:
      return ttl != match.value;
    case TtlMatchBase::kLess:
      return ttl < match.value;
    default:
      return ttl > match.value;
  }
}

bool MatchesPkttype(const netfilter::PkttypeMatch& match,
                    const RuleContext& context) {
  using netfilter::PkttypeMatch;
  uint8_t type = PkttypeMatch::kUnicast;
  const DeviceIndex in = context.transit.in_device;
  // The kind of link layer address that it came with.
  if (in != kNoDevice && context.routing.device(in).ethernet) {
    const IpAddress& dst = context.header().dst;
    if (dst.IsMulticast()) {
      type = PkttypeMatch::kMulticast;
    } else if (context.routing.AddressType(dst) == RouteType::kBroadcast) {
      type = PkttypeMatch::kBroadcast;
    }
  }
  return (type == match.type) != (match.invert != 0);
}

bool MatchesRpfilter(const netfilter::RpfilterMatch& match,
                     const RuleContext& context) {
  const Packet& p = context.header();
  auto passes = [&] {
    if (context.in_device == kLoopback) return true;
    if (p.src.IsUnspecified()) return p.dst.IsMulticast();
    RouteKey key;
    key.destination = p.src;
    if (!p.dst.IsMulticast()) key.source = p.dst;
    key.mark = match.valid_mark ? context.transit.mark : 0;
    const FibResult found = context.routing.Lookup(key);
    if (found.error != RouteError::kNone) return false;
    if (found.route->type != RouteType::kUnicast &&
        !(found.route->type == RouteType::kLocal && match.accept_local)) {
      return false;
    }
    return match.loose || found.route->device == context.in_device;
  };
  return passes() != (match.invert != 0);
}

// No packet here has come over a bridge.
bool MatchesPhysdev(const netfilter::PhysdevMatch& match) {
  return (match.given & ~match.invert) == 0;
}

// What xt_owner.c asks of a packet that has a socket.
bool MatchesOwner(const netfilter::OwnerMatch& match,
                  const SocketCredentials& owner) {
  using netfilter::OwnerMatch;
  if ((match.given & match.invert & OwnerMatch::kSocket) != 0) return false;
  if ((match.given & OwnerMatch::kUid) != 0) {
    const bool inside =
        owner.uid >= match.first_uid && owner.uid <= match.last_uid;
    if (inside == ((match.invert & OwnerMatch::kUid) != 0)) return false;
  }
  if ((match.given & OwnerMatch::kGid) != 0) {
    const auto in_range = [&](uint32_t gid) {
      return gid >= match.first_gid && gid <= match.last_gid;
    };
    bool inside = in_range(owner.gid);
    if (!inside && (match.given & OwnerMatch::kSupplementaryGroups) != 0) {
      inside = std::any_of(owner.groups.begin(), owner.groups.end(), in_range);
    }
    if (inside == ((match.invert & OwnerMatch::kGid) != 0)) return false;
  }
  return true;
}

MatchResult Unknown(std::string* why, absl::string_view reason) {
  *why = std::string(reason);
  return MatchResult::kUnknown;
}

}  // namespace

bool MatchesAddress(const netfilter::AddressMask& match,
                    const IpAddress& address) {
  uint32_t words[4];
  uint32_t mask[4];
  netfilter::StoreAddress(address, words);
  netfilter::LoadMask(address.family(), match, mask);
  bool equal = true;
  for (int i = 0; i < 4; ++i) {
    equal &= ((words[i] ^ match.address[i]) & mask[i]) == 0;
  }
  return equal != (match.invert != 0);
}

MatchResult EvaluateMatch(OpView op, const OpPosition& position,
                          RuleContext& context, std::string* why) {
  const Packet& p = context.header();
  switch (op.kind()) {
    case OpKind::kSource:
      return Yes(MatchesAddress(op.As<netfilter::SourceMatch>(), p.src));
    case OpKind::kDestination:
      return Yes(MatchesAddress(op.As<netfilter::DestinationMatch>(), p.dst));
    case OpKind::kInInterface:
      return Yes(MatchesInterface(op.As<netfilter::InInterfaceMatch>(),
                                  context.in_device, context));
    case OpKind::kOutInterface:
      return Yes(MatchesInterface(op.As<netfilter::OutInterfaceMatch>(),
                                  context.out_device, context));
    case OpKind::kProtocol: {
      const auto match = op.As<netfilter::ProtocolMatch>();
      if (match.protocol == 0) return Yes(!match.invert);
      return Yes((static_cast<uint8_t>(p.protocol) == match.protocol) !=
                 (match.invert != 0));
    }
    case OpKind::kFragment:  // there are no fragments here
      return Yes(op.As<netfilter::FragmentMatch>().invert);
    case OpKind::kComment:
    case OpKind::kNfacct:
    case OpKind::kCounters:
      return MatchResult::kYes;
    case OpKind::kTcp:
      return Yes(MatchesTcp(op.As<netfilter::TcpMatch>(), p));
    case OpKind::kUdp:
      return Yes(MatchesPorts(op.As<netfilter::UdpMatch>(), p));
    case OpKind::kSctp: {
      const auto match = op.As<netfilter::SctpMatch>();
      if (!MatchesPorts(match, p)) return MatchResult::kNo;
      if (match.has_chunks) return Unknown(why, "sctp chunks");
      return MatchResult::kYes;
    }
    case OpKind::kDccp: {
      const auto match = op.As<netfilter::DccpMatch>();
      if (!MatchesPorts(match, p)) return MatchResult::kNo;
      if (match.has_types || (match.flags & netfilter::kHasTcpOption)) {
        return Unknown(why, "dccp types and options");
      }
      return MatchResult::kYes;
    }
    case OpKind::kIcmp:
      return Yes(MatchesIcmp(op.As<netfilter::IcmpMatch>(), p));
    case OpKind::kIcmp6:
      return Yes(MatchesIcmp(op.As<netfilter::Icmp6Match>(), p));
    case OpKind::kMultiport:
      return Yes(MatchesMultiport(op.As<netfilter::MultiportMatch>(), p));
    case OpKind::kIprange:
      return Yes(
          MatchesRange(op.As<netfilter::IprangeMatch>(), context.family(), p));
    case OpKind::kMark: {
      const auto match = op.As<netfilter::MarkMatch>();
      return Yes(((context.transit.mark & match.mask) == match.value) !=
                 (match.invert != 0));
    }
    case OpKind::kAddrtype:
      return Yes(MatchesAddrtype(op.As<AddrtypeMatch>(), context));
    case OpKind::kLength: {
      const auto match = op.As<netfilter::LengthMatch>();
      const uint32_t length = context.transit.packet.Length();
      return Yes((length >= match.first && length <= match.last) !=
                 (match.invert != 0));
    }
    case OpKind::kTtl:
      return Yes(MatchesTtl(op.As<netfilter::TtlMatch>(), p.ttl));
    case OpKind::kHl:
      return Yes(MatchesTtl(op.As<netfilter::HlMatch>(), p.ttl));
    case OpKind::kTos: {
      const auto match = op.As<netfilter::TosMatch>();
      return Yes(((p.tos & match.mask) == match.value) != (match.invert != 0));
    }
    case OpKind::kDscp: {
      const auto match = op.As<netfilter::DscpMatch>();
      return Yes((p.tos >> 2 == match.value) != (match.invert != 0));
    }
    case OpKind::kPkttype:
      return Yes(MatchesPkttype(op.As<netfilter::PkttypeMatch>(), context));
    case OpKind::kPhysdev:
      return Yes(MatchesPhysdev(op.As<netfilter::PhysdevMatch>()));
    case OpKind::kRpfilter:
      return Yes(MatchesRpfilter(op.As<netfilter::RpfilterMatch>(), context));
    case OpKind::kU32: {
      const auto match = op.As<netfilter::U32Match>();
      const MatchResult result =
          EvaluateU32(context.rules.strings().Get(match.program),
                      context.transit.packet, why);
      if (result == MatchResult::kUnknown || !match.invert) return result;
      return Yes(result == MatchResult::kNo);
    }
    case OpKind::kMac: {
      const DeviceIndex in = context.transit.in_device;
      if (in == kNoDevice || !context.routing.device(in).ethernet) {
        return MatchResult::kNo;
      }
      if (context.transit.source_mac == nullptr) {
        return Unknown(why, "the packet's source MAC address is not known");
      }
      const auto match = op.As<netfilter::MacMatch>();
      return Yes(std::equal(match.address, match.address + 6,
                            context.transit.source_mac->begin()) !=
                 (match.invert != 0));
    }
    case OpKind::kOwner: {
      const auto match = op.As<netfilter::OwnerMatch>();
      if (context.transit.owner == SocketOwner::kNone) {
        // Nobody's packet: matches only if everything asked is inverted.
        return Yes((match.given & ~match.invert) == 0);
      }
      if ((match.given & ~match.invert) == netfilter::OwnerMatch::kSocket &&
          match.given == netfilter::OwnerMatch::kSocket) {
        return MatchResult::kYes;
      }
      if (context.transit.credentials == nullptr) {
        return Unknown(why, "the sending process is not known");
      }
      return Yes(MatchesOwner(match, *context.transit.credentials));
    }
    case OpKind::kUnknownMatch:
      return Unknown(why,
                     absl::StrCat("match not modelled: ",
                                  absl::string_view(context.rules.strings().Get(
                                      op.As<netfilter::UnknownMatch>().text))));
    default:
      return EvaluateStatefulMatch(op, position, context, why);
  }
}

}  // namespace k8sdns::dataplane
