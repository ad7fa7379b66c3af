#include "k8sdns/netfilter/fast_rule_printer.h"

#include <array>
#include <bit>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "k8sdns/net/ip_address.h"

namespace k8sdns::netfilter {
namespace {

// Numbers below 100, as two digits.
constexpr std::array<char, 200> kPairs = [] {
  std::array<char, 200> pairs = {};
  for (size_t i = 0; i < 100; ++i) {
    pairs[2 * i] = static_cast<char>('0' + i / 10);
    pairs[2 * i + 1] = static_cast<char>('0' + i % 10);
  }
  return pairs;
}();

// The first halves of an op, with the zeros that its end lacks.
template <size_t N>
std::array<uint16_t, N> HalvesOf(OpView op) {
  std::array<uint16_t, N> halves = {};
  const size_t stored = op.size_bytes() / 2 - 1;
  for (size_t i = 0; i < N && i < stored; ++i) {
    std::memcpy(&halves[i], op.data() + 2 + 2 * i, 2);
  }
  return halves;
}

uint8_t FirstByte(uint16_t half) { return static_cast<uint8_t>(half); }
uint8_t SecondByte(uint16_t half) { return static_cast<uint8_t>(half >> 8); }
uint32_t Word(uint16_t low, uint16_t high) {
  return low | uint32_t{high} << 16;
}

// Copies, and says whether a quoted text needs no backslashes and is more than
// a plain word: 16 bytes or more.
#if defined(__SSE2__)
bool CopyQuoted(const char* from, size_t size, char* to) {
  __m128i escaped = _mm_setzero_si128();
  __m128i beyond = _mm_setzero_si128();
  const auto chunk = [&](size_t at) {
    const __m128i v =
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + at));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + at), v);
    const auto is = [v](char c) { return _mm_cmpeq_epi8(v, _mm_set1_epi8(c)); };
    escaped = _mm_or_si128(
        escaped, _mm_or_si128(_mm_or_si128(is('"'), is('\\')), is('\'')));
    // One of these is in nearly each comment that is no plain word.
    beyond = _mm_or_si128(
        beyond, _mm_or_si128(_mm_or_si128(is(' '), is('/')), is(':')));
  };
  for (size_t at = 0; at + 16 < size; at += 16) chunk(at);
  chunk(size - 16);
  return _mm_movemask_epi8(escaped) == 0 && _mm_movemask_epi8(beyond) != 0;
}
#else
bool CopyQuoted(const char* from, size_t size, char* to) {
  bool escaped = false;
  bool beyond = false;
  for (size_t i = 0; i < size; ++i) {
    const char c = from[i];
    to[i] = c;
    escaped = escaped || c == '"' || c == '\\' || c == '\'';
    beyond = beyond || c == ' ' || c == '/' || c == ':';
  }
  return beyond && !escaped;
}
#endif

}  // namespace

// Asks for the memory of the names and comments of the rules to come: they are
// spread over the pool in an order of their own.
class FastRulePrinter::Ahead {
 public:
  Ahead(const StringPool& strings, const Table& table,
        const std::vector<ChainId>& chains)
      : strings_(strings),
        table_(table),
        chains_(chains),
        rule_(nullptr),
        end_(nullptr) {
    for (size_t i = 0; i < kFar; ++i) Step();
  }
  // Before each rule.
  void Step() {
    const StringId near = texts_[(next_ - kNear) % kRules][0];
    const StringId near2 = texts_[(next_ - kNear) % kRules][1];
    strings_.PrefetchText(near);
    strings_.PrefetchText(near2);
    StringId(&texts)[2] = texts_[next_++ % kRules];
    texts[0] = texts[1] = 0;
    while (rule_ == end_) {
      if (chain_ == chains_.size()) return;
      const Table::RuleRange rules = table_.rules(chains_[chain_++]);
      rule_ = rules.begin();
      end_ = rules.end();
    }
    for (OpView op : (*rule_).ops()) {
      if (op.kind() != OpKind::kComment && op.kind() != OpKind::kJump) continue;
      const auto halves = HalvesOf<2>(op);
      const StringId text = Word(halves[0], halves[1]);
      strings_.PrefetchPlace(text);
      texts[op.kind() == OpKind::kJump ? 1 : 0] = text;
    }
    ++rule_;
  }

 private:
  static constexpr size_t kRules = 16;
  static constexpr size_t kFar = 12;
  static constexpr size_t kNear = 6;  // behind the farthest

