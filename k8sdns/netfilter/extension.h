// The table of matches and targets: one description each, which drives the
// reader (options, their values, what excludes what), the printer, the checks
// that the kernel makes when a rule is loaded, and the list of what is
// supported. Internal to the room.
//
// Facts: libxtables and extensions/ of iptables 1.8.9; net/netfilter/xt_*.c of
// Linux 6.x for hooks and tables.
#ifndef K8SDNS_NETFILTER_EXTENSION_H_
#define K8SDNS_NETFILTER_EXTENSION_H_

#include <cstdint>
#include <new>
#include <span>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "k8sdns/netfilter/iptables_save.h"
#include "k8sdns/netfilter/ops.h"
#include "k8sdns/netfilter/option_value.h"
#include "k8sdns/netfilter/ruleset.h"
#include "k8sdns/netfilter/string_pool.h"

namespace k8sdns::netfilter {

// What is known of a rule while its options are read.
struct RuleContext {
  IpFamily family = IpFamily::kIpv4;
  Variant variant = Variant::kLegacy;
  TableId table = TableId::kFilter;
  StringPool* strings = nullptr;
  const ParseOptions* options = nullptr;

  // -p so far.
  uint8_t protocol = 0;
  bool protocol_inverted = false;

  std::string error;

  // Keeps the first error. Always false.
  template <typename... Args>
  bool Fail(const Args&... args) {
    if (error.empty()) error = absl::StrCat(args...);
    return false;
  }
};

// How the value of an option is read, named after libxtables' XTTYPE_*.
enum class ValueType : uint8_t {
  kNone,
  kUint8,
  kUint16,
  kUint32,
  kUint64,
  kUint8Range,
  kUint16Range,
  kUint32Range,
  kUint64Range,
  kDouble,
  kString,
  kTos,
  kMark,
  kSyslogLevel,
  kHost,
  kHostMask,
  kPrefixLength,
  kProtocol,
  kPort,
  kPortRange,
  kMac,
};

enum OptionFlag : uint8_t {
  kMandatory = 1,
  kInvertible = 2,  // takes "! "
  kRepeatable = 4,
};

struct OptionSpec {
  absl::string_view name;  // without "--"
  uint8_t id = 0;          // 0..31; spellings of one option share it
  ValueType type = ValueType::kNone;
  uint8_t flags = 0;      // OptionFlag
  uint32_t excludes = 0;  // bit per id
  uint32_t requires_all = 0;
  uint64_t min = 0;  // 0 and 0: what the type holds. Strings: of the length.
  uint64_t max = 0;
};
constexpr uint32_t Bit(int id) { return uint32_t{1} << id; }

// An option that was met, with its value read.
struct OptionCall {
  const OptionSpec* spec = nullptr;
  absl::string_view text;  // the argument
  // Words that follow the argument. `taken`: how many of them the option
  // used.
  std::span<const absl::string_view> following;
  mutable int taken = 0;
  bool invert = false;
  uint32_t* seen = nullptr;  // options met before, bit per id
  RuleContext* rule = nullptr;

  int id() const { return spec->id; }
  bool Seen(int id) const { return (*seen & Bit(id)) != 0; }

  uint64_t number = 0;           // kUint*, kSyslogLevel
  uint64_t first = 0, last = 0;  // k*Range
  int values = 0;                // parts of a k*Range
  double real = 0;               // kDouble
  uint32_t value = 0, mask = 0;  // kMark, kTos
  AddressMask address;           // kHost*, kPrefixLength
  PortRange ports;               // kPort*
  uint8_t mac[6] = {};
};

// After the last option.
struct FinishCall {
  uint32_t seen = 0;
  RuleContext* rule = nullptr;
  bool Seen(int id) const { return (seen & Bit(id)) != 0; }
};

struct PrintContext {
  IpFamily family = IpFamily::kIpv4;
  Variant variant = Variant::kLegacy;
  const StringPool* strings = nullptr;
};

// Room for the largest op.
struct OpStorage {
  alignas(8) uint8_t bytes[256] = {};
};

enum FamilyBit : uint8_t { kV4 = 1, kV6 = 2, kBoth = 3 };
constexpr uint8_t TableBit(TableId t) { return 1 << static_cast<int>(t); }
constexpr uint8_t HookBit(Hook h) { return 1 << static_cast<int>(h); }

struct Extension {
  absl::string_view name;
  OpKind kind = OpKind::kUnknownMatch;
  uint8_t families = kBoth;
  // What the dataplane takes for granted or does not know, for the README.
  absl::string_view note;
  std::span<const OptionSpec> options;
  size_t size = 0;
  void (*init)(void* op, const RuleContext& rule) = nullptr;
  bool (*parse)(OptionCall& call, void* op) = nullptr;
  bool (*finish)(FinishCall& call, void* op) = nullptr;
  void (*print)(const PrintContext& context, const void* op,
                std::string* out) = nullptr;

