// Reads the fields of one object, by the tables of schema.h. What a JSON and a
// YAML text have in common; a Source gives the values of one of them. Internal
// to the readers of this folder.
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
//   plain   kHasPlain; if so, PlainCounts and TakePlain(kind, value,
//           max_list_bytes, object, counts), which reads an object that looks
//           as expected, in less time
//   failed  whether the text is broken, so that nothing more can be read; the
//           source has reported it. Abort() makes it so.
#ifndef K8SDNS_CLUSTER_OBJECT_READER_H_
#define K8SDNS_CLUSTER_OBJECT_READER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "k8sdns/cluster/object_arena.h"
#include "k8sdns/cluster/object_meta.h"
#include "k8sdns/cluster/read_log.h"
#include "k8sdns/cluster/schema.h"

namespace k8sdns {

template <typename Source>
class ObjectReader {
 public:
  using Value = typename Source::Value;
  using Key = typename Source::Key;

  ObjectReader(Source& source, ObjectArena& arena, ReadLog& log)
      : source_(source), arena_(arena), log_(log) {}

  // Fills `object`, which is of the kind. Returns the kind that the text says
  // it is, if it does.
  std::optional<std::string> Read(const schema::Kind& kind, Value& value,
                                  void* object, const PathStep& path) {
    kind_ = &kind;
    object_path_ = &path;
    said_kind_.reset();
    ReadFields(kind.type->fields, value, object, path, /*top=*/true);
    return std::move(said_kind_);
  }

  // The same, if the source has a shorter way to read what the text has here.
  // False: `object` has anything, and the value is not read yet, unless the
  // source has failed.
  bool ReadPlain(const schema::Kind& kind, Value& value, void* object,
                 std::optional<std::string>& said_kind) {
    if constexpr (Source::kHasPlain) {
      if (log_.options().list_ignored_fields) return false;
      typename Source::PlainCounts counts;
      if (!source_.TakePlain(kind, value,
                             log_.options().max_memory_bytes - memory_, object,
                             counts)) {
        return false;
      }
      memory_ += counts.list_bytes;
      log_.report().ignored_field_count += counts.ignored_fields;
      if (counts.said_kind) said_kind = std::string(kind.kind);
      return true;
    } else {
      return false;
    }
  }

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

 private:
  bool Stop() const { return source_.failed() || log_.full(); }

  // --- Fields --------------------------------------------------------------

  static constexpr size_t kNotFound = ~size_t{0};

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
    if (top && source_.Is(key, schema::kApiVersionField)) {
      source_.Skip(value);
      return;
    }
    if (top && source_.Is(key, schema::kKindField)) {
      absl::string_view text;
      if (source_.TakeText(value, text)) {
        said_kind_ = std::string(text);
      } else {
        WrongType(value, PathStep{&path, schema::kKindField}, "a text");
        said_kind_ = std::string(kind_->kind);
      }
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
    lengths_.Reserve(type, out);
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
    lengths_.Note(type, index);
    type.settle(out, arena_);
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

  void Assign(absl::string_view text, std::string& out) {
    out.assign(text.data(), text.size());
  }
  void Assign(absl::string_view text, SharedText& out) {
    out = SharedText(text, arena_);
  }

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

  Source& source_;
  ObjectArena& arena_;
  ReadLog& log_;
  // The object that is being read.
  const schema::Kind* kind_ = nullptr;
  const PathStep* object_path_ = nullptr;
  std::optional<std::string> said_kind_;
  size_t memory_ = 0;  // of lists
  schema::ListLengths lengths_;
};

}  // namespace k8sdns

#endif  // K8SDNS_CLUSTER_OBJECT_READER_H_
