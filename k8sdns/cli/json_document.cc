#include "k8sdns/cli/json_document.h"

#include <google/protobuf/util/json_util.h>

namespace k8sdns::cli {

using google::protobuf::Struct;

void Set(Struct& to, const char* key, const std::string& text) {
  if (!text.empty()) (*to.mutable_fields())[key].set_string_value(text);
}

void SetNumber(Struct& to, const char* key, double number) {
  (*to.mutable_fields())[key].set_number_value(number);
}

void SetBool(Struct& to, const char* key, bool value) {
  (*to.mutable_fields())[key].set_bool_value(value);
}

Struct& SetStruct(Struct& to, const char* key) {
  return *(*to.mutable_fields())[key].mutable_struct_value();
}

void SetList(Struct& to, const char* key) {
  (*to.mutable_fields())[key].mutable_list_value();
}

Struct& AddStruct(Struct& to, const char* key) {
  return *(*to.mutable_fields())[key]
              .mutable_list_value()
              ->add_values()
              ->mutable_struct_value();
}

std::string Render(const Struct& document) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  std::string out;
  const auto status =
      google::protobuf::util::MessageToJsonString(document, &out, options);
  return status.ok() ? out : "{}\n";
}

}  // namespace k8sdns::cli
