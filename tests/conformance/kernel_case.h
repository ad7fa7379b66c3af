// One case of the kernel recordings: its node, rules and sets, and its probes
// as packets.
#ifndef K8SDNS_TESTS_CONFORMANCE_KERNEL_CASE_H_
#define K8SDNS_TESTS_CONFORMANCE_KERNEL_CASE_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "k8sdns/dataplane/node_dataplane.h"
#include "k8sdns/ipvs/virtual_server.h"
#include "tests/conformance/yaml_value.h"

namespace k8sdns::conformance {

struct KernelCase {
  IpFamily family = IpFamily::kIpv4;
  std::shared_ptr<const netfilter::Ruleset> rules;
  dataplane::NodeConfig node;
  dataplane::IpSets sets;
  std::optional<ipvs::Table> ipvs;
  YamlValue probes;  // the list of probes.yaml
};

// Reads rules.txt, ipsets.txt, ipvs.txt, topology.yaml and probes.yaml of a
// folder.
absl::StatusOr<KernelCase> ReadKernelCase(const std::string& folder);

// The packets that a probe sends.
struct ProbePacket {
  dataplane::Arrival arrival;
  std::string id;
};

// The n-th packet of a probe, n from 0.
dataplane::Arrival ProbeArrival(const YamlValue& probe, IpFamily family, int n);
// Another packet of the same flow. `acknowledged` is the sequence number that
// the receiver answered with, 0 if it did not.
dataplane::Arrival SecondArrival(const dataplane::Arrival& first,
                                 const dataplane::Outcome& outcome,
                                 bool answered);
// What the receiver answers; it comes in by the interface that the packet
// left by.
dataplane::Arrival ReplyArrival(const dataplane::Outcome& outcome);
// An ICMP error of the receiver: the packet was too big.
dataplane::Arrival ErrorArrival(const dataplane::Outcome& outcome);

}  // namespace k8sdns::conformance

#endif  // K8SDNS_TESTS_CONFORMANCE_KERNEL_CASE_H_
