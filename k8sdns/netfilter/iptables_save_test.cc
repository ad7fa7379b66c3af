#include "k8sdns/netfilter/iptables_save.h"

#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace k8sdns::netfilter {
namespace {

using ::testing::HasSubstr;

std::string InTable(absl::string_view table, absl::string_view rules) {
  return absl::StrCat("*", table, "\n:X - [0:0]\n", rules, "\nCOMMIT\n");
}

// The only rule of `rule` as it is printed, or the error.
std::string Canonical(absl::string_view rule,
                      absl::string_view table = "filter",
                      IpFamily family = IpFamily::kIpv4) {
  const auto rules = ParseIptablesSave(InTable(table, rule), family);
  if (!rules.ok()) return std::string(rules.status().message());
  const std::string text = PrintIptablesSave(*rules);
  const size_t at = text.find("-A ");
  return text.substr(at, text.find("\nCOMMIT") - at);
}

TEST(ParseIptablesSave, EverySpellingHasOneForm) {
  EXPECT_EQ(Canonical("--append INPUT --jump ACCEPT --dst 10.1.2.3/24 "
                      "--proto 6 --dport http"),
            "-A INPUT -d 10.1.2.0/24 -p tcp -m tcp --dport 80 -j ACCEPT");
  EXPECT_EQ(Canonical("-A INPUT -m mark --mark 010 -s 10/255.0.255.0"),
            "-A INPUT -s 10.0.0.0/255.0.255.0 -m mark --mark 0x8");
  EXPECT_EQ(Canonical("-A X -m comment --comment \"it's\""),
            "-A X -m comment --comment \"it\\'s\"");
}

TEST(ParseIptablesSave, TheLastOfTcpmssOptionsCounts) {
  const std::string rule =
      "-A X -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS";
  EXPECT_EQ(Canonical(rule + " --set-mss 1400 --clamp-mss-to-pmtu", "mangle"),
            rule + " --clamp-mss-to-pmtu");
  EXPECT_EQ(Canonical(rule + " --clamp-mss-to-pmtu --set-mss 1400", "mangle"),
            rule + " --set-mss 1400");
  // 65535 less the header of the family.
  EXPECT_EQ(Canonical(rule + " --set-mss 65515", "mangle"),
            rule + " --set-mss 65515");
  EXPECT_THAT(Canonical(rule + " --set-mss 65516", "mangle"),
              HasSubstr("bad value `65516'"));
  EXPECT_THAT(Canonical(rule + " --set-mss 65496", "mangle", IpFamily::kIpv6),
              HasSubstr("65495"));
}

TEST(ParseIptablesSave, PatternsHaveUpTo128BytesOr127InHexadecimal) {
  const std::string rule = "-A X -m string";
  const auto text = [](size_t size) { return std::string(size, 'A'); };
  const auto hex = [](size_t size) {
    std::string out = "|";
    for (size_t i = 0; i < size; ++i) out += "41";
    return out + "|";
  };
  EXPECT_EQ(Canonical(rule + " --algo bm --string " + text(128)),
            rule + " --string \"" + text(128) + "\" --algo bm");
  EXPECT_THAT(Canonical(rule + " --algo bm --string " + text(129)),
              HasSubstr("line 3"));
  EXPECT_EQ(Canonical(rule + " --algo bm --hex-string " + hex(127)),
            rule + " --string \"" + text(127) + "\" --algo bm");
  EXPECT_THAT(Canonical(rule + " --algo bm --hex-string " + hex(128)),
              HasSubstr("line 3"));
}

TEST(ParseIptablesSave, HmarkPrintsItsTupleAsMasks) {
  const auto hmark = [](absl::string_view options, IpFamily family) {
    return Canonical(absl::StrCat("-A PREROUTING -j HMARK ", options), "mangle",
                     family);
  };
  EXPECT_EQ(hmark("--hmark-tuple ct,SRC,sp --hmark-mod 4 --hmark-rnd 0xcafe",
                  IpFamily::kIpv4),
            "-A PREROUTING -j HMARK --hmark-src-prefix 32 --hmark-sport-mask "
            "0xffff --hmark-rnd 0x0000cafe --hmark-mod 4 --hmark-tuple ct");
  EXPECT_EQ(hmark("--hmark-dst-prefix 64 --hmark-mod 4 --hmark-rnd 1 "
                  "--hmark-proto-mask 255 --hmark-offset 16",
                  IpFamily::kIpv6),
            "-A PREROUTING -j HMARK --hmark-dst-prefix 64 --hmark-proto-mask "
            "0xff --hmark-rnd 0x00000001 --hmark-mod 4 --hmark-offset 16");
  for (absl::string_view bad :
       {"--hmark-mod 4 --hmark-rnd 1", "--hmark-mod 4 --hmark-tuple src",
        "--hmark-rnd 1 --hmark-tuple src",
        "--hmark-mod 0 --hmark-rnd 1 --hmark-tuple src",
        "--hmark-mod 4 --hmark-rnd 1 --hmark-tuple src,x",
        "--hmark-mod 4 --hmark-rnd 1 --hmark-tuple src,",
        "--hmark-mod 4 --hmark-rnd 1 --hmark-tuple spi,sport",
        "--hmark-mod 4 --hmark-rnd 1 --hmark-src-prefix 33",
        "--hmark-mod 4 --hmark-rnd 1 --hmark-tuple src --hmark-src-prefix 8"}) {
    EXPECT_THAT(hmark(bad, IpFamily::kIpv4), HasSubstr("line 3")) << bad;
  }
}

// The kernel has the times of an estimator as powers of two.
TEST(ParseIptablesSave, EstimatorsPrintWhatTheKernelKeeps) {
  const auto target = [](absl::string_view interval, absl::string_view log) {
    return Canonical(absl::StrCat(
        "-A X -j RATEEST --rateest-name abcdefghijklmnop --rateest-interval ",
        interval, " --rateest-ewmalog ", log));
  };
  const std::string name = "-A X -j RATEEST --rateest-name abcdefghijklmno";
  EXPECT_EQ(target("0.25s", "500msec"),
            name + " --rateest-interval 250.0ms --rateest-ewmalog 500.0ms");
  EXPECT_EQ(target("1000000us", "10s"),
            name + " --rateest-interval 1.0s --rateest-ewmalog 8.0s");
  EXPECT_THAT(target("8s", "2s"), HasSubstr("out of range"));
  EXPECT_THAT(target("16s", "2s"), HasSubstr("too long"));
  EXPECT_THAT(target("1s", "x"), HasSubstr("rateest-ewmalog"));

  const auto match = [](absl::string_view options) {
    return Canonical(absl::StrCat("-A X -m rateest ", options));
  };
  EXPECT_EQ(match("--rateest1 a --rateest-bps2 1500 ! --rateest-gt"),
            "-A X -m rateest --rateest a ! --rateest-gt --rateest-bps 1496bit");
  EXPECT_EQ(match("--rateest a --rateest-pps 7 --rateest-eq"),
            "-A X -m rateest --rateest a --rateest-eq --rateest-pps 7");
  EXPECT_EQ(match("--rateest1 a --rateest-lt --rateest2 b --rateest-pps"),
            "-A X -m rateest --rateest1 a --rateest-lt --rateest-pps "
            "--rateest2 b");
  EXPECT_EQ(match("--rateest-delta --rateest1 a --rateest-bps1 1KBps "
                  "--rateest-lt --rateest2 b --rateest-bps2 2gbit"),
            "-A X -m rateest --rateest-delta --rateest1 a --rateest-bps1 "
            "8000bit --rateest-lt --rateest-bps2 2000Mbit --rateest2 b");
  EXPECT_THAT(match("--rateest a --rateest-lt --rateest-bps fast"),
              HasSubstr("line 3"));
}

TEST(ParseIptablesSave, UnknownIsKeptOrRefused) {
  EXPECT_EQ(Canonical("-A X -m policy --dir in --pol ipsec -j ACCEPT"),
            "-A X -m policy --dir in --pol ipsec -j ACCEPT");
  EXPECT_THAT(Canonical("-A X -m nosuch"), HasSubstr("no such match"));
}

TEST(ParseIptablesSave, ErrorsSayWhere) {
  std::vector<ParseError> errors;
  const auto rules = ParseIptablesSave(
      InTable("filter", "-A X -p tcp --dport 70000\n-A X -j NOWHERE"),
      IpFamily::kIpv4, {}, &errors);
  EXPECT_FALSE(rules.ok());
  ASSERT_EQ(errors.size(), 2u);
  EXPECT_EQ(errors[0].line, 3);
  EXPECT_EQ(errors[1].line, 4);
  EXPECT_EQ(errors[1].column, 9);
  EXPECT_EQ(errors[1].token, "NOWHERE");
}

// As iptables 1.8.9 prints them.
TEST(ParseIptablesSave, OddValuesAreBroughtToTheirForm) {
  const auto of_input = [](absl::string_view match) {
    return Canonical(absl::StrCat("-A INPUT -m ", match));
  };
  EXPECT_THAT(of_input("connlimit --connlimit-above 5 --connlimit-mask 33"),
              HasSubstr("--connlimit-mask 32 --connlimit-saddr"));
  EXPECT_THAT(of_input("connlimit --connlimit-above 5 --connlimit-mask 010"),
              HasSubstr("--connlimit-mask 8 --connlimit-saddr"));
  EXPECT_THAT(
      of_input("connlimit --connlimit-above 5 --connlimit-mask 4294967296"),
      HasSubstr("bad value"));
  EXPECT_THAT(of_input("connbytes --connbytes 0:0 --connbytes-dir both "
                       "--connbytes-mode bytes"),
              HasSubstr("--connbytes 0 --connbytes-mode bytes"));
  EXPECT_THAT(Canonical("-A FORWARD -p tcp --tcp-flags ACK ACK -m tcp --syn "
                        "-j TCPMSS --set-mss 1400",
                        "mangle"),
              HasSubstr("-j TCPMSS --set-mss 1400"));
}

TEST(ParseIptablesSave, WhatTheKernelRefuses) {
  EXPECT_THAT(Canonical("-A INPUT -j X\n-A X -j X"), HasSubstr("loop"));
  EXPECT_THAT(Canonical("-A X -p tcp -j DNAT --to-destination 1.2.3.4:5"),
              HasSubstr("not allowed in table filter"));
  EXPECT_THAT(Canonical("-A POSTROUTING -j X\n"
                        "-A X -p tcp -j DNAT --to-destination 1.2.3.4:5",
                        "nat"),
              HasSubstr("POSTROUTING"));
}

// Also of what is kept as text: by the Linux 6.18 kernel that the recordings
// come from. "": it takes the rule.
TEST(ParseIptablesSave, WhatTheKernelRefusesByProtocolTableAndHook) {
  struct Case {
    absl::string_view table, rule, legacy, nft;
  };
  const Case cases[] = {
      {"filter", "-A X -m esp --espspi 1", "esp needs -p esp",
       "esp needs -p esp"},
      {"filter", "-A X ! -p esp -m esp --espspi 1", "needs -p esp",
       "needs -p esp"},
      {"filter", "-A X -p esp -m esp --espspi 1", "", ""},
      {"filter", "-A X -p udp -m ipcomp --ipcompspi 1", "needs -p ipcomp",
       "needs -p ipcomp"},
      {"filter", "-A X -p udp -m tcpmss --mss 1", "needs -p tcp",
       "needs -p tcp"},
      {"filter", "-A X -m ecn --ecn-ip-ect 1", "", ""},
      {"filter", "-A X -m ecn --ecn-tcp-ece", "needs -p tcp", "needs -p tcp"},
      {"mangle", "-A X -j ECN --ecn-tcp-remove", "needs -p tcp",
       "needs -p tcp"},
      {"mangle", "-A X -j TCPOPTSTRIP --strip-options mss", "needs -p tcp",
       "needs -p tcp"},
      {"filter", "-A X -p tcp -j TCPOPTSTRIP --strip-options mss",
       "not allowed in table filter", "not allowed in table filter"},
      {"mangle", "-A X -p icmp -j TPROXY --on-port 1", "needs -p tcp or -p udp",
       "needs -p tcp or -p udp"},
      {"mangle", "-A PREROUTING -p udp -j TPROXY --on-port 1", "", ""},
      {"mangle", "-A FORWARD -p udp -j TPROXY --on-port 1",
       "only in PREROUTING", "only in PREROUTING"},
      {"filter", "-A FORWARD -m socket", "only in PREROUTING, INPUT",
       "only in PREROUTING, INPUT"},
      {"filter", "-A INPUT -m policy --dir out --pol none",
       "reached from INPUT", "reached from INPUT"},
      {"filter", "-A OUTPUT -m policy --dir out --pol none", "", ""},
      {"mangle", "-A FORWARD -p tcp -j TCPMSS --set-mss 1400",
       "needs -m tcp with SYN", ""},
      {"mangle", "-A FORWARD -p tcp --syn -j TCPMSS --set-mss 1400", "", ""},
      {"mangle", "-A FORWARD -p udp -j TCPMSS --set-mss 1400", "needs -p tcp",
       "needs -p tcp"},
      {"filter", "-A X -m tcp", "tcp needs -p tcp", "tcp needs -p tcp"},
      {"filter", "-A X ! -d 0.0.0.0/0", "", "not known to nft"},
  };
  for (const Case& c : cases) {
    for (Variant variant : {Variant::kLegacy, Variant::kNft}) {
      ParseOptions options;
      options.variant = variant;
      const auto rules =
          ParseIptablesSave(InTable(c.table, c.rule), IpFamily::kIpv4, options);
      const absl::string_view refused =
          variant == Variant::kNft ? c.nft : c.legacy;
      EXPECT_EQ(rules.ok(), refused.empty()) << c.rule << rules.status();
      EXPECT_THAT(std::string(rules.status().message()),
                  HasSubstr(std::string(refused)))
          << c.rule;
    }
  }
}

// What iptables takes and the kernel's checkentry does not. As above.
TEST(ParseIptablesSave, WhatTheKernelRefusesOfValues) {
  struct Case {
    absl::string_view table, rule, legacy, nft;
    IpFamily family = IpFamily::kIpv4;
  };
  const IpFamily v6 = IpFamily::kIpv6;
  const Case cases[] = {
      {"filter", "-A X -m limit --limit 1/day", "limit: rate and burst", ""},
      {"filter", "-A X -m limit --limit 1/day --limit-burst 1", "", ""},
      {"filter", "-A X -m limit --limit 3/day --limit-burst 10",
       "limit: rate and burst", ""},
      {"filter", "-A X -m limit --limit-burst 0", "limit: rate and burst", ""},
      {"filter", "-A X -m limit --limit 1/hour --limit-burst 200", "", ""},
      {"filter", "-A X -m hashlimit --hashlimit-name a --hashlimit-upto 1/day",
       "hashlimit: rate and", "hashlimit: rate and"},
      {"filter",
       "-A X -m hashlimit --hashlimit-name a --hashlimit-upto 1/day "
       "--hashlimit-burst 1",
       "", ""},
      {"filter", "-A X -m hashlimit --hashlimit-name a/b --hashlimit-upto 1/s",
       "hashlimit: bad name", "hashlimit: bad name"},
      {"filter", "-A X -m recent --set --name ..", "recent: bad name",
       "recent: bad name"},
      {"filter", "-A X -m recent --set --name .a", "", ""},
      {"filter", "-A X -m recent --rcheck --hitcount 65535", "", ""},
      {"filter", "-A X -m recent --rcheck --hitcount 65536", "over 65535",
       "over 65535"},
      {"filter", "-A OUTPUT -m owner --gid-owner 5-3", "owner: a range",
       "owner: a range"},
      {"filter", "-A X -m u32 --u32 0>>31=1", "", ""},
      {"filter", "-A X -m u32 --u32 0&32<<32=1", "u32: a shift",
       "u32: a shift"},
      {"mangle", "-A X -j CONNMARK --set-mark 1 --left-shift-mark 31", "", ""},
      {"mangle", "-A X -j CONNMARK --set-mark 1 --left-shift-mark 32",
       "CONNMARK: a shift", "CONNMARK: a shift"},
      {"mangle", "-A INPUT -p tcp --syn -j TCPMSS --clamp-mss-to-pmtu",
       "only in FORWARD", "only in FORWARD"},
      {"mangle", "-A INPUT -p tcp --syn -j TCPMSS --set-mss 5", "", ""},
      {"filter", "-A INPUT -m devgroup --src-group 1", "", ""},
      {"filter", "-A INPUT -m devgroup --dst-group 1", "only in FORWARD",
       "only in FORWARD"},
      {"filter", "-A OUTPUT -m devgroup --src-group 1", "only in PREROUTING",
       "only in PREROUTING"},
      {"raw", "-A PREROUTING -j CT --helper ftp", "needs -p", "needs -p"},
      {"raw", "-A PREROUTING ! -p tcp -j CT --helper ftp", "needs -p",
       "needs -p"},
      {"raw", "-A PREROUTING -p tcp -j CT --helper ftp", "", ""},
      {"filter", "-A X -m string --string a --algo BM", "no such algorithm",
       "no such algorithm"},
      {"filter", "-A X -m string --string \"\" --algo bm", "string: empty",
       "string: empty"},
      {"filter", "-A X -m string --string \"--algo fsm\" --algo kmp", "", ""},
      {"filter", "-A X -m string --string a --algo bm --from 20 --to 10",
       "--from is beyond", "--from is beyond"},
      {"filter", "-A X -m connlabel --label 128", "over 127", "over 127"},
      {"filter", "-A X -j TEE --gateway 0.0.0.0", "no gateway", "no gateway"},
      {"filter", "-A X -j IDLETIMER --timeout 2147483 --label a", "bad timeout",
       "bad timeout"},
      {"filter", "-A X -j IDLETIMER --timeout 2147482 --label a", "", ""},
      {"filter", "-A X -j IDLETIMER --timeout 5 --label power", "bad label",
       "bad label"},
      {"filter", "-A X -m addrtype --dst-type BROADCAST", "", ""},
      {"filter", "-A X -m addrtype --dst-type BROADCAST", "addrtype: a type",
       "addrtype: a type", v6},
      {"filter", "-A X -m addrtype --dst-type UNREACHABLE", "", "", v6},
      {"mangle", "-A X -j SNPT --src-pfx dead::/65 --dst-pfx beef::/64",
       "longer than 64", "longer than 64", v6},
      {"mangle", "-A X -j DNPT --src-pfx dead::/64 --dst-pfx beef::1/64",
       "host bits", "host bits", v6},
      {"mangle", "-A POSTROUTING -j SNPT --src-pfx dead::/64 --dst-pfx b::/64",
       "", "", v6},
  };
  for (const Case& c : cases) {
    for (Variant variant : {Variant::kLegacy, Variant::kNft}) {
      ParseOptions options;
      options.variant = variant;
      const auto rules =
          ParseIptablesSave(InTable(c.table, c.rule), c.family, options);
      const absl::string_view refused =
          variant == Variant::kNft ? c.nft : c.legacy;
      EXPECT_EQ(rules.ok(), refused.empty()) << c.rule << rules.status();
      EXPECT_THAT(std::string(rules.status().message()),
                  HasSubstr(std::string(refused)))
          << c.rule;
    }
  }
}

TEST(ParseIptablesSave, BadInputIsRefusedNotLost) {
  for (const char* text :
       {"*filter\n", "COMMIT\n", "*filter\r\nCOMMIT\r\n", "*nosuch\nCOMMIT\n",
        "*filter\n:- - [0:0]\nCOMMIT\nCOMMIT\n", "*filter\n-A\nCOMMIT\n"}) {
    EXPECT_FALSE(ParseIptablesSave(text, IpFamily::kIpv4).ok()) << text;
  }
  const std::string nul(
      "*filter\n-A INPUT -m comment --comment \"a\0b\"\nCOMMIT\n", 47);
  EXPECT_FALSE(ParseIptablesSave(nul, IpFamily::kIpv4).ok());
}

TEST(ParseIptablesSave, ErrorsAmongFastLinesSayWhere) {
  std::string text = "*nat\n:KUBE-SERVICES - [0:0]\n:KUBE-MARK-MASQ - [0:0]\n";
  for (int i = 0; i < 20; ++i) {
    absl::StrAppend(&text, "-A KUBE-SERVICES -s 10.0.0.", i,
                    "/32 -j KUBE-MARK-MASQ\n");
  }
  const std::string dnat =
      "-A KUBE-MARK-MASQ -p tcp -j DNAT --to-destination 10.0.0.1:80\n";
  std::vector<ParseError> errors;
  EXPECT_TRUE(
      ParseIptablesSave(
          absl::StrCat(text, "-A OUTPUT -j KUBE-SERVICES\n", dnat, "COMMIT\n"),
          IpFamily::kIpv4, {}, &errors)
          .ok());
  EXPECT_FALSE(
      ParseIptablesSave(absl::StrCat(text, "-A POSTROUTING -j KUBE-SERVICES\n",
                                     dnat, "COMMIT\n", std::string(80, '#')),
                        IpFamily::kIpv4, {}, &errors)
          .ok());
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].line, 25);
  EXPECT_EQ(errors[0].token, "DNAT");
  EXPECT_THAT(errors[0].message, HasSubstr("POSTROUTING"));
}

