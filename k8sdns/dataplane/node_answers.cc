// What a node without listeners answers by itself: ICMP errors, RST, echo
// replies. All of it goes through OUTPUT and POSTROUTING.
//
// Facts: Linux net/ipv4/icmp.c, net/ipv6/icmp.c, net/ipv4/tcp_ipv4.c,
// net/ipv4/netfilter/nf_reject_ipv4.c and the IPv6 ones.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "k8sdns/dataplane/packet_walk.h"
#include "k8sdns/netfilter/ops.h"

namespace k8sdns::dataplane {
namespace {

using netfilter::RejectTarget;

constexpr uint8_t kIcmpUnreachable = 3;
constexpr uint8_t kIcmp6Unreachable = 1;
constexpr uint8_t kIcmp6ParameterProblem = 4;
constexpr uint8_t kDefaultTtl = 64;
// An ICMP error is at most so long.
constexpr uint32_t kMaxIcmpError = 576;
constexpr uint32_t kMaxIcmp6Error = 1280;

uint8_t IcmpCode(uint8_t with) {
  switch (with) {
    case RejectTarget::kNetUnreachable:
      return 0;
    case RejectTarget::kHostUnreachable:
      return 1;
    case RejectTarget::kProtoUnreachable:
      return 2;
    case RejectTarget::kNetProhibited:
      return 9;
    case RejectTarget::kHostProhibited:
      return 10;
    case RejectTarget::kAdminProhibited:
      return 13;
    default:
      return 3;
  }
}

uint8_t Icmp6Code(uint8_t with) {
  switch (with) {
    case RejectTarget::kNetUnreachable:
      return 0;
    case RejectTarget::kAdminProhibited:
      return 1;
    case RejectTarget::kHostUnreachable:
      return 3;
    case RejectTarget::kPolicyFail:
      return 5;
    case RejectTarget::kRejectRoute:
      return 6;
    default:
      return 4;
  }
}

// The answer to a segment that nobody expects (RFC 793, page 36).
NodePacket ResetTo(const NodePacket& packet) {
  const Packet& in = packet.header;
  NodePacket out;
  out.header = Packet::Tcp({in.dst, in.dst_port}, {in.src, in.src_port});
  out.header.ttl = kDefaultTtl;
  out.header.tcp_flags = kTcpRst;
  out.tcp_window = 0;
  if (in.tcp_flags & kTcpAck) {
    out.tcp_seq = packet.tcp_ack;
  } else {
    out.header.tcp_flags |= kTcpAck;
    out.tcp_ack = packet.tcp_seq + in.payload_size +
                  (in.tcp_flags & kTcpSyn ? 1 : 0) +
                  (in.tcp_flags & kTcpFin ? 1 : 0);
  }
  return out;
}

// An answer belongs to the flow of what it answers.
Tracking AttachedTo(const Tracking& tracking) {
  if (tracking.none()) return {};
  return {tracking.flow, tracking.direction() == 0 ? FlowState::kRelatedReply
                                                   : FlowState::kRelated};
}

}  // namespace

std::string AnswerName(const Packet& answer) {
  if (answer.protocol == Protocol::kTcp) return "tcp-reset";
  absl::string_view name;
  if (answer.protocol == Protocol::kIcmp &&
      answer.icmp_type == kIcmpUnreachable) {
    switch (answer.icmp_code) {
      case 0:
        name = "icmp-net-unreachable";
        break;
      case 1:
        name = "icmp-host-unreachable";
        break;
      case 2:
        name = "icmp-proto-unreachable";
        break;
      case 3:
        name = "icmp-port-unreachable";
        break;
      case 9:
        name = "icmp-net-prohibited";
        break;
      case 10:
        name = "icmp-host-prohibited";
        break;
      case 13:
        name = "icmp-admin-prohibited";
        break;
    }
  } else if (answer.protocol == Protocol::kIcmpv6 &&
             answer.icmp_type == kIcmp6Unreachable) {
    static constexpr absl::string_view kNames[] = {
        "icmp6-no-route",         "icmp6-adm-prohibited",   "",
        "icmp6-addr-unreachable", "icmp6-port-unreachable", "icmp6-policy-fail",
        "icmp6-reject-route"};
    if (answer.icmp_code < std::size(kNames)) name = kNames[answer.icmp_code];
  }
  if (!name.empty()) return std::string(name);
  return absl::StrCat("icmp-type-", answer.icmp_type, "-code-",
                      answer.icmp_code);
}

void PacketWalk::AnswerReject(const Item& item, netfilter::Hook, uint8_t with) {
  const Packet& header = item.transit.packet.header;
  if (with == RejectTarget::kTcpReset) {
    if (header.protocol == Protocol::kTcp && !item.route.broadcast) {
      SendReset(item, /*by_rule=*/true);
    }
    return;
  }
  if (header.dst.is_v6()) {
    SendIcmpError(item, kIcmp6Unreachable, Icmp6Code(with), true);
  } else {
    SendIcmpError(item, kIcmpUnreachable, IcmpCode(with), true);
  }
}

void PacketWalk::AnswerLikeHost(const Item& item) {
  if (item.route.broadcast) return;
  const Packet& header = item.transit.packet.header;
  const bool v6 = header.dst.is_v6();
  switch (header.protocol) {
    case Protocol::kTcp:
      if (node_.routing.IsLocal(header.dst)) SendReset(item, false);
      return;
    case Protocol::kUdp:
    case Protocol::kUdpLite:
      return SendIcmpError(item, v6 ? kIcmp6Unreachable : kIcmpUnreachable,
                           v6 ? 4 : 3, false);
    case Protocol::kIcmp:
    case Protocol::kIcmpv6:
      return SendEchoReply(item);
    default:
      return SendIcmpError(item, v6 ? kIcmp6ParameterProblem : kIcmpUnreachable,
                           v6 ? 1 : 2, false);
  }
}

bool PacketWalk::MayBeAnsweredByIcmp(const Item& item) const {
  const Packet& header = item.transit.packet.header;
  if (item.route.broadcast) return false;
  if (IsIcmpError(header)) return false;
  // Types that are not known, and router discovery, are taken for errors.
  if (header.protocol == Protocol::kIcmp) {
    const uint8_t t = header.icmp_type;
    if (t == 1 || t == 2 || t == 6 || t == 7 || t == 9 || t == 10 || t > 18) {
      return false;
    }
  }
  if (header.dst.is_v6()) {
    return !header.src.IsUnspecified() && !header.src.IsMulticast();
  }
  return true;
}

void PacketWalk::SendIcmpError(const Item& item, uint8_t type, uint8_t code,
                               bool decides) {
  if (!MayBeAnsweredByIcmp(item)) return;
  const NodePacket& about = item.transit.packet;
  const bool v6 = about.header.dst.is_v6();
  Answer answer;
  Packet& header = answer.packet.header;
  header.protocol = v6 ? Protocol::kIcmpv6 : Protocol::kIcmp;
  header.icmp_type = type;
  header.icmp_code = code;
  header.dst = about.header.src;
  header.ttl = kDefaultTtl;
  header.tos = v6 ? 0 : (about.header.tos & 0x1e) | 0xc0;
  const uint32_t room = v6 ? kMaxIcmp6Error - 48 : kMaxIcmpError - 28;
  header.payload_size = static_cast<uint16_t>(std::min(about.Length(), room));
  answer.packet.quoted = about.header;
  answer.tracking = AttachedTo(item.transit.tracking);
  // The address that was meant, if it is the node's.
  if (v6 ? node_.routing.IsLocal(about.header.dst) : item.route.local) {
    answer.source = about.header.dst;
  } else if (v6) {
    answer.source = IcmpSource6(item);
  }
  SendAnswer(item, std::move(answer), decides);
}

std::optional<IpAddress> PacketWalk::IcmpSource6(const Item& item) const {
  const IpAddress& to = item.transit.packet.header.src;
  RouteKey key;
  key.destination = to;
  const FibResult found = node_.routing.Lookup(key);
  if (found.error == RouteError::kNone && found.route->preferred_source) {
    return std::nullopt;  // the route's own choice
  }
  // One that means something: of the interface that the packet came in by.
  DeviceIndex device = item.transit.in_device;
  if (device == kNoDevice || device == kLoopback) device = item.route.device;
  return node_.routing.SelectSource6(device, to);
}

void PacketWalk::SendReset(const Item& item, bool by_rule) {
  const NodePacket& about = item.transit.packet;
  if (about.header.tcp_flags & kTcpRst) return;
  Answer answer;
  answer.packet = ResetTo(about);
  answer.source = about.header.dst;
  if (by_rule) {
    answer.any_source = true;
    answer.tracking = AttachedTo(item.transit.tracking);
    // Routed before the flow is known to close.
  } else {
    answer.packet.header.tos = about.header.tos;
  }
  SendAnswer(item, std::move(answer), by_rule);
}

void PacketWalk::SendEchoReply(const Item& item) {
  const NodePacket& about = item.transit.packet;
  const Packet& in = about.header;
  uint8_t type;
  uint16_t payload = in.payload_size;
  if (in.protocol == Protocol::kIcmp && in.icmp_type == 8) {
    type = 0;
  } else if (in.protocol == Protocol::kIcmp && in.icmp_type == 13) {
    type = 14;
    payload = 12;  // three times
    if (in.payload_size < 4) return;
  } else if (in.protocol == Protocol::kIcmpv6 && in.icmp_type == 128) {
    type = 129;
  } else {
    return;
  }
  Answer answer;
  Packet& header = answer.packet.header;
  header.protocol = in.protocol;
  header.icmp_type = type;
  header.icmp_code = in.icmp_code;
  header.src_port = in.src_port;
  header.dst = in.src;
  header.ttl = kDefaultTtl;
  header.tos = in.tos;
  header.payload_size = payload;
  answer.source = in.dst;
  SendAnswer(item, std::move(answer), false);
}

void PacketWalk::SendAnswer(const Item& about, Answer answer, bool decides) {
  if (packets_ >= 64) return;
  Item item;
  item.transit.packet = std::move(answer.packet);
  item.transit.tracking = answer.tracking;
  item.answer = decides && about.observed;
  Packet& header = item.transit.packet.header;
  RouteKey key;
  key.destination = header.dst;
  if (answer.source) {
    const RouteType type = node_.routing.AddressType(*answer.source);
    if (header.dst.is_v6() || !answer.any_source || type == RouteType::kLocal ||
        type == RouteType::kUnicast) {
      key.source = answer.source;
    }
  }
  item.route = node_.routing.Output(key, answer.any_source);
  if (item.route.error != RouteError::kNone) return;
  header.src = answer.source ? *answer.source : item.route.source;
  if (answer.any_source) {
    state_.conntrack.SetClosing(about.transit.tracking.flow, state_.now_us);
  }
  if (item.answer) {
    outcome_.verdict.kind = Verdict::kReject;
    outcome_.verdict.reason = AnswerName(header);
  }
  Output(item);
}

}  // namespace k8sdns::dataplane
