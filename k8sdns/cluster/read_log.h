// Where a reader is in the object it reads, and what it has found wrong so far.
// Internal to the readers of this folder.
#ifndef K8SDNS_CLUSTER_READ_LOG_H_
#define K8SDNS_CLUSTER_READ_LOG_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "k8sdns/cluster/manifest_reader.h"

namespace k8sdns {

// One step of a path, on the stack of the reader. A step is a field's name, or
// an index if the name is empty.
struct PathStep {
  const PathStep* parent = nullptr;  // nullptr: the step is the document
  absl::string_view name;
  size_t index = 0;
};

// "items[3].spec.clusterIP"; keys that are not plain are quoted:
// metadata.labels["app.kubernetes.io/name"].
std::string PathText(const PathStep& path);

struct TextPosition {
  int64_t line = 0;  // from 1; 0: unknown
  int64_t column = 0;
};

// `text` in quotes, control characters escaped, shortened.
std::string QuotedForMessage(absl::string_view text);

class ReadLog {
 public:
  // All arguments must outlive it.
  ReadLog(absl::string_view file, const ReadOptions& options,
          ReadReport& report)
      : file_(file), options_(options), report_(report) {}

  void Error(TextPosition at, const PathStep& path, std::string found,
             std::string expected);
  // An error that stands only if something is true of the whole object.
  void Defer(TextPosition at, const PathStep& path, std::string found,
             std::string expected);
  // Makes errors of the deferred ones, or forgets them.
  void TakeDeferred();
  void DropDeferred() { deferred_.clear(); }

  void Warning(TextPosition at, const PathStep& path, std::string found,
               std::string expected);
  void IgnoredKind(absl::string_view api_version, absl::string_view kind);
  // `object` is the step of the object that has the field.
  template <typename KeyText>
  void IgnoredField(absl::string_view kind, const PathStep& object,
                    const PathStep& parent, KeyText key) {
    ++report_.ignored_field_count;
    if (options_.list_ignored_fields) ListField(kind, object, parent, key());
  }

  // Reading further makes no sense: no more errors will be kept.
  bool full() const { return full_; }
  size_t error_count() const { return errors_.size(); }
  // Whether one of the errors after the first `from` is about `path` or about
  // what holds it.
  bool HasErrorAt(const PathStep& path, size_t from) const;
  // Forgets the errors after the first `count`.
  void TruncateErrors(size_t count);

  const ReadOptions& options() const { return options_; }
  ReadReport& report() { return report_; }

  // Sorts the errors by position, puts them into the report and joins them.
  absl::Status Finish();

 private:
  void ListField(absl::string_view kind, const PathStep& object,
                 const PathStep& parent, absl::string_view key);
  Diagnostic Make(TextPosition at, const PathStep& path, std::string found,
                  std::string expected) const;
  void Keep(Diagnostic diagnostic);

  std::string file_;
  const ReadOptions& options_;
  ReadReport& report_;
  std::vector<Diagnostic> errors_;
  std::vector<Diagnostic> deferred_;
  bool full_ = false;
};

}  // namespace k8sdns

#endif  // K8SDNS_CLUSTER_READ_LOG_H_
