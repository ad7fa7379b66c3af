#include "k8sdns/netfilter/ops.h"

#include <algorithm>
#include <array>

namespace k8sdns::netfilter {

void StoreAddress(const IpAddress& address, uint32_t (&words)[4]) {
  const auto& b = address.bytes();
  for (int i = 0; i < 4; ++i) {
    words[i] = uint32_t{b[4 * i]} << 24 | uint32_t{b[4 * i + 1]} << 16 |
               uint32_t{b[4 * i + 2]} << 8 | b[4 * i + 3];
  }
}

void StoreAddress(const IpAddress& address, Packed<uint32_t> (&words)[4]) {
  uint32_t plain[4];
  StoreAddress(address, plain);
  std::copy(plain, plain + 4, words);
}

IpAddress LoadAddress(IpFamily family, const Packed<uint32_t> (&words)[4]) {
  const uint32_t plain[4] = {words[0], words[1], words[2], words[3]};
  return LoadAddress(family, plain);
}

IpAddress LoadAddress(IpFamily family, const uint32_t (&words)[4]) {
  if (family == IpFamily::kIpv4) return IpAddress::V4(words[0]);
  std::array<uint8_t, 16> b;
  for (int i = 0; i < 16; ++i) {
    b[i] = static_cast<uint8_t>(words[i / 4] >> (24 - 8 * (i % 4)));
  }
  return IpAddress::V6(b);
}

AddressMask ToAddressMask(const IpPrefix& prefix, bool invert) {
  AddressMask m;
  m.invert = invert;
  m.prefix_length = static_cast<uint8_t>(prefix.length());
  uint32_t words[4];
  StoreAddress(prefix.Masked().address(), words);
  std::copy(words, words + 4, m.address);
  return m;
}

void LoadMask(IpFamily family, const AddressMask& match, uint32_t (&words)[4]) {
  if (match.prefix_length == AddressMask::kExplicitMask) {
    std::copy(match.mask, match.mask + 4, words);
    return;
  }
  const int used = family == IpFamily::kIpv4 ? 1 : 4;
  for (int i = 0; i < 4; ++i) {
    const int bits =
        i < used ? std::clamp(match.prefix_length - 32 * i, 0, 32) : 0;
    words[i] = bits == 0 ? 0 : ~uint32_t{0} << (32 - bits);
  }
}

}  // namespace k8sdns::netfilter
