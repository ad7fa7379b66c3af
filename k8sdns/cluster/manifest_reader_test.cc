#include "k8sdns/cluster/manifest_reader.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace k8sdns {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

// The status message; empty if the text is fine.
std::string ErrorsOf(absl::string_view text, const ReadOptions& options = {}) {
  return std::string(ReadCluster(text, "f", options).status().message());
}

Cluster Read(absl::string_view text, ReadReport* report = nullptr,
             const ReadOptions& options = {}) {
  absl::StatusOr<Cluster> cluster = ReadCluster(text, "f", options, report);
  EXPECT_TRUE(cluster.ok()) << cluster.status();
  return cluster.ok() ? *cluster : Cluster();
}

std::vector<std::string> Names(const Cluster& cluster) {
  std::vector<std::string> out;
  for (const Service& s : cluster.services()) {
    out.push_back(absl::StrCat(s.metadata.namespace_, "/", s.metadata.name));
  }
  return out;
}

// --- Shapes of input -------------------------------------------------------

TEST(ReadCluster, AList) {
  const Cluster c = Read(R"(apiVersion: v1
items:
- apiVersion: v1
  kind: Service
  metadata: {name: a, namespace: x}
- apiVersion: v1
  kind: Node
  metadata: {name: node}
kind: List
metadata:
  resourceVersion: ""
)");
  EXPECT_THAT(Names(c), ElementsAre("x/a"));
  EXPECT_EQ(c.nodes().size(), 1u);
}

TEST(ReadCluster, SeveralDocumentsSomeOfThemEmpty) {
  EXPECT_THAT(Names(Read(R"(---
# nothing
---
apiVersion: v1
kind: Service
metadata: {name: a, namespace: x}
---
kind: Service
metadata: {name: b, namespace: x}
apiVersion: v1
...
---
)")),
              ElementsAre("x/a", "x/b"));
}

TEST(ReadCluster, OneObjectInJson) {
  EXPECT_THAT(
      Names(Read(R"( {"spec":{},"kind":"Service","metadata":{"name":"a"},)"
                 R"("apiVersion":"v1"})")),
      ElementsAre("default/a"));
}

TEST(ReadCluster, ATypedListWhoseItemsDoNotSayWhatTheyAre) {
  EXPECT_THAT(Names(Read(R"({"kind":"ServiceList","apiVersion":"v1",
                             "metadata":{"resourceVersion":"7"},
                             "items":[{"metadata":{"name":"a"}}]})")),
              ElementsAre("default/a"));
  EXPECT_THAT(Names(Read("kind: ServiceList\napiVersion: v1\nitems:\n"
                         "- metadata: {name: a}\n")),
              ElementsAre("default/a"));
}

TEST(ReadCluster, AnEmptyListIsAnEmptyCluster) {
  EXPECT_TRUE(Read("apiVersion: v1\nitems: []\nkind: List\n").nodes().empty());
  EXPECT_TRUE(Read("apiVersion: v1\nitems:\nkind: List\n").nodes().empty());
  EXPECT_TRUE(Read(R"({"apiVersion":"v1","items":null,"kind":"List"})")
                  .services()
                  .empty());
}

TEST(ReadCluster, SlicesAreReadThoughTheirKindComesLate) {
  const absl::string_view yaml = R"(addressType: IPv4
apiVersion: discovery.k8s.io/v1
endpoints:
- addresses: [10.0.0.1]
  conditions: {ready: false}
  hints: {forZones: [{name: a}, {name: b}]}
  nodeName: node
kind: EndpointSlice
metadata: {name: s, namespace: x}
ports:
- {name: http, port: 80, protocol: TCP}
)";
  const Cluster c = Read(yaml);
  const EndpointSlice* s = c.endpoint_slices().Find("x", "s");
  ASSERT_NE(s, nullptr);
  ASSERT_EQ(s->endpoints.size(), 1u);
  EXPECT_EQ(s->endpoints[0].addresses[0], "10.0.0.1");
  EXPECT_EQ(s->endpoints[0].ready, false);
  EXPECT_EQ(s->endpoints[0].serving, std::nullopt);
  EXPECT_THAT(*s->endpoints[0].hints_for_zones, ElementsAre("a", "b"));
  EXPECT_EQ(s->ports[0].port, 80);
}

