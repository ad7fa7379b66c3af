// The two formats of manifest_reader.h. Internal to the readers of this folder.
#ifndef K8SDNS_CLUSTER_TEXT_READERS_H_
#define K8SDNS_CLUSTER_TEXT_READERS_H_

#include "absl/strings/string_view.h"
#include "k8sdns/cluster/document_reader.h"
#include "k8sdns/cluster/read_log.h"

namespace k8sdns {

// Both report what is wrong to `log`, and give every object that is right to
// `sink`.
void ReadJsonText(absl::string_view text, ObjectSink& sink, ReadLog& log);
void ReadYamlText(absl::string_view text, ObjectSink& sink, ReadLog& log);

}  // namespace k8sdns

#endif  // K8SDNS_CLUSTER_TEXT_READERS_H_
