// Reads any bytes as manifests, YAML or JSON. A cluster that is read and
// written, in either format or as a snapshot, reads back as itself. Listing
// ignored fields or not, which is reading JSON in two ways, makes no
// difference.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/string_view.h"
#include "k8sdns/cluster/manifest_reader.h"
#include "k8sdns/cluster/manifest_writer.h"
#include "k8sdns/cluster/snapshot.h"

namespace {

using k8sdns::Cluster;
using k8sdns::ReadCluster;
using k8sdns::ReadOptions;
using k8sdns::WriteJson;
using k8sdns::WriteYaml;

ReadOptions Limits() {
  ReadOptions options;
  options.max_memory_bytes = 64 << 20;
  options.max_alias_values = 1000;
  options.list_ignored_fields = true;
  return options;
}

void Fail(absl::string_view what, absl::string_view text) {
  std::fprintf(stderr, "%.*s:\n%.*s\n", static_cast<int>(what.size()),
               what.data(), static_cast<int>(text.size()), text.data());
  std::abort();
}

// The text of the cluster that `text` is read as; it must be one.
std::string Again(const std::string& text) {
  const auto cluster = ReadCluster(text, "again", Limits());
  if (!cluster.ok()) Fail(cluster.status().message(), text);
  return WriteYaml(*cluster);
}

void ExpectSameUnlisted(absl::string_view text, bool ok, const Cluster& cluster,
                        const k8sdns::ReadReport& listed) {
  ReadOptions options = Limits();
  options.list_ignored_fields = false;
  k8sdns::ReadReport report;
  const auto other = ReadCluster(text, "fuzz", options, &report);
  if (other.ok() != ok || report.errors != listed.errors ||
      report.warnings != listed.warnings || report.objects != listed.objects ||
      report.ignored_kinds != listed.ignored_kinds ||
      (ok && (report.ignored_field_count != listed.ignored_field_count ||
              WriteYaml(*other) != WriteYaml(cluster)))) {
    Fail("two ways of reading differ", text);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  k8sdns::ReadReport report;
  const auto cluster = ReadCluster(text, "fuzz", Limits(), &report);
  if (cluster.ok() != report.errors.empty()) Fail("no error is said", text);
  ExpectSameUnlisted(text, cluster.ok(), cluster.ok() ? *cluster : Cluster(),
                     report);
  k8sdns::ReadKubeProxyConfig(text, "fuzz", Limits()).IgnoreError();
  k8sdns::ReadKubeletConfig(text, "fuzz", Limits()).IgnoreError();
  if (!cluster.ok()) return 0;
  // Bad UTF-8 and objects without a namespace settle in the first writing.
  const std::string once = Again(WriteYaml(*cluster));
  if (Again(once) != once) Fail("YAML drifts", once);
  const auto settled = ReadCluster(once, "once", Limits());
  if (Again(WriteJson(*settled)) != once) Fail("JSON differs", once);
  const auto snapshot = k8sdns::WriteSnapshot(*settled);
  if (!snapshot.ok()) return 0;
  const auto same = k8sdns::ReadSnapshot(*snapshot);
  if (!same.ok() || WriteYaml(*same) != once) {
    Fail("the snapshot differs", once);
  }
  return 0;
}
