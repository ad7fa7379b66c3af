#include "tests/conformance/replay_dns_records.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/cluster/manifest_reader.h"
#include "k8sdns/dns/forward_table.h"
#include "k8sdns/dns/message.h"
#include "k8sdns/dns/zone.h"
#include "k8sdns/net/ip_address.h"
#include "tests/conformance/yaml_value.h"

namespace k8sdns::conformance {
namespace {

using dns::CoreDnsOptions;
using dns::RecordType;

// The recordings were made on a host with these addresses besides loopback;
// the first one is where questions come from unless a recording says so.
constexpr const char* kServerAddresses[] = {"10.244.0.2", "10.244.0.200",
                                            "10.244.0.201"};

// The server that the recorded ones forwarded to (the recordings' README).
dns::ForwardTable Upstream() {
  dns::ForwardTable table;
  table.set_tcp(false);
  const auto address = [&](const char* owner, const char* ip) {
    const IpAddress a = *IpAddress::Parse(ip);
    table.Add({owner, 300, a.is_v4() ? RecordType::kA : RecordType::kAaaa, a});
  };
  address("www.example.com.", "203.0.113.80");
  address("www.example.com.", "2001:db8::80");
  address("db.example.com.", "203.0.113.5");
  table.Add({"alias.example.com.", 300, RecordType::kCname,
             dns::NameData{"www.example.com."}});
  table.SetSoa({".", 60, RecordType::kSoa,
                dns::SoaData{"a.up.test.", "h.up.test.", 0, 2, 3, 4, 60}});
  return table;
}

// A list, or one text with blanks.
std::vector<std::string> Texts(const YamlValue& value) {
  std::vector<std::string> texts;
  if (value.is_scalar()) {
    texts = absl::StrSplit(value.str(), ' ', absl::SkipEmpty());
  }
  for (const YamlValue& item : value.items()) texts.push_back(item.str());
  return texts;
}

CoreDnsOptions ReadOptions(const YamlValue& config) {
  CoreDnsOptions options;
  const std::string& pods = config["pods"].str();
  options.pods = pods == "insecure"   ? CoreDnsOptions::Pods::kInsecure
                 : pods == "verified" ? CoreDnsOptions::Pods::kVerified
                                      : CoreDnsOptions::Pods::kDisabled;
  options.ttl =
      static_cast<uint32_t>(config["ttl"].AsInt(CoreDnsOptions().ttl));
  options.fallthrough = Texts(config["fallthrough"]);
  if (config.Has("reverse_zones")) {
    options.reverse_zones = Texts(config["reverse_zones"]);
  }
  if (config.Has("zone")) options.zones = Texts(config["zone"]);
  options.namespaces = Texts(config["namespaces"]);
  options.labels = config["labels"].str();
  options.namespace_labels = config["namespace_labels"].str();
  options.endpoint_pod_names = config["endpoint_pod_names"].AsBool(false);
  options.no_endpoints = config["noendpoints"].AsBool(false);
  options.ignore_empty_service = config["ignore_empty"].AsBool(false);
  options.autopath = config["autopath"].AsBool(false);
  if (!config.Has("bind")) {
    for (const char* ip : kServerAddresses) {
      options.server_addresses.push_back(*IpAddress::Parse(ip));
    }
  }
  return options;
}

absl::StatusOr<dns::Zone> MakeZone(const Cluster& cluster,
                                   const YamlValue& document) {
  const YamlValue& config = document["config"];
  if (document["server"].str() == "kube-dns") {
    return dns::Zone::Create(cluster, dns::KubeDnsOptions{}, Upstream());
  }
  return dns::Zone::Create(cluster, ReadOptions(config), Upstream());
}

dns::DnsQuestion ReadQuestion(const YamlValue& question,
                              absl::string_view client) {
  dns::DnsQuestion out;
  out.name = question["name"].str();
  out.type = dns::ParseRecordType(question["type"].str())
                 .value_or(static_cast<RecordType>(0));
  if (question["cls"].str() == "CH") out.klass = dns::RecordClass::kChaos;
  // Zone transfers are asked for over TCP.
  if (question["tcp"].AsBool(false) || out.type == RecordType::kAxfr) {
    out.transport = dns::DnsTransport::kTcp;
  }
  if (question.Has("edns")) {
    out.edns_udp_size = static_cast<uint16_t>(question["edns"].AsInt(0));
  }
  if (auto ip = IpAddress::Parse(client)) out.client = *ip;
  return out;
}

YamlValue Section(const std::vector<dns::ResourceRecord>& records) {
  YamlValue list = YamlValue::List();
  for (const dns::ResourceRecord& record : records) {
    std::string text = record.ToString();
    if (const auto* soa = std::get_if<dns::SoaData>(&record.data)) {
      // Recordings have the word in place of the number.
      text = absl::StrCat(record.owner, " ", record.ttl, " SOA ", soa->mname,
                          " ", soa->rname, " SERIAL ", soa->refresh, " ",
                          soa->retry, " ", soa->expire, " ", soa->minimum);
    }
    list.Add(std::move(text));
  }
  return list;
}

YamlValue Reply(const YamlValue& question,
                const absl::StatusOr<dns::DnsResponse>& response) {
  YamlValue out = YamlValue::Map();
  out.Set("question", question);
  if (!response.ok()) {
    out.Set("x-error", absl::string_view(response.status().message()));
    return out;
  }
  if (response->outcome == dns::DnsResponse::Outcome::kNoReply) {
    out.Set("rcode", "no-reply");
    return out;
  }
  out.Set("rcode", dns::RcodeName(response->rcode));
  YamlValue flags = YamlValue::List();
  if (response->authoritative) flags.Add("aa");
  if (response->truncated) flags.Add("tc");
  if (response->recursion_available) flags.Add("ra");
  out.Set("flags", std::move(flags));
  const auto add = [&](const char* key,
                       const std::vector<dns::ResourceRecord>& records) {
    if (!records.empty()) out.Set(key, Section(records));
  };
  add("answer", response->answer);
  add("authority", response->authority);
  add("additional", response->additional);
  if (response->edns_udp_size) {
    out.Set("edns", static_cast<int>(*response->edns_udp_size));
  }
  return out;
}

absl::StatusOr<YamlValue> ReplayFile(const Cluster& cluster,
                                     const YamlValue& document) {
  const absl::StatusOr<dns::Zone> zone = MakeZone(cluster, document);
  if (!zone.ok()) return zone.status();
  std::string client = document["config"]["client"].str();
  if (client.empty()) client = kServerAddresses[0];
  YamlValue queries = YamlValue::List();
  bool crashed = false;
  for (const YamlValue& query : document["queries"].items()) {
    const YamlValue& question = query["question"];
    if (crashed) {
      // Finds the server gone, which is then started again.
      YamlValue out = YamlValue::Map();
      out.Set("question", question);
      out.Set("rcode", "server-crash");
      queries.Add(std::move(out));
      crashed = false;
      continue;
    }
    const absl::StatusOr<dns::DnsResponse> response =
        zone->Answer(ReadQuestion(question, client));
    crashed = response.ok() && response->crashes_server;
    queries.Add(Reply(question, response));
  }
  YamlValue out = YamlValue::Map();
  out.Set("server", document["server"]);
  out.Set("config", document["config"]);
  out.Set("queries", std::move(queries));
  return out;
}

}  // namespace

absl::Status ReplayDnsRecords(const ReplayPaths& paths) {
  for (const std::string& folder : CaseFolders(paths.corpus, "dns-records")) {
    const std::string root = absl::StrCat("dns-records/", folder);
    const std::string cluster_file =
        absl::StrCat(paths.corpus, "/", root, "/cluster.yaml");
    const absl::StatusOr<std::string> text = ReadFile(cluster_file);
    if (!text.ok()) return text.status();
    const absl::StatusOr<Cluster> cluster = ReadCluster(*text, cluster_file);
    if (!cluster.ok()) return cluster.status();
    for (const std::string& file : FilesBelow(paths.corpus, root, ".yaml")) {
      if (absl::EndsWith(file, "/cluster.yaml")) continue;
      const auto recording = ReadFile(absl::StrCat(paths.corpus, "/", file));
      if (!recording.ok()) return recording.status();
      const absl::StatusOr<YamlValue> document = ParseYaml(*recording);
      if (!document.ok()) return document.status();
      const absl::StatusOr<YamlValue> out = ReplayFile(*cluster, *document);
      if (!out.ok()) return out.status();
      const absl::Status written =
          WriteFile(absl::StrCat(paths.out, "/", file), out->ToYaml());
      if (!written.ok()) return written;
    }
  }
  return absl::OkStatus();
}

}  // namespace k8sdns::conformance
