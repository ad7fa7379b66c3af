// What a change of the cluster changes in the iptables rules of one family.
//
//   std::string input;
//   delta.AppendRestoreInput(input);  // for iptables-restore --noflush
//   for (const IptablesDelta::Change& change : delta.changes()) {
//     std::cout << change.chain() << ":\n" << delta.rules(change);
//   }
#ifndef K8SDNS_PROXY_IPTABLES_DELTA_H_
#define K8SDNS_PROXY_IPTABLES_DELTA_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "k8sdns/netfilter/ruleset.h"

namespace k8sdns::proxy {

// Changes in the order in which they are to be made. The text of rules is that
// of iptables-save, "-A CHAIN ...\n" each; views are valid until the delta is
// changed. Not thread-safe while it is being filled.
class IptablesDelta {
 public:
  enum class Kind : uint8_t {
    kChainAdded,     // with rules()
    kChainReplaced,  // its rules are now rules()
    kChainDeleted,   // nothing refers to it any more
    kRulesInserted,  // rules(), the first of them at position()
    kRulesDeleted,   // count() rules from position() on
  };

  class Change {
   public:
    Kind kind() const { return kind_; }
    netfilter::TableId table() const { return table_; }
    absl::string_view chain() const { return {chain_.data(), chain_size_}; }
    // Counted from 1 as iptables does, in the chain as the changes before have
    // left it. For kRulesInserted and kRulesDeleted.
    uint32_t position() const { return position_; }
    uint32_t count() const { return count_; }  // of rules

   private:
    friend class IptablesDelta;
    Kind kind_;
    netfilter::TableId table_;
    uint8_t chain_size_;
    std::array<char, 29> chain_;
    uint32_t position_ = 0;
    uint32_t count_ = 0;
    uint32_t begin_ = 0;
    uint32_t end_ = 0;
  };

  bool empty() const { return changes_.empty(); }
  const std::vector<Change>& changes() const { return changes_; }
  absl::string_view rules(const Change& change) const {
    return absl::string_view(text_).substr(change.begin_,
                                           change.end_ - change.begin_);
  }

  // Appends the input of `iptables-restore --noflush` that makes the changes;
  // nothing if there are none.
  void AppendRestoreInput(std::string& out) const;

  // ---- filling ----

  void Clear() {
    changes_.clear();
    text_.clear();
  }
  // `chain` has at most 28 characters (the limit of iptables).
  void Add(Kind kind, netfilter::TableId table, absl::string_view chain,
           absl::string_view rules, uint32_t position, uint32_t count);

 private:
  std::vector<Change> changes_;
  std::string text_;
};

}  // namespace k8sdns::proxy

#endif  // K8SDNS_PROXY_IPTABLES_DELTA_H_
