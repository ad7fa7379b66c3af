#include "k8sdns/dns/resolver.h"

#include <random>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace k8sdns::dns {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr Library kGlibc = Library::kGlibc2_36;
constexpr Library kMuslOld = Library::kMusl1_1_24;
constexpr Library kMusl123 = Library::kMusl1_2_3;
constexpr Library kMusl = Library::kMusl1_2_5;
constexpr Library kGo = Library::kGo1_22;

IpAddress Ip(absl::string_view text) { return *IpAddress::Parse(text); }

const std::vector<IpAddress>& BothFamilies() {
  static const auto* const kBoth =
      new std::vector<IpAddress>{Ip("203.0.113.10"), Ip("2001:db8::10")};
  return *kBoth;
}

ResolverHost PodWith(absl::string_view resolv_conf) {
  ResolverHost host;
  host.resolv_conf = ResolvConf(resolv_conf);
  return host;
}

ResolverHost Pod() {
  return PodWith(
      "nameserver 10.96.0.10\n"
      "search default.svc.cluster.local svc.cluster.local cluster.local\n"
      "options ndots:5\n");
}

LookupCall Gai(absl::string_view name,
               LookupFamily family = LookupFamily::kUnspec) {
  LookupCall call;
  call.name = std::string(name);
  call.family = family;
  return call;
}
LookupCall Inet(absl::string_view name) {
  return Gai(name, LookupFamily::kInet);
}

Answer Nothing(const Question&) { return Answer::NxDomain(); }

// Only this name exists.
AnswerSource Only(std::string name) {
  return [name](const Question& q) {
    return absl::AsciiStrToLower(q.name) == name
               ? Answer::Addresses(q, BothFamilies())
               : Answer::NxDomain();
  };
}

std::vector<std::string> Queries(const LookupTranscript& t) {
  std::vector<std::string> out;
  for (const SentQuery& q : t.queries) out.push_back(q.ToString());
  return out;
}

std::string Rc(const LookupTranscript& t) {
  return t.results.empty() ? "" : t.results.back().rc;
}

TEST(Resolver, GlibcAndMuslAskForBothTypesFromOneSocket) {
  for (Library library : {kGlibc, kMuslOld, kMusl123, kMusl}) {
    const LookupTranscript t = Resolve(Gai("web"), Pod(), library,
                                       Only("web.default.svc.cluster.local."));
    EXPECT_THAT(Queries(t), ElementsAre("0 10.96.0.10 udp/0 A "
                                        "web.default.svc.cluster.local.",
                                        "0 10.96.0.10 udp/0 AAAA "
                                        "web.default.svc.cluster.local."));
    EXPECT_EQ(Rc(t), "OK");
    EXPECT_EQ(t.results[0].addresses, BothFamilies());
    EXPECT_EQ(t.PacketCount(), 4);
    EXPECT_EQ(t.elapsed, absl::ZeroDuration());
  }
  const LookupTranscript go =
      Resolve(Gai("web"), Pod(), kGo, Only("web.default.svc.cluster.local."));
  ASSERT_EQ(go.queries.size(), 2u);
  EXPECT_NE(go.queries[0].socket, go.queries[1].socket);
}

TEST(Resolver, SingleRequestOptionsSeparateTheTwoTypes) {
  const AnswerSource web = Only("web.");
  EXPECT_THAT(
      Queries(Resolve(Gai("web."),
                      PodWith("nameserver 10.96.0.10\n"
                              "options single-request-reopen\n"),
                      kGlibc, web)),
      ElementsAre("0 10.96.0.10 udp/0 A web.", "0 10.96.0.10 udp/1 AAAA web."));
}

// The conntrack race: one of two packets from one port is dropped.
TEST(Resolver, GlibcWaitsFiveSecondsForALostAnswerThenAsksOneByOne) {
  const AnswerSource lossy = [](const Question& q) {
    if (q.type == kTypeAaaa && q.nth == 1) return Answer::Timeout();
    return Answer::Addresses(q, BothFamilies());
  };
  const LookupTranscript t =
      Resolve(Gai("web."), PodWith("nameserver 10.96.0.10\n"), kGlibc, lossy);
  EXPECT_THAT(
      Queries(t),
      ElementsAre("0 10.96.0.10 udp/0 A web.", "0 10.96.0.10 udp/0 AAAA web.",
                  "5 10.96.0.10 udp/0 A web.", "5 10.96.0.10 udp/0 AAAA web."));
  EXPECT_EQ(Rc(t), "OK");
  EXPECT_EQ(t.elapsed, absl::Seconds(5));
}

