// The hash in a chain's name, of messages that are one block of SHA-256:
// internal to chain_names.
//
// Two ways, which give the same: OpenSSL, and, where the processor has SHA
// instructions (x86-64: SHA, SSE4.1), two messages at a time: one alone leaves
// the processor waiting for half of the time. All functions are thread-safe.
#ifndef K8SDNS_PROXY_CHAIN_HASH_H_
#define K8SDNS_PROXY_CHAIN_HASH_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace k8sdns::proxy {

// The 16 characters that make a chain name unique: base32 of the first 80 bits.
struct ChainHash {
  std::array<char, 16> characters = {};

  absl::string_view text() const { return {characters.data(), 16}; }
  friend bool operator==(const ChainHash&, const ChainHash&) = default;
};

// A message with its padding (FIPS 180-4, 5.1.1).
using HashBlock = std::array<uint8_t, 64>;

// The first three words of a SHA-256 as base32.
ChainHash SpellHash(uint32_t first, uint32_t second, uint32_t third);

// `*out[i]` becomes the hash of `blocks[i]`, for all i < n.
void HashBlocks(const HashBlock* blocks, size_t n, ChainHash* const* out);

// The same by OpenSSL alone.
void HashBlocksPlain(const HashBlock* blocks, size_t n, ChainHash* const* out);

}  // namespace k8sdns::proxy

#endif  // K8SDNS_PROXY_CHAIN_HASH_H_
