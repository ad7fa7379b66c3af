// The schedulers: which real server gets a new connection. All walk the list
// of real servers with the last added one first.
#include "absl/strings/str_cat.h"
#include "k8sdns/dataplane/ipvs_state.h"

namespace k8sdns::dataplane {

using ipvs::Scheduler;
using ipvs::VirtualServer;

namespace {

// With more combinations the outcomes are drawn, not listed.
constexpr uint32_t kMaxTickets = 64;

// Whether what it chooses depends on the connections before.
bool DependsOnPast(Scheduler scheduler) {
  switch (scheduler) {
    case Scheduler::kRr:
    case Scheduler::kWrr:
    case Scheduler::kLc:
    case Scheduler::kWlc:
    case Scheduler::kSed:
    case Scheduler::kNq:
      return true;
    default:
      return false;
  }
}

}  // namespace

IpvsState::Counters IpvsState::CountersOf(uint32_t dest) const {
  auto it = counters_.find(dest);
  return it == counters_.end() ? Counters() : it->second;
}

bool IpvsState::Usable(uint32_t dest) const {
  const IpvsDest& d = services_->dest(dest);
  if (d.weight <= 0) return false;
  return d.upper_threshold == 0 || !CountersOf(dest).overloaded;
}

int64_t IpvsState::LoadOf(Scheduler scheduler, uint32_t dest) const {
  const Counters c = CountersOf(dest);
  switch (scheduler) {
    case Scheduler::kSed:
    case Scheduler::kNq:
      return int64_t{c.active} + 1;
    default:
      return (int64_t{c.active} << 8) + c.inactive;
  }
}

int32_t IpvsState::Choose(int32_t index, const Packet& packet,
                          Decisions& decisions) {
  const IpvsService& service = services_->service(index);
  if (service.dest_count == 0) return -1;
  if (anywhere_ && DependsOnPast(service.scheduler)) {
    return ChooseAny(service, decisions);
  }
  switch (service.scheduler) {
    case Scheduler::kRr:
      return ChooseNext(index);
    case Scheduler::kWrr:
      return ChooseNextWeighted(index);
    case Scheduler::kSh:
    case Scheduler::kDh:
    case Scheduler::kMh:
      return ChooseByHash(service, packet);
    case Scheduler::kLblc:
      return ChooseByLocality(index, packet);
    case Scheduler::kTwos:
      return ChooseOfTwo(service, decisions);
    default:
      return ChooseByLoad(service);
  }
}

int32_t IpvsState::ChooseAny(const IpvsService& service,
                             Decisions& decisions) const {
  const bool weighted = service.scheduler != Scheduler::kRr &&
                        service.scheduler != Scheduler::kLc;
  const auto share = [&](uint32_t dest) -> int64_t {
    if (!Usable(dest)) return 0;
    return weighted ? services_->dest(dest).weight : 1;
  };
  int64_t rest = 0;
  for (uint32_t i = 0; i < service.dest_count; ++i) {
    rest += share(service.first_dest + i);
  }
  for (uint32_t i = 0; rest > 0; ++i) {
    const int64_t one = share(service.first_dest + i);
    if (decisions.Chance(static_cast<uint32_t>((one << 31) / rest))) {
      return static_cast<int32_t>(service.first_dest + i);
    }
    rest -= one;
  }
  return -1;
}

// ip_vs_rr_schedule(): the next one that takes connections.
int32_t IpvsState::ChooseNext(int32_t index) {
  const IpvsService& service = services_->service(index);
  IpvsPosition& position = positions_[static_cast<size_t>(index)];
  const int32_t count = static_cast<int32_t>(service.dest_count);
  int32_t next = position.last;
  for (int32_t i = 0; i < count; ++i) {
    if (++next >= count) next = 0;
    if (!Usable(service.first_dest + next)) continue;
    position.last = next;
    return static_cast<int32_t>(service.first_dest) + next;
  }
  return -1;
}

// ip_vs_wrr_schedule(): passes over the list, each for those with at least
// the weight of the pass.
int32_t IpvsState::ChooseNextWeighted(int32_t index) {
  const IpvsService& service = services_->service(index);
  IpvsPosition& position = positions_[static_cast<size_t>(index)];
  const IpvsServiceExtra& extra = services_->extra(service);
  if (extra.max_weight <= 0) return -1;
  const int32_t count = static_cast<int32_t>(service.dest_count);
  int32_t at = position.last;
  // Every weight of a pass comes up once; then all are overloaded.
  for (int64_t passes = 0;
       passes <= int64_t{extra.max_weight} / extra.weight_step + 1; ++passes) {
    while (++at < count) {
      const uint32_t dest = service.first_dest + at;
      if (!Usable(dest) || services_->dest(dest).weight < position.weight) {
        continue;
      }
      position.last = at;
      return static_cast<int32_t>(dest);
    }
    at = -1;
    position.weight -= extra.weight_step;
    if (position.weight <= 0) position.weight = extra.max_weight;
  }
  return -1;
}

// sh, dh, mh.
int32_t IpvsState::ChooseByHash(const IpvsService& service,
                                const Packet& packet) const {
  const std::vector<uint16_t>& buckets = services_->extra(service).buckets;
  if (buckets.empty()) return -1;
  const Scheduler scheduler = service.scheduler;
  const bool dh = scheduler == Scheduler::kDh;
  const IpAddress& address = dh ? packet.dst : packet.src;
  const uint16_t port =
      !dh && (service.scheduler_flags & VirtualServer::kFlag2) != 0
          ? packet.src_port
          : 0;
  const uint32_t size = static_cast<uint32_t>(buckets.size());
  const auto dest_at = [&](uint32_t offset) {
    return service.first_dest +
           buckets[IpvsHash(scheduler, address, port, offset)];
  };
  const uint32_t first = IpvsHash(scheduler, address, port, 0);
  if (uint32_t dest = dest_at(0); Usable(dest)) {
    return static_cast<int32_t>(dest);
  }
  if (dh || (service.scheduler_flags & VirtualServer::kFlag1) == 0) return -1;
  for (uint32_t offset = 0; offset < size; ++offset) {
    const uint32_t dest = dest_at((offset + first) % size);
    if (Usable(dest)) return static_cast<int32_t>(dest);
  }
  return -1;
}

// lc, wlc, sed, nq, fo, ovf: the best one, of equal ones the first.
int32_t IpvsState::ChooseByLoad(const IpvsService& service) const {
  const Scheduler scheduler = service.scheduler;
  int32_t best = -1;
  int64_t best_load = 0;
  int64_t best_weight = 0;
  for (uint32_t i = 0; i < service.dest_count; ++i) {
    const uint32_t dest = service.first_dest + i;
    if (!Usable(dest)) continue;
    const int64_t weight = services_->dest(dest).weight;
    const int64_t load = LoadOf(scheduler, dest);
    const int32_t active = CountersOf(dest).active;
    bool better = best < 0;
    switch (scheduler) {
      case Scheduler::kLc:
        better = better || load < best_load;
        break;
      case Scheduler::kFo:
        better = better || weight > best_weight;
        break;
      case Scheduler::kOvf:
        if (active > weight) continue;
        better = better || weight > best_weight;
        break;
      case Scheduler::kNq:
        if (active == 0) return static_cast<int32_t>(dest);
        [[fallthrough]];
      default:
        better = better || best_load * weight > load * best_weight;
        break;
    }
    if (!better) continue;
    best = static_cast<int32_t>(dest);
    best_load = load;
    best_weight = weight;
  }
  if (best < 0 && scheduler == Scheduler::kOvf) {
    // All overflow: ip_vs_ovf.c gives up.
    return -1;
  }
  return best;
}

// ip_vs_lblc_schedule(): the one that the destination had before, unless it
// is busy while another one idles.
int32_t IpvsState::ChooseByLocality(int32_t index, const Packet& packet) {
  const IpvsService& service = services_->service(index);
  auto it = lblc_.find({index, packet.dst});
  if (it != lblc_.end() && services_->dest(it->second).weight > 0) {
    bool overloaded = false;
    if (CountersOf(it->second).active > services_->dest(it->second).weight) {
      for (uint32_t i = 0; i < service.dest_count && !overloaded; ++i) {
        const uint32_t dest = service.first_dest + i;
        overloaded = CountersOf(dest).active * 2 < services_->dest(dest).weight;
      }
    }
    if (!overloaded) return static_cast<int32_t>(it->second);
  }
  const int32_t dest = ChooseByLoad(service);
  if (dest >= 0) {
    lblc_[{index, packet.dst}] = static_cast<uint32_t>(dest);
  }
  return dest;
}

// ip_vs_twos_schedule(): two draws by weight, the less loaded one wins.
int32_t IpvsState::ChooseOfTwo(const IpvsService& service,
                               Decisions& decisions) const {
  uint32_t total = 0;
  for (uint32_t i = 0; i < service.dest_count; ++i) {
    const uint32_t dest = service.first_dest + i;
    if (Usable(dest)) total += services_->dest(dest).weight;
  }
  if (total == 0) return -1;
  const auto draw = [&]() -> uint32_t {
    uint32_t ticket = decisions.Pick(total);
    for (uint32_t i = 0; i < service.dest_count; ++i) {
      const uint32_t dest = service.first_dest + i;
      if (!Usable(dest)) continue;
      const uint32_t weight = services_->dest(dest).weight;
      if (ticket < weight) return dest;
      ticket -= weight;
    }
    return service.first_dest;
  };
  if (total > kMaxTickets && !decisions.sampling()) return -2;
  const uint32_t a = draw();
  const uint32_t b = draw();
  const int64_t load_a = LoadOf(service.scheduler, a);
  const int64_t load_b = LoadOf(service.scheduler, b);
  return static_cast<int32_t>(load_a * services_->dest(b).weight >
                                      load_b * services_->dest(a).weight
                                  ? b
                                  : a);
}

}  // namespace k8sdns::dataplane
