#include "k8sdns/dns/domain_name.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace k8sdns::dns {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(NormalizeName, AddsTheFinalDotAndKeepsTheCase) {
  EXPECT_EQ(*NormalizeName("Web.prod"), "Web.prod.");
  EXPECT_EQ(*NormalizeName("."), ".");
}

TEST(NormalizeName, EscapesWhatDoesNotPrint) {
  EXPECT_EQ(*NormalizeName("b\xC3\xBC.test"), "b\\195\\188.test.");
  EXPECT_EQ(*NormalizeName("a\\046b.test"), "a\\.b.test.");
  EXPECT_EQ(*NormalizeName("a b"), "a\\ b.");
}

TEST(NormalizeName, RefusesWhatNoMessageCanCarry) {
  EXPECT_THAT(NormalizeName("").status().message(), HasSubstr("is empty"));
  EXPECT_THAT(NormalizeName("a..b").status().message(),
              HasSubstr("an empty label"));
  EXPECT_THAT(NormalizeName(std::string(64, 'x')).status().message(),
              HasSubstr("label of 64 bytes"));
  EXPECT_TRUE(NormalizeName(std::string(63, 'x')).ok());
  EXPECT_THAT(NormalizeName("a\\").status().message(), HasSubstr("backslash"));
  EXPECT_THAT(NormalizeName("a\\999").status().message(), HasSubstr("escape"));
}

TEST(NormalizeName, TakesNamesUpTo255Bytes) {
  std::string name;
  for (int i = 0; i < 3; ++i) name += std::string(63, 'x') + ".";
  EXPECT_TRUE(NormalizeName(name + std::string(61, 'x')).ok());
  EXPECT_THAT(NormalizeName(name + std::string(62, 'x')).status().message(),
              HasSubstr("takes 256 bytes"));
  EXPECT_TRUE(IsEncodable(name + std::string(61, 'x') + "."));
  EXPECT_FALSE(IsEncodable(name + std::string(62, 'x') + "."));
}

TEST(IsEncodable, NoEmptyAndNoLongLabels) {
  EXPECT_TRUE(IsEncodable("."));
  EXPECT_FALSE(IsEncodable("a..b."));
  EXPECT_FALSE(IsEncodable(".a."));
  EXPECT_FALSE(IsEncodable(std::string(64, 'x') + "."));
  EXPECT_FALSE(IsEncodable(""));
}

TEST(SplitLabels, EscapedDotsDoNotSplit) {
  EXPECT_THAT(SplitLabels("a\\.b.c."), ElementsAre("a\\.b", "c"));
  EXPECT_THAT(SplitLabels("."), IsEmpty());
  EXPECT_EQ(CountLabels("a.b.c."), 3u);
}

TEST(IsSubDomain, InAnyCaseAndAtLabelsOnly) {
  EXPECT_TRUE(IsSubDomain("cluster.local.", "web.Cluster.LOCAL."));
  EXPECT_TRUE(IsSubDomain("cluster.local.", "cluster.local."));
  EXPECT_FALSE(IsSubDomain("cluster.local.", "mycluster.local."));
  EXPECT_FALSE(IsSubDomain("cluster.local.", "a\\.cluster.local."));
  EXPECT_TRUE(IsSubDomain(".", "a."));
}

TEST(ParseGoIp, ReadsMappedAddressesAsIpv4) {
  EXPECT_EQ(ParseGoIp("::ffff:10.0.0.1")->ToString(), "10.0.0.1");
  EXPECT_EQ(ParseGoIp("010.0.0.1"), std::nullopt);
}

TEST(AddressOfIn4Arpa, FourLabelsExactly) {
  EXPECT_EQ(AddressOfIn4Arpa("4.3.2.1.in-addr.arpa.")->ToString(), "1.2.3.4");
  EXPECT_EQ(AddressOfIn4Arpa("3.2.1.in-addr.arpa."), std::nullopt);
  EXPECT_EQ(AddressOfIn4Arpa("04.3.2.1.in-addr.arpa."), std::nullopt);
}

}  // namespace
}  // namespace k8sdns::dns
