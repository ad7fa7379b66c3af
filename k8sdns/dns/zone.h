// What the cluster's DNS server answers: CoreDNS 1.12 with its `kubernetes`
// plugin, or kube-dns 1.26, for a snapshot of a cluster.
//
//   CoreDnsOptions options;
//   options.pods = CoreDnsOptions::Pods::kInsecure;
//   options.fallthrough = {"in-addr.arpa", "ip6.arpa"};
//   absl::StatusOr<Zone> zone = Zone::Create(cluster, options, upstream);
//   absl::StatusOr<DnsResponse> reply = zone->Answer(
//       {.name = "web.prod.svc.cluster.local.", .type = RecordType::kA});
//
// A Zone is immutable and keeps what it needs of the cluster; const calls are
// thread-safe (as far as the Upstream is). Creating it takes time linear in the
// number of Services and endpoints; an answer does not depend on them, but on
// the number of endpoints of the Service asked for (a wildcard question to
// kube-dns visits what the wildcard stands for).
//
// Where a server keeps records in a map and so answers in random order, a Zone
// answers in the order of the API's objects.
//
// Facts: CoreDNS 1.12 plugin/kubernetes, plugin/autopath, plugin/etcd/msg and
// request; kube-dns 1.26 pkg/dns with its SkyDNS server.
#ifndef K8SDNS_DNS_ZONE_H_
#define K8SDNS_DNS_ZONE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/dns/message.h"
#include "k8sdns/net/ip_address.h"

namespace k8sdns::dns {

// Answers what the server forwards: names outside its zones, and what falls
// through. See ForwardTable (forward_table.h) for one made of records. The
// name is normalised.
using Upstream = std::function<DnsResponse(const DnsQuestion&)>;

// The `kubernetes` plugin's options; the defaults are the plugin's own (a
// cluster made by kubeadm sets pods, ttl and fallthrough).
struct CoreDnsOptions {
  enum class Pods { kDisabled, kInsecure, kVerified };

  std::vector<std::string> zones = {"cluster.local"};
  // Reverse zones by name or by CIDR ("10.96.0.0/16").
  std::vector<std::string> reverse_zones = {"in-addr.arpa", "ip6.arpa"};
  Pods pods = Pods::kDisabled;
  uint32_t ttl = 5;  // seconds, 0..3600
  // Zones in which a name that does not exist goes on to the upstream; "."
  // stands for all (`fallthrough` without arguments).
  std::vector<std::string> fallthrough = {};
  std::vector<std::string> namespaces = {};  // empty: all that exist
  std::string labels = "";  // label selector of Services, slices and Pods
  std::string namespace_labels = "";  // label selector of Namespaces
  bool endpoint_pod_names = false;
  bool no_endpoints = false;
  bool ignore_empty_service = false;

  // The plugin `autopath @kubernetes`; needs Pods::kVerified to do anything.
  bool autopath = false;
  // The search list of the server's own /etc/resolv.conf, for autopath.
  std::vector<std::string> autopath_search = {};

  // The addresses of the host or Pod that the server runs in, without loopback;
  // NS records come from the Services behind which they stand. With the plugin
  // `bind`, CoreDNS 1.12 does not find them: leave this empty then.
  std::vector<IpAddress> server_addresses = {};
};

// kube-dns answers with a TTL of 30 s, whatever its flags. Federations are not
// modelled.
struct KubeDnsOptions {
  std::string domain = "cluster.local";
};

class Zone {
 public:
  // Errors (kInvalidArgument): a zone that is not a domain name or CIDR, no
  // zone at all, a TTL out of range, a label selector that cannot be read,
  // `namespaces` together with `namespace_labels`. Without an upstream,
  // forwarded questions get SERVFAIL.
  static absl::StatusOr<Zone> Create(const Cluster& cluster,
                                     const CoreDnsOptions& options,
                                     Upstream upstream = nullptr);
  static absl::StatusOr<Zone> Create(const Cluster& cluster,
                                     const KubeDnsOptions& options,
                                     Upstream upstream = nullptr);

  Zone(Zone&&) noexcept;
  Zone& operator=(Zone&&) noexcept;
  ~Zone();

  // The reply to one question. The final dot of its name may be missing. An
  // error (kInvalidArgument) if the name cannot be put into a message: an empty
  // label, one over 63 bytes, more than 255 bytes in all.
  absl::StatusOr<DnsResponse> Answer(const DnsQuestion& question) const;

  // Private to k8sdns/dns.
  class Server;

 private:
  explicit Zone(std::unique_ptr<const Server> server);

  std::unique_ptr<const Server> server_;
};

}  // namespace k8sdns::dns

#endif  // K8SDNS_DNS_ZONE_H_
