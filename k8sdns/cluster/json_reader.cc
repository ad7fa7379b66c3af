// JSON through simdjson's On-Demand interface: one pass over an index of the
// text's structure, without a tree.

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "k8sdns/cluster/document_reader.h"
#include "k8sdns/cluster/text_readers.h"
#include "simdjson.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define K8SDNS_INSTRUMENTED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define K8SDNS_INSTRUMENTED 1
#endif
#endif

namespace k8sdns {
namespace {

namespace ondemand = simdjson::ondemand;

// simdjson reads up to SIMDJSON_PADDING bytes after the text. They need not be
// copied for if they lie on the text's last page, which is readable
// (simdjson, doc/performance.md, "Free padding").
bool HasReadablePadding(absl::string_view text) {
#ifdef K8SDNS_INSTRUMENTED
  (void)text;
  return false;
#else
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t last =
      reinterpret_cast<uintptr_t>(text.data() + text.size() - 1);
  return last % page + simdjson::SIMDJSON_PADDING < page;
#endif
}

// The first of '"' and '\\' in a JSON string, which ends with one of them.
inline const char* EndOfPlain(const char* p) {
  constexpr uint64_t kOnes = 0x0101010101010101;
  constexpr uint64_t kHigh = 0x8080808080808080;
  for (;; p += 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    const uint64_t quote = word ^ (kOnes * '"');
    const uint64_t slash = word ^ (kOnes * '\\');
    if ((((quote - kOnes) & ~quote) | ((slash - kOnes) & ~slash)) & kHigh) {
      break;
    }
  }
  while (*p != '"' && *p != '\\') ++p;
  return p;
}

class JsonSource {
 public:
  struct Value {
    ondemand::value json;
    const char* start = nullptr;  // of its text
    ondemand::object object;      // if opened
    bool opened = false;
  };
  struct Key {
    const char* raw;  // after the opening quote
  };

  JsonSource(absl::string_view text, ReadLog& log) : text_(text), log_(log) {}

  bool failed() const { return failed_ || log_.full(); }
  void Abort() { failed_ = true; }

  template <typename F>
  void ReadRoot(size_t capacity, F read) {
    ondemand::document document;
    simdjson::error_code error =
        parser_.iterate(text_.data(), text_.size(), capacity).get(document);
    if (error != simdjson::SUCCESS) {
      FailBeforeReading(error);
      return;
    }
    document_ = &document;
    const char* const first = FirstOf(text_);
    if (*first != '{' && *first != '[') {
      // Not reached by ReadCluster(), which recognises JSON by this character.
      log_.Error(PositionAt(first), PathStep(), "a scalar", "an object");
      return;
    }
    Value root;
    root.start = first;
    error = document.get_value().get(root.json);
    if (error != simdjson::SUCCESS) {
      Fail(error, text_.data() + text_.size());
      return;
    }
    read(root);
    if (failed()) return;
    const char* at = nullptr;  // of the next token; an error if there is none
    if (document.current_location().get(at) == simdjson::SUCCESS) {
      log_.Error(PositionAt(at), PathStep(), "more text after the value",
                 "the end of the JSON document");
    }
  }

  // --- Keys ---

  // The padding after the text makes it safe to look at as many bytes as a name
  // has.
  bool Is(const Key& key, const schema::FieldName& name) const {
    return name.IsPrefixOf(key.raw) && key.raw[name.size()] == '"';
  }

  absl::string_view KeyText(const Key& key) {
    absl::string_view text;
    (void)Unescape(key.raw, key_buffer_, text);
    return text;
  }

  // --- Values ---

  bool TakeNull(Value& value) {
    return *value.start == 'n' && IsNull(value.json);
  }

  bool TakeText(Value& value, absl::string_view& text) {
    if (*value.start != '"') return false;
    ondemand::raw_json_string raw;
    if (value.json.get_raw_json_string().get(raw) != simdjson::SUCCESS) {
      return false;
    }
    if (!Unescape(raw.raw(), text_buffer_, text)) {
      Fail(simdjson::STRING_ERROR, value.start);
      return false;
    }
    return true;
  }
  // Text without escapes cannot have one: simdjson refuses control characters.
  bool HasNul(absl::string_view text) const {
    return text.data() == text_buffer_.data() &&
           text.find('\0') != absl::string_view::npos;
  }

  bool TakeInteger(Value& value, int64_t& out) {
    if (*value.start != '-' && !IsDigit(*value.start)) return false;
    return value.json.get_int64().get(out) == simdjson::SUCCESS;
  }

  bool TakeBool(Value& value, bool& out) {
    if (*value.start != 't' && *value.start != 'f') return false;
    return value.json.get_bool().get(out) == simdjson::SUCCESS;
  }

  bool IsMap(const Value& value) const { return *value.start == '{'; }
  bool IsList(const Value& value) const { return *value.start == '['; }

