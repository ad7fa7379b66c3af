// The manual page and the shell completions, written from the table of
// commands, so that they say what the program does. Private to the room.
//
//   k8sdns help --man  > k8sdns.1
//   k8sdns help --bash > /usr/share/bash-completion/completions/k8sdns
//   k8sdns help --zsh  > /usr/share/zsh/site-functions/_k8sdns
#ifndef K8SDNS_CLI_MANUAL_H_
#define K8SDNS_CLI_MANUAL_H_

#include <span>
#include <string>

#include "k8sdns/cli/command.h"

namespace k8sdns::cli {

std::string ManPage(std::span<const Command> commands);  // man(7)
std::string BashCompletion(std::span<const Command> commands);
std::string ZshCompletion(std::span<const Command> commands);

}  // namespace k8sdns::cli

#endif  // K8SDNS_CLI_MANUAL_H_
