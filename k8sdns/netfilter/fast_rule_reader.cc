#include "k8sdns/netfilter/fast_rule_reader.h"

#include <cstring>

#include "k8sdns/netfilter/line_scan.h"
#include "k8sdns/netfilter/ops.h"

namespace k8sdns::netfilter {
namespace {

constexpr size_t kMaxHalves = 256;  // of a rule
constexpr size_t kMaxChainName = 28;
// Shorter names may be those of built-in chains and verdicts.
constexpr size_t kMinChainName = 12;

// Reads an IPv6 address without a dotted part. Returns the place behind it, or
// `p` where there is none.
const char* ReadIpv6(const char* p, uint32_t (&words)[4]) {
  const auto is_part = [](char c) {
    return (c >= '0' && c <= ':') || (c >= 'a' && c <= 'f');
  };
  const char* end = p;
  while (end - p < 40 && is_part(*end)) ++end;
  const auto address = IpAddress::Parse(absl::string_view(p, end - p));
  if (!address || !address->is_v6()) return p;
  StoreAddress(*address, words);
  return end;
}

}  // namespace

// Reads one line from left to right into the halves of a rule.
class FastRuleReader::Line {
 public:
  Line(const char* p, uint16_t* to, FastRuleReader* reader)
      : p_(p), to_(to), reader_(reader) {}

  // The text behind the chain's name, with the newline.
  bool Read();
  const char* end() const { return p_; }
  const uint16_t* rule_end() const { return to_; }
  bool has_callee() const { return callee_ != kNone; }
  ChainId callee() const { return callee_; }
  bool is_dnat() const { return dnat_; }

 private:
  // Options come in this order, each stage at most once but the matches.
  enum Stage { kSource, kDestination, kProtocol, kMatch, kTarget };

  template <size_t N>
  K8SDNS_INLINE bool Take(const char (&text)[N]) {
    if (!StartsWith(p_, text)) return false;
    p_ += N - 1;
    return true;
  }
  K8SDNS_INLINE bool AtWordEnd() const { return IsEnd(*p_); }
  // At the end of a match: what follows is not another option of it.
  K8SDNS_INLINE bool AtMatchEnd() const {
    return *p_ == '\n' || (*p_ == ' ' && p_[1] == '-' && p_[2] != '-');
  }
  bool Decimal(uint32_t max, uint32_t* value);
  bool Hex(uint32_t* value);
  bool Address(uint32_t* address);
  bool AddressOption(bool invert, OpKind kind);
  bool Ipv6(uint32_t (&words)[4]);
  bool Ipv6Option(bool invert, OpKind kind);
  bool ProtocolOption();
  bool MatchOption();
  bool Comment();
  bool Ports(OpKind kind);
  bool Statistic();
  bool MarkOption();
  bool Jump();
  bool Dnat();
  bool SetMark();

  // The halves of an op; those that are zero at its end are dropped.
  template <typename... Half>
  K8SDNS_INLINE void Emit(OpKind kind, Half... halves) {
    size_t at = 0;
    size_t used = 0;
    // There is room for all.
    ((to_[++at] = halves, used = halves == 0 ? used : at), ...);
    *to_ = static_cast<uint16_t>(static_cast<unsigned>(kind) | (used + 1) << 8);
    to_ += used + 1;
  }
  static uint16_t Low(uint32_t v) { return static_cast<uint16_t>(v); }
  static uint16_t High(uint32_t v) { return static_cast<uint16_t>(v >> 16); }
  static uint16_t Bytes(uint32_t first, uint32_t second) {
    return static_cast<uint16_t>(first | second << 8);
  }

