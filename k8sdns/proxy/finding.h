// What a compiler met in its input that kube-proxy skips, logs or stumbles
// over.
//
//   for (const Finding& f : compiler->findings()) {
//     std::cerr << f.ToString() << "\n";
//   }
#ifndef K8SDNS_PROXY_FINDING_H_
#define K8SDNS_PROXY_FINDING_H_

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace k8sdns::proxy {

struct Finding {
  enum class Effect {
    // The field, or the element of it, is left out; the rest is programmed.
    kIgnored,
    // The object, or the port, is left out as a whole, as kube-proxy does it.
    kSkipped,
    // kube-proxy would write something that its tools refuse, so that it would
    // program nothing at all until the object is repaired. The compiler leaves
    // the element out and goes on.
    kRefused,
  };
  Effect effect = Effect::kIgnored;
  std::string object;   // "Service default/web", "KubeProxyConfiguration"
  std::string field;    // "spec.externalIPs[1]"
  std::string message;  // what was found and what is done about it

  std::string ToString() const {
    const char* effects[] = {"ignored", "skipped", "refused"};
    return absl::StrCat(object, ": ", field, ": ", message, " (",
                        effects[static_cast<int>(effect)], ")");
  }
  friend bool operator==(const Finding&, const Finding&) = default;
};

using Findings = std::vector<Finding>;

}  // namespace k8sdns::proxy

#endif  // K8SDNS_PROXY_FINDING_H_
