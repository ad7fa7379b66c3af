#include "k8sdns/netfilter/fast_rule_reader.h"

#include <cstring>

#include "k8sdns/netfilter/ops.h"

namespace k8sdns::netfilter {
namespace {

constexpr uint8_t kAllHooks = 0xff;

// Reads one line from left to right into the words of a rule.
class Line {
 public:
  Line(const char* p, const char* end, const Table& table, StringPool* strings)
      : p_(p), end_(end), table_(table), strings_(strings) {}

  bool Read();
  RuleView rule() {
    words_[0] = size_;
    return RuleView(words_);
  }
  uint8_t hooks() const { return hooks_; }
  absl::string_view name() const { return name_; }

 private:
  // Options come in this order, each stage at most once but the matches.
  enum Stage { kSource, kDestination, kProtocol, kMatch, kTarget };

  bool Take(absl::string_view text) {
    if (static_cast<size_t>(end_ - p_) < text.size() ||
        std::memcmp(p_, text.data(), text.size()) != 0) {
      return false;
    }
    p_ += text.size();
    return true;
  }
  bool AtWordEnd() const { return p_ == end_ || *p_ == ' '; }
  absl::string_view Word() {
    const char* begin = p_;
    while (p_ != end_ && *p_ != ' ') ++p_;
    return absl::string_view(begin, p_ - begin);
  }
  bool Decimal(uint32_t max, uint32_t* value) {
    const char* begin = p_;
    uint32_t v = 0;
    while (p_ != end_ && *p_ >= '0' && *p_ <= '9' && p_ - begin < 6) {
      v = v * 10 + static_cast<uint32_t>(*p_++ - '0');
    }
    // A leading 0 would be octal.
    if (p_ == begin || v > max || (*begin == '0' && p_ - begin > 1)) {
      return false;
    }
    *value = v;
    return true;
  }
  bool Hex(uint32_t* value) {
    if (!Take("0x")) return false;
    const char* begin = p_;
    uint32_t v = 0;
    for (; p_ != end_ && p_ - begin < 9; ++p_) {
      const char c = *p_;
      if (c >= '0' && c <= '9') {
        v = v << 4 | static_cast<uint32_t>(c - '0');
      } else if (c >= 'a' && c <= 'f') {
        v = v << 4 | static_cast<uint32_t>(c - 'a' + 10);
      } else {
        break;
      }
    }
    if (p_ == begin || p_ - begin > 8) return false;
    *value = v;
    return true;
  }
  bool Address(uint32_t* address) {
    uint32_t v = 0;
    for (int i = 0; i < 4; ++i) {
      uint32_t part;
      if (i > 0 && !Take(".")) return false;
      if (!Decimal(255, &part)) return false;
      v = v << 8 | part;
    }
    *address = v;
    return true;
  }
  bool AddressOption(bool invert, OpKind kind);
  bool ProtocolOption();
  bool MatchOption();
  bool Comment();
  bool Ports(OpKind kind);
  bool Statistic();
  bool Jump();
  bool Dnat();
  bool SetMark();

  // RuleBuilder::AddBytes() into a fixed buffer.
  bool Emit(OpKind kind, const void* op, size_t size) {
    const uint8_t* bytes = static_cast<const uint8_t*>(op);
    while (size > 0 && bytes[size - 1] == 0) --size;
    const size_t words = (2 + size + 3) / 4;
    if (size_ + words > kMaxWords) return false;
    words_[size_ + words - 1] = 0;
    uint8_t* to = reinterpret_cast<uint8_t*>(words_ + size_);
    to[0] = static_cast<uint8_t>(kind);
    to[1] = static_cast<uint8_t>(words);
    std::memcpy(to + 2, bytes, size);
    size_ += static_cast<uint32_t>(words);
    return true;
  }

