// Counts are exact; times only have to be there.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "k8sdns/bench/kernel_probe.h"
#include "k8sdns/bench/rule_walk.h"
#include "k8sdns/bench/sizing.h"
#include "k8sdns/bench/sizing_report.h"
#include "k8sdns/bench/svg_plot.h"
#include "k8sdns/netfilter/iptables_save.h"
#include "k8sdns/testing/cluster_builder.h"

namespace k8sdns::bench {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

// ---- rule_walk ----

dataplane::TraceStep Step(const netfilter::Ruleset& rules,
                          dataplane::TraceStep::Kind kind,
                          absl::string_view chain, uint32_t rule = 0) {
  const netfilter::Table& nat = *rules.table(netfilter::TableId::kNat);
  return {kind, netfilter::TableId::kNat, *nat.FindChain(chain), rule, 0};
}

constexpr auto kRule = dataplane::TraceStep::kRule;
constexpr auto kReturn = dataplane::TraceStep::kReturn;
constexpr auto kPolicy = dataplane::TraceStep::kPolicy;

class RuleWalkTest : public ::testing::Test {
 protected:
  const netfilter::Ruleset rules_ = *netfilter::ParseIptablesSave(
      "*nat\n"
      ":PREROUTING ACCEPT\n:INPUT ACCEPT\n:OUTPUT ACCEPT\n"
      ":POSTROUTING ACCEPT\n:A -\n:B -\n"
      "-A PREROUTING -s 10.0.0.1/32 -j ACCEPT\n"
      "-A PREROUTING -j A\n"
      "-A PREROUTING -s 10.0.0.2/32 -j ACCEPT\n"
      "-A POSTROUTING -s 10.0.0.3/32 -j ACCEPT\n"
      "-A A -s 10.0.0.4/32 -j RETURN\n"
      "-A A -s 10.0.0.5/32 -g B\n"
      "-A A -s 10.0.0.6/32 -p tcp -j DNAT --to-destination 10.0.0.7\n"
      "-A B -s 10.0.0.8/32\n"
      "-A B -s 10.0.0.9/32\n"
      "COMMIT\n",
      IpFamily::kIpv4);
};

TEST_F(RuleWalkTest, NothingMatchedMeansAllRulesOfTheChain) {
  EXPECT_EQ(CountEvaluatedRules({Step(rules_, kPolicy, "POSTROUTING")}, rules_),
            1);
}

TEST_F(RuleWalkTest, ThroughAChainAndBack) {
  EXPECT_EQ(CountEvaluatedRules({Step(rules_, kRule, "PREROUTING", 2),
                                 Step(rules_, kReturn, "A"),
                                 Step(rules_, kPolicy, "PREROUTING")},
                                rules_),
            2 + 3 + 1);
}

TEST_F(RuleWalkTest, AReturnLeavesTheRestOfItsChain) {
  EXPECT_EQ(CountEvaluatedRules({Step(rules_, kRule, "PREROUTING", 2),
                                 Step(rules_, kRule, "A", 1),
                                 Step(rules_, kPolicy, "PREROUTING")},
                                rules_),
            2 + 1 + 1);
}

TEST_F(RuleWalkTest, AGotoComesBackToTheCaller) {
  EXPECT_EQ(
      CountEvaluatedRules(
          {Step(rules_, kRule, "PREROUTING", 2), Step(rules_, kRule, "A", 2),
           Step(rules_, kRule, "B", 1), Step(rules_, kReturn, "B"),
           Step(rules_, kPolicy, "PREROUTING")},
          rules_),
      2 + 2 + 2 + 1);
}

TEST_F(RuleWalkTest, ATranslationEndsTheWalkAndTheNextHookBeginsAnew) {
  EXPECT_EQ(CountEvaluatedRules({Step(rules_, kRule, "PREROUTING", 2),
                                 Step(rules_, kRule, "A", 3),
                                 Step(rules_, kPolicy, "POSTROUTING")},
                                rules_),
            2 + 3 + 1);
}

// ---- the run ----

SizingOptions Small() {
  SizingOptions options;
  options.services = {4, 12};
  options.shape.endpoints_per_service = 3;
  options.repetitions = 1;
  return options;
}

TEST(SizingTest, RowsAreSizesTimesModes) {
  std::vector<std::string> steps;
  SizingOptions options = Small();
  options.progress = [&](absl::string_view step, size_t done, size_t total) {
    EXPECT_EQ(done, steps.size());
    EXPECT_LT(done, total);
    steps.emplace_back(step);
  };
  const absl::StatusOr<SizingReport> report = RunSizing(options);
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_EQ(report->rows.size(), 4);
  EXPECT_EQ(report->rows[0].mode, "iptables");
  EXPECT_EQ(report->rows[1].mode, "ipvs");
  EXPECT_EQ(report->rows[2].services, 12);
  EXPECT_EQ(report->rows[2].endpoints, 36);
  for (const SizingRow& row : report->rows) {
    EXPECT_EQ(row.note, "");
    EXPECT_GT(row.text_bytes, 0);
    EXPECT_GT(row.compile_ns, 0);
    EXPECT_GT(row.recompile_ns, 0);
    EXPECT_GT(row.change_ns, 0);
    EXPECT_GT(row.parse_ns, 0);
    ASSERT_TRUE(row.first && row.median && row.last);
    EXPECT_GT(row.first->ns, 0);
  }
}

// kube-proxy 1.30: a Service with n endpoints has a rule in KUBE-SERVICES, n
// in its chain with one more for packets from outside, and two an endpoint.
TEST(SizingTest, IptablesRulesGrowAsKubeProxyWritesThem) {
  const absl::StatusOr<SizingReport> report = RunSizing(Small());
  ASSERT_TRUE(report.ok()) << report.status();
  const SizingRow& small = report->rows[0];
  const SizingRow& large = report->rows[2];
  EXPECT_EQ(large.rules - small.rules, 8 * (1 + 1 + 3 + 2 * 3));
  EXPECT_EQ(large.chains - small.chains, 8 * (1 + 3));
  EXPECT_EQ(large.entries, large.rules);
}

// A rule a Service before it, and nothing else that depends on its place.
TEST(SizingTest, TheKernelsWalkGrowsByARuleAService) {
  const absl::StatusOr<SizingReport> report = RunSizing(Small());
  ASSERT_TRUE(report.ok()) << report.status();
  const SizingRow& small = report->rows[0];
  const SizingRow& large = report->rows[2];
  EXPECT_DOUBLE_EQ(large.first->rules_evaluated, small.first->rules_evaluated);
  EXPECT_NEAR(large.last->rules_evaluated - large.first->rules_evaluated, 11,
              1e-6);
  EXPECT_NEAR(large.median->rules_evaluated - large.first->rules_evaluated, 5,
              1e-6);
}

TEST(SizingTest, IpvsRulesDoNotGrowButItsEntriesDo) {
  const absl::StatusOr<SizingReport> report = RunSizing(Small());
  ASSERT_TRUE(report.ok()) << report.status();
  const SizingRow& small = report->rows[1];
  const SizingRow& large = report->rows[3];
  EXPECT_EQ(large.rules, small.rules);
  // A virtual server with 3 real ones, its address in KUBE-CLUSTER-IP and in
  // KUBE-IPVS-IPS; and in KUBE-LOOP-BACK the endpoints of the node itself.
  EXPECT_GE(large.entries - small.entries, 8 * (1 + 3 + 2));
  EXPECT_DOUBLE_EQ(large.last->rules_evaluated, small.first->rules_evaluated);
}

TEST(SizingTest, AnOwnClusterIsOneRowAMode) {
  const Cluster cluster =
      testing::ClusterBuilder()
          .AddNode("node-1", "172.18.0.11", "10.244.1.0/24")
          .AddService("default/web", "10.96.0.20", {{"app", "web"}})
          .Port("http", 80, 8080)
          .AddEndpoint("10.244.1.5", "node-1")
          .Build();
  SizingOptions options;
  options.cluster = &cluster;
  options.cluster_name = "mine.yaml";
  options.repetitions = 1;
  options.config.cluster_cidr = "10.244.0.0/16";
  const absl::StatusOr<SizingReport> report = RunSizing(options);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->source, "mine.yaml");
  ASSERT_EQ(report->rows.size(), 2);
  EXPECT_EQ(report->rows[0].first->service, "default/web:http");
  EXPECT_EQ(report->rows[0].note, "");
}

