#include "k8sdns/testing/matchers.h"

#include <algorithm>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "k8sdns/netfilter/iptables_save.h"

namespace k8sdns::testing {
namespace internal {
namespace {

using dataplane::Branch;
using dataplane::Outcome;
using dataplane::TraceStep;
using dataplane::Verdict;

// ---- from values to fates ----

const netfilter::Ruleset* RulesOf(const dataplane::NodeDataplane* node,
                                  IpFamily family) {
  if (node == nullptr) return nullptr;
  const auto& matcher = node->tables().matchers[family == IpFamily::kIpv6];
  return matcher == nullptr ? nullptr : &matcher->rules();
}

std::string StepText(const TraceStep& step, const netfilter::Ruleset* rules) {
  const netfilter::Table* table =
      rules == nullptr ? nullptr : rules->table(step.table);
  std::string line;
  if (table == nullptr) {
    absl::StrAppend(&line, netfilter::TableName(step.table), ": chain #",
                    step.chain);
    if (step.kind == TraceStep::kRule) {
      absl::StrAppend(&line, ", rule ", step.rule);
    }
  } else {
    line = dataplane::TraceLine(step, *rules);
    uint32_t n = 0;
    for (netfilter::RuleView rule : table->rules(step.chain)) {
      if (step.kind != TraceStep::kRule || ++n != step.rule) continue;
      absl::StrAppend(&line, "  ",
                      netfilter::PrintRule(*rules, *table, step.chain, rule));
      break;
    }
  }
  return line;
}

Fate FateOf(const Outcome& outcome, const dataplane::NodeDataplane* node) {
  Fate fate;
  fate.received = outcome.packet.header;
  switch (outcome.verdict.kind) {
    case Verdict::kAccept:
      fate.receiver = outcome.local ? "the node itself" : "";
      break;
    case Verdict::kDrop:
      fate.kind = Fate::kDropped;
      fate.reason = outcome.verdict.reason;
      break;
    case Verdict::kReject:
      fate.kind = Fate::kRejected;
      fate.rejected_with = outcome.verdict.reason;
      break;
    case Verdict::kUnknown:
      fate.kind = Fate::kUnknown;
      fate.reason =
          absl::StrCat(outcome.verdict.rule, ": ", outcome.verdict.reason);
      break;
  }
  // The trace is of a packet of one family; a dropped one does not tell which.
  const netfilter::Ruleset* rules = RulesOf(node, IpFamily::kIpv4);
  if (rules == nullptr || (outcome.verdict.kind == Verdict::kAccept &&
                           fate.received.family() == IpFamily::kIpv6)) {
    rules = RulesOf(node, IpFamily::kIpv6);
  }
  for (const TraceStep& step : outcome.trace) {
    absl::StrAppend(&fate.trace, "    ", StepText(step, rules), "\n");
  }
  return fate;
}

// The source that the sender used: conntrack knows it by the answer.
std::optional<IpAddress> SentFrom(const Branch& branch) {
  if (branch.outcome.verdict.kind != Verdict::kAccept) return std::nullopt;
  const auto reply =
      dataplane::Tuple::Of(branch.outcome.packet.header).Inverse();
  if (!reply) return std::nullopt;
  const dataplane::Conntrack& conntrack = branch.after.conntrack;
  const auto found = conntrack.Find(*reply, branch.after.now_us);
  const dataplane::Flow* flow = conntrack.flow(found.flow);
  if (flow == nullptr) return branch.outcome.packet.header.src;
  return flow->tuples[1 - found.direction].src;
}

Fate FateOf(const Branch& branch, const dataplane::NodeDataplane* node) {
  Fate fate = FateOf(branch.outcome, node);
  fate.probability = branch.probability;
  fate.sent_from = SentFrom(branch);
  return fate;
}

// "rejected with X by node a" -> "X".
std::string RejectedWith(absl::string_view reason) {
  constexpr absl::string_view kBefore = "rejected with ";
  if (!absl::StartsWith(reason, kBefore)) return std::string(reason);
  reason.remove_prefix(kBefore.size());
  return std::string(reason.substr(0, reason.find(' ')));
}

Fate FateOf(const journey::Trip& trip) {
  using TripFate = journey::Trip::Fate;
  Fate fate;
  fate.probability = trip.probability;
  fate.reason = trip.reason;
  fate.sent_from = trip.sent.src;
  fate.received = trip.received;
  fate.receiver = trip.receiver;
  fate.trace = trip.ToString();
  switch (trip.fate) {
    case TripFate::kArrives:
      break;
    case TripFate::kOutside:
      fate.kind = Fate::kOutside;
      break;
    case TripFate::kDropped:
    case TripFate::kDenied:
      fate.kind = Fate::kDropped;
      break;
    case TripFate::kRejected:
      fate.kind = Fate::kRejected;
      fate.rejected_with = RejectedWith(trip.reason);
      break;
    case TripFate::kUnknown:
      fate.kind = Fate::kUnknown;
      break;
  }
  return fate;
}

// ---- fates as text ----

// "arrives at Pod default/web as TCP 10.244.1.5:40000 > 10.244.2.6:8080"
std::string FateText(const Fate& fate) {
  const std::string because =
      fate.reason.empty() ? "" : absl::StrCat(" (", fate.reason, ")");
  switch (fate.kind) {
    case Fate::kArrives:
      return absl::StrCat("arrives", fate.receiver.empty() ? "" : " at ",
                          fate.receiver, " as ", fate.received.ToString());
    case Fate::kOutside:
      return absl::StrCat("goes outside as ", fate.received.ToString(),
                          because);
    case Fate::kDropped:
      return absl::StrCat("is dropped", because);
    case Fate::kRejected:
      return absl::StrCat("is rejected with ", fate.rejected_with, because);
    case Fate::kUnknown:
      return absl::StrCat("has a fate that is not known", because);
  }
  return "";
}

bool Reaches(const Fate& fate, absl::string_view target) {
  if (fate.kind != Fate::kArrives && fate.kind != Fate::kOutside) return false;
  if (const auto to = SocketAddress::Parse(target)) {
    return fate.received.dst == to->address &&
           fate.received.dst_port == to->port;
  }
  if (const auto to = IpAddress::Parse(target)) {
    return fate.received.dst == *to;
  }
  return fate.receiver == target;
}

std::string Joined(const std::vector<std::string>& texts) {
  return texts.size() == 1 ? texts[0]
                           : absl::StrCat("{", absl::StrJoin(texts, ", "), "}");
}

}  // namespace

Fates FatesOf(const Outcome& outcome) {
  return std::vector<Fate>{FateOf(outcome, nullptr)};
}

Fates FatesOf(const Branch& branch) {
  return std::vector<Fate>{FateOf(branch, nullptr)};
}

Fates FatesOf(const std::vector<Branch>& branches) {
  std::vector<Fate> out;
  for (const Branch& b : branches) out.push_back(FateOf(b, nullptr));
  return out;
}

Fates FatesOf(const BranchesWithRules& branches) {
  std::vector<Fate> out;
  for (const Branch& b : branches.branches) {
    out.push_back(FateOf(b, branches.node));
  }
  return out;
}

Fates FatesOf(const journey::Trip& trip) {
  return std::vector<Fate>{FateOf(trip)};
}

Fates FatesOf(const std::vector<journey::Trip>& trips) {
  std::vector<Fate> out;
  for (const journey::Trip& t : trips) out.push_back(FateOf(t));
  return out;
}

Fates FatesOf(const absl::StatusOr<std::vector<journey::Trip>>& trips) {
  if (!trips.ok()) return trips.status();
  return FatesOf(*trips);
}

bool FateMatcher::Explain(const Fates& fates, Listener* listener) const {
  if (!fates.ok()) {
    *listener << "which is the error " << fates.status().ToString();
    return false;
  }
  if (fates->empty()) {
    *listener << "which has no outcome at all";
    return false;
  }
  std::string wrong = all_ == nullptr ? "" : all_(*fates);
  bool matches = wrong.empty();
  for (const Fate& fate : *fates) {
    const std::string why = each_(fate);
    if (why.empty()) continue;
    matches = false;
    absl::StrAppend(
        &wrong, wrong.empty() ? "" : "\n", "with probability ",
        fate.probability, " it ", why, "\n",
        fate.trace.empty() ? "    (no rule matched)\n" : fate.trace);
  }
  *listener << wrong;
  return matches;
}

Fated RoutesToAll(std::vector<std::string> targets) {
  const std::string text =
      absl::StrCat(targets.size() == 1 ? "" : "one of ", Joined(targets));
  const auto each = [targets](const Fate& fate) {
    const bool reaches =
        std::any_of(targets.begin(), targets.end(),
                    [&](const std::string& t) { return Reaches(fate, t); });
    return reaches ? "" : FateText(fate);
  };
  const auto all = [targets](const std::vector<Fate>& fates) {
    std::vector<std::string> never;
    for (const std::string& t : targets) {
      if (std::none_of(fates.begin(), fates.end(),
                       [&](const Fate& f) { return Reaches(f, t); })) {
        never.push_back(t);
      }
    }
    return never.empty() ? ""
                         : absl::StrCat("which never reaches ", Joined(never));
  };
  return ::testing::MakePolymorphicMatcher(
      FateMatcher({absl::StrCat("routes to ", text),
                   absl::StrCat("doesn't route to ", text)},
                  each, targets.size() > 1 ? FateMatcher::All(all) : nullptr));
}

// ---- names ----

absl::StatusOr<Lookup> LookupOf(const journey::NameLookup& lookup) {
  Lookup out;
  for (const journey::LookupStep& step : lookup.steps) {
    out.queries.push_back(absl::StrCat(dns::QueryTypeName(step.query.type), " ",
                                       step.query.name));
  }
  out.result = lookup.result;
  out.text = lookup.ToString();
  return out;
}

absl::StatusOr<Lookup> LookupOf(
    const absl::StatusOr<journey::NameLookup>& lookup) {
  if (!lookup.ok()) return lookup.status();
  return LookupOf(*lookup);
}

absl::StatusOr<Lookup> LookupOf(const dns::LookupTranscript& transcript) {
  Lookup out;
  for (const dns::SentQuery& query : transcript.queries) {
    out.queries.push_back(
        absl::StrCat(dns::QueryTypeName(query.type), " ", query.name));
  }
  if (!transcript.results.empty()) out.result = transcript.results.back();
  out.text = transcript.ToString();
  return out;
}

absl::StatusOr<Lookup> LookupOf(const dns::LookupResult& result) {
  dns::LookupTranscript transcript;
  transcript.results.push_back(result);
  return LookupOf(transcript);
}

bool LookupMatcher::Explain(const absl::StatusOr<Lookup>& lookup,
                            Listener* listener) const {
  if (!lookup.ok()) {
    *listener << "which is the error " << lookup.status().ToString();
    return false;
  }
  const std::string why = judge_(*lookup);
  if (why.empty()) return true;
  *listener << "which " << why << "\n" << lookup->text;
  return false;
}

LookedUp ResolvesToAll(std::vector<std::string> addresses) {
  const std::string text = Joined(addresses);
  std::set<std::string> expected;
  for (const std::string& a : addresses) {
    const auto ip = IpAddress::Parse(a);
    expected.insert(ip ? ip->ToString() : absl::StrCat("(no address) ", a));
  }
  const auto judge = [expected](const Lookup& lookup) -> std::string {
    if (lookup.result.rc != "OK") {
      return absl::StrCat("fails with ", lookup.result.rc);
    }
    std::set<std::string> found;
    std::vector<std::string> in_order;
    for (const IpAddress& a : lookup.result.addresses) {
      found.insert(a.ToString());
      in_order.push_back(a.ToString());
    }
    if (found == expected) return "";
    return absl::StrCat("resolves to ", Joined(in_order));
  };
  return ::testing::MakePolymorphicMatcher(
      LookupMatcher({absl::StrCat("resolves to ", text),
                     absl::StrCat("doesn't resolve to ", text)},
                    judge));
}

LookedUp SendsAll(std::vector<std::string> queries) {
  const std::string text = absl::StrCat(
      queries.size() == 1 ? "the query " : "the queries ", Joined(queries));
  const auto judge = [queries](const Lookup& lookup) -> std::string {
    if (lookup.queries == queries) return "";
    size_t same = 0;
    while (same < queries.size() && same < lookup.queries.size() &&
           queries[same] == lookup.queries[same]) {
      ++same;
    }
    const std::string which = absl::StrCat("query ", same + 1, " ");
    if (same == lookup.queries.size()) {
      return absl::StrCat("sends no ", which, "(expected ", queries[same], ")");
    }
    if (same == queries.size()) {
      return absl::StrCat("sends ", which, lookup.queries[same],
                          " (expected none)");
    }
    return absl::StrCat("sends ", which, lookup.queries[same], " (expected ",
                        queries[same], ")");
  };
  return ::testing::MakePolymorphicMatcher(LookupMatcher(
      {absl::StrCat("sends ", text), absl::StrCat("doesn't send ", text)},
      judge));
}

// ---- findings ----

namespace {

std::string ObjectOf(const Finding& f) {
  return absl::StrCat(f.kind, f.kind.empty() ? "" : " ", f.namespace_,
                      f.namespace_.empty() ? "" : "/", f.name);
}

}  // namespace

void FindingMatcher::DescribeTo(std::ostream* out) const {
  *out << "has the finding " << id_;
  if (!object_.empty()) *out << " about " << object_;
}

void FindingMatcher::DescribeNegationTo(std::ostream* out) const {
  *out << "doesn't have the finding " << id_;
  if (!object_.empty()) *out << " about " << object_;
}

bool FindingMatcher::Explain(const std::vector<Finding>& findings,
                             Listener* listener) const {
  for (const Finding& f : findings) {
    if (f.id != id_ || (!object_.empty() && ObjectOf(f) != object_)) continue;
    *listener << "which has\n    " << f.ToString();
    return true;
  }
  if (findings.empty()) {
    *listener << "which has no finding";
    return false;
  }
  *listener << "whose findings are";
  for (const Finding& f : findings) *listener << "\n    " << f.ToString();
  return false;
}

}  // namespace internal

using internal::Fate;
using internal::FateMatcher;
using internal::FateText;
using internal::Lookup;
using internal::LookupMatcher;

internal::Fated IsDropped() {
  return ::testing::MakePolymorphicMatcher(
      FateMatcher({"is dropped", "isn't dropped"}, [](const Fate& fate) {
        return fate.kind == Fate::kDropped ? "" : FateText(fate);
      }));
}

internal::Fated IsRejectedWith(absl::string_view with) {
  return ::testing::MakePolymorphicMatcher(FateMatcher(
      {absl::StrCat("is rejected with ", with),
       absl::StrCat("isn't rejected with ", with)},
      [with = std::string(with)](const Fate& fate) {
        return fate.kind == Fate::kRejected && fate.rejected_with == with
                   ? ""
                   : FateText(fate);
      }));
}

internal::Fated IsMasqueraded(absl::string_view address) {
  const std::string as = address.empty() ? "" : absl::StrCat(" as ", address);
  const auto each = [wanted = std::string(address)](const Fate& fate) {
    if (fate.kind != Fate::kArrives && fate.kind != Fate::kOutside) {
      return FateText(fate);
    }
    if (!fate.sent_from) {
      return absl::StrCat(FateText(fate),
                          ", and an Outcome does not tell where it was sent "
                          "from: use its Branch");
    }
    if (fate.received.src == *fate.sent_from) {
      return absl::StrCat("keeps its source: it ", FateText(fate));
    }
    if (wanted.empty() || fate.received.src == IpAddress::Parse(wanted)) {
      return std::string();
    }
    return FateText(fate);
  };
  return ::testing::MakePolymorphicMatcher(
      FateMatcher({absl::StrCat("is masqueraded", as),
                   absl::StrCat("isn't masqueraded", as)},
                  each));
}

internal::LookedUp FailsToResolve(absl::string_view rc) {
  const std::string with = rc.empty() ? "" : absl::StrCat(" with ", rc);
  return ::testing::MakePolymorphicMatcher(LookupMatcher(
      {absl::StrCat("fails to resolve", with),
       absl::StrCat("doesn't fail to resolve", with)},
      [rc = std::string(rc)](const Lookup& lookup) -> std::string {
        if (lookup.result.rc == "OK") return "resolves";
        if (rc.empty() || lookup.result.rc == rc) return "";
        return absl::StrCat("fails with ", lookup.result.rc);
      }));
}

namespace {

void PrintFates(const internal::Fates& fates, std::ostream* out) {
  if (!fates.ok()) {
    *out << fates.status().ToString();
    return;
  }
  const char* separator = "";
  for (const Fate& fate : *fates) {
    *out << separator << fate.probability << ": " << FateText(fate);
    separator = "; ";
  }
}

void PrintLookup(const absl::StatusOr<Lookup>& lookup, std::ostream* out) {
  if (!lookup.ok()) {
    *out << lookup.status().ToString();
    return;
  }
  *out << lookup->queries.size() << " queries, " << lookup->result.rc;
  for (const IpAddress& a : lookup->result.addresses)
    *out << " " << a.ToString();
}

}  // namespace

void PrintTo(const BranchesWithRules& branches, std::ostream* out) {
  PrintFates(internal::FatesOf(branches), out);
}

}  // namespace k8sdns::testing

