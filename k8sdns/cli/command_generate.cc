#include <ostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "k8sdns/cli/commands.h"
#include "k8sdns/cli/inputs.h"
#include "k8sdns/cluster/manifest_writer.h"
#include "k8sdns/testing/cluster_generator.h"

namespace k8sdns::cli {
namespace {

constexpr int64_t kMany = 100'000'000;

absl::StatusOr<testing::ClusterShape> ReadShape(const Args& args) {
  testing::ClusterShape shape;
  if (args.Has("preset")) {
    const auto preset = testing::FindPreset(args.Get("preset"));
    if (!preset) {
      return absl::InvalidArgumentError(
          absl::StrCat("--preset: found \"", args.Get("preset"),
                       "\", expected 5006-services, 44128-services or "
                       "696k-lines"));
    }
    shape = *preset;
  }
  const std::pair<absl::string_view, size_t*> counts[] = {
      {"services", &shape.services},
      {"endpoints", &shape.endpoints_per_service},
      {"nodes", &shape.nodes},
  };
  for (const auto& [flag, field] : counts) {
    if (args.Has("preset") && !args.Has(flag)) continue;
    absl::StatusOr<int64_t> value = ReadInt(args, flag, 0, kMany);
    if (!value.ok()) return value.status();
    *field = static_cast<size_t>(*value);
  }
  const std::pair<absl::string_view, double*> shares[] = {
      {"node-port", &shape.node_port},
      {"load-balancer", &shape.load_balancer},
      {"local", &shape.external_traffic_policy_local},
      {"affinity", &shape.session_affinity},
      {"headless", &shape.headless},
      {"dual-stack", &shape.dual_stack},
  };
  for (const auto& [flag, field] : shares) {
    absl::StatusOr<double> value = ReadNumber(args, flag, 0, 1);
    if (!value.ok()) return value.status();
    *field = *value;
  }
  if (args.Has("zipf")) {
    absl::StatusOr<double> value = ReadNumber(args, "zipf", 0, 10);
    if (!value.ok()) return value.status();
    shape.zipf = *value;
  }
  const std::pair<absl::string_view, int*> small[] = {
      {"zones", &shape.zones}, {"ports", &shape.ports_per_service}};
  for (const auto& [flag, field] : small) {
    absl::StatusOr<int64_t> value = ReadInt(args, flag, 1, 100);
    if (!value.ok()) return value.status();
    *field = static_cast<int>(*value);
  }
  absl::StatusOr<int64_t> seed = ReadInt(args, "seed", 0, INT64_MAX);
  if (!seed.ok()) return seed.status();
  shape.seed = static_cast<uint64_t>(*seed);
  shape.pods = args.Has("pods");
  const absl::Status status = testing::CheckShape(shape);
  if (!status.ok()) return status;
  return shape;
}

}  // namespace

int RunGenerate(const Args& args, Streams streams) {
  absl::StatusOr<testing::ClusterShape> shape = ReadShape(args);
  if (!shape.ok()) return Fail(streams, shape.status().message());
  absl::StatusOr<int64_t> limit = ReadInt(args, "max-memory", 1, kMany);
  if (!limit.ok()) return Fail(streams, limit.status().message());
  const testing::ShapeSize size = testing::EstimateSize(*shape);
  if (size.memory_bytes >> 20 > static_cast<size_t>(*limit)) {
    return Fail(
        streams,
        absl::StrCat("this cluster takes about ", size.memory_bytes >> 20,
                     " MiB once loaded, more than --max-memory ", *limit));
  }
  // One document an object, so that any size streams.
  const auto write = [&](const auto& object) {
    streams.out << "---\n" << WriteYaml(object);
  };
  testing::GenerateObjects(*shape, {write, write, write, write, write});
  streams.out.flush();
  return streams.out.good() ? kOk : Fail(streams, "cannot write the output");
}

}  // namespace k8sdns::cli
