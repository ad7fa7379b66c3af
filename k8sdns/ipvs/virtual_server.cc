#include "k8sdns/ipvs/virtual_server.h"

#include <algorithm>

namespace k8sdns::ipvs {
namespace {

constexpr absl::string_view kNames[] = {"",     "rr",    "wrr", "lc", "wlc",
                                        "lblc", "lblcr", "dh",  "sh", "sed",
                                        "nq",   "fo",    "ovf", "mh", "twos"};

}  // namespace

absl::string_view SchedulerName(Scheduler scheduler) {
  return kNames[static_cast<int>(scheduler)];
}

Scheduler FindScheduler(absl::string_view name) {
  for (size_t i = 1; i < std::size(kNames); ++i) {
    if (kNames[i] == name) return static_cast<Scheduler>(i);
  }
  return Scheduler::kOther;
}

bool IpvsadmLess(const ServiceKey& a, const ServiceKey& b) {
  if (a.fwmark != b.fwmark) return a.fwmark < b.fwmark;
  if (a.family != b.family) return a.family < b.family;
  if (a.fwmark != 0) return false;
  if (a.protocol != b.protocol) return a.protocol < b.protocol;
  if (a.address != b.address) return a.address < b.address;
  return a.port < b.port;
}

namespace {

// A number that orders keys as IpvsadmLess() does, where it differs.
uint64_t Rank(const ServiceKey& key) {
  if (key.fwmark != 0) return ~uint64_t{0};
  const uint64_t rank = static_cast<uint64_t>(key.family) << 8 |
                        static_cast<uint64_t>(key.protocol);
  uint64_t rest = 0;  // 48 bits
  if (key.family == IpFamily::kIpv4) {
    rest = uint64_t{key.address.v4()} << 16 | key.port;
  } else {
    for (int i = 0; i < 6; ++i) rest = rest << 8 | key.address.bytes()[i];
  }
  return rank << 48 | rest;
}

}  // namespace

int VirtualServer::Find(const IpAddress& address, uint16_t port) const {
  for (size_t i = 0; i < real_servers.size(); ++i) {
    if (real_servers[i].port == port && real_servers[i].address == address) {
      return static_cast<int>(i);
    }
  }
  return -1;
}

const VirtualServer* Table::Find(const ServiceKey& key) const {
  auto it = index_.find(key);
  return it == index_.end() ? nullptr : &slots_[it->second].server;
}

VirtualServer* Table::Find(const ServiceKey& key) {
  return const_cast<VirtualServer*>(std::as_const(*this).Find(key));
}

VirtualServer* Table::Add(VirtualServer server) {
  auto [it, inserted] =
      index_.try_emplace(server.key, static_cast<uint32_t>(slots_.size()));
  if (!inserted) return nullptr;
  slots_.push_back({std::move(server), true});
  return &slots_.back().server;
}

VirtualServer* Table::FindOrAdd(const ServiceKey& key) {
  auto [it, inserted] =
      index_.try_emplace(key, static_cast<uint32_t>(slots_.size()));
  if (!inserted) return &slots_[it->second].server;
  slots_.emplace_back().server.key = key;
  return &slots_.back().server;
}

bool Table::Remove(const ServiceKey& key) {
  auto it = index_.find(key);
  if (it == index_.end()) return false;
  Slot& slot = slots_[it->second];
  slot.live = false;
  slot.server = VirtualServer();
  index_.erase(it);
  if (slots_.size() > 64 && index_.size() * 2 < slots_.size()) Compact();
  return true;
}

void Table::Compact() {
  slots_.erase(std::remove_if(slots_.begin(), slots_.end(),
                              [](const Slot& s) { return !s.live; }),
               slots_.end());
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    index_[slots_[i].server.key] = i;
  }
}

void Table::Clear() {
  slots_.clear();
  index_.clear();
}

void Table::Reserve(size_t servers) {
  slots_.reserve(servers);
  index_.reserve(servers);
}

std::vector<const VirtualServer*> Table::List(bool sorted) const {
  std::vector<const VirtualServer*> out;
  out.reserve(size());
  if (!sorted) {
    ForEach([&](const VirtualServer& server) { out.push_back(&server); });
    return out;
  }
  std::vector<std::pair<uint64_t, const VirtualServer*>> by_rank;
  by_rank.reserve(size());
  ForEach([&](const VirtualServer& server) {
    by_rank.emplace_back(Rank(server.key), &server);
  });
  std::sort(by_rank.begin(), by_rank.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first < b.first
                              : IpvsadmLess(a.second->key, b.second->key);
  });
  for (const auto& entry : by_rank) out.push_back(entry.second);
  return out;
}

bool SameServers(const Table& a, const Table& b) {
  if (a.size() != b.size()) return false;
  bool same = true;
  const auto by_address = [](const RealServer& x, const RealServer& y) {
    return IpvsadmLess(x, y);
  };
  a.ForEach([&](const VirtualServer& server) {
    const VirtualServer* other = b.Find(server.key);
    if (!same || other == nullptr) {
      same = false;
      return;
    }
    VirtualServer x = server;
    VirtualServer y = *other;
    std::sort(x.real_servers.begin(), x.real_servers.end(), by_address);
    std::sort(y.real_servers.begin(), y.real_servers.end(), by_address);
    same = x == y;
  });
  return same;
}

}  // namespace k8sdns::ipvs
