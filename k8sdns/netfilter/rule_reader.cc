#include "k8sdns/netfilter/rule_reader.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "k8sdns/netfilter/option_value.h"

namespace k8sdns::netfilter {
namespace {

constexpr size_t kMaxWordBytes = 1023;  // iptables' parameter buffer
constexpr size_t kMaxWords = 254;
constexpr size_t kMaxChainName = 28;
constexpr size_t kMaxInterfaceName = 15;

struct BasicOption {
  absl::string_view name;
  char letter;
  bool has_argument;
};
constexpr BasicOption kBasicOptions[] = {
    {"append", 'A', true},
    {"delete", 'D', true},
    {"check", 'C', true},
    {"insert", 'I', true},
    {"replace", 'R', true},
    {"list", 'L', false},
    {"list-rules", 'S', false},
    {"flush", 'F', false},
    {"zero", 'Z', false},
    {"new-chain", 'N', true},
    {"delete-chain", 'X', false},
    {"rename-chain", 'E', true},
    {"policy", 'P', true},
    {"source", 's', true},
    {"destination", 'd', true},
    {"src", 's', true},
    {"dst", 'd', true},
    {"protocol", 'p', true},
    {"in-interface", 'i', true},
    {"jump", 'j', true},
    {"table", 't', true},
    {"match", 'm', true},
    {"numeric", 'n', false},
    {"out-interface", 'o', true},
    {"verbose", 'v', false},
    {"wait", 'w', false},
    {"wait-interval", 'W', false},
    {"exact", 'x', false},
    {"fragments", 'f', false},
    {"version", 'V', false},
    {"help", 'h', false},
    {"line-numbers", '0', false},
    {"modprobe", 'M', true},
    {"set-counters", 'c', true},
    {"goto", 'g', true},
    {"ipv4", '4', false},
    {"ipv6", '6', false},
};
// Letters that take an argument.
constexpr absl::string_view kWithArgument = "ADRICNEPopsdjimtcgM";
// Letters with an optional argument, attached.
constexpr absl::string_view kMaybeArgument = "LSFZXwW";
constexpr absl::string_view kWithoutArgument = "fnvxVh46";

// Bit of a basic option in given_ and inverted_.
uint32_t LetterBit(char letter) {
  constexpr absl::string_view kLetters = "psdiojfcnvx0";
  return uint32_t{1} << kLetters.find(letter);
}

bool HasSpace(absl::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return absl::ascii_isspace(c); });
}

}  // namespace

RuleReader::RuleReader(IpFamily family, const ParseOptions& options,
                       StringPool* strings)
    : options_(options), extensions_(ExtensionTable::Get()) {
  context_.family = family;
  context_.variant = options.variant;
  context_.strings = strings;
  context_.options = &options;
}

bool RuleReader::Read(absl::string_view line, bool has_newline,
                      const Table& table, Command* command, ParseError* error) {
  table_ = &table;
  command_ = command;
  context_.table = table.id();
  context_.protocol = 0;
  context_.protocol_inverted = false;
  context_.error.clear();
  next_ = 0;
  bad_word_ = -1;
  invert_ = false;
  given_ = inverted_ = 0;
  source_text_ = destination_text_ = in_ = out_ = protocol_text_ = jump_ = {};
  goto_ = protocol_loaded_ = false;
  matches_.clear();
  target_.reset();
  last_ = nullptr;
  known_.clear();
  for (const BasicOption& o : kBasicOptions) {
    if (o.letter == 'f' && context_.family == IpFamily::kIpv6) continue;
    known_.push_back({o.name, nullptr, nullptr, o.letter, o.has_argument});
  }
  if (Split(line, has_newline) && ReadWords() && Finish()) return true;
  if (bad_word_ < 0 && next_ > 0) bad_word_ = static_cast<int>(next_) - 1;
  if (bad_word_ >= 0 && bad_word_ < static_cast<int>(words_.size())) {
    error->column = words_[bad_word_].column;
    error->token = std::string(words_[bad_word_].text);
  }
  error->message = context_.error;
  return false;
}

