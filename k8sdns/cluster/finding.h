// A finding: something about an object that will not work as it looks, or that
// was skipped. Compilers report what they skip, `k8sdns check` what it sees.
//
//   if (finding.severity == Severity::kError) {
//     std::cerr << finding.ToString() << "\n";
//   }
#ifndef K8SDNS_CLUSTER_FINDING_H_
#define K8SDNS_CLUSTER_FINDING_H_

#include <string>

#include "absl/strings/string_view.h"

namespace k8sdns {

enum class Severity { kInfo, kWarning, kError };

struct Finding {
  // Stable and unique to the kind of finding: "dns/no-ready-endpoints".
  std::string id;
  Severity severity = Severity::kWarning;
  // The object: "Service", "default", "web". The namespace is empty for
  // cluster-scoped kinds; all three for a file or a setting.
  std::string kind;
  std::string namespace_;
  std::string name;
  std::string field;   // "spec.ports[1].targetPort"; may be empty
  std::string what;    // what is the case, with the values found
  std::string why;     // why it matters; may be empty
  std::string change;  // what to change; may be empty

  // "warning dns/x: Service default/web spec.clusterIP: what"
  std::string ToString() const;

  friend bool operator==(const Finding&, const Finding&) = default;
};

absl::string_view SeverityName(Severity severity);  // "info", "warning", ...

}  // namespace k8sdns

#endif  // K8SDNS_CLUSTER_FINDING_H_