  std::string Describe(Value& value) const {
    switch (*value.start) {
      case '{':
        return "a map";
      case '[':
        return "a list";
      case '"': {
        absl::string_view token = Token(value);
        token.remove_prefix(1);
        return QuotedForMessage(token.substr(0, token.rfind('"')));
      }
      case 't':
      case 'f':
      case 'n':
        return std::string(Token(value));
      default:
        return absl::StrCat("the number ", Token(value));
    }
  }

  TextPosition PositionOf(const Value& value) {
    return PositionAt(value.start);
  }

  // On-Demand does not look at what nobody asks for, so that this walks all
  // values within, to find what is not JSON.
  void Skip(Value& value) {
    if (failed_) return;
    switch (*value.start) {
      case '{':
        ForEachMember(value, [this](const Key&, Value& v, bool) { Skip(v); });
        return;
      case '[':
        ForEachElement(value, [this](Value& v) { Skip(v); });
        return;
      case '"':
        return;
      case 't':
      case 'f': {
        bool unused;
        if (!TakeBool(value, unused)) Fail(simdjson::TAPE_ERROR, value.start);
        return;
      }
      case 'n':
        if (!TakeNull(value)) Fail(simdjson::TAPE_ERROR, value.start);
        return;
      default: {
        ondemand::number unused;
        if (value.json.get_number().get(unused) != simdjson::SUCCESS &&
            !IsLongInteger(Token(value))) {
          Fail(simdjson::NUMBER_ERROR, value.start);
        }
      }
    }
  }
  void Pass(Value&) {}  // On-Demand passes over what is not read

  // --- Walks ---

  template <typename F>
  void ForEachMember(Value& value, F f) {
    if (!Enter(value.start)) return;
    if (Open(value)) {
      for (auto member : value.object) {
        ondemand::field field;
        if (auto error = std::move(member).get(field);
            error != simdjson::SUCCESS) {
          Fail(error, nullptr);
          break;
        }
        Value inner;
        inner.json = field.value();
        if (!Begin(inner)) break;
        f(Key{field.key().raw()}, inner, false);
        if (failed()) break;
      }
    }
    --depth_;
  }

  template <typename F>
  void ForEachElement(Value& value, F f) {
    if (!Enter(value.start)) return;
    ondemand::array array;
    if (auto error = value.json.get_array().get(array);
        error != simdjson::SUCCESS) {
      Fail(error, value.start);
    } else {
      for (auto element : array) {
        Value inner;
        if (error = std::move(element).get(inner.json);
            error != simdjson::SUCCESS) {
          Fail(error, nullptr);
          break;
        }
        if (!Begin(inner)) break;
        f(inner);
        if (failed()) break;
      }
    }
    --depth_;
  }

  template <typename F>
  void Peek(Value& value, F f) {
    if (!Open(value)) return;
    for (auto member : value.object) {
      ondemand::field field;
      if (auto error = std::move(member).get(field);
          error != simdjson::SUCCESS) {
        Fail(error, nullptr);
        return;
      }
      Value inner;
      inner.json = field.value();
      if (!Begin(inner)) return;
      const bool stop = f(Key{field.key().raw()}, inner);
      if (failed_) return;
      if (stop) break;
    }
    if (auto error = value.object.reset().error(); error != simdjson::SUCCESS) {
      Fail(error, value.start);
    }
  }

 private:
  static bool IsDigit(char c) { return c >= '0' && c <= '9'; }

  static bool IsNull(ondemand::value& value) {
    bool null = false;
    return simdjson::simdjson_result<bool>(value.is_null()).get(null) ==
               simdjson::SUCCESS &&
           null;
  }

  // An integer that no type of ours has room for.
  static bool IsLongInteger(absl::string_view token) {
    absl::ConsumePrefix(&token, "-");
    return !token.empty() && token[0] != '0' &&
           std::all_of(token.begin(), token.end(), IsDigit);
  }

  static const char* FirstOf(absl::string_view text) {
    const size_t first = text.find_first_not_of(" \t\r\n");
    return text.data() + (first == absl::string_view::npos ? 0 : first);
  }

  // The text of a scalar that was not read yet.
  absl::string_view Token(Value& value) const {
    const std::string_view token = value.json.raw_json_token();
    return absl::StripTrailingAsciiWhitespace(
        absl::string_view(token.data(), token.size()));
  }

  // Finds where a value starts. False where the text ends instead of it: what
  // On-Demand gives then lies in the padding.
  bool Begin(Value& value) {
    value.start = value.json.raw_json_token().data();
    if (value.start < text_.data() + text_.size()) return true;
    Fail(simdjson::TAPE_ERROR, nullptr);
    return false;
  }

  bool Open(Value& value) {
    if (value.opened) return true;
    if (auto error = value.json.get_object().get(value.object);
        error != simdjson::SUCCESS) {
      Fail(error, value.start);
      return false;
    }
    value.opened = true;
    return true;
  }

