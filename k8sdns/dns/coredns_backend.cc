#include "k8sdns/dns/coredns_backend.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "k8sdns/dns/domain_name.h"

namespace k8sdns::dns {
namespace {

constexpr absl::string_view kDefaultNameServer = "ns.dns.";
constexpr absl::string_view kVersion = "1.1.0";  // of the DNS specification

Hit MakeHit(absl::string_view host, int32_t port) {
  Hit hit;
  hit.host = host;
  hit.address = ParseGoIp(host);
  hit.port = port;
  return hit;
}

// A zone as the end of a longer name.
absl::string_view Suffix(absl::string_view zone) {
  return zone == "." ? "" : zone;
}

// An empty part of the question matches everything.
bool PortMatches(absl::string_view asked, absl::string_view port) {
  return asked.empty() || absl::EqualsIgnoreCase(asked, port);
}

absl::string_view StripUnderscore(absl::string_view label) {
  return absl::StartsWith(label, "_") ? label.substr(1) : label;
}

// The address that a name below in-addr.arpa. or ip6.arpa. stands for, as the
// text that objects are indexed by.
std::string AddressTextOfReverse(absl::string_view name) {
  if (auto ip = AddressOfIn4Arpa(name)) return ip->ToString();
  constexpr absl::string_view kSuffix = ".ip6.arpa.";
  if (!absl::EndsWith(name, kSuffix)) return "";
  NameLabels labels = SplitLabels(name.substr(0, name.size() - kSuffix.size()));
  std::reverse(labels.begin(), labels.end());
  // Labels beyond a multiple of four are not looked at.
  std::string text;
  for (size_t i = 0; i + 4 <= labels.size(); i += 4) {
    absl::StrAppend(&text, i == 0 ? "" : ":", labels[i], labels[i + 1],
                    labels[i + 2], labels[i + 3]);
  }
  const std::optional<IpAddress> ip = ParseGoIp(text);
  return ip ? ip->ToString() : "";
}

bool HasReadyAddress(const CoreDnsIndex::ServiceEntry& entry) {
  for (const EndpointSlice* slice : entry.slices) {
    for (const Endpoint& endpoint : slice->endpoints) {
      if (endpoint.IsReady() && !endpoint.addresses.empty()) return true;
    }
  }
  return false;
}

bool IsReverse(absl::string_view name) {
  return absl::EndsWith(name, ".in-addr.arpa.") ||
         absl::EndsWith(name, ".ip6.arpa.");
}

}  // namespace

// The labels left of the zone, from right to left: svc or pod, namespace,
// service, and either an endpoint or a protocol and a port.
struct CoreDnsBackend::Parsed {
  enum class Kind { kNothing, kInvalid, kService, kPod };
  Kind kind = Kind::kNothing;
  absl::string_view namespace_, service, endpoint, protocol, port;

