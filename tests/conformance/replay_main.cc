// replay --corpus=DIR --out=DIR [--only=FAMILY,...]
//
// Writes below --out what the library says for every case below --corpus.
// Exit status: 0 if all families that are built were replayed, 2 on bad flags
// or files.
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/strings/str_split.h"
#include "tests/conformance/replay.h"
#include "tests/conformance/replay_dns_records.h"
#include "tests/conformance/replay_endpoints_controller.h"
#include "tests/conformance/replay_kernel.h"
#include "tests/conformance/replay_kube_proxy_iptables.h"
#include "tests/conformance/replay_kube_proxy_ipvs.h"
#include "tests/conformance/replay_kubelet_resolv_conf.h"
#include "tests/conformance/replay_resolver.h"
#include "tests/conformance/replay_rule_text.h"

ABSL_FLAG(std::string, corpus, "", "folder of recordings");
ABSL_FLAG(std::string, out, "", "folder to write to");
ABSL_FLAG(std::vector<std::string>, only, {}, "families; empty: all");

namespace k8sdns::conformance {
namespace {

struct Family {
  const char* name;
  ReplayFunction replay;
};

// One line a family; those that are not built yet are not here.
constexpr Family kFamilies[] = {
    {"rule-text", ReplayRuleText},
    {"kernel", ReplayLoadErrors},
    {"kernel", ReplayKernel},
    {"kernel-ipvs", ReplayKernelIpvs},
    {"kernel-random", ReplayKernelRandom},
    {"kernel-random6", ReplayKernelRandom6},
    {"dns-records", ReplayDnsRecords},
    {"endpoints-controller", ReplayEndpointsController},
    {"kube-proxy", ReplayKubeProxyIptables},
    {"kube-proxy", ReplayKubeProxyIpvs},
    {"kubelet-resolv-conf", ReplayKubeletResolvConf},
    {"resolver", ReplayResolver},
};

int Main() {
  const ReplayPaths paths = {absl::GetFlag(FLAGS_corpus),
                             absl::GetFlag(FLAGS_out)};
  if (paths.corpus.empty() || paths.out.empty()) {
    std::cerr << "replay: --corpus=DIR and --out=DIR are needed\n";
    return 2;
  }
  if (!std::filesystem::is_directory(paths.corpus)) {
    std::cerr << "replay: " << paths.corpus << ": not a folder\n";
    return 2;
  }
  const std::vector<std::string> only = absl::GetFlag(FLAGS_only);
  for (const std::string& name : only) {
    if (!absl::c_any_of(kFamilies,
                        [&](const Family& f) { return name == f.name; })) {
      std::cerr << "replay: " << name << ": not built\n";
    }
  }
  int status = 0;
  for (const Family& family : kFamilies) {
    if (family.replay == nullptr) continue;
    if (!only.empty() && !absl::c_linear_search(only, family.name)) continue;
    if (!std::filesystem::is_directory(paths.corpus + "/" + family.name)) {
      continue;
    }
    const absl::Status result = family.replay(paths);
    if (!result.ok()) {
      std::cerr << "replay: " << family.name << ": " << result << "\n";
      status = 2;
    }
  }
  return status;
}

}  // namespace
}  // namespace k8sdns::conformance

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "replay --corpus=DIR --out=DIR [--only=FAMILY,...]");
  absl::ParseCommandLine(argc, argv);
  return k8sdns::conformance::Main();
}
