// Who translated a packet on a node. Private to the room.
#ifndef K8SDNS_JOURNEY_TRANSLATIONS_H_
#define K8SDNS_JOURNEY_TRANSLATIONS_H_

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "k8sdns/journey/trip.h"

namespace k8sdns::journey {

// Whether this rule is the one that rewrote the packet so.
inline bool Rewrites(const RuleLine& line, absl::string_view translation) {
  if (absl::StartsWith(translation, "destination")) {
    return absl::StrContains(line.text, "-j DNAT") ||
           absl::StrContains(line.text, "-j REDIRECT");
  }
  return absl::StrContains(line.text, "-j MASQUERADE") ||
         absl::StrContains(line.text, "-j SNAT");
}

// Who rewrote the packet, if no rule did. IPVS keeps the destination of
// requests and the source of replies; all the rest is conntrack's.
inline absl::string_view Translator(const NodeVisit& visit,
                                    absl::string_view translation, bool reply) {
  const bool ipvs =
      visit.ipvs &&
      absl::StartsWith(translation, reply ? "source" : "destination");
  return ipvs ? "by IPVS" : "by conntrack";
}

}  // namespace k8sdns::journey

#endif  // K8SDNS_JOURNEY_TRANSLATIONS_H_
