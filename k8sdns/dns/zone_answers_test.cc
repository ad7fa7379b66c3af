#include "k8sdns/dns/zone_answers.h"

#include "gtest/gtest.h"
#include "k8sdns/testing/cluster_builder.h"

namespace k8sdns::dns {
namespace {

TEST(ZoneAnswers, OnlyTheServersGiven) {
  Namespace ns;
  ns.metadata.name = "prod";
  const Cluster cluster = k8sdns::testing::ClusterBuilder()
                              .Add(ns)
                              .AddService("prod/web", "10.96.1.1")
                              .Port("http", 80, 8080)
                              .Build();
  const auto zone = Zone::Create(cluster, CoreDnsOptions());
  ASSERT_TRUE(zone.ok());
  const IpAddress vip = *IpAddress::Parse("10.96.0.10");
  const AnswerSource source =
      ZoneAnswers(*zone, {vip}, *IpAddress::Parse("10.244.0.9"));
  Question query;
  query.server = vip;
  query.name = "web.prod.svc.cluster.local.";
  query.type = kTypeA;
  const Answer answer = source(query);
  ASSERT_EQ(answer.records.size(), 1u);
  EXPECT_EQ(answer.records[0].address.ToString(), "10.96.1.1");
  EXPECT_EQ(answer.rcode, 0);
  query.name = "gone.prod.svc.cluster.local.";
  EXPECT_EQ(source(query).rcode, 3);
  EXPECT_EQ(source(query).authority_records, 1);
  query.server = *IpAddress::Parse("10.96.0.11");
  EXPECT_EQ(source(query).fate, Answer::Fate::kNoReply);
}

}  // namespace
}  // namespace k8sdns::dns
