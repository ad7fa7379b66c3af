#include "k8sdns/cluster/yaml_events.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace k8sdns {
namespace {

using Type = YamlEvent::Type;
using Tag = YamlEvent::Tag;

// An object whose kind comes after so many values is not searched further.
constexpr size_t kMostRecorded = 10'000'000;

absl::string_view TextOf(const yaml_char_t* text) {
  return text == nullptr
             ? absl::string_view()
             : absl::string_view(reinterpret_cast<const char*>(text));
}

Tag TagOf(const yaml_char_t* tag) {
  absl::string_view name = TextOf(tag);
  if (name.empty()) return Tag::kNone;
  if (name == "!") return Tag::kText;
  if (!absl::ConsumePrefix(&name, "tag:yaml.org,2002:")) return Tag::kOther;
  if (name == "str") return Tag::kText;
  if (name == "int") return Tag::kInteger;
  if (name == "bool") return Tag::kBool;
  if (name == "float") return Tag::kFloat;
  if (name == "null") return Tag::kNull;
  return Tag::kOther;
}

TextPosition PositionOf(const yaml_mark_t& mark) {
  return {static_cast<int64_t>(mark.line) + 1,
          static_cast<int64_t>(mark.column) + 1};
}

}  // namespace

YamlEvents::YamlEvents(absl::string_view text, ReadLog& log)
    : text_(text), log_(log) {
  if (yaml_parser_initialize(&parser_) == 0) {
    Fail({}, "no memory", "some");
    return;
  }
  // libyaml asserts that there is a text, also an empty one.
  const char* const data = text.data() == nullptr ? "" : text.data();
  yaml_parser_set_input_string(
      &parser_, reinterpret_cast<const unsigned char*>(data), text.size());
}

YamlEvents::~YamlEvents() {
  yaml_event_delete(&live_[0]);
  yaml_event_delete(&live_[1]);
  yaml_parser_delete(&parser_);
}

bool YamlEvents::NextOfText(YamlEvent& event) {
  if (failed_) return false;
  while (!replays_.empty()) {
    if (replays_.back().next < replays_.back().end) return NextReplayed(event);
    replays_.pop_back();
  }
  current_ ^= 1;
  yaml_event_t& live = live_[current_];
  yaml_event_delete(&live);
  if (yaml_parser_parse(&parser_, &live) == 0) return FailParse();
  event = YamlEvent();
  event.at = PositionOf(live.start_mark);
  const yaml_char_t* anchor = nullptr;
  switch (live.type) {
    case YAML_SCALAR_EVENT:
      event.type = Type::kScalar;
      event.text = absl::string_view(
          reinterpret_cast<const char*>(live.data.scalar.value),
          live.data.scalar.length);
      event.plain = live.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
      event.tag = TagOf(live.data.scalar.tag);
      anchor = live.data.scalar.anchor;
      break;
    case YAML_MAPPING_START_EVENT:
      event.type = Type::kMapStart;
      anchor = live.data.mapping_start.anchor;
      break;
    case YAML_MAPPING_END_EVENT:
      event.type = Type::kMapEnd;
      break;
    case YAML_SEQUENCE_START_EVENT:
      event.type = Type::kListStart;
      anchor = live.data.sequence_start.anchor;
      break;
    case YAML_SEQUENCE_END_EVENT:
      event.type = Type::kListEnd;
      break;
    case YAML_ALIAS_EVENT:
      return StartAlias(TextOf(live.data.alias.anchor), event.at) &&
             NextOfText(event);
    case YAML_DOCUMENT_START_EVENT:
      event.type = Type::kDocumentStart;
      anchors_.clear();
      kept_.clear();
      return true;
    case YAML_DOCUMENT_END_EVENT:
      event.type = Type::kDocumentEnd;
      return true;
    case YAML_STREAM_START_EVENT:
      return NextOfText(event);
    default:
      event.type = Type::kStreamEnd;
      return true;
  }
  if (anchor != nullptr) StartAnchor(TextOf(anchor));
  if (!open_.empty()) KeepForAnchors(event);
  return true;
}

bool YamlEvents::NextReplayed(YamlEvent& event) {
  event = View(kept_[replays_.back().next++]);
  if (++alias_values_ > log_.options().max_alias_values) {
    return Fail(event.at, "more values through aliases",
                absl::StrCat("at most ", log_.options().max_alias_values));
  }
  if (!open_.empty()) KeepForAnchors(event);
  return true;
}

bool YamlEvents::StartAlias(absl::string_view name, TextPosition at) {
  auto it = anchors_.find(name);
  if (it == anchors_.end()) {
    return Fail(at, absl::StrCat("the alias *", name),
                "an alias of an anchor that comes before it");
  }
  if (!it->second.complete) {
    return Fail(at, absl::StrCat("the alias *", name, " within its own value"),
                "an alias of a value that is complete");
  }
  replays_.push_back({it->second.start, it->second.end});
  return true;
}

void YamlEvents::StartAnchor(absl::string_view name) {
  Anchored& anchored = anchors_[name];
  anchored = {kept_.size(), kept_.size(), false};
  open_.push_back({std::string(name), 0});
}

void YamlEvents::KeepForAnchors(const YamlEvent& event) {
  kept_.push_back({event, std::string(event.text)});
  const int change =
      event.type == Type::kMapStart || event.type == Type::kListStart ? 1
      : event.type == Type::kMapEnd || event.type == Type::kListEnd   ? -1
                                                                      : 0;
  for (OpenAnchor& anchor : open_) anchor.depth += change;
  while (!open_.empty() && open_.back().depth == 0) {
    Anchored& anchored = anchors_[open_.back().name];
    anchored.end = kept_.size();
    anchored.complete = true;
    open_.pop_back();
  }
}

void YamlEvents::StartRecording() {
  recording_ = true;
  recorded_.clear();
}

bool YamlEvents::Record(const YamlEvent& event) {
  if (recorded_.size() >= kMostRecorded) {
    return Fail(event.at,
                absl::StrCat("no kind among ", kMostRecorded, " values"),
                "the kind of the object before");
  }
  recorded_.push_back({event, std::string(event.text)});
  return true;
}

void YamlEvents::Rewind() {
  recording_ = false;
  // What was not read again yet comes after what was.
  std::move(again_.begin() + static_cast<ptrdiff_t>(next_again_), again_.end(),
            std::back_inserter(recorded_));
  again_.swap(recorded_);
  next_again_ = 0;
}

bool YamlEvents::Fail(TextPosition at, std::string found,
                      std::string expected) {
  if (!failed_) {
    log_.Error(at, PathStep(), std::move(found), std::move(expected));
  }
  failed_ = true;
  return false;
}

bool YamlEvents::FailParse() {
  TextPosition at = PositionOf(parser_.problem_mark);
  if (parser_.error == YAML_READER_ERROR) {
    // Has no mark, but an offset in bytes.
    const absl::string_view before =
        text_.substr(0, std::min(parser_.problem_offset, text_.size()));
    const size_t newline = before.rfind('\n');
    at.line = 1 + std::count(before.begin(), before.end(), '\n');
    at.column = static_cast<int64_t>(
        before.size() - (newline == absl::string_view::npos ? 0 : newline + 1) +
        1);
  }
  std::string found =
      absl::StrCat("broken YAML (",
                   parser_.problem == nullptr ? "no memory" : parser_.problem);
  if (parser_.context != nullptr) {
    absl::StrAppend(&found, " ", parser_.context, " that starts in line ",
                    parser_.context_mark.line + 1);
  }
  return Fail(at, found + ")", "valid YAML");
}

}  // namespace k8sdns
