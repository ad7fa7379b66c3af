// The service ports of a node in the order in which their rules stand, with the
// number of rules that stand before each: internal to the iptables compiler.
//
// A treap. Its priorities are hashes of the names, so that the shape depends on
// the content alone. Insert, erase, counts: O(log n). Until the first SumUp()
// after a Build() there is only the list of the nodes, which is all that
// printing needs.
#ifndef K8SDNS_PROXY_PORT_TREE_H_
#define K8SDNS_PROXY_PORT_TREE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "k8sdns/proxy/iptables_model.h"

namespace k8sdns::proxy {

using RuleCounts = std::array<uint32_t, kDispatchChains>;

// A port as an element of a PortTree.
struct PortNode {
  PortModel model;
  RuleCounts own = {};    // rules in the dispatch chains
  RuleCounts below = {};  // the same of the subtree, this node included
  uint64_t priority = 0;
  PortNode* left = nullptr;
  PortNode* right = nullptr;
};

class PortTree {
 public:
  // `nodes` sorted and without duplicates. SumUp() must be called before what
  // follows it here. O(1).
  void Build(std::vector<PortNode*> nodes);
  // Makes the tree, if it is not yet there, and computes all sums from the
  // nodes' own counts. O(n).
  void SumUp();
  // The node's key must not be there yet; its `own` counts must be set.
  void Insert(PortNode* node);
  // The node must be there.
  void Erase(PortNode* node);
  // Changes the counts of a node that is there.
  void SetCounts(PortNode* node, const RuleCounts& counts);

  // The rules in each chain of all ports before `node`.
  RuleCounts CountsBefore(const PortNode* node) const;
  RuleCounts Total() const { return root_ ? root_->below : RuleCounts{}; }
  size_t size() const { return size_; }

  // The nodes in order. O(n) after a change, else O(1).
  const std::vector<PortNode*>& InOrder();

  // In order.
  template <typename Visit>
  void ForEach(Visit&& visit) const {
    if (in_order_valid_) {
      for (PortNode* node : in_order_) visit(*node);
      return;
    }
    std::vector<PortNode*> path;
    PortNode* node = root_;
    while (node != nullptr || !path.empty()) {
      for (; node != nullptr; node = node->left) path.push_back(node);
      node = path.back();
      path.pop_back();
      PortNode* next = node->right;
      visit(*node);
      node = next;
    }
  }

 private:
  void Link();
  static void Pull(PortNode* node);
  static void SumUp(PortNode* node);
  // Splits into keys less than `key` and the others.
  static void Split(PortNode* node, const ServicePortInfo& key, PortNode** less,
                    PortNode** others);
  static PortNode* Merge(PortNode* a, PortNode* b);

  PortNode* root_ = nullptr;
  std::vector<PortNode*> in_order_;
  bool in_order_valid_ = false;
  bool linked_ = true;
  size_t size_ = 0;
};

}  // namespace k8sdns::proxy

#endif  // K8SDNS_PROXY_PORT_TREE_H_
