#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "k8sdns/netfilter/ipset_element_reader.h"
#include "k8sdns/netfilter/ipset_save.h"
#include "k8sdns/netfilter/ipset_table.h"
#include "k8sdns/netfilter/option_value.h"

namespace k8sdns::netfilter {
namespace {

constexpr size_t kMaxName = 31;
constexpr size_t kMaxComment = 255;
constexpr uint32_t kMaxTimeout = 2147483;  // ipset 7.17

struct Alias {
  absl::string_view old_name;
  absl::string_view type;
};
constexpr Alias kAliases[] = {
    {"iphash", "hash:ip"},
    {"ipporthash", "hash:ip,port"},
    {"ipportiphash", "hash:ip,port,ip"},
    {"ipportnethash", "hash:ip,port,net"},
    {"nethash", "hash:net"},
    {"netporthash", "hash:net,port"},
    {"netifacehash", "hash:net,iface"},
    {"ipmarkhash", "hash:ip,mark"},
    {"machash", "hash:mac"},
    {"ipmap", "bitmap:ip"},
    {"macipmap", "bitmap:ip,mac"},
    {"portmap", "bitmap:port"},
    {"setlist", "list:set"},
};
constexpr absl::string_view kTypes[] = {
    "hash:ip",      "hash:ip,port",  "hash:ip,port,ip", "hash:ip,port,net",
    "hash:net",     "hash:net,port", "hash:net,iface",  "hash:net,net",
    "hash:ip,mark", "hash:ip,mac",   "hash:mac",        "hash:net,port,net",
    "bitmap:ip",    "bitmap:ip,mac", "bitmap:port",     "list:set"};

enum class Command {
  kCreate,
  kAdd,
  kDel,
  kTest,
  kDestroy,
  kList,
  kSave,
  kFlush,
  kRename,
  kSwap,
  kCommit,
};
struct CommandName {
  absl::string_view name;
  char letter;
  Command command;
};
constexpr CommandName kCommands[] = {
    {"create", 'N', Command::kCreate},   {"add", 'A', Command::kAdd},
    {"del", 'D', Command::kDel},         {"test", 'T', Command::kTest},
    {"destroy", 'X', Command::kDestroy}, {"list", 'L', Command::kList},
    {"save", 'S', Command::kSave},       {"flush", 'F', Command::kFlush},
    {"rename", 'E', Command::kRename},   {"swap", 'W', Command::kSwap},
};

std::optional<Command> FindCommand(absl::string_view word) {
  if (word == "COMMIT") return Command::kCommit;
  if (word == "n") return Command::kCreate;
  for (const CommandName& c : kCommands) {
    if (word.size() == 2 && word[0] == '-' && word[1] == c.letter) {
      return c.command;
    }
    absl::string_view name = word;
    if (absl::StartsWith(name, "--")) name.remove_prefix(2);
    if (!name.empty() && name[0] != '-' && absl::StartsWith(c.name, name)) {
      return c.command;
    }
  }
  return std::nullopt;
}

class FileReader {
 public:
  explicit FileReader(const IpsetParseOptions& options)
      : options_(options), exist_(options.exist) {}
  bool Read(absl::string_view text);
  IpSets Take() && { return std::move(table_).Take(); }
  const std::string& error() const { return error_; }

 private:
  using Words = std::vector<absl::string_view>;
  // The options of a command that were met.
  using Met = absl::InlinedVector<absl::string_view, 8>;
  struct Creation {
    IpSet set;
    Met met;
    absl::string_view from, to;  // the range's old spelling
  };

  bool Split(absl::string_view line, Words* words);
  bool Line(absl::string_view line);
  bool Create(const Words& words);
  bool CreateOption(const Words& words, size_t* at, Creation* creation);
  bool Once(absl::string_view name, Met* met);
  bool Range(absl::string_view text, IpSet* set);
  bool Elements(Command command, const Words& words, bool exist);
  bool ElementOption(const Words& words, size_t* at, Command command,
                     const IpSet& set, Met* met, IpSetElement* e,
                     IpSetTable::Addition* addition);
  bool WholeSet(Command command, const Words& words);
  bool Number(absl::string_view text, uint64_t max, uint32_t* value);

