// Reads any bytes as `ipset save` text; what is read prints to a text that
// reads back as the same sets.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/string_view.h"
#include "k8sdns/netfilter/ipset_save.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  k8sdns::netfilter::IpsetParseOptions options;
  options.exist = (data[0] & 1) != 0;
  // A few bytes can stand for many elements ("0.0.0.0/0"), so the limit is
  // what keeps an input cheap.
  options.max_elements = 2000;
  const absl::string_view text(reinterpret_cast<const char*>(data) + 1,
                               size - 1);
  const auto sets = k8sdns::netfilter::ParseIpsetSave(text, options);
  if (!sets.ok()) {
    if (sets.status().message().empty()) std::abort();
    return 0;
  }
  const std::string once = k8sdns::netfilter::PrintIpsetSave(*sets);
  // `ipset save` prints names with blanks without quotes.
  for (const auto& set : sets->sets) {
    if (set.name.find_first_of(" \t\"'\\") != std::string::npos) return 0;
  }
  const auto again = k8sdns::netfilter::ParseIpsetSave(once, options);
  if (!again.ok() || k8sdns::netfilter::PrintIpsetSave(*again) != once) {
    std::fprintf(stderr, "%s\n", again.status().ToString().c_str());
    std::fwrite(once.data(), 1, once.size(), stderr);
    std::abort();
  }
  return 0;
}
