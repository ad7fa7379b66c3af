// The state of the IPVS compiler: internal.
//
// A service port has claims on virtual servers, members in sets and addresses
// to bind; each of these tables knows who claims what, so that a change costs
// what it changes. What a change touched is kept in a journal, from which the
// delta is made.
#ifndef K8SDNS_PROXY_IPVS_STATE_H_
#define K8SDNS_PROXY_IPVS_STATE_H_

#include <array>
#include <bitset>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/ipvs/virtual_server.h"
#include "k8sdns/netfilter/ruleset.h"
#include "k8sdns/proxy/arena.h"
#include "k8sdns/proxy/endpoint_selection.h"
#include "k8sdns/proxy/ipvs_compiler.h"
#include "k8sdns/proxy/ipvs_rules.h"
#include "k8sdns/proxy/ipvs_sets.h"
#include "k8sdns/proxy/node_view.h"
#include "k8sdns/proxy/service_ports.h"

namespace k8sdns::proxy {

// One virtual server that a service port wants.
struct VirtualClaim {
  ipvs::ServiceKey key;
  bool local = false;  // by policy Local
  bool bind = false;   // to kube-ipvs0
};

struct IpvsService;

// One service port in one family.
struct IpvsPort {
  const IpvsService* service = nullptr;
  ServicePortInfo info;
  absl::InlinedVector<VirtualClaim, 1> claims;
  absl::InlinedVector<std::pair<KubeSet, KubeSetMember>, 1> members;
  std::vector<NoNodeAccess> no_node_access;
  // Of the local endpoints, sorted by address and port.
  std::vector<KubeSetMember> loopback;
};

// A Service with its endpoint objects, by family.
struct IpvsService {
  struct Family {
    absl::InlinedVector<IpvsPort*, 1> ports;
    absl::InlinedVector<CompactSlice, 1> slices;  // by name
  };
  std::string namespace_;
  std::string name;
  std::array<Family, 2> families;

  // Of either family.
  bool HasSlice(absl::string_view slice) const;
};

// What was there before the change.
struct IpvsJournal {
  absl::flat_hash_map<ipvs::ServiceKey, std::optional<ipvs::VirtualServer>>
      servers;
  // By family, set and member.
  absl::btree_map<std::pair<int, KubeSetMember>, bool> members;
  absl::btree_map<IpAddress, bool> bound;
  bool rules[2] = {false, false};
};

class IpvsState {
 public:
  IpvsState(const KubeProxyConfig& config, const IpvsOptions& options);

  void Load(const Cluster& cluster);
  void Apply(const WatchEvent& event, IpvsDelta* delta);
  const netfilter::Ruleset& Rules(IpFamily family);

  struct FamilyState {
    NodeView node;
    std::vector<IpAddress> node_port_ips;  // of virtual servers
    absl::flat_hash_map<IpAddress, bool> node_addresses;
    std::array<CountedSet, kKubeSets> sets;
    // By the port's place in the order.
    absl::btree_map<std::pair<std::string, int>, std::vector<NoNodeAccess>>
        no_node_access;
    std::bitset<kKubeSets> wanted;
    bool rules_stale = true;
    std::optional<netfilter::Ruleset> rules;
  };

  const KubeProxyConfig config;
  const IpvsOptions options;
  const DialectTraits traits;
  const ProxyFeatures features;
  std::vector<IpFamily> families;
  Findings findings;
  std::array<FamilyState, 2> by_family;
  ipvs::Table servers;

 private:
  // Ports that claim a virtual server, by order; the last one has it.
  struct Claimant {
    IpvsPort* port;
    uint32_t claim;
  };
  using Claimants = absl::InlinedVector<Claimant, 1>;

  Findings* report() { return options.report ? &findings : nullptr; }
  EndpointReader Reader(IpFamily family);

  void SetNode(const Node* node);
  void RebuildAll();
  void PutNode(const Node& node);
  void PutService(const Service& service, bool deleted);
  // `service` is slice.ServiceName().
  void PutSlice(const EndpointSlice& slice, absl::string_view service,
                bool deleted);
  void PutEndpoints(const Endpoints& endpoints, bool deleted);
  // The service that has this slice, or null; probably it is that called
  // `service`.
  IpvsService* OwnerOf(const ObjectMeta& slice, absl::string_view service);
  void KnowOwners();
  void RemoveSlice(IpvsService& service, const ObjectMeta& slice);
  void TakeSlice(IpFamily family, IpvsService::Family& from,
                 absl::string_view name);
  static size_t HashOf(const ObjectMeta& meta) {
    return absl::HashOf(absl::string_view(meta.namespace_),
                        absl::string_view(meta.name));
  }
  bool IsKnown(absl::string_view namespace_, absl::string_view name) const {
    return services_.contains(Name(namespace_, name));
  }
  IpvsService& ServiceOf(absl::string_view namespace_, absl::string_view name);
  void DropIfEmpty(IpvsService& service);