// add_param_to_argv() of iptables 1.8.9: a closing quote ends the word.
bool RuleReader::Split(absl::string_view line, bool has_newline) {
  words_.clear();
  text_.clear();
  text_.reserve(line.size() + 2);
  size_t word_begin = 0;  // in text_
  size_t raw_begin = 0;
  bool open = false;
  bool in_word = false;
  auto end_word = [&](size_t raw_end) {
    Word w;
    w.text =
        absl::string_view(text_.data() + word_begin, text_.size() - word_begin);
    w.raw = line.substr(raw_begin, raw_end - raw_begin);
    w.column = static_cast<int>(raw_begin) + 1;
    words_.push_back(w);
    word_begin = text_.size();
    in_word = false;
  };
  const size_t count = line.size() + (has_newline ? 1 : 0);
  for (size_t i = 0; i < count; ++i) {
    char c = i < line.size() ? line[i] : '\n';
    const bool blank = c == ' ' || c == '\t' || c == '\n';
    if (!open && blank) {
      if (in_word) end_word(i);
    } else if (c == '"') {
      if (!in_word) raw_begin = i;
      in_word = true;
      open = !open;
      if (!open) end_word(i + 1);
    } else {
      if (open && c == '\\') {
        if (++i >= count) break;
        c = i < line.size() ? line[i] : '\n';
      }
      if (!in_word) raw_begin = i;
      in_word = true;
      text_.push_back(c);
      if (text_.size() - word_begin > kMaxWordBytes) {
        return Fail("word of more than ", kMaxWordBytes, " bytes");
      }
    }
  }
  if (in_word && text_.size() > word_begin) end_word(line.size());
  if (words_.size() + 3 > kMaxWords) {
    return Fail("more than ", kMaxWords - 3, " words in a line");
  }
  return true;
}

bool RuleReader::ReadWords() {
  while (next_ < words_.size()) {
    const absl::string_view word = words_[next_].text;
    bad_word_ = static_cast<int>(next_);
    ++next_;
    if (word == "--") {
      if (next_ < words_.size()) return Fail("unknown arguments found");
      break;
    }
    if (word.size() < 2 || word[0] != '-') {
      if (word == "!") {
        if (invert_) return Fail("multiple consecutive ! not allowed");
        invert_ = true;
        continue;
      }
      return Fail("bad argument, an option was expected");
    }
    if (!(word[1] == '-' ? ReadLong(word) : ReadShort(word))) return false;
    invert_ = false;
  }
  bad_word_ = -1;
  return true;
}

bool RuleReader::TakeArgument(absl::string_view* argument) {
  if (next_ >= words_.size()) return Fail("option requires an argument");
  *argument = words_[next_++].text;
  return true;
}

std::optional<absl::string_view> RuleReader::NextPlain() {
  if (next_ >= words_.size()) return std::nullopt;
  const absl::string_view word = words_[next_].text;
  if (!word.empty() && (word[0] == '-' || word[0] == '!')) return std::nullopt;
  ++next_;
  return word;
}

bool RuleReader::ReadShort(absl::string_view word) {
  // A cluster of letters, the last of which may have its argument attached.
  for (size_t i = 1; i < word.size(); ++i) {
    const char letter = word[i];
    const absl::string_view rest = word.substr(i + 1);
    if (kWithArgument.find(letter) != absl::string_view::npos) {
      absl::string_view argument = rest;
      absl::string_view whole = word;
      if (rest.empty()) {
        if (!TakeArgument(&argument)) return false;
        whole = argument;
      }
      return Basic(letter, argument, whole);
    }
    if (kMaybeArgument.find(letter) != absl::string_view::npos) {
      return Basic(letter, rest, word);
    }
    if (kWithoutArgument.find(letter) == absl::string_view::npos) {
      return Fail("unknown option");
    }
    if (!Basic(letter, "", word)) return false;
    invert_ = false;
  }
  return true;
}

