// ipsets as values, and reading and printing the `ipset save` format.
//
//   absl::StatusOr<IpSets> sets = ParseIpsetSave(text, {});
//   for (const IpSet& set : sets->sets) ...
//   std::string again = PrintIpsetSave(*sets);
//
// The reader takes what `ipset restore` of ipset 7.17 takes; ranges of
// addresses and ports are expanded into elements, as the kernel keeps them.
// Membership of packets is the dataplane's.
//
// Values; const access from any number of threads.
#ifndef K8SDNS_NETFILTER_IPSET_SAVE_H_
#define K8SDNS_NETFILTER_IPSET_SAVE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "k8sdns/net/ip_address.h"

namespace k8sdns::netfilter {

// One part of what a set's type looks at.
enum class IpSetDimension : uint8_t {
  kIp,
  kNet,
  kPort,       // with its protocol
  kPlainPort,  // bitmap:port
  kMark,
  kInterface,
  kMac,
  kSet,  // list:set
};
// Of "hash:ip,port"; empty for a type that is not known.
std::vector<IpSetDimension> IpSetDimensions(absl::string_view type);

// One member. What the type does not have stays at its default.
struct IpSetElement {
  // The addresses of the type in its order (hash:ip,port,net has two).
  std::array<IpAddress, 2> addresses;
  std::array<uint8_t, 2> prefix_lengths = {};
  uint8_t protocol = 0;
  uint16_t port = 0;  // ICMP: type * 256 + code
  uint32_t mark = 0;
  std::string interface;
  bool physdev = false;   // "physdev:NAME"
  bool wildcard = false;  // the name is a prefix
  std::optional<std::array<uint8_t, 6>> mac;
  std::string set;  // member of a list:set
  bool nomatch = false;
  std::optional<uint32_t> timeout_s;  // 0: never
  uint64_t packets = 0;
  uint64_t bytes = 0;
  std::string comment;
  // "skbmark 0x1/0xff skbprio 1:10 skbqueue 3" as printed.
  std::string skb;
};

struct IpSet {
  std::string name;
  std::string type;  // "hash:ip,port": never an old alias
  IpFamily family = IpFamily::kIpv4;
  uint32_t hash_size = 1024;
  uint32_t max_elements = 65536;
  uint8_t netmask = 0;               // prefix length; 0: not given
  std::optional<IpAddress> bitmask;  // instead of netmask
  uint32_t mark_mask = 0xffffffff;   // hash:ip,mark
  uint32_t list_size = 8;            // list:set
  // bitmap types. Addresses of bitmap:ip are IPv4 in host order.
  uint32_t range_first = 0;
  uint32_t range_last = 0;
  std::optional<uint32_t> timeout_s;  // default of elements; 0: never
  bool counters = false;
  bool comments = false;
  bool skbinfo = false;
  bool force_add = false;
  // As a dump gives them: of the kernel's hash, without meaning for members.
  std::optional<uint32_t> bucket_size;
  std::optional<uint32_t> initial_value;
  // Hash types: in the order in which they were added. bitmap and list types:
  // in the kernel's order.
  std::vector<IpSetElement> elements;

  bool is_hash() const { return type.compare(0, 5, "hash:") == 0; }
  bool is_bitmap() const { return type.compare(0, 7, "bitmap:") == 0; }
  bool is_list() const { return type == "list:set"; }
};

struct IpSets {
  std::vector<IpSet> sets;  // in the order of their creation

  const IpSet* Find(absl::string_view name) const;
  IpSet* Find(absl::string_view name);
};

struct IpsetParseOptions {
  // -exist: what is there already, or is not there to delete, is no error.
  bool exist = false;
  // Types that the kernel does not have: refused.
  std::vector<std::string> missing_types;
  size_t max_elements = 10'000'000;  // in all
  size_t max_line_bytes = 1 << 20;
};

// The error names the line (from 1), the word and the reason. Cost: linear.
absl::StatusOr<IpSets> ParseIpsetSave(absl::string_view text,
                                      const IpsetParseOptions& options = {});

std::string PrintIpsetSave(const IpSets& sets);
// "create NAME TYPE ...".
std::string PrintIpsetCreate(const IpSet& set);
// "10.0.0.1,tcp:80": an element as `ipset save` names it.
std::string PrintIpsetElement(const IpSet& set, const IpSetElement& element);

}  // namespace k8sdns::netfilter

#endif  // K8SDNS_NETFILTER_IPSET_SAVE_H_
