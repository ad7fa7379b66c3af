#include "k8sdns/dns/zone_answers.h"

#include <utility>
#include <variant>

#include "absl/algorithm/container.h"
#include "absl/status/statusor.h"

namespace k8sdns::dns {
namespace {

AnswerRecord ToRecord(const ResourceRecord& record) {
  AnswerRecord out;
  out.owner = record.owner;
  out.type = static_cast<uint16_t>(record.type);
  if (const auto* ip = std::get_if<IpAddress>(&record.data)) {
    out.address = *ip;
  } else if (const auto* name = std::get_if<NameData>(&record.data)) {
    out.target = name->name;
  } else {
    out.data_size = static_cast<int>(record.DataToString().size());
  }
  return out;
}

}  // namespace

DnsQuestion ToDnsQuestion(const Question& query, IpAddress client) {
  DnsQuestion question;
  question.name = query.name;
  question.type = static_cast<RecordType>(query.type);
  question.transport = query.transport == Transport::kTcp ? DnsTransport::kTcp
                                                          : DnsTransport::kUdp;
  if (query.flags.edns_size.has_value()) {
    question.edns_udp_size = static_cast<uint16_t>(*query.flags.edns_size);
  }
  question.client = client;
  return question;
}

Answer ToAnswer(const DnsResponse& response) {
  if (response.outcome == DnsResponse::Outcome::kNoReply) {
    return Answer::Timeout();
  }
  Answer answer = Answer::WithRcode(static_cast<int>(response.rcode));
  answer.authoritative = response.authoritative;
  answer.recursion_available = response.recursion_available;
  answer.truncated = response.truncated;
  answer.records.clear();
  for (const ResourceRecord& record : response.answer) {
    answer.records.push_back(ToRecord(record));
  }
  answer.authority_records = static_cast<int>(response.authority.size());
  answer.additional_records = static_cast<int>(response.additional.size()) +
                              (response.edns_udp_size.has_value() ? 1 : 0);
  return answer;
}

AnswerSource ZoneAnswers(const Zone& zone, std::vector<IpAddress> servers,
                         IpAddress client) {
  return [&zone, servers = std::move(servers),
          client](const Question& query) -> Answer {
    if (!absl::c_linear_search(servers, query.server)) {
      return Answer::Timeout();
    }
    const absl::StatusOr<DnsResponse> response =
        zone.Answer(ToDnsQuestion(query, client));
    // A name that cannot stand in a message does not reach a server.
    if (!response.ok()) return Answer::Timeout();
    return ToAnswer(*response);
  };
}

}  // namespace k8sdns::dns
