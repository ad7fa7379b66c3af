// Puts differences of rules into words.
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "k8sdns/journey/drift_rules.h"
#include "k8sdns/journey/drift_words.h"
#include "k8sdns/netfilter/iptables_save.h"

namespace k8sdns::journey {
namespace {

using netfilter::ChainId;
using netfilter::Ruleset;
using netfilter::RuleView;
using netfilter::Table;
using netfilter::TableId;
using Kind = DriftItem::Kind;

// More endpoints than this are told in one sentence.
constexpr size_t kManyEndpoints = 10;

bool IsMissing(Kind kind) {
  return kind == Kind::kMissing || kind == Kind::kMissingChain;
}

// All that differs about one service port, sorted by what it means.
struct PortFacts {
  struct Side {
    std::set<std::string> endpoints;  // whose chain is missing or stale
    // Endpoint and chain: the jump alone.
    std::set<std::pair<std::string, std::string>> jumps;
    std::vector<std::string> addresses;  // "cluster IP 10.96.0.1:80/TCP"
    bool refusal = false;                // "has no endpoints"
    bool local_refusal = false;          // "has no local endpoints"
    bool affinity = false;
    size_t others = 0;
  };
  Side missing;
  Side stale;
  bool shares = false;
  size_t moved = 0;
};

class Explainer {
 public:
  Explainer(const Ruleset& expected, const Ruleset& actual,
            const RuleDifferences& found,
            const std::vector<RuleOriginText>* objects, Drift& drift)
      : expected_(expected),
        actual_(actual),
        found_(found),
        objects_(objects),
        drift_(drift),
        expected_names_(expected),
        actual_names_(actual) {}

  void Run() {
    FindFirstRules();
    for (const RuleDifference& d : found_.differences) {
      if (d.kind == Kind::kMissingChain || d.kind == Kind::kStaleChain) {
        changed_chains_.insert(std::string(TableOf(d).name(d.chain)));
      }
    }
    for (const RuleDifference& d : found_.differences) Read(d);
    for (const auto& [port, facts] : ports_) Tell(port, facts);
    TellFixed();
  }

 private:
  bool OfExpected(const RuleDifference& d) const {
    return d.kind != Kind::kStale && d.kind != Kind::kStaleChain;
  }
  const Ruleset& RulesOf(const RuleDifference& d) const {
    return OfExpected(d) ? expected_ : actual_;
  }
  const Table& TableOf(const RuleDifference& d) const {
    return *RulesOf(d).table(d.table);
  }
  absl::string_view Where() const {
    return expected_.family() == IpFamily::kIpv4 ? "iptables" : "ip6tables";
  }

  // Rules of a chain by place, found once for runs of differences in it.
  RuleView RuleAt(const Table& table, ChainId chain, uint32_t place) {
    if (&table != cached_table_ || chain != cached_chain_) {
      cached_table_ = &table;
      cached_chain_ = chain;
      cached_rules_.clear();
      for (RuleView rule : table.rules(chain)) cached_rules_.push_back(rule);
    }
    return cached_rules_[place];
  }

  // The place of each expected chain's first rule among all of them.
  void FindFirstRules() {
    if (objects_ == nullptr) return;
    size_t next = 0;
    for (TableId id : expected_.tables()) {
      const Table& table = *expected_.table(id);
      for (ChainId chain : table.chains()) {
        first_rule_[{id, chain}] = next;
        next += table.rule_count(chain);
      }
    }
  }

  std::string EndpointOf(const RuleDifference& d,
                         absl::string_view chain) const {
    const ServicePortNames& own =
        OfExpected(d) ? expected_names_ : actual_names_;
    std::string endpoint = own.EndpointOfChain(chain);
    if (!endpoint.empty()) return endpoint;
    return (OfExpected(d) ? actual_names_ : expected_names_)
        .EndpointOfChain(chain);
  }

