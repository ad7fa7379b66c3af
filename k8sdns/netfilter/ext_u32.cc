// -m u32: numbers out of the packet's bytes. Its little program is kept in the
// printed form, which the dataplane runs as it is.
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "k8sdns/netfilter/extension.h"

namespace k8sdns::netfilter {
namespace {

// The kernel's XT_U32_MAXSIZE: of tests, of numbers in a location, of ranges.
constexpr int kMaxSize = 10;

// "location = range,range && ...", location: a number, then numbers behind &,
// <<, >> and @; range: number or number:number.
class ProgramReader {
 public:
  explicit ProgramReader(absl::string_view text) : text_(text) {}

  // Writes the printed form.
  bool Read(std::string* out) {
    for (int tests = 1; tests <= kMaxSize; ++tests) {
      if (!Location(out) || !Ranges(out)) return false;
      if (text_.empty()) return true;
      if (!Take("&&")) return false;
      absl::StrAppend(out, "&&");
    }
    return false;
  }

 private:
  bool Location(std::string* out) {
    for (int numbers = 1; numbers <= kMaxSize; ++numbers) {
      uint64_t number;
      if (!Number(&number)) return false;
      absl::StrAppendFormat(out, "0x%x", number);
      Blank();
      if (Take("=")) {
        out->push_back('=');
        return true;
      }
      bool found = false;
      for (absl::string_view op : {"&", "<<", ">>", "@"}) {
        if (!Take(op)) continue;
        absl::StrAppend(out, op);
        found = true;
        break;
      }
      if (!found) return false;
    }
    return false;
  }

  bool Ranges(std::string* out) {
    for (int ranges = 1; ranges <= kMaxSize; ++ranges) {
      uint64_t first;
      if (!Number(&first)) return false;
      uint64_t last = first;
      Blank();
      if (Take(":") && !Number(&last)) return false;
      absl::StrAppendFormat(out, "0x%x", first);
      if (first != last) absl::StrAppendFormat(out, ":0x%x", last);
      Blank();
      if (!Take(",")) return true;
      out->push_back(',');
    }
    return false;
  }

  void Blank() {
    while (!text_.empty() && absl::ascii_isspace(text_[0])) {
      text_.remove_prefix(1);
    }
  }
  bool Take(absl::string_view word) {
    if (!absl::StartsWith(text_, word)) return false;
    text_.remove_prefix(word.size());
    return true;
  }
  bool Number(uint64_t* value) {
    Blank();
    size_t used;
    if (!ReadNumber(text_, 0, 0, 0xffffffff, value, &used)) return false;
    text_.remove_prefix(used);
    return true;
  }

  absl::string_view text_;
};

struct U32 : ExtensionBase<U32Match> {
  static bool Parse(OptionCall& call, U32Match& op) {
    std::string program;
    if (!ProgramReader(call.text).Read(&program)) {
      return call.rule->Fail("u32: bad value `", call.text, "' for --u32");
    }
    op.program = call.rule->strings->Intern(program);
    op.invert = call.invert;
    return true;
  }
  static void Print(const PrintContext& context, const U32Match& op,
                    std::string* out) {
    absl::StrAppend(out, op.invert ? " ! --u32 \"" : " --u32 \"",
                    context.strings->Get(op.program), "\"");
  }
};
constexpr OptionSpec kU32Options[] = {
    {"u32", 0, ValueType::kString, kMandatory | kInvertible}};

}  // namespace

std::vector<Extension> U32Extensions() {
  return {MakeExtension<U32>("u32", kU32Options)};
}

}  // namespace k8sdns::netfilter
