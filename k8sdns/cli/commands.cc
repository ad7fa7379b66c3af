// The table of commands; each has a file of its own.
#include "k8sdns/cli/commands.h"

#include "k8sdns/cli/command.h"

namespace k8sdns::cli {

std::span<const Command> Commands() {
  static constexpr Command kCommands[] = {
      kWalkCommand,        //
      kCompileCommand,     //
      kCheckCommand,       //
      kDiffCommand,        //
      kEquivalentCommand,  //
      kTraceCommand,       //
      kModesCommand,       //
      kResolveCommand,     //
      kDigCommand,         //
      kResolvConfCommand,  //
      kRulesCommand,       //
      kGraphCommand,       //
      kGenerateCommand,    //
      kBenchCommand,       //
  };
  return kCommands;
}

}  // namespace k8sdns::cli
