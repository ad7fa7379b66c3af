#include "k8sdns/cluster/emitters.h"

#include <cstdint>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "k8sdns/cluster/utf8.h"
#include "k8sdns/cluster/yaml_scalars.h"

namespace k8sdns {
namespace {

// May stand in a YAML text as it is (YAML 1.1, c-printable), within one line.
bool IsPrintable(uint32_t code) {
  if (code < 0x7F) return code >= 0x20;
  return code >= 0xA0 && code != 0x2028 && code != 0x2029 && code != 0xFEFF &&
         code != 0xFFFE && code != 0xFFFF;
}

bool IsPrintable(absl::string_view text) {
  while (!text.empty()) {
    const Utf8Character c = FirstCharacter(text);
    if (!c.valid || !IsPrintable(c.code)) return false;
    text.remove_prefix(c.size);
  }
  return true;
}

// sexagesimal numbers of YAML 1.1 ("190:20:30"), which yaml.v2 quotes too.
bool IsBase60(absl::string_view text) {
  return text.find(':') != absl::string_view::npos &&
         text.find_first_not_of("0123456789_.:+-") == absl::string_view::npos &&
         text.find_first_of("0123456789") != absl::string_view::npos;
}

// A block scalar without quotes is read back as the same characters.
bool MayBePlain(absl::string_view text) {
  if (text.empty() || text.front() == ' ' || text.back() == ' ' ||
      text.back() == ':') {
    return false;
  }
  if (absl::StartsWith(text, "---") || absl::StartsWith(text, "...")) {
    return false;
  }
  const bool blank_follows = text.size() == 1 || text[1] == ' ';
  switch (text[0]) {
    case '#':
    case ',':
    case '[':
    case ']':
    case '{':
    case '}':
    case '&':
    case '*':
    case '!':
    case '|':
    case '>':
    case '\'':
    case '"':
    case '%':
    case '@':
    case '`':
    case '=':
      return false;
    case '-':
    case '?':
    case ':':
      if (blank_follows) return false;
      break;
    default:
      break;
  }
  return !absl::StrContains(text, ": ") && !absl::StrContains(text, " #") &&
         text != "<<";
}

void AppendDoubleQuoted(absl::string_view text, std::string& out) {
  out.push_back('"');
  while (!text.empty()) {
    const Utf8Character c = FirstCharacter(text);
    if (c.code == '"' || c.code == '\\') {
      out.push_back('\\');
      out.push_back(static_cast<char>(c.code));
    } else if (c.code == '\n') {
      out.append("\\n");
    } else if (c.code == '\t') {
      out.append("\\t");
    } else if (!c.valid) {
      out.append("\xEF\xBF\xBD");
    } else if (IsPrintable(c.code)) {
      out.append(text.data(), c.size);
    } else if (c.code < 0x100) {
      absl::StrAppendFormat(&out, "\\x%02X", c.code);
    } else {
      absl::StrAppendFormat(&out, "\\u%04X", c.code);
    }
    text.remove_prefix(c.size);
  }
  out.push_back('"');
}

void AppendSingleQuoted(absl::string_view text, std::string& out) {
  out.push_back('\'');
  for (char c : text) {
    if (c == '\'') out.push_back('\'');
    out.push_back(c);
  }
  out.push_back('\'');
}

}  // namespace

// --- JSON --------------------------------------------------------------------

void JsonEmitter::Begin(char bracket) {
  out_.push_back(bracket);
  empty_.push_back(true);
}

void JsonEmitter::End(char bracket) {
  const bool empty = empty_.back();
  empty_.pop_back();
  if (!empty) NewLine();
  out_.push_back(bracket);
  if (empty_.empty() && !compact_) out_.push_back('\n');
}

void JsonEmitter::Next() {
  if (!empty_.back()) out_.push_back(',');
  empty_.back() = false;
  NewLine();
}

void JsonEmitter::NewLine() {
  if (compact_) return;
  out_.push_back('\n');
  out_.append(4 * empty_.size(), ' ');
}

void JsonEmitter::Quote(absl::string_view text) {
  out_.push_back('"');
  size_t done = 0;  // what is copied
  size_t i = 0;
  while (i < text.size()) {
    const unsigned char c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c < 0x7F && c != '"' && c != '\\') {
      ++i;
      continue;
    }
    const Utf8Character character = FirstCharacter(text.substr(i));
    if (c >= 0x7F && character.valid) {
      i += character.size;
      continue;
    }
    out_.append(text.data() + done, i - done);
    if (!character.valid) {
      out_.append("\xEF\xBF\xBD");
    } else if (c == '"' || c == '\\') {
      out_.push_back('\\');
      out_.push_back(static_cast<char>(c));
    } else if (c == '\n') {
      out_.append("\\n");
    } else {
      absl::StrAppendFormat(&out_, "\\u%04x", c);
    }
    i += character.size;
    done = i;
  }
  out_.append(text.data() + done, text.size() - done);
  out_.push_back('"');
}

// --- YAML --------------------------------------------------------------------

void YamlEmitter::Begin(bool list) {
  size_t indent = 0;
  if (after_ == After::kKey) {
    indent = levels_.back().indent + (list ? 0 : 2);
  } else if (after_ == After::kDash) {
    indent = levels_.back().indent + 2;
  }
  levels_.push_back({list, true, indent});
}

void YamlEmitter::End(absl::string_view empty) {
  const bool is_empty = levels_.back().empty;
  levels_.pop_back();
  if (!is_empty) return;
  BeforeScalar();
  absl::StrAppend(&out_, empty, "\n");
}

// The start of a line, or the rest of the line of a key or a dash.
void YamlEmitter::StartEntry() {
  Level& level = levels_.back();
  if (level.empty && after_ == After::kKey) out_.push_back('\n');
  if (!level.empty || after_ != After::kDash) out_.append(level.indent, ' ');
  level.empty = false;
}

void YamlEmitter::Key(absl::string_view name) {
  // What a YAML parser accepts before a ':'.
  constexpr size_t kLongestSimpleKey = 1000;
  StartEntry();
  if (name.size() > kLongestSimpleKey) {
    out_.append("? ");
    AppendText(name);
    out_.push_back('\n');
    out_.append(levels_.back().indent, ' ');
  } else {
    AppendText(name);
  }
  out_.push_back(':');
  after_ = After::kKey;
}

void YamlEmitter::Element() {
  StartEntry();
  out_.append("- ");
  after_ = After::kDash;
}

void YamlEmitter::BeforeScalar() {
  if (after_ == After::kKey) out_.push_back(' ');
  after_ = After::kNothing;
}

void YamlEmitter::AppendText(absl::string_view text) {
  if (!IsPrintable(text) || IsBase60(text) ||
      ResolveScalar(text).kind != ScalarKind::kText) {
    AppendDoubleQuoted(text, out_);
  } else if (MayBePlain(text)) {
    absl::StrAppend(&out_, text);
  } else {
    AppendSingleQuoted(text, out_);
  }
}

void YamlEmitter::Text(absl::string_view text) {
  BeforeScalar();
  AppendText(text);
  out_.push_back('\n');
}

void YamlEmitter::Integer(int64_t number) {
  BeforeScalar();
  absl::StrAppend(&out_, number, "\n");
}

void YamlEmitter::Bool(bool value) {
  BeforeScalar();
  out_.append(value ? "true\n" : "false\n");
}

}  // namespace k8sdns