TEST(ReadCluster, ATextMayHaveAByteOrderMarkAndCarriageReturns) {
  const std::string yaml =
      "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n";
  EXPECT_THAT(
      Names(Read(absl::StrCat("\xEF\xBB\xBF",
                              absl::StrReplaceAll(yaml, {{"\n", "\r\n"}})))),
      ElementsAre("default/a"));
  EXPECT_THAT(
      Names(Read("\xEF\xBB\xBF{\"apiVersion\":\"v1\",\r\n"
                 "\"kind\":\"Service\",\"metadata\":{\"name\":\"a\"}}")),
      ElementsAre("default/a"));
}

TEST(ReadCluster, SeveralFilesMakeOneCluster) {
  Cluster c;
  ReadReport report;
  ASSERT_TRUE(ReadClusterInto("apiVersion: v1\nkind: Service\n"
                              "metadata: {name: a}",
                              "1", c, {}, &report)
                  .ok());
  ASSERT_TRUE(ReadClusterInto("apiVersion: v1\nkind: Service\n"
                              "metadata: {name: b}",
                              "2", c, {}, &report)
                  .ok());
  EXPECT_THAT(Names(c), ElementsAre("default/a", "default/b"));
  EXPECT_EQ(report.objects, 2u);
}

// --- What is ignored -------------------------------------------------------

TEST(ReadCluster, UnknownKindsAndFieldsAreIgnoredAndCounted) {
  ReadReport report;
  ReadOptions options;
  options.list_ignored_fields = true;
  Read(R"(apiVersion: v1
kind: List
items:
- apiVersion: apps/v1
  kind: Deployment
  spec: {replicas: [[{a: [b]}]]}
- apiVersion: serving.knative.dev/v1
  kind: Service
- apiVersion: discovery.k8s.io/v1
  endpoints: 7
  kind: SomethingNew
- apiVersion: v1
  kind: Pod
  metadata:
    name: p
    managedFields:
    - {manager: kubelet, fieldsV1: {"f:metadata": {}}}
  spec:
    containers:
    - {name: a, resources: {limits: {cpu: 1}}}
    - {name: b, resources: {}}
)",
       &report, options);
  EXPECT_THAT(report.ignored_kinds,
              ElementsAre(Pair("apps/v1 Deployment", 1),
                          Pair("discovery.k8s.io/v1 SomethingNew", 1),
                          Pair("serving.knative.dev/v1 Service", 1)));
  EXPECT_THAT(report.ignored_fields,
              ElementsAre(Pair("Pod.metadata.managedFields", 1),
                          Pair("Pod.spec.containers[].resources", 2)));
  EXPECT_EQ(report.ignored_field_count, 3u);
  EXPECT_EQ(report.objects, 1u);
}

TEST(ReadCluster, TheSecondObjectOfANameCountsAndIsSaid) {
  ReadReport report;
  const Cluster c = Read(R"(apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Service, metadata: {name: a}}
- {apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: NodePort}}
)",
                         &report);
  EXPECT_EQ(c.services().begin()->spec.type, ServiceType::kNodePort);
  ASSERT_EQ(report.warnings.size(), 1u);
  EXPECT_EQ(report.warnings[0].ToString(),
            "f:5:3: items[1]: found a second Service of the name, expected it "
            "once; the last one counts");
}

// --- Errors ----------------------------------------------------------------

constexpr char kServiceList[] = R"(apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata: {name: a}
  spec:
    clusterIP: 10.96.0.300
    ports:
    - port: "80"
      nodePort: 70000
      protocol: tcp
    - {port: {}, targetPort: [1]}
- apiVersion: v1
  kind: Service
  metadata: {name: fine}
- apiVersion: v1
  kind: Service
  metadata: {labels: {version: 1.0, on: yes}}
  spec:
    selector: app
    publishNotReadyAddresses: maybe
    externalIPs: [1.2.3.4, "", 5]
    loadBalancerSourceRanges: [10.0.0.0/8, 10.0.0.0, " 10.0.0.0/8 ", "::/129"]
)";

