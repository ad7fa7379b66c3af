// gMock matchers for what the library tells: where packets go, what names
// resolve to, what is found.
//
//   using k8sdns::testing::RoutesToOneOf;
//
//   EXPECT_THAT(world->Send(Place::OfPod("default", "client"), packet),
//               RoutesToOneOf("10.244.1.5:8080", "10.244.2.6:8080"));
//   EXPECT_THAT(node.Match(arrival), IsRejectedWith("icmp-port-unreachable"));
//   EXPECT_THAT(lookup, AllOf(ResolvesTo("10.96.0.20"),
//                             SendsQueries("A
//                             web.default.svc.cluster.local.")));
//   EXPECT_THAT(journey::CheckRouting(cluster, options),
//               HasFinding("routing/no-endpoints", "Service default/web"));
//
// What they apply to:
//   packets   dataplane::Outcome, Branch, std::vector<Branch>; journey::Trip,
//             std::vector<Trip>, absl::StatusOr of it
//   names     journey::NameLookup, absl::StatusOr of it;
//             dns::LookupTranscript; ResolvesTo() also dns::LookupResult
//   findings  containers of Finding, absl::StatusOr of them
//
// A set of outcomes (std::vector) matches if all of them do. A failure shows
// each outcome that does not, with its probability and the rules that it met.
// Branches refer to rules by number; WithRules(branches, node) names them.
// An error status matches nothing, and an empty set neither.
#ifndef K8SDNS_TESTING_MATCHERS_H_
#define K8SDNS_TESTING_MATCHERS_H_

#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "k8sdns/cluster/finding.h"
#include "k8sdns/dataplane/node_dataplane.h"
#include "k8sdns/journey/name_lookup.h"
#include "k8sdns/journey/trip.h"

namespace k8sdns::testing {

// Branches with the node whose rules their traces refer to; `node` must outlive
// it.
struct BranchesWithRules {
  std::vector<dataplane::Branch> branches;
  const dataplane::NodeDataplane* node;
};
inline BranchesWithRules WithRules(std::vector<dataplane::Branch> branches,
                                   const dataplane::NodeDataplane& node) {
  return {std::move(branches), &node};
}

namespace internal {

// One possible outcome, whatever type told it.
struct Fate {
  enum Kind { kArrives, kOutside, kDropped, kRejected, kUnknown };
  Kind kind = kArrives;
  double probability = 1;
  std::string reason;  // of anything but kArrives
  // Of kRejected: "icmp-port-unreachable", "tcp-reset".
  std::string rejected_with;
  std::optional<IpAddress> sent_from;  // as the sender sent it, if known
  Packet received;
  std::string receiver;  // "Pod default/web"; may be unknown
  std::string trace;     // indented lines
};
using Fates = absl::StatusOr<std::vector<Fate>>;

Fates FatesOf(const dataplane::Outcome& outcome);
Fates FatesOf(const dataplane::Branch& branch);
Fates FatesOf(const std::vector<dataplane::Branch>& branches);
Fates FatesOf(const BranchesWithRules& branches);
Fates FatesOf(const journey::Trip& trip);
Fates FatesOf(const std::vector<journey::Trip>& trips);
Fates FatesOf(const absl::StatusOr<std::vector<journey::Trip>>& trips);

struct Lookup {
  std::vector<std::string> queries;  // "A web.default.svc.cluster.local."
  dns::LookupResult result;
  std::string text;
};
absl::StatusOr<Lookup> LookupOf(const journey::NameLookup& lookup);
absl::StatusOr<Lookup> LookupOf(
    const absl::StatusOr<journey::NameLookup>& lookup);
absl::StatusOr<Lookup> LookupOf(const dns::LookupTranscript& transcript);
absl::StatusOr<Lookup> LookupOf(const dns::LookupResult& result);

using Listener = ::testing::MatchResultListener;

// What a matcher says about itself: "routes to X", "doesn't route to X".
struct Description {
  std::string is;
  std::string is_not;
};

class FateMatcher {
 public:
  // `each` judges one outcome and `all`, which may be null, the set; both say
  // what is wrong, "" for nothing.
  using Each = std::function<std::string(const Fate&)>;
  using All = std::function<std::string(const std::vector<Fate>&)>;
  FateMatcher(Description description, Each each, All all = nullptr)
      : description_(std::move(description)),
        each_(std::move(each)),
        all_(std::move(all)) {}

  template <typename T>
  bool MatchAndExplain(const T& value, Listener* listener) const {
    return Explain(FatesOf(value), listener);
  }
  void DescribeTo(std::ostream* out) const { *out << description_.is; }
  void DescribeNegationTo(std::ostream* out) const {
    *out << description_.is_not;
  }

 private:
  bool Explain(const Fates& fates, Listener* listener) const;

  Description description_;
  Each each_;
  All all_;
};

class LookupMatcher {
 public:
  using Judge = std::function<std::string(const Lookup&)>;
  LookupMatcher(Description description, Judge judge)
      : description_(std::move(description)), judge_(std::move(judge)) {}

