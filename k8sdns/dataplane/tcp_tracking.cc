#include "k8sdns/dataplane/tcp_tracking.h"

#include <algorithm>

#include "k8sdns/net/packet.h"

namespace k8sdns::dataplane {
namespace {

enum Index : uint8_t { kSyn, kSynAck, kFin, kAck, kRst, kNothing };

// Entries of the transition table beyond the states.
constexpr uint8_t kInvalidMove = 10;
constexpr uint8_t kIgnoreMove = 11;

// One row for each Index; one column for each state: none, SYN_SENT,
// SYN_RECV, ESTABLISHED, FIN_WAIT, CLOSE_WAIT, LAST_ACK, TIME_WAIT, CLOSE,
// SYN_SENT2. A digit is the new state, 'x' invalid, '-' ignored.
constexpr const char* kMoves[2][6] = {{
                                          "11-----119",  // SYN
                                          "xx-------2",  // SYN ACK
                                          "xx4466678x",  // FIN
                                          "3x3355778x",  // ACK
                                          "x888888888",  // RST
                                          "xxxxxxxxxx",  // none
                                      },
                                      {
                                          "x9xxxxxxx9",
                                          "x2-------2",
                                          "xx4466678x",
                                          "x-2355778-",
                                          "x888888888",
                                          "xxxxxxxxxx",
                                      }};

// Larger windows than this are assumed for acknowledgements.
constexpr uint32_t kMaxAckWindow = 66000;

bool Before(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) < 0; }
bool After(uint32_t a, uint32_t b) { return Before(b, a); }

Index IndexOf(uint8_t flags) {
  if (flags & kTcpRst) return kRst;
  if (flags & kTcpSyn) return flags & kTcpAck ? kSynAck : kSyn;
  if (flags & kTcpFin) return kFin;
  if (flags & kTcpAck) return kAck;
  return kNothing;
}

uint32_t EndOf(const TcpSegment& s) {
  return s.seq + s.payload + (s.flags & kTcpSyn ? 1 : 0) +
         (s.flags & kTcpFin ? 1 : 0);
}

uint8_t Move(int direction, Index index, TcpState state) {
  const char c = kMoves[direction][index][static_cast<int>(state)];
  if (c == 'x') return kInvalidMove;
  if (c == '-') return kIgnoreMove;
  return static_cast<uint8_t>(c - '0');
}

uint32_t Window(const TcpSegment& s) { return std::max<uint32_t>(s.window, 1); }

enum class WindowVerdict { kAccept, kIgnore, kInvalid };

// Whether a segment fits the windows, which it then moves.
class WindowCheck {
 public:
  WindowCheck(const TcpSegment& segment, int direction, Index index,
              bool be_liberal, TcpTracking& tcp)
      : s_(segment),
        direction_(direction),
        index_(index),
        be_liberal_(be_liberal),
        tcp_(tcp),
        sender_(tcp.seen[direction]),
        receiver_(tcp.seen[1 - direction]),
        seq_(segment.seq),
        ack_(segment.ack),
        end_(EndOf(segment)) {}

  WindowVerdict Run() {
    if (StartSender()) return WindowVerdict::kAccept;
    const bool has_ack = s_.flags & kTcpAck;
    if (!has_ack || ((s_.flags & kTcpRst) && ack_ == 0)) ack_ = receiver_.end;
    if ((s_.flags & kTcpRst) && seq_ == 0 && tcp_.state == TcpState::kSynSent) {
      seq_ = end_ = sender_.end;  // a RST that answers a SYN
    }
    const WindowVerdict verdict = Check();
    if (verdict == WindowVerdict::kAccept && !liberal_pass_) Update(has_ack);
    return verdict;
  }

 private:
  void InitSender() {
    sender_.end = sender_.max_end = end_;
    sender_.max_window = Window(s_);
  }

