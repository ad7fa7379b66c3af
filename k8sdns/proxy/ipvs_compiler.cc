#include "k8sdns/proxy/ipvs_compiler.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "k8sdns/proxy/ipvs_state.h"

namespace k8sdns::proxy {

IpvsCompiler::IpvsCompiler(std::unique_ptr<IpvsState> state)
    : state_(std::move(state)) {}
IpvsCompiler::IpvsCompiler(IpvsCompiler&&) noexcept = default;
IpvsCompiler& IpvsCompiler::operator=(IpvsCompiler&&) noexcept = default;
IpvsCompiler::~IpvsCompiler() = default;

absl::StatusOr<IpvsCompiler> IpvsCompiler::Create(const Cluster& cluster,
                                                  const KubeProxyConfig& config,
                                                  const IpvsOptions& options) {
  if (options.dialect == Dialect::kV1_11) {
    return absl::UnimplementedError(
        "IPVS mode is modelled for kube-proxy 1.14 and 1.30, not for 1.11");
  }
  if (absl::Status status = CheckConfig(config, TraitsOf(options.dialect));
      !status.ok()) {
    return status;
  }
  auto state = std::make_unique<IpvsState>(config, options);
  state->Load(cluster);
  return IpvsCompiler(std::move(state));
}

void IpvsCompiler::Apply(const WatchEvent& event, IpvsDelta* delta) {
  state_->Apply(event, delta);
}

const std::vector<IpFamily>& IpvsCompiler::families() const {
  return state_->families;
}

const ipvs::Table& IpvsCompiler::virtual_servers() const {
  return state_->servers;
}

const netfilter::Ruleset& IpvsCompiler::Rules(IpFamily family) const {
  return state_->Rules(family);
}

const Findings& IpvsCompiler::findings() const { return state_->findings; }

std::vector<KubeSetContents> IpvsCompiler::Sets() const {
  std::vector<KubeSetContents> out;
  for (IpFamily family : state_->families) {
    const auto& f = state_->by_family[static_cast<int>(family)];
    for (int i = 0; i < kKubeSets; ++i) {
      KubeSetInfo info =
          DescribeSet(static_cast<KubeSet>(i), family, state_->traits);
      if (info.name.empty()) continue;
      out.push_back({std::move(info.name), info.type, family,
                     f.sets[i].Members(info.type)});
    }
  }
  std::sort(out.begin(), out.end(),
            [](const KubeSetContents& a, const KubeSetContents& b) {
              return a.name < b.name;
            });
  return out;
}

std::vector<IpPrefix> IpvsCompiler::BoundAddresses() const {
  std::vector<IpPrefix> out;
  for (IpFamily family : state_->families) {
    const auto& f = state_->by_family[static_cast<int>(family)];
    const CountedSet& bound = f.sets[static_cast<int>(KubeSet::kIpvsIps)];
    for (const KubeSetMember& member :
         bound.Members(KubeSetType::kBitmapPort)) {
      out.push_back(IpPrefix::Host(member.ip));
    }
  }
  return out;
}

std::vector<std::string> IpvsCompiler::Sysctls() const {
  const bool modern = state_->traits.dual_stack;
  std::vector<std::string> out;
  // 1.14 has no strictARP: always on.
  if (!modern || state_->config.ipvs.strict_arp) {
    out.push_back("net/ipv4/conf/all/arp_announce=2");
    out.push_back("net/ipv4/conf/all/arp_ignore=1");
  }
  if (!modern) out.push_back("net/ipv4/conf/all/route_localnet=1");
  out.push_back("net/ipv4/ip_forward=1");
  // conn_reuse_mode is 0 already where it matters, or left alone.
  out.push_back("net/ipv4/vs/conntrack=1");
  out.push_back("net/ipv4/vs/expire_nodest_conn=1");
  out.push_back("net/ipv4/vs/expire_quiescent_template=1");
  return out;
}

std::string PrintSets(const std::vector<KubeSetContents>& sets) {
  std::string out;
  AppendSets(sets, out);
  return out;
}

void AppendSets(const std::vector<KubeSetContents>& sets, std::string& out) {
  static constexpr const char* kTypes[] = {
      "hash:ip", "hash:ip,port", "hash:ip,port,ip", "hash:ip,port,net",
      "bitmap:port range 0-65535"};
  std::string line;
  for (const KubeSetContents& set : sets) {
    absl::StrAppend(&out, "create ", set.name, " ",
                    kTypes[static_cast<int>(set.type)]);
    if (set.type != KubeSetType::kBitmapPort) {
      absl::StrAppend(&out, " family ",
                      set.family == IpFamily::kIpv4 ? "inet" : "inet6",
                      " hashsize 1024 maxelem ", kMaxSetMembers);
    }
    out.push_back('\n');
    line = absl::StrCat("add ", set.name, " ");
    const size_t start = line.size();
    line.resize(start + kMaxMemberText + 1);
    for (const KubeSetMember& member : set.members) {
      char* end = WriteMember(set.type, member, line.data() + start);
      *end++ = '\n';
      out.append(line.data(), end - line.data());
    }
  }
}

}  // namespace k8sdns::proxy
