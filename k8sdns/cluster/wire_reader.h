// Reads the elements of the protobuf wire format from bytes in memory: what
// protobuf's CodedInputStream does, for one array, without its calls across a
// library. Internal to the snapshot.
//
//   WireReader in(bytes);
//   while (const uint32_t tag = in.ReadTag()) ...
//   if (!in.ConsumedEntireMessage()) ...  // ended by broken bytes
//
// Nothing is read beyond the limit. Not thread-safe.
#ifndef K8SDNS_CLUSTER_WIRE_READER_H_
#define K8SDNS_CLUSTER_WIRE_READER_H_

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace k8sdns {

// Positions count bytes from the start.
class WireReader {
 public:
  // At most 2 GiB; they must outlive it.
  explicit WireReader(absl::string_view bytes)
      : begin_(bytes.data()),
        at_(begin_),
        limit_(begin_ + bytes.size()),
        end_(limit_) {}

  const char* at() const { return at_; }
  size_t position() const { return static_cast<size_t>(at_ - begin_); }
  size_t remaining() const { return static_cast<size_t>(limit_ - at_); }

  // Ends the message in `size` bytes, which must remain. Returns the limit
  // there was, for PopLimit().
  const char* PushLimit(size_t size) {
    const char* before = limit_;
    limit_ = at_ + size;
    return before;
  }
  void PopLimit(const char* limit) { limit_ = limit; }

  // 0 at the limit, and for broken bytes.
  uint32_t ReadTag() {
    consumed_ = at_ == limit_;
    uint64_t tag = 0;
    if (consumed_ || !ReadVarint(tag) || tag > UINT32_MAX) return 0;
    return static_cast<uint32_t>(tag);
  }
  // Whether the last ReadTag() was at the limit.
  bool ConsumedEntireMessage() const { return consumed_; }

  // False if it does not end, or is longer than ten bytes.
  bool ReadVarint(uint64_t& value) {
    if (at_ != limit_ && static_cast<uint8_t>(*at_) < 0x80) {
      value = static_cast<uint8_t>(*at_++);
      return true;
    }
    return ReadLongVarint(value);
  }

  // `size` bytes must remain.
  absl::string_view Take(size_t size) {
    const absl::string_view taken(at_, size);
    at_ += size;
    return taken;
  }

  // Whether `size` bytes can be read from the start of a taken text on.
  bool IsFollowedBy(absl::string_view taken, size_t size) const {
    return static_cast<size_t>(end_ - taken.data()) >= size;
  }

  // Skips the field of a tag. False for broken bytes.
  bool SkipField(uint32_t tag) {
    google::protobuf::io::CodedInputStream rest(
        reinterpret_cast<const uint8_t*>(at_), static_cast<int>(remaining()));
    if (!google::protobuf::internal::WireFormatLite::SkipField(&rest, tag)) {
      return false;
    }
    at_ += rest.CurrentPosition();
    return true;
  }

 private:
  bool ReadLongVarint(uint64_t& value) {
    value = 0;
    for (int shift = 0; shift < 70 && at_ != limit_; shift += 7) {
      const auto byte = static_cast<uint8_t>(*at_++);
      value |= uint64_t{byte & 0x7FU} << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }

  const char* begin_;
  const char* at_;
  const char* limit_;
  const char* end_;  // of all bytes
  bool consumed_ = false;
};

}  // namespace k8sdns

#endif  // K8SDNS_CLUSTER_WIRE_READER_H_
