// Every manifest of the recordings is read without an error, and comes back the
// same through JSON, YAML and protobuf.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "k8sdns/cluster/manifest_reader.h"
#include "k8sdns/cluster/manifest_writer.h"
#include "k8sdns/cluster/snapshot.h"

namespace k8sdns {
namespace {

using ::testing::IsEmpty;

std::vector<std::string> Files(absl::string_view name_prefix) {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(
           "tests/recordings",
           std::filesystem::directory_options::follow_directory_symlink)) {
    const std::string name = entry.path().filename();
    if (absl::StartsWith(name, name_prefix) && absl::EndsWith(name, ".yaml")) {
      out.push_back(entry.path());
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::string Content(const std::string& file) {
  std::ostringstream out;
  out << std::ifstream(file).rdbuf();
  return out.str();
}

class ManifestsTest : public testing::TestWithParam<const char*> {};

TEST_P(ManifestsTest, AreReadAndComeBack) {
  const std::vector<std::string> files = Files(GetParam());
  ASSERT_GE(files.size(), 10u);
  for (const std::string& file : files) {
    const absl::StatusOr<Cluster> read = ReadCluster(Content(file), file);
    ASSERT_TRUE(read.ok()) << read.status();
    for (const std::string& written :
         {WriteYaml(*read), WriteJson(*read),
          WriteJson(*read, ManifestFormat::kCompactJson)}) {
      const absl::StatusOr<Cluster> again = ReadCluster(written, file);
      ASSERT_TRUE(again.ok()) << again.status();
      EXPECT_THAT(Difference(*read, *again), IsEmpty()) << file;
    }
    const absl::StatusOr<std::string> bytes = WriteSnapshot(*read);
    ASSERT_TRUE(bytes.ok()) << bytes.status();
    const absl::StatusOr<Cluster> again = ReadSnapshot(*bytes);
    ASSERT_TRUE(again.ok()) << file << ": " << again.status();
    EXPECT_EQ(WriteYaml(*again), WriteYaml(*read)) << file;
  }
}

INSTANTIATE_TEST_SUITE_P(Inputs, ManifestsTest,
                         testing::Values("cluster", "endpoints"));

TEST(KubeProxyConfigsTest, AreRead) {
  const std::vector<std::string> files = Files("kube-proxy");
  ASSERT_GE(files.size(), 10u);
  for (const std::string& file : files) {
    ReadReport report;
    const absl::StatusOr<KubeProxyConfig> config =
        ReadKubeProxyConfig(Content(file), file, {}, &report);
    EXPECT_TRUE(config.ok()) << config.status();
    EXPECT_EQ(report.ignored_field_count, 0u) << file;
  }
}

// A file cut anywhere is read without a crash; what is left of it is an error
// or a smaller cluster.
TEST(CutManifestsTest, NeverCrash) {
  const std::vector<std::string> files = Files("cluster");
  ASSERT_FALSE(files.empty());
  const std::string yaml = Content(files[0]);
  const absl::StatusOr<Cluster> whole = ReadCluster(yaml, "whole");
  ASSERT_TRUE(whole.ok()) << whole.status();
  for (const std::string& text : {yaml, WriteJson(*whole)}) {
    for (size_t size = 0; size < std::min<size_t>(text.size(), 4000);
         size += 31) {
      ReadReport report;
      const absl::Status status =
          ReadCluster(text.substr(0, size), "cut", {}, &report).status();
      EXPECT_EQ(status.ok(), report.errors.empty());
    }
  }
}

}  // namespace
}  // namespace k8sdns