  const StringPool& strings_;
  const Table& table_;
  const std::vector<ChainId>& chains_;
  size_t chain_ = 0;
  Table::RuleRange::iterator rule_, end_;
  size_t next_ = kRules;
  StringId texts_[kRules][2] = {};  // of the rules ahead; 0: none
};

void FastRulePrinter::PrintChains(const Table& table,
                                  const std::vector<ChainId>& chains) {
  Ahead ahead(*context_.strings, table, chains);
  for (ChainId chain : chains) {
    const absl::string_view name = table.name(chain);
    for (RuleView rule : table.rules(chain)) {
      ahead.Step();
      MakeRoom();
      Put("-A ");
      PutText(name);
      for (OpView op : rule.ops()) Op(op);
      *p_++ = '\n';
    }
  }
}

void FastRulePrinter::Op(OpView op) {
  MakeRoom();
  if (Known(op)) return;
  Flush();
  AppendOp(context_, op, out_);
}

bool FastRulePrinter::Known(OpView op) {
  switch (op.kind()) {
    case OpKind::kSource:
      return Address(op, " -s ");
    case OpKind::kDestination:
      return Address(op, " -d ");
    case OpKind::kProtocol:
      return Protocol(op);
    case OpKind::kComment:
      return Comment(op);
    case OpKind::kTcp:
      return Ports(op, " -m tcp");
    case OpKind::kUdp:
      return Ports(op, " -m udp");
    case OpKind::kStatistic:
      return Statistic(op);
    case OpKind::kSetMark:
      SetMark(op);
      return true;
    case OpKind::kDnat:
      return Dnat(op);
    case OpKind::kJump:
      Jump(op);
      return true;
    default:
      return false;
  }
}

void FastRulePrinter::PutText(absl::string_view text) {
  if (text.size() > kMostText) {
    Flush();
    out_->append(text.data(), text.size());
    return;
  }
  const char* from = text.data();
  const size_t size = text.size();
  if (size >= 16) {
    for (size_t at = 0; at + 16 < size; at += 16) {
      std::memcpy(p_ + at, from + at, 16);
    }
    std::memcpy(p_ + size - 16, from + size - 16, 16);
  } else {
    for (size_t i = 0; i < size; ++i) p_[i] = from[i];
  }
  p_ += size;
}

void FastRulePrinter::PutNumber(uint32_t value) {
  char digits[10];
  char* p = digits + sizeof(digits);
  while (value >= 100) {
    p -= 2;
    std::memcpy(p, &kPairs[2 * (value % 100)], 2);
    value /= 100;
  }
  if (value >= 10) {
    p -= 2;
    std::memcpy(p, &kPairs[2 * value], 2);
  } else {
    *--p = static_cast<char>('0' + value);
  }
  const size_t size = static_cast<size_t>(digits + sizeof(digits) - p);
  for (size_t i = 0; i < size; ++i) p_[i] = p[i];
  p_ += size;
}

void FastRulePrinter::PutHex(uint32_t value) {
  const int digits = value == 0 ? 1 : (35 - std::countl_zero(value)) / 4;
  for (int i = digits - 1; i >= 0; --i) {
    *p_++ = "0123456789abcdef"[value >> (4 * i) & 15];
  }
}

// As inet_ntop(3), which is slow: the first of the longest runs of two or more
// zeros is "::", and what may be an address of IPv4 within is dotted.
void FastRulePrinter::PutIpv6(const Packed<uint32_t> (&words)[4]) {
  uint32_t parts[8];
  for (int i = 0; i < 4; ++i) {
    parts[2 * i] = words[i] >> 16;
    parts[2 * i + 1] = words[i] & 0xffff;
  }
  int run = 8;  // where it begins
  int size = 1;
  for (int i = 0, zeros = 0; i < 8; ++i) {
    zeros = parts[i] == 0 ? zeros + 1 : 0;
    if (zeros <= size) continue;
    size = zeros;
    run = i + 1 - zeros;
  }
  const bool dotted =
      run == 0 && (size == 6 || (size == 5 && parts[5] == 0xffff));
  const int hex = dotted ? 6 : 8;
  for (int i = 0; i < hex; ++i) {
    if (i == run) {
      Put("::");
      i += size - 1;
      continue;
    }
    if (i > 0 && i != run + size) *p_++ = ':';
    PutHex(parts[i]);
  }
  if (!dotted) return;
  if (size != 6) *p_++ = ':';
  p_ = IpAddress::V4(words[3]).WriteTo(p_);
}

