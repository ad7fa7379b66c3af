#include "k8sdns/cluster/pod_endpoints.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace k8sdns::endpoints_internal {
namespace {

std::string LabelKey(absl::string_view namespace_, absl::string_view key,
                     absl::string_view value) {
  return absl::StrCat(namespace_, "/", key, "=", value);
}

bool Matches(const StringMap& selector, const StringMap& labels) {
  for (const auto& [key, value] : selector) {
    auto it = labels.find(key);
    if (it == labels.end() || it->second != value) return false;
  }
  return true;
}

std::optional<int32_t> FindNamed(const std::vector<ContainerPort>& ports,
                                 absl::string_view name, Protocol protocol) {
  for (const ContainerPort& port : ports) {
    if (port.name == name && port.protocol == protocol) {
      return port.container_port;
    }
  }
  return std::nullopt;
}

}  // namespace

PodIndex::PodIndex(const ObjectSet<Pod>& pods) {
  for (const Pod& pod : pods) {
    for (const auto& [key, value] : pod.metadata.labels) {
      by_label_[LabelKey(pod.metadata.namespace_, key, value)].push_back(&pod);
    }
  }
}

std::vector<const Pod*> PodIndex::Matching(absl::string_view namespace_,
                                           const StringMap& selector) const {
  // The rarest of the labels is the cheapest to walk.
  const std::vector<const Pod*>* fewest = nullptr;
  for (const auto& [key, value] : selector) {
    auto it = by_label_.find(LabelKey(namespace_, key, value));
    if (it == by_label_.end()) return {};
    if (fewest == nullptr || it->second.size() < fewest->size()) {
      fewest = &it->second;
    }
  }
  std::vector<const Pod*> matching;
  if (fewest == nullptr) return matching;
  for (const Pod* pod : *fewest) {
    if (Matches(selector, pod->metadata.labels)) matching.push_back(pod);
  }
  return matching;
}

bool IsSelected(const Service& service) {
  return service.spec.type != ServiceType::kExternalName &&
         !service.spec.selector.empty();
}

bool BelongsInEndpoints(const Pod& pod, bool include_terminating) {
  if (pod.status.phase == PodPhase::kSucceeded ||
      pod.status.phase == PodPhase::kFailed) {
    return false;
  }
  if (pod.status.pod_ip.empty() && pod.status.pod_ips.empty()) return false;
  return include_terminating || pod.metadata.deletion_timestamp.empty();
}

bool HasHostnameIn(const Pod& pod, const Service& service) {
  return !pod.spec.hostname.empty() &&
         pod.spec.subdomain == service.metadata.name &&
         pod.metadata.namespace_ == service.metadata.namespace_;
}

std::optional<int32_t> FindPort(const Pod& pod, const ServicePort& port,
                                bool with_sidecars) {
  if (const int32_t* number = std::get_if<int32_t>(&port.target_port)) {
    return *number == 0 ? port.port : *number;
  }
  const std::string& name = std::get<std::string>(port.target_port);
  for (const Container& container : pod.spec.containers) {
    if (auto found = FindNamed(container.ports, name, port.protocol)) {
      return found;
    }
  }
  if (!with_sidecars) return std::nullopt;
  for (const Container& container : pod.spec.init_containers) {
    if (container.restart_policy != "Always") continue;
    if (auto found = FindNamed(container.ports, name, port.protocol)) {
      return found;
    }
  }
  return std::nullopt;
}

bool LacksClusterIp(const Service& service) {
  return service.spec.cluster_ip.empty() || service.IsHeadless();
}

std::string TriggerTime(const Service& service) {
  const absl::string_view text = service.metadata.creation_timestamp;
  absl::Time time;
  if (text.empty() ||
      !absl::ParseTime(absl::RFC3339_full, text, &time, nullptr)) {
    return "";
  }
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E*SZ", time, absl::UTCTimeZone());
}

Finding About(const Service& service, absl::string_view id,
              absl::string_view field, std::string what) {
  Finding finding;
  finding.id = std::string(id);
  finding.kind = "Service";
  finding.namespace_ = service.metadata.namespace_;
  finding.name = service.metadata.name;
  finding.field = std::string(field);
  finding.what = std::move(what);
  return finding;
}

}  // namespace k8sdns::endpoints_internal
