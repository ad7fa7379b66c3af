#include "k8sdns/dns/zone.h"

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "k8sdns/dns/domain_name.h"
#include "k8sdns/dns/zone_server.h"

namespace k8sdns::dns {

Zone::Zone(std::unique_ptr<const Server> server) : server_(std::move(server)) {}
Zone::Zone(Zone&&) noexcept = default;
Zone& Zone::operator=(Zone&&) noexcept = default;
Zone::~Zone() = default;

absl::StatusOr<Zone> Zone::Create(const Cluster& cluster,
                                  const CoreDnsOptions& options,
                                  Upstream upstream) {
  auto server = MakeCoreDnsServer(cluster, options, std::move(upstream));
  if (!server.ok()) return server.status();
  return Zone(*std::move(server));
}

absl::StatusOr<Zone> Zone::Create(const Cluster& cluster,
                                  const KubeDnsOptions& options,
                                  Upstream upstream) {
  auto server = MakeKubeDnsServer(cluster, options, std::move(upstream));
  if (!server.ok()) return server.status();
  return Zone(*std::move(server));
}

absl::StatusOr<DnsResponse> Zone::Answer(const DnsQuestion& question) const {
  DnsResponse response;
  if (IsNormalName(question.name)) {
    response = server_->Answer(question);
  } else {
    absl::StatusOr<std::string> name = NormalizeName(question.name);
    if (!name.ok()) return name.status();
    DnsQuestion normalized = question;
    normalized.name = *std::move(name);
    response = server_->Answer(normalized);
  }
  if (!IsEncodable(response, question.name)) return DnsResponse::NoReply();
  return response;
}

bool IsEncodable(const DnsResponse& response, absl::string_view known_good) {
  // Neighbouring records often have the same owner.
  absl::string_view last = known_good;
  const auto encodable = [&](absl::string_view name) {
    if (name == last) return true;
    last = name;
    return IsEncodable(name);
  };
  for (const auto* section :
       {&response.answer, &response.authority, &response.additional}) {
    for (const ResourceRecord& record : *section) {
      if (!encodable(record.owner)) return false;
      const auto* name = std::get_if<NameData>(&record.data);
      if (name != nullptr && !IsEncodable(name->name)) return false;
      const auto* srv = std::get_if<SrvData>(&record.data);
      if (srv != nullptr && !IsEncodable(srv->target)) return false;
    }
  }
  return true;
}

}  // namespace k8sdns::dns
