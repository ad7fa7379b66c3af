// The same cluster under kube-proxy in iptables mode and in IPVS mode: where
// do packets fare differently?
//
//   absl::StatusOr<ModeComparison> c = CompareModes(cluster, options);
//   std::cout << c->ToString();
//
// For whoever moves from one mode to the other: behaviour, not rules, is
// compared. Each probe is one first packet of a flow, sent through both worlds
// there and back; only probes that end differently are reported.
#ifndef K8SDNS_JOURNEY_MODE_COMPARISON_H_
#define K8SDNS_JOURNEY_MODE_COMPARISON_H_

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/fabric/fabric.h"
#include "k8sdns/journey/trip.h"
#include "k8sdns/net/packet.h"

namespace k8sdns::journey {

struct ModeProbe {
  std::string what;  // "default/web:http, cluster IP, from pod default/a"
  fabric::Place from;
  Packet packet;
};

// One of the things that may become of a probe.
struct ModeEnding {
  double probability = 1;
  Trip::Fate fate = Trip::Fate::kArrives;
  std::string where;         // the receiver, or the reason
  bool masqueraded = false;  // the receiver does not see the sender's address
  bool reply_arrives = false;

  std::string ToString() const;
};

struct ModeBehaviour {
  std::vector<ModeEnding> endings;  // sorted, each different
  // The last rule that it met where it did not arrive; "" if there was none.
  std::string decided_by;

  std::string ToString() const;
};

struct ModeDifference {
  ModeProbe probe;
  ModeBehaviour iptables;
  ModeBehaviour ipvs;
};

struct ModeComparison {
  size_t probes = 0;   // sent
  size_t skipped = 0;  // beyond ModeComparisonOptions::max_probes
  std::vector<ModeDifference> differences;

  std::string ToString() const;
};

struct ModeComparisonOptions {
  WorldOptions world;  // its proxy.mode is not looked at
  size_t max_probes = 10'000;
};

// Probes of every service port: its cluster IP (also by ping, and at a port
// that is not the Service's), external IPs, load balancer addresses, node ports
// (also at 127.0.0.1); from a Pod, from an endpoint of its own, from a node and
// from outside; on a node with a ready endpoint and on one without. Outside
// clients are 203.0.113.7 and 2001:db8::7 (RFC 5737, RFC 3849), and one inside
// each first source range.
std::vector<ModeProbe> ProbesOf(const Cluster& cluster);

// Errors are those of World. Two kube-proxies and a node's rules are compiled
// for every node that a probe meets.
absl::StatusOr<ModeComparison> CompareModes(
    const Cluster& cluster, const ModeComparisonOptions& options);
absl::StatusOr<ModeComparison> CompareModes(
    const Cluster& cluster, const ModeComparisonOptions& options,
    std::span<const ModeProbe> probes);

}  // namespace k8sdns::journey

#endif  // K8SDNS_JOURNEY_MODE_COMPARISON_H_