  // True if nothing more is to be checked: a simultaneous open.
  bool StartSender() {
    const bool syn = s_.flags & kTcpSyn;
    if (sender_.max_window == 0) {
      if (syn) {
        InitSender();
        return !(s_.flags & kTcpAck);
      }
      // The history is lost: take what the segment says.
      sender_.end = end_;
      sender_.max_window = Window(s_);
      sender_.max_end = end_ + sender_.max_window;
      if (receiver_.max_window == 0) {
        receiver_.end = receiver_.max_end = ack_;
      } else if (ack_ == receiver_.end + 1) {
        ++receiver_.end;  // an answer to a keepalive
      }
      return false;
    }
    if (syn && After(end_, sender_.end) &&
        (tcp_.state == TcpState::kSynSent ||
         tcp_.state == TcpState::kSynRecv)) {
      InitSender();
      return direction_ == 1 && !(s_.flags & kTcpAck);
    }
    return false;
  }

  WindowVerdict Refuse(WindowVerdict verdict) {
    if (!be_liberal_ && !sender_.liberal) return verdict;
    liberal_pass_ = true;
    return WindowVerdict::kAccept;
  }

  uint32_t AckWindow() const {
    return std::max(sender_.max_window, kMaxAckWindow);
  }

  WindowVerdict Check() {
    const bool ack_not_old = After(ack_, receiver_.end - AckWindow() - 1);
    const bool ack_not_ahead = Before(ack_, receiver_.end + 1);
    const bool in_window = After(end_, sender_.end - receiver_.max_window - 1);
    if (!Before(seq_, sender_.max_end + 1)) {
      const uint32_t overshot = end_ - sender_.max_end + 1;
      if (receiver_.max_window != 0 && in_window && ack_not_old &&
          overshot <= receiver_.max_window && ack_not_ahead) {
        // More than the window allows; remember it, so that its
        // acknowledgement is understood.
        sender_.end = end_;
        sender_.unacknowledged = true;
        return Refuse(WindowVerdict::kIgnore);
      }
      return Refuse(WindowVerdict::kInvalid);
    }
    if (!ack_not_ahead) return Refuse(WindowVerdict::kInvalid);
    if (receiver_.max_window != 0 && !in_window) {
      return Refuse(WindowVerdict::kIgnore);
    }
    if (!ack_not_old) return Refuse(WindowVerdict::kIgnore);
    return WindowVerdict::kAccept;
  }

  void Update(bool has_ack) {
    const uint32_t window = s_.window;
    sender_.max_window = std::max(sender_.max_window, window);
    if (After(end_, sender_.end)) {
      sender_.end = end_;
      sender_.unacknowledged = true;
    }
    if (has_ack && (!sender_.has_max_ack || After(ack_, sender_.max_ack))) {
      sender_.max_ack = ack_;
      sender_.has_max_ack = true;
    }
    if (receiver_.max_window != 0 && After(end_, sender_.max_end)) {
      receiver_.max_window += end_ - sender_.max_end;
    }
    if (After(ack_ + window, receiver_.max_end - 1)) {
      receiver_.max_end = ack_ + window + (window == 0 ? 1 : 0);
    }
    if (ack_ == receiver_.end) receiver_.unacknowledged = false;
    if (index_ != kAck) return;
    if (tcp_.last_direction == direction_ && tcp_.last_seq == seq_ &&
        tcp_.last_ack == ack_ && tcp_.last_end == end_ &&
        tcp_.last_window == s_.window) {
      ++tcp_.retransmissions;
      return;
    }
    tcp_.last_direction = static_cast<uint8_t>(direction_);
    tcp_.last_seq = seq_;
    tcp_.last_ack = ack_;
    tcp_.last_end = end_;
    tcp_.last_window = s_.window;
    tcp_.retransmissions = 0;
  }