namespace k8sdns {

void PrintTo(const Finding& finding, std::ostream* out) {
  *out << finding.ToString();
}

namespace dataplane {

void PrintTo(const Outcome& outcome, std::ostream* out) {
  testing::PrintFates(testing::internal::FatesOf(outcome), out);
}

void PrintTo(const Branch& branch, std::ostream* out) {
  testing::PrintFates(testing::internal::FatesOf(branch), out);
}

}  // namespace dataplane

namespace journey {

void PrintTo(const Trip& trip, std::ostream* out) {
  testing::PrintFates(testing::internal::FatesOf(trip), out);
}

void PrintTo(const absl::StatusOr<std::vector<Trip>>& trips,
             std::ostream* out) {
  testing::PrintFates(testing::internal::FatesOf(trips), out);
}

void PrintTo(const NameLookup& lookup, std::ostream* out) {
  testing::PrintLookup(testing::internal::LookupOf(lookup), out);
}

void PrintTo(const absl::StatusOr<NameLookup>& lookup, std::ostream* out) {
  testing::PrintLookup(testing::internal::LookupOf(lookup), out);
}

}  // namespace journey

namespace dns {

void PrintTo(const LookupTranscript& transcript, std::ostream* out) {
  testing::PrintLookup(testing::internal::LookupOf(transcript), out);
}

void PrintTo(const LookupResult& result, std::ostream* out) {
  testing::PrintLookup(testing::internal::LookupOf(result), out);
}

}  // namespace dns

}  // namespace k8sdns
