// How many rules the kernel looks at: its walk goes through a chain rule by
// rule, so the rules that matched tell how many did not.
#ifndef K8SDNS_BENCH_RULE_WALK_H_
#define K8SDNS_BENCH_RULE_WALK_H_

#include <cstddef>

#include "k8sdns/dataplane/trace.h"
#include "k8sdns/netfilter/ruleset.h"

namespace k8sdns::bench {

// The rules whose matches were evaluated on the way that `trace` tells, those
// that matched included. `trace` must be of `rules`. O(steps).
size_t CountEvaluatedRules(const dataplane::Trace& trace,
                           const netfilter::Ruleset& rules);

}  // namespace k8sdns::bench

#endif  // K8SDNS_BENCH_RULE_WALK_H_
