// The ipsets of a node, as rules meet them: membership of a packet, and
// additions and deletions by the SET target. State of one node, as a value.
//
// Facts: Linux net/netfilter/ipset/*.c. Modelled: every type but the bitmaps
// of MAC addresses; `nomatch`, timeouts, netmask, markmask. Counters, comments
// and skbinfo are ignored.
#ifndef K8SDNS_DATAPLANE_IP_SETS_H_
#define K8SDNS_DATAPLANE_IP_SETS_H_

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/node_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "k8sdns/dataplane/node_packet.h"
#include "k8sdns/dataplane/set_elements.h"
#include "k8sdns/netfilter/ipset_save.h"

namespace k8sdns::dataplane {

enum class SetDimension : uint8_t {
  kIp,
  kNet,
  kPort,       // with its protocol
  kPlainPort,  // bitmap:port: TCP or UDP, whichever
  kMark,
  kInterface,
  kMac,
};

struct IpSet {
  // "hash:ip,port,net": see ParseSetType(). Empty for list:set.
  std::vector<SetDimension> dimensions;
  bool is_list = false;
  std::optional<IpFamily> family;  // nullopt: both (bitmap:port, list:set)
  uint8_t netmask = 0;             // prefix length; 0: not given
  std::optional<IpAddress> bitmask;
  uint32_t mark_mask = 0xffffffff;
  uint32_t timeout_s = 0;  // default of new elements; 0: none
  uint32_t max_elements = 65536;
  // Some interfaces are prefixes: they are kept as "name*".
  bool has_wildcards = false;
  std::vector<std::string> members;  // list:set, in order
  SetElements elements;
  // How many elements have each prefix length, by position of the address.
  std::array<std::map<int, int, std::greater<>>, 2> prefix_counts;

  void Add(const SetElement& element, const SetElementOptions& options);
  bool Remove(const SetElement& element);  // false: it was not there

  friend bool operator==(const IpSet&, const IpSet&) = default;
};

// Dimensions of "hash:ip,port"; nullopt for a type that is not known.
// list:set gives an empty vector.
std::optional<std::vector<SetDimension>> ParseSetType(absl::string_view type);

// What of a packet a set looks at.
struct SetQuery {
  const NodePacket* packet = nullptr;
  IpFamily family = IpFamily::kIpv4;
  absl::string_view in_interface;  // "" if there is none at the hook
  absl::string_view out_interface;
  uint32_t mark = 0;
  uint8_t dimensions = 0;  // flags given: src or dst
  uint8_t sources = 0;     // bit i: the i-th is src
  bool return_nomatch = false;
  int64_t now_us = 0;
};

class IpSets {
 public:
  IpSet& Create(absl::string_view name);
  const IpSet* Find(absl::string_view name) const;
  IpSet* Find(absl::string_view name);

  bool Matches(absl::string_view set, const SetQuery& query) const;
  // Speed only: what Matches() says of a set whose name's hash is known, if
  // that is of IPv4 addresses and ports alone. nullopt: ask Matches().
  static size_t HashOf(absl::string_view name) {
    return decltype(sets_)::hasher()(name);
  }
  std::optional<bool> MatchesPlainly(absl::string_view set, size_t hash,
                                     const SetQuery& query) const;
  // The SET target: adds or removes what the packet says. `timeout_s`
  // overrides the set's default; `exist` refreshes an element that is there.
  // False if nothing changed.
  bool Add(absl::string_view set, const SetQuery& query,
           std::optional<uint32_t> timeout_s, bool exist);
  bool Remove(absl::string_view set, const SetQuery& query);

  friend bool operator==(const IpSets&, const IpSets&) = default;

 private:
  absl::node_hash_map<std::string, IpSet> sets_;
};

// The sets of a dump. Elements that only bridged packets match ("physdev:")
// are left out, as no packet here has come over a bridge.
// The error names a type that is not modelled. Cost: linear in the elements; an
// IPv4 element takes some 20 to 40 bytes.
absl::StatusOr<IpSets> LoadSets(const netfilter::IpSets& sets,
                                int64_t now_us = 0);

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_IP_SETS_H_
