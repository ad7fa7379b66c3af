// Loading: a cluster of 10,000 Services with 10 endpoints each, as JSON, YAML
// and a protobuf snapshot, into a Cluster. The floors are a memcpy of the text,
// a scan of it for newlines, what the parsers of the two libraries take, and a
// copy of the objects.
//
//   ./bazelw run -c opt //benchmarks:load_benchmark

#include <malloc.h>
#include <yaml.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "absl/strings/string_view.h"
#include "benchmark/benchmark.h"
#include "k8sdns/cluster/manifest_reader.h"
#include "k8sdns/cluster/manifest_writer.h"
#include "k8sdns/cluster/snapshot.h"
#include "k8sdns/testing/cluster_generator.h"
#include "simdjson.h"

namespace k8sdns::benchmarks {
namespace {

constexpr int kEndpointsPerService = 10;

Cluster Generate(int64_t services) {
  testing::ClusterShape shape;
  shape.services = static_cast<size_t>(services);
  shape.endpoints_per_service = kEndpointsPerService;
  return testing::GenerateCluster(shape);
}

std::string Json(int64_t services) {
  return WriteJson(Generate(services), ManifestFormat::kCompactJson);
}
std::string Yaml(int64_t services) { return WriteYaml(Generate(services)); }
std::string Proto(int64_t services) {
  return *WriteSnapshot(Generate(services));
}

size_t HeapInUse() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

void Report(benchmark::State& state, const std::string& text) {
  const double endpoints =
      static_cast<double>(state.range(0)) * kEndpointsPerService;
  state.SetBytesProcessed(static_cast<int64_t>(text.size()) *
                          static_cast<int64_t>(state.iterations()));
  state.counters["bytes_per_endpoint"] =
      static_cast<double>(text.size()) / endpoints;
  state.counters["ns_per_endpoint"] = benchmark::Counter(
      endpoints * 1e-9, benchmark::Counter::kIsIterationInvariantRate |
                            benchmark::Counter::kInvert);
  state.counters["MB_per_s"] =
      benchmark::Counter(static_cast<double>(text.size()) * 1e-6,
                         benchmark::Counter::kIsIterationInvariantRate);
  state.counters["ms"] =
      benchmark::Counter(1e-3, benchmark::Counter::kIsIterationInvariantRate |
                                   benchmark::Counter::kInvert);
  state.SetComplexityN(state.range(0));
}

// Gives the objects back, and the memory to the system, so that each round has
// the heap of a new process. Not timed: nobody waits for it.
void GiveBack(benchmark::State& state, Cluster& cluster) {
  state.PauseTiming();
  cluster = Cluster();
  malloc_trim(0);
  state.ResumeTiming();
}

// Loads again and again.
template <typename Load>
void LoadAgain(benchmark::State& state, const std::string& text, Load load) {
  size_t bytes = 0;
  const size_t before = HeapInUse();
  for (auto _ : state) {
    auto cluster = load(text);
    if (!cluster.ok()) {
      state.SkipWithError(std::string(cluster.status().message()).c_str());
      break;
    }
    if (bytes == 0) {
      state.PauseTiming();
      bytes = HeapInUse() - before;
      state.ResumeTiming();
    }
    GiveBack(state, *cluster);
  }
  Report(state, text);
  state.counters["memory_MB"] = static_cast<double>(bytes) / 1e6;
}

void BM_LoadJson(benchmark::State& state) {
  LoadAgain(state, Json(state.range(0)), [](const std::string& text) {
    return ReadCluster(text, "cluster.json");
  });
}
void BM_LoadYaml(benchmark::State& state) {
  LoadAgain(state, Yaml(state.range(0)), [](const std::string& text) {
    return ReadCluster(text, "cluster.yaml");
  });
}
void BM_LoadProto(benchmark::State& state) {
  LoadAgain(state, Proto(state.range(0)),
            [](const std::string& text) { return ReadSnapshot(text); });
}

#define K8SDNS_SIZES \
  RangeMultiplier(10)->Range(10, 10'000)->Unit(benchmark::kMillisecond)
BENCHMARK(BM_LoadJson)->K8SDNS_SIZES->Complexity(benchmark::oN);
BENCHMARK(BM_LoadYaml)->K8SDNS_SIZES->Complexity(benchmark::oN);
BENCHMARK(BM_LoadProto)->K8SDNS_SIZES->Complexity(benchmark::oN);

void BM_WriteJson(benchmark::State& state) {
  const Cluster cluster = Generate(state.range(0));
  std::string text;
  for (auto _ : state) {
    text = WriteJson(cluster, ManifestFormat::kCompactJson);
    benchmark::DoNotOptimize(text.data());
  }
  Report(state, text);
}
void BM_WriteYaml(benchmark::State& state) {
  const Cluster cluster = Generate(state.range(0));
  std::string text;
  for (auto _ : state) {
    text = WriteYaml(cluster);
    benchmark::DoNotOptimize(text.data());
  }
  Report(state, text);
}
void BM_WriteProto(benchmark::State& state) {
  const Cluster cluster = Generate(state.range(0));
  std::string text;
  for (auto _ : state) {
    text = *WriteSnapshot(cluster);
    benchmark::DoNotOptimize(text.data());
  }
  Report(state, text);
}
BENCHMARK(BM_WriteJson)->Arg(10'000)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_WriteYaml)->Arg(10'000)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_WriteProto)->Arg(10'000)->Unit(benchmark::kMillisecond);

// --- Floors ------------------------------------------------------------------

// simdjson's first stage: the index that On-Demand walks.
void BM_FloorJsonIndex(benchmark::State& state) {
  const simdjson::padded_string text(Json(state.range(0)));
  for (auto _ : state) {
    simdjson::ondemand::parser parser;
    simdjson::ondemand::document document;
    benchmark::DoNotOptimize(parser.iterate(text).get(document));
  }
  state.SetBytesProcessed(static_cast<int64_t>(text.size()) *
                          static_cast<int64_t>(state.iterations()));
}
void BM_FloorMemcpyJson(benchmark::State& state) {
  const std::string text = Json(state.range(0));
  std::string to(text.size(), '\0');
  for (auto _ : state) {
    std::memcpy(to.data(), text.data(), text.size());
    benchmark::DoNotOptimize(to.data());
  }
  Report(state, text);
}
void BM_FloorNewlinesYaml(benchmark::State& state) {
  const std::string text = Yaml(state.range(0));
  for (auto _ : state) {
    benchmark::DoNotOptimize(std::count(text.begin(), text.end(), '\n'));
  }
  Report(state, text);
}
// libyaml's events, looked at by nobody.
void BM_FloorYamlEvents(benchmark::State& state) {
  const std::string text = Yaml(state.range(0));
  for (auto _ : state) {
    yaml_parser_t parser;
    yaml_parser_initialize(&parser);
    yaml_parser_set_input_string(
        &parser, reinterpret_cast<const unsigned char*>(text.data()),
        text.size());
    bool done = false;
    while (!done) {
      yaml_event_t event;
      done = yaml_parser_parse(&parser, &event) == 0 ||
             event.type == YAML_STREAM_END_EVENT;
      yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
  }
  Report(state, text);
}

void CopyObjects(const Cluster& cluster, Cluster& copy) {
  for (const Service& s : cluster.services()) copy.Put(s);
  for (const EndpointSlice& s : cluster.endpoint_slices()) copy.Put(s);
}

// What a reader of JSON cannot do without: the index, and making the objects.
void BM_FloorIndexAndCopy(benchmark::State& state) {
  const Cluster cluster = Generate(state.range(0));
  const simdjson::padded_string text(Json(state.range(0)));
  for (auto _ : state) {
    simdjson::ondemand::parser parser;
    simdjson::ondemand::document document;
    benchmark::DoNotOptimize(parser.iterate(text).get(document));
    Cluster copy;
    CopyObjects(cluster, copy);
    benchmark::DoNotOptimize(copy);
    GiveBack(state, copy);
  }
}
void BM_FloorCopyCluster(benchmark::State& state) {
  const Cluster cluster = Generate(state.range(0));
  for (auto _ : state) {
    Cluster copy;
    CopyObjects(cluster, copy);
    benchmark::DoNotOptimize(copy);
    GiveBack(state, copy);
  }
}
BENCHMARK(BM_FloorJsonIndex)->Arg(10'000)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_FloorMemcpyJson)->Arg(10'000)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_FloorNewlinesYaml)->Arg(10'000)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_FloorYamlEvents)->Arg(10'000)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_FloorIndexAndCopy)->Arg(10'000)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_FloorCopyCluster)->Arg(10'000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace k8sdns::benchmarks
