#include "k8sdns/journey/drift_rules.h"

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "k8sdns/netfilter/rule_translation.h"

namespace k8sdns::journey {
namespace {

using netfilter::ChainId;
using netfilter::OpKind;
using netfilter::OpView;
using netfilter::RuleBuilder;
using netfilter::Ruleset;
using netfilter::RuleTranslation;
using netfilter::RuleView;
using netfilter::Table;
using netfilter::TableId;

// Chains to which every Service adds its rules: kube-proxy walks its map of
// Services in random order.
bool IsSharedChain(absl::string_view chain) {
  return chain == "KUBE-SERVICES" || chain == "KUBE-EXTERNAL-SERVICES" ||
         chain == "KUBE-NODEPORTS" || chain == "KUBE-PROXY-FIREWALL";
}

bool IsBuiltIn(const Table& table, ChainId chain) {
  return table.policy(chain) != Table::Policy::kNone;
}

// The bytes of a rule, as a key.
std::string KeyOf(const RuleBuilder& rule) {
  const std::span<const uint16_t> halves = rule.view().halves();
  return std::string(reinterpret_cast<const char*>(halves.data()),
                     halves.size() * 2);
}

// What two rules of a shared chain must have in common for their order to
// count: the destination, the protocol and the port. "" if a rule has none of
// them: then its order counts toward all.
std::string DispatchKey(RuleView rule) {
  std::string key;
  auto add = [&](OpView op, size_t bytes) {
    key.append(reinterpret_cast<const char*>(op.data()), bytes);
  };
  for (OpView op : rule.ops()) {
    switch (op.kind()) {
      case OpKind::kDestination:
      case OpKind::kProtocol:
      case OpKind::kTcp:
      case OpKind::kUdp:
      case OpKind::kSctp:
        add(op, op.size_bytes());
        break;
      default:
        break;
    }
  }
  return key;
}

// The target chain of -j, or "".
absl::string_view JumpOf(const Ruleset& rules, RuleView rule) {
  const std::optional<OpView> target = rule.target();
  if (!target) return "";
  if (target->kind() == OpKind::kJump) {
    return rules.strings().Get(target->As<netfilter::JumpTarget>().chain);
  }
  if (target->kind() == OpKind::kGoto) {
    return rules.strings().Get(target->As<netfilter::GotoTarget>().chain);
  }
  return "";
}

// Which of the numbers are not part of a longest ascending run.
std::vector<bool> OutOfOrder(const std::vector<uint32_t>& numbers) {
  std::vector<uint32_t> tails;  // places in `numbers`
  std::vector<int64_t> before(numbers.size(), -1);
  for (uint32_t i = 0; i < numbers.size(); ++i) {
    auto at = std::lower_bound(
        tails.begin(), tails.end(), numbers[i],
        [&](uint32_t tail, uint32_t n) { return numbers[tail] < n; });
    if (at != tails.begin()) before[i] = *std::prev(at);
    if (at == tails.end()) {
      tails.push_back(i);
    } else {
      *at = i;
    }
  }
  std::vector<bool> out(numbers.size(), true);
  for (int64_t i = tails.empty() ? -1 : int64_t{tails.back()}; i >= 0;
       i = before[i]) {
    out[i] = false;
  }
  return out;
}

class Comparison {
 public:
  Comparison(const Ruleset& expected, const Ruleset& actual)
      : expected_(expected),
        actual_(actual),
        same_(expected.strings(), expected.strings()),
        to_expected_(actual.strings(), expected.strings()) {}

  RuleDifferences Run() {
    for (TableId id : expected_.tables()) CompareTable(id);
    for (TableId id : actual_.tables()) {
      if (expected_.table(id) != nullptr) continue;
      const Table& table = *actual_.table(id);
      for (ChainId chain : table.chains()) OnlyActual(table, chain);
    }
    return std::move(out_);
  }

