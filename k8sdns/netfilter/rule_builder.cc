// The second half of RuleReader: from options to ops.
#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "k8sdns/netfilter/option_value.h"
#include "k8sdns/netfilter/rule_reader.h"

namespace k8sdns::netfilter {
namespace {

constexpr size_t kMaxChainName = 28;

uint32_t LetterBit(char letter) {
  constexpr absl::string_view kLetters = "psdiojfcnvx0";
  return uint32_t{1} << kLetters.find(letter);
}

template <typename Op>
void AddAddress(const AddressMask& match, RuleBuilder* out) {
  Op op;
  static_cast<AddressMask&>(op) = match;
  out->Add(op);
}

template <typename Op>
void AddInterface(absl::string_view name, bool invert, StringPool* strings,
                  RuleBuilder* out) {
  Op op;
  op.invert = invert;
  if (name.back() == '+') {
    op.prefix = 1;
    name.remove_suffix(1);
  }
  op.name = strings->Intern(name);
  out->Add(op);
}

}  // namespace

bool RuleReader::Finish() {
  if (command_->kind == Command::kSkipped) return true;
  if (context_.table == TableId::kNat &&
      (jump_ == "DROP" || command_->policy == "DROP")) {
    return Fail("the nat table is not for filtering, DROP is refused");
  }
  for (Pending& p : matches_) {
    if (p.extension == nullptr) continue;
    FinishCall call{p.seen, &context_};
    if (!p.extension->finish(call, p.op.bytes)) return false;
    if (!CheckOptions(*p.extension, p.seen, context_)) return false;
  }
  if (target_ && target_->extension != nullptr) {
    FinishCall call{target_->seen, &context_};
    if (!target_->extension->finish(call, target_->op.bytes)) return false;
    if (!CheckOptions(*target_->extension, target_->seen, context_)) {
      return false;
    }
  }
  if (command_->kind == Command::kNone) return Fail("no command specified");
  if (invert_) return Fail("nothing appropriate following !");
  return CheckChainOptions() && Build();
}

bool RuleReader::CheckChainOptions() {
  const Command::Kind kind = command_->kind;
  const bool rule = kind == Command::kAppend || kind == Command::kInsert ||
                    kind == Command::kDelete || kind == Command::kReplace ||
                    kind == Command::kCheck;
  const uint32_t of_rules = LetterBit('s') | LetterBit('d') | LetterBit('p') |
                            LetterBit('j') | LetterBit('i') | LetterBit('o') |
                            LetterBit('f');
  if (!rule && (given_ & of_rules) != 0) {
    return Fail("option is illegal with this command");
  }
  if (kind != Command::kList &&
      (given_ & (LetterBit('n') | LetterBit('x') | LetterBit('0'))) != 0) {
    return Fail("option is illegal with this command");
  }
  if ((given_ & LetterBit('c')) != 0 && kind != Command::kAppend &&
      kind != Command::kInsert && kind != Command::kReplace &&
      kind != Command::kSetPolicy) {
    return Fail("-c is illegal with this command");
  }
  if (command_->chain.size() > kMaxChainName) {
    return Fail("chain name longer than ", kMaxChainName, " bytes");
  }
  if (!rule) return true;
  if ((command_->chain == "PREROUTING" || command_->chain == "INPUT") &&
      (given_ & LetterBit('o')) != 0) {
    return Fail("can't use -o with ", command_->chain);
  }
  if ((command_->chain == "POSTROUTING" || command_->chain == "OUTPUT") &&
      (given_ & LetterBit('i')) != 0) {
    return Fail("can't use -i with ", command_->chain);
  }
  return true;
}

bool RuleReader::ReadAddresses(absl::string_view text,
                               std::vector<AddressMask>* out) {
  for (absl::string_view part : absl::StrSplit(text, ',')) {
    while (!part.empty() && (part[0] == ' ' || part[0] == '\t')) {
      part.remove_prefix(1);
    }
    AddressMask mask;
    if (!ReadAddressMask(context_.family, part, &mask)) {
      for (size_t i = 0; i < words_.size(); ++i) {
        if (words_[i].text.data() == text.data()) {
          bad_word_ = static_cast<int>(i);
        }
      }
      return Fail("not an address or network: `", part, "'");
    }
    out->push_back(mask);
  }
  return true;
}

// Sets *target to an extension's, or fills `jump` with a chain's op. Neither:
// no target.
bool RuleReader::ResolveTarget(OpStorage* jump, const Pending** target) {
  *target = nullptr;
  if (jump_.empty()) return true;
  const bool is_chain = table_->FindChain(jump_).has_value();
  if (!is_chain && target_) {
    *target = &*target_;
    return true;
  }
  if (!is_chain) {
    for (size_t i = 0; i < words_.size(); ++i) {
      if (words_[i].text.data() == jump_.data()) {
        bad_word_ = static_cast<int>(i);
      }
    }
    return Fail(goto_ ? "goto: no such chain" : "no such chain or target");
  }
  const StringId name = context_.strings->Intern(jump_);
  if (goto_) {
    new (jump->bytes) GotoTarget{name};
  } else {
    new (jump->bytes) JumpTarget{name};
  }
  return true;
}

// nft keeps the ports and flags of all -m tcp (-m udp) of a rule as one: the
// first match gets what the others say.
void RuleReader::MergeMatches() {
  Pending* first_tcp = nullptr;
  Pending* first_udp = nullptr;
  for (auto it = matches_.begin(); it != matches_.end();) {
    const bool tcp =
        it->extension != nullptr && it->extension->kind == OpKind::kTcp;
    const bool udp =
        it->extension != nullptr && it->extension->kind == OpKind::kUdp;
    TcpMatch op;
    if (tcp || udp) {
      std::memcpy(static_cast<void*>(&op), it->op.bytes,
                  tcp ? sizeof(TcpMatch) : sizeof(UdpMatch));
    }
    if ((!tcp && !udp) || op.flags == 0 ||
        (tcp && (op.flags & kHasTcpOption) != 0)) {
      ++it;
      continue;
    }
    Pending*& first = tcp ? first_tcp : first_udp;
    if (first == nullptr) {
      first = &*it;
      ++it;
      continue;
    }
    TcpMatch all;
    const size_t size = tcp ? sizeof(TcpMatch) : sizeof(UdpMatch);
    std::memcpy(static_cast<void*>(&all), first->op.bytes, size);
    auto take = [&](uint8_t has, uint8_t invert) {
      if ((op.flags & has) == 0) return false;
      all.flags = static_cast<uint8_t>((all.flags & ~(has | invert)) |
                                       (op.flags & (has | invert)));
      return true;
    };
    if (take(kHasSourcePort, kInvertSourcePort)) all.source = op.source;
    if (take(kHasDestinationPort, kInvertDestinationPort)) {
      all.destination = op.destination;
    }
    if (tcp && take(kHasTcpFlags, kInvertTcpFlags)) {
      all.flag_mask = op.flag_mask;
      all.flag_compare = op.flag_compare;
    }
    std::memcpy(first->op.bytes, &all, size);
    it = matches_.erase(it);
    // A deque's pointers do not survive an erasure in the middle.
    first_tcp = first_udp = nullptr;
    it = matches_.begin();
  }
}

bool RuleReader::Build() {
  command_->rules.clear();
  if (options_.variant == Variant::kNft && matches_.size() > 1) {
    MergeMatches();
  }
  if (command_->kind != Command::kAppend &&
      command_->kind != Command::kInsert &&
      command_->kind != Command::kDelete &&
      command_->kind != Command::kReplace &&
      command_->kind != Command::kCheck) {
    return true;
  }
  std::vector<AddressMask> sources;
  std::vector<AddressMask> destinations;
  const bool has_source = (given_ & LetterBit('s')) != 0;
  const bool has_destination = (given_ & LetterBit('d')) != 0;
  if (has_source && !ReadAddresses(source_text_, &sources)) return false;
  if (has_destination && !ReadAddresses(destination_text_, &destinations)) {
    return false;
  }
  if ((sources.size() > 1 || destinations.size() > 1) &&
      (inverted_ & (LetterBit('s') | LetterBit('d'))) != 0) {
    return Fail("! not allowed with multiple addresses");
  }
  if ((sources.size() > 1 || destinations.size() > 1) &&
      command_->kind == Command::kReplace) {
    return Fail("replacement rule has no unique address");
  }
  if (sources.empty()) sources.emplace_back();
  if (destinations.empty()) destinations.emplace_back();
  OpStorage jump;
  const Pending* target;
  if (!ResolveTarget(&jump, &target)) return false;
  for (AddressMask& s : sources) {
    s.invert = (inverted_ & LetterBit('s')) != 0;
    for (AddressMask& d : destinations) {
      d.invert = (inverted_ & LetterBit('d')) != 0;
      command_->rules.emplace_back();
      BuildOne(s, d, target, jump, &command_->rules.back());
    }
  }
  return true;
}

// What a match or target that is kept as text prints.
std::string RuleReader::PrintedText(const Pending& pending) const {
  PrintContext context;
  context.family = context_.family;
  context.variant = context_.variant;
  context.strings = context_.strings;
  std::string out;
  pending.extension->print(context, pending.op.bytes, &out);
  return out;
}

void RuleReader::BuildOne(const AddressMask& source,
                          const AddressMask& destination, const Pending* target,
                          const OpStorage& jump, RuleBuilder* out) {
  StringPool* strings = context_.strings;
  auto any = [](const AddressMask& m) {
    return !m.invert && m.prefix_length == 0;
  };
  if (!any(source)) AddAddress<SourceMatch>(source, out);
  if (!any(destination)) AddAddress<DestinationMatch>(destination, out);
  // "+" alone is any interface.
  const bool keeps_plus = options_.variant == Variant::kNft;
  const bool not_in = (inverted_ & LetterBit('i')) != 0;
  const bool not_out = (inverted_ & LetterBit('o')) != 0;
  if (!in_.empty() && (in_ != "+" || (not_in && keeps_plus))) {
    AddInterface<InInterfaceMatch>(in_, not_in, strings, out);
  }
  if (!out_.empty() && (out_ != "+" || (not_out && keeps_plus))) {
    AddInterface<OutInterfaceMatch>(out_, not_out, strings, out);
  }
  if (context_.protocol != 0) {
    ProtocolMatch op;
    op.invert = context_.protocol_inverted;
    op.protocol = context_.protocol;
    out->Add(op);
  }
  if ((given_ & LetterBit('f')) != 0) {
    FragmentMatch op;
    op.invert = (inverted_ & LetterBit('f')) != 0;
    out->Add(op);
  }
  for (const Pending& p : matches_) {
    if (p.extension != nullptr && p.extension->kind == OpKind::kUnknownMatch) {
      UnknownMatch op;
      op.text = strings->Intern(absl::StrCat("-m ", p.name, PrintedText(p)));
      out->Add(op);
    } else if (p.extension != nullptr) {
      out->AddBytes(p.extension->kind, p.op.bytes, p.extension->size);
    } else {
      UnknownMatch op;
      op.text = strings->Intern(absl::StrCat("-m ", p.name, p.text));
      out->Add(op);
    }
  }
  if (target != nullptr) {
    if (target->extension != nullptr &&
        target->extension->kind == OpKind::kUnknownTarget) {
      UnknownTarget op;
      op.text =
          strings->Intern(absl::StrCat(target->name, PrintedText(*target)));
      out->Add(op);
    } else if (target->extension != nullptr) {
      out->AddBytes(target->extension->kind, target->op.bytes,
                    target->extension->size);
    } else {
      UnknownTarget op;
      op.text = strings->Intern(absl::StrCat(target->name, target->text));
      out->Add(op);
    }
  } else if (!jump_.empty()) {
    if (goto_) {
      out->AddBytes(OpKind::kGoto, jump.bytes, sizeof(GotoTarget));
    } else {
      out->AddBytes(OpKind::kJump, jump.bytes, sizeof(JumpTarget));
    }
  }
}

}  // namespace k8sdns::netfilter
