#include "k8sdns/proxy/chain_names.h"

// The functions for one hash and one block are "deprecated", not gone.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <cstring>

#include "absl/strings/str_cat.h"

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

// Of a hash as numbers, the first 80 bits.
ChainHash Spell(const SHA256_CTX& context) {
  const uint64_t first = context.h[0];
  const uint64_t second = context.h[1];
  const uint64_t third = context.h[2];
  ChainHash hash;
  WriteBase32(first << 8 | second >> 24, hash.characters.data());
  WriteBase32((second & 0xffffff) << 16 | third >> 16,
              hash.characters.data() + 8);
  return hash;
}

// Of a padded message of one block. The high-level interface (EVP) costs more
// than the hash.
ChainHash HashBlock(const uint8_t* block) {
  SHA256_CTX context;
  SHA256_Init(&context);
  SHA256_Transform(&context, block);
  return Spell(context);
}

}  // namespace

absl::string_view LowerCaseName(Protocol protocol) {
  switch (protocol) {
    case Protocol::kUdp:
      return "udp";
    case Protocol::kSctp:
      return "sctp";
    default:
      return "tcp";
  }
}

ChainNamer::ChainNamer(absl::string_view port_name, Protocol protocol) {
  const absl::string_view suffix = LowerCaseName(protocol);
  start_size_ = port_name.size() + suffix.size();
  if (start_size_ > kBlock) {
    long_start_ = absl::StrCat(port_name, suffix);
    return;
  }
  std::memcpy(start_.data(), port_name.data(), port_name.size());
  std::memcpy(start_.data() + port_name.size(), suffix.data(), suffix.size());
}

bool ChainNamer::MakeBlock(absl::string_view endpoint, Block& block) const {
  const size_t size = start_size_ + endpoint.size();
  if (size >= kBlock - 8) return false;
  // FIPS 180-4, 5.1.1: a one bit, zeros, the number of bits. start_ is zero
  // behind its text.
  block = start_;
  if (!endpoint.empty()) {
    std::memcpy(block.data() + start_size_, endpoint.data(), endpoint.size());
  }
  block[size] = 0x80;
  block[kBlock - 2] = static_cast<uint8_t>(size * 8 >> 8);
  block[kBlock - 1] = static_cast<uint8_t>(size * 8);
  return true;
}

ChainHash ChainNamer::OfLongText(absl::string_view endpoint) const {
  SHA256_CTX context;
  SHA256_Init(&context);
  if (long_start_.empty()) {
    SHA256_Update(&context, start_.data(), start_size_);
  } else {
    SHA256_Update(&context, long_start_.data(), long_start_.size());
  }
  SHA256_Update(&context, endpoint.data(), endpoint.size());
  unsigned char bytes[SHA256_DIGEST_LENGTH];
  SHA256_Final(bytes, &context);
  return Spell(context);
}

ChainHash ChainNamer::OfEndpoint(absl::string_view endpoint) const {
  Block block;
  if (!MakeBlock(endpoint, block)) return OfLongText(endpoint);
  return HashBlock(block.data());
}

void ChainNameBatch::Add(absl::string_view endpoint, ChainHash* out) {
  if (!namer_.MakeBlock(endpoint, blocks_[size_])) {
    *out = namer_.OfLongText(endpoint);
    return;
  }
  out_[size_++] = out;
  if (size_ == kSize) Flush();
}

void ChainNameBatch::Flush() {
  for (size_t i = 0; i < size_; ++i) *out_[i] = HashBlock(blocks_[i].data());
  size_ = 0;
}

}  // namespace k8sdns::proxy
