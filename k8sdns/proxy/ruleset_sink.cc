#include "k8sdns/proxy/ruleset_sink.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace k8sdns::proxy {

using netfilter::TableId;

netfilter::StringId RulesetSink::NameOf(const ChainRef& chain) {
  const void* const identity = chain.hash != nullptr
                                   ? static_cast<const void*>(chain.hash)
                                   : chain.prefix.data();
  // Prefixes of one hash are literals; their addresses tell them apart.
  const auto spread = reinterpret_cast<uintptr_t>(identity) / 8 +
                      reinterpret_cast<uintptr_t>(chain.prefix.data());
  KnownName& known = known_names_[spread % known_names_.size()];
  if (known.identity != identity || known.prefix != chain.prefix.data()) {
    known = {identity, chain.prefix.data(), Intern(chain)};
  }
  return known.name;
}

netfilter::StringId RulesetSink::Intern(const ChainRef& chain) {
  if (chain.hash == nullptr) return rules_.strings().Intern(chain.prefix);
  scratch_.assign(chain.prefix.data(), chain.prefix.size());
  scratch_.append(chain.hash->characters.data(), 16);
  return rules_.strings().Intern(scratch_);
}

void RulesetSink::Chain(const ChainRef& chain) {
  rules_.AddTable(chain.table).AddChain(NameOf(chain));
}

void RulesetSink::Begin(const ChainRef& chain) {
  rule_.Clear();
  const netfilter::StringId name = NameOf(chain);
  if (table_ != nullptr && table_->id() == chain.table && name == chain_name_) {
    return;
  }
  table_ = &rules_.AddTable(chain.table);
  chain_ = table_->AddChain(name);
  chain_name_ = name;
}

void RulesetSink::End() {
  table_->Append(chain_, rule_);
  if (origins_ != nullptr) {
    origins_->push_back({table_->id(), chain_, source_, index_, port_});
  }
}

void RulesetSink::Source(const IpPrefix& prefix, bool invert) {
  if (prefix.length() == 0 && !invert) return;  // iptables drops it
  rule_.Add(netfilter::SourceMatch{netfilter::ToAddressMask(prefix, invert)});
}

void RulesetSink::Destination(const IpPrefix& prefix, bool invert) {
  if (prefix.length() == 0 && !invert) return;
  rule_.Add(
      netfilter::DestinationMatch{netfilter::ToAddressMask(prefix, invert)});
}

void RulesetSink::InInterface(absl::string_view name, bool prefix,
                              bool invert) {
  netfilter::InInterfaceMatch m;
  m.invert = invert;
  m.prefix = prefix;
  m.name = rules_.strings().Intern(name);
  rule_.Add(m);
}

void RulesetSink::Protocol(k8sdns::Protocol protocol) {
  netfilter::ProtocolMatch m;
  m.protocol = static_cast<uint8_t>(protocol);
  rule_.Add(m);
}

void RulesetSink::Comment(absl::string_view a, absl::string_view b,
                          absl::string_view c) {
  if (a.empty() && c.empty()) {
    if (b.data() != last_comment_.data() || b.size() != last_comment_.size()) {
      last_comment_ = b;
      last_comment_id_ = rules_.strings().Intern(b);
    }
    rule_.Add(netfilter::CommentMatch{last_comment_id_});
    return;
  }
  scratch_.assign(a.data(), a.size());
  scratch_.append(b.data(), b.size());
  scratch_.append(c.data(), c.size());
  rule_.Add(netfilter::CommentMatch{rules_.strings().Intern(scratch_)});
}

void RulesetSink::CommentNumbered(absl::string_view a, uint32_t number,
                                  absl::string_view b, absl::string_view name) {
  Comment(absl::StrCat(a, number), b, name);
}

void RulesetSink::PortMatch(k8sdns::Protocol protocol, uint8_t flags,
                            uint16_t port) {
  auto add = [&](auto match) {
    match.flags = flags;
    match.destination = {port, port};
    rule_.Add(match);
  };
  switch (protocol) {
    case k8sdns::Protocol::kUdp:
      return add(netfilter::UdpMatch());
    case k8sdns::Protocol::kSctp:
      return add(netfilter::SctpMatch());
    default:
      return add(netfilter::TcpMatch());
  }
}

