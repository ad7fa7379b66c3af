#include "k8sdns/netfilter/ipset_save.h"

#include <string>

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
