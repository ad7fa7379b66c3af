// The state that conntrack keeps of a TCP connection, and what it thinks of a
// segment: Linux net/netfilter/nf_conntrack_proto_tcp.c.
#ifndef K8SDNS_DATAPLANE_TCP_TRACKING_H_
#define K8SDNS_DATAPLANE_TCP_TRACKING_H_

#include <cstdint>

namespace k8sdns::dataplane {

// What of a segment is looked at. No TCP options: neither window scaling nor
// selective acknowledgements are modelled.
struct TcpSegment {
  uint8_t flags = 0;  // TcpFlag bits
  uint32_t seq = 0;
  uint32_t ack = 0;
  uint16_t window = 0;
  uint16_t payload = 0;
};

enum class TcpState : uint8_t {
  kNone,
  kSynSent,
  kSynRecv,
  kEstablished,
  kFinWait,
  kCloseWait,
  kLastAck,
  kTimeWait,
  kClose,
  kSynSent2,
};

struct TcpTracking {
  // By the segments sent in one direction.
  struct Side {
    uint32_t end = 0;         // highest sequence number seen, plus length
    uint32_t max_end = 0;     // the highest that the other side allows
    uint32_t max_window = 0;  // 0: nothing seen yet
    uint32_t max_ack = 0;
    bool has_max_ack = false;
    bool liberal = false;     // picked up in the middle
    bool close_init = false;  // sent the first FIN
    bool unacknowledged = false;
    friend bool operator==(const Side&, const Side&) = default;
  };

  Side seen[2];  // original, reply
  TcpState state = TcpState::kNone;
  uint8_t last_index = 0;
  uint8_t last_direction = 0;
  uint32_t last_seq = 0;
  uint32_t last_ack = 0;
  uint32_t last_end = 0;
  uint16_t last_window = 0;
  uint8_t retransmissions = 0;
  bool simultaneous_open = false;
  bool expect_challenge_ack = false;

  friend bool operator==(const TcpTracking&, const TcpTracking&) = default;
};

struct TcpOptions {
  bool loose = true;        // nf_conntrack_tcp_loose
  bool be_liberal = false;  // nf_conntrack_tcp_be_liberal
};

enum class TcpVerdict : uint8_t {
  kValid,    // of the flow, and its state moves
  kIgnored,  // of the flow, nothing changes
  kInvalid,
  kReopen,  // the entry is dead: delete it and look again
};

struct TcpResult {
  TcpVerdict verdict = TcpVerdict::kInvalid;
  TcpState before = TcpState::kNone;
  TcpState after = TcpState::kNone;
  bool reset = false;      // the segment is a RST
  bool syn_again = false;  // a SYN that was sent again: no new timeout
};

// Flags that no connection has (SYN with FIN, none at all, ...).
bool TcpFlagsAreInvalid(uint8_t flags);

// The first segment of a flow. False if a flow cannot begin with it.
bool TrackNewTcp(const TcpSegment& segment, const TcpOptions& options,
                 TcpTracking& tcp);

// A segment of a flow, also the first one after TrackNewTcp().
// `direction` is 0 for the original one. `seen_reply`, `assured`: the flow's
// status bits.
TcpResult TrackTcp(const TcpSegment& segment, int direction, bool seen_reply,
                   bool assured, const TcpOptions& options, TcpTracking& tcp);

// Whether the flags are those of a SYN that may open a connection.
inline bool OpensTcp(uint8_t flags) {
  constexpr uint8_t kSyn = 0x02;
  constexpr uint8_t kAnyway = 0x08 | 0x20 | 0x40 | 0x80;  // PSH URG ECE CWR
  return (flags & ~kAnyway) == kSyn;
}
// What TrackNewTcp() and TrackTcp() come to for such a segment, if it is the
// first of a flow. `tcp` is as it was made.
TcpResult TrackOpeningTcp(const TcpSegment& segment, TcpTracking& tcp);

// Seconds until an entry in this state is forgotten.
int TcpTimeout(const TcpTracking& tcp, const TcpResult& result);

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_TCP_TRACKING_H_
