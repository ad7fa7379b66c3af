// The commands of `k8sdns`: a table that drives dispatch and help. Private to
// the room.
#ifndef K8SDNS_CLI_COMMAND_H_
#define K8SDNS_CLI_COMMAND_H_

#include <iosfwd>
#include <span>
#include <string>

#include "absl/strings/string_view.h"
#include "k8sdns/cli/args.h"

namespace k8sdns::cli {

// Exit codes of every command.
inline constexpr int kOk = 0;
inline constexpr int kFindings = 1;  // check, diff, equivalent: there are some
inline constexpr int kError = 2;     // bad usage or bad input

struct Streams {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  bool colour = false;  // text on `out` may be coloured
};

struct Command {
  absl::string_view name;
  absl::string_view summary;
  absl::string_view arguments;  // what follows the flags in the usage line
  absl::string_view example;
  std::span<const Flag> flags;
  int (*run)(const Args& args, Streams streams);
};

// All commands, in the order of the help text.
std::span<const Command> Commands();

// Runs `k8sdns words...` and returns the exit code. Writes nothing but to the
// streams and to files that flags name.
int Run(std::span<const std::string> words, Streams streams);

// Writes a text for people, coloured if the streams say so.
void PrintText(Streams streams, absl::string_view text);

// Prints "k8sdns: message" (one line each) and returns kError.
int Fail(Streams streams, absl::string_view message);

}  // namespace k8sdns::cli

#endif  // K8SDNS_CLI_COMMAND_H_
