// Reads documents into typed objects, by the tables of schema.h. What a JSON
// and a YAML text have in common; a Source gives the values of one of them.
// Internal to the readers of this folder.
//
// A Source has
//   types   Value (a value not read yet), Key (of a map, valid until the next
//           value is read)
//   keys    Is(key, name), KeyText(key)
//   values  TakeNull, TakeText, TakeInteger, TakeBool: true if it is one, and
//           then it is read; IsMap, IsList; Skip(value); Describe(value);
//           PositionOf(value)
//   walks   ForEachMember(map, f(key, value, merged)), ForEachElement(list,
//           f(value)): `f` must read or skip the value; Peek(map, f(key, value)
//           -> stop), after which the map is unread: `f` must read or Pass()
//           the value, or stop
//   failed  whether the text is broken, so that nothing more can be read; the
//           source has reported it. Abort() makes it so.
#ifndef K8SDNS_CLUSTER_DOCUMENT_READER_H_
#define K8SDNS_CLUSTER_DOCUMENT_READER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "k8sdns/cluster/object_meta.h"
#include "k8sdns/cluster/read_log.h"
#include "k8sdns/cluster/schema.h"

namespace k8sdns {

// Takes the objects that a reader finds.
class ObjectSink {
 public:
  virtual ~ObjectSink() = default;
  // What is read; other kinds are ignored.
  virtual absl::Span<const schema::Kind> kinds() const = 0;
  // A new object of kinds()[kind], to be filled; valid until the next call.
  virtual void* Begin(size_t kind) = 0;
  // Its metadata; nullptr if the kind has none.
  virtual ObjectMeta* Metadata() = 0;
  // Addresses of the object need not be IP addresses.
  virtual bool AllowsAnyAddress() const = 0;
  // Keeps the object; false if it took the place of one with its name.
  virtual bool Commit() = 0;
};

template <typename Source>
class DocumentReader {
 public:
  using Value = typename Source::Value;
  using Key = typename Source::Key;

  DocumentReader(Source& source, ObjectSink& sink, ReadLog& log)
      : source_(source), sink_(sink), log_(log) {}

  void ReadDocument(Value& root) {
    PathStep path;
    ++log_.report().documents;
    ReadItem(root, path, nullptr);
  }

 private:
  struct Header {
    std::string api_version;
    std::string kind;
    bool has_api_version = false;
    bool has_kind = false;
    bool items_first = false;  // `items` came before the kind
    bool broken = false;       // one of them is not a text; reported
  };

  bool Stop() const { return source_.failed() || log_.full(); }

  static constexpr schema::FieldName kApiVersion = "apiVersion";
  static constexpr schema::FieldName kKind = "kind";
  static constexpr schema::FieldName kItems = "items";

  // --- Lists and objects ---------------------------------------------------

  // The only modelled kind of the API version, so that an object need not be
  // searched for its kind: kubectl prints it after an EndpointSlice's
  // endpoints.
  const schema::Kind* OnlyKindOf(absl::string_view api_version) const {
    const schema::Kind* found = nullptr;
    for (const schema::Kind& k : sink_.kinds()) {
      if (k.api_version != api_version) continue;
      if (found != nullptr) return nullptr;
      found = &k;
    }
    return found;
  }

  Header PeekHeader(Value& map, const PathStep& path) {
    Header header;
    bool only = false;
    source_.Peek(map, [&](const Key& key, Value& value) {
      if (source_.Is(key, kApiVersion)) {
        header.has_api_version = true;
        TakeHeaderText(value, path, kApiVersion, header.api_version, header);
        only = OnlyKindOf(header.api_version) != nullptr;
        return header.has_kind || header.broken;
      }
      if (source_.Is(key, kKind)) {
        header.has_kind = true;
        TakeHeaderText(value, path, kKind, header.kind, header);
        return header.has_api_version || header.broken;
      }
      if (!header.has_kind && source_.Is(key, kItems)) {
        header.items_first = true;
      }
      if (header.items_first || only) return true;
      source_.Pass(value);
      return false;
    });
    return header;
  }

