// What the kernel refuses though the text was understood: targets in the
// wrong table or hook, missing -p, loops, too deep nesting. Internal to the
// room.
#ifndef K8SDNS_NETFILTER_KERNEL_CHECKS_H_
#define K8SDNS_NETFILTER_KERNEL_CHECKS_H_

#include <span>
#include <string>

#include "absl/strings/string_view.h"
#include "k8sdns/netfilter/call_graph.h"
#include "k8sdns/netfilter/extension.h"
#include "k8sdns/netfilter/iptables_save.h"
#include "k8sdns/netfilter/ruleset.h"

namespace k8sdns::netfilter {

// A rule that may only be met at some hooks.
struct RuleOrigin {
  ChainId chain = 0;
  int line = 0;
  uint8_t hooks = 0;       // bit per Hook
  absl::string_view name;  // of the match or target that demands it
};

struct KernelFinding {
  int line = 0;  // 0: not of one line
  std::string token;
  std::string message;
};

// The hooks at which the op is allowed; 0: any.
uint8_t HooksAllowed(const Extension& extension, OpView op,
                     const StringPool& strings);
// Why the rule is refused in this table, "" if it is not.
std::string CheckRule(const Table& table, Variant variant, IpFamily family,
                      const StringPool& strings, RuleView rule);
// Loops, nesting, hooks. False: see `finding`.
// `calls` are those of the table.
bool CheckTable(const Table& table, Variant variant, const CallGraph& calls,
                std::span<const RuleOrigin> origins, KernelFinding* finding);

// Chain commands.
bool IsJumpedTo(const Table& table, ChainId chain);
void RenameEverywhere(Table* table, StringPool* strings, ChainId chain,
                      absl::string_view to);
void ZeroCounters(Table* table, ChainId chain);

}  // namespace k8sdns::netfilter

#endif  // K8SDNS_NETFILTER_KERNEL_CHECKS_H_