TEST(Resolver, EnoughDotsEndTheSearchInMuslOnly) {
  const std::string name = "x.a.b.c.d.example.com";
  EXPECT_EQ(Resolve(Inet(name), Pod(), kGlibc, Nothing).queries.size(), 4u);
  EXPECT_EQ(Resolve(Inet(name), Pod(), kGo, Nothing).queries.size(), 4u);
  EXPECT_EQ(Resolve(Inet(name), Pod(), kMusl, Nothing).queries.size(), 1u);
}

TEST(Resolver, ATrailingDotNamesOneName) {
  for (Library library : AllLibraries()) {
    EXPECT_THAT(Queries(Resolve(Inet("web."), Pod(), library, Nothing)),
                ElementsAre("0 10.96.0.10 udp/0 A web."));
  }
}

TEST(Resolver, NoDataStopsMuslAndNotGlibc) {
  const AnswerSource answers = [](const Question& q) {
    if (q.name == "web.default.svc.cluster.local.") return Answer::NoData();
    return Answer::Addresses(q, BothFamilies());
  };
  EXPECT_EQ(Rc(Resolve(Inet("web"), Pod(), kGlibc, answers)), "OK");
  EXPECT_EQ(Rc(Resolve(Inet("web"), Pod(), kGo, answers)), "OK");
  EXPECT_EQ(Rc(Resolve(Inet("web"), Pod(), kMusl123, answers)), "EAI_NONAME");
  EXPECT_EQ(Rc(Resolve(Inet("web"), Pod(), kMusl, answers)), "EAI_NODATA");
}

TEST(Resolver, ServFailInASearchDomainStopsMuslAfterItsTimeout) {
  const AnswerSource answers = [](const Question& q) {
    if (q.name == "web.default.svc.cluster.local.") return Answer::ServFail();
    return Answer::Addresses(q, BothFamilies());
  };
  EXPECT_EQ(Rc(Resolve(Inet("web"), Pod(), kGlibc, answers)), "OK");
  const LookupTranscript musl = Resolve(Inet("web"), Pod(), kMusl, answers);
  EXPECT_EQ(Rc(musl), "EAI_AGAIN");
  // Two rounds, each with two repetitions at once.
  EXPECT_EQ(musl.queries.size(), 6u);
  EXPECT_GE(musl.elapsed, absl::Seconds(5));
}

TEST(Resolver, OneBrokenFamilyFailsANameInMuslOnly) {
  const AnswerSource answers = [](const Question& q) {
    if (q.type == kTypeAaaa) return Answer::ServFail();
    return Answer::Addresses(q, BothFamilies());
  };
  for (Library library : {kGlibc, kMuslOld, kGo}) {
    EXPECT_EQ(Rc(Resolve(Gai("web."), Pod(), library, answers)), "OK");
  }
  for (Library library : {kMusl123, kMusl}) {
    EXPECT_EQ(Rc(Resolve(Gai("web."), Pod(), library, answers)), "EAI_AGAIN");
  }
}

TEST(Resolver, MuslAsksAllServersAtOnceTheOthersOneByOne) {
  const ResolverHost host =
      PodWith("nameserver 10.0.0.1\nnameserver 10.0.0.2\n");
  EXPECT_THAT(
      Queries(Resolve(Inet("web"), host, kMusl, Nothing)),
      ElementsAre("0 10.0.0.1 udp/0 A web.", "0 10.0.0.2 udp/0 A web."));
  EXPECT_EQ(Resolve(Inet("web"), host, kGlibc, Nothing).queries.size(), 1u);
  EXPECT_EQ(Resolve(Inet("web"), host, kGo, Nothing).queries.size(), 1u);
}

TEST(Resolver, ServersThatDisagreeMakeMuslARace) {
  const ResolverHost host =
      PodWith("nameserver 10.0.0.1\nnameserver 10.0.0.2\n");
  const AnswerSource answers = [](const Question& q) {
    if (q.server == Ip("10.0.0.1")) return Answer::ServFail();
    return Answer::Addresses(q, BothFamilies());
  };
  EXPECT_TRUE(Resolve(Gai("web"), host, kMusl, answers).order_varies);
  EXPECT_FALSE(Resolve(Gai("web"), host, kMusl, Nothing).order_varies);
}

