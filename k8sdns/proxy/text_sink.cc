#include "k8sdns/proxy/text_sink.h"

#include <algorithm>
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

void TextBuffer::Grow(size_t size) {
  const size_t used = this->size();
  // A string that was cut to its text last time needs a little more than that:
  // clearing all of its capacity would cost as much as the work.
  const size_t needed = used + size + 65536;
  out_.resize(needed <= out_.capacity() ? needed : std::max(needed, used * 2));
  at_ = out_.data() + used;
  limit_ = out_.data() + out_.size();
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
  bool plain = true;
  for (char c : text) plain &= c != '"' && c != '\'' && c != '\\';
  if (plain) {
    escaped_name_.assign(text.data(), text.size());
  } else {
    escaped_name_.clear();
    for (char c : text) {
      if (c == '"' || c == '\'' || c == '\\') escaped_name_.push_back('\\');
      escaped_name_.push_back(c);
    }
  }
  name_size_ = escaped_name_.size();
  escaped_name_.append(EndpointList::kPadding, '\0');
}

}  // namespace k8sdns::proxy