  // ---- of one port ----
  // Fills port.loopback, and what ReadRealServers() fills.
  void ReadEndpoints(const IpvsService::Family& from, IpvsPort& port);
  // Fills list_, selected_ and local_differs_.
  void ReadRealServers(const IpvsService::Family& from, const IpvsPort& port);
  void MakeClaims(IpFamily family, IpvsPort& port);
  void ClaimNodePort(const FamilyState& state, IpvsPort& port);
  void ClaimLoadBalancers(const FamilyState& state, IpvsPort& port);
  void ChangeEndpoints(IpFamily family, const IpvsService::Family& from,
                       IpvsPort& port);
  // Enters into, and takes out of, the tables. For the first, ReadEndpoints()
  // was called last for this port.
  void Enter(IpFamily family, IpvsPort& port);
  void Leave(IpFamily family, IpvsPort& port);
  // Asks for the memory that Enter() will write to.
  void PrefetchPlaces(IpFamily family, const IpvsPort& port) const;

  void Claim(IpvsPort& port, uint32_t claim);
  void Unclaim(IpvsPort& port, uint32_t claim);
  // Writes what the claimants of `key` want into `servers`. ReadRealServers()
  // was called last for the last claimant.
  void Settle(const ipvs::ServiceKey& key, const Claimants& claimants);
  void Program(const Claimant& owner, ipvs::VirtualServer& server) const;
  void AddMember(IpFamily family, KubeSet set, const KubeSetMember& member);
  void RemoveMember(IpFamily family, KubeSet set, const KubeSetMember& member);
  void Bind(const IpAddress& address);
  void Unbind(const IpAddress& address);
  void NoteMember(IpFamily family, KubeSet set, const KubeSetMember& member,
                  bool before);
  void NoteServer(const ipvs::ServiceKey& key);
  void WantedChanged(IpFamily family, KubeSet set);
  bool IsExcluded(const IpAddress& address) const;
  void WriteDelta(IpvsDelta& delta);

  ipvs::Scheduler scheduler_;
  std::vector<IpPrefix> excluded_;
  HintSets zone_hints_;
  HintSets node_hints_;
  // Services by name.
  using Name = std::pair<absl::string_view, absl::string_view>;
  static Name NameOf(const Name& name) { return name; }
  static Name NameOf(const IpvsService* s) { return {s->namespace_, s->name}; }
  struct NameHash {
    using is_transparent = void;
    template <typename T>
    size_t operator()(const T& key) const {
      return absl::HashOf(NameOf(key));
    }
  };
  struct NameEq {
    using is_transparent = void;
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return NameOf(a) == NameOf(b);
    }
  };

  // What is made by loading; it is the owner of what the following points to.
  Arena arena_;
  Pool<IpvsService> service_pool_{&arena_};
  Pool<IpvsPort> port_pool_{&arena_};
  absl::flat_hash_set<IpvsService*, NameHash, NameEq> services_;
  IpvsService* last_service_ = nullptr;  // what ServiceOf() found; may be null
  // The services of the slices with a name of this hash, to notice that a slice
  // changed its service. Filled by the first event that brings or takes a
  // slice: a compiler that only sees slices change does without.
  absl::flat_hash_map<size_t, absl::InlinedVector<IpvsService*, 1>>
      slice_owners_;
  bool owners_known_ = false;
  absl::flat_hash_map<ipvs::ServiceKey, Claimants> claimants_;
  IpvsJournal journal_;
  bool journaling_ = false;
  // The endpoints of one port, and which of them are its real servers, in the
  // order of addresses and ports. They are read anew for each change: what is
  // kept are the slices, and the virtual servers.
  EndpointList list_;
  SelectedEndpoints selected_;
  bool local_differs_ = false;  // else policy Local means all of them, too
  // Scratch memory.
  CompactSlice compact_;
  std::vector<ServicePortInfo> infos_;
};

}  // namespace k8sdns::proxy

#endif  // K8SDNS_PROXY_IPVS_STATE_H_
