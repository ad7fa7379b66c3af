// The commands as a user runs them: words in, exit code and output out.
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "k8sdns/cli/command.h"

namespace k8sdns::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kCluster[] = "examples/docker-ee-2.1.yaml";
constexpr char kKubelet[] = "examples/docker-ee-2.1-kubelet.yaml";
constexpr char kHostFile[] = "examples/docker-ee-2.1-resolv.conf";

struct Result {
  int code;
  std::string out;
  std::string err;
};

Result RunWords(std::vector<std::string> words, std::string input = "") {
  std::istringstream in(std::move(input));
  std::ostringstream out;
  std::ostringstream err;
  const int code = Run(words, {in, out, err});
  return {code, out.str(), err.str()};
}

TEST(CliTest, HelpListsEveryCommandAndEachHasAnExample) {
  const Result overview = RunWords({"--help"});
  EXPECT_EQ(overview.code, kOk);
  for (const Command& command : Commands()) {
    EXPECT_THAT(overview.out, HasSubstr(std::string(command.summary)));
    const Result help = RunWords({std::string(command.name), "--help"});
    EXPECT_EQ(help.code, kOk);
    EXPECT_THAT(help.out,
                HasSubstr(absl::StrCat("\nExample:\n  k8sdns ", command.name)));
  }
}

TEST(CliTest, BadUsageIsExitCode2AndSaysWhat) {
  const Result none = RunWords({});
  EXPECT_EQ(none.code, kError);
  EXPECT_THAT(none.err, HasSubstr("Usage:"));
  const Result unknown = RunWords({"fly"});
  EXPECT_EQ(unknown.code, kError);
  EXPECT_EQ(unknown.err, "k8sdns: unknown command fly; see k8sdns --help\n");
  EXPECT_EQ(RunWords({"dig", "--fly"}).err,
            "k8sdns: dig: unknown flag --fly; see k8sdns dig --help\n");
}

TEST(CliTest, ResolvConfOfThePodOfTheArticle) {
  const Result r = RunWords({"resolv-conf", "-f", kCluster, "--kubelet",
                             kKubelet, "--resolv-conf", kHostFile,
                             "netshoot-deploy-5f8cfd5d94-xxlxp"});
  EXPECT_EQ(r.code, kOk) << r.err;
  EXPECT_EQ(r.out,
            "search default.svc.cluster.local svc.cluster.local cluster.local "
            "us-east-2.compute.internal\n"
            "nameserver 10.96.0.10\n"
            "options ndots:5\n");
}

TEST(CliTest, ResolveShowsTheQueriesInOrder) {
  const Result r =
      RunWords({"resolve", "-f", kCluster, "--kubelet", kKubelet, "--from",
                "netshoot-deploy-5f8cfd5d94-xxlxp", "--libc", "musl/1.2.5",
                "--family", "4", "kube-dns.kube-system"});
  EXPECT_EQ(r.code, kOk) << r.err;
  EXPECT_THAT(
      r.out,
      HasSubstr(
          "A kube-dns.kube-system.default.svc.cluster.local. -> NXDOMAIN\n"
          "  0 10.96.0.10 udp/1 A kube-dns.kube-system.svc.cluster.local. -> "
          "A 10.96.0.10 (TTL 30 s)\nresult: OK 10.96.0.10"));
}

