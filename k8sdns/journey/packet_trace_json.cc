#include "k8sdns/journey/packet_trace_json.h"

#include "absl/strings/str_cat.h"
#include "k8sdns/journey/render_json.h"
#include "proto/k8sdns/v1/packet_trace.pb.h"

namespace k8sdns::journey {
namespace {

void Fill(const PacketTrace::Step& from, v1::PacketTraceStep& to) {
  static constexpr const char* kKinds[] = {"rule", "return", "policy"};
  to.set_kind(kKinds[from.kind]);
  to.set_table(from.table);
  to.set_chain(from.chain);
  to.set_number(from.number);
  to.set_text(from.text);
  to.set_verdict(from.verdict);
  to.set_mark(from.mark);
  to.set_packet(from.packet.header.ToString());
  to.set_in(from.in);
  to.set_out(from.out);
}

void Fill(const PacketTrace::Branch& from, v1::PacketTrace::Outcome& to) {
  static constexpr const char* kVerdicts[] = {"accept", "drop", "reject",
                                              "unknown"};
  const dataplane::Outcome& o = from.outcome;
  to.set_probability(from.probability);
  to.set_verdict(kVerdicts[o.verdict.kind]);
  to.set_reason(o.verdict.rule.empty()
                    ? o.verdict.reason
                    : absl::StrCat(o.verdict.rule, ": ", o.verdict.reason));
  if (o.verdict.kind == dataplane::Verdict::kAccept) {
    to.set_local(o.local);
    to.set_out(o.out);
    to.set_packet(o.packet.header.ToString());
  }
  to.set_mark(o.mark);
  for (const PacketTrace::Step& step : from.steps) Fill(step, *to.add_steps());
}

}  // namespace

absl::StatusOr<std::string> PacketTraceToJson(const PacketTrace& trace) {
  v1::PacketTrace message;
  message.set_packet(trace.arrival.packet.header.ToString());
  message.set_in(trace.arrival.interface);
  message.set_mark(trace.arrival.mark);
  for (const PacketTrace::Branch& b : trace.branches) {
    Fill(b, *message.add_outcomes());
  }
  return RenderJson(message);
}

}  // namespace k8sdns::journey
