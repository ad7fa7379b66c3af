// k8sdns rules: a dump, read and printed canonically; what is known of rules.
#include <ostream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "k8sdns/cli/commands.h"
#include "k8sdns/cli/inputs.h"
#include "k8sdns/netfilter/iptables_save.h"
#include "k8sdns/netfilter/supported_extensions.h"

namespace k8sdns::cli {
namespace {

// iptables-save -c prints counters in front of rules.
bool HasRuleCounters(absl::string_view text) {
  return absl::StartsWith(text, "[") || absl::StrContains(text, "\n[");
}

}  // namespace

int RunRules(const Args& args, Streams streams) {
  const std::vector<std::string>& words = args.positional();
  if (words.size() == 1 && words[0] == "list") {
    streams.out << netfilter::SupportedExtensionsMarkdown();
    return kOk;
  }
  if (words.size() != 2 || words[0] != "fmt") {
    return Fail(streams, "rules: expected fmt FILE or list");
  }
  const std::string family = args.Get("family");
  const std::string variant = args.Get("variant");
  if (family != "4" && family != "6") {
    return Fail(streams, absl::StrCat("--family: found \"", family,
                                      "\", expected 4 or 6"));
  }
  if (variant != "legacy" && variant != "nft") {
    return Fail(streams, absl::StrCat("--variant: found \"", variant,
                                      "\", expected legacy or nft"));
  }
  absl::StatusOr<std::string> text = ReadInput(words[1], streams);
  if (!text.ok()) return Fail(streams, text.status().message());
  netfilter::ParseOptions parse;
  netfilter::PrintOptions print;
  parse.variant = print.variant =
      variant == "nft" ? netfilter::Variant::kNft : netfilter::Variant::kLegacy;
  parse.keep_counters = true;
  parse.keep_comments = print.comments = true;
  parse.keep_unknown_extensions = true;
  print.counters = HasRuleCounters(*text);
  std::vector<netfilter::ParseError> errors;
  absl::StatusOr<netfilter::Ruleset> rules = netfilter::ParseIptablesSave(
      *text, family == "4" ? IpFamily::kIpv4 : IpFamily::kIpv6, parse, &errors);
  if (!rules.ok()) {
    for (const netfilter::ParseError& e : errors) {
      Fail(streams, absl::StrCat(words[1], ": ", e.ToString()));
    }
    return errors.empty() ? Fail(streams, rules.status().message()) : kError;
  }
  streams.out << netfilter::PrintIptablesSave(*rules, print);
  return kOk;
}

}  // namespace k8sdns::cli
