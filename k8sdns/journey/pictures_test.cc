#include "k8sdns/journey/pictures.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "k8sdns/netfilter/iptables_save.h"

namespace k8sdns::journey {
namespace {

using ::testing::ElementsAre;

constexpr char kRules[] = R"(*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:DENY - [0:0]
-A FORWARD -m statistic --mode random --probability 0.50000000000 -j DENY
-A FORWARD -s 10.0.0.1/32 -j DENY
-A DENY -j DROP
COMMIT
)";

std::vector<std::string> Titles(const diagram::Diagram& d) {
  std::vector<std::string> out;
  for (const diagram::Box& box : d.boxes) out.push_back(box.title);
  return out;
}

TEST(PicturesTest, TracesHaveAColumnForEachOutcome) {
  auto rules = netfilter::ParseIptablesSave(kRules, IpFamily::kIpv4);
  ASSERT_TRUE(rules.ok()) << rules.status();
  DumpedTables tables;
  tables.rules[0] =
      std::make_shared<const netfilter::Ruleset>(*std::move(rules));
  dataplane::NodeConfig config;
  for (const auto& [name, address] :
       {std::pair("eth0", "192.0.2.1/24"), std::pair("eth1", "10.9.0.1/24")}) {
    dataplane::Interface interface;
    interface.name = name;
    interface.addresses = {*IpPrefix::Parse(address)};
    config.interfaces.push_back(interface);
  }
  auto node = TracedNode::OfDump(config, tables);
  ASSERT_TRUE(node.ok()) << node.status();
  dataplane::NodePacket packet;
  packet.header = Packet::Udp(*SocketAddress::Parse("192.0.2.7:1"),
                              *SocketAddress::Parse("10.9.0.7:2"));
  const diagram::Diagram d =
      DiagramOf(node->Trace(dataplane::Arrival::On("eth0", packet)));
  EXPECT_THAT(d.lanes, ElementsAre("50%", "50%"));
  EXPECT_THAT(Titles(d),
              ElementsAre("in by eth0", "filter FORWARD", "filter DENY",
                          ::testing::StartsWith("dropped"), "in by eth0",
                          ::testing::StartsWith("leaves by eth1")));
}

TEST(PicturesTest, ChainsAreJoinedByTheirCalls) {
  auto rules = netfilter::ParseIptablesSave(kRules, IpFamily::kIpv4);
  ASSERT_TRUE(rules.ok()) << rules.status();
  const diagram::Diagram d =
      DiagramOf(*rules->table(netfilter::TableId::kFilter));
  EXPECT_THAT(Titles(d), ElementsAre("INPUT", "FORWARD", "OUTPUT", "DENY"));
  ASSERT_EQ(d.arrows.size(), 1u);
  EXPECT_EQ(d.arrows[0].from, 1u);
  EXPECT_EQ(d.arrows[0].to, 3u);
  EXPECT_EQ(d.arrows[0].label, "2");
}

TEST(PicturesTest, DriftHasABoxForEachServiceAndProgram) {
  Drift drift;
  drift.groups.push_back({"default/web", {"kube-proxy has not removed x"}, {}});
  DriftItem item;
  item.kind = DriftItem::Kind::kStale;
  item.where = "iptables";
  item.table = "nat";
  item.text = "-A X -j Y";
  drift.groups[0].items = {item, item};
  drift.foreign.push_back({"Docker", "iptables", "nat", "DOCKER", 3, 1});
  const diagram::Diagram d = DiagramOf(drift, 1);
  EXPECT_THAT(Titles(d), ElementsAre("default/web", "Docker"));
  EXPECT_THAT(d.boxes[0].lines,
              ElementsAre("kube-proxy has not removed x",
                          "stale: iptables nat -A X -j Y", "... and 1 more"));
  EXPECT_THAT(d.boxes[1].lines,
              ElementsAre("iptables nat DOCKER: 3 rules, 1 ahead of "
                          "kube-proxy's"));
}

}  // namespace
}  // namespace k8sdns::journey
