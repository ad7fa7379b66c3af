// Trips and walks as diagrams: a column for each Pod and node that the packet
// meets, a box for each chain whose rules it matched, the reply dashed.
//
//   out << diagram::ToSvg(DiagramOf(*walk));
//
// Trips that go alike at first share those boxes and part where they differ.
// Pure; thread-safe. Linear in the trips.
#ifndef K8SDNS_JOURNEY_WALK_PICTURE_H_
#define K8SDNS_JOURNEY_WALK_PICTURE_H_

#include <cstddef>
#include <span>
#include <string>

#include "absl/strings/string_view.h"
#include "k8sdns/diagram/diagram.h"
#include "k8sdns/journey/trip.h"
#include "k8sdns/journey/walk.h"

namespace k8sdns::journey {

struct PictureOptions {
  // The most probable ones are drawn; a box counts the others.
  size_t max_trips = 4;
};

// `sender`: where the packet starts, as a column's heading.
diagram::Diagram DiagramOf(absl::string_view title, absl::string_view sender,
                           std::span<const Trip> trips,
                           const PictureOptions& options = {});
// The file and the queries, the way of the first query, the way to the address.
diagram::Diagram DiagramOf(const Walk& walk,
                           const PictureOptions& options = {});
// The same on a page, each way a drawing of its own, with the texts.
std::string WalkToHtml(const Walk& walk, const PictureOptions& options = {});

}  // namespace k8sdns::journey

#endif  // K8SDNS_JOURNEY_WALK_PICTURE_H_