// The fast reader gives what the general one gives, or leaves the line.
TEST(ParseIptablesSave, FastLinesAreTheSame) {
  const std::vector<std::string> parts = {
      " -s 10.0.0.1/32",
      " ! -s 10.0.0.0/8",
      " -d 10.96.0.1/32",
      " -p tcp",
      " -p udp",
      " -m comment --comment \"a b:c\"",
      " -m comment --comment x",
      " -m comment --comment \"\"",
      " -m tcp --dport 80",
      " -m tcp",
      " -m tcp ! --dport 80",
      " -m tcp --sport 1:2 --dport 08",
      " -m udp --dport 0:65535",
      " -m statistic --mode random --probability 0.33333333349",
      " -m statistic --mode random --probability 1.0",
      " -m addrtype --dst-type LOCAL",
      " -m mark --mark 0x4000/0x4000",
      " -j RETURN",
      " -j DROP",
      " -j X",
      " -j KUBE-MARK-MASQ",
      " -j MARK --set-xmark 0x4000/0x4000",
      " -j DNAT --to-destination 10.0.0.1:80",
      " -j MASQUERADE"};
  int read = 0;
  for (const char* table : {"nat", "mangle"}) {
    for (const std::string& a : parts) {
      for (const std::string& b : parts) {
        for (const std::string& c : parts) {
          // What stands near the end of a text is not read fast.
          const std::string text =
              absl::StrCat("*", table, "\n:X - [0:0]\n:KUBE-SERVICES - [0:0]\n",
                           ":KUBE-MARK-MASQ - [0:0]\n-A KUBE-SERVICES", a, b, c,
                           "\nCOMMIT\n# ", std::string(80, '-'), "\n");
          ParseOptions slow;
          slow.slow = true;
          const auto fast = ParseIptablesSave(text, IpFamily::kIpv4);
          const auto general = ParseIptablesSave(text, IpFamily::kIpv4, slow);
          ASSERT_EQ(fast.ok(), general.ok()) << text;
          if (!fast.ok()) continue;
          ++read;
          ASSERT_EQ(PrintIptablesSave(*fast), PrintIptablesSave(*general));
        }
      }
    }
  }
  EXPECT_GT(read, 500);
}

