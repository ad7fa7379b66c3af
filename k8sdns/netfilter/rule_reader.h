// Reads one command line of an iptables-restore file ("-A CHAIN ...") as
// do_command4() of iptables 1.8.9 with getopt_long(3) would. Internal to the
// room.
#ifndef K8SDNS_NETFILTER_RULE_READER_H_
#define K8SDNS_NETFILTER_RULE_READER_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "k8sdns/netfilter/extension.h"
#include "k8sdns/netfilter/iptables_save.h"
#include "k8sdns/netfilter/ruleset.h"

namespace k8sdns::netfilter {

// A word of a line: quotes and escapes resolved.
struct Word {
  absl::string_view text;
  absl::string_view raw;  // as it stands in the line
  int column = 0;         // from 1
};

// A command, with the rule it carries, if any. Views point into the reader
// and the line.
struct Command {
  enum Kind : uint8_t {
    kNone,
    kAppend,
    kInsert,
    kDelete,
    kDeleteNumber,
    kReplace,
    kCheck,
    kFlush,
    kZero,
    kZeroNumber,
    kNewChain,
    kDeleteChain,
    kRenameChain,
    kSetPolicy,
    kList,
    kSkipped,  // -4 or -6 of the other family
  };
  Kind kind = kNone;
  bool has_chain = false;
  absl::string_view chain;
  absl::string_view new_name;
  absl::string_view policy;
  uint64_t number = 0;  // rule number, from 1
  bool has_counters = false;
  Counters counters;
  // One rule for each source and destination.
  std::vector<RuleBuilder> rules;
};

class RuleReader {
 public:
  RuleReader(IpFamily family, const ParseOptions& options, StringPool* strings);

  // Reads `line` (without its newline) for `table`. `has_newline` says whether
  // the file's line ended. On failure `error` has column, token and message.
  bool Read(absl::string_view line, bool has_newline, const Table& table,
            Command* command, ParseError* error);

 private:
  // A match or target that was named, with its op so far.
  struct Pending {
    const Extension* extension = nullptr;  // nullptr: kept verbatim
    absl::string_view name;
    OpStorage op;
    uint32_t seen = 0;
    bool target = false;
    bool merged = false;     // its options are known
    bool completed = false;  // a later one of the same name took over
    std::string text;        // verbatim
  };
  // What a long option may mean at this point.
  struct Known {
    absl::string_view name;
    const OptionSpec* spec = nullptr;  // of `extension`
    const Extension* extension = nullptr;
    char basic = 0;
    bool has_argument = false;
  };

  bool Split(absl::string_view line, bool has_newline);
  bool ReadWords();
  bool ReadShort(absl::string_view word);
  bool ReadLong(absl::string_view word);
  bool TakeArgument(absl::string_view* argument);
  std::optional<absl::string_view> NextPlain();

  bool Basic(char option, absl::string_view argument, absl::string_view whole);
  bool ChainCommand(char option, absl::string_view argument);
  bool SetCommand(Command::Kind kind);
  bool SetOnce(char option, const char* name, bool invertible);
  bool SetCounters(absl::string_view packets);
  bool NameMatch(absl::string_view name);
  bool NameTarget(absl::string_view name, bool go);
  bool AddPending(const Extension* extension, absl::string_view name,
                  bool target);
  void LearnOptions(const Extension& extension);
  bool IsProtocolOption(absl::string_view name) const;
  bool LoadProtocolMatch();
  bool Apply(const Known& known, absl::string_view argument);
  bool Verbatim(absl::string_view word);

  bool Finish();
  bool CheckChainOptions();
  bool ReadAddresses(absl::string_view text, std::vector<AddressMask>* out);
  bool ResolveTarget(OpStorage* jump, const Pending** target);
  bool Build();
  void MergeMatches();
  std::string PrintedText(const Pending& pending) const;
  void BuildOne(const AddressMask& source, const AddressMask& destination,
                const Pending* target, const OpStorage& jump, RuleBuilder* out);

  template <typename... Args>
  bool Fail(const Args&... args) {
    return context_.Fail(args...);
  }

  const ParseOptions& options_;
  const ExtensionTable& extensions_;
  RuleContext context_;
  const Table* table_ = nullptr;
  Command* command_ = nullptr;

  std::string text_;  // the words' text
  std::vector<Word> words_;
  size_t next_ = 0;  // word to read next
  int bad_word_ = -1;

  bool invert_ = false;
  uint32_t given_ = 0;     // basic options, bit per letter
  uint32_t inverted_ = 0;  // the same
  absl::string_view source_text_, destination_text_, in_, out_;
  absl::string_view protocol_text_;
  absl::string_view jump_;
  bool goto_ = false;
  bool protocol_loaded_ = false;
  std::deque<Pending> matches_;
  std::optional<Pending> target_;
  Pending* last_ = nullptr;  // named last
  std::vector<Known> known_;
};

}  // namespace k8sdns::netfilter

#endif  // K8SDNS_NETFILTER_RULE_READER_H_
