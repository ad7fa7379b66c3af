#include "k8sdns/dns/forward_table.h"

#include <string>
#include <utility>
#include <variant>

#include "absl/strings/ascii.h"
#include "k8sdns/dns/domain_name.h"

namespace k8sdns::dns {

void ForwardTable::Add(ResourceRecord record) {
  record.owner = Fqdn(record.owner);
  records_[absl::AsciiStrToLower(record.owner)].push_back(std::move(record));
}

DnsResponse ForwardTable::Answer(const DnsQuestion& question) const {
  if (question.transport == DnsTransport::kTcp && !tcp_) {
    return DnsResponse::NoReply();
  }
  DnsResponse response;
  response.recursion_available = true;
  std::string name = absl::AsciiStrToLower(Fqdn(question.name));
  // A chain longer than the table is a loop.
  for (size_t hops = 0; hops <= records_.size(); ++hops) {
    auto found = records_.find(name);
    if (found == records_.end()) {
      response.rcode = Rcode::kNxDomain;
      break;
    }
    const ResourceRecord* alias = nullptr;
    bool matched = false;
    for (const ResourceRecord& record : found->second) {
      if (record.type == question.type || question.type == RecordType::kAny) {
        response.answer.push_back(record);
        matched = true;
      } else if (record.type == RecordType::kCname) {
        alias = &record;
      }
    }
    if (matched || alias == nullptr) break;
    response.answer.push_back(*alias);
    name = absl::AsciiStrToLower(std::get<NameData>(alias->data).name);
  }
  const bool negative =
      response.answer.empty() || response.rcode == Rcode::kNxDomain;
  if (negative && soa_) response.authority.push_back(*soa_);
  return response;
}

}  // namespace k8sdns::dns