TEST(Resolver, TruncatedAnswersNeedMusl124) {
  const AnswerSource answers = [](const Question& q) {
    return Answer::Truncated(q, BothFamilies());
  };
  const std::vector<std::string> with_tcp = {"0 10.96.0.10 udp/0 A web.",
                                             "0 10.96.0.10 tcp/1 A web."};
  for (Library library : {kGlibc, kMusl, kGo}) {
    const LookupTranscript t = Resolve(Inet("web."), Pod(), library, answers);
    EXPECT_EQ(Queries(t), with_tcp);
    EXPECT_EQ(Rc(t), "OK");
    EXPECT_EQ(t.PacketCount(), 12);
  }
  EXPECT_EQ(Rc(Resolve(Inet("web."), Pod(), kMusl123, answers)), "EAI_NONAME");
}

TEST(Resolver, TheRootInASearchListBreaksOldMusl) {
  const ResolverHost host = PodWith("nameserver 10.96.0.10\nsearch .\n");
  const AnswerSource web = Only("web.");
  const LookupTranscript old = Resolve(Inet("web"), host, kMusl123, web);
  EXPECT_THAT(Queries(old),
              ElementsAre("0 10.96.0.10 udp/0 MALFORMED 037765622e0001000100",
                          "2.5 10.96.0.10 udp/0 MALFORMED "
                          "037765622e0001000100"));
  EXPECT_EQ(Rc(old), "EAI_AGAIN");
  for (Library library : {kGlibc, kMusl, kGo}) {
    EXPECT_EQ(Rc(Resolve(Inet("web"), host, library, web)), "OK");
  }
}

TEST(Resolver, DeathsAreResults) {
  const ResolverHost no_attempts =
      PodWith("nameserver 10.96.0.10\noptions attempts:0\n");
  EXPECT_EQ(Rc(Resolve(Inet("web"), no_attempts, kMusl, Nothing)),
            "killed by signal 8");
  const LookupTranscript glibc =
      Resolve(Inet("web"), no_attempts, kGlibc, Nothing);
  EXPECT_EQ(Rc(glibc), "EAI_AGAIN");
  EXPECT_THAT(glibc.queries, IsEmpty());

  const ResolverHost long_domain = PodWith(
      absl::StrCat("nameserver 10.96.0.10\nsearch ", std::string(256, 'y')));
  EXPECT_EQ(Rc(Resolve(Inet("web"), long_domain, kGlibc, Nothing)),
            "killed by signal 6");
  // A literal address needs no resolver.
  EXPECT_EQ(Rc(Resolve(Inet("10.0.0.1"), long_domain, kGlibc, Nothing)), "OK");
}

TEST(Resolver, GlibcWaitsForEverOnTcp) {
  ResolverHost host = PodWith("nameserver 10.96.0.10\noptions use-vc\n");
  const AnswerSource silent = [](const Question&) { return Answer::Timeout(); };
  LookupTranscript t = Resolve(Inet("web"), host, kGlibc, silent);
  EXPECT_EQ(Rc(t), "hangs");
  EXPECT_EQ(t.elapsed, absl::InfiniteDuration());
  host.patience = absl::Seconds(20);
  t = Resolve(Inet("web"), host, kGlibc, silent);
  EXPECT_EQ(Rc(t), "hangs");
  EXPECT_EQ(t.elapsed, absl::Seconds(20));
}

TEST(Resolver, TimeoutsAddUpAsEachLibraryCounts) {
  const ResolverHost host = PodWith(
      "nameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\n");
  const AnswerSource silent = [](const Question&) { return Answer::Timeout(); };
  // 5, 10/3 and 20/3 seconds, twice.
  EXPECT_EQ(Resolve(Inet("web."), host, kGlibc, silent).elapsed,
            2 * absl::Seconds(5 + 3 + 6));
  EXPECT_EQ(Resolve(Inet("web."), host, kGo, silent).elapsed,
            6 * absl::Seconds(5));
  const LookupTranscript musl = Resolve(Inet("web."), host, kMusl, silent);
  EXPECT_LT(musl.elapsed, absl::Seconds(5.1));
  EXPECT_EQ(musl.queries.size(), 6u);
  const LookupTranscript go = Resolve(Inet("web."), host, kGo, silent);
  EXPECT_EQ(Rc(go), "timeout");
  EXPECT_THAT(go.results[0].message, StartsWith("read udp "));
}

