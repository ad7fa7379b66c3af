// Which endpoints stand behind a service port, and which of them this node
// uses: readiness and its fallback to terminating endpoints, traffic policies,
// topology hints.
//
// Three steps, so that a compiler can keep the results of each:
//   ReadSlice / ReadEndpoints   an API object to a compact form
//   MergeEndpoints              the compact forms of a service, for one port,
//   to an
//                               EndpointList in kube-proxy's order
//   CategorizeEndpoints         an EndpointList to the lists used by policy
//
// Facts: pkg/proxy/{endpointslicecache,topology}.go of Kubernetes 1.30,
// pkg/proxy/endpoints.go of 1.14.
#ifndef K8SDNS_PROXY_ENDPOINT_SELECTION_H_
#define K8SDNS_PROXY_ENDPOINT_SELECTION_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"
#include "k8sdns/cluster/endpoints.h"
#include "k8sdns/net/ip_address.h"
#include "k8sdns/net/packet.h"
#include "k8sdns/proxy/arena.h"
#include "k8sdns/proxy/chain_names.h"
#include "k8sdns/proxy/finding.h"
#include "k8sdns/proxy/service_ports.h"

namespace k8sdns::proxy {

// The sets of zones or nodes that hints name, each kept once. Set 0 is the
// empty set: no hints.
class HintSets {
 public:
  HintSets() : contains_({0}) {}

  uint32_t Intern(const std::vector<std::string>& names);
  // The zone or node that Contains() asks for; "" is contained in no set.
  void SetOwn(absl::string_view own);
  bool Contains(uint32_t set) const { return contains_[set] != 0; }

 private:
  std::string own_;
  std::vector<std::vector<std::string>> sets_;  // without set 0
  std::vector<uint8_t> contains_;
  absl::flat_hash_map<std::string, uint32_t> by_key_;
};

// What a compiler keeps of an endpoint object: 32 bytes an endpoint.
struct CompactEndpoint {
  enum Flag : uint8_t {
    kReady = 1,
    kServing = 2,
    kTerminating = 4,
    kLocal = 8,  // on this node
  };
  IpAddress address;
  uint8_t flags = 0;
  uint32_t zone_hints = 0;  // HintSets
  uint32_t node_hints = 0;

  friend bool operator==(const CompactEndpoint&,
                         const CompactEndpoint&) = default;
};
struct CompactSlice {
  struct Port {
    std::string name;
    Protocol protocol = Protocol::kTcp;
    uint16_t number = 0;
    friend bool operator==(const Port&, const Port&) = default;
  };
  std::string name;
  absl::InlinedVector<Port, 1> ports;
  ArenaVector<CompactEndpoint> endpoints;
  // 1.14 and before: the addresses as written, where that is not the canonical
  // text (chain names are hashes of it). Else empty.
  std::vector<std::string> addresses_as_written;

  friend bool operator==(const CompactSlice&, const CompactSlice&) = default;
};

// What endpoints are read for.
struct EndpointReader {
  absl::string_view node_name;
  IpFamily family = IpFamily::kIpv4;
  ProxyFeatures features;
  HintSets* zone_hints = nullptr;
  HintSets* node_hints = nullptr;
  Findings* findings = nullptr;  // may be null
  Arena* arena = nullptr;        // for endpoints; null: the heap

  bool IsOfFamily(const EndpointSlice& slice) const {
    return slice.address_type == (family == IpFamily::kIpv4
                                      ? AddressType::kIpv4
                                      : AddressType::kIpv6);
  }
  // Reads a slice of the reader's family into `out` (whose memory is reused)
  // and returns the name of its Service. Nothing if kube-proxy does not look at
  // this slice: another address type, no service label.
  std::optional<absl::string_view> ReadSlice(const EndpointSlice& slice,
                                             CompactSlice& out) const;
  // The same for who knows slice.ServiceName() already; true if it was read.
  bool ReadSliceOf(absl::string_view service, const EndpointSlice& slice,
                   CompactSlice& out) const;
  // Reads the ready addresses of an Endpoints object, one CompactSlice a
  // subset.
  void ReadEndpoints(const Endpoints& endpoints,
                     std::vector<CompactSlice>& out) const;
};

// One endpoint of one service port.
struct EndpointInfo {
  ChainHash chain;  // filled by who needs it; first, so that it may be copied
                    // in a piece of 32 bytes
  IpAddress address;
  uint8_t flags = 0;  // CompactEndpoint::Flag
  uint16_t port = 0;
  uint32_t text_begin = 0;
  uint8_t text_size = 0;
  uint8_t address_size = 0;  // of the address in the text
  uint8_t use = 0;           // filled by who needs it
  uint32_t zone_hints = 0;
  uint32_t node_hints = 0;

  bool ready() const { return (flags & CompactEndpoint::kReady) != 0; }
  bool serving() const { return (flags & CompactEndpoint::kServing) != 0; }
  bool terminating() const {
    return (flags & CompactEndpoint::kTerminating) != 0;
  }
  bool local() const { return (flags & CompactEndpoint::kLocal) != 0; }
};

struct EndpointList {
  // Bytes behind the last text, so that texts may be copied in large pieces.
  static constexpr size_t kPadding = 32;

  ArenaVector<EndpointInfo> endpoints;
  ArenaVector<char> texts;
  // The same text comes twice (Endpoints objects only).
  bool has_duplicates = false;

  size_t size() const { return endpoints.size(); }
  // "10.0.0.1:80" or "[fd00::1]:80".
  absl::string_view text(const EndpointInfo& e) const {
    return {texts.data() + e.text_begin, e.text_size};
  }
  // "10.0.0.1", "fd00::1".
  absl::string_view address_text(const EndpointInfo& e) const {
    return {texts.data() + e.text_begin + (e.address.is_v6() ? 1 : 0),
            e.address_size};
  }
  void Clear() {
    endpoints.clear();
    texts.clear();
    has_duplicates = false;
  }
};

// The endpoints of port `name`/`protocol` in the slices of its service, into
// `out` (whose memory is reused). With endpoint slices: each text once (a
// local one wins, else the first), sorted bytewise by text. With Endpoints:
// all, in their order; the protocol is not looked at. `written`, if not null,
// gets the text that chain names are hashes of where it differs (1.14), by
// index; else it is left empty. `arena`, if not null, is where `out` takes the
// memory from that it lacks.
void MergeEndpoints(std::span<const CompactSlice> slices,
                    absl::string_view name, Protocol protocol,
                    const DialectTraits& traits, EndpointList& out,
                    std::vector<std::string>* written = nullptr,
                    Arena* arena = nullptr);

// The same with endpoint slices, but sorted by address and port, and without
// texts.
void MergeEndpointsByAddress(std::span<const CompactSlice> slices,
                             absl::string_view name, Protocol protocol,
                             EndpointList& out);

struct SelectedEndpoints {
  // Indexes into the EndpointList, ascending.
  std::vector<uint32_t> cluster;    // for policy Cluster
  std::vector<uint32_t> local;      // for policy Local
  std::vector<uint32_t> reachable;  // the union of both
  // Some endpoint, on whatever node, can be used.
  bool has_endpoints = false;
};

// CategorizeEndpoints of pkg/proxy/topology.go. `out`'s memory is reused. The
// HintSets must know the node's own zone and name.
void CategorizeEndpoints(const EndpointList& list, const ServicePortInfo& port,
                         const ProxyFeatures& features,
                         const HintSets& zone_hints, const HintSets& node_hints,
                         SelectedEndpoints& out);

}  // namespace k8sdns::proxy

#endif  // K8SDNS_PROXY_ENDPOINT_SELECTION_H_
