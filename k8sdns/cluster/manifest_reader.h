// Reads what `kubectl get ... -o yaml` or `-o json` prints, and hand-written
// manifests, into typed objects.
//
//   ReadReport report;
//   absl::StatusOr<Cluster> cluster =
//       ReadCluster(text, "cluster.yaml", {}, &report);
//   if (!cluster.ok()) std::cerr << cluster.status().message() << "\n";
//
// The text may be a List (also a typed one such as ServiceList), one object, or
// several documents separated by `---`. JSON is recognised by its first
// character ({ or [ after white space); everything else is read as YAML 1.1,
// with the scalars as kubectl resolves them (sigs.k8s.io/yaml: `yes` is a
// boolean, `0x10` an integer, `null` and `~` mean that a field is not set).
//
// Kinds and fields that are not modelled are ignored and counted. Everything
// else that is wrong is an error: all errors of a text are found, up to
// ReadOptions::max_errors, and each is one line of the status message
// (kInvalidArgument):
//
//   cluster.yaml:12:16: items[3].spec.clusterIP: found "10.96.0.300",
//   expected an IP address or None
//
// Objects are built while the text is read; there is no tree in between. The
// functions are thread-safe (they share nothing).
#ifndef K8SDNS_CLUSTER_MANIFEST_READER_H_
#define K8SDNS_CLUSTER_MANIFEST_READER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/cluster/kube_proxy_config.h"
#include "k8sdns/cluster/kubelet_config.h"

namespace k8sdns {

struct ReadOptions {
  // Limits: what is over one is an error, and bounds the memory that a hostile
  // input can take.
  size_t max_bytes = size_t{4} << 30;  // of the whole text
  size_t max_line_bytes = 64 << 20;    // of one line of YAML
  int max_depth = 64;                  // nesting of lists and maps
  size_t max_objects = 20'000'000;
  size_t max_errors = 100;  // one more line says that there are more
  // Of the elements of lists, without their texts: three bytes of a text can
  // stand for an endpoint of 200.
  size_t max_memory_bytes = size_t{16} << 30;
  // YAML: how many values aliases and merge keys may bring in, in all.
  size_t max_alias_values = 100'000;

  // Behaviour.
  // Where objects of namespaced kinds go that name no namespace, as kubectl
  // does it.
  std::string default_namespace = "default";
  // Fill ReadReport::ignored_fields; costs time for each ignored field.
  bool list_ignored_fields = false;
};

// One finding about the text.
struct Diagnostic {
  std::string file;
  int64_t line = 0;      // from 1; 0: the file as a whole
  int64_t column = 0;    // from 1, in bytes (JSON) or characters (YAML)
  std::string path;      // "items[3].spec.clusterIP"; empty: a whole document
  std::string found;     // `"10.96.0.300"`, `a list`
  std::string expected;  // "an IP address or None"

  // "file:line:column: path: found X, expected Y"
  std::string ToString() const;

  friend bool operator==(const Diagnostic&, const Diagnostic&) = default;
};

// What reading found beside the objects. Filled also if reading fails.
struct ReadReport {
  size_t documents = 0;
  size_t objects = 0;  // read without an error
  std::vector<Diagnostic> errors;
  // Not errors: an object that comes twice (the last one counts).
  std::vector<Diagnostic> warnings;
  // "apps/v1 Deployment" to the number of such objects.
  absl::btree_map<std::string, size_t> ignored_kinds;
  size_t ignored_field_count = 0;
  // "Pod.spec.tolerations" to the number of objects' fields, if
  // ReadOptions::list_ignored_fields.
  absl::btree_map<std::string, size_t> ignored_fields;
};

// `file_name` is for messages only. Fails if the text holds no document.
absl::StatusOr<Cluster> ReadCluster(absl::string_view text,
                                    absl::string_view file_name,
                                    const ReadOptions& options = {},
                                    ReadReport* report = nullptr);

// The same, adding to a cluster that may hold objects already, so that several
// files make one cluster. Objects without errors are added even if the status
// is an error. An object that is there already is replaced.
absl::Status ReadClusterInto(absl::string_view text,
                             absl::string_view file_name, Cluster& cluster,
                             const ReadOptions& options = {},
                             ReadReport* report = nullptr);

// The KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1) among the
// documents of `text`; there must be exactly one.
absl::StatusOr<KubeProxyConfig> ReadKubeProxyConfig(
    absl::string_view text, absl::string_view file_name,
    const ReadOptions& options = {}, ReadReport* report = nullptr);

// The KubeletConfiguration (kubelet.config.k8s.io/v1beta1), likewise.
absl::StatusOr<KubeletConfig> ReadKubeletConfig(absl::string_view text,
                                                absl::string_view file_name,
                                                const ReadOptions& options = {},
                                                ReadReport* report = nullptr);

}  // namespace k8sdns

#endif  // K8SDNS_CLUSTER_MANIFEST_READER_H_