// The eight rules that the article shows and the two that lead to them, with
// the addresses that its text lost.
TEST(CliTest, CompilePrintsTheArticlesRules) {
  const Result r =
      RunWords({"compile", "-f", kCluster, "--config",
                "examples/docker-ee-2.1-kube-proxy.yaml", "--dialect", "1.11"});
  EXPECT_EQ(r.code, kOk) << r.err;
  for (
      const char* rule :
      {R"(-A KUBE-SERVICES ! -s 192.168.0.0/16 -d 10.96.0.10/32 -p udp -m comment --comment "kube-system/kube-dns:dns cluster IP" -m udp --dport 53 -j KUBE-MARK-MASQ)",
       R"(-A KUBE-SERVICES -d 10.96.0.10/32 -p udp -m comment --comment "kube-system/kube-dns:dns cluster IP" -m udp --dport 53 -j KUBE-SVC-TCOU7JCQXEZGVUNU)",
       R"(-A KUBE-SERVICES ! -s 192.168.0.0/16 -d 10.96.0.10/32 -p tcp -m comment --comment "kube-system/kube-dns:dns-tcp cluster IP" -m tcp --dport 53 -j KUBE-MARK-MASQ)",
       R"(-A KUBE-SERVICES -d 10.96.0.10/32 -p tcp -m comment --comment "kube-system/kube-dns:dns-tcp cluster IP" -m tcp --dport 53 -j KUBE-SVC-ERIFXISQEP7F7OF4)",
       R"(-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES)",
       R"(-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES)",
       R"(-A KUBE-SVC-ERIFXISQEP7F7OF4 -m comment --comment "kube-system/kube-dns:dns-tcp" -j KUBE-SEP-SKI5LDIQRRMBYDWW)",
       R"(-A KUBE-SVC-TCOU7JCQXEZGVUNU -m comment --comment "kube-system/kube-dns:dns" -j KUBE-SEP-VMNICV4GUKMZMBOY)",
       R"(-A KUBE-SEP-SKI5LDIQRRMBYDWW -p tcp -m comment --comment "kube-system/kube-dns:dns-tcp" -m tcp -j DNAT --to-destination 192.168.237.9:53)",
       R"(-A KUBE-SEP-VMNICV4GUKMZMBOY -p udp -m comment --comment "kube-system/kube-dns:dns" -m udp -j DNAT --to-destination 192.168.237.9:53)"}) {
    EXPECT_THAT(r.out, HasSubstr(std::string("\n") + rule + "\n"));
  }
}

TEST(CliTest, CompileExplainsAndKnowsBothModes) {
  const Result why =
      RunWords({"compile", "-f", kCluster, "-n",
                "ip-172-31-20-20.us-east-2.compute.internal", "-e", "explain"});
  EXPECT_THAT(why.out, HasSubstr("# Service kube-system/kube-dns "
                                 "spec.clusterIP\n"));
  const Result ipvs = RunWords({"compile", "-f", kCluster, "-n",
                                "ip-172-31-20-20.us-east-2.compute.internal",
                                "--mode", "ipvs", "-e", "ipvsadm"});
  EXPECT_THAT(ipvs.out, HasSubstr("-A -u 10.96.0.10:53 -s rr\n"
                                  "-a -u 10.96.0.10:53 -r 192.168.237.9:53"));
  EXPECT_EQ(RunWords({"compile", "-f", kCluster, "-e", "poetry"}).code, kError);
  EXPECT_EQ(RunWords({"compile", "-f", kCluster, "--dialect", "9"}).code,
            kError);
}

TEST(CliTest, WalkStartsAnywhereAndDraws) {
  const Result nowhere =
      RunWords({"walk", "-f", kCluster, "--from", "outside", "10.96.0.10:53"});
  EXPECT_EQ(nowhere.code, kOk) << nowhere.err;
  EXPECT_THAT(nowhere.out,
              HasSubstr("nothing outside routes 10.96.0.10 to the cluster"));
  const std::string node = "node:ip-172-31-20-20.us-east-2.compute.internal";
  const std::vector<std::string> words = {"walk",   "-f", kCluster,
                                          "--from", node, "10.96.0.10:53/UDP"};
  for (const auto& [format, start] :
       std::vector<std::pair<std::string, std::string>>{
           {"text", "From node ip-172-31-20-20"},
           {"json", "{\n \"name\": \"10.96.0.10:53\""},
           {"dot", "digraph {"},
           {"mermaid", "flowchart TB\n"},
           {"svg", "<svg "},
           {"html", "<!DOCTYPE html>"}}) {
    std::vector<std::string> w = words;
    w.insert(w.end(), {"-o", format});
    const Result r = RunWords(w);
    EXPECT_EQ(r.code, kOk) << r.err;
    EXPECT_THAT(r.out, StartsWith(start));
    EXPECT_THAT(r.out, HasSubstr("KUBE-SEP-"));
  }
  EXPECT_THAT(
      RunWords({"walk", "-f", kCluster, "--from", node, "kube-dns"}).err,
      HasSubstr("only a Pod looks up the name \"kube-dns\""));
  EXPECT_THAT(RunWords({"walk", "-f", kCluster, "--from", node, "10.96.0.10:53",
                        "-o", "poem"})
                  .err,
              HasSubstr("--output: found \"poem\""));
}