TEST(ReadCluster, AllErrorsAreFoundWithTheirPlaces) {
  ReadReport report;
  Cluster c;
  const absl::Status status =
      ReadClusterInto(kServiceList, "f", c, {}, &report);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(
      std::string(status.message()),
      R"(f:8:16: items[0].spec.clusterIP: found "10.96.0.300", expected an IP address or None
f:10:13: items[0].spec.ports[0].port: found "80", expected an integer from 1 to 65535
f:11:17: items[0].spec.ports[0].nodePort: found 70000, expected an integer from 0 to 65535
f:12:17: items[0].spec.ports[0].protocol: found "tcp", expected SCTP, TCP or UDP
f:13:14: items[0].spec.ports[1].port: found a map, expected an integer from 1 to 65535
f:13:30: items[0].spec.ports[1].targetPort: found a list, expected a port number or a port name
f:17:3: items[2].metadata.name: found nothing, expected a name
f:19:32: items[2].metadata.labels.version: found the number 1.0, expected a text
f:19:41: items[2].metadata.labels.on: found the boolean yes, expected a text
f:21:15: items[2].spec.selector: found "app", expected a map of names to values
f:22:31: items[2].spec.publishNotReadyAddresses: found "maybe", expected true or false
f:23:28: items[2].spec.externalIPs[1]: found "", expected an IP address
f:23:32: items[2].spec.externalIPs[2]: found the number 5, expected an IP address
f:24:44: items[2].spec.loadBalancerSourceRanges[1]: found "10.0.0.0", expected a CIDR such as 10.0.0.0/8
f:24:70: items[2].spec.loadBalancerSourceRanges[3]: found "::/129", expected a CIDR such as 10.0.0.0/8)");
  EXPECT_EQ(report.errors.size(), 15u);
  EXPECT_EQ(report.errors[0].path, "items[0].spec.clusterIP");
  // What is right is there.
  EXPECT_THAT(Names(c), ElementsAre("default/fine"));
}

TEST(ReadCluster, TheSameErrorsInJson) {
  EXPECT_EQ(ErrorsOf(R"({"apiVersion":"v1","kind":"Service",
 "metadata":{"name":7,"labels":[]},
 "spec":{"clusterIP":"10.96.0.300","ports":[{"port":"80"},{"port":80.5},[]],
 "type":"Clusterip","sessionAffinityConfig":true,"selector":{"a":{}}}})"),
            R"(f:2:21: metadata.name: found the number 7, expected a text
f:2:32: metadata.labels: found a list, expected a map of names to values
f:3:22: spec.clusterIP: found "10.96.0.300", expected an IP address or None
f:3:53: spec.ports[0].port: found "80", expected an integer from 1 to 65535
f:3:67: spec.ports[1].port: found the number 80.5, expected an integer from 1 to 65535
f:3:73: spec.ports[2]: found a list, expected a map
f:4:9: spec.type: found "Clusterip", expected ClusterIP, ExternalName, LoadBalancer or NodePort
f:4:45: spec.sessionAffinityConfig: found true, expected a map
f:4:66: spec.selector.a: found a map, expected a text)");
}

TEST(ReadCluster, AddressesOfSlicesMustBeAddressesUnlessTheyAreNames) {
  const std::string slice =
      "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
      "metadata: {name: s}\nendpoints:\n- addresses: [db.example.com]\n"
      "addressType: ";
  EXPECT_EQ(ErrorsOf(slice + "FQDN"), "");
  EXPECT_EQ(ErrorsOf(slice + "IPv4"),
            "f:5:15: endpoints[0].addresses[0]: found \"db.example.com\", "
            "expected an IP address");
}

