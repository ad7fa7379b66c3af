// The verdict over a family of recordings: passed/total by group, and the list
// of cases that are expected to fail, checked in both directions.
#ifndef K8SDNS_TESTS_CONFORMANCE_CONFORMANCE_H_
#define K8SDNS_TESTS_CONFORMANCE_CONFORMANCE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "tests/conformance/replay.h"

namespace k8sdns::conformance {

// One case, compared.
struct CaseResult {
  std::string group;  // the unit of the summary: a folder or a file
  std::string id;     // unique in its group
  bool ok = false;
  std::string difference;  // shown for an unexpected failure
};

// Where tests find the recordings, and a folder that they may write to.
// Replays `family` there by `replay` and returns the two folders.
// Fails the test if the replay fails or if there is no recording at all.
ReplayPaths ReplayForTest(absl::string_view family, ReplayFunction replay);

// Prints passed/total by group. Fails the test for each case that fails and
// is not listed in tests/conformance/expected_failures/<family>.txt (lines
// "group id  # reason"; no file: none), and for each listed case that passes
// or does not exist.
void ExpectConforms(absl::string_view family,
                    const std::vector<CaseResult>& results);

// A line diff of two texts, at most `limit` lines; empty if they are equal.
std::string LineDifference(absl::string_view want, absl::string_view got,
                           int limit = 20);

}  // namespace k8sdns::conformance

#endif  // K8SDNS_TESTS_CONFORMANCE_CONFORMANCE_H_
