// The matches and targets that this library knows, from the table that reads,
// checks and prints them.
//
//   for (const SupportedExtension& e : SupportedExtensions())
//     if (e.support == Support::kEvaluated) std::cout << e.name << "\n";
//
// Pure; thread-safe.
#ifndef K8SDNS_NETFILTER_SUPPORTED_EXTENSIONS_H_
#define K8SDNS_NETFILTER_SUPPORTED_EXTENSIONS_H_

#include <cstdint>
#include <string>
#include <vector>

namespace k8sdns::netfilter {

enum class Support : uint8_t {
  kEvaluated,  // read, checked, printed, and packets are held against it
  // Read, checked and printed canonically; a packet that reaches it becomes
  // Unknown.
  kText,
  kVerbatim,  // printed as it was written; Unknown when reached
};

struct SupportedExtension {
  std::string name;  // after -m or -j
  bool is_target = false;
  bool ipv4 = true;
  bool ipv6 = true;
  Support support = Support::kEvaluated;
  // What evaluation takes for granted or does not know; usually empty.
  std::string note;
  std::vector<std::string> options;  // "--dport"; kVerbatim: none
};

// Matches before targets, each by name. Any other name is refused when rules
// are read, unless ParseOptions::keep_unknown_extensions says otherwise.
std::vector<SupportedExtension> SupportedExtensions();

// The same in Markdown, as the README shows it.
std::string SupportedExtensionsMarkdown();

}  // namespace k8sdns::netfilter

#endif  // K8SDNS_NETFILTER_SUPPORTED_EXTENSIONS_H_
