// -m string, bpf, cluster and -j TCPOPTSTRIP, whose values the tools read
// closely: kept as text in the printed form (libxt_*.c of iptables 1.8.9).
#include <algorithm>
#include <bitset>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "k8sdns/netfilter/text_extension.h"

namespace k8sdns::netfilter {
namespace {

constexpr uint8_t kInv = kInvertible;
constexpr uint8_t kMan = kMandatory;

// ---- string ----

constexpr size_t kMaxPattern = 128;  // XT_STRING_MAX_PATTERN_SIZE

// Text with bytes in hexadecimal between "|" and "|", and "\" before a
// character that stands for itself.
bool ReadHexPattern(absl::string_view text, std::string* out) {
  const size_t size = text.size();
  bool hex = false;
  size_t i = 0;
  auto at = [&](size_t k) { return k < size ? text[k] : '\0'; };
  while (i < size) {
    bool literal = false;
    if (text[i] == '\\') {
      if (hex) return false;
      literal = true;
    } else if (text[i] == '|') {
      hex = !hex;
      while (hex && at(i + 1) == ' ') ++i;
      if (i + 1 >= size) break;
      ++i;
    }
    if (literal) {
      if (i + 1 >= size) return false;
      out->push_back(text[i + 1]);
      i += 2;
    } else if (hex) {
      uint64_t byte;
      if (i + 2 >= size || !absl::ascii_isxdigit(text[i]) ||
          !absl::ascii_isxdigit(text[i + 1]) ||
          !ReadNumber(text.substr(i, 2), 16, 0, 255, &byte)) {
        return false;
      }
      out->push_back(static_cast<char>(byte));
      i += at(i + 2) == ' ' ? 3 : 2;
    } else {
      out->push_back(text[i]);
      ++i;
    }
  }
  return size > 0;
}

// Prints a pattern as text if it can be, else in hexadecimal.
bool WritePattern(const OptionCall& call, absl::string_view pattern,
                  std::string* out) {
  if (pattern.size() > kMaxPattern) return false;
  *out = call.invert ? " !" : "";
  const bool plain =
      pattern.empty() ||
      (std::all_of(pattern.begin(), pattern.end(),
                   [](char c) {
                     return absl::ascii_isprint(static_cast<unsigned char>(c));
                   }) &&
       pattern.back() != '\\');
  if (!plain) {
    out->append(" --hex-string \"|");
    for (char c : pattern) {
      absl::StrAppendFormat(out, "%02x", static_cast<unsigned char>(c));
    }
    out->append("|\"");
    return true;
  }
  out->append(" --string \"");
  for (char c : pattern) {
    if (c == '"' || c == '\\') out->push_back('\\');
    out->push_back(c);
  }
  out->push_back('"');
  return true;
}
bool WriteString(const OptionCall& call, const TextOp&, std::string* out) {
  return WritePattern(call, call.text, out);
}
bool WriteHexString(const OptionCall& call, const TextOp&, std::string* out) {
  std::string pattern;
  // One byte less than --string may have (libxt_string.c counts too early).
  return ReadHexPattern(call.text, &pattern) && pattern.size() < kMaxPattern &&
         WritePattern(call, pattern, out);
}
bool FinishString(FinishCall& call, TextOp*) {
  return (call.seen & 3) != 0 ||
         call.rule->Fail("string: --string or --hex-string is required");
}

// ---- bpf ----

constexpr uint64_t kMaxInstructions = 64;  // XT_BPF_MAX_NUM_INSTR

// A number at the front of `text`, as scanf(3) reads it.
bool TakeNumber(absl::string_view* text, uint64_t limit, uint64_t* value) {
  *text = absl::StripLeadingAsciiWhitespace(*text);
  size_t used;
  if (!ReadNumber(*text, 10, 0, UINT32_MAX, value, &used)) return false;
  text->remove_prefix(used);
  *value &= limit;
  return true;
}
// "length,code jt jf k,...".
bool WriteBytecode(const OptionCall& call, const TextOp&, std::string* out) {
  absl::string_view rest = call.text;
  uint64_t length;
  if (!TakeNumber(&rest, 0xffff, &length) || rest.empty() || rest[0] != ',' ||
      length == 0 || length > kMaxInstructions) {
    return false;
  }
  absl::StrAppend(out, " \"", length);
  uint64_t count = 0;
  size_t comma = 0;
  while (comma != absl::string_view::npos) {
    rest.remove_prefix(comma + 1);
    if (rest.empty()) break;
    uint64_t code, jump_true, jump_false, k;
    if (count++ >= length || !TakeNumber(&rest, 0xffff, &code) ||
        !TakeNumber(&rest, 0xff, &jump_true) ||
        !TakeNumber(&rest, 0xff, &jump_false) ||
        !TakeNumber(&rest, 0xffffffff, &k)) {
      return false;
    }
    absl::StrAppend(out, ",", code, " ", jump_true, " ", jump_false, " ", k);
    comma = rest.find(',');
  }
  out->push_back('"');
  return count == length;
}
bool FinishBpf(FinishCall& call, TextOp*) {
  return (call.seen & 3) != 0 ||
         call.rule->Fail(
             "bpf: one of --bytecode or --object-pinned is "
             "required");
}

// ---- cluster ----

bool WriteNodeMask(const OptionCall& call, const TextOp&, std::string* out) {
  const uint64_t mask =
      call.id() == 0 ? call.number : uint64_t{1} << (call.number - 1);
  *out = call.invert ? " !" : "";
  absl::StrAppendFormat(out, " --cluster-local-nodemask 0x%08x", mask);
  return true;
}
bool WriteSeed(const OptionCall& call, const TextOp&, std::string* out) {
  absl::StrAppendFormat(out, " 0x%08x", call.number);
  return true;
}
bool FinishCluster(FinishCall& call, TextOp* op) {
  if ((call.seen & 3) == 0) {
    return call.rule->Fail(
        "cluster: --cluster-local-node or --cluster-local-nodemask is "
        "required");
  }
  if (!call.Seen(2)) return true;  // said by CheckOptions()
  const StringPool& strings = *call.rule->strings;
  auto number = [&](int slot, int base) {
    const absl::string_view text = strings.Get(op->slots[slot]);
    uint64_t value = 0;
    ReadNumber(text.substr(text.rfind(' ') + 1), base, 0, UINT32_MAX, &value);
    return value;
  };
  const uint64_t mask = number(call.Seen(0) ? 0 : 1, 0);
  return mask >> number(2, 10) == 0 ||
         call.rule->Fail("cluster: a node beyond --cluster-total-nodes");
}

// ---- TCPOPTSTRIP ----

bool WriteTcpOptions(const OptionCall& call, const TextOp&, std::string* out) {
  struct Name {
    absl::string_view name;
    uint8_t number;
  };
  static constexpr Name kNames[] = {
      {"mss", 2},  {"wscale", 3},    {"sack-permitted", 4},
      {"sack", 5}, {"timestamp", 8}, {"md5", 19}};
  std::bitset<256> options;
  for (absl::string_view part : absl::StrSplit(call.text, ',')) {
    uint64_t number = 0;
    for (const Name& n : kNames) {
      if (n.name == part) number = n.number;
    }
    if (number == 0 && !ReadNumber(part, 0, 0, 255, &number)) return false;
    if (number < 2 || options[number]) return false;
    options.set(number);
  }
  out->push_back(' ');
  for (size_t i = 0; i < options.size(); ++i) {
    if (!options[i]) continue;
    absl::StrAppend(out, out->back() == ' ' ? "" : ",", i);
  }
  return true;
}

// The ids are the order of printing.
constexpr TextOption kStringOptions[] = {
    {{"string", 0, ValueType::kString, kInv, Bit(1)},
     Format::kCustom,
     "",
     "",
     WriteString},
    {{"hex-string", 1, ValueType::kString, kInv, Bit(0)},
     Format::kCustom,
     "",
     "",
     WriteHexString},
    {{"algo", 2, ValueType::kString, kMan}, Format::kPlain},
    {{"from", 3, ValueType::kUint16}, Format::kDecimal, "0"},
    {{"to", 4, ValueType::kUint16}, Format::kDecimal, "65535"},
    {{"icase", 5, ValueType::kNone}, Format::kFlag},
};
constexpr TextOption kBpfOptions[] = {
    {{"bytecode", 0, ValueType::kString, 0, Bit(1)},
     Format::kCustom,
     "",
     "",
     WriteBytecode},
    {{"object-pinned", 1, ValueType::kString, 0, Bit(0)}, Format::kPlain},
};
constexpr TextOption kClusterOptions[] = {
    {{"cluster-local-nodemask", 0, ValueType::kUint32, kInv, Bit(1), 0, 1, 32},
     Format::kCustom,
     "",
     "",
     WriteNodeMask},
    {{"cluster-local-node", 1, ValueType::kUint32, kInv, Bit(0), 0, 1, 32},
     Format::kCustom,
     "",
     "",
     WriteNodeMask},
    {{"cluster-total-nodes", 2, ValueType::kUint32, kMan, 0, 0, 1, 32},
     Format::kDecimal},
    {{"cluster-hash-seed", 3, ValueType::kUint32, kMan},
     Format::kCustom,
     "",
     "",
     WriteSeed},
};
constexpr TextOption kTcpoptstripOptions[] = {
    {{"strip-options", 0, ValueType::kString},
     Format::kCustom,
     "",
     "",
     WriteTcpOptions},
};

constexpr TextExtension kMatchExtensions[] = {
    {"string", false, kBoth, kStringOptions, 0, FinishString},
    {"bpf", false, kBoth, kBpfOptions, 0, FinishBpf},
    {"cluster", false, kBoth, kClusterOptions, 0, FinishCluster},
    {"TCPOPTSTRIP", true, kBoth, kTcpoptstripOptions, 6, nullptr,
     TableBit(TableId::kMangle)},
};

}  // namespace

std::vector<Extension> MatchTextExtensions() {
  return MakeTextExtensions<kMatchExtensions>();
}

}  // namespace k8sdns::netfilter
