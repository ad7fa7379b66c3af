// Prints objects as `kubectl get -o yaml` and `-o json` do: keys in
// alphabetical order, lists not indented in YAML, fields without a value left
// out. The same objects give the same bytes, and reading them back
// (manifest_reader.h) gives the same objects; a namespaced object without a
// namespace is read back into the reader's default one.
//
//   std::cout << WriteYaml(cluster);
//   std::cout << WriteYamlList<EndpointSlice>(slices);
//
// Texts that are not valid UTF-8 are printed with U+FFFD in place of each bad
// byte. The functions are thread-safe.
#ifndef K8SDNS_CLUSTER_MANIFEST_WRITER_H_
#define K8SDNS_CLUSTER_MANIFEST_WRITER_H_

#include <memory>
#include <string>

#include "absl/types/span.h"
#include "k8sdns/cluster/cluster.h"

namespace k8sdns {

enum class ManifestFormat {
  kYaml,
  kJson,         // indented by four blanks, as kubectl does it
  kCompactJson,  // without white space
};

// A v1 List of all objects: namespaces, nodes, services, endpoint slices,
// endpoints, pods, network policies, each kind by namespace and name.
std::string WriteYaml(const Cluster& cluster);
std::string WriteJson(const Cluster& cluster,
                      ManifestFormat format = ManifestFormat::kJson);

// One object with its apiVersion and kind. Here and below, T is one of the
// kinds that a Cluster holds.
template <typename T>
std::string WriteYaml(const T& object);
template <typename T>
std::string WriteJson(const T& object,
                      ManifestFormat format = ManifestFormat::kJson);

// Writes a v1 List object by object, for lists that are made while they are
// written:
//
//   std::string buffer;
//   ManifestListWriter writer(ManifestFormat::kYaml, &buffer);
//   for (...) {
//     writer.Add(slice);
//     file << buffer;    // may be emptied between calls
//     buffer.clear();
//   }
//   writer.Finish();
class ManifestListWriter {
 public:
  // Appends to `*out`, which must outlive the writer.
  ManifestListWriter(ManifestFormat format, std::string* out);
  ~ManifestListWriter();
  ManifestListWriter(const ManifestListWriter&) = delete;
  ManifestListWriter& operator=(const ManifestListWriter&) = delete;

  template <typename T>
  void Add(const T& object);
  // Must be called once, at the end.
  void Finish();

 private:
  struct Emitter;
  std::unique_ptr<Emitter> emitter_;
};

// A v1 List of the objects, in the order given.
template <typename T>
std::string WriteYamlList(absl::Span<const T> objects) {
  std::string out;
  ManifestListWriter writer(ManifestFormat::kYaml, &out);
  for (const T& object : objects) writer.Add(object);
  writer.Finish();
  return out;
}
template <typename T>
std::string WriteJsonList(absl::Span<const T> objects,
                          ManifestFormat format = ManifestFormat::kJson) {
  std::string out;
  ManifestListWriter writer(format, &out);
  for (const T& object : objects) writer.Add(object);
  writer.Finish();
  return out;
}

}  // namespace k8sdns

#endif  // K8SDNS_CLUSTER_MANIFEST_WRITER_H_
