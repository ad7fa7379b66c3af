#include "k8sdns/proxy/text_sink.h"

#include <cstdio>

#include "k8sdns/proxy/ruleset_sink.h"

namespace k8sdns::proxy {

absl::string_view ProbabilityTexts::Get(uint32_t n) {
  while (texts_.size() <= n) {
    const uint32_t i = static_cast<uint32_t>(texts_.size());
    std::array<char, 32> text = {};
    if (i > 0) {
      std::snprintf(text.data(), text.size(), "%.11f",
                    RulesetSink::Probability(i, digits_) / 2147483648.0);
    }
    texts_.push_back(text);
  }
  return {texts_[n].data(), 13};
}

void TextSink::ConntrackState(uint32_t states, bool invert) {
  out_.Literal(" -m conntrack");
  if (invert) out_.Literal(" !");
  out_.Literal(" --ctstate ");
  // In the order in which iptables prints them.
  static constexpr struct {
    uint32_t bit;
    absl::string_view name;
  } kStates[] = {
      {netfilter::kStateInvalid, "INVALID"},
      {netfilter::kStateNew, "NEW"},
      {netfilter::kStateRelated, "RELATED"},
      {netfilter::kStateEstablished, "ESTABLISHED"},
      {netfilter::kStateUntracked, "UNTRACKED"},
      {netfilter::kStateSnat, "SNAT"},
      {netfilter::kStateDnat, "DNAT"},
  };
  bool first = true;
  for (const auto& state : kStates) {
    if ((states & state.bit) == 0) continue;
    if (!first) out_.Put(',');
    first = false;
    out_.Put(state.name);
  }
}

// Names of the API have none of the characters that need escaping; a manifest
// written by hand may.
void TextSink::Remember(absl::string_view text) {
  name_ = text;
  escaped_name_.clear();
  for (char c : text) {
    if (c == '"' || c == '\'' || c == '\\') escaped_name_.push_back('\\');
    escaped_name_.push_back(c);
  }
  name_size_ = escaped_name_.size();
  escaped_name_.append(EndpointList::kPadding, '\0');
}

}  // namespace k8sdns::proxy
