#include "k8sdns/journey/equivalence_json.h"

#include "k8sdns/journey/render_json.h"
#include "proto/k8sdns/v1/equivalence.pb.h"

namespace k8sdns::journey {

absl::StatusOr<std::string> EquivalenceToJson(
    const dataplane::Equivalence& result) {
  v1::Equivalence message;
  message.set_answer(std::string(dataplane::EquivalenceName(result.answer)));
  message.set_reason(result.reason);
  message.set_splits(result.splits);
  if (result.witness) {
    const dataplane::WitnessPacket& from = *result.witness;
    v1::WitnessPacket& to = *message.mutable_witness();
    to.set_path(from.path);
    to.set_packet(from.packet.ToString());
    to.set_in(from.in);
    to.set_out(from.out);
    to.set_rerouted_out(from.rerouted_out);
    to.set_mark(from.mark);
    to.set_state(from.state);
    if (from.translated) to.set_translated(from.translated->ToString());
    to.set_source_type(from.source_type);
    to.set_destination_type(from.destination_type);
    for (const std::string& a : from.assumptions) to.add_assumptions(a);
  }
  for (int side = 0; side < 2; ++side) {
    for (const dataplane::Fate& from : result.fates[side]) {
      v1::Fate& to = side == 0 ? *message.add_a() : *message.add_b();
      to.set_probability(from.probability);
      to.set_text(from.text);
      for (const std::string& line : from.trace) to.add_trace(line);
    }
  }
  return RenderJson(message);
}

}  // namespace k8sdns::journey
