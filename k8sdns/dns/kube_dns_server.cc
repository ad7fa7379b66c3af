// kube-dns 1.26: the SkyDNS server in front of the tree of records.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "k8sdns/dns/domain_name.h"
#include "k8sdns/dns/kube_dns_tree.h"
#include "k8sdns/dns/message_size.h"
#include "k8sdns/dns/zone_server.h"

namespace k8sdns::dns {
namespace {

constexpr uint32_t kTtl = 30;
constexpr uint32_t kNegativeTtl = 60;
constexpr uint32_t kSoaTtl = 3600;
// What answers of other servers are set to.
constexpr uint32_t kLookupTtl = 60;
constexpr size_t kMaxCnames = 7;
constexpr size_t kMinForwardedLabels = 2;
constexpr absl::string_view kVersion = "2.5.3a";  // of SkyDNS

// How a lookup in the tree ended.
enum class Found {
  kRecords,
  kNoName,    // becomes NXDOMAIN
  kBadPodIp,  // an error of its own, which becomes NODATA
};

struct Lookup {
  Found found = Found::kNoName;
  std::vector<TreeRecord> records;
};

ResourceRecord AddressRecord(absl::string_view owner, const IpAddress& ip) {
  return {std::string(owner), kTtl,
          ip.is_v4() ? RecordType::kA : RecordType::kAaaa, ip};
}

// The address that a reverse name stands for, as Go prints it.
std::optional<std::string> AddressOfReverse(absl::string_view name) {
  if (auto ip = AddressOfIn4Arpa(name)) return ip->ToString();
  constexpr absl::string_view kSuffix = ".ip6.arpa.";
  constexpr size_t kNibbles = 32;
  if (!absl::EndsWith(name, kSuffix)) return std::nullopt;
  NameLabels labels = SplitLabels(name.substr(0, name.size() - kSuffix.size()));
  if (labels.size() != kNibbles) return std::nullopt;
  std::reverse(labels.begin(), labels.end());
  std::string text;
  for (size_t i = 0; i < kNibbles; i += 4) {
    absl::StrAppend(&text, i == 0 ? "" : ":", labels[i], labels[i + 1],
                    labels[i + 2], labels[i + 3]);
  }
  const std::optional<IpAddress> ip = ParseGoIp(text);
  if (!ip.has_value()) return std::nullopt;
  return ip->ToString();
}

// True for the addresses of one name, none of them twice: most answers.
bool AreDistinctAddresses(const std::vector<ResourceRecord>& records) {
  absl::flat_hash_set<IpAddress> seen;
  seen.reserve(records.size());
  for (const ResourceRecord& record : records) {
    const auto* ip = std::get_if<IpAddress>(&record.data);
    if (ip == nullptr || record.owner != records[0].owner ||
        !seen.insert(*ip).second) {
      return false;
    }
  }
  return true;
}

// Removes records that are there twice; of several CNAME records of one owner,
// the last one stays.
void Deduplicate(std::vector<ResourceRecord>& records) {
  if (records.size() < 2) return;
  if (AreDistinctAddresses(records)) return;
  absl::flat_hash_map<std::string, size_t> places;
  places.reserve(records.size());
  std::vector<ResourceRecord> unique;
  for (ResourceRecord& record : records) {
    const std::string key =
        record.type == RecordType::kCname
            ? absl::StrCat(record.owner, " CNAME")
            : absl::StrCat(record.owner, " ", RecordTypeName(record.type), " ",
                           record.DataToString());
    const auto [place, added] = places.try_emplace(key, unique.size());
    if (added) {
      unique.push_back(std::move(record));
    } else {
      unique[place->second] = std::move(record);
    }
  }
  records = std::move(unique);
}

class KubeDnsServer : public Zone::Server {
 public:
  KubeDnsServer(KubeDnsTree tree, Upstream upstream)
      : tree_(std::move(tree)), upstream_(std::move(upstream)) {}

  DnsResponse Answer(const DnsQuestion& question) const override;

 private:
  // The targets of the CNAME records so far.
  using Targets = std::vector<std::string>;

