// CoreDNS 1.12 as a chain of plugins: autopath, kubernetes, forward.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "k8sdns/dns/coredns_backend.h"
#include "k8sdns/dns/coredns_index.h"
#include "k8sdns/dns/domain_name.h"
#include "k8sdns/dns/label_selector.h"
#include "k8sdns/dns/message_size.h"
#include "k8sdns/dns/zone_server.h"

namespace k8sdns::dns {
namespace {

constexpr uint32_t kMaxTtl = 3600;
constexpr uint32_t kMaxSoaTtl = 300;
constexpr uint32_t kTextTtl = 28800;
constexpr size_t kMaxCnames = 7;
// CoreDNS stops a lookup of its own that comes back to itself too often.
constexpr int kMaxLookups = 10;

ResourceRecord NameRecord(absl::string_view owner, uint32_t ttl,
                          RecordType type, std::string target) {
  return {std::string(owner), ttl, type, NameData{std::move(target)}};
}

ResourceRecord AddressRecord(absl::string_view owner, uint32_t ttl,
                             const IpAddress& address) {
  return {std::string(owner), ttl,
          address.is_v4() ? RecordType::kA : RecordType::kAaaa, address};
}

// What answers to an address or TXT question are made of.
struct Records {
  bool name_error = false;
  bool no_reply = false;  // a lookup of the server's own got no answer
  bool truncated = false;
  std::vector<ResourceRecord> records;
};

// The hosts of one answer. Few are compared one by one.
class SeenHosts {
 public:
  // False if it is there already.
  bool Insert(const Hit& hit) {
    if (many_.empty() && few_.size() < kFew) {
      for (const Hit* other : few_) {
        if (other->host == hit.host && other->address == hit.address) {
          return false;
        }
      }
      few_.push_back(&hit);
      return true;
    }
    if (many_.empty()) {
      for (const Hit* other : few_) many_.insert(KeyOf(*other));
    }
    return many_.insert(KeyOf(hit)).second;
  }

 private:
  static constexpr size_t kFew = 16;
  using Key = std::pair<absl::string_view, IpAddress>;

  static Key KeyOf(const Hit& hit) { return {hit.host, *hit.address}; }

  absl::InlinedVector<const Hit*, kFew> few_;
  absl::flat_hash_set<Key> many_;
};

class CoreDnsServer : public Zone::Server {
 public:
  CoreDnsServer(CoreDnsBackend backend, std::vector<std::string> zones,
                std::vector<std::string> fallthrough, Upstream upstream)
      : backend_(std::move(backend)),
        zones_(std::move(zones)),
        fallthrough_(std::move(fallthrough)),
        upstream_(std::move(upstream)) {}

  DnsResponse Answer(const DnsQuestion& question) const override {
    DnsResponse response = Serve(question, 0);
    if (response.outcome == DnsResponse::Outcome::kReply) {
      FitAsCoreDns(question, response);
    }
    return response;
  }

 private:
  // The targets of the CNAME records so far.
  using Targets = std::vector<std::string>;

  // What a plugin needs of its surroundings.
  struct Context {
    const DnsQuestion& question;
    int lookups;  // how deep the server asks itself
  };

  DnsResponse Serve(const DnsQuestion& question, int lookups) const;
  DnsResponse Autopath(const DnsQuestion& question, absl::string_view zone,
                       absl::string_view client_namespace, int lookups) const;
  DnsResponse AfterAutopath(const DnsQuestion& question, int lookups) const;
  DnsResponse Forward(const DnsQuestion& question) const;
  DnsResponse Kubernetes(const DnsQuestion& question, absl::string_view zone,
                         int lookups) const;

  Records Addresses(const Context& context, const ZoneQuestion& question,
                    Targets& targets) const;
  void AddAlias(const Context& context, const ZoneQuestion& question,
                absl::string_view host, Targets& targets, Records& out) const;
  Records RecordsFor(const Context& context, const ZoneQuestion& question,
                     std::vector<ResourceRecord>& additional) const;
  Records Texts(const ZoneQuestion& question) const;
  Records Alias(const ZoneQuestion& question) const;
  Records Pointers(const ZoneQuestion& question) const;
  // NS records; the servers' addresses go to `additional`.
  Records NameServers(const ZoneQuestion& question,
                      std::vector<ResourceRecord>& additional) const;
  // SRV records; the targets' addresses go to `additional`.
  Records Ports(const ZoneQuestion& question,
                std::vector<ResourceRecord>& additional) const;
  ResourceRecord Soa(absl::string_view zone) const;
  DnsResponse Negative(Rcode rcode, absl::string_view zone) const;

