#include "k8sdns/journey/packet_trace.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "k8sdns/dataplane/matcher.h"
#include "k8sdns/journey/node_runner.h"
#include "k8sdns/netfilter/iptables_save.h"

namespace k8sdns::journey {
namespace {

using dataplane::TraceStep;
using dataplane::Verdict;
using netfilter::Hook;
using netfilter::OpKind;
using netfilter::OpView;
using netfilter::Ruleset;
using netfilter::RuleView;
using netfilter::Table;
using netfilter::TableId;
using Step = PacketTrace::Step;

std::optional<RuleView> RuleAt(const Table& table, netfilter::ChainId chain,
                               uint32_t number) {
  uint32_t n = 0;
  for (RuleView rule : table.rules(chain)) {
    if (++n == number) return rule;
  }
  return std::nullopt;
}

std::string VerdictOf(const Ruleset& rules, RuleView rule) {
  const std::optional<OpView> target = rule.target();
  if (!target) return "CONTINUE";
  switch (target->kind()) {
    case OpKind::kAccept:
    case OpKind::kDnat:
    case OpKind::kSnat:
    case OpKind::kMasquerade:
    case OpKind::kRedirect:
    case OpKind::kNetmap:
      return "ACCEPT";
    case OpKind::kDrop:
    case OpKind::kReject:
      return "DROP";
    case OpKind::kReturn:
      return "0xfffffffb";  // NFT_RETURN has no name there
    case OpKind::kJump:
      return absl::StrCat("JUMP:",
                          std::string(rules.strings().Get(
                              target->As<netfilter::JumpTarget>().chain)));
    case OpKind::kGoto:
      return absl::StrCat("GOTO:",
                          std::string(rules.strings().Get(
                              target->As<netfilter::GotoTarget>().chain)));
    case OpKind::kQueue:
    case OpKind::kNfqueue:
      return "QUEUE";
    default:
      return "CONTINUE";
  }
}

// Follows what the packet looks like from hook to hook.
class Follower {
 public:
  Follower(const dataplane::Arrival& arrival, const dataplane::Outcome& outcome,
           const Ruleset& rules)
      : outcome_(outcome),
        rules_(rules),
        packet_(arrival.packet),
        in_(arrival.interface) {
    if (outcome.sent_source) packet_.header.src = *outcome.sent_source;
  }

  Step Take(const TraceStep& from) {
    const Table& table = *rules_.table(from.table);
    const std::string chain(table.name(from.chain));
    if (table.policy(from.chain) != Table::Policy::kNone &&
        (from.table != table_ || chain != base_)) {
      Enter(from.table, chain);
    }
    Step step;
    step.kind = from.kind;
    step.table = std::string(netfilter::TableName(from.table));
    step.chain = chain;
    step.hook = base_;
    step.mark = from.mark;
    step.packet = packet_;
    step.in = base_ == "OUTPUT" ? "" : in_;
    if (base_ == "FORWARD" || base_ == "OUTPUT" || base_ == "POSTROUTING") {
      step.out = outcome_.out;
    }
    step.number = static_cast<uint32_t>(table.rule_count(from.chain)) + 1;
    if (from.kind == TraceStep::kPolicy) {
      step.text = step.verdict =
          table.policy(from.chain) == Table::Policy::kDrop ? "DROP" : "ACCEPT";
    } else if (from.kind == TraceStep::kRule) {
      step.number = from.rule;
      if (auto rule = RuleAt(table, from.chain, from.rule)) {
        step.text = netfilter::PrintRule(rules_, table, from.chain, *rule);
        step.verdict = VerdictOf(rules_, *rule);
        NoteTranslation(*rule);
      }
    }
    return step;
  }

 private:
  // A built-in chain begins.
  void Enter(TableId table, const std::string& base) {
    if (base == "PREROUTING" && base_ == "POSTROUTING") in_ = "lo";
    if (base == "FORWARD" && base_ != "FORWARD" && packet_.header.ttl > 0) {
      --packet_.header.ttl;
    }
    if (next_destination_) packet_.header.dst = *next_destination_;
    if (next_port_) packet_.header.dst_port = *next_port_;
    next_destination_.reset();
    next_port_.reset();
    table_ = table;
    base_ = base;
  }

