// EndpointSlice (discovery.k8s.io/v1) and Endpoints (core/v1): which addresses
// stand behind a Service.
//
//   Endpoint endpoint;
//   endpoint.addresses = {"10.244.1.5"};
//   EndpointSlice slice;
//   slice.metadata.labels["kubernetes.io/service-name"] = "web";
//   slice.endpoints.push_back(endpoint);
//
// A cluster has a hundred thousand of their elements;
// hence the types of their fields: SharedText is used like a std::string that
// is replaced, not changed, and Boxed like a std::optional.
#ifndef K8SDNS_CLUSTER_ENDPOINTS_H_
#define K8SDNS_CLUSTER_ENDPOINTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"
#include "k8sdns/cluster/boxed.h"
#include "k8sdns/cluster/object_arena.h"
#include "k8sdns/cluster/object_meta.h"
#include "k8sdns/cluster/shared_text.h"
#include "k8sdns/net/packet.h"

namespace k8sdns {

inline constexpr char kServiceNameLabel[] = "kubernetes.io/service-name";
inline constexpr char kSliceManagedByLabel[] =
    "endpointslice.kubernetes.io/managed-by";
inline constexpr char kServiceProxyNameLabel[] =
    "service.kubernetes.io/service-proxy-name";
inline constexpr char kHeadlessLabel[] = "service.kubernetes.io/headless";

enum class AddressType { kIpv4, kIpv6, kFqdn };

struct ObjectReference {
  SharedText kind;
  SharedText namespace_;
  SharedText name;
  SharedText uid;

  friend bool operator==(const ObjectReference&,
                         const ObjectReference&) = default;
};

// One endpoint of an EndpointSlice.
struct Endpoint {
  // The API allows several; consumers use the first only.
  absl::InlinedVector<SharedText, 1> addresses;
  // conditions; unset has the meaning the API gives it: ready counts as true,
  // serving as `ready`, terminating as false.
  std::optional<bool> ready;
  std::optional<bool> serving;
  std::optional<bool> terminating;
  Boxed<std::string> hostname;
  std::optional<SharedText> node_name;
  std::optional<SharedText> zone;
  std::optional<ObjectReference> target_ref;
  // hints.forZones; unset: no hints.
  Boxed<std::vector<std::string>> hints_for_zones;
  // hints.forNodes (Kubernetes 1.33 and later).
  Boxed<std::vector<std::string>> hints_for_nodes;
  Boxed<StringMap> deprecated_topology;

  bool IsReady() const { return ready.value_or(true); }
  bool IsServing() const { return serving.value_or(IsReady()); }
  bool IsTerminating() const { return terminating.value_or(false); }

  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

struct EndpointPort {
  // Unset and "" are both the unnamed port.
  std::optional<std::string> name;
  std::optional<Protocol> protocol;  // unset: TCP
  std::optional<int32_t> port;       // unset: all ports (kube-proxy skips it)
  std::optional<std::string> app_protocol;

  friend bool operator==(const EndpointPort&, const EndpointPort&) = default;
};

// Used like a std::vector<Endpoint>.
using EndpointList = std::vector<Endpoint, ArenaAllocator<Endpoint>>;

struct EndpointSlice {
  ObjectMeta metadata;
  AddressType address_type = AddressType::kIpv4;
  EndpointList endpoints;
  std::vector<EndpointPort> ports;

  // The Service it belongs to, in the same namespace; empty if unlabelled.
  absl::string_view ServiceName() const {
    return Find(metadata.labels, kServiceNameLabel);
  }

  friend bool operator==(const EndpointSlice&, const EndpointSlice&) = default;
};

struct EndpointAddress {
  std::string ip;
  std::string hostname;
  std::optional<SharedText> node_name;
  std::optional<ObjectReference> target_ref;

  friend bool operator==(const EndpointAddress&,
                         const EndpointAddress&) = default;
};

struct EndpointSubset {
  std::vector<EndpointAddress> addresses;
  std::vector<EndpointAddress> not_ready_addresses;
  std::vector<EndpointPort> ports;

  friend bool operator==(const EndpointSubset&,
                         const EndpointSubset&) = default;
};

// The legacy object; it has the name of its Service.
struct Endpoints {
  ObjectMeta metadata;
  std::vector<EndpointSubset> subsets;

  friend bool operator==(const Endpoints&, const Endpoints&) = default;
};

}  // namespace k8sdns

#endif  // K8SDNS_CLUSTER_ENDPOINTS_H_
