#include "k8sdns/netfilter/supported_extensions.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "k8sdns/netfilter/iptables_save.h"

namespace k8sdns::netfilter {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

const SupportedExtension* Find(const std::vector<SupportedExtension>& all,
                               absl::string_view name) {
  const auto it =
      std::find_if(all.begin(), all.end(),
                   [&](const SupportedExtension& e) { return e.name == name; });
  return it == all.end() ? nullptr : &*it;
}

TEST(SupportedExtensionsTest, SaysHowFarEachGoes) {
  const std::vector<SupportedExtension> all = SupportedExtensions();
  const SupportedExtension* tcp = Find(all, "tcp");
  ASSERT_NE(tcp, nullptr);
  EXPECT_EQ(tcp->support, Support::kEvaluated);
  EXPECT_THAT(tcp->options, Contains("--dport"));
  const SupportedExtension* hl = Find(all, "HL");
  ASSERT_NE(hl, nullptr);
  EXPECT_TRUE(hl->is_target);
  EXPECT_FALSE(hl->ipv4);
  const SupportedExtension* string = Find(all, "string");
  ASSERT_NE(string, nullptr);
  EXPECT_EQ(string->support, Support::kText);
  EXPECT_EQ(Find(all, "martian"), nullptr);
}

// What the table says is what the reader does.
TEST(SupportedExtensionsTest, TheReaderKnowsEachName) {
  for (const SupportedExtension& e : SupportedExtensions()) {
    const IpFamily family = e.ipv4 ? IpFamily::kIpv4 : IpFamily::kIpv6;
    ParseOptions options;
    options.kernel_checks = false;
    std::vector<ParseError> errors;
    const auto rules = ParseIptablesSave(
        absl::StrCat("*mangle\n-A PREROUTING ", e.is_target ? "-j " : "-m ",
                     e.name, "\nCOMMIT\n"),
        family, options, &errors);
    // It may miss an option or a protocol, but the name is known.
    const std::string error(rules.status().message());
    EXPECT_THAT(error, testing::Not(HasSubstr("no such match")));
    EXPECT_THAT(error, testing::Not(HasSubstr("no chain"))) << e.name;
  }
}

TEST(SupportedExtensionsTest, TheReadmeShowsThisTable) {
  std::ifstream file("README.md");
  std::stringstream readme;
  readme << file.rdbuf();
  EXPECT_TRUE(absl::StrContains(readme.str(), SupportedExtensionsMarkdown()))
      << "README.md is stale: paste the output of `k8sdns rules list`.";
}

}  // namespace
}  // namespace k8sdns::netfilter
