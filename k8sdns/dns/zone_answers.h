// A cluster's DNS server as the world of a resolver: what makes a name search
// (resolver.h) run against a Zone.
//
//   LookupTranscript t = Resolve(call, host, library,
//                                ZoneAnswers(zone, {vip}, pod_address));
#ifndef K8SDNS_DNS_ZONE_ANSWERS_H_
#define K8SDNS_DNS_ZONE_ANSWERS_H_

#include <vector>

#include "k8sdns/dns/message.h"
#include "k8sdns/dns/resolver.h"
#include "k8sdns/dns/zone.h"
#include "k8sdns/net/ip_address.h"

namespace k8sdns::dns {

// A resolver's query as the question that a server at the other end reads.
// `client` is the address that the server sees.
DnsQuestion ToDnsQuestion(const Question& query, IpAddress client);

// What a resolver sees of a reply. Records other than A, AAAA and CNAME keep
// their type and size only.
Answer ToAnswer(const DnsResponse& response);

// Answers queries that go to one of `servers` from `zone`, which must outlive
// the result; others get no reply. `client` is the address that the server
// sees.
AnswerSource ZoneAnswers(const Zone& zone, std::vector<IpAddress> servers,
                         IpAddress client);

}  // namespace k8sdns::dns

#endif  // K8SDNS_DNS_ZONE_ANSWERS_H_
