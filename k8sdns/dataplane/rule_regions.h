// Where two chains may treat packets differently, as boxes: found by putting
// their rules side by side. Private to equivalence.
#ifndef K8SDNS_DATAPLANE_RULE_REGIONS_H_
#define K8SDNS_DATAPLANE_RULE_REGIONS_H_

#include <vector>

#include "k8sdns/dataplane/header_space.h"
#include "k8sdns/dataplane/symbolic_rules.h"

namespace k8sdns::dataplane {

// Appends boxes (of the header as the chains see it) outside of which both
// built-in chains do the same. Only fields are looked at, so a box may be too
// large, never too small.
void FindRegions(SymbolicRuleset& a, SymbolicRuleset& b,
                 netfilter::TableId table, netfilter::Hook hook,
                 const Box& within, std::vector<Box>& regions);

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_RULE_REGIONS_H_