TEST(ParseIptablesSave, FastLinesOfIpv6AreTheSame) {
  const std::vector<std::string> parts = {
      " -s fd00:10::1:0:a/128",
      " ! -d fd00:10:20:30:40:50:60:ffff/47",
      " -s ::/1",
      " -d ::1/128",
      " -d fd00::/64",
      " -d fd00::/0",
      " -d /64",
      " -s 10.0.0.1/32",
      " -s FD00::A/128",
      " -d ::ffff:10.0.0.1/128",
      " -d ::ffff:a00:1/96",
      " -p tcp",
      " -m comment --comment \"a b:c\"",
      " -m tcp --dport 80",
      " -j KUBE-MARK-MASQ",
      " -j DNAT --to-destination [fd00::1:2]:80",
      " -j DNAT --to-destination [fd00::1:2]:80-90",
      " -j DNAT --to-destination [::ffff:10.0.0.1]:80",
      " -j DNAT --to-destination []:80",
      " -j DNAT --to-destination fd00::1:2"};
  int read = 0;
  for (const std::string& a : parts) {
    for (const std::string& b : parts) {
      for (const std::string& c : parts) {
        const std::string text = absl::StrCat(
            "*nat\n:KUBE-SERVICES - [0:0]\n:KUBE-MARK-MASQ - [0:0]\n",
            "-A KUBE-SERVICES", a, b, c, "\nCOMMIT\n# ", std::string(80, '-'),
            "\n");
        ParseOptions slow;
        slow.slow = true;
        const auto fast = ParseIptablesSave(text, IpFamily::kIpv6);
        const auto general = ParseIptablesSave(text, IpFamily::kIpv6, slow);
        ASSERT_EQ(fast.status(), general.status()) << text;
        if (!fast.ok()) continue;
        ++read;
        ASSERT_EQ(PrintIptablesSave(*fast), PrintIptablesSave(*general));
      }
    }
  }
  EXPECT_GT(read, 300);
}

