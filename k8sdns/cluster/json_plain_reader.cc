#include "k8sdns/cluster/json_plain_reader.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "k8sdns/cluster/json_index.h"
#include "k8sdns/cluster/object_meta.h"
#include "k8sdns/cluster/shared_text.h"

namespace k8sdns {

class PlainJsonReader::Impl {
 public:
  Impl(const char* text, const uint32_t* end, int max_depth, ObjectArena& arena,
       Skipper& skipper)
      : text_(text),
        end_(end),
        max_depth_(max_depth),
        arena_(arena),
        skipper_(skipper) {}

  const uint32_t* Read(const schema::Kind& kind, const uint32_t* token,
                       int depth, size_t max_list_bytes, void* object,
                       Counts& counts) {
    kind_ = &kind;
    depth_ = depth;
    counts_ = {};
    max_list_bytes_ = max_list_bytes;
    if (CharAt(token) != '{') return nullptr;
    token = ReadFields(kind.type->fields, token + 1, object, /*top=*/true);
    counts = counts_;
    return token;
  }

 private:
  using Token = const uint32_t*;  // nullptr: not plain

  const char* At(Token token) const { return text_ + *token; }
  char CharAt(Token token) const { return token < end_ ? *At(token) : '\0'; }

  static bool IsEnd(char c) {
    return c == ',' || c == '}' || c == ']' || c == ' ' || c == '\n' ||
           c == '\r' || c == '\t';
  }

  // The text of a string, in `buffer` if it has escapes. 16 bytes from its
  // start on are readable: of the padding, or of a std::string's own memory.
  ABSL_ATTRIBUTE_ALWAYS_INLINE
  static bool TextAt(const char* start, std::string& buffer,
                     absl::string_view& text) {
    if (*start != '"') return false;
    const char* const end = EndOfPlainJson(start + 1);
    text = absl::string_view(start + 1, static_cast<size_t>(end - start - 1));
    return *end == '"' || EscapedTextAt(start + 1, end, buffer, text);
  }
  ABSL_ATTRIBUTE_NOINLINE
  static bool EscapedTextAt(const char* begin, const char* end,
                            std::string& buffer, absl::string_view& text) {
    while (*end != '"') end += *end == '\\' ? 2 : 1;
    const auto size = static_cast<size_t>(end - begin);
    if (!UnescapeJson(absl::string_view(begin, size), buffer)) return false;
    text = buffer;
    return text.find('\0') == absl::string_view::npos;
  }

  // Calls `read` for the key and the token of each member's value, from the
  // token behind the brace on; it returns the token behind the value.
  template <typename F>
  Token ForEachMember(Token token, F read) {
    if (depth_ >= max_depth_) return nullptr;
    if (CharAt(token) == '}') return token + 1;
    ++depth_;
    while (true) {
      if (end_ - token < 4) return nullptr;
      const char* const key = At(token);
      if (*key != '"' || *At(token + 1) != ':') return nullptr;
      token = read(key + 1, token + 2);
      if (token == nullptr || token >= end_) return nullptr;
      const char c = *At(token++);
      if (c == ',') continue;
      --depth_;
      return c == '}' ? token : nullptr;
    }
  }
  template <typename F>
  Token ForEachElement(Token token, F read) {
    if (depth_ >= max_depth_) return nullptr;
    if (CharAt(token) == ']') return token + 1;
    ++depth_;
    while (true) {
      if (token >= end_) return nullptr;
      token = read(token);
      if (token == nullptr || token >= end_) return nullptr;
      const char c = *At(token++);
      if (c == ',') continue;
      --depth_;
      return c == ']' ? token : nullptr;
    }
  }

  Token ReadFields(absl::Span<const schema::Field> table, Token token,
                   void* object, bool top = false) {
    const char* const text = text_;
    uint64_t seen = 0;  // a bit a field, by its place
    // What the next key should be, as they mostly come in the table's order.
    const schema::Field* next = table.begin();
    uint64_t next_bit = 1;
    if (depth_ >= max_depth_ || token >= end_) return nullptr;
    if (text[*token] == '}') return token + 1;
    ++depth_;
    while (true) {
      if (end_ - token < 4) return nullptr;
      const char* const key = text + token[0] + 1;
      if (key[-1] != '"' || text[token[1]] != ':') return nullptr;
      token += 2;
      const schema::Field* const found =
          next != table.end() && IsName(next->name, key)
              ? next
              : Find(table, next, key);
      if (found == table.end()) {
        token = ReadOther(key, token, top);
      } else {
        if (found != next) {
          next = found;
          next_bit = uint64_t{1} << (found - table.begin());
        }
        if ((seen & next_bit) != 0) return nullptr;
        seen |= next_bit;
        next_bit <<= 1;
        const schema::Field& field = *next++;
        token = field.type != nullptr
                    ? ReadValue(*field.type, field, token,
                                schema::At(object, field), /*element=*/false)
                    : ReadGroup(field, token, object);
      }
      if (token == nullptr || token >= end_) return nullptr;
      const char c = text[*token++];
      if (c == ',') continue;
      --depth_;
      return c == '}' ? token : nullptr;
    }
  }

