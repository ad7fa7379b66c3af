// What IPVS remembers on a node: connections, persistence templates, the
// schedulers' positions, the connections of each real server. A value: copy
// it to try something; the services themselves are shared.
//
// Facts: Linux net/netfilter/ipvs/ip_vs_{core,conn,proto_tcp}.c. Not modelled:
// direct routing and tunnels, applications (FTP, SIP), synchronisation.
#ifndef K8SDNS_DATAPLANE_IPVS_STATE_H_
#define K8SDNS_DATAPLANE_IPVS_STATE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "k8sdns/dataplane/decisions.h"
#include "k8sdns/dataplane/ipvs_services.h"
#include "k8sdns/dataplane/large_page_allocator.h"
#include "k8sdns/dataplane/node_config.h"
#include "k8sdns/dataplane/slot_table.h"
#include "k8sdns/dataplane/tuple.h"
#include "k8sdns/net/packet.h"

namespace k8sdns::dataplane {

// The sysctls net.ipv4.vs.*.
struct IpvsOptions {
  bool conntrack = false;
  int conn_reuse_mode = 1;
  bool expire_nodest_conn = false;
  bool expire_quiescent_template = false;
  bool sloppy_tcp = false;
  bool backup_only = false;

  static IpvsOptions Of(const NodeConfig& config);
};

struct IpvsConnection {
  Protocol protocol = Protocol::kTcp;
  IpAddress client;
  uint16_t client_port = 0;
  IpAddress virtual_address;
  uint16_t virtual_port = 0;
  IpAddress dest;
  uint16_t dest_port = 0;
  // Index of the real server, of the service; -1: it is not there any more.
  int32_t dest_index = -1;
  bool conntrack = false;   // the flow's reply tuple follows the connection
  bool one_packet = false;  // not kept
  bool active = false;
  bool counted = false;     // among the real server's connections
  bool controlled = false;  // by a persistence template
  uint8_t tcp_state = 0;
  ipvs::Forwarding forwarding = ipvs::Forwarding::kMasquerade;
  int64_t expires_us = 0;

  friend bool operator==(const IpvsConnection&,
                         const IpvsConnection&) = default;
};

// What IPVS does with a packet that meets it as a request.
struct IpvsVerdict {
  enum Kind : uint8_t {
    kPass,     // not for IPVS
    kForward,  // to connection.dest
    kLeave,    // there is no usable real server: port unreachable
    kDrop,
    kUnknown,
  };
  Kind kind = kPass;
  std::string service;  // kUnknown: "ipvs:-t 10.0.0.1:80"
  std::string reason;
  IpvsConnection connection;
};

class IpvsState {
 public:
  IpvsState() = default;

  // Loads virtual servers anew: all that is remembered is gone.
  void Load(const ipvs::Table& table);
  // Changes them, as ipvsadm does: connections stay, those of removed real
  // servers without one; schedulers start anew.
  void Change(const ipvs::Table& table);
  bool enabled() const { return services_ != nullptr; }
  // From now on the node has been running for a while: where its schedulers
  // stand, and what load the real servers have, is not known. rr, wrr, lc,
  // wlc, sed and nq then draw a server by its weight; the others choose by
  // what they know.
  void StartAnywhere() { anywhere_ = true; }

  // A packet at LOCAL_IN or LOCAL_OUT. `own`: the node sent it. `known_flow`:
  // conntrack knows its flow, confirmed.
  IpvsVerdict Request(const Packet& packet, uint32_t mark, bool own,
                      bool known_flow, const IpvsOptions& options,
                      int64_t now_us, Decisions& decisions);
  // The connection that a packet is the reply of; nullptr: none. Moves its
  // state.
  const IpvsConnection* Reply(const Packet& packet, int64_t now_us);
  // The connection of a request that was translated already, as -m ipvs
  // looks it up.
  const IpvsConnection* Translated(const Packet& packet) const;
  // The connection of a request (before translation).
  const IpvsConnection* Find(const Packet& packet) const;

  size_t connection_count() const { return slots_.size() - free_.size(); }

  friend bool operator==(const IpvsState& a, const IpvsState& b) {
    return a.services_ == b.services_ && a.HasConnectionsOf(b) &&
           a.templates_ == b.templates_ && a.positions_ == b.positions_ &&
           a.counters_ == b.counters_ && a.lblc_ == b.lblc_ &&
           a.anywhere_ == b.anywhere_;
  }