void RulesetSink::DestinationLocal(bool invert) {
  netfilter::AddrtypeMatch m;
  m.destination = netfilter::kTypeLocal;
  m.invert_destination = invert;
  rule_.Add(m);
}

void RulesetSink::SourceLocal(bool invert) {
  netfilter::AddrtypeMatch m;
  m.source = netfilter::kTypeLocal;
  m.invert_source = invert;
  rule_.Add(m);
}

void RulesetSink::NotBridgedIn() {
  netfilter::PhysdevMatch m;
  m.given = netfilter::PhysdevMatch::kIsIn;
  m.invert = netfilter::PhysdevMatch::kIsIn;
  rule_.Add(m);
}

void RulesetSink::ConntrackState(uint32_t states, bool invert) {
  netfilter::ConntrackMatch m;
  m.given = netfilter::kCtState;
  m.invert = invert ? netfilter::kCtState : 0;
  m.state = static_cast<uint16_t>(states);
  rule_.Add(m);
}

void RulesetSink::Mark(uint32_t value, bool invert) {
  netfilter::MarkMatch m;
  m.invert = invert;
  m.value = value;
  m.mask = value;
  rule_.Add(m);
}

void RulesetSink::RecentCheck(const ChainRef& list, int32_t seconds) {
  netfilter::RecentMatch m;
  m.mode = netfilter::RecentMatch::kCheck;
  m.name = NameOf(list);
  m.seconds = static_cast<uint32_t>(seconds);
  m.reap = 1;
  rule_.Add(m);
}

void RulesetSink::RecentSet(const ChainRef& list) {
  netfilter::RecentMatch m;
  m.mode = netfilter::RecentMatch::kSet;
  m.name = NameOf(list);
  rule_.Add(m);
}

uint32_t RulesetSink::Probability(uint32_t n, int digits) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", digits, 1.0 / n);
  return static_cast<uint32_t>(
      std::lround(std::strtod(text, nullptr) * 2147483648.0));
}

void RulesetSink::OneOf(uint32_t n) {
  while (probabilities_.size() <= n) {
    const uint32_t i = static_cast<uint32_t>(probabilities_.size());
    probabilities_.push_back(i > 0 ? Probability(i, probability_digits_) : 0);
  }
  netfilter::StatisticMatch m;
  m.probability = probabilities_[n];
  rule_.Add(m);
}

void RulesetSink::Nfacct(absl::string_view name) {
  rule_.Add(netfilter::NfacctMatch{rules_.strings().Intern(name)});
}

void RulesetSink::Jump(const ChainRef& chain) {
  rule_.Add(netfilter::JumpTarget{NameOf(chain)});
}
void RulesetSink::Return() { rule_.Add(netfilter::ReturnTarget()); }
void RulesetSink::Accept() { rule_.Add(netfilter::AcceptTarget()); }
void RulesetSink::Drop() { rule_.Add(netfilter::DropTarget()); }
void RulesetSink::Reject() { rule_.Add(netfilter::RejectTarget()); }

void RulesetSink::Masquerade(bool random_fully) {
  netfilter::MasqueradeTarget t;
  t.flags = random_fully ? netfilter::kNatRandomFully : 0;
  rule_.Add(t);
}

void RulesetSink::SetMark(uint32_t value, uint32_t mask) {
  rule_.Add(netfilter::MarkTarget{{}, value, mask});
}

void RulesetSink::Dnat(const IpAddress& address, uint16_t port,
                       absl::string_view) {
  netfilter::DnatTarget t;
  t.flags = netfilter::kNatHasAddress | netfilter::kNatHasPort;
  uint32_t words[4];
  netfilter::StoreAddress(address, words);
  for (int i = 0; i < 4; ++i) t.first[i] = words[i];
  t.first_port = port;
  rule_.Add(t);
}

}  // namespace k8sdns::proxy
