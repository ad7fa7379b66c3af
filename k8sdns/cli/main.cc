// The k8sdns command.
#include <iostream>
#include <string>
#include <vector>

#include "k8sdns/cli/command.h"

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  const std::vector<std::string> words(argv + 1, argv + argc);
  return k8sdns::cli::Run(words, {std::cin, std::cout, std::cerr});
}