  bool Enter(const char* at) {
    if (++depth_ <= log_.options().max_depth) return true;
    if (!failed_) {
      log_.Error(PositionAt(at), PathStep(), "deeper nesting",
                 absl::StrCat("at most ", log_.options().max_depth, " levels"));
    }
    failed_ = true;
    return false;
  }

  // The text from `raw`, which lies after the opening quote, to the closing
  // one. It is copied to `buffer` only if it has escapes.
  bool Unescape(const char* raw, std::string& buffer, absl::string_view& text) {
    const char* end = EndOfPlain(raw);
    if (*end == '"') {
      text = absl::string_view(raw, end - raw);
      return true;
    }
    while (*end != '"') end += *end == '\\' ? 2 : 1;
    buffer.resize(end - raw + simdjson::SIMDJSON_PADDING);
    auto* to = reinterpret_cast<uint8_t*>(buffer.data());
    ondemand::raw_json_string source(reinterpret_cast<const uint8_t*>(raw));
    std::string_view result;
    if (parser_.unescape(source, to).get(result) != simdjson::SUCCESS) {
      return false;
    }
    text = absl::string_view(result.data(), result.size());
    return true;
  }

  // What the first stage refuses has no position; look for it.
  void FailBeforeReading(simdjson::error_code error) {
    const char* const end = text_.data() + text_.size();
    const char* at = end;
    if (error == simdjson::UTF8_ERROR) {
      size_t valid = 0;
      size_t invalid = text_.size();
      while (valid + 1 < invalid) {
        const size_t middle = valid + (invalid - valid) / 2;
        // A prefix may end within a character: allow for three bytes.
        bool good = false;
        for (size_t back = 0; back < 4 && back <= middle; ++back) {
          good = good || simdjson::validate_utf8(text_.data(), middle - back);
        }
        (good ? valid : invalid) = middle;
      }
      while (valid > 0 && !simdjson::validate_utf8(text_.data(), valid)) {
        --valid;
      }
      at = text_.data() + valid;
    } else if (error == simdjson::UNESCAPED_CHARS ||
               error == simdjson::UNCLOSED_STRING) {
      const char* open = nullptr;
      for (const char* p = text_.data(); p < end; ++p) {
        if (*p == '"') {
          open = open == nullptr ? p : nullptr;
        } else if (open != nullptr && *p == '\\') {
          ++p;
        } else if (open != nullptr && static_cast<unsigned char>(*p) < 0x20) {
          if (error == simdjson::UNESCAPED_CHARS) {
            open = p;
            break;
          }
        }
      }
      if (open != nullptr) at = open;
    }
    Fail(error, at);
  }

  void Fail(simdjson::error_code error, const char* at) {
    if (failed_) return;
    failed_ = true;
    if (at == nullptr) at = Location();
    log_.Error(PositionAt(at), PathStep(),
               absl::StrCat(
                   "broken JSON (",
                   absl::StripSuffix(simdjson::error_message(error), "."), ")"),
               "valid JSON");
  }

  const char* Location() {
    const char* at = nullptr;
    if (document_ == nullptr ||
        document_->current_location().get(at) != simdjson::SUCCESS) {
      at = text_.data() + text_.size();
    }
    return at;
  }

  TextPosition PositionAt(const char* at) {
    const char* const end = text_.data() + text_.size();
    if (at < text_.data() || at > end) at = end;
    if (at < counted_to_ || counted_to_ == nullptr) {
      counted_to_ = text_.data();
      line_start_ = text_.data();
      line_ = 1;
    }
    while (counted_to_ < at) {
      const void* newline = std::memchr(counted_to_, '\n', at - counted_to_);
      if (newline == nullptr) break;
      ++line_;
      line_start_ = counted_to_ = static_cast<const char*>(newline) + 1;
    }
    counted_to_ = at;
    return {line_, at - line_start_ + 1};
  }

  absl::string_view text_;
  ReadLog& log_;
  ondemand::parser parser_;
  ondemand::document* document_ = nullptr;  // while it is read
  std::string text_buffer_;
  std::string key_buffer_;
  int depth_ = 0;
  bool failed_ = false;
  // How far lines are counted.
  const char* counted_to_ = nullptr;
  const char* line_start_ = nullptr;
  int64_t line_ = 1;
};

}  // namespace

void ReadJsonText(absl::string_view text, ObjectSink& sink, ReadLog& log) {
  std::string padded;
  size_t capacity = text.size() + simdjson::SIMDJSON_PADDING;
  if (!HasReadablePadding(text)) {
    padded.reserve(capacity);
    padded.assign(text.data(), text.size());
    text = padded;
  }
  JsonSource source(text, log);
  DocumentReader<JsonSource> reader(source, sink, log);
  source.ReadRoot(capacity,
                  [&](JsonSource::Value& root) { reader.ReadDocument(root); });
}

}  // namespace k8sdns
