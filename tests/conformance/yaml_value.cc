#include "tests/conformance/yaml_value.h"

#include <yaml.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace k8sdns::conformance {
namespace {

// Builds the tree of node `index` of a loaded document. Recordings are trusted
// input, so depth is not limited beyond libyaml's own limit.
YamlValue Build(yaml_document_t* document, int index) {
  const yaml_node_t* node = yaml_document_get_node(document, index);
  switch (node->type) {
    case YAML_SCALAR_NODE: {
      std::string text(reinterpret_cast<const char*>(node->data.scalar.value),
                       node->data.scalar.length);
      if (node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) {
        return YamlValue(std::move(text));
      }
      if (text.empty() || text == "~" || text == "null") return YamlValue();
      return YamlValue::Plain(std::move(text));
    }
    case YAML_SEQUENCE_NODE: {
      YamlValue list = YamlValue::List();
      for (auto* item = node->data.sequence.items.start;
           item < node->data.sequence.items.top; ++item) {
        list.Add(Build(document, *item));
      }
      return list;
    }
    case YAML_MAPPING_NODE: {
      YamlValue map = YamlValue::Map();
      for (auto* pair = node->data.mapping.pairs.start;
           pair < node->data.mapping.pairs.top; ++pair) {
        map.Set(Build(document, pair->key).str(), Build(document, pair->value));
      }
      return map;
    }
    default:
      return YamlValue();
  }
}

// Plain text that every YAML reader takes for a string.
bool IsPlainSafe(absl::string_view text) {
  if (text.empty()) return false;
  if (!absl::ascii_isalpha(text[0]) && text[0] != '/') return false;
  for (char c : text) {
    if (!absl::ascii_isalnum(c) && c != '-' && c != '_' && c != '.' &&
        c != '/') {
      return false;
    }
  }
  static constexpr absl::string_view kWords[] = {
      "y", "n", "yes", "no", "on", "off", "true", "false", "null"};
  const std::string lower = absl::AsciiStrToLower(text);
  return std::find(std::begin(kWords), std::end(kWords), lower) ==
         std::end(kWords);
}

void WriteQuoted(absl::string_view text, std::string& out) {
  out += '"';
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\r':
        out += "\\r";
        break;
      default:
        if (byte < 0x20 || byte == 0x7f) {
          absl::StrAppend(&out, absl::StrFormat("\\x%02x", byte));
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

void WriteText(absl::string_view text, std::string& out) {
  if (IsPlainSafe(text)) {
    absl::StrAppend(&out, text);
  } else {
    WriteQuoted(text, out);
  }
}

}  // namespace

YamlValue::YamlValue(double value)
    : YamlValue(Plain(absl::StrFormat("%.17g", value))) {}

YamlValue YamlValue::Plain(std::string text) {
  YamlValue v(std::move(text));
  v.quoted_ = false;
  return v;
}

YamlValue YamlValue::List() {
  YamlValue v;
  v.kind_ = Kind::kList;
  return v;
}

YamlValue YamlValue::Map() {
  YamlValue v;
  v.kind_ = Kind::kMap;
  return v;
}

int64_t YamlValue::AsInt(int64_t otherwise) const {
  if (!is_scalar()) return otherwise;
  int64_t value;
  if (absl::SimpleAtoi(text_, &value)) return value;
  uint64_t hex;
  if (absl::SimpleHexAtoi(text_, &hex)) return static_cast<int64_t>(hex);
  return otherwise;
}

double YamlValue::AsDouble(double otherwise) const {
  double value;
  return is_scalar() && absl::SimpleAtod(text_, &value) ? value : otherwise;
}

bool YamlValue::AsBool(bool otherwise) const {
  if (!is_scalar() || quoted_) return otherwise;
  const std::string lower = absl::AsciiStrToLower(text_);
  if (lower == "true" || lower == "yes" || lower == "on") return true;
  if (lower == "false" || lower == "no" || lower == "off") return false;
  return otherwise;
}

YamlValue& YamlValue::Add(YamlValue value) {
  if (is_null()) kind_ = Kind::kList;
  items_.push_back(std::move(value));
  return *this;
}

const YamlValue& YamlValue::operator[](absl::string_view key) const {
  static const YamlValue* const kNull = new YamlValue();
  for (const Entry& e : entries_) {
    if (e.first == key) return e.second;
  }
  return *kNull;
}

bool YamlValue::Has(absl::string_view key) const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [&](const Entry& e) { return e.first == key; });
}

