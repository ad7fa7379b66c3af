// JSON through simdjson's index of the text's structure: one pass over it,
// without a tree.

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/attributes.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "k8sdns/cluster/document_reader.h"
#include "k8sdns/cluster/json_index.h"
#include "k8sdns/cluster/json_plain_reader.h"
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

// simdjson reads up to JsonIndex::kPadding bytes after the text. They need not
// be copied for if they lie on the text's last page, which is readable
// (simdjson, doc/performance.md, "Free padding").
bool HasReadablePadding(absl::string_view text) {
#ifdef K8SDNS_INSTRUMENTED
  (void)text;
  return false;
#else
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t last =
      reinterpret_cast<uintptr_t>(text.data() + text.size() - 1);
  return last % page + JsonIndex::kPadding < page;
#endif
}

// A token is an element of the index; values are read in the order in which
// they stand, from next_ on.
class JsonSource : public PlainJsonReader::Skipper {
 public:
  struct Value {
    const uint32_t* token;
    const char* start;  // of its text
  };
  struct Key {
    const char* raw;  // after the opening quote
  };
  static constexpr bool kHasPlain = true;
  using PlainCounts = PlainJsonReader::Counts;

  JsonSource(absl::string_view text, ObjectArena& arena, ReadLog& log)
      : text_(text), arena_(arena), log_(log) {}

  bool failed() const { return failed_ || log_.full(); }
  void Abort() { failed_ = true; }

  template <typename F>
  void ReadRoot(F read) {
    JsonIndex index;
    if (auto error = index.Build(text_); error != simdjson::SUCCESS) {
      FailBeforeReading(error);
      return;
    }
    next_ = index.begin();
    end_ = index.end();
    plain_.emplace(text_.data(), end_, log_.options().max_depth, arena_, *this);
    Value root = ValueAt(next_);
    if (!IsMap(root) && !IsList(root)) {
      // Not reached by ReadCluster(), which recognises JSON by this character.
      log_.Error(PositionAt(root.start), PathStep(), "a scalar", "an object");
      return;
    }
    read(root);
    if (!failed() && next_ < end_) {
      log_.Error(PositionAt(StartOf(next_)), PathStep(),
                 "more text after the value", "the end of the JSON document");
    }
  }

  // Reads an object, a new one, if it looks as expected; otherwise the value is
  // not read yet, unless the source has failed.
  bool TakePlain(const schema::Kind& kind, const Value& value,
                 size_t max_list_bytes, void* object,
                 PlainJsonReader::Counts& counts) {
    const uint32_t* const end =
        plain_->Read(kind, value.token, depth_, max_list_bytes, object, counts);
    next_ = end == nullptr ? value.token : end;
    return end != nullptr;
  }

  // --- Keys ---

  // The padding after the text makes it safe to look at as many bytes as a name
  // has.
  bool Is(const Key& key, const schema::FieldName& name) const {
    return name.IsPrefixOf(key.raw) && key.raw[name.size()] == '"';
  }

  absl::string_view KeyText(const Key& key) {
    absl::string_view text;
    (void)StringAt(key.raw, key_buffer_, text);
    return text;
  }

  // --- Values ---

  bool TakeNull(const Value& value) {
    return *value.start == 'n' && TakeWord(value, value.start, "null");
  }

  bool TakeText(const Value& value, absl::string_view& text) {
    if (*value.start != '"') return false;
    if (!StringAt(value.start + 1, text_buffer_, text)) {
      Fail(simdjson::STRING_ERROR, value.start);
      return false;
    }
    next_ = value.token + 1;
    return true;
  }
  // Text without escapes cannot have one: simdjson refuses control characters.
  bool HasNul(absl::string_view text) const {
    return text.data() == text_buffer_.data() &&
           text.find('\0') != absl::string_view::npos;
  }

  bool TakeInteger(const Value& value, int64_t& out) {
    if (*value.start != '-' && !IsDigit(*value.start)) return false;
    const absl::string_view token = TokenText(value);
    if (!IsJsonInteger(token) || !absl::SimpleAtoi(token, &out)) return false;
    next_ = value.token + 1;
    return true;
  }

