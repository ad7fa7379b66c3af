#include "k8sdns/dns/label_selector.h"

#include <utility>

#include "absl/algorithm/container.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace k8sdns::dns {
namespace {

bool IsKey(absl::string_view key) {
  return !key.empty() && absl::c_all_of(key, [](char c) {
    return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.' ||
           c == '/';
  });
}

// Splits at commas outside parentheses.
std::vector<absl::string_view> SplitRequirements(absl::string_view text) {
  std::vector<absl::string_view> parts;
  int depth = 0;
  size_t start = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i == text.size() || (text[i] == ',' && depth == 0)) {
      parts.push_back(text.substr(start, i - start));
      start = i + 1;
    } else if (text[i] == '(') {
      ++depth;
    } else if (text[i] == ')') {
      --depth;
    }
  }
  return parts;
}

}  // namespace

absl::StatusOr<LabelSelector::Requirement> LabelSelector::ParseRequirement(
    absl::string_view text) {
  const auto error = [&] {
    return absl::InvalidArgumentError(
        absl::StrCat("label selector requirement \"", text,
                     "\": expected key, !key, key=value, key!=value, "
                     "key in (values) or key notin (values)"));
  };
  Requirement requirement;
  absl::string_view rest = absl::StripAsciiWhitespace(text);
  if (absl::ConsumePrefix(&rest, "!")) {
    requirement.op = Operator::kDoesNotExist;
    requirement.key = std::string(absl::StripAsciiWhitespace(rest));
    if (!IsKey(requirement.key)) return error();
    return requirement;
  }
  const size_t end = rest.find_first_of(" \t=!(");
  requirement.key = std::string(rest.substr(0, end));
  if (!IsKey(requirement.key)) return error();
  if (end == rest.npos) return requirement;
  rest = absl::StripAsciiWhitespace(rest.substr(end));
  const bool equals =
      absl::ConsumePrefix(&rest, "==") || absl::ConsumePrefix(&rest, "=");
  if (equals || absl::ConsumePrefix(&rest, "!=")) {
    requirement.op = equals ? Operator::kIn : Operator::kNotIn;
    requirement.values.emplace_back(absl::StripAsciiWhitespace(rest));
    return requirement;
  }
  if (absl::ConsumePrefix(&rest, "notin")) {
    requirement.op = Operator::kNotIn;
  } else if (absl::ConsumePrefix(&rest, "in")) {
    requirement.op = Operator::kIn;
  } else {
    return error();
  }
  rest = absl::StripAsciiWhitespace(rest);
  if (!absl::ConsumePrefix(&rest, "(") || !absl::ConsumeSuffix(&rest, ")")) {
    return error();
  }
  for (absl::string_view value : absl::StrSplit(rest, ',')) {
    requirement.values.emplace_back(absl::StripAsciiWhitespace(value));
  }
  return requirement;
}

absl::StatusOr<LabelSelector> LabelSelector::Parse(absl::string_view text) {
  LabelSelector selector;
  if (absl::StripAsciiWhitespace(text).empty()) return selector;
  for (absl::string_view part : SplitRequirements(text)) {
    absl::StatusOr<Requirement> requirement = ParseRequirement(part);
    if (!requirement.ok()) return requirement.status();
    selector.requirements_.push_back(*std::move(requirement));
  }
  return selector;
}

bool LabelSelector::Matches(const StringMap& labels) const {
  return absl::c_all_of(requirements_, [&](const Requirement& r) {
    const auto label = labels.find(r.key);
    const bool exists = label != labels.end();
    switch (r.op) {
      case Operator::kExists:
        return exists;
      case Operator::kDoesNotExist:
        return !exists;
      case Operator::kIn:
        return exists && absl::c_linear_search(r.values, label->second);
      case Operator::kNotIn:
        return !exists || !absl::c_linear_search(r.values, label->second);
    }
    return false;
  });
}

}  // namespace k8sdns::dns
