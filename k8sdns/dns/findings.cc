// Findings about objects; those about resolver libraries are in
// findings_resolver.cc.
#include "k8sdns/dns/findings.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace k8sdns::dns {
namespace {

constexpr char kFileName[] = "/etc/resolv.conf";

Finding Make(absl::string_view id, Severity severity, std::string what,
             std::string why, std::string change) {
  Finding finding;
  finding.id = std::string(id);
  finding.severity = severity;
  finding.what = std::move(what);
  finding.why = std::move(why);
  finding.change = std::move(change);
  return finding;
}

Finding At(Finding finding, absl::string_view kind, const ObjectMeta& meta,
           absl::string_view field) {
  finding.kind = std::string(kind);
  finding.namespace_ = meta.namespace_;
  finding.name = meta.name;
  finding.field = std::string(field);
  return finding;
}

// A setting of a node's kubelet; `node` may be empty.
Finding OnNode(Finding finding, absl::string_view kind, absl::string_view node,
               absl::string_view field) {
  finding.kind = std::string(kind);
  finding.name = std::string(node);
  finding.field = std::string(field);
  return finding;
}

bool Selects(const StringMap& selector, const StringMap& labels) {
  return absl::c_all_of(selector, [&](const auto& item) {
    auto it = labels.find(item.first);
    return it != labels.end() && it->second == item.second;
  });
}

bool HasReadyEndpoint(const Cluster& cluster, const Service& service) {
  const ObjectMeta& meta = service.metadata;
  for (const EndpointSlice* slice :
       cluster.SlicesOf(meta.namespace_, meta.name)) {
    if (absl::c_any_of(slice->endpoints,
                       [](const Endpoint& e) { return e.IsReady(); })) {
      return true;
    }
  }
  const Endpoints* endpoints =
      cluster.endpoints().Find(meta.namespace_, meta.name);
  return endpoints != nullptr &&
         absl::c_any_of(endpoints->subsets, [](const EndpointSubset& subset) {
           return !subset.addresses.empty();
         });
}

bool HasPort53(const Service& service, Protocol protocol) {
  return absl::c_any_of(service.spec.ports, [&](const ServicePort& port) {
    return port.port == 53 && port.protocol == protocol;
  });
}

std::vector<std::string> ClusterIpTexts(const Service& service) {
  if (!service.spec.cluster_ips.empty()) return service.spec.cluster_ips;
  return {service.spec.cluster_ip};
}

// The 1-based line of the host file that names the server.
int LineOfServer(const std::string& text, const IpAddress& address) {
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    const std::vector<absl::string_view> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
    if (words.size() >= 2 && words[0] == "nameserver" &&
        IpAddress::Parse(words[1]) == address) {
      return number;
    }
  }
  return 0;
}

void CheckClusterDns(const Cluster& cluster, absl::string_view node_name,
                     const NodeDns& node, const DnsCheckOptions& options,
                     std::vector<Finding>& findings) {
  const Service* service =
      cluster.services().Find(options.service_namespace, options.service_name);
  if (service == nullptr) return;
  const std::vector<std::string> vips = ClusterIpTexts(*service);
  const auto is_vip = [&](const IpAddress& address) {
    return absl::c_any_of(vips, [&](const std::string& vip) {
      return IpAddress::ParseSloppy(vip) == address;
    });
  };
  for (size_t i = 0; i < node.kubelet.cluster_dns.size(); ++i) {
    const std::string& text = node.kubelet.cluster_dns[i];
    const std::optional<IpAddress> address = IpAddress::ParseSloppy(text);
    // A link-local address is a cache on the node, not the Service.
    if (address.has_value() && (is_vip(*address) || address->IsLinkLocal())) {
      continue;
    }
    findings.push_back(OnNode(
        Make("dns/nameserver-not-vip", Severity::kError,
             absl::StrCat("cluster DNS address ", text,
                          address.has_value() ? " is not an address of Service "
                                              : " is not an address; Service ",
                          options.service_namespace, "/", options.service_name,
                          address.has_value() ? " (" : " has ",
                          absl::StrJoin(vips, ", "),
                          address.has_value() ? ")" : ""),
             "Pods send their queries to an address where nothing answers",
             absl::StrCat("set clusterDNS to ", absl::StrJoin(vips, ", "))),
        "KubeletConfiguration", node_name,
        absl::StrCat("clusterDNS[", i, "]")));
  }
}

}  // namespace

