// The sizing run: for clusters of growing size, what kube-proxy programs on a
// node in each mode, what it costs to make, change, read and traverse it, and
// how many rules the kernel looks at.
//
//   bench::SizingOptions options;
//   options.services = {10, 100, 1000};
//   absl::StatusOr<bench::SizingReport> report = bench::RunSizing(options);
//   std::cout << bench::PrintTable(*report);
//
// Counts are the same in every run; times are the machine's. Not thread-safe
// with respect to itself: memory is told from the heap of the process.
#ifndef K8SDNS_BENCH_SIZING_H_
#define K8SDNS_BENCH_SIZING_H_

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "k8sdns/bench/sizing_report.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/cluster/kube_proxy_config.h"
#include "k8sdns/proxy/dialect.h"
#include "k8sdns/testing/cluster_generator.h"

namespace k8sdns::bench {

struct SizingOptions {
  // ---- what is measured ----
  // A cluster of one's own, which must outlive the run; else one is generated
  // for each number of `services`, of the shape `shape`.
  const Cluster* cluster = nullptr;
  std::string cluster_name;  // for the report
  testing::ClusterShape shape;
  std::vector<size_t> services = {10, 100, 1000, 10'000};

  std::vector<ProxyMode> modes = {ProxyMode::kIptables, ProxyMode::kIpvs};
  // The mode is replaced by `modes`; an empty node name by the first node's,
  // and for generated clusters an empty cluster CIDR by theirs.
  KubeProxyConfig config;
  proxy::Dialect dialect = proxy::Dialect::kV1_30;

  // ---- how ----
  // Also load the tables into the real kernel; see kernel_probe.h. Where that
  // is not possible a row's note says why.
  bool kernel = false;
  int repetitions = 5;  // of which medians are taken; >= 1
  // Refuse what EstimateBytes() puts above it.
  size_t max_memory_bytes = size_t{8} << 30;
  // Called before each step of the run, `done` of `total` steps being behind.
  std::function<void(absl::string_view step, size_t done, size_t total)>
      progress;
};

// Memory that measuring this shape takes at its peak, roughly: the program, the
// objects, the tables in both forms, and what is read back.
size_t EstimateBytes(const testing::ClusterShape& shape);

// InvalidArgument for what CheckShape() or kube-proxy refuses, and for a mode
// that does not exist here; ResourceExhausted, with the estimate, for what
// would not fit. Nothing is measured then.
absl::StatusOr<SizingReport> RunSizing(const SizingOptions& options);

}  // namespace k8sdns::bench

#endif  // K8SDNS_BENCH_SIZING_H_
