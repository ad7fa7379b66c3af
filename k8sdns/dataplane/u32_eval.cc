// -m u32 over the bytes that a packet's fields stand for (xt_u32, Linux 6.x).
#include <algorithm>
#include <array>
#include <cstdint>

#include "absl/strings/match.h"
#include "k8sdns/dataplane/rule_eval.h"

namespace k8sdns::dataplane {
namespace {

// A number of which only the bits of `known` are known; the others are 0.
struct Bits {
  uint32_t value = 0;
  uint32_t known = 0;

  bool certain() const { return known == 0xffffffff; }
};

// The headers of a packet, byte by byte, as far as they are modelled.
class Header {
 public:
  explicit Header(const NodePacket& packet) {
    const Packet& p = packet.header;
    if (p.family() == IpFamily::kIpv4) {
      Ipv4(p, packet.Length());
    } else {
      Ipv6(p, packet.Length());
    }
    switch (p.protocol) {
      case Protocol::kTcp:
        Ports(p);
        Put(packet.tcp_seq, 4);
        Put(packet.tcp_ack, 4);
        Put((5 + packet.tcp_option_bytes / 4) << 4, 1);
        Put(p.tcp_flags, 1);
        Put(packet.tcp_window, 2);
        Skip(2);  // checksum
        if (!(p.tcp_flags & kTcpUrg)) Put(0, 2);
        break;
      case Protocol::kUdp:
      case Protocol::kUdpLite:
        Ports(p);
        // UDP-Lite: what the checksum covers.
        if (p.protocol == Protocol::kUdp) Put(8u + p.payload_size, 2);
        break;
      case Protocol::kSctp:
      case Protocol::kDccp:
        Ports(p);
        break;
      case Protocol::kIcmp:
      case Protocol::kIcmpv6: {
        Put(p.icmp_type, 1);
        Put(p.icmp_code, 1);
        Skip(2);  // checksum
        const bool echo = p.protocol == Protocol::kIcmp
                              ? p.icmp_type == 8 || p.icmp_type == 0
                              : p.icmp_type == 128 || p.icmp_type == 129;
        if (echo) Put(p.src_port, 2);
        break;
      }
      default:
        break;
    }
  }

  // Four bytes from `at` on.
  Bits Word(uint32_t at) const {
    Bits word;
    for (uint32_t i = at; i < at + 4; ++i) {
      const bool inside = i < bytes_.size();
      word.value = word.value << 8 | (inside ? bytes_[i] : 0);
      word.known = word.known << 8 | (inside ? known_[i] : 0);
    }
    return word;
  }

 private:
  void Put(uint32_t value, int size, uint32_t known = 0xffffffff) {
    for (int i = size - 1; i >= 0; --i) {
      const uint8_t mask = static_cast<uint8_t>(known >> (8 * i));
      known_[end_] = mask;
      bytes_[end_] = static_cast<uint8_t>(value >> (8 * i)) & mask;
      ++end_;
    }
  }
  void Skip(int size) { end_ += size; }
  void Ports(const Packet& p) {
    Put(p.src_port, 2);
    Put(p.dst_port, 2);
  }
  void Address(const IpAddress& address) {
    uint32_t words[4];
    netfilter::StoreAddress(address, words);
    for (int i = 0; i < (address.is_v4() ? 1 : 4); ++i) Put(words[i], 4);
  }
  void Ipv4(const Packet& p, uint32_t length) {
    Put(0x45, 1);
    Put(p.tos, 1);
    Put(length, 2);
    Skip(2);            // identification
    Put(0, 2, 0xbfff);  // no fragment; whether it may be one is not known
    Put(p.ttl, 1);
    Put(static_cast<uint8_t>(p.protocol), 1);
    Skip(2);  // checksum
    Address(p.src);
    Address(p.dst);
  }
  void Ipv6(const Packet& p, uint32_t length) {
    Put(6u << 28 | uint32_t{p.tos} << 20, 4, 0xfff00000);  // flow label
    Put(length - 40, 2);
    Put(static_cast<uint8_t>(p.protocol), 1);
    Put(p.ttl, 1);
    Address(p.src);
    Address(p.dst);
  }