TEST(CliTest, GraphDrawsTheChainsOfADump) {
  const Result dump = RunWords({"compile", "-f", kCluster, "-n",
                                "ip-172-31-20-20.us-east-2.compute.internal"});
  EXPECT_THAT(RunWords({"graph", "--rules", "-"}, dump.out).out,
              AllOf(StartsWith("table nat: "), HasSubstr("\n  KUBE-SERVICES  "),
                    HasSubstr("\n      KUBE-SEP-VMNICV4GUKMZMBOY  2 rules\n")));
  EXPECT_THAT(RunWords({"graph", "--rules", "-", "-o", "json"}, dump.out).out,
              StartsWith("{\n \"table\": \"nat\","));
  EXPECT_THAT(RunWords({"graph", "-f", kCluster}).out,
              StartsWith("network calico-ipip\nnode ip-172-31-"));
  EXPECT_THAT(RunWords({"graph", "-f", kCluster, "-o", "json"}).out,
              StartsWith("{\n \"network\": \"calico-ipip\","));
  EXPECT_THAT(RunWords({"graph", "-f", kCluster, "-o", "poem"}).err,
              HasSubstr("expected text, json, dot"));
  const Result dot = RunWords({"graph", "--rules", "-", "-o", "dot"}, dump.out);
  EXPECT_EQ(dot.code, kOk) << dot.err;
  EXPECT_THAT(dot.out, StartsWith("digraph"));
  EXPECT_THAT(dot.out, HasSubstr("KUBE-SEP-VMNICV4GUKMZMBOY"));
  EXPECT_THAT(
      RunWords({"graph", "--rules", "-", "-o", "mermaid"}, dump.out).out,
      StartsWith("flowchart"));
  EXPECT_THAT(RunWords({"graph", "--rules", "-", "-o", "svg"}, dump.out).out,
              StartsWith("<svg "));
  EXPECT_THAT(RunWords({"trace", "--rules", "-", "--in", "eth0", "--address",
                        "eth0=172.31.20.20/24", "--src", "172.31.20.9", "--dst",
                        "10.96.0.10", "--proto", "udp", "--dport", "53", "-o",
                        "mermaid"},
                       dump.out)
                  .out,
              AllOf(StartsWith("flowchart"), HasSubstr("KUBE-SERVICES")));
  const Result diff =
      RunWords({"diff", "--expected", kCluster, "--actual", "-", "--node",
                "ip-172-31-20-20.us-east-2.compute.internal", "-o", "html"},
               dump.out);
  EXPECT_EQ(diff.code, kOk) << diff.err;
  EXPECT_THAT(diff.out, HasSubstr("Nothing differs"));
  EXPECT_THAT(RunWords({"graph", "--rules", "-", "--table", "x"}, dump.out).err,
              HasSubstr("--table: found \"x\""));
}

TEST(CliTest, ModesSaysWhereIptablesAndIpvsDiffer) {
  const Result all = RunWords({"modes", "-f", kCluster});
  EXPECT_EQ(all.code, kFindings) << all.err;
  EXPECT_THAT(all.out, HasSubstr("ping of the cluster IP, from pod default/"));
  const Result json = RunWords({"modes", "-f", kCluster, "-o", "json"});
  EXPECT_THAT(json.out, HasSubstr("\"ipvs\": {\n"));
  const std::string pod = "default/netshoot-deploy-5f8cfd5d94-xxlxp";
  const Result one = RunWords(
      {"modes", "-f", kCluster, "--from", pod, "--to", "10.96.0.10:53/UDP"});
  EXPECT_EQ(one.code, kOk) << one.err;
  EXPECT_THAT(one.out, StartsWith("0 of 1 probes end differently"));
  EXPECT_THAT(
      RunWords({"modes", "-f", kCluster, "--from", pod, "--to", "x"}).err,
      HasSubstr("--to: found \"x\", expected ADDRESS:PORT"));
  EXPECT_THAT(RunWords({"modes", "-f", kCluster, "--from", "node:z", "--to",
                        "10.96.0.10:53"})
                  .err,
              HasSubstr("--from: no node z in the cluster"));
}

