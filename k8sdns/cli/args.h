// Command-line arguments: one grammar for all commands.
//
//   k8sdns COMMAND [--flag VALUE | --flag=VALUE | -f VALUE | --switch] [ARG...]
//
// Flags and arguments mix; `--` ends the flags; `-` is an argument (standard
// input). A command's table of flags drives parsing, --help and completion.
#ifndef K8SDNS_CLI_ARGS_H_
#define K8SDNS_CLI_ARGS_H_

#include <map>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace k8sdns::cli {

struct Flag {
  absl::string_view name;  // without dashes
  char letter = 0;         // 0: no short form
  // What --help calls the value; empty: a switch, without value.
  absl::string_view value;
  absl::string_view help;
  absl::string_view otherwise = "";  // value if not given
  bool repeated = false;
};

class Args {
 public:
  // InvalidArgument names the flag and what was expected.
  static absl::StatusOr<Args> Parse(std::span<const Flag> flags,
                                    std::span<const std::string> words);

  bool Has(absl::string_view flag) const;
  // The last value given, or the flag's default.
  std::string Get(absl::string_view flag) const;
  // All values given, in order.
  std::vector<std::string> GetAll(absl::string_view flag) const;
  const std::vector<std::string>& positional() const { return positional_; }

 private:
  std::span<const Flag> flags_;
  std::map<std::string, std::vector<std::string>> values_;
  std::vector<std::string> positional_;
};

// The indented list of flags for --help.
std::string DescribeFlags(std::span<const Flag> flags);

}  // namespace k8sdns::cli

#endif  // K8SDNS_CLI_ARGS_H_