TEST(SizingTest, AClusterWithoutServicesHasNoFlows) {
  const Cluster cluster;
  SizingOptions options;
  options.cluster = &cluster;
  options.repetitions = 1;
  const absl::StatusOr<SizingReport> report = RunSizing(options);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_FALSE(report->rows[0].first.has_value());
  EXPECT_EQ(report->rows[0].note,
            "no EndpointSlice to change; no Service with a cluster IP");
}

TEST(SizingTest, WhatDoesNotFitIsRefusedWithAnEstimate) {
  SizingOptions options = Small();
  options.services = {10, 100'000};
  options.max_memory_bytes = 64 << 20;
  const absl::Status status = RunSizing(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("100000 Services with 300000 endpoints take about "));
  EXPECT_THAT(std::string(status.message()),
              HasSubstr(" MiB, more than the 64 MiB allowed"));
}

TEST(SizingTest, ABadShapeIsRefused) {
  SizingOptions options = Small();
  options.services = {100'000'000};
  EXPECT_EQ(RunSizing(options).status().code(),
            absl::StatusCode::kInvalidArgument);
  options = Small();
  options.modes = {ProxyMode::kNftables};
  EXPECT_EQ(RunSizing(options).status().code(),
            absl::StatusCode::kInvalidArgument);
}

// ---- the real kernel ----

TEST(KernelProbeTest, LoadsAndSendsOrSaysWhyNot) {
  const absl::StatusOr<std::string> kernel = DescribeKernel();
  if (!kernel.ok()) GTEST_SKIP() << kernel.status().message();
  EXPECT_THAT(*kernel, HasSubstr("Linux "));
  KernelTables tables;
  tables.iptables =
      "*nat\n:OUTPUT ACCEPT\n"
      "-A OUTPUT -d 10.96.0.1 -p udp -j DNAT --to-destination 10.128.0.9\n"
      "COMMIT\n";
  const IpAddress client = *IpAddress::Parse("10.128.0.1");
  const SocketAddress service = *SocketAddress::Parse("10.96.0.1:80");
  const absl::StatusOr<KernelTimes> times =
      MeasureKernel(tables, client,
                    {{service, Protocol::kUdp},
                     {service, Protocol::kTcp},
                     {service, Protocol::kSctp}});
  ASSERT_TRUE(times.ok()) << times.status();
  EXPECT_GT(times->load_ms, 0);
  EXPECT_GT(times->no_rules_ns, 0);
  ASSERT_EQ(times->first_packet_ns.size(), 3);
  EXPECT_GT(times->first_packet_ns[0].value_or(0), 0);
  EXPECT_GT(times->first_packet_ns[1].value_or(0), 0);
  EXPECT_FALSE(times->first_packet_ns[2].has_value());

  tables.iptables = "*nat\n-A NOWHERE -j ACCEPT\nCOMMIT\n";
  const absl::Status refused = MeasureKernel(tables, client, {}).status();
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr("iptables-restore failed: "));
}

