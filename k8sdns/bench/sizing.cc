#include "k8sdns/bench/sizing.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "k8sdns/bench/cpu_time.h"
#include "k8sdns/bench/flow_cost.h"
#include "k8sdns/bench/kernel_probe.h"
#include "k8sdns/bench/mode_tables.h"

#ifdef __GLIBC__
#include <malloc.h>
#if __GLIBC_PREREQ(2, 33)
#define K8SDNS_BENCH_HAS_MALLINFO2
#endif
#endif

namespace k8sdns::bench {
namespace {

// The Pods of generated clusters.
constexpr char kGeneratedPods[] = "10.128.0.0/9";
// Slices that are changed and changed back.
constexpr size_t kChanges = 64;
// An address that no generated cluster has.
constexpr char kNewEndpoint[] = "10.254.7.7";

// Bytes in use on the heap; 0 where that is not known.
size_t HeapBytes() {
#ifdef K8SDNS_BENCH_HAS_MALLINFO2
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
#else
  return 0;
#endif
}

size_t Since(size_t before) {
  const size_t now = HeapBytes();
  return now > before ? now - before : 0;
}

absl::string_view ModeName(ProxyMode mode) {
  return mode == ProxyMode::kIpvs ? "ipvs" : "iptables";
}

std::string DescribeShape(const testing::ClusterShape& shape) {
  std::string out = absl::StrCat(
      "generated clusters, ", shape.endpoints_per_service,
      " endpoints a Service",
      shape.zipf ? absl::StrCat(" on average (Zipf ", *shape.zipf, ")") : "");
  if (shape.ports_per_service > 1) {
    absl::StrAppend(&out, ", ", shape.ports_per_service, " ports");
  }
  return absl::StrCat(out, ", seed ", shape.seed);
}

// Slices with one endpoint replaced, and as they were.
struct Changes {
  std::vector<WatchEvent> changed;
  std::vector<WatchEvent> original;
};

Changes MakeChanges(const Cluster& cluster) {
  Changes changes;
  const size_t stride = cluster.endpoint_slices().size() / kChanges + 1;
  size_t i = 0;
  for (const EndpointSlice& slice : cluster.endpoint_slices()) {
    if (i++ % stride != 0 || slice.endpoints.empty() ||
        slice.address_type != AddressType::kIpv4) {
      continue;
    }
    EndpointSlice other = slice;
    Endpoint& replaced = other.endpoints[other.endpoints.size() / 2];
    if (replaced.addresses.empty()) continue;
    replaced.addresses[0] = kNewEndpoint;
    changes.original.push_back({WatchEvent::Type::kPut, slice});
    changes.changed.push_back({WatchEvent::Type::kPut, std::move(other)});
  }
  return changes;
}

void CountTables(const NodeTables& tables, SizingRow& row) {
  for (const auto& rules : tables.rules) {
    row.rules += rules->rule_count();
    for (netfilter::TableId id : rules->tables()) {
      row.chains += rules->table(id)->chain_count();
    }
  }
  row.entries = row.rules;
  tables.servers.ForEach([&](const ipvs::VirtualServer& server) {
    row.entries += 1 + server.real_servers.size();
  });
  row.entries += tables.set_members;
}

// One run over all sizes and modes.
class Run {
 public:
  Run(const SizingOptions& options, SizingReport& report)
      : options_(options), report_(report) {
    const size_t clusters =
        options.cluster != nullptr ? 1 : options.services.size();
    total_ = clusters * (options.modes.size() * kStepsOfMode + 1);
  }