  Lookup Find(absl::string_view name, OwnNames own_names) const;
  Lookup FindExact(absl::string_view name) const;
  Lookup FindAt(absl::string_view name, OwnNames own_names, bool exact) const;
  DnsResponse Forward(const DnsQuestion& question) const;
  DnsResponse Reverse(const DnsQuestion& question,
                      absl::string_view name) const;
  DnsResponse Chaos(const DnsQuestion& question, absl::string_view name) const;
  void AnswerFromTree(const DnsQuestion& question, const std::string& name,
                      DnsResponse& response) const;
  // Answers of another server for a name that leads out of the domain;
  // nullopt if there are none to be had.
  std::optional<std::vector<ResourceRecord>> LookUp(const DnsQuestion& question,
                                                    const std::string& name,
                                                    RecordType type) const;
  // Both families if `both`, else the question's.
  Found AddAddresses(const DnsQuestion& question, absl::string_view owner,
                     absl::string_view name, bool both, Targets& targets,
                     std::vector<ResourceRecord>& out) const;
  void AddAlias(const DnsQuestion& question, absl::string_view owner,
                const std::string& host, bool both, Targets& targets,
                std::vector<ResourceRecord>& out) const;
  void AddPorts(const DnsQuestion& question, const Lookup& lookup,
                DnsResponse& response) const;
  ResourceRecord Soa(uint32_t ttl) const;
  DnsResponse NameError() const;

