#include "k8sdns/cluster/yaml_scalars.h"

#include <limits>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace k8sdns {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// The words, in their three spellings: all small, capitalised, all capitals.
bool IsWord(absl::string_view text, absl::string_view small) {
  // Most texts differ here already.
  if (text.size() != small.size() || (text[0] | 0x20) != small[0] ||
      !absl::EqualsIgnoreCase(text, small)) {
    return false;
  }
  if (text.size() == 1) return true;
  const bool first_is_capital = text[0] >= 'A' && text[0] <= 'Z';
  const bool second_is_capital = text[1] >= 'A' && text[1] <= 'Z';
  if (!first_is_capital && second_is_capital) return false;
  for (char c : text.substr(1)) {
    if ((c >= 'A' && c <= 'Z') != second_is_capital) return false;
  }
  return true;
}

bool IsAnyWord(absl::string_view text,
               std::initializer_list<absl::string_view> words) {
  for (absl::string_view word : words) {
    if (IsWord(text, word)) return true;
  }
  return false;
}

// [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
bool IsFloat(absl::string_view text) {
  size_t i = 0;
  const auto digits = [&] {
    const size_t start = i;
    while (i < text.size() && IsDigit(text[i])) ++i;
    return i - start;
  };
  if (i < text.size() && (text[i] == '-' || text[i] == '+')) ++i;
  const size_t whole = digits();
  if (i < text.size() && text[i] == '.') {
    ++i;
    if (digits() == 0 && whole == 0) return false;
  } else if (whole == 0) {
    return false;
  }
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '-' || text[i] == '+')) ++i;
    if (digits() == 0) return false;
  }
  return i == text.size();
}

// Go's strconv.ParseInt with base 0, underscores taken out before.
bool ResolveInteger(absl::string_view text, Scalar& out) {
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  uint64_t base = 10;
  if (text.size() > 1 && text[0] == '0') {
    const char mark = static_cast<char>(text[1] | 0x20);
    if (mark == 'x' || mark == 'o' || mark == 'b') {
      base = mark == 'x' ? 16 : mark == 'o' ? 8 : 2;
      text.remove_prefix(2);
    } else {
      base = 8;
      text.remove_prefix(1);
    }
  }
  if (text.empty()) return false;
  uint64_t value = 0;
  bool overflow = false;
  for (char c : text) {
    uint64_t digit;
    if (IsDigit(c)) {
      digit = static_cast<uint64_t>(c - '0');
    } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
      digit = static_cast<uint64_t>((c | 0x20) - 'a' + 10);
    } else {
      return false;
    }
    if (digit >= base) return false;
    overflow = overflow ||
               value > (std::numeric_limits<uint64_t>::max() - digit) / base;
    value = value * base + digit;
  }
  const uint64_t limit =
      static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) +
      (negative ? 1 : 0);
  if (overflow || value > limit) {
    out.kind = ScalarKind::kLongInteger;
    return true;
  }
  out.kind = ScalarKind::kInteger;
  out.integer = static_cast<int64_t>(negative ? 0 - value : value);
  return true;
}

Scalar ResolveNumber(absl::string_view text) {
  Scalar out;
  std::string without_underscores;
  if (text.find('_') != absl::string_view::npos) {
    for (char c : text) {
      if (c != '_') without_underscores.push_back(c);
    }
    text = without_underscores;
  }
  if (ResolveInteger(text, out)) return out;
  if (IsFloat(text)) out.kind = ScalarKind::kFloat;
  return out;
}

}  // namespace

Scalar ResolveScalar(absl::string_view plain) {
  Scalar out;
  if (!MayBeOtherThanText(plain)) return out;
  if (plain.empty() || plain == "~" || IsWord(plain, "null")) {
    out.kind = ScalarKind::kNull;
    return out;
  }
  const char first = plain[0];
  if (IsDigit(first) || first == '+' || first == '-' || first == '.') {
    absl::string_view unsigned_text = plain;
    if (first == '+' || first == '-') unsigned_text.remove_prefix(1);
    if (unsigned_text == ".inf" || unsigned_text == ".Inf" ||
        unsigned_text == ".INF" || plain == ".nan" || plain == ".NaN" ||
        plain == ".NAN") {
      out.kind = ScalarKind::kFloat;
      return out;
    }
    return ResolveNumber(plain);
  }
  if (IsAnyWord(plain, {"true", "yes", "on", "y"})) {
    out.kind = ScalarKind::kBool;
    out.boolean = true;
  } else if (IsAnyWord(plain, {"false", "no", "off", "n"})) {
    out.kind = ScalarKind::kBool;
  }
  return out;
}

}  // namespace k8sdns
