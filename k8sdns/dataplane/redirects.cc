// ICMP redirects: what a router tells a neighbour whose packet it sends back
// by the interface that it came in by. They pass OUTPUT like any answer.
//
// Facts: Linux net/ipv4/route.c (ip_rt_send_redirect), net/ipv6/ip6_output.c
// (ip6_forward), net/ipv6/ndisc.c (ndisc_send_redirect).
#include <algorithm>
#include <utility>

#include "k8sdns/dataplane/packet_walk.h"

namespace k8sdns::dataplane {
namespace {

constexpr uint8_t kIcmpRedirect = 5;
constexpr uint8_t kIcmpRedirectHost = 1;
constexpr uint8_t kIcmp6Redirect = 137;
constexpr uint8_t kNeighbourHopLimit = 255;
// net.ipv4.route.redirect_number and redirect_load.
constexpr int kMaxRedirects = 9;
constexpr int64_t kRedirectLoad = 20'000;
// IPv6: one a second, and six at once.
constexpr int64_t kRedirect6Interval = 1'000'000;
constexpr int64_t kRedirect6Burst = 6 * kRedirect6Interval;

bool MayRedirect4(const IpAddress& to, int64_t now_us, RedirectLimits& limits) {
  RedirectLimits::Sent& sent = limits.ipv4[to];
  if (sent.count >= kMaxRedirects) return false;
  if (sent.count != 0 &&
      now_us <= sent.last_us + (kRedirectLoad << sent.count)) {
    return false;
  }
  ++sent.count;
  sent.last_us = now_us;
  return true;
}

bool TakeRedirect6(std::map<IpAddress, TokenBucket>& buckets,
                   const IpAddress& peer, int64_t now_us) {
  auto [it, added] =
      buckets.try_emplace(peer, TokenBucket{kRedirect6Burst, now_us});
  return it->second.Take(kRedirect6Interval, kRedirect6Burst, now_us);
}

}  // namespace

void PacketWalk::SendRedirect(const Item& item, const InputRoute& route) {
  const Packet& about = item.transit.packet.header;
  const bool v6 = about.dst.is_v6();
  // Only a neighbour can follow one.
  RouteKey key;
  key.destination = about.src;
  const auto is_neighbour = [&] {
    const FibResult back = node_.routing.Lookup(key);
    return back.error == RouteError::kNone && !back.route->gateway &&
           back.route->device == route.device;
  };
  if (!v6) {
    if (!node_.routing.device(route.device).send_redirects) return;
    if (!is_neighbour()) return;
    if (!MayRedirect4(about.src, state_.now_us, state_.redirects)) return;
    return SendIcmpError(item, kIcmpRedirect, kIcmpRedirectHost, false);
  }
  const auto take = [&](const IpAddress& peer) {
    return TakeRedirect6(state_.redirects.ipv6, peer, state_.now_us);
  };
  if (!take(about.dst)) return;
  if (!node_.routing.device(route.device).has_link_local) return;
  // A gateway would have to be known by its link-local address.
  if (route.gateway && !route.gateway->IsLinkLocal()) return;
  key.out_device = route.device;
  if (!is_neighbour() || !take(about.src)) return;
  Answer answer;
  Packet& header = answer.packet.header;
  header.protocol = Protocol::kIcmpv6;
  header.icmp_type = kIcmp6Redirect;
  header.icmp_code = 0;
  header.dst = about.src;
  header.ttl = kNeighbourHopLimit;
  // Target, destination, and what fits of the packet as an option.
  const uint32_t quoted = std::min<uint32_t>(
      (item.transit.packet.Length() + 8 + 7) & ~7u, 1280 - 40 - 40);
  header.payload_size = static_cast<uint16_t>(32 + quoted);
  answer.source = IpAddress::Parse("fe80::1");  // the interface's own
  SendAnswer(item, std::move(answer), false);
}

}  // namespace k8sdns::dataplane
