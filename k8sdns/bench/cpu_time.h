// CPU time of this process, and medians of it. Private to the room.
#ifndef K8SDNS_BENCH_CPU_TIME_H_
#define K8SDNS_BENCH_CPU_TIME_H_

#include <algorithm>
#include <ctime>
#include <vector>

namespace k8sdns::bench {

inline double CpuNs() {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

// 0 for none.
inline double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<long>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace k8sdns::bench

#endif  // K8SDNS_BENCH_CPU_TIME_H_
