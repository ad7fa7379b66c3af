// Traces, drift and chains as diagrams; walks have walk_picture.h.
//
//   out << diagram::ToSvg(DiagramOf(node.Trace(arrival)));
//
// Pure; thread-safe. Linear in what is drawn.
#ifndef K8SDNS_JOURNEY_PICTURES_H_
#define K8SDNS_JOURNEY_PICTURES_H_

#include <cstddef>

#include "k8sdns/diagram/diagram.h"
#include "k8sdns/journey/drift.h"
#include "k8sdns/journey/packet_trace.h"
#include "k8sdns/netfilter/ruleset.h"

namespace k8sdns::journey {

// A column for each outcome, a box for each chain that it passes.
diagram::Diagram DiagramOf(const PacketTrace& trace, size_t max_outcomes = 8);
// A box for each Service that differs, and one for each other program.
diagram::Diagram DiagramOf(const Drift& drift, size_t max_items = 10);
// A box for each chain of the table, an arrow for each chain that it calls.
diagram::Diagram DiagramOf(const netfilter::Table& table);

}  // namespace k8sdns::journey

#endif  // K8SDNS_JOURNEY_PICTURES_H_
