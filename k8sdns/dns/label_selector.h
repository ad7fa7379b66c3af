// A label selector as text: "expose=yes,tier in (a, b),!old". Private to
// k8sdns/dns. Facts: k8s.io/apimachinery pkg/labels.
#ifndef K8SDNS_DNS_LABEL_SELECTOR_H_
#define K8SDNS_DNS_LABEL_SELECTOR_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "k8sdns/cluster/object_meta.h"

namespace k8sdns::dns {

class LabelSelector {
 public:
  // An empty text selects everything. kInvalidArgument if it cannot be read.
  static absl::StatusOr<LabelSelector> Parse(absl::string_view text);

  bool Matches(const StringMap& labels) const;
  bool selects_everything() const { return requirements_.empty(); }

 private:
  enum class Operator { kIn, kNotIn, kExists, kDoesNotExist };
  struct Requirement {
    std::string key;
    Operator op = Operator::kExists;
    std::vector<std::string> values;
  };

  static absl::StatusOr<Requirement> ParseRequirement(absl::string_view text);

  std::vector<Requirement> requirements_;
};

}  // namespace k8sdns::dns

#endif  // K8SDNS_DNS_LABEL_SELECTOR_H_