// A REJECT rule for a DNS Service without endpoints.
TEST(Resolver, ARefusedServerIsNoticedAtOnceExceptByMusl) {
  const AnswerSource refused = [](const Question&) {
    return Answer::Unreachable();
  };
  const LookupTranscript glibc = Resolve(Gai("web"), Pod(), kGlibc, refused);
  EXPECT_EQ(Rc(glibc), "EAI_AGAIN");
  EXPECT_EQ(glibc.elapsed, absl::ZeroDuration());
  EXPECT_EQ(Rc(Resolve(Gai("web"), Pod(), kGo, refused)), "temporary");
  const LookupTranscript musl = Resolve(Gai("web"), Pod(), kMusl, refused);
  EXPECT_EQ(Rc(musl), "EAI_AGAIN");
  EXPECT_GE(musl.elapsed, absl::Seconds(5));
}

// Answers that do not fit a kilobyte of results make glibc ask again.
TEST(Resolver, LargeAnswersCostGlibcMoreQueries) {
  std::vector<IpAddress> many;
  for (uint32_t i = 1; i <= 58; ++i) many.push_back(IpAddress::V4(i << 8 | 1));
  const AnswerSource answers = [&](const Question& q) {
    return Answer::Addresses(q, many);
  };
  // 58 addresses of 40 bytes: 1, 2, then 4 KiB.
  EXPECT_EQ(Resolve(Gai("web."), Pod(), kGlibc, answers).queries.size(), 6u);
  EXPECT_EQ(Resolve(Inet("web."), Pod(), kGlibc, answers).queries.size(), 1u);
  EXPECT_EQ(
      Resolve(Gai("web."), Pod(), kMusl, answers).results[0].addresses.size(),
      48u);
}

TEST(Resolver, RotateMovesTheFirstServerWithEachQuery) {
  ResolverHost host =
      PodWith("nameserver 10.0.0.1\nnameserver 10.0.0.2\noptions rotate\n");
  host.rotate_start = 1;
  LookupCall call = Inet("web.");
  call.repeat = 3;
  const LookupTranscript t = Resolve(call, host, kGlibc, Nothing);
  EXPECT_THAT(Queries(t),
              ElementsAre("0 10.0.0.2 udp/0 A web.", "0 10.0.0.1 udp/1 A web.",
                          "0 10.0.0.2 udp/2 A web."));
  EXPECT_EQ(t.results.size(), 3u);
  EXPECT_TRUE(t.order_varies);
}

TEST(Resolver, FlagsOfTheQueries) {
  EXPECT_THAT(Queries(Resolve(Inet("web."),
                              PodWith("nameserver 10.96.0.10\n"
                                      "options edns0 trust-ad\n"),
                              kGlibc, Nothing)),
              ElementsAre("0 10.96.0.10 udp/0 A web. ad edns=1200"));
  LookupCall call = Inet("web.");
  call.function = LookupFunction::kResQuery;
  EXPECT_THAT(Queries(Resolve(call, Pod(), kMusl, Nothing)),
              ElementsAre("0 10.96.0.10 udp/0 A web. ad"));
}

TEST(Resolver, HostsComeFirst) {
  ResolverHost host = Pod();
  host.hosts = "127.0.0.1 localhost\n10.9.9.9 host.from.file alias # comment\n";
  for (Library library : AllLibraries()) {
    const LookupTranscript t = Resolve(Gai("alias"), host, library, Nothing);
    EXPECT_THAT(t.queries, IsEmpty());
    EXPECT_THAT(t.results[0].addresses, ElementsAre(Ip("10.9.9.9")));
  }
  EXPECT_EQ(
      Resolve(Gai("alias"), host, kMusl, Nothing).results[0].canonical_name,
      "host.from.file");
}

TEST(Resolver, ANameInHostsForTheOtherFamilyEndsTheLookupInMusl) {
  ResolverHost host = Pod();
  host.hosts = "10.9.9.9 web\n";
  const LookupCall call = Gai("web", LookupFamily::kInet6);
  EXPECT_EQ(Resolve(call, host, kGlibc, Nothing).queries.size(), 4u);
  const LookupTranscript old = Resolve(call, host, kMusl123, Nothing);
  EXPECT_THAT(old.queries, IsEmpty());
  EXPECT_EQ(Rc(old), "EAI_NONAME");
  EXPECT_EQ(Rc(Resolve(call, host, kMusl, Nothing)), "EAI_NODATA");
}