 private:
  // Where a connection is kept.
  struct Slot {
    uint64_t serial = 0;          // 0: free; else no other connection had it
    uint32_t hashes[2] = {0, 0};  // of request and reply
    IpvsConnection connection;
  };
  // A connection that may expire; it is gone if the slot's serial is another.
  struct Timer {
    uint32_t slot = 0;
    uint64_t serial = 0;
  };
  struct Template {
    int32_t dest_index = -1;
    int64_t expires_us = 0;
    friend bool operator==(const Template&, const Template&) = default;
  };
  struct Counters {
    int32_t active = 0;
    int32_t inactive = 0;
    bool overloaded = false;
    friend bool operator==(const Counters&, const Counters&) = default;
  };

  static Tuple RequestOf(const IpvsConnection& c) {
    return {c.client, c.virtual_address, c.client_port, c.virtual_port,
            c.protocol};
  }
  static Tuple ReplyOf(const IpvsConnection& c) {
    return {c.dest, c.client, c.dest_port, c.client_port, c.protocol};
  }
  // Slots; SlotTable::kNone: none.
  uint32_t FindRequest(const Tuple& tuple, uint32_t hash) const;
  uint32_t FindReply(const Tuple& tuple, uint32_t hash) const;
  // `hash`: of its request.
  void Add(const IpvsConnection& connection, uint32_t hash);
  // Speed only: asks for what a new connection of the packet most likely needs
  // of its service and real server.
  void PrefetchChoice(const Packet& packet) const;
  // Whether the connections are the same.
  bool HasConnectionsOf(const IpvsState& other) const;

  // `hash`: of the packet's tuple.
  IpvsVerdict Schedule(int32_t service, const Packet& packet, uint32_t hash,
                       const IpvsOptions& options, int64_t now_us,
                       Decisions& decisions);
  // Index of a real server of the whole table, or -1.
  int32_t SchedulePersistent(int32_t service, const Packet& packet,
                             const IpvsOptions& options, int64_t now_us,
                             Decisions& decisions);
  int32_t Choose(int32_t service, const Packet& packet, Decisions& decisions);
  int32_t ChooseAny(const IpvsService& service, Decisions& decisions) const;
  int32_t ChooseNext(int32_t service);
  int32_t ChooseNextWeighted(int32_t service);
  int32_t ChooseByHash(const IpvsService& service, const Packet& packet) const;
  int32_t ChooseByLoad(const IpvsService& service) const;
  int32_t ChooseByLocality(int32_t service, const Packet& packet);
  int32_t ChooseOfTwo(const IpvsService& service, Decisions& decisions) const;
  bool Usable(uint32_t dest) const;
  int64_t LoadOf(ipvs::Scheduler scheduler, uint32_t dest) const;
  Counters CountersOf(uint32_t dest) const;

  // Adds to the counts of a connection's real server.
  void Count(const IpvsConnection& connection, int active, int inactive);
  void ResetPositions();
  void Touch(IpvsConnection& connection, const Packet& packet, bool reply,
             int64_t now_us);
  void Expire(int64_t now_us);
  void ExpireSecond(int64_t second, int64_t now_us);
  void SetTimer(uint32_t slot);
  void Remove(uint32_t slot);

  std::shared_ptr<const IpvsServices> services_;
  std::vector<Slot, LargePageAllocator<Slot>> slots_;
  std::vector<uint32_t> free_;
  // By request: twice the slot; by reply: that plus 1.
  SlotTable by_tuple_;
  uint64_t next_serial_ = 1;
  // By service, client network and, for a service of a mark or any port, what
  // is shared; the ports are of the service.
  std::map<std::pair<int32_t, IpAddress>, Template> templates_;
  std::vector<IpvsPosition> positions_;               // by service
  absl::flat_hash_map<uint32_t, Counters> counters_;  // by real server
  // lblc: by service and destination.
  std::map<std::pair<int32_t, IpAddress>, uint32_t> lblc_;
  // By second, the connections that may expire then.
  absl::flat_hash_map<int64_t, std::vector<Timer>> timers_;
  int64_t next_second_ = 0;  // the first one not yet looked at
  bool anywhere_ = false;
};

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_IPVS_STATE_H_
