#include "tests/conformance/replay_kube_proxy_iptables.h"

#include <iostream>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "k8sdns/cluster/manifest_reader.h"
#include "k8sdns/netfilter/iptables_save.h"
#include "k8sdns/proxy/dialect.h"
#include "k8sdns/proxy/iptables_compiler.h"
#include "tests/conformance/yaml_value.h"

namespace k8sdns::conformance {
namespace {

absl::Status WriteTables(const proxy::IptablesCompiler& compiler,
                         const std::string& stem) {
  for (IpFamily family : compiler.families()) {
    const absl::Status status = WriteFile(
        absl::StrCat(stem, family == IpFamily::kIpv4 ? ".v4.txt" : ".v6.txt"),
        netfilter::PrintIptablesSave(compiler.Compile(family)));
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<Cluster> ReadClusterFile(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return text.status();
  return ReadCluster(*text, path);
}

absl::Status ReplayCase(const std::string& in, const std::string& out,
                        proxy::Dialect dialect) {
  const absl::StatusOr<Cluster> cluster = ReadClusterFile(in + "/cluster.yaml");
  if (!cluster.ok()) return cluster.status();
  const std::string config_path = in + "/kube-proxy.yaml";
  const absl::StatusOr<std::string> config_text = ReadFile(config_path);
  if (!config_text.ok()) return config_text.status();
  const absl::StatusOr<KubeProxyConfig> config =
      ReadKubeProxyConfig(*config_text, config_path);
  if (!config.ok()) return config.status();

  auto compiler =
      proxy::IptablesCompiler::Create(*cluster, *config, {.dialect = dialect});
  if (!compiler.ok()) {
    // kube-proxy would not start: there is nothing to write.
    std::cerr << in << ": " << compiler.status().message() << "\n";
    return absl::OkStatus();
  }
  absl::Status status = WriteTables(*compiler, out + "/save");
  std::string sysctls;
  for (const std::string& line : compiler->sysctls()) {
    absl::StrAppend(&sysctls, line, "\n");
  }
  status.Update(WriteFile(out + "/sysctl.txt", sysctls));

  const absl::StatusOr<Cluster> next =
      ReadClusterFile(in + "/cluster.next.yaml");
  if (absl::IsNotFound(next.status())) return status;
  if (!next.ok()) return next.status();
  proxy::IptablesDeltas deltas;
  compiler->Apply(Difference(*cluster, *next), deltas);
  status.Update(WriteTables(*compiler, out + "/save.next"));
  return status;
}

}  // namespace

absl::Status ReplayKubeProxyIptables(const ReplayPaths& paths) {
  absl::Status status;
  for (const std::string& version : CaseFolders(paths.corpus, "kube-proxy")) {
    const std::optional<proxy::Dialect> dialect = proxy::FindDialect(version);
    if (!dialect) continue;
    const std::string family =
        absl::StrCat("kube-proxy/", version, "/iptables");
    for (const std::string& name : CaseFolders(paths.corpus, family)) {
      const std::string path = absl::StrCat("/", family, "/", name);
      status.Update(
          ReplayCase(paths.corpus + path, paths.out + path, *dialect));
    }
  }
  return status;
}

}  // namespace k8sdns::conformance
