// Reading and printing iptables-save text: 10,000 services of 10 endpoints.
// Floors: a scan of the same bytes for newlines, a copy of the output.
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "benchmark/benchmark.h"
#include "k8sdns/netfilter/iptables_save.h"

namespace k8sdns::netfilter {
namespace {

constexpr int kServices = 10'000;
constexpr int kEndpoints = 10;

// Names as kube-proxy makes them of a hash: 16 letters and digits, in an order
// that has nothing to do with the services'.
std::string HashName(uint64_t n) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  std::string out;
  for (int i = 0; i < 2; ++i) {
    n = (n + 1) * 0x9e3779b97f4a7c15ULL;
    n ^= n >> 29;
    for (int k = 0; k < 8; ++k) out.push_back(kDigits[n >> (5 * k + 8) & 31]);
  }
  return out;
}

std::string MakeRules() {
  std::string chains;
  std::string rules;
  std::string dispatch;
  for (int s = 0; s < kServices; ++s) {
    const std::string svc =
        absl::StrCat("KUBE-SVC-", HashName(static_cast<uint64_t>(s)));
    const std::string vip =
        absl::StrFormat("10.%d.%d.%d", 96 + s / 65536, s / 256 % 256, s % 256);
    const std::string name = absl::StrFormat("ns-%d/svc-%d:http", s % 100, s);
    absl::StrAppend(&chains, ":", svc, " - [0:0]\n");
    absl::StrAppend(&dispatch, "-A KUBE-SERVICES -d ", vip,
                    "/32 -p tcp -m comment --comment \"", name,
                    " cluster IP\" -m tcp --dport 80 -j ", svc, "\n");
    for (int e = 0; e < kEndpoints; ++e) {
      const uint32_t id = static_cast<uint32_t>(s * kEndpoints + e);
      const std::string sep =
          absl::StrCat("KUBE-SEP-", HashName(id + 1'000'000'007ULL));
      const std::string pod = absl::StrFormat("192.%d.%d.%d", id >> 16 & 255,
                                              id >> 8 & 255, id & 255);
      absl::StrAppend(&chains, ":", sep, " - [0:0]\n");
      absl::StrAppend(&rules, "-A ", svc, " -m comment --comment \"", name,
                      " -> ", pod, ":8080\"");
      if (e + 1 < kEndpoints) {
        absl::StrAppendFormat(&rules,
                              " -m statistic --mode random --probability %.11f",
                              1.0 / (kEndpoints - e));
      }
      absl::StrAppend(&rules, " -j ", sep, "\n-A ", sep, " -s ", pod,
                      "/32 -m comment --comment \"", name,
                      "\" -j KUBE-MARK-MASQ\n-A ", sep,
                      " -p tcp -m comment --comment \"", name,
                      "\" -m tcp -j DNAT --to-destination ", pod, ":8080\n");
    }
  }
  return absl::StrCat(
      "*nat\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
      ":KUBE-SERVICES - [0:0]\n:KUBE-MARK-MASQ - [0:0]\n",
      chains,
      "-A PREROUTING -m comment --comment \"kubernetes service portals\" -j "
      "KUBE-SERVICES\n"
      "-A OUTPUT -m comment --comment \"kubernetes service portals\" -j "
      "KUBE-SERVICES\n"
      "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000\n",
      dispatch, rules, "COMMIT\n# Completed on Mon Nov 23 00:00:00 2026\n");
}

// What iptables-save prints after iptables-restore of them: chains sorted.
const std::string& Dump() {
  static const std::string* const dump = new std::string(PrintIptablesSave(
      ParseIptablesSave(MakeRules(), IpFamily::kIpv4).value()));
  return *dump;
}

void BM_NewlineScan(benchmark::State& state) {
  const std::string& text = Dump();
  for (auto _ : state) {
    size_t lines = 0;
    const char* p = text.data();
    const char* end = p + text.size();
    while ((p = static_cast<const char*>(std::memchr(p, '\n', end - p)))) {
      ++lines;
      ++p;
    }
    benchmark::DoNotOptimize(lines);
  }
  state.SetBytesProcessed(state.iterations() * text.size());
}
BENCHMARK(BM_NewlineScan)->Unit(benchmark::kMillisecond);

void BM_Parse(benchmark::State& state) {
  const std::string& text = Dump();
  size_t rules = 0;
  size_t memory = 0;
  for (auto _ : state) {
    auto parsed = ParseIptablesSave(text, IpFamily::kIpv4);
    if (!parsed.ok()) {
      state.SkipWithError(std::string(parsed.status().message()).c_str());
      return;
    }
    rules = parsed->rule_count();
    memory = parsed->memory_bytes();
    benchmark::DoNotOptimize(rules);
  }
  state.SetBytesProcessed(state.iterations() * text.size());
  state.counters["GB_per_s"] =
      benchmark::Counter(1e-9 * static_cast<double>(text.size()),
                         benchmark::Counter::kIsIterationInvariantRate);
  state.counters["rules"] = static_cast<double>(rules);
  state.counters["bytes_per_rule"] =
      static_cast<double>(memory) / static_cast<double>(rules);
}
BENCHMARK(BM_Parse)->Unit(benchmark::kMillisecond);

void BM_Print(benchmark::State& state) {
  const auto parsed = ParseIptablesSave(Dump(), IpFamily::kIpv4);
  std::string out;
  for (auto _ : state) {
    out.clear();
    AppendIptablesSave(*parsed, {}, &out);
    benchmark::DoNotOptimize(out.data());
  }
  state.SetBytesProcessed(state.iterations() * out.size());
}
BENCHMARK(BM_Print)->Unit(benchmark::kMillisecond);

void BM_CopyOutput(benchmark::State& state) {
  const std::string& text = Dump();
  std::string out(text.size(), ' ');
  for (auto _ : state) {
    std::memcpy(out.data(), text.data(), text.size());
    benchmark::DoNotOptimize(out.data());
  }
  state.SetBytesProcessed(state.iterations() * text.size());
}
BENCHMARK(BM_CopyOutput)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace k8sdns::netfilter
