// Replaying recordings: each family reads the inputs of its cases below a
// corpus folder (recorded outputs may be missing there) and writes what the
// library says, at the same relative paths and in the schema of the
// recordings, below an output folder. What the library does not model is left
// out, never guessed.
#ifndef K8SDNS_TESTS_CONFORMANCE_REPLAY_H_
#define K8SDNS_TESTS_CONFORMANCE_REPLAY_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace k8sdns::conformance {

// Where a family's replay reads and writes: the two folders that hold
// kube-proxy/, kernel/, ... The family's own name is part of the path.
struct ReplayPaths {
  std::string corpus;
  std::string out;
};

// An error means that the replay itself could not work (an unreadable file);
// a case that the library refuses is an outcome and is written.
using ReplayFunction = absl::Status (*)(const ReplayPaths& paths);

// The folders right below `root`/`family` in bytewise order, by name. Empty if
// there is no such family.
std::vector<std::string> CaseFolders(absl::string_view root,
                                     absl::string_view family);
// All files below `root`/`under` whose name ends in `suffix`, as paths
// relative to `root`, in bytewise order.
std::vector<std::string> FilesBelow(absl::string_view root,
                                    absl::string_view under,
                                    absl::string_view suffix);

}  // namespace k8sdns::conformance

#endif  // K8SDNS_TESTS_CONFORMANCE_REPLAY_H_
