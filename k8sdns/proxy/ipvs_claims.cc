// What one service port wants in IPVS mode. Facts: syncProxyRules and
// syncEndpoint in pkg/proxy/ipvs/proxier.go of Kubernetes 1.30 and 1.14.
#include <algorithm>
#include <utility>

#include "k8sdns/proxy/ipvs_state.h"

namespace k8sdns::proxy {
namespace {

KubeSetMember Member(const IpAddress& ip, const ServicePortInfo& info) {
  KubeSetMember member;
  member.ip = ip;
  member.port = info.port;
  member.protocol = info.protocol;
  return member;
}
KubeSetMember PortMember(uint16_t port) {
  KubeSetMember member;
  member.port = port;
  return member;
}

KubeSet NodePortSet(Protocol protocol, bool local) {
  switch (protocol) {
    case Protocol::kUdp:
      return local ? KubeSet::kNodePortLocalUdp : KubeSet::kNodePortUdp;
    case Protocol::kSctp:
      return local ? KubeSet::kNodePortLocalSctp : KubeSet::kNodePortSctp;
    default:
      return local ? KubeSet::kNodePortLocalTcp : KubeSet::kNodePortTcp;
  }
}

// Indexes into `list`: by address and port, one of each.
void SortUnique(const EndpointList& list, std::vector<uint32_t>& indexes) {
  const auto of = [&](uint32_t i) {
    const EndpointInfo& e = list.endpoints[i];
    return std::make_pair(e.address, e.port);
  };
  std::sort(indexes.begin(), indexes.end(),
            [&](uint32_t a, uint32_t b) { return of(a) < of(b); });
  indexes.erase(
      std::unique(indexes.begin(), indexes.end(),
                  [&](uint32_t a, uint32_t b) { return of(a) == of(b); }),
      indexes.end());
}

}  // namespace

void IpvsState::ReadEndpoints(const IpvsService::Family& from, IpvsPort& port) {
  const ServicePortInfo& info = port.info;
  ReadRealServers(from, port);
  port.loopback.clear();
  // Also those that are not ready.
  for (const EndpointInfo& e : list_.endpoints) {
    if (!e.local()) continue;
    KubeSetMember& member = port.loopback.emplace_back();
    member.ip = e.address;
    member.port = e.port;
    member.protocol = info.protocol;
    member.net = IpPrefix::Host(e.address);
  }
  if (!port.loopback.empty()) {
    std::sort(port.loopback.begin(), port.loopback.end());
    port.loopback.erase(std::unique(port.loopback.begin(), port.loopback.end()),
                        port.loopback.end());
  }
}

void IpvsState::ReadRealServers(const IpvsService::Family& from,
                                const IpvsPort& port) {
  const ServicePortInfo& info = port.info;
  if (traits.endpoint_slices) {
    MergeEndpointsByAddress(from.slices, info.port_name, info.protocol, list_);
  } else {
    MergeEndpoints(from.slices, info.port_name, info.protocol, traits, list_);
  }
  if (traits.internal_traffic_policy) {
    CategorizeEndpoints(list_, info, features, zone_hints_, node_hints_,
                        selected_);
    // Policy Local without a local endpoint falls back to all.
    local_differs_ = !selected_.local.empty();
  } else {
    // 1.14: all there are, or all local ones, and no fallback.
    selected_.cluster.clear();
    selected_.local.clear();
    local_differs_ = info.external_policy_local;
    for (uint32_t i = 0; i < list_.size(); ++i) {
      selected_.cluster.push_back(i);
      if (list_.endpoints[i].local()) selected_.local.push_back(i);
    }
  }
  // MergeEndpointsByAddress() has sorted them.
  if (traits.endpoint_slices) return;
  SortUnique(list_, selected_.cluster);
  SortUnique(list_, selected_.local);
}

void IpvsState::MakeClaims(IpFamily family, IpvsPort& port) {
  const FamilyState& state = by_family[static_cast<int>(family)];
  const ServicePortInfo& info = port.info;
  const bool modern = traits.dual_stack;
  port.claims.clear();
  port.members.clear();
  port.no_node_access.clear();

  port.members.emplace_back(KubeSet::kClusterIp, Member(info.cluster_ip, info));
  port.claims.push_back(
      {ipvs::ServiceKey::Of(info.protocol, info.cluster_ip, info.port),
       info.internal_policy_local, true});

  for (const IpAddress& ip : info.external_ips) {
    const bool local = modern && info.external_policy_local;
    port.members.emplace_back(
        local ? KubeSet::kExternalIpLocal : KubeSet::kExternalIp,
        Member(ip, info));
    port.claims.push_back({ipvs::ServiceKey::Of(info.protocol, ip, info.port),
                           local,
                           !modern || !state.node_addresses.contains(ip)});
  }
  ClaimLoadBalancers(state, port);

  if (info.node_port != 0) {
    const bool usable = modern ? !state.node_port_ips.empty()
                               : !state.node.node_port_lookup_fails;
    // kube-proxy goes on to the next service port, without the health check
    // port of this one.
    if (!usable) return;
    ClaimNodePort(state, port);
  }
  if (modern && info.health_check_node_port != 0) {
    port.members.emplace_back(KubeSet::kHealthCheckNodePort,
                              PortMember(info.health_check_node_port));
  }
}

void IpvsState::ClaimLoadBalancers(const FamilyState& state, IpvsPort& port) {
  const ServicePortInfo& info = port.info;
  for (const IpAddress& ip : info.load_balancer_vips) {
    const KubeSetMember member = Member(ip, info);
    port.members.emplace_back(KubeSet::kLoadBalancer, member);
    if (info.external_policy_local) {
      port.members.emplace_back(KubeSet::kLoadBalancerLocal, member);
    }
    if (!info.source_ranges.empty()) {
      port.members.emplace_back(KubeSet::kLoadBalancerFw, member);
      bool from_node = false;
      for (const IpPrefix& range : info.source_ranges) {
        KubeSetMember source = member;
        source.net = range;
        port.members.emplace_back(KubeSet::kSourceCidr, source);
        from_node |= range.Contains(state.node.ip);
      }
      if (from_node) {
        // The node's own packets to the VIP have the VIP as their source.
        KubeSetMember source = member;
        source.net = IpPrefix::Host(ip);
        port.members.emplace_back(KubeSet::kSourceIp, source);
      } else if (traits.dual_stack) {
        port.no_node_access.push_back({ip, info.protocol, info.port});
      }
    }
    port.claims.push_back(
        {ipvs::ServiceKey::Of(info.protocol, ip, info.port),
         info.external_policy_local,
         !traits.dual_stack || !state.node_addresses.contains(ip)});
  }
}

void IpvsState::ClaimNodePort(const FamilyState& state, IpvsPort& port) {
  const ServicePortInfo& info = port.info;
  const auto add = [&](const KubeSetMember& member) {
    port.members.emplace_back(NodePortSet(info.protocol, false), member);
    if (info.external_policy_local) {
      port.members.emplace_back(NodePortSet(info.protocol, true), member);
    }
  };
  if (traits.dual_stack && info.protocol == Protocol::kSctp) {
    for (const IpAddress& ip : state.node_port_ips) {
      KubeSetMember member = Member(ip, info);
      member.port = info.node_port;
      add(member);
    }
  } else {
    add(PortMember(info.node_port));
  }
  for (const IpAddress& ip : state.node_port_ips) {
    port.claims.push_back(
        {ipvs::ServiceKey::Of(info.protocol, ip, info.node_port),
         info.external_policy_local, false});
  }
}

}  // namespace k8sdns::proxy
