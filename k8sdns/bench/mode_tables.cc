#include "k8sdns/bench/mode_tables.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/string_view.h"
#include "k8sdns/ipvs/ipvsadm_save.h"
#include "k8sdns/netfilter/ipset_save.h"
#include "k8sdns/netfilter/iptables_save.h"
#include "k8sdns/proxy/ipset_values.h"
#include "k8sdns/proxy/iptables_compiler.h"
#include "k8sdns/proxy/ipvs_compiler.h"

namespace k8sdns::bench {
namespace {

constexpr IpFamily kFamilies[] = {IpFamily::kIpv4, IpFamily::kIpv6};

absl::Status ParseRules(absl::string_view text, IpFamily family) {
  return netfilter::ParseIptablesSave(text, family).status();
}

class IptablesTables : public ModeTables {
 public:
  absl::Status Compile(const Cluster& cluster, const KubeProxyConfig& config,
                       proxy::Dialect dialect) override {
    proxy::IptablesOptions options;
    options.dialect = dialect;
    absl::StatusOr<proxy::IptablesCompiler> compiler =
        proxy::IptablesCompiler::Create(cluster, config, options);
    if (!compiler.ok()) return compiler.status();
    compiler_.emplace(*std::move(compiler));
    return absl::OkStatus();
  }
  void Drop() override { compiler_.reset(); }
  void Print() override {
    for (int i = 0; i < 2; ++i) {
      if (!Programs(kFamilies[i])) continue;
      compiler_->PrintTo(kFamilies[i], proxy::IptablesCompiler::Print::kTables,
                         text_[i]);
    }
  }
  size_t text_bytes() const override {
    return text_[0].size() + text_[1].size();
  }
  void Apply(const WatchEvent& event) override {
    compiler_->Apply({&event, 1}, deltas_);
  }
  absl::Status Parse() const override {
    for (int i = 0; i < 2; ++i) {
      if (!Programs(kFamilies[i])) continue;
      const absl::Status status = ParseRules(text_[i], kFamilies[i]);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }
  absl::StatusOr<NodeTables> Tables() const override {
    NodeTables tables;
    for (int i = 0; i < 2; ++i) {
      tables.rules[i] = std::make_shared<const netfilter::Ruleset>(
          compiler_->Compile(kFamilies[i]));
    }
    tables.sysctls = compiler_->sysctls();
    return tables;
  }
  KernelTables ForKernel() const override { return {"", text_[0], "", {}}; }

 private:
  bool Programs(IpFamily family) const {
    const std::vector<IpFamily>& families = compiler_->families();
    return std::find(families.begin(), families.end(), family) !=
           families.end();
  }

  std::optional<proxy::IptablesCompiler> compiler_;
  proxy::IptablesDeltas deltas_;
  std::string text_[2];
};

class IpvsTables : public ModeTables {
 public:
  absl::Status Compile(const Cluster& cluster, const KubeProxyConfig& config,
                       proxy::Dialect dialect) override {
    proxy::IpvsOptions options;
    options.dialect = dialect;
    absl::StatusOr<proxy::IpvsCompiler> compiler =
        proxy::IpvsCompiler::Create(cluster, config, options);
    if (!compiler.ok()) return compiler.status();
    compiler_.emplace(*std::move(compiler));
    return absl::OkStatus();
  }
  void Drop() override { compiler_.reset(); }
  void Print() override {
    ipvsadm_.clear();
    compiler_->virtual_servers().ForEach([&](const ipvs::VirtualServer& s) {
      ipvs::AppendWithRealServers(s, false, ipvsadm_);
    });
    ipset_ = proxy::PrintSets(compiler_->Sets());
    for (int i = 0; i < 2; ++i) {
      rules_[i].clear();
      if (!Programs(kFamilies[i])) continue;
      netfilter::AppendIptablesSave(compiler_->Rules(kFamilies[i]), {},
                                    &rules_[i]);
    }
  }
  size_t text_bytes() const override {
    return ipvsadm_.size() + ipset_.size() + rules_[0].size() +
           rules_[1].size();
  }
  void Apply(const WatchEvent& event) override {
    compiler_->Apply(event, &delta_);
  }
  absl::Status Parse() const override {
    const absl::Status servers =
        ipvs::ReadIpvsadm(ipvsadm_, "ipvsadm").status();
    if (!servers.ok()) return servers;
    const absl::Status sets = netfilter::ParseIpsetSave(ipset_).status();
    if (!sets.ok()) return sets;
    for (int i = 0; i < 2; ++i) {
      if (rules_[i].empty()) continue;
      const absl::Status status = ParseRules(rules_[i], kFamilies[i]);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }
  absl::StatusOr<NodeTables> Tables() const override {
    NodeTables tables;
    tables.ipvs = true;
    for (int i = 0; i < 2; ++i) {
      tables.rules[i] = std::make_shared<const netfilter::Ruleset>(
          Programs(kFamilies[i]) ? compiler_->Rules(kFamilies[i]).Clone()
                                 : netfilter::Ruleset(kFamilies[i]));
    }
    const std::vector<proxy::KubeSetContents> contents = compiler_->Sets();
    for (const proxy::KubeSetContents& set : contents) {
      tables.set_members += set.members.size();
    }
    absl::StatusOr<dataplane::IpSets> sets =
        dataplane::LoadSets(proxy::ToIpSets(contents));
    if (!sets.ok()) return sets.status();
    tables.sets = *std::move(sets);
    tables.servers = compiler_->virtual_servers();
    tables.bound = compiler_->BoundAddresses();
    tables.sysctls = compiler_->Sysctls();
    return tables;
  }
  KernelTables ForKernel() const override {
    KernelTables tables = {ipset_, rules_[0], ipvsadm_, {}};
    for (const IpPrefix& p : compiler_->BoundAddresses()) {
      tables.bound.push_back(p.address());
    }
    return tables;
  }

 private:
  bool Programs(IpFamily family) const {
    const std::vector<IpFamily>& families = compiler_->families();
    return std::find(families.begin(), families.end(), family) !=
           families.end();
  }

  std::optional<proxy::IpvsCompiler> compiler_;
  proxy::IpvsDelta delta_;
  std::string ipvsadm_;
  std::string ipset_;
  std::string rules_[2];
};

}  // namespace

std::unique_ptr<ModeTables> MakeModeTables(ProxyMode mode) {
  if (mode == ProxyMode::kIpvs) return std::make_unique<IpvsTables>();
  return std::make_unique<IptablesTables>();
}

}  // namespace k8sdns::bench