  bool TakeBool(const Value& value, bool& out) {
    out = *value.start == 't';
    return out ? TakeWord(value, value.start, "true")
               : *value.start == 'f' &&
                     TakeWord(value, value.start + 1, "alse");
  }

  bool IsMap(const Value& value) const { return *value.start == '{'; }
  bool IsList(const Value& value) const { return *value.start == '['; }

  std::string Describe(const Value& value) const {
    switch (*value.start) {
      case '{':
        return "a map";
      case '[':
        return "a list";
      case '"': {
        absl::string_view token = TokenText(value);
        token.remove_prefix(1);
        return QuotedForMessage(token.substr(0, token.rfind('"')));
      }
      case 't':
      case 'f':
      case 'n':
        return std::string(TokenText(value));
      default:
        return absl::StrCat("the number ", TokenText(value));
    }
  }

  TextPosition PositionOf(const Value& value) {
    return PositionAt(value.start);
  }

  // Reads all values within, to find what is not JSON.
  void Skip(const Value& value) {
    if (failed_) return;
    bool unused;
    switch (*value.start) {
      case '{':
        ForEachMember(value,
                      [this](const Key&, const Value& v, bool) { Skip(v); });
        return;
      case '[':
        ForEachElement(value, [this](const Value& v) { Skip(v); });
        return;
      case '"':
        break;
      case 't':
      case 'f':
        if (!TakeBool(value, unused)) Fail(simdjson::TAPE_ERROR, value.start);
        return;
      case 'n':
        if (!TakeNull(value)) Fail(simdjson::TAPE_ERROR, value.start);
        return;
      default:
        if (!IsJsonNumber(TokenText(value))) {
          Fail(simdjson::NUMBER_ERROR, value.start);
        }
    }
    next_ = value.token + 1;
  }
  // Only counts brackets: what is peeked at comes again.
  void Pass(const Value& value) {
    int depth = 0;
    next_ = value.token;
    do {
      const char c = CharAt(next_);
      if (c == '{' || c == '[') ++depth;
      if (c == '}' || c == ']') --depth;
    } while (++next_ < end_ && depth > 0);
  }

  // --- Walks ---

  template <typename F>
  void ForEachMember(const Value& map, F f) {
    if (!Enter(map.start)) return;
    WalkMembers(map, [&](const Key& key, Value& value) {
      f(key, value, false);
      return !failed();
    });
    --depth_;
  }

  template <typename F>
  void ForEachElement(const Value& list, F f) {
    if (!Enter(list.start)) return;
    const uint32_t* token = list.token + 1;
    if (CharAt(token) != ']') {
      while (true) {
        if (token >= end_) {
          Fail(simdjson::INCOMPLETE_ARRAY_OR_OBJECT, EndOfText());
          return;
        }
        Value value = ValueAt(token);
        next_ = token;
        f(value);
        if (failed()) return;
        token = next_;
        const char c = CharAt(token);
        if (c == ']') break;
        if (c != ',') {
          FailAt(token);
          return;
        }
        ++token;
      }
    }
    next_ = token + 1;
    --depth_;
  }

  template <typename F>
  void Peek(const Value& map, F f) {
    WalkMembers(map, [&](const Key& key, Value& value) {
      return !f(key, value) && !failed_;
    });
    next_ = map.token;
  }

 private:
  static bool IsDigit(char c) { return c >= '0' && c <= '9'; }
  static bool IsJsonInteger(absl::string_view token) {
    absl::ConsumePrefix(&token, "-");
    return !token.empty() && (token[0] != '0' || token.size() == 1) &&
           std::all_of(token.begin(), token.end(), IsDigit);
  }

  const uint32_t* SkipValue(const uint32_t* token, int depth) override {
    const int outer = std::exchange(depth_, depth);
    Skip(ValueAt(token));
    depth_ = outer;
    return failed_ ? nullptr : next_;
  }

