#include "k8sdns/proxy/port_tree.h"

#include <cstring>
#include <utility>

namespace k8sdns::proxy {
namespace {

// The name's hash is one of SHA-256 already.
uint64_t PriorityOf(const PortNode& node) {
  uint64_t priority;
  std::memcpy(&priority, node.model.hash.characters.data(), sizeof priority);
  // The characters have few bits each; spread them.
  priority ^= priority >> 29;
  priority *= 0xbf58476d1ce4e5b9;
  return priority ^ priority >> 32;
}

bool Less(const PortNode& a, const ServicePortInfo& key) {
  return a.model.info < key;
}

}  // namespace

void PortTree::Pull(PortNode* node) {
  node->below = node->own;
  for (const PortNode* child : {node->left, node->right}) {
    if (child == nullptr) continue;
    for (int i = 0; i < kDispatchChains; ++i) node->below[i] += child->below[i];
  }
}

void PortTree::SumUp(PortNode* node) {
  if (node == nullptr) return;
  SumUp(node->left);
  SumUp(node->right);
  Pull(node);
}

const std::vector<PortNode*>& PortTree::InOrder() {
  if (in_order_valid_) return in_order_;
  in_order_.clear();
  in_order_.reserve(size_);
  ForEach([&](PortNode& node) { in_order_.push_back(&node); });
  in_order_valid_ = true;
  return in_order_;
}

void PortTree::Build(std::vector<PortNode*> nodes) {
  size_ = nodes.size();
  in_order_ = std::move(nodes);
  in_order_valid_ = true;
  linked_ = false;
}

void PortTree::SumUp() {
  if (!linked_) Link();
  SumUp(root_);
}

void PortTree::Link() {
  // The right spine of what was built so far.
  std::vector<PortNode*> spine;
  for (PortNode* node : in_order_) {
    node->priority = PriorityOf(*node);
    node->left = node->right = nullptr;
    while (!spine.empty() && spine.back()->priority < node->priority) {
      node->left = spine.back();
      spine.pop_back();
    }
    if (!spine.empty()) spine.back()->right = node;
    spine.push_back(node);
  }
  root_ = spine.empty() ? nullptr : spine.front();
  linked_ = true;
}

void PortTree::Split(PortNode* node, const ServicePortInfo& key,
                     PortNode** less, PortNode** others) {
  if (node == nullptr) {
    *less = *others = nullptr;
    return;
  }
  if (Less(*node, key)) {
    Split(node->right, key, &node->right, others);
    *less = node;
  } else {
    Split(node->left, key, less, &node->left);
    *others = node;
  }
  Pull(node);
}

PortNode* PortTree::Merge(PortNode* a, PortNode* b) {
  if (a == nullptr) return b;
  if (b == nullptr) return a;
  if (a->priority >= b->priority) {
    a->right = Merge(a->right, b);
    Pull(a);
    return a;
  }
  b->left = Merge(a, b->left);
  Pull(b);
  return b;
}

void PortTree::Insert(PortNode* node) {
  in_order_valid_ = false;
  node->priority = PriorityOf(*node);
  node->left = node->right = nullptr;
  Pull(node);
  PortNode* less;
  PortNode* others;
  Split(root_, node->model.info, &less, &others);
  root_ = Merge(Merge(less, node), others);
  ++size_;
}

void PortTree::Erase(PortNode* node) {
  in_order_valid_ = false;
  // The counts above it shrink.
  SetCounts(node, RuleCounts{});
  PortNode** link = &root_;
  while (*link != node) {
    link = Less(**link, node->model.info) ? &(*link)->right : &(*link)->left;
  }
  *link = Merge(node->left, node->right);
  node->left = node->right = nullptr;
  --size_;
}

void PortTree::SetCounts(PortNode* node, const RuleCounts& counts) {
  for (PortNode* at = root_;;) {
    for (int i = 0; i < kDispatchChains; ++i) {
      at->below[i] += counts[i] - node->own[i];
    }
    if (at == node) break;
    at = Less(*at, node->model.info) ? at->right : at->left;
  }
  node->own = counts;
}

RuleCounts PortTree::CountsBefore(const PortNode* node) const {
  RuleCounts counts = {};
  auto add = [&](const RuleCounts& more) {
    for (int i = 0; i < kDispatchChains; ++i) counts[i] += more[i];
  };
  for (const PortNode* at = root_;;) {
    if (at == node || Less(*at, node->model.info)) {
      if (at->left != nullptr) add(at->left->below);
      if (at == node) return counts;
      add(at->own);
      at = at->right;
    } else {
      at = at->left;
    }
  }
}

}  // namespace k8sdns::proxy