  void TakeHeaderText(Value& value, const PathStep& path,
                      absl::string_view name, std::string& out,
                      Header& header) {
    absl::string_view text;
    if (source_.TakeText(value, text)) {
      out = std::string(text);
      return;
    }
    header.broken = true;
    WrongType(value, PathStep{&path, name}, "a text");
  }

  const schema::Kind* FindKind(absl::string_view api_version,
                               absl::string_view kind) const {
    for (const schema::Kind& k : sink_.kinds()) {
      if (k.kind == kind && k.api_version == api_version) return &k;
    }
    return nullptr;
  }

  // A document or an element of a List. `default_kind` is what an element is
  // that does not say it.
  void ReadItem(Value& item, const PathStep& path,
                const schema::Kind* default_kind) {
    if (path.parent == nullptr && source_.TakeNull(item)) {
      --log_.report().documents;  // an empty document
      return;
    }
    if (!source_.IsMap(item)) {
      WrongType(item, path, "a map with apiVersion and kind");
      return;
    }
    const TextPosition at = source_.PositionOf(item);
    Header header = PeekHeader(item, path);
    if (Stop()) return;
    if (header.broken) {
      source_.Skip(item);
      return;
    }
    const schema::Kind* kind = default_kind;
    if (header.items_first) {
      ReadList(item, path, nullptr);
      return;
    }
    if (header.has_kind || header.has_api_version) {
      if (!header.has_api_version) {
        Missing(at, path, kApiVersion, "an API version such as v1");
        source_.Skip(item);
        return;
      }
      kind = header.has_kind ? FindKind(header.api_version, header.kind)
                             : OnlyKindOf(header.api_version);
      if (kind == nullptr && !header.has_kind) {
        Missing(at, path, kKind, "a kind such as Service");
        source_.Skip(item);
        return;
      }
      if (kind == nullptr && ReadIfList(item, path, header)) return;
    }
    if (kind != nullptr) {
      ReadTyped(item, path, *kind, header.has_kind || kind == default_kind, at);
    } else if (header.has_kind) {
      log_.IgnoredKind(header.api_version, header.kind);
      source_.Skip(item);
    } else {
      Missing(at, path, kKind, "apiVersion and kind");
      source_.Skip(item);
    }
  }

  bool ReadIfList(Value& item, const PathStep& path, const Header& header) {
    absl::string_view element = header.kind;
    if (!absl::ConsumeSuffix(&element, "List")) return false;
    if (element.empty()) {
      if (header.api_version != "v1") return false;
      ReadList(item, path, nullptr);
      return true;
    }
    const schema::Kind* kind = FindKind(header.api_version, element);
    if (kind == nullptr) return false;
    ReadList(item, path, kind);
    return true;
  }

  void ReadList(Value& list, const PathStep& path,
                const schema::Kind* element_kind) {
    bool has_items = false;
    source_.ForEachMember(list, [&](const Key& key, Value& value, bool merged) {
      if (Stop()) return;
      if (source_.Is(key, kItems)) {
        PathStep step{&path, kItems};
        if (std::exchange(has_items, true)) {
          if (!merged) Twice(value, step);
          source_.Skip(value);
          return;
        }
        ReadItems(value, step, element_kind);
      } else if (source_.Is(key, kKind)) {
        absl::string_view text;
        const TextPosition at = source_.PositionOf(value);
        if (!source_.TakeText(value, text)) {
          WrongType(value, PathStep{&path, kKind}, "a text");
        } else if (!absl::EndsWith(text, "List")) {
          log_.Error(at, PathStep{&path, kKind}, QuotedForMessage(text),
                     "List, because it has items");
        }
      } else {
        source_.Skip(value);
      }
    });
  }