  const TcpSegment& s_;
  const int direction_;
  const Index index_;
  const bool be_liberal_;
  TcpTracking& tcp_;
  TcpTracking::Side& sender_;
  TcpTracking::Side& receiver_;
  uint32_t seq_;
  uint32_t ack_;
  uint32_t end_;
  bool liberal_pass_ = false;
};

// What a RST that would close the connection is worth.
enum class ResetVerdict { kCheckWindow, kAccept, kInvalid, kKeepState };

ResetVerdict JudgeReset(const TcpSegment& s, int direction, bool seen_reply,
                        bool assured, TcpTracking& tcp) {
  if (tcp.state >= TcpState::kFinWait && tcp.state <= TcpState::kClose) {
    return ResetVerdict::kAccept;
  }
  const TcpTracking::Side& other = tcp.seen[1 - direction];
  ResetVerdict verdict = ResetVerdict::kCheckWindow;
  if (other.has_max_ack && tcp.last_index != kSyn) {
    const bool established = tcp.state == TcpState::kEstablished;
    if (s.seq == 0 && !established) return verdict;
    if (Before(s.seq, other.max_ack)) return ResetVerdict::kInvalid;
    if (!established || s.seq == other.max_ack) return verdict;
    if (tcp.last_index == kAck && tcp.last_direction == direction &&
        s.seq == tcp.last_end) {
      return verdict;  // at the end of a train of segments
    }
    verdict = ResetVerdict::kKeepState;
  }
  if (((seen_reply && tcp.last_index == kSyn) ||
       (!assured && tcp.last_index == kAck)) &&
      s.ack == tcp.last_end) {
    return ResetVerdict::kAccept;  // answers what was let through before
  }
  if (tcp.state == TcpState::kSynSent && tcp.last_index == kAck &&
      tcp.last_direction == 1 && s.seq == tcp.last_ack) {
    return ResetVerdict::kAccept;  // answers a challenge ACK
  }
  return verdict;
}

// A segment that is let through without believing it. True if it is a SYN-ACK
// that answers such a SYN: the two ends agree, and the entry follows them.
bool Ignore(const TcpSegment& s, int direction, Index index, TcpTracking& tcp) {
  if (index == kSynAck && tcp.last_index == kSyn &&
      tcp.last_direction != direction && s.ack == tcp.last_end) {
    TcpTracking::Side& other = tcp.seen[tcp.last_direction];
    other = TcpTracking::Side();
    other.end = other.max_end = tcp.last_end;
    other.max_window = std::max<uint32_t>(tcp.last_window, 1);
    const bool liberal = tcp.seen[direction].liberal;
    tcp.seen[direction] = TcpTracking::Side();
    tcp.seen[direction].liberal = liberal;
    tcp.expect_challenge_ack = false;
    tcp.state = TcpState::kSynSent;
    return true;
  }
  tcp.last_index = index;
  tcp.last_direction = static_cast<uint8_t>(direction);
  tcp.last_seq = s.seq;
  tcp.last_end = EndOf(s);
  tcp.last_window = s.window;
  if (index == kSyn && direction == 0) {
    tcp.expect_challenge_ack = tcp.state == TcpState::kLastAck;
  }
  if (tcp.state == TcpState::kSynSent && index == kAck && direction == 1) {
    tcp.last_ack = s.ack;
  }
  return false;
}

}  // namespace

bool TcpFlagsAreInvalid(uint8_t flags) {
  // ECE, CWR and PSH are always fine.
  switch (flags & ~(kTcpEce | kTcpCwr | kTcpPsh)) {
    case kTcpSyn:
    case kTcpSyn | kTcpUrg:
    case kTcpSyn | kTcpAck:
    case kTcpRst:
    case kTcpRst | kTcpAck:
    case kTcpFin | kTcpAck:
    case kTcpFin | kTcpAck | kTcpUrg:
    case kTcpAck:
    case kTcpAck | kTcpUrg:
      return false;
    default:
      return true;
  }
}

bool TrackNewTcp(const TcpSegment& segment, const TcpOptions& options,
                 TcpTracking& tcp) {
  const uint8_t move = Move(0, IndexOf(segment.flags), TcpState::kNone);
  if (move >= kInvalidMove) return false;
  const bool opens = static_cast<TcpState>(move) == TcpState::kSynSent;
  if (!opens && !options.loose) return false;
  tcp = TcpTracking();
  tcp.last_index = kNothing;
  TcpTracking::Side& sender = tcp.seen[0];
  sender.end = EndOf(segment);
  sender.max_window = Window(segment);
  sender.max_end = sender.end + (opens ? 0 : sender.max_window);
  if (!opens) tcp.seen[0].liberal = tcp.seen[1].liberal = true;
  return true;
}

