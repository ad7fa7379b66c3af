// Makes a Ruleset of the rules of iptables_rules.h: internal to the iptables
// compiler.
#ifndef K8SDNS_PROXY_RULESET_SINK_H_
#define K8SDNS_PROXY_RULESET_SINK_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "k8sdns/netfilter/ruleset.h"
#include "k8sdns/proxy/iptables_model.h"

namespace k8sdns::proxy {

// Where a rule comes from; see IptablesCompiler::Explain.
struct RuleOrigin {
  netfilter::TableId table;
  netfilter::ChainId chain;
  RuleSource source;
  uint32_t index;
  const PortModel* port;  // null for a fixed rule
};

class RulesetSink {
 public:
  static constexpr bool kStencils = false;

  // `origins` may be null; gets one entry a rule, in the order of emission.
  RulesetSink(netfilter::Ruleset& rules, std::vector<RuleOrigin>* origins)
      : rules_(rules), origins_(origins) {}

  void set_port(const PortModel* port) { port_ = port; }

  void Because(RuleSource source, uint64_t index) {
    source_ = source;
    index_ = static_cast<uint32_t>(index);
  }
  void Chain(const ChainRef& chain);
  void Begin(const ChainRef& chain);
  void End();

  void Source(const IpPrefix& prefix, bool invert);
  void SourceHost(const IpAddress& address, absl::string_view) {
    Source(IpPrefix::Host(address), false);
  }
  void Destination(const IpPrefix& prefix, bool invert);
  void DestinationHost(const IpAddress& address) {
    Destination(IpPrefix::Host(address), false);
  }
  void InInterface(absl::string_view name, bool prefix, bool invert);
  void Protocol(k8sdns::Protocol protocol);
  void Comment(absl::string_view a, absl::string_view b, absl::string_view c);
  void CommentTo(absl::string_view name, absl::string_view endpoint) {
    Comment(name, " -> ", endpoint);
  }
  void CommentNaming(absl::string_view name, absl::string_view what,
                     const ChainRef& chain) {
    Comment(name, what, chain.ToString());
  }
  void CommentNumbered(absl::string_view a, uint32_t number,
                       absl::string_view b, absl::string_view name);
  void ProtocolMatch(k8sdns::Protocol protocol) { PortMatch(protocol, 0, 0); }
  void DestinationPort(k8sdns::Protocol protocol, uint16_t port) {
    PortMatch(protocol, netfilter::kHasDestinationPort, port);
  }
  void DestinationLocal(bool invert);
  void SourceLocal(bool invert);
  void NotBridgedIn();
  void ConntrackState(uint32_t states, bool invert);
  void Mark(uint32_t value, bool invert);
  void RecentCheck(const ChainRef& list, int32_t seconds);
  void RecentSet(const ChainRef& list);
  void OneOf(uint32_t n);
  void Nfacct(absl::string_view name);

  void Jump(const ChainRef& chain);
  void Return();
  void Accept();
  void Drop();
  void Reject();
  void Masquerade(bool random_fully);
  void SetMark(uint32_t value, uint32_t mask);
  void Dnat(const IpAddress& address, uint16_t port, absl::string_view);

  // The probability of 1/n as the kernel keeps it, of 2^31: kube-proxy prints
  // it with `digits` digits, iptables reads that.
  static uint32_t Probability(uint32_t n, int digits);
  void set_probability_digits(int digits) { probability_digits_ = digits; }

 private:
  void PortMatch(k8sdns::Protocol protocol, uint8_t flags, uint16_t port);
  netfilter::StringId NameOf(const ChainRef& chain);
  netfilter::StringId Intern(const ChainRef& chain);

  netfilter::Ruleset& rules_;
  std::vector<RuleOrigin>* origins_;
  const PortModel* port_ = nullptr;
  RuleSource source_ = RuleSource::kFixed;
  uint32_t index_ = 0;
  int probability_digits_ = 10;
  std::vector<uint32_t> probabilities_;  // by n
  // The names of chains seen last: rules of one port name the same few chains
  // again and again. Hashes must not move while the sink is there.
  struct KnownName {
    const void* identity = nullptr;
    const char* prefix = nullptr;
    netfilter::StringId name = 0;
  };
  std::array<KnownName, 256> known_names_;
  // The comment that was only a name, likewise.
  absl::string_view last_comment_;
  netfilter::StringId last_comment_id_ = 0;
  netfilter::StringId chain_name_ = 0;  // of chain_, in table_
  netfilter::Table* table_ = nullptr;
  netfilter::ChainId chain_ = 0;
  netfilter::RuleBuilder rule_;
  std::string scratch_;
};

}  // namespace k8sdns::proxy

#endif  // K8SDNS_PROXY_RULESET_SINK_H_