  void ReadItems(Value& items, const PathStep& path,
                 const schema::Kind* element_kind) {
    if (source_.TakeNull(items)) return;
    if (!source_.IsList(items)) {
      WrongType(items, path, "a list");
      return;
    }
    size_t index = 0;
    source_.ForEachElement(items, [&](Value& item) {
      if (Stop()) return;
      ReadItem(item, PathStep{&path, {}, index++}, element_kind);
    });
  }

  // `named`: the kind is known; otherwise it is a guess that the object must
  // confirm.
  void ReadTyped(Value& value, const PathStep& path, const schema::Kind& kind,
                 bool named, TextPosition at) {
    if (log_.report().objects >= log_.options().max_objects) {
      log_.Error(at, path, "one more object",
                 absl::StrCat("at most ", log_.options().max_objects));
      source_.Abort();
      return;
    }
    const size_t errors_before = log_.error_count();
    void* object = sink_.Begin(&kind - sink_.kinds().data());
    kind_ = &kind;
    object_path_ = &path;
    other_kind_.reset();
    seen_kind_ = false;
    ReadFields(kind.type->fields, value, object, path, /*top=*/true);
    if (source_.failed()) return;
    if (!named && !seen_kind_) {
      Missing(at, path, kKind, "a kind such as Service");
    }
    if (other_kind_.has_value()) {
      // Taken for `kind` because of its API version, but it is something else.
      log_.DropDeferred();
      log_.TruncateErrors(errors_before);
      log_.IgnoredKind(kind.api_version, *other_kind_);
      return;
    }
    if (sink_.AllowsAnyAddress()) {
      log_.DropDeferred();
    } else {
      log_.TakeDeferred();
    }
    ObjectMeta* metadata = sink_.Metadata();
    if (metadata != nullptr) {
      const PathStep metadata_step{&path, "metadata"};
      const PathStep name_step{&metadata_step, "name"};
      if (metadata->name.empty() &&
          !log_.HasErrorAt(name_step, errors_before)) {
        log_.Error(at, name_step, "nothing", "a name");
      }
      if (kind.namespaced && metadata->namespace_.empty()) {
        metadata->namespace_ = log_.options().default_namespace;
      }
    }
    if (log_.error_count() != errors_before || log_.full()) return;
    if (!sink_.Commit()) {
      log_.Warning(at, path,
                   absl::StrCat("a second ", kind.kind, " of the name"),
                   "it once; the last one counts");
    }
    ++log_.report().objects;
  }

  // --- Fields --------------------------------------------------------------

  static constexpr size_t kNotFound = ~size_t{0};
  static constexpr size_t kLongestGuess = 256;  // elements

  // Keys mostly come in the table's order: look at the next field first.
  size_t Lookup(absl::Span<const schema::Field> fields, const Key& key,
                size_t next) const {
    for (size_t i = next; i < fields.size(); ++i) {
      if (source_.Is(key, fields[i].name)) return i;
    }
    for (size_t i = 0; i < next; ++i) {
      if (source_.Is(key, fields[i].name)) return i;
    }
    return kNotFound;
  }

  void ReadFields(absl::Span<const schema::Field> fields, Value& map,
                  void* object, const PathStep& path, bool top = false) {
    uint64_t seen = 0;         // explicit keys, by index
    uint64_t seen_merged = 0;  // keys that came through a merge key (YAML)
    size_t next = 0;
    source_.ForEachMember(map, [&](const Key& key, Value& value, bool merged) {
      if (Stop()) return;
      const size_t i = Lookup(fields, key, next);
      if (i == kNotFound) {
        ReadOtherField(key, value, path, top);
        return;
      }
      next = i + 1;
      const schema::Field& field = fields[i];
      const PathStep step{&path, field.name};
      const uint64_t bit = uint64_t{1} << i;
      if (merged) {
        if (((seen | seen_merged) & bit) != 0) {
          source_.Skip(value);
          return;
        }
        seen_merged |= bit;
      } else {
        if ((seen & bit) != 0) {
          Twice(value, step);
          source_.Skip(value);
          return;
        }
        seen |= bit;
        if ((seen_merged & bit) != 0) Reset(field, object);
      }
      ReadField(field, value, object, step);
    });
  }