  absl::Status OfCluster(const Cluster& cluster, size_t object_bytes) {
    KubeProxyConfig config = options_.config;
    if (config.hostname_override.empty() && cluster.nodes().size() > 0) {
      config.hostname_override = cluster.nodes().begin()->metadata.name;
    }
    if (config.cluster_cidr.empty() && options_.cluster == nullptr) {
      config.cluster_cidr = kGeneratedPods;
    }
    const std::vector<ServiceTarget> targets = FindTargets(cluster);
    const Changes changes = MakeChanges(cluster);
    for (ProxyMode mode : options_.modes) {
      SizingRow& row = report_.rows.emplace_back();
      row.mode = std::string(ModeName(mode));
      row.services = cluster.services().size();
      row.nodes = cluster.nodes().size();
      for (const EndpointSlice& slice : cluster.endpoint_slices()) {
        row.endpoints += slice.endpoints.size();
      }
      row.object_bytes = object_bytes;
      config.mode = mode;
      const absl::Status status =
          OfMode(cluster, config, targets, changes, row);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  void Step(absl::string_view step) {
    if (options_.progress) options_.progress(step, done_, total_);
    ++done_;
  }

 private:
  static constexpr size_t kStepsOfMode = 6;

  absl::Status OfMode(const Cluster& cluster, const KubeProxyConfig& config,
                      const std::vector<ServiceTarget>& targets,
                      const Changes& changes, SizingRow& row) {
    const std::unique_ptr<ModeTables> tables = MakeModeTables(config.mode);
    const size_t before = HeapBytes();
    StepOf(row, "compile");
    if (absl::Status s = Compile(cluster, config, *tables, row); !s.ok()) {
      return s;
    }
    StepOf(row, "compile again");
    row.recompile_ns = MedianTime([&] { tables->Print(); });
    row.text_bytes = tables->text_bytes();
    StepOf(row, "read back");
    absl::Status parsed;
    row.parse_ns = MedianTime([&] { parsed = tables->Parse(); });
    if (!parsed.ok()) Note(row, parsed.message());
    absl::StatusOr<NodeTables> for_node = tables->Tables();
    if (!for_node.ok()) return for_node.status();
    row.table_bytes = Since(before + row.text_bytes);
    CountTables(*for_node, row);
    const KernelTables for_kernel =
        options_.kernel ? tables->ForKernel() : KernelTables();
    StepOf(row, "change");
    Change(changes, *tables, row);
    tables->Drop();
    StepOf(row, "new flows");
    Flows(*std::move(for_node), cluster, config, targets, row);
    StepOf(row, "kernel");
    if (options_.kernel) Kernel(for_kernel, cluster, config, targets, row);
    return absl::OkStatus();
  }

  void StepOf(const SizingRow& row, absl::string_view step) {
    Step(absl::StrCat(row.services, " services, ", row.mode, ": ", step));
  }

  static void Note(SizingRow& row, absl::string_view text) {
    absl::StrAppend(&row.note, row.note.empty() ? "" : "; ", text);
  }

  template <typename Work>
  double MedianTime(Work&& work) const {
    std::vector<double> times;
    for (int i = 0; i < options_.repetitions; ++i) {
      const double begin = CpuNs();
      work();
      times.push_back(CpuNs() - begin);
    }
    return Median(std::move(times));
  }

  absl::Status Compile(const Cluster& cluster, const KubeProxyConfig& config,
                       ModeTables& tables, SizingRow& row) const {
    std::vector<double> times;
    for (int i = 0; i < options_.repetitions; ++i) {
      tables.Drop();  // not timed
      const double begin = CpuNs();
      const absl::Status status =
          tables.Compile(cluster, config, options_.dialect);
      if (!status.ok()) return status;
      tables.Print();
      times.push_back(CpuNs() - begin);
    }
    row.compile_ns = Median(std::move(times));
    return absl::OkStatus();
  }

  void Change(const Changes& changes, ModeTables& tables,
              SizingRow& row) const {
    if (changes.changed.empty()) {
      Note(row, "no EndpointSlice to change");
      return;
    }
    // Each round ends as it began.
    const double time = MedianTime([&] {
      for (const WatchEvent& event : changes.changed) tables.Apply(event);
      for (const WatchEvent& event : changes.original) tables.Apply(event);
    });
    row.change_ns = time / static_cast<double>(2 * changes.changed.size());
  }

  void Flows(NodeTables tables, const Cluster& cluster,
             const KubeProxyConfig& config,
             const std::vector<ServiceTarget>& targets, SizingRow& row) const {
    if (targets.empty()) {
      Note(row, "no Service with a cluster IP");
      return;
    }
    const NodeUnderTest node(std::move(tables), cluster, config);
    std::string note;
    const auto measure = [&](const ServiceTarget& target) {
      return node.Measure(target, options_.repetitions, note);
    };
    row.first = measure(targets.front());
    row.median = measure(targets[(targets.size() - 1) / 2]);
    row.last = measure(targets.back());
    if (!note.empty()) Note(row, note);
  }

  void Kernel(const KernelTables& tables, const Cluster& cluster,
              const KubeProxyConfig& config,
              const std::vector<ServiceTarget>& targets, SizingRow& row) {
    if (report_.kernel.empty()) {
      absl::StatusOr<std::string> kernel = DescribeKernel();
      if (!kernel.ok()) {
        Note(row, absl::StrCat("kernel: ", kernel.status().message()));
        return;
      }
      report_.kernel = *std::move(kernel);
    }
    std::vector<KernelTarget> probes;
    if (!targets.empty()) {
      for (const size_t i :
           {size_t{0}, (targets.size() - 1) / 2, targets.size() - 1}) {
        if (targets[i].address.address.family() != IpFamily::kIpv4) {
          Note(row, "kernel: only IPv4 Services are measured");
          return;
        }
        probes.push_back({targets[i].address, targets[i].protocol});
      }
    }
    absl::StatusOr<KernelTimes> times = MeasureKernel(
        tables, ClientAddress(cluster, config, IpFamily::kIpv4), probes);
    if (!times.ok()) {
      Note(row, absl::StrCat("kernel: ", times.status().message()));
      return;
    }
    row.kernel.load_ms = times->load_ms;
    if (times->first_packet_ns.size() == 3) {
      row.kernel.no_rules_ns = times->no_rules_ns;
      row.kernel.first_ns = times->first_packet_ns[0];
      row.kernel.median_ns = times->first_packet_ns[1];
      row.kernel.last_ns = times->first_packet_ns[2];
    }
  }

  const SizingOptions& options_;
  SizingReport& report_;
  size_t done_ = 0;
  size_t total_ = 0;
};

absl::Status CheckOptions(const SizingOptions& options) {
  if (options.repetitions < 1) {
    return absl::InvalidArgumentError("repetitions: expected at least 1");
  }
  for (ProxyMode mode : options.modes) {
    if (mode == ProxyMode::kNftables) {
      return absl::InvalidArgumentError("there is no mode nftables here yet");
    }
  }
  if (options.cluster != nullptr) return absl::OkStatus();
  for (size_t services : options.services) {
    testing::ClusterShape shape = options.shape;
    shape.services = services;
    const absl::Status status = testing::CheckShape(shape);
    if (!status.ok()) return status;
    const size_t bytes = EstimateBytes(shape);
    if (bytes > options.max_memory_bytes) {
      return absl::ResourceExhaustedError(absl::StrCat(
          services, " Services with ", testing::EstimateSize(shape).endpoints,
          " endpoints take about ", bytes >> 20, " MiB, more than the ",
          options.max_memory_bytes >> 20, " MiB allowed"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

size_t EstimateBytes(const testing::ClusterShape& shape) {
  const testing::ShapeSize size = testing::EstimateSize(shape);
  // The largest resident set of `k8sdns bench` in both modes: fitted to
  // clusters of 1,000 to 100,000 Services with 1 to 100 endpoints, which it
  // meets within a tenth.
  constexpr size_t kProgram = size_t{16} << 20;
  const auto ports = static_cast<size_t>(shape.ports_per_service);
  return kProgram + size.memory_bytes +
         ports * (size.services * 2400 + size.endpoints * 760);
}

absl::StatusOr<SizingReport> RunSizing(const SizingOptions& options) {
  if (absl::Status status = CheckOptions(options); !status.ok()) return status;
  SizingReport report;
  Run run(options, report);
  if (options.cluster != nullptr) {
    report.source = options.cluster_name;
    run.Step("own cluster");
    const absl::Status status = run.OfCluster(*options.cluster, 0);
    if (!status.ok()) return status;
    return report;
  }
  report.source = DescribeShape(options.shape);
  for (size_t services : options.services) {
    testing::ClusterShape shape = options.shape;
    shape.services = services;
    run.Step(absl::StrCat(services, " services: generate"));
    const size_t before = HeapBytes();
    const Cluster cluster = testing::GenerateCluster(shape);
    const absl::Status status = run.OfCluster(cluster, Since(before));
    if (!status.ok()) return status;
  }
  return report;
}

}  // namespace k8sdns::bench
