// The k8sdns command.
#include <unistd.h>

#include <iostream>
#include <string>
#include <vector>

#include "k8sdns/cli/colour.h"
#include "k8sdns/cli/command.h"

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  const std::vector<std::string> words(argv + 1, argv + argc);
  return k8sdns::cli::Run(words, {std::cin, std::cout, std::cerr,
                                  k8sdns::cli::WantsColour(STDOUT_FILENO)});
}