  void Read(const RuleDifference& d) {
    DriftItem item;
    item.kind = d.kind;
    item.where = std::string(Where());
    item.table = std::string(netfilter::TableName(d.table));
    if (d.kind == Kind::kMissingTable) {
      DriftGroup& group = GroupOf("", drift_);
      group.explanations.push_back(absl::StrCat(
          "the ", Where(), " dump has no table ", item.table,
          ": none of kube-proxy's rules there is loaded (or the dump was made "
          "with -t)"));
      group.items.push_back(std::move(item));
      return;
    }
    const Ruleset& rules = RulesOf(d);
    const Table& table = TableOf(d);
    item.chain = std::string(table.name(d.chain));
    std::string port;
    if (d.kind == Kind::kMissingChain || d.kind == Kind::kStaleChain) {
      port = std::string(PortOfChain(d, item.chain));
      if (!port.empty()) NoteChain(d, item.chain, port);
    } else {
      const RuleView rule = RuleAt(table, d.chain, d.rule);
      netfilter::AppendRule(rules, rule, {}, &item.text);
      port = std::string(PortOfRule(d, table, rule));
      if (objects_ != nullptr && OfExpected(d)) {
        const RuleOriginText& origin =
            (*objects_)[first_rule_[{d.table, d.chain}] + d.rule];
        item.object = origin.object;
        item.field = origin.field;
      }
      if (!port.empty()) {
        NoteRule(d, item.chain, rules, rule, ports_[port]);
      } else {
        NoteFixed(d, item, rules, rule);
      }
      if (d.kind == Kind::kShare) AddActual(d, item);
    }
    const size_t colon = port.find(':');
    std::string service = port.substr(0, colon);
    if (service.empty() && LooksLikeService(item.chain)) service += '?';
    GroupOf(service, drift_).items.push_back(std::move(item));
  }

  static bool LooksLikeService(absl::string_view chain) {
    return absl::StartsWith(chain, "KUBE-SVC-") ||
           absl::StartsWith(chain, "KUBE-SVL-") ||
           absl::StartsWith(chain, "KUBE-SEP-") ||
           absl::StartsWith(chain, "KUBE-EXT-") ||
           absl::StartsWith(chain, "KUBE-FW-") ||
           absl::StartsWith(chain, "KUBE-XLB-");
  }

  absl::string_view PortOfChain(const RuleDifference& d,
                                absl::string_view chain) const {
    const absl::string_view own = OfExpected(d)
                                      ? expected_names_.PortOfChain(chain)
                                      : actual_names_.PortOfChain(chain);
    if (!own.empty()) return own;
    return OfExpected(d) ? actual_names_.PortOfChain(chain)
                         : expected_names_.PortOfChain(chain);
  }
  absl::string_view PortOfRule(const RuleDifference& d, const Table& table,
                               RuleView rule) const {
    const absl::string_view own =
        (OfExpected(d) ? expected_names_ : actual_names_)
            .PortOf(table, d.chain, rule);
    return own.empty() ? PortOfChain(d, table.name(d.chain)) : own;
  }

  void AddActual(const RuleDifference& d, DriftItem& item) {
    const Table& table = *actual_.table(d.table);
    const auto chain = table.FindChain(item.chain);
    if (!chain) return;
    uint32_t place = 0;
    for (RuleView rule : table.rules(*chain)) {
      if (place++ != d.actual) continue;
      netfilter::AppendRule(actual_, rule, {}, &item.actual);
      break;
    }
  }

  void NoteChain(const RuleDifference& d, const std::string& chain,
                 const std::string& port) {
    PortFacts& facts = ports_[port];
    PortFacts::Side& side = IsMissing(d.kind) ? facts.missing : facts.stale;
    if (absl::StartsWith(chain, "KUBE-SEP-")) {
      const std::string endpoint = EndpointOf(d, chain);
      side.endpoints.insert(endpoint.empty() ? absl::StrCat("(", chain, ")")
                                             : endpoint);
    }
  }

  void NoteRule(const RuleDifference& d, const std::string& chain,
                const Ruleset& rules, RuleView rule, PortFacts& facts) {
    if (d.kind == Kind::kShare) {
      facts.shares = true;
      return;
    }
    if (d.kind == Kind::kMoved) {
      ++facts.moved;
      return;
    }
    PortFacts::Side& side = IsMissing(d.kind) ? facts.missing : facts.stale;
    const absl::string_view target = JumpTargetOf(rules, rule);
    const absl::string_view comment = CommentOf(rules, rule);
    // The rules of a chain that is new or gone as a whole, and the jumps to
    // it, say nothing more.
    if (changed_chains_.contains(chain)) return;
    if (rule.Get<netfilter::RecentMatch>()) {
      side.affinity = true;
    } else if (absl::StartsWith(target, "KUBE-SEP-")) {
      if (changed_chains_.contains(std::string(target))) return;
      side.jumps.insert({EndpointOf(d, target), chain});
    } else if (absl::EndsWith(comment, " has no endpoints")) {
      side.refusal = true;
    } else if (absl::EndsWith(comment, " has no local endpoints")) {
      side.local_refusal = true;
    } else if (target != "KUBE-MARK-MASQ" &&
               NoteAddress(chain, rules, rule, comment, side)) {
      return;
    } else {
      ++side.others;
    }
  }

