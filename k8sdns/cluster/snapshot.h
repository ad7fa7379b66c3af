// A Cluster as protobuf bytes (proto/k8sdns/v1/cluster.proto, message Cluster):
// smaller than JSON and faster to read, and nothing of what is modelled is
// lost.
//
//   absl::StatusOr<std::string> bytes = WriteSnapshot(cluster);
//   absl::StatusOr<Cluster> same = ReadSnapshot(*bytes);
//
// This is the only part of the folder that needs protobuf. It uses protobuf's
// wire format without generated classes, driven by the tables that the readers
// of YAML and JSON use, and makes no second copy of the objects (its cost:
// //benchmarks:load_benchmark). The functions are thread-safe.
#ifndef K8SDNS_CLUSTER_SNAPSHOT_H_
#define K8SDNS_CLUSTER_SNAPSHOT_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "k8sdns/cluster/cluster.h"

namespace k8sdns {

struct SnapshotOptions {
  // A snapshot of more bytes is refused; protobuf itself has no room for more
  // than 2 GiB.
  size_t max_bytes = (size_t{2} << 30) - 1;
  // Of the objects, roughly: a few bytes of the input can stand for an endpoint
  // of 200 bytes.
  size_t max_memory_bytes = size_t{16} << 30;
};

// The same cluster gives the same bytes. ResourceExhausted if there are too
// many.
absl::StatusOr<std::string> WriteSnapshot(const Cluster& cluster,
                                          const SnapshotOptions& options = {});

// Writes a snapshot object by object, for clusters that are made while they are
// written. Objects may come in any order; in that of WriteSnapshot() they give
// the same bytes.
//
//   std::string buffer;
//   SnapshotWriter writer(&buffer);
//   for (...) {
//     writer.Add(slice);
//     file << buffer;    // may be emptied between calls
//     buffer.clear();
//   }
class SnapshotWriter {
 public:
  // Appends to `*out`, which must outlive the writer.
  explicit SnapshotWriter(std::string* out) : out_(*out) {}

  // T is one of the kinds that a Cluster holds.
  template <typename T>
  void Add(const T& object);

 private:
  std::string& out_;
};

// Fields that are not known are skipped. InvalidArgument for anything that is
// no snapshot (with the offset and the field), ResourceExhausted beyond a
// limit.
absl::StatusOr<Cluster> ReadSnapshot(absl::string_view bytes,
                                     const SnapshotOptions& options = {});

}  // namespace k8sdns

#endif  // K8SDNS_CLUSTER_SNAPSHOT_H_
