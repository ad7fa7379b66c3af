// k8sdns equivalent: whether two dumps give every packet the same fate.
#include <ostream>

#include "absl/strings/str_cat.h"
#include "k8sdns/cli/commands.h"
#include "k8sdns/cli/inputs.h"
#include "k8sdns/dataplane/equivalence.h"
#include "k8sdns/journey/equivalence_json.h"

namespace k8sdns::cli {

int RunEquivalent(const Args& args, Streams streams) {
  if (args.positional().size() != 2) {
    return Fail(streams, "equivalent: expected two files");
  }
  const std::string family = args.Get("family");
  if (family != "4" && family != "6") {
    return Fail(streams, absl::StrCat("--family: found \"", family,
                                      "\", expected 4 or 6"));
  }
  const std::string format = args.Get("output");
  if (format != "text" && format != "json") {
    return Fail(streams, absl::StrCat("--output: found \"", format,
                                      "\", expected text or json"));
  }
  dataplane::EquivalenceOptions options;
  options.any_mark = !args.Has("no-marks");
  absl::StatusOr<int64_t> limit =
      ReadInt(args, "max-splits", 1, int64_t{1} << 40);
  if (!limit.ok()) return Fail(streams, limit.status().message());
  options.max_splits = static_cast<size_t>(*limit);
  std::vector<netfilter::Ruleset> rules;
  for (const std::string& file : args.positional()) {
    absl::StatusOr<netfilter::Ruleset> read = LoadRules(
        file, family == "4" ? IpFamily::kIpv4 : IpFamily::kIpv6, args, streams);
    if (!read.ok()) return Fail(streams, read.status().message());
    rules.push_back(*std::move(read));
  }
  absl::StatusOr<dataplane::Equivalence> result =
      dataplane::CompareFates(rules[0], rules[1], options);
  if (!result.ok()) return Fail(streams, result.status().message());
  if (format == "json") {
    absl::StatusOr<std::string> json = journey::EquivalenceToJson(*result);
    if (!json.ok()) return Fail(streams, json.status().message());
    streams.out << *json;
  } else {
    streams.out << result->ToString();
  }
  return result->answer == dataplane::Equivalence::kEquivalent ? kOk
                                                               : kFindings;
}

}  // namespace k8sdns::cli
