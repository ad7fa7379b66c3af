// YAML through libyaml's events: one pass, without a tree.

#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "k8sdns/cluster/document_reader.h"
#include "k8sdns/cluster/text_readers.h"
#include "k8sdns/cluster/yaml_events.h"
#include "k8sdns/cluster/yaml_scalars.h"

namespace k8sdns {
namespace {

using Type = YamlEvent::Type;
using Tag = YamlEvent::Tag;

class YamlSource {
 public:
  struct Value {
    YamlEvent event;
  };
  struct Key {
    absl::string_view text;
  };
  static constexpr bool kHasPlain = false;

  YamlSource(absl::string_view text, ReadLog& log)
      : events_(text, log), log_(log) {}

  bool failed() const { return events_.failed() || log_.full(); }
  void Abort() { events_.Abort(); }

  template <typename F>
  void ForEachDocument(F read) {
    YamlEvent event;
    while (events_.Next(event)) {
      if (event.type == Type::kStreamEnd) return;
      if (event.type != Type::kDocumentStart) continue;
      Value root;
      if (!events_.Next(root.event)) return;
      read(root);
      if (failed()) return;
    }
  }

  // --- Keys ---

  // libyaml's buffers and strings have 16 bytes or more, so that a short text
  // has the bytes that are looked at, too.
  bool Is(const Key& key, const schema::FieldName& name) const {
    return key.text.size() == name.size() && name.IsPrefixOf(key.text.data());
  }
  absl::string_view KeyText(const Key& key) const { return key.text; }

  // --- Values ---

  bool TakeNull(const Value& value) const {
    constexpr absl::string_view kLongest = "null";
    return value.event.text.size() <= kLongest.size() &&
           Resolve(value.event).kind == ScalarKind::kNull;
  }
  bool TakeText(const Value& value, absl::string_view& text) const {
    const YamlEvent& e = value.event;
    if (e.type != Type::kScalar) return false;
    if (e.tag == Tag::kNone
            ? e.plain && MayBeOtherThanText(e.text) &&
                  ResolveScalar(e.text).kind != ScalarKind::kText
            : e.tag != Tag::kText) {
      return false;
    }
    text = e.text;
    return true;
  }
  bool HasNul(absl::string_view text) const {
    return std::memchr(text.data(), '\0', text.size()) != nullptr;
  }
  bool TakeInteger(const Value& value, int64_t& out) const {
    const Scalar scalar = Resolve(value.event);
    if (scalar.kind != ScalarKind::kInteger) return false;
    out = scalar.integer;
    return true;
  }
  bool TakeBool(const Value& value, bool& out) const {
    const YamlEvent& e = value.event;
    if (e.plain && e.tag == Tag::kNone) {  // as almost all are written
      const bool is_true = e.text == "true";
      if (is_true || e.text == "false") {
        out = is_true;
        return true;
      }
    }
    const Scalar scalar = Resolve(e);
    if (scalar.kind != ScalarKind::kBool) return false;
    out = scalar.boolean;
    return true;
  }
  bool IsMap(const Value& value) const {
    return value.event.type == Type::kMapStart;
  }
  bool IsList(const Value& value) const {
    return value.event.type == Type::kListStart;
  }

  std::string Describe(const Value& value) const {
    const YamlEvent& e = value.event;
    if (e.type == Type::kMapStart) return "a map";
    if (e.type == Type::kListStart) return "a list";
    if (e.tag == Tag::kOther) return "a value with a tag of its own";
    absl::string_view text;
    if (TakeText(value, text)) return QuotedForMessage(text);
    switch (Resolve(e).kind) {
      case ScalarKind::kNull:
        return e.text.empty() ? "nothing" : "null";
      case ScalarKind::kBool:
        return absl::StrCat("the boolean ", e.text);
      default:
        return absl::StrCat("the number ", e.text.substr(0, 60));
    }
  }

  TextPosition PositionOf(const Value& value) const { return value.event.at; }

  void Skip(const Value& value) {
    int depth = IsMap(value) || IsList(value) ? 1 : 0;
    YamlEvent event;
    while (depth > 0 && events_.Next(event)) {
      if (event.type == Type::kMapStart || event.type == Type::kListStart) {
        if (!CheckDepth(depth_ + ++depth, event.at)) return;
      } else if (event.type == Type::kMapEnd || event.type == Type::kListEnd) {
        --depth;
      }
    }
  }
  void Pass(const Value& value) { Skip(value); }

  // --- Walks ---

  template <typename F>
  void ForEachMember(const Value& map, F f) {
    if (!CheckDepth(++depth_, map.event.at)) return;
    WalkMembers(f, false);
    --depth_;
  }

  template <typename F>
  void ForEachElement(const Value& list, F f) {
    if (!CheckDepth(++depth_, list.event.at)) return;
    Value element;
    while (events_.Next(element.event) &&
           element.event.type != Type::kListEnd) {
      f(element);
      if (failed()) return;
    }
    --depth_;
  }

