// The names that kube-proxy gives to the chains of a service port: a prefix and
// 16 characters of base32(SHA-256(...)).
//
//   ChainNamer namer("kube-system/kube-dns:dns", Protocol::kUdp);
//   // "KUBE-SVC-" + namer.OfPort().text() is KUBE-SVC-TCOU7JCQXEZGVUNU
//
// Facts: portProtoHash and servicePortEndpointChainName in
// pkg/proxy/iptables/proxier.go.
#ifndef K8SDNS_PROXY_CHAIN_NAMES_H_
#define K8SDNS_PROXY_CHAIN_NAMES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>

#include "absl/strings/string_view.h"
#include "k8sdns/net/packet.h"
#include "k8sdns/proxy/chain_hash.h"

namespace k8sdns::proxy {

inline constexpr absl::string_view kServiceChainPrefix = "KUBE-SVC-";
inline constexpr absl::string_view kLocalChainPrefix = "KUBE-SVL-";
inline constexpr absl::string_view kExternalChainPrefix = "KUBE-EXT-";
inline constexpr absl::string_view kFirewallChainPrefix = "KUBE-FW-";
inline constexpr absl::string_view kEndpointChainPrefix = "KUBE-SEP-";
// 1.14 and before: external traffic with policy Local.
inline constexpr absl::string_view kXlbChainPrefix = "KUBE-XLB-";

// "tcp", "udp", "sctp".
absl::string_view LowerCaseName(Protocol protocol);

// Computes the hashes of one service port: a few nanoseconds to make, and one
// block of SHA-256 a hash where the text is shorter than 56 bytes, as most are.
// Many hashes are better made by a ChainNameBatch. Copyable; const functions
// are thread-safe.
class ChainNamer {
 public:
  // `port_name` is "namespace/name:port", or "namespace/name" for a port
  // without a name.
  ChainNamer(absl::string_view port_name, Protocol protocol);

  ChainHash OfPort() const { return OfEndpoint(""); }
  // `endpoint` is "10.0.0.1:80" or "[fd00::1]:80".
  ChainHash OfEndpoint(absl::string_view endpoint) const;

 private:
  friend class ChainNameBatch;
  static constexpr size_t kBlock = std::tuple_size_v<HashBlock>;

  // The whole message with its padding, if it fits one block.
  bool MakeBlock(absl::string_view endpoint, HashBlock& block) const;
  ChainHash OfLongText(absl::string_view endpoint) const;

  // What all texts begin with; in `long_start_` if it does not fit.
  HashBlock start_ = {};
  size_t start_size_ = 0;
  std::string long_start_;
};

// The same hashes, several one right after another, two at a time: half as
// long.
class ChainNameBatch {
 public:
  explicit ChainNameBatch(const ChainNamer& namer) : namer_(namer) {}
  ChainNameBatch(const ChainNameBatch&) = delete;
  ChainNameBatch& operator=(const ChainNameBatch&) = delete;
  ~ChainNameBatch() { Flush(); }

  // `*out` is set now or by Flush(). "" is the port itself.
  void Add(absl::string_view endpoint, ChainHash* out);
  void Flush();

 private:
  static constexpr size_t kSize = 12;

  const ChainNamer& namer_;
  size_t size_ = 0;
  std::array<ChainHash*, kSize> out_;
  std::array<HashBlock, kSize> blocks_;
};

}  // namespace k8sdns::proxy

#endif  // K8SDNS_PROXY_CHAIN_NAMES_H_
