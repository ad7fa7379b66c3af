// What targets do.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "k8sdns/dataplane/nat.h"
#include "k8sdns/dataplane/rule_eval.h"

namespace k8sdns::dataplane {
namespace {

using netfilter::Hook;
using netfilter::OpKind;
using netfilter::OpView;

TargetResult Result(TargetResult::Action action) {
  TargetResult result;
  result.action = action;
  return result;
}

TargetResult Unknown(std::string reason) {
  TargetResult result;
  result.action = TargetResult::kUnknown;
  result.reason = std::move(reason);
  return result;
}

TargetResult Bind(const NatTarget& target, Manipulation manipulation,
                  RuleContext& context) {
  BindNat(target, manipulation, context.transit.tracking.flow,
          context.state.now_us, context.state.conntrack, context.decisions);
  return Result(TargetResult::kAccept);
}

TargetResult Masquerade(const netfilter::NatRange& range,
                        RuleContext& context) {
  Flow* flow = context.flow();
  // A sender without an address (DHCP) is left alone.
  if (flow == nullptr || flow->tuples[0].src.IsUnspecified()) {
    return Result(TargetResult::kAccept);
  }
  const IpAddress& dst = context.header().dst;
  const std::optional<IpAddress> source =
      dst.is_v6()
          ? context.routing.SelectSource6(context.out_device, dst)
          : context.routing.SelectSource(
                context.out_device, context.gateway ? context.gateway : dst,
                Scope::kUniverse);
  if (!source) return Result(TargetResult::kDrop);
  NatTarget target = ToNatTarget(range, context.family());
  target.first_address = target.last_address = *source;
  flow->masquerade_device = context.out_device;
  return Bind(target, Manipulation::kSource, context);
}

TargetResult Redirect(const netfilter::NatRange& range, RuleContext& context) {
  NatTarget target = ToNatTarget(range, context.family());
  const bool v6 = context.family() == IpFamily::kIpv6;
  if (context.hook == Hook::kOutput) {
    target.last_address =
        v6 ? *IpAddress::Parse("::1") : *IpAddress::Parse("127.0.0.1");
  } else {
    const Device& device = context.routing.device(context.in_device);
    const bool link_local = context.header().dst.IsLinkLocal();
    bool found = false;
    for (const DeviceAddress& a : v6 ? device.ipv6 : device.ipv4) {
      if (v6 && a.address.IsLinkLocal() != link_local) continue;
      target.last_address = a.address;
      found = true;
      break;
    }
    if (!found) return Result(TargetResult::kDrop);
  }
  target.first_address = target.last_address;
  return Bind(target, Manipulation::kDestination, context);
}

TargetResult Netmap(const netfilter::AddressMask& range, RuleContext& context) {
  const Manipulation manipulation = ManipulationAt(context.hook);
  const IpAddress& old = manipulation == Manipulation::kDestination
                             ? context.header().dst
                             : context.header().src;
  uint32_t mask[4];
  uint32_t words[4];
  netfilter::LoadMask(context.family(), range, mask);
  netfilter::StoreAddress(old, words);
  for (int i = 0; i < 4; ++i) {
    words[i] = (words[i] & ~mask[i]) | (range.address[i] & mask[i]);
  }
  NatTarget target;
  target.first_address = target.last_address =
      netfilter::LoadAddress(context.family(), words);
  return Bind(target, manipulation, context);
}

void SetConnmark(const netfilter::ConnmarkTarget& target,
                 RuleContext& context) {
  using netfilter::ConnmarkTarget;
  Flow* flow = context.flow();
  if (flow == nullptr) return;
  uint32_t& mark = context.transit.mark;
  auto shifted = [&](uint32_t value) {
    if (target.shift_bits == 0 || target.shift_bits > 31) return value;
    return target.shift_right ? value >> target.shift_bits
                              : value << target.shift_bits;
  };
  switch (target.mode) {
    case ConnmarkTarget::kSet:
      flow->mark = shifted((flow->mark & ~target.ct_mask) ^ target.ct_value);
      break;
    case ConnmarkTarget::kSave:
      flow->mark = (flow->mark & ~target.ct_mask) ^ shifted(mark & target.mask);
      break;
    default:
      mark = (mark & ~target.mask) ^ shifted(flow->mark & target.ct_mask);
      break;
  }
}

TargetResult ChangeSets(const netfilter::SetTarget& target,
                        RuleContext& context) {
  const netfilter::StringPool& strings = context.rules.strings();
  IpSets& sets = context.state.sets;
  if (target.add.dimensions != 0) {
    std::optional<uint32_t> timeout;
    if (target.has_timeout) timeout = target.timeout_s;
    sets.Add(strings.Get(target.add.name),
             MakeSetQuery(context, target.add.dimensions, target.add.sources),
             timeout, target.exist);
  }
  if (target.remove.dimensions != 0) {
    sets.Remove(
        strings.Get(target.remove.name),
        MakeSetQuery(context, target.remove.dimensions, target.remove.sources));
  }
  if (target.map.dimensions != 0) return Unknown("SET --map-set");
  return Result(TargetResult::kContinue);
}

TargetResult ChangeTracking(const netfilter::CtTarget& target,
                            RuleContext& context) {
  using netfilter::CtTarget;
  constexpr uint8_t kZones = CtTarget::kZone | CtTarget::kZoneOriginal |
                             CtTarget::kZoneReply | CtTarget::kZoneMark;
  Tracking& tracking = context.transit.tracking;
  if (!tracking.none()) return Result(TargetResult::kContinue);
  if (target.flags & CtTarget::kNotrack) {
    tracking.state = FlowState::kUntracked;
    return Result(TargetResult::kContinue);
  }
  if (target.flags & kZones) return Unknown("conntrack zones");
  if (target.helper != 0) return Unknown("conntrack helpers");
  return Result(TargetResult::kContinue);
}

void SetTtl(const netfilter::TtlTargetBase& target, uint8_t& ttl) {
  using netfilter::TtlTargetBase;
  int value = target.value;
  if (target.mode == TtlTargetBase::kIncrease) value = ttl + target.value;
  if (target.mode == TtlTargetBase::kDecrease) value = ttl - target.value;
  ttl = static_cast<uint8_t>(std::clamp(value, 0, 255));
}

// A SYN without the option gets it; no other packet changes in size.
void SetMss(TransitPacket& transit) {
  const Packet& p = transit.packet.header;
  if (p.protocol == Protocol::kTcp && (p.tcp_flags & kTcpSyn) &&
      p.payload_size == 0 && transit.packet.tcp_option_bytes == 0) {
    transit.packet.tcp_option_bytes = 4;
  }
}

}  // namespace

TargetResult EvaluateTarget(OpView op, RuleContext& context) {
  Packet& header = context.transit.packet.header;
  switch (op.kind()) {
    case OpKind::kAccept:
      return Result(TargetResult::kAccept);
    case OpKind::kDrop:
      return Result(TargetResult::kDrop);
    case OpKind::kReturn:
      return Result(TargetResult::kReturn);
    case OpKind::kJump: {
      TargetResult result = Result(TargetResult::kJump);
      result.chain = op.As<netfilter::JumpTarget>().chain;
      return result;
    }
    case OpKind::kGoto: {
      TargetResult result = Result(TargetResult::kGoto);
      result.chain = op.As<netfilter::GotoTarget>().chain;
      return result;
    }
    case OpKind::kReject: {
      TargetResult result = Result(TargetResult::kReject);
      result.with = op.As<netfilter::RejectTarget>().with;
      return result;
    }
    case OpKind::kDnat:
      return Bind(ToNatTarget(op.As<netfilter::DnatTarget>(), context.family()),
                  Manipulation::kDestination, context);
    case OpKind::kSnat:
      return Bind(ToNatTarget(op.As<netfilter::SnatTarget>(), context.family()),
                  Manipulation::kSource, context);
    case OpKind::kMasquerade:
      return Masquerade(op.As<netfilter::MasqueradeTarget>(), context);
    case OpKind::kRedirect:
      return Redirect(op.As<netfilter::RedirectTarget>(), context);
    case OpKind::kNetmap:
      return Netmap(op.As<netfilter::NetmapTarget>(), context);
    case OpKind::kSetMark: {
      const auto target = op.As<netfilter::MarkTarget>();
      context.transit.mark =
          (context.transit.mark & ~target.mask) ^ target.value;
      break;
    }
    case OpKind::kSetConnmark:
      SetConnmark(op.As<netfilter::ConnmarkTarget>(), context);
      break;
    case OpKind::kChangeSet:
      return ChangeSets(op.As<netfilter::SetTarget>(), context);
    case OpKind::kCt:
      return ChangeTracking(op.As<netfilter::CtTarget>(), context);
    case OpKind::kSetTos: {
      const auto target = op.As<netfilter::TosTarget>();
      header.tos =
          static_cast<uint8_t>((header.tos & ~target.mask) ^ target.value);
      break;
    }
    case OpKind::kSetDscp:
      header.tos = static_cast<uint8_t>(
          (header.tos & 3) | op.As<netfilter::DscpTarget>().value << 2);
      break;
    case OpKind::kSetTtl:
      SetTtl(op.As<netfilter::TtlTarget>(), header.ttl);
      break;
    case OpKind::kSetHl:
      SetTtl(op.As<netfilter::HlTarget>(), header.ttl);
      break;
    case OpKind::kTcpmss:
      SetMss(context.transit);
      break;
    case OpKind::kLog:
    case OpKind::kNflog:
    case OpKind::kTrace:
    case OpKind::kClassify:
      break;
    case OpKind::kQueue:
    case OpKind::kNfqueue:
      return Unknown("a program decides (NFQUEUE)");
    case OpKind::kUnknownTarget:
      return Unknown(
          absl::StrCat("target not modelled: ",
                       absl::string_view(context.rules.strings().Get(
                           op.As<netfilter::UnknownTarget>().text))));
    default:
      return Unknown("not a target");
  }
  return Result(TargetResult::kContinue);
}

}  // namespace k8sdns::dataplane
