#include "k8sdns/dns/kubelet_dns.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace k8sdns::dns {
namespace {

constexpr size_t kMaxServers = 3;
constexpr size_t kMaxSearchLength = 253;
constexpr size_t kMaxFileBytes = size_t{10} << 20;

struct SearchLimits {
  size_t domains;
  size_t characters;
};

SearchLimits LimitsOf(KubeletDnsLimits limits) {
  if (limits == KubeletDnsLimits::kLegacy) return {6, 256};
  return {32, 2048};
}

// The length of the white space character (Go's unicode.IsSpace, UTF-8) that
// `text` begins with; 0 if it begins with something else.
size_t LeadingSpace(absl::string_view text) {
  if (text.empty()) return 0;
  const auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<uint8_t>(text[i]) : 0;
  };
  const uint8_t c = byte(0);
  if (c == ' ' || (c >= '\t' && c <= '\r')) return 1;
  if (c == 0xC2) return byte(1) == 0x85 || byte(1) == 0xA0 ? 2 : 0;
  if (c < 0xE1 || c > 0xE3) return 0;
  if ((byte(1) & 0xC0) != 0x80 || (byte(2) & 0xC0) != 0x80) return 0;
  const uint32_t code = (c & 0xFu) << 12 | (byte(1) & 0x3Fu) << 6 |
                        static_cast<uint32_t>(byte(2) & 0x3F);
  const bool space = code == 0x1680 || (code >= 0x2000 && code <= 0x200A) ||
                     code == 0x2028 || code == 0x2029 || code == 0x202F ||
                     code == 0x205F || code == 0x3000;
  return space ? 3 : 0;
}

std::vector<absl::string_view> Fields(absl::string_view line) {
  std::vector<absl::string_view> fields;
  size_t start = 0;
  size_t i = 0;
  const auto end_field = [&] {
    if (i > start) fields.push_back(line.substr(start, i - start));
  };
  while (i < line.size()) {
    const size_t space = LeadingSpace(line.substr(i));
    if (space == 0) {
      ++i;
      continue;
    }
    end_field();
    i += space;
    start = i;
  }
  end_field();
  return fields;
}

struct HostFile {
  std::vector<std::string> servers, searches, options;
};

std::string Path(const NodeDns& node) {
  return node.kubelet.resolv_conf.value_or("/etc/resolv.conf");
}

// The host's file as the kubelet reads it, with the error texts of its
// start-up check.
absl::StatusOr<HostFile> ReadHostFile(const NodeDns& node) {
  HostFile file;
  if (Path(node).empty()) return file;
  if (!node.resolv_conf_text.has_value()) {
    return absl::NotFoundError(
        absl::StrCat("open ", Path(node), ": no such file or directory"));
  }
  if (node.resolv_conf_text->size() > kMaxFileBytes) {
    return absl::InvalidArgumentError("the read limit is reached");
  }
  // Option name to the whole option: a later one of the same name wins.
  absl::btree_map<std::string, std::string> options;
  bool empty_nameserver = false;
  for (absl::string_view line :
       absl::StrSplit(absl::string_view(*node.resolv_conf_text), '\n')) {
    const std::vector<absl::string_view> fields = Fields(line);
    if (fields.empty() || absl::StartsWith(fields[0], "#")) continue;
    if (fields[0] == "nameserver") {
      if (fields.size() == 1) {
        empty_nameserver = true;
      } else {
        file.servers.emplace_back(fields[1]);
      }
    } else if (fields[0] == "search") {
      file.searches.clear();
      for (size_t i = 1; i < fields.size(); ++i) {
        if (fields[i] == ".") continue;
        file.searches.emplace_back(absl::StripSuffix(fields[i], "."));
      }
    } else if (fields[0] == "options") {
      for (size_t i = 1; i < fields.size(); ++i) {
        const absl::string_view name = fields[i].substr(0, fields[i].find(':'));
        options[std::string(name)] = std::string(fields[i]);
      }
    }
  }
  // All lines are read first, but one such line fails the whole file.
  if (empty_nameserver) {
    return absl::InvalidArgumentError("nameserver list is empty ");
  }
  for (auto& [name, option] : options) file.options.push_back(option);
  return file;
}

void OmitDuplicates(std::vector<std::string>& list) {
  absl::flat_hash_set<std::string> seen;
  std::vector<std::string> unique;
  for (std::string& s : list) {
    if (seen.insert(s).second) unique.push_back(std::move(s));
  }
  list = std::move(unique);
}