std::vector<Finding> CheckDnsService(const Cluster& cluster,
                                     const DnsCheckOptions& options) {
  const Service* service =
      cluster.services().Find(options.service_namespace, options.service_name);
  std::vector<Finding> findings;
  if (service == nullptr) {
    ObjectMeta meta;
    meta.namespace_ = options.service_namespace;
    meta.name = options.service_name;
    findings.push_back(At(Make("dns/service-missing", Severity::kError,
                               "there is no such Service",
                               "Pods have no address to send queries to",
                               "create it, or name the cluster's DNS Service"),
                          "Service", meta, ""));
    return findings;
  }
  const ObjectMeta& meta = service->metadata;
  const StringMap& selector = service->spec.selector;
  const bool selects_none =
      !selector.empty() && !cluster.pods().empty() &&
      absl::c_none_of(cluster.pods(), [&](const Pod& pod) {
        return pod.metadata.namespace_ == meta.namespace_ &&
               Selects(selector, pod.metadata.labels);
      });
  if (selects_none) {
    findings.push_back(At(
        Make(
            "dns/selector-matches-no-pod", Severity::kError,
            absl::StrCat("selector ",
                         absl::StrJoin(selector, ",", absl::PairFormatter("=")),
                         " matches no Pod of namespace ", meta.namespace_),
            "the Service never gets endpoints",
            "make the selector and the labels of the DNS Pods agree"),
        "Service", meta, "spec.selector"));
  }
  if (!HasReadyEndpoint(cluster, *service)) {
    findings.push_back(At(
        Make("dns/no-ready-endpoints", Severity::kError, "no endpoint is ready",
             "every lookup of every Pod fails: queries to the Service's "
             "address are rejected",
             "see why the DNS Pods are not ready"),
        "Service", meta, ""));
  }
  if (!HasPort53(*service, Protocol::kUdp)) {
    findings.push_back(At(
        Make("dns/port-missing", Severity::kError, "port 53/UDP is not there",
             "resolvers ask over UDP first", "add port 53 with protocol UDP"),
        "Service", meta, "spec.ports"));
  }
  if (!HasPort53(*service, Protocol::kTcp)) {
    findings.push_back(At(
        Make("dns/port-missing", Severity::kWarning, "port 53/TCP is not there",
             "answers over 512 bytes are cut, and resolvers that ask again "
             "over TCP find nothing there",
             "add port 53 with protocol TCP"),
        "Service", meta, "spec.ports"));
  }
  return findings;
}

std::vector<Finding> CheckNodeDns(const Cluster& cluster,
                                  absl::string_view name, const NodeDns& node,
                                  const DnsCheckOptions& options) {
  std::vector<Finding> findings;
  CheckClusterDns(cluster, name, node, options, findings);
  const std::string path = node.kubelet.resolv_conf.value_or(kFileName);
  if (path.empty()) return findings;
  // A Pod that takes the host's settings shows how the kubelet reads the file.
  Pod pod;
  pod.spec.dns_policy = "Default";
  const absl::StatusOr<PodDns> host = FormPodDns(pod, node);
  if (!host.ok()) {
    findings.push_back(
        OnNode(Make("dns/sandbox-fails", Severity::kError,
                    absl::StrCat(path, ": ", host.status().message()),
                    "no Pod starts on the node, whatever its dnsPolicy",
                    "repair the file, or set resolvConf to another one"),
               "Node", name, "resolvConf"));
    return findings;
  }
  for (const std::string& text : host->servers) {
    const std::optional<IpAddress> server = IpAddress::Parse(text);
    if (!server.has_value() || !server->IsLoopback()) continue;
    const int line = LineOfServer(node.resolv_conf_text.value_or(""), *server);
    findings.push_back(OnNode(
        Make(
            "dns/stub-resolver-loop", Severity::kError,
            absl::StrCat(path, ":", line, ": nameserver ", text),
            "in a Pod the address is the Pod itself: Pods with dnsPolicy "
            "Default have no DNS, and a DNS server that forwards to the file's "
            "servers asks itself without end",
            "point resolvConf at a file with the real servers, such as "
            "/run/systemd/resolve/resolv.conf"),
        "Node", name, "resolvConf"));
  }
  if (auto event = CheckNodeResolvConf(node)) {
    findings.push_back(
        OnNode(Make("dns/node-limit", Severity::kWarning, event->message,
                    "the kubelet cuts the search list of Pods",
                    "shorten the search line of the file"),
               "Node", name, "resolvConf"));
  }
  return findings;
}

