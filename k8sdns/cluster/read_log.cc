#include "k8sdns/cluster/read_log.h"

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace k8sdns {
namespace {

constexpr size_t kLongestQuote = 60;

bool IsPlainKey(absl::string_view key) {
  return !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' ||
           c == '-';
  });
}

void Append(const PathStep& step, std::string& out) {
  if (step.parent == nullptr) return;
  Append(*step.parent, out);
  if (step.name.data() == nullptr) {
    absl::StrAppend(&out, "[", step.index, "]");
  } else if (IsPlainKey(step.name)) {
    absl::StrAppend(&out, out.empty() ? "" : ".", step.name);
  } else {
    absl::StrAppend(&out, "[", QuotedForMessage(step.name), "]");
  }
}

}  // namespace

std::string PathText(const PathStep& path) {
  std::string out;
  Append(path, out);
  return out;
}

std::string QuotedForMessage(absl::string_view text) {
  if (text.size() <= kLongestQuote) {
    return absl::StrCat("\"", absl::Utf8SafeCEscape(text), "\"");
  }
  size_t cut = kLongestQuote;
  // Not within a UTF-8 sequence.
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) {
    --cut;
  }
  return absl::StrCat("\"", absl::Utf8SafeCEscape(text.substr(0, cut)),
                      "...\" (", text.size(), " bytes)");
}

std::string Diagnostic::ToString() const {
  std::string out = file;
  if (line > 0) absl::StrAppend(&out, ":", line, ":", column);
  absl::StrAppend(&out, ": ");
  if (!path.empty()) absl::StrAppend(&out, path, ": ");
  absl::StrAppend(&out, "found ", found, ", expected ", expected);
  return out;
}

Diagnostic ReadLog::Make(TextPosition at, const PathStep& path,
                         std::string found, std::string expected) const {
  return {file_,          at.line,          at.column,
          PathText(path), std::move(found), std::move(expected)};
}

void ReadLog::Keep(Diagnostic diagnostic) {
  if (errors_.size() >= options_.max_errors) {
    full_ = true;
    return;
  }
  errors_.push_back(std::move(diagnostic));
}

void ReadLog::Error(TextPosition at, const PathStep& path, std::string found,
                    std::string expected) {
  Keep(Make(at, path, std::move(found), std::move(expected)));
}

void ReadLog::Defer(TextPosition at, const PathStep& path, std::string found,
                    std::string expected) {
  if (deferred_.size() > options_.max_errors) return;
  deferred_.push_back(Make(at, path, std::move(found), std::move(expected)));
}

void ReadLog::TakeDeferred() {
  for (Diagnostic& d : deferred_) Keep(std::move(d));
  deferred_.clear();
}

void ReadLog::Warning(TextPosition at, const PathStep& path, std::string found,
                      std::string expected) {
  if (report_.warnings.size() >= options_.max_errors) return;
  report_.warnings.push_back(
      Make(at, path, std::move(found), std::move(expected)));
}

void ReadLog::IgnoredKind(absl::string_view api_version,
                          absl::string_view kind) {
  ++report_.ignored_kinds[absl::StrCat(api_version, " ", kind)];
}

void ReadLog::ListField(absl::string_view kind, const PathStep& object,
                        const PathStep& parent, absl::string_view key) {
  std::string name;
  for (const PathStep* step = &parent; step != &object && step != nullptr;
       step = step->parent) {
    if (step->name.data() == nullptr) {
      name = absl::StrCat("[]", name);
    } else {
      name = absl::StrCat(".", step->name, name);
    }
  }
  ++report_.ignored_fields[absl::StrCat(kind, name, ".", key)];
}

bool ReadLog::HasErrorAt(const PathStep& path, size_t from) const {
  for (const PathStep* step = &path; step->parent != nullptr;
       step = step->parent) {
    const std::string text = PathText(*step);
    for (size_t i = from; i < errors_.size(); ++i) {
      if (errors_[i].path == text) return true;
    }
  }
  return false;
}

void ReadLog::TruncateErrors(size_t count) {
  errors_.resize(std::min(count, errors_.size()));
  full_ = false;
}

absl::Status ReadLog::Finish() {
  if (errors_.empty() && !full_) return absl::OkStatus();
  std::stable_sort(errors_.begin(), errors_.end(),
                   [](const Diagnostic& a, const Diagnostic& b) {
                     return std::tie(a.line, a.column) <
                            std::tie(b.line, b.column);
                   });
  std::string message =
      absl::StrJoin(errors_, "\n", [](std::string* out, const Diagnostic& d) {
        absl::StrAppend(out, d.ToString());
      });
  if (full_) {
    absl::StrAppend(&message, "\n", file_, ": more errors than ",
                    options_.max_errors, ", the others are not shown");
  }
  report_.errors.insert(report_.errors.end(),
                        std::make_move_iterator(errors_.begin()),
                        std::make_move_iterator(errors_.end()));
  errors_.clear();
  return absl::InvalidArgumentError(message);
}

}  // namespace k8sdns
