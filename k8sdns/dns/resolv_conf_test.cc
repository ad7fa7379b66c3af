#include "k8sdns/dns/resolv_conf.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace k8sdns::dns {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr Library kGlibc = Library::kGlibc2_36;
constexpr Library kMusl = Library::kMusl1_2_5;
constexpr Library kGo = Library::kGo1_22;

std::vector<std::string> Servers(const ResolverSettings& s) {
  std::vector<std::string> out;
  for (const NameServer& n : s.servers) out.push_back(n.address.ToString());
  return out;
}

std::vector<std::string> Reasons(const ResolverSettings& s) {
  std::vector<std::string> out;
  for (const IgnoredText& i : s.ignored) {
    out.push_back(absl::StrCat(i.line, ": ", i.text, ": ", i.reason));
  }
  return out;
}

ResolverSettings Read(Library library, absl::string_view text) {
  return ResolvConf(text).ReadAs(library);
}

TEST(ResolvConf, APodsFileReadsAlikeEverywhere) {
  const ResolvConf file(
      "nameserver 10.96.0.10\n"
      "search default.svc.cluster.local svc.cluster.local cluster.local\n"
      "options ndots:5\n");
  for (Library library : AllLibraries()) {
    SCOPED_TRACE(LibraryName(library));
    const ResolverSettings s = file.ReadAs(library);
    EXPECT_THAT(Servers(s), ElementsAre("10.96.0.10"));
    EXPECT_EQ(s.search.size(), 3u);
    EXPECT_EQ(s.ndots, 5);
    EXPECT_EQ(s.timeout_seconds, 5);
    EXPECT_EQ(s.attempts, 2);
    EXPECT_THAT(s.ignored, IsEmpty());
  }
}

TEST(ResolvConf, WithoutAFileEveryoneAsksTheLoopback) {
  EXPECT_THAT(Servers(ResolvConf().ReadAs(kGlibc)), ElementsAre("127.0.0.1"));
  EXPECT_THAT(Servers(ResolvConf().ReadAs(kMusl)), ElementsAre("127.0.0.1"));
  EXPECT_THAT(Servers(ResolvConf().ReadAs(kGo)),
              ElementsAre("127.0.0.1", "::1"));
}

TEST(ResolvConf, PrintsSettingsThatReadBack) {
  const char text[] =
      "nameserver 10.96.0.10\n"
      "nameserver fe80::53%eth0\n"
      "search a.test b.test\n"
      "options ndots:5 timeout:2 attempts:3 rotate edns0\n";
  EXPECT_EQ(Read(kGlibc, text).ToString(), text);
  EXPECT_EQ(ResolvConf(text).text(), text);
}

TEST(ResolvConf, LibraryNamesRoundTrip) {
  for (Library library : AllLibraries()) {
    EXPECT_EQ(ParseLibrary(LibraryName(library)).value(), library);
  }
  EXPECT_FALSE(ParseLibrary("uclibc").ok());
}

TEST(ResolvConf, ThreeServersAtMost) {
  const char text[] =
      "nameserver 10.0.0.1\nnameserver 10.0.0.2\n"
      "nameserver 10.0.0.3\nnameserver 10.0.0.4\n";
  for (Library library : AllLibraries()) {
    const ResolverSettings s = Read(library, text);
    EXPECT_EQ(s.servers.size(), 3u);
    EXPECT_THAT(
        Reasons(s),
        ElementsAre("4: nameserver 10.0.0.4: more than 3 name servers"));
  }
}

TEST(ResolvConf, LeadingBlanksDisableALineForTheCLibraries) {
  const char text[] = " nameserver 10.0.0.1\n";
  EXPECT_THAT(Servers(Read(kGlibc, text)), ElementsAre("127.0.0.1"));
  EXPECT_THAT(Servers(Read(kMusl, text)), ElementsAre("127.0.0.1"));
  EXPECT_THAT(Servers(Read(kGo, text)), ElementsAre("10.0.0.1"));
  EXPECT_THAT(Reasons(Read(kGlibc, text)),
              ElementsAre("1:  nameserver 10.0.0.1: a line that starts with a "
                          "blank"));
}

TEST(ResolvConf, ACarriageReturnIsPartOfTheWordForGlibc) {
  const char text[] = "nameserver 10.0.0.1\r\nsearch a.test b.test\r\n";
  const ResolverSettings glibc = Read(kGlibc, text);
  EXPECT_THAT(Servers(glibc), ElementsAre("127.0.0.1"));
  EXPECT_THAT(glibc.search, ElementsAre("a.test", "b.test\r"));
  for (Library library : {kMusl, kGo}) {
    EXPECT_THAT(Servers(Read(library, text)), ElementsAre("10.0.0.1"));
  }
  EXPECT_THAT(Read(kMusl, text).search, ElementsAre("a.test", "b.test"));
}