  // What the kernel demands (checkentry). 0: anything.
  uint8_t tables = 0;
  uint8_t hooks = 0;
  uint8_t protocol = 0;  // -p, not inverted
};

// `Functions` has static functions Parse, Finish, Print and Init (the last
// three may be inherited from ExtensionBase) for ops of type Op.
template <typename Op>
struct ExtensionBase {
  using OpType = Op;
  static void Init(Op&, const RuleContext&) {}
  static bool Parse(OptionCall&, Op&) { return true; }
  static bool Finish(FinishCall&, Op&) { return true; }
  static void Print(const PrintContext&, const Op&, std::string*) {}
};

template <typename Functions>
Extension MakeExtension(absl::string_view name,
                        std::span<const OptionSpec> options,
                        uint8_t families = kBoth, absl::string_view note = "") {
  using Op = typename Functions::OpType;
  static_assert(sizeof(Op) <= sizeof(OpStorage));
  Extension e;
  e.name = name;
  e.kind = Op::kKind;
  e.families = families;
  e.note = note;
  e.options = options;
  e.size = sizeof(Op);
  e.init = [](void* op, const RuleContext& rule) {
    Functions::Init(*new (op) Op(), rule);
  };
  e.parse = [](OptionCall& call, void* op) {
    return Functions::Parse(call, *static_cast<Op*>(op));
  };
  e.finish = [](FinishCall& call, void* op) {
    return Functions::Finish(call, *static_cast<Op*>(op));
  };
  e.print = [](const PrintContext& context, const void* op, std::string* out) {
    Functions::Print(context, *static_cast<const Op*>(op), out);
  };
  return e;
}

// Reads call.text by call.spec's type and checks repetition and inversion, as
// xtables_option_parse().
bool ReadOptionValue(absl::string_view extension, OptionCall& call);
// Mandatory, exclusive and dependent options, as xtables_options_fcheck().
bool CheckOptions(const Extension& extension, uint32_t seen, RuleContext& rule);

// All extensions, built once. Lookups are by name and family.
class ExtensionTable {
 public:
  static const ExtensionTable& Get();

  const Extension* FindMatch(absl::string_view name, IpFamily family) const;
  const Extension* FindTarget(absl::string_view name, IpFamily family) const;
  // For printing; nullptr for basic, unknown and chain ops.
  const Extension* Find(OpKind kind) const;
  // The same, but also that of a match or target that is kept as text.
  const Extension* Find(OpView op, IpFamily family,
                        const StringPool& strings) const;
  std::span<const Extension> all() const { return all_; }

 private:
  ExtensionTable();
  std::vector<Extension> all_;
  const Extension* by_kind_[256] = {};
};

// The parts of the table; each returns what its file describes.
std::vector<Extension> TransportExtensions();
std::vector<Extension> MarkExtensions();
std::vector<Extension> ConntrackExtensions();
std::vector<Extension> AddressExtensions();
std::vector<Extension> HeaderExtensions();
std::vector<Extension> RateExtensions();
std::vector<Extension> StateExtensions();
std::vector<Extension> SetExtensions();
std::vector<Extension> VerdictExtensions();
std::vector<Extension> NatExtensions();
std::vector<Extension> LogExtensions();
std::vector<Extension> U32Extensions();
std::vector<Extension> PolicyExtensions();
std::vector<Extension> TextExtensions();
std::vector<Extension> MatchTextExtensions();
std::vector<Extension> Ipv6TextExtensions();
std::vector<Extension> EstimatorExtensions();

// Names that iptables 1.8.9 knows but this library does not model: what follows
// them is kept verbatim.
struct UnmodelledName {
  absl::string_view name;
  uint8_t families;
};
std::span<const UnmodelledName> UnmodelledMatches();
std::span<const UnmodelledName> UnmodelledTargets();
bool IsUnmodelledMatch(absl::string_view name, IpFamily family);
bool IsUnmodelledTarget(absl::string_view name, IpFamily family);

}  // namespace k8sdns::netfilter

#endif  // K8SDNS_NETFILTER_EXTENSION_H_