TEST(ReadCluster, AnObjectThatDoesNotSayWhatItIs) {
  EXPECT_EQ(ErrorsOf("metadata: {name: a}"),
            "f:1:1: kind: found nothing, expected apiVersion and kind");
  EXPECT_EQ(ErrorsOf("kind: Service"),
            "f:1:1: apiVersion: found nothing, expected an API version such as "
            "v1");
  EXPECT_EQ(ErrorsOf("apiVersion: v1"),
            "f:1:1: kind: found nothing, expected a kind such as Service");
  EXPECT_EQ(ErrorsOf("apiVersion: discovery.k8s.io/v1\nmetadata: {name: a}"),
            "f:1:1: kind: found nothing, expected a kind such as Service");
  EXPECT_EQ(ErrorsOf("apiVersion: v1\nkind: [Service]"),
            "f:2:7: kind: found a list, expected a text");
  EXPECT_EQ(ErrorsOf("apiVersion: v1\nitems:\n- 7\n- null\nkind: Service"),
            "f:3:3: items[0]: found the number 7, expected a map with "
            "apiVersion and kind\n"
            "f:4:3: items[1]: found null, expected a map with apiVersion and "
            "kind\n"
            "f:5:7: kind: found \"Service\", expected List, because it has "
            "items");
}

TEST(ReadCluster, ATextWithoutObjects) {
  EXPECT_EQ(ErrorsOf(""),
            "f: found an empty file, expected Kubernetes objects, as kubectl "
            "get -o yaml prints them");
  EXPECT_THAT(ErrorsOf("\n# nothing\n---\n"),
              StartsWith("f: found no document"));
  EXPECT_EQ(ErrorsOf("hello"),
            "f:1:1: found \"hello\", expected a map with apiVersion and kind");
  EXPECT_EQ(ErrorsOf("[1]"),
            "f:1:1: found a list, expected a map with apiVersion and kind");
  EXPECT_THAT(ErrorsOf("{}"), HasSubstr("expected apiVersion and kind"));
}

TEST(ReadCluster, AKeyTwice) {
  const std::string message =
      "f:1:64: metadata.name: found the key a second time, expected it once";
  EXPECT_EQ(ErrorsOf("{apiVersion: v1, kind: Service, metadata: {name: a, "
                     "     name: b, labels: {x: a}}}"),
            message);
  EXPECT_EQ(ErrorsOf(R"({"apiVersion":"v1","kind":"Service","metadata":{)"
                     R"("name":"a","name":"b","labels":{"x":"a"}}})"),
            "f:1:67: metadata.name: found the key a second time, expected it "
            "once");
  EXPECT_EQ(ErrorsOf("{apiVersion: v1, kind: Service, metadata: {name: a, "
                     "labels: {x: a, x: a}}}"),
            "f:1:71: metadata.labels.x: found the key a second time, expected "
            "it once");
}

TEST(ReadCluster, TextsWithNulBytes) {
  EXPECT_EQ(ErrorsOf("{apiVersion: v1, kind: Node, metadata: "
                     "{name: \"a\\0b\"}}"),
            "f:1:47: metadata.name: found \"a\\000b\", expected a text without "
            "NUL bytes");
  EXPECT_THAT(ErrorsOf(R"({"apiVersion":"v1","kind":"Node","metadata":{)"
                       R"("name":"n","uid":"a\u0000b"}})"),
              HasSubstr("metadata.uid: found \"a\\000b\", expected a text "
                        "without NUL bytes"));
  EXPECT_THAT(ErrorsOf(absl::string_view("kind: \0", 7)),
              HasSubstr("f:1:7: found broken YAML (control characters are not "
                        "allowed), expected valid YAML"));
}

TEST(ReadCluster, BrokenYaml) {
  EXPECT_EQ(ErrorsOf("apiVersion: v1\nkind: Service\nmetadata:\n  name: 'a\n"),
            "f:5:1: found broken YAML (found unexpected end of stream while "
            "scanning a quoted scalar that starts in line 4), expected valid "
            "YAML");
  EXPECT_THAT(ErrorsOf("a: b: c"), StartsWith("f:1:5: found broken YAML"));
  EXPECT_THAT(ErrorsOf("a:\n\t- b"), StartsWith("f:2:1: found broken YAML"));
  EXPECT_THAT(ErrorsOf("\xFF\xFE"
                       "a"),
              HasSubstr("broken YAML"));
  EXPECT_THAT(ErrorsOf("a: \xC3\x28"), StartsWith("f:1:5: found broken YAML"));
  EXPECT_THAT(ErrorsOf("{apiVersion: v1, kind: Service, metadata: {name: a}"),
              HasSubstr("broken YAML"));
}

