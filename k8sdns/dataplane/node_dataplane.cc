#include "k8sdns/dataplane/node_dataplane.h"

#include <algorithm>

#include "k8sdns/net/prefetch.h"

namespace k8sdns::dataplane {
namespace {

using netfilter::OpKind;

// Matches and targets that take hold of conntrack when they are loaded.
bool NeedsConntrack(OpKind kind) {
  switch (kind) {
    case OpKind::kConntrack:
    case OpKind::kState:
    case OpKind::kConnmark:
    case OpKind::kDnat:
    case OpKind::kSnat:
    case OpKind::kMasquerade:
    case OpKind::kRedirect:
    case OpKind::kNetmap:
    case OpKind::kSetConnmark:
    case OpKind::kCt:
    // May be anything.
    case OpKind::kUnknownMatch:
    case OpKind::kUnknownTarget:
      return true;
    default:
      return false;
  }
}

bool NeedsConntrack(const netfilter::Ruleset& rules) {
  for (netfilter::TableId id : rules.tables()) {
    const netfilter::Table& table = *rules.table(id);
    for (netfilter::ChainId chain : table.chains()) {
      for (netfilter::RuleView rule : table.rules(chain)) {
        for (netfilter::OpView op : rule.ops()) {
          if (NeedsConntrack(op.kind())) return true;
        }
      }
    }
  }
  return false;
}

// Back to a new outcome, keeping the room of its strings and trace.
void Reset(Outcome& outcome) {
  outcome.verdict.kind = Verdict::kDrop;
  outcome.verdict.reason.clear();
  outcome.verdict.rule.clear();
  outcome.local = false;
  outcome.out.clear();
  outcome.packet = NodePacket();
  outcome.mark = 0;
  outcome.drawn_first_port = outcome.drawn_last_port = 0;
  outcome.answer_source.reset();
  outcome.send_error.clear();
  outcome.sent_source.reset();
  outcome.trace.clear();
}

// A packet that may open a flow is tracked before its nat rules are looked up.
void PrefetchRules(const NodeTables& tables, const Packet& header) {
  if (header.protocol == Protocol::kTcp && !OpensTcp(header.tcp_flags)) return;
  const auto& matcher = tables.matchers[header.dst.is_v6() ? 1 : 0];
  if (matcher != nullptr) matcher->Prefetch(header, RuleMatcher::Ahead::kGuess);
}

// `outcome` is as it was made.
void Run(const NodeTables& tables, const Arrival& arrival, bool traced,
         NodeState& state, Decisions& decisions, Outcome& outcome,
         OpeningCache* cache = nullptr) {
  PacketWalk walk(tables, state, decisions, traced, outcome, cache);
  if (arrival.interface.empty()) {
    return walk.Send(arrival.packet, arrival.has_source, arrival.mark,
                     arrival.credentials ? &*arrival.credentials : nullptr);
  }
  const DeviceIndex device = tables.routing.FindDevice(arrival.interface);
  if (device == kNoDevice || !tables.routing.device(device).up) return;
  return walk.Receive(arrival.packet, device, arrival.mark,
                      arrival.source_mac ? &*arrival.source_mac : nullptr);
}

}  // namespace

Arrival Arrival::On(absl::string_view interface, NodePacket packet) {
  return {std::move(packet), std::string(interface), true, 0};
}

Arrival Arrival::Sent(NodePacket packet, bool has_source) {
  return {std::move(packet), "", has_source, 0};
}

NodeDataplane::NodeDataplane(const NodeConfig& config,
                             std::shared_ptr<const RuleMatcher> ipv4,
                             std::shared_ptr<const RuleMatcher> ipv6,
                             IpSets sets) {
  auto tables = std::make_shared<NodeTables>(config);
  tables->matchers[0] = std::move(ipv4);
  tables->matchers[1] = std::move(ipv6);
  tables->conntrack.tcp.loose =
      config.Sysctl("net.netfilter.nf_conntrack_tcp_loose", 1) != 0;
  tables->conntrack.tcp.be_liberal =
      config.Sysctl("net.netfilter.nf_conntrack_tcp_be_liberal", 0) != 0;
  for (int i = 0; i < 2; ++i) {
    if (tables->matchers[i] == nullptr) continue;
    const netfilter::Ruleset& rules = tables->matchers[i]->rules();
    tables->rules[i] = &rules;
    tables->has_nat[i] = rules.table(netfilter::TableId::kNat) != nullptr;
    tables->conntrack_used[i] = NeedsConntrack(rules);
  }
  tables->ipvs = IpvsOptions::Of(config);
  tables_ = std::move(tables);
  ReloadRules(std::move(sets));
}

void NodeDataplane::ReloadRules(IpSets sets) {
  state_.rules = RuleState();
  state_.sets = std::move(sets);
  // A list keeps the mask of the first rule that names it, and as many times
  // of packets as the rule that asks for the most.
  for (const auto& matcher : tables_->matchers) {
    if (matcher == nullptr) continue;
    for (netfilter::TableId id : matcher->rules().tables()) {
      const netfilter::Table& table = *matcher->rules().table(id);
      for (netfilter::ChainId chain : table.chains()) {
        for (netfilter::RuleView rule : table.rules(chain)) {
          DeclareRecentLists(rule, matcher->rules().strings(), state_.rules);
        }
      }
    }
  }
}

std::vector<Branch> NodeDataplane::Match(const Arrival& arrival,
                                         bool traced) const {
  std::vector<Branch> branches;
  PrefetchRules(*tables_, arrival.packet.header);
  Decisions decisions;
  double seen = 0;
  do {
    Branch branch;
    branch.after = state_;
    if (branches.size() + 1 >= tables_->max_outcomes) {
      branch.outcome.verdict = {Verdict::kUnknown, "too many outcomes", ""};
      branch.probability = std::max(0.0, 1 - seen);
      branches.push_back(std::move(branch));
      break;
    }
    Run(*tables_, arrival, traced, branch.after, decisions, branch.outcome);
    branch.probability = decisions.probability();
    seen += branch.probability;
    branches.push_back(std::move(branch));
  } while (decisions.Next());
  return branches;
}

Outcome NodeDataplane::Sample(const Arrival& arrival, absl::BitGenRef generator,
                              bool traced) {
  Outcome outcome;
  PrefetchRules(*tables_, arrival.packet.header);
  Decisions decisions(generator);
  Run(*tables_, arrival, traced, state_, decisions, outcome, &cache_);
  return outcome;
}

void NodeDataplane::Sample(const Arrival& arrival, absl::BitGenRef generator,
                           bool traced, Outcome& outcome) {
  Reset(outcome);
  PrefetchRules(*tables_, arrival.packet.header);
  Decisions decisions(generator);
  Run(*tables_, arrival, traced, state_, decisions, outcome, &cache_);
}

void NodeDataplane::SampleBatch(std::span<const Arrival> arrivals,
                                absl::BitGenRef generator,
                                std::span<Outcome> outcomes) {
  // While a packet runs, memory fetches what those behind it need: so many
  // packets hide an access, few enough to stay in the first cache.
  constexpr size_t kAhead = 8;
  const size_t n = arrivals.size();
  const auto prefetch = [&](size_t i, RuleMatcher::Ahead step) {
    const Packet& header = arrivals[i].packet.header;
    if (step == RuleMatcher::Ahead::kFirst) {
      state_.conntrack.Prefetch(Tuple::Of(header).Hash());
    }
    const auto& matcher = tables_->matchers[header.dst.is_v6() ? 1 : 0];
    if (matcher != nullptr) matcher->Prefetch(header, step);
  };
  for (size_t i = 0; i < n + 2 * kAhead; ++i) {
    if (i + kAhead < n) {
      const auto* next = reinterpret_cast<const char*>(&arrivals[i + kAhead]);
      for (size_t at = 0; at < sizeof(Arrival); at += 64) {
        PrefetchLine(next + at);
      }
    }
    if (i < n) prefetch(i, RuleMatcher::Ahead::kFirst);
    if (i >= kAhead && i < n + kAhead) {
      prefetch(i - kAhead, RuleMatcher::Ahead::kSecond);
    }
    if (i < 2 * kAhead) continue;
    Outcome& outcome = outcomes[i - 2 * kAhead];
    Reset(outcome);
    Decisions decisions(generator);
    Run(*tables_, arrivals[i - 2 * kAhead], /*traced=*/false, state_, decisions,
        outcome, &cache_);
  }
}

}  // namespace k8sdns::dataplane