  // The longest: IPv6 with TCP.
  std::array<uint8_t, 60> bytes_ = {};
  std::array<uint8_t, 60> known_ = {};
  uint32_t end_ = 0;
};

class Program {
 public:
  Program(absl::string_view text, const NodePacket& packet)
      : text_(text), header_(packet), length_(packet.Length()) {}

  MatchResult Run() {
    MatchResult result = MatchResult::kYes;
    do {
      Bits value;
      const MatchResult test = !Location(&value)   ? MatchResult::kNo
                               : unknown_location_ ? MatchResult::kUnknown
                                                   : Ranges(value);
      if (test == MatchResult::kNo) return test;
      if (test == MatchResult::kUnknown) result = test;
      if (unknown_location_) SkipTest();
      unknown_location_ = false;
    } while (Take("&&"));
    return result;
  }

 private:
  // False if it lies outside the packet.
  bool Location(Bits* value) {
    uint32_t at = 0;
    const uint32_t first = Number();
    if (length_ < 4 || first > length_ - 4) return false;
    *value = header_.Word(first);
    while (!Take("=")) {
      if (Take("&")) {
        const uint32_t mask = Number();
        value->value &= mask;
        value->known |= ~mask;
      } else if (Take("<<")) {
        const uint32_t by = Number() & 31;  // as processors do it
        value->value <<= by;
        value->known = value->known << by | ((uint32_t{1} << by) - 1);
      } else if (Take(">>")) {
        const uint32_t by = Number() & 31;
        value->value >>= by;
        value->known = ~(~value->known >> by);
      } else if (Take("@")) {
        const uint32_t position = Number();
        if (!value->certain()) {
          unknown_location_ = true;
          return true;
        }
        const uint64_t from = uint64_t{at} + value->value;
        if (from + 4 > length_ || position > length_ - from - 4) return false;
        at = static_cast<uint32_t>(from);
        *value = header_.Word(at + position);
      } else {
        return false;  // not a program
      }
    }
    return true;
  }

  MatchResult Ranges(const Bits& value) {
    const uint32_t least = value.value;
    const uint32_t most = value.value | ~value.known;
    MatchResult result = MatchResult::kNo;
    do {
      const uint32_t first = Number();
      const uint32_t last = Take(":") ? Number() : first;
      if (first <= least && most <= last) {
        result = MatchResult::kYes;
      } else if (result == MatchResult::kNo && first <= last && first <= most &&
                 least <= last &&
                 (first != last || ((first ^ least) & value.known) == 0)) {
        result = MatchResult::kUnknown;
      }
    } while (Take(","));
    return result;
  }

  void SkipTest() {
    const size_t end = text_.find("&&");
    text_.remove_prefix(std::min(end, text_.size()));
  }
  bool Take(absl::string_view word) {
    if (!absl::StartsWith(text_, word)) return false;
    text_.remove_prefix(word.size());
    return true;
  }
  // "0x1f".
  uint32_t Number() {
    uint32_t number = 0;
    size_t i = 2;
    for (; i < text_.size(); ++i) {
      const char c = text_[i];
      if (c >= '0' && c <= '9') {
        number = number << 4 | static_cast<uint32_t>(c - '0');
      } else if (c >= 'a' && c <= 'f') {
        number = number << 4 | static_cast<uint32_t>(c - 'a' + 10);
      } else {
        break;
      }
    }
    text_.remove_prefix(std::min(i, text_.size()));
    return number;
  }

  absl::string_view text_;
  Header header_;
  uint32_t length_;
  bool unknown_location_ = false;
};

}  // namespace

MatchResult EvaluateU32(absl::string_view program, const NodePacket& packet,
                        std::string* why) {
  const MatchResult result = Program(program, packet).Run();
  if (result == MatchResult::kUnknown) {
    *why = "u32 looks at bytes that are not modelled";
  }
  return result;
}

}  // namespace k8sdns::dataplane