  void NoteTranslation(RuleView rule) {
    const std::optional<OpView> target = rule.target();
    if (!target || target->kind() != OpKind::kDnat) return;
    const auto dnat = target->As<netfilter::DnatTarget>();
    uint32_t words[4];
    std::copy(dnat.first, dnat.first + 4, words);
    if (dnat.flags & netfilter::kNatHasAddress) {
      next_destination_ = netfilter::LoadAddress(rules_.family(), words);
    }
    if (dnat.flags & netfilter::kNatHasPort) next_port_ = dnat.first_port;
  }

  const dataplane::Outcome& outcome_;
  const Ruleset& rules_;
  dataplane::NodePacket packet_;
  std::string in_;
  TableId table_ = TableId::kRaw;
  std::string base_;
  std::optional<IpAddress> next_destination_;
  std::optional<uint16_t> next_port_;
};

std::string FlagNames(uint8_t flags) {
  std::string out;
  const struct {
    uint8_t bit;
    const char* name;
  } kNames[] = {{kTcpCwr, "CWR "}, {kTcpEce, "ECE "}, {kTcpUrg, "URG "},
                {kTcpAck, "ACK "}, {kTcpPsh, "PSH "}, {kTcpRst, "RST "},
                {kTcpSyn, "SYN "}, {kTcpFin, "FIN "}};
  for (const auto& n : kNames) {
    if (flags & n.bit) absl::StrAppend(&out, n.name);
  }
  return out;
}

// The PACKET line of xtables-monitor (trace_print_packet).
std::string MonitorPacket(const Step& step, size_t id) {
  const Packet& p = step.packet.header;
  const bool v6 = p.dst.is_v6();
  std::string out = absl::StrFormat("PACKET: %d %08x ", v6 ? 10 : 2, id);
  if (!step.in.empty()) absl::StrAppend(&out, "IN=", step.in, " ");
  if (!step.out.empty()) absl::StrAppend(&out, "OUT=", step.out, " ");
  if (step.in == "lo") absl::StrAppend(&out, "LOOPBACK ");
  absl::StrAppend(&out, "SRC=", p.src.ToString(), " DST=", p.dst.ToString(),
                  " LEN=", step.packet.Length());
  if (v6) {
    absl::StrAppendFormat(&out, " TC=%d HOPLIMIT=%d FLOWLBL=0 ", p.tos, p.ttl);
  } else {
    absl::StrAppendFormat(&out, " TOS=0x%x TTL=%d ID=0", p.tos, p.ttl);
    absl::StrAppend(&out, " ");
  }
  if (p.HasPorts()) {
    absl::StrAppend(&out, "SPORT=", p.src_port, " DPORT=", p.dst_port, " ");
  }
  if (p.protocol == Protocol::kTcp) {
    // Its order of flags.
    const struct {
      uint8_t bit;
      const char* name;
    } kNames[] = {{kTcpSyn, "SYN "}, {kTcpAck, "ACK "}, {kTcpFin, "FIN "},
                  {kTcpRst, "RST "}, {kTcpPsh, "PSH "}, {kTcpUrg, "URG "}};
    for (const auto& n : kNames) {
      if (p.tcp_flags & n.bit) absl::StrAppend(&out, n.name);
    }
  }
  if (step.mark != 0) absl::StrAppendFormat(&out, "MARK=0x%x ", step.mark);
  absl::StrAppend(&out, "\n");
  return out;
}

// What nf_log_syslog prints of a packet.
std::string KernelPacket(const Step& step) {
  const Packet& p = step.packet.header;
  std::string out =
      absl::StrCat("IN=", step.in, " OUT=", step.out, " SRC=", p.src.ToString(),
                   " DST=", p.dst.ToString(), " LEN=", step.packet.Length());
  if (p.dst.is_v6()) {
    absl::StrAppendFormat(&out, " TC=%d HOPLIMIT=%d FLOWLBL=0 ", p.tos, p.ttl);
  } else {
    absl::StrAppendFormat(&out, " TOS=0x%02X PREC=0x%02X TTL=%d ID=0 ",
                          p.tos & 0x1e, p.tos & 0xe0, p.ttl);
  }
  switch (p.protocol) {
    case Protocol::kTcp:
      absl::StrAppendFormat(&out,
                            "PROTO=TCP SPT=%d DPT=%d WINDOW=%d RES=0x00 "
                            "%sURGP=0 ",
                            p.src_port, p.dst_port, step.packet.tcp_window,
                            FlagNames(p.tcp_flags));
      break;
    case Protocol::kUdp:
      absl::StrAppendFormat(&out, "PROTO=UDP SPT=%d DPT=%d LEN=%d ", p.src_port,
                            p.dst_port, 8 + p.payload_size);
      break;
    case Protocol::kIcmp:
    case Protocol::kIcmpv6:
      absl::StrAppendFormat(&out, "PROTO=%s TYPE=%d CODE=%d ",
                            p.protocol == Protocol::kIcmp ? "ICMP" : "ICMPv6",
                            p.icmp_type, p.icmp_code);
      break;
    default:
      absl::StrAppend(&out, "PROTO=", static_cast<int>(p.protocol), " ");
  }
  if (step.mark != 0) absl::StrAppendFormat(&out, "MARK=0x%x ", step.mark);
  return out;
}

std::string Number(double value) { return absl::StrFormat("%.6g", value); }

}  // namespace

std::string PacketTrace::Branch::Fate() const {
  std::string out;
  switch (outcome.verdict.kind) {
    case Verdict::kAccept:
      out = outcome.local ? "delivered to the node"
                          : absl::StrCat("leaves by ", outcome.out);
      absl::StrAppend(&out, ": ", outcome.packet.header.ToString());
      break;
    case Verdict::kDrop:
      out = "dropped";
      if (!outcome.send_error.empty()) {
        absl::StrAppend(&out, " (its sender sees ", outcome.send_error, ")");
      }
      break;
    case Verdict::kReject:
      out = absl::StrCat("rejected with ", outcome.verdict.reason);
      break;
    case Verdict::kUnknown:
      out = absl::StrCat("not known: ", outcome.verdict.rule, ": ",
                         outcome.verdict.reason);
      break;
  }
  if (outcome.mark != 0)
    absl::StrAppendFormat(&out, ", mark 0x%x", outcome.mark);
  return out;
}

std::string PacketTrace::ToString() const {
  std::string out = arrival.packet.header.ToString();
  absl::StrAppend(&out, arrival.interface.empty()
                            ? ", sent by the node"
                            : absl::StrCat(", in by ", arrival.interface));
  if (arrival.mark != 0)
    absl::StrAppendFormat(&out, ", mark 0x%x", arrival.mark);
  absl::StrAppend(&out, "\n");
  for (const Branch& branch : branches) {
    absl::StrAppend(&out, Number(branch.probability), " ", branch.Fate(), "\n");
    for (const Step& step : branch.steps) {
      absl::StrAppendFormat(&out, "    %-8s", step.table);
      switch (step.kind) {
        case TraceStep::kRule:
          absl::StrAppend(&out, step.text, "   [", step.chain, " rule ",
                          step.number, "]");
          break;
        case TraceStep::kReturn:
          absl::StrAppend(&out, step.chain, ": end of chain");
          break;
        case TraceStep::kPolicy:
          absl::StrAppend(&out, step.chain, ": policy ", step.text);
          break;
      }
      if (step.mark != 0)
        absl::StrAppendFormat(&out, "   mark 0x%x", step.mark);
      absl::StrAppend(&out, "\n");
    }
  }
  return out;
}

std::string PacketTrace::ToXtablesMonitor() const {
  std::string out;
  for (size_t i = 0; i < branches.size(); ++i) {
    if (branches.size() > 1) {
      absl::StrAppend(&out, i == 0 ? "" : "\n", "# ",
                      Number(branches[i].probability), " ", branches[i].Fate(),
                      "\n");
    }
    std::string base;
    for (const Step& step : branches[i].steps) {
      const bool v6 = step.packet.header.dst.is_v6();
      // The kernel hands out the headers with the first rule of a hook.
      if (step.kind == TraceStep::kRule &&
          base != absl::StrCat(step.table, step.hook)) {
        base = absl::StrCat(step.table, step.hook);
        absl::StrAppend(&out, MonitorPacket(step, i + 1));
      }
      const std::string head = absl::StrFormat(
          " TRACE: %d %08x %s:%s:", v6 ? 10 : 2, i + 1, step.table, step.chain);
      switch (step.kind) {
        case TraceStep::kRule:
          absl::StrAppendFormat(&out, "%srule:0x%x:%s -%d -t %s %s\n", head,
                                step.number, step.verdict, v6 ? 6 : 4,
                                step.table, step.text);
          // The end of a chain is told also where a rule returns.
          if (step.verdict == "0xfffffffb") {
            absl::StrAppend(&out, head, "return:\n");
          }
          break;
        case TraceStep::kReturn:
          absl::StrAppend(&out, head, "return:\n");
          break;
        case TraceStep::kPolicy:
          absl::StrAppend(&out, head, "return:\n", head,
                          "policy:", step.verdict, " \n");
          break;
      }
    }
  }
  return out;
}

std::string PacketTrace::ToKernelLog() const {
  std::string out;
  for (size_t i = 0; i < branches.size(); ++i) {
    if (branches.size() > 1) {
      absl::StrAppend(&out, i == 0 ? "" : "\n", "# ",
                      Number(branches[i].probability), " ", branches[i].Fate(),
                      "\n");
    }
    for (const Step& step : branches[i].steps) {
      const char* kind = step.kind == TraceStep::kRule     ? "rule"
                         : step.kind == TraceStep::kReturn ? "return"
                                                           : "policy";
      absl::StrAppend(&out, "TRACE: ", step.table, ":", step.chain, ":", kind,
                      ":", step.number, " ", KernelPacket(step), "\n");
    }
  }
  return out;
}

absl::StatusOr<TracedNode> TracedNode::OfDump(
    const dataplane::NodeConfig& config, const DumpedTables& tables) {
  TracedNode node;
  std::shared_ptr<const dataplane::RuleMatcher> matchers[2];
  for (int i = 0; i < 2; ++i) {
    node.rules_[i] = tables.rules[i] != nullptr
                         ? tables.rules[i]
                         : std::make_shared<const Ruleset>(
                               i == 0 ? IpFamily::kIpv4 : IpFamily::kIpv6);
    matchers[i] = std::make_shared<dataplane::Matcher>(node.rules_[i]);
  }
  dataplane::IpSets sets;
  if (tables.sets) {
    absl::StatusOr<dataplane::IpSets> loaded =
        dataplane::LoadSets(*tables.sets);
    if (!loaded.ok()) return loaded.status();
    sets = *std::move(loaded);
  }
  auto dataplane = std::make_shared<dataplane::NodeDataplane>(
      config, matchers[0], matchers[1], std::move(sets));
  if (tables.servers) {
    dataplane->LoadIpvs(*tables.servers);
    dataplane->mutable_state().ipvs.StartAnywhere();
  }
  node.node_ = std::move(dataplane);
  return node;
}

absl::StatusOr<TracedNode> TracedNode::OfCluster(
    const Cluster& cluster, const KubeProxyConfig& config,
    proxy::Dialect dialect, const fabric::FabricOptions& network,
    const std::string& node, const DumpedTables& tables) {
  absl::StatusOr<fabric::Fabric> fabric =
      fabric::Fabric::FromCluster(cluster, network);
  if (!fabric.ok()) return fabric.status();
  const fabric::NodeNetwork* net = fabric->FindNode(node);
  if (net == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("no Node ", node, " in the cluster"));
  }
  absl::StatusOr<NodeRunner> runner =
      NodeRunner::Create(cluster, config, dialect, *net, tables);
  if (!runner.ok()) return runner.status();
  TracedNode out;
  out.node_ = std::make_shared<const dataplane::NodeDataplane>(runner->node());
  out.rules_[0] = runner->rules(IpFamily::kIpv4);
  out.rules_[1] = runner->rules(IpFamily::kIpv6);
  return out;
}

PacketTrace TracedNode::Trace(const dataplane::Arrival& arrival) const {
  PacketTrace trace;
  trace.arrival = arrival;
  const Ruleset& rules = *rules_[arrival.packet.header.dst.is_v6() ? 1 : 0];
  for (dataplane::Branch& from : node_->Match(arrival)) {
    PacketTrace::Branch branch;
    branch.probability = from.probability;
    Follower follower(arrival, from.outcome, rules);
    for (const TraceStep& step : from.outcome.trace) {
      branch.steps.push_back(follower.Take(step));
    }
    branch.outcome = std::move(from.outcome);
    trace.branches.push_back(std::move(branch));
  }
  return trace;
}

}  // namespace k8sdns::journey