  static Parsed From(absl::string_view name, absl::string_view zone) {
    Parsed parsed;
    absl::string_view base = name.substr(0, name.size() - zone.size());
    if (zone == ".") base = name.substr(0, name.size() - 1);
    if (absl::EndsWith(base, ".")) base.remove_suffix(1);
    // The tops of the two trees exist and hold nothing.
    if (base.empty() || base == "svc" || base == "pod") return parsed;
    const NameLabels labels = SplitLabels(base);
    size_t left = labels.size();
    const absl::string_view top = labels[--left];
    const bool valid = (top == "svc" || top == "pod") && labels.size() <= 5;
    if (!valid) {
      parsed.kind = Kind::kInvalid;
      return parsed;
    }
    parsed.kind = top == "svc" ? Kind::kService : Kind::kPod;
    if (left > 0) parsed.namespace_ = labels[--left];
    if (left > 0) parsed.service = labels[--left];
    if (left == 1) parsed.endpoint = labels[0];
    if (left == 2) {
      parsed.protocol = StripUnderscore(labels[1]);
      parsed.port = StripUnderscore(labels[0]);
    }
    return parsed;
  }
};

ZoneQuestion::ZoneQuestion(absl::string_view qname, RecordType type,
                           absl::string_view zone)
    : qname(qname),
      name(absl::AsciiStrToLower(qname)),
      type(type),
      zone(zone) {}

CoreDnsBackend::CoreDnsBackend(CoreDnsOptions options, std::string primary_zone,
                               CoreDnsIndex index)
    : options_(std::move(options)),
      primary_zone_(std::move(primary_zone)),
      exposed_(options_.namespaces.begin(), options_.namespaces.end()),
      index_(std::move(index)) {}

bool CoreDnsBackend::IsExposed(absl::string_view namespace_) const {
  if (!exposed_.empty() && !exposed_.contains(namespace_)) return false;
  return index_.HasNamespace(namespace_);
}

std::string CoreDnsBackend::EndpointName(const Endpoint& endpoint,
                                         absl::string_view address) const {
  if (endpoint.hostname.has_value() && !endpoint.hostname->empty()) {
    return *endpoint.hostname;
  }
  // Pod names that are too long for a label are not used.
  if (options_.endpoint_pod_names && endpoint.target_ref.has_value() &&
      !endpoint.target_ref->name.empty() &&
      endpoint.target_ref->name.size() < 64) {
    return std::string(endpoint.target_ref->name);
  }
  if (absl::StrContains(address, ".")) {
    return absl::StrReplaceAll(address, {{".", "-"}});
  }
  if (absl::StrContains(address, ":")) {
    return absl::StrReplaceAll(address, {{":", "-"}});
  }
  return "";
}

Hits CoreDnsBackend::Services(const ZoneQuestion& question,
                              bool with_targets) const {
  const bool default_name_server =
      absl::StartsWith(question.name, kDefaultNameServer) &&
      question.name.find(std::string(question.zone)) ==
          kDefaultNameServer.size();
  if (default_name_server) {
    Hits servers = NameServers(question.zone);
    Hits hits;
    for (Hit& server : servers.items) {
      const bool v4 = server.address.has_value() && server.address->is_v4();
      if ((v4 && question.type == RecordType::kA) ||
          (!v4 && question.type == RecordType::kAaaa)) {
        hits.items.push_back(std::move(server));
      }
    }
    return hits;
  }
  Hits hits = Records(question, with_targets);
  if (question.type == RecordType::kSrv) {
    // Names have no SRV records.
    hits.items.erase(
        std::remove_if(hits.items.begin(), hits.items.end(),
                       [](const Hit& f) { return !f.address.has_value(); }),
        hits.items.end());
  }
  return hits;
}

Hits CoreDnsBackend::Text(const ZoneQuestion& question) const {
  const size_t labels = CountLabels(question.zone);
  const NameLabels all = SplitLabels(question.name);
  if (all.size() == labels + 1 && all[0] == "dns-version") {
    Hits hits;
    hits.items.push_back(MakeHit(kVersion, 0));
    return hits;
  }
  // A name that has something of another type exists.
  if (!Records(question, false).items.empty()) return Hits();
  return Hits::NameError();
}

Hits CoreDnsBackend::Records(const ZoneQuestion& question,
                             bool with_targets) const {
  const Parsed parsed = Parsed::From(question.name, question.zone);
  if (parsed.kind == Parsed::Kind::kInvalid) return Hits::NameError();
  if (parsed.kind == Parsed::Kind::kNothing) return Hits();
  if (IsReverse(question.name)) return Hits::NameError();
  if (!IsExposed(parsed.namespace_)) return Hits::NameError();
  if (parsed.kind == Parsed::Kind::kPod) {
    return FindPods(parsed, question, with_targets);
  }
  return FindServices(parsed, question.zone, with_targets);
}

Hits CoreDnsBackend::FindPods(const Parsed& parsed,
                              const ZoneQuestion& question,
                              bool with_targets) const {
  if (options_.pods == CoreDnsOptions::Pods::kDisabled) {
    return Hits::NameError();
  }
  const absl::string_view pod = parsed.service;
  if (pod.empty()) return Hits();
  const bool v4 = std::count(pod.begin(), pod.end(), '-') == 3 &&
                  !absl::StrContains(pod, "--");
  const std::string ip = absl::StrReplaceAll(pod, {{"-", v4 ? "." : ":"}});
  Hits hits;
  const auto add = [&] {
    Hit hit;
    hit.address = ParseGoIp(ip);
    if (with_targets) {
      hit.target = absl::StrCat(pod, ".", parsed.namespace_, ".pod.",
                                Suffix(question.zone));
    }
    hits.items.push_back(std::move(hit));
  };
  if (options_.pods == CoreDnsOptions::Pods::kInsecure) {
    if (!ParseGoIp(ip).has_value()) return Hits::NameError();
    add();
    return hits;
  }
  for (const Pod* p : index_.FindPodsByIp(ip)) {
    if (absl::EqualsIgnoreCase(p->metadata.namespace_, parsed.namespace_)) {
      add();
    }
  }
  hits.name_error = hits.items.empty();
  return hits;
}

Hits CoreDnsBackend::FindServices(const Parsed& parsed, absl::string_view zone,
                                  bool with_targets) const {
  if (parsed.service.empty()) return Hits();
  Hits hits = Hits::NameError();
  const CoreDnsIndex::ServiceEntry* entry =
      index_.FindService(parsed.namespace_, parsed.service);
  if (entry == nullptr) return hits;
  const bool whole_service =
      parsed.endpoint.empty() && parsed.port.empty() && parsed.protocol.empty();
  if (whole_service && !entry->addresses.empty() && !with_targets &&
      !options_.ignore_empty_service) {
    hits.name_error = false;
    for (const IpAddress& address : entry->addresses) {
      hits.items.emplace_back().address = address;
    }
    return hits;
  }
  const Service& service = *entry->service;
  if (service.spec.type == ServiceType::kExternalName) {
    Hit hit = MakeHit(service.spec.external_name, 0);
    // It has neither endpoints nor ports, and is not an address.
    if (!whole_service || hit.address.has_value()) return hits;
    hits.name_error = false;
    hits.items.push_back(std::move(hit));
    return hits;
  }
  const bool headless = ClusterIps(service)[0] == "None";
  if (options_.ignore_empty_service && !headless && !HasReadyAddress(*entry)) {
    return hits;
  }
  if (headless || !parsed.endpoint.empty()) {
    FindEndpoints(parsed, zone, *entry, with_targets, hits);
  } else {
    FindClusterIps(parsed, zone, service, with_targets, hits);
  }
  return hits;
}

void CoreDnsBackend::FindClusterIps(const Parsed& parsed,
                                    absl::string_view zone,
                                    const Service& service, bool with_targets,
                                    Hits& hits) const {
  const auto ips = ClusterIps(service);
  const auto add = [&](absl::string_view name, absl::string_view protocol,
                       int32_t port) {
    if (!PortMatches(parsed.port, name) ||
        !PortMatches(parsed.protocol, protocol)) {
      return;
    }
    hits.name_error = false;
    for (absl::string_view ip : ips) {
      Hit hit = MakeHit(ip, port);
      if (with_targets) {
        hit.target =
            absl::StrCat(service.metadata.name, ".",
                         service.metadata.namespace_, ".svc.", Suffix(zone));
      }
      hits.items.push_back(std::move(hit));
    }
  };
  if (service.spec.ports.empty()) add("", "", -1);
  for (const ServicePort& port : service.spec.ports) {
    add(port.name, KubernetesProtocolName(port.protocol), port.port);
  }
}

void CoreDnsBackend::FindEndpoints(const Parsed& parsed, absl::string_view zone,
                                   const CoreDnsIndex::ServiceEntry& entry,
                                   bool with_targets, Hits& hits) const {
  const ObjectMeta& meta = entry.service->metadata;
  for (const EndpointSlice* slice : entry.slices) {
    for (const Endpoint& endpoint : slice->endpoints) {
      if (!endpoint.IsReady()) continue;
      for (const absl::string_view address : endpoint.addresses) {
        std::string name;
        if (with_targets || !parsed.endpoint.empty()) {
          name = EndpointName(endpoint, address);
        }
        if (!parsed.endpoint.empty() &&
            !absl::EqualsIgnoreCase(parsed.endpoint, name)) {
          continue;
        }
        const auto add = [&](absl::string_view port_name,
                             absl::string_view protocol, int32_t port) {
          if (!PortMatches(parsed.port, port_name) ||
              !PortMatches(parsed.protocol, protocol)) {
            return;
          }
          hits.name_error = false;
          Hit hit = MakeHit(address, port);
          if (with_targets) {
            hit.target = absl::StrCat(name, ".", meta.name, ".",
                                      meta.namespace_, ".svc.", Suffix(zone));
          }
          hits.items.push_back(std::move(hit));
        };
        if (slice->ports.empty()) add("", "", -1);
        for (const EndpointPort& port : slice->ports) {
          add(port.name.has_value() ? absl::string_view(*port.name) : "",
              port.protocol.has_value() ? KubernetesProtocolName(*port.protocol)
                                        : "",
              port.port.value_or(-1));
        }
      }
    }
  }
}

Hits CoreDnsBackend::Reverse(const ZoneQuestion& question) const {
  const std::string ip = AddressTextOfReverse(question.name);
  if (ip.empty()) {
    // Not an address: only whether the name exists matters.
    Hits hits = Records(question, false);
    hits.items.clear();
    return hits;
  }
  Hits hits;
  const auto visible = [&](absl::string_view namespace_) {
    return exposed_.empty() || IsExposed(namespace_);
  };
  const Service* service = index_.FindServiceByIp(ip);
  if (service != nullptr && visible(service->metadata.namespace_)) {
    Hit hit;
    hit.target =
        absl::StrCat(service->metadata.name, ".", service->metadata.namespace_,
                     ".svc.", Suffix(primary_zone_));
    hits.items.push_back(std::move(hit));
    return hits;
  }
  for (const EndpointSlice* slice : index_.FindSlicesByIp(ip)) {
    if (!visible(slice->metadata.namespace_)) continue;
    for (const Endpoint& endpoint : slice->endpoints) {
      if (!endpoint.IsReady()) continue;
      for (const absl::string_view address : endpoint.addresses) {
        if (address != ip) continue;
        // A slice without a Service's label leaves an empty label here, and
        // so a reply that cannot be sent.
        Hit hit;
        hit.target = absl::StrCat(
            EndpointName(endpoint, address), ".", slice->ServiceName(), ".",
            slice->metadata.namespace_, ".svc.", Suffix(primary_zone_));
        hits.items.push_back(std::move(hit));
      }
    }
  }
  hits.name_error = hits.items.empty();
  return hits;
}

Hits CoreDnsBackend::NameServers(absl::string_view zone) const {
  Hits hits;
  bool found = false;
  const auto add = [&](std::string target, absl::string_view ip) {
    Hit hit;
    hit.address = ParseGoIp(ip);
    hit.target = std::move(target);
    hits.items.push_back(std::move(hit));
  };
  for (const IpAddress& address : options_.server_addresses) {
    for (const EndpointSlice* slice :
         index_.FindSlicesByIp(address.ToString())) {
      found = true;
      const CoreDnsIndex::ServiceEntry* entry =
          index_.FindService(slice->metadata.namespace_, slice->ServiceName());
      if (entry == nullptr) continue;
      const std::string name =
          absl::StrCat(slice->ServiceName(), ".", slice->metadata.namespace_,
                       ".svc.", Suffix(zone));
      const auto ips = ClusterIps(*entry->service);
      if (ips[0] != "None") {
        for (absl::string_view ip : ips) add(name, ip);
        continue;
      }
      for (const Endpoint& endpoint : slice->endpoints) {
        if (!endpoint.IsReady()) continue;
        for (const absl::string_view ip : endpoint.addresses) {
          add(absl::StrCat(EndpointName(endpoint, ip), ".", name), ip);
        }
      }
    }
  }
  if (!found) {
    for (const IpAddress& address : options_.server_addresses) {
      add(absl::StrCat(kDefaultNameServer, Suffix(zone)), address.ToString());
    }
  }
  return hits;
}

std::optional<absl::string_view> CoreDnsBackend::NamespaceOfClient(
    const IpAddress& client) const {
  const auto pods = index_.FindPodsByIp(client.ToString());
  if (pods.empty()) return std::nullopt;
  return absl::string_view(pods[0]->metadata.namespace_);
}

}  // namespace k8sdns::dns
