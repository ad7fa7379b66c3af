#include "k8sdns/cli/args.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace k8sdns::cli {
namespace {

const Flag* FindFlag(std::span<const Flag> flags, absl::string_view name) {
  for (const Flag& f : flags) {
    if (f.name == name) return &f;
  }
  return nullptr;
}

const Flag* FindLetter(std::span<const Flag> flags, char letter) {
  for (const Flag& f : flags) {
    if (f.letter != 0 && f.letter == letter) return &f;
  }
  return nullptr;
}

}  // namespace

absl::StatusOr<Args> Args::Parse(std::span<const Flag> flags,
                                 std::span<const std::string> words) {
  Args args;
  args.flags_ = flags;
  bool only_positional = false;
  for (size_t i = 0; i < words.size(); ++i) {
    const absl::string_view word = words[i];
    if (only_positional || word.size() < 2 || word[0] != '-') {
      args.positional_.emplace_back(word);
      continue;
    }
    if (word == "--") {
      only_positional = true;
      continue;
    }
    const bool is_long = word[1] == '-';
    const size_t equals = is_long ? word.find('=') : absl::string_view::npos;
    const absl::string_view name =
        is_long ? word.substr(2, equals == absl::string_view::npos ? equals
                                                                   : equals - 2)
                : word.substr(1, 1);
    const Flag* flag =
        is_long ? FindFlag(flags, name) : FindLetter(flags, word[1]);
    if (flag == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("unknown flag ", is_long ? "--" : "-", name));
    }
    std::vector<std::string>& values = args.values_[std::string(flag->name)];
    if (!values.empty() && !flag->repeated) {
      return absl::InvalidArgumentError(
          absl::StrCat("--", flag->name, " is given twice"));
    }
    if (flag->value.empty()) {
      if (equals != absl::string_view::npos || (!is_long && word.size() > 2)) {
        return absl::InvalidArgumentError(
            absl::StrCat("--", flag->name, " takes no value"));
      }
      values.emplace_back("true");
    } else if (equals != absl::string_view::npos) {
      values.emplace_back(word.substr(equals + 1));
    } else if (!is_long && word.size() > 2) {
      values.emplace_back(word.substr(2));
    } else if (i + 1 < words.size()) {
      values.push_back(words[++i]);
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("--", flag->name, " needs a value: ", flag->value));
    }
  }
  return args;
}

bool Args::Has(absl::string_view flag) const {
  return values_.contains(std::string(flag));
}

std::string Args::Get(absl::string_view flag) const {
  auto it = values_.find(std::string(flag));
  if (it != values_.end()) return it->second.back();
  const Flag* f = FindFlag(flags_, flag);
  return f == nullptr ? "" : std::string(f->otherwise);
}

std::vector<std::string> Args::GetAll(absl::string_view flag) const {
  auto it = values_.find(std::string(flag));
  return it == values_.end() ? std::vector<std::string>() : it->second;
}

std::string DescribeFlags(std::span<const Flag> flags) {
  std::vector<std::string> heads;
  size_t width = 0;
  for (const Flag& f : flags) {
    std::string head =
        f.letter == 0 ? "      "
                      : absl::StrCat("  -", std::string(1, f.letter), ", ");
    absl::StrAppend(&head, "--", f.name);
    if (!f.value.empty()) absl::StrAppend(&head, " ", f.value);
    width = std::max(width, head.size());
    heads.push_back(std::move(head));
  }
  std::string out;
  for (size_t i = 0; i < flags.size(); ++i) {
    absl::StrAppend(&out, heads[i],
                    std::string(width - heads[i].size() + 2, ' '),
                    flags[i].help);
    if (flags[i].repeated) absl::StrAppend(&out, " (may be repeated)");
    if (!flags[i].otherwise.empty()) {
      absl::StrAppend(&out, " [", flags[i].otherwise, "]");
    }
    out += '\n';
  }
  return out;
}

}  // namespace k8sdns::cli
