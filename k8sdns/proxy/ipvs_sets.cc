#include "k8sdns/proxy/ipvs_sets.h"

#include <algorithm>
#include <charconv>

#include "absl/strings/str_cat.h"

namespace k8sdns::proxy {
namespace {

struct Row {
  absl::string_view name;
  KubeSetType type;
  absl::string_view comment;
};
using T = KubeSetType;
constexpr Row kRows[kKubeSets] = {
    {"LOOP-BACK", T::kHashIpPortIp,
     "Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose"},
    {"CLUSTER-IP", T::kHashIpPort,
     "Kubernetes service cluster ip + port for masquerade purpose"},
    {"EXTERNAL-IP", T::kHashIpPort,
     "Kubernetes service external ip + port for masquerade and filter purpose"},
    {"EXTERNAL-IP-LOCAL", T::kHashIpPort,
     "Kubernetes service external ip + port with externalTrafficPolicy=local"},
    {"LOAD-BALANCER", T::kHashIpPort, "Kubernetes service lb portal"},
    {"LOAD-BALANCER-FW", T::kHashIpPort,
     "Kubernetes service load balancer ip + port for load balancer with "
     "sourceRange"},
    {"LOAD-BALANCER-LOCAL", T::kHashIpPort,
     "Kubernetes service load balancer ip + port with "
     "externalTrafficPolicy=local"},
    {"LOAD-BALANCER-SOURCE-IP", T::kHashIpPortIp,
     "Kubernetes service load balancer ip + port + source IP for packet filter "
     "purpose"},
    {"LOAD-BALANCER-SOURCE-CIDR", T::kHashIpPortNet,
     "Kubernetes service load balancer ip + port + source cidr for packet "
     "filter purpose"},
    {"NODE-PORT-TCP", T::kBitmapPort,
     "Kubernetes nodeport TCP port for masquerade purpose"},
    {"NODE-PORT-LOCAL-TCP", T::kBitmapPort,
     "Kubernetes nodeport TCP port with externalTrafficPolicy=local"},
    {"NODE-PORT-UDP", T::kBitmapPort,
     "Kubernetes nodeport UDP port for masquerade purpose"},
    {"NODE-PORT-LOCAL-UDP", T::kBitmapPort,
     "Kubernetes nodeport UDP port with externalTrafficPolicy=local"},
    {"NODE-PORT-SCTP-HASH", T::kHashIpPort,
     "Kubernetes nodeport SCTP port for masquerade purpose with type 'hash "
     "ip:port'"},
    {"NODE-PORT-LOCAL-SCTP-HASH", T::kHashIpPort,
     "Kubernetes nodeport SCTP port with externalTrafficPolicy=local with type "
     "'hash ip:port'"},
    {"HEALTH-CHECK-NODE-PORT", T::kBitmapPort,
     "Kubernetes health check node port"},
    {"IPVS-IPS", T::kHashIp, "Kubernetes IPVS IPs"},
};
constexpr size_t kMaxNameLength = 31;

}  // namespace

KubeSetInfo DescribeSet(KubeSet set, IpFamily family,
                        const DialectTraits& traits) {
  Row row = kRows[static_cast<int>(set)];
  // 1.14 names and types. Its sets do not tell the families apart.
  if (!traits.dual_stack) {
    switch (set) {
      case KubeSet::kExternalIpLocal:
      case KubeSet::kHealthCheckNodePort:
      case KubeSet::kIpvsIps:
        return {"", row.type, ""};
      case KubeSet::kNodePortSctp:
        row = {"NODE-PORT-SCTP", T::kBitmapPort,
               "Kubernetes nodeport SCTP port for masquerade purpose"};
        break;
      case KubeSet::kNodePortLocalSctp:
        row = {"NODE-PORT-LOCAL-SCTP", T::kBitmapPort,
               "Kubernetes nodeport SCTP port with "
               "externalTrafficPolicy=local"};
        break;
      default:
        break;
    }
  }
  const bool v6_prefix = traits.dual_stack && family == IpFamily::kIpv6;
  std::string name = absl::StrCat(v6_prefix ? "KUBE-6-" : "KUBE-", row.name);
  if (name.size() > kMaxNameLength) name.resize(kMaxNameLength);
  return {std::move(name), row.type, row.comment};
}

KubeSetType TypeOfSet(KubeSet set, const DialectTraits& traits) {
  const bool sctp_port =
      set == KubeSet::kNodePortSctp || set == KubeSet::kNodePortLocalSctp;
  return sctp_port && !traits.dual_stack ? KubeSetType::kBitmapPort
                                         : kRows[static_cast<int>(set)].type;
}

int Dimensions(KubeSetType type) {
  switch (type) {
    case KubeSetType::kHashIp:
    case KubeSetType::kBitmapPort:
      return 1;
    case KubeSetType::kHashIpPort:
      return 2;
    case KubeSetType::kHashIpPortIp:
    case KubeSetType::kHashIpPortNet:
      return 3;
  }
  return 0;
}

void AppendMember(KubeSetType type, const KubeSetMember& member,
                  std::string& out) {
  char buffer[kMaxMemberText];
  out.append(buffer, WriteMember(type, member, buffer) - buffer);
}

char* WriteMember(KubeSetType type, const KubeSetMember& member, char* out) {
  char* const limit = out + kMaxMemberText;
  char* p = out;
  if (type == KubeSetType::kBitmapPort) {
    return std::to_chars(p, limit, member.port).ptr;
  }
  p = member.ip.WriteTo(p);
  if (type != KubeSetType::kHashIp) {
    const absl::string_view protocol =
        member.protocol == Protocol::kTcp   ? ",tcp:"
        : member.protocol == Protocol::kUdp ? ",udp:"
                                            : ",sctp:";
    p = std::copy(protocol.begin(), protocol.end(), p);
    p = std::to_chars(p, limit, member.port).ptr;
  }
  if (Dimensions(type) == 3) {
    *p++ = ',';
    p = member.net.address().WriteTo(p);
    // A host prefix is printed without its length, in both types.
    if (member.net.length() != member.net.address().bits()) {
      *p++ = '/';
      p = std::to_chars(p, limit, member.net.length()).ptr;
    }
  }
  return p;
}

bool CountedSet::Add(const KubeSetMember& member) {
  // A member that is new is only written: to read its count would be to wait
  // for the memory.
  const auto [it, added] = counts_.try_emplace(member, 1);
  if (!added) ++it->second;
  return added;
}

bool CountedSet::Remove(const KubeSetMember& member) {
  auto it = counts_.find(member);
  if (it == counts_.end() || --it->second > 0) return false;
  counts_.erase(it);
  return true;
}

std::vector<KubeSetMember> CountedSet::Members(KubeSetType type) const {
  // By what the order looks at first, as a number.
  std::vector<std::pair<uint64_t, const KubeSetMember*>> sorted;
  sorted.reserve(counts_.size());
  for (const auto& entry : counts_) {
    const KubeSetMember& member = entry.first;
    if (IsRefused(type, member)) continue;
    const auto& bytes = member.ip.bytes();
    uint64_t key = member.ip.is_v6() ? 1 : 0;
    for (int i = 0; i < 7; ++i) key = key << 8 | bytes[i];
    sorted.emplace_back(key, &member);
  }
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first < b.first : *a.second < *b.second;
  });
  std::vector<KubeSetMember> out;
  out.reserve(sorted.size());
  for (const auto& entry : sorted) out.push_back(*entry.second);
  if (type != KubeSetType::kBitmapPort && out.size() > kMaxSetMembers) {
    out.resize(kMaxSetMembers);
  }
  return out;
}

}  // namespace k8sdns::proxy