  // What the table does not have: the header of an object, and what is not
  // modelled.
  void ReadOtherField(const Key& key, Value& value, const PathStep& path,
                      bool top) {
    if (top && source_.Is(key, kApiVersion)) {
      source_.Skip(value);
      return;
    }
    if (top && source_.Is(key, kKind)) {
      absl::string_view text;
      if (!source_.TakeText(value, text)) {
        WrongType(value, PathStep{&path, kKind}, "a text");
      } else if (text != kind_->kind) {
        other_kind_ = std::string(text);
      }
      seen_kind_ = true;
      return;
    }
    log_.IgnoredField(kind_->kind, *object_path_, path,
                      [&] { return source_.KeyText(key); });
    source_.Skip(value);
  }

  static void Reset(const schema::Field& field, void* object) {
    if (field.type != nullptr) {
      field.type->reset(schema::At(object, field));
      return;
    }
    for (const schema::Field& inner : field.group) Reset(inner, object);
  }

  void ReadField(const schema::Field& field, Value& value, void* object,
                 const PathStep& step) {
    if (field.type != nullptr) {
      ReadValue(*field.type, field, value, schema::At(object, field), step,
                /*element=*/false);
      return;
    }
    if (source_.TakeNull(value)) return;
    if (!source_.IsMap(value)) {
      WrongType(value, step, "a map");
      return;
    }
    ReadFields(field.group, value, object, step);
  }

  // `element`: the value is one of a list, so that "" is not "not set".
  void ReadValue(const schema::Type& type, const schema::Field& field,
                 Value& value, void* out, const PathStep& step, bool element) {
    using schema::Shape;
    switch (type.shape) {
      case Shape::kString:
        ReadText(field.check, value, *static_cast<std::string*>(out), step,
                 element);
        return;
      case Shape::kSharedText:
        ReadText(field.check, value, *static_cast<SharedText*>(out), step,
                 element);
        return;
      case Shape::kInt32:
        ReadInteger(field.check, value, *static_cast<int32_t*>(out), step);
        return;
      case Shape::kBool:
        if (!source_.TakeBool(value, *static_cast<bool*>(out)) &&
            !source_.TakeNull(value)) {
          WrongType(value, step, "true or false");
        }
        return;
      case Shape::kEnum:
        ReadEnum(*type.enumeration, value, out, step);
        return;
      case Shape::kPortOrName:
        ReadPortOrName(field.check, value, *static_cast<PortOrName*>(out),
                       step);
        return;
      case Shape::kStringMap:
        ReadMap(value, *static_cast<StringMap*>(out), step,
                [&](Value& v, std::string& to, const PathStep& at) {
                  ReadText(schema::Check::kNone, v, to, at, true);
                });
        return;
      case Shape::kBoolMap:
        ReadMap(value, *static_cast<absl::btree_map<std::string, bool>*>(out),
                step, [&](Value& v, bool& to, const PathStep& at) {
                  if (!source_.TakeBool(v, to)) {
                    WrongType(v, at, "true or false");
                  }
                });
        return;
      case Shape::kObject:
        if (!element && source_.TakeNull(value)) return;
        if (!source_.IsMap(value)) {
          WrongType(value, step, "a map");
          return;
        }
        ReadFields(type.object->fields, value, out, step);
        return;
      case Shape::kList:
        ReadVector(type, field, value, out, step);
        return;
      case Shape::kOptional:
        if (source_.TakeNull(value)) return;
        ReadValue(*type.element, field, value, type.emplace(out), step,
                  element);
        return;
    }
  }

