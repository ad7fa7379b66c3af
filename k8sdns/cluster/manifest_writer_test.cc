#include "k8sdns/cluster/manifest_writer.h"

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "k8sdns/cluster/full_cluster.h"
#include "k8sdns/cluster/manifest_reader.h"

namespace k8sdns {
namespace {

using ::testing::IsEmpty;

Service MakeService() {
  Service s;
  s.metadata.name = "web";
  s.metadata.namespace_ = "default";
  s.spec.cluster_ip = "10.96.0.1";
  s.spec.ports.resize(1);
  s.spec.ports[0].name = "http";
  s.spec.ports[0].port = 80;
  s.spec.ports[0].target_port = "http";
  s.spec.session_affinity_timeout_seconds = 60;
  return s;
}

TEST(WriteYaml, AnObjectAsKubectlPrintsIt) {
  EXPECT_EQ(WriteYaml(MakeService()), R"(apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: default
spec:
  clusterIP: 10.96.0.1
  ports:
  - name: http
    port: 80
    protocol: TCP
    targetPort: http
  sessionAffinity: None
  sessionAffinityConfig:
    clientIP:
      timeoutSeconds: 60
  type: ClusterIP
)");
}

TEST(WriteYaml, AListOfSlices) {
  EndpointSlice slice;
  slice.metadata.name = "web-1";
  slice.metadata.namespace_ = "default";
  slice.endpoints.emplace_back();
  slice.endpoints[0].addresses = {"10.0.0.1"};
  slice.endpoints[0].ready = true;
  slice.endpoints[0].hints_for_zones = std::vector<std::string>{"a", "b"};
  const std::vector<EndpointSlice> slices = {slice};
  EXPECT_EQ(WriteYamlList<EndpointSlice>(slices), R"(apiVersion: v1
items:
- addressType: IPv4
  apiVersion: discovery.k8s.io/v1
  endpoints:
  - addresses:
    - 10.0.0.1
    conditions:
      ready: true
    hints:
      forZones:
      - name: a
      - name: b
  kind: EndpointSlice
  metadata:
    name: web-1
    namespace: default
  ports: []
kind: List
)");
  EXPECT_EQ(WriteYamlList<EndpointSlice>({}),
            "apiVersion: v1\nitems: []\nkind: List\n");
}

TEST(WriteJson, IndentedAndCompact) {
  Node node;
  node.metadata.name = "a";
  node.conditions = {{"Ready", "True"}};
  EXPECT_EQ(WriteJson(node), R"({
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {
        "name": "a"
    },
    "status": {
        "conditions": [
            {
                "status": "True",
                "type": "Ready"
            }
        ]
    }
}
)");
  EXPECT_EQ(WriteJson(node, ManifestFormat::kCompactJson),
            R"({"apiVersion":"v1","kind":"Node","metadata":{"name":"a"},)"
            R"("status":{"conditions":[{"status":"True","type":"Ready"}]}})");
}

TEST(WriteYaml, TextsAreQuotedWhereYamlWouldTakeThemForSomethingElse) {
  const auto written = [](std::string text) {
    Namespace n;
    n.metadata.name = std::move(text);
    const std::string yaml = WriteYaml(n);
    const size_t at = yaml.find("name: ") + 6;
    return yaml.substr(at, yaml.size() - 1 - at);
  };
  EXPECT_EQ(written("web-1.example.com"), "web-1.example.com");
  EXPECT_EQ(written("10.0.0.1"), "10.0.0.1");
  EXPECT_EQ(written("fd00::1"), "fd00::1");
  EXPECT_EQ(written("-x"), "-x");
  EXPECT_EQ(written("8080"), R"("8080")");
  EXPECT_EQ(written("1e3"), R"("1e3")");
  EXPECT_EQ(written("0x1F"), R"("0x1F")");
  EXPECT_EQ(written("yes"), R"("yes")");
  EXPECT_EQ(written("null"), R"("null")");
  EXPECT_EQ(written("~"), R"("~")");
  EXPECT_EQ(written("1:30"), R"("1:30")");
  EXPECT_EQ(written("*"), "'*'");
  EXPECT_EQ(written("{}"), "'{}'");
  EXPECT_EQ(written("a: b"), "'a: b'");
  EXPECT_EQ(written("a #b"), "'a #b'");
  EXPECT_EQ(written("it's: "), "'it''s: '");
  EXPECT_EQ(written(" a"), "' a'");
  EXPECT_EQ(written("a\nb\t\"\\"), R"("a\nb\t\"\\")");
  EXPECT_EQ(written("\x01\x7F\u0085\u2028\uFEFF"),
            R"("\x01\x7F\x85\u2028\uFEFF")");
  EXPECT_EQ(written("gr\u00FC\u00DFe \U0001F600"),
            "gr\u00FC\u00DFe \U0001F600");
}

// Whatever is in a text, both formats give it back.
TEST(WriteYaml, EveryTextComesBack) {
  std::vector<std::string> texts = {
      "",      " ",       "a b",   "a:",     ":a",     "- a",
      "-",     "?",       "? a",   "#",      "a#b",    "---",
      "--- a", "...",     "!a",    "&a",     "*a",     "|",
      ">",     "'",       "\"",    "%",      "@",      "`",
      "[",     "]",       "{",     "}",      ",",      "a,b",
      "<<",    "=",       "\n",    "a\n",    "\na",    "a\n\nb",
      "\r\n",  "\t",      "a\tb",  "true",   "True",   "y",
      "N",     "off",     "+1",    ".5",     "1_0",    "0b1",
      ".inf",  "12e03",   "0o7",   "08",     "a\\",    "\\n",
      "\"a\"", "a: b: c", "a : b", "\u00A0", "\uFFFD", std::string(2000, 'k')};
  for (int c = 1; c < 256; ++c) {
    if (c < 0x80) {
      texts.push_back(std::string(1, static_cast<char>(c)));
      texts.push_back(absl::StrCat("a", std::string(1, static_cast<char>(c))));
      texts.push_back(absl::StrCat(std::string(1, static_cast<char>(c)), "a "));
    }
  }
  for (const std::string& text : texts) {
    Pod pod;
    pod.metadata.name = "p";
    pod.metadata.namespace_ = "default";
    pod.metadata.annotations["text"] = text;
    if (!text.empty()) pod.metadata.labels[text] = "key";
    pod.spec.containers.resize(1);
    pod.spec.containers[0].name = text;
    for (const std::string& written :
         {WriteYaml(pod), WriteJson(pod),
          WriteJson(pod, ManifestFormat::kCompactJson)}) {
      absl::StatusOr<Cluster> cluster = ReadCluster(written, "f");
      ASSERT_TRUE(cluster.ok()) << cluster.status() << "\n" << written;
      ASSERT_EQ(cluster->pods().size(), 1u);
      EXPECT_EQ(*cluster->pods().begin(), pod) << written;
    }
  }
}

TEST(WriteYaml, BrokenUtf8IsReplaced) {
  Namespace n;
  n.metadata.name = "a\xFF\xC3z";
  EXPECT_NE(WriteYaml(n).find("\"a\uFFFD\uFFFDz\""), std::string::npos);
  EXPECT_NE(WriteJson(n).find("\"a\uFFFD\uFFFDz\""), std::string::npos);
}

TEST(WriteYaml, EveryFieldComesBack) {
  const Cluster full = FullCluster();
  ASSERT_EQ(full.pods().size(), 2u);
  for (const std::string& written :
       {WriteYaml(full), WriteJson(full),
        WriteJson(full, ManifestFormat::kCompactJson)}) {
    absl::StatusOr<Cluster> again = ReadCluster(written, "f");
    ASSERT_TRUE(again.ok()) << again.status() << "\n" << written;
    EXPECT_THAT(Difference(full, *again), IsEmpty()) << written;
    EXPECT_EQ(WriteYaml(*again), WriteYaml(full));
  }
}

TEST(WriteYaml, AListMayBeWrittenPieceByPiece) {
  std::string out;
  std::string buffer;
  ManifestListWriter writer(ManifestFormat::kYaml, &buffer);
  for (int i = 0; i < 3; ++i) {
    Service s = MakeService();
    s.metadata.name = absl::StrCat("web-", i);
    writer.Add(s);
    out += buffer;
    buffer.clear();
  }
  writer.Finish();
  out += buffer;
  absl::StatusOr<Cluster> cluster = ReadCluster(out, "f");
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  EXPECT_EQ(cluster->services().size(), 3u);
  EXPECT_EQ(WriteYaml(*cluster), out);
}

// The reader takes objects without what the API demands; so must it take what
// is printed for them.
TEST(WriteYaml, APortWithoutANumberHasNone) {
  Service s;
  s.metadata.name = "a";
  s.spec.ports.resize(1);
  EXPECT_FALSE(absl::StrContains(WriteYaml(s), "port:")) << WriteYaml(s);
}

}  // namespace
}  // namespace k8sdns