TEST(ResolvConf, MuslDropsLinesOfMoreThan254Characters) {
  const std::string domains(254 - 7, 'x');
  const std::string fits = absl::StrCat("search ", domains, "\n");
  const std::string long_line = absl::StrCat("search ", domains, "x\n");
  EXPECT_THAT(Read(kMusl, fits).search, ElementsAre(domains));
  const ResolverSettings s = Read(kMusl, long_line);
  EXPECT_THAT(s.search, IsEmpty());
  ASSERT_EQ(s.ignored.size(), 1u);
  EXPECT_EQ(s.ignored[0].reason, "a line of more than 254 characters");
  EXPECT_THAT(Read(kGo, long_line).search, ElementsAre(domains + "x."));
}

TEST(ResolvConf, TheLastSearchOrDomainWins) {
  const char text[] = "search a.test b.test\ndomain c.test\n";
  EXPECT_THAT(Read(kGlibc, text).search, ElementsAre("c.test"));
  EXPECT_THAT(Read(kMusl, text).search, ElementsAre("c.test"));
  EXPECT_THAT(Read(kGo, text).search, ElementsAre("c.test."));
  EXPECT_THAT(Reasons(Read(kMusl, text)),
              ElementsAre("1: search a.test b.test: replaced by a later line"));
}

TEST(ResolvConf, DomainTakesOneWordButAllOfThemInMusl) {
  EXPECT_THAT(Read(kGlibc, "domain a.test b.test\n").search,
              ElementsAre("a.test"));
  EXPECT_THAT(Read(kMusl, "domain a.test b.test\n").search,
              ElementsAre("a.test", "b.test"));
}

TEST(ResolvConf, AnEmptySearchLineClearsTheListOutsideGlibc) {
  const char text[] = "search a.test\nsearch\n";
  EXPECT_THAT(Read(kGlibc, text).search, ElementsAre("a.test"));
  EXPECT_THAT(Read(kMusl, text).search, IsEmpty());
  EXPECT_THAT(Read(kGo, text).search, IsEmpty());
}

TEST(ResolvConf, WithoutASearchLineTheHostsDomainIsSearched) {
  ResolverEnvironment environment;
  environment.hostname = "ip-10-0-1-5.us-east-2.compute.internal";
  const ResolvConf file("nameserver 10.96.0.10\n");
  EXPECT_THAT(file.ReadAs(kGlibc, environment).search,
              ElementsAre("us-east-2.compute.internal"));
  EXPECT_THAT(file.ReadAs(kGo, environment).search,
              ElementsAre("us-east-2.compute.internal."));
  EXPECT_THAT(file.ReadAs(kMusl, environment).search, IsEmpty());
}

TEST(ResolvConf, OnlyGlibcReadsTheEnvironment) {
  ResolverEnvironment environment;
  environment.variables = {{"LOCALDOMAIN", "e1.test e2.test"},
                           {"RES_OPTIONS", "ndots:3"}};
  const ResolvConf file("search a.test\noptions ndots:5\n");
  const ResolverSettings glibc = file.ReadAs(kGlibc, environment);
  EXPECT_THAT(glibc.search, ElementsAre("e1.test", "e2.test"));
  EXPECT_EQ(glibc.ndots, 3);
  EXPECT_THAT(Reasons(glibc),
              ElementsAre("1: search a.test: overridden by LOCALDOMAIN"));
  EXPECT_EQ(file.ReadAs(kMusl, environment).ndots, 5);
}

struct NdotsCase {
  const char* option;
  int glibc, musl, go;
};
TEST(ResolvConf, NdotsAsWritten) {
  const NdotsCase kCases[] = {
      {"ndots:0", 0, 0, 0},   {"ndots:16", 15, 15, 15},
      {"ndots:abc", 0, 1, 0}, {"ndots:-1", 15, 1, 0},
      {"ndots:5x", 5, 5, 5},  {"ndots: 5", 5, 1, 0},
      {"xndots:5", 1, 5, 1},  {"NDOTS:5", 1, 1, 1},
      {"ndots=5", 1, 1, 1},   {"ndots:4294967297", 1, 15, 15},
  };
  for (const NdotsCase& c : kCases) {
    SCOPED_TRACE(c.option);
    const std::string text = absl::StrCat("options ", c.option, "\n");
    EXPECT_EQ(Read(kGlibc, text).ndots, c.glibc);
    EXPECT_EQ(Read(kMusl, text).ndots, c.musl);
    EXPECT_EQ(Read(kGo, text).ndots, c.go);
  }
}

