#include "k8sdns/journey/drift_words.h"

#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "k8sdns/net/packet.h"

namespace k8sdns::journey {
namespace {

using netfilter::ChainId;
using netfilter::OpKind;
using netfilter::OpView;
using netfilter::Ruleset;
using netfilter::RuleView;
using netfilter::StringId;
using netfilter::Table;

// How far from the dispatch chains a chain stands; -1: not one of a Service.
int RankOf(absl::string_view chain) {
  if (!absl::StartsWith(chain, "KUBE-")) return -1;
  const absl::string_view rest = chain.substr(5);
  if (absl::StartsWith(rest, "SEP-")) return 3;
  if (absl::StartsWith(rest, "SVC-") || absl::StartsWith(rest, "SVL-")) {
    return 2;
  }
  if (absl::StartsWith(rest, "EXT-") || absl::StartsWith(rest, "FW-") ||
      absl::StartsWith(rest, "XLB-")) {
    return 1;
  }
  if (rest == "SERVICES" || rest == "NODEPORTS" ||
      rest == "EXTERNAL-SERVICES" || rest == "PROXY-FIREWALL") {
    return 0;
  }
  return -1;
}

std::optional<StringId> JumpId(RuleView rule) {
  const std::optional<OpView> target = rule.target();
  if (!target) return std::nullopt;
  if (target->kind() == OpKind::kJump) {
    return target->As<netfilter::JumpTarget>().chain;
  }
  if (target->kind() == OpKind::kGoto) {
    return target->As<netfilter::GotoTarget>().chain;
  }
  return std::nullopt;
}

std::string DestinationPortOf(RuleView rule) {
  auto text = [](uint8_t flags, const netfilter::PortRange& range) {
    return (flags & netfilter::kHasDestinationPort) == 0 ? std::string()
           : range.first == range.last
               ? absl::StrCat(range.first)
               : absl::StrCat(range.first, "-", range.last);
  };
  if (auto m = rule.Get<netfilter::TcpMatch>()) {
    return text(m->flags, netfilter::PortRange(m->destination));
  }
  if (auto m = rule.Get<netfilter::UdpMatch>()) {
    return text(m->flags, netfilter::PortRange(m->destination));
  }
  if (auto m = rule.Get<netfilter::SctpMatch>()) {
    return text(m->flags, netfilter::PortRange(m->destination));
  }
  return "";
}

std::string Bracketed(const IpAddress& address) {
  return address.is_v6() ? absl::StrCat("[", address.ToString(), "]")
                         : address.ToString();
}

}  // namespace

absl::string_view PortInComment(absl::string_view comment) {
  while (!comment.empty()) {
    const size_t end = std::min(comment.find(' '), comment.size());
    const absl::string_view word = comment.substr(0, end);
    const size_t slash = word.find('/');
    if (slash != absl::string_view::npos && slash > 0 &&
        slash + 1 < word.size() && word.find('/', slash + 1) == word.npos &&
        word.find(',') == word.npos) {
      return word;
    }
    comment.remove_prefix(std::min(end + 1, comment.size()));
  }
  return "";
}

absl::string_view CommentOf(const Ruleset& rules, RuleView rule) {
  for (OpView op : rule.ops()) {
    if (op.kind() == OpKind::kComment) {
      return rules.strings().Get(op.As<netfilter::CommentMatch>().text);
    }
  }
  return "";
}

absl::string_view JumpTargetOf(const Ruleset& rules, RuleView rule) {
  const std::optional<StringId> id = JumpId(rule);
  return id ? rules.strings().Get(*id) : absl::string_view();
}

std::string DnatTargetOf(const Ruleset& rules, RuleView rule) {
  const std::optional<OpView> target = rule.target();
  if (!target || target->kind() != OpKind::kDnat) return "";
  const auto dnat = target->As<netfilter::DnatTarget>();
  uint32_t words[4];
  std::copy(dnat.first, dnat.first + 4, words);
  const IpAddress address = netfilter::LoadAddress(rules.family(), words);
  if ((dnat.flags & netfilter::kNatHasPort) == 0) return address.ToString();
  return absl::StrCat(Bracketed(address), ":", uint16_t{dnat.first_port});
}

std::string AddressOf(const Ruleset& rules, RuleView rule) {
  std::string out;
  const auto destination = rule.Get<netfilter::DestinationMatch>();
  const std::string port = DestinationPortOf(rule);
  if (destination) {
    uint32_t words[4];
    std::copy(destination->address, destination->address + 4, words);
    out = Bracketed(netfilter::LoadAddress(rules.family(), words));
    if (!port.empty()) absl::StrAppend(&out, ":");
  }
  absl::StrAppend(&out, port);
  if (auto protocol = rule.Get<netfilter::ProtocolMatch>()) {
    absl::StrAppend(&out, "/",
                    absl::AsciiStrToUpper(ProtocolName(
                        static_cast<Protocol>(uint8_t{protocol->protocol}))));
  }
  return out;
}

ServicePortNames::ServicePortNames(const Ruleset& rules) : rules_(rules) {
  for (netfilter::TableId id : rules.tables()) {
    const Table& table = *rules.table(id);
    std::vector<ChainId> by_rank[4];
    for (ChainId chain : table.chains()) {
      const int rank = RankOf(table.name(chain));
      if (rank >= 0) by_rank[rank].push_back(chain);
    }
    for (const std::vector<ChainId>& chains : by_rank) {
      for (ChainId chain : chains) ReadChain(table, chain);
    }
  }
}

void ServicePortNames::ReadChain(const Table& table, ChainId chain) {
  const bool shared = RankOf(table.name(chain)) == 0;
  for (RuleView rule : table.rules(chain)) {
    absl::string_view port = PortInComment(CommentOf(rules_, rule));
    if (!port.empty()) mentioned_.insert(port);
    if (!shared) {
      absl::string_view& owner = of_chain_[table.name_id(chain)];
      if (owner.empty()) owner = port;
      if (port.empty()) port = owner;
    }
    if (port.empty()) continue;
    const std::optional<StringId> target = JumpId(rule);
    if (!target || RankOf(rules_.strings().Get(*target)) < 1) continue;
    absl::string_view& led_to = of_chain_[*target];
    if (led_to.empty()) led_to = port;
  }
}

absl::string_view ServicePortNames::PortOf(const Table& table, ChainId chain,
                                           RuleView rule) const {
  const absl::string_view port = PortInComment(CommentOf(rules_, rule));
  if (!port.empty()) return port;
  auto it = of_chain_.find(table.name_id(chain));
  return it == of_chain_.end() ? absl::string_view() : it->second;
}

absl::string_view ServicePortNames::PortOfChain(absl::string_view chain) const {
  bool found = false;
  const StringId id = rules_.strings().Find(chain, &found);
  if (!found) return "";
  auto it = of_chain_.find(id);
  return it == of_chain_.end() ? absl::string_view() : it->second;
}

std::string ServicePortNames::EndpointOfChain(absl::string_view chain) const {
  const Table* nat = rules_.table(netfilter::TableId::kNat);
  if (nat == nullptr) return "";
  const std::optional<ChainId> id = nat->FindChain(chain);
  if (!id) return "";
  for (RuleView rule : nat->rules(*id)) {
    std::string endpoint = DnatTargetOf(rules_, rule);
    if (!endpoint.empty()) return endpoint;
  }
  return "";
}

}  // namespace k8sdns::journey