  static bool NoteAddress(const std::string& chain, const Ruleset& rules,
                          RuleView rule, absl::string_view comment,
                          PortFacts::Side& side) {
    const char* what =
        absl::EndsWith(comment, " cluster IP")    ? "cluster IP "
        : absl::EndsWith(comment, " external IP") ? "external IP "
        : absl::EndsWith(comment, " health check node port")
            ? "health check node port "
        : chain == "KUBE-NODEPORTS" ? "node port "
        : absl::EndsWith(comment, " loadbalancer IP")
            ? (chain == "KUBE-SERVICES" ? "load balancer IP " : nullptr)
            : nullptr;
    if (what == nullptr) return false;
    side.addresses.push_back(absl::StrCat(what, AddressOf(rules, rule)));
    return true;
  }

  void NoteFixed(const RuleDifference& d, const DriftItem& item,
                 const Ruleset& rules, RuleView rule) {
    const absl::string_view target = JumpTargetOf(rules, rule);
    const bool built_in = TableOf(d).policy(d.chain) != Table::Policy::kNone;
    std::string text;
    if (d.kind == Kind::kMoved) {
      text = absl::StrCat("rules of ", item.table, " ", item.chain,
                          " are in another order");
    } else if (LooksLikeService(item.chain)) {
      unknown_chains_.insert(item.chain);
      return;
    } else if (built_in && !target.empty()) {
      text = absl::StrCat(item.table, " ", item.chain,
                          d.kind == Kind::kMissing ? " does not jump to "
                                                   : " has a jump too many to ",
                          target);
    } else {
      text = absl::StrCat(item.table, " ", item.chain,
                          d.kind == Kind::kMissing
                              ? " lacks a rule that kube-proxy writes"
                              : " has a rule that kube-proxy does not "
                                "write");
    }
    fixed_.insert(std::move(text));
  }

  void TellFixed() {
    if (!fixed_.empty()) {
      DriftGroup& group = GroupOf("", drift_);
      for (const std::string& text : fixed_) {
        group.explanations.push_back(
            absl::StrCat(Where() == "iptables" ? "" : "IPv6: ", text));
      }
    }
    if (!unknown_chains_.empty()) {
      DriftGroup& group = GroupOf("?", drift_);
      for (const std::string& chain : unknown_chains_) {
        const std::string endpoint = actual_names_.EndpointOfChain(chain);
        group.explanations.push_back(absl::StrCat(
            "kube-proxy has not removed ", chain,
            endpoint.empty() ? "" : absl::StrCat(" (endpoint ", endpoint, ")"),
            " of a Service that is no more"));
      }
    }
  }

  static void TellEndpoints(const std::set<std::string>& endpoints,
                            absl::string_view verb, const std::string& port,
                            std::vector<std::string>& out) {
    if (endpoints.size() > kManyEndpoints) {
      out.push_back(absl::StrCat("kube-proxy has not ", verb, " ",
                                 endpoints.size(), " endpoints of ", port, ": ",
                                 absl::StrJoin(endpoints, ", ")));
      return;
    }
    for (const std::string& endpoint : endpoints) {
      out.push_back(absl::StrCat("kube-proxy has not ", verb, " endpoint ",
                                 endpoint, " of ", port));
    }
  }

  void Tell(const std::string& port, const PortFacts& facts) {
    const std::string service = port.substr(0, port.find(':'));
    std::vector<std::string> out;
    const auto& missing = facts.missing;
    const auto& stale = facts.stale;
    const bool added = !actual_names_.Mentions(port);
    const bool removed = !expected_names_.Mentions(port);
    if (added || removed) {
      const PortFacts::Side& side = added ? missing : stale;
      std::string text = absl::StrCat("kube-proxy has not ",
                                      added ? "added " : "removed ", port);
      std::vector<std::string> parts = side.addresses;
      if (!side.endpoints.empty()) {
        parts.push_back(absl::StrCat(side.endpoints.size(), " endpoint",
                                     side.endpoints.size() == 1 ? "" : "s"));
      }
      if (side.refusal) parts.push_back("without endpoints");
      if (!parts.empty()) {
        absl::StrAppend(&text, " (", absl::StrJoin(parts, ", "), ")");
      }
      out.push_back(std::move(text));
    } else {
      TellChanges(port, facts, out);
    }
    DriftGroup& group = GroupOf(service, drift_);
    for (std::string& text : out) {
      group.explanations.push_back(
          absl::StrCat(Where() == "iptables" ? "" : "IPv6: ", text));
    }
  }

