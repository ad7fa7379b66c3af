// Reads any bytes as a protobuf snapshot; what is read is written and read
// back as the same bytes.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/string_view.h"
#include "k8sdns/cluster/snapshot.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  k8sdns::SnapshotOptions options;
  options.max_memory_bytes = 64 << 20;
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto cluster = k8sdns::ReadSnapshot(bytes, options);
  if (!cluster.ok()) {
    if (cluster.status().message().empty()) std::abort();
    return 0;
  }
  const auto once = k8sdns::WriteSnapshot(*cluster);
  if (!once.ok()) return 0;
  const auto again = k8sdns::ReadSnapshot(*once);
  if (!again.ok()) std::abort();
  const auto twice = k8sdns::WriteSnapshot(*again);
  if (!twice.ok() || *twice != *once) std::abort();
  return 0;
}