// Two tables whose chains have some names in common, declared in any order and
// called from anywhere, with comments that come back.
std::string RandomDump(std::mt19937& random) {
  const auto chain = [&] {
    const auto n = random() % 60;
    return n < 3 ? absl::StrCat("X", n) : absl::StrCat("KUBE-SEP-XY", 100 + n);
  };
  const auto comment = [&] {
    // Of any length, so that lines end anywhere in the blocks they are read by.
    return absl::StrCat(
        "\"ns-", random() % 9, "/svc:http", random() % 40,
        std::string(random() % 3 == 0 ? random() % 150 : 0, 'x'),
        random() % 30 == 0 ? "\\\"y" : "", "\"");
  };
  std::string text;
  for (const char* table : {"filter", "nat"}) {
    absl::StrAppend(&text, "*", table, "\n");
    std::set<std::string> declared;
    for (int i = random() % 80; i > 0; --i) {
      const std::string name = chain();
      if (declared.insert(name).second || random() % 400 == 0) {
        absl::StrAppend(&text, ":", name, " - [0:", random() % 3 / 2, "]\n");
      }
    }
    if (declared.empty()) absl::StrAppend(&text, ":", chain(), " - [0:0]\n");
    const std::vector<std::string> names(declared.begin(), declared.end());
    for (int i = random() % 200; i > 0 && !names.empty(); --i) {
      // Callers before callees: no loops.
      const size_t from = random() % names.size();
      const size_t to = from + random() % (names.size() - from);
      absl::StrAppend(&text, "-A ", names[from], " -s 10.0.0.", random() % 256,
                      "/32 -m comment --comment ", comment(), " -j ",
                      to == from ? "RETURN" : names[to], "\n");
    }
    absl::StrAppend(&text, "COMMIT\n");
  }
  return absl::StrCat(text, "# ", std::string(80, '-'), "\n");
}

