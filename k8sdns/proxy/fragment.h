// The rules of one service port as text, with an index of its chains: what two
// states of a port are compared by. Internal to the iptables compiler.
#ifndef K8SDNS_PROXY_FRAGMENT_H_
#define K8SDNS_PROXY_FRAGMENT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "k8sdns/netfilter/ruleset.h"
#include "k8sdns/proxy/iptables_model.h"
#include "k8sdns/proxy/text_sink.h"

namespace k8sdns::proxy {

struct Fragment {
  struct ChainText {
    netfilter::TableId table;
    uint8_t dispatch;  // DispatchChain, or kOwnChain
    uint32_t name_begin = 0;
    uint32_t name_size = 0;
    uint32_t begin = 0;
    uint32_t end = 0;
    uint32_t rules = 0;
  };

  void Clear() {
    chains.clear();
    names.clear();
  }
  absl::string_view name(const ChainText& c) const {
    return absl::string_view(names).substr(c.name_begin, c.name_size);
  }
  absl::string_view rules(const ChainText& c) const {
    return absl::string_view(text).substr(c.begin, c.end - c.begin);
  }
  // Null if it is not there.
  const ChainText* Find(uint8_t dispatch) const {
    for (const ChainText& c : chains) {
      if (c.dispatch == dispatch) return &c;
    }
    return nullptr;
  }

  std::vector<ChainText> chains;
  std::string names;
  std::string text;
};

// A TextSink that keeps the index.
class FragmentSink : public TextSink {
 public:
  static constexpr bool kStencils = false;

  // `may_repeat`: a chain may be declared twice.
  FragmentSink(Fragment& out, TextBuffer& buffer, bool v6,
               ProbabilityTexts& probabilities, bool may_repeat)
      : TextSink(buffer, v6, probabilities),
        out_(out),
        buffer_(buffer),
        may_repeat_(may_repeat) {}

  // Own chains are declared before their rules, in the same order.
  void Chain(const ChainRef& chain) {
    if (!may_repeat_ || !Find(chain)) Add(chain);
  }
  void Begin(const ChainRef& chain) {
    // Most rules stand in the chain of the rule before.
    if (chain.hash == nullptr || chain.hash != last_hash_ ||
        chain.prefix.data() != last_prefix_) {
      if (!Find(chain)) Add(chain);
      last_hash_ = chain.hash;
      last_prefix_ = chain.prefix.data();
    }
    Fragment::ChainText& c = out_.chains[current_];
    if (c.rules++ == 0) c.begin = static_cast<uint32_t>(buffer_.size());
    TextSink::Begin(chain);
  }
  void End() {
    TextSink::End();
    out_.chains[current_].end = static_cast<uint32_t>(buffer_.size());
  }

 private:
  // Moves current_ there. O(1) for the current chain and the one after it.
  bool Find(const ChainRef& chain);
  void Add(const ChainRef& chain);

  Fragment& out_;
  TextBuffer& buffer_;
  bool may_repeat_;
  size_t current_ = 0;
  const ChainHash* last_hash_ = nullptr;
  const char* last_prefix_ = nullptr;
};

}  // namespace k8sdns::proxy

#endif  // K8SDNS_PROXY_FRAGMENT_H_
