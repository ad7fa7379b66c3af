#include "k8sdns/dns/resolver_world.h"

#include <utility>

#include "absl/strings/ascii.h"

namespace k8sdns::dns {

Answer ResolverWorld::Send(int socket, const NameServer& server,
                           Transport transport, const OutgoingQuery& query) {
  if (server.bad_zone) return Answer::Unreachable();
  if (out_of_patience()) return Answer::Timeout();
  SentQuery sent;
  sent.time = now_;
  sent.server = server.address;
  sent.transport = transport;
  sent.socket = socket;
  sent.type = query.type;
  sent.flags = query.flags;
  sent.malformed = query.malformed;
  if (!query.malformed.empty()) {
    queries_.push_back(std::move(sent));
    return Answer::WithRcode(1);
  }
  sent.name = ShowName(query.labels);
  Question question;
  question.server = server.address;
  question.transport = transport;
  question.type = query.type;
  question.name = sent.name;
  question.flags = query.flags;
  question.nth = ++nth_[{server.address, transport, query.type,
                         absl::AsciiStrToLower(sent.name)}];
  queries_.push_back(std::move(sent));
  return answers_(question);
}

std::vector<SentQuery> ResolverWorld::TakeQueries() {
  std::map<int, int> numbers;
  const absl::Duration start =
      queries_.empty() ? absl::ZeroDuration() : queries_.front().time;
  for (SentQuery& q : queries_) {
    q.time -= start;
    q.socket = numbers.emplace(q.socket, numbers.size()).first->second;
  }
  return std::move(queries_);
}

}  // namespace k8sdns::dns
