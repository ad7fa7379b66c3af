// One packet through one node, in every form.
#include "k8sdns/journey/packet_trace.h"

#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "k8sdns/netfilter/iptables_save.h"
#include "k8sdns/testing/cluster_builder.h"

namespace k8sdns::journey {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kDump[] =
    "*nat\n"
    ":PREROUTING ACCEPT [0:0]\n"
    ":OUTPUT ACCEPT [0:0]\n"
    ":web - [0:0]\n"
    "-A PREROUTING -d 10.96.0.20/32 -p tcp -m tcp --dport 80 -j web\n"
    "-A web -j MARK --set-xmark 0x4000/0x4000\n"
    "-A web -s 10.0.0.0/8 -j RETURN\n"
    "-A web -p tcp -m statistic --mode random --probability 0.5 -j DNAT "
    "--to-destination 10.244.1.5:8080\n"
    "COMMIT\n"
    "*filter\n"
    ":FORWARD DROP [0:0]\n"
    "-A FORWARD -d 10.244.1.5/32 -j ACCEPT\n"
    "COMMIT\n";

TracedNode Node() {
  DumpedTables tables;
  tables.rules[0] = std::make_shared<const netfilter::Ruleset>(
      *netfilter::ParseIptablesSave(kDump, IpFamily::kIpv4));
  dataplane::NodeConfig config;
  config.interfaces.push_back(
      {"eth0", {*IpPrefix::Parse("192.168.10.11/24")}, true, false});
  config.interfaces.push_back({"veth1", {}, true, false});
  dataplane::Route route;
  route.prefix = *IpPrefix::Parse("10.244.1.0/24");
  route.device = "veth1";
  config.routes.push_back(route);
  route.prefix = *IpPrefix::Parse("0.0.0.0/0");
  route.device = "eth0";
  config.routes.push_back(route);
  return *TracedNode::OfDump(config, tables);
}

dataplane::Arrival From(const char* source) {
  dataplane::NodePacket packet;
  packet.header = Packet::Tcp(*SocketAddress::Parse(source),
                              *SocketAddress::Parse("10.96.0.20:80"));
  return dataplane::Arrival::On("eth0", packet);
}

TEST(PacketTraceTest, TextTellsEveryOutcome) {
  EXPECT_EQ(
      Node().Trace(From("192.168.10.1:40000")).ToString(),
      "TCP 192.168.10.1:40000 > 10.96.0.20:80, in by eth0\n"
      "0.5 leaves by veth1: TCP 192.168.10.1:40000 > 10.244.1.5:8080, mark "
      "0x4000\n"
      "    nat     -A PREROUTING -d 10.96.0.20/32 -p tcp -m tcp --dport 80 -j "
      "web   [PREROUTING rule 1]\n"
      "    nat     -A web -j MARK --set-xmark 0x4000/0x4000   [web rule 1]\n"
      "    nat     -A web -p tcp -m statistic --mode random --probability "
      "0.50000000000 -j DNAT --to-destination 10.244.1.5:8080   [web rule 3]   "
      "mark 0x4000\n"
      "    filter  -A FORWARD -d 10.244.1.5/32 -j ACCEPT   [FORWARD rule 1]   "
      "mark 0x4000\n"
      "    nat     POSTROUTING: policy ACCEPT   mark 0x4000\n"
      "0.5 dropped, mark 0x4000\n"
      "    nat     -A PREROUTING -d 10.96.0.20/32 -p tcp -m tcp --dport 80 -j "
      "web   [PREROUTING rule 1]\n"
      "    nat     -A web -j MARK --set-xmark 0x4000/0x4000   [web rule 1]\n"
      "    nat     web: end of chain   mark 0x4000\n"
      "    nat     PREROUTING: policy ACCEPT   mark 0x4000\n"
      "    filter  FORWARD: policy DROP   mark 0x4000\n");
}

TEST(PacketTraceTest, XtablesMonitor) {
  EXPECT_EQ(
      Node().Trace(From("10.9.9.9:40000")).ToXtablesMonitor(),
      "PACKET: 2 00000001 IN=eth0 SRC=10.9.9.9 DST=10.96.0.20 LEN=40 TOS=0x0 "
      "TTL=64 ID=0 SPORT=40000 DPORT=80 SYN \n"
      " TRACE: 2 00000001 nat:PREROUTING:rule:0x1:JUMP:web -4 -t nat -A "
      "PREROUTING -d 10.96.0.20/32 -p tcp -m tcp --dport 80 -j web\n"
      " TRACE: 2 00000001 nat:web:rule:0x1:CONTINUE -4 -t nat -A web -j MARK "
      "--set-xmark 0x4000/0x4000\n"
      " TRACE: 2 00000001 nat:web:rule:0x2:0xfffffffb -4 -t nat -A web -s "
      "10.0.0.0/8 -j RETURN\n"
      " TRACE: 2 00000001 nat:web:return:\n"
      " TRACE: 2 00000001 nat:PREROUTING:return:\n"
      " TRACE: 2 00000001 nat:PREROUTING:policy:ACCEPT \n"
      " TRACE: 2 00000001 filter:FORWARD:return:\n"
      " TRACE: 2 00000001 filter:FORWARD:policy:DROP \n");
}

TEST(PacketTraceTest, KernelLogShowsThePacketAsEachRuleSeesIt) {
  dataplane::Arrival arrival = From("192.168.10.1:40000");
  const std::string log = Node().Trace(arrival).ToKernelLog();
  EXPECT_THAT(log, HasSubstr("TRACE: nat:web:rule:3 IN=eth0 OUT= "
                             "SRC=192.168.10.1 DST=10.96.0.20 LEN=40 TOS=0x00 "
                             "PREC=0x00 TTL=64 ID=0 PROTO=TCP SPT=40000 DPT=80 "
                             "WINDOW=65535 RES=0x00 SYN URGP=0 MARK=0x4000 "));
  EXPECT_THAT(log, HasSubstr("TRACE: filter:FORWARD:rule:1 IN=eth0 OUT=veth1 "
                             "SRC=192.168.10.1 DST=10.244.1.5 LEN=40 TOS=0x00 "
                             "PREC=0x00 TTL=63 ID=0 PROTO=TCP SPT=40000 "
                             "DPT=8080 "));
  EXPECT_THAT(log, HasSubstr("TRACE: nat:web:return:4 "));
  EXPECT_THAT(log, HasSubstr("TRACE: filter:FORWARD:policy:2 "));
}

TEST(PacketTraceTest, AMarkFromOutside) {
  dataplane::Arrival arrival = From("10.9.9.9:40000");
  arrival.mark = 0x1;
  EXPECT_THAT(Node().Trace(arrival).ToString(),
              StartsWith("TCP 10.9.9.9:40000 > 10.96.0.20:80, in by eth0, mark "
                         "0x1\n1 dropped, mark 0x4001\n"));
}

TEST(PacketTraceTest, ANodeOfACluster) {
  const Cluster cluster =
      testing::ClusterBuilder()
          .AddNode("node-1", "172.18.0.11", "10.244.1.0/24")
          .AddPod("default/web-1", "node-1", "10.244.1.5", {{"app", "web"}})
          .AddService("default/web", "10.96.0.20", {{"app", "web"}})
          .Port("http", 80, 8080)
          .AddEndpoint("10.244.1.5", "node-1")
          .Build();
  auto node = TracedNode::OfCluster(cluster, {}, proxy::Dialect::kV1_30, {},
                                    "node-1", {});
  ASSERT_TRUE(node.ok()) << node.status();
  EXPECT_THAT(node->Trace(From("192.168.10.1:40000")).ToString(),
              HasSubstr("TCP 192.168.10.1:40000 > 10.244.1.5:8080"));
  EXPECT_EQ(
      TracedNode::OfCluster(cluster, {}, proxy::Dialect::kV1_30, {}, "x", {})
          .status()
          .message(),
      "no Node x in the cluster");
}

}  // namespace
}  // namespace k8sdns::journey