TEST(ParseIptablesSave, FastDumpsAreTheSame) {
  std::mt19937 random(1);
  int read = 0;
  for (int round = 0; round < 500; ++round) {
    const std::string text = RandomDump(random);
    ParseOptions slow;
    slow.slow = true;
    const auto fast = ParseIptablesSave(text, IpFamily::kIpv4);
    const auto general = ParseIptablesSave(text, IpFamily::kIpv4, slow);
    ASSERT_EQ(fast.status(), general.status()) << text;
    if (!fast.ok()) continue;
    ++read;
    ASSERT_EQ(PrintIptablesSave(*fast), PrintIptablesSave(*general));
  }
  EXPECT_GT(read, 250);
}

// The lines of the rules, each printed by itself: the plain printer.
std::string RulesOneByOne(const Ruleset& rules) {
  std::string out;
  for (TableId id : rules.tables()) {
    const Table& table = *rules.table(id);
    for (ChainId chain : table.chains()) {
      for (RuleView rule : table.rules(chain)) {
        absl::StrAppend(&out, PrintRule(rules, table, chain, rule), "\n");
      }
    }
  }
  return out;
}

std::string RuleLines(const std::string& dump) {
  std::string out;
  for (absl::string_view line : absl::StrSplit(dump, '\n')) {
    if (absl::StartsWith(line, "-A ")) absl::StrAppend(&out, line, "\n");
  }
  return out;
}