  static void TellChanges(const std::string& port, const PortFacts& facts,
                          std::vector<std::string>& out) {
    const auto& missing = facts.missing;
    const auto& stale = facts.stale;
    if (stale.refusal && !missing.refusal) {
      out.push_back(absl::StrCat("kube-proxy still refuses ", port,
                                 " as a Service without endpoints"));
    }
    if (missing.refusal && !stale.refusal) {
      out.push_back(absl::StrCat("kube-proxy has not noticed that ", port,
                                 " has no endpoints"));
    }
    if (stale.local_refusal && !missing.local_refusal) {
      out.push_back(absl::StrCat("kube-proxy still drops ", port,
                                 " as without endpoints on this node"));
    }
    if (missing.local_refusal && !stale.local_refusal) {
      out.push_back(absl::StrCat("kube-proxy has not noticed that ", port,
                                 " has no endpoints on this node"));
    }
    TellEndpoints(stale.endpoints, "removed", port, out);
    TellEndpoints(missing.endpoints, "added", port, out);
    for (const std::string& a : stale.addresses) {
      out.push_back(
          absl::StrCat("kube-proxy has not removed ", a, " of ", port));
    }
    for (const std::string& a : missing.addresses) {
      out.push_back(absl::StrCat("kube-proxy has not added ", a, " of ", port));
    }
    for (const auto& [endpoint, chain] : stale.jumps) {
      out.push_back(absl::StrCat("kube-proxy still sends traffic of ", port,
                                 " to endpoint ", endpoint, " (", chain, ")"));
    }
    for (const auto& [endpoint, chain] : missing.jumps) {
      out.push_back(absl::StrCat("kube-proxy sends no traffic of ", port,
                                 " to endpoint ", endpoint, " (", chain, ")"));
    }
    if (missing.affinity != stale.affinity && missing.endpoints.empty() &&
        stale.endpoints.empty()) {
      out.push_back(absl::StrCat("kube-proxy has not turned session affinity ",
                                 missing.affinity ? "on" : "off", " for ",
                                 port));
    } else if (missing.affinity && stale.affinity) {
      out.push_back(absl::StrCat("session affinity of ", port,
                                 " is not as it should be"));
    }
    if (facts.moved > 0) {
      out.push_back(absl::StrCat("rules of ", port, " are in another order"));
    }
    if (facts.shares && out.empty()) {
      out.push_back(
          absl::StrCat("the endpoints of ", port, " have other shares"));
    }
    if (missing.others > 0) {
      out.push_back(absl::StrCat(
          missing.others, " rule", missing.others == 1 ? "" : "s", " of ", port,
          missing.others == 1 ? " is" : " are", " missing"));
    }
    if (stale.others > 0) {
      out.push_back(absl::StrCat(stale.others, " rule",
                                 stale.others == 1 ? "" : "s", " of ", port,
                                 stale.others == 1 ? " is" : " are",
                                 " there that kube-proxy would not write"));
    }
    if (out.empty()) {
      out.push_back(absl::StrCat("rules of ", port, " differ"));
    }
  }

  const Ruleset& expected_;
  const Ruleset& actual_;
  const RuleDifferences& found_;
  const std::vector<RuleOriginText>* objects_;
  Drift& drift_;
  const ServicePortNames expected_names_;
  const ServicePortNames actual_names_;
  std::map<std::pair<TableId, ChainId>, size_t> first_rule_;
  const Table* cached_table_ = nullptr;
  ChainId cached_chain_ = 0;
  std::vector<RuleView> cached_rules_;
  std::set<std::string> changed_chains_;
  std::map<std::string, PortFacts> ports_;
  std::set<std::string> fixed_;
  std::set<std::string> unknown_chains_;
};

}  // namespace

DriftGroup& GroupOf(absl::string_view service, Drift& drift) {
  auto at = std::lower_bound(drift.groups.begin(), drift.groups.end(), service,
                             [](const DriftGroup& g, absl::string_view name) {
                               return absl::string_view(g.service) < name;
                             });
  if (at == drift.groups.end() || at->service != service) {
    at = drift.groups.insert(at, DriftGroup{std::string(service), {}, {}});
  }
  return *at;
}

void ExplainDifferences(const Ruleset& expected, const Ruleset& actual,
                        const RuleDifferences& found,
                        const std::vector<RuleOriginText>* objects,
                        Drift& drift) {
  drift.rules_compared += found.rules_compared;
  drift.comments_differ += found.comments_differ;
  drift.foreign.insert(drift.foreign.end(), found.foreign.begin(),
                       found.foreign.end());
  if (found.differences.empty()) return;
  Explainer(expected, actual, found, objects, drift).Run();
}

}  // namespace k8sdns::journey
