// -m set, -j SET.
#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "k8sdns/netfilter/extension.h"

namespace k8sdns::netfilter {
namespace {

constexpr size_t kMaxSetName = 31;
constexpr int kMaxDimensions = 6;

// "NAME src,dst,...": the name in call.text, the flags in the next word.
bool ReadSetWithFlags(OptionCall& call, StringId* name, uint8_t* dimensions,
                      uint8_t* sources) {
  RuleContext& rule = *call.rule;
  if (call.following.empty() || absl::StartsWith(call.following[0], "-") ||
      absl::StartsWith(call.following[0], "!")) {
    return rule.Fail("--", call.spec->name, " requires two arguments");
  }
  call.taken = 1;
  if (call.text.size() > kMaxSetName) {
    return rule.Fail("set name `", call.text, "' is longer than ", kMaxSetName,
                     " bytes");
  }
  if (rule.options->sets != nullptr) {
    const auto& sets = *rule.options->sets;
    if (std::find(sets.begin(), sets.end(), call.text) == sets.end()) {
      return rule.Fail("set `", call.text, "' does not exist");
    }
  }
  int count = 0;
  int bits = 0;
  for (absl::string_view flag : absl::StrSplit(call.following[0], ',')) {
    if (count == kMaxDimensions) {
      return rule.Fail("more than ", kMaxDimensions, " set flags");
    }
    if (absl::StartsWith(flag, "src")) {
      bits |= 1 << count;
    } else if (!absl::StartsWith(flag, "dst")) {
      return rule.Fail("set flag must be src or dst, not `", flag, "'");
    }
    ++count;
  }
  *name = rule.strings->Intern(call.text);
  *dimensions = static_cast<uint8_t>(count);
  *sources = static_cast<uint8_t>(bits);
  return true;
}

void AppendSet(const PrintContext& context, StringId name, int dimensions,
               int sources, std::string* out) {
  absl::StrAppend(out, " ", context.strings->Get(name));
  for (int i = 0; i < dimensions; ++i) {
    absl::StrAppend(out, i == 0 ? " " : ",",
                    (sources >> i & 1) != 0 ? "src" : "dst");
  }
}

struct Set : ExtensionBase<SetMatch> {
  enum Id : uint8_t {
    kMatchSet,
    kReturnNomatch,
    kUpdateCounters,
    kUpdateSubcounters,
    kPacketsEq,
    kPacketsLt,
    kPacketsGt,
    kBytesEq,
    kBytesLt,
    kBytesGt,
  };
  // Keeps the counter options as text, in the printed order.
  static void AddCounters(OptionCall& call, absl::string_view text,
                          SetMatch& op) {
    const std::string before(call.rule->strings->Get(op.counters));
    // --update-* come before packets, packets before bytes.
    auto rank = [](absl::string_view t) {
      if (absl::StrContains(t, "--update-counters")) return 0;
      if (absl::StrContains(t, "--update-sub")) return 1;
      return absl::StrContains(t, "--packets") ? 2 : 3;
    };
    std::vector<std::string> parts =
        absl::StrSplit(before, '\t', absl::SkipEmpty());
    parts.emplace_back(text);
    std::stable_sort(parts.begin(), parts.end(),
                     [&](const std::string& a, const std::string& b) {
                       return rank(a) < rank(b);
                     });
    std::string joined;
    for (const std::string& p : parts) {
      absl::StrAppend(&joined, joined.empty() ? "" : "\t", p);
    }
    op.counters = call.rule->strings->Intern(joined);
  }
  static bool Parse(OptionCall& call, SetMatch& op) {
    switch (call.id()) {
      case kMatchSet: {
        StringId name;
        uint8_t dimensions;
        uint8_t sources;
        if (!ReadSetWithFlags(call, &name, &dimensions, &sources)) {
          return false;
        }
        op.name = name;
        op.dimensions = dimensions;
        op.sources = sources;
        op.invert = call.invert;
        return true;
      }
      case kReturnNomatch:
        op.return_nomatch = 1;
        return true;
      case kUpdateCounters:
      case kUpdateSubcounters:
        // "Update" is the default: only the negation is printed.
        if (call.invert) {
          AddCounters(call, absl::StrCat("! --", call.spec->name), op);
        }
        return true;
    }
    AddCounters(call,
                absl::StrCat(call.invert ? "! --" : "--", call.spec->name, " ",
                             call.number),
                op);
    return true;
  }
  static void Print(const PrintContext& context, const SetMatch& op,
                    std::string* out) {
    out->append(op.invert ? " ! --match-set" : " --match-set");
    AppendSet(context, op.name, op.dimensions, op.sources, out);
    if (op.return_nomatch) out->append(" --return-nomatch");
    for (absl::string_view part : absl::StrSplit(
             context.strings->Get(op.counters), '\t', absl::SkipEmpty())) {
      absl::StrAppend(out, " ", part);
    }
  }
};
constexpr uint32_t kPackets =
    Bit(Set::kPacketsEq) | Bit(Set::kPacketsLt) | Bit(Set::kPacketsGt);
constexpr uint32_t kBytes =
    Bit(Set::kBytesEq) | Bit(Set::kBytesLt) | Bit(Set::kBytesGt);
constexpr OptionSpec kSetOptions[] = {
    {"match-set", Set::kMatchSet, ValueType::kString, kInvertible | kMandatory},
    {"set", Set::kMatchSet, ValueType::kString, kInvertible},
    {"return-nomatch", Set::kReturnNomatch, ValueType::kNone},
    {"update-counters", Set::kUpdateCounters, ValueType::kNone,
     kInvertible | kRepeatable},
    {"update-subcounters", Set::kUpdateSubcounters, ValueType::kNone,
     kInvertible | kRepeatable},
    {"packets-eq", Set::kPacketsEq, ValueType::kUint64, kInvertible, kPackets},
    {"packets-lt", Set::kPacketsLt, ValueType::kUint64, 0, kPackets},
    {"packets-gt", Set::kPacketsGt, ValueType::kUint64, 0, kPackets},
    {"bytes-eq", Set::kBytesEq, ValueType::kUint64, kInvertible, kBytes},
    {"bytes-lt", Set::kBytesLt, ValueType::kUint64, 0, kBytes},
    {"bytes-gt", Set::kBytesGt, ValueType::kUint64, 0, kBytes},
};

struct SetAction : ExtensionBase<SetTarget> {
  enum Id : uint8_t {
    kAdd,
    kDelete,
    kMap,
    kTimeout,
    kExist,
    kMapMark,
    kMapPrio,
    kMapQueue,
  };
  static bool Parse(OptionCall& call, SetTarget& op) {
    switch (call.id()) {
      case kAdd:
      case kDelete:
      case kMap: {
        StringId name;
        uint8_t dimensions;
        uint8_t sources;
        if (!ReadSetWithFlags(call, &name, &dimensions, &sources)) {
          return false;
        }
        SetTarget::Change& change = call.id() == kAdd      ? op.add
                                    : call.id() == kDelete ? op.remove
                                                           : op.map;
        change.name = name;
        change.dimensions = dimensions;
        change.sources = sources;
        return true;
      }
      case kTimeout:
        op.has_timeout = 1;
        op.timeout_s = static_cast<uint32_t>(call.number);
        return true;
      case kExist:
        op.exist = 1;
        return true;
      case kMapMark:
        op.map_mark = 1;
        return true;
      case kMapPrio:
        op.map_priority = 1;
        return true;
      case kMapQueue:
        op.map_queue = 1;
        return true;
    }
    return true;
  }
  static bool Finish(FinishCall& call, SetTarget& op) {
    if (!call.Seen(kAdd) && !call.Seen(kDelete) && !call.Seen(kMap)) {
      return call.rule->Fail(
          "SET: --add-set, --del-set or --map-set is required");
    }
    if (!call.Seen(kAdd) && (op.exist || op.has_timeout)) {
      return call.rule->Fail("SET: --exist and --timeout need --add-set");
    }
    const bool maps = op.map_mark || op.map_priority || op.map_queue;
    if (maps != call.Seen(kMap)) {
      return call.rule->Fail(
          "SET: --map-set needs --map-mark, --map-prio or "
          "--map-queue and the other way round");
    }
    return true;
  }
  static void Print(const PrintContext& context, const SetTarget& op,
                    std::string* out) {
    auto change = [&](absl::string_view option, const SetTarget::Change& c) {
      if (c.dimensions == 0) return;
      absl::StrAppend(out, " ", option);
      AppendSet(context, c.name, c.dimensions, c.sources, out);
    };
    change("--add-set", op.add);
    if (op.add.dimensions != 0) {
      if (op.exist) out->append(" --exist");
      if (op.has_timeout) absl::StrAppend(out, " --timeout ", +op.timeout_s);
    }
    change("--del-set", op.remove);
    change("--map-set", op.map);
    if (op.map_mark) out->append(" --map-mark");
    if (op.map_priority) out->append(" --map-prio");
    if (op.map_queue) out->append(" --map-queue");
  }
};
constexpr OptionSpec kSetActionOptions[] = {
    {"add-set", SetAction::kAdd, ValueType::kString, kInvertible},
    {"del-set", SetAction::kDelete, ValueType::kString, kInvertible},
    {"timeout", SetAction::kTimeout, ValueType::kUint32,
     kRepeatable | kInvertible, 0, 0, 0, 0xfffffffe},
    {"exist", SetAction::kExist, ValueType::kNone, kRepeatable | kInvertible},
    {"map-set", SetAction::kMap, ValueType::kString, kInvertible},
    {"map-mark", SetAction::kMapMark, ValueType::kNone,
     kRepeatable | kInvertible},
    {"map-prio", SetAction::kMapPrio, ValueType::kNone,
     kRepeatable | kInvertible},
    {"map-queue", SetAction::kMapQueue, ValueType::kNone,
     kRepeatable | kInvertible},
};

}  // namespace

std::vector<Extension> SetExtensions() {
  return {
      MakeExtension<Set>("set", kSetOptions),
      MakeExtension<SetAction>("SET", kSetActionOptions, kBoth,
                               "--map-set is unknown"),
  };
}

}  // namespace k8sdns::netfilter
