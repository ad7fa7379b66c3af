// `k8sdns bench` as a user runs it.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "k8sdns/cli/command.h"

namespace k8sdns::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Result {
  int code;
  std::string out;
  std::string err;
};

Result RunWords(std::vector<std::string> words, std::string input = "") {
  std::istringstream in(std::move(input));
  std::ostringstream out;
  std::ostringstream err;
  const int code = Run(words, {in, out, err});
  return {code, out.str(), err.str()};
}

// The smallest run that there is.
std::vector<std::string> Bench(std::vector<std::string> more) {
  std::vector<std::string> words = {
      "bench",    "--services",    "2,5", "--endpoints", "2", "--modes",
      "iptables", "--repetitions", "1"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

TEST(BenchCommandTest, PrintsTablesAndNoProgressWhereThereIsNoTerminal) {
  const Result r = RunWords(Bench({}));
  EXPECT_EQ(r.code, kOk) << r.err;
  EXPECT_THAT(r.out,
              StartsWith("generated clusters, 2 endpoints a Service, seed 1\n"
                         "\nWhat kube-proxy programs on a node\nmode "));
  EXPECT_EQ(r.err, "");
}

TEST(BenchCommandTest, TheOtherFormats) {
  EXPECT_THAT(RunWords(Bench({"-o", "csv"})).out, StartsWith("mode,services,"));
  EXPECT_THAT(RunWords(Bench({"-o", "json"})).out,
              HasSubstr("\"schema\": \"k8sdns.bench/v1\""));
  EXPECT_THAT(RunWords(Bench({"-o", "html"})).out,
              StartsWith("<!DOCTYPE html>"));
}

TEST(BenchCommandTest, AnOwnClusterFromStandardInput) {
  const Result r = RunWords(
      {"bench", "-f", "-", "--repetitions", "1", "-o", "csv"},
      "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: b}\n"
      "spec: {clusterIP: 10.96.0.7, ports: [{port: 80}]}\n"
      "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
      "metadata: {name: a-1, namespace: b, labels: "
      "{kubernetes.io/service-name: a}}\naddressType: IPv4\n"
      "ports: [{port: 80}]\nendpoints: [{addresses: [10.244.0.9]}]\n");
  EXPECT_EQ(r.code, kOk) << r.err;
  EXPECT_THAT(r.out, HasSubstr("\niptables,1,1,0,"));
  EXPECT_THAT(r.out, HasSubstr("\nipvs,1,1,0,"));
}

TEST(BenchCommandTest, AFileIsThereWholeOrNotAtAll) {
  const std::filesystem::path folder =
      std::filesystem::path(std::getenv("TEST_TMPDIR")) / "bench";
  std::filesystem::create_directory(folder);
  const std::string file = folder / "report.csv";
  const Result r = RunWords(Bench({"-o", "csv", "--out", file}));
  EXPECT_EQ(r.code, kOk) << r.err;
  EXPECT_EQ(r.out, "");
  std::ifstream in(file);
  std::string head;
  std::getline(in, head);
  EXPECT_THAT(head, StartsWith("mode,services,"));
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    EXPECT_EQ(entry.path(), file);
    ++files;
  }
  EXPECT_EQ(files, 1);
  const std::string nowhere = folder / "no" / "report.csv";
  EXPECT_EQ(RunWords(Bench({"--out", nowhere})).err,
            absl::StrCat("k8sdns: ", nowhere, ": cannot write\n"));
}

TEST(BenchCommandTest, BadUsageSaysWhat) {
  const struct {
    std::vector<std::string> words;
    std::string complaint;
  } kCases[] = {
      {{"--services", "10,x"}, "--services: found \"x\", expected numbers"},
      {{"--services", ""}, "--services: found \"\", expected numbers"},
      {{"--modes", "nftables"}, "--modes: found \"nftables\", expected ipt"},
      {{"-o", "pdf"}, "--output: found \"pdf\", expected table, json, csv"},
      {{"--preset", "huge"}, "--preset: found \"huge\", expected one of 5006"},
      {{"--services", "100000", "--max-memory", "100"},
       "100000 Services with 1000000 endpoints take about "},
      {{"--services", "9999999"}, "services"},
      {{"--repetitions", "0"}, "--repetitions"},
  };
  for (const auto& c : kCases) {
    std::vector<std::string> words = {"bench"};
    words.insert(words.end(), c.words.begin(), c.words.end());
    const Result r = RunWords(words);
    EXPECT_EQ(r.code, kError) << c.complaint;
    EXPECT_THAT(r.err, HasSubstr(c.complaint));
    EXPECT_EQ(r.out, "");
  }
}

}  // namespace
}  // namespace k8sdns::cli