// An option that is there already is replaced; an empty value loses its colon.
std::vector<std::string> MergeOptions(
    const std::vector<std::string>& existing,
    const std::vector<PodDnsConfig::Option>& added) {
  absl::btree_map<std::string, std::string> values;
  for (absl::string_view option : existing) {
    const size_t colon = option.find(':');
    values[std::string(option.substr(0, colon))] =
        colon == option.npos ? "" : std::string(option.substr(colon + 1));
  }
  for (const PodDnsConfig::Option& option : added) {
    values[option.name] = option.value.value_or("");
  }
  std::vector<std::string> merged;
  for (const auto& [name, value] : values) {
    merged.push_back(value.empty() ? name : absl::StrCat(name, ":", value));
  }
  return merged;
}

void ApplyServerLimit(PodDns& dns) {
  if (dns.servers.size() <= kMaxServers) return;
  dns.servers.resize(kMaxServers);
  dns.events.push_back(
      {KubeletEvent::Object::kPod, "DNSConfigForming",
       absl::StrCat("Nameserver limits were exceeded, some nameservers have "
                    "been omitted, the applied nameserver line is: ",
                    absl::StrJoin(dns.servers, " "))});
}

// The order matters: domains are counted before those too long are dropped.
void ApplySearchLimits(SearchLimits limits, PodDns& dns) {
  std::vector<std::string>& searches = dns.searches;
  const size_t before = searches.size();
  if (searches.size() > limits.domains) searches.resize(limits.domains);
  searches.erase(std::remove_if(searches.begin(), searches.end(),
                                [](const std::string& s) {
                                  return s.size() > kMaxSearchLength;
                                }),
                 searches.end());
  size_t length = searches.empty() ? 0 : searches.size() - 1;
  for (const std::string& s : searches) length += s.size();
  while (!searches.empty() && length > limits.characters) {
    // The last one of all takes no separator with it.
    length -= searches.back().size() + (searches.size() > 1 ? 1 : 0);
    searches.pop_back();
  }
  if (searches.size() == before) return;
  dns.events.push_back(
      {KubeletEvent::Object::kPod, "DNSConfigForming",
       absl::StrCat("Search Line limits were exceeded, some search paths have "
                    "been omitted, the applied search line is: ",
                    absl::StrJoin(searches, " "))});
}

enum class Base { kNone, kCluster, kHost };

// An unknown policy counts as the cluster's, even on the host's network.
Base BaseOf(const PodSpec& spec) {
  if (spec.dns_policy == "None") return Base::kNone;
  if (spec.dns_policy == "Default") return Base::kHost;
  if (spec.dns_policy == "ClusterFirst" && spec.host_network) {
    return Base::kHost;
  }
  return Base::kCluster;
}

std::vector<IpAddress> ClusterDns(const NodeDns& node) {
  std::vector<IpAddress> addresses;
  for (const std::string& text : node.kubelet.cluster_dns) {
    // The kubelet logs an address that it cannot read, and goes on without it.
    if (auto ip = IpAddress::ParseSloppy(text)) addresses.push_back(*ip);
  }
  return addresses;
}

void SetClusterDns(const Pod& pod, const NodeDns& node, PodDns& dns) {
  dns.servers.clear();
  for (const IpAddress& ip : ClusterDns(node)) {
    dns.servers.push_back(ip.ToString());
  }
  dns.options = {"ndots:5"};
  const std::string& domain = node.kubelet.cluster_domain;
  if (domain.empty()) return;
  std::vector<std::string> searches = {
      absl::StrCat(pod.metadata.namespace_, ".svc.", domain),
      absl::StrCat("svc.", domain), domain};
  searches.insert(searches.end(), dns.searches.begin(), dns.searches.end());
  OmitDuplicates(searches);
  dns.searches = std::move(searches);
}

void AddMissingClusterDnsEvents(const Pod& pod, PodDns& dns) {
  const std::string message =
      "kubelet does not have ClusterDNS IP configured and cannot create Pod "
      "using \"ClusterFirst\" policy. Falling back to \"Default\" policy.";
  dns.events.push_back(
      {KubeletEvent::Object::kNode, "MissingClusterDNS", message});
  const ObjectMeta& meta = pod.metadata;
  dns.events.push_back({KubeletEvent::Object::kPod, "MissingClusterDNS",
                        absl::StrCat("pod: \"", meta.name, "_", meta.namespace_,
                                     "(", meta.uid.view(), ")\". ", message)});
}