TcpResult TrackTcp(const TcpSegment& segment, int direction, bool seen_reply,
                   bool assured, const TcpOptions& options, TcpTracking& tcp) {
  TcpResult result;
  const Index index = IndexOf(segment.flags);
  result.reset = index == kRst;
  result.before = result.after = tcp.state;
  const uint8_t move = Move(direction, index, tcp.state);
  if (move == kInvalidMove) return result;
  bool check_window = true;
  bool ignore = move == kIgnoreMove;
  TcpState next = ignore ? tcp.state : static_cast<TcpState>(move);
  if (!ignore && next == TcpState::kSynSent &&
      tcp.state >= TcpState::kTimeWait) {
    if (tcp.seen[0].close_init || tcp.seen[1].close_init ||
        (tcp.last_direction == direction && tcp.last_index == kRst)) {
      result.verdict = TcpVerdict::kReopen;
      return result;
    }
    ignore = true;
  }
  if (ignore) {
    if (!Ignore(segment, direction, index, tcp)) {
      result.verdict = TcpVerdict::kIgnored;
      return result;
    }
    result.before = TcpState::kSynSent;
    next = TcpState::kSynRecv;
  } else if (next == TcpState::kTimeWait) {
    if (tcp.state == TcpState::kLastAck && index == kAck &&
        tcp.last_direction != direction && tcp.last_index == kSyn &&
        tcp.expect_challenge_ack) {
      tcp.expect_challenge_ack = false;
      result.verdict = TcpVerdict::kIgnored;
      return result;
    }
  } else if (next == TcpState::kSynSent2) {
    tcp.simultaneous_open = true;
  } else if (next == TcpState::kSynRecv) {
    if (direction == 1 && index == kAck && tcp.simultaneous_open) {
      next = TcpState::kEstablished;
    }
  } else if (next == TcpState::kClose && index == kRst) {
    switch (JudgeReset(segment, direction, seen_reply, assured, tcp)) {
      case ResetVerdict::kCheckWindow:
        break;
      case ResetVerdict::kAccept:
        check_window = false;
        break;
      case ResetVerdict::kKeepState:
        next = tcp.state;
        break;
      case ResetVerdict::kInvalid:
        return result;
    }
  }
  if (check_window) {
    switch (
        WindowCheck(segment, direction, index, options.be_liberal, tcp).Run()) {
      case WindowVerdict::kAccept:
        break;
      case WindowVerdict::kIgnore:
        result.verdict = TcpVerdict::kIgnored;
        return result;
      case WindowVerdict::kInvalid:
        return result;
    }
  }
  tcp.last_index = index;
  tcp.last_direction = static_cast<uint8_t>(direction);
  result.syn_again =
      index == kSyn && result.before == TcpState::kSynSent && !seen_reply;
  tcp.state = next;
  if (result.before != next && next == TcpState::kFinWait) {
    tcp.seen[direction].close_init = true;
  }
  result.after = next;
  result.verdict = TcpVerdict::kValid;
  return result;
}

TcpResult TrackOpeningTcp(const TcpSegment& segment, TcpTracking& tcp) {
  TcpTracking::Side& sender = tcp.seen[0];
  sender.end = sender.max_end = EndOf(segment);
  sender.max_window = Window(segment);
  tcp.seen[1].max_end = Window(segment);
  tcp.last_index = kSyn;
  tcp.state = TcpState::kSynSent;
  TcpResult result;
  result.verdict = TcpVerdict::kValid;
  result.after = TcpState::kSynSent;
  return result;
}

int TcpTimeout(const TcpTracking& tcp, const TcpResult& result) {
  static constexpr int kSeconds[] = {10, 120, 60,  432000, 120,
                                     60, 30,  120, 10,     120};
  constexpr int kRetransmitted = 300;
  const int normal = kSeconds[static_cast<int>(result.after)];
  const bool unacknowledged =
      tcp.seen[0].unacknowledged || tcp.seen[1].unacknowledged;
  if (result.reset) return kSeconds[static_cast<int>(TcpState::kClose)];
  if (tcp.retransmissions >= 3 || unacknowledged || tcp.last_window == 0) {
    return std::min(normal, kRetransmitted);
  }
  return normal;
}

}  // namespace k8sdns::dataplane
