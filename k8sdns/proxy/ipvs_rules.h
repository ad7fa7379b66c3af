// The iptables rules of kube-proxy's IPVS mode: internal to the IPVS compiler.
// They name sets, not services: what they depend on is the configuration, and
// which sets have something in them.
#ifndef K8SDNS_PROXY_IPVS_RULES_H_
#define K8SDNS_PROXY_IPVS_RULES_H_

#include <bitset>
#include <cstdint>
#include <string>
#include <vector>

#include "k8sdns/net/ip_address.h"
#include "k8sdns/netfilter/ruleset.h"
#include "k8sdns/proxy/dialect.h"
#include "k8sdns/proxy/ipvs_sets.h"
#include "k8sdns/proxy/node_view.h"

namespace k8sdns::proxy {

// A load balancer address whose source ranges leave out this node.
struct NoNodeAccess {
  IpAddress ip;
  Protocol protocol = Protocol::kTcp;
  uint16_t port = 0;
  friend bool operator==(const NoNodeAccess&, const NoNodeAccess&) = default;
};

struct IpvsRuleInputs {
  DialectTraits traits;
  IpFamily family = IpFamily::kIpv4;
  LocalDetector local;
  uint32_t masquerade_mark = 0x4000;
  bool masquerade_all = false;
  std::bitset<kKubeSets> wanted;  // sets that are not empty
  std::vector<NoNodeAccess> no_node_access;

  friend bool operator==(const IpvsRuleInputs& a, const IpvsRuleInputs& b) {
    return a.family == b.family && a.local == b.local &&
           a.masquerade_mark == b.masquerade_mark &&
           a.masquerade_all == b.masquerade_all && a.wanted == b.wanted &&
           a.no_node_access == b.no_node_access;
  }
};

// The whole tables, built-in chains with their jumps included, chains in the
// order of iptables-save.
netfilter::Ruleset BuildIpvsRules(const IpvsRuleInputs& inputs);

}  // namespace k8sdns::proxy

#endif  // K8SDNS_PROXY_IPVS_RULES_H_