YamlValue& YamlValue::Set(absl::string_view key, YamlValue value) {
  if (is_null()) kind_ = Kind::kMap;
  for (Entry& e : entries_) {
    if (e.first == key) {
      e.second = std::move(value);
      return *this;
    }
  }
  entries_.emplace_back(std::string(key), std::move(value));
  return *this;
}

void YamlValue::WriteScalar(std::string& out) const {
  if (quoted_) {
    WriteText(text_, out);
  } else {
    out += text_;
  }
}

void YamlValue::Write(int indent, bool after_dash, std::string& out) const {
  const std::string pad(indent, ' ');
  switch (kind_) {
    case Kind::kNull:
      out += after_dash || indent == 0 ? "null\n" : " null\n";
      return;
    case Kind::kScalar:
      if (!after_dash && indent > 0) out += ' ';
      WriteScalar(out);
      out += '\n';
      return;
    case Kind::kList:
      if (items_.empty()) {
        out += after_dash || indent == 0 ? "[]\n" : " []\n";
        return;
      }
      if (!after_dash && indent > 0) out += '\n';
      for (size_t i = 0; i < items_.size(); ++i) {
        if (i > 0 || !after_dash) out += pad;
        out += "- ";
        items_[i].Write(indent + 2, /*after_dash=*/true, out);
      }
      return;
    case Kind::kMap:
      if (entries_.empty()) {
        out += after_dash || indent == 0 ? "{}\n" : " {}\n";
        return;
      }
      if (!after_dash && indent > 0) out += '\n';
      for (size_t i = 0; i < entries_.size(); ++i) {
        if (i > 0 || !after_dash) out += pad;
        WriteText(entries_[i].first, out);
        out += ':';
        entries_[i].second.Write(indent + 2, /*after_dash=*/false, out);
      }
      return;
  }
}

std::string YamlValue::ToYaml() const {
  std::string out;
  Write(0, /*after_dash=*/false, out);
  return out;
}

bool operator==(const YamlValue& a, const YamlValue& b) {
  if (a.kind_ != b.kind_ || a.text_ != b.text_ || !(a.items_ == b.items_) ||
      a.entries_.size() != b.entries_.size()) {
    return false;
  }
  return std::all_of(a.entries_.begin(), a.entries_.end(),
                     [&](const YamlValue::Entry& e) {
                       return b.Has(e.first) && b[e.first] == e.second;
                     });
}

absl::StatusOr<YamlValue> ParseYaml(absl::string_view text) {
  yaml_parser_t parser;
  if (!yaml_parser_initialize(&parser)) {
    return absl::ResourceExhaustedError("libyaml: out of memory");
  }
  yaml_parser_set_input_string(
      &parser, reinterpret_cast<const unsigned char*>(text.data()),
      text.size());
  yaml_document_t document;
  absl::StatusOr<YamlValue> result = YamlValue();
  if (!yaml_parser_load(&parser, &document)) {
    result = absl::InvalidArgumentError(
        absl::StrCat("line ", parser.problem_mark.line + 1, ": ",
                     parser.problem == nullptr ? "bad YAML" : parser.problem));
  } else {
    if (yaml_document_get_root_node(&document) != nullptr) {
      result = Build(&document, 1);
    }
    yaml_document_delete(&document);
  }
  yaml_parser_delete(&parser);
  return result;
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return absl::NotFoundError(absl::StrCat(path, ": cannot be opened"));
  std::ostringstream text;
  text << in.rdbuf();
  return std::move(text).str();
}

absl::Status WriteFile(const std::string& path, absl::string_view text) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(),
                                      error);
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  out.close();
  if (!out) {
    return absl::UnavailableError(absl::StrCat(path, ": cannot be written"));
  }
  return absl::OkStatus();
}

}  // namespace k8sdns::conformance
