// A YAML document as a tree of values: how conformance tests read recordings
// and write what the library says. For tests only; the library itself reads
// manifests without a tree.
//
//   absl::StatusOr<YamlValue> doc = ParseYaml(text);
//   for (const YamlValue& probe : (*doc)["probes"].items())
//     int64_t port = probe["dport"].AsInt(0);
//   YamlValue out = YamlValue::Map();
//   out.Set("id", probe["id"].str());
//   std::string text = out.ToYaml();
#ifndef K8SDNS_TESTS_CONFORMANCE_YAML_VALUE_H_
#define K8SDNS_TESTS_CONFORMANCE_YAML_VALUE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace k8sdns::conformance {

class YamlValue {
 public:
  enum class Kind { kNull, kScalar, kList, kMap };
  using Entry = std::pair<std::string, YamlValue>;

  YamlValue() = default;  // null
  YamlValue(std::string text)
      : kind_(Kind::kScalar), quoted_(true), text_(std::move(text)) {}
  YamlValue(absl::string_view text) : YamlValue(std::string(text)) {}
  YamlValue(const char* text) : YamlValue(std::string(text)) {}
  YamlValue(bool value) : YamlValue(Plain(value ? "true" : "false")) {}
  YamlValue(int value) : YamlValue(Plain(std::to_string(value))) {}
  YamlValue(int64_t value) : YamlValue(Plain(std::to_string(value))) {}
  YamlValue(uint32_t value) : YamlValue(Plain(std::to_string(value))) {}
  YamlValue(uint64_t value) : YamlValue(Plain(std::to_string(value))) {}
  YamlValue(double value);
  // A scalar written as it stands, without quotes.
  static YamlValue Plain(std::string text);
  static YamlValue List();
  static YamlValue Map();

  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::kNull; }
  bool is_scalar() const { return kind_ == Kind::kScalar; }
  bool is_list() const { return kind_ == Kind::kList; }
  bool is_map() const { return kind_ == Kind::kMap; }

  // Scalars: the text, "" for anything else. Numbers (decimal, 0x, 0o) and
  // booleans (true/false/yes/no/on/off, unquoted) with a default.
  const std::string& str() const { return text_; }
  bool quoted() const { return quoted_; }
  int64_t AsInt(int64_t otherwise) const;
  double AsDouble(double otherwise) const;
  bool AsBool(bool otherwise) const;

  // Lists; empty for anything else.
  const std::vector<YamlValue>& items() const { return items_; }
  YamlValue& Add(YamlValue value);  // turns a null into a list

  // Maps; the null value if the key is missing.
  const YamlValue& operator[](absl::string_view key) const;
  bool Has(absl::string_view key) const;
  const std::vector<Entry>& entries() const { return entries_; }
  // Adds or replaces; turns a null into a map.
  YamlValue& Set(absl::string_view key, YamlValue value);

  // Block style, keys in order; strings are quoted wherever a YAML 1.1 or 1.2
  // reader could take them for something else.
  std::string ToYaml() const;

  // Same tree; quoting and the order of keys do not matter.
  friend bool operator==(const YamlValue& a, const YamlValue& b);

 private:
  void Write(int indent, bool after_dash, std::string& out) const;
  void WriteScalar(std::string& out) const;

  Kind kind_ = Kind::kNull;
  bool quoted_ = false;
  std::string text_;
  std::vector<YamlValue> items_;
  std::vector<Entry> entries_;
};

// The first document of `text`. Aliases are expanded.
absl::StatusOr<YamlValue> ParseYaml(absl::string_view text);

// The whole file. NotFound if it cannot be opened.
absl::StatusOr<std::string> ReadFile(const std::string& path);
// Creates missing folders.
absl::Status WriteFile(const std::string& path, absl::string_view text);

}  // namespace k8sdns::conformance

#endif  // K8SDNS_TESTS_CONFORMANCE_YAML_VALUE_H_