bool RuleReader::ReadLong(absl::string_view word) {
  const size_t equals = word.find('=');
  const absl::string_view name =
      word.substr(2, equals == absl::string_view::npos ? equals : equals - 2);
  while (true) {
    // getopt_long(3): an exact name, else an abbreviation that means one
    // option only.
    const Known* found = nullptr;
    bool exact = false;
    bool ambiguous = false;
    const bool verbatim = last_ != nullptr && last_->extension == nullptr;
    for (const Known& k : known_) {
      if (!absl::StartsWith(k.name, name)) continue;
      if (k.name.size() == name.size()) {
        found = &k;
        exact = true;
        break;
      }
      if (found == nullptr) {
        found = &k;
      } else if (found->spec != k.spec || found->basic != k.basic) {
        const bool same = found->extension == k.extension &&
                          found->basic == k.basic && found->spec != nullptr &&
                          k.spec != nullptr && found->spec->id == k.spec->id;
        ambiguous = ambiguous || !same;
      }
    }
    if (verbatim && (!exact || found->basic == 0)) {
      if (IsProtocolOption(name) && LoadProtocolMatch()) continue;
      if (!exact || found->extension == nullptr) return Verbatim(word);
    }
    if (found != nullptr && (exact || !ambiguous)) {
      absl::string_view argument;
      absl::string_view whole = word;
      if (found->has_argument) {
        if (equals != absl::string_view::npos) {
          argument = word.substr(equals + 1);
        } else {
          if (!TakeArgument(&argument)) return false;
          whole = argument;
        }
      } else if (equals != absl::string_view::npos &&
                 (found->basic == 0 || kMaybeArgument.find(found->basic) ==
                                           absl::string_view::npos)) {
        return Fail("option takes no argument");
      }
      if (found->basic != 0) return Basic(found->basic, argument, whole);
      const Known known = *found;
      return Apply(known, argument);
    }
    if (!LoadProtocolMatch()) {
      return Fail(ambiguous ? "ambiguous option" : "unknown option");
    }
  }
}

// Does the match of the rule's protocol, not yet named, have this option?
bool RuleReader::IsProtocolOption(absl::string_view name) const {
  if (protocol_text_.empty() || protocol_loaded_) return false;
  const Extension* extension = extensions_.FindMatch(
      SavedProtocolName(context_.protocol), context_.family);
  if (extension == nullptr) return false;
  for (const Pending& p : matches_) {
    if (p.extension == extension) return false;
  }
  for (const OptionSpec& spec : extension->options) {
    if (spec.name == name) return true;
  }
  return false;
}

// An option may be one of the match that bears the protocol's name.
bool RuleReader::LoadProtocolMatch() {
  if (protocol_text_.empty() || protocol_loaded_) return false;
  protocol_loaded_ = true;
  absl::string_view name = protocol_text_;
  uint64_t number;
  if (ReadNumber(name, 0, 0, 255, &number)) {
    name = SavedProtocolName(static_cast<uint8_t>(number));
  }
  if (name == "icmpv6" || name == "ipv6-icmp") name = "icmp6";
  if (name == "ipv6-mh" || name == "mobility-header") name = "mh";
  const Extension* extension = extensions_.FindMatch(name, context_.family);
  if (extension == nullptr && !IsUnmodelledMatch(name, context_.family)) {
    return false;
  }
  return AddPending(extension, name, false);
}

bool RuleReader::Verbatim(absl::string_view word) {
  std::string& text = last_->text;
  if (invert_) text += " !";
  absl::StrAppend(&text, " ", words_[next_ - 1].raw);
  (void)word;
  while (next_ < words_.size()) {
    const absl::string_view next = words_[next_].text;
    if (words_[next_].raw[0] != '"' &&
        ((next.size() > 1 && next[0] == '-') || next == "!")) {
      break;
    }
    absl::StrAppend(&text, " ", words_[next_].raw);
    ++next_;
  }
  return true;
}

bool RuleReader::Apply(const Known& known, absl::string_view argument) {
  Pending* pending = nullptr;
  if (target_ && target_->extension == known.extension) {
    pending = &*target_;
  } else {
    for (Pending& p : matches_) {
      if (p.extension == known.extension && !p.completed) pending = &p;
    }
  }
  if (pending == nullptr) return Fail("unknown option");
  OptionCall call;
  call.spec = known.spec;
  call.text = argument;
  call.invert = invert_;
  call.seen = &pending->seen;
  call.rule = &context_;
  std::vector<absl::string_view> following;
  for (size_t i = next_; i < words_.size() && following.size() < 3; ++i) {
    following.push_back(words_[i].text);
  }
  call.following = following;
  if (!ReadOptionValue(pending->extension->name, call)) return false;
  if (!pending->extension->parse(call, pending->op.bytes)) return false;
  pending->seen |= Bit(known.spec->id);
  next_ += call.taken;
  return true;
}

