// What every Kubernetes object carries: name, namespace, labels.
//
//   pod.metadata.namespace_ = "default";
//   pod.metadata.name = "web-0";
//   pod.metadata.labels["app"] = "web";
#ifndef K8SDNS_CLUSTER_OBJECT_META_H_
#define K8SDNS_CLUSTER_OBJECT_META_H_

#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/strings/string_view.h"
#include "k8sdns/cluster/shared_text.h"

namespace k8sdns {

using StringMap = absl::btree_map<std::string, std::string>;

// metadata of an object (meta/v1 ObjectMeta), as far as routing and DNS depend
// on it. Times are the API's RFC 3339 text; empty means unset.
struct ObjectMeta {
  std::string name;
  std::string namespace_;  // empty for cluster-scoped objects
  SharedText generate_name;
  SharedText uid;
  SharedText creation_timestamp;
  SharedText deletion_timestamp;
  StringMap labels;
  StringMap annotations;
  struct OwnerReference {
    std::string api_version;
    std::string kind;
    std::string name;
    SharedText uid;
    std::optional<bool> controller;
    std::optional<bool> block_owner_deletion;
    friend bool operator==(const OwnerReference&,
                           const OwnerReference&) = default;
  };
  std::vector<OwnerReference> owner_references;

  friend bool operator==(const ObjectMeta&, const ObjectMeta&) = default;
};

// The value of `key`, or an empty text if there is none.
inline absl::string_view Find(const StringMap& map, absl::string_view key) {
  auto it = map.find(key);
  return it == map.end() ? absl::string_view() : absl::string_view(it->second);
}

// Names an object among those of its kind. Ordered by namespace, then name,
// bytewise.
struct ObjectKey {
  absl::string_view namespace_;
  absl::string_view name;

  friend bool operator==(const ObjectKey&, const ObjectKey&) = default;
  friend bool operator<(const ObjectKey& a, const ObjectKey& b) {
    return std::tie(a.namespace_, a.name) < std::tie(b.namespace_, b.name);
  }
};

inline ObjectKey KeyOf(const ObjectMeta& meta) {
  return {meta.namespace_, meta.name};
}

}  // namespace k8sdns

#endif  // K8SDNS_CLUSTER_OBJECT_META_H_