TEST(CliTest, DigAnswersAsTheClustersServer) {
  const Result r = RunWords({"dig", "-f", kCluster,
                             "kube-dns.kube-system.svc.cluster.local", "AAAA"});
  EXPECT_EQ(r.code, kOk) << r.err;
  EXPECT_THAT(r.out, StartsWith(";; NOERROR aa"));
  EXPECT_EQ(RunWords({"dig", "-f", kCluster, "x", "QQ"}).code, kError);
}

TEST(CliTest, WalkTellsTheWholeWay) {
  std::vector<std::string> words = {"walk",
                                    "-f",
                                    kCluster,
                                    "-c",
                                    "examples/docker-ee-2.1-kube-proxy.yaml",
                                    "--dialect",
                                    "1.11",
                                    "--kubelet",
                                    kKubelet,
                                    "--resolv-conf",
                                    kHostFile,
                                    "--from",
                                    "default/netshoot-deploy-5f8cfd5d94-xxlxp",
                                    "kube-dns.kube-system"};
  const Result text = RunWords(words);
  EXPECT_EQ(text.code, kOk) << text.err;
  for (const char* part :
       {"nameserver 10.96.0.10\n      from clusterDNS of the kubelet",
        "udp/1 A kube-dns.kube-system.svc.cluster.local. -> A 10.96.0.10",
        "-j KUBE-SEP-VMNICV4GUKMZMBOY\n",
        "=> destination 10.96.0.10:53 -> 192.168.237.9:53\n",
        "route: 192.168.237.0/26 via 172.31.20.10 dev tunl0\n",
        "IP in IP 172.31.20.20 -> 172.31.20.10\n",
        "arrives at Pod kube-system/kube-dns-6d79b8b5d-9x8vq",
        "=> by conntrack: source 192.168.237.9:53 -> 10.96.0.10:53\n",
        "the reply arrives: UDP 10.96.0.10:53 > 192.168.35.197:40000\n"}) {
    EXPECT_THAT(text.out, HasSubstr(part));
  }
  words.insert(words.end(), {"-o", "json"});
  const Result json = RunWords(words);
  EXPECT_EQ(json.code, kOk) << json.err;
  EXPECT_THAT(json.out, HasSubstr("\"chain\": \"KUBE-SVC-TCOU7JCQXEZGVUNU\""));
  EXPECT_THAT(RunWords({"walk", "-f", kCluster, "--from", "nobody", "x"}).err,
              HasSubstr("no Pod nobody in the cluster"));
}

TEST(CliTest, CheckExitsWith1ForWarnings) {
  const Result clean = RunWords(
      {"check", "-f", kCluster, "-c", "examples/docker-ee-2.1-kube-proxy.yaml",
       "--kubelet", kKubelet, "--resolv-conf", kHostFile});
  EXPECT_EQ(clean.code, kOk) << clean.out;
  EXPECT_THAT(clean.out, HasSubstr("info dns/query-amplification: Pod "
                                   "default/netshoot-deploy"));
  const Result json = RunWords({"check", "-f", kCluster, "-o", "json"});
  EXPECT_EQ(json.code, kFindings);
  EXPECT_THAT(json.out, HasSubstr("\"id\": \"routing/no-masquerade\""));
  EXPECT_THAT(RunWords({"check", "-f", kCluster, "-o", "sarif"}).out,
              HasSubstr("\"ruleId\": \"routing/no-masquerade\""));
  EXPECT_EQ(RunWords({"check", "-f", kCluster, "-o", "xml"}).code, kError);
}