  const char* StartOf(const uint32_t* token) const {
    return text_.data() + *token;
  }
  const char* EndOfText() const { return text_.data() + text_.size(); }
  // The first character of a token; NUL after the last one.
  char CharAt(const uint32_t* token) const {
    return token < end_ ? *StartOf(token) : '\0';
  }
  Value ValueAt(const uint32_t* token) const { return {token, StartOf(token)}; }

  // From the token to the next one, without the white space between.
  absl::string_view TokenText(const Value& value) const {
    const char* end =
        value.token + 1 < end_ ? StartOf(value.token + 1) : EndOfText();
    return absl::StripTrailingAsciiWhitespace(
        absl::string_view(value.start, end - value.start));
  }

  // `word` is one of true, alse and null, which the text may have from `at` on.
  bool TakeWord(const Value& value, const char* at, const char (&word)[5]) {
    // The padding makes it safe to look beyond the end.
    if (std::memcmp(at, word, 4) != 0) return false;
    const char* const end = at + 4;
    if (end < EndOfText() && !absl::ascii_isspace(*end) && *end != ',' &&
        *end != '}' && *end != ']') {
      return false;
    }
    next_ = value.token + 1;
    return true;
  }

  // Calls `f` for each member as long as it returns true; it must move next_
  // behind the value, if it does. At the end next_ is behind the map.
  template <typename F>
  void WalkMembers(const Value& map, F f) {
    const uint32_t* token = map.token + 1;
    if (CharAt(token) != '}') {
      while (true) {
        if (end_ - token < 3 || *StartOf(token) != '"' ||
            *StartOf(token + 1) != ':') {
          FailAt(CharAt(token) == '"' ? token + 1 : token);
          return;
        }
        const Key key{StartOf(token) + 1};
        Value value = ValueAt(token + 2);
        next_ = value.token;
        if (!f(key, value)) return;
        token = next_;
        const char c = CharAt(token);
        if (c == '}') break;
        if (c != ',') {
          FailAt(token);
          return;
        }
        ++token;
      }
    }
    next_ = token + 1;
  }

  bool Enter(const char* at) {
    if (++depth_ <= log_.options().max_depth) return true;
    FailTooDeep(at);
    return false;
  }
  ABSL_ATTRIBUTE_NOINLINE void FailTooDeep(const char* at) {
    if (!failed_) {
      log_.Error(PositionAt(at), PathStep(), "deeper nesting",
                 absl::StrCat("at most ", log_.options().max_depth, " levels"));
    }
    failed_ = true;
  }

  // The text from `raw`, which lies after the opening quote, to the closing
  // one. It is copied to `buffer` only if it has escapes.
  bool StringAt(const char* raw, std::string& buffer,
                absl::string_view& text) const {
    const char* end = EndOfPlainJson(raw);
    if (*end == '"') {
      text = absl::string_view(raw, end - raw);
      return true;
    }
    while (*end != '"') end += *end == '\\' ? 2 : 1;
    if (!UnescapeJson(absl::string_view(raw, end - raw), buffer)) return false;
    text = buffer;
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
    log_.Error(PositionAt(at), PathStep(),
               absl::StrCat(
                   "broken JSON (",
                   absl::StripSuffix(simdjson::error_message(error), "."), ")"),
               "valid JSON");
  }

  // A token that may not stand where it does, or that is missing.
  void FailAt(const uint32_t* token) {
    if (token < end_) {
      Fail(simdjson::TAPE_ERROR, StartOf(token));
    } else {
      Fail(simdjson::INCOMPLETE_ARRAY_OR_OBJECT, EndOfText());
    }
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
  ObjectArena& arena_;
  ReadLog& log_;
  const uint32_t* next_ = nullptr;
  const uint32_t* end_ = nullptr;
  std::optional<PlainJsonReader> plain_;
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
  if (!HasReadablePadding(text)) {
    padded.reserve(text.size() + JsonIndex::kPadding);
    padded.assign(text.data(), text.size());
    text = padded;
  }
  JsonSource source(text, sink.arena(), log);
  DocumentReader<JsonSource> reader(source, sink, log);
  source.ReadRoot([&](JsonSource::Value& root) { reader.ReadDocument(root); });
}

}  // namespace k8sdns