// Ops that the fast printer knows, and others, with values at their ends.
void AddRandomOp(std::mt19937& random, StringPool& strings, RuleBuilder* rule) {
  const auto number = [&]() -> uint32_t {
    constexpr uint32_t kEnds[] = {0, 1, 9, 10, 99, 100, 0x4000, 0xffff};
    return random() % 2 != 0 ? kEnds[random() % 8] : random();
  };
  const auto port = [&] { return static_cast<uint16_t>(number()); };
  const auto flags = [&] { return static_cast<uint8_t>(number() % 256); };
  const auto address = [&](AddressMask a) {
    a.invert = random() % 2;
    a.prefix_length =
        random() % 9 == 0 ? AddressMask::kExplicitMask : random() % 33;
    for (int i = 0; i < 4; ++i) a.address[i] = number();
    return a;
  };
  switch (random() % 11) {
    case 0:
      rule->Add(SourceMatch{address({})});
      break;
    case 1:
      rule->Add(DestinationMatch{address({})});
      break;
    case 2:
      rule->Add(ProtocolMatch{static_cast<uint8_t>(random() % 2),
                              static_cast<uint8_t>(random() % 20)});
      break;
    case 3: {
      std::string text(1 + random() % 40 * (random() % 9 == 0 ? 10 : 1), 'a');
      for (char& c : text) c = "ab/ :-_Z09"[random() % 10];
      if (random() % 4 == 0)
        text[random() % text.size()] = "\"'\\\xA2"[random() % 4];
      if (random() % 9 == 0) text = std::string(text.size(), 'x');
      rule->Add(CommentMatch{strings.Intern(text)});
      break;
    }
    case 4: {
      TcpMatch tcp;
      tcp.flags = random() % 2 != 0 ? 2 : flags();
      tcp.destination = {port(), port()};
      if (random() % 2 != 0) tcp.destination.last = tcp.destination.first;
      if ((tcp.flags & 1) != 0) tcp.source = {port(), port()};
      tcp.flag_mask = random() % 4 == 0 ? 0x17 : 0;
      rule->Add(tcp);
      break;
    }
    case 5: {
      UdpMatch udp;
      udp.flags = random() % 2 != 0 ? 2 : flags() % 16;
      udp.destination = {port(), port()};
      if (random() % 2 != 0) udp.destination.last = udp.destination.first;
      rule->Add(udp);
      break;
    }
    case 6: {
      StatisticMatch statistic;
      statistic.nth = random() % 8 == 0;
      statistic.invert = random() % 8 == 0;
      statistic.probability =
          random() % 4 == 0 ? 0x80000000 - random() % 3 : number() % 0x80000000;
      rule->Add(statistic);
      break;
    }
    case 7:
      rule->Add(MarkTarget{{}, number(), number()});
      break;
    case 8: {
      DnatTarget dnat;
      dnat.flags = random() % 2 != 0 ? kNatHasAddress | kNatHasPort : flags();
      dnat.first_port = port();
      for (int i = 0; i < 4; ++i) dnat.first[i] = number();
      rule->Add(dnat);
      break;
    }
    case 9:
      rule->Add(JumpTarget{strings.Intern(
          std::string(1 + random() % (random() % 9 == 0 ? 400 : 30), 'J'))});
      break;
    default:
      rule->Add(InInterfaceMatch{{0, 1, strings.Intern("eth")}});
      break;
  }
}

