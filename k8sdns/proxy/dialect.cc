#include "k8sdns/proxy/dialect.h"

namespace k8sdns::proxy {
namespace {

using Comment = DialectTraits::EndpointComment;

constexpr DialectTraits kTraits[] = {
    // 1.11
    {.endpoint_slices = false,
     .dual_stack = false,
     .filters_service_proxy_name = false,
     .filters_headless_label = false,
     .ip_mode = false,
     .internal_traffic_policy = false,
     .colon_of_unnamed_port = true,
     .local_policy_of_external_ips = false,
     .local_detectors = false,
     .external_chains = false,
     .rejects_load_balancer_ips = false,
     .endpoint_comment = Comment::kPort,
     .large_cluster_mode = false,
     .probability_digits = 5,
     .drops_invalid = false,
     .filters_input_and_forward = false},
    // 1.14. It has large-cluster mode, but drops the result of the function
    // that adds the comments, so that they are never there.
    {.endpoint_slices = false,
     .dual_stack = false,
     .filters_service_proxy_name = true,
     .filters_headless_label = false,
     .ip_mode = false,
     .internal_traffic_policy = false,
     .colon_of_unnamed_port = true,
     .local_policy_of_external_ips = false,
     .local_detectors = false,
     .external_chains = false,
     .rejects_load_balancer_ips = true,
     .endpoint_comment = Comment::kNone,
     .large_cluster_mode = false,
     .probability_digits = 5,
     .drops_invalid = true,
     .filters_input_and_forward = true},
    // 1.30
    {.endpoint_slices = true,
     .dual_stack = true,
     .filters_service_proxy_name = true,
     .filters_headless_label = true,
     .ip_mode = true,
     .internal_traffic_policy = true,
     .colon_of_unnamed_port = false,
     .local_policy_of_external_ips = true,
     .local_detectors = true,
     .external_chains = true,
     .rejects_load_balancer_ips = true,
     .endpoint_comment = Comment::kPortAndEndpoint,
     .large_cluster_mode = true,
     .probability_digits = 10,
     .drops_invalid = true,
     .filters_input_and_forward = true},
};

constexpr absl::string_view kNames[] = {"1.11", "1.14", "1.30"};

}  // namespace

absl::string_view DialectName(Dialect dialect) {
  return kNames[static_cast<int>(dialect)];
}

std::optional<Dialect> FindDialect(absl::string_view name) {
  for (int i = 0; i < 3; ++i) {
    if (kNames[i] == name) return static_cast<Dialect>(i);
  }
  return std::nullopt;
}

const DialectTraits& TraitsOf(Dialect dialect) {
  return kTraits[static_cast<int>(dialect)];
}

}  // namespace k8sdns::proxy
