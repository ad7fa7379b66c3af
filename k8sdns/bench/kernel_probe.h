// The real kernel as a yardstick: loads tables into a network namespace of
// its own and times the first packets of new flows. Nothing outside of that
// namespace is touched. Linux; needs root, iproute2 and iptables, for IPVS
// also ipset, ipvsadm and a kernel with IPVS.
#ifndef K8SDNS_BENCH_KERNEL_PROBE_H_
#define K8SDNS_BENCH_KERNEL_PROBE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "k8sdns/net/ip_address.h"
#include "k8sdns/net/packet.h"

namespace k8sdns::bench {

// What is loaded, as the tools read it; empty texts are not loaded.
struct KernelTables {
  std::string ipset;             // ipset restore
  std::string iptables;          // iptables-restore
  std::string ipvsadm;           // ipvsadm -R
  std::vector<IpAddress> bound;  // to lo
};

struct KernelTarget {
  SocketAddress address;
  Protocol protocol = Protocol::kTcp;
};

struct KernelTimes {
  double load_ms = 0;      // all tools together
  double no_rules_ns = 0;  // to targets[0] before anything was loaded
  // By target: the median of the first packets of new flows; nullopt for
  // protocols other than TCP and UDP.
  std::vector<std::optional<double>> first_packet_ns;
};

// What it was measured with: "Linux 6.1.0, iptables v1.8.9 (legacy)".
// Unavailable, with the reason, if it cannot be measured here.
absl::StatusOr<std::string> DescribeKernel();

// IPv4 alone. `client` is the address that packets come from. The error says
// which tool failed and what it said. Takes at most ten minutes.
absl::StatusOr<KernelTimes> MeasureKernel(
    const KernelTables& tables, const IpAddress& client,
    const std::vector<KernelTarget>& targets);

}  // namespace k8sdns::bench

#endif  // K8SDNS_BENCH_KERNEL_PROBE_H_