TEST(ReadCluster, BrokenJson) {
  const std::string head = R"({"apiVersion":"v1","kind":"Service",)";
  EXPECT_THAT(ErrorsOf(head), HasSubstr("broken JSON"));
  EXPECT_THAT(ErrorsOf(absl::StrCat(head, R"("metadata":{"name":"a)")),
              AllOf(StartsWith("f:1:56: "), HasSubstr("broken JSON")));
  EXPECT_THAT(ErrorsOf(absl::StrCat(head, R"("metadata" {"name":"a"}})")),
              HasSubstr("broken JSON"));
  EXPECT_THAT(ErrorsOf(absl::StrCat(head, "\"metadata\":{\"name\":\"a\nb\"}}")),
              AllOf(StartsWith("f:1:58: "), HasSubstr("broken JSON")));
  EXPECT_THAT(ErrorsOf(absl::StrCat(head, "\"a\":\"\xC3\x28\"}")),
              AllOf(StartsWith("f:1:42: "), HasSubstr("broken JSON")));
  EXPECT_THAT(ErrorsOf(absl::StrCat(head, R"("metadata":{"name":"\q"}})")),
              HasSubstr("broken JSON"));
  EXPECT_THAT(ErrorsOf(absl::StrCat(head, R"("metadata":{"name":"a"}} 7)")),
              HasSubstr("expected the end of the JSON document"));
  // Also where nobody looks.
  for (const char* junk :
       {"tru", "nul", "1.2.3", "[1,}", "{\"a\"}", "-", "+1"}) {
    EXPECT_THAT(
        ErrorsOf(absl::StrCat(
            head, "\"metadata\":{\"name\":\"a\",\"x\":{\"y\":", junk, "}}}")),
        HasSubstr("broken JSON"))
        << junk;
  }
}

// --- Limits ----------------------------------------------------------------

TEST(ReadCluster, NoMoreErrorsThanAskedFor) {
  ReadOptions options;
  options.max_errors = 2;
  EXPECT_EQ(
      ErrorsOf(kServiceList, options),
      R"(f:8:16: items[0].spec.clusterIP: found "10.96.0.300", expected an IP address or None
f:10:13: items[0].spec.ports[0].port: found "80", expected an integer from 1 to 65535
f: more errors than 2, the others are not shown)");
}

TEST(ReadCluster, SizeDepthAndCountAreLimited) {
  ReadOptions options;
  options.max_bytes = 10;
  EXPECT_EQ(ErrorsOf("apiVersion: v1", options),
            "f: found 14 bytes, expected at most 10");
  options = {};
  options.max_line_bytes = 20;
  EXPECT_EQ(
      ErrorsOf("apiVersion: v1\n# a line that is longer than that\n", options),
      "f:2:21: found a longer line, expected at most 20 bytes");
  options = {};
  options.max_objects = 1;
  EXPECT_EQ(ErrorsOf("apiVersion: v1\nkind: Node\nmetadata: {name: a}\n---\n"
                     "apiVersion: v1\nkind: Node\nmetadata: {name: b}\n",
                     options),
            "f:5:1: found one more object, expected at most 1");
}

TEST(ReadCluster, DeepNestingIsRefused) {
  const std::string open(100'000, '[');
  EXPECT_THAT(ErrorsOf(open), HasSubstr("deeper nesting"));
  EXPECT_THAT(
      ErrorsOf(absl::StrCat("apiVersion: v1\nkind: Node\nx: ", open)),
      HasSubstr("f:3:67: found deeper nesting, expected at most 64 levels"));
  EXPECT_THAT(ErrorsOf(absl::StrCat(R"({"apiVersion":"v1","kind":"Node","x":)",
                                    open, std::string(100'000, ']'), "}")),
              HasSubstr("deeper nesting"));
}

TEST(ReadCluster, LimitsHoldInJson) {
  const std::string two = R"({"apiVersion":"v1","kind":"List","items":[
 {"apiVersion":"v1","kind":"Node","metadata":{"name":"a"}},
 {"apiVersion":"v1","kind":"Node","metadata":{"name":"b"}}]})";
  ReadOptions options;
  options.max_bytes = 100;
  EXPECT_EQ(
      ErrorsOf(two, options),
      absl::StrCat("f: found ", two.size(), " bytes, expected at most 100"));
  options = {};
  options.max_objects = 1;
  EXPECT_EQ(ErrorsOf(two, options),
            "f:3:2: items[1]: found one more object, expected at most 1");
  options = {};
  options.max_depth = 3;
  EXPECT_EQ(ErrorsOf(two, options),
            "f:2:46: found deeper nesting, expected at most 3 levels");
}

// Three bytes can stand for an endpoint.
TEST(ReadCluster, ListsAreLimited) {
  std::string endpoints = "{}";
  for (int i = 1; i < 1000; ++i) endpoints += ",{}";
  ReadOptions options;
  options.max_memory_bytes = 50'000;
  const std::string expected =
      "endpoints: found more elements, expected at most 50000 bytes of memory "
      "for lists";
  EXPECT_THAT(ErrorsOf(absl::StrCat(R"({"apiVersion":"discovery.k8s.io/v1",)",
                                    R"("endpoints":[)", endpoints, "]}"),
                       options),
              HasSubstr(expected));
  EXPECT_THAT(ErrorsOf(absl::StrCat("apiVersion: discovery.k8s.io/v1\n",
                                    "endpoints: [", endpoints, "]\n"),
                       options),
              HasSubstr(expected));
}

TEST(ReadCluster, AliasesAreLimited) {
  ReadOptions options;
  options.max_alias_values = 3;
  EXPECT_THAT(
      ErrorsOf("apiVersion: v1\nkind: Node\nx: &x [1, 2]\ny: *x\n", options),
      HasSubstr("found more values through aliases, expected at most "
                "3"));
}

TEST(ReadCluster, ATextThatIsNotThere) {
  EXPECT_FALSE(ReadCluster(absl::string_view(), "f").ok());
  EXPECT_FALSE(ReadCluster("", "f").ok());
}

// simdjson's tokens reach into the padding where a value is missing.
TEST(ReadCluster, JsonThatEndsBeforeAValue) {
  const std::string whole =
      R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"a"},)"
      R"("spec":{"clusterIP":"10.0.0.1","ports":[{"port":80}]}})";
  for (size_t length = 1; length < whole.size(); ++length) {
    // What follows the text in memory must not matter.
    const std::string quotes = whole.substr(0, length) + std::string(80, '"');
    EXPECT_THAT(ErrorsOf(absl::string_view(quotes).substr(0, length)),
                HasSubstr("broken"))
        << length;
  }
}

