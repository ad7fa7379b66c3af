#include "k8sdns/cluster/json_plain_reader.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "k8sdns/cluster/full_cluster.h"
#include "k8sdns/cluster/json_index.h"
#include "k8sdns/cluster/manifest_reader.h"
#include "k8sdns/cluster/manifest_writer.h"
#include "k8sdns/cluster/schema.h"

namespace k8sdns {
namespace {

class NoSkipper : public PlainJsonReader::Skipper {
 public:
  const uint32_t* SkipValue(const uint32_t*, int) override { return nullptr; }
};

// Whether the text, an object of the type, is plain.
template <typename T>
bool IsPlain(std::string text, int max_depth = 64, size_t max_bytes = 1 << 20) {
  const size_t size = text.size();
  text.resize(size + JsonIndex::kPadding);
  JsonIndex index;
  if (index.Build(absl::string_view(text.data(), size)) != simdjson::SUCCESS) {
    ADD_FAILURE() << "no JSON: " << text;
    return false;
  }
  NoSkipper skipper;
  ObjectArena arena(/*in_use=*/true);
  PlainJsonReader reader(text.data(), index.end(), max_depth, arena, skipper);
  PlainJsonReader::Counts counts;
  T object;
  const uint32_t* const end = reader.Read(schema::KindOf<T>(), index.begin(), 0,
                                          max_bytes, &object, counts);
  return end == index.end();
}

template <typename T>
std::string Json(const T& object) {
  Cluster cluster;
  cluster.Put(object);
  std::string list = WriteJson(cluster, ManifestFormat::kCompactJson);
  const size_t begin = list.find('[') + 1;
  return list.substr(begin, list.rfind(']') - begin);
}

// --- What is plain -----------------------------------------------------------

template <typename T>
void ExpectPlain(const ObjectSet<T>& objects) {
  ASSERT_FALSE(objects.empty());
  for (const T& object : objects) {
    // The texts of full_cluster.h that have an escape.
    const std::string text = absl::StrReplaceAll(Json(object), {{"d\\n", "d"}});
    EXPECT_TRUE(IsPlain<T>(text)) << text;
    EXPECT_TRUE(IsPlain<T>(absl::StrReplaceAll(text, {{",", " ,\n"}})));
    EXPECT_FALSE(IsPlain<T>(text, 2)) << "too deep";
    EXPECT_FALSE(IsPlain<T>(text.substr(0, text.size() - 1)));
    EXPECT_FALSE(IsPlain<T>(absl::StrReplaceAll(text, {{"\":", "x\":"}})))
        << "unknown fields";
  }
}

TEST(PlainJson, EveryFieldThatTheWriterPrints) {
  const Cluster cluster = FullCluster();
  ExpectPlain(cluster.services());
  ExpectPlain(cluster.endpoint_slices());
  ExpectPlain(cluster.endpoints());
  ExpectPlain(cluster.pods());
  ExpectPlain(cluster.nodes());
  ExpectPlain(cluster.network_policies());
}

TEST(PlainJson, KeysInAnyOrderButOnce) {
  EXPECT_TRUE(IsPlain<Service>(
      R"({"spec":{"type":"NodePort","clusterIP":"None"},"kind":"Service"})"));
  EXPECT_FALSE(
      IsPlain<Service>(R"({"spec":{"clusterIP":"None","clusterIP":"None"}})"));
  EXPECT_FALSE(
      IsPlain<Service>(R"({"metadata":{"labels":{"a":"1","a":"1"}}})"));
}

// As in what kubectl apply keeps in an annotation.
TEST(PlainJson, TextsMayHaveEscapes) {
  const std::string service =
      R"({"apiVersion":"v1","kind":"Service",)"
      R"("metadata":{"name":"a","uid":"\u0061","annotations":)"
      R"({"last":"{\"a\":\"\\\\\"}\n","\"k\u00e9y\"":"\ud83d\ude00"}},)"
      R"("spec":{"clusterIP":"\u0031.1.1.1"}})";
  EXPECT_TRUE(IsPlain<Service>(service));
  const auto cluster = ReadCluster(service, "f");
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  const Service& read = *cluster->services().begin();
  EXPECT_EQ(read.metadata.uid, "a");
  EXPECT_EQ(read.spec.cluster_ip, "1.1.1.1");
  EXPECT_EQ(Find(read.metadata.annotations, "last"), "{\"a\":\"\\\\\"}\n");
  EXPECT_EQ(Find(read.metadata.annotations, "\"k\u00e9y\""), "\U0001f600");
}

TEST(PlainJson, NullIsNotSet) {
  EXPECT_TRUE(IsPlain<Service>(
      R"({"metadata":{"labels":null,"name":null},"spec":null})"));
  EXPECT_FALSE(IsPlain<Service>(R"({"spec":{"externalIPs":[null]}})"));
  EXPECT_FALSE(IsPlain<Service>(R"({"metadata":{"labels":{"a":null}}})"));
  EXPECT_FALSE(IsPlain<Service>(R"({"spec":nulls})"));
}

