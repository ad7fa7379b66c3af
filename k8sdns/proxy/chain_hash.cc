#include "k8sdns/proxy/chain_hash.h"

// The functions for one hash and one block are "deprecated", not gone. The
// high-level interface (EVP) costs more than the hash.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <cstring>

#if defined(__x86_64__) && defined(__GNUC__)
#define K8SDNS_SHA_INSTRUCTIONS 1
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace k8sdns::proxy {
namespace {

// Two characters of base32 for each ten bits.
constexpr std::array<std::array<char, 2>, 1024> kPairs = [] {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  std::array<std::array<char, 2>, 1024> pairs = {};
  for (size_t i = 0; i < pairs.size(); ++i) {
    pairs[i] = {kDigits[i >> 5], kDigits[i & 31]};
  }
  return pairs;
}();

// Eight characters for the lowest 40 bits.
void WriteBase32(uint64_t bits, char* out) {
  for (int i = 0; i < 4; ++i) {
    std::memcpy(out + 2 * i, kPairs[bits >> (30 - 10 * i) & 1023].data(), 2);
  }
}

#if defined(K8SDNS_SHA_INSTRUCTIONS)

#define K8SDNS_WITH_SHA __attribute__((target("sha,sse4.1,ssse3")))
#define K8SDNS_WITH_SHA_INLINE \
  __attribute__((target("sha,sse4.1,ssse3"), always_inline)) inline

bool HasShaInstructions() {
  unsigned a, b, c, d;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return false;
  if ((c & bit_SSE4_1) == 0 || (c & bit_SSSE3) == 0) return false;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  return (b & bit_SHA) != 0;
}

// FIPS 180-4, 4.2.2.
alignas(16) constexpr uint32_t kRoundConstants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1,
    0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
    0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
    0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
    0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
    0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
    0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

// One message: the state as the instructions want it, and 16 words.
struct Lane {
  __m128i abef, cdgh;
  __m128i words[4];
};

// 5.3.3, the first hash value.
K8SDNS_WITH_SHA_INLINE __m128i FirstAbef() {
  return _mm_set_epi32(0x6a09e667, static_cast<int>(0xbb67ae85), 0x510e527f,
                       static_cast<int>(0x9b05688c));
}
K8SDNS_WITH_SHA_INLINE __m128i FirstCdgh() {
  return _mm_set_epi32(0x3c6ef372, static_cast<int>(0xa54ff53a), 0x1f83d9ab,
                       0x5be0cd19);
}

K8SDNS_WITH_SHA_INLINE void Start(const HashBlock& block, Lane& lane) {
  const __m128i big_endian =
      _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  for (int i = 0; i < 4; ++i) {
    lane.words[i] = _mm_shuffle_epi8(
        _mm_loadu_si128(
            reinterpret_cast<const __m128i*>(block.data() + 16 * i)),
        big_endian);
  }
  lane.abef = FirstAbef();
  lane.cdgh = FirstCdgh();
}

// Four rounds, with words[kAt]; with kMore, these words then become the next
// ones of the schedule.
template <int kAt, bool kMore>
K8SDNS_WITH_SHA_INLINE void Rounds(__m128i constants, Lane& lane) {
  __m128i& own = lane.words[kAt];
  const __m128i sum = _mm_add_epi32(own, constants);
  lane.cdgh = _mm_sha256rnds2_epu32(lane.cdgh, lane.abef, sum);
  lane.abef =
      _mm_sha256rnds2_epu32(lane.abef, lane.cdgh, _mm_shuffle_epi32(sum, 0x0e));
  if constexpr (kMore) {
    const __m128i last = lane.words[(kAt + 3) % 4];
    own = _mm_sha256msg2_epu32(
        _mm_add_epi32(_mm_sha256msg1_epu32(own, lane.words[(kAt + 1) % 4]),
                      _mm_alignr_epi8(last, lane.words[(kAt + 2) % 4], 4)),
        last);
  }
}

template <int kAt, bool kMore>
K8SDNS_WITH_SHA_INLINE void RoundsOfBoth(const uint32_t* constants, Lane& a,
                                         Lane& b) {
  const __m128i k =
      _mm_load_si128(reinterpret_cast<const __m128i*>(constants + 4 * kAt));
  Rounds<kAt, kMore>(k, a);
  Rounds<kAt, kMore>(k, b);
}

template <bool kMore>
K8SDNS_WITH_SHA_INLINE void SixteenRounds(const uint32_t* constants, Lane& a,
                                          Lane& b) {
  RoundsOfBoth<0, kMore>(constants, a, b);
  RoundsOfBoth<1, kMore>(constants, a, b);
  RoundsOfBoth<2, kMore>(constants, a, b);
  RoundsOfBoth<3, kMore>(constants, a, b);
}

// Sixteen groups of five bits: each is cut out of the two bytes that it is in,
// which are moved to a 16-bit place of their own.
K8SDNS_WITH_SHA_INLINE void Spell(const Lane& lane, ChainHash* out) {
  const __m128i abef = _mm_add_epi32(lane.abef, FirstAbef());
  const __m128i cdgh = _mm_add_epi32(lane.cdgh, FirstCdgh());
  // A, B and C from the highest byte on: byte i of the hash is byte 15 - i.
  const __m128i abc = _mm_castps_si128(_mm_shuffle_ps(
      _mm_castsi128_ps(cdgh), _mm_castsi128_ps(abef), _MM_SHUFFLE(3, 2, 3, 3)));
  const __m128i first_bytes = _mm_set_epi8(11, 10, 12, 11, 12, 11, 13, 12, 14,
                                           13, 14, 13, 15, 14, 15, 14);
  const __m128i second_bytes = _mm_sub_epi8(first_bytes, _mm_set1_epi8(5));
  // To shift right by 16 - n is to multiply by 2^n, and take the upper half.
  const __m128i shift = _mm_set_epi16(1 << 8, 1 << 11, 1 << 6, 1 << 9, 1 << 12,
                                      1 << 7, 1 << 10, 1 << 5);
  const __m128i five_bits = _mm_set1_epi16(31);
  const __m128i digits = _mm_packus_epi16(
      _mm_and_si128(_mm_mulhi_epu16(_mm_shuffle_epi8(abc, first_bytes), shift),
                    five_bits),
      _mm_and_si128(_mm_mulhi_epu16(_mm_shuffle_epi8(abc, second_bytes), shift),
                    five_bits));
  // "A" to "Z", then "2" to "7".
  const __m128i is_number = _mm_cmpgt_epi8(digits, _mm_set1_epi8(25));
  const __m128i text =
      _mm_add_epi8(_mm_add_epi8(digits, _mm_set1_epi8('A')),
                   _mm_and_si128(is_number, _mm_set1_epi8('2' - 26 - 'A')));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out->characters.data()), text);
}