bool FastRulePrinter::Address(OpView op, const char (&option)[5]) {
  const auto halves = HalvesOf<3>(op);
  const uint8_t length = SecondByte(halves[0]);
  if (length == AddressMask::kExplicitMask) return false;
  if (FirstByte(halves[0]) != 0) Put(" !");
  Put(option);
  if (context_.family == IpFamily::kIpv4) {
    p_ = IpAddress::V4(Word(halves[1], halves[2])).WriteTo(p_);
  } else {
    const AddressMask match = op.As<AddressMask>();
    PutIpv6(match.address);
  }
  *p_++ = '/';
  PutNumber(length);
  return true;
}

bool FastRulePrinter::Protocol(OpView op) {
  const uint16_t half = HalvesOf<1>(op)[0];
  if (FirstByte(half) != 0) return false;
  if (SecondByte(half) == 6) {
    Put(" -p tcp");
  } else if (SecondByte(half) == 17) {
    Put(" -p udp");
  } else {
    return false;
  }
  return true;
}

bool FastRulePrinter::Comment(OpView op) {
  const auto halves = HalvesOf<2>(op);
  const absl::string_view text =
      context_.strings->Get(Word(halves[0], halves[1]));
  if (text.size() < 16 || text.size() > kMostText) return false;
  char* const begin = p_;
  Put(" -m comment --comment \"");
  if (!CopyQuoted(text.data(), text.size(), p_)) {
    p_ = begin;
    return false;
  }
  p_ += text.size();
  *p_++ = '"';
  return true;
}

bool FastRulePrinter::Ports(OpView op, const char (&name)[8]) {
  const auto halves = HalvesOf<6>(op);
  const uint8_t flags = FirstByte(halves[0]);
  // Only a destination, of one port; nothing of tcp's other options.
  if ((flags & ~kHasDestinationPort) != 0 || halves[1] != halves[2] ||
      halves[5] != 0) {
    return false;
  }
  Put(name);
  if (flags != 0) {
    Put(" --dport ");
    PutNumber(halves[1]);
  }
  return true;
}

bool FastRulePrinter::Statistic(OpView op) {
  const auto halves = HalvesOf<3>(op);
  if (halves[0] != 0) return false;  // nth, or inverted
  const uint64_t probability = Word(halves[1], halves[2]);
  if (probability >> 31 != 0) return false;
  // %.11f of probability / 2^31, as the plain version has it: 10^11 / 2^31 is
  // 5^11 / 2^20.
  constexpr uint64_t kFive11 = 48828125;
  const uint64_t scaled = probability * kFive11;
  uint64_t digits = scaled >> 20;
  const uint64_t rest = scaled & 0xfffff;
  if (rest > 0x80000 || (rest == 0x80000 && (digits & 1) != 0)) ++digits;
  if (digits >= 100'000'000'000) return false;
  Put(" -m statistic --mode random --probability 0.");
  uint32_t low = static_cast<uint32_t>(digits % 1'000'000);
  uint32_t high = static_cast<uint32_t>(digits / 1'000'000);
  for (int i = 9; i > 3; i -= 2, low /= 100) {
    std::memcpy(p_ + i, &kPairs[2 * (low % 100)], 2);
  }
  for (int i = 3; i > 0; i -= 2, high /= 100) {
    std::memcpy(p_ + i, &kPairs[2 * (high % 100)], 2);
  }
  *p_ = static_cast<char>('0' + high);
  p_ += 11;
  return true;
}

void FastRulePrinter::SetMark(OpView op) {
  const auto halves = HalvesOf<5>(op);
  Put(" -j MARK --set-xmark 0x");
  PutHex(Word(halves[1], halves[2]));
  Put("/0x");
  PutHex(Word(halves[3], halves[4]));
}

bool FastRulePrinter::Dnat(OpView op) {
  const auto halves = HalvesOf<4>(op);
  if (FirstByte(halves[0]) != (kNatHasAddress | kNatHasPort)) return false;
  Put(" -j DNAT --to-destination ");
  if (context_.family == IpFamily::kIpv4) {
    p_ = IpAddress::V4(Word(halves[2], halves[3])).WriteTo(p_);
  } else {
    const NatRange range = op.As<NatRange>();
    *p_++ = '[';
    PutIpv6(range.first);
    *p_++ = ']';
  }
  *p_++ = ':';
  PutNumber(halves[1]);
  return true;
}

void FastRulePrinter::Jump(OpView op) {
  const auto halves = HalvesOf<2>(op);
  const absl::string_view name =
      context_.strings->Get(Word(halves[0], halves[1]));
  Put(" -j ");
  PutText(name);
}

}  // namespace k8sdns::netfilter
