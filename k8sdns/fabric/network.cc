#include "k8sdns/fabric/network.h"

#include <openssl/evp.h>

#include <algorithm>
#include <set>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace k8sdns::fabric {
namespace {

// IP in IP adds an IPv4 header; VXLAN adds IPv4, UDP, VXLAN and Ethernet.
constexpr int kIpipOverhead = 20;
constexpr int kVxlanOverhead = 50;

constexpr Interface::Kind kIpip = Interface::Kind::kIpip;
constexpr Interface::Kind kVxlan = Interface::Kind::kVxlan;

constexpr NetworkTraits kTraits[] = {
    {NetworkKind::kCalicoIpip, "calico-ipip", false, true, "tunl0", kIpip,
     kIpipOverhead, false, false},
    {NetworkKind::kCalicoIpipCrossSubnet, "calico-ipip-cross-subnet", false,
     true, "tunl0", kIpip, kIpipOverhead, true, false},
    {NetworkKind::kCalicoVxlan, "calico-vxlan", false, true, "vxlan.calico",
     kVxlan, kVxlanOverhead, false, false},
    {NetworkKind::kCalicoVxlanCrossSubnet, "calico-vxlan-cross-subnet", false,
     true, "vxlan.calico", kVxlan, kVxlanOverhead, true, false},
    {NetworkKind::kCalicoBgp, "calico-bgp", false, true, "", kIpip, 0, false,
     false},
    {NetworkKind::kCloudRoutes, "cloud-routes", false, false, "", kIpip, 0,
     false, true},
    {NetworkKind::kBridgeVxlan, "bridge-vxlan", true, false, "flannel.1",
     kVxlan, kVxlanOverhead, false, false},
    {NetworkKind::kBridgeRoutes, "bridge-routes", true, false, "", kIpip, 0,
     false, false},
};

// Annotations that the network's agents keep on their node.
constexpr char kCalicoAddress[] = "projectcalico.org/IPv4Address";
constexpr char kCalicoIpipAddress[] = "projectcalico.org/IPv4IPIPTunnelAddr";
constexpr char kCalicoVxlanAddress[] = "projectcalico.org/IPv4VXLANTunnelAddr";
constexpr char kFlannelBackend[] = "flannel.alpha.coreos.com/backend-type";

absl::Status BadAddress(absl::string_view what, absl::string_view name,
                        absl::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat(
      what, " ", name, ": found address \"", text, "\", expected an IP"));
}

int SubnetLength(const Node& node, const IpAddress& address,
                 const FabricOptions& options) {
  auto told = IpPrefix::Parse(Find(node.metadata.annotations, kCalicoAddress));
  if (told && told->address() == address) return told->length();
  return address.is_v4() ? options.node_subnet_length : 64;
}

absl::StatusOr<NodeSite> ReadNode(const Node& node,
                                  const FabricOptions& options) {
  NodeSite site;
  site.name = node.metadata.name;
  for (const NodeAddress& a : node.addresses) {
    if (a.type != NodeAddressType::kInternalIp) continue;
    auto address = IpAddress::ParseSloppy(a.address);
    if (!address) return BadAddress("node", site.name, a.address);
    site.addresses.push_back(
        IpPrefix(*address, SubnetLength(node, *address, options)));
  }
  if (site.addresses.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "node ", site.name, ": no InternalIP in status.addresses"));
  }
  std::vector<std::string> cidrs = node.pod_cidrs;
  if (cidrs.empty() && !node.pod_cidr.empty()) cidrs.push_back(node.pod_cidr);
  for (const std::string& text : cidrs) {
    auto cidr = IpPrefix::Parse(text);
    if (!cidr) return BadAddress("node", site.name, text);
    site.pod_cidrs.push_back(cidr->Masked());
  }
  for (const char* key : {kCalicoIpipAddress, kCalicoVxlanAddress}) {
    auto tunnel = IpAddress::Parse(Find(node.metadata.annotations, key));
    if (tunnel) site.tunnel_addresses.push_back(*tunnel);
  }
  return site;
}

bool IsFinished(const Pod& pod) {
  return pod.status.phase == PodPhase::kSucceeded ||
         pod.status.phase == PodPhase::kFailed;
}

// The prefixes of a node's Pods that other nodes have routes for.
std::set<IpPrefix> PodPrefixes(const NetworkTraits& traits,
                               const FabricOptions& options,
                               const NodeSite& site) {
  std::set<IpPrefix> out;
  if (!traits.pod_addresses_in_blocks) {
    out.insert(site.pod_cidrs.begin(), site.pod_cidrs.end());
    return out;
  }
  auto add = [&](const IpAddress& a) {
    // Calico's IPv6 blocks are /122: as many addresses as a /26 has.
    const int length = a.is_v4() ? options.calico_block_length
                                 : 128 - (32 - options.calico_block_length);
    out.insert(IpPrefix(a, length).Masked());
  };
  for (const PodSite& pod : site.pods) {
    if (pod.host_network) continue;
    for (const IpAddress& a : pod.addresses) add(a);
  }
  for (const IpAddress& a : site.tunnel_addresses) add(a);
  return out;
}

