#include <string>

#include "benchmark/benchmark.h"

static void BM_MakeString(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(std::string(64, 'x'));
}
BENCHMARK(BM_MakeString);
