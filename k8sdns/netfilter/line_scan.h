// Finding things in the lines of a dump, by words and blocks. Everything here
// may look at kMargin bytes behind the place that it is given. Internal to
// FastRuleReader.
#ifndef K8SDNS_NETFILTER_LINE_SCAN_H_
#define K8SDNS_NETFILTER_LINE_SCAN_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "absl/strings/string_view.h"
#include "k8sdns/netfilter/string_pool.h"

// A line is read in one function, so that where it is and where it writes stay
// in registers.
#if defined(__GNUC__)
#define K8SDNS_INLINE inline __attribute__((always_inline))
#else
#define K8SDNS_INLINE inline
#endif

namespace k8sdns::netfilter {

// Bytes behind a newline that may be looked at without asking.
inline constexpr size_t kMargin = 64;

inline bool Same(absl::string_view a, absl::string_view b) {
  return a.size() == b.size() && EqualBytes(a.data(), b.data(), a.size());
}

inline bool IsEnd(char c) { return c == ' ' || c == '\n'; }

K8SDNS_INLINE uint64_t Load64(const char* p) {
  uint64_t v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}

// All of it is in reach: behind each byte of a line that is read there are
// kMargin others.
template <size_t N>
K8SDNS_INLINE bool StartsWith(const char* p, const char (&text)[N]) {
  static_assert(N - 1 < kMargin);
  if constexpr (N - 1 < 8) {
    return std::memcmp(p, text, N - 1) == 0;
  } else {
    static_assert(N - 1 <= 32);
    constexpr size_t kLast = N - 1 - 8;
    uint64_t differs = Load64(p) ^ Load64(text);
    if constexpr (N - 1 > 16) differs |= Load64(p + 8) ^ Load64(text + 8);
    if constexpr (N - 1 > 24) differs |= Load64(p + 16) ^ Load64(text + 16);
    return (differs | (Load64(p + kLast) ^ Load64(text + kLast))) == 0;
  }
}

// The first of: a control character, '"', '\\'. A newline always comes.
inline const char* ScanQuoted(const char* p) {
#if defined(__SSE2__)
  const __m128i quote = _mm_set1_epi8('"');
  const __m128i slash = _mm_set1_epi8('\\');
  const __m128i control = _mm_set1_epi8(0x1f);
  for (;; p += 16) {
    const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i hit = _mm_or_si128(
        _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash)),
        _mm_cmpeq_epi8(_mm_min_epu8(v, control), v));
    const int mask = _mm_movemask_epi8(hit);
    if (mask != 0) return p + std::countr_zero(static_cast<unsigned>(mask));
  }
#else
  while (static_cast<uint8_t>(*p) >= 0x20 && *p != '"' && *p != '\\') ++p;
  return p;
#endif
}

// The first blank or control character.
inline const char* ScanWord(const char* p) {
#if defined(__SSE2__)
  const __m128i blank = _mm_set1_epi8(0x20);
  for (;; p += 16) {
    const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const int mask =
        _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(v, blank), v));
    if (mask != 0) return p + std::countr_zero(static_cast<unsigned>(mask));
  }
#else
  while (static_cast<uint8_t>(*p) > 0x20) ++p;
  return p;
#endif
}

// Finds the characters of a text at which it may have to be looked at: control
// characters, '"' and '\\', one after another. A newline always comes, and
// kMargin bytes behind it.
class SpecialCharacters {
 public:
  explicit SpecialCharacters(const char* p) : block_(p), left_(Find(p)) {}
  K8SDNS_INLINE const char* Next() {
    while (left_ == 0) left_ = Find(block_ += kBlock);
    const char* found = block_ + std::countr_zero(left_);
    left_ &= left_ - 1;
    return found;
  }

 private:
  static constexpr int kBlock = 64;
  static_assert(kBlock <= kMargin);

  // A bit a character of a block.
#if defined(__SSE2__)
  K8SDNS_INLINE static uint64_t Find(const char* p) {
    return Find16(p) | Find16(p + 16) << 16 | Find16(p + 32) << 32 |
           Find16(p + 48) << 48;
  }
  K8SDNS_INLINE static uint64_t Find16(const char* p) {
    const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i hit =
        _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
                                  _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))),
                     _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v));
    return static_cast<uint32_t>(_mm_movemask_epi8(hit));
  }
#else
  static uint64_t Find(const char* p) {
    uint64_t found = 0;
    for (int i = 0; i < kBlock; ++i) {
      const char c = p[i];
      if (static_cast<uint8_t>(c) < 0x20 || c == '"' || c == '\\') {
        found |= uint64_t{1} << i;
      }
    }
    return found;
  }
#endif

  const char* block_;
  uint64_t left_;  // of the block's, those that were not given out
};

// Behind the last blank or control character of the 32 bytes before `end`;
// nullptr if there is none.
inline const char* BeginOfLastWord(const char* end) {
#if defined(__SSE2__)
  const __m128i blank = _mm_set1_epi8(0x20);
  uint32_t hits = 0;
  for (int half : {0, 1}) {
    const __m128i v =
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(end - 32 + half * 16));
    const int mask =
        _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(v, blank), v));
    hits |= static_cast<uint32_t>(mask) << (half * 16);
  }
  return hits == 0 ? nullptr : end - std::countl_zero(hits);
#else
  for (const char* p = end; p != end - 32; --p) {
    if (static_cast<uint8_t>(p[-1]) <= 0x20) return p;
  }
  return nullptr;
#endif
}

// Eight digits at once.
K8SDNS_INLINE bool EightDigits(const char* p, uint64_t* value) {
  if constexpr (std::endian::native != std::endian::little) return false;
  uint64_t v;
  std::memcpy(&v, p, sizeof(v));
  v ^= 0x3030303030303030;
  // A byte above 9 has a high half, or gets one by 6 more.
  if (((v | (v + 0x0606060606060606)) & 0xf0f0f0f0f0f0f0f0) != 0) return false;
  v = v * 10 + (v >> 8);  // pairs, in every second byte
  v = ((v & 0x000000ff000000ff) * 0x000f424000000064 +
       ((v >> 16) & 0x000000ff000000ff) * 0x0000271000000001) >>
      32;
  *value = v;
  return true;
}

}  // namespace k8sdns::netfilter

#endif  // K8SDNS_NETFILTER_LINE_SCAN_H_
