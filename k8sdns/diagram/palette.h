// The colours of styles. Private to the room.
#ifndef K8SDNS_DIAGRAM_PALETTE_H_
#define K8SDNS_DIAGRAM_PALETTE_H_

#include "k8sdns/diagram/diagram.h"

namespace k8sdns::diagram {

inline const char* FillColour(Style style) {
  switch (style) {
    case Style::kStart:
      return "#dbeafe";
    case Style::kChange:
      return "#fef3c7";
    case Style::kGood:
      return "#dcfce7";
    case Style::kBad:
      return "#fee2e2";
    case Style::kQuiet:
      return "#f3f4f6";
    case Style::kPlain:
      break;
  }
  return "#ffffff";
}

}  // namespace k8sdns::diagram

#endif  // K8SDNS_DIAGRAM_PALETTE_H_
