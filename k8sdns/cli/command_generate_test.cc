// `k8sdns generate` as its users see it.

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "k8sdns/cli/command.h"
#include "k8sdns/cluster/manifest_reader.h"
#include "k8sdns/cluster/snapshot.h"
#include "k8sdns/testing/cluster_generator.h"

namespace k8sdns::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Result {
  int code;
  std::string out;
  std::string err;
};

Result Generate(std::vector<std::string> words) {
  words.insert(words.begin(), "generate");
  std::istringstream in;
  std::ostringstream out;
  std::ostringstream err;
  const int code = Run(words, {in, out, err});
  return {code, out.str(), err.str()};
}

testing::ClusterShape Shape() {
  testing::ClusterShape shape;
  shape.services = 20;
  shape.node_port = 0.5;
  shape.ipv6 = 0.5;
  return shape;
}
const std::vector<std::string> kShape = {"--services", "20",     "--node-port",
                                         "0.5",        "--ipv6", "0.5"};

Result Generate(std::vector<std::string> words, const std::string& format) {
  words.insert(words.end(), {"--output", format});
  return Generate(std::move(words));
}

void ExpectSame(const absl::StatusOr<Cluster>& read) {
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_TRUE(Difference(testing::GenerateCluster(Shape()), *read).empty());
}

TEST(GenerateTest, YamlIsReadBack) {
  const Result made = Generate(kShape, "yaml");
  ASSERT_EQ(made.code, kOk) << made.err;
  EXPECT_THAT(made.out, StartsWith("apiVersion: v1\nitems:\n- apiVersion: "));
  ExpectSame(ReadCluster(made.out, "made.yaml"));
}

TEST(GenerateTest, JsonIsAListAsKubectlPrintsIt) {
  const Result made = Generate(kShape, "json");
  ASSERT_EQ(made.code, kOk) << made.err;
  EXPECT_THAT(made.out, StartsWith("{\n    \"apiVersion\": \"v1\",\n    "
                                   "\"items\": [\n        {\n"));
  EXPECT_TRUE(absl::EndsWith(made.out, "    \"kind\": \"List\"\n}\n"));
  ExpectSame(ReadCluster(made.out, "made.json"));
}

TEST(GenerateTest, ProtobufIsASnapshot) {
  const Result made = Generate(kShape, "proto");
  ASSERT_EQ(made.code, kOk) << made.err;
  ExpectSame(ReadSnapshot(made.out));
}

TEST(GenerateTest, AFileHasTheSameBytes) {
  const std::string name = ::testing::TempDir() + "/made.json";
  std::vector<std::string> words = kShape;
  words.insert(words.end(), {"-o", "json", "--out", name});
  const Result made = Generate(words);
  ASSERT_EQ(made.code, kOk) << made.err;
  EXPECT_EQ(made.out, "");
  std::ifstream in(name);
  std::stringstream text;
  text << in.rdbuf();
  EXPECT_EQ(text.str(), Generate(kShape, "json").out);
  EXPECT_FALSE(fs::exists(name + ".tmp"));
}

// Three megabytes: several pieces.
TEST(GenerateTest, ABrokenOutputIsAnErrorAndEndsIt) {
  class Full : public std::streambuf {
   protected:
    std::streamsize xsputn(const char*, std::streamsize) override {
      ++pieces;
      return 0;
    }

   public:
    int pieces = 0;
  };
  Full full;
  std::ostream out(&full);
  std::istringstream in;
  std::ostringstream err;
  const std::vector<std::string> words = {"generate", "--services", "1000"};
  EXPECT_EQ(cli::Run(words, {in, out, err}), kError);
  EXPECT_THAT(err.str(), HasSubstr("cannot write the output"));
  EXPECT_EQ(full.pieces, 1);
}

TEST(GenerateTest, TooMuchIsRefusedWithAnEstimate) {
  const Result many = Generate({"--services", "100000", "--total-endpoints",
                                "1000000", "--max-memory", "64"});
  EXPECT_EQ(many.code, kError);
  EXPECT_EQ(many.out, "");
  EXPECT_THAT(many.err,
              HasSubstr("a cluster of 100000 Services and 1000000 endpoints "
                        "takes about "));
  EXPECT_THAT(many.err, HasSubstr("once loaded, more than --max-memory 64"));
}

TEST(GenerateTest, BadFlagsAreNamed) {
  EXPECT_THAT(Generate({"-o", "xml"}).err,
              HasSubstr("--output: found \"xml\", expected yaml, json or"));
  EXPECT_THAT(Generate({"--preset", "huge"}).err,
              HasSubstr("found \"huge\", expected one of 5006-services, "
                        "44128-services, 696k-lines"));
  EXPECT_THAT(Generate({"--headless", "2"}).err, HasSubstr("--headless"));
  EXPECT_THAT(Generate({"1000"}).err,
              HasSubstr("found argument \"1000\", expected only flags"));
  EXPECT_THAT(Generate({"--out", "/none/x.yaml"}).err,
              HasSubstr("/none/x.yaml"));
}

}  // namespace
}  // namespace k8sdns::cli
