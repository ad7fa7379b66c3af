// The names that kube-proxy gives to the chains of a service port: a prefix and
// 16 characters of base32(SHA-256(...)).
//
//   ChainNamer namer;
//   ChainHash h = namer.OfPort("kube-system/kube-dns:dns", Protocol::kUdp);
//   // "KUBE-SVC-" + h.text() is KUBE-SVC-TCOU7JCQXEZGVUNU
//
// Facts: portProtoHash and servicePortEndpointChainName in
// pkg/proxy/iptables/proxier.go.
#ifndef K8SDNS_PROXY_CHAIN_NAMES_H_
#define K8SDNS_PROXY_CHAIN_NAMES_H_

#include <array>
#include <cstddef>

#include "absl/strings/string_view.h"
#include "k8sdns/net/packet.h"

struct evp_md_ctx_st;
struct evp_md_st;

namespace k8sdns::proxy {

inline constexpr absl::string_view kServiceChainPrefix = "KUBE-SVC-";
inline constexpr absl::string_view kLocalChainPrefix = "KUBE-SVL-";
inline constexpr absl::string_view kExternalChainPrefix = "KUBE-EXT-";
inline constexpr absl::string_view kFirewallChainPrefix = "KUBE-FW-";
inline constexpr absl::string_view kEndpointChainPrefix = "KUBE-SEP-";
// 1.14 and before: external traffic with policy Local.
inline constexpr absl::string_view kXlbChainPrefix = "KUBE-XLB-";

// The 16 characters that make a chain name unique.
struct ChainHash {
  std::array<char, 16> characters = {};

  absl::string_view text() const { return {characters.data(), 16}; }
  friend bool operator==(const ChainHash&, const ChainHash&) = default;
};

// "tcp", "udp", "sctp".
absl::string_view LowerCaseName(Protocol protocol);

// Computes hashes. Holds the state of libcrypto that is costly to make anew
// for each hash: about 100 ns a hash with it. Not thread-safe; movable.
class ChainNamer {
 public:
  ChainNamer();
  ~ChainNamer();
  ChainNamer(ChainNamer&&) noexcept;
  ChainNamer& operator=(ChainNamer&&) noexcept;

  // `port_name` is "namespace/name:port", or "namespace/name" for a port
  // without a name.
  ChainHash OfPort(absl::string_view port_name, Protocol protocol);
  // `endpoint` is "10.0.0.1:80" or "[fd00::1]:80".
  ChainHash OfEndpoint(absl::string_view port_name, Protocol protocol,
                       absl::string_view endpoint);

 private:
  ChainHash Hash(absl::string_view a, absl::string_view b, absl::string_view c);

  evp_md_st* digest_ = nullptr;
  evp_md_ctx_st* context_ = nullptr;
};

}  // namespace k8sdns::proxy

#endif  // K8SDNS_PROXY_CHAIN_NAMES_H_