TEST(PrintIptablesSave, Ipv6AddressesOfADumpAreThoseOneByOne) {
  Ruleset rules(IpFamily::kIpv6);
  Table& table = rules.AddTable(TableId::kFilter);
  const ChainId chain = table.AddChain("X");
  constexpr uint32_t kWords[] = {0, 1, 0xffff, 0x10000, 0x0a0b0c0d};
  for (int n = 0; n < 5 * 5 * 5 * 5; ++n) {
    SourceMatch source;
    source.prefix_length = 128;
    for (int i = 0, left = n; i < 4; ++i, left /= 5) {
      source.address[i] = kWords[left % 5];
    }
    RuleBuilder rule;
    table.Append(chain, rule.Add(source));
  }
  EXPECT_EQ(RuleLines(PrintIptablesSave(rules)), RulesOneByOne(rules));
}

TEST(PrintIptablesSave, RulesOfADumpAreThoseOneByOne) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    Ruleset rules(random() % 3 == 0 ? IpFamily::kIpv6 : IpFamily::kIpv4);
    Table& table = rules.AddTable(TableId::kNat);
    const int chains = 1 + random() % 20;
    for (int i = 0; i < chains; ++i) {
      const ChainId chain = table.AddChain(absl::StrCat("KUBE-X-", i));
      for (int k = random() % 12; k > 0; --k) {
        RuleBuilder rule;
        for (int ops = random() % 7; ops > 0; --ops) {
          AddRandomOp(random, rules.strings(), &rule);
        }
        table.Append(chain, rule);
      }
    }
    ASSERT_EQ(RuleLines(PrintIptablesSave(rules)), RulesOneByOne(rules));
  }
}

TEST(PrintIptablesSave, QuotesAreEscapedWhereverTheyStand) {
  for (size_t size = 1; size <= 20; ++size) {
    for (size_t at = 0; at < size; ++at) {
      for (const char c : {'"', '\\', '\'', ':', '#', '\xA2'}) {
        std::string text(size, 'a');
        text[at] = c;
        std::string wanted = text;
        if (c == '"' || c == '\\' || c == '\'') wanted.insert(at, "\\");
        Ruleset rules(IpFamily::kIpv4);
        Table& table = rules.AddTable(TableId::kFilter);
        const ChainId chain = table.AddChain("X");
        RuleBuilder rule;
        rule.Add(CommentMatch{rules.strings().Intern(text)});
        table.Append(chain, rule);
        EXPECT_THAT(
            PrintIptablesSave(rules),
            HasSubstr(absl::StrCat("-m comment --comment \"", wanted, "\"\n")));
      }
    }
  }
}

}  // namespace
}  // namespace k8sdns::netfilter
