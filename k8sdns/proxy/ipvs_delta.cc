// The journal of a change, and the input for the tools that is made from it.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "k8sdns/ipvs/ipvsadm_save.h"
#include "k8sdns/netfilter/iptables_save.h"
#include "k8sdns/proxy/ipvs_state.h"

namespace k8sdns::proxy {
namespace {

bool SameSettings(const ipvs::VirtualServer& a, const ipvs::VirtualServer& b) {
  return a.scheduler == b.scheduler && a.other_scheduler == b.other_scheduler &&
         a.scheduler_flags == b.scheduler_flags &&
         a.persistent == b.persistent &&
         a.persistence_seconds == b.persistence_seconds;
}

void AppendRemoval(const ipvs::ServiceKey& key, const ipvs::RealServer& real,
                   std::string& out) {
  // ipvsadm -d takes no forwarding and no weight.
  std::string line;
  ipvs::AppendRealServer('d', key, real, line);
  const size_t end = line.find(" -m");
  absl::StrAppend(&out, line.substr(0, end), "\n");
}

// Both lists are sorted by address and port.
void AppendRealServers(const ipvs::ServiceKey& key,
                       const std::vector<ipvs::RealServer>& before,
                       const std::vector<ipvs::RealServer>& after,
                       std::string& out) {
  std::string removals;
  auto b = before.begin();
  for (const ipvs::RealServer& real : after) {
    while (b != before.end() && ipvs::IpvsadmLess(*b, real)) {
      AppendRemoval(key, *b++, removals);
    }
    if (b != before.end() && !ipvs::IpvsadmLess(real, *b)) {
      ++b;
    } else {
      ipvs::AppendRealServer('a', key, real, out);
    }
  }
  while (b != before.end()) AppendRemoval(key, *b++, removals);
  out += removals;
}

// Only the chains of kube-proxy, each declared and thereby emptied.
void AppendRestore(const netfilter::Ruleset& rules, std::string& out) {
  for (netfilter::TableId id : rules.tables()) {
    const netfilter::Table& table = *rules.table(id);
    absl::StrAppend(&out, "*", netfilter::TableName(id), "\n");
    const auto own = [&](netfilter::ChainId chain) {
      return table.policy(chain) == netfilter::Table::Policy::kNone &&
             table.name(chain) != "KUBE-MARK-DROP";  // kubelet's
    };
    for (netfilter::ChainId chain : table.chains()) {
      if (own(chain))
        absl::StrAppend(&out, ":", table.name(chain), " - [0:0]\n");
    }
    for (netfilter::ChainId chain : table.chains()) {
      if (!own(chain)) continue;
      for (netfilter::RuleView rule : table.rules(chain)) {
        absl::StrAppend(&out, netfilter::PrintRule(rules, table, chain, rule),
                        "\n");
      }
    }
    out += "COMMIT\n";
  }
}

}  // namespace

void IpvsState::NoteServer(const ipvs::ServiceKey& key) {
  if (!journaling_) return;
  auto [it, inserted] = journal_.servers.try_emplace(key);
  if (!inserted) return;
  if (const ipvs::VirtualServer* server = servers.Find(key)) {
    it->second = *server;
  }
}

void IpvsState::NoteMember(IpFamily family, KubeSet set,
                           const KubeSetMember& member, bool before) {
  if (!journaling_) return;
  journal_.members.try_emplace(
      {static_cast<int>(family) * kKubeSets + static_cast<int>(set), member},
      before);
}

void IpvsState::WriteDelta(IpvsDelta& delta) {
  // Sets before the rules that name what is new in them.
  std::string removals;
  for (const auto& [key, before] : journal_.members) {
    const auto family = static_cast<IpFamily>(key.first / kKubeSets);
    const auto set = static_cast<KubeSet>(key.first % kKubeSets);
    const bool after = by_family[static_cast<int>(family)]
                           .sets[static_cast<int>(set)]
                           .Contains(key.second);
    if (before == after) continue;
    if (set == KubeSet::kIpvsIps) {
      (after ? delta.bind : delta.unbind).push_back(key.second.ip);
    }
    const KubeSetInfo info = DescribeSet(set, family, traits);
    if (info.name.empty() || IsRefused(info.type, key.second)) continue;
    std::string& out = after ? delta.ipset : removals;
    absl::StrAppend(&out, after ? "add " : "del ", info.name, " ");
    AppendMember(info.type, key.second, out);
    out.push_back('\n');
  }
  delta.ipset += removals;

  std::vector<const ipvs::ServiceKey*> keys;
  keys.reserve(journal_.servers.size());
  for (const auto& entry : journal_.servers) keys.push_back(&entry.first);
  std::sort(keys.begin(), keys.end(),
            [](const ipvs::ServiceKey* a, const ipvs::ServiceKey* b) {
              return ipvs::IpvsadmLess(*a, *b);
            });
  static const std::vector<ipvs::RealServer> kNone;
  std::string deletions;
  for (const ipvs::ServiceKey* key : keys) {
    const auto& before = journal_.servers.find(*key)->second;
    const ipvs::VirtualServer* after = servers.Find(*key);
    if (after == nullptr) {
      if (!before) continue;
      deletions += "-D ";
      ipvs::AppendService(*key, deletions);
      deletions += "\n";
      continue;
    }
    if (!before || !SameSettings(*before, *after)) {
      ipvs::AppendVirtualServer(before ? 'E' : 'A', *after, delta.ipvsadm);
    }
    AppendRealServers(*key, before ? before->real_servers : kNone,
                      after->real_servers, delta.ipvsadm);
  }
  delta.ipvsadm += deletions;

  for (IpFamily family : families) {
    if (!journal_.rules[static_cast<int>(family)]) continue;
    AppendRestore(Rules(family),
                  family == IpFamily::kIpv4 ? delta.iptables : delta.ip6tables);
  }
}

}  // namespace k8sdns::proxy