// gethostbyname() of musl doubles its buffer and asks again.
TEST(Resolver, MuslAsksAgainForAHostentThatDoesNotFit) {
  const AnswerSource three = [](const Question& q) {
    return Answer::Addresses(q,
                             {Ip("10.0.0.1"), Ip("10.0.0.2"), Ip("10.0.0.3")});
  };
  LookupCall call = Inet("web.");
  call.function = LookupFunction::kGethostbyname;
  EXPECT_EQ(Resolve(call, Pod(), kMusl, three).queries.size(), 1u);
  call.name = "www.example.com.";
  EXPECT_EQ(Resolve(call, Pod(), kMusl, three).queries.size(), 2u);
}

TEST(Resolver, CanonicalNameBehindACname) {
  const AnswerSource answers = [](const Question& q) {
    return Answer::Addresses(q, BothFamilies(), "backend.example.com.");
  };
  LookupCall call = Gai("web.");
  call.function = LookupFunction::kCanon;
  for (Library library : {kGlibc, kMusl}) {
    EXPECT_EQ(Resolve(call, Pod(), library, answers).results[0].canonical_name,
              "backend.example.com");
  }
}

TEST(Resolver, SortlistOrdersGethostbyname) {
  const AnswerSource answers = [](const Question& q) {
    return Answer::Addresses(
        q, {Ip("203.0.113.5"), Ip("198.51.100.7"), Ip("203.0.113.200")});
  };
  LookupCall call = Inet("web");
  call.function = LookupFunction::kGethostbyname;
  const ResolverHost host = PodWith(
      "nameserver 10.96.0.10\n"
      "sortlist 203.0.113.128/255.255.255.128 198.51.100.0\n");
  EXPECT_THAT(
      Resolve(call, host, kGlibc, answers).results[0].addresses,
      ElementsAre(Ip("203.0.113.200"), Ip("198.51.100.7"), Ip("203.0.113.5")));
}

// RFC 6724: what cannot be reached goes last; then labels and precedence.
TEST(Resolver, AddressesAreSortedForTheHost) {
  ResolverHost host = PodWith("nameserver 10.96.0.10\n");
  host.addresses = {{Ip("10.244.1.5"), 24}};
  const AnswerSource answers = Only("web.");
  for (Library library : AllLibraries()) {
    host.default_route_v6 = false;
    EXPECT_THAT(
        Resolve(Gai("web"), host, library, answers).results[0].addresses,
        ElementsAre(Ip("203.0.113.10"), Ip("2001:db8::10")));
    host.addresses = {{Ip("10.244.1.5"), 24}, {Ip("2001:db8:1::5"), 64}};
    host.default_route_v6 = true;
    EXPECT_THAT(
        Resolve(Gai("web"), host, library, answers).results[0].addresses,
        ElementsAre(Ip("2001:db8::10"), Ip("203.0.113.10")));
    host.addresses.pop_back();
  }
}

struct BadName {
  std::string name;
  // How many queries each sends: glibc, musl 1.2.3, musl 1.2.5, Go.
  size_t glibc, musl_123, musl, go;
};
TEST(Resolver, BadNames) {
  const BadName kNames[] = {
      {"", 0, 0, 0, 0},
      {".", 1, 0, 0, 1},
      {"web..", 0, 0, 0, 0},
      {"-bad", 0, 4, 4, 0},
      {"bad-", 4, 4, 4, 0},
      {"caf\xc3\xa9", 0, 4, 4, 0},
      {"a b", 0, 4, 4, 0},
      {std::string(63, 'a'), 4, 4, 4, 4},
      {std::string(64, 'a'), 0, 0, 0, 0},
      {"a\\.b", 0, 4, 4, 0},
      {"1.2.3.4.5", 0, 4, 4, 0},
  };
  for (const BadName& n : kNames) {
    SCOPED_TRACE(n.name);
    const auto count = [&](Library library) {
      const LookupTranscript t = Resolve(Inet(n.name), Pod(), library, Nothing);
      EXPECT_NE(Rc(t), "OK");
      return t.queries.size();
    };
    EXPECT_EQ(count(kGlibc), n.glibc);
    EXPECT_EQ(count(kMusl123), n.musl_123);
    EXPECT_EQ(count(kMusl), n.musl);
    EXPECT_EQ(count(kGo), n.go);
  }
}

