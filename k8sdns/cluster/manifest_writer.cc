#include "k8sdns/cluster/manifest_writer.h"

#include <string>
#include <variant>

#include "k8sdns/cluster/emitters.h"
#include "k8sdns/cluster/schema.h"

namespace k8sdns {
namespace {

using schema::At;
using schema::Field;
using schema::Shape;
using schema::Type;

bool IsWritten(const Field& field, const void* object);

bool AnyIsWritten(absl::Span<const Field> fields, const void* object) {
  for (const Field& field : fields) {
    if (IsWritten(field, object)) return true;
  }
  return false;
}

bool HasValue(const Type& type, const void* value) {
  switch (type.shape) {
    case Shape::kString:
      return !static_cast<const std::string*>(value)->empty();
    case Shape::kSharedText:
      return !static_cast<const SharedText*>(value)->empty();
    case Shape::kInt32:
      return *static_cast<const int32_t*>(value) != 0;
    case Shape::kBool:
      return *static_cast<const bool*>(value);
    case Shape::kEnum:
      return true;
    case Shape::kPortOrName:
      return *static_cast<const PortOrName*>(value) != PortOrName(0);
    case Shape::kStringMap:
      return !static_cast<const StringMap*>(value)->empty();
    case Shape::kBoolMap:
      return !static_cast<const absl::btree_map<std::string, bool>*>(value)
                  ->empty();
    case Shape::kObject:
      return AnyIsWritten(type.object->fields, value);
    case Shape::kList:
      return type.size(value) != 0;
    case Shape::kOptional:
      return type.value(value) != nullptr;
  }
  return false;
}

bool IsWritten(const Field& field, const void* object) {
  if (field.type == nullptr) return AnyIsWritten(field.group, object);
  return field.always || HasValue(*field.type, At(object, field));
}

template <typename Out>
void WriteFields(absl::Span<const Field> fields, const void* object, Out& out);

template <typename Out>
void WriteValue(const Type& type, const Field& field, const void* value,
                Out& out) {
  switch (type.shape) {
    case Shape::kString:
      out.Text(*static_cast<const std::string*>(value));
      return;
    case Shape::kSharedText:
      out.Text(*static_cast<const SharedText*>(value));
      return;
    case Shape::kInt32:
      out.Integer(*static_cast<const int32_t*>(value));
      return;
    case Shape::kBool:
      out.Bool(*static_cast<const bool*>(value));
      return;
    case Shape::kEnum: {
      const schema::EnumName* name = schema::FindValue(
          *type.enumeration, schema::LoadEnum(*type.enumeration, value));
      out.Text(name == nullptr ? "" : name->name);
      return;
    }
    case Shape::kPortOrName: {
      const PortOrName& port = *static_cast<const PortOrName*>(value);
      if (const int32_t* number = std::get_if<int32_t>(&port)) {
        out.Integer(*number);
      } else {
        out.Text(std::get<std::string>(port));
      }
      return;
    }
    case Shape::kStringMap:
      out.BeginMap();
      for (const auto& [key, text] : *static_cast<const StringMap*>(value)) {
        out.Key(key);
        out.Text(text);
      }
      out.EndMap();
      return;
    case Shape::kBoolMap:
      out.BeginMap();
      for (const auto& [key, on] :
           *static_cast<const absl::btree_map<std::string, bool>*>(value)) {
        out.Key(key);
        out.Bool(on);
      }
      out.EndMap();
      return;
    case Shape::kObject:
      out.BeginMap();
      WriteFields(type.object->fields, value, out);
      out.EndMap();
      return;
    case Shape::kList:
      out.BeginList();
      for (size_t i = 0; i < type.size(value); ++i) {
        out.Element();
        if (!field.wrapped.empty()) {
          out.BeginMap();
          out.Key(field.wrapped);
        }
        WriteValue(*type.element, field, type.at(value, i), out);
        if (!field.wrapped.empty()) out.EndMap();
      }
      out.EndList();
      return;
    case Shape::kOptional: {
      const void* inner = type.value(value);
      if (inner != nullptr) WriteValue(*type.element, field, inner, out);
      return;
    }
  }
}

template <typename Out>
void WriteField(const Field& field, const void* object, Out& out) {
  if (!IsWritten(field, object)) return;
  out.Key(field.name);
  if (field.type == nullptr) {
    out.BeginMap();
    WriteFields(field.group, object, out);
    out.EndMap();
  } else {
    WriteValue(*field.type, field, At(object, field), out);
  }
}

template <typename Out>
void WriteFields(absl::Span<const Field> fields, const void* object, Out& out) {
  for (const Field& field : fields) WriteField(field, object, out);
}

// The fields with apiVersion and kind at their places in the alphabet.
template <typename Out>
void WriteObject(const schema::Kind& kind, const void* object, Out& out) {
  const struct {
    absl::string_view key, value;
  } header[] = {{"apiVersion", kind.api_version}, {"kind", kind.kind}};
  size_t next = 0;
  out.BeginMap();
  for (const Field& field : kind.type->fields) {
    for (; next < 2 && header[next].key < field.name; ++next) {
      out.Key(header[next].key);
      out.Text(header[next].value);
    }
    WriteField(field, object, out);
  }
  for (; next < 2; ++next) {
    out.Key(header[next].key);
    out.Text(header[next].value);
  }
  out.EndMap();
}

template <typename Out>
void BeginListObject(Out& out) {
  out.BeginMap();
  out.Key("apiVersion");
  out.Text("v1");
  out.Key("items");
  out.BeginList();
}

template <typename Out>
void EndListObject(Out& out) {
  out.EndList();
  out.Key("kind");
  out.Text("List");
  out.EndMap();
}

template <typename T>
void AddAll(const ObjectSet<T>& objects, ManifestListWriter& writer) {
  for (const T& object : objects) writer.Add(object);
}

std::string WriteCluster(const Cluster& cluster, ManifestFormat format) {
  std::string out;
  ManifestListWriter writer(format, &out);
  AddAll(cluster.namespaces(), writer);
  AddAll(cluster.nodes(), writer);
  AddAll(cluster.services(), writer);
  AddAll(cluster.endpoint_slices(), writer);
  AddAll(cluster.endpoints(), writer);
  AddAll(cluster.pods(), writer);
  AddAll(cluster.network_policies(), writer);
  writer.Finish();
  return out;
}

}  // namespace

struct ManifestListWriter::Emitter {
  Emitter(ManifestFormat format, std::string* out) {
    if (format == ManifestFormat::kYaml) {
      any.emplace<YamlEmitter>(out);
    } else {
      any.emplace<JsonEmitter>(format == ManifestFormat::kCompactJson, out);
    }
  }
  std::variant<std::monostate, YamlEmitter, JsonEmitter> any;
};

ManifestListWriter::ManifestListWriter(ManifestFormat format, std::string* out)
    : emitter_(std::make_unique<Emitter>(format, out)) {
  if (auto* yaml = std::get_if<YamlEmitter>(&emitter_->any)) {
    BeginListObject(*yaml);
  } else {
    BeginListObject(std::get<JsonEmitter>(emitter_->any));
  }
}

ManifestListWriter::~ManifestListWriter() = default;

template <typename T>
void ManifestListWriter::Add(const T& object) {
  if (auto* yaml = std::get_if<YamlEmitter>(&emitter_->any)) {
    yaml->Element();
    WriteObject(schema::KindOf<T>(), &object, *yaml);
  } else {
    auto& json = std::get<JsonEmitter>(emitter_->any);
    json.Element();
    WriteObject(schema::KindOf<T>(), &object, json);
  }
}

void ManifestListWriter::Finish() {
  if (auto* yaml = std::get_if<YamlEmitter>(&emitter_->any)) {
    EndListObject(*yaml);
  } else {
    EndListObject(std::get<JsonEmitter>(emitter_->any));
  }
}

template <typename T>
std::string WriteYaml(const T& object) {
  std::string out;
  YamlEmitter emitter(&out);
  WriteObject(schema::KindOf<T>(), &object, emitter);
  return out;
}

template <typename T>
std::string WriteJson(const T& object, ManifestFormat format) {
  std::string out;
  JsonEmitter emitter(format == ManifestFormat::kCompactJson, &out);
  WriteObject(schema::KindOf<T>(), &object, emitter);
  return out;
}

std::string WriteYaml(const Cluster& cluster) {
  return WriteCluster(cluster, ManifestFormat::kYaml);
}

std::string WriteJson(const Cluster& cluster, ManifestFormat format) {
  return WriteCluster(cluster, format);
}

#define K8SDNS_INSTANTIATE(T)                                             \
  template std::string WriteYaml(const T& object);                        \
  template std::string WriteJson(const T& object, ManifestFormat format); \
  template void ManifestListWriter::Add(const T& object);

K8SDNS_INSTANTIATE(Service)
K8SDNS_INSTANTIATE(EndpointSlice)
K8SDNS_INSTANTIATE(Endpoints)
K8SDNS_INSTANTIATE(Pod)
K8SDNS_INSTANTIATE(Node)
K8SDNS_INSTANTIATE(Namespace)
K8SDNS_INSTANTIATE(NetworkPolicy)

}  // namespace k8sdns
