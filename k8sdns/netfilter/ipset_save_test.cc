#include "k8sdns/netfilter/ipset_save.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace k8sdns::netfilter {
namespace {

using ::testing::HasSubstr;

// What `ipset save` prints after `ipset restore`, or the error.
std::string Again(absl::string_view text) {
  const auto sets = ParseIpsetSave(text);
  return sets.ok() ? PrintIpsetSave(*sets)
                   : std::string(sets.status().message());
}

TEST(IpsetSave, WhatIsPrintedReadsBackUnchanged) {
  for (const char* text : {
           "create s hash:ip family inet hashsize 1024 maxelem 65536\n"
           "add s 10.1.2.3\n",
           "create s hash:ip,port family inet hashsize 1024 maxelem 65536\n"
           "add s 10.1.2.3,tcp:80\n",
           "create s hash:net family inet6 hashsize 1024 maxelem 65536\n"
           "add s 2001:db8::/32\n",
           "create s hash:ip family inet hashsize 1024 maxelem 65536 "
           "timeout 60\n"
           "add s 10.1.2.3 timeout 60\n",
           "create s bitmap:port range 0-1000\n"
           "add s 80\n",
           "create s hash:net,iface family inet hashsize 1024 maxelem 65536\n"
           "add s 10.0.0.0/8,eth0\n",
       }) {
    EXPECT_EQ(Again(text), text);
  }
}

TEST(IpsetSave, DefaultsAndSpellings) {
  EXPECT_EQ(Again("create s hash:ip\nadd s 10.1.2.3\n"),
            "create s hash:ip family inet hashsize 1024 maxelem 65536\n"
            "add s 10.1.2.3\n");
  // A port is TCP unless it says otherwise; a range is many elements.
  EXPECT_EQ(Again("create s hash:ip,port\nadd s 10.1.2.3,80-81\n"),
            "create s hash:ip,port family inet hashsize 1024 maxelem 65536\n"
            "add s 10.1.2.3,tcp:80\n"
            "add s 10.1.2.3,tcp:81\n");
}

// As ipset 7.17 and Linux 6.18 have it.
TEST(IpsetSave, AnOptionComesOnce) {
  EXPECT_THAT(Again("create s hash:ip hashsize 64 hashsize 64\n"),
              HasSubstr("hashsize a second time"));
  EXPECT_THAT(Again("create s bitmap:port range 0-9 from 0-9\n"),
              HasSubstr("range a second time"));
  EXPECT_THAT(
      Again("create s hash:ip timeout 5\nadd s 10.0.0.1 timeout 1 timeout 1\n"),
      HasSubstr("timeout a second time"));
  EXPECT_EQ(Again("create s hash:ip counters counters\n"),
            "create s hash:ip family inet hashsize 1024 maxelem 65536 "
            "counters\n");
}

// A bitmap has one element an address. Without its MAC address it waits for
// it, and takes nothing over from that time.
TEST(IpsetSave, AnAddressOfABitmapHasOneMacAddress) {
  const std::string set =
      "create s bitmap:ip,mac range 10.1.2.0-10.1.2.255 comment\n";
  EXPECT_EQ(Again(set + "add s 10.1.2.3 comment x\n"
                        "add s 10.1.2.3,AA:BB:CC:DD:EE:FF\n"),
            set + "add s 10.1.2.3,AA:BB:CC:DD:EE:FF\n");
  EXPECT_THAT(Again(set + "add s 10.1.2.3,AA:BB:CC:DD:EE:FF\n"
                          "add s 10.1.2.3,AA:BB:CC:00:00:00\n"),
              HasSubstr("10.1.2.3 is in set s already"));
  EXPECT_THAT(Again(set + "add s 10.1.2.3\nadd s 10.1.2.3\n"),
              HasSubstr("10.1.2.3 is in set s already"));
  const std::string timed =
      "create s bitmap:ip,mac range 10.1.2.0-10.1.2.255 timeout 60\n";
  EXPECT_EQ(Again(timed + "add s 10.1.2.3 timeout 5\nadd s 10.1.2.3\n"),
            timed + "add s 10.1.2.3 timeout 60\n");
}

TEST(IpsetSave, ARangeMayBeSpelledByItsEnds) {
  EXPECT_EQ(Again("create s bitmap:port to 4 from 0\n"),
            "create s bitmap:port range 0-4\n");
  EXPECT_EQ(Again("create s bitmap:ip from 10.0.0.1 to 10.0.0.4\n"),
            "create s bitmap:ip range 10.0.0.1-10.0.0.4\n");
  EXPECT_THAT(Again("create s bitmap:ip from 10.0.0.1\n"),
              HasSubstr("come together"));
  EXPECT_THAT(Again("create s bitmap:ip from 10.0.0.0/24 to 10.0.0.9\n"),
              HasSubstr("not one end of a range"));
}

// What a set holds goes with it: it is there already under the new name, and
// not under the old one. (libFuzzer found the table of it moving underfoot.)
TEST(IpsetSave, ElementsFollowSwapAndRename) {
  const std::string sets =
      "create s hash:ip\ncreate t hash:ip\nadd s 10.0.0.1\nadd s 10.0.0.2\n";
  EXPECT_THAT(Again(sets + "swap s t\nadd t 10.0.0.1\n"),
              HasSubstr("10.0.0.1 is in set t already"));
  EXPECT_THAT(Again(sets + "swap s t\nadd s 10.0.0.1\n"),
              HasSubstr("add s 10.0.0.1\n"));
  EXPECT_THAT(Again(sets + "rename s u\nadd u 10.0.0.1\n"),
              HasSubstr("10.0.0.1 is in set u already"));
  EXPECT_THAT(Again(sets + "rename s u\ncreate s hash:ip\nadd s 10.0.0.1\n"),
              HasSubstr("add s 10.0.0.1\n"));
  // Sets without a table yet, many enough that it grows.
  std::string many;
  for (int i = 0; i < 20; ++i) {
    many += "create n" + std::to_string(i) + " hash:ip\n";
  }
  for (int i = 0; i < 20; i += 2) {
    many += "swap n" + std::to_string(i) + " n" + std::to_string(i + 1) + "\n";
  }
  EXPECT_THAT(Again(many), HasSubstr("create n19 hash:ip"));
}

TEST(IpsetSave, ExistStaysAndTheFirstOfARunDecides) {
  // Consecutive additions are one message with the flags of the first.
  EXPECT_THAT(
      Again("create s hash:ip\nadd s 10.0.0.1\n-exist add s 10.0.0.1\n"),
      HasSubstr("line 3: 10.0.0.1 is in set s already"));
  EXPECT_THAT(
      Again("create s hash:ip\ndel s 10.0.0.1\n-exist del s 10.0.0.1\n"),
      HasSubstr("line 2: 10.0.0.1 is not in set s"));
  const char* const kOnce =
      "create s hash:ip family inet hashsize 1024 maxelem 65536\n"
      "add s 10.0.0.1\n";
  EXPECT_EQ(Again("create s hash:ip\nadd s 10.0.0.1\nCOMMIT\n"
                  "-exist add s 10.0.0.1\n"),
            kOnce);
  EXPECT_EQ(Again("create s hash:ip\nadd s 10.0.0.1\n-exist destroy nosuch\n"
                  "add s 10.0.0.1\n"),
            kOnce);
}

TEST(IpsetSave, WhatIsAddedAgainKeepsItsCounters) {
  EXPECT_EQ(Again("-! create s hash:ip counters comment\n"
                  "add s 10.0.0.1 packets 5 bytes 6 comment x\n"
                  "add s 10.0.0.1 bytes 7\n"),
            "create s hash:ip family inet hashsize 1024 maxelem 65536 "
            "counters comment\n"
            "add s 10.0.0.1 packets 5 bytes 7\n");
  EXPECT_EQ(Again("-! create s hash:net\nadd s 10.0.0.1\n"
                  "add s 10.0.0.1 nomatch\n"),
            "create s hash:net family inet hashsize 1024 maxelem 65536\n"
            "add s 10.0.0.1 nomatch\n");
  // A full set still takes what it has.
  EXPECT_EQ(Again("-! create s hash:ip maxelem 1\nadd s 10.0.0.1\n"
                  "add s 10.0.0.1\n"),
            "create s hash:ip family inet hashsize 1024 maxelem 1\n"
            "add s 10.0.0.1\n");
  EXPECT_THAT(Again("create s hash:ip maxelem 1\nadd s 10.0.0.1\n"
                    "add s 10.0.0.2\n"),
              HasSubstr("line 3: set is full"));
}

TEST(IpsetSave, ASetIsInUseWhileAListHasIt) {
  const std::string sets =
      "create a hash:ip\ncreate l list:set\ncreate b bitmap:ip range "
      "10.0.0.0/24\nadd l a\n";
  EXPECT_THAT(Again(sets + "destroy a\n"), HasSubstr("line 5: set `a' is in"));
  EXPECT_THAT(Again(sets + "destroy\n"), HasSubstr("line 5: set `a' is in"));
  EXPECT_THAT(Again(sets + "rename a c\n"), HasSubstr("line 5: set `a' is in"));
  EXPECT_EQ(Again(sets + "flush l\ndestroy\n"), "");
  // A swap compares what the types look at; the list keeps its name. Lists are
  // printed last.
  EXPECT_EQ(Again(sets + "swap a b\ndestroy b\n"),
            "create a bitmap:ip range 10.0.0.0-10.0.0.255\n"
            "create l list:set size 8\n"
            "add l a\n");
  EXPECT_THAT(Again("create a hash:ip\ncreate b hash:net\nswap a b\n"),
              HasSubstr("line 3: sets of different types"));
}

TEST(IpsetSave, ANewSetTakesTheFirstFreePlace) {
  EXPECT_EQ(Again("create a bitmap:port range 1-2\n"
                  "create b bitmap:port range 3-4\n"
                  "destroy a\n"
                  "create c bitmap:port range 5-6\n"),
            "create c bitmap:port range 5-6\n"
            "create b bitmap:port range 3-4\n");
}

TEST(IpsetSave, ATestAsksTheNetworksThatHoldAnAddress) {
  const std::string set =
      "create s hash:net\nadd s 10.0.0.0/8\nadd s 10.1.0.0/16 nomatch\n";
  EXPECT_THAT(Again(set + "test s 10.2.3.4\n"), HasSubstr("create s"));
  EXPECT_THAT(Again(set + "test s 10.1.3.4\n"), HasSubstr("line 4: 10.1.3.4"));
  EXPECT_THAT(Again(set + "test s 10.1.3.4 nomatch\n"), HasSubstr("create s"));
  EXPECT_THAT(Again(set + "test s 11.1.3.4\n"), HasSubstr("line 4: 11.1.3.4"));
  EXPECT_THAT(Again(set + "test s 10.2.0.0/16\n"),
              HasSubstr("line 4: 10.2.0.0/16 is not"));
}

TEST(IpsetSave, DeletingTakesNoOptions) {
  EXPECT_THAT(Again("create s hash:net comment\nadd s 10.0.0.1 comment x\n"
                    "del s 10.0.0.1 comment x\n"),
              HasSubstr("line 3: unknown argument `comment'"));
  EXPECT_THAT(Again("create s hash:net\nadd s 10.0.0.1 nomatch\n"
                    "del s 10.0.0.1 nomatch\n"),
              HasSubstr("line 3: unknown argument `nomatch'"));
}

// Each command costs what it names.
TEST(IpsetSave, ManyCommandsOnALargeSet) {
  std::string text = "-! create s hash:ip maxelem 200000\n";
  for (const char* command : {"add", "add", "del", "add"}) {
    for (int i = 0; i < 100000; ++i) {
      absl::StrAppend(&text, command, " s 10.", i >> 16, ".", i >> 8 & 255, ".",
                      i & 255, "\n");
    }
  }
  const auto sets = ParseIpsetSave(text);
  ASSERT_TRUE(sets.ok()) << sets.status();
  EXPECT_EQ(sets->sets[0].elements.size(), 100000u);
}

TEST(IpsetSave, ErrorsNameTheLine) {
  EXPECT_THAT(Again("create s hash:nosuch\n"), HasSubstr("line 1"));
  EXPECT_THAT(Again("create s hash:ip\ncreate s hash:ip\n"),
              HasSubstr("line 2"));
  EXPECT_THAT(Again("create s hash:ip\nadd s 10.1.2.3\nadd s 10.1.2.3\n"),
              HasSubstr("line 3"));
  EXPECT_THAT(Again("create s hash:ip\nadd s fd00::1\n"), HasSubstr("line 2"));
  EXPECT_THAT(Again("add s 10.1.2.3\n"), HasSubstr("line 1"));
  EXPECT_THAT(
      Again("create s hash:ip,port,ip\nadd s 10.1.2.3,80,10.9.9.0/30\n"),
      HasSubstr("plain address"));
}

}  // namespace
}  // namespace k8sdns::netfilter
