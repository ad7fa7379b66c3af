// Which chains a table's chains call, collected while its rules are read.
// Internal to the room.
#ifndef K8SDNS_NETFILTER_CALL_GRAPH_H_
#define K8SDNS_NETFILTER_CALL_GRAPH_H_

#include <cstdint>
#include <span>
#include <vector>

#include "k8sdns/net/prefetch.h"
#include "k8sdns/netfilter/ruleset.h"

namespace k8sdns::netfilter {

class CallGraph {
 public:
  // Forgets all; from now on rules are only appended until Invalidate().
  void Clear() {
    begin_.clear();
    end_.clear();
    hooks_.clear();
    callees_.clear();
    open_ = kNone;
    complete_ = true;
  }
  // The table was changed in another way.
  void Invalidate() { complete_ = false; }
  // Makes it anew where it is not complete.
  void Complete(const Table& table);

  // The next calls are those of `chain`.
  void Open(ChainId chain) {
    if (chain == open_) return;
    // Too many for now: Complete() corrects it.
    if (chain >= begin_.size()) Resize(2 * size_t{chain} + 64);
    open_ = chain;
    // Rules of a chain stand together in a dump.
    if (begin_[chain] != end_[chain]) complete_ = false;
    begin_[chain] = end_[chain] = static_cast<uint32_t>(callees_.size());
  }
  void Add(ChainId callee) {
    callees_.push_back(callee);
    ++end_[open_];
  }
  // The open chain has a rule that is allowed only at these hooks.
  void Allow(uint8_t hooks) { hooks_[open_] &= hooks; }
  void AddRule(const Table& table, ChainId chain, RuleView rule);
  void Resize(size_t chains) {
    begin_.resize(chains, 0);
    end_.resize(chains, 0);
    hooks_.resize(chains, 0xff);
  }

  size_t chains() const { return begin_.size(); }
  std::span<const ChainId> callees(ChainId chain) const {
    return std::span(callees_).subspan(begin_[chain],
                                       end_[chain] - begin_[chain]);
  }
  // Asks for the memory of callees(chain), in two steps with time between.
  void PrefetchPlace(ChainId chain) const {
    PrefetchLine(begin_.data() + chain);
    PrefetchLine(end_.data() + chain);
  }
  void PrefetchCallees(ChainId chain) const {
    PrefetchLine(callees_.data() + begin_[chain]);
  }
  // The hooks at which the rules that were read fast may be met.
  uint8_t hooks(ChainId chain) const { return hooks_[chain]; }

 private:
  static constexpr ChainId kNone = 0xffffffff;

  std::vector<uint32_t> begin_, end_;  // of callees_, by chain
  std::vector<uint8_t> hooks_;
  std::vector<ChainId> callees_;
  ChainId open_ = kNone;
  bool complete_ = true;
};

}  // namespace k8sdns::netfilter

#endif  // K8SDNS_NETFILTER_CALL_GRAPH_H_