// ---- the printers ----

SizingReport Report() {
  SizingReport report;
  report.source = "a \"cluster\" <1> & more";
  report.kernel = "Linux 6.1, iptables v1.8.9";
  for (const char* mode : {"iptables", "ipvs"}) {
    for (size_t services : {10, 1000}) {
      SizingRow& row = report.rows.emplace_back();
      row.mode = mode;
      row.services = services;
      row.endpoints = 10 * services;
      row.rules = row.entries = 30 * services;
      row.text_bytes = 5000 * services;
      row.compile_ns = 1e5 * static_cast<double>(services);
      row.change_ns = 2100;
      row.first = FlowCost{"ns/a:http", 350, 12};
      row.median = FlowCost{"ns/b:http", 400, 17.5};
    }
  }
  report.rows[1].kernel.load_ms = 12.5;
  report.rows[1].note = "said, \"so\"";
  return report;
}

TEST(ReportTest, ValuesHaveUnits) {
  EXPECT_EQ(FormatValue(Column::Kind::kCount, 1234567), "1,234,567");
  EXPECT_EQ(FormatValue(Column::Kind::kBytes, 52'300'000), "52.3 MB");
  EXPECT_EQ(FormatValue(Column::Kind::kNanoseconds, 2100), "2.10 us");
  EXPECT_EQ(FormatValue(Column::Kind::kMilliseconds, 12.5), "12.5 ms");
  EXPECT_EQ(FormatValue(Column::Kind::kCount, std::nullopt), "-");
}

TEST(ReportTest, TheTableIsAligned) {
  const std::string text = PrintTable(Report());
  std::vector<std::string> block;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::StartsWith(line, "mode") || absl::StartsWith(line, "ip")) {
      block.emplace_back(line);
      continue;
    }
    for (const std::string& other : block) {
      if (!absl::StrContains(other, ":")) {
        EXPECT_EQ(other.size(), block[0].size()) << other;
      }
    }
    block.clear();
  }
  EXPECT_THAT(text, HasSubstr("The real kernel"));
  EXPECT_THAT(text, HasSubstr("iptables, 1,000 services: said, \"so\"\n"));
}

TEST(ReportTest, CsvHasAColumnForEachFigure) {
  const std::string text = PrintCsv(Report());
  const std::vector<std::string> lines = absl::StrSplit(text, '\n');
  ASSERT_EQ(lines.size(), 6);
  const std::vector<std::string> head = absl::StrSplit(lines[0], ',');
  EXPECT_EQ(head.size(), Columns().size() + 2);
  EXPECT_EQ(head.front(), "mode");
  EXPECT_EQ(head.back(), "note");
  const std::vector<std::string> row = absl::StrSplit(lines[1], ',');
  EXPECT_EQ(row.size(), head.size());
  EXPECT_EQ(row[1], "10");
  EXPECT_TRUE(absl::EndsWith(lines[2], ",\"said, \"\"so\"\"\"")) << lines[2];
}

