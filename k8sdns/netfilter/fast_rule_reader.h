// Reads the lines that dumps of nodes consist of (in the printed form)
// straight into a table, in one pass over the text. What it does not know, or
// what is spelled otherwise, it leaves to RuleReader; what it reads is the same
// to the byte (fast_reader_test). Internal to the room.
#ifndef K8SDNS_NETFILTER_FAST_RULE_READER_H_
#define K8SDNS_NETFILTER_FAST_RULE_READER_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "k8sdns/netfilter/call_graph.h"
#include "k8sdns/netfilter/ruleset.h"

namespace k8sdns::netfilter {

class SpecialCharacters;

class FastRuleReader {
 public:
  FastRuleReader(IpFamily family, StringPool* strings, CallGraph* graph)
      : family_(family), strings_(strings), graph_(graph) {}

  // A table begins, or its chains were changed by somebody else. nullptr: no
  // lines are read.
  void Reset(Table* table);
  // Somebody else added a chain.
  void NoteNewChain();

  // The place from which on `text` holds no line that can be read without
  // looking for the end of the text.
  static const char* SafeEnd(absl::string_view text);

  // Reads ":chain - [0:0]" and "-A ..." lines from `p` on, at most `most`
  // rules. Returns where the first line begins that it leaves, and adds to
  // *lines and *rules. `safe_end`: of the text that `p` is in.
  const char* Read(const char* p, const char* safe_end, size_t most, int* lines,
                   size_t* rules);

 private:
  class Line;

  // What is known of a line before it is read: where its names are, and that
  // the pool's memory for them was asked for.
  struct Preview {
    const char* comment = nullptr;  // behind the quote
    const char* comment_end = nullptr;
    uint64_t comment_hash = 0;
    StringId comment_id = 0;     // a candidate, as of StringPool
    const char* name = nullptr;  // of the target, or the chain that is declared
    const char* name_end = nullptr;
    uint64_t name_hash = 0;
    StringId name_id = 0;
    const char* end = nullptr;  // behind the newline
  };
  // A power of two, and how far ahead lines are looked at.
  static constexpr int kPreviews = 16;
  static constexpr int kNear = 4;
  static constexpr int kMiddle = 8;
  static constexpr int kFar = 12;

  void Look(const char* p, const char* safe_end, SpecialCharacters* specials,
            Preview* preview) const;
  const char* ReadChain(const char* p);
  const char* ReadRule(const char* p);
  bool FindRuleChain(const char* name, size_t size);
  // The chain of a name after -j, with the name's id. False: no such
  // user-defined chain.
  bool FindCallee(absl::string_view name, StringId* id, ChainId* chain) const;
  void NoteDeclared(StringId name, ChainId chain);
  StringId InternComment(absl::string_view text);
  // What the preview knows of a name.
  uint64_t HashOfName(absl::string_view name) const {
    return name.data() == preview_->name ? preview_->name_hash
                                         : strings_->Hash(name);
  }
  StringId CandidateOf(absl::string_view name) const {
    return name.data() == preview_->name ? preview_->name_id : 0;
  }

  static constexpr uint32_t kNone = 0xffffffff;

  IpFamily family_;
  StringPool* strings_;
  CallGraph* graph_;
  Table* table_ = nullptr;
  bool shadowed_ = false;  // a chain is called like a target
  // The chain of the last rule.
  absl::string_view chain_name_;
  ChainId chain_ = kNone;
  absl::string_view comment_;
  StringId comment_id_ = 0;
  // Chains that were declared one after another, with names that were new: the
  // ids of both count together. Few tables have more than a few such runs; the
  // chains of others are looked up in the table.
  struct Run {
    StringId name = 0;  // of the first
    ChainId chain = 0;
    uint32_t size = 0;
  };
  static constexpr size_t kMostRuns = 8;
  Run runs_[kMostRuns];
  size_t run_count_ = 0;
  const Preview* preview_ = nullptr;  // of the line that is read
};

}  // namespace k8sdns::netfilter

#endif  // K8SDNS_NETFILTER_FAST_RULE_READER_H_
