// Private to the endpoints controllers: which Pods stand behind a Service, and
// what of a Pod goes into an endpoint.
#ifndef K8SDNS_CLUSTER_POD_ENDPOINTS_H_
#define K8SDNS_CLUSTER_POD_ENDPOINTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/cluster/endpoints_controller.h"

namespace k8sdns::endpoints_internal {

inline constexpr char kTriggerTimeAnnotation[] =
    "endpoints.kubernetes.io/last-change-trigger-time";

// What the controllers share while they look at one cluster.
struct Context {
  const EndpointsControllerOptions& options;
  std::vector<Finding>* findings;  // never null
};

// Finds the Pods of a selector without looking at every Pod. Refers to the
// Pods of the set it was made of.
class PodIndex {
 public:
  explicit PodIndex(const ObjectSet<Pod>& pods);

  // In the order of their names. `selector` is not empty.
  std::vector<const Pod*> Matching(absl::string_view namespace_,
                                   const StringMap& selector) const;

 private:
  absl::flat_hash_map<std::string, std::vector<const Pod*>> by_label_;
};

// Gets endpoints from the controllers at all: a selector, not ExternalName.
bool IsSelected(const Service& service);

// Not finished, has an address, and is not terminating unless that is asked
// for.
bool BelongsInEndpoints(const Pod& pod, bool include_terminating);

// The hostname is set only where <hostname>.<service> is a name of the Pod.
bool HasHostnameIn(const Pod& pod, const Service& service);

// The number behind a Service's target port in this Pod; nullopt if it is a
// name that no container has for the protocol.
std::optional<int32_t> FindPort(const Pod& pod, const ServicePort& port,
                                bool with_sidecars);

// No address yet, or None.
bool LacksClusterIp(const Service& service);

// The creation time of the Service as the controllers write it into
// kTriggerTimeAnnotation; empty if there is none.
std::string TriggerTime(const Service& service);

// A finding about a Service.
Finding About(const Service& service, absl::string_view id,
              absl::string_view field, std::string what);

}  // namespace k8sdns::endpoints_internal

#endif  // K8SDNS_CLUSTER_POD_ENDPOINTS_H_
