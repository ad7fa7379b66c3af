// Matcher and LinearMatcher on the rules and packets of the kernel recordings:
// every outcome, trace and state is the same.
#include "k8sdns/dataplane/matcher.h"

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "k8sdns/dataplane/linear_matcher.h"
#include "tests/conformance/kernel_case.h"
#include "tests/conformance/replay.h"

namespace k8sdns::conformance {
namespace {

using dataplane::Branch;
using dataplane::NodeDataplane;

NodeDataplane Load(const KernelCase& input, bool indexed) {
  std::shared_ptr<const dataplane::RuleMatcher> matcher;
  if (indexed) {
    matcher = std::make_shared<dataplane::Matcher>(
        input.rules, dataplane::MatcherOptions{.min_indexed_rules = 2});
  } else {
    matcher = std::make_shared<dataplane::LinearMatcher>(input.rules);
  }
  const bool v4 = input.family == IpFamily::kIpv4;
  NodeDataplane node(input.node, v4 ? matcher : nullptr, v4 ? nullptr : matcher,
                     input.sets);
  if (input.ipvs) node.LoadIpvs(*input.ipvs);
  return node;
}

std::string Traces(const std::vector<Branch>& branches,
                   const netfilter::Ruleset& rules) {
  std::string out;
  for (const Branch& branch : branches) {
    absl::StrAppend(&out, "probability ", branch.probability, "\n");
    for (const dataplane::TraceStep& step : branch.outcome.trace) {
      absl::StrAppend(&out, "  ", TraceLine(step, rules), "\n");
    }
  }
  return out;
}

void ExpectAgreement(const KernelCase& input) {
  NodeDataplane linear = Load(input, false);
  NodeDataplane indexed = Load(input, true);
  indexed.mutable_state() = linear.state();  // shares IPVS's services
  for (const YamlValue& probe : input.probes.items()) {
    for (int n = 0; n < 2; ++n) {
      const dataplane::Arrival arrival = ProbeArrival(probe, input.family, n);
      const std::vector<Branch> want = linear.Match(arrival);
      const std::vector<Branch> got = indexed.Match(arrival);
      ASSERT_EQ(Traces(want, *input.rules), Traces(got, *input.rules))
          << probe["id"].str();
      for (size_t b = 0; b < want.size(); ++b) {
        ASSERT_EQ(want[b].outcome, got[b].outcome) << probe["id"].str();
        ASSERT_TRUE(want[b].after == got[b].after) << probe["id"].str();
      }
      linear.Take(want.back());
      indexed.Take(got.back());
      linear.Advance(2000);
      indexed.Advance(2000);
    }
  }
}

class MatcherOnRecordings : public ::testing::TestWithParam<const char*> {};

TEST_P(MatcherOnRecordings, AgreesWithLinearMatcher) {
  const std::string family = GetParam();
  const std::string corpus =
      absl::StrCat(std::getenv("TEST_SRCDIR"), "/",
                   std::getenv("TEST_WORKSPACE"), "/tests/recordings");
  int cases = 0;
  for (const std::string& name : CaseFolders(corpus, family)) {
    const std::string folder = absl::StrCat(corpus, "/", family, "/", name);
    if (!ReadFile(folder + "/probes.yaml").ok()) continue;
    auto input = ReadKernelCase(folder);
    ASSERT_TRUE(input.ok()) << folder << ": " << input.status();
    SCOPED_TRACE(folder);
    ExpectAgreement(*input);
    ++cases;
  }
  EXPECT_GT(cases, 0);
}

INSTANTIATE_TEST_SUITE_P(Families, MatcherOnRecordings,
                         ::testing::Values("kernel", "kernel-random",
                                           "kernel-random6", "kernel-ipvs"));

}  // namespace
}  // namespace k8sdns::conformance
