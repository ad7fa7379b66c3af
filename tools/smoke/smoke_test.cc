// Every external dependency compiles and links.

#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/topological_sort.hpp>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/random/random.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/json_util.h"
#include "gtest/gtest.h"
#include "openssl/sha.h"
#include "simdjson.h"
#include "tools/smoke/smoke.pb.h"
#include "yaml.h"

namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

absl::StatusOr<int> Half(int n) {
  if (n % 2 != 0) {
    return absl::InvalidArgumentError(absl::StrFormat("%d is odd", n));
  }
  return n / 2;
}

TEST(Smoke, Abseil) {
  EXPECT_EQ(*Half(4), 2);
  EXPECT_EQ(Half(3).status().message(), "3 is odd");
  absl::flat_hash_map<std::string, int> map = {{"a", 1}};
  EXPECT_THAT(map, ElementsAre(Pair("a", 1)));
  absl::btree_map<int, int> tree = {{2, 3}};
  EXPECT_EQ(tree.at(2), 3);
  absl::BitGen gen;
  EXPECT_LT(absl::Uniform(gen, 0, 10), 10);
  EXPECT_EQ(absl::FormatDuration(absl::Seconds(2)), "2s");
  std::vector<int> none;
  absl::string_view view = absl::MakeSpan(none).empty() ? "y" : "n";
  EXPECT_EQ(absl::StrCat(view, 1), "y1");
}

TEST(Smoke, Protobuf) {
  k8sdns::smoke::Smoke smoke;
  smoke.set_name("x");
  smoke.mutable_at()->set_seconds(1);
  std::string json;
  ASSERT_TRUE(google::protobuf::util::MessageToJsonString(smoke, &json).ok());
  EXPECT_EQ(json, R"({"name":"x","at":"1970-01-01T00:00:01Z"})");
}

TEST(Smoke, Boost) {
  boost::adjacency_list<boost::vecS, boost::vecS, boost::directedS> graph(2);
  boost::add_edge(0, 1, graph);
  std::vector<int> order;
  boost::topological_sort(graph, std::back_inserter(order));
  EXPECT_THAT(order, ElementsAre(1, 0));
}

TEST(Smoke, Crypto) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(nullptr, 0, digest);
  EXPECT_EQ(absl::BytesToHexString(
                absl::string_view(reinterpret_cast<char*>(digest), 4)),
            "e3b0c442");
}

TEST(Smoke, YamlAndJson) {
  yaml_parser_t parser;
  ASSERT_TRUE(yaml_parser_initialize(&parser));
  yaml_parser_delete(&parser);
  simdjson::ondemand::parser json_parser;
  simdjson::padded_string text(std::string("{\"a\":1}"));
  simdjson::ondemand::document document;
  ASSERT_EQ(json_parser.iterate(text).get(document), simdjson::SUCCESS);
}

}  // namespace
