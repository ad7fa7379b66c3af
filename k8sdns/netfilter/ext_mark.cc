// -m mark, connmark; -j MARK, CONNMARK, CLASSIFY, TOS, DSCP, TTL, HL.
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "k8sdns/netfilter/extension.h"

namespace k8sdns::netfilter {
namespace {

template <typename Op>
struct MarkTest : ExtensionBase<Op> {
  static bool Parse(OptionCall& call, Op& op) {
    op.value = call.value;
    op.mask = call.mask;
    op.invert = call.invert;
    return true;
  }
  static void Print(const PrintContext&, const Op& op, std::string* out) {
    out->append(op.invert ? " ! --mark " : " --mark ");
    AppendMarkMask(op.value, op.mask, out);
  }
};
constexpr OptionSpec kMarkOptions[] = {
    {"mark", 0, ValueType::kMark, kMandatory | kInvertible}};

enum MarkId : uint8_t {
  kSetXmark,
  kSetMark,
  kAndMark,
  kOrMark,
  kXorMark,
  kSaveMark,
  kRestoreMark,
  kCtmask,
  kNfmask,
  kMask,
  kLeftShift,
  kRightShift,
};

// What --set-xmark, --set-mark, --and-mark, ... come to.
void ReadChange(const OptionCall& call, uint32_t* value, uint32_t* mask) {
  const uint32_t number = static_cast<uint32_t>(call.number);
  switch (call.id()) {
    case kSetXmark:
      *value = call.value;
      *mask = call.mask;
      break;
    case kSetMark:
      *value = call.value;
      *mask = call.value | call.mask;
      break;
    case kAndMark:
      *value = 0;
      *mask = ~number;
      break;
    case kOrMark:
      *value = *mask = number;
      break;
    case kXorMark:
      *value = number;
      *mask = 0;
      break;
  }
}

void AppendChange(uint32_t value, uint32_t mask, std::string* out) {
  out->append(" --set-xmark 0x");
  AppendHex(value, out);
  out->append("/0x");
  AppendHex(mask, out);
}

struct Mark : ExtensionBase<MarkTarget> {
  static bool Parse(OptionCall& call, MarkTarget& op) {
    uint32_t value = 0;
    uint32_t mask = 0;
    ReadChange(call, &value, &mask);
    op.value = value;
    op.mask = mask;
    return true;
  }
  static bool Finish(FinishCall& call, MarkTarget&) {
    return call.seen != 0 || call.rule->Fail("MARK: no operation given");
  }
  static void Print(const PrintContext&, const MarkTarget& op,
                    std::string* out) {
    AppendChange(op.value, op.mask, out);
  }
};
constexpr uint32_t kMarkOps = 0x1f;
constexpr OptionSpec kSetMarkOptions[] = {
    {"set-xmark", kSetXmark, ValueType::kMark, 0, kMarkOps},
    {"set-mark", kSetMark, ValueType::kMark, 0, kMarkOps},
    {"and-mark", kAndMark, ValueType::kUint32, 0, kMarkOps},
    {"or-mark", kOrMark, ValueType::kUint32, 0, kMarkOps},
    {"xor-mark", kXorMark, ValueType::kUint32, 0, kMarkOps},
};

struct Connmark : ExtensionBase<ConnmarkTarget> {
  static void Init(ConnmarkTarget& op, const RuleContext&) {
    op.ct_mask = op.mask = 0xffffffff;
  }
  static bool Parse(OptionCall& call, ConnmarkTarget& op) {
    switch (call.id()) {
      case kSaveMark:
        op.mode = ConnmarkTarget::kSave;
        break;
      case kRestoreMark:
        op.mode = ConnmarkTarget::kRestore;
        break;
      case kCtmask:
        op.ct_mask = static_cast<uint32_t>(call.number);
        break;
      case kNfmask:
        op.mask = static_cast<uint32_t>(call.number);
        break;
      case kMask:
        op.ct_mask = op.mask = static_cast<uint32_t>(call.number);
        break;
      case kLeftShift:
      case kRightShift:
        op.shift_right = call.id() == kRightShift;
        op.shift_bits = static_cast<uint8_t>(call.number);
        break;
      default: {
        uint32_t value = 0;
        uint32_t mask = 0;
        ReadChange(call, &value, &mask);
        op.mode = ConnmarkTarget::kSet;
        op.ct_value = value;
        op.ct_mask = mask;
      }
    }
    return true;
  }
  static bool Finish(FinishCall& call, ConnmarkTarget&) {
    return (call.seen & 0x7f) != 0 ||
           call.rule->Fail("CONNMARK: no operation given");
  }
  static void Print(const PrintContext&, const ConnmarkTarget& op,
                    std::string* out) {
    if (op.mode == ConnmarkTarget::kSet) {
      AppendChange(op.ct_value, op.ct_mask, out);
    } else {
      out->append(op.mode == ConnmarkTarget::kSave ? " --save-mark"
                                                   : " --restore-mark");
      out->append(" --nfmask 0x");
      AppendHex(op.mask, out);
      out->append(" --ctmask 0x");
      AppendHex(op.ct_mask, out);
    }
    if (op.shift_bits != 0) {
      absl::StrAppend(out, op.shift_right ? " --right" : " --left",
                      "-shift-mark ", op.shift_bits);
    }
  }
};
constexpr uint32_t kConnmarkOps = 0x7f;
constexpr OptionSpec kConnmarkOptions[] = {
    {"set-xmark", kSetXmark, ValueType::kMark, 0, kConnmarkOps},
    {"set-mark", kSetMark, ValueType::kMark, 0, kConnmarkOps},
    {"and-mark", kAndMark, ValueType::kUint32, 0, kConnmarkOps},
    {"or-mark", kOrMark, ValueType::kUint32, 0, kConnmarkOps},
    {"xor-mark", kXorMark, ValueType::kUint32, 0, kConnmarkOps},
    {"save-mark", kSaveMark, ValueType::kNone, 0, kConnmarkOps},
    {"restore-mark", kRestoreMark, ValueType::kNone, 0, kConnmarkOps},
    {"left-shift-mark", kLeftShift, ValueType::kUint8, 0, 0, 0, 0, 32},
    {"right-shift-mark", kRightShift, ValueType::kUint8, 0, 0, 0, 0, 32},
    {"ctmask", kCtmask, ValueType::kUint32, 0, Bit(kMask)},
    {"nfmask", kNfmask, ValueType::kUint32, 0, Bit(kMask)},
    {"mask", kMask, ValueType::kUint32, 0, Bit(kCtmask) | Bit(kNfmask)},
};

// ---- CLASSIFY ----

struct Classify : ExtensionBase<ClassifyTarget> {
  static bool Parse(OptionCall& call, ClassifyTarget& op) {
    // sscanf("%x:%x"): what follows the second number is ignored.
    uint64_t major;
    uint64_t minor;
    size_t used;
    if (!ReadNumber(call.text, 16, 0, UINT64_MAX, &major, &used) ||
        used >= call.text.size() || call.text[used] != ':' ||
        !ReadNumber(call.text.substr(used + 1), 16, 0, UINT64_MAX, &minor,
                    &used)) {
      return call.rule->Fail("bad class value `", call.text, "'");
    }
    op.handle = static_cast<uint32_t>(major << 16 | (minor & 0xffff));
    return true;
  }
  static void Print(const PrintContext&, const ClassifyTarget& op,
                    std::string* out) {
    out->append(" --set-class ");
    absl::StrAppendFormat(out, "%04x:%04x", op.handle >> 16,
                          op.handle & 0xffff);
  }
};
constexpr OptionSpec kClassifyOptions[] = {
    {"set-class", 0, ValueType::kString, kMandatory}};

// ---- TOS and DSCP ----

struct Tos : ExtensionBase<TosTarget> {
  static bool Parse(OptionCall& call, TosTarget& op) {
    const uint8_t number = static_cast<uint8_t>(call.number);
    switch (call.id()) {
      case 0:
        op.value = static_cast<uint8_t>(call.value);
        op.mask = static_cast<uint8_t>(call.mask);
        break;
      case 1:
        op.value = 0;
        op.mask = static_cast<uint8_t>(~number);
        break;
      case 2:
        op.value = op.mask = number;
        break;
      case 3:
        op.value = number;
        op.mask = 0;
        break;
    }
    return true;
  }
  static bool Finish(FinishCall& call, TosTarget&) {
    return call.seen != 0 || call.rule->Fail("TOS: an action is required");
  }
  static void Print(const PrintContext&, const TosTarget& op,
                    std::string* out) {
    absl::StrAppendFormat(out, " --set-tos 0x%02x/0x%02x", op.value, op.mask);
  }
};
constexpr OptionSpec kSetTosOptions[] = {
    {"set-tos", 0, ValueType::kTos, 0, 0xf, 0, 0, 0x3f},
    {"and-tos", 1, ValueType::kUint8, 0, 0xf},
    {"or-tos", 2, ValueType::kUint8, 0, 0xf},
    {"xor-tos", 3, ValueType::kUint8, 0, 0xf},
};

}  // namespace

std::vector<Extension> MarkExtensions() {
  std::vector<Extension> out = {
      MakeExtension<MarkTest<MarkMatch>>("mark", kMarkOptions),
      MakeExtension<MarkTest<ConnmarkMatch>>("connmark", kMarkOptions),
      MakeExtension<Mark>("MARK", kSetMarkOptions),
      MakeExtension<Connmark>("CONNMARK", kConnmarkOptions),
      MakeExtension<Classify>("CLASSIFY", kClassifyOptions),
      MakeExtension<Tos>("TOS", kSetTosOptions),
  };
  out[4].hooks = HookBit(Hook::kForward) | HookBit(Hook::kOutput) |
                 HookBit(Hook::kPostrouting);
  out[5].tables = TableBit(TableId::kMangle);
  return out;
}

}  // namespace k8sdns::netfilter