TEST(CliTest, DiffSaysWhatKubeProxyHasNotDone) {
  const std::vector<std::string> base = {
      "-c", "examples/docker-ee-2.1-kube-proxy.yaml", "--dialect", "1.11"};
  std::vector<std::string> compile = {"compile", "-f", kCluster};
  compile.insert(compile.end(), base.begin(), base.end());
  const std::string dump = RunWords(compile).out;
  std::vector<std::string> diff = {"diff", "--expected", kCluster, "--actual",
                                   "-"};
  diff.insert(diff.end(), base.begin(), base.end());
  const Result same = RunWords(diff, dump);
  EXPECT_EQ(same.code, kOk) << same.out << same.err;
  EXPECT_THAT(same.out, HasSubstr("rules compared: no drift\n"));
  std::string torn = dump;
  const std::string rule = "-A KUBE-SVC-TCOU7JCQXEZGVUNU ";
  torn.erase(torn.find(rule),
             torn.find('\n', torn.find(rule)) + 1 - torn.find(rule));
  const Result drift = RunWords(diff, torn);
  EXPECT_EQ(drift.code, kFindings) << drift.err;
  EXPECT_THAT(drift.out,
              StartsWith("kube-system/kube-dns\n  kube-proxy sends no traffic "
                         "of kube-system/kube-dns:dns to endpoint "
                         "192.168.237.9:53 (KUBE-SVC-TCOU7JCQXEZGVUNU)\n"));
  diff.insert(diff.end(), {"-o", "json"});
  EXPECT_THAT(RunWords(diff, torn).out,
              HasSubstr("\"object\": \"Service kube-system/kube-dns\""));
  EXPECT_EQ(RunWords({"diff", "-f", kCluster}).code, kError);
  const Result bad = RunWords(diff, "*filtre\n");
  EXPECT_EQ(bad.code, kError);
  EXPECT_THAT(bad.err, HasSubstr("-: line 1"));
}

TEST(CliTest, EquivalentShowsAPacketAndBothTraces) {
  const std::string file =
      absl::StrCat(std::getenv("TEST_TMPDIR"), "/before.txt");
  std::ofstream(file) << "*filter\n:FORWARD ACCEPT [0:0]\n"
                         "-A FORWARD -s 10.0.0.0/8 -j DROP\nCOMMIT\n";
  const std::string same =
      "*filter\n:FORWARD ACCEPT [0:0]\n:x - [0:0]\n-A FORWARD -j x\n"
      "-A x -s 10.0.0.0/9 -j DROP\n-A x -s 10.128.0.0/9 -j DROP\nCOMMIT\n";
  const Result yes = RunWords({"equivalent", file, "-"}, same);
  EXPECT_EQ(yes.code, kOk) << yes.err;
  EXPECT_EQ(yes.out, "equivalent\n");
  const Result no = RunWords({"equivalent", file, "-"}, "*filter\nCOMMIT\n");
  EXPECT_EQ(no.code, kFindings);
  EXPECT_THAT(no.out, StartsWith("different\n  TCP 10.0.0.0:40000 > "));
  EXPECT_THAT(no.out, HasSubstr("filter:FORWARD:rule:1 -A FORWARD"));
  EXPECT_THAT(RunWords({"equivalent", file, "-", "-o", "json"}, same).out,
              HasSubstr("\"answer\": \"equivalent\""));
  EXPECT_EQ(RunWords({"equivalent", file}).code, kError);
}

