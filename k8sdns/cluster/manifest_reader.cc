#include "k8sdns/cluster/manifest_reader.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "k8sdns/cluster/document_reader.h"
#include "k8sdns/cluster/read_log.h"
#include "k8sdns/cluster/schema.h"
#include "k8sdns/cluster/text_readers.h"

namespace k8sdns {
namespace {

size_t CountOf(const Cluster& cluster) {
  return cluster.services().size() + cluster.endpoint_slices().size() +
         cluster.endpoints().size() + cluster.pods().size() +
         cluster.nodes().size() + cluster.namespaces().size() +
         cluster.network_policies().size();
}

class ClusterSink : public ObjectSink {
 public:
  ClusterSink(Cluster& cluster, size_t text_size)
      : cluster_(cluster), arena_(text_size >= kLargeText) {}

  absl::Span<const schema::Kind> kinds() const override {
    return schema::ClusterKinds();
  }
  void* Begin(size_t kind) override {
    return BeginOf(kind,
                   std::make_index_sequence<
                       std::variant_size_v<decltype(WatchEvent::object)>>());
  }
  ObjectMeta* Metadata() override {
    return std::visit([](auto& object) { return &object->metadata; }, object_);
  }
  bool AllowsAnyAddress() const override {
    const auto* slice = std::get_if<std::shared_ptr<EndpointSlice>>(&object_);
    return slice != nullptr && (*slice)->address_type == AddressType::kFqdn;
  }
  ObjectArena& arena() override { return arena_; }
  bool Commit() override {
    const size_t before = CountOf(cluster_);
    std::visit([this](auto& object) { cluster_.Put(std::move(object)); },
               object_);
    return CountOf(cluster_) != before;
  }

 private:
  // In bytes. A smaller one is not worth an arena.
  static constexpr size_t kLargeText = size_t{1} << 20;

  template <typename Variant>
  struct Shared;
  template <typename... T>
  struct Shared<std::variant<T...>> {
    using type = std::variant<std::shared_ptr<T>...>;
  };

  template <size_t... i>
  void* BeginOf(size_t kind, std::index_sequence<i...>) {
    void* object = nullptr;
    (void)((i == kind && (object = BeginAlternative<i>(), true)) || ...);
    return object;
  }
  template <size_t i>
  void* BeginAlternative() {
    using T = std::variant_alternative_t<i, decltype(WatchEvent::object)>;
    object_.emplace<i>(arena_.Make<T>());
    return std::get<i>(object_).get();
  }

  Cluster& cluster_;
  ObjectArena arena_;
  Shared<decltype(WatchEvent::object)>::type object_;
};

template <typename Config>
class ConfigSink : public ObjectSink {
 public:
  explicit ConfigSink(const schema::Kind& kind) : kind_(kind) {}

  absl::Span<const schema::Kind> kinds() const override {
    return absl::MakeConstSpan(&kind_, 1);
  }
  void* Begin(size_t) override { return &config_.emplace(); }
  ObjectMeta* Metadata() override { return nullptr; }
  bool AllowsAnyAddress() const override { return false; }
  ObjectArena& arena() override { return arena_; }
  bool Commit() override {
    ++count_;
    return count_ == 1;
  }

  int count() const { return count_; }
  Config& config() { return *config_; }

 private:
  const schema::Kind& kind_;
  ObjectArena arena_{/*in_use=*/false};
  std::optional<Config> config_;
  int count_ = 0;
};

// JSON starts with a brace and then a key in quotes, or is empty; `{a: b}` is
// YAML.
bool IsJson(absl::string_view text) {
  text = absl::StripLeadingAsciiWhitespace(text);
  if (text.empty() || text[0] != '{') return false;
  text = absl::StripLeadingAsciiWhitespace(text.substr(1));
  return !text.empty() && (text[0] == '"' || text[0] == '}');
}

void ReadText(absl::string_view text, ObjectSink& sink, ReadLog& log) {
  if (text.size() > log.options().max_bytes) {
    log.Error({}, PathStep(), absl::StrCat(text.size(), " bytes"),
              absl::StrCat("at most ", log.options().max_bytes));
    return;
  }
  if (IsJson(text)) {
    ReadJsonText(text, sink, log);
    return;
  }
  ReadYamlText(text, sink, log);
}

template <typename Config>
absl::StatusOr<Config> ReadConfig(absl::string_view text,
                                  absl::string_view file_name,
                                  const ReadOptions& options,
                                  ReadReport* report,
                                  const schema::Kind& kind) {
  ReadReport unused;
  ReadLog log(file_name, options, report == nullptr ? unused : *report);
  ConfigSink<Config> sink(kind);
  ReadText(text, sink, log);
  if (log.error_count() == 0 && sink.count() != 1) {
    log.Error({}, PathStep(),
              absl::StrCat(sink.count(), " documents of kind ", kind.kind),
              absl::StrCat("one (apiVersion ", kind.api_version, ")"));
  }
  if (absl::Status status = log.Finish(); !status.ok()) return status;
  return std::move(sink.config());
}

}  // namespace

absl::Status ReadClusterInto(absl::string_view text,
                             absl::string_view file_name, Cluster& cluster,
                             const ReadOptions& options, ReadReport* report) {
  ReadReport own;
  ReadReport& to = report == nullptr ? own : *report;
  ReadLog log(file_name, options, to);
  ClusterSink sink(cluster, text.size());
  const size_t documents_before = to.documents;
  ReadText(text, sink, log);
  if (log.error_count() == 0 && to.documents == documents_before) {
    log.Error({}, PathStep(), text.empty() ? "an empty file" : "no document",
              "Kubernetes objects, as kubectl get -o yaml prints them");
  }
  return log.Finish();
}

absl::StatusOr<Cluster> ReadCluster(absl::string_view text,
                                    absl::string_view file_name,
                                    const ReadOptions& options,
                                    ReadReport* report) {
  Cluster cluster;
  if (absl::Status status =
          ReadClusterInto(text, file_name, cluster, options, report);
      !status.ok()) {
    return status;
  }
  return cluster;
}

absl::StatusOr<KubeProxyConfig> ReadKubeProxyConfig(absl::string_view text,
                                                    absl::string_view file_name,
                                                    const ReadOptions& options,
                                                    ReadReport* report) {
  return ReadConfig<KubeProxyConfig>(
      text, file_name, options, report,
      {"kubeproxy.config.k8s.io/v1alpha1", "KubeProxyConfiguration",
       &schema::KubeProxyConfigType(), false});
}

absl::StatusOr<KubeletConfig> ReadKubeletConfig(absl::string_view text,
                                                absl::string_view file_name,
                                                const ReadOptions& options,
                                                ReadReport* report) {
  return ReadConfig<KubeletConfig>(
      text, file_name, options, report,
      {"kubelet.config.k8s.io/v1beta1", "KubeletConfiguration",
       &schema::KubeletConfigType(), false});
}

}  // namespace k8sdns
