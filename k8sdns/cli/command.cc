#include "k8sdns/cli/command.h"

#include <ostream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "k8sdns/cli/colour.h"
#include "k8sdns/cli/manual.h"
#include "k8sdns/version.h"

namespace k8sdns::cli {
namespace {

std::string Overview() {
  std::string out =
      "k8sdns: what will a Kubernetes node do with this name, and with this "
      "packet?\n\nUsage: k8sdns COMMAND [FLAG...] [ARGUMENT...]\n\n";
  for (const Command& c : Commands()) {
    absl::StrAppend(&out, "  ", c.name, std::string(14 - c.name.size(), ' '),
                    c.summary, "\n");
  }
  absl::StrAppend(&out,
                  "\n`k8sdns COMMAND --help` tells more. FILE may be a file, "
                  "a folder of manifests, or - for\nstandard input. Exit "
                  "codes: 0 done, 1 something was found, 2 bad usage or "
                  "input.\n");
  return out;
}

std::string Help(const Command& c) {
  return absl::StrCat("k8sdns ", c.name, ": ", c.summary, "\n\nUsage: k8sdns ",
                      c.name, " [FLAG...] ", c.arguments, "\n\n",
                      DescribeFlags(c.flags), "\nExample:\n  ", c.example,
                      "\n");
}

// What packagers install; see manual.h.
int Manual(std::span<const std::string> words, Streams streams) {
  if (words.size() == 1 && words[0] == "--man") {
    streams.out << ManPage(Commands());
  } else if (words.size() == 1 && words[0] == "--bash") {
    streams.out << BashCompletion(Commands());
  } else if (words.size() == 1 && words[0] == "--zsh") {
    streams.out << ZshCompletion(Commands());
  } else {
    return Fail(streams, "help: expected --man, --bash, --zsh, or nothing");
  }
  return kOk;
}

}  // namespace

void PrintText(Streams streams, absl::string_view text) {
  if (streams.colour) {
    streams.out << Colour(text);
  } else {
    streams.out << text;
  }
}

int Fail(Streams streams, absl::string_view message) {
  for (absl::string_view line : absl::StrSplit(message, '\n')) {
    if (!line.empty()) streams.err << "k8sdns: " << line << "\n";
  }
  return kError;
}

int Run(std::span<const std::string> words, Streams streams) {
  if (words.empty()) {
    streams.err << Overview();
    return kError;
  }
  if (words[0] == "--version") {
    streams.out << "k8sdns " << K8SDNS_VERSION << "\n";
    return kOk;
  }
  if (words[0] == "help" && words.size() > 1) {
    return Manual(words.subspan(1), streams);
  }
  if (words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    streams.out << Overview();
    return kOk;
  }
  for (const Command& command : Commands()) {
    if (command.name != words[0]) continue;
    const std::span<const std::string> rest = words.subspan(1);
    for (const std::string& word : rest) {
      if (word == "--") break;
      if (word == "--help" || word == "-h") {
        streams.out << Help(command);
        return kOk;
      }
    }
    absl::StatusOr<Args> args = Args::Parse(command.flags, rest);
    if (!args.ok()) {
      return Fail(streams,
                  absl::StrCat(command.name, ": ", args.status().message(),
                               "; see k8sdns ", command.name, " --help"));
    }
    return command.run(*args, streams);
  }
  return Fail(streams, absl::StrCat("unknown command ", words[0],
                                    "; see k8sdns --help"));
}

}  // namespace k8sdns::cli