std::optional<IpAddress> AddressOf(const NodeSite& site, IpFamily family) {
  for (const IpPrefix& p : site.addresses) {
    if (p.family() == family) return p.address();
  }
  return std::nullopt;
}

IpAddress FirstHost(const IpPrefix& prefix) {
  std::array<uint8_t, 16> b = prefix.Masked().address().bytes();
  if (prefix.family() == IpFamily::kIpv4) {
    return IpAddress::V4(prefix.Masked().address().v4() + 1);
  }
  b[15] |= 1;
  return IpAddress::V6(b);
}

std::string VethName(const NetworkTraits& traits, const PodSite& pod) {
  if (traits.pod_addresses_in_blocks) {
    return CalicoVethName(pod.namespace_, pod.name);
  }
  // Bridge and cloud plugins take random names; this one is stable.
  return "veth" + CalicoVethName(pod.namespace_, pod.name).substr(4, 8);
}

void AddPods(const NetworkTraits& traits, int pod_mtu, const NodeSite& site,
             NodeNetwork& net) {
  if (traits.bridge) {
    Interface bridge{"cni0", Interface::Kind::kBridge, {}, pod_mtu, "", ""};
    for (const IpPrefix& cidr : site.pod_cidrs) {
      bridge.addresses.push_back(IpPrefix(FirstHost(cidr), cidr.length()));
      net.routes.push_back({cidr, std::nullopt, "cni0", false});
    }
    net.interfaces.push_back(std::move(bridge));
  }
  for (const PodSite& pod : site.pods) {
    if (pod.host_network || pod.addresses.empty()) continue;
    const std::string veth = VethName(traits, pod);
    net.interfaces.push_back(
        {veth, Interface::Kind::kVeth, {}, pod_mtu, pod.namespace_, pod.name});
    if (traits.bridge) continue;
    for (const IpAddress& a : pod.addresses) {
      net.routes.push_back({IpPrefix::Host(a), std::nullopt, veth, false});
    }
  }
}

void AddOtherNodes(const NetworkTraits& traits, const FabricOptions& options,
                   const std::vector<NodeSite>& sites, size_t self,
                   NodeNetwork& net) {
  const NodeSite& site = sites[self];
  if (traits.pod_addresses_in_blocks) {
    for (const IpPrefix& block : PodPrefixes(traits, options, site)) {
      net.routes.push_back({block, std::nullopt, "", /*blackhole=*/true});
    }
  }
  if (traits.cloud_routes) return;  // the default route does it
  for (size_t i = 0; i < sites.size(); ++i) {
    if (i == self) continue;
    for (const IpPrefix& prefix : PodPrefixes(traits, options, sites[i])) {
      auto via = AddressOf(sites[i], prefix.family());
      if (!via) continue;
      const bool tunnel = Tunnelled(traits, site, sites[i], prefix.family());
      net.routes.push_back(
          {prefix, via,
           tunnel ? std::string(traits.tunnel_device) : std::string("eth0"),
           false});
    }
  }
}

}  // namespace

const NetworkTraits& TraitsOf(NetworkKind kind) {
  return *std::find_if(
      std::begin(kTraits), std::end(kTraits),
      [kind](const NetworkTraits& t) { return t.kind == kind; });
}

absl::string_view InterfaceKindName(Interface::Kind kind) {
  switch (kind) {
    case Interface::Kind::kLoopback:
      return "loopback";
    case Interface::Kind::kWire:
      return "wire";
    case Interface::Kind::kVeth:
      return "veth";
    case Interface::Kind::kBridge:
      return "bridge";
    case Interface::Kind::kIpip:
      return "ipip";
    case Interface::Kind::kVxlan:
      return "vxlan";
  }
  return "";
}

absl::string_view NetworkKindName(NetworkKind kind) {
  return TraitsOf(kind).name;
}

std::optional<NetworkKind> ParseNetworkKind(absl::string_view name) {
  for (const NetworkTraits& t : kTraits) {
    if (t.name == name) return t.kind;
  }
  return std::nullopt;
}

std::vector<NetworkKind> AllNetworkKinds() {
  std::vector<NetworkKind> out;
  for (const NetworkTraits& t : kTraits) out.push_back(t.kind);
  return out;
}

