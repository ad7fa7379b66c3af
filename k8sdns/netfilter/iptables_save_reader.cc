#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "k8sdns/netfilter/extension.h"
#include "k8sdns/netfilter/fast_rule_reader.h"
#include "k8sdns/netfilter/iptables_save.h"
#include "k8sdns/netfilter/kernel_checks.h"
#include "k8sdns/netfilter/option_value.h"
#include "k8sdns/netfilter/rule_reader.h"

namespace k8sdns::netfilter {
namespace {

constexpr size_t kMaxChainName = 28;

bool IsBlank(char c) { return c == ' ' || c == '\t'; }

// The next word of `text`, as strtok(text, " \t").
absl::string_view NextWord(absl::string_view* text) {
  while (!text->empty() && IsBlank((*text)[0])) text->remove_prefix(1);
  size_t end = 0;
  while (end < text->size() && !IsBlank((*text)[end])) ++end;
  const absl::string_view word = text->substr(0, end);
  text->remove_prefix(end);
  return word;
}

// "[packets:bytes", as sscanf("[%llu:%llu]").
bool ScanChainCounters(absl::string_view text, Counters* counters) {
  if (text.empty() || text[0] != '[') return false;
  text.remove_prefix(1);
  if (!ScanCounter(&text, &counters->packets)) return false;
  if (text.empty() || text[0] != ':') return false;
  text.remove_prefix(1);
  return ScanCounter(&text, &counters->bytes);
}

bool IsVerdictName(absl::string_view name) {
  return name == "ACCEPT" || name == "DROP" || name == "QUEUE" ||
         name == "RETURN";
}

class FileReader {
 public:
  FileReader(const ParseOptions& options, Ruleset* rules,
             std::vector<ParseError>* errors)
      : options_(options),
        nft_(options.variant == Variant::kNft),
        rules_(rules),
        errors_(errors),
        reader_(rules->family(), options, &rules->strings()),
        fast_(rules->family(), &rules->strings(), &calls_) {}

  void Read(absl::string_view text);
  // Whether lines were read by FastRuleReader. It leaves what is wrong to
  // RuleReader, but does not say where a rule stood.
  bool read_fast() const { return fast_lines_ > 0; }

 private:
  bool Line(absl::string_view line, bool has_newline);
  bool MayReadFast() const;
  bool TableLine(absl::string_view line);
  bool ChainLine(absl::string_view line);
  bool Commit();
  bool CommandLine(absl::string_view line, bool has_newline);
  bool RunCommand(Command& command);
  bool Append(ChainId chain, Command& command);
  bool DeleteOrCheck(ChainId chain, const Command& command);
  bool NumberedCommand(ChainId chain, Command& command);
  bool ChainsCommand(const Command& command);
  bool SetPolicy(absl::string_view chain, absl::string_view policy,
                 const Counters* counters);
  bool CheckChainName(absl::string_view name);
  void NoteRule(ChainId chain, RuleView rule);

  // Makes the built-in chains of the open table, if they are missing.
  void AddBuiltIns();
  bool IsBuiltIn(absl::string_view name) const;
  bool Skipped() const {
    return !options_.only_table.empty() && options_.only_table != table_name_;
  }

  template <typename... Args>
  bool Fail(const Args&... args) {
    error_.message = absl::StrCat(args...);
    return false;
  }

  const ParseOptions& options_;
  const bool nft_;
  Ruleset* rules_;
  std::vector<ParseError>* errors_;
  RuleReader reader_;
  CallGraph calls_;
  FastRuleReader fast_;
  int fast_lines_ = 0;
  Command command_;

