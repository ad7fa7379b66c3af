// Matches that look at conntrack, at sets, or remember packets.
#include <algorithm>

#include "absl/strings/match.h"
#include "k8sdns/dataplane/rule_eval.h"

namespace k8sdns::dataplane {
namespace {

using netfilter::ConntrackMatch;
using netfilter::OpKind;
using netfilter::OpView;

constexpr int64_t kSecond = 1'000'000;

MatchResult Yes(bool matches) {
  return matches ? MatchResult::kYes : MatchResult::kNo;
}

bool MatchesFlowAddresses(const ConntrackMatch& match, const Flow& flow) {
  using namespace netfilter;  // the bits
  struct Field {
    uint16_t address_bit;
    uint16_t port_bit;
    const IpAddress& address;
    uint16_t port;
  };
  const Tuple& original = flow.tuples[0];
  const Tuple& reply = flow.tuples[1];
  const Field fields[] = {
      {kCtOriginalSource, kCtOriginalSourcePort, original.src,
       original.src_port},
      {kCtOriginalDestination, kCtOriginalDestinationPort, original.dst,
       original.dst_port},
      {kCtReplySource, kCtReplySourcePort, reply.src, reply.src_port},
      {kCtReplyDestination, kCtReplyDestinationPort, reply.dst, reply.dst_port},
  };
  for (int i = 0; i < 4; ++i) {
    const Field& field = fields[i];
    if (match.given & field.address_bit) {
      AddressMask mask = match.addresses[i];
      mask.invert = (match.invert & field.address_bit) != 0;
      if (!MatchesAddress(mask, field.address)) return false;
    }
    if (match.given & field.port_bit) {
      const PortRange range = match.ports[i];
      const bool inside = field.port >= range.first && field.port <= range.last;
      if (inside == ((match.invert & field.port_bit) != 0)) return false;
    }
  }
  return true;
}

bool MatchesConntrack(const ConntrackMatch& match, const RuleContext& context) {
  using namespace netfilter;  // the bits
  const Tracking& tracking = context.transit.tracking;
  const Flow* flow = context.flow();
  auto inverted = [&](uint16_t bit) { return (match.invert & bit) != 0; };
  if (match.given & kCtState) {
    uint16_t bits = ConntrackStateBit(tracking);
    if (flow != nullptr) {
      if (flow->status & kFlowSourceNat) bits |= kStateSnat;
      if (flow->status & kFlowDestinationNat) bits |= kStateDnat;
    }
    if (((match.state & bits) != 0) == inverted(kCtState)) return false;
  }
  // Without an entry the state alone decides.
  if (flow == nullptr) return match.given & kCtState;
  if ((match.given & kCtDirection) &&
      (tracking.direction() == 0) == inverted(kCtDirection)) {
    return false;
  }
  if ((match.given & kCtProtocol) &&
      (static_cast<uint16_t>(flow->tuples[0].protocol) == match.protocol) ==
          inverted(kCtProtocol)) {
    return false;
  }
  if (!MatchesFlowAddresses(match, *flow)) return false;
  if (match.given & kCtStatus) {
    constexpr uint16_t kBits =
        kStatusExpected | kStatusSeenReply | kStatusAssured | kStatusConfirmed;
    const bool any = (match.status & flow->status & kBits) != 0;
    if (any == inverted(kCtStatus)) return false;
  }
  if (match.given & kCtExpire) {
    int64_t left = flow->expires_us;
    if (flow->status & kFlowConfirmed) left -= context.state.now_us;
    const int64_t seconds = std::max<int64_t>(0, left) / kSecond;
    const bool inside =
        seconds >= match.expire_first && seconds <= match.expire_last;
    if (inside == inverted(kCtExpire)) return false;
  }
  return true;
}

MatchPosition PositionKey(const OpPosition& position,
                          const RuleContext& context) {
  return {context.family(), static_cast<uint8_t>(context.table), position.chain,
          position.rule, position.op};
}

bool MatchesStatistic(const netfilter::StatisticMatch& match,
                      const OpPosition& position, RuleContext& context) {
  const bool inverted = match.invert;
  if (!match.nth) {
    return context.decisions.Chance(match.probability) != inverted;
  }
  if (match.every == 0) return inverted;
  const uint32_t last = match.every - 1;
  auto [it, added] = context.state.rules.nth.try_emplace(
      PositionKey(position, context), last - std::min(+match.packet, last));
  uint32_t& count = it->second;
  count = count == last ? 0 : count + 1;
  return (count == 0) != inverted;
}

bool MatchesRecent(const netfilter::RecentMatch& match, RuleContext& context) {
  const Packet& p = context.header();
  RecentQuery query;
  query.address = match.destination ? p.dst : p.src;
  query.ttl = p.ttl;
  // The TTL as it was before forwarding.
  if (context.out_device != kNoDevice &&
      context.transit.owner == SocketOwner::kNone) {
    ++query.ttl;
  }
  query.now_us = context.state.now_us;
  const std::string name(context.rules.strings().Get(match.name));
  auto [it, added] = context.state.rules.recent.try_emplace(name);
  if (added && match.has_mask) {
    std::copy(match.mask, match.mask + 4, it->second.mask);
  }
  return MatchRecent(match, query, it->second);
}

bool MatchesLimit(const netfilter::LimitMatch& match,
                  const OpPosition& position, RuleContext& context) {
  const int64_t cost = int64_t{match.interval} * 100;
  const int64_t capacity = cost * match.burst;
  auto [it, added] = context.state.rules.limits.try_emplace(
      PositionKey(position, context),
      TokenBucket{capacity, context.state.now_us});
  return it->second.Take(cost, capacity, context.state.now_us);
}

MatchResult MatchesHashlimit(const netfilter::HashlimitMatch& match,
                             RuleContext& context, std::string* why) {
  using netfilter::HashlimitMatch;
  if (match.mode & (HashlimitMatch::kBytes | HashlimitMatch::kRateMatch)) {
    *why = "hashlimit by bytes or rate";
    return MatchResult::kUnknown;
  }
  const Packet& p = context.header();
  HashlimitKey key;
  auto masked = [](const IpAddress& address, int length) {
    return IpPrefix(address, length).Masked().address();
  };
  if (match.mode & HashlimitMatch::kSourceAddress) {
    key.src = masked(p.src, match.source_prefix);
  }
  if (match.mode & HashlimitMatch::kDestinationAddress) {
    key.dst = masked(p.dst, match.destination_prefix);
  }
  if (p.HasPorts()) {
    if (match.mode & HashlimitMatch::kSourcePort) key.src_port = p.src_port;
    if (match.mode & HashlimitMatch::kDestinationPort) {
      key.dst_port = p.dst_port;
    }
  }
  const int64_t cost = static_cast<int64_t>(match.average);
  const int64_t capacity = cost * static_cast<int64_t>(match.burst);
  const std::string name(context.rules.strings().Get(match.name));
  auto [it, added] = context.state.rules.hashlimits.try_emplace(
      {name, key}, TokenBucket{capacity, context.state.now_us});
  const bool below = it->second.Take(cost, capacity, context.state.now_us);
  return Yes(below != ((match.mode & HashlimitMatch::kAbove) != 0));
}

MatchResult MatchesSet(const netfilter::SetMatch& match,
                       const RuleContext& context, std::string* why) {
  const netfilter::StringPool& strings = context.rules.strings();
  if (match.counters != 0) {
    const absl::string_view counters = strings.Get(match.counters);
    if (absl::StrContains(counters, "--packets") ||
        absl::StrContains(counters, "--bytes")) {
      *why = "counters of set elements";
      return MatchResult::kUnknown;
    }
  }
  SetQuery query = MakeSetQuery(context, match.dimensions, match.sources);
  query.return_nomatch = match.return_nomatch;
  return Yes(context.state.sets.Matches(strings.Get(match.name), query) !=
             (match.invert != 0));
}

MatchResult MatchesIpvs(const netfilter::IpvsMatch& match,
                        const RuleContext& context, std::string* why) {
  using netfilter::IpvsMatch;
  const bool handled = context.transit.ipvs_property;
  if (match.given == IpvsMatch::kIpvs) {
    return Yes(handled != ((match.invert & IpvsMatch::kIpvs) != 0));
  }
  if (!handled) return MatchResult::kNo;
  // Each test fails unless `holds` differs from its inversion.
  const auto fails = [&](IpvsMatch::Field field, bool holds) {
    return (match.given & field) != 0 && holds == ((match.invert & field) != 0);
  };
  const Packet& header = context.header();
  if (fails(IpvsMatch::kVproto,
            static_cast<uint16_t>(header.protocol) == match.vproto)) {
    return MatchResult::kNo;
  }
  // xt_ipvs.c looks for a request that was sent on to a real server.
  const IpvsConnection* connection = context.state.ipvs.Translated(header);
  if (connection == nullptr) return MatchResult::kNo;
  if (fails(IpvsMatch::kVport, connection->virtual_port == match.vport)) {
    return MatchResult::kNo;
  }
  if ((match.given & IpvsMatch::kVportctl) != 0) {
    *why = "the controlling connection of an IPVS connection";
    return MatchResult::kUnknown;
  }
  if ((match.given & IpvsMatch::kVdir) != 0) {
    const Tracking& tracking = context.transit.tracking;
    if (tracking.flow == 0) return MatchResult::kNo;
    if (fails(IpvsMatch::kVdir, tracking.direction() == 0)) {
      return MatchResult::kNo;
    }
  }
  if (fails(IpvsMatch::kVmethod,
            connection->forwarding ==
                (match.vmethod == 0   ? ipvs::Forwarding::kMasquerade
                 : match.vmethod == 1 ? ipvs::Forwarding::kTunnel
                                      : ipvs::Forwarding::kRoute))) {
    return MatchResult::kNo;
  }
  netfilter::AddressMask vaddr = match.vaddr;
  vaddr.invert = 0;
  const bool address = MatchesAddress(vaddr, connection->virtual_address);
  return Yes(!fails(IpvsMatch::kVaddr, address));
}

}  // namespace

SetQuery MakeSetQuery(const RuleContext& context, uint8_t dimensions,
                      uint8_t sources) {
  SetQuery query;
  query.packet = &context.transit.packet;
  query.family = context.family();
  query.in_interface = context.DeviceName(context.in_device);
  query.out_interface = context.DeviceName(context.out_device);
  query.mark = context.transit.mark;
  query.dimensions = dimensions;
  query.sources = sources;
  query.now_us = context.state.now_us;
  return query;
}

MatchResult EvaluateStatefulMatch(OpView op, const OpPosition& position,
                                  RuleContext& context, std::string* why) {
  switch (op.kind()) {
    case OpKind::kConntrack:
      return Yes(MatchesConntrack(op.As<ConntrackMatch>(), context));
    case OpKind::kState: {
      const auto match = op.As<netfilter::StateMatch>();
      const uint16_t bit = ConntrackStateBit(context.transit.tracking);
      return Yes(((match.state & bit) != 0) != (match.invert != 0));
    }
    case OpKind::kConnmark: {
      const auto match = op.As<netfilter::ConnmarkMatch>();
      const Flow* flow = context.flow();
      if (flow == nullptr) return MatchResult::kNo;
      return Yes(((flow->mark & match.mask) == match.value) !=
                 (match.invert != 0));
    }
    case OpKind::kStatistic:
      return Yes(MatchesStatistic(op.As<netfilter::StatisticMatch>(), position,
                                  context));
    case OpKind::kRecent:
      return Yes(MatchesRecent(op.As<netfilter::RecentMatch>(), context));
    case OpKind::kLimit:
      return Yes(
          MatchesLimit(op.As<netfilter::LimitMatch>(), position, context));
    case OpKind::kHashlimit:
      return MatchesHashlimit(op.As<netfilter::HashlimitMatch>(), context, why);
    case OpKind::kSet:
      return MatchesSet(op.As<netfilter::SetMatch>(), context, why);
    case OpKind::kIpvs:
      return MatchesIpvs(op.As<netfilter::IpvsMatch>(), context, why);
    default:
      *why = "not a match";
      return MatchResult::kUnknown;
  }
}

}  // namespace k8sdns::dataplane
