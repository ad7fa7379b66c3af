#include "k8sdns/ipvs/ipvsadm_save.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace k8sdns::ipvs {
namespace {

using ::testing::HasSubstr;

std::string Again(absl::string_view text) {
  auto table = ReadIpvsadm(text, "x");
  if (!table.ok()) return std::string(table.status().message());
  return PrintIpvsadm(*table, {.sorted = false});
}

std::string ErrorOf(absl::string_view text) {
  return std::string(ReadIpvsadm(text, "f").status().message());
}

// ipvsadm -S -n prints exactly these.
TEST(IpvsadmSave, PrintsWhatItReads) {
  for (const char* text : {
           "-A -t 10.96.0.10:80 -s rr\n",
           "-A -t 10.96.0.10:80 -s rr -p 10800\n"
           "-a -t 10.96.0.10:80 -r 10.244.1.10:8080 -m -w 1\n",
           "-A -u 10.96.0.10:53 -s wlc -o\n",
           "-A -u [fd00:10:96::a]:53 -s lc -p 360 -M 64\n"
           "-a -u [fd00:10:96::a]:53 -r [fd00::1]:5353 -m -w 0\n",
           "-A --sctp-service 10.0.0.1:7000 -s sed\n",
           "-A -t 10.0.0.1:80 -s rr -p 300 -M 255.255.255.0\n",
           "-A -t 10.0.0.1:0 -s rr -p 300 -M 255.0.255.0\n",
           "-A -f 7 -s nq\n",
           "-A -f 7 -6 -s nq -p 60 -M 96\n",
           "-A -t 10.0.0.1:80 -s mh -b mh-port\n",
           "-A -t 10.0.0.1:80 -s mh -b mh-fallback,mh-port\n",
           "-A -t 10.0.0.1:80 -s sh -b sh-fallback,sh-port,flag-3\n",
           "-A -t 10.0.0.1:80 -s wrr -b flag-1,flag-2\n",
           "-A -u 10.0.0.1:5060 -s rr -p 360 --pe sip -o\n",
           "-A -t 10.0.0.1:80 -s wlc\n"
           "-a -t 10.0.0.1:80 -r 10.0.0.2:80 -g -w 5\n"
           "-a -t 10.0.0.1:80 -r 10.0.0.3:80 -i -w 1 --tun-type ipip\n"
           "-a -t 10.0.0.1:80 -r 10.0.0.4:80 -i -w 1 --tun-type gue "
           "--tun-port 6080 --tun-csum\n"
           "-a -t 10.0.0.1:80 -r 10.0.0.5:80 -i -w 1 --tun-type gre "
           "--tun-nocsum\n",
           // Not known: kept.
           "-A -t 10.0.0.1:80 -s xyz\n",
           "-A -t 10.0.0.1:80 -s rr --new-thing 7\n"
           "-a -t 10.0.0.1:80 -r 10.0.0.2:80 -m -w 1 --colour red\n",
       }) {
    EXPECT_EQ(Again(text), text);
  }
}

// They are written piece by piece: plain ones together, others one by one.
TEST(IpvsadmSave, ManyRealServersAreAllPrinted) {
  std::string text;
  for (absl::string_view service :
       {"-t 10.0.0.1:80", "-u [fd00:10:96:1:abcd:ef01:2345:6789]:65535"}) {
    absl::StrAppend(&text, "-A ", service, " -s wrr\n");
    const bool v4 = service[1] == 't';
    for (int i = 0; i < 300; ++i) {
      const absl::string_view rest = i % 97 == 5   ? " -i -w 1 --tun-type ipip"
                                     : i % 89 == 7 ? " -m -w 1 --colour red"
                                     : i % 3 == 0  ? " -g -w 65535"
                                                   : " -m -w 0";
      const std::string address =
          v4 ? absl::StrCat("10.1.", i / 200, ".", i % 200, ":80")
             : absl::StrCat("[fd00:1:2:3:4:5:6:", absl::Hex(i + 1), "]:65535");
      absl::StrAppend(&text, "-a ", service, " -r ", address, rest, "\n");
    }
  }
  EXPECT_EQ(Again(text), text);
}

TEST(IpvsadmSave, FillsDefaultsAndTakesLongOptions) {
  EXPECT_EQ(Again("-A -t 10.0.0.1:80\n"
                  "-a -t 10.0.0.1:80 -r 10.0.0.2\n"
                  "-a -t 10.0.0.1:80 -r 10.0.0.3:8080 -g\n"
                  "-a -t 10.0.0.1:80 -r 10.0.0.4:8080 -mw2"),
            "-A -t 10.0.0.1:80 -s wlc\n"
            "-a -t 10.0.0.1:80 -r 10.0.0.2:80 -g -w 1\n"
            "-a -t 10.0.0.1:80 -r 10.0.0.3:80 -g -w 1\n"
            "-a -t 10.0.0.1:80 -r 10.0.0.4:8080 -m -w 2\n");
  EXPECT_EQ(Again("--add-service --tcp-service=10.0.0.1:80 --scheduler rr "
                  "--persistent\n\n"
                  "\t--add-server --tcp-service 10.0.0.1:80 --real-server "
                  "10.0.0.2:1 --masquerading --weight 3\n"),
            "-A -t 10.0.0.1:80 -s rr -p 360\n"
            "-a -t 10.0.0.1:80 -r 10.0.0.2:1 -m -w 3\n");
}

TEST(IpvsadmSave, CarriesOutEditsAndDeletions) {
  EXPECT_EQ(Again("-A -t 10.0.0.1:80 -s rr\n"
                  "-A -t 10.0.0.2:80 -s rr\n"
                  "-a -t 10.0.0.1:80 -r 10.1.0.1:8080 -m\n"
                  "-a -t 10.0.0.1:80 -r 10.1.0.2:8080 -m\n"
                  "-E -t 10.0.0.1:80 -s wrr -p 60\n"
                  "-e -t 10.0.0.1:80 -r 10.1.0.2:8080 -m -w 0\n"
                  "-d -t 10.0.0.1:80 -r 10.1.0.1:8080\n"
                  "-D -t 10.0.0.2:80\n"),
            "-A -t 10.0.0.1:80 -s wrr -p 60\n"
            "-a -t 10.0.0.1:80 -r 10.1.0.2:8080 -m -w 0\n");
  EXPECT_EQ(Again("-A -t 10.0.0.1:80 -s rr\n-C\n"), "");
}

TEST(IpvsadmSave, SortsAsIpvsadmDoes) {
  auto table = ReadIpvsadm(
      "-A -u 10.0.0.1:53 -s rr\n"
      "-A -t 10.0.0.2:80 -s rr\n"
      "-a -t 10.0.0.2:80 -r 10.1.0.10:80 -m\n"
      "-a -t 10.0.0.2:80 -r 10.1.0.2:81 -m\n"
      "-a -t 10.0.0.2:80 -r 10.1.0.2:80 -m\n"
      "-A -t [fd00::1]:80 -s rr\n"
      "-A -t 10.0.0.2:9 -s rr\n",
      "x");
  ASSERT_TRUE(table.ok());
  EXPECT_EQ(PrintIpvsadm(*table),
            "-A -t 10.0.0.2:9 -s rr\n"
            "-A -t 10.0.0.2:80 -s rr\n"
            "-a -t 10.0.0.2:80 -r 10.1.0.2:80 -m -w 1\n"
            "-a -t 10.0.0.2:80 -r 10.1.0.2:81 -m -w 1\n"
            "-a -t 10.0.0.2:80 -r 10.1.0.10:80 -m -w 1\n"
            "-A -u 10.0.0.1:53 -s rr\n"
            "-A -t [fd00::1]:80 -s rr\n");
}

TEST(IpvsadmSave, GueNeedsAPort) {
  EXPECT_THAT(ErrorOf("-A -t 10.0.0.1:80\n"
                      "-a -t 10.0.0.1:80 -r 10.0.0.2:80 -i --tun-type gue\n"),
              HasSubstr("f:2:37: \"--tun-type\": gue needs a --tun-port"));
}

TEST(IpvsadmSave, ANulIsNoOption) {
  EXPECT_FALSE(
      ReadIpvsadm(absl::string_view("-A -\0 10.0.0.1:80", 17), "f").ok());
}

TEST(IpvsadmSave, NamesInPlaceOfNumbers) {
  NameService names;
  const IpAddress web = *IpAddress::Parse("10.0.0.1");
  names.address_of = [&](absl::string_view host) -> std::optional<IpAddress> {
    if (host == "web.example") return web;
    return std::nullopt;
  };
  names.host_of = [&](const IpAddress& a) -> std::optional<std::string> {
    if (a == web) return "web.example";
    return std::nullopt;
  };
  names.port_of = [](absl::string_view name,
                     Protocol) -> std::optional<uint16_t> {
    if (name == "http") return 80;
    return std::nullopt;
  };
  names.service_of = [](uint16_t port, Protocol) -> std::optional<std::string> {
    if (port == 80) return "http";
    return std::nullopt;
  };
  const char kText[] =
      "-A -t web.example:http -s rr\n"
      "-a -t web.example:http -r 10.0.0.2:8080 -m -w 1\n";
  auto table = ReadIpvsadm(kText, "x", {.names = &names});
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(PrintIpvsadm(*table, {.names = &names}), kText);
  EXPECT_EQ(PrintIpvsadm(*table),
            "-A -t 10.0.0.1:80 -s rr\n"
            "-a -t 10.0.0.1:80 -r 10.0.0.2:8080 -m -w 1\n");
  EXPECT_THAT(ErrorOf(kText), HasSubstr("f:1:7: found \"web.example:http\""));
}

TEST(IpvsadmSave, SaysWhatIsWrongAndWhere) {
  struct Case {
    const char* text;
    const char* error;
  } cases[] = {
      {"-A -t 10.0.0.300:80 -s rr",
       "f:1:7: found \"10.0.0.300:80\", expected address[:port]"},
      {"-A -t 10.0.0.1:99999 -s rr", "expected a port number"},
      {"\n-a -t 10.0.0.1:80 -r 10.0.0.2:80 -m",
       "f:2:7: \"10.0.0.1:80\": no such service"},
      {"-A -t 10.0.0.1:80\n-A -t 10.0.0.1:80",
       "f:2:7: \"10.0.0.1:80\": service already exists"},
      {"-A -t 10.0.0.1:80 -s", "f:1:19: found \"-s\", expected a value"},
      {"-A -t 10.0.0.1:80 -w 1", "f:1:19: \"-w\": does not go with"},
      {"-A -t 10.0.0.1:80 -s rr -s wrr", "f:1:25: \"-s\": given twice"},
      {"-A -t 10.0.0.1 -s rr", "port 0 needs a persistent service"},
      {"-A -t 10.0.0.1:80 -o", "one-packet scheduling is for UDP only"},
      {"-A -t 10.0.0.1:80 -s mh -b sh-port", "flags of this scheduler"},
      {"-A -A -t 10.0.0.1:80", "f:1:4: \"-A\": a second command"},
      {"-A -s rr", "no virtual server"},
      {"-t 10.0.0.1:80", "no command"},
      {"# comment", "f:1:1: found \"#\", expected an option"},
      {"-A -t 10.0.0.1:80 rr", "f:1:19: found \"rr\", expected an option"},
      {"-A -6 -t 10.0.0.1:80", "used before -f"},
  };
  for (const Case& c : cases) {
    EXPECT_THAT(ErrorOf(c.text), HasSubstr(c.error)) << c.text;
  }
  EXPECT_THAT(ErrorOf("-A -t 10.0.0.1:80\n"
                      "-a -t 10.0.0.1:80 -r 10.0.0.2:1 -m -w 70000"),
              HasSubstr("f:2:39: found \"70000\", expected a weight from 0 to "
                        "65535"));
  EXPECT_THAT(ErrorOf("-A -t 10.0.0.1:80\n"
                      "-a -t 10.0.0.1:80 -r [fd00::1]:80 -m"),
              HasSubstr("another address family needs a tunnel"));
}

TEST(IpvsadmSave, FindsAllErrorsUpToTheLimit) {
  std::string text;
  for (int i = 0; i < 10; ++i) absl::StrAppend(&text, "-A nonsense\n");
  const std::string all = ErrorOf(text);
  EXPECT_THAT(all, HasSubstr("f:10:4:"));
  const absl::Status few = ReadIpvsadm(text, "f", {.max_errors = 3}).status();
  EXPECT_THAT(std::string(few.message()), HasSubstr("f:3:4:"));
  EXPECT_THAT(std::string(few.message()), HasSubstr("more errors follow"));
}

TEST(IpvsTable, FindsAfterManyRemovals) {
  Table table;
  for (uint16_t port = 1; port <= 1000; ++port) {
    VirtualServer server;
    server.key = ServiceKey::Of(Protocol::kTcp, IpAddress::V4(1), port);
    EXPECT_NE(table.Add(server), nullptr);
    EXPECT_EQ(table.Add(server), nullptr);
  }
  for (uint16_t port = 1; port <= 1000; ++port) {
    if (port % 10 == 0) continue;
    EXPECT_TRUE(
        table.Remove(ServiceKey::Of(Protocol::kTcp, IpAddress::V4(1), port)));
  }
  EXPECT_EQ(table.size(), 100u);
  for (uint16_t port = 10; port <= 1000; port += 10) {
    const ServiceKey key =
        ServiceKey::Of(Protocol::kTcp, IpAddress::V4(1), port);
    ASSERT_NE(table.Find(key), nullptr);
    EXPECT_EQ(table.Find(key)->key, key);
  }
}

}  // namespace
}  // namespace k8sdns::ipvs