 private:
  void CompareTable(TableId id) {
    const Table& e = *expected_.table(id);
    const Table* a = actual_.table(id);
    out_.rules_compared += e.rule_count();
    if (a == nullptr) {
      out_.differences.push_back({DriftItem::Kind::kMissingTable, id});
      return;
    }
    for (ChainId chain : e.chains()) {
      const std::optional<ChainId> there = a->FindChain(e.name(chain));
      if (there) {
        CompareChain(e, chain, *a, *there);
      } else if (!IsBuiltIn(e, chain)) {
        // The kubelet's chains need not be there if kube-proxy adds nothing.
        if (e.rule_count(chain) == 0 && !ChainOwner(e.name(chain)).empty()) {
          continue;
        }
        Note(DriftItem::Kind::kMissingChain, id, chain, 0);
        NoteAll(DriftItem::Kind::kMissing, e, chain);
      } else {
        NoteAll(DriftItem::Kind::kMissing, e, chain);
      }
    }
    for (ChainId chain : a->chains()) {
      if (!e.FindChain(a->name(chain))) OnlyActual(*a, chain);
    }
  }

  void Note(DriftItem::Kind kind, TableId table, ChainId chain, uint32_t rule,
            uint32_t actual = 0) {
    out_.differences.push_back({kind, table, chain, rule, actual});
  }
  void NoteAll(DriftItem::Kind kind, const Table& table, ChainId chain) {
    for (uint32_t i = 0; i < table.rule_count(chain); ++i) {
      Note(kind, table.id(), chain, i);
    }
  }
  absl::string_view Where() const {
    return expected_.family() == IpFamily::kIpv4 ? "iptables" : "ip6tables";
  }
  void NoteForeign(absl::string_view owner, const Table& table, ChainId chain,
                   size_t rules, size_t ahead = 0) {
    if (rules == 0 && IsBuiltIn(table, chain)) return;
    out_.foreign.push_back({std::string(owner), std::string(Where()),
                            std::string(netfilter::TableName(table.id())),
                            std::string(table.name(chain)), rules, ahead});
  }

  // A chain that is not expected.
  void OnlyActual(const Table& table, ChainId chain) {
    const absl::string_view name = table.name(chain);
    if (IsBuiltIn(table, chain)) {
      std::vector<uint32_t> all(table.rule_count(chain));
      for (uint32_t i = 0; i < all.size(); ++i) all[i] = i;
      Unexpected(table, chain, all, 0);
    } else if (IsKubeProxyChain(name)) {
      Note(DriftItem::Kind::kStaleChain, table.id(), chain, 0);
      NoteAll(DriftItem::Kind::kStale, table, chain);
    } else if (name != "KUBE-PROXY-CANARY") {
      NoteForeign(ChainOwner(name), table, chain, table.rule_count(chain));
    }
  }

  // Rules of a chain that is expected to have others.
  void Unexpected(const Table& table, ChainId chain,
                  const std::vector<uint32_t>& rules, size_t ahead) {
    if (rules.empty()) return;
    const absl::string_view name = table.name(chain);
    const bool built_in = IsBuiltIn(table, chain);
    if (!built_in && !ChainOwner(name).empty()) {
      return NoteForeign(ChainOwner(name), table, chain, rules.size());
    }
    std::map<absl::string_view, size_t> foreign;  // by owner
    uint32_t place = 0;
    auto next = rules.begin();
    for (RuleView rule : table.rules(chain)) {
      if (next == rules.end()) break;
      if (place++ != *next) continue;
      ++next;
      if (!built_in || IsKubeProxyChain(JumpOf(actual_, rule))) {
        Note(DriftItem::Kind::kStale, table.id(), chain, place - 1);
      } else {
        ++foreign[ChainOwner(JumpOf(actual_, rule))];
      }
    }
    for (const auto& [owner, count] : foreign) {
      NoteForeign(owner, table, chain, count, std::min(ahead, count));
    }
  }

  void CompareChain(const Table& e, ChainId ec, const Table& a, ChainId ac) {
    if (SameInOrder(e, ec, a, ac)) return;
    CompareUnlike(e, ec, a, ac);
  }

