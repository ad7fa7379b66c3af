// A Pod asks for a name: the resolver of its C library, with the resolv.conf
// that the kubelet wrote, against the cluster's DNS server.
//
//   NameLookupWorld world{cluster, node_dns};
//   absl::StatusOr<NameLookup> lookup =
//       LookUpName(world, pod, "kube-dns.kube-system", {});
//   std::cout << lookup->ToString();
#ifndef K8SDNS_JOURNEY_NAME_LOOKUP_H_
#define K8SDNS_JOURNEY_NAME_LOOKUP_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/cluster/finding.h"
#include "k8sdns/dns/kubelet_dns.h"
#include "k8sdns/dns/resolver.h"
#include "k8sdns/dns/zone.h"
#include "k8sdns/net/packet.h"

namespace k8sdns::journey {

enum class DnsServerKind { kCoreDns, kKubeDns };

// What became of a query packet on its way to a name server.
struct Delivery {
  enum class Fate {
    kDelivered,    // to a Pod that serves the cluster's DNS
    kElsewhere,    // to something whose answers are not modelled
    kDropped,      // no answer: the resolver waits
    kUnreachable,  // refused at once
    kUnknown,      // a rule or a route that is not modelled decides
  };
  Fate fate = Fate::kDelivered;
  std::string where;  // "Pod kube-system/kube-dns-...", or the reason
};

struct NameLookupWorld {
  const Cluster& cluster;
  dns::NodeDns node_dns;  // of the Pod's node
  // Unset: told from the images of the Pods behind the DNS Service.
  std::optional<DnsServerKind> server = std::nullopt;
  // Unset: the Corefile that kubeadm writes.
  std::optional<dns::CoreDnsOptions> coredns = std::nullopt;
  // Answers what the server forwards. Without one such queries get SERVFAIL
  // and the step says that the answer is not known.
  dns::Upstream upstream = nullptr;
  // Carries each query; without one every query to a cluster DNS address
  // arrives.
  std::function<Delivery(const Packet&)> deliver = nullptr;
};

struct NameLookupOptions {
  dns::Library library = dns::Library::kGlibc2_36;
  dns::LookupFamily family = dns::LookupFamily::kUnspec;
};

struct LookupStep {
  dns::SentQuery query;
  Packet packet;
  Delivery delivery;
  // What came back, as text: "NXDOMAIN", "A 10.96.0.10 (TTL 30 s)", or
  // "no answer".
  std::string answer;
};

struct NameLookup {
  dns::PodDns settings;
  std::string resolv_conf;  // the Pod's file
  // Where each part of it comes from: "nameserver", "clusterDNS of the
  // kubelet".
  struct Origin {
    std::string line;
    std::string from;
  };
  std::vector<Origin> origins;
  DnsServerKind server = DnsServerKind::kCoreDns;
  dns::Library library = dns::Library::kGlibc2_36;
  std::vector<LookupStep> steps;
  dns::LookupResult result;
  double elapsed_seconds = 0;
  int packets = 0;  // LookupTranscript::PacketCount()

  std::string ToString() const;
};

// Which server the Pods behind the DNS Service run, by their images; CoreDNS if
// nothing tells.
DnsServerKind DetectDnsServer(const Cluster& cluster);

// The zone as such a server holds it: kube-dns, or CoreDNS with the Corefile
// that kubeadm writes.
absl::StatusOr<dns::Zone> MakeZone(const Cluster& cluster, DnsServerKind kind,
                                   const std::string& domain,
                                   dns::Upstream upstream = nullptr);

// NotFound if the Pod has no address; FailedPrecondition if the kubelet could
// not start it; InvalidArgument if the zone cannot be built.
absl::StatusOr<NameLookup> LookUpName(const NameLookupWorld& world,
                                      const Pod& pod, absl::string_view name,
                                      const NameLookupOptions& options);

// What of `names` this Pod's image would find with glibc and not with musl, and
// why (dns/musl-fails); the finding's object is the Pod. Errors as
// LookUpName().
absl::StatusOr<std::vector<Finding>> CheckNames(
    const NameLookupWorld& world, const Pod& pod,
    const std::vector<std::string>& names);

}  // namespace k8sdns::journey

#endif  // K8SDNS_JOURNEY_NAME_LOOKUP_H_
