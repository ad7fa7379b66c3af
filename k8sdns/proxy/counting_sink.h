// Counts the rules of iptables_rules.h without making them: internal to the
// iptables compiler.
#ifndef K8SDNS_PROXY_COUNTING_SINK_H_
#define K8SDNS_PROXY_COUNTING_SINK_H_

#include <array>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "k8sdns/proxy/iptables_model.h"

namespace k8sdns::proxy {

// Counts the rules in each dispatch chain.
class CountingSink {
 public:
  static constexpr bool kStencils = false;

  explicit CountingSink(std::array<uint32_t, kDispatchChains>& counts)
      : counts_(counts) {}

  void Begin(const ChainRef& chain) {
    if (chain.hash != nullptr) return;
    for (int i = 0; i < kDispatchChains; ++i) {
      if (chain == kDispatchRefs[i]) ++counts_[i];
    }
  }
  void Because(RuleSource, uint64_t) {}
  void Chain(const ChainRef&) {}
  void End() {}
  void Source(const IpPrefix&, bool) {}
  void SourceHost(const IpAddress&, absl::string_view) {}
  void Destination(const IpPrefix&, bool) {}
  void DestinationHost(const IpAddress&) {}
  void InInterface(absl::string_view, bool, bool) {}
  void Protocol(k8sdns::Protocol) {}
  void Comment(absl::string_view, absl::string_view, absl::string_view) {}
  void CommentTo(absl::string_view, absl::string_view) {}
  void CommentNaming(absl::string_view, absl::string_view, const ChainRef&) {}
  void CommentNumbered(absl::string_view, uint32_t, absl::string_view,
                       absl::string_view) {}
  void ProtocolMatch(k8sdns::Protocol) {}
  void DestinationPort(k8sdns::Protocol, uint16_t) {}
  void DestinationLocal(bool) {}
  void SourceLocal(bool) {}
  void NotBridgedIn() {}
  void ConntrackState(uint32_t, bool) {}
  void Mark(uint32_t, bool) {}
  void RecentCheck(const ChainRef&, int32_t) {}
  void RecentSet(const ChainRef&) {}
  void OneOf(uint32_t) {}
  void Nfacct(absl::string_view) {}
  void Jump(const ChainRef&) {}
  void Return() {}
  void Accept() {}
  void Drop() {}
  void Reject() {}
  void Masquerade(bool) {}
  void SetMark(uint32_t, uint32_t) {}
  void Dnat(const IpAddress&, uint16_t, absl::string_view) {}

 private:
  std::array<uint32_t, kDispatchChains>& counts_;
};

}  // namespace k8sdns::proxy

#endif  // K8SDNS_PROXY_COUNTING_SINK_H_