  template <typename T>
  bool MatchAndExplain(const T& value, Listener* listener) const {
    return Explain(LookupOf(value), listener);
  }
  void DescribeTo(std::ostream* out) const { *out << description_.is; }
  void DescribeNegationTo(std::ostream* out) const {
    *out << description_.is_not;
  }

 private:
  bool Explain(const absl::StatusOr<Lookup>& lookup, Listener* listener) const;

  Description description_;
  Judge judge_;
};

class FindingMatcher {
 public:
  FindingMatcher(absl::string_view id, absl::string_view object)
      : id_(id), object_(object) {}

  template <typename Findings>
  bool MatchAndExplain(const absl::StatusOr<Findings>& findings,
                       Listener* listener) const {
    if (findings.ok()) return MatchAndExplain(*findings, listener);
    *listener << "which is the error " << findings.status().ToString();
    return false;
  }
  template <typename Findings>
  bool MatchAndExplain(const Findings& findings, Listener* listener) const {
    return Explain(std::vector<Finding>(findings.begin(), findings.end()),
                   listener);
  }
  void DescribeTo(std::ostream* out) const;
  void DescribeNegationTo(std::ostream* out) const;

 private:
  bool Explain(const std::vector<Finding>& findings, Listener* listener) const;

  std::string id_;
  std::string object_;
};

template <typename... Texts>
std::vector<std::string> Strings(const Texts&... texts) {
  return {std::string(texts)...};
}

using Fated = ::testing::PolymorphicMatcher<FateMatcher>;
using LookedUp = ::testing::PolymorphicMatcher<LookupMatcher>;
using Found = ::testing::PolymorphicMatcher<FindingMatcher>;
Fated RoutesToAll(std::vector<std::string> targets);
LookedUp ResolvesToAll(std::vector<std::string> addresses);
LookedUp SendsAll(std::vector<std::string> queries);

}  // namespace internal

// ---- packets ----

// Every outcome arrives at `target`: "10.244.1.5:8080", "10.244.1.5" (any
// port), or, for trips, "Pod default/web-1", "node a". An outcome that leaves
// the modelled node or cluster with that destination counts as arriving.
inline internal::Fated RoutesTo(absl::string_view target) {
  return internal::RoutesToAll({std::string(target)});
}
// Every outcome arrives at one of the targets, and each target is possible.
template <typename... Targets>
internal::Fated RoutesToOneOf(const Targets&... targets) {
  return internal::RoutesToAll(internal::Strings(targets...));
}
// Every outcome is a drop, by rules, by routing or by a NetworkPolicy.
internal::Fated IsDropped();
// Every outcome is a rejection: "icmp-port-unreachable", "tcp-reset", ...
internal::Fated IsRejectedWith(absl::string_view with);
// Every outcome arrives, with another source address than it was sent from:
// `address`, if given. Not for a single dataplane::Outcome, which does not tell
// where it was sent from.
internal::Fated IsMasqueraded(absl::string_view address = "");

// ---- names ----

// The lookup succeeds with exactly these addresses, in any order.
template <typename... Addresses>
internal::LookedUp ResolvesTo(const Addresses&... addresses) {
  return internal::ResolvesToAll(internal::Strings(addresses...));
}
// The lookup fails: with `rc` ("EAI_NONAME"), if given.
internal::LookedUp FailsToResolve(absl::string_view rc = "");
// Exactly these queries, in this order: "AAAA web.default.svc.cluster.local.".
template <typename... Queries>
internal::LookedUp SendsQueries(const Queries&... queries) {
  return internal::SendsAll(internal::Strings(queries...));
}

// ---- findings ----

// There is a finding with this id, about `object` ("Service default/web") if
// that is given.
inline internal::Found HasFinding(absl::string_view id,
                                  absl::string_view object = "") {
  return ::testing::MakePolymorphicMatcher(
      internal::FindingMatcher(id, object));
}

// How GoogleTest prints what WithRules() gives.
void PrintTo(const BranchesWithRules& branches, std::ostream* out);

}  // namespace k8sdns::testing

// How GoogleTest prints the values: a line each.
namespace k8sdns {
void PrintTo(const Finding& finding, std::ostream* out);
}
namespace k8sdns::dataplane {
void PrintTo(const Outcome& outcome, std::ostream* out);
void PrintTo(const Branch& branch, std::ostream* out);
}  // namespace k8sdns::dataplane
namespace k8sdns::journey {
void PrintTo(const Trip& trip, std::ostream* out);
void PrintTo(const absl::StatusOr<std::vector<Trip>>& trips, std::ostream* out);
void PrintTo(const NameLookup& lookup, std::ostream* out);
void PrintTo(const absl::StatusOr<NameLookup>& lookup, std::ostream* out);
}  // namespace k8sdns::journey
namespace k8sdns::dns {
void PrintTo(const LookupTranscript& transcript, std::ostream* out);
void PrintTo(const LookupResult& result, std::ostream* out);
}  // namespace k8sdns::dns

#endif  // K8SDNS_TESTING_MATCHERS_H_
