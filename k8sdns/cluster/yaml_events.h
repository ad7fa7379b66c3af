// libyaml's events, with aliases replaced by what they stand for, and with a
// way back: what was read since StartRecording() comes again after Rewind().
// Internal to the readers of this folder.
#ifndef K8SDNS_CLUSTER_YAML_EVENTS_H_
#define K8SDNS_CLUSTER_YAML_EVENTS_H_

#include <yaml.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "k8sdns/cluster/read_log.h"

namespace k8sdns {

struct YamlEvent {
  enum class Type : uint8_t {
    kStreamEnd,
    kDocumentStart,
    kDocumentEnd,
    kScalar,
    kListStart,
    kListEnd,
    kMapStart,
    kMapEnd,
  };
  // What a tag makes of a scalar.
  enum class Tag : uint8_t {
    kNone,
    kText,
    kInteger,
    kBool,
    kFloat,
    kNull,
    kOther
  };

  Type type = Type::kStreamEnd;
  Tag tag = Tag::kNone;
  bool plain = false;      // a scalar without quotes
  absl::string_view text;  // of a scalar; valid until the second next event
  TextPosition at;
};

class YamlEvents {
 public:
  // Both must outlive it. Errors of the text go to `log`.
  YamlEvents(absl::string_view text, ReadLog& log);
  ~YamlEvents();
  YamlEvents(const YamlEvents&) = delete;
  YamlEvents& operator=(const YamlEvents&) = delete;

  // False if there is an error in the text, or was one before.
  bool Next(YamlEvent& event) {
    if (next_again_ < again_.size()) {
      event = View(again_[next_again_++]);
    } else if (!NextOfText(event)) {
      return false;
    }
    if (recording_) return Record(event);
    return true;
  }

  void StartRecording();
  void Rewind();

  bool failed() const { return failed_; }
  void Abort() { failed_ = true; }

 private:
  // An event that keeps its text.
  struct Kept {
    YamlEvent event;
    std::string text;
  };
  // A range of kept_.
  struct Anchored {
    size_t start = 0;
    size_t end = 0;
    bool complete = false;
  };
  struct OpenAnchor {
    std::string name;
    int depth = 0;  // of lists and maps within it
  };
  struct Replay {
    size_t next = 0;
    size_t end = 0;
  };

  static YamlEvent View(const Kept& kept) {
    YamlEvent event = kept.event;
    event.text = kept.text;
    return event;
  }

  bool NextOfText(YamlEvent& event);
  bool NextReplayed(YamlEvent& event);
  bool StartAlias(absl::string_view name, TextPosition at);
  void StartAnchor(absl::string_view name);
  void KeepForAnchors(const YamlEvent& event);
  bool Record(const YamlEvent& event);
  bool Fail(TextPosition at, std::string found, std::string expected);
  bool FailParse();

  absl::string_view text_;
  ReadLog& log_;
  yaml_parser_t parser_;
  // Two, so that a map's key stays valid while its value is read.
  yaml_event_t live_[2] = {};
  int current_ = 0;
  bool failed_ = false;

  // Anchors of the document, and the events of all of them.
  std::deque<Kept> kept_;
  absl::flat_hash_map<std::string, Anchored> anchors_;
  std::vector<OpenAnchor> open_;
  std::vector<Replay> replays_;
  size_t alias_values_ = 0;

  bool recording_ = false;
  std::vector<Kept> recorded_;
  std::vector<Kept> again_;
  size_t next_again_ = 0;
};

}  // namespace k8sdns

#endif  // K8SDNS_CLUSTER_YAML_EVENTS_H_