  bool SameInOrder(const Table& e, ChainId ec, const Table& a, ChainId ac) {
    if (e.rule_count(ec) != a.rule_count(ac)) return false;
    auto want = e.rules(ec).begin();
    for (RuleView rule : a.rules(ac)) {
      to_expected_.Translate(rule, {}, &scratch_);
      if (!(scratch_.view() == *want)) return false;
      ++want;
    }
    return true;
  }

  // Pairs rules by ever looser keys, so that what is left is what differs.
  void CompareUnlike(const Table& e, ChainId ec, const Table& a, ChainId ac) {
    std::vector<RuleView> want;
    std::vector<RuleView> have;
    for (RuleView rule : e.rules(ec)) want.push_back(rule);
    for (RuleView rule : a.rules(ac)) have.push_back(rule);
    constexpr uint32_t kNone = ~uint32_t{0};
    std::vector<uint32_t> pair_of(have.size(), kNone);
    std::vector<bool> paired(want.size(), false);
    std::vector<int> looseness(have.size(), 0);
    const std::initializer_list<OpKind> kIgnored[] = {
        {},
        {OpKind::kComment},
        {OpKind::kComment, OpKind::kStatistic},
    };
    size_t left = have.size();
    for (int loose = 0; loose < 3 && left > 0; ++loose) {
      // Places of equal rules, the last one first.
      absl::flat_hash_map<std::string, std::vector<uint32_t>> places;
      for (uint32_t i = static_cast<uint32_t>(want.size()); i-- > 0;) {
        if (paired[i]) continue;
        same_.Translate(want[i], kIgnored[loose], &scratch_);
        places[KeyOf(scratch_)].push_back(i);
      }
      if (places.empty()) break;
      for (uint32_t i = 0; i < have.size(); ++i) {
        if (pair_of[i] != kNone) continue;
        to_expected_.Translate(have[i], kIgnored[loose], &scratch_);
        auto it = places.find(KeyOf(scratch_));
        if (it == places.end() || it->second.empty()) continue;
        pair_of[i] = it->second.back();
        it->second.pop_back();
        paired[pair_of[i]] = true;
        looseness[i] = loose;
        --left;
      }
    }
    const TableId id = e.id();
    for (uint32_t i = 0; i < want.size(); ++i) {
      if (!paired[i]) Note(DriftItem::Kind::kMissing, id, ec, i);
    }
    std::vector<uint32_t> unexpected;
    std::vector<uint32_t> order;
    size_t ahead = 0;
    for (uint32_t i = 0; i < have.size(); ++i) {
      if (pair_of[i] == kNone) {
        unexpected.push_back(i);
        if (order.empty()) ++ahead;
        continue;
      }
      order.push_back(pair_of[i]);
      if (looseness[i] == 1) ++out_.comments_differ;
      if (looseness[i] == 2) {
        Note(DriftItem::Kind::kShare, id, ec, pair_of[i], i);
      }
    }
    Unexpected(a, ac, unexpected, order.empty() ? 0 : ahead);
    if (IsSharedChain(e.name(ec))) {
      OrderOfShared(id, ec, want, order);
    } else {
      OrderOf(id, ec, order);
    }
  }

  void OrderOf(TableId id, ChainId ec, const std::vector<uint32_t>& order) {
    const std::vector<bool> moved = OutOfOrder(order);
    for (size_t i = 0; i < order.size(); ++i) {
      if (moved[i]) Note(DriftItem::Kind::kMoved, id, ec, order[i]);
    }
  }

