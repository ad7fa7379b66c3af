#include "k8sdns/proxy/iptables_delta.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace k8sdns::proxy {

void IptablesDelta::Add(Kind kind, netfilter::TableId table,
                        absl::string_view chain, absl::string_view rules,
                        uint32_t position, uint32_t count) {
  Change& change = changes_.emplace_back();
  change.kind_ = kind;
  change.table_ = table;
  change.chain_size_ =
      static_cast<uint8_t>(std::min(chain.size(), change.chain_.size()));
  std::memcpy(change.chain_.data(), chain.data(), change.chain_size_);
  change.position_ = position;
  change.count_ = count;
  change.begin_ = static_cast<uint32_t>(text_.size());
  text_.append(rules.data(), rules.size());
  change.end_ = static_cast<uint32_t>(text_.size());
}

void IptablesDelta::AppendRestoreInput(std::string& out) const {
  for (netfilter::TableId table :
       {netfilter::TableId::kFilter, netfilter::TableId::kNat}) {
    auto each = [&](auto&& visit) {
      for (const Change& change : changes_) {
        if (change.table() == table) visit(change);
      }
    };
    bool any = false;
    // A chain line makes a chain, or empties the one that is there.
    each([&](const Change& change) {
      if (!any) absl::StrAppend(&out, "*", netfilter::TableName(table), "\n");
      any = true;
      if (change.kind() == Kind::kChainAdded ||
          change.kind() == Kind::kChainReplaced ||
          change.kind() == Kind::kChainDeleted) {
        absl::StrAppend(&out, ":", change.chain(), " - [0:0]\n");
      }
    });
    if (!any) continue;
    each([&](const Change& change) {
      if (change.kind() == Kind::kRulesDeleted) {
        for (uint32_t i = 0; i < change.count(); ++i) {
          absl::StrAppend(&out, "-D ", change.chain(), " ", change.position(),
                          "\n");
        }
      } else if (change.kind() == Kind::kRulesInserted) {
        uint32_t position = change.position();
        const size_t head = 3 + change.chain().size();  // "-A CHAIN"
        for (absl::string_view line :
             absl::StrSplit(rules(change), '\n', absl::SkipEmpty())) {
          absl::StrAppend(&out, "-I ", change.chain(), " ", position++,
                          line.substr(head), "\n");
        }
      } else {
        absl::StrAppend(&out, rules(change));
      }
    });
    each([&](const Change& change) {
      if (change.kind() == Kind::kChainDeleted) {
        absl::StrAppend(&out, "-X ", change.chain(), "\n");
      }
    });
    out += "COMMIT\n";
  }
}

}  // namespace k8sdns::proxy
