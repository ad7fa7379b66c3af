// Input that nobody meant: every reader of this room answers with an error
// that says where, or takes it as the real tool does; never with a crash, a
// hang or a loss.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "k8sdns/netfilter/ipset_save.h"
#include "k8sdns/netfilter/iptables_save.h"

namespace k8sdns::netfilter {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// What is printed again, or the error.
std::string Again(absl::string_view text, ParseOptions options = {}) {
  std::vector<ParseError> errors;
  const auto rules = ParseIptablesSave(text, IpFamily::kIpv4, options, &errors);
  if (!rules.ok()) {
    EXPECT_FALSE(errors.empty()) << text;
    return std::string(rules.status().message());
  }
  PrintOptions print;
  print.counters = options.keep_counters;
  return PrintIptablesSave(*rules, print);
}

std::string Filter(absl::string_view rules) {
  return absl::StrCat("*filter\n", rules, "COMMIT\n");
}

// iptables-restore takes the carriage return for a part of the word.
TEST(BadInput, CarriageReturns) {
  EXPECT_THAT(Again("*filter\r\nCOMMIT\r\n"), StartsWith("line 1"));
  EXPECT_THAT(Again("*filter\n:INPUT ACCEPT [0:0]\r\nCOMMIT\r\n"),
              HasSubstr("line 3"));
  EXPECT_THAT(Again(Filter("-A INPUT -j ACCEPT\r\n")), StartsWith("line 2"));
}

TEST(BadInput, Nuls) {
  const std::string nul(1, '\0');
  EXPECT_THAT(Again(nul), StartsWith("line 1"));
  EXPECT_THAT(Again(Filter(absl::StrCat("-A INPUT -j ACC", nul, "EPT\n"))),
              StartsWith("line 2"));
  EXPECT_THAT(Again(Filter(absl::StrCat(":CH", nul, "AIN - [0:0]\n"))),
              StartsWith("line 2"));
  EXPECT_THAT(Again(Filter(absl::StrCat("-A INPUT -m comment --comment \"a",
                                        nul, "b\" -j DROP\n"))),
              StartsWith("line 2"));
}

TEST(BadInput, LinesOfMegabytes) {
  const std::string mega(3 << 20, 'x');
  EXPECT_THAT(
      Again(Filter(absl::StrCat("-A INPUT -m comment --comment ", mega, "\n"))),
      StartsWith("line 2"));
  EXPECT_THAT(Again(absl::StrCat("*", mega, "\n")), StartsWith("line 1"));
  EXPECT_THAT(Again(Filter(absl::StrCat(":", mega, " - [0:0]\n"))),
              StartsWith("line 2"));
  // Comments do not matter.
  EXPECT_THAT(Again(absl::StrCat("#", mega, "\n", Filter(""))),
              StartsWith("*filter\n"));
  ParseOptions options;
  options.max_line_bytes = 100;
  EXPECT_THAT(Again(Filter(absl::StrCat("-A INPUT ", std::string(100, ' '),
                                        "-j DROP\n")),
                    options),
              StartsWith("line 2"));
}

TEST(BadInput, ChainNames) {
  // The legacy tool takes these three, and says so when it saves.
  EXPECT_THAT(Again(Filter(":- - [0:0]\n")), HasSubstr("\n:- - [0:0]\n"));
  EXPECT_THAT(Again(Filter(":-A - [0:0]\n")), HasSubstr("\n:-A - [0:0]\n"));
  EXPECT_THAT(Again(Filter(":!x - [0:0]\n")), HasSubstr("\n:!x - [0:0]\n"));
  EXPECT_THAT(Again(Filter(": - [0:0]\n")), StartsWith("line 2"));
  EXPECT_THAT(Again(Filter(":ACCEPT - [0:0]\n")), StartsWith("line 2"));
  EXPECT_THAT(
      Again(Filter(absl::StrCat(":", std::string(29, 'a'), " - [0:0]\n"))),
      StartsWith("line 2"));
  // No name at all: the rule must not go to another chain.
  EXPECT_THAT(Again(Filter("-A  -j ACCEPT\n")), StartsWith("line 2"));
  EXPECT_THAT(Again(Filter("-A INPUT -j DROP\n-A  -j ACCEPT\n")),
              StartsWith("line 3"));
}

TEST(BadInput, TruncatedTables) {
  const std::string whole =
      "*filter\n:INPUT ACCEPT [0:0]\n:X - [0:0]\n"
      "-A INPUT -s 10.0.0.1/32 -p tcp -m tcp --dport 80 -j X\nCOMMIT\n";
  // Also without the last newline, as the tool has it.
  for (size_t length = 1; length < whole.size(); ++length) {
    EXPECT_THAT(Again(whole.substr(0, length)), StartsWith("line ")) << length;
  }
  EXPECT_THAT(Again(whole), StartsWith("*filter\n"));
}

TEST(BadInput, CommitsThatDoNotFit) {
  EXPECT_THAT(Again("COMMIT\n"), StartsWith("line 1"));
  EXPECT_THAT(Again("*filter\nCOMMIT\nCOMMIT\n"), StartsWith("line 3"));
  EXPECT_THAT(Again("*filter\n*nat\nCOMMIT\n"), StartsWith("line 2"));
  EXPECT_THAT(Again("-A INPUT -j ACCEPT\n"), StartsWith("line 1"));
}

TEST(BadInput, Counters) {
  ParseOptions keep;
  keep.keep_counters = true;
  EXPECT_THAT(
      Again(Filter("[18446744073709551615:1] -A INPUT -j DROP\n"), keep),
      HasSubstr("[18446744073709551615:1] -A INPUT -j DROP\n"));
  for (const char* counters : {"[0:0", "[]", "[0]", "[:]"}) {
    EXPECT_THAT(Again(Filter(absl::StrCat(counters, " -A INPUT -j DROP\n"))),
                StartsWith("line 2"))
        << counters;
  }
  // The tool looks at the numbers only if it is to keep them.
  for (const char* counters : {"[-:0]", "[a:b]"}) {
    const std::string text =
        Filter(absl::StrCat(counters, " -A INPUT -j DROP\n"));
    EXPECT_THAT(Again(text), HasSubstr("-A INPUT -j DROP\n")) << counters;
    EXPECT_THAT(Again(text, keep), StartsWith("line 2")) << counters;
  }
}

// The tools know bytes, not characters.
TEST(BadInput, CommentsThatAreNotUtf8) {
  const std::string rule =
      "-A INPUT -m comment --comment \"\xff\xc3(\xed\xa0\x80\" -j DROP\n";
  EXPECT_THAT(Again(Filter(rule)), HasSubstr(rule));
}

TEST(BadInput, RulesAreLimited) {
  std::string rules;
  for (int i = 0; i < 11; ++i) rules += "-A INPUT -j DROP\n";
  ParseOptions options;
  options.max_rules = 11;
  EXPECT_THAT(Again(Filter(rules), options), StartsWith("*filter\n"));
  options.max_rules = 10;
  EXPECT_THAT(Again(Filter(rules), options), HasSubstr("rules"));
  // Also where each line is read the general way.
  options.slow = true;
  EXPECT_THAT(Again(Filter(rules), options), HasSubstr("rules"));
}

TEST(BadInput, NoMoreErrorsThanAskedFor) {
  std::string rules;
  for (int i = 0; i < 1000; ++i) rules += "-A INPUT -j NOWHERE\n";
  ParseOptions options;
  options.max_errors = 3;
  std::vector<ParseError> errors;
  EXPECT_FALSE(
      ParseIptablesSave(Filter(rules), IpFamily::kIpv4, options, &errors).ok());
  EXPECT_LE(errors.size(), 4u);
}

TEST(BadInput, Sets) {
  auto error = [](absl::string_view text, IpsetParseOptions options = {}) {
    const auto sets = ParseIpsetSave(text, options);
    return sets.ok() ? "ok" : std::string(sets.status().message());
  };
  const std::string create = "create s hash:ip\n";
  // ipset splits words at a carriage return as well.
  EXPECT_EQ(error(create + "add s 10.0.0.1\r\n"), "ok");
  EXPECT_THAT(error(create + "add s 10.0.0.300\n"), HasSubstr("line 2"));
  EXPECT_THAT(error(create + "add t 10.0.0.1\n"), HasSubstr("line 2"));
  EXPECT_THAT(error(create + "add s\n"), HasSubstr("line 2"));
  EXPECT_THAT(error(create + std::string("add s 10.0\0.0.1\n", 16)),
              HasSubstr("line 2"));
  EXPECT_THAT(error(create + "add s " + std::string(3 << 20, '1') + "\n"),
              HasSubstr("line 2"));
  EXPECT_THAT(error("create s hash:ip hashsize 99999999999\n"),
              HasSubstr("line 1"));
  IpsetParseOptions few;
  few.max_elements = 100;
  EXPECT_THAT(error(create + "add s 10.0.0.0/24\n", few), HasSubstr("line 2"));
}

}  // namespace
}  // namespace k8sdns::netfilter
