#include "tests/conformance/yaml_value.h"

#include <string>

#include "gtest/gtest.h"

namespace k8sdns::conformance {
namespace {

TEST(YamlValueTest, ReadsScalarsListsAndMaps) {
  auto v = ParseYaml("a: 1\nb: [x, 'yes', true, null]\nc:\n  d: 0x10\n");
  ASSERT_TRUE(v.ok()) << v.status();
  EXPECT_EQ((*v)["a"].AsInt(0), 1);
  EXPECT_EQ((*v)["b"].items()[1].str(), "yes");
  EXPECT_FALSE((*v)["b"].items()[1].AsBool(false));
  EXPECT_TRUE((*v)["b"].items()[2].AsBool(false));
  EXPECT_TRUE((*v)["b"].items()[3].is_null());
  EXPECT_EQ((*v)["c"]["d"].AsInt(0), 16);
  EXPECT_TRUE((*v)["missing"]["too"].is_null());
}

TEST(YamlValueTest, WhatIsWrittenReadsBack) {
  YamlValue v = YamlValue::Map();
  v.Set("text", "a: b # c\n\ttab \"q\" \x01 ü");
  v.Set("word", "plain").Set("no", "no").Set("number", "0123").Set("n", 12);
  v.Set("empty", "").Set("none", YamlValue());
  v.Set("list", YamlValue::List().Add(1).Add(
                    YamlValue::Map().Set("k", YamlValue::List().Add("x"))));
  v.Set("nested", YamlValue::List().Add(YamlValue::List().Add(1).Add(2)));
  v.Set("hollow", YamlValue::List()).Set("void", YamlValue::Map());
  auto back = ParseYaml(v.ToYaml());
  ASSERT_TRUE(back.ok()) << back.status() << "\n" << v.ToYaml();
  EXPECT_TRUE(*back == v) << v.ToYaml();
  EXPECT_TRUE((*back)["number"].quoted());
}

TEST(YamlValueTest, BadTextIsAnError) { EXPECT_FALSE(ParseYaml("a: [1").ok()); }

}  // namespace
}  // namespace k8sdns::conformance
