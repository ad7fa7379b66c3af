#include <filesystem>
#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "k8sdns/cli/commands.h"
#include "k8sdns/cli/inputs.h"
#include "k8sdns/cli/output_file.h"
#include "k8sdns/cluster/manifest_writer.h"
#include "k8sdns/cluster/snapshot.h"
#include "k8sdns/testing/cluster_generator.h"

namespace k8sdns::cli {
namespace {

constexpr int64_t kMany = 100'000'000;

absl::StatusOr<testing::ClusterShape> ReadShape(const Args& args) {
  testing::ClusterShape shape;
  if (args.Has("preset")) {
    const auto preset = testing::FindPreset(args.Get("preset"));
    if (!preset) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--preset: found \"", args.Get("preset"), "\", expected one of ",
          absl::StrJoin(testing::PresetNames(), ", ")));
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
    if (flag == "endpoints") shape.total_endpoints.reset();
    absl::StatusOr<int64_t> value = ReadInt(args, flag, 0, kMany);
    if (!value.ok()) return value.status();
    *field = static_cast<size_t>(*value);
  }
  const std::pair<absl::string_view, double*> shares[] = {
      {"node-port", &shape.node_port},
      {"load-balancer", &shape.load_balancer},
      {"local", &shape.external_traffic_policy_local},
      {"internal-local", &shape.internal_traffic_policy_local},
      {"affinity", &shape.session_affinity},
      {"headless", &shape.headless},
      {"udp", &shape.udp},
      {"sctp", &shape.sctp},
      {"named-ports", &shape.named_target},
      {"dual-stack", &shape.dual_stack},
      {"ipv6", &shape.ipv6},
      {"not-ready", &shape.not_ready},
  };
  for (const auto& [flag, field] : shares) {
    absl::StatusOr<double> value = ReadNumber(args, flag, 0, 1);
    if (!value.ok()) return value.status();
    *field = *value;
  }
  if (args.Has("total-endpoints")) {
    absl::StatusOr<int64_t> value = ReadInt(args, "total-endpoints", 0, kMany);
    if (!value.ok()) return value.status();
    shape.total_endpoints = static_cast<size_t>(*value);
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

enum class Format { kYaml, kJson, kProto };

std::optional<Format> FindFormat(absl::string_view name) {
  if (name == "yaml") return Format::kYaml;
  if (name == "json") return Format::kJson;
  if (name == "proto") return Format::kProto;
  return std::nullopt;
}

// InvalidArgument, with the estimate, for a cluster that would not fit.
absl::Status CheckSize(const testing::ClusterShape& shape, Format format,
                       int64_t max_memory_mib, const std::string& file) {
  const testing::ShapeSize size = testing::EstimateSize(shape);
  const size_t bytes = format == Format::kYaml   ? size.yaml_bytes
                       : format == Format::kJson ? size.json_bytes
                                                 : size.proto_bytes;
  const auto refuse = [&](size_t estimate, absl::string_view what,
                          absl::string_view limit) {
    return absl::InvalidArgumentError(
        absl::StrCat("a cluster of ", size.services, " Services and ",
                     size.endpoints, " endpoints takes about ", estimate >> 20,
                     " MiB ", what, ", more than ", limit));
  };
  if (size.memory_bytes >> 20 > static_cast<size_t>(max_memory_mib)) {
    return refuse(size.memory_bytes, "once loaded",
                  absl::StrCat("--max-memory ", max_memory_mib));
  }
  const size_t most = SnapshotOptions().max_bytes;
  if (format == Format::kProto && bytes > most) {
    return refuse(bytes, "as protobuf",
                  absl::StrCat("the ", most >> 20, " that it has room for"));
  }
  if (file.empty()) return absl::OkStatus();
  std::error_code error;
  const auto space = std::filesystem::space(
      std::filesystem::absolute(file).parent_path(), error);
  if (!error && bytes > space.available) {
    return refuse(bytes, "on the disk",
                  absl::StrCat("the ", space.available >> 20,
                               " that are free for ", file));
  }
  return absl::OkStatus();
}

// Hands text to `write` in large pieces as the objects come. False from it ends
// the generation; returns whether all was written.
class ClusterStream {
 public:
  ClusterStream(Format format, std::function<bool(absl::string_view)> write)
      : write_(std::move(write)) {
    if (format == Format::kProto) {
      writer_.emplace<SnapshotWriter>(&buffer_);
    } else {
      writer_.emplace<ManifestListWriter>(format == Format::kYaml
                                              ? ManifestFormat::kYaml
                                              : ManifestFormat::kJson,
                                          &buffer_);
    }
  }

  bool Run(const testing::ClusterShape& shape) {
    const auto add = [this](const auto& object) {
      if (auto* list = std::get_if<ManifestListWriter>(&writer_)) {
        list->Add(object);
      } else {
        std::get<SnapshotWriter>(writer_).Add(object);
      }
      return buffer_.size() < kPiece || Flush();
    };
    testing::GenerateObjects(shape, {add, add, add, add, add});
    if (failed_) return false;
    if (auto* list = std::get_if<ManifestListWriter>(&writer_)) list->Finish();
    return Flush();
  }

 private:
  static constexpr size_t kPiece = size_t{1} << 20;

  bool Flush() {
    failed_ = !write_(buffer_);
    buffer_.clear();
    return !failed_;
  }

  std::function<bool(absl::string_view)> write_;
  std::string buffer_;
  std::variant<std::monostate, ManifestListWriter, SnapshotWriter> writer_;
  bool failed_ = false;
};

absl::Status WriteToFile(const testing::ClusterShape& shape, Format format,
                         const std::string& name) {
  absl::StatusOr<OutputFile> file = OutputFile::Create(name);
  if (!file.ok()) return file.status();
  absl::Status status;
  ClusterStream stream(format, [&](absl::string_view bytes) {
    status = file->Write(bytes);
    return status.ok();
  });
  return stream.Run(shape) ? file->Commit() : status;
}

absl::Status WriteToStream(const testing::ClusterShape& shape, Format format,
                           std::ostream& out) {
  ClusterStream stream(format, [&](absl::string_view bytes) {
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return out.good();
  });
  if (stream.Run(shape) && out.flush().good()) return absl::OkStatus();
  return absl::UnavailableError("cannot write the output");
}

}  // namespace

int RunGenerate(const Args& args, Streams streams) {
  if (!args.positional().empty()) {
    return Fail(streams,
                absl::StrCat("generate: found argument \"",
                             args.positional()[0], "\", expected only flags"));
  }
  absl::StatusOr<testing::ClusterShape> shape = ReadShape(args);
  if (!shape.ok()) return Fail(streams, shape.status().message());
  const std::optional<Format> format = FindFormat(args.Get("output"));
  if (!format) {
    return Fail(streams, absl::StrCat("--output: found \"", args.Get("output"),
                                      "\", expected yaml, json or proto"));
  }
  absl::StatusOr<int64_t> limit = ReadInt(args, "max-memory", 1, kMany);
  if (!limit.ok()) return Fail(streams, limit.status().message());
  const std::string file = args.Get("out");
  absl::Status status = CheckSize(*shape, *format, *limit, file);
  if (status.ok()) {
    status = file.empty() ? WriteToStream(*shape, *format, streams.out)
                          : WriteToFile(*shape, *format, file);
  }
  return status.ok() ? kOk : Fail(streams, status.message());
}

}  // namespace k8sdns::cli
