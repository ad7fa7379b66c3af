// Reads documents: Lists and objects, each by its kind. What a JSON and a YAML
// text have in common; a Source (object_reader.h) gives the values of one of
// them. Internal to the readers of this folder.
#ifndef K8SDNS_CLUSTER_DOCUMENT_READER_H_
#define K8SDNS_CLUSTER_DOCUMENT_READER_H_

#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "k8sdns/cluster/object_arena.h"
#include "k8sdns/cluster/object_meta.h"
#include "k8sdns/cluster/object_reader.h"
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
  // Where lists and texts of the object go.
  virtual ObjectArena& arena() = 0;
  // Keeps the object; false if it took the place of one with its name.
  virtual bool Commit() = 0;
};

template <typename Source>
class DocumentReader {
 public:
  using Value = typename Source::Value;
  using Key = typename Source::Key;

  DocumentReader(Source& source, ObjectSink& sink, ReadLog& log)
      : source_(source),
        sink_(sink),
        log_(log),
        objects_(source, sink.arena(), log) {}

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

  static constexpr schema::FieldName kApiVersion = schema::kApiVersionField;
  static constexpr schema::FieldName kKind = schema::kKindField;
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
    objects_.WrongType(value, PathStep{&path, name}, "a text");
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
      objects_.WrongType(item, path, "a map with apiVersion and kind");
      return;
    }
    const Value begin = item;  // finding its position takes time
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
        objects_.Missing(source_.PositionOf(begin), path, kApiVersion,
                         "an API version such as v1");
        source_.Skip(item);
        return;
      }
      kind = header.has_kind ? FindKind(header.api_version, header.kind)
                             : OnlyKindOf(header.api_version);
      if (kind == nullptr && !header.has_kind) {
        objects_.Missing(source_.PositionOf(begin), path, kKind,
                         "a kind such as Service");
        source_.Skip(item);
        return;
      }
      if (kind == nullptr && ReadIfList(item, path, header)) return;
    }
    if (kind != nullptr) {
      ReadTyped(item, path, *kind, header.has_kind || kind == default_kind,
                begin);
    } else if (header.has_kind) {
      log_.IgnoredKind(header.api_version, header.kind);
      source_.Skip(item);
    } else {
      objects_.Missing(source_.PositionOf(begin), path, kKind,
                       "apiVersion and kind");
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
          if (!merged) objects_.Twice(value, step);
          source_.Skip(value);
          return;
        }
        ReadItems(value, step, element_kind);
      } else if (source_.Is(key, kKind)) {
        absl::string_view text;
        const Value begin = value;
        if (!source_.TakeText(value, text)) {
          objects_.WrongType(value, PathStep{&path, kKind}, "a text");
        } else if (!absl::EndsWith(text, "List")) {
          log_.Error(source_.PositionOf(begin), PathStep{&path, kKind},
                     QuotedForMessage(text), "List, because it has items");
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
      objects_.WrongType(items, path, "a list");
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
                 bool named, const Value& begin) {
    if (log_.report().objects >= log_.options().max_objects) {
      log_.Error(source_.PositionOf(begin), path, "one more object",
                 absl::StrCat("at most ", log_.options().max_objects));
      source_.Abort();
      return;
    }
    const size_t errors_before = log_.error_count();
    const size_t kind_index = static_cast<size_t>(&kind - sink_.kinds().data());
    std::optional<std::string> said;
    if (!objects_.ReadPlain(kind, value, sink_.Begin(kind_index), said) &&
        !source_.failed()) {
      said = objects_.Read(kind, value, sink_.Begin(kind_index), path);
    }
    if (source_.failed()) return;
    if (!named && !said.has_value()) {
      objects_.Missing(source_.PositionOf(begin), path, kKind,
                       "a kind such as Service");
    }
    if (said.has_value() && *said != kind.kind) {
      // Taken for `kind` because of its API version, but it is something else.
      log_.DropDeferred();
      log_.TruncateErrors(errors_before);
      log_.IgnoredKind(kind.api_version, *said);
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
        log_.Error(source_.PositionOf(begin), name_step, "nothing", "a name");
      }
      if (kind.namespaced && metadata->namespace_.empty()) {
        metadata->namespace_ = log_.options().default_namespace;
      }
    }
    if (log_.error_count() != errors_before || log_.full()) return;
    if (!sink_.Commit()) {
      log_.Warning(source_.PositionOf(begin), path,
                   absl::StrCat("a second ", kind.kind, " of the name"),
                   "it once; the last one counts");
    }
    ++log_.report().objects;
  }

  Source& source_;
  ObjectSink& sink_;
  ReadLog& log_;
  ObjectReader<Source> objects_;
};

}  // namespace k8sdns

#endif  // K8SDNS_CLUSTER_DOCUMENT_READER_H_
