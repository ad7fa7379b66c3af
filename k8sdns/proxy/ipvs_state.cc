#include "k8sdns/proxy/ipvs_state.h"

#include <algorithm>
#include <iterator>
#include <type_traits>
#include <variant>

#include "absl/strings/str_cat.h"
#include "k8sdns/proxy/cluster_walk.h"

namespace k8sdns::proxy {
namespace {

bool SlicesLess(const CompactSlice& a, const CompactSlice& b) {
  return a.name < b.name;
}

}  // namespace

bool IpvsService::HasSlice(absl::string_view slice) const {
  for (const Family& f : families) {
    for (const CompactSlice& s : f.slices) {
      if (s.name == slice) return true;
    }
  }
  return false;
}

IpvsState::IpvsState(const KubeProxyConfig& c, const IpvsOptions& o)
    : config(c),
      options(o),
      traits(TraitsOf(o.dialect)),
      features(FeaturesOf(c)),
      families(ProgrammedFamilies(c, traits)) {
  const std::string& name = config.ipvs.scheduler;
  scheduler_ = name.empty() ? ipvs::Scheduler::kRr : ipvs::FindScheduler(name);
  if (scheduler_ == ipvs::Scheduler::kOther && options.report) {
    findings.push_back(
        {Finding::Effect::kRefused, "KubeProxyConfiguration", "ipvs.scheduler",
         absl::StrCat("\"", name, "\" is not a scheduler of Linux")});
  }
  for (size_t i = 0; i < config.ipvs.exclude_cidrs.size(); ++i) {
    const std::string& text = config.ipvs.exclude_cidrs[i];
    if (const auto cidr = IpPrefix::Parse(text)) {
      excluded_.push_back(*cidr);
    } else if (options.report) {
      findings.push_back({Finding::Effect::kIgnored, "KubeProxyConfiguration",
                          absl::StrCat("ipvs.excludeCIDRs[", i, "]"),
                          absl::StrCat("\"", text, "\" is not a CIDR")});
    }
  }
}

bool IpvsState::IsExcluded(const IpAddress& address) const {
  return std::any_of(
      excluded_.begin(), excluded_.end(),
      [&](const IpPrefix& cidr) { return cidr.Contains(address); });
}

EndpointReader IpvsState::Reader(IpFamily family) {
  EndpointReader reader;
  reader.node_name = config.hostname_override;
  reader.family = family;
  reader.features = features;
  reader.zone_hints = &zone_hints_;
  reader.node_hints = &node_hints_;
  reader.findings = report();
  return reader;
}

// ---- the whole cluster ----

void IpvsState::SetNode(const Node* node) {
  for (IpFamily family : families) {
    FamilyState& state = by_family[static_cast<int>(family)];
    // What the configuration says is reported once.
    state.node = MakeNodeView(node, config, family, traits,
                              journaling_ ? nullptr : report());
    state.node_addresses.clear();
    state.node_port_ips.clear();
    for (const IpAddress& ip : state.node.addresses) {
      // Addresses that packets from outside can have (netlink_linux.go).
      const bool outside =
          !ip.IsLoopback() && !(ip.is_v6() && ip.IsLinkLocal());
      if (outside) state.node_addresses[ip] = true;
      if (state.node.node_port_all && (outside || !traits.dual_stack)) {
        state.node_port_ips.push_back(ip);
      }
    }
    if (!state.node.node_port_all) {
      for (const IpAddress& ip : state.node.node_port_ips) {
        if (ip.IsLoopback() && traits.dual_stack) continue;
        state.node_port_ips.push_back(ip);
      }
    }
    auto& ips = state.node_port_ips;
    std::sort(ips.begin(), ips.end());
    ips.erase(std::unique(ips.begin(), ips.end()), ips.end());
    state.rules_stale = true;
    zone_hints_.SetOwn(state.node.zone);
  }
  node_hints_.SetOwn(config.hostname_override);
}

void IpvsState::Load(const Cluster& cluster) {
  SetNode(cluster.nodes().Find(config.hostname_override));
  services_.reserve(cluster.services().size());
  servers.Reserve(cluster.services().size());
  claimants_.reserve(cluster.services().size());
  for (const IpFamily family : families) {
    auto& sets = by_family[static_cast<int>(family)].sets;
    for (KubeSet set : {KubeSet::kClusterIp, KubeSet::kIpvsIps}) {
      sets[static_cast<int>(set)].Reserve(cluster.services().size());
    }
  }
  // Endpoints first, so that each service port is entered once.
  WalkCluster(
      cluster, traits.endpoint_slices,
      [&](const EndpointSlice& slice, absl::string_view service) {
        PutSlice(slice, service, false);
      },
      [&](const Endpoints& endpoints) { PutEndpoints(endpoints, false); },
      [&](const Service& service) { PutService(service, false); });
}

void IpvsState::RebuildAll() {
  for (IpvsService* service : services_) {
    for (IpFamily family : families) {
      IpvsService::Family& f = service->families[static_cast<int>(family)];
      for (IpvsPort* port : f.ports) {
        Leave(family, *port);
        ReadEndpoints(f, *port);
        MakeClaims(family, *port);
        Enter(family, *port);
      }
    }
  }
}

IpvsService& IpvsState::ServiceOf(absl::string_view namespace_,
                                  absl::string_view name) {
  const Name key(namespace_, name);
  // A service comes right after its slices when a cluster is loaded.
  if (last_service_ != nullptr && NameOf(last_service_) == key) {
    return *last_service_;
  }
  const auto it = services_.lazy_emplace(key, [&](const auto& make) {
    IpvsService* const service = service_pool_.New();
    service->namespace_.assign(namespace_.data(), namespace_.size());
    service->name.assign(name.data(), name.size());
    make(service);
  });
  last_service_ = *it;
  return **it;
}

void IpvsState::DropIfEmpty(IpvsService& service) {
  for (const IpvsService::Family& f : service.families) {
    if (!f.ports.empty() || !f.slices.empty()) return;
  }
  services_.erase(&service);
  if (last_service_ == &service) last_service_ = nullptr;
  service_pool_.Delete(&service);
}

// ---- objects ----

void IpvsState::Apply(const WatchEvent& event, IpvsDelta* delta) {
  journal_ = {};
  journaling_ = true;
  const bool deleted = event.type == WatchEvent::Type::kDeleted;
  std::visit(
      [&](const auto& object) {
        using T = std::decay_t<decltype(object)>;
        if constexpr (std::is_same_v<T, Service>) {
          PutService(object, deleted);
        } else if constexpr (std::is_same_v<T, EndpointSlice>) {
          if (traits.endpoint_slices) {
            PutSlice(object, object.ServiceName(), deleted);
          }
        } else if constexpr (std::is_same_v<T, Endpoints>) {
          if (!traits.endpoint_slices) PutEndpoints(object, deleted);
        } else if constexpr (std::is_same_v<T, Node>) {
          if (object.metadata.name != config.hostname_override) return;
          const std::array<NodeView, 2> before = {by_family[0].node,
                                                  by_family[1].node};
          SetNode(deleted ? nullptr : &object);
          if (before[0] == by_family[0].node &&
              before[1] == by_family[1].node) {
            return;
          }
          for (IpFamily f : families)
            journal_.rules[static_cast<int>(f)] = true;
          RebuildAll();
        }
      },
      event.object);
  if (delta != nullptr) {
    *delta = {};
    WriteDelta(*delta);
  }
}

void IpvsState::PutService(const Service& service, bool deleted) {
  const ObjectMeta& meta = service.metadata;
  const bool watched = !deleted && IsWatched(meta, traits);
  if (!watched && !IsKnown(meta.namespace_, meta.name)) return;
  IpvsService& state = ServiceOf(meta.namespace_, meta.name);
  const ExpandOptions expand = {traits, features};
  for (IpFamily family : families) {
    IpvsService::Family& f = state.families[static_cast<int>(family)];
    infos_.clear();
    if (watched) ExpandService(service, family, expand, infos_, report());
    if (infos_.size() == f.ports.size() &&
        std::equal(infos_.begin(), infos_.end(), f.ports.begin(),
                   [](const ServicePortInfo& a, const IpvsPort* b) {
                     return a == b->info;
                   })) {
      continue;
    }
    for (IpvsPort* port : f.ports) Leave(family, *port);
    for (IpvsPort* port : f.ports) port_pool_.Delete(port);
    f.ports.clear();
    for (ServicePortInfo& info : infos_) {
      IpvsPort* const port = port_pool_.New();
      port->service = &state;
      port->info = std::move(info);
      MakeClaims(family, *port);
      if (!journaling_) PrefetchPlaces(family, *port);
      ReadEndpoints(f, *port);
      Enter(family, *port);
      f.ports.push_back(port);
    }
  }
  if (!watched) DropIfEmpty(state);
}

void IpvsState::KnowOwners() {
  if (owners_known_) return;
  owners_known_ = true;
  for (IpvsService* service : services_) {
    const absl::string_view namespace_ = service->namespace_;
    for (const IpvsService::Family& f : service->families) {
      for (const CompactSlice& slice : f.slices) {
        slice_owners_[absl::HashOf(namespace_, absl::string_view(slice.name))]
            .push_back(service);
      }
    }
  }
}

IpvsService* IpvsState::OwnerOf(const ObjectMeta& slice,
                                absl::string_view service) {
  // A slice seldom changes its service.
  const auto same = services_.find(Name(slice.namespace_, service));
  if (same != services_.end() && (*same)->HasSlice(slice.name)) return *same;
  KnowOwners();
  const auto owners = slice_owners_.find(HashOf(slice));
  if (owners == slice_owners_.end()) return nullptr;
  for (IpvsService* owner : owners->second) {
    if (owner->namespace_ == slice.namespace_ && owner->HasSlice(slice.name)) {
      return owner;
    }
  }
  return nullptr;
}

void IpvsState::RemoveSlice(IpvsService& service, const ObjectMeta& slice) {
  KnowOwners();
  const absl::string_view name = slice.name;
  const auto owners = slice_owners_.find(HashOf(slice));
  auto& of_hash = owners->second;
  of_hash.erase(std::find(of_hash.begin(), of_hash.end(), &service));
  if (of_hash.empty()) slice_owners_.erase(owners);
  for (IpFamily family : {IpFamily::kIpv4, IpFamily::kIpv6}) {
    TakeSlice(family, service.families[static_cast<int>(family)], name);
  }
  DropIfEmpty(service);
}

void IpvsState::TakeSlice(IpFamily family, IpvsService::Family& from,
                          absl::string_view name) {
  const auto found = std::find_if(
      from.slices.begin(), from.slices.end(),
      [&](const CompactSlice& slice) { return slice.name == name; });
  if (found == from.slices.end()) return;
  from.slices.erase(found);
  for (IpvsPort* port : from.ports) ChangeEndpoints(family, from, *port);
}

void IpvsState::PutSlice(const EndpointSlice& slice, absl::string_view service,
                         bool deleted) {
  const ObjectMeta& meta = slice.metadata;
  const bool watched = !deleted && IsWatched(meta, traits) &&
                       slice.address_type != AddressType::kFqdn;
  // Of those that are loaded, each comes once.
  IpvsService* owner = journaling_ ? OwnerOf(meta, service) : nullptr;
  if (owner != nullptr && (!watched || owner->name != service)) {
    RemoveSlice(*owner, meta);
    owner = nullptr;
  }
  if (!watched) return;
  const IpFamily family = slice.address_type == AddressType::kIpv4
                              ? IpFamily::kIpv4
                              : IpFamily::kIpv6;
  EndpointReader reader = Reader(family);
  if (!journaling_) reader.arena = &arena_;
  if (!reader.ReadSliceOf(service, slice, compact_)) return;
  IpvsService& state = ServiceOf(meta.namespace_, service);
  if (owner == nullptr) {
    if (owners_known_) slice_owners_[HashOf(meta)].push_back(&state);
  } else if (families.size() > 1) {
    // The API forbids it, but a new object of the same name may be of the
    // other family.
    const IpFamily other =
        family == IpFamily::kIpv4 ? IpFamily::kIpv6 : IpFamily::kIpv4;
    TakeSlice(other, state.families[static_cast<int>(other)], compact_.name);
  }
  IpvsService::Family& f = state.families[static_cast<int>(family)];
  auto at =
      std::lower_bound(f.slices.begin(), f.slices.end(), compact_, SlicesLess);
  if (at != f.slices.end() && at->name == compact_.name) {
    if (*at == compact_) return;
    std::swap(*at, compact_);
  } else {
    f.slices.insert(at, std::move(compact_));
    compact_ = CompactSlice();
  }
  for (IpvsPort* port : f.ports) ChangeEndpoints(family, f, *port);
}

void IpvsState::PutEndpoints(const Endpoints& endpoints, bool deleted) {
  const ObjectMeta& meta = endpoints.metadata;
  const bool watched = !deleted && IsWatched(meta, traits);
  if (!watched && !IsKnown(meta.namespace_, meta.name)) return;
  IpvsService& service = ServiceOf(meta.namespace_, meta.name);
  for (IpFamily family : families) {
    IpvsService::Family& f = service.families[static_cast<int>(family)];
    std::vector<CompactSlice> subsets;
    if (watched) Reader(family).ReadEndpoints(endpoints, subsets);
    f.slices.assign(std::make_move_iterator(subsets.begin()),
                    std::make_move_iterator(subsets.end()));
    for (IpvsPort* port : f.ports) ChangeEndpoints(family, f, *port);
  }
  if (!watched) DropIfEmpty(service);
}

// ---- entering and leaving the tables ----

void IpvsState::ChangeEndpoints(IpFamily family,
                                const IpvsService::Family& from,
                                IpvsPort& port) {
  std::vector<KubeSetMember> loopback = std::move(port.loopback);
  ReadEndpoints(from, port);
  if (loopback != port.loopback) {
    for (const KubeSetMember& m : port.loopback) {
      AddMember(family, KubeSet::kLoopBack, m);
    }
    for (const KubeSetMember& m : loopback) {
      RemoveMember(family, KubeSet::kLoopBack, m);
    }
  }
  for (const VirtualClaim& claim : port.claims) {
    const Claimants& claimants = claimants_.find(claim.key)->second;
    if (claimants.back().port == &port) Settle(claim.key, claimants);
  }
}

void IpvsState::Enter(IpFamily family, IpvsPort& port) {
  for (const KubeSetMember& m : port.loopback) {
    AddMember(family, KubeSet::kLoopBack, m);
  }
  for (const auto& [set, member] : port.members) {
    AddMember(family, set, member);
  }
  for (uint32_t i = 0; i < port.claims.size(); ++i) {
    Claim(port, i);
    if (port.claims[i].bind) Bind(port.claims[i].key.address);
  }
  if (!port.no_node_access.empty()) {
    FamilyState& state = by_family[static_cast<int>(family)];
    state.no_node_access[{port.info.name,
                          ServicePortInfo::ProtocolRank(port.info.protocol)}] =
        port.no_node_access;
    state.rules_stale = true;
    journal_.rules[static_cast<int>(family)] = true;
  }
}

void IpvsState::PrefetchPlaces(IpFamily family, const IpvsPort& port) const {
  const FamilyState& state = by_family[static_cast<int>(family)];
  for (const auto& [set, member] : port.members) {
    state.sets[static_cast<int>(set)].Prefetch(member);
  }
  for (const VirtualClaim& claim : port.claims) {
    claimants_.prefetch(claim.key);
    servers.Prefetch(claim.key);
    if (!claim.bind) continue;
    KubeSetMember member;
    member.ip = claim.key.address;
    state.sets[static_cast<int>(KubeSet::kIpvsIps)].Prefetch(member);
  }
}

void IpvsState::Leave(IpFamily family, IpvsPort& port) {
  for (const KubeSetMember& m : port.loopback) {
    RemoveMember(family, KubeSet::kLoopBack, m);
  }
  for (const auto& [set, member] : port.members) {
    RemoveMember(family, set, member);
  }
  for (uint32_t i = 0; i < port.claims.size(); ++i) {
    Unclaim(port, i);
    if (port.claims[i].bind) Unbind(port.claims[i].key.address);
  }
  if (!port.no_node_access.empty()) {
    FamilyState& state = by_family[static_cast<int>(family)];
    state.no_node_access.erase(
        {port.info.name, ServicePortInfo::ProtocolRank(port.info.protocol)});
    state.rules_stale = true;
    journal_.rules[static_cast<int>(family)] = true;
  }
}

void IpvsState::Claim(IpvsPort& port, uint32_t claim) {
  const ipvs::ServiceKey& key = port.claims[claim].key;
  Claimants& claimants = claimants_[key];
  auto at = claimants.end();
  while (at != claimants.begin()) {
    const Claimant& before = *std::prev(at);
    const bool later = before.port == &port || before.port->info < port.info ||
                       !(port.info < before.port->info);
    if (later) break;
    --at;
  }
  const bool owner = at == claimants.end();
  claimants.insert(at, {&port, claim});
  if (owner) Settle(key, claimants);
}

void IpvsState::Unclaim(IpvsPort& port, uint32_t claim) {
  auto it = claimants_.find(port.claims[claim].key);
  Claimants& claimants = it->second;
  const auto at = std::find_if(
      claimants.begin(), claimants.end(),
      [&](const Claimant& c) { return c.port == &port && c.claim == claim; });
  const bool owner = std::next(at) == claimants.end();
  claimants.erase(at);
  if (owner) {
    if (!claimants.empty()) {
      const IpvsPort& next = *claimants.back().port;
      ReadRealServers(
          next.service
              ->families[static_cast<int>(next.info.cluster_ip.family())],
          next);
    }
    Settle(it->first, claimants);
  }
  if (claimants.empty()) claimants_.erase(it);
}

void IpvsState::Settle(const ipvs::ServiceKey& key,
                       const Claimants& claimants) {
  NoteServer(key);
  if (claimants.empty()) {
    if (!IsExcluded(key.address)) servers.Remove(key);
    return;
  }
  Program(claimants.back(), *servers.FindOrAdd(key));
}

void IpvsState::Program(const Claimant& owner,
                        ipvs::VirtualServer& server) const {
  const IpvsPort& port = *owner.port;
  server.scheduler = scheduler_;
  if (scheduler_ == ipvs::Scheduler::kOther) {
    server.other_scheduler = config.ipvs.scheduler;
  }
  // The source port takes part in the hash (FlagSourceHash of 1.30).
  server.scheduler_flags =
      scheduler_ == ipvs::Scheduler::kMh && traits.dual_stack
          ? ipvs::VirtualServer::kFlag2
          : 0;
  server.persistent = port.info.session_affinity;
  server.persistence_seconds =
      port.info.session_affinity
          ? static_cast<uint32_t>(port.info.affinity_seconds)
          : 0;
  const bool local = port.claims[owner.claim].local && local_differs_;
  const std::vector<uint32_t>& reals =
      local ? selected_.local : selected_.cluster;
  server.real_servers.resize(reals.size());
  for (size_t i = 0; i < reals.size(); ++i) {
    const EndpointInfo& endpoint = list_.endpoints[reals[i]];
    ipvs::RealServer& real = server.real_servers[i];  // else all defaults
    real.address = endpoint.address;
    real.port = endpoint.port;
  }
}

void IpvsState::WantedChanged(IpFamily family, KubeSet set) {
  FamilyState& state = by_family[static_cast<int>(family)];
  const size_t index = static_cast<size_t>(set);
  const bool wanted = !state.sets[index].wanted_empty();
  if (state.wanted[index] == wanted) return;
  state.wanted[index] = wanted;
  state.rules_stale = true;
  journal_.rules[static_cast<int>(family)] = true;
}

void IpvsState::AddMember(IpFamily family, KubeSet set,
                          const KubeSetMember& member) {
  FamilyState& state = by_family[static_cast<int>(family)];
  if (!state.sets[static_cast<int>(set)].Add(member)) return;
  NoteMember(family, set, member, false);
  WantedChanged(family, set);
  if (!options.report) return;
  const KubeSetType type = TypeOfSet(set, traits);
  if (IsRefused(type, member)) {
    findings.push_back(
        {Finding::Effect::kRefused, DescribeSet(set, family, traits).name, "",
         absl::StrCat(member.net.ToString(),
                      " cannot be stored in an ipset; nothing matches it")});
  }
  if (type != KubeSetType::kBitmapPort &&
      state.sets[static_cast<int>(set)].size() == kMaxSetMembers + 1) {
    findings.push_back({Finding::Effect::kRefused,
                        DescribeSet(set, family, traits).name, "",
                        absl::StrCat("more than ", kMaxSetMembers,
                                     " members; ipset refuses the others")});
  }
}

void IpvsState::RemoveMember(IpFamily family, KubeSet set,
                             const KubeSetMember& member) {
  FamilyState& state = by_family[static_cast<int>(family)];
  if (!state.sets[static_cast<int>(set)].Remove(member)) return;
  NoteMember(family, set, member, true);
  WantedChanged(family, set);
}

// Bound addresses are kept where kube-proxy keeps them too.
void IpvsState::Bind(const IpAddress& address) {
  KubeSetMember member;
  member.ip = address;
  AddMember(address.family(), KubeSet::kIpvsIps, member);
}

void IpvsState::Unbind(const IpAddress& address) {
  KubeSetMember member;
  member.ip = address;
  RemoveMember(address.family(), KubeSet::kIpvsIps, member);
}

const netfilter::Ruleset& IpvsState::Rules(IpFamily family) {
  FamilyState& state = by_family[static_cast<int>(family)];
  if (!state.rules_stale && state.rules) return *state.rules;
  IpvsRuleInputs inputs;
  inputs.traits = traits;
  inputs.family = family;
  inputs.local = state.node.local;
  inputs.masquerade_mark = uint32_t{1}
                           << config.iptables.masquerade_bit.value_or(14);
  inputs.masquerade_all = config.iptables.masquerade_all;
  inputs.wanted = state.wanted;
  for (const auto& [key, entries] : state.no_node_access) {
    inputs.no_node_access.insert(inputs.no_node_access.end(), entries.begin(),
                                 entries.end());
  }
  state.rules = BuildIpvsRules(inputs);
  state.rules_stale = false;
  return *state.rules;
}

}  // namespace k8sdns::proxy
