#include "k8sdns/dataplane/ipvs_state.h"

#include <algorithm>
#include <functional>

#include "absl/strings/str_cat.h"
#include "k8sdns/ipvs/ipvsadm_save.h"
#include "k8sdns/net/prefetch.h"

namespace k8sdns::dataplane {
namespace {

using ipvs::Scheduler;

// TCP states as ip_vs_proto_tcp.c numbers them.
enum TcpState : uint8_t {
  kNone,
  kEstablished,
  kSynSent,
  kSynReceived,
  kFinWait,
  kTimeWait,
  kClose,
  kCloseWait,
  kLastAck,
  kListen,
  kSynAck,
};
constexpr TcpState sNO = kNone, sES = kEstablished, sSS = kSynSent,
                   sSR = kSynReceived, sFW = kFinWait, sTW = kTimeWait,
                   sCL = kClose, sCW = kCloseWait, sLA = kLastAck,
                   sLI = kListen;
// By direction, kind of segment (SYN, FIN, ACK, RST) and old state.
constexpr TcpState kTransitions[2][4][11] = {
    {{sSR, sES, sES, sSR, sSR, sSR, sSR, sSR, sSR, sSR, sSR},
     {sCL, sCW, sSS, sTW, sTW, sTW, sCL, sCW, sLA, sLI, sTW},
     {sES, sES, sSS, sES, sFW, sTW, sCL, sCW, sCL, sLI, sES},
     {sCL, sCL, sCL, sSR, sCL, sCL, sCL, sCL, sLA, sLI, sSR}},
    {{sSS, sES, sSS, sSR, sSS, sSS, sSS, sSS, sSS, sLI, sSR},
     {sTW, sFW, sSS, sTW, sFW, sTW, sCL, sTW, sLA, sLI, sTW},
     {sES, sES, sSS, sES, sFW, sTW, sCL, sCW, sLA, sES, sES},
     {sCL, sCL, sSS, sCL, sCL, sTW, sCL, sCL, sCL, sCL, sCL}}};
constexpr int kTcpSeconds[] = {2, 900, 120, 60, 120, 120, 10, 60, 30, 120, 120};
constexpr bool kTcpActive[] = {false, true,  true,  true,  false, false,
                               false, false, false, false, true};
static_assert(sNO == 0);
constexpr int kUdpSeconds = 300;
constexpr int kSctpSeconds = 900;
constexpr int64_t kSecond = 1'000'000;

TcpState NextTcpState(uint8_t state, const Packet& packet, bool reply) {
  const uint8_t flags = packet.tcp_flags;
  int kind;
  if (flags & kTcpRst) {
    kind = 3;
  } else if (flags & kTcpSyn) {
    kind = 0;
  } else if (flags & kTcpFin) {
    kind = 1;
  } else if (flags & kTcpAck) {
    kind = 2;
  } else {
    return kClose;
  }
  return kTransitions[reply ? 1 : 0][kind][state];
}

bool IsHandled(Protocol protocol) {
  return protocol == Protocol::kTcp || protocol == Protocol::kUdp ||
         protocol == Protocol::kSctp;
}

}  // namespace

IpvsOptions IpvsOptions::Of(const NodeConfig& config) {
  IpvsOptions options;
  options.conntrack = config.Sysctl("net.ipv4.vs.conntrack", 0) != 0;
  options.conn_reuse_mode =
      static_cast<int>(config.Sysctl("net.ipv4.vs.conn_reuse_mode", 1));
  options.expire_nodest_conn =
      config.Sysctl("net.ipv4.vs.expire_nodest_conn", 0) != 0;
  options.expire_quiescent_template =
      config.Sysctl("net.ipv4.vs.expire_quiescent_template", 0) != 0;
  options.sloppy_tcp = config.Sysctl("net.ipv4.vs.sloppy_tcp", 0) != 0;
  options.backup_only = config.Sysctl("net.ipv4.vs.backup_only", 0) != 0;
  return options;
}

void IpvsState::Load(const ipvs::Table& table) {
  *this = IpvsState();
  services_ = std::make_shared<const IpvsServices>(table);
  ResetPositions();
}

void IpvsState::ResetPositions() {
  positions_.resize(services_->size());
  for (size_t i = 0; i < positions_.size(); ++i) {
    positions_[i] =
        services_->extra(services_->service(static_cast<int32_t>(i))).start;
  }
}

void IpvsState::Change(const ipvs::Table& table) {
  const std::shared_ptr<const IpvsServices> old = std::move(services_);
  services_ = std::make_shared<const IpvsServices>(table);
  ResetPositions();
  counters_.clear();
  lblc_.clear();
  // Where each real server of a service is now.
  const auto find = [&](const ipvs::ServiceKey& key, const IpAddress& address,
                        uint16_t port) -> int32_t {
    const int32_t found = services_->Find(key);
    if (found < 0) return -1;
    const IpvsService& service = services_->service(found);
    for (uint32_t i = 0; i < service.dest_count; ++i) {
      const IpvsDest& d = services_->dest(service.first_dest + i);
      if (d.address == address && d.port == port) {
        return static_cast<int32_t>(service.first_dest + i);
      }
    }
    return -1;
  };
  std::vector<int32_t> moved(old == nullptr ? 0 : old->dest_count(), -1);
  std::vector<int32_t> moved_services(old == nullptr ? 0 : old->size(), -1);
  for (size_t s = 0; s < moved_services.size(); ++s) {
    const IpvsService& service = old->service(static_cast<int32_t>(s));
    if (!service.used) continue;
    moved_services[s] = services_->Find(service.key);
    for (uint32_t i = 0; i < service.dest_count; ++i) {
      const IpvsDest& d = old->dest(service.first_dest + i);
      moved[service.first_dest + i] = find(service.key, d.address, d.port);
    }
  }
  for (Slot& slot : slots_) {
    IpvsConnection& connection = slot.connection;
    if (slot.serial == 0 || connection.dest_index < 0) continue;
    connection.dest_index = moved[connection.dest_index];
    connection.counted = false;
    if (connection.dest_index < 0) continue;
    connection.counted =
        services_->dest(static_cast<uint32_t>(connection.dest_index)).counted;
    Count(connection, connection.active, !connection.active);
  }
  std::map<std::pair<int32_t, IpAddress>, Template> templates;
  for (auto& [key, entry] : templates_) {
    if (moved_services[key.first] < 0) continue;
    Template to = entry;
    if (to.dest_index >= 0) to.dest_index = moved[to.dest_index];
    templates[{moved_services[key.first], key.second}] = to;
  }
  templates_ = std::move(templates);
}

// ---- bookkeeping ----

void IpvsState::Count(const IpvsConnection& connection, int active,
                      int inactive) {
  if (!connection.counted) return;
  const auto dest = static_cast<uint32_t>(connection.dest_index);
  const IpvsDest& d = services_->dest(dest);
  Counters& c = counters_[dest];
  c.active += active;
  c.inactive += inactive;
  if (d.upper_threshold == 0) return;
  const int64_t total = int64_t{c.active} + c.inactive;
  if (active + inactive > 0) {
    if (total >= d.upper_threshold) c.overloaded = true;
  } else if (active + inactive < 0) {
    const bool below = d.lower_threshold != 0
                           ? total < d.lower_threshold
                           : total * 4 < int64_t{d.upper_threshold} * 3;
    if (below) c.overloaded = false;
  }
}

void IpvsState::Touch(IpvsConnection& connection, const Packet& packet,
                      bool reply, int64_t now_us) {
  int seconds = packet.protocol == Protocol::kUdp ? kUdpSeconds : kSctpSeconds;
  bool active = packet.protocol == Protocol::kSctp;
  if (packet.protocol == Protocol::kTcp) {
    connection.tcp_state = NextTcpState(connection.tcp_state, packet, reply);
    seconds = kTcpSeconds[connection.tcp_state];
    active = kTcpActive[connection.tcp_state];
  }
  if (active != connection.active) {
    connection.active = active;
    Count(connection, active ? 1 : -1, active ? -1 : 1);
  }
  connection.expires_us = now_us + seconds * kSecond;
}

uint32_t IpvsState::FindRequest(const Tuple& tuple, uint32_t hash) const {
  const uint32_t entry = by_tuple_.Find(hash, [&](uint32_t e) {
    return e % 2 == 0 && RequestOf(slots_[e / 2].connection) == tuple;
  });
  return entry == SlotTable::kNone ? SlotTable::kNone : entry / 2;
}

uint32_t IpvsState::FindReply(const Tuple& tuple, uint32_t hash) const {
  const uint32_t entry = by_tuple_.Find(hash, [&](uint32_t e) {
    return e % 2 == 1 && ReplyOf(slots_[e / 2].connection) == tuple;
  });
  return entry == SlotTable::kNone ? SlotTable::kNone : entry / 2;
}

void IpvsState::Add(const IpvsConnection& connection, uint32_t hash) {
  uint32_t number = static_cast<uint32_t>(slots_.size());
  if (free_.empty()) {
    slots_.emplace_back();
  } else {
    number = free_.back();
    free_.pop_back();
  }
  const Tuple reply = ReplyOf(connection);
  Slot& slot = slots_[number];
  slot.serial = next_serial_++;
  slot.hashes[0] = hash;
  slot.hashes[1] = reply.Hash();
  const uint32_t older = FindReply(reply, slot.hashes[1]);
  slot.connection = connection;
  by_tuple_.Insert(slot.hashes[0], 2 * number);
  // Of connections with the same reply the latest one gets it.
  if (older == SlotTable::kNone) {
    by_tuple_.Insert(slot.hashes[1], 2 * number + 1);
  } else {
    by_tuple_.Replace(slot.hashes[1], 2 * older + 1, 2 * number + 1);
  }
  SetTimer(number);
}

void IpvsState::Remove(uint32_t number) {
  Slot& slot = slots_[number];
  const IpvsConnection& c = slot.connection;
  Count(c, c.active ? -1 : 0, c.active ? 0 : -1);
  for (uint32_t i : {0u, 1u}) by_tuple_.Erase(slot.hashes[i], 2 * number + i);
  slot.serial = 0;
  free_.push_back(number);
}

bool IpvsState::HasConnectionsOf(const IpvsState& other) const {
  if (connection_count() != other.connection_count()) return false;
  for (const Slot& slot : slots_) {
    if (slot.serial == 0) continue;
    const uint32_t found =
        other.FindRequest(RequestOf(slot.connection), slot.hashes[0]);
    if (found == SlotTable::kNone ||
        !(other.slots_[found].connection == slot.connection)) {
      return false;
    }
  }
  return true;
}

void IpvsState::SetTimer(uint32_t number) {
  const Slot& slot = slots_[number];
  timers_[slot.connection.expires_us / kSecond + 1].push_back(
      {number, slot.serial});
}

void IpvsState::Expire(int64_t now_us) {
  const int64_t now = now_us / kSecond;
  if (next_second_ > now) return;
  if (now - next_second_ > static_cast<int64_t>(timers_.size())) {
    std::vector<int64_t> due;
    for (const auto& entry : timers_) {
      if (entry.first <= now) due.push_back(entry.first);
    }
    std::sort(due.begin(), due.end());
    for (int64_t second : due) ExpireSecond(second, now_us);
  } else {
    for (int64_t second = next_second_; second <= now; ++second) {
      ExpireSecond(second, now_us);
    }
  }
  next_second_ = now + 1;
}

void IpvsState::ExpireSecond(int64_t second, int64_t now_us) {
  auto due = timers_.find(second);
  if (due == timers_.end()) return;
  const std::vector<Timer> timers = std::move(due->second);
  timers_.erase(due);
  // Memory is asked for a few connections ahead.
  constexpr size_t kAhead = 8;
  for (size_t i = 0; i < timers.size(); ++i) {
    if (i + 2 * kAhead < timers.size()) {
      const Slot& ahead = slots_[timers[i + 2 * kAhead].slot];
      PrefetchLine(&ahead);
      PrefetchLine(&ahead.connection.expires_us);
    }
    if (i + kAhead < timers.size()) {
      const Slot& ahead = slots_[timers[i + kAhead].slot];
      for (uint32_t hash : ahead.hashes) by_tuple_.Prefetch(hash);
    }
    const Slot& slot = slots_[timers[i].slot];
    if (slot.serial != timers[i].serial) continue;
    if (slot.connection.expires_us <= now_us) {
      Remove(timers[i].slot);
    } else {
      SetTimer(timers[i].slot);
    }
  }
}

// ---- packets ----

const IpvsConnection* IpvsState::Find(const Packet& packet) const {
  const Tuple tuple = Tuple::Of(packet);
  const uint32_t slot = FindRequest(tuple, tuple.Hash());
  return slot == SlotTable::kNone ? nullptr : &slots_[slot].connection;
}

const IpvsConnection* IpvsState::Reply(const Packet& packet, int64_t now_us) {
  if (connection_count() == 0 || !IsHandled(packet.protocol)) return nullptr;
  Expire(now_us);
  const Tuple tuple = Tuple::Of(packet);
  const uint32_t slot = FindReply(tuple, tuple.Hash());
  if (slot == SlotTable::kNone) return nullptr;
  IpvsConnection& connection = slots_[slot].connection;
  Touch(connection, packet, true, now_us);
  return &connection;
}

const IpvsConnection* IpvsState::Translated(const Packet& packet) const {
  const Tuple tuple = {packet.dst, packet.src, packet.dst_port, packet.src_port,
                       packet.protocol};
  const uint32_t slot = FindReply(tuple, tuple.Hash());
  return slot == SlotTable::kNone ? nullptr : &slots_[slot].connection;
}

void IpvsState::PrefetchChoice(const Packet& packet) const {
  const IpvsServices::Ahead likely = services_->Prefetch(packet);
  if (likely.dest_count == 0) return;
  const auto next = static_cast<uint32_t>(positions_[likely.service].last + 1);
  services_->PrefetchDest(likely.first_dest +
                          (next < likely.dest_count ? next : 0));
}

// ip_vs_in_hook().
IpvsVerdict IpvsState::Request(const Packet& packet, uint32_t mark, bool own,
                               bool known_flow, const IpvsOptions& options,
                               int64_t now_us, Decisions& decisions) {
  IpvsVerdict verdict;
  if (options.backup_only || !IsHandled(packet.protocol)) return verdict;
  const bool syn =
      packet.protocol == Protocol::kTcp && (packet.tcp_flags & kTcpSyn) != 0;
  const bool may_open = syn || packet.protocol != Protocol::kTcp;
  const Tuple tuple = Tuple::Of(packet);
  const uint32_t hash = tuple.Hash();
  by_tuple_.Prefetch(hash);
  if (may_open) PrefetchChoice(packet);
  Expire(now_us);
  uint32_t found = FindRequest(tuple, hash);
  if (found != SlotTable::kNone) {
    IpvsConnection& c = slots_[found].connection;
    const bool old_flow = c.conntrack && known_flow;
    bool again = false;
    if (syn) {
      const bool quiescent =
          c.dest_index >= 0 &&
          services_->dest(static_cast<uint32_t>(c.dest_index)).weight == 0;
      const bool closed =
          !c.controlled && (c.tcp_state == kTimeWait || c.tcp_state == kClose);
      again = (options.expire_nodest_conn && quiescent) ||
              (options.conn_reuse_mode != 0 && closed);
    }
    if (!again && c.dest_index < 0) {
      if (!options.expire_nodest_conn) {
        verdict.kind = IpvsVerdict::kDrop;
        return verdict;
      }
      again = true;
    }
    if (again) {
      Remove(found);
      // Its flow still points at the old real server.
      if (old_flow) {
        verdict.kind = IpvsVerdict::kDrop;
        return verdict;
      }
      found = SlotTable::kNone;
    }
  }
  if (found != SlotTable::kNone) {
    Touch(slots_[found].connection, packet, false, now_us);
    verdict.kind = IpvsVerdict::kForward;
    verdict.connection = slots_[found].connection;
    return verdict;
  }
  if (packet.protocol == Protocol::kTcp &&
      ((!syn && !options.sloppy_tcp) || (packet.tcp_flags & kTcpRst) != 0)) {
    return verdict;
  }
  const int32_t service = services_->Find(packet, mark);
  if (service < 0) return verdict;
  // Not the reply of a real server on this node.
  if (own) {
    const Tuple back = {packet.dst, packet.src, packet.dst_port,
                        packet.src_port, packet.protocol};
    if (FindRequest(back, back.Hash()) != SlotTable::kNone) return verdict;
  }
  return Schedule(service, packet, hash, options, now_us, decisions);
}

// ip_vs_schedule(), ip_vs_conn_new().
IpvsVerdict IpvsState::Schedule(int32_t index, const Packet& packet,
                                uint32_t hash, const IpvsOptions& options,
                                int64_t now_us, Decisions& decisions) {
  IpvsVerdict verdict;
  const IpvsService& service = services_->service(index);
  const auto unknown = [&](std::string reason) {
    verdict.kind = IpvsVerdict::kUnknown;
    verdict.service = "ipvs:";
    ipvs::AppendService(service.key, verdict.service);
    verdict.reason = std::move(reason);
    return verdict;
  };
  if (!service.known) return unknown(services_->extra(service).unknown);
  const int32_t chosen =
      service.persistent
          ? SchedulePersistent(index, packet, options, now_us, decisions)
          : Choose(index, packet, decisions);
  if (chosen == -2) return unknown("too many draws of scheduler twos");
  if (chosen < 0) {
    verdict.kind = IpvsVerdict::kLeave;
    return verdict;
  }
  const IpvsDest& dest = services_->dest(static_cast<uint32_t>(chosen));
  if (dest.forwarding != ipvs::Forwarding::kMasquerade) {
    return unknown("direct routing and tunnels");
  }
  IpvsConnection& c = verdict.connection;
  c.protocol = packet.protocol;
  c.client = packet.src;
  c.client_port = packet.src_port;
  c.virtual_address = packet.dst;
  c.virtual_port = packet.dst_port;
  c.dest = dest.address;
  const bool same_port = packet.dst_port == service.key.port;
  // A persistent service of any port or of a mark keeps the packet's port.
  c.dest_port = dest.port != 0 && (!service.persistent || same_port)
                    ? dest.port
                    : packet.dst_port;
  c.dest_index = chosen;
  c.counted = dest.counted;
  c.conntrack = options.conntrack;
  c.controlled = service.persistent;
  c.one_packet = service.one_packet && packet.protocol == Protocol::kUdp;
  c.forwarding = dest.forwarding;
  verdict.kind = IpvsVerdict::kForward;
  if (c.one_packet) return verdict;
  Count(c, 0, 1);
  Touch(c, packet, false, now_us);
  Add(c, hash);
  return verdict;
}

// ip_vs_sched_persist().
int32_t IpvsState::SchedulePersistent(int32_t index, const Packet& packet,
                                      const IpvsOptions& options,
                                      int64_t now_us, Decisions& decisions) {
  const IpvsService& service = services_->service(index);
  const IpAddress client =
      packet.src.is_v4()
          ? IpAddress::V4(packet.src.v4() & service.netmask)
          : IpPrefix(packet.src, service.prefix).Masked().address();
  const std::pair<int32_t, IpAddress> key = {index, client};
  auto it = templates_.find(key);
  if (it != templates_.end()) {
    const Template& t = it->second;
    const bool valid =
        t.dest_index >= 0 && now_us < t.expires_us &&
        !(options.expire_quiescent_template &&
          services_->dest(static_cast<uint32_t>(t.dest_index)).weight == 0);
    if (!valid) {
      templates_.erase(it);
      it = templates_.end();
    }
  }
  int32_t dest;
  if (it != templates_.end()) {
    dest = it->second.dest_index;
  } else {
    dest = Choose(index, packet, decisions);
    if (dest < 0) return dest;
  }
  templates_[key] = {dest, now_us + service.timeout_s * kSecond};
  return dest;
}

}  // namespace k8sdns::dataplane
