// JSON documents that have no schema of their own in proto/: built as a
// protobuf Struct and printed by protobuf. Private to the room.
//
//   Struct document;
//   Set(document, "version", "1");
//   Set(AddStruct(document, "findings"), "id", "routing/no-endpoints");
//   out << Render(document);
#ifndef K8SDNS_CLI_JSON_DOCUMENT_H_
#define K8SDNS_CLI_JSON_DOCUMENT_H_

#include <google/protobuf/struct.pb.h>

#include <string>

namespace k8sdns::cli {

// An empty text is left out.
void Set(google::protobuf::Struct& to, const char* key,
         const std::string& text);
void SetNumber(google::protobuf::Struct& to, const char* key, double number);
void SetBool(google::protobuf::Struct& to, const char* key, bool value);
// A member object.
google::protobuf::Struct& SetStruct(google::protobuf::Struct& to,
                                    const char* key);
// A member list, empty until something is added.
void SetList(google::protobuf::Struct& to, const char* key);
// One more object in a member list.
google::protobuf::Struct& AddStruct(google::protobuf::Struct& to,
                                    const char* key);

// Texts must be UTF-8, as all that the manifest reader reads is.
std::string Render(const google::protobuf::Struct& document);

}  // namespace k8sdns::cli

#endif  // K8SDNS_CLI_JSON_DOCUMENT_H_