  KubeDnsTree tree_;
  Upstream upstream_;
};

ResourceRecord KubeDnsServer::Soa(uint32_t ttl) const {
  SoaData soa;
  soa.mname = absl::StrCat("ns.dns.", tree_.domain());
  soa.rname = absl::StrCat("hostmaster.", tree_.domain());
  soa.serial = 0;  // the hour of the answer
  soa.refresh = 28800;
  soa.retry = 7200;
  soa.expire = 604800;
  soa.minimum = kNegativeTtl;
  return {tree_.domain(), ttl, RecordType::kSoa, std::move(soa)};
}

DnsResponse KubeDnsServer::NameError() const {
  DnsResponse response;
  response.rcode = Rcode::kNxDomain;
  response.authority.push_back(Soa(kNegativeTtl));
  return response;
}

Lookup KubeDnsServer::Find(absl::string_view name, OwnNames own_names) const {
  return FindAt(name, own_names, false);
}

Lookup KubeDnsServer::FindExact(absl::string_view name) const {
  return FindAt(name, OwnNames::kNo, true);
}

Lookup KubeDnsServer::FindAt(absl::string_view name, OwnNames own_names,
                             bool exact) const {
  while (absl::EndsWith(name, ".")) name.remove_suffix(1);
  // Labels from the root down; this server does not know escapes.
  absl::InlinedVector<absl::string_view, 8> path;
  for (size_t end = name.size(); end != name.npos;) {
    const size_t dot = end == 0 ? name.npos : name.rfind('.', end - 1);
    const size_t start = dot == name.npos ? 0 : dot + 1;
    path.push_back(name.substr(start, end - start));
    end = dot;
  }
  Lookup lookup;
  // A Pod's record needs no Pod; only its place and its label count. The
  // domain is not compared.
  if (path.size() == tree_.domain_labels() + 3 &&
      path[tree_.domain_labels()] == "pod" &&
      !absl::c_linear_search(path, "*")) {
    const std::string ip = absl::StrReplaceAll(path.back(), {{"-", "."}});
    TreeRecord record;
    record.address = ParseGoIp(ip);
    if (!record.address.has_value()) {
      lookup.found = Found::kBadPodIp;
      return lookup;
    }
    lookup.records.push_back(std::move(record));
  } else if (exact) {
    if (auto record = tree_.FindExact(path)) {
      lookup.records.push_back(*std::move(record));
    }
  } else {
    lookup.records = tree_.Find(path, own_names);
  }
  if (!lookup.records.empty()) lookup.found = Found::kRecords;
  return lookup;
}

DnsResponse KubeDnsServer::Forward(const DnsQuestion& question) const {
  if (upstream_ == nullptr ||
      CountLabels(question.name) < kMinForwardedLabels) {
    DnsResponse failure;
    failure.rcode = Rcode::kServFail;
    failure.recursion_available = true;
    return failure;
  }
  return upstream_(question);
}

DnsResponse KubeDnsServer::Reverse(const DnsQuestion& question,
                                   absl::string_view name) const {
  const std::optional<std::string> address = AddressOfReverse(name);
  const std::string* target =
      address.has_value() ? tree_.FindReverse(*address) : nullptr;
  if (target == nullptr) return Forward(question);
  DnsResponse response;
  response.recursion_available = true;
  response.answer.push_back(
      {question.name, kTtl, RecordType::kPtr, NameData{*target}});
  return response;
}

DnsResponse KubeDnsServer::Chaos(const DnsQuestion& question,
                                 absl::string_view name) const {
  DnsResponse response;
  response.authoritative = true;
  response.recursion_available = true;
  const auto add = [&](absl::string_view text) {
    response.answer.push_back(
        {question.name, 0, RecordType::kTxt, TxtData{{std::string(text)}}});
  };
  if (question.type == RecordType::kTxt) {
    if (name == "authors.bind." || name == tree_.domain()) {
      for (const char* author : {"Erik St. Martin", "Brian Ketelsen",
                                 "Miek Gieben", "Michael Crosby"}) {
        add(author);
      }
      return response;
    }
    if (name == "version.bind." || name == "version.server.") {
      add(kVersion);
      return response;
    }
    if (name == "hostname.bind." || name == "id.server.") {
      add("localhost");
      return response;
    }
  }
  response.rcode = Rcode::kServFail;
  return response;
}

DnsResponse KubeDnsServer::Answer(const DnsQuestion& question) const {
  DnsResponse response;
  if (question.type == RecordType::kAny) {
    response.rcode = Rcode::kRefused;
    return response;
  }
  const std::string name = absl::AsciiStrToLower(question.name);
  // IPv6 reverse names are answered with PTR records whatever the type.
  if ((question.type == RecordType::kPtr &&
       absl::EndsWith(name, ".in-addr.arpa.")) ||
      absl::EndsWith(name, ".ip6.arpa.")) {
    return Reverse(question, name);
  }
  const bool chaos = question.klass == RecordClass::kChaos;
  const bool inside = IsSubDomain(tree_.domain(), name);
  if (!chaos && !inside) return Forward(question);
  response.authoritative = true;
  response.recursion_available = true;
  if (name == tree_.domain() && question.type == RecordType::kSoa) {
    response.answer.push_back(Soa(kSoaTtl));
  } else if (chaos) {
    response = Chaos(question, name);
  } else {
    AnswerFromTree(question, name, response);
  }
  if (response.rcode == Rcode::kServFail ||
      response.outcome == DnsResponse::Outcome::kNoReply ||
      response.crashes_server) {
    return response;
  }
  Deduplicate(response.answer);
  Deduplicate(response.additional);
  if (response.answer.size() > 1) {
    uint32_t ttl = kSoaTtl;
    for (const ResourceRecord& r : response.answer) ttl = std::min(ttl, r.ttl);
    for (ResourceRecord& r : response.answer) r.ttl = ttl;
  }
  FitAsSkyDns(
      question,
      response.rcode == Rcode::kNxDomain ? Compression::kOff : Compression::kOn,
      response);
  return response;
}

void KubeDnsServer::AnswerFromTree(const DnsQuestion& question,
                                   const std::string& name,
                                   DnsResponse& response) const {
  Found found = Found::kRecords;
  switch (question.type) {
    case RecordType::kNs:
      // There is never a record at ns.dns below the domain.
      if (name == tree_.domain()) found = Found::kNoName;
      break;
    case RecordType::kA:
    case RecordType::kAaaa: {
      Targets targets;
      found = AddAddresses(question, question.name, name, false, targets,
                           response.answer);
      break;
    }
    case RecordType::kTxt:
    case RecordType::kMx:
      // Nothing has a text or takes mail.
      found = Find(name, OwnNames::kNo).found;
      break;
    case RecordType::kCname: {
      const Lookup lookup = FindExact(name);
      found = lookup.found;
      if (!lookup.records.empty() && !lookup.records[0].address.has_value()) {
        response.answer.push_back({question.name, kTtl, RecordType::kCname,
                                   NameData{Fqdn(lookup.records[0].host)}});
      }
      break;
    }
    default: {
      const Lookup lookup = Find(name, OwnNames::kYes);
      found = lookup.found;
      if (found == Found::kBadPodIp && question.type == RecordType::kSrv) {
        response = DnsResponse();
        response.rcode = Rcode::kServFail;
        return;
      }
      // For a Pod's address, which has no name of its own, the server writes
      // an empty reply and dies.
      const bool dies = absl::c_any_of(lookup.records, [](const TreeRecord& r) {
        return r.own_name.empty() && r.address.has_value();
      });
      if (dies) {
        response.crashes_server = true;
        return;
      }
      if (question.type == RecordType::kSrv) {
        AddPorts(question, lookup, response);
      }
      break;
    }
  }
  if (found == Found::kNoName) {
    response = NameError();
  } else if (response.answer.empty()) {
    response.authority.push_back(Soa(kNegativeTtl));
  }
}

std::optional<std::vector<ResourceRecord>> KubeDnsServer::LookUp(
    const DnsQuestion& question, const std::string& name,
    RecordType type) const {
  if (upstream_ == nullptr || CountLabels(name) < kMinForwardedLabels) {
    return std::nullopt;
  }
  DnsQuestion lookup = question;
  lookup.name = name;
  lookup.type = type;
  lookup.klass = RecordClass::kIn;
  lookup.transport = DnsTransport::kUdp;
  DnsResponse response = upstream_(lookup);
  if (response.outcome == DnsResponse::Outcome::kNoReply ||
      response.rcode != Rcode::kNoError) {
    return std::nullopt;
  }
  for (ResourceRecord& record : response.answer) record.ttl = kLookupTtl;
  return std::move(response.answer);
}

Found KubeDnsServer::AddAddresses(const DnsQuestion& question,
                                  absl::string_view owner,
                                  absl::string_view name, bool both,
                                  Targets& targets,
                                  std::vector<ResourceRecord>& out) const {
  const Lookup lookup = Find(name, OwnNames::kNo);
  if (lookup.found != Found::kRecords) return lookup.found;
  for (const TreeRecord& record : lookup.records) {
    const std::optional<IpAddress>& ip = record.address;
    if (!ip.has_value()) {
      AddAlias(question, owner, record.host, both, targets, out);
      continue;
    }
    const RecordType type = ip->is_v4() ? RecordType::kA : RecordType::kAaaa;
    if (both || question.type == type) {
      out.push_back(AddressRecord(owner, *ip));
    }
  }
  return Found::kRecords;
}

void KubeDnsServer::AddAlias(const DnsQuestion& question,
                             absl::string_view owner, const std::string& host,
                             bool both, Targets& targets,
                             std::vector<ResourceRecord>& out) const {
  const std::string target = Fqdn(host);
  if (owner == target || targets.size() > kMaxCnames ||
      absl::c_linear_search(targets, target)) {
    return;
  }
  ResourceRecord alias = {std::string(owner), kTtl, RecordType::kCname,
                          NameData{target}};
  std::vector<ResourceRecord> next;
  targets.push_back(target);
  const Found found = AddAddresses(
      question, target, absl::AsciiStrToLower(target), both, targets, next);
  targets.pop_back();
  if (found == Found::kRecords) {
    if (next.empty()) return;
  } else {
    if (IsSubDomain(tree_.domain(), target)) return;
    const RecordType type = both ? RecordType::kA : question.type;
    auto answers = LookUp(question, target, type);
    if (!answers.has_value()) return;
    next = *std::move(answers);
  }
  out.push_back(std::move(alias));
  for (ResourceRecord& record : next) out.push_back(std::move(record));
}

void KubeDnsServer::AddPorts(const DnsQuestion& question, const Lookup& lookup,
                             DnsResponse& response) const {
  if (lookup.records.empty()) return;
  // All weigh 10, in hundredths of their sum.
  const double total = 10.0 * static_cast<double>(lookup.records.size());
  const uint16_t weight =
      static_cast<uint16_t>(std::floor(100.0 / total * 10.0));
  absl::flat_hash_set<std::string> looked_up;
  for (const TreeRecord& record : lookup.records) {
    const std::optional<IpAddress>& ip = record.address;
    const std::string target = Fqdn(ip ? record.own_name : record.host);
    response.answer.push_back(
        {question.name, kTtl, RecordType::kSrv,
         SrvData{10, weight, static_cast<uint16_t>(record.port), target}});
    if (ip.has_value()) {
      response.additional.push_back(AddressRecord(target, *ip));
      continue;
    }
    if (!looked_up.insert(target).second) continue;
    if (IsSubDomain(tree_.domain(), target)) {
      Targets targets;
      AddAddresses(question, target, target, true, targets,
                   response.additional);
      continue;
    }
    if (auto v4 = LookUp(question, target, RecordType::kA)) {
      for (ResourceRecord& r : *v4) response.additional.push_back(std::move(r));
    }
    if (auto v6 = LookUp(question, target, RecordType::kAaaa)) {
      for (ResourceRecord& r : *v6) {
        // The aliases came with the other family.
        if (r.type == RecordType::kCname) continue;
        response.additional.push_back(std::move(r));
      }
    }
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<const Zone::Server>> MakeKubeDnsServer(
    const Cluster& cluster, const KubeDnsOptions& options, Upstream upstream) {
  absl::StatusOr<std::string> domain = NormalizeName(options.domain);
  if (!domain.ok()) return domain.status();
  return std::make_unique<KubeDnsServer>(
      KubeDnsTree(cluster, absl::AsciiStrToLower(*domain)),
      std::move(upstream));
}

}  // namespace k8sdns::dns
