#include "k8sdns/cluster/json_index.h"

#include <algorithm>
#include <cstddef>
#include <optional>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"

namespace k8sdns {
namespace {

void AppendUtf8(uint32_t code, std::string& out) {
  const auto tail = [&](int shift) {
    out.push_back(static_cast<char>(0x80 | ((code >> shift) & 0x3F)));
  };
  if (code < 0x80) {
    out.push_back(static_cast<char>(code));
  } else if (code < 0x800) {
    out.push_back(static_cast<char>(0xC0 | (code >> 6)));
    tail(0);
  } else if (code < 0x10000) {
    out.push_back(static_cast<char>(0xE0 | (code >> 12)));
    tail(6);
    tail(0);
  } else {
    out.push_back(static_cast<char>(0xF0 | (code >> 18)));
    tail(12);
    tail(6);
    tail(0);
  }
}

// The four hexadecimal digits of \uXXXX, taken from the front of `text`.
std::optional<uint32_t> TakeUnit(absl::string_view& text) {
  if (text.size() < 4) return std::nullopt;
  uint32_t unit = 0;
  for (char c : text.substr(0, 4)) {
    if (!absl::ascii_isxdigit(static_cast<unsigned char>(c))) {
      return std::nullopt;
    }
    const int digit = absl::ascii_isdigit(static_cast<unsigned char>(c))
                          ? c - '0'
                          : (c | 0x20) - 'a' + 10;
    unit = unit * 16 + static_cast<uint32_t>(digit);
  }
  text.remove_prefix(4);
  return unit;
}

// After \u; surrogates must come in pairs.
std::optional<uint32_t> TakeCodePoint(absl::string_view& text) {
  const std::optional<uint32_t> unit = TakeUnit(text);
  if (!unit || *unit < 0xD800 || *unit > 0xDFFF) return unit;
  if (*unit > 0xDBFF || !absl::ConsumePrefix(&text, "\\u")) {
    return std::nullopt;
  }
  const std::optional<uint32_t> low = TakeUnit(text);
  if (!low || *low < 0xDC00 || *low > 0xDFFF) return std::nullopt;
  return 0x10000 + ((*unit - 0xD800) << 10) + (*low - 0xDC00);
}

char Unescaped(char c) {
  switch (c) {
    case '"':
    case '\\':
    case '/':
      return c;
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      return '\0';
  }
}

// At least one; false if there is none.
bool TakeDigits(absl::string_view& text) {
  size_t count = 0;
  while (count < text.size() &&
         absl::ascii_isdigit(static_cast<unsigned char>(text[count]))) {
    ++count;
  }
  text.remove_prefix(count);
  return count > 0;
}

// The index is written once and read once: a hint to map it by large pages,
// which need not be heard.
void AdviseLargePages(uint32_t* index, size_t count) {
#if defined(__linux__)
  constexpr uintptr_t kLargePage = uintptr_t{2} << 20;
  const uintptr_t begin =
      (reinterpret_cast<uintptr_t>(index) + kLargePage - 1) & ~(kLargePage - 1);
  const uintptr_t end = reinterpret_cast<uintptr_t>(index + count);
  if (end < begin + kLargePage) return;
  (void)madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#else
  (void)index;
  (void)count;
#endif
}

}  // namespace

simdjson::error_code JsonIndex::Build(absl::string_view text) {
  constexpr size_t kDepth = 1;  // of stages that do not run here
  if (auto error = simdjson::get_active_implementation()
                       ->create_dom_parser_implementation(
                           text.size() + kPadding, kDepth, stage_);
      error != simdjson::SUCCESS) {
    return error;
  }
  AdviseLargePages(stage_->structural_indexes.get(), text.size());
  return stage_->stage1(reinterpret_cast<const uint8_t*>(text.data()),
                        text.size(), simdjson::stage1_mode::regular);
}

bool UnescapeJson(absl::string_view text, std::string& out) {
  out.clear();
  while (true) {
    const size_t slash = text.find('\\');
    out.append(text.data(), std::min(slash, text.size()));
    if (slash == absl::string_view::npos) return true;
    text.remove_prefix(slash + 1);
    if (absl::ConsumePrefix(&text, "u")) {
      const std::optional<uint32_t> code = TakeCodePoint(text);
      if (!code) return false;
      AppendUtf8(*code, out);
      continue;
    }
    const char c = text.empty() ? '\0' : Unescaped(text[0]);
    if (c == '\0') return false;
    out.push_back(c);
    text.remove_prefix(1);
  }
}

bool IsJsonNumber(absl::string_view token) {
  absl::ConsumePrefix(&token, "-");
  if (absl::StartsWith(token, "0")) {
    token.remove_prefix(1);
  } else if (!TakeDigits(token)) {
    return false;
  }
  if (absl::ConsumePrefix(&token, ".") && !TakeDigits(token)) return false;
  if (absl::ConsumePrefix(&token, "e") || absl::ConsumePrefix(&token, "E")) {
    if (!absl::ConsumePrefix(&token, "+")) absl::ConsumePrefix(&token, "-");
    if (!TakeDigits(token)) return false;
  }
  return token.empty();
}

}  // namespace k8sdns
