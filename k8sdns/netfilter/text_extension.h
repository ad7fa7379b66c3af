// Matches and targets without a model whose text is brought to the printed
// form: tables of their options, and what reads and writes by them. Internal
// to the room.
#ifndef K8SDNS_NETFILTER_TEXT_EXTENSION_H_
#define K8SDNS_NETFILTER_TEXT_EXTENSION_H_

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <new>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "k8sdns/netfilter/extension.h"

namespace k8sdns::netfilter {

enum class Format : uint8_t {
  kFlag,
  kPlain,   // the text
  kQuoted,  // quoted where needed
  kString,  // always quoted
  kLower,
  kDecimal,
  kHex,      // 0x1
  kHexMask,  // 0x1/0xff; 0 by its name
  kColon,    // "a:b", one number if they are equal
  kFrom,     // "a" or "a:b": as given
  kSpi,      // as kColon; all of them: nothing
  kAddress,
  kMark,       // always with mask
  kTime,       // hh:mm:ss
  kDate,       // 2024-01-31T12:30:00
  kMonthDays,  // 1,2,3
  kWeekDays,   // Mon,Tue
  kNothing,    // read, never printed
  kCustom,     // by TextOption::write
};

// What is kept while the options are read: the text of each, by its id.
struct TextOp {
  static constexpr int kSlots = 16;
  StringId slots[kSlots] = {};
};

struct TextOption {
  OptionSpec spec;
  Format format;
  absl::string_view zero = "";    // kHexMask: the name of 0
  absl::string_view absent = "";  // printed if the option is not given
  // kCustom: `out` holds " --name" or " ! --name"; appends the value, or
  // writes something else. False for a bad value.
  bool (*write)(const OptionCall& call, const TextOp& op,
                std::string* out) = nullptr;
};

struct TextExtension {
  absl::string_view name;
  bool target;
  uint8_t families;
  std::span<const TextOption> options;
  uint8_t protocol = 0;
  // Checks what the options say together.
  bool (*finish)(FinishCall& call, TextOp* op) = nullptr;
  // As of Extension.
  uint8_t tables = 0;
  uint8_t hooks = 0;
};

// Reads an option and keeps its text.
bool ParseText(const TextExtension& extension, OptionCall& call, TextOp* op);
// Checks the options together and fills in what is printed without them.
bool FinishText(const TextExtension& extension, FinishCall& call, TextOp* op);

// The rows of `kTable`, an array of TextExtension with static storage.
template <const auto& kTable, size_t kRow = 0>
void AddTextExtensions(std::vector<std::vector<OptionSpec>>* specs,
                       std::vector<Extension>* out) {
  if constexpr (kRow < std::size(kTable)) {
    const TextExtension& t = kTable[kRow];
    std::vector<OptionSpec> list;
    for (const TextOption& o : t.options) list.push_back(o.spec);
    specs->push_back(std::move(list));
    Extension e;
    e.name = t.name;
    e.kind = t.target ? OpKind::kUnknownTarget : OpKind::kUnknownMatch;
    e.families = t.families;
    e.options = specs->back();
    e.size = sizeof(TextOp);
    e.init = [](void* op, const RuleContext&) { new (op) TextOp(); };
    e.parse = [](OptionCall& call, void* op) {
      return ParseText(kTable[kRow], call, static_cast<TextOp*>(op));
    };
    e.finish = [](FinishCall& call, void* op) {
      return FinishText(kTable[kRow], call, static_cast<TextOp*>(op));
    };
    e.print = [](const PrintContext& context, const void* op,
                 std::string* out) {
      for (StringId id : static_cast<const TextOp*>(op)->slots) {
        absl::StrAppend(out, context.strings->Get(id));
      }
    };
    e.protocol = t.protocol;
    e.tables = t.tables;
    e.hooks = t.hooks;
    out->push_back(e);
    AddTextExtensions<kTable, kRow + 1>(specs, out);
  }
}

template <const auto& kTable>
std::vector<Extension> MakeTextExtensions() {
  // Lives as long as the table of extensions, which is never destroyed.
  static auto* const specs = new std::vector<std::vector<OptionSpec>>();
  std::vector<Extension> out;
  specs->reserve(std::size(kTable));
  AddTextExtensions<kTable>(specs, &out);
  return out;
}

}  // namespace k8sdns::netfilter

#endif  // K8SDNS_NETFILTER_TEXT_EXTENSION_H_