TEST(PlainJson, WhatTheOtherReaderMustLookAt) {
  for (const char* spec : {
           R"({"type":"Clusterip"})",
           R"({"clusterIP":"10.0.0.300"})",
           R"({"clusterIP":1})",
           R"({"clusterIP":"\u0000"})",
           R"({"clusterIP":"\x"})",
           R"({"selector":{"a":"\u0000"}})",
           R"({"selector":{"\u0000":"a"}})",
           R"({"selector":{"a":"\ud800"}})",
           R"({"externalIPs":[""]})",
           R"({"externalIPs":"1.1.1.1"})",
           R"({"externalIPs":{}})",
           R"({"externalIPs":["1.1.1.1",]})",
           R"({"externalIPs":["1.1.1.1"}])",
           R"({"externalIPs":["1.1.1.1" "1.1.1.2"]})",
           R"({"healthCheckNodePort":70000})",
           R"({"healthCheckNodePort":07})",
           R"({"healthCheckNodePort":1.5})",
           R"({"healthCheckNodePort":1e2})",
           R"({"healthCheckNodePort":-1})",
           R"({"healthCheckNodePort":"1"})",
           R"({"healthCheckNodePort":10000000000})",
           R"({"publishNotReadyAddresses":truee})",
           R"({"publishNotReadyAddresses":fals})",
           R"({"publishNotReadyAddresses":"true"})",
           R"({"ports":[{"port":80,"targetPort":true}]})",
           R"({"ports":[80]})",
           R"({"ports":[{"port":80}],})",
           R"({"ports" [{"port":80}]})",
           R"({"selector":{"a":1}})",
           R"({"selector":["a"]})",
           R"({"sessionAffinityConfig":[]})",
       }) {
    EXPECT_FALSE(IsPlain<Service>(absl::StrCat("{\"spec\":", spec, "}")))
        << spec;
  }
  EXPECT_FALSE(IsPlain<Service>(R"({"kind":"Servicex"})"));
  EXPECT_FALSE(IsPlain<Service>("[]"));
  EXPECT_FALSE(IsPlain<Node>(R"({"status":{"conditions":[{}]}})", 64, 8))
      << "more memory than lists may take";
  EXPECT_FALSE(IsPlain<Pod>(R"({"status":{"podIPs":[{}]}})"));
  EXPECT_FALSE(IsPlain<Pod>(
      R"({"status":{"podIPs":[{"ip":"1.1.1.1","ip":"1.1.1.1"}]}})"));
}

// --- It makes what the other reader makes ------------------------------------

// Asked to list ignored fields, the reader of manifests takes the long way.
void ExpectSame(const std::string& text) {
  SCOPED_TRACE(text);
  ReadOptions listing;
  listing.list_ignored_fields = true;
  ReadReport plain_report;
  ReadReport report;
  const auto plain = ReadCluster(text, "f", {}, &plain_report);
  const auto other = ReadCluster(text, "f", listing, &report);
  EXPECT_EQ(plain.status(), other.status());
  EXPECT_EQ(plain_report.errors, report.errors);
  EXPECT_EQ(plain_report.warnings, report.warnings);
  EXPECT_EQ(plain_report.objects, report.objects);
  if (!plain.ok() || !other.ok()) return;
  EXPECT_EQ(plain_report.ignored_field_count, report.ignored_field_count);
  EXPECT_EQ(Difference(*plain, *other).size(), 0u);
  EXPECT_EQ(WriteJson(*plain, ManifestFormat::kCompactJson),
            WriteJson(*other, ManifestFormat::kCompactJson));
}

TEST(PlainJson, MakesTheSameObjects) {
  const std::string full =
      WriteJson(FullCluster(), ManifestFormat::kCompactJson);
  ExpectSame(full);
  ExpectSame(WriteJson(FullCluster(), ManifestFormat::kJson));
  // Every text, number and word in turn is taken away, or another one.
  for (size_t i = 0; i + 1 < full.size(); ++i) {
    const char* const starts = "\"0123456789tfn{[";
    if (full[i] != ':' || absl::string_view(starts).find(full[i + 1]) ==
                              absl::string_view::npos) {
      continue;
    }
    size_t end = i + 1;
    if (full[end] == '"') {
      end = full.find('"', end + 1) + 1;
    } else if (full[end] == '{' || full[end] == '[') {
      continue;
    } else {
      end = full.find_first_of(",}]", end);
    }
    for (const char* value : {"null", "\"\"", "1", "true", "{}", "[]", "{",
                              "\"\\u0041\"", "\"x\",\"unknown\":[{\"a\":1}]"}) {
      ExpectSame(absl::StrCat(full.substr(0, i + 1), value, full.substr(end)));
      if (HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace k8sdns