std::vector<Finding> CheckPodDns(const Pod& pod, const NodeDns& node) {
  std::vector<Finding> findings;
  const auto add = [&](Finding finding, absl::string_view field) {
    findings.push_back(At(std::move(finding), "Pod", pod.metadata, field));
  };
  if (pod.spec.host_network && pod.spec.dns_policy == "ClusterFirst") {
    add(Make("dns/host-network-policy", Severity::kWarning,
             "hostNetwork with dnsPolicy ClusterFirst",
             "the kubelet treats it as Default: names of Services do not "
             "resolve",
             "set dnsPolicy to ClusterFirstWithHostNet, or to Default if that "
             "is meant"),
        "spec.dnsPolicy");
  }
  const absl::StatusOr<PodDns> dns = FormPodDns(pod, node);
  if (!dns.ok()) return findings;  // dns/sandbox-fails, of the node
  for (const KubeletEvent& event : dns->events) {
    if (event.object == KubeletEvent::Object::kNode) continue;
    if (event.reason == "MissingClusterDNS") {
      add(Make("dns/missing-cluster-dns", Severity::kError, event.message,
               "the Pod gets the host's DNS: names of Services do not resolve",
               "set clusterDNS in the kubelet's configuration"),
          "spec.dnsPolicy");
    } else {
      add(Make("dns/pod-limit", Severity::kWarning, event.message,
               "what is cut is not asked or not searched",
               "name fewer servers and shorter search lists in dnsConfig and "
               "in the node's file"),
          "spec.dnsConfig");
    }
  }
  return findings;
}

std::vector<Finding> CheckHeadlessServices(const Cluster& cluster) {
  std::vector<Finding> findings;
  for (const Service& service : cluster.services()) {
    if (!service.IsHeadless() || service.spec.publish_not_ready_addresses) {
      continue;
    }
    const ObjectMeta& meta = service.metadata;
    std::vector<std::string> hidden;
    for (const EndpointSlice* slice :
         cluster.SlicesOf(meta.namespace_, meta.name)) {
      for (const Endpoint& endpoint : slice->endpoints) {
        if (endpoint.IsReady() || endpoint.IsTerminating()) continue;
        std::string name = endpoint.hostname.value_or("");
        if (name.empty() && !endpoint.addresses.empty()) {
          name = std::string(endpoint.addresses[0]);
        }
        hidden.push_back(std::move(name));
      }
    }
    if (hidden.empty()) continue;
    constexpr size_t kShown = 3;
    const size_t count = hidden.size();
    hidden.resize(std::min(count, kShown));
    findings.push_back(
        At(Make("dns/headless-hidden", Severity::kInfo,
                absl::StrCat(count,
                             " endpoint(s) are not ready and have no "
                             "name in DNS: ",
                             absl::StrJoin(hidden, ", "),
                             count > kShown ? ", ..." : ""),
                "members that must find each other before they are ready never "
                "do",
                "set publishNotReadyAddresses if they must"),
           "Service", meta, "spec.publishNotReadyAddresses"));
  }
  return findings;
}

std::vector<Finding> CheckDns(const Cluster& cluster,
                              const DnsCheckOptions& options) {
  std::vector<Finding> findings;
  const auto add = [&](std::vector<Finding> more) {
    for (Finding& finding : more) findings.push_back(std::move(finding));
  };
  add(CheckDnsService(cluster, options));
  add(CheckNodeDns(cluster, "", options.node, options));
  for (const auto& [name, node] : options.nodes) {
    add(CheckNodeDns(cluster, name, node, options));
  }
  absl::flat_hash_set<std::string> files;
  for (const Pod& pod : cluster.pods()) {
    auto own = options.nodes.find(pod.spec.node_name);
    const NodeDns& node =
        own == options.nodes.end() ? options.node : own->second;
    add(CheckPodDns(pod, node));
    const absl::StatusOr<PodDns> dns = FormPodDns(pod, node);
    if (!dns.ok() || dns->CopiesNodeFile()) continue;
    if (!files.insert(dns->ToResolvConf()).second) continue;
    add(CheckPodResolver(cluster, pod, *dns, options));
  }
  add(CheckHeadlessServices(cluster));
  return findings;
}

}  // namespace k8sdns::dns