  Token ReadGroup(const schema::Field& field, Token value, void* object) {
    const char* const start = At(value);
    if (*start == '{') return ReadFields(field.group, value + 1, object);
    return IsNull(start) ? value + 1 : nullptr;
  }

  ABSL_ATTRIBUTE_ALWAYS_INLINE
  static bool IsName(const schema::FieldName& name, const char* key) {
    return name.IsPrefixOf(key) && key[name.size()] == '"';
  }

  // A key's field, which mostly is not far behind `next`; the end if there is
  // none.
  static const schema::Field* Find(absl::Span<const schema::Field> table,
                                   const schema::Field* next, const char* key) {
    const auto is = [key](const schema::Field& field) {
      return IsName(field.name, key);
    };
    const schema::Field* found = std::find_if(next, table.end(), is);
    if (found != table.end()) return found;
    found = std::find_if(table.begin(), next, is);
    return found == next ? table.end() : found;
  }

  // What the table does not have: the object's header, and what is not
  // modelled.
  Token ReadOther(const char* key, Token value, bool top) {
    const bool says_kind = IsName(schema::kKindField, key);
    if (top && (says_kind || IsName(schema::kApiVersionField, key))) {
      absl::string_view text;
      if (!TextAt(At(value), text_buffer_, text)) return nullptr;
      if (says_kind) {
        if (text != kind_->kind) return nullptr;
        counts_.said_kind = true;
      }
      return value + 1;
    }
    ++counts_.ignored_fields;
    return skipper_.SkipValue(value, depth_);
  }

  static bool IsNull(const char* start) {
    return std::memcmp(start, "null", 4) == 0 && IsEnd(start[4]);
  }

  // `element`: of a list, which "" and null are no element of.
  ABSL_ATTRIBUTE_ALWAYS_INLINE
  Token ReadValue(const schema::Type& any_type, const schema::Field& field,
                  Token value, void* out, bool element) {
    using schema::Shape;
    const char* const start = At(value);
    if (*start == 'n') {
      return !element && IsNull(start) ? value + 1 : nullptr;
    }
    const bool optional = any_type.shape == Shape::kOptional;
    const schema::Type& type = optional ? *any_type.element : any_type;
    if (optional) out = any_type.emplace(out);
    switch (type.shape) {
      case Shape::kString:
      case Shape::kSharedText:
      case Shape::kEnum:
        return ReadText(type, field, value, out, element);
      case Shape::kInt32:
        return ReadInteger(field.check, start, *static_cast<int32_t*>(out))
                   ? value + 1
                   : nullptr;
      case Shape::kBool:
        return ReadBool(start, *static_cast<bool*>(out)) ? value + 1 : nullptr;
      case Shape::kPortOrName:
        return ReadPortOrName(field.check, value,
                              *static_cast<PortOrName*>(out));
      case Shape::kStringMap:
        return ReadMap(value, *static_cast<StringMap*>(out));
      case Shape::kBoolMap:
        return nullptr;  // of configurations, which are short
      case Shape::kObject:
        return *start == '{' ? ReadFields(type.object->fields, value + 1, out)
                             : nullptr;
      case Shape::kList:
        return *start == '[' ? ReadList(type, field, value + 1, out) : nullptr;
      case Shape::kOptional:
        return nullptr;  // of an optional: the API has none
    }
    return nullptr;
  }

  ABSL_ATTRIBUTE_ALWAYS_INLINE
  Token ReadText(const schema::Type& type, const schema::Field& field,
                 Token value, void* out, bool element) {
    absl::string_view text;
    if (!TextAt(At(value), text_buffer_, text)) return nullptr;
    if (type.shape == schema::Shape::kEnum) {
      const schema::EnumType& names = *type.enumeration;
      const schema::EnumName* name =
          schema::FindName(names, text.empty() ? names.empty : text);
      if (name == nullptr) return nullptr;
      schema::StoreEnum(names, name->value, out);
      return value + 1;
    }
    if (field.check != schema::Check::kNone && (element || !text.empty()) &&
        !schema::Passes(field.check, text)) {
      return nullptr;
    }
    if (type.shape == schema::Shape::kString) {
      static_cast<std::string*>(out)->assign(text.data(), text.size());
    } else {
      static_cast<SharedText*>(out)->AssignPadded(text, arena_);
    }
    return value + 1;
  }

