#include "k8sdns/dns/glibc_send.h"

#include <deque>
#include <utility>

namespace k8sdns::dns {
namespace {

constexpr int kServFail = 2;
constexpr int kNotImp = 4;
constexpr int kRefused = 5;

// send_dg() goes to the next server for these.
bool IsUseless(const Answer& a) {
  if (a.rcode == kServFail || a.rcode == kNotImp || a.rcode == kRefused) {
    return true;
  }
  return a.rcode == 0 && a.records.empty() && !a.authoritative &&
         !a.recursion_available && a.additional_records == 0;
}

// "timeout << ns / number of servers", at least a second.
absl::Duration WaitFor(const ResolverSettings& settings, size_t ns) {
  int seconds = settings.timeout_seconds * (1 << ns);
  if (ns > 0) seconds /= static_cast<int>(settings.servers.size());
  if (seconds <= 0) seconds = 1;
  return absl::Seconds(seconds);
}

}  // namespace

GlibcSender::GlibcSender(const ResolverSettings& settings,
                         uint32_t rotate_start, ResolverWorld& world)
    : settings_(settings),
      world_(world),
      sockets_(settings.servers.size(), -1),
      single_request_(settings.single_request),
      single_request_reopen_(settings.single_request_reopen),
      offset_(rotate_start) {}

size_t GlibcSender::ServerOffset() {
  if (!settings_.rotate || settings_.servers.size() < 2) return 0;
  rotated_ = true;
  return offset_++ % settings_.servers.size();
}

int GlibcSender::Send(const std::vector<OutgoingQuery>& queries,
                      GlibcBuffer& first, GlibcBuffer& second) {
  Exchange x{queries, first, second};
  first.query = queries[0];
  bool tcp = settings_.use_vc;
  bool got_somewhere = false;
  stream_error_ = GlibcErrno::kTimedOut;
  const size_t servers = settings_.servers.size();
  const size_t offset = ServerOffset();
  for (int attempt = 0; attempt < settings_.attempts; ++attempt) {
    for (size_t shift = 0; shift < servers; ++shift) {
      const size_t ns = (shift + offset) % servers;
      int n = 0;
      if (!tcp) {
        n = SendDatagrams(ns, x, tcp, got_somewhere);
        // A truncated answer is asked for again over TCP, both types if two.
        if (n == 0 && second.length == 0) continue;
      }
      if (tcp) {
        attempt = settings_.attempts;  // at most once for each server
        n = SendStream(ns, x);
        if (n == 0 && second.length == 0) continue;
      }
      if (world_.out_of_patience()) return -1;
      CloseAll();
      return n;
    }
  }
  CloseAll();
  error_ =
      tcp ? stream_error_
          : (got_somewhere ? GlibcErrno::kTimedOut : GlibcErrno::kConnRefused);
  return -1;
}

int GlibcSender::SendDatagrams(size_t ns, Exchange& x, bool& tcp,
                               bool& got_somewhere) {
  const absl::Duration timeout = WaitFor(settings_, ns);
  int length = 0;
  Turn turn = Turn::kReopen;
  while (turn != Turn::kReturn) {
    if (turn == Turn::kReopen && !Reopen(ns)) {
      x.second.length = 0;
      return 0;
    }
    turn = Round(ns, x, timeout, tcp, got_somewhere, length);
  }
  return length;
}

GlibcSender::Turn GlibcSender::Round(size_t ns, Exchange& x,
                                     absl::Duration timeout, bool& tcp,
                                     bool& got_somewhere, int& length) {
  const bool saved_got_somewhere = got_somewhere;
  const bool one_by_one = single_request_ || single_request_reopen_;
  const absl::Duration finish = world_.now() + timeout;
  std::deque<Arrival> arrivals;
  const auto send = [&](size_t i) {
    Answer a = world_.Send(sockets_[ns], settings_.servers[ns], Transport::kUdp,
                           x.queries[i]);
    if (a.fate != Answer::Fate::kNoReply) arrivals.push_back({i, std::move(a)});
  };
  const auto give_up = [&] {
    CloseAll();
    x.second.length = 0;
    length = 0;
    return Turn::kReturn;
  };
  bool got[2] = {false, !x.two()};
  send(0);
  if (x.two() && !one_by_one) send(1);
  while (true) {
    const bool got_first = got[0] || (x.two() && got[1]);
    if (arrivals.empty()) {
      world_.AdvanceTo(finish);
      return TimedOut(x, got_first, got_somewhere, saved_got_somewhere, length);
    }
    error_ = GlibcErrno::kNone;
    Arrival arrival = std::move(arrivals.front());
    arrivals.pop_front();
    if (arrival.answer.fate == Answer::Fate::kUnreachable) return give_up();
    got_somewhere = true;
    GlibcBuffer& buffer = got_first ? x.second : x.first;
    buffer.answer = std::move(arrival.answer);
    buffer.query = x.queries[arrival.query];
    buffer.length = kWholeMessage;
    if (!got_first) length = kWholeMessage;
    if (IsUseless(buffer.answer)) {
      if (got_first) {
        x.second.length = 0;
        return Turn::kReturn;
      }
      if (!x.two() || one_by_one) return give_up();
      // Wait for the other answer.
      length = 0;
      got[arrival.query] = true;
      continue;
    }
    if (buffer.answer.truncated) {
      tcp = true;
      CloseAll();
      x.second.length = 0;
      length = 1;
      return Turn::kReturn;
    }
    got[arrival.query] = true;
    if (got[0] && got[1]) return Turn::kReturn;
    if (one_by_one) {
      if (single_request_reopen_) {
        CloseAll();
        if (!Reopen(ns)) return give_up();
      }
      send(1);
    }
  }
}

GlibcSender::Turn GlibcSender::TimedOut(Exchange& x, bool got_first,
                                        bool& got_somewhere,
                                        bool saved_got_somewhere, int& length) {
  // One answer of two: some servers and firewalls cannot take two queries from
  // one source. From now on, for the rest of the process, ask one by one; if
  // that does not help either, from two sockets.
  if (length > 1 && got_first) {
    if (!single_request_ && !single_request_reopen_) {
      single_request_ = true;
      got_somewhere = saved_got_somewhere;
      return Turn::kRetry;
    }
    if (!single_request_reopen_) {
      single_request_reopen_ = true;
      got_somewhere = saved_got_somewhere;
      CloseAll();
      return Turn::kReopen;
    }
    x.second.length = 1;
    return Turn::kReturn;
  }
  got_somewhere = true;
  x.second.length = 0;
  length = 0;
  return Turn::kReturn;
}

int GlibcSender::SendStream(size_t ns, Exchange& x) {
  const auto fail = [&](GlibcErrno error) {
    stream_error_ = error;
    CloseAll();
    x.second.length = 0;
    return 0;
  };
  CloseAll();
  error_ = GlibcErrno::kNone;
  const int socket = world_.NewSocket();
  std::vector<Answer> answers;
  for (const OutgoingQuery& q : x.queries) {
    answers.push_back(
        world_.Send(socket, settings_.servers[ns], Transport::kTcp, q));
  }
  for (size_t i = 0; i < answers.size(); ++i) {
    if (answers[i].fate == Answer::Fate::kUnreachable) {
      return fail(GlibcErrno::kConnRefused);
    }
    if (answers[i].fate == Answer::Fate::kNoReply) {
      world_.Hang();  // read() without a timeout
      return -1;
    }
    GlibcBuffer& buffer = i == 0 ? x.first : x.second;
    buffer.answer = std::move(answers[i]);
    buffer.query = x.queries[i];
    buffer.length = kWholeMessage;
  }
  return kWholeMessage;
}

bool GlibcSender::Reopen(size_t ns) {
  if (settings_.servers[ns].bad_zone) return false;  // connect() fails
  if (sockets_[ns] < 0) sockets_[ns] = world_.NewSocket();
  return true;
}

void GlibcSender::CloseAll() {
  for (int& s : sockets_) s = -1;
}

}  // namespace k8sdns::dns