  template <typename... Args>
  bool Fail(const Args&... args) {
    if (error_.empty()) {
      error_ = absl::StrCat("line ", line_, ": ", absl::StrCat(args...));
    }
    return false;
  }

  // Adds what an operation said to the line.
  bool Or(bool done, const std::string& why) { return done || Fail(why); }

  const IpsetParseOptions& options_;
  IpSetTable table_;
  int line_ = 0;
  std::string error_;
  // Once given, -exist stays (ipset_envopt_set() of libipset).
  bool exist_;
  // Consecutive additions to or deletions from a set are one message: the
  // flags of the first count for all (may_aggregate_ad() of libipset's
  // session.c).
  Command run_ = Command::kCommit;
  std::string run_set_;
  bool run_exist_ = false;
};

bool FileReader::Read(absl::string_view text) {
  while (!text.empty()) {
    const size_t end = text.find('\n');
    ++line_;
    const absl::string_view line = text.substr(0, end);
    if (line.size() > options_.max_line_bytes) {
      return Fail("line of ", line.size(), " bytes, at most ",
                  options_.max_line_bytes, " are read");
    }
    if (line.find('\0') != absl::string_view::npos) return Fail("NUL byte");
    if (!Line(line)) return false;
    if (end == absl::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return true;
}

// Double quotes group; there are no escapes.
bool FileReader::Split(absl::string_view line, Words* words) {
  size_t i = 0;
  while (true) {
    while (i < line.size() && absl::ascii_isspace(line[i])) ++i;
    if (i == line.size()) return true;
    if (line[i] == '"') {
      const size_t end = line.find('"', i + 1);
      if (end == absl::string_view::npos) return Fail("missing closing quote");
      // The quotes stay out; an empty word counts as missing.
      words->push_back(line.substr(i + 1, end - i - 1));
      i = end + 1;
      continue;
    }
    const size_t begin = i;
    while (i < line.size() && !absl::ascii_isspace(line[i])) ++i;
    words->push_back(line.substr(begin, i - begin));
  }
}

bool FileReader::Line(absl::string_view line) {
  Words words;
  const absl::string_view stripped = absl::StripLeadingAsciiWhitespace(line);
  if (stripped.empty() || stripped[0] == '#') return true;
  if (!Split(line, &words)) return false;
  Words kept;
  for (absl::string_view w : words) {
    if (w == "-exist" || w == "-!" || w == "--exist") {
      exist_ = true;
    } else {
      kept.push_back(w);
    }
  }
  if (kept.empty()) return Fail("no command");
  const auto command = FindCommand(kept[0]);
  if (!command) return Fail("`", kept[0], "' is no command of a file");
  const bool runs = *command == Command::kAdd || *command == Command::kDel;
  const absl::string_view set = kept.size() > 1 ? kept[1] : "";
  if (!runs || *command != run_ || set != run_set_) run_exist_ = exist_;
  run_ = *command;
  run_set_ = std::string(set);
  switch (*command) {
    case Command::kCreate:
      return Create(kept);
    case Command::kAdd:
    case Command::kDel:
    case Command::kTest:
      return Elements(*command, kept, run_exist_);
    case Command::kCommit:
    case Command::kSave:
    case Command::kList:
      return true;
    default:
      return WholeSet(*command, kept);
  }
}

bool FileReader::Number(absl::string_view text, uint64_t max, uint32_t* value) {
  uint64_t v;
  if (!ReadNumber(text, 0, 0, max, &v)) {
    return Fail("`", text, "' is not a number in 0-", max);
  }
  *value = static_cast<uint32_t>(v);
  return true;
}

bool FileReader::Range(absl::string_view text, IpSet* set) {
  if (set->type == "bitmap:port") {
    std::vector<IpSetElement> ends;
    std::string why;
    uint16_t first;
    uint16_t last;
    if (!ReadSetPortRange(text, &first, &last, &why)) return Fail(why);
    if (text.find('-') == absl::string_view::npos) {
      return Fail("range needs two ports");
    }
    set->range_first = std::min(first, last);
    set->range_last = std::max(first, last);
    return true;
  }
  uint32_t first;
  uint32_t last;
  if (!ReadIpv4Range(text, &first, &last) ||
      text.find_first_of("-/") == absl::string_view::npos) {
    return Fail("`", text, "' is not a range of IPv4 addresses");
  }
  set->range_first = first;
  set->range_last = last;
  return true;
}

// An option with a value may come once.
bool FileReader::Once(absl::string_view name, Met* met) {
  if (std::find(met->begin(), met->end(), name) != met->end()) {
    return Fail(name, " a second time");
  }
  met->push_back(name);
  return true;
}

bool FileReader::CreateOption(const Words& words, size_t* at,
                              Creation* creation) {
  IpSet* const set = &creation->set;
  absl::string_view name = words[*at];
  if (absl::StartsWith(name, "--")) name.remove_prefix(2);
  auto flag = [&](bool allowed, bool* to) {
    if (!allowed) return Fail("unknown argument `", name, "'");
    *to = true;
    ++*at;
    return true;
  };
  if (name == "counters") return flag(true, &set->counters);
  if (name == "comment") return flag(true, &set->comments);
  if (name == "skbinfo") return flag(true, &set->skbinfo);
  if (name == "forceadd") return flag(set->is_hash(), &set->force_add);
  const bool hash = set->is_hash();
  const bool bitmap = set->is_bitmap();
  const bool known =
      name == "timeout" ||
      (hash &&
       (name == "family" || name == "hashsize" || name == "maxelem" ||
        name == "bucketsize" || name == "initval" || name == "netmask" ||
        name == "bitmask" || name == "resize" || name == "probes" ||
        name == "gc" || (name == "markmask" && set->type == "hash:ip,mark"))) ||
      (bitmap && (name == "range" || name == "from" || name == "to")) ||
      (set->type == "bitmap:ip" && name == "netmask") ||
      (set->is_list() && name == "size");
  if (!known) return Fail("unknown argument `", name, "'");
  if (*at + 1 >= words.size() || words[*at + 1].empty()) {
    return Fail("missing argument of `", name, "'");
  }
  if (!Once(name == "from" ? "range" : name, &creation->met)) return false;
  const absl::string_view value = words[*at + 1];
  *at += 2;
  uint32_t number;
  if (name == "family") {
    if (value == "inet" || value == "ipv4" || value == "-4") {
      set->family = IpFamily::kIpv4;
    } else if (value == "inet6" || value == "ipv6" || value == "-6") {
      set->family = IpFamily::kIpv6;
    } else {
      return Fail("unknown family `", value, "'");
    }
    return true;
  }
  if (name == "range") return Range(value, set);
  if (name == "from" || name == "to") {
    if (value.find_first_of("-/") != absl::string_view::npos) {
      return Fail("`", value, "' is not one end of a range");
    }
    (name == "from" ? creation->from : creation->to) = value;
    return true;
  }
  if (name == "bitmask") {
    const auto mask = IpAddress::Parse(value);
    if (!mask) return Fail("bad bitmask `", value, "'");
    set->bitmask = *mask;
    return true;
  }
  if (name == "netmask") {
    if (!Number(value, 128, &number)) return false;
    set->netmask = static_cast<uint8_t>(number);
    if (number == 0) return Fail("netmask is out of range");
    return true;
  }
  const uint64_t max = name == "timeout" ? kMaxTimeout : 0xffffffff;
  if (!Number(value, max, &number)) return false;
  if (name == "timeout") set->timeout_s = number;
  if (name == "maxelem") set->max_elements = number;
  if (name == "markmask") set->mark_mask = number;
  if (name == "bucketsize") set->bucket_size = number;
  if (name == "initval") set->initial_value = number;
  if (name == "size") set->list_size = std::max<uint32_t>(number, 4);
  if (name == "hashsize") {
    set->hash_size = 64;
    while (set->hash_size < number && set->hash_size < 1u << 31) {
      set->hash_size *= 2;
    }
  }
  return true;
}

bool FileReader::Create(const Words& words) {
  if (words.size() < 3) return Fail("create needs a name and a type");
  if (words[1].empty() || words[1].size() > kMaxName) {
    return Fail("bad set name `", words[1], "'");
  }
  Creation creation;
  IpSet& set = creation.set;
  set.name = std::string(words[1]);
  set.type = std::string(words[2]);
  for (const Alias& a : kAliases) {
    if (a.old_name == words[2]) set.type = std::string(a.type);
  }
  if (std::find(std::begin(kTypes), std::end(kTypes), set.type) ==
      std::end(kTypes)) {
    return Fail("unknown set type `", set.type, "'");
  }
  if (std::find(options_.missing_types.begin(), options_.missing_types.end(),
                set.type) != options_.missing_types.end()) {
    return Fail("set type ", set.type, " is not there");
  }
  for (size_t at = 3; at < words.size();) {
    if (!CreateOption(words, &at, &creation)) return false;
  }
  if (creation.from.empty() != creation.to.empty()) {
    return Fail("from and to come together");
  }
  if (!creation.from.empty() &&
      !Range(absl::StrCat(creation.from, "-", creation.to), &set)) {
    return false;
  }
  const uint8_t bits = set.family == IpFamily::kIpv4 ? 32 : 128;
  if (set.netmask > bits) return Fail("netmask is out of range");
  if (set.netmask == bits) set.netmask = 0;
  const Met& met = creation.met;
  if (set.is_bitmap() &&
      std::find(met.begin(), met.end(), "range") == met.end()) {
    return Fail("range is missing");
  }
  if (set.is_bitmap() && set.type != "bitmap:port") {
    const uint32_t step =
        set.netmask == 0 ? 1 : uint32_t{1} << (32 - set.netmask);
    const uint64_t count =
        (uint64_t{set.range_last} - set.range_first) / step + 1;
    // Up to 65536 elements, and not one alone for all.
    if (count > 65536 || (set.netmask != 0 && count < 2)) {
      return Fail("range is too large for a bitmap");
    }
  }
  std::string why;
  return Or(table_.Create(std::move(set), exist_, &why), why);
}

// Only a new element has all options; of one that is looked for or deleted, a
// list has its place and a test asks for nomatch (libipset/ipset_*.c).
bool FileReader::ElementOption(const Words& words, size_t* at, Command command,
                               const IpSet& set, Met* met, IpSetElement* e,
                               IpSetTable::Addition* addition) {
  absl::string_view name = words[*at];
  if (absl::StartsWith(name, "--")) name.remove_prefix(2);
  const bool adds = command == Command::kAdd;
  const std::vector<IpSetDimension> dimensions = IpSetDimensions(set.type);
  const bool nets = std::find(dimensions.begin(), dimensions.end(),
                              IpSetDimension::kNet) != dimensions.end();
  if (name == "nomatch" && nets && command != Command::kDel) {
    e->nomatch = true;
    ++*at;
    return true;
  }
  if (name == "wildcard" && adds && set.type == "hash:net,iface") {
    e->wildcard = true;
    ++*at;
    return true;
  }
  const bool skb = name == "skbmark" || name == "skbprio" || name == "skbqueue";
  const bool order = set.is_list() && (name == "before" || name == "after");
  const bool extension = adds && (name == "timeout" || name == "packets" ||
                                  name == "bytes" || name == "comment" || skb);
  if (!extension && !order) {
    return Fail("unknown argument `", name, "'");
  }
  if (*at + 1 >= words.size() || words[*at + 1].empty()) {
    return Fail("missing argument of `", name, "'");
  }
  if (!Once(name, met)) return false;
  const absl::string_view value = words[*at + 1];
  *at += 2;
  if (order) {
    (name == "before" ? addition->before : addition->after) =
        std::string(value);
    return true;
  }
  if (name == "timeout") {
    uint32_t number;
    if (!Number(value, kMaxTimeout, &number)) return false;
    if (!set.timeout_s) return Fail("set was created without timeout");
    e->timeout_s = number;
    return true;
  }
  if (name == "comment") {
    if (!set.comments) return Fail("set was created without comment");
    if (value.size() > kMaxComment) return Fail("comment is too long");
    if (value.find('"') != absl::string_view::npos) {
      return Fail("\" in a comment");
    }
    e->comment = std::string(value);
    return true;
  }
  if (skb) {
    if (!set.skbinfo) return Fail("set was created without skbinfo");
    return ReadSkbOption(name, value, &e->skb) ||
           Fail("bad ", name, " `", value, "'");
  }
  if (!set.counters) return Fail("set was created without counters");
  uint64_t number;
  if (!ReadNumber(value, 0, 0, UINT64_MAX, &number)) {
    return Fail("`", value, "' is not a number");
  }
  (name == "packets" ? e->packets : e->bytes) = number;
  (name == "packets" ? addition->packets : addition->bytes) = true;
  return true;
}

bool FileReader::Elements(Command command, const Words& words, bool exist) {
  if (words.size() < 3) return Fail("a set and an element are needed");
  const IpSet* const set = table_.Find(words[1]);
  if (set == nullptr) return Fail("no set `", words[1], "'");
  IpSetElement prototype;
  IpSetTable::Addition addition;
  Met met;
  for (size_t at = 3; at < words.size();) {
    if (!ElementOption(words, &at, command, *set, &met, &prototype,
                       &addition)) {
      return false;
    }
  }
  if (set->timeout_s && !prototype.timeout_s) {
    prototype.timeout_s = set->timeout_s;
  }
  std::string why;
  size_t room = options_.max_elements - table_.size();
  if (set->is_hash() && command == Command::kAdd) {
    room = std::min<size_t>(room, set->max_elements);
  }
  std::vector<IpSetElement>& elements = addition.elements;
  if (!ReadSetElements(*set, words[2], prototype, room, &elements, &why)) {
    return Fail(why);
  }
  if (set->is_list()) {
    const IpSet* const member = table_.Find(words[2]);
    if (member == nullptr)
      return Fail("no set `", words[2], "' to be a member");
    if (member->is_list()) {
      return Fail("a list of sets cannot be a member of another");
    }
  }
  switch (command) {
    case Command::kAdd:
      return Or(table_.Add(words[1], addition, exist, &why), why);
    case Command::kDel:
      return Or(table_.Delete(words[1], elements, exist, &why), why);
    default:
      return Or(table_.Test(words[1], elements, &why), why);
  }
}

bool FileReader::WholeSet(Command command, const Words& words) {
  std::string why;
  if (words.size() < 2) {
    if (command == Command::kDestroy) return Or(table_.DestroyAll(&why), why);
    if (command != Command::kFlush) return Fail("a set is needed");
    table_.FlushAll();
    return true;
  }
  const absl::string_view set = words[1];
  if (command == Command::kFlush) return Or(table_.Flush(set, &why), why);
  if (command == Command::kDestroy) {
    return Or(table_.Destroy(set, exist_, &why), why);
  }
  if (words.size() < 3 || words[2].empty() || words[2].size() > kMaxName) {
    return Fail("a second set name is needed");
  }
  return command == Command::kRename
             ? Or(table_.Rename(set, words[2], &why), why)
             : Or(table_.Swap(set, words[2], &why), why);
}

}  // namespace

absl::StatusOr<IpSets> ParseIpsetSave(absl::string_view text,
                                      const IpsetParseOptions& options) {
  FileReader reader(options);
  if (!reader.Read(text)) return absl::InvalidArgumentError(reader.error());
  return std::move(reader).Take();
}

}  // namespace k8sdns::netfilter
