#include "k8sdns/dataplane/ipvs_services.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "k8sdns/dataplane/tuple.h"

namespace k8sdns::dataplane {
namespace {

using ipvs::Scheduler;

constexpr uint32_t kHashTableBits = 8;  // IP_VS_SH_TAB_BITS, IP_VS_DH_TAB_BITS
constexpr uint32_t kHashTableSize = 1u << kHashTableBits;
constexpr uint32_t kMaglevSize = 4093;  // for CONFIG_IP_VS_MH_TAB_INDEX=12
constexpr int kMaglevWeightBits = 6;    // IP_VS_MH_TAB_BITS
constexpr uint64_t kMaglevKey1 = 2654435761;  // ip_vs_mh.c
constexpr uint64_t kMaglevKey2 = 2654446892;

uint32_t Fold(const IpAddress& address) {
  if (address.is_v4()) return address.v4();
  const auto& b = address.bytes();
  uint32_t fold = 0;
  for (int i = 0; i < 16; i += 4) {
    fold ^= uint32_t{b[i]} << 24 | uint32_t{b[i + 1]} << 16 |
            uint32_t{b[i + 2]} << 8 | b[i + 3];
  }
  return fold;
}

// hash_32() of linux/hash.h.
uint32_t Hash32(uint32_t value, uint32_t bits) {
  return (value * 0x61C88647u) >> (32 - bits);
}

// hsiphash_1u32() on a 64-bit machine: SipHash-1-3, cut to 32 bits.
uint32_t HSipHash(uint32_t value, uint64_t key) {
  uint64_t v0 = 0x736f6d6570736575 ^ key;
  uint64_t v1 = 0x646f72616e646f6d ^ key;
  uint64_t v2 = 0x6c7967656e657261 ^ key;
  uint64_t v3 = 0x7465646279746573 ^ key;
  const auto round = [&] {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  };
  const uint64_t block = uint64_t{4} << 56 | value;
  v3 ^= block;
  round();
  v0 ^= block;
  v2 ^= 0xff;
  round();
  round();
  round();
  return static_cast<uint32_t>(v0 ^ v1 ^ v2 ^ v3);
}

uint32_t MaglevHash(const IpAddress& address, uint16_t port, uint64_t key,
                    uint32_t offset) {
  return HSipHash(offset + port + Fold(address), key);
}

// ip_vs_sh_reassign(): each real server has as many neighbouring buckets as
// its weight, again and again.
std::vector<uint16_t> SourceHashBuckets(std::span<const IpvsDest> dests) {
  std::vector<uint16_t> buckets(kHashTableSize);
  size_t dest = 0;
  int32_t filled = 0;
  for (uint16_t& bucket : buckets) {
    if (dest == dests.size()) dest = 0;
    bucket = static_cast<uint16_t>(dest);
    if (++filled >= dests[dest].weight) {
      ++dest;
      filled = 0;
    }
  }
  return buckets;
}

std::vector<uint16_t> DestinationHashBuckets(std::span<const IpvsDest> dests) {
  std::vector<uint16_t> buckets(kHashTableSize);
  for (size_t i = 0; i < buckets.size(); ++i) {
    buckets[i] = static_cast<uint16_t>(i % dests.size());
  }
  return buckets;
}

// ip_vs_mh_permutate(), ip_vs_mh_populate().
std::vector<uint16_t> MaglevBuckets(std::span<const IpvsDest> dests) {
  int32_t gcd = 0;
  int32_t max = 0;
  for (const IpvsDest& d : dests) {
    gcd = std::gcd(gcd, d.weight);
    max = std::max(max, d.weight);
  }
  if (gcd < 1) return {};
  const int shift = std::max(
      0, static_cast<int>(std::bit_width(static_cast<uint32_t>(max / gcd))) -
             kMaglevWeightBits);
  struct Setup {
    uint32_t next;
    uint32_t skip;
    int32_t turns;
  };
  std::vector<Setup> setups;
  for (const IpvsDest& d : dests) {
    const int32_t turns = (d.weight / gcd) >> shift;
    setups.push_back(
        {MaglevHash(d.address, d.port, kMaglevKey1, 0) % kMaglevSize,
         MaglevHash(d.address, d.port, kMaglevKey2, 0) % (kMaglevSize - 1) + 1,
         turns != 0 ? turns : (d.weight != 0 ? 1 : 0)});
  }
  std::vector<uint16_t> buckets(kMaglevSize);
  std::vector<bool> taken(kMaglevSize);
  uint32_t filled = 0;
  while (true) {
    for (size_t i = 0; i < setups.size(); ++i) {
      Setup& s = setups[i];
      for (int32_t turn = 0; turn < s.turns; ++turn) {
        while (taken[s.next]) {
          s.next += s.skip;
          if (s.next >= kMaglevSize) s.next -= kMaglevSize;
        }
        taken[s.next] = true;
        buckets[s.next] = static_cast<uint16_t>(i);
        if (++filled == kMaglevSize) return buckets;
      }
    }
  }
}

// ip_vs_wrr_dest_changed() for each real server as it is added: the weight of
// the current pass depends on their order.
void PrepareWeightedRoundRobin(std::span<const IpvsDest> dests,
                               IpvsServiceExtra& extra) {
  int32_t gcd = 0;
  int32_t max = 0;
  int32_t current = 0;
  for (size_t i = dests.size(); i-- > 0;) {
    if (dests[i].weight > 0) gcd = std::gcd(gcd, dests[i].weight);
    max = std::max(max, dests[i].weight);
    const int32_t step = gcd == 0 ? 1 : gcd;
    const int32_t top = max - (step - 1);
    if (current > top || current == 0) {
      current = top;
    } else if (step > 1) {
      current = current / step * step + 1;
    }
    extra.weight_step = step;
    extra.max_weight = top;
  }
  extra.start.weight = current;
}

std::string WhyUnknown(const ipvs::VirtualServer& server) {
  if (server.scheduler == Scheduler::kOther) {
    return absl::StrCat("scheduler ", server.other_scheduler);
  }
  if (server.scheduler == Scheduler::kLblcr) {
    return "scheduler lblcr";
  }
  if (!server.persistence_engine.empty()) {
    return absl::StrCat("persistence engine ", server.persistence_engine);
  }
  if (!server.unknown_options.empty()) {
    return absl::StrCat("options ", server.unknown_options);
  }
  for (const ipvs::RealServer& real : server.real_servers) {
    if (real.extra != nullptr && !real.extra->unknown_options.empty()) {
      return absl::StrCat("options ", real.extra->unknown_options);
    }
  }
  return "";
}

// Whether it looks at how many connections real servers have.
bool AsksForLoad(Scheduler scheduler) {
  switch (scheduler) {
    case Scheduler::kRr:
    case Scheduler::kWrr:
    case Scheduler::kSh:
    case Scheduler::kDh:
    case Scheduler::kMh:
    case Scheduler::kFo:
      return false;
    default:
      return true;
  }
}

uint32_t HashOf(const ipvs::ServiceKey& key) {
  // As of a packet to it.
  Tuple tuple;
  tuple.src = key.address;
  tuple.dst = key.address;
  tuple.src_port = static_cast<uint16_t>(key.fwmark ^ key.fwmark >> 16);
  tuple.dst_port = key.port;
  tuple.protocol = key.protocol;
  return tuple.Hash();
}

}  // namespace

uint32_t IpvsHash(Scheduler scheduler, const IpAddress& address, uint16_t port,
                  uint32_t offset) {
  switch (scheduler) {
    case Scheduler::kMh:
      return MaglevHash(address, port, kMaglevKey1, offset) % kMaglevSize;
    case Scheduler::kSh:
      return (offset + Hash32(port + Fold(address), kHashTableBits)) %
             kHashTableSize;
    default:
      return Hash32(Fold(address), kHashTableBits);
  }
}

IpvsServices::IpvsServices(const ipvs::Table& table) {
  services_.resize(std::bit_ceil(std::max<size_t>(2 * table.size(), 2)));
  ranges_.resize(services_.size());
  extras_.emplace_back();
  table.ForEach([&](const ipvs::VirtualServer& from) {
    IpvsService to;
    IpvsServiceExtra extra;
    to.key = from.key;
    to.scheduler = from.scheduler;
    to.scheduler_flags = from.scheduler_flags;
    to.one_packet = from.one_packet;
    to.persistent = from.persistent;
    to.prefix = from.persistence_prefix;
    to.netmask = from.netmask;
    to.timeout_s = from.persistence_seconds;
    extra.unknown = WhyUnknown(from);
    to.known = extra.unknown.empty();
    to.first_dest = static_cast<uint32_t>(dests_.size());
    to.dest_count = static_cast<uint32_t>(from.real_servers.size());
    for (auto it = from.real_servers.rbegin(); it != from.real_servers.rend();
         ++it) {
      IpvsDest& dest = dests_.emplace_back();
      dest.address = it->address;
      dest.port = it->port;
      dest.forwarding = it->forwarding;
      dest.weight = it->weight;
      if (it->extra != nullptr) {
        dest.upper_threshold = it->extra->upper_threshold;
        dest.lower_threshold = it->extra->lower_threshold;
      }
      dest.counted = AsksForLoad(to.scheduler) || dest.upper_threshold != 0;
    }
    const std::span<const IpvsDest> dests = this->dests(to);
    if (!dests.empty()) {
      if (to.scheduler == Scheduler::kSh) {
        extra.buckets = SourceHashBuckets(dests);
      }
      if (to.scheduler == Scheduler::kDh) {
        extra.buckets = DestinationHashBuckets(dests);
      }
      if (to.scheduler == Scheduler::kMh) extra.buckets = MaglevBuckets(dests);
      if (to.scheduler == Scheduler::kWrr) {
        PrepareWeightedRoundRobin(dests, extra);
      }
    }
    if (!to.known || !extra.buckets.empty() ||
        to.scheduler == Scheduler::kWrr) {
      to.extra = static_cast<uint32_t>(extras_.size());
      extras_.push_back(std::move(extra));
    }
    has_marks_ |= to.key.fwmark != 0;
    has_any_port_ |= to.key.fwmark == 0 && to.key.port == 0;
    Add(to);
  });
}

void IpvsServices::Add(const IpvsService& service) {
  const size_t mask = services_.size() - 1;
  size_t at = HashOf(service.key) & mask;
  while (services_[at].used) at = (at + 1) & mask;
  services_[at] = service;
  services_[at].used = true;
  ranges_[at] = {service.first_dest, service.dest_count};
}

int32_t IpvsServices::Find(const Packet& packet, uint32_t mark) const {
  int32_t found = -1;
  if (has_marks_ && mark != 0) {
    found = Find(ipvs::ServiceKey::OfMark(mark, packet.family()));
  }
  if (found < 0) {
    found = Find(
        ipvs::ServiceKey::Of(packet.protocol, packet.dst, packet.dst_port));
  }
  if (found < 0 && has_any_port_) {
    found = Find(ipvs::ServiceKey::Of(packet.protocol, packet.dst, 0));
  }
  return found;
}

int32_t IpvsServices::Find(const ipvs::ServiceKey& key) const {
  const size_t mask = services_.size() - 1;
  for (size_t at = HashOf(key) & mask; services_[at].used;
       at = (at + 1) & mask) {
    if (services_[at].key == key) return static_cast<int32_t>(at);
  }
  return -1;
}

IpvsServices::Ahead IpvsServices::Prefetch(const Packet& packet) const {
  const uint32_t hash = HashOf(
      ipvs::ServiceKey::Of(packet.protocol, packet.dst, packet.dst_port));
  const size_t at = hash & (services_.size() - 1);
  PrefetchLine(&services_[at]);
  return {static_cast<uint32_t>(at), ranges_[at].first, ranges_[at].count};
}

}  // namespace k8sdns::dataplane
