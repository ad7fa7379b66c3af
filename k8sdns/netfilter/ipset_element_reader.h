// Elements of ipsets from text. Internal to the room.
#ifndef K8SDNS_NETFILTER_IPSET_ELEMENT_READER_H_
#define K8SDNS_NETFILTER_IPSET_ELEMENT_READER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "k8sdns/netfilter/ipset_save.h"

namespace k8sdns::netfilter {

// "a", "a/n", "a-b"; the ends may be swapped.
bool ReadIpv4Range(absl::string_view text, uint32_t* first, uint32_t* last);
// "[tcp:]port[-port]".
bool ReadSetPortRange(absl::string_view text, uint16_t* first, uint16_t* last,
                      std::string* why);
// Appends "skbmark 0x1/0xff" and the like in the printed form and order.
bool ReadSkbOption(absl::string_view name, absl::string_view value,
                   std::string* skb);
// All elements that `text` means for `set`, each a copy of `prototype` with
// its fields filled. More than `room` are refused.
bool ReadSetElements(const IpSet& set, absl::string_view text,
                     const IpSetElement& prototype, size_t room,
                     std::vector<IpSetElement>* out, std::string* why);

}  // namespace k8sdns::netfilter

#endif  // K8SDNS_NETFILTER_IPSET_ELEMENT_READER_H_