// --- YAML's own features ---------------------------------------------------

TEST(ReadCluster, ScalarsAreWhatKubectlTakesThemFor) {
  const Cluster c = Read(R"(apiVersion: v1
kind: Service
metadata:
  name: !!str 7
  uid: ~
  labels: {a: "yes", b: '7', c: yesterday, d: 10.0.0.1, e: 2024-01-01, f: }
spec:
  publishNotReadyAddresses: On
  healthCheckNodePort: 0x7530
  ports:
  - {port: 017, nodePort: 30_000, targetPort: "80"}
  - {port: 0b11, targetPort: 80, name: null}
)");
  const Service& s = *c.services().begin();
  EXPECT_EQ(s.metadata.name, "7");
  EXPECT_THAT(
      s.metadata.labels,
      UnorderedElementsAre(Pair("a", "yes"), Pair("b", "7"),
                           Pair("c", "yesterday"), Pair("d", "10.0.0.1"),
                           Pair("e", "2024-01-01"), Pair("f", "")));
  EXPECT_TRUE(s.spec.publish_not_ready_addresses);
  EXPECT_EQ(s.spec.health_check_node_port, 30000);
  EXPECT_EQ(s.spec.ports[0].port, 15);
  EXPECT_EQ(s.spec.ports[0].node_port, 30000);
  EXPECT_EQ(s.spec.ports[0].target_port, PortOrName("80"));
  EXPECT_EQ(s.spec.ports[1].port, 3);
  EXPECT_EQ(s.spec.ports[1].target_port, PortOrName(80));
  EXPECT_EQ(ErrorsOf("{apiVersion: v1, kind: Node, metadata: {name: !x a}}"),
            "f:1:47: metadata.name: found a value with a tag of its own, "
            "expected a text");
}