TEST(ReportTest, JsonNamesItsSchema) {
  const std::string text = PrintJson(Report());
  EXPECT_THAT(text, HasSubstr("\"schema\": \"k8sdns.bench/v1\""));
  EXPECT_THAT(text, HasSubstr("\"source\": \"a \\\"cluster\\\" <1> & more\""));
  EXPECT_THAT(text, HasSubstr("\"rules_median\": 17.5,"));
  EXPECT_THAT(text, HasSubstr("\"rules_last\": null,"));
  EXPECT_THAT(text, HasSubstr("\"kernel_load_ms\": 12.5,"));
}

// The first thing that is wrong with a text as XML; "" if nothing is. Knows
// what PrintHtml() and DrawPlot() may write: elements, attributes, entities.
std::string FaultOfXml(absl::string_view text) {
  std::vector<std::string> open;
  size_t at = 0;
  while (at < text.size()) {
    if (text[at] == '&') {
      const size_t end = text.find(';', at);
      if (end == absl::string_view::npos || end - at > 6) return "bare &";
      at = end + 1;
      continue;
    }
    if (text[at] != '<') {
      ++at;
      continue;
    }
    const size_t end = text.find('>', at);
    if (end == absl::string_view::npos) return "< without >";
    const absl::string_view tag = text.substr(at + 1, end - at - 1);
    at = end + 1;
    if (absl::StartsWith(tag, "!DOCTYPE")) continue;
    if (absl::StrContains(tag, "<")) return absl::StrCat("< inside ", tag);
    const std::vector<std::string> words = absl::StrSplit(tag, ' ');
    if (absl::StartsWith(tag, "/")) {
      if (open.empty() || open.back() != words[0].substr(1)) {
        return absl::StrCat("</", words[0].substr(1), "> closes ",
                            open.empty() ? "nothing" : open.back());
      }
      open.pop_back();
    } else if (!absl::EndsWith(tag, "/")) {
      open.push_back(words[0]);
    }
    if (std::count(tag.begin(), tag.end(), '"') % 2 != 0) {
      return absl::StrCat("odd quotes in ", tag);
    }
  }
  return open.empty() ? "" : absl::StrCat(open.back(), " is not closed");
}

TEST(ReportTest, HtmlIsWellFormedAndSelfContained) {
  const std::string text = PrintHtml(Report());
  EXPECT_EQ(FaultOfXml(text), "");
  EXPECT_THAT(text, HasSubstr("a &quot;cluster&quot; &lt;1&gt; &amp; more"));
  EXPECT_THAT(text, HasSubstr("<svg "));
  for (const char* outside : {"src=", "href=", "url(", "<script", "@import"}) {
    EXPECT_FALSE(absl::StrContains(text, outside)) << outside;
  }
}

TEST(ReportTest, AnEmptyReportIsStillAPage) {
  EXPECT_EQ(FaultOfXml(PrintHtml({})), "");
  EXPECT_THAT(PrintJson({}), HasSubstr("\"rows\": []"));
}

// ---- plots ----

std::string Text(double v) { return absl::StrCat(v); }

TEST(SvgPlotTest, NoPointNoPlot) {
  EXPECT_THAT(DrawPlot({"t", "x", "y", {{"none", 0, false, {}}}, &Text}),
              IsEmpty());
  EXPECT_THAT(
      DrawPlot({"t", "x", "y", {{"zero", 0, false, {{0, 1}, {1, 0}}}}, &Text}),
      IsEmpty());
}

TEST(SvgPlotTest, DecadesAreEquallyFarApart) {
  const std::string svg = DrawPlot(
      {"a <b>",
       "x",
       "y",
       {{"one", 0, false, {{1, 1}, {10, 10}}}, {"two", 1, true, {{100, 100}}}},
       &Text});
  EXPECT_EQ(FaultOfXml(svg), "");
  // From (72, 286) to (446, 34), two decades each.
  EXPECT_THAT(svg, HasSubstr("points=\"72.0,286.0 259.0,160.0\""));
  EXPECT_THAT(svg, HasSubstr("points=\"446.0,34.0\""));
  EXPECT_THAT(svg, HasSubstr("stroke-dasharray"));
  EXPECT_THAT(svg, HasSubstr(">one</text>"));
}

}  // namespace
}  // namespace k8sdns::bench