NetworkKind DetectNetwork(const Cluster& cluster) {
  for (const Node& node : cluster.nodes()) {
    const StringMap& notes = node.metadata.annotations;
    if (notes.contains(kCalicoIpipAddress)) return NetworkKind::kCalicoIpip;
    if (notes.contains(kCalicoVxlanAddress)) return NetworkKind::kCalicoVxlan;
    // Calico enforces policy on Azure too, but the VNet does the routing.
    if (absl::StartsWith(node.provider_id, "azure://")) {
      return NetworkKind::kCloudRoutes;
    }
    if (notes.contains(kCalicoAddress)) return NetworkKind::kCalicoBgp;
    if (notes.contains(kFlannelBackend)) {
      return Find(notes, kFlannelBackend) == "host-gw"
                 ? NetworkKind::kBridgeRoutes
                 : NetworkKind::kBridgeVxlan;
    }
  }
  return NetworkKind::kBridgeVxlan;
}

std::string CalicoVethName(absl::string_view namespace_,
                           absl::string_view pod) {
  const std::string text = absl::StrCat(namespace_, ".", pod);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha1(), nullptr);
  const std::string hex = absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest), size));
  return "cali" + hex.substr(0, 11);
}

absl::StatusOr<std::vector<NodeSite>> ReadSites(const Cluster& cluster,
                                                const FabricOptions& options) {
  std::vector<NodeSite> sites;
  for (const Node& node : cluster.nodes()) {
    absl::StatusOr<NodeSite> site = ReadNode(node, options);
    if (!site.ok()) return site.status();
    sites.push_back(*std::move(site));
  }
  for (const Pod& pod : cluster.pods()) {
    if (IsFinished(pod)) continue;
    auto at = std::find_if(sites.begin(), sites.end(), [&](const NodeSite& s) {
      return s.name == pod.spec.node_name;
    });
    if (at == sites.end()) continue;  // not scheduled to a known node
    PodSite site{pod.metadata.namespace_,
                 pod.metadata.name,
                 at->name,
                 {},
                 pod.spec.host_network};
    for (const std::string& text : pod.Addresses()) {
      auto address = IpAddress::ParseSloppy(text);
      if (!address) {
        return BadAddress("pod", absl::StrCat(site.namespace_, "/", site.name),
                          text);
      }
      site.addresses.push_back(*address);
    }
    at->pods.push_back(std::move(site));
  }
  return sites;
}

bool SameSubnet(const NodeSite& a, const NodeSite& b, IpFamily family) {
  for (const IpPrefix& p : a.addresses) {
    if (p.family() != family) continue;
    for (const IpPrefix& q : b.addresses) {
      if (p.Contains(q.address())) return true;
    }
  }
  return false;
}

bool Tunnelled(const NetworkTraits& traits, const NodeSite& a,
               const NodeSite& b, IpFamily family) {
  if (traits.tunnel_device.empty()) return false;
  return !traits.only_cross_subnet || !SameSubnet(a, b, family);
}

NodeNetwork BuildNodeNetwork(const NetworkTraits& traits,
                             const FabricOptions& options,
                             const std::vector<NodeSite>& sites, size_t self) {
  const NodeSite& site = sites[self];
  NodeNetwork net;
  net.node = site.name;
  net.interfaces.push_back(
      {"lo",
       Interface::Kind::kLoopback,
       {*IpPrefix::Parse("127.0.0.1/8"), *IpPrefix::Parse("::1/128")},
       65536,
       "",
       ""});
  net.interfaces.push_back({"eth0", Interface::Kind::kWire, site.addresses,
                            options.wire_mtu, "", ""});
  for (const IpPrefix& p : site.addresses) {
    net.routes.push_back({p.Masked(), std::nullopt, "eth0", false});
    net.routes.push_back(
        {IpPrefix(IpAddress(p.family() == IpFamily::kIpv4 ? IpAddress()
                                                          : IpAddress::V6({})),
                  0),
         FirstHost(p), "eth0", false});
  }
  const int tunnel_mtu = options.wire_mtu - traits.tunnel_overhead;
  if (!traits.tunnel_device.empty()) {
    Interface tunnel{std::string(traits.tunnel_device),
                     traits.tunnel_kind,
                     {},
                     tunnel_mtu,
                     "",
                     ""};
    for (const IpAddress& a : site.tunnel_addresses) {
      tunnel.addresses.push_back(IpPrefix::Host(a));
    }
    net.interfaces.push_back(std::move(tunnel));
  }
  AddPods(traits, tunnel_mtu, site, net);
  AddOtherNodes(traits, options, sites, self, net);
  std::stable_sort(net.routes.begin(), net.routes.end(),
                   [](const Route& a, const Route& b) {
                     return a.destination.length() > b.destination.length();
                   });
  return net;
}

}  // namespace k8sdns::fabric