TEST(ResolvConf, OptionsMatchByPrefixInGlibcAndWholeInGo) {
  const char text[] = "options rotateX single-request-reopen\n";
  EXPECT_TRUE(Read(kGlibc, text).rotate);
  EXPECT_TRUE(Read(kGlibc, text).single_request_reopen);
  EXPECT_FALSE(Read(kGlibc, text).single_request);
  EXPECT_FALSE(Read(kGo, text).rotate);
  EXPECT_TRUE(Read(kGo, text).single_request);
  EXPECT_THAT(Reasons(Read(kGo, text)),
              ElementsAre("1: rotateX: an option that Go does not have"));
  EXPECT_EQ(Read(kMusl, text).ignored.size(), 2u);
}

TEST(ResolvConf, ShortAddressesAreForTheCLibraries) {
  EXPECT_THAT(Servers(Read(kGlibc, "nameserver 10.96.10\n")),
              ElementsAre("10.96.0.10"));
  EXPECT_THAT(Servers(Read(kMusl, "nameserver 012.96.0.10\n")),
              ElementsAre("10.96.0.10"));
  EXPECT_THAT(Servers(Read(kGo, "nameserver 10.96.10\n")),
              ElementsAre("127.0.0.1", "::1"));
}

TEST(ResolvConf, AnUnknownZoneLeavesAServerThatCannotBeReached) {
  const char text[] = "nameserver fe80::53%eth9\n";
  EXPECT_TRUE(Read(kGlibc, text).servers[0].bad_zone);
  EXPECT_THAT(Servers(Read(kMusl, text)), ElementsAre("127.0.0.1"));
  EXPECT_TRUE(Read(kGo, text).servers[0].bad_zone);
}

// "1.2.3.4%eth0" would not be read back.
TEST(ResolvConf, AMappedAddressKeepsItsZoneInPrint) {
  const std::string text = "nameserver ::ffff:1.2.3.4%eth9\n";
  for (const Library library : {kGlibc, kGo}) {
    const auto settings = Read(library, text);
    ASSERT_EQ(settings.servers.size(), 1u);
    EXPECT_THAT(settings.ToString(), HasSubstr(text));
    EXPECT_EQ(Read(library, settings.ToString()).servers.size(), 1u);
  }
}

TEST(ResolvConf, GoSkipsTheRootInASearchList) {
  EXPECT_THAT(Read(kGo, "search . a.test\n").search, ElementsAre("a.test."));
  EXPECT_THAT(Read(kGlibc, "search . a.test\n").search,
              ElementsAre(".", "a.test"));
}

// An assertion compares the list with a copy in 256 bytes.
TEST(ResolvConf, GlibcDiesOfADomainThatDoesNotFitItsOldStructure) {
  const std::string d255(255, 'y');
  const std::string d256(256, 'y');
  EXPECT_EQ(Read(kGlibc, absl::StrCat("search ", d255, "\n")).death, "");
  EXPECT_EQ(Read(kGlibc, absl::StrCat("search ", d256, "\n")).death,
            "killed by signal 6");
  // It is enough that the second one does not fit after a short one,
  const std::string a(20, 'a');
  EXPECT_EQ(Read(kGlibc, absl::StrCat("search ", a, " ", d255, "\n")).death,
            "killed by signal 6");
  // while more than 56 bytes before it excuse it.
  const std::string b(56, 'b');
  EXPECT_EQ(Read(kGlibc, absl::StrCat("search ", b, " ", d255, "\n")).death,
            "");
}

TEST(ResolvConf, GlibcReadsABadSortlistForEver) {
  EXPECT_EQ(Read(kGlibc, "sortlist bad/24\n").death, "hangs");
  EXPECT_EQ(Read(kGlibc, "sortlist 10.0.0.0\r\n").death, "hangs");
  EXPECT_EQ(Read(kGlibc, "sortlist bad 10.0.0.0\n").death, "");
}

TEST(ResolvConf, SortlistMasksAreOfTheClassUnlessGiven) {
  const ResolverSettings s =
      Read(kGlibc, "sortlist 10.0.0.0 198.51.100.0/255.255.255.128\n");
  EXPECT_THAT(s.sort_list,
              ElementsAre(SortListEntry{0x0a000000u, 0xff000000u},
                          SortListEntry{0xc6336400u, 0xffffff80u}));
}

TEST(ResolvConf, NulBytesEndALine) {
  const std::string text("nameserver 10.0.0.1\0 x\n", 23);
  EXPECT_THAT(Servers(Read(kGlibc, text)), ElementsAre("10.0.0.1"));
  EXPECT_THAT(Servers(Read(kMusl, text)), ElementsAre("10.0.0.1"));
}

}  // namespace
}  // namespace k8sdns::dns
