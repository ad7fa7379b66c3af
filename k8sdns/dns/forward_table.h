// A table of records that answers like a recursive resolver: what a DNS server
// forwards to in tests and models.
//
//   ForwardTable upstream;
//   upstream.Add({"www.example.com.", 300, RecordType::kA,
//                 *IpAddress::Parse("203.0.113.80")});
//   Zone zone = *Zone::Create(cluster, CoreDnsOptions{}, upstream);
#ifndef K8SDNS_DNS_FORWARD_TABLE_H_
#define K8SDNS_DNS_FORWARD_TABLE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "k8sdns/dns/message.h"

namespace k8sdns::dns {

// Copyable; const calls are thread-safe.
class ForwardTable {
 public:
  // Owner names are found in any case and answered as they were added.
  void Add(ResourceRecord record);

  // Stands in the authority section of negative answers.
  void SetSoa(ResourceRecord soa) { soa_ = std::move(soa); }

  // Questions over TCP get no reply.
  void set_tcp(bool tcp) { tcp_ = tcp; }

  // Follows CNAME records inside the table. A name without records does not
  // exist, even if there are names below it.
  DnsResponse Answer(const DnsQuestion& question) const;
  DnsResponse operator()(const DnsQuestion& question) const {
    return Answer(question);
  }

 private:
  // By owner in lower case.
  absl::flat_hash_map<std::string, std::vector<ResourceRecord>> records_;
  std::optional<ResourceRecord> soa_;
  bool tcp_ = true;
};

}  // namespace k8sdns::dns

#endif  // K8SDNS_DNS_FORWARD_TABLE_H_
