#include "tests/conformance/replay_kubelet_resolv_conf.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "k8sdns/cluster/pod.h"
#include "k8sdns/dns/kubelet_dns.h"
#include "k8sdns/net/ip_address.h"
#include "tests/conformance/yaml_value.h"

namespace k8sdns::conformance {
namespace {

// The path that the recordings give to the kubelet.
constexpr char kPath[] = "/etc/kubelet-resolv.conf";

std::vector<std::string> Texts(const YamlValue& list) {
  std::vector<std::string> texts;
  for (const YamlValue& item : list.items()) texts.push_back(item.str());
  return texts;
}

YamlValue List(const std::vector<std::string>& texts) {
  YamlValue list = YamlValue::List();
  for (const std::string& text : texts) list.Add(text);
  return list;
}

dns::NodeDns ReadNode(const YamlValue& node) {
  dns::NodeDns out;
  out.kubelet.cluster_dns = Texts(node["cluster_dns"]);
  out.kubelet.cluster_domain = node["cluster_domain"].str();
  for (const YamlValue& ip : node["node_ips"].items()) {
    if (auto address = IpAddress::ParseSloppy(ip.str())) {
      out.addresses.push_back(*address);
    }
  }
  const std::string& flag = node["resolv_conf_flag"].str();
  out.kubelet.resolv_conf = flag.empty() ? "" : kPath;
  if (flag == "file") out.resolv_conf_text = node["host_resolv_conf"].str();
  return out;
}

Pod ReadPod(const YamlValue& pod) {
  Pod out;
  out.metadata.namespace_ = pod["namespace"].str();
  out.metadata.name = pod["name"].str();
  out.metadata.uid = pod["uid"].str();
  out.spec.dns_policy = pod["dnsPolicy"].str();
  out.spec.host_network = pod["hostNetwork"].AsBool(false);
  if (pod.Has("dnsConfig")) {
    const YamlValue& config = pod["dnsConfig"];
    PodDnsConfig& to = out.spec.dns_config.emplace();
    to.nameservers = Texts(config["nameservers"]);
    to.searches = Texts(config["searches"]);
    for (const YamlValue& option : config["options"].items()) {
      PodDnsConfig::Option o;
      o.name = option["name"].str();
      if (option.Has("value") && !option["value"].is_null()) {
        o.value = option["value"].str();
      }
      to.options.push_back(std::move(o));
    }
  }
  return out;
}

YamlValue Expect(const Pod& pod, const dns::NodeDns& node) {
  YamlValue out = YamlValue::Map();
  std::vector<std::string> events;
  const absl::StatusOr<dns::PodDns> dns = dns::FormPodDns(pod, node);
  if (!dns.ok()) {
    out.Set("error", absl::string_view(dns.status().message()));
  } else {
    if (!dns->servers.empty()) out.Set("servers", List(dns->servers));
    if (!dns->searches.empty()) out.Set("searches", List(dns->searches));
    out.Set("options", List(dns->options));
    out.Set("resolv_conf", dns->ToResolvConf());
    for (const dns::KubeletEvent& event : dns->events) {
      events.push_back(event.ToString());
    }
  }
  out.Set("events", List(events));
  if (!node.kubelet.resolv_conf->empty()) {
    std::vector<std::string> node_events;
    if (auto event = dns::CheckNodeResolvConf(node)) {
      node_events.push_back(event->ToString());
    }
    out.Set("node_events", List(node_events));
  }
  return out;
}

}  // namespace

absl::Status ReplayKubeletResolvConf(const ReplayPaths& paths) {
  const std::string file = "/kubelet-resolv-conf/cases.yaml";
  const absl::StatusOr<std::string> text = ReadFile(paths.corpus + file);
  if (!text.ok()) return text.status();
  const absl::StatusOr<YamlValue> document = ParseYaml(*text);
  if (!document.ok()) return document.status();
  YamlValue cases = YamlValue::List();
  for (const YamlValue& item : (*document)["cases"].items()) {
    const Pod pod = ReadPod(item["pod"]);
    dns::NodeDns node = ReadNode(item["node"]);
    YamlValue out = YamlValue::Map();
    out.Set("id", item["id"].str());
    const YamlValue expect = Expect(pod, node);
    node.limits = dns::KubeletDnsLimits::kLegacy;
    const YamlValue legacy = Expect(pod, node);
    out.Set("expect", expect);
    if (!(legacy == expect)) out.Set("expect_1_26_legacy_limits", legacy);
    cases.Add(std::move(out));
  }
  YamlValue out = YamlValue::Map();
  out.Set("cases", std::move(cases));
  return WriteFile(paths.out + file, out.ToYaml());
}

}  // namespace k8sdns::conformance