  int line_ = 0;
  size_t text_left_ = 0;  // behind the line
  ParseError error_;
  bool in_table_ = false;
  std::string table_name_;
  Table* table_ = nullptr;
  size_t rule_count_ = 0;
  std::string comments_;
  // Where the rules came from that the kernel looks at more closely.
  std::vector<RuleOrigin> origins_;
};

void FileReader::Read(absl::string_view text) {
  // A rule of a dump has some 150 bytes and a name of its own at most.
  rules_->strings().Reserve(text.size() / 160, text.size() / 4);
  const char* const safe_end = FastRuleReader::SafeEnd(text);
  size_t at = 0;
  while (at < text.size()) {
    if (in_table_ && text.data() + at < safe_end && MayReadFast()) {
      int lines = 0;
      at = fast_.Read(text.data() + at, safe_end,
                      options_.max_rules - rule_count_, &lines, &rule_count_) -
           text.data();
      line_ += lines;
      fast_lines_ += lines;
    }
    const char* newline = static_cast<const char*>(
        std::memchr(text.data() + at, '\n', text.size() - at));
    const size_t end = newline == nullptr ? text.size() : newline - text.data();
    ++line_;
    const absl::string_view line = text.substr(at, end - at);
    error_ = ParseError();
    text_left_ = text.size() - end;
    const bool ok = Line(line, newline != nullptr);
    at = newline == nullptr ? text.size() : end + 1;
    if (ok) continue;
    error_.line = line_;
    errors_->push_back(error_);
    if (errors_->size() >= static_cast<size_t>(options_.max_errors)) return;
  }
  if (in_table_) {
    error_ = ParseError();
    error_.line = line_ + 1;
    error_.message = "COMMIT expected";
    errors_->push_back(error_);
  }
  if (options_.keep_comments) rules_->set_final_comments(std::move(comments_));
  rules_->Compact();
}

bool FileReader::Line(absl::string_view line, bool has_newline) {
  if (line.size() > options_.max_line_bytes) {
    return Fail("line of ", line.size(), " bytes, at most ",
                options_.max_line_bytes, " are read");
  }
  if (const size_t nul = line.find('\0'); nul != absl::string_view::npos) {
    error_.column = static_cast<int>(nul) + 1;
    return Fail("NUL byte");
  }
  if (line.empty()) return true;
  if (line[0] == '#') {
    if (options_.keep_comments) absl::StrAppend(&comments_, line, "\n");
    return true;
  }
  if (in_table_ && line == "COMMIT" && (has_newline || nft_)) return Commit();
  if (line[0] == '*' && !in_table_) return TableLine(line);
  if (!in_table_) return Fail("a table (*name) was expected");
  if (Skipped()) return true;
  if (line[0] == ':') return ChainLine(line);
  return CommandLine(line, has_newline);
}

bool FileReader::MayReadFast() const {
  return table_ != nullptr && !nft_ && !options_.slow && !Skipped() &&
         rule_count_ < options_.max_rules && options_.max_line_bytes >= 4096;
}

bool FileReader::TableLine(absl::string_view line) {
  fast_.Reset(nullptr);
  calls_.Clear();
  absl::string_view rest = line.substr(1);
  const absl::string_view name = NextWord(&rest);
  in_table_ = true;  // what follows is not an error of its own
  table_name_ = std::string(name);
  error_.column = 2;
  error_.token = std::string(name);
  if (name.empty()) return Fail("table name expected");
  if (Skipped()) return true;
  const std::optional<TableId> id = FindTable(name);
  if (!id) {
    table_ = nullptr;
    return Fail("no such table");
  }
  origins_.clear();
  const bool fresh = rules_->table(*id) == nullptr;
  if (nft_ && !options_.no_flush && !fresh) {
    // A table of nft is made anew.
    for (ChainId chain : rules_->table(*id)->chains()) {
      rules_->table(*id)->RemoveChain(chain);
    }
  }
  table_ = &rules_->AddTable(*id);
  if (!nft_ || !fresh) AddBuiltIns();
  if (!options_.no_flush) {
    for (ChainId chain : table_->chains()) {
      if (IsBuiltIn(table_->name(chain))) {
        table_->ClearRules(chain);
      } else {
        table_->RemoveChain(chain);
      }
    }
  }
  if (options_.keep_comments) {
    rules_->set_comments(*id, std::move(comments_));
    comments_.clear();
  }
  if (table_->rule_count() > 0) calls_.Invalidate();
  // A chain of a node's dump has some three rules, and a rule takes a fifth of
  // its text. What is too much is not touched, and given back.
  table_->Reserve(text_left_ / 360, text_left_ / 10);
  fast_.Reset(table_);
  error_ = ParseError();
  return true;
}

bool FileReader::IsBuiltIn(absl::string_view name) const {
  for (Hook hook : HooksOf(table_->id())) {
    if (HookName(hook) == name) return true;
  }
  return false;
}

void FileReader::AddBuiltIns() {
  for (Hook hook : HooksOf(table_->id())) {
    if (table_->FindChain(HookName(hook))) continue;
    const ChainId chain = table_->AddChain(HookName(hook));
    table_->set_policy(chain, Table::Policy::kAccept);
  }
}

bool FileReader::CheckChainName(absl::string_view name) {
  error_.token = std::string(name);
  if (name.size() > kMaxChainName) {
    return Fail("chain name longer than ", kMaxChainName, " bytes");
  }
  return true;
}

bool FileReader::ChainLine(absl::string_view line) {
  if (table_ == nullptr) return true;  // the table itself was an error
  absl::string_view rest = line.substr(1);
  const absl::string_view name = NextWord(&rest);
  const absl::string_view policy = NextWord(&rest);
  const absl::string_view counters = NextWord(&rest);
  error_.column = 2;
  if (name.empty()) return Fail("chain name expected");
  if (!CheckChainName(name)) return false;
  if (policy.empty()) return Fail("policy expected after the chain name");
  if (nft_) AddBuiltIns();
  const bool built_in = IsBuiltIn(name);
  Counters count;
  if (policy != "-" && options_.keep_counters &&
      !ScanChainCounters(counters, &count)) {
    return Fail("invalid policy counters");
  }
  if (!built_in) {
    const auto existing = table_->FindChain(name);
    if (nft_ ? name[0] == '-' || name[0] == '!' : false) {
      return Fail("chain name not allowed to start with `", name.substr(0, 1),
                  "'");
    }
    if (IsVerdictName(name)) return Fail("chain name clashes with a target");
    if (existing && !options_.no_flush && !nft_) {
      return Fail("chain exists already");
    }
    if (existing) {
      table_->ClearRules(*existing);
      calls_.Invalidate();
    } else {
      table_->AddChain(name);
      fast_.NoteNewChain();
    }
  }
  if (policy == "-" || (nft_ && !built_in)) return true;
  return SetPolicy(name, policy, &count);
}

bool FileReader::SetPolicy(absl::string_view chain, absl::string_view policy,
                           const Counters* counters) {
  error_.token = std::string(chain);
  if (!IsBuiltIn(chain)) return Fail("not a built-in chain: it has no policy");
  if (policy != "ACCEPT" && policy != "DROP") {
    error_.token = std::string(policy);
    return Fail("policy must be ACCEPT or DROP");
  }
  if (nft_) AddBuiltIns();
  const ChainId id = *table_->FindChain(chain);
  table_->set_policy(
      id, policy == "DROP" ? Table::Policy::kDrop : Table::Policy::kAccept);
  if (counters != nullptr) table_->set_counters(id, *counters);
  return true;
}

bool FileReader::Commit() {
  in_table_ = false;
  if (Skipped() || table_ == nullptr) return true;
  table_->SortChains();
  if (nft_ && table_->chain_count() == 0) {
    rules_->RemoveTable(table_->id());
    return true;
  }
  if (!options_.kernel_checks) return true;
  KernelFinding finding;
  calls_.Complete(*table_);
  if (CheckTable(*table_, options_.variant, calls_, origins_, &finding)) {
    return true;
  }
  if (finding.line > 0) {
    // The rule is a better place than COMMIT.
    error_.line = finding.line;
    const int commit = line_;
    error_.message = finding.message;
    error_.token = finding.token;
    errors_->push_back(error_);
    line_ = commit;
    return true;
  }
  error_.token = finding.token;
  return Fail(finding.message);
}

bool FileReader::CommandLine(absl::string_view line, bool has_newline) {
  if (table_ == nullptr) return true;
  Counters counters;
  bool has_counters = false;
  int offset = 0;
  if (line[0] == '[') {
    const size_t close = line.find(']');
    const absl::string_view inside = line.substr(1, close - 1);
    const size_t colon = inside.find(':');
    if (close == absl::string_view::npos || colon == absl::string_view::npos ||
        (colon == 0 && inside.size() == 1)) {
      error_.column = 1;
      return Fail("counters must be [packets:bytes]");
    }
    if (options_.keep_counters) {
      absl::string_view packets = inside.substr(0, colon);
      absl::string_view bytes = inside.substr(colon + 1);
      if (!ScanCounter(&packets, &counters.packets) ||
          !ScanCounter(&bytes, &counters.bytes)) {
        error_.column = 1;
        return Fail("counters must be numbers");
      }
      has_counters = true;
    }
    offset = static_cast<int>(close) + 1;
    line.remove_prefix(offset);
  }
  if (nft_) {
    // Appending makes the table with its chains.
    AddBuiltIns();
  }
  command_.kind = Command::kNone;
  command_.has_chain = command_.has_counters = false;
  command_.chain = command_.new_name = command_.policy = {};
  command_.number = 0;
  command_.counters = Counters();
  if (!reader_.Read(line, has_newline, *table_, &command_, &error_)) {
    if (error_.column > 0) error_.column += offset;
    return false;
  }
  if (has_counters) {
    if (command_.has_counters) return Fail("counters are given twice");
    switch (command_.kind) {
      case Command::kAppend:
      case Command::kInsert:
      case Command::kReplace:
      case Command::kSetPolicy:
        break;
      default:
        return Fail("counters make no sense with this command");
    }
    command_.has_counters = true;
    command_.counters = counters;
  }
  return RunCommand(command_);
}

bool FileReader::RunCommand(Command& command) {
  if (command.kind != Command::kAppend) {
    calls_.Invalidate();
    fast_.Reset(table_);
  }
  switch (command.kind) {
    case Command::kNone:
    case Command::kSkipped:
    case Command::kList:
      return true;
    case Command::kNewChain:
    case Command::kDeleteChain:
    case Command::kRenameChain:
    case Command::kFlush:
    case Command::kZero: {
      const bool ok = ChainsCommand(command);
      fast_.Reset(table_);
      return ok;
    }
    case Command::kSetPolicy:
      return SetPolicy(command.chain, command.policy,
                       nft_ ? nullptr : &command.counters);
    default:
      break;
  }
  error_.token = std::string(command.chain);
  const auto chain = table_->FindChain(command.chain);
  if (!chain) return Fail("no such chain");
  error_.token.clear();
  switch (command.kind) {
    case Command::kAppend:
      return Append(*chain, command);
    case Command::kDelete:
    case Command::kCheck:
      return DeleteOrCheck(*chain, command);
    default:
      return NumberedCommand(*chain, command);
  }
}

// The rule of a command with its counters in front.
RuleBuilder WithCounters(const RuleBuilder& rule, const Command& command) {
  if (!command.has_counters) return rule;
  RuleBuilder out;
  CountersNote note;
  note.packets = command.counters.packets;
  note.bytes = command.counters.bytes;
  out.Add(note);
  for (OpView op : rule.view().ops()) out.Add(op);
  return out;
}

void FileReader::NoteRule(ChainId chain, RuleView rule) {
  if (!options_.kernel_checks) return;
  uint8_t hooks = 0xff;
  absl::string_view name;
  for (OpView op : rule.ops()) {
    const Extension* e =
        ExtensionTable::Get().Find(op, rules_->family(), rules_->strings());
    if (e == nullptr) continue;
    const uint8_t allowed = HooksAllowed(*e, op, rules_->strings());
    if (allowed == 0) continue;
    if ((hooks & ~allowed) != 0) name = e->name;
    hooks &= allowed;
  }
  if (hooks != 0xff) origins_.push_back({chain, line_, hooks, name});
}

bool FileReader::Append(ChainId chain, Command& command) {
  for (const RuleBuilder& built : command.rules) {
    if (++rule_count_ > options_.max_rules) {
      return Fail("more than ", options_.max_rules, " rules");
    }
    const RuleBuilder rule = WithCounters(built, command);
    if (options_.kernel_checks) {
      const std::string refused =
          CheckRule(*table_, options_.variant, rules_->family(),
                    rules_->strings(), rule.view());
      if (!refused.empty()) return Fail(refused);
    }
    table_->Append(chain, rule);
    calls_.AddRule(*table_, chain, rule.view());
    NoteRule(chain, rule.view());
  }
  return true;
}

bool SameRule(RuleView a, RuleView b) {
  RuleBuilder plain[2];
  const RuleView views[2] = {a, b};
  for (int i = 0; i < 2; ++i) {
    for (OpView op : views[i].ops()) {
      if (op.kind() != OpKind::kCounters) plain[i].Add(op);
    }
  }
  return plain[0].view() == plain[1].view();
}

bool FileReader::DeleteOrCheck(ChainId chain, const Command& command) {
  for (const RuleBuilder& rule : command.rules) {
    size_t at = 0;
    bool found = false;
    for (RuleView other : table_->rules(chain)) {
      if (SameRule(other, rule.view())) {
        found = true;
        break;
      }
      ++at;
    }
    if (!found) return Fail("no such rule in the chain");
    if (command.kind == Command::kDelete) table_->Erase(chain, at);
  }
  return true;
}

bool FileReader::NumberedCommand(ChainId chain, Command& command) {
  const size_t count = table_->rule_count(chain);
  const size_t at = command.number - 1;
  if (command.kind == Command::kInsert) {
    if (at > count) return Fail("rule number is beyond the chain's end");
    for (const RuleBuilder& built : command.rules) {
      const RuleBuilder rule = WithCounters(built, command);
      if (options_.kernel_checks) {
        const std::string refused =
            CheckRule(*table_, options_.variant, rules_->family(),
                      rules_->strings(), rule.view());
        if (!refused.empty()) return Fail(refused);
      }
      table_->Insert(chain, at, rule.view());
      NoteRule(chain, rule.view());
    }
    return true;
  }
  if (at >= count) return Fail("rule number is beyond the chain's end");
  if (command.kind == Command::kZeroNumber) return true;
  table_->Erase(chain, at);
  if (command.kind == Command::kReplace) {
    const RuleBuilder rule = WithCounters(command.rules[0], command);
    table_->Insert(chain, at, rule.view());
    NoteRule(chain, rule.view());
  }
  return true;
}

bool FileReader::ChainsCommand(const Command& command) {
  error_.token = std::string(command.chain);
  const auto chain = table_->FindChain(command.chain);
  switch (command.kind) {
    case Command::kNewChain:
      if (!CheckChainName(command.chain)) return false;
      if (command.chain.empty() || command.chain[0] == '-' ||
          command.chain[0] == '!') {
        return Fail("bad chain name");
      }
      if (IsVerdictName(command.chain) ||
          ExtensionTable::Get().FindTarget(command.chain, rules_->family()) ||
          IsUnmodelledTarget(command.chain, rules_->family())) {
        return Fail("chain name clashes with a target");
      }
      if (chain) return Fail("chain exists already");
      table_->AddChain(command.chain);
      return true;
    case Command::kRenameChain: {
      if (!chain || IsBuiltIn(command.chain)) return Fail("no such chain");
      error_.token = std::string(command.new_name);
      if (!CheckChainName(command.new_name)) return false;
      if (table_->FindChain(command.new_name)) {
        return Fail("chain exists already");
      }
      RenameEverywhere(table_, &rules_->strings(), *chain, command.new_name);
      return true;
    }
    case Command::kFlush:
    case Command::kZero:
      if (command.has_chain && !chain) return Fail("no such chain");
      for (ChainId id : table_->chains()) {
        if (command.has_chain && id != *chain) continue;
        if (command.kind == Command::kZero) {
          ZeroCounters(table_, id);
        } else {
          table_->ClearRules(id);
          origins_.erase(std::remove_if(origins_.begin(), origins_.end(),
                                        [id](const RuleOrigin& o) {
                                          return o.chain == id;
                                        }),
                         origins_.end());
        }
      }
      return true;
    case Command::kDeleteChain: {
      if (command.has_chain) {
        if (!chain || IsBuiltIn(command.chain)) return Fail("no such chain");
      }
      for (ChainId id : table_->chains()) {
        const absl::string_view name = table_->name(id);
        if (IsBuiltIn(name) || (command.has_chain && id != *chain)) continue;
        error_.token = std::string(name);
        if (table_->rule_count(id) > 0) return Fail("chain is not empty");
        if (IsJumpedTo(*table_, id)) return Fail("chain is in use");
        table_->RemoveChain(id);
      }
      return true;
    }
    default:
      return true;
  }
}

}  // namespace

std::string ParseError::ToString() const {
  std::string out = absl::StrCat("line ", line);
  if (column > 0) absl::StrAppend(&out, ", column ", column);
  if (!token.empty()) absl::StrAppend(&out, ": `", token, "'");
  absl::StrAppend(&out, ": ", message);
  return out;
}

namespace {

absl::Status StatusOf(const std::vector<ParseError>& errors) {
  if (errors.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrJoin(errors, "\n", [](std::string* out, const ParseError& e) {
        out->append(e.ToString());
      }));
}

}  // namespace

absl::Status ApplyIptablesSave(absl::string_view text,
                               const ParseOptions& options, Ruleset* rules,
                               std::vector<ParseError>* errors) {
  ParseOptions plain = options;
  std::vector<ParseError> found;
  bool again = true;
  while (again) {
    found.clear();
    Ruleset copy = rules->Clone();
    FileReader reader(plain, &copy, &found);
    reader.Read(text);
    if (found.empty()) {
      *rules = std::move(copy);
      return absl::OkStatus();
    }
    // Once more, line by line, for the places of the errors.
    again = reader.read_fast();
    plain.slow = true;
  }
  if (errors != nullptr) {
    errors->insert(errors->end(), found.begin(), found.end());
  }
  return StatusOf(found);
}

absl::StatusOr<Ruleset> ParseIptablesSave(absl::string_view text,
                                          IpFamily family,
                                          const ParseOptions& options,
                                          std::vector<ParseError>* errors) {
  Ruleset rules(family);
  const absl::Status status = ApplyIptablesSave(text, options, &rules, errors);
  if (!status.ok()) return status;
  return rules;
}

}  // namespace k8sdns::netfilter