  void ReadVector(const schema::Type& type, const schema::Field& field,
                  Value& value, void* out, const PathStep& step) {
    if (source_.TakeNull(value)) return;
    if (!source_.IsList(value)) {
      WrongType(value, step, "a list");
      return;
    }
    // Lists of one type mostly have similar lengths: room for as many as the
    // last one had saves moving the elements.
    const size_t last = LastLength(type);
    if (last > 1) type.reserve(out, last);
    size_t index = 0;
    source_.ForEachElement(value, [&](Value& element) {
      if (Stop() || !Charge(type.element_size, element, step)) return;
      const PathStep at{&step, {}, index++};
      void* to = type.append(out);
      if (field.wrapped.empty()) {
        ReadValue(*type.element, field, element, to, at, /*element=*/true);
      } else {
        ReadWrapped(type, field, element, to, at);
      }
    });
    LastLength(type) = std::min(index, kLongestGuess);
    type.fit(out);
  }

  size_t& LastLength(const schema::Type& type) {
    for (auto& [of, length] : lengths_) {
      if (of == &type) return length;
    }
    return lengths_.emplace_back(&type, 0).second;
  }

  // Counts the memory of lists; false, and nothing more is read, if it is too
  // much.
  bool Charge(size_t bytes, const Value& at, const PathStep& step) {
    memory_ += bytes;
    if (memory_ <= log_.options().max_memory_bytes) return true;
    log_.Error(source_.PositionOf(at), step, "more elements",
               absl::StrCat("at most ", log_.options().max_memory_bytes,
                            " bytes of memory for lists"));
    source_.Abort();
    return false;
  }

  // {"ip": "10.0.0.1"}, of which the API's later versions may have more keys.
  void ReadWrapped(const schema::Type& type, const schema::Field& field,
                   Value& element, void* to, const PathStep& at) {
    if (!source_.IsMap(element)) {
      WrongType(element, at, "a map");
      return;
    }
    const TextPosition position = source_.PositionOf(element);
    bool seen = false;
    source_.ForEachMember(
        element, [&](const Key& key, Value& value, bool merged) {
          if (Stop()) return;
          const PathStep step{&at, field.wrapped};
          if (!source_.Is(key, field.wrapped)) {
            ReadOtherField(key, value, at, /*top=*/false);
          } else if (seen) {
            if (!merged) Twice(value, step);
            source_.Skip(value);
          } else {
            seen = true;
            ReadValue(*type.element, field, value, to, step, /*element=*/true);
          }
        });
    if (!seen && !Stop()) {
      Missing(position, at, field.wrapped, "a text");
    }
  }

  // --- Values --------------------------------------------------------------

  // Text: std::string or SharedText.
  template <typename Text>
  void ReadText(schema::Check check, Value& value, Text& out,
                const PathStep& step, bool element) {
    absl::string_view text;
    if (!source_.TakeText(value, text)) {
      const bool may_be_null = !element || check == schema::Check::kNone;
      if (may_be_null && source_.TakeNull(value)) return;
      WrongType(value, step, schema::ExpectedText(check));
      return;
    }
    if (source_.HasNul(text)) {
      log_.Error(source_.PositionOf(value), step, QuotedForMessage(text),
                 "a text without NUL bytes");
      return;
    }
    Assign(text, out);
    if (check != schema::Check::kNone && (element || !text.empty()) &&
        !schema::Passes(check, text)) {
      std::string expected = schema::ExpectedText(check);
      if (check == schema::Check::kEndpointAddress) {
        log_.Defer(source_.PositionOf(value), step, QuotedForMessage(text),
                   std::move(expected));
      } else {
        log_.Error(source_.PositionOf(value), step, QuotedForMessage(text),
                   std::move(expected));
      }
    }
  }

  static void Assign(absl::string_view text, std::string& out) {
    out.assign(text.data(), text.size());
  }
  static void Assign(absl::string_view text, SharedText& out) { out = text; }

  void ReadInteger(schema::Check check, Value& value, int32_t& out,
                   const PathStep& step) {
    int64_t number = 0;
    if (!source_.TakeInteger(value, number)) {
      if (source_.TakeNull(value)) return;
      WrongType(value, step, schema::ExpectedNumber(check));
      return;
    }
    if (!schema::Passes(check, number)) {
      log_.Error(source_.PositionOf(value), step, absl::StrCat(number),
                 schema::ExpectedNumber(check));
      return;
    }
    out = static_cast<int32_t>(number);
  }

