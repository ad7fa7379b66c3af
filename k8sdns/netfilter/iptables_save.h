// Reading and printing the iptables-save format, IPv4 and IPv6.
//
//   absl::StatusOr<Ruleset> rules =
//       ParseIptablesSave(text, IpFamily::kIpv4, {});
//   std::string again = PrintIptablesSave(*rules, {});
//
// The reader takes what iptables-restore of iptables 1.8.9 takes, in every
// spelling, and refuses what it refuses; the printer writes what iptables-save
// prints after the kernel has taken the rules. So reading and printing gives
// the canonical form, and the canonical form comes back byte for byte.
// Matches and targets that are not modelled are kept as written and print
// back (UnknownMatch, UnknownTarget).
//
// All functions are pure: they may be called from any number of threads.
#ifndef K8SDNS_NETFILTER_IPTABLES_SAVE_H_
#define K8SDNS_NETFILTER_IPTABLES_SAVE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "k8sdns/net/ip_address.h"
#include "k8sdns/netfilter/ruleset.h"

namespace k8sdns::netfilter {

// Which of the two tools is followed. They differ in what they refuse and in
// the spelling of a few rules.
enum class Variant : uint8_t { kLegacy, kNft };

// One thing that is wrong with a text.
struct ParseError {
  int line = 0;       // from 1
  int column = 0;     // from 1, in bytes; 0: the whole line
  std::string token;  // the word that is wrong, "" for none
  std::string message;

  std::string ToString() const;  // "line 3, column 14: `x': message"
};

struct ParseOptions {
  // ---- what is read ----
  Variant variant = Variant::kLegacy;
  // Keeps the counters of chains and rules (iptables-restore -c).
  bool keep_counters = false;
  // Keeps the comment lines before each table and at the end.
  bool keep_comments = false;
  // Refuses what only the kernel refuses: targets in the wrong table or hook,
  // loops, ... Without it such rules are read.
  bool kernel_checks = true;
  // Does not empty the tables that `before` holds (iptables-restore -n).
  bool no_flush = false;
  // Only this table is read ("" for all; iptables-restore -T).
  std::string only_table;
  // -m NAME and -j NAME that iptables 1.8.9 does not have: kept as written
  // instead of refused.
  bool keep_unknown_extensions = false;
  // If not nullptr, the names of the ipsets there are: a rule that names
  // another is refused.
  const std::vector<std::string>* sets = nullptr;

  // Reads each line the general way: for comparing.
  bool slow = false;

  // ---- limits ----
  size_t max_rules = 50'000'000;
  size_t max_line_bytes = 16 << 20;
  int max_errors = 20;
};

struct PrintOptions {
  Variant variant = Variant::kLegacy;
  // Prints counters in front of rules (iptables-save -c).
  bool counters = false;
  // Prints the comment lines that were kept.
  bool comments = false;
};

// Reads a whole text. The error's message names each bad line (up to
// max_errors); `errors`, if given, receives them one by one. Cost: linear in
// the text. Chains come out in the order of the printed form.
absl::StatusOr<Ruleset> ParseIptablesSave(
    absl::string_view text, IpFamily family, const ParseOptions& options = {},
    std::vector<ParseError>* errors = nullptr);
// The same, as a change to `rules`, which is left as it was on an error.
absl::Status ApplyIptablesSave(absl::string_view text,
                               const ParseOptions& options, Ruleset* rules,
                               std::vector<ParseError>* errors = nullptr);

std::string PrintIptablesSave(const Ruleset& rules,
                              const PrintOptions& options = {});
// Appends to `out`, whose memory is reused.
void AppendIptablesSave(const Ruleset& rules, const PrintOptions& options,
                        std::string* out);

// One rule as "-A CHAIN ...", without a newline.
std::string PrintRule(const Ruleset& rules, const Table& table, ChainId chain,
                      RuleView rule, const PrintOptions& options = {});
// "-s 10.0.0.0/8 ... -j ACCEPT": the rule without its chain.
void AppendRule(const Ruleset& rules, RuleView rule,
                const PrintOptions& options, std::string* out);

}  // namespace k8sdns::netfilter

#endif  // K8SDNS_NETFILTER_IPTABLES_SAVE_H_
