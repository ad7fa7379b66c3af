#include "k8sdns/netfilter/extension.h"
#include "k8sdns/netfilter/fast_rule_printer.h"
#include "k8sdns/netfilter/iptables_save.h"
#include "k8sdns/netfilter/option_value.h"

namespace k8sdns::netfilter {
namespace {

void AppendText(absl::string_view text, std::string* out) {
  out->append(text.data(), text.size());
}

void AppendAddressOp(const PrintContext& context, const AddressMask& op,
                     absl::string_view option, std::string* out) {
  if (op.invert) out->append(" !");
  AppendText(option, out);
  uint32_t words[4];
  for (int i = 0; i < 4; ++i) words[i] = op.address[i];
  AppendAddress(context.family, words, out);
  AppendMask(context.family, op, out);
}

void AppendInterfaceOp(const PrintContext& context, const InterfaceMatch& op,
                       absl::string_view option, std::string* out) {
  if (op.invert) out->append(" !");
  AppendText(option, out);
  AppendText(context.strings->Get(op.name), out);
  if (op.prefix) out->push_back('+');
}

// An op of the table of extensions, given by its full struct.
void AppendExtension(const PrintContext& context, OpView op, std::string* out) {
  const Extension* e = ExtensionTable::Get().Find(op.kind());
  if (e == nullptr) return;
  OpStorage storage;
  const size_t stored = op.size_bytes() - 2;
  std::memcpy(storage.bytes, op.data() + 2,
              stored < e->size ? stored : e->size);
  if (IsTarget(op.kind())) {
    out->append(" -j ");
    const bool notrack =
        op.kind() == OpKind::kCt &&
        (op.As<CtTarget>().flags & CtTarget::kNotrackAlias) != 0;
    AppendText(notrack ? "NOTRACK" : e->name, out);
    e->print(context, storage.bytes, out);
    return;
  }
  const size_t before = out->size();
  out->append(" -m ");
  AppendText(e->name, out);
  const size_t named = out->size();
  e->print(context, storage.bytes, out);
  // nft has no expression for a tcp or udp match that says nothing.
  if (out->size() == named && context.variant == Variant::kNft &&
      (op.kind() == OpKind::kTcp || op.kind() == OpKind::kUdp) &&
      op.As<UdpMatch>().flags != 0) {
    out->resize(before);
  }
}

}  // namespace

void AppendOp(const PrintContext& context, OpView op, std::string* out) {
  switch (op.kind()) {
    case OpKind::kSource:
      return AppendAddressOp(context, op.As<SourceMatch>(), " -s ", out);
    case OpKind::kDestination:
      return AppendAddressOp(context, op.As<DestinationMatch>(), " -d ", out);
    case OpKind::kInInterface:
      return AppendInterfaceOp(context, op.As<InInterfaceMatch>(), " -i ", out);
    case OpKind::kOutInterface:
      return AppendInterfaceOp(context, op.As<OutInterfaceMatch>(), " -o ",
                               out);
    case OpKind::kProtocol: {
      const ProtocolMatch p = op.As<ProtocolMatch>();
      out->append(p.invert ? " ! -p " : " -p ");
      const absl::string_view name = SavedProtocolName(p.protocol);
      if (name.empty()) {
        AppendNumber(p.protocol, out);
      } else {
        AppendText(name, out);
      }
      return;
    }
    case OpKind::kFragment:
      out->append(op.As<FragmentMatch>().invert ? " ! -f" : " -f");
      return;
    case OpKind::kCounters:
      return;
    case OpKind::kUnknownMatch:
      out->push_back(' ');
      AppendText(context.strings->Get(op.As<UnknownMatch>().text), out);
      return;
    case OpKind::kJump:
      out->append(" -j ");
      AppendText(context.strings->Get(op.As<JumpTarget>().chain), out);
      return;
    case OpKind::kGoto:
      out->append(" -g ");
      AppendText(context.strings->Get(op.As<GotoTarget>().chain), out);
      return;
    case OpKind::kUnknownTarget: {
      const UnknownTarget t = op.As<UnknownTarget>();
      out->append(t.is_goto ? " -g " : " -j ");
      AppendText(context.strings->Get(t.text), out);
      return;
    }
    default:
      return AppendExtension(context, op, out);
  }
}

namespace {

void AppendCounters(const Counters& counters, std::string* out) {
  out->push_back('[');
  AppendNumber(counters.packets, out);
  out->push_back(':');
  AppendNumber(counters.bytes, out);
  out->push_back(']');
}

PrintContext ContextOf(const Ruleset& rules, const PrintOptions& options) {
  PrintContext context;
  context.family = rules.family();
  context.variant = options.variant;
  context.strings = &rules.strings();
  return context;
}

// The rules of a chain, each with its counters in front.
void AppendWithCounters(const PrintContext& context, const Table& table,
                        ChainId chain, std::string* out) {
  for (RuleView rule : table.rules(chain)) {
    const auto note = rule.Get<CountersNote>();
    AppendCounters(note ? Counters{note->packets, note->bytes} : Counters{},
                   out);
    out->append(" -A ");
    AppendText(table.name(chain), out);
    for (OpView op : rule.ops()) AppendOp(context, op, out);
    out->push_back('\n');
  }
}

void AppendTable(const Ruleset& rules, const Table& table,
                 const PrintOptions& options, std::string* out) {
  const PrintContext context = ContextOf(rules, options);
  if (options.comments) out->append(rules.comments(table.id()));
  out->push_back('*');
  AppendText(TableName(table.id()), out);
  out->push_back('\n');
  const std::vector<ChainId> chains = table.chains();
  for (ChainId chain : chains) {
    out->push_back(':');
    AppendText(table.name(chain), out);
    switch (table.policy(chain)) {
      case Table::Policy::kNone:
        out->append(" - ");
        break;
      case Table::Policy::kAccept:
        out->append(" ACCEPT ");
        break;
      case Table::Policy::kDrop:
        out->append(" DROP ");
        break;
    }
    AppendCounters(table.counters(chain), out);
    out->push_back('\n');
  }
  if (options.counters) {
    for (ChainId chain : chains) AppendWithCounters(context, table, chain, out);
  } else {
    FastRulePrinter printer(context, out);
    printer.PrintChains(table, chains);
    printer.Flush();
  }
  out->append("COMMIT\n");
}

}  // namespace

void AppendIptablesSave(const Ruleset& rules, const PrintOptions& options,
                        std::string* out) {
  for (TableId id : rules.tables()) {
    AppendTable(rules, *rules.table(id), options, out);
  }
  if (options.comments) out->append(rules.final_comments());
}

std::string PrintIptablesSave(const Ruleset& rules,
                              const PrintOptions& options) {
  std::string out;
  AppendIptablesSave(rules, options, &out);
  return out;
}

void AppendRule(const Ruleset& rules, RuleView rule,
                const PrintOptions& options, std::string* out) {
  const PrintContext context = ContextOf(rules, options);
  const size_t begin = out->size();
  for (OpView op : rule.ops()) AppendOp(context, op, out);
  if (out->size() > begin) out->erase(begin, 1);  // the leading blank
}

std::string PrintRule(const Ruleset& rules, const Table& table, ChainId chain,
                      RuleView rule, const PrintOptions& options) {
  std::string out = "-A ";
  AppendText(table.name(chain), &out);
  const PrintContext context = ContextOf(rules, options);
  for (OpView op : rule.ops()) AppendOp(context, op, &out);
  return out;
}

}  // namespace k8sdns::netfilter