  // Up to nine digits, which is all that ports and seconds need.
  static bool ReadInteger(schema::Check check, const char* p, int32_t& out) {
    int32_t number = 0;
    const char* const start = p;
    while (*p >= '0' && *p <= '9' && p - start < 9) {
      number = number * 10 + (*p++ - '0');
    }
    if (p == start || !IsEnd(*p) || (*start == '0' && p - start > 1) ||
        !schema::Passes(check, int64_t{number})) {
      return false;
    }
    out = number;
    return true;
  }

  static bool ReadBool(const char* start, bool& out) {
    out = *start == 't';
    return out ? std::memcmp(start, "true", 4) == 0 && IsEnd(start[4])
               : std::memcmp(start, "false", 5) == 0 && IsEnd(start[5]);
  }

  Token ReadPortOrName(schema::Check check, Token value, PortOrName& out) {
    absl::string_view text;
    if (TextAt(At(value), text_buffer_, text)) {
      out.emplace<std::string>(text.data(), text.size());
      return value + 1;
    }
    int32_t number = 0;
    if (!ReadInteger(check, At(value), number)) return nullptr;
    out = number;
    return value + 1;
  }

  Token ReadMap(Token value, StringMap& out) {
    if (*At(value) != '{') return nullptr;
    return ForEachMember(
        value + 1, [&](const char* key_start, Token member) -> Token {
          absl::string_view key;
          absl::string_view text;
          if (!TextAt(key_start - 1, key_buffer_, key) ||
              !TextAt(At(member), text_buffer_, text)) {
            return nullptr;
          }
          const size_t size = out.size();
          out.emplace_hint(out.end(), std::string(key), std::string(text));
          return out.size() > size ? member + 1 : nullptr;
        });
  }

  Token ReadList(const schema::Type& type, const schema::Field& field,
                 Token token, void* out) {
    lengths_.Reserve(type, out);
    size_t count = 0;
    token = ForEachElement(token, [&](Token element) -> Token {
      counts_.list_bytes += type.element_size;
      if (counts_.list_bytes > max_list_bytes_) return nullptr;
      ++count;
      void* to = type.append(out);
      if (field.wrapped.empty()) {
        return ReadValue(*type.element, field, element, to, /*element=*/true);
      }
      return ReadWrapped(type, field, element, to);
    });
    lengths_.Note(type, count);
    type.settle(out, arena_);
    return token;
  }

  // {"ip": "10.0.0.1"}
  Token ReadWrapped(const schema::Type& type, const schema::Field& field,
                    Token element, void* to) {
    if (*At(element) != '{') return nullptr;
    bool seen = false;
    const Token end =
        ForEachMember(element + 1, [&](const char* key, Token value) -> Token {
          if (!IsName(field.wrapped, key) || std::exchange(seen, true)) {
            return nullptr;
          }
          return ReadValue(*type.element, field, value, to, /*element=*/true);
        });
    return seen ? end : nullptr;
  }

  const char* text_;
  Token end_;
  int max_depth_;
  ObjectArena& arena_;
  Skipper& skipper_;
  // The object that is being read.
  const schema::Kind* kind_ = nullptr;
  int depth_ = 0;
  size_t max_list_bytes_ = 0;
  Counts counts_;
  schema::ListLengths lengths_;
  // Of texts with escapes.
  std::string key_buffer_;
  std::string text_buffer_;
};

PlainJsonReader::PlainJsonReader(const char* text, const uint32_t* end,
                                 int max_depth, ObjectArena& arena,
                                 Skipper& skipper)
    : impl_(std::make_unique<Impl>(text, end, max_depth, arena, skipper)) {}

PlainJsonReader::~PlainJsonReader() = default;

const uint32_t* PlainJsonReader::Read(const schema::Kind& kind,
                                      const uint32_t* token, int depth,
                                      size_t max_list_bytes, void* object,
                                      Counts& counts) {
  return impl_->Read(kind, token, depth, max_list_bytes, object, counts);
}

}  // namespace k8sdns
