#include "k8sdns/dataplane/trace.h"

#include "absl/strings/str_cat.h"

namespace k8sdns::dataplane {

std::string TraceLine(const TraceStep& step, const netfilter::Ruleset& rules) {
  std::string line(netfilter::TableName(step.table));
  if (const netfilter::Table* table = rules.table(step.table)) {
    absl::StrAppend(&line, ":", table->name(step.chain));
  }
  switch (step.kind) {
    case TraceStep::kRule:
      absl::StrAppend(&line, ":rule:", step.rule);
      break;
    case TraceStep::kReturn:
      absl::StrAppend(&line, ":return");
      break;
    case TraceStep::kPolicy:
      absl::StrAppend(&line, ":policy");
      break;
  }
  if (step.mark != 0) absl::StrAppend(&line, " mark=0x", absl::Hex(step.mark));
  return line;
}

}  // namespace k8sdns::dataplane