  template <typename F>
  void Peek(const Value&, F f) {
    events_.StartRecording();
    Value key;
    Value value;
    bool stop = false;
    while (!stop && events_.Next(key.event) &&
           key.event.type != Type::kMapEnd) {
      const bool is_text = key.event.type == Type::kScalar;
      if (!is_text) Skip(key);
      if (!events_.Next(value.event)) break;
      if (is_text) {
        stop = f(Key{key.event.text}, value);
      } else {
        Skip(value);
      }
      if (failed()) return;
    }
    events_.Rewind();
  }

 private:
  static Scalar Resolve(const YamlEvent& e) {
    Scalar scalar;
    if (e.type != Type::kScalar) return scalar;
    if (e.tag == Tag::kNone) {
      return e.plain ? ResolveScalar(e.text) : scalar;
    }
    if (e.tag == Tag::kText || e.tag == Tag::kOther) return scalar;
    // A tag that the text does not fit makes a text of it, which the readers
    // refuse where they expect something else.
    scalar = ResolveScalar(e.text);
    const bool fits =
        (e.tag == Tag::kNull && scalar.kind == ScalarKind::kNull) ||
        (e.tag == Tag::kBool && scalar.kind == ScalarKind::kBool) ||
        (e.tag == Tag::kInteger && (scalar.kind == ScalarKind::kInteger ||
                                    scalar.kind == ScalarKind::kLongInteger));
    if (!fits) scalar.kind = ScalarKind::kFloat;
    return scalar;
  }

  bool CheckDepth(int depth, TextPosition at) {
    if (depth <= log_.options().max_depth) return true;
    if (!events_.failed()) {
      log_.Error(at, PathStep(), "deeper nesting",
                 absl::StrCat("at most ", log_.options().max_depth, " levels"));
    }
    events_.Abort();
    return false;
  }

  // The members up to the end of the map that has begun. `merged`: they come
  // through a merge key, so that those of the map itself count more.
  template <typename F>
  void WalkMembers(F& f, bool merged) {
    YamlEvent key;
    Value value;
    while (events_.Next(key) && key.type != Type::kMapEnd) {
      if (key.type != Type::kScalar) {
        log_.Error(
            key.at, PathStep(),
            key.type == Type::kMapStart ? "a map as a key" : "a list as a key",
            "a text");
        Skip(Value{key});
        if (events_.Next(value.event)) Skip(value);
      } else if (key.text == "<<" && key.plain && key.tag == Tag::kNone) {
        Merge(f);
      } else if (events_.Next(value.event)) {
        f(Key{key.text}, value, merged);
      }
      if (failed()) return;
    }
  }

  // The value of a merge key: a map, or a list of maps of which the first
  // counts most.
  template <typename F>
  void Merge(F& f) {
    Value value;
    if (!events_.Next(value.event)) return;
    if (IsMap(value)) {
      if (!CheckDepth(++depth_, value.event.at)) return;
      WalkMembers(f, true);
      --depth_;
    } else if (IsList(value)) {
      ForEachElement(value, [&](const Value& element) {
        if (!IsMap(element)) {
          RefuseMerge(element);
        } else if (CheckDepth(++depth_, element.event.at)) {
          WalkMembers(f, true);
          --depth_;
        }
      });
    } else {
      RefuseMerge(value);
    }
  }

  void RefuseMerge(const Value& value) {
    log_.Error(value.event.at, PathStep(), Describe(value),
               "a map to merge (<<)");
    Skip(value);
  }

  YamlEvents events_;
  ReadLog& log_;
  int depth_ = 0;
};

// False, and reported, if a line is longer than the options allow.
bool CheckLines(absl::string_view text, ReadLog& log) {
  const size_t limit = log.options().max_line_bytes;
  if (text.size() <= limit) return true;
  int64_t line = 1;
  const char* start = text.data();
  const char* const end = start + text.size();
  while (static_cast<size_t>(end - start) > limit) {
    const void* newline = std::memchr(start, '\n', limit + 1);
    if (newline == nullptr) {
      log.Error({line, static_cast<int64_t>(limit) + 1}, PathStep(),
                "a longer line", absl::StrCat("at most ", limit, " bytes"));
      return false;
    }
    start = static_cast<const char*>(newline) + 1;
    ++line;
  }
  return true;
}

}  // namespace

void ReadYamlText(absl::string_view text, ObjectSink& sink, ReadLog& log) {
  if (!CheckLines(text, log)) return;
  YamlSource source(text, log);
  DocumentReader<YamlSource> reader(source, sink, log);
  source.ForEachDocument(
      [&](YamlSource::Value& root) { reader.ReadDocument(root); });
}

}  // namespace k8sdns
