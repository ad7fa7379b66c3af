// How glibc sends one or two queries and waits: res_send.c. Private to this
// package.
#ifndef K8SDNS_DNS_GLIBC_SEND_H_
#define K8SDNS_DNS_GLIBC_SEND_H_

#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "k8sdns/dns/resolver.h"
#include "k8sdns/dns/resolver_world.h"

namespace k8sdns::dns {

// The values of errno that decide what happens next.
enum class GlibcErrno { kNone, kConnRefused, kTimedOut, kMessageSize };

// One of the two answer buffers. The header stays from the last packet that
// was stored, also when the call then fails: res_search() looks at it.
struct GlibcBuffer {
  // Bytes that the caller may use: 0 none, 1 the mark for an answer that never
  // came, kWholeMessage an answer.
  int length = 0;
  Answer answer;
  OutgoingQuery query;
};
inline constexpr int kWholeMessage = 512;

// The state that lives as long as the process: sockets, and the options that
// glibc sets itself after a timeout.
class GlibcSender {
 public:
  GlibcSender(const ResolverSettings& settings, uint32_t rotate_start,
              ResolverWorld& world);

  // __res_context_send(). `queries` has one or two elements. Returns the
  // length of the first answer, which may be 0 if there is a second one, or -1
  // with error() set.
  int Send(const std::vector<OutgoingQuery>& queries, GlibcBuffer& first,
           GlibcBuffer& second);
  GlibcErrno error() const { return error_; }
  void clear_error() { error_ = GlibcErrno::kNone; }
  void set_error(GlibcErrno error) { error_ = error; }
  // A random number decided which server came first.
  bool rotated() const { return rotated_; }

 private:
  enum class Turn { kReturn, kRetry, kReopen };

  struct Exchange {
    const std::vector<OutgoingQuery>& queries;
    GlibcBuffer& first;
    GlibcBuffer& second;
    bool two() const { return queries.size() == 2; }
  };
  struct Arrival {
    size_t query;
    Answer answer;
  };

  size_t ServerOffset();
  int SendDatagrams(size_t ns, Exchange& x, bool& tcp, bool& got_somewhere);
  // One round of send_dg(): from the first packet to an answer or a timeout.
  Turn Round(size_t ns, Exchange& x, absl::Duration timeout, bool& tcp,
             bool& got_somewhere, int& length);
  Turn TimedOut(Exchange& x, bool got_first, bool& got_somewhere,
                bool saved_got_somewhere, int& length);
  int SendStream(size_t ns, Exchange& x);
  bool Reopen(size_t ns);
  void CloseAll();

  const ResolverSettings& settings_;
  ResolverWorld& world_;
  std::vector<int> sockets_;  // -1: closed
  bool single_request_;
  bool single_request_reopen_;
  uint32_t offset_;
  bool rotated_ = false;
  GlibcErrno error_ = GlibcErrno::kNone;
  GlibcErrno stream_error_ = GlibcErrno::kTimedOut;
};

}  // namespace k8sdns::dns

#endif  // K8SDNS_DNS_GLIBC_SEND_H_
