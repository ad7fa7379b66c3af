#include "k8sdns/dataplane/tcp_tracking.h"

#include <random>

#include "gtest/gtest.h"

namespace k8sdns::dataplane {
namespace {

// The short way for the usual first segment is the long one.
TEST(TcpTracking, OpeningIsWhatANewFlowsFirstSegmentComesTo) {
  std::mt19937 random(1);
  int opening = 0;
  for (int i = 0; i < 20'000; ++i) {
    TcpSegment segment;
    segment.flags = static_cast<uint8_t>(random());
    segment.seq = random() % 4 == 0 ? ~uint32_t{0} - random() % 3 : random();
    segment.ack = random() % 2 == 0 ? 0 : random();
    segment.window = static_cast<uint16_t>(random() % 3 == 0 ? 0 : random());
    segment.payload = static_cast<uint16_t>(random() % 2 == 0 ? 0 : random());
    if (!OpensTcp(segment.flags)) continue;
    ++opening;
    ASSERT_FALSE(TcpFlagsAreInvalid(segment.flags));
    for (const TcpOptions options :
         {TcpOptions{true, false}, TcpOptions{false, true}}) {
      TcpTracking plain;
      ASSERT_TRUE(TrackNewTcp(segment, options, plain));
      const TcpResult expected = TrackTcp(segment, 0, /*seen_reply=*/false,
                                          /*assured=*/false, options, plain);
      TcpTracking fast;
      const TcpResult result = TrackOpeningTcp(segment, fast);
      ASSERT_EQ(fast, plain) << int{segment.flags} << " " << segment.window;
      EXPECT_EQ(result.verdict, expected.verdict);
      EXPECT_EQ(result.after, expected.after);
      EXPECT_EQ(result.before, expected.before);
      EXPECT_EQ(result.reset, expected.reset);
      EXPECT_EQ(result.syn_again, expected.syn_again);
      EXPECT_EQ(TcpTimeout(fast, result), TcpTimeout(plain, expected));
    }
  }
  EXPECT_GT(opening, 500);
}

TEST(TcpTracking, OnlyASynWithoutAckOpens) {
  for (int flags = 0; flags < 256; ++flags) {
    const bool syn_alone = (flags & 0x17) == 0x02;  // of FIN SYN RST ACK
    EXPECT_EQ(OpensTcp(static_cast<uint8_t>(flags)), syn_alone) << flags;
  }
}

}  // namespace
}  // namespace k8sdns::dataplane
