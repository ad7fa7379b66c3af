// The compiled state of one family: internal to the iptables compiler.
#ifndef K8SDNS_PROXY_IPTABLES_FAMILY_H_
#define K8SDNS_PROXY_IPTABLES_FAMILY_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/cluster/kube_proxy_config.h"
#include "k8sdns/netfilter/ruleset.h"
#include "k8sdns/proxy/arena.h"
#include "k8sdns/proxy/chain_names.h"
#include "k8sdns/proxy/finding.h"
#include "k8sdns/proxy/fragment.h"
#include "k8sdns/proxy/iptables_delta.h"
#include "k8sdns/proxy/iptables_model.h"
#include "k8sdns/proxy/port_tree.h"
#include "k8sdns/proxy/ruleset_sink.h"
#include "k8sdns/proxy/text_sink.h"

namespace k8sdns::proxy {

// Keeps of the objects what rules depend on, in two layers: what was read of
// each object, and, derived from it, the service ports with their endpoints.
class IptablesFamily {
 public:
  IptablesFamily(const RuleContext& context, const KubeProxyConfig& config);

  // Loading: what holds the endpoints of a Service before the Service, Services
  // in the order of their names; then FinishLoad().
  void Reserve(size_t services) {
    services_.reserve(services);
    loaded_.reserve(services);
  }
  // `service` is slice.ServiceName().
  void LoadSlice(const EndpointSlice& slice, absl::string_view service,
                 Findings* findings);
  void LoadEndpoints(const Endpoints& endpoints, Findings* findings) {
    ReadEndpoints(endpoints, false, findings);
  }
  void LoadService(const Service& service, Findings* findings);
  void FinishLoad();

  netfilter::Ruleset Compile(std::vector<RuleOrigin>* origins) const;
  void PrintTo(bool builtin_chains, std::string& out);

  // One batch: read events one after another, then Update() once.
  void Read(const WatchEvent& event, Findings* findings);
  void Update(IptablesDelta& delta);

  size_t port_count() const { return tree_.size(); }
  size_t endpoint_count() const { return endpoint_count_; }

 private:
  struct ServiceState {
    std::string namespace_;
    std::string name;
    bool dirty = false;
    // What was read. The ports of the Service are kept by `ports`; only where
    // they changed since, they are here.
    std::optional<std::vector<ServicePortInfo>> new_infos;
    // By name; or subsets of Endpoints.
    absl::InlinedVector<CompactSlice, 1> slices;
    // What is derived. Nodes are in the tree.
    absl::InlinedVector<PortNode*, 1> ports;
  };
  // Services by name.
  using Name = std::pair<absl::string_view, absl::string_view>;
  struct StateHash {
    using is_transparent = void;
    size_t operator()(const Name& name) const { return absl::HashOf(name); }
    size_t operator()(const ServiceState* state) const {
      return absl::HashOf(NameOf(state));
    }
  };
  struct StateEq {
    using is_transparent = void;
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return NameOf(a) == NameOf(b);
    }
  };
  static Name NameOf(const Name& name) { return name; }
  static Name NameOf(const ServiceState* state) {
    return {state->namespace_, state->name};
  }

  // A port that may change: what it is, and what it is going to be.
  struct Pending {
    ServiceState* service = nullptr;
    PortNode* node = nullptr;  // null: new
    PortModel model;
    bool removed = false;
  };

  // Layer one.
  ServiceState& StateOf(absl::string_view namespace_, absl::string_view name);
  ServiceState* FindState(absl::string_view namespace_,
                          absl::string_view name) const;
  static bool SameInfos(const ServiceState& state,
                        const std::vector<ServicePortInfo>& infos);
  // The place of a slice among those of a service.
  static CompactSlice* FindSlice(ServiceState& state, absl::string_view name);
  void RemoveSlice(ServiceState& state, absl::string_view name);
  void KnowOwners();
  void MarkDirty(ServiceState& state);
  void ReadService(const Service& service, bool deleted, Findings* findings);
  void ReadSlice(const EndpointSlice& slice, bool deleted, Findings* findings);
  void ReadEndpoints(const Endpoints& endpoints, bool deleted,
                     Findings* findings);
  void ReadNode(const Node& node, bool deleted);
  EndpointReader Reader(Findings* findings);

  // Layer two. Fills `model`, whose info is there; chain names are taken from
  // `old` where it has them. New memory comes from `arena` if that is not null.
  void Derive(const ServiceState& state, const PortModel* old, Arena* arena,
              PortModel& model);
  void Categorize(PortModel& model);
  // More than 1,000 endpoints, ready or not, in a dialect that cares.
  bool IsLarge() const {
    return context_.traits.large_cluster_mode && endpoint_count_ > 1000;
  }
  Pending& NextPending();
  void Prepare(ServiceState& state);

  // Deltas.
  void UpdatePort(Pending& pending, const RuleContext& before,
                  IptablesDelta& delta);
  bool UpdateEndpointsOnly(Pending& pending, IptablesDelta& delta);
  void Diff(const Fragment& before, const Fragment& after, PortNode* node,
            IptablesDelta& delta);
  void UpdateDispatch(const Fragment& before, const Fragment& after,
                      PortNode* node, IptablesDelta& delta);
  void UpdateFixedRules(const RuleContext& before, IptablesDelta& delta);
  // Fills the nodes' own counts with those of the rules that are there.
  void CountRules(const RuleContext& context);

  RuleContext context_;
  std::optional<NodeView> next_node_;  // the node as the batch leaves it
  KubeProxyConfig config_;
  HintSets zone_hints_;
  HintSets node_hints_;
  ProbabilityTexts probabilities_;

  // What is made by loading; it is the owner of what the following points to.
  Arena arena_;
  Pool<ServiceState> state_pool_{&arena_};
  Pool<PortNode> node_pool_{&arena_};

  absl::flat_hash_set<ServiceState*, StateHash, StateEq> services_;
  // The services of the slices with a name of this hash, to notice that a slice
  // changed its service. Filled by the first event that brings or takes a
  // slice: a compiler that only sees slices change does without.
  absl::flat_hash_map<size_t, absl::InlinedVector<ServiceState*, 1>>
      slice_owners_;
  bool owners_known_ = false;
  PortTree tree_;
  size_t endpoint_count_ = 0;  // not-ready ones too
  bool counted_ = false;       // PortNode::own is filled
  std::vector<ServiceState*> dirty_;

  // While loading.
  ServiceState* last_loaded_ = nullptr;
  std::vector<PortNode*> loaded_;
  std::vector<ServicePortInfo> infos_scratch_;

  // Reused memory.
  CompactSlice slice_scratch_;
  SelectedEndpoints selected_;
  std::vector<std::string> written_;
  std::vector<Pending> pending_;
  size_t pending_count_ = 0;
  Fragment before_;
  Fragment after_;
};

}  // namespace k8sdns::proxy

#endif  // K8SDNS_PROXY_IPTABLES_FAMILY_H_
