// Reads any bytes as `ipvsadm -S` text; what is read prints to a text that
// reads back and prints the same. (Not the same table: ipvsadm -S leaves out
// thresholds.)
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/string_view.h"
#include "k8sdns/ipvs/ipvsadm_save.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto table = k8sdns::ipvs::ReadIpvsadm(text, "fuzz");
  if (!table.ok()) {
    if (table.status().message().empty()) std::abort();
    return 0;
  }
  const std::string once = k8sdns::ipvs::PrintIpvsadm(*table);
  const auto again = k8sdns::ipvs::ReadIpvsadm(once, "fuzz");
  if (!again.ok() || k8sdns::ipvs::PrintIpvsadm(*again) != once) {
    std::fprintf(stderr, "%s\n%s", again.status().ToString().c_str(),
                 once.c_str());
    std::abort();
  }
  return 0;
}
