#include "k8sdns/journey/pictures.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"

namespace k8sdns::journey {
namespace {

using diagram::Box;
using diagram::Diagram;
using diagram::Style;
using netfilter::ChainId;

Style StyleOf(dataplane::Verdict::Kind kind) {
  switch (kind) {
    case dataplane::Verdict::kAccept:
      return Style::kGood;
    case dataplane::Verdict::kUnknown:
      return Style::kQuiet;
    case dataplane::Verdict::kDrop:
    case dataplane::Verdict::kReject:
      break;
  }
  return Style::kBad;
}

void AddOutcome(const PacketTrace& trace, const PacketTrace::Branch& branch,
                Diagram& d) {
  const size_t lane = d.lanes.size();
  d.lanes.push_back(absl::StrFormat("%.4g%%", branch.probability * 100));
  size_t at = d.Add({lane,
                     trace.arrival.interface.empty()
                         ? "sent by the node"
                         : absl::StrCat("in by ", trace.arrival.interface),
                     {trace.arrival.packet.header.ToString()},
                     Style::kStart});
  const auto then = [&](Box box) {
    const size_t next = d.Add(std::move(box));
    d.Connect(at, next);
    at = next;
  };
  std::string chain;  // of the last box
  for (const PacketTrace::Step& step : branch.steps) {
    const bool rule = step.kind == dataplane::TraceStep::kRule;
    if (!rule && step.text != "DROP") continue;
    const std::string title = absl::StrCat(step.table, " ", step.chain);
    if (title != chain) {
      then({lane, title, {}});
      chain = title;
    }
    absl::string_view text = step.text;
    absl::ConsumePrefix(&text, absl::StrCat("-A ", step.chain, " "));
    d.boxes[at].lines.push_back(rule ? std::string(text) : "policy DROP");
  }
  then({lane, branch.Fate(), {}, StyleOf(branch.outcome.verdict.kind)});
}

Box GroupBox(const DriftGroup& group, size_t max_items) {
  Box box;
  box.title = group.service.empty()  ? "rules that are always there"
              : group.service == "?" ? "a Service that is not known"
                                     : group.service;
  box.lines = group.explanations;
  const size_t shown = std::min(group.items.size(), max_items);
  for (size_t i = 0; i < shown; ++i) {
    const DriftItem& item = group.items[i];
    if (item.kind != DriftItem::Kind::kDraining) box.style = Style::kBad;
    box.lines.push_back(
        absl::StrCat(DriftKindName(item.kind), ": ", item.where, " ",
                     item.table, item.table.empty() ? "" : " ",
                     item.text.empty() ? item.chain : item.text));
  }
  if (shown < group.items.size()) {
    box.lines.push_back(
        absl::StrCat("... and ", group.items.size() - shown, " more"));
  }
  return box;
}

}  // namespace

Diagram DiagramOf(const PacketTrace& trace, size_t max_outcomes) {
  Diagram d;
  d.title = trace.arrival.packet.header.ToString();
  const size_t shown = std::min(trace.branches.size(), max_outcomes);
  for (size_t i = 0; i < shown; ++i) AddOutcome(trace, trace.branches[i], d);
  if (shown < trace.branches.size()) {
    absl::StrAppend(&d.title, " (", shown, " of ", trace.branches.size(),
                    " outcomes)");
  }
  return d;
}

Diagram DiagramOf(const Drift& drift, size_t max_items) {
  Diagram d;
  d.title = drift.found() ? "What differs" : "Nothing differs";
  d.lanes = {"kube-proxy", "other programs"};
  for (const DriftGroup& group : drift.groups) {
    d.Add(GroupBox(group, max_items));
  }
  std::map<std::string, Box> foreign;  // by owner
  for (const ForeignChain& chain : drift.foreign) {
    Box& box = foreign[chain.owner];
    box.lane = 1;
    box.title = chain.owner.empty() ? "not known" : chain.owner;
    box.style = Style::kQuiet;
    box.lines.push_back(absl::StrCat(
        chain.where, " ", chain.table, " ", chain.chain, ": ", chain.rules,
        " rules",
        chain.ahead == 0
            ? ""
            : absl::StrCat(", ", chain.ahead, " ahead of kube-proxy's")));
  }
  for (auto& [owner, box] : foreign) d.Add(std::move(box));
  return d;
}

Diagram DiagramOf(const netfilter::Table& table) {
  Diagram d;
  d.title = absl::StrCat("table ", netfilter::TableName(table.id()));
  std::map<ChainId, size_t> boxes;
  for (ChainId chain : table.chains()) {
    Box box;
    box.title = std::string(table.name(chain));
    box.lines = {absl::StrCat(table.rule_count(chain), " rules")};
    if (table.policy(chain) != netfilter::Table::Policy::kNone) {
      box.style = Style::kStart;
    }
    boxes[chain] = d.Add(std::move(box));
  }
  for (ChainId chain : table.chains()) {
    std::map<size_t, int> calls;  // box of the called chain to rules
    for (netfilter::RuleView rule : table.rules(chain)) {
      std::optional<netfilter::StringId> name;
      if (const auto jump = rule.Get<netfilter::JumpTarget>()) {
        name = jump->chain;
      } else if (const auto go = rule.Get<netfilter::GotoTarget>()) {
        name = go->chain;
      }
      const auto to = name ? table.FindChain(*name) : std::nullopt;
      if (to) ++calls[boxes[*to]];
    }
    for (const auto& [to, rules] : calls) {
      d.Connect(boxes[chain], to, rules == 1 ? "" : absl::StrCat(rules));
    }
  }
  return d;
}

}  // namespace k8sdns::journey