TEST(CliTest, TraceOfADumpAndOfANode) {
  const std::string rules =
      "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -d 10.9.0.0/16 -o veth7 -j "
      "DROP\nCOMMIT\n";
  std::vector<std::string> words = {"trace",
                                    "--rules",
                                    "-",
                                    "--in",
                                    "eth0",
                                    "--src",
                                    "192.0.2.1",
                                    "--dst",
                                    "10.9.1.1",
                                    "--route",
                                    "veth7=10.9.0.0/16"};
  const Result dump = RunWords(words, rules);
  EXPECT_EQ(dump.code, kOk) << dump.err;
  EXPECT_EQ(dump.out,
            "TCP 192.0.2.1:40000 > 10.9.1.1:80, in by eth0\n1 dropped\n"
            "    filter  -A FORWARD -d 10.9.0.0/16 -o veth7 -j DROP   [FORWARD "
            "rule 1]\n");
  words.insert(words.end(), {"--format", "xtables-monitor"});
  EXPECT_THAT(RunWords(words, rules).out,
              HasSubstr(" TRACE: 2 00000001 filter:FORWARD:rule:0x1:DROP -4 -t "
                        "filter -A FORWARD "));
  words.back() = "json";
  EXPECT_THAT(RunWords(words, rules).out, HasSubstr("\"verdict\": \"drop\""));
  const Result node =
      RunWords({"trace", "-f", kCluster, "-c",
                "examples/docker-ee-2.1-kube-proxy.yaml", "--dialect", "1.11",
                "--node", "ip-172-31-20-20.us-east-2.compute.internal",
                "--local", "--src", "172.31.20.20", "--dst", "10.96.0.10",
                "--proto", "udp", "--dport", "53"});
  EXPECT_EQ(node.code, kOk) << node.err;
  EXPECT_THAT(node.out, HasSubstr("-j KUBE-SEP-VMNICV4GUKMZMBOY"));
  EXPECT_EQ(RunWords({"trace", "--src", "x", "--dst", "y", "--local"}).err,
            "k8sdns: --src: found \"x\", expected an IP address\n");
}

TEST(CliTest, TraceKnowsTheSenderIfItIsTold) {
  const std::string dump =
      "*nat\n-A OUTPUT -p tcp -m owner ! --uid-owner 1337 -j REDIRECT "
      "--to-ports 15001\nCOMMIT\n";
  std::vector<std::string> words = {
      "trace", "--rules",  "-",     "--local", "--address", "eth0=10.0.0.2/24",
      "--src", "10.0.0.2", "--dst", "10.0.0.9"};
  EXPECT_THAT(RunWords(words, dump).out,
              HasSubstr("the sending process is not known"));
  words.insert(words.end(), {"--uid", "1000"});
  EXPECT_THAT(RunWords(words, dump).out, HasSubstr("15001"));
  words.back() = "1337";
  EXPECT_THAT(RunWords(words, dump).out, Not(HasSubstr(":15001")));
  words.back() = "x";
  EXPECT_THAT(RunWords(words, dump).err, HasSubstr("--uid: found \"x\""));
  words.back() = "1";
  words.insert(words.end(), {"--mac", "00:11:22"});
  EXPECT_THAT(RunWords(words, dump).err, HasSubstr("--mac: found"));
}

TEST(CliTest, RulesListTellsWhatIsKnown) {
  const Result list = RunWords({"rules", "list"});
  EXPECT_EQ(list.code, kOk) << list.err;
  EXPECT_THAT(list.out, HasSubstr("| evaluated | `addrtype`"));
  EXPECT_THAT(RunWords({"rules", "list", "x"}).err,
              HasSubstr("expected fmt FILE or list"));
}

TEST(CliTest, RulesFmtIsAFixedPoint) {
  const std::string canonical =
      "# Generated by iptables-save v1.8.9 on Mon Nov 23 00:00:00 2026\n"
      "*filter\n"
      ":INPUT ACCEPT [12:3456]\n"
      ":FORWARD ACCEPT [0:0]\n"
      ":OUTPUT ACCEPT [0:0]\n"
      ":DOCKER - [0:0]\n"
      "[7:420] -A INPUT -p tcp -m tcp --dport 80 -j ACCEPT\n"
      "COMMIT\n"
      "# Completed on Mon Nov 23 00:00:00 2026\n";
  const Result same = RunWords({"rules", "fmt", "-"}, canonical);
  EXPECT_EQ(same.code, kOk) << same.err;
  EXPECT_EQ(same.out, canonical);
  EXPECT_THAT(RunWords({"rules", "fmt", "-"},
                       "*filter\n-A INPUT --dst 10.1/16 -j DROP\nCOMMIT\n")
                  .out,
              HasSubstr("-A INPUT -d 10.1.0.0/16 -j DROP\n"));
  const Result bad = RunWords({"rules", "fmt", "-"}, "*filtre\nCOMMIT\n");
  EXPECT_EQ(bad.code, kError);
  EXPECT_THAT(bad.err, HasSubstr("-: line 1"));
  EXPECT_EQ(bad.out, "");
}