TEST(ReadCluster, AnchorsAliasesAndMergeKeys) {
  const Cluster c = Read(R"(apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata: {name: a, labels: &labels {app: web, tier: front}}
  spec: &spec
    type: NodePort
    clusterIP: &ip 10.0.0.1
    ports: [&port {port: 80, nodePort: 30080}]
- apiVersion: v1
  kind: Service
  metadata:
    name: b
    labels: {<<: *labels, tier: back}
  spec:
    clusterIP: 10.0.0.2
    <<: [{type: ClusterIP}, *spec]
    externalIPs: [*ip]
    ports:
    - {<<: *port, nodePort: 30081}
)");
  const Service* b = c.services().Find("default", "b");
  ASSERT_NE(b, nullptr);
  EXPECT_THAT(b->metadata.labels,
              ElementsAre(Pair("app", "web"), Pair("tier", "back")));
  EXPECT_EQ(b->spec.type, ServiceType::kClusterIp);
  EXPECT_EQ(b->spec.cluster_ip, "10.0.0.2");
  EXPECT_THAT(b->spec.external_ips, ElementsAre("10.0.0.1"));
  ASSERT_EQ(b->spec.ports.size(), 1u);
  EXPECT_EQ(b->spec.ports[0].port, 80);
  EXPECT_EQ(b->spec.ports[0].node_port, 30081);
}

TEST(ReadCluster, AnAliasBombIsRefused) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    absl::StrAppend(&bomb, "a", i, ": &a", i, " [");
    for (int j = 0; j < 10; ++j) {
      absl::StrAppend(&bomb, j == 0 ? "" : ", ", "*a", i - 1);
    }
    absl::StrAppend(&bomb, "]\n");
  }
  absl::StrAppend(&bomb, "apiVersion: v1\nkind: Node\nmetadata: {name: n}\n");
  EXPECT_THAT(ErrorsOf(bomb), HasSubstr("found more values through aliases, "
                                        "expected at most 100000"));
}

TEST(ReadCluster, WrongAliases) {
  EXPECT_EQ(ErrorsOf("apiVersion: v1\nkind: *x"),
            "f:2:7: found the alias *x, expected an alias of an anchor that "
            "comes before it");
  EXPECT_THAT(ErrorsOf("apiVersion: v1\nkind: Node\nx: &a [*a]"),
              HasSubstr("found the alias *a within its own value"));
  EXPECT_THAT(
      ErrorsOf("apiVersion: v1\nkind: Node\nmetadata: {<<: 7, name: n}"),
      HasSubstr("f:3:16: found the number 7, expected a map to merge"));
  EXPECT_THAT(
      ErrorsOf("apiVersion: v1\nkind: Node\nmetadata: {[a]: 7, name: n}"),
      HasSubstr("f:3:12: found a list as a key, expected a text"));
}

// --- Configuration ---------------------------------------------------------

TEST(ReadKubeProxyConfig, AFile) {
  absl::StatusOr<KubeProxyConfig> config = ReadKubeProxyConfig(R"(
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: ipvs
clusterCIDR: 10.244.0.0/16,fd00:10:244::/56
detectLocalMode: InterfaceNamePrefix
detectLocal: {interfaceNamePrefix: veth}
featureGates: {LoadBalancerIPMode: false}
nodePortAddresses: [primary, 10.0.0.0/8]
conntrack: {maxPerCore: null, tcpEstablishedTimeout: 24h0m0s}
iptables: {masqueradeBit: 0, syncPeriod: 30s}
ipvs: {strictARP: true}
)",
                                                               "f");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->mode, ProxyMode::kIpvs);
  EXPECT_EQ(config->detect_local_mode, LocalMode::kInterfaceNamePrefix);
  EXPECT_EQ(config->interface_name_prefix, "veth");
  EXPECT_THAT(config->feature_gates,
              ElementsAre(Pair("LoadBalancerIPMode", false)));
  EXPECT_EQ(config->iptables.masquerade_bit, 0);
  EXPECT_TRUE(config->iptables.localhost_node_ports);
  EXPECT_TRUE(config->ipvs.strict_arp);
  EXPECT_EQ(config->bind_address, "0.0.0.0");
}

