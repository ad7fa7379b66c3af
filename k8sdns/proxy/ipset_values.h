// kube-proxy's ipsets as the values that readers, printers and the dataplane
// share.
//
//   netfilter::IpSets sets = ToIpSets(compiler.Sets());
//   absl::StatusOr<dataplane::IpSets> live = dataplane::LoadSets(sets);
//
// Pure; thread-safe.
#ifndef K8SDNS_PROXY_IPSET_VALUES_H_
#define K8SDNS_PROXY_IPSET_VALUES_H_

#include <vector>

#include "k8sdns/netfilter/ipset_save.h"
#include "k8sdns/proxy/ipvs_compiler.h"

namespace k8sdns::proxy {

// The same as ParseIpsetSave(PrintSets(sets)). Linear in the members.
netfilter::IpSets ToIpSets(const std::vector<KubeSetContents>& sets);

}  // namespace k8sdns::proxy

#endif  // K8SDNS_PROXY_IPSET_VALUES_H_