TEST(CliTest, GenerateIsReadBack) {
  const Result made = RunWords({"generate", "--services", "5", "--pods"});
  ASSERT_EQ(made.code, kOk) << made.err;
  const Result r = RunWords(
      {"dig", "-f", "-", "svc-000003.ns-003.svc.cluster.local"}, made.out);
  EXPECT_EQ(r.code, kOk) << r.err;
  EXPECT_THAT(r.out, HasSubstr("A 10.96.0.14"));
  EXPECT_THAT(RunWords({"generate", "--services", "400000", "--endpoints", "8",
                        "--max-memory", "64"})
                  .err,
              HasSubstr("more than --max-memory 64"));
}

TEST(CliTest, SnapshotsAreReadLikeManifests) {
  const Result made =
      RunWords({"generate", "--services", "5", "--pods", "--output", "proto"});
  ASSERT_EQ(made.code, kOk) << made.err;
  const Result r = RunWords(
      {"dig", "-f", "-", "svc-000003.ns-003.svc.cluster.local"}, made.out);
  EXPECT_EQ(r.code, kOk) << r.err;
  EXPECT_THAT(r.out, HasSubstr("A 10.96.0.14"));

  // With manifests beside it.
  const Result both = RunWords(
      {"dig", "-f", kCluster, "-f", "-", "svc-000003.ns-003.svc.cluster.local"},
      made.out);
  EXPECT_THAT(both.out, HasSubstr("A 10.96.0.14")) << both.err;
  const Result of_manifest =
      RunWords({"dig", "-f", "-", "-f", kCluster,
                "kube-dns.kube-system.svc.cluster.local"},
               made.out);
  EXPECT_THAT(of_manifest.out, HasSubstr("A 10.96.0.10")) << of_manifest.err;

  const Result cut = RunWords({"dig", "-f", "-", "x"},
                              made.out.substr(0, made.out.size() / 2));
  EXPECT_EQ(cut.code, kError);
  EXPECT_THAT(cut.err, HasSubstr("-: has control characters, so read as "
                                 "protobuf: "));
}

// Bad manifests: exit code 2, the name of the input, nothing on the output.
TEST(CliTest, BadManifestsAreNamed) {
  const struct {
    std::string text;
    std::string complaint;
  } kCases[] = {
      {"", "-: "},
      {"apiVersion: v1\nkind: List\nitems:\n- {", "-:"},
      {"kind: List\napiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Service\n"
       "  metadata: {name: a}\n  spec: {clusterIP: 10.96.0.300}\n",
       "items[0].spec.clusterIP"},
      {"a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\n"
       "c: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c]\n"
       "e: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e]\n",
       "-:"},
  };
  for (const auto& c : kCases) {
    const Result r = RunWords({"dig", "-f", "-", "x"}, c.text);
    EXPECT_EQ(r.code, kError) << c.text;
    EXPECT_THAT(r.err, HasSubstr(c.complaint));
    EXPECT_EQ(r.out, "");
  }
  EXPECT_THAT(RunWords({"dig", "-f", "no/such/file", "x"}).err,
              HasSubstr("no/such/file: No such file"));
  EXPECT_THAT(RunWords({"dig", "x"}).err, HasSubstr("expected -f FILE"));
}

TEST(CliTest, FoldersAreReadWhole) {
  const std::string folder =
      absl::StrCat(std::getenv("TEST_TMPDIR"), "/manifests");
  ASSERT_EQ(std::system(absl::StrCat("mkdir -p ", folder).c_str()), 0);
  EXPECT_THAT(RunWords({"dig", "-f", folder, "x"}).err,
              HasSubstr("no *.yaml, *.yml or *.json"));
  for (absl::string_view name : {"a", "b"}) {
    std::ofstream(absl::StrCat(folder, "/", name, ".yaml"))
        << "apiVersion: v1\nkind: Service\nmetadata: {name: "
        << std::string(name)
        << ", namespace: x}\nspec: {clusterIP: 10.96.0.7, ports: [{port: "
           "80}]}\n";
  }
  EXPECT_THAT(RunWords({"dig", "-f", folder, "b.x.svc.cluster.local"}).out,
              HasSubstr("10.96.0.7"));
}

}  // namespace
}  // namespace k8sdns::cli