K8SDNS_WITH_SHA void HashPairs(const HashBlock* blocks, size_t n,
                               ChainHash* const* out) {
  for (size_t i = 0; i < n; i += 2) {
    // A last one alone is hashed twice.
    const size_t j = i + 1 < n ? i + 1 : i;
    Lane a, b;
    Start(blocks[i], a);
    Start(blocks[j], b);
    const uint32_t* constants = kRoundConstants;
    for (int k = 0; k < 3; ++k, constants += 16) {
      SixteenRounds<true>(constants, a, b);
    }
    SixteenRounds<false>(constants, a, b);
    Spell(a, out[i]);
    Spell(b, out[j]);
  }
}

#endif  // K8SDNS_SHA_INSTRUCTIONS

}  // namespace

ChainHash SpellHash(uint32_t first, uint32_t second, uint32_t third) {
  const uint64_t a = first;
  const uint64_t b = second;
  const uint64_t c = third;
  ChainHash hash;
  WriteBase32(a << 8 | b >> 24, hash.characters.data());
  WriteBase32((b & 0xffffff) << 16 | c >> 16, hash.characters.data() + 8);
  return hash;
}

void HashBlocksPlain(const HashBlock* blocks, size_t n, ChainHash* const* out) {
  for (size_t i = 0; i < n; ++i) {
    SHA256_CTX context;
    SHA256_Init(&context);
    SHA256_Transform(&context, blocks[i].data());
    *out[i] = SpellHash(context.h[0], context.h[1], context.h[2]);
  }
}

void HashBlocks(const HashBlock* blocks, size_t n, ChainHash* const* out) {
#if defined(K8SDNS_SHA_INSTRUCTIONS)
  // Asking costs more than a hash.
  static const bool has_instructions = HasShaInstructions();
  if (has_instructions) return HashPairs(blocks, n, out);
#endif
  HashBlocksPlain(blocks, n, out);
}

}  // namespace k8sdns::proxy
