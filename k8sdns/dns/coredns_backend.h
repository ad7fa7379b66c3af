// What CoreDNS' `kubernetes` plugin finds for a name, before it is made into
// records. Private to k8sdns/dns. Facts: CoreDNS 1.12 plugin/kubernetes.
#ifndef K8SDNS_DNS_COREDNS_BACKEND_H_
#define K8SDNS_DNS_COREDNS_BACKEND_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"
#include "k8sdns/dns/coredns_index.h"
#include "k8sdns/dns/message.h"
#include "k8sdns/net/ip_address.h"

namespace k8sdns::dns {

// One thing found (msg.Service in CoreDNS).
struct Hit {
  // An address or a name, as an object of the index has it; empty if the
  // address comes from elsewhere.
  absl::string_view host;
  std::optional<IpAddress> address;  // the host's, if it is one
  int32_t port = 0;                  // -1: it has none
  // The name under which an address is known, for SRV, NS and PTR records;
  // otherwise filled in only where it is asked for.
  std::string target;
};

struct Hits {
  // The name does not exist. Without it, no items mean that the name exists
  // but has nothing of the type.
  bool name_error = false;
  absl::InlinedVector<Hit, 1> items;

  static Hits NameError() { return {true, {}}; }
};

// A question on its way through the plugin.
struct ZoneQuestion {
  absl::string_view qname;  // as asked
  std::string name;         // in lower case
  RecordType type;
  absl::string_view zone;  // the matching zone, in the case of qname

  ZoneQuestion(absl::string_view qname, RecordType type,
               absl::string_view zone);
  // CoreDNS compares the lower-case name with the zone as asked.
  bool IsApex() const { return name == zone; }
};

class CoreDnsBackend {
 public:
  // `options` are checked and their zones normalised; `primary_zone` is the
  // first one.
  CoreDnsBackend(CoreDnsOptions options, std::string primary_zone,
                 CoreDnsIndex index);

  const CoreDnsOptions& options() const { return options_; }

  // All types but PTR and TXT.
  Hits Services(const ZoneQuestion& question, bool with_targets) const;
  // The text of a TXT question's answer in `host`.
  Hits Text(const ZoneQuestion& question) const;
  // The targets of PTR records.
  Hits Reverse(const ZoneQuestion& question) const;
  // The zone's name servers: targets with addresses.
  Hits NameServers(absl::string_view zone) const;
  // The namespace of the Pod that has the address, for autopath.
  std::optional<absl::string_view> NamespaceOfClient(
      const IpAddress& client) const;

 private:
  struct Parsed;

  Hits Records(const ZoneQuestion& question, bool with_targets) const;
  Hits FindPods(const Parsed& parsed, const ZoneQuestion& question,
                bool with_targets) const;
  Hits FindServices(const Parsed& parsed, absl::string_view zone,
                    bool with_targets) const;
  void FindClusterIps(const Parsed& parsed, absl::string_view zone,
                      const Service& service, bool with_targets,
                      Hits& hits) const;
  void FindEndpoints(const Parsed& parsed, absl::string_view zone,
                     const CoreDnsIndex::ServiceEntry& entry, bool with_targets,
                     Hits& hits) const;
  bool IsExposed(absl::string_view namespace_) const;
  std::string EndpointName(const Endpoint& endpoint,
                           absl::string_view address) const;

  CoreDnsOptions options_;
  std::string primary_zone_;
  absl::flat_hash_set<std::string> exposed_;  // options_.namespaces
  CoreDnsIndex index_;
};

}  // namespace k8sdns::dns

#endif  // K8SDNS_DNS_COREDNS_BACKEND_H_