  // Only rules that may match the same packet have an order.
  void OrderOfShared(TableId id, ChainId ec, const std::vector<RuleView>& want,
                     const std::vector<uint32_t>& order) {
    // How many rules without a destination or port are before each.
    std::vector<uint32_t> barriers(want.size());
    std::vector<std::string> keys(want.size());
    uint32_t seen = 0;
    for (size_t i = 0; i < want.size(); ++i) {
      keys[i] = DispatchKey(want[i]);
      barriers[i] = seen;
      if (keys[i].empty()) ++seen;
    }
    absl::flat_hash_map<absl::string_view, std::vector<uint32_t>> by_key;
    std::vector<uint32_t> general;
    seen = 0;
    for (uint32_t place : order) {
      if (keys[place].empty()) {
        ++seen;
        general.push_back(place);
        continue;
      }
      // Rules that are missing from `order` must not count as barriers, so
      // only a rule before one that it stood behind is told.
      if (seen > barriers[place]) {
        Note(DriftItem::Kind::kMoved, id, ec, place);
        continue;
      }
      by_key[keys[place]].push_back(place);
    }
    OrderOf(id, ec, general);
    for (const auto& [key, places] : by_key) {
      if (!std::is_sorted(places.begin(), places.end())) {
        OrderOf(id, ec, places);
      }
    }
  }

  const Ruleset& expected_;
  const Ruleset& actual_;
  RuleTranslation same_;
  RuleTranslation to_expected_;
  RuleBuilder scratch_;
  RuleDifferences out_;
};

}  // namespace

bool IsKubeProxyChain(absl::string_view chain) {
  static constexpr absl::string_view kPrefixes[] = {"KUBE-SVC-", "KUBE-SVL-",
                                                    "KUBE-EXT-", "KUBE-FW-",
                                                    "KUBE-XLB-", "KUBE-SEP-"};
  static constexpr absl::string_view kNames[] = {
      "KUBE-SERVICES",       "KUBE-EXTERNAL-SERVICES",
      "KUBE-NODEPORTS",      "KUBE-POSTROUTING",
      "KUBE-MARK-MASQ",      "KUBE-FORWARD",
      "KUBE-PROXY-FIREWALL", "KUBE-LOAD-BALANCER",
      "KUBE-NODE-PORT",      "KUBE-SOURCE-RANGES-FIREWALL",
      "KUBE-IPVS-FILTER",    "KUBE-IPVS-OUT-FILTER"};
  for (absl::string_view prefix : kPrefixes) {
    if (absl::StartsWith(chain, prefix)) return true;
  }
  return std::find(std::begin(kNames), std::end(kNames), chain) !=
         std::end(kNames);
}

absl::string_view ChainOwner(absl::string_view chain) {
  static constexpr struct {
    absl::string_view prefix;
    absl::string_view owner;
  } kOwners[] = {
      // pkg/kubelet/kubelet_network_linux.go; KUBE-FIREWALL and KUBE-MARK-DROP
      // are the kubelet's in every version, though kube-proxy ensures them.
      {"KUBE-KUBELET-CANARY", "kubelet"},
      {"KUBE-FIREWALL", "kubelet"},
      {"KUBE-MARK-DROP", "kubelet"},
      {"KUBE-IPTABLES-HINT", "kubelet"},
      {"KUBE-HOSTPORTS", "kubelet"},
      {"KUBE-HP-", "kubelet"},
      {"KUBE-ROUTER-", "kube-router"},
      {"KUBE-POD-FW-", "kube-router"},
      {"KUBE-NWPLCY-", "kube-router"},
      {"KUBE-DST-", "kube-router"},
      {"KUBE-SRC-", "kube-router"},
      {"DOCKER", "Docker"},
      {"cali-", "Calico"},
      {"cali:", "Calico"},
      {"FLANNEL-", "Flannel"},
      {"WEAVE", "Weave Net"},
      {"CILIUM_", "Cilium"},
      {"OLD_CILIUM_", "Cilium"},
      {"ANTREA-", "Antrea"},
      {"CNI-", "CNI plugins"},
      {"ISTIO_", "Istio"},
      {"LIBVIRT_", "libvirt"},
      {"AWS-", "the AWS VPC CNI"},
      {"IP-MASQ", "ip-masq-agent"},
      {"ufw", "ufw"},
      {"f2b-", "fail2ban"},
  };
  for (const auto& known : kOwners) {
    if (absl::StartsWith(chain, known.prefix)) return known.owner;
  }
  return "";
}

RuleDifferences DifferenceOf(const Ruleset& expected, const Ruleset& actual) {
  return Comparison(expected, actual).Run();
}

}  // namespace k8sdns::journey