// Without a host file, the node itself stands in for a name server.
void SetLocalhostDns(const NodeDns& node, PodDns& dns) {
  for (const IpAddress& ip : node.addresses) {
    dns.servers.push_back(ip.is_v6() ? "::1" : "127.0.0.1");
  }
  if (dns.servers.empty()) dns.servers.push_back("127.0.0.1");
  dns.searches = {"."};
}

}  // namespace

std::string KubeletEvent::ToString() const {
  return absl::StrCat("Warning ", reason, " ", message);
}

std::string PodDns::ToResolvConf() const {
  std::string text;
  if (!searches.empty()) {
    absl::StrAppend(&text, "search ", absl::StrJoin(searches, " "), "\n");
  }
  for (const std::string& server : servers) {
    absl::StrAppend(&text, "nameserver ", server, "\n");
  }
  if (!options.empty()) {
    absl::StrAppend(&text, "options ", absl::StrJoin(options, " "), "\n");
  }
  return text;
}

absl::StatusOr<PodDns> FormPodDns(const Pod& pod, const NodeDns& node) {
  absl::StatusOr<HostFile> host = ReadHostFile(node);
  if (!host.ok()) {
    const bool prefixed = node.limits == KubeletDnsLimits::kExpanded &&
                          node.resolv_conf_text.has_value();
    return absl::FailedPreconditionError(absl::StrCat(
        prefixed ? "Encountered error while parsing resolv conf file. Error: "
                 : "",
        host.status().message()));
  }
  PodDns dns;
  Base base = BaseOf(pod.spec);
  if (base != Base::kNone) {
    dns.servers = std::move(host->servers);
    dns.searches = std::move(host->searches);
    dns.options = std::move(host->options);
  }
  if (base == Base::kCluster && ClusterDns(node).empty()) {
    AddMissingClusterDnsEvents(pod, dns);
    base = Base::kHost;
  }
  if (base == Base::kCluster) {
    SetClusterDns(pod, node, dns);
  } else if (base == Base::kHost && Path(node).empty()) {
    SetLocalhostDns(node, dns);
  }
  if (pod.spec.dns_config.has_value()) {
    const PodDnsConfig& config = *pod.spec.dns_config;
    dns.servers.insert(dns.servers.end(), config.nameservers.begin(),
                       config.nameservers.end());
    dns.searches.insert(dns.searches.end(), config.searches.begin(),
                        config.searches.end());
    OmitDuplicates(dns.servers);
    OmitDuplicates(dns.searches);
    dns.options = MergeOptions(dns.options, config.options);
  }
  std::sort(dns.options.begin(), dns.options.end());
  ApplyServerLimit(dns);
  ApplySearchLimits(LimitsOf(node.limits), dns);
  return dns;
}

std::optional<KubeletEvent> CheckNodeResolvConf(const NodeDns& node) {
  const std::string path = Path(node);
  if (path.empty()) return std::nullopt;
  const auto event = [](std::string message) {
    return KubeletEvent{KubeletEvent::Object::kNode, "CheckLimitsForResolvConf",
                        std::move(message)};
  };
  const absl::StatusOr<HostFile> host = ReadHostFile(node);
  if (!host.ok()) return event(std::string(host.status().message()));
  SearchLimits limits = LimitsOf(node.limits);
  // Room for the three domains of a Pod with ClusterFirst.
  if (!node.kubelet.cluster_domain.empty()) limits.domains -= 3;
  if (host->searches.size() > limits.domains) {
    return event(absl::StrCat("Resolv.conf file '", path,
                              "' contains search line consisting of more than ",
                              limits.domains, " domains!"));
  }
  for (const std::string& search : host->searches) {
    if (search.size() <= kMaxSearchLength) continue;
    return event(absl::StrCat("Resolv.conf file \"", path,
                              "\" contains a search path which length is more "
                              "than allowed ",
                              kMaxSearchLength, " chars!"));
  }
  if (absl::StrJoin(host->searches, " ").size() > limits.characters) {
    return event(absl::StrCat("Resolv.conf file '", path,
                              "' contains search line which length is more "
                              "than allowed ",
                              limits.characters, " chars!"));
  }
  return std::nullopt;
}

}  // namespace k8sdns::dns
