// The way of a packet through the rules: which rules it matched, and where
// chains ended, over all tables and hooks.
//
//   for (const TraceStep& step : outcome.trace) {
//     std::cout << TraceLine(step, rules) << "\n";
//   }
#ifndef K8SDNS_DATAPLANE_TRACE_H_
#define K8SDNS_DATAPLANE_TRACE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "k8sdns/netfilter/ruleset.h"

namespace k8sdns::dataplane {

struct TraceStep {
  enum Kind : uint8_t {
    kRule,    // the rule matched; its target runs next
    kReturn,  // the end of a user-defined chain was reached
    kPolicy,  // a built-in chain's policy applied
  };
  Kind kind = kRule;
  netfilter::TableId table = netfilter::TableId::kFilter;
  netfilter::ChainId chain = 0;
  uint32_t rule = 0;  // kRule: from 1
  uint32_t mark = 0;  // of the packet; for kRule before the target ran

  friend bool operator==(const TraceStep&, const TraceStep&) = default;
};

using Trace = std::vector<TraceStep>;

// "nat:KUBE-SERVICES:rule:2 mark=0x4000", "filter:B0:return".
std::string TraceLine(const TraceStep& step, const netfilter::Ruleset& rules);

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_TRACE_H_