TEST(Resolver, NamesThatBecomeTooLongAreSkipped) {
  // 250 bytes: too long with any search domain.
  std::string name;
  for (int i = 0; i < 5; ++i) name += std::string(49, 'x') + ".";
  name.pop_back();
  ResolverHost host =
      PodWith("nameserver 10.96.0.10\nsearch abcdef.test\noptions ndots:15\n");
  for (Library library : {kGlibc, kMusl, kGo}) {
    EXPECT_THAT(Queries(Resolve(Inet(name), host, library, Nothing)),
                ElementsAre(absl::StrCat("0 10.96.0.10 udp/0 A ", name, ".")));
  }
}

TEST(Resolver, ShowsStrangeBytesEscaped) {
  EXPECT_EQ(
      Resolve(Inet("caf\xc3\xa9."), Pod(), kMusl, Nothing).queries[0].name,
      "caf\\195\\169.");
}

TEST(Resolver, WhatNdotsFiveCosts) {
  for (Library library : {kGlibc, kMusl, kGo}) {
    const QueryAmplification cost = CountAmplification(
        "www.example.com", "www.example.com", Pod(), library);
    EXPECT_EQ(cost.queries, 8);
    EXPECT_EQ(cost.needed, 2);
    EXPECT_TRUE(cost.found);
  }
  // Found first under glibc; musl does not search at all.
  const ResolverHost ndots1 =
      PodWith("nameserver 10.96.0.10\nsearch default.svc.cluster.local\n");
  EXPECT_EQ(
      CountAmplification("www.example.com", "www.example.com.", ndots1, kGlibc)
          .queries,
      2);
  EXPECT_FALSE(CountAmplification("web.prod", "web.prod.svc.cluster.local",
                                  ndots1, kMusl)
                   .found);
}

TEST(Resolver, GoOffersGetaddrinfoOnly) {
  LookupCall call = Inet("web");
  call.function = LookupFunction::kResSearch;
  EXPECT_EQ(Rc(Resolve(call, Pod(), kGo, Nothing)), "unsupported");
}

TEST(Resolver, QueryTypesHaveNames) {
  EXPECT_EQ(QueryTypeName(33), "SRV");
  EXPECT_EQ(QueryTypeName(65280), "TYPE65280");
  EXPECT_EQ(ParseQueryType("aaaa"), kTypeAaaa);
  EXPECT_EQ(ParseQueryType("TYPE65280"), 65280);
  EXPECT_EQ(ParseQueryType("TYPE65536"), std::nullopt);
  EXPECT_EQ(ParseQueryType("nonsense"), std::nullopt);
}

// Whatever is in the file, the name and the answers: a result, never a crash.
TEST(Resolver, AnyInputGivesAResult) {
  std::mt19937 bits(20240601);
  const auto pick = [&](absl::string_view alphabet, size_t longest) {
    std::string out(bits() % (longest + 1), ' ');
    for (char& c : out) c = alphabet[bits() % alphabet.size()];
    return out;
  };
  const std::string kWords[] = {
      "nameserver ", "search ", "options ", "ndots:", "timeout:", "attempts:",
      "10.0.0.1",    "::1",     "fe80::1%", "\n",     "\r\n",     " ",
      "sortlist ",   "/",       ".",        "rotate", "use-vc",   "single-"};
  for (int i = 0; i < 3000; ++i) {
    std::string text;
    for (size_t n = bits() % 25; n > 0; --n) {
      text += bits() % 4 == 0 ? pick(std::string("a.-:%\\\0\x80\xff\t9", 11), 9)
                              : kWords[bits() % std::size(kWords)];
    }
    ResolverHost host = PodWith(text);
    host.patience = absl::Seconds(60);
    LookupCall call;
    call.function = static_cast<LookupFunction>(bits() % 5);
    call.family = static_cast<LookupFamily>(bits() % 3);
    call.type = static_cast<uint16_t>(bits() % 300);
    call.name = pick(std::string("ab.-_:%\\\x80 1", 11), 300 >> bits() % 8);
    const AnswerSource answers = [&](const Question& q) {
      switch (bits() % 8) {
        case 0:
          return Answer::Timeout();
        case 1:
          return Answer::Unreachable();
        case 2:
          return Answer::Lame();
        case 3:
          return Answer::Truncated(q, BothFamilies());
        case 4:
          return Answer::Addresses(q, BothFamilies(), "a.b.");
        default:
          return Answer::WithRcode(static_cast<int>(bits() % 6));
      }
    };
    for (Library library : AllLibraries()) {
      const LookupTranscript t = Resolve(call, host, library, answers);
      ASSERT_FALSE(t.results.empty()) << text;
      ASSERT_NE(t.results.back().rc, "");
    }
  }
}

}  // namespace
}  // namespace k8sdns::dns