  void ReadEnum(const schema::EnumType& type, Value& value, void* out,
                const PathStep& step) {
    absl::string_view text;
    if (!source_.TakeText(value, text)) {
      if (source_.TakeNull(value)) return;
      WrongType(value, step, schema::NamesOf(type));
      return;
    }
    const schema::EnumName* name =
        schema::FindName(type, text.empty() ? type.empty : text);
    if (name == nullptr) {
      log_.Error(source_.PositionOf(value), step, QuotedForMessage(text),
                 schema::NamesOf(type));
      return;
    }
    schema::StoreEnum(type, name->value, out);
  }

  void ReadPortOrName(schema::Check check, Value& value, PortOrName& out,
                      const PathStep& step) {
    absl::string_view text;
    if (source_.TakeText(value, text)) {
      out.emplace<std::string>(text.data(), text.size());
      return;
    }
    int64_t number = 0;
    if (source_.TakeInteger(value, number)) {
      if (schema::Passes(check, number)) {
        out = static_cast<int32_t>(number);
        return;
      }
      log_.Error(
          source_.PositionOf(value), step, absl::StrCat(number),
          absl::StrCat("a port name or ", schema::ExpectedNumber(check)));
      return;
    }
    if (source_.TakeNull(value)) return;
    WrongType(value, step, "a port number or a port name");
  }

  template <typename Map, typename Read>
  void ReadMap(Value& value, Map& out, const PathStep& step, Read read) {
    if (source_.TakeNull(value)) return;
    if (!source_.IsMap(value)) {
      WrongType(value, step, "a map of names to values");
      return;
    }
    absl::btree_set<std::string> by_merge;
    source_.ForEachMember(
        value, [&](const Key& key, Value& member, bool merged) {
          if (Stop()) return;
          std::string name(source_.KeyText(key));
          const PathStep at{&step, name};
          if (name.find('\0') != std::string::npos) {
            log_.Error(source_.PositionOf(member), at, QuotedForMessage(name),
                       "a key without NUL bytes");
            source_.Skip(member);
            return;
          }
          auto it = out.find(name);
          if (it != out.end()) {
            if (merged) {
              source_.Skip(member);
              return;
            }
            if (by_merge.erase(name) == 0) {
              Twice(member, at);
              source_.Skip(member);
              return;
            }
            it->second = {};
          } else {
            if (merged) by_merge.insert(name);
            it = out.emplace_hint(out.end(), name, typename Map::mapped_type{});
          }
          read(member, it->second, at);
        });
  }

  // --- Errors --------------------------------------------------------------

  // Reports a value of the wrong type, and skips it.
  void WrongType(Value& value, const PathStep& step, std::string expected) {
    if (source_.failed()) return;
    const TextPosition at = source_.PositionOf(value);
    std::string found = source_.Describe(value);
    source_.Skip(value);
    if (!source_.failed()) {
      log_.Error(at, step, std::move(found), std::move(expected));
    }
  }

  void Twice(Value& value, const PathStep& step) {
    log_.Error(source_.PositionOf(value), step, "the key a second time",
               "it once");
  }

  void Missing(TextPosition at, const PathStep& path, absl::string_view name,
               std::string expected) {
    log_.Error(at, PathStep{&path, name}, "nothing", std::move(expected));
  }

  Source& source_;
  ObjectSink& sink_;
  ReadLog& log_;
  // The object that is being read.
  const schema::Kind* kind_ = nullptr;
  const PathStep* object_path_ = nullptr;
  bool seen_kind_ = false;
  size_t memory_ = 0;
  std::vector<std::pair<const schema::Type*, size_t>> lengths_;
  std::optional<std::string> other_kind_;
};

}  // namespace k8sdns

#endif  // K8SDNS_CLUSTER_DOCUMENT_READER_H_
