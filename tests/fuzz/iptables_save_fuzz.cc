// Reads any bytes as a dump. The first byte chooses family, variant and
// options. What is read must print to a text whose reading prints the same,
// and both ways of reading a line must agree.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "k8sdns/netfilter/iptables_save.h"

namespace {

void Fail(const char* what, absl::string_view a, absl::string_view b) {
  std::fprintf(stderr, "%s:\n", what);
  std::fwrite(a.data(), 1, a.size(), stderr);
  std::fprintf(stderr, "\n--\n");
  std::fwrite(b.data(), 1, b.size(), stderr);
  std::abort();
}

using k8sdns::IpFamily;
using k8sdns::netfilter::ParseError;
using k8sdns::netfilter::ParseIptablesSave;
using k8sdns::netfilter::ParseOptions;
using k8sdns::netfilter::PrintIptablesSave;
using k8sdns::netfilter::PrintOptions;
using k8sdns::netfilter::Variant;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const absl::string_view text(reinterpret_cast<const char*>(data) + 1,
                               size - 1);
  const uint8_t bits = data[0];
  const IpFamily family = (bits & 1) ? IpFamily::kIpv6 : IpFamily::kIpv4;
  ParseOptions options;
  PrintOptions print;
  options.variant = print.variant =
      (bits & 2) ? Variant::kNft : Variant::kLegacy;
  options.keep_counters = print.counters = (bits & 4) != 0;
  options.keep_comments = print.comments = (bits & 8) != 0;
  options.keep_unknown_extensions = (bits & 16) != 0;
  options.max_rules = 1000;

  std::vector<ParseError> errors;
  const auto rules = ParseIptablesSave(text, family, options, &errors);
  if (rules.ok() != errors.empty()) Fail("no error is said", text, "");
  options.slow = true;
  const auto slow = ParseIptablesSave(text, family, options);
  if (slow.ok() != rules.ok()) {
    Fail("fast and slow differ", rules.status().message(),
         slow.status().message());
  }
  if (!rules.ok()) {
    if (slow.status().message() != rules.status().message()) {
      Fail("fast and slow differ", rules.status().message(),
           slow.status().message());
    }
    return 0;
  }
  const std::string once = PrintIptablesSave(*rules, print);
  if (PrintIptablesSave(*slow, print) != once) {
    Fail("fast and slow differ", once, PrintIptablesSave(*slow, print));
  }

  // iptables-save prints a few rules in words that iptables-restore refuses
  // (shifted ports of SNAT, names with blanks); what it reads again must not
  // drift.
  options.slow = false;
  const auto again = ParseIptablesSave(once, family, options);
  if (!again.ok()) return 0;
  const std::string twice = PrintIptablesSave(*again, print);
  if (twice == once) return 0;
  const auto third = ParseIptablesSave(twice, family, options);
  if (third.ok() && PrintIptablesSave(*third, print) != twice) {
    Fail("the printed form drifts", twice, PrintIptablesSave(*third, print));
  }
  return 0;
}
