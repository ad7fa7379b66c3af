#include "k8sdns/dataplane/conntrack.h"

#include <vector>

#include "gtest/gtest.h"

namespace k8sdns::dataplane {
namespace {

NodePacket Syn(uint16_t source_port, uint32_t server) {
  NodePacket packet;
  packet.header = Packet::Tcp({IpAddress::V4(0x0a000001), source_port},
                              {IpAddress::V4(server), 80});
  return packet;
}

// The ids of the flows of a source port, the latest mapped first.
std::vector<FlowId> MappedFrom(Conntrack& conntrack, uint16_t source_port) {
  std::vector<FlowId> ids;
  for (FlowId id =
           conntrack.LatestOfSource(Tuple::Of(Syn(source_port, 1).header));
       id != 0; id = conntrack.OlderOfSource(id)) {
    ids.push_back(id);
  }
  return ids;
}

FlowId Open(Conntrack& conntrack, uint16_t source_port, uint32_t server) {
  const FlowId id = conntrack.Track(Syn(source_port, server), {}, 0).flow;
  EXPECT_TRUE(conntrack.Confirm(id, 0));
  conntrack.ForgetUnconfirmed();
  return id;
}

// The lists are made when they are first asked for, and kept from then on:
// either way they are in the order of mapping, not of the flows.
TEST(Conntrack, SourcesAreListedLatestMappedFirst) {
  for (bool asked_before : {false, true}) {
    Conntrack conntrack;
    if (asked_before) {
      EXPECT_TRUE(MappedFrom(conntrack, 1000).empty());
    }
    const FlowId a = Open(conntrack, 1000, 0x0a000101);
    const FlowId b = Open(conntrack, 1000, 0x0a000102);
    const FlowId c = Open(conntrack, 1000, 0x0a000103);
    const FlowId other = Open(conntrack, 2000, 0x0a000103);
    const FlowId unmapped = Open(conntrack, 1000, 0x0a000104);
    for (FlowId id : {b, other, c, a}) conntrack.NoteMappedSource(id);
    EXPECT_EQ(MappedFrom(conntrack, 1000), (std::vector<FlowId>{a, c, b}));
    EXPECT_EQ(MappedFrom(conntrack, 2000), std::vector<FlowId>{other});
    conntrack.Kill(c);
    conntrack.ForgetUnconfirmed();
    EXPECT_EQ(MappedFrom(conntrack, 1000), (std::vector<FlowId>{a, b}));
    // A slot that was used before; a flow that is mapped last.
    const FlowId d = Open(conntrack, 1000, 0x0a000105);
    conntrack.NoteMappedSource(d);
    conntrack.NoteMappedSource(unmapped);
    EXPECT_EQ(MappedFrom(conntrack, 1000),
              (std::vector<FlowId>{unmapped, d, a, b}));
  }
}

// What is known of a free tuple holds until an entry is made.
TEST(Conntrack, AFreeTupleIsTakenByTheFirstThatConfirms) {
  Conntrack conntrack;
  const FlowId first = conntrack.Track(Syn(1000, 0x0a000101), {}, 0).flow;
  const FlowId second = conntrack.Track(Syn(1000, 0x0a000102), {}, 0).flow;
  Tuple reply = conntrack.flow(first)->tuples[1];
  reply.src = IpAddress::V4(0x0a000909);
  EXPECT_TRUE(conntrack.AlterReplyIfFree(first, reply));
  EXPECT_TRUE(conntrack.ReplyIsFree(first));
  EXPECT_TRUE(conntrack.AlterReplyIfFree(second, reply));
  EXPECT_TRUE(conntrack.ReplyIsFree(second));
  EXPECT_TRUE(conntrack.Confirm(first, 0));
  EXPECT_FALSE(conntrack.ReplyIsFree(second));
  EXPECT_TRUE(conntrack.Taken(reply, second, 0));
  EXPECT_FALSE(conntrack.Confirm(second, 0));
  conntrack.ForgetUnconfirmed();
  EXPECT_EQ(conntrack.size(), 1u);
  // A third one finds it, and leaves its own tuple alone.
  const FlowId third = conntrack.Track(Syn(1000, 0x0a000103), {}, 0).flow;
  const Tuple own = conntrack.flow(third)->tuples[1];
  EXPECT_FALSE(conntrack.AlterReplyIfFree(third, reply));
  EXPECT_EQ(conntrack.flow(third)->tuples[1], own);
}

}  // namespace
}  // namespace k8sdns::dataplane
