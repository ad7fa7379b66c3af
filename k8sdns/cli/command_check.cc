// k8sdns check: all findings, as text, JSON or SARIF.
#include <algorithm>
#include <ostream>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "k8sdns/cli/commands.h"
#include "k8sdns/cli/inputs.h"
#include "k8sdns/cli/json_document.h"
#include "k8sdns/cluster/finding.h"
#include "k8sdns/dns/findings.h"
#include "k8sdns/journey/diagnose.h"
#include "k8sdns/journey/name_lookup.h"
#include "k8sdns/version.h"

namespace k8sdns::cli {
namespace {

using google::protobuf::Struct;

std::string ToJson(const std::vector<Finding>& findings) {
  Struct document;
  Set(document, "version", "1");
  (*document.mutable_fields())["findings"].mutable_list_value();
  for (const Finding& f : findings) {
    Struct& to = AddStruct(document, "findings");
    Set(to, "id", f.id);
    Set(to, "severity", std::string(SeverityName(f.severity)));
    Set(to, "kind", f.kind);
    Set(to, "namespace", f.namespace_);
    Set(to, "name", f.name);
    Set(to, "field", f.field);
    Set(to, "what", f.what);
    Set(to, "why", f.why);
    Set(to, "change", f.change);
  }
  return Render(document);
}

// SARIF 2.1.0 (OASIS): one run, a rule for each id.
std::string ToSarif(const std::vector<Finding>& findings,
                    const std::string& file) {
  Struct document;
  Set(document, "version", "2.1.0");
  Set(document, "$schema", "https://json.schemastore.org/sarif-2.1.0.json");
  Struct& run = AddStruct(document, "runs");
  Struct& driver = SetStruct(SetStruct(run, "tool"), "driver");
  Set(driver, "name", "k8sdns");
  Set(driver, "version", K8SDNS_VERSION);
  std::set<std::string> ids;
  for (const Finding& f : findings) {
    if (ids.insert(f.id).second) Set(AddStruct(driver, "rules"), "id", f.id);
  }
  (*run.mutable_fields())["results"].mutable_list_value();
  for (const Finding& f : findings) {
    Struct& result = AddStruct(run, "results");
    Set(result, "ruleId", f.id);
    Set(result, "level",
        f.severity == Severity::kInfo ? "note"
                                      : std::string(SeverityName(f.severity)));
    std::string text = f.what;
    if (!f.why.empty()) absl::StrAppend(&text, ". ", f.why);
    if (!f.change.empty()) absl::StrAppend(&text, ". ", f.change);
    Set(SetStruct(result, "message"), "text", text);
    Struct& location = AddStruct(result, "locations");
    Set(SetStruct(SetStruct(location, "physicalLocation"), "artifactLocation"),
        "uri", file);
    Set(AddStruct(location, "logicalLocations"), "fullyQualifiedName",
        absl::StrCat(f.kind, "/", f.namespace_, f.namespace_.empty() ? "" : "/",
                     f.name, f.field.empty() ? "" : "#", f.field));
  }
  return Render(document);
}

std::string ToText(const std::vector<Finding>& findings) {
  std::string out;
  for (const Finding& f : findings) {
    absl::StrAppend(&out, f.ToString(), "\n");
    if (!f.why.empty()) absl::StrAppend(&out, "    why: ", f.why, "\n");
    if (!f.change.empty()) absl::StrAppend(&out, "    do:  ", f.change, "\n");
  }
  return out;
}

absl::StatusOr<std::vector<Finding>> Collect(const Args& args,
                                             Streams streams) {
  absl::StatusOr<Cluster> cluster = LoadCluster(args.GetAll("file"), streams);
  if (!cluster.ok()) return cluster.status();
  journey::RoutingCheckOptions routing;
  absl::StatusOr<KubeProxyConfig> proxy =
      LoadKubeProxyConfig(args.Get("config"), streams);
  if (!proxy.ok()) return proxy.status();
  routing.proxy = *std::move(proxy);
  for (const std::string& text : args.GetAll("service-cidr")) {
    const auto cidr = IpPrefix::Parse(text);
    if (!cidr) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--service-cidr: found \"", text, "\", expected ADDRESS/LENGTH"));
    }
    routing.service_cidrs.push_back(*cidr);
  }
  std::vector<Finding> findings = journey::CheckRouting(*cluster, routing);
  // Without the kubelet's configuration there is nothing to hold Pods against.
  if (args.Has("kubelet")) {
    dns::DnsCheckOptions options;
    absl::StatusOr<dns::NodeDns> node =
        LoadNodeDns(args, *cluster, Pod(), streams);
    if (!node.ok()) return node.status();
    options.node = *std::move(node);
    for (Finding& f : dns::CheckDns(*cluster, options)) {
      findings.push_back(std::move(f));
    }
    const journey::NameLookupWorld world{*cluster, options.node};
    for (const Pod& pod : cluster->pods()) {
      if (!args.Has("name") || pod.Addresses().empty()) continue;
      absl::StatusOr<std::vector<Finding>> names =
          journey::CheckNames(world, pod, args.GetAll("name"));
      if (!names.ok()) return names.status();
      for (Finding& f : *names) findings.push_back(std::move(f));
    }
  }
  return findings;
}

}  // namespace

int RunCheck(const Args& args, Streams streams) {
  const std::string format = args.Get("output");
  if (format != "text" && format != "json" && format != "sarif") {
    return Fail(streams, absl::StrCat("--output: found \"", format,
                                      "\", expected text, json or sarif"));
  }
  absl::StatusOr<std::vector<Finding>> findings = Collect(args, streams);
  if (!findings.ok()) return Fail(streams, findings.status().message());
  if (format == "json") {
    streams.out << ToJson(*findings);
  } else if (format == "sarif") {
    streams.out << ToSarif(*findings, args.GetAll("file")[0]);
  } else {
    PrintText(streams, ToText(*findings));
  }
  const bool serious = std::any_of(
      findings->begin(), findings->end(),
      [](const Finding& f) { return f.severity != Severity::kInfo; });
  return serious ? kFindings : kOk;
}

}  // namespace k8sdns::cli
