#include "k8sdns/cluster/utf8.h"

#include <cstring>

namespace k8sdns {

Utf8Character FirstCharacter(absl::string_view text) {
  const auto byte = [&](size_t i) {
    return static_cast<unsigned char>(text[i]);
  };
  const unsigned char first = byte(0);
  if (first < 0x80) return {first, 1, true};
  const size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  const Utf8Character broken = {0xFFFD, 1, false};
  if (first < 0xC2 || first > 0xF4 || text.size() < size) return broken;
  uint32_t code = first & (0xFFu >> (size + 1));
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return broken;
    code = code << 6 | (byte(i) & 0x3Fu);
  }
  const uint32_t smallest = size == 2 ? 0x80 : size == 3 ? 0x800 : 0x10000;
  if (code < smallest || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
    return broken;
  }
  return {code, size, true};
}

bool IsValidUtf8(absl::string_view text) {
  while (text.size() >= 8) {
    uint64_t word;
    std::memcpy(&word, text.data(), sizeof(word));
    if ((word & 0x8080808080808080) != 0) break;
    text.remove_prefix(8);
  }
  while (!text.empty()) {
    const Utf8Character c = FirstCharacter(text);
    if (!c.valid) return false;
    text.remove_prefix(c.size);
  }
  return true;
}

}  // namespace k8sdns