void RuleReader::LearnOptions(const Extension& extension) {
  // The options of an extension come right behind the basic ones.
  size_t at = 0;
  while (at < known_.size() && known_[at].basic != 0) ++at;
  std::vector<Known> added;
  for (const OptionSpec& spec : extension.options) {
    added.push_back(
        {spec.name, &spec, &extension, 0, spec.type != ValueType::kNone});
  }
  known_.insert(known_.begin() + at, added.begin(), added.end());
}

bool RuleReader::AddPending(const Extension* extension, absl::string_view name,
                            bool target) {
  Pending pending;
  pending.extension = extension;
  pending.name = name;
  pending.target = target;
  if (extension != nullptr) {
    extension->init(pending.op.bytes, context_);
    bool known = false;
    for (const Known& k : known_) known = known || k.extension == extension;
    if (!known) LearnOptions(*extension);
  }
  if (target) {
    target_ = std::move(pending);
    last_ = &*target_;
    return true;
  }
  for (Pending& p : matches_) {
    if (p.name == name) p.completed = true;
  }
  matches_.push_back(std::move(pending));
  last_ = &matches_.back();
  return true;
}

bool RuleReader::NameMatch(absl::string_view name) {
  if (invert_) return Fail("unexpected ! before -m");
  if (name.empty() || name.size() > kMaxChainName) {
    return Fail("no such match");
  }
  if (name == "icmpv6" || name == "ipv6-icmp") name = "icmp6";
  if (name == "ipv6-mh") name = "mh";
  const Extension* extension = extensions_.FindMatch(name, context_.family);
  if (extension == nullptr && !IsUnmodelledMatch(name, context_.family) &&
      !options_.keep_unknown_extensions) {
    return Fail("no such match");
  }
  return AddPending(extension, name, false);
}

bool RuleReader::NameTarget(absl::string_view name, bool go) {
  if (!SetOnce('j', "-j", false)) return false;
  if (!go && name == "CONTINUE") return true;
  if (name.empty()) return Fail("target name is empty");
  if (name.size() > kMaxChainName) {
    return Fail("target name longer than ", kMaxChainName, " bytes");
  }
  if (HasSpace(name)) return Fail("blank in a target name");
  jump_ = name;
  goto_ = go;
  if (go) return true;
  const Extension* extension = extensions_.FindTarget(name, context_.family);
  if (extension != nullptr || IsUnmodelledTarget(name, context_.family) ||
      (options_.keep_unknown_extensions && !table_->FindChain(name))) {
    return AddPending(extension, name, true);
  }
  return true;
}

bool RuleReader::SetOnce(char option, const char* name, bool invertible) {
  const uint32_t bit = LetterBit(option);
  if ((given_ & bit) != 0) return Fail("multiple ", name, " not allowed");
  given_ |= bit;
  if (invert_) {
    if (!invertible) return Fail("cannot have ! before ", name);
    inverted_ |= bit;
  }
  return true;
}

bool RuleReader::SetCommand(Command::Kind kind) {
  if (invert_) return Fail("unexpected ! before a command");
  if (command_->kind != Command::kNone) return Fail("two commands in a line");
  command_->kind = kind;
  return true;
}

bool RuleReader::SetCounters(absl::string_view packets) {
  if (!SetOnce('c', "-c", false)) return false;
  absl::string_view bytes;
  const size_t comma = packets.find(',');
  if (comma != absl::string_view::npos) {
    bytes = packets.substr(comma + 1);
    packets = packets.substr(0, comma);
  } else {
    const auto next = NextPlain();
    if (!next) return Fail("-c requires packet and byte counter");
    bytes = *next;
  }
  if (!ScanCounter(&packets, &command_->counters.packets)) {
    return Fail("packet counter is not a number");
  }
  if (!ScanCounter(&bytes, &command_->counters.bytes)) {
    return Fail("byte counter is not a number");
  }
  command_->has_counters = true;
  return true;
}