  // The longest of `zones` that holds the name; empty if none does.
  static absl::string_view MatchZone(const std::vector<std::string>& zones,
                                     absl::string_view name);

  uint32_t ttl() const { return backend_.options().ttl; }

  CoreDnsBackend backend_;
  std::vector<std::string> zones_;
  std::vector<std::string> fallthrough_;
  Upstream upstream_;
};

absl::string_view CoreDnsServer::MatchZone(
    const std::vector<std::string>& zones, absl::string_view name) {
  absl::string_view best;
  for (const std::string& zone : zones) {
    if (zone.size() > best.size() && IsSubDomain(zone, name)) best = zone;
  }
  return best;
}

DnsResponse CoreDnsServer::Serve(const DnsQuestion& question,
                                 int lookups) const {
  DnsResponse response;
  if (lookups > kMaxLookups) {
    response.rcode = Rcode::kServFail;
    return response;
  }
  if (question.klass != RecordClass::kIn && upstream_ == nullptr) {
    // Other classes are let in only if there is something to forward to.
    response.rcode = Rcode::kRefused;
    return response;
  }
  if (backend_.options().autopath) {
    const absl::string_view zone = MatchZone(zones_, question.name);
    const auto client_namespace = backend_.NamespaceOfClient(question.client);
    if (!zone.empty() && client_namespace.has_value()) {
      return Autopath(question, zone, *client_namespace, lookups);
    }
  }
  return AfterAutopath(question, lookups);
}

// Walks the client's search list on its behalf.
DnsResponse CoreDnsServer::Autopath(const DnsQuestion& question,
                                    absl::string_view zone,
                                    absl::string_view client_namespace,
                                    int lookups) const {
  const absl::string_view suffix = zone == "." ? "" : zone;
  std::vector<std::string> search = {
      absl::StrCat(client_namespace, ".svc.", suffix),
      absl::StrCat("svc.", suffix), std::string(zone)};
  for (const std::string& domain : backend_.options().autopath_search) {
    search.push_back(Fqdn(domain));
  }
  search.push_back("");
  // Only the first name of a client's walk is helped.
  if (!IsSubDomain(search[0], question.name)) {
    return AfterAutopath(question, lookups);
  }
  if (question.name.size() == search[0].size()) {
    DnsResponse failure;
    failure.rcode = Rcode::kServFail;
    return failure;
  }
  const std::string base =
      question.name.substr(0, question.name.size() - search[0].size() - 1);
  std::optional<DnsResponse> first;
  for (const std::string& domain : search) {
    DnsQuestion next = question;
    next.name = absl::StrCat(base, ".", domain == "." ? "" : domain);
    DnsResponse response = AfterAutopath(next, lookups);
    if (!first.has_value()) first = response;
    if (response.outcome == DnsResponse::Outcome::kNoReply) return response;
    if (response.rcode != Rcode::kNoError) continue;
    // The answer must begin at the name that was asked for.
    for (const ResourceRecord& record : response.answer) {
      if (absl::EqualsIgnoreCase(record.owner, question.name)) continue;
      ResourceRecord alias = NameRecord(question.name, record.ttl,
                                        RecordType::kCname, record.owner);
      response.answer.insert(response.answer.begin(), std::move(alias));
      break;
    }
    return response;
  }
  return *std::move(first);
}

DnsResponse CoreDnsServer::AfterAutopath(const DnsQuestion& question,
                                         int lookups) const {
  const absl::string_view zone = MatchZone(zones_, question.name);
  if (zone.empty()) return Forward(question);
  return Kubernetes(question, zone, lookups);
}

DnsResponse CoreDnsServer::Forward(const DnsQuestion& question) const {
  if (upstream_ != nullptr) return upstream_(question);
  DnsResponse failure;
  failure.rcode = Rcode::kServFail;
  return failure;
}

ResourceRecord CoreDnsServer::Soa(absl::string_view zone) const {
  const absl::string_view suffix = zone == "." ? "" : zone;
  SoaData soa;
  soa.mname = absl::StrCat("ns.dns.", suffix);
  soa.rname = absl::StrCat("hostmaster.", suffix);
  // The time of the last change of an object, which a snapshot does not know.
  soa.serial = 0;
  soa.refresh = 7200;
  soa.retry = 1800;
  soa.expire = 86400;
  soa.minimum = ttl();
  return {std::string(zone), std::min(ttl(), kMaxSoaTtl), RecordType::kSoa,
          std::move(soa)};
}

DnsResponse CoreDnsServer::Negative(Rcode rcode, absl::string_view zone) const {
  DnsResponse response;
  response.rcode = rcode;
  response.authoritative = true;
  response.authority.push_back(Soa(zone));
  return response;
}

DnsResponse CoreDnsServer::Kubernetes(const DnsQuestion& question,
                                      absl::string_view zone,
                                      int lookups) const {
  DnsResponse response;
  if (question.type == RecordType::kAxfr ||
      question.type == RecordType::kIxfr) {
    response.rcode = Rcode::kRefused;
    return response;
  }
  const absl::string_view qname = question.name;
  // The zone appears in answers in the case of the question.
  const absl::string_view asked_zone = qname.substr(qname.size() - zone.size());
  const ZoneQuestion q(qname, question.type, asked_zone);
  Records found = RecordsFor({question, lookups}, q, response.additional);
  if (found.no_reply) return DnsResponse::NoReply();
  if (found.name_error) {
    if (!MatchZone(fallthrough_, qname).empty()) return Forward(question);
    return Negative(Rcode::kNxDomain, asked_zone);
  }
  if (found.records.empty()) return Negative(Rcode::kNoError, asked_zone);
  response.answer = std::move(found.records);
  response.authoritative = true;
  response.truncated = found.truncated;
  return response;
}

Records CoreDnsServer::RecordsFor(
    const Context& context, const ZoneQuestion& question,
    std::vector<ResourceRecord>& additional) const {
  Targets targets;
  Records found;
  switch (question.type) {
    case RecordType::kA:
    case RecordType::kAaaa:
      return Addresses(context, question, targets);
    case RecordType::kTxt:
      return Texts(question);
    case RecordType::kCname:
      return Alias(question);
    case RecordType::kPtr:
      return Pointers(question);
    case RecordType::kSrv:
      return Ports(question, additional);
    case RecordType::kMx:
      // Nothing here takes mail.
      found.name_error = backend_.Services(question, false).name_error;
      return found;
    case RecordType::kSoa:
      if (question.qname == question.zone) {
        found.records.push_back(Soa(question.zone));
      }
      return found;
    case RecordType::kNs:
      if (question.IsApex()) return NameServers(question, additional);
      [[fallthrough]];
    default: {
      // An address lookup tells whether the name exists.
      ZoneQuestion fake = question;
      fake.type = RecordType::kA;
      found = Addresses(context, fake, targets);
      found.records.clear();
      found.truncated = false;
      return found;
    }
  }
}

Records CoreDnsServer::Texts(const ZoneQuestion& question) const {
  Records out;
  const Hits hits = backend_.Text(question);
  out.name_error = hits.name_error;
  for (const Hit& hit : hits.items) {
    out.records.push_back({std::string(question.qname), kTextTtl,
                           RecordType::kTxt, TxtData{{std::string(hit.host)}}});
  }
  return out;
}

Records CoreDnsServer::Alias(const ZoneQuestion& question) const {
  Records out;
  const Hits hits = backend_.Services(question, false);
  out.name_error = hits.name_error;
  // Only the first thing found is looked at.
  if (!hits.items.empty() && !hits.items[0].address.has_value()) {
    out.records.push_back(NameRecord(question.qname, ttl(), RecordType::kCname,
                                     Fqdn(hits.items[0].host)));
  }
  return out;
}

Records CoreDnsServer::Pointers(const ZoneQuestion& question) const {
  Records out;
  const Hits hits = backend_.Reverse(question);
  out.name_error = hits.name_error;
  absl::flat_hash_set<absl::string_view> seen;
  for (const Hit& hit : hits.items) {
    if (!seen.insert(hit.target).second) continue;
    out.records.push_back(
        NameRecord(question.qname, ttl(), RecordType::kPtr, Fqdn(hit.target)));
  }
  return out;
}

Records CoreDnsServer::Addresses(const Context& context,
                                 const ZoneQuestion& question,
                                 Targets& targets) const {
  Records out;
  const Hits hits = backend_.Services(question, false);
  out.name_error = hits.name_error;
  SeenHosts seen;
  out.records.reserve(hits.items.size());
  for (const Hit& f : hits.items) {
    if (!f.address.has_value()) {
      AddAlias(context, question, f.host, targets, out);
      continue;
    }
    const bool wanted = f.address->is_v4() ? question.type == RecordType::kA
                                           : question.type == RecordType::kAaaa;
    if (!wanted) continue;
    if (hits.items.size() > 1 && !seen.Insert(f)) continue;
    out.records.push_back(AddressRecord(question.qname, ttl(), *f.address));
  }
  return out;
}

// Adds a CNAME record and what it leads to.
void CoreDnsServer::AddAlias(const Context& context,
                             const ZoneQuestion& question,
                             absl::string_view host, Targets& targets,
                             Records& out) const {
  const std::string target = Fqdn(host);
  // A name that leads to itself or below itself, and loops.
  if (IsSubDomain(question.name, target)) return;
  if (targets.size() > kMaxCnames) return;
  if (std::find(targets.begin(), targets.end(), target) != targets.end()) {
    return;
  }
  ResourceRecord alias =
      NameRecord(question.qname, ttl(), RecordType::kCname, target);
  if (IsSubDomain(question.zone, target)) {
    const ZoneQuestion next(target, question.type, question.zone);
    targets.push_back(target);
    Records found = Addresses(context, next, targets);
    targets.pop_back();
    out.truncated |= found.truncated;
    out.no_reply |= found.no_reply;
    if (found.name_error || found.records.empty()) return;
    out.records.push_back(std::move(alias));
    for (ResourceRecord& record : found.records) {
      out.records.push_back(std::move(record));
    }
    return;
  }
  // Elsewhere: the server asks itself from the start.
  DnsQuestion lookup = context.question;
  lookup.name = target;
  lookup.type = question.type;
  lookup.klass = RecordClass::kIn;
  DnsResponse response = Serve(lookup, context.lookups + 1);
  out.no_reply |= response.outcome == DnsResponse::Outcome::kNoReply;
  out.truncated |= response.truncated;
  out.records.push_back(std::move(alias));
  for (ResourceRecord& record : response.answer) {
    out.records.push_back(std::move(record));
  }
}

Records CoreDnsServer::NameServers(
    const ZoneQuestion& question,
    std::vector<ResourceRecord>& additional) const {
  Records out;
  absl::flat_hash_set<std::string> seen;
  for (const Hit& hit : backend_.NameServers(question.zone).items) {
    if (!hit.address.has_value()) continue;
    additional.push_back(AddressRecord(hit.target, ttl(), *hit.address));
    if (!seen.insert(hit.target).second) continue;
    out.records.push_back(
        NameRecord(question.qname, ttl(), RecordType::kNs, hit.target));
  }
  return out;
}

Records CoreDnsServer::Ports(const ZoneQuestion& question,
                             std::vector<ResourceRecord>& additional) const {
  Records out;
  const Hits hits = backend_.Services(question, true);
  out.name_error = hits.name_error;
  if (hits.items.empty()) return out;
  // Everything weighs the same, in hundredths.
  const double total = 100.0 * static_cast<double>(hits.items.size());
  const uint16_t weight =
      static_cast<uint16_t>(std::max(1.0, std::floor(100.0 / total * 100.0)));
  absl::flat_hash_set<std::pair<absl::string_view, int32_t>> ports;
  absl::flat_hash_set<
      std::tuple<absl::string_view, absl::string_view, IpAddress>>
      hosts;
  for (const Hit& hit : hits.items) {
    if (hit.port == -1) continue;
    if (ports.insert({hit.target, hit.port}).second) {
      out.records.push_back(
          {std::string(question.qname), ttl(), RecordType::kSrv,
           SrvData{0, weight, static_cast<uint16_t>(hit.port), hit.target}});
    }
    if (hosts.insert({hit.target, hit.host, *hit.address}).second) {
      additional.push_back(AddressRecord(hit.target, ttl(), *hit.address));
    }
  }
  return out;
}

// ------------------------------------------------------------- configuration

// The zones that an address range stands for: one for each octet (nibble)
// boundary at or below its prefix length.
std::vector<std::string> ReverseZonesOf(const IpPrefix& prefix) {
  const IpPrefix masked = prefix.Masked();
  const int unit = masked.address().is_v4() ? 8 : 4;
  const int length = (masked.length() + unit - 1) / unit * unit;
  const int count = 1 << (length - masked.length());
  std::vector<std::string> zones;
  for (int i = 0; i < count; ++i) {
    std::string zone = unit == 8 ? "in-addr.arpa." : "ip6.arpa.";
    for (int bit = 0; bit < length; bit += unit) {
      int digit = 0;
      for (int b = 0; b < unit; ++b) {
        digit = digit * 2 + (masked.address().bit(bit + b) ? 1 : 0);
      }
      if (bit + unit == length) digit += i;
      zone = unit == 8 ? absl::StrCat(digit, ".", zone)
                       : absl::StrCat(absl::Hex(digit), ".", zone);
    }
    zones.push_back(std::move(zone));
  }
  return zones;
}

absl::Status AddZone(absl::string_view text, std::vector<std::string>& zones) {
  if (const auto prefix = IpPrefix::Parse(text)) {
    for (std::string& zone : ReverseZonesOf(*prefix)) {
      zones.push_back(std::move(zone));
    }
    return absl::OkStatus();
  }
  absl::StatusOr<std::string> zone = NormalizeName(text);
  if (!zone.ok()) return zone.status();
  zones.push_back(absl::AsciiStrToLower(*zone));
  return absl::OkStatus();
}

bool IsReverseZone(absl::string_view zone) {
  return IsSubDomain("in-addr.arpa.", zone) || IsSubDomain("ip6.arpa.", zone);
}

}  // namespace

absl::StatusOr<std::unique_ptr<const Zone::Server>> MakeCoreDnsServer(
    const Cluster& cluster, const CoreDnsOptions& options, Upstream upstream) {
  if (options.ttl > kMaxTtl) {
    return absl::InvalidArgumentError(absl::StrCat(
        "CoreDNS option ttl: found ", options.ttl, ", expected 0 to 3600"));
  }
  if (!options.namespaces.empty() && !options.namespace_labels.empty()) {
    return absl::InvalidArgumentError(
        "CoreDNS options namespaces and namespace_labels: expected one of "
        "them, found both");
  }
  std::vector<std::string> zones, fallthrough;
  for (const auto* list : {&options.zones, &options.reverse_zones}) {
    for (const std::string& zone : *list) {
      if (absl::Status s = AddZone(zone, zones); !s.ok()) return s;
    }
  }
  for (const std::string& zone : options.fallthrough) {
    if (absl::Status s = AddZone(zone, fallthrough); !s.ok()) return s;
  }
  // PTR records point into the first zone that is not a reverse one.
  const auto primary = std::find_if_not(
      zones.begin(), zones.end(),
      [](const std::string& zone) { return IsReverseZone(zone); });
  if (primary == zones.end()) {
    return absl::InvalidArgumentError(
        "CoreDNS option zones: expected a zone that is not a reverse zone");
  }
  auto objects = LabelSelector::Parse(options.labels);
  if (!objects.ok()) return objects.status();
  auto namespaces = LabelSelector::Parse(options.namespace_labels);
  if (!namespaces.ok()) return namespaces.status();
  CoreDnsIndex index;
  index.Build(cluster, options, *objects, *namespaces);
  CoreDnsBackend backend(options, *primary, std::move(index));
  return std::make_unique<CoreDnsServer>(std::move(backend), std::move(zones),
                                         std::move(fallthrough),
                                         std::move(upstream));
}

}  // namespace k8sdns::dns
