#include "tests/conformance/replay_kube_proxy_ipvs.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/cluster/manifest_reader.h"
#include "k8sdns/ipvs/ipvsadm_save.h"
#include "k8sdns/netfilter/iptables_save.h"
#include "k8sdns/proxy/dialect.h"
#include "k8sdns/proxy/ipvs_compiler.h"
#include "tests/conformance/yaml_value.h"

namespace k8sdns::conformance {
namespace {

absl::StatusOr<Cluster> ReadClusterFile(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return text.status();
  return ReadCluster(*text, path);
}

// `state` is "" or ".next".
absl::Status WriteOutputs(const proxy::IpvsCompiler& compiler,
                          const std::string& folder, const std::string& state) {
  std::string bound;
  for (const IpPrefix& prefix : compiler.BoundAddresses()) {
    absl::StrAppend(&bound, prefix.ToString(), "\n");
  }
  std::vector<std::pair<std::string, std::string>> files = {
      {"ipvsadm" + state, ipvs::PrintIpvsadm(compiler.virtual_servers())},
      {"ipset" + state, proxy::PrintSets(compiler.Sets())},
      {"bound" + state, std::move(bound)},
  };
  if (state.empty()) {
    std::string sysctls;
    for (const std::string& line : compiler.Sysctls()) {
      absl::StrAppend(&sysctls, line, "\n");
    }
    files.emplace_back("sysctl", std::move(sysctls));
  }
  for (IpFamily family : compiler.families()) {
    files.emplace_back(
        absl::StrCat("save", state, family == IpFamily::kIpv4 ? ".v4" : ".v6"),
        netfilter::PrintIptablesSave(compiler.Rules(family)));
  }
  for (const auto& [name, text] : files) {
    absl::Status status =
        WriteFile(absl::StrCat(folder, "/", name, ".txt"), text);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status ReplayCase(const ReplayPaths& paths, const std::string& folder,
                        proxy::Dialect dialect) {
  const std::string in = absl::StrCat(paths.corpus, "/", folder);
  const std::string out = absl::StrCat(paths.out, "/", folder);
  absl::StatusOr<Cluster> cluster = ReadClusterFile(in + "/cluster.yaml");
  if (!cluster.ok()) return cluster.status();
  absl::StatusOr<std::string> text = ReadFile(in + "/kube-proxy.yaml");
  if (!text.ok()) return text.status();
  absl::StatusOr<KubeProxyConfig> config =
      ReadKubeProxyConfig(*text, in + "/kube-proxy.yaml");
  if (!config.ok()) return config.status();
  absl::StatusOr<proxy::IpvsCompiler> compiler =
      proxy::IpvsCompiler::Create(*cluster, *config, {.dialect = dialect});
  if (!compiler.ok()) return compiler.status();
  absl::Status status = WriteOutputs(*compiler, out, "");
  if (!status.ok()) return status;
  // A second state, reached by what the watch reports.
  absl::StatusOr<Cluster> next = ReadClusterFile(in + "/cluster.next.yaml");
  if (absl::IsNotFound(next.status())) return absl::OkStatus();
  if (!next.ok()) return next.status();
  for (const WatchEvent& event : Difference(*cluster, *next)) {
    compiler->Apply(event);
  }
  return WriteOutputs(*compiler, out, ".next");
}

}  // namespace

absl::Status ReplayKubeProxyIpvs(const ReplayPaths& paths) {
  for (const std::string& path :
       FilesBelow(paths.corpus, "kube-proxy", "/kube-proxy.yaml")) {
    // kube-proxy/<version>/<mode>/<case>/kube-proxy.yaml
    std::vector<std::string> parts = absl::StrSplit(path, '/');
    if (parts.size() != 5 || parts[2] != "ipvs") continue;
    const std::optional<proxy::Dialect> dialect = proxy::FindDialect(parts[1]);
    if (!dialect) continue;
    parts.pop_back();
    absl::Status status =
        ReplayCase(paths, absl::StrJoin(parts, "/"), *dialect);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace k8sdns::conformance