  const char* p_;
  uint16_t* to_;
  FastRuleReader* reader_;
  ChainId callee_ = kNone;
  uint8_t protocol_ = 0;
  bool dnat_ = false;
};

K8SDNS_INLINE bool FastRuleReader::Line::Decimal(uint32_t max,
                                                 uint32_t* value) {
  const char* begin = p_;
  uint32_t v = 0;
  while (static_cast<uint8_t>(*p_ - '0') < 10 && p_ - begin < 6) {
    v = v * 10 + static_cast<uint32_t>(*p_++ - '0');
  }
  *value = v;
  // A leading 0 would be octal.
  return p_ != begin && v <= max && (*begin != '0' || p_ - begin == 1);
}

K8SDNS_INLINE bool FastRuleReader::Line::Hex(uint32_t* value) {
  if (!Take("0x")) return false;
  const char* begin = p_;
  uint32_t v = 0;
  for (; p_ - begin < 9; ++p_) {
    const char c = *p_;
    if (c >= '0' && c <= '9') {
      v = v << 4 | static_cast<uint32_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      v = v << 4 | static_cast<uint32_t>(c - 'a' + 10);
    } else {
      break;
    }
  }
  *value = v;
  return p_ != begin && p_ - begin <= 8;
}

K8SDNS_INLINE bool FastRuleReader::Line::Address(uint32_t* address) {
  uint32_t v = 0;
  const char* p = p_;
  for (int i = 0; i < 4; ++i) {
    if (i > 0 && *p++ != '.') return false;
    uint32_t part = static_cast<uint8_t>(*p++ - '0');
    if (part > 9) return false;
    uint32_t digit = static_cast<uint8_t>(*p - '0');
    if (digit < 10) {
      if (part == 0) return false;  // octal
      part = part * 10 + digit;
      digit = static_cast<uint8_t>(*++p - '0');
      if (digit < 10) {
        part = part * 10 + digit;
        ++p;
      }
    }
    if (part > 255) return false;
    v = v << 8 | part;
  }
  p_ = p;
  *address = v;
  return true;
}

K8SDNS_INLINE bool FastRuleReader::Line::Ipv6(uint32_t (&words)[4]) {
  const char* const begin = p_;
  p_ = ReadIpv6(begin, words);
  return p_ != begin;
}

K8SDNS_INLINE bool FastRuleReader::Line::AddressOption(bool invert,
                                                       OpKind kind) {
  if (reader_->family_ == IpFamily::kIpv6) return Ipv6Option(invert, kind);
  uint32_t address;
  uint32_t length;
  if (!Address(&address)) return false;
  if (StartsWith(p_, "/32 ")) {
    length = 32;
    p_ += 3;
  } else if (!Take("/") || !Decimal(32, &length) || length == 0 ||
             !AtWordEnd()) {
    return false;
  }
  address &= ~uint32_t{0} << (32 - length);
  Emit(kind, Bytes(invert, length), Low(address), High(address));
  return true;
}

K8SDNS_INLINE bool FastRuleReader::Line::Ipv6Option(bool invert, OpKind kind) {
  uint32_t words[4];
  uint32_t length;
  if (!Ipv6(words) || !Take("/") || !Decimal(128, &length) || length == 0 ||
      !AtWordEnd()) {
    return false;
  }
  for (uint32_t i = 0; i < 4; ++i) {
    if (length <= 32 * i) {
      words[i] = 0;
    } else if (length < 32 * i + 32) {
      words[i] &= ~uint32_t{0} << (32 * i + 32 - length);
    }
  }
  Emit(kind, Bytes(invert, length), Low(words[0]), High(words[0]),
       Low(words[1]), High(words[1]), Low(words[2]), High(words[2]),
       Low(words[3]), High(words[3]));
  return true;
}

K8SDNS_INLINE bool FastRuleReader::Line::ProtocolOption() {
  if (Take("tcp")) {
    protocol_ = 6;
  } else if (Take("udp")) {
    protocol_ = 17;
  } else {
    return false;
  }
  Emit(OpKind::kProtocol, Bytes(0, protocol_));
  return AtWordEnd();
}

K8SDNS_INLINE bool FastRuleReader::Line::Comment() {
  absl::string_view text;
  if (*p_ == '"') {
    const char* begin = p_ + 1;
    p_ = begin == reader_->preview_->comment ? reader_->preview_->comment_end
                                             : ScanQuoted(begin);
    text = absl::string_view(begin, p_ - begin);
    if (*p_++ != '"') return false;
  } else {
    const char* begin = p_;
    p_ = ScanWord(p_);
    text = absl::string_view(begin, p_ - begin);
    if (std::memchr(begin, '"', text.size()) != nullptr) return false;
  }
  if (!AtWordEnd() || text.empty() || text.size() > 255) return false;
  const StringId id = reader_->InternComment(text);
  Emit(OpKind::kComment, Low(id), High(id));
  return true;
}

K8SDNS_INLINE bool FastRuleReader::Line::Ports(OpKind kind) {
  uint32_t flags = 0;
  uint16_t ports[4] = {};  // destination, source
  for (bool destination : {false, true}) {
    if (destination ? !Take(" --dport ") : !Take(" --sport ")) continue;
    uint32_t first;
    uint32_t last;
    if (!Decimal(65535, &first)) return false;
    last = first;
    if (Take(":") && !Decimal(65535, &last)) return false;
    if (last < first || (first == 0 && last == 65535)) return false;
    flags |= destination ? kHasDestinationPort : kHasSourcePort;
    ports[destination ? 0 : 2] = static_cast<uint16_t>(first);
    ports[destination ? 1 : 3] = static_cast<uint16_t>(last);
  }
  if (!AtMatchEnd()) return false;
  Emit(kind, Bytes(flags, 0), ports[0], ports[1], ports[2], ports[3]);
  return true;
}

K8SDNS_INLINE bool FastRuleReader::Line::Statistic() {
  if (!Take("--mode random --probability 0.")) return false;
  uint64_t digits = 0;
  int count = EightDigits(p_, &digits) ? 8 : 0;
  p_ += count;
  while (static_cast<uint8_t>(*p_ - '0') < 10 && count < 11) {
    digits = digits * 10 + static_cast<uint64_t>(*p_++ - '0');
    ++count;
  }
  if (count == 0 || !AtMatchEnd()) return false;
  for (; count < 11; ++count) digits *= 10;
  // lround(2^31 * digits / 10^11), 10^11 being 2^11 * 5^11. A fraction near
  // one half is left to strtod(3).
  constexpr uint64_t kFive11 = 48828125;
  const uint64_t scaled = digits << 20;
  uint64_t whole = scaled / kFive11;
  const uint64_t rest = scaled % kFive11;
  constexpr uint64_t kHalf = kFive11 / 2;
  if (rest > kHalf - 1000 && rest < kHalf + 1000) return false;
  if (rest > kHalf) ++whole;
  const uint32_t probability = static_cast<uint32_t>(whole);
  Emit(OpKind::kStatistic, 0, Low(probability), High(probability));
  return true;
}

K8SDNS_INLINE bool FastRuleReader::Line::MarkOption() {
  uint32_t value;
  uint32_t mask = 0xffffffff;
  if (!Hex(&value) || (Take("/") && !Hex(&mask)) || !AtMatchEnd()) {
    return false;
  }
  Emit(OpKind::kMark, 0, Low(value), High(value), Low(mask), High(mask));
  return true;
}

K8SDNS_INLINE bool FastRuleReader::Line::MatchOption() {
  switch (*p_) {
    case 'c':
      return Take("comment --comment ") && Comment();
    case 't':
      return protocol_ == 6 && Take("tcp") && Ports(OpKind::kTcp);
    case 'u':
      return protocol_ == 17 && Take("udp") && Ports(OpKind::kUdp);
    case 's':
      return Take("statistic ") && Statistic();
    case 'a':
      if (!Take("addrtype --dst-type LOCAL") || !AtMatchEnd()) return false;
      Emit(OpKind::kAddrtype, kTypeLocal);
      return true;
    case 'm':
      return Take("mark --mark ") && MarkOption();
    default:
      return false;
  }
}

K8SDNS_INLINE bool FastRuleReader::Line::Dnat() {
  if (reader_->table_->id() != TableId::kNat || protocol_ == 0) return false;
  uint32_t address;
  uint32_t port;
  if (!Take(" --to-destination ")) return false;
  if (reader_->family_ == IpFamily::kIpv6) {
    uint32_t words[4];
    if (!Take("[") || !Ipv6(words) || !Take("]:") || !Decimal(65535, &port) ||
        *p_ != '\n')
      return false;
    dnat_ = true;
    Emit(OpKind::kDnat, Bytes(kNatHasAddress | kNatHasPort, 0),
         static_cast<uint16_t>(port), Low(words[0]), High(words[0]),
         Low(words[1]), High(words[1]), Low(words[2]), High(words[2]),
         Low(words[3]), High(words[3]));
    return true;
  }
  if (!Address(&address) || !Take(":") || !Decimal(65535, &port) ||
      *p_ != '\n') {
    return false;
  }
  dnat_ = true;
  Emit(OpKind::kDnat, Bytes(kNatHasAddress | kNatHasPort, 0),
       static_cast<uint16_t>(port), Low(address), High(address));
  return true;
}

K8SDNS_INLINE bool FastRuleReader::Line::SetMark() {
  uint32_t value;
  uint32_t mask;
  if (!Take(" --set-xmark ") || !Hex(&value) || !Take("/") || !Hex(&mask) ||
      *p_ != '\n') {
    return false;
  }
  Emit(OpKind::kSetMark, 0, Low(value), High(value), Low(mask), High(mask));
  return true;
}

K8SDNS_INLINE bool FastRuleReader::Line::Jump() {
  const char* begin = p_;
  p_ = begin == reader_->preview_->name ? reader_->preview_->name_end
                                        : ScanWord(p_);
  const absl::string_view name(begin, p_ - begin);
  if (*p_ == '\n') {
    if (name == "RETURN") {
      Emit(OpKind::kReturn);
      return true;
    }
    if (name == "ACCEPT") {
      Emit(OpKind::kAccept);
      return true;
    }
    StringId id;
    if (!reader_->FindCallee(name, &id, &callee_)) return false;
    Emit(OpKind::kJump, Low(id), High(id));
    return true;
  }
  if (*p_ != ' ' || reader_->shadowed_) return false;
  if (name == "DNAT") return Dnat();
  return name == "MARK" && SetMark();
}

K8SDNS_INLINE bool FastRuleReader::Line::Read() {
  int stage = kSource;
  const uint16_t* most = to_ + kMaxHalves - 32;
  while (*p_ != '\n') {
    if (*p_++ != ' ' || to_ > most) return false;
    const bool invert = Take("! ");
    if (p_[0] != '-' || p_[2] != ' ') return false;
    const char letter = p_[1];
    p_ += 3;
    int at;
    bool ok;
    switch (letter) {
      case 's':
        at = kSource;
        ok = stage <= at && AddressOption(invert, OpKind::kSource);
        break;
      case 'd':
        at = kDestination;
        ok = stage <= at && AddressOption(invert, OpKind::kDestination);
        break;
      case 'p':
        at = kProtocol;
        ok = !invert && stage <= at && ProtocolOption();
        break;
      case 'm':
        at = kMatch - 1;
        ok = !invert && stage <= kMatch && MatchOption();
        break;
      case 'j':
        at = kTarget;
        ok = !invert && stage <= at && Jump();
        break;
      default:
        return false;
    }
    if (!ok) return false;
    stage = at + 1;
  }
  ++p_;
  return true;
}

void FastRuleReader::Reset(Table* table) {
  table_ = table;
  chain_ = kNone;
  chain_name_ = absl::string_view();
  comment_ = absl::string_view();
  run_count_ = 0;
  NoteNewChain();
}

void FastRuleReader::NoteNewChain() {
  shadowed_ = table_ != nullptr && (table_->FindChain("DNAT").has_value() ||
                                    table_->FindChain("MARK").has_value());
}

const char* FastRuleReader::SafeEnd(absl::string_view text) {
  const size_t newline = text.size() <= kMargin
                             ? absl::string_view::npos
                             : text.rfind('\n', text.size() - kMargin);
  return text.data() + (newline == absl::string_view::npos ? 0 : newline);
}

const char* FastRuleReader::Read(const char* p, const char* safe_end,
                                 size_t most, int* lines, size_t* rules) {
  if (table_ == nullptr || p >= safe_end) return p;
  Preview previews[kPreviews];
  const char* ahead = p;
  SpecialCharacters specials(p);
  for (int i = 0; i < kFar; ++i) {
    Look(ahead, safe_end, &specials, &previews[i]);
    ahead = previews[i].end;
  }
  for (unsigned i = 0; p < safe_end; ++i) {
    const char* next;
    Preview& far = previews[(i + kFar) % kPreviews];
    Look(ahead, safe_end, &specials, &far);
    ahead = far.end;
    Preview& middle = previews[(i + kMiddle) % kPreviews];
    if (middle.comment != nullptr) {
      middle.comment_id = strings_->Candidate(middle.comment_hash);
    }
    if (middle.name != nullptr) {
      middle.name_id = strings_->Candidate(middle.name_hash);
    }
    const Preview& near = previews[(i + kNear) % kPreviews];
    strings_->PrefetchText(near.comment_id);
    strings_->PrefetchText(near.name_id);
    preview_ = &previews[i % kPreviews];
    if (*p == '-') {
      if (most == 0) return p;
      next = ReadRule(p);
      if (next == nullptr) return p;
      --most;
      ++*rules;
    } else if (*p == ':') {
      next = ReadChain(p);
      if (next == nullptr) return p;
    } else {
      return p;
    }
    ++*lines;
    p = next;
  }
  return p;
}

void FastRuleReader::Look(const char* p, const char* safe_end,
                          SpecialCharacters* specials, Preview* preview) const {
  *preview = Preview();
  preview->end = p;
  if (p >= safe_end) return;
  const char* special = specials->Next();
  if (*special == '"') {
    preview->comment = special + 1;
    special = specials->Next();
    preview->comment_end = special;
  }
  while (*special != '\n') special = specials->Next();
  const char* const newline = special;
  preview->end = newline + 1;
  if (*p == ':') {
    preview->name = p + 1;
    preview->name_end = ScanWord(p + 1);
  } else if (*p == '-' && newline - p > 40) {
    if (preview->comment != nullptr) {
      const absl::string_view text(preview->comment,
                                   preview->comment_end - preview->comment);
      preview->comment_hash = strings_->Hash(text);
      strings_->PrefetchSlot(preview->comment_hash);
    }
    // The last word: the name of a chain, or part of a target's option.
    const char* word = BeginOfLastWord(newline);
    if (word == nullptr || word == newline || word[-1] != ' ' ||
        word[-2] != 'j') {
      return;
    }
    preview->name = word;
    preview->name_end = newline;
  }
  if (preview->name == nullptr) return;
  preview->name_hash = strings_->Hash(
      absl::string_view(preview->name, preview->name_end - preview->name));
  strings_->PrefetchSlot(preview->name_hash);
}

const char* FastRuleReader::ReadChain(const char* p) {
  const char* begin = p + 1;
  const char* end =
      begin == preview_->name ? preview_->name_end : ScanWord(begin);
  const absl::string_view name(begin, end - begin);
  if (name.size() < kMinChainName || name.size() > kMaxChainName ||
      !StartsWith(end, " - [0:0]\n")) {
    return nullptr;
  }
  const uint64_t hash = HashOfName(name);
  bool added;
  const StringId id = strings_->Intern(name, hash, CandidateOf(name), &added);
  if (!added) {
    if (table_->FindChain(id)) return nullptr;
    table_->AddNewChain(id);
    return end + 9;
  }
  NoteDeclared(id, table_->AddNewChain(id));
  return end + 9;
}

void FastRuleReader::NoteDeclared(StringId name, ChainId chain) {
  if (run_count_ > 0) {
    Run& last = runs_[run_count_ - 1];
    if (name == StringId{last.name + last.size} &&
        chain == last.chain + last.size) {
      ++last.size;
      return;
    }
  }
  if (run_count_ < kMostRuns) runs_[run_count_++] = {name, chain, 1};
}

K8SDNS_INLINE bool FastRuleReader::FindCallee(absl::string_view name,
                                              StringId* id,
                                              ChainId* chain) const {
  if (name.empty()) return false;
  *id = strings_->Find(name, HashOfName(name), CandidateOf(name));
  if (*id == 0) return false;
  for (size_t i = 0; i < run_count_; ++i) {
    const uint32_t at =
        StringId{*id - runs_[i].name};  // wraps for smaller ones
    if (at < runs_[i].size) {
      *chain = runs_[i].chain + at;
      return true;
    }
  }
  const auto found = table_->FindChain(*id);
  if (!found || table_->policy(*found) != Table::Policy::kNone) return false;
  *chain = *found;
  return true;
}

K8SDNS_INLINE StringId FastRuleReader::InternComment(absl::string_view text) {
  if (!Same(text, comment_)) {
    bool added;
    if (text.data() == preview_->comment) {
      comment_id_ = strings_->Intern(text, preview_->comment_hash,
                                     preview_->comment_id, &added);
    } else {
      comment_id_ = strings_->Intern(text, strings_->Hash(text), &added);
    }
    comment_ = text;
  }
  return comment_id_;
}

bool FastRuleReader::FindRuleChain(const char* name, size_t size) {
  if (size < 8 || size > kMaxChainName) return false;
  if (chain_ != kNone) {
    if (size == chain_name_.size() &&
        EqualBytes(name, chain_name_.data(), size)) {
      return true;
    }
    // The rules of a dump stand in the order of its chains.
    const ChainId next = chain_ + 1;
    if (next < table_->chain_limit() && table_->is_live(next) &&
        Same(table_->name(next), absl::string_view(name, size))) {
      chain_ = next;
      chain_name_ = absl::string_view(name, size);
      return true;
    }
  }
  const auto found = table_->FindChain(absl::string_view(name, size));
  if (!found) return false;
  chain_ = *found;
  chain_name_ = absl::string_view(name, size);
  return true;
}

const char* FastRuleReader::ReadRule(const char* p) {
  if (!StartsWith(p, "-A ")) return nullptr;
  const char* name = p + 3;
  const char* blank = ScanWord(name);
  if (*blank != ' ' ||
      !FindRuleChain(name, static_cast<size_t>(blank - name))) {
    return nullptr;
  }
  uint16_t* rule = table_->OpenRule(chain_, kMaxHalves);
  Line line(blank, rule + 1, this);
  if (!line.Read()) {
    table_->CloseRule(chain_, kMaxHalves, 0);
    return nullptr;
  }
  const uint32_t size = static_cast<uint32_t>(line.rule_end() - rule);
  rule[0] = static_cast<uint16_t>(size);
  table_->CloseRule(chain_, kMaxHalves, size);
  graph_->Open(chain_);
  if (line.has_callee()) graph_->Add(line.callee());
  if (line.is_dnat()) {
    graph_->Allow(1 << static_cast<int>(Hook::kPrerouting) |
                  1 << static_cast<int>(Hook::kOutput));
  }
  return line.end();
}

}  // namespace k8sdns::netfilter