bool RuleReader::Basic(char option, absl::string_view argument,
                       absl::string_view whole) {
  switch (option) {
    case 's':
      source_text_ = whole;
      return SetOnce('s', "-s", true);
    case 'd':
      destination_text_ = whole;
      return SetOnce('d', "-d", true);
    case 'p': {
      if (!SetOnce('p', "-p", true)) return false;
      // Lower case, in place: the word belongs to this reader.
      char* p = text_.data() + (whole.data() - text_.data());
      for (size_t i = 0; i < whole.size(); ++i) {
        p[i] = absl::ascii_tolower(p[i]);
      }
      protocol_text_ = whole;
      if (!ReadProtocol(whole, &context_.protocol)) {
        return Fail("unknown protocol");
      }
      context_.protocol_inverted = (inverted_ & LetterBit('p')) != 0;
      if (context_.protocol == 0 && context_.protocol_inverted) {
        return Fail("rule would never match protocol");
      }
      return true;
    }
    case 'i':
    case 'o': {
      if (argument.empty()) return Fail("interface name is empty");
      if (!SetOnce(option, option == 'i' ? "-i" : "-o", true)) return false;
      if (whole.size() > kMaxInterfaceName) {
        return Fail("interface name longer than ", kMaxInterfaceName, " bytes");
      }
      (option == 'i' ? in_ : out_) = whole;
      return true;
    }
    case 'f':
      if (context_.family == IpFamily::kIpv6) {
        return Fail("-f is not supported in IPv6");
      }
      return SetOnce('f', "-f", true);
    case 'm':
      return NameMatch(argument);
    case 'j':
      return NameTarget(argument, false);
    case 'g':
      return NameTarget(argument, true);
    case 'c':
      return SetCounters(argument);
    case 'n':
    case 'x':
    case 'v':
    case '0':
      return SetOnce(option, "option", false);
    case 't':
      return Fail("-t cannot be used in iptables-restore");
    case 'w':
    case 'W':
      return Fail("-w cannot be used in iptables-restore");
    case 'M':
      return true;
    case '4':
    case '6':
      if ((option == '4') != (context_.family == IpFamily::kIpv4)) {
        command_->kind = Command::kSkipped;
        next_ = words_.size();
      }
      return true;
    case 'V':
    case 'h':
      return Fail("option makes no sense in a file");
    default:
      return ChainCommand(option, argument);
  }
}

bool RuleReader::ChainCommand(char option, absl::string_view argument) {
  auto number = [&](absl::string_view text) {
    return ReadNumber(text, 0, 1, 0x7fffffff, &command_->number) ||
           Fail("bad rule number");
  };
  auto optional_chain = [&] {
    std::optional<absl::string_view> chain;
    if (!argument.empty()) {
      chain = argument;
    } else {
      chain = NextPlain();
    }
    command_->has_chain = chain.has_value();
    if (chain) command_->chain = *chain;
  };
  switch (option) {
    case 'A':
    case 'C':
      if (!SetCommand(option == 'A' ? Command::kAppend : Command::kCheck)) {
        return false;
      }
      break;
    case 'D':
    case 'I':
    case 'R': {
      if (!SetCommand(option == 'D'   ? Command::kDelete
                      : option == 'I' ? Command::kInsert
                                      : Command::kReplace)) {
        return false;
      }
      command_->chain = argument;
      command_->has_chain = true;
      command_->number = 1;
      const auto next = NextPlain();
      if (option == 'D' && next) command_->kind = Command::kDeleteNumber;
      if (option == 'R' && !next) return Fail("-R requires a rule number");
      return !next || number(*next);
    }
    case 'F':
    case 'X':
    case 'L':
    case 'S':
    case 'Z': {
      if (!SetCommand(option == 'F'   ? Command::kFlush
                      : option == 'X' ? Command::kDeleteChain
                      : option == 'Z' ? Command::kZero
                                      : Command::kList)) {
        return false;
      }
      optional_chain();
      if (option == 'F' || option == 'X') return true;
      const auto next = NextPlain();
      if (next && option == 'Z') command_->kind = Command::kZeroNumber;
      return !next || number(*next);
    }
    case 'N':
      if (!SetCommand(Command::kNewChain)) return false;
      break;
    case 'E': {
      if (!SetCommand(Command::kRenameChain)) return false;
      const auto next = NextPlain();
      if (!next) return Fail("-E requires old and new name");
      command_->new_name = *next;
      break;
    }
    case 'P': {
      if (!SetCommand(Command::kSetPolicy)) return false;
      const auto next = NextPlain();
      if (!next) return Fail("-P requires a chain and a policy");
      command_->policy = *next;
      break;
    }
    default:
      return Fail("unknown option");
  }
  command_->chain = argument;
  command_->has_chain = true;
  return true;
}

}  // namespace k8sdns::netfilter
