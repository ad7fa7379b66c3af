#include "k8sdns/cli/args.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace k8sdns::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr Flag kFlags[] = {
    {"file", 'f', "FILE", "input", "", true},
    {"family", 0, "4|6", "address family", "4"},
    {"color", 0, "", "color the output"},
};

absl::StatusOr<Args> Parse(std::vector<std::string> words) {
  return Args::Parse(kFlags, words);
}

TEST(ArgsTest, FlagsAndArgumentsMix) {
  auto args = Parse({"-f", "a", "name", "--file=b", "-fc", "--color", "-"});
  ASSERT_TRUE(args.ok()) << args.status();
  EXPECT_THAT(args->GetAll("file"), ElementsAre("a", "b", "c"));
  EXPECT_THAT(args->positional(), ElementsAre("name", "-"));
  EXPECT_TRUE(args->Has("color"));
  EXPECT_FALSE(args->Has("family"));
  EXPECT_EQ(args->Get("family"), "4");
}

TEST(ArgsTest, TwoDashesEndTheFlags) {
  auto args = Parse({"--", "--color"});
  ASSERT_TRUE(args.ok());
  EXPECT_THAT(args->positional(), ElementsAre("--color"));
}

TEST(ArgsTest, ErrorsNameTheFlag) {
  auto error = [](std::vector<std::string> words) {
    return std::string(Parse(std::move(words)).status().message());
  };
  EXPECT_EQ(error({"--colour"}), "unknown flag --colour");
  EXPECT_EQ(error({"-x"}), "unknown flag -x");
  EXPECT_EQ(error({"-f"}), "--file needs a value: FILE");
  EXPECT_EQ(error({"--color=1"}), "--color takes no value");
  EXPECT_EQ(error({"--family", "4", "--family", "6"}),
            "--family is given twice");
}

TEST(ArgsTest, HelpListsEveryFlagWithItsDefault) {
  const std::string help = DescribeFlags(kFlags);
  EXPECT_THAT(help, HasSubstr("-f, --file FILE   input (may be repeated)\n"));
  EXPECT_THAT(help, HasSubstr("    --family 4|6  "));
  EXPECT_THAT(help, HasSubstr("address family [4]\n"));
}

}  // namespace
}  // namespace k8sdns::cli
