// What kube-proxy programs in IPVS mode on one node: virtual and real servers,
// ipsets, iptables rules, the addresses on kube-ipvs0, sysctls.
//
//   absl::StatusOr<IpvsCompiler> compiler =
//       IpvsCompiler::Create(cluster, config, {.dialect = Dialect::kV1_30});
//   std::string servers = ipvs::PrintIpvsadm(compiler->virtual_servers());
//   IpvsDelta delta;
//   compiler->Apply(event, &delta);   // delta.ipvsadm is input for ipvsadm -R
//
// After any sequence of events the result is that of Create() for the cluster
// as it is then, with one exception that is kube-proxy's own: virtual servers
// whose address is in ipvs.excludeCIDRs stay when their service goes.
// Removed real servers go at once: kube-proxy first sets those with open
// connections to weight 0 and removes them when they are idle, which the
// objects of the API do not show.
//
// Of two services that claim the same address, port and protocol, the one that
// comes later in the order of ServicePortInfo has it (kube-proxy's own order
// is random).
//
// Costs: Create() is linear in services and endpoints; Apply() of one
// EndpointSlice or Service depends on that service alone; of the node's own
// Node object, on everything if what it says about the node changed.
// Not thread-safe while Apply() runs; const methods but Rules() are.
#ifndef K8SDNS_PROXY_IPVS_COMPILER_H_
#define K8SDNS_PROXY_IPVS_COMPILER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/cluster/kube_proxy_config.h"
#include "k8sdns/ipvs/virtual_server.h"
#include "k8sdns/net/ip_address.h"
#include "k8sdns/netfilter/ruleset.h"
#include "k8sdns/proxy/dialect.h"
#include "k8sdns/proxy/finding.h"
#include "k8sdns/proxy/ipvs_sets.h"

namespace k8sdns::proxy {

struct IpvsOptions {
  // kV1_14 or kV1_30.
  Dialect dialect = Dialect::kV1_30;
  // Collect what is skipped or refused; see findings().
  bool report = true;
};

// One ipset as it is after kube-proxy's sync.
struct KubeSetContents {
  std::string name;
  KubeSetType type = KubeSetType::kHashIp;
  IpFamily family = IpFamily::kIpv4;
  std::vector<KubeSetMember> members;
};

// What one event changes, as input for the tools. Empty texts: no change.
struct IpvsDelta {
  std::string ipvsadm;            // ipvsadm -R
  std::string ipset;              // ipset restore
  std::string iptables;           // iptables-restore --noflush
  std::string ip6tables;          // ip6tables-restore --noflush
  std::vector<IpAddress> bind;    // to be added to kube-ipvs0
  std::vector<IpAddress> unbind;  // to be removed from it

  bool empty() const {
    return ipvsadm.empty() && ipset.empty() && iptables.empty() &&
           ip6tables.empty() && bind.empty() && unbind.empty();
  }
};

class IpvsState;  // ipvs_state.h

class IpvsCompiler {
 public:
  // An error if kube-proxy would not start with this configuration, or the
  // dialect has no IPVS mode here.
  static absl::StatusOr<IpvsCompiler> Create(const Cluster& cluster,
                                             const KubeProxyConfig& config,
                                             const IpvsOptions& options = {});
  IpvsCompiler(IpvsCompiler&&) noexcept;
  IpvsCompiler& operator=(IpvsCompiler&&) noexcept;
  ~IpvsCompiler();

  // Takes a change of the cluster. Objects that kube-proxy does not look at
  // change nothing. `delta`, if not null, is overwritten.
  void Apply(const WatchEvent& event, IpvsDelta* delta = nullptr);

  // The families that are programmed: both with 1.30, one with 1.14.
  const std::vector<IpFamily>& families() const;

  // Of both families.
  const ipvs::Table& virtual_servers() const;
  // `family` must be one of families(). Rebuilt when what it depends on has
  // changed: 5 microseconds.
  const netfilter::Ruleset& Rules(IpFamily family) const;
  // By name. O(n log n) in the members.
  std::vector<KubeSetContents> Sets() const;
  // Addresses on kube-ipvs0, sorted.
  std::vector<IpPrefix> BoundAddresses() const;
  // "net/ipv4/vs/conntrack=1", sorted.
  std::vector<std::string> Sysctls() const;

  // What was skipped or refused, of the configuration and of all objects read
  // so far.
  const Findings& findings() const;

 private:
  explicit IpvsCompiler(std::unique_ptr<IpvsState> state);

  std::unique_ptr<IpvsState> state_;
};

// `ipset save` of the sets. Like kube-proxy's: hash sets with hashsize 1024,
// maxelem 65536; without the kernel's own bucketsize and initval.
std::string PrintSets(const std::vector<KubeSetContents>& sets);
void AppendSets(const std::vector<KubeSetContents>& sets, std::string& out);

}  // namespace k8sdns::proxy

#endif  // K8SDNS_PROXY_IPVS_COMPILER_H_
