// Writes maps, lists and scalars as JSON or as block YAML. The two classes have
// the same members: BeginMap, Key, value, ..., EndMap; BeginList, Element,
// value, ..., EndList. Internal to the writers of this folder.
#ifndef K8SDNS_CLUSTER_EMITTERS_H_
#define K8SDNS_CLUSTER_EMITTERS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace k8sdns {

// As Go's encoding/json writes it, with four blanks of indentation or compact.
class JsonEmitter {
 public:
  JsonEmitter(bool compact, std::string* out) : compact_(compact), out_(*out) {}

  void BeginMap() { Begin('{'); }
  void EndMap() { End('}'); }
  void BeginList() { Begin('['); }
  void EndList() { End(']'); }
  void Key(absl::string_view name) {
    Next();
    Quote(name);
    out_.append(compact_ ? ":" : ": ");
  }
  void Element() { Next(); }

  void Text(absl::string_view text) { Quote(text); }
  void Integer(int64_t number) { absl::StrAppend(&out_, number); }
  void Bool(bool value) { out_.append(value ? "true" : "false"); }

 private:
  void Begin(char bracket);
  void End(char bracket);
  void Next();
  void NewLine();
  void Quote(absl::string_view text);

  bool compact_;
  std::string& out_;
  std::vector<bool> empty_;  // of the open maps and lists
};

// As kubectl writes it: lists are not indented in their map, and a text is
// plain if YAML 1.1 readers take it for a text, else quoted.
class YamlEmitter {
 public:
  explicit YamlEmitter(std::string* out) : out_(*out) {}

  void BeginMap() { Begin(false); }
  void EndMap() { End("{}"); }
  void BeginList() { Begin(true); }
  void EndList() { End("[]"); }
  void Key(absl::string_view name);
  void Element();

  void Text(absl::string_view text);
  void Integer(int64_t number);
  void Bool(bool value);

 private:
  enum class After { kNothing, kKey, kDash };
  struct Level {
    bool list;
    bool empty;
    size_t indent;
  };

  void Begin(bool list);
  void End(absl::string_view empty);
  void StartEntry();
  void BeforeScalar();
  void AppendText(absl::string_view text);

  std::string& out_;
  After after_ = After::kNothing;
  std::vector<Level> levels_;
};

}  // namespace k8sdns

#endif  // K8SDNS_CLUSTER_EMITTERS_H_