  static constexpr size_t kMaxWords = 96;
  const char* p_;
  const char* end_;
  const Table& table_;
  StringPool* strings_;
  uint8_t protocol_ = 0;
  uint8_t hooks_ = kAllHooks;
  absl::string_view name_;
  uint32_t size_ = 1;
  uint32_t words_[kMaxWords];
};

bool Line::AddressOption(bool invert, OpKind kind) {
  uint32_t address;
  uint32_t length;
  if (!Address(&address) || !Take("/") || !Decimal(32, &length) ||
      !AtWordEnd()) {
    return false;
  }
  if (length == 0) return false;
  SourceMatch op;
  op.invert = invert;
  op.prefix_length = static_cast<uint8_t>(length);
  op.address[0] = address & (~uint32_t{0} << (32 - length));
  return Emit(kind, &op, sizeof(op));
}

bool Line::ProtocolOption() {
  const absl::string_view name = Word();
  ProtocolMatch op;
  if (name == "tcp") {
    op.protocol = 6;
  } else if (name == "udp") {
    op.protocol = 17;
  } else {
    return false;
  }
  protocol_ = op.protocol;
  return Emit(OpKind::kProtocol, &op, sizeof(op));
}

bool Line::Comment() {
  absl::string_view text;
  if (Take("\"")) {
    const char* close =
        static_cast<const char*>(std::memchr(p_, '"', end_ - p_));
    if (close == nullptr) return false;
    text = absl::string_view(p_, close - p_);
    if (text.empty() || std::memchr(p_, '\\', text.size()) != nullptr) {
      return false;
    }
    p_ = close + 1;
    if (!AtWordEnd()) return false;
  } else {
    text = Word();
    if (text.empty() || text.find('"') != absl::string_view::npos ||
        text.find('\t') != absl::string_view::npos) {
      return false;
    }
  }
  if (text.size() > 255) return false;
  CommentMatch op;
  op.text = strings_->Intern(text);
  return Emit(OpKind::kComment, &op, sizeof(op));
}

bool Line::Ports(OpKind kind) {
  UdpMatch op;
  TcpMatch tcp;
  for (bool destination : {false, true}) {
    if (!Take(destination ? " --dport " : " --sport ")) continue;
    uint32_t first;
    uint32_t last;
    if (!Decimal(65535, &first)) return false;
    last = first;
    if (Take(":") && !Decimal(65535, &last)) return false;
    if (last < first || (first == 0 && last == 65535) || !AtWordEnd()) {
      return false;
    }
    PortRange ports;
    ports.first = static_cast<uint16_t>(first);
    ports.last = static_cast<uint16_t>(last);
    op.flags |= destination ? kHasDestinationPort : kHasSourcePort;
    (destination ? op.destination : op.source) = ports;
  }
  // Other options, and a longer name than "tcp".
  if (!AtWordEnd() || (end_ - p_ > 2 && p_[1] == '-' && p_[2] == '-') ||
      (end_ - p_ > 1 && p_[1] == '!')) {
    return false;
  }
  if (kind == OpKind::kUdp) return Emit(kind, &op, sizeof(op));
  tcp.flags = op.flags;
  tcp.destination = op.destination;
  tcp.source = op.source;
  return Emit(kind, &tcp, sizeof(tcp));
}

bool Line::Statistic() {
  if (!Take("--mode random --probability 0.")) return false;
  uint64_t digits = 0;
  int count = 0;
  while (p_ != end_ && *p_ >= '0' && *p_ <= '9' && count < 11) {
    digits = digits * 10 + static_cast<uint64_t>(*p_++ - '0');
    ++count;
  }
  if (count == 0 || !AtWordEnd()) return false;
  for (; count < 11; ++count) digits *= 10;
  // lround(2^31 * value): a fraction near one half is left to strtod(3).
  constexpr uint64_t kOne = 100000000000ULL;
  const unsigned __int128 scaled = static_cast<unsigned __int128>(digits) << 31;
  uint64_t whole = static_cast<uint64_t>(scaled / kOne);
  const uint64_t rest = static_cast<uint64_t>(scaled % kOne);
  const uint64_t half = kOne / 2;
  if (rest > half - kOne / 100000 && rest < half + kOne / 100000) return false;
  if (rest > half) ++whole;
  StatisticMatch op;
  op.probability = static_cast<uint32_t>(whole);
  return Emit(OpKind::kStatistic, &op, sizeof(op));
}

bool Line::MatchOption() {
  if (Take("comment --comment ")) return Comment();
  if (Take("tcp")) return protocol_ == 6 && Ports(OpKind::kTcp);
  if (Take("udp")) return protocol_ == 17 && Ports(OpKind::kUdp);
  if (Take("statistic ")) return Statistic();
  if (Take("addrtype --dst-type LOCAL")) {
    if (!AtWordEnd() || (end_ - p_ > 2 && p_[1] == '-' && p_[2] == '-')) {
      return false;
    }
    AddrtypeMatch op;
    op.destination = kTypeLocal;
    return Emit(OpKind::kAddrtype, &op, sizeof(op));
  }
  if (Take("mark --mark ")) {
    uint32_t value;
    uint32_t mask = 0xffffffff;
    if (!Hex(&value) || (Take("/") && !Hex(&mask)) || !AtWordEnd()) {
      return false;
    }
    MarkMatch op;
    op.value = value;
    op.mask = mask;
    return Emit(OpKind::kMark, &op, sizeof(op));
  }
  return false;
}

bool Line::Dnat() {
  if (table_.id() != TableId::kNat || protocol_ == 0) return false;
  uint32_t address;
  uint32_t port;
  if (!Take(" --to-destination ") || !Address(&address) || !Take(":") ||
      !Decimal(65535, &port) || p_ != end_) {
    return false;
  }
  DnatTarget op;
  op.flags = kNatHasAddress | kNatHasPort;
  op.first[0] = address;
  op.first_port = static_cast<uint16_t>(port);
  hooks_ = 1 << static_cast<int>(Hook::kPrerouting) |
           1 << static_cast<int>(Hook::kOutput);
  name_ = "DNAT";
  return Emit(OpKind::kDnat, &op, sizeof(op));
}

bool Line::SetMark() {
  uint32_t value;
  uint32_t mask;
  if (!Take(" --set-xmark ") || !Hex(&value) || !Take("/") || !Hex(&mask) ||
      p_ != end_) {
    return false;
  }
  MarkTarget op;
  op.value = value;
  op.mask = mask;
  return Emit(OpKind::kSetMark, &op, sizeof(op));
}

bool Line::Jump() {
  const absl::string_view name = Word();
  if (p_ == end_) {
    if (name == "RETURN") {
      ReturnTarget op;
      return Emit(OpKind::kReturn, &op, sizeof(op));
    }
    if (name == "ACCEPT") {
      AcceptTarget op;
      return Emit(OpKind::kAccept, &op, sizeof(op));
    }
    if (name == "DROP" && table_.id() != TableId::kNat) {
      DropTarget op;
      return Emit(OpKind::kDrop, &op, sizeof(op));
    }
    const auto chain = table_.FindChain(name);
    if (!chain || table_.policy(*chain) != Table::Policy::kNone) return false;
    JumpTarget op;
    op.chain = table_.name_id(*chain);
    return Emit(OpKind::kJump, &op, sizeof(op));
  }
  if (name != "DNAT" && name != "MARK") return false;
  if (table_.FindChain(name)) return false;
  return name == "DNAT" ? Dnat() : SetMark();
}

bool Line::Read() {
  int stage = kSource;
  while (p_ != end_) {
    if (!Take(" ")) return false;
    const bool invert = Take("! ");
    if (end_ - p_ < 4 || p_[0] != '-' || p_[2] != ' ') return false;
    const char letter = p_[1];
    p_ += 3;
    int at;
    bool ok = false;
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
  return true;
}

}  // namespace

bool FastRuleReader::Append(absl::string_view line, Table* table,
                            ChainId* chain, uint8_t* hooks,
                            absl::string_view* name) {
  if (line.size() < 5 || std::memcmp(line.data(), "-A ", 3) != 0) return false;
  const char* begin = line.data() + 3;
  const char* end = line.data() + line.size();
  const char* blank =
      static_cast<const char*>(std::memchr(begin, ' ', end - begin));
  if (blank == nullptr || blank == begin || line.back() == ' ') return false;
  const absl::string_view chain_name(begin, blank - begin);
  if (chain_name != last_name_) {
    const auto found = table->FindChain(chain_name);
    if (!found) return false;
    last_name_ = chain_name;
    last_chain_ = *found;
  }
  Line reader(blank, end, *table, strings_);
  if (!reader.Read()) return false;
  *chain = last_chain_;
  *hooks = reader.hooks();
  *name = reader.name();
  table->Append(last_chain_, reader.rule());
  return true;
}

}  // namespace k8sdns::netfilter