TEST(ReadKubeProxyConfig, Errors) {
  const auto errors = [](absl::string_view text) {
    return std::string(ReadKubeProxyConfig(text, "f").status().message());
  };
  EXPECT_EQ(errors("apiVersion: kubeproxy.config.k8s.io/v1alpha1\n"
                   "kind: KubeProxyConfiguration\n"
                   "mode: userspace\nclusterCIDR: 10.0.0.0\n"
                   "iptables: {masqueradeBit: 32}\n"
                   "conntrack: {tcpCloseWaitTimeout: 1 hour}\n"),
            "f:3:7: mode: found \"userspace\", expected iptables, ipvs or "
            "nftables\n"
            "f:4:14: clusterCIDR: found \"10.0.0.0\", expected a CIDR such as "
            "10.0.0.0/8, or two joined by a comma\n"
            "f:5:27: iptables.masqueradeBit: found 32, expected an integer "
            "from 0 to 31\n"
            "f:6:34: conntrack.tcpCloseWaitTimeout: found \"1 hour\", expected "
            "a duration such as 15m0s");
  EXPECT_EQ(errors("apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"),
            "f: found 0 documents of kind KubeProxyConfiguration, expected one "
            "(apiVersion kubeproxy.config.k8s.io/v1alpha1)");
  EXPECT_THAT(errors(""), HasSubstr("found 0 documents"));
}

TEST(ReadKubeletConfig, AFileAmongOthers) {
  absl::StatusOr<KubeletConfig> config = ReadKubeletConfig(
      "apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\n---\n"
      "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
      "clusterDNS: [10.96.0.10]\nclusterDomain: cluster.local\n"
      "resolvConf: \"\"\n",
      "f");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(config->cluster_dns, ElementsAre("10.96.0.10"));
  EXPECT_EQ(config->resolv_conf, "");
}

// --- NetworkPolicy ---------------------------------------------------------

TEST(ReadCluster, ANetworkPolicy) {
  const Cluster c = Read(R"(apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: x}
spec:
  podSelector:
    matchExpressions:
    - {key: app, operator: NotIn, values: [a, b]}
  policyTypes: [Ingress, Egress]
  ingress:
  - from:
    - namespaceSelector: {}
    - ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}
    ports:
    - {port: http}
    - {protocol: UDP, port: 3000, endPort: 4000}
  egress:
  - {}
)");
  const NetworkPolicy* p = c.network_policies().Find("x", "p");
  ASSERT_NE(p, nullptr);
  EXPECT_EQ(p->pod_selector.match_expressions[0].op,
            LabelSelector::Operator::kNotIn);
  ASSERT_EQ(p->ingress.size(), 1u);
  ASSERT_EQ(p->ingress[0].from.size(), 2u);
  EXPECT_EQ(p->ingress[0].from[0].namespace_selector, LabelSelector());
  EXPECT_EQ(p->ingress[0].from[0].pod_selector, std::nullopt);
  EXPECT_THAT(p->ingress[0].from[1].ip_block->except,
              ElementsAre("10.1.0.0/16"));
  EXPECT_EQ(p->ingress[0].ports[0].port, PortOrName("http"));
  EXPECT_EQ(p->ingress[0].ports[0].protocol, std::nullopt);
  EXPECT_EQ(p->ingress[0].ports[1].end_port, 4000);
  ASSERT_EQ(p->egress.size(), 1u);
  EXPECT_THAT(p->egress[0].to, IsEmpty());
}

}  // namespace
}  // namespace k8sdns
