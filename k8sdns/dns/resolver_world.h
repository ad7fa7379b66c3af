// The simulated world around one call: clock, sockets, the servers, and the
// record of what was sent. Private to this package.
#ifndef K8SDNS_DNS_RESOLVER_WORLD_H_
#define K8SDNS_DNS_RESOLVER_WORLD_H_

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "absl/time/time.h"
#include "k8sdns/dns/query_name.h"
#include "k8sdns/dns/resolv_conf.h"
#include "k8sdns/dns/resolver.h"

namespace k8sdns::dns {

// A question on its way out.
struct OutgoingQuery {
  uint16_t type = kTypeA;
  Labels labels;
  std::string malformed;  // see SentQuery::malformed
  QueryFlags flags;
};

class ResolverWorld {
 public:
  ResolverWorld(const AnswerSource& answers, absl::Duration patience)
      : answers_(answers), patience_(patience) {}
  ResolverWorld(const ResolverWorld&) = delete;
  ResolverWorld& operator=(const ResolverWorld&) = delete;

  absl::Duration now() const { return now_; }
  void Advance(absl::Duration d) { now_ += d; }
  // Go back in time: concurrent threads are run one after the other.
  void Rewind(absl::Duration t) { now_ = t; }
  void AdvanceTo(absl::Duration t) {
    if (t > now_) now_ = t;
  }
  // The observer has given up; nothing that is sent from now on is seen.
  bool out_of_patience() const { return now_ >= patience_; }
  absl::Duration patience() const { return patience_; }
  // Wait for ever.
  void Hang() { now_ = absl::InfiniteDuration(); }

  int NewSocket() { return sockets_++; }

  // Sends at now() and returns what comes back. Servers behind an interface
  // that does not exist cannot be sent to.
  Answer Send(int socket, const NameServer& server, Transport transport,
              const OutgoingQuery& query);

  // The queries so far, with internal socket numbers and absolute times; a
  // library that asks concurrently reorders them.
  std::vector<SentQuery>& queries() { return queries_; }
  // Numbers sockets by appearance, makes times relative to the first query.
  std::vector<SentQuery> TakeQueries();

 private:
  const AnswerSource& answers_;
  const absl::Duration patience_;
  absl::Duration now_ = absl::ZeroDuration();
  int sockets_ = 0;
  std::vector<SentQuery> queries_;
  std::map<std::tuple<IpAddress, Transport, uint16_t, std::string>, int> nth_;
};

}  // namespace k8sdns::dns

#endif  // K8SDNS_DNS_RESOLVER_WORLD_H_
