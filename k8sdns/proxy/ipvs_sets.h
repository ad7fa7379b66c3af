// The ipsets that kube-proxy keeps in IPVS mode, and what they hold.
//
//   for (const KubeSetContents& set : compiler->Sets()) {
//     std::cout << set.name << " " << set.members.size() << "\n";
//   }
//
// A member may come from several service ports (two services of the same
// Pods); it is counted, so that it goes when the last of them goes.
//
// Facts: pkg/proxy/ipvs/ipset.go and pkg/proxy/ipvs/ipset of Kubernetes 1.30,
// pkg/util/ipset of 1.14.
#ifndef K8SDNS_PROXY_IPVS_SETS_H_
#define K8SDNS_PROXY_IPVS_SETS_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "k8sdns/net/ip_address.h"
#include "k8sdns/net/packet.h"
#include "k8sdns/proxy/dialect.h"

namespace k8sdns::proxy {

enum class KubeSet : uint8_t {
  kLoopBack,
  kClusterIp,
  kExternalIp,
  kExternalIpLocal,
  kLoadBalancer,
  kLoadBalancerFw,
  kLoadBalancerLocal,
  kSourceIp,
  kSourceCidr,
  kNodePortTcp,
  kNodePortLocalTcp,
  kNodePortUdp,
  kNodePortLocalUdp,
  kNodePortSctp,
  kNodePortLocalSctp,
  kHealthCheckNodePort,
  kIpvsIps,
};
inline constexpr int kKubeSets = 17;

enum class KubeSetType : uint8_t {
  kHashIp,         // hash:ip
  kHashIpPort,     // hash:ip,port
  kHashIpPortIp,   // hash:ip,port,ip
  kHashIpPortNet,  // hash:ip,port,net
  kBitmapPort,     // bitmap:port
};

// The default of ipset(8), which kube-proxy uses.
inline constexpr size_t kMaxSetMembers = 65536;

// What a version has of a set. An empty name: the version does not have it.
struct KubeSetInfo {
  std::string name;  // at most 31 characters
  KubeSetType type;
  absl::string_view comment;  // on the rules that name it
};
KubeSetInfo DescribeSet(KubeSet set, IpFamily family,
                        const DialectTraits& traits);
KubeSetType TypeOfSet(KubeSet set, const DialectTraits& traits);
// How many flags (src or dst) a match of the type has.
int Dimensions(KubeSetType type);

// A member. Fields that the type lacks are left at their defaults.
struct KubeSetMember {
  IpAddress ip;
  uint16_t port = 0;
  Protocol protocol = Protocol::kAny;
  IpPrefix net;  // hash:ip,port,ip: a host prefix

  friend auto operator<=>(const KubeSetMember&, const KubeSetMember&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const KubeSetMember& m) {
    const uint32_t rest = uint32_t{m.port} |
                          static_cast<uint32_t>(m.protocol) << 16 |
                          static_cast<uint32_t>(m.net.length()) << 24;
    h = H::combine(std::move(h), m.ip, rest);
    // Few sets have it.
    return rest >> 24 == 0 ? std::move(h) : H::combine(std::move(h), m.net);
  }
};

// "10.96.0.1,tcp:443", "30080", ...
void AppendMember(KubeSetType type, const KubeSetMember& member,
                  std::string& out);
// The same to `out`, which has room for kMaxMemberText bytes; returns the end.
inline constexpr size_t kMaxMemberText = 2 * IpAddress::kMaxTextSize + 32;
char* WriteMember(KubeSetType type, const KubeSetMember& member, char* out);

// ipset cannot store a network of length 0.
inline bool IsRefused(KubeSetType type, const KubeSetMember& member) {
  return type == KubeSetType::kHashIpPortNet && member.net.length() == 0;
}

// A set with its members counted.
class CountedSet {
 public:
  // True if the member was not there before.
  bool Add(const KubeSetMember& member);
  // True if it is not there any more.
  bool Remove(const KubeSetMember& member);
  bool Contains(const KubeSetMember& member) const {
    return counts_.contains(member);
  }

  // Asks for the memory that Add() will write to.
  void Prefetch(const KubeSetMember& member) const { counts_.prefetch(member); }
  void Reserve(size_t members) { counts_.reserve(members); }

  // kube-proxy writes rules for the set if it wants anything in it.
  bool wanted_empty() const { return counts_.empty(); }
  // What ipset takes, sorted; what is beyond kMaxSetMembers is refused.
  std::vector<KubeSetMember> Members(KubeSetType type) const;
  size_t size() const { return counts_.size(); }
  void Clear() { counts_.clear(); }

 private:
  absl::flat_hash_map<KubeSetMember, uint32_t> counts_;
};

}  // namespace k8sdns::proxy

#endif  // K8SDNS_PROXY_IPVS_SETS_H_
