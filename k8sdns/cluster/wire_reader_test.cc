#include "k8sdns/cluster/wire_reader.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <random>
#include <string>

#include "gtest/gtest.h"

namespace k8sdns {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

TEST(WireReader, ReadsMessagesInMessages) {
  const std::string bytes("\x0A\x02\x10\x05\x18\xAC\x02", 7);
  WireReader in(bytes);
  uint64_t value = 0;
  EXPECT_EQ(in.ReadTag(), 0x0Au);
  ASSERT_TRUE(in.ReadVarint(value));
  const char* const limit = in.PushLimit(value);
  EXPECT_EQ(in.ReadTag(), 0x10u);
  ASSERT_TRUE(in.ReadVarint(value));
  EXPECT_EQ(value, 5u);
  EXPECT_EQ(in.ReadTag(), 0u);
  EXPECT_TRUE(in.ConsumedEntireMessage());
  in.PopLimit(limit);
  EXPECT_EQ(in.ReadTag(), 0x18u);
  ASSERT_TRUE(in.ReadVarint(value));
  EXPECT_EQ(value, 300u);
  EXPECT_EQ(in.remaining(), 0u);
}

TEST(WireReader, StopsAtBrokenBytes) {
  uint64_t value = 0;
  EXPECT_FALSE(WireReader("\x80").ReadVarint(value));
  EXPECT_FALSE(WireReader(std::string(11, '\xFF')).ReadVarint(value));
  WireReader zero(absl::string_view("\0", 1));
  EXPECT_EQ(zero.ReadTag(), 0u);
  EXPECT_FALSE(zero.ConsumedEntireMessage());
  WireReader cut("\x0A\x05x");
  EXPECT_FALSE(cut.SkipField(cut.ReadTag()));
}

// What it reads of random bytes is what protobuf reads.
TEST(WireReader, IsProtobufs) {
  std::mt19937 random(1);
  for (int round = 0; round < 100'000; ++round) {
    std::string bytes(random() % 24, '\0');
    for (char& c : bytes) {
      c = static_cast<char>(random() % (random() % 3 == 0 ? 256 : 40));
    }
    WireReader in(bytes);
    CodedInputStream other(reinterpret_cast<const uint8_t*>(bytes.data()),
                           static_cast<int>(bytes.size()));
    other.SetTotalBytesLimit(static_cast<int>(bytes.size()));
    while (true) {
      const uint32_t tag = in.ReadTag();
      const uint32_t wanted = other.ReadTag();
      // protobuf drops the bits of a tag above the 32nd; here they are broken.
      if (tag == 0 && wanted != 0) break;
      ASSERT_EQ(tag, wanted);
      if (tag == 0) {
        ASSERT_EQ(in.ConsumedEntireMessage(), other.ConsumedEntireMessage());
        break;
      }
      if (WireFormatLite::GetTagWireType(tag) ==
          WireFormatLite::WIRETYPE_VARINT) {
        uint64_t value = 0;
        uint64_t same = 0;
        const bool read = in.ReadVarint(value);
        ASSERT_EQ(read, other.ReadVarint64(&same));
        if (!read) break;
        ASSERT_EQ(value, same);
      } else {
        const bool skipped = in.SkipField(tag);
        ASSERT_EQ(skipped, WireFormatLite::SkipField(&other, tag));
        if (!skipped) break;
      }
      ASSERT_EQ(in.position(), static_cast<size_t>(other.CurrentPosition()));
    }
  }
}

}  // namespace
}  // namespace k8sdns
