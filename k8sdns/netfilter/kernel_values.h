// What the kernel refuses for the values of one match or target (its
// checkentry), though iptables takes them. Internal to the room.
#ifndef K8SDNS_NETFILTER_KERNEL_VALUES_H_
#define K8SDNS_NETFILTER_KERNEL_VALUES_H_

#include <string>

#include "k8sdns/netfilter/extension.h"
#include "k8sdns/netfilter/iptables_save.h"
#include "k8sdns/netfilter/ruleset.h"

namespace k8sdns::netfilter {

// Why the op, which is `extension`'s, is refused, "" if it is not. As
// Linux 6.18 has it with a timer of 250 or 1000 Hz; what depends on other
// things of the node (helpers, nfacct objects, cgroups, BPF programs) is not
// looked at.
std::string CheckValues(Variant variant, IpFamily family,
                        const Extension& extension, OpView op,
                        const StringPool& strings);

}  // namespace k8sdns::netfilter

#endif  // K8SDNS_NETFILTER_KERNEL_VALUES_H_
