#include "k8sdns/proxy/chain_names.h"

// The functions for one hash are "deprecated", not gone.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <cstring>

#include "absl/strings/str_cat.h"

namespace k8sdns::proxy {
namespace {

// Copies `size` bytes; for the sizes of most endpoints without a call.
void CopyText(const char* from, size_t size, uint8_t* to) {
  if (size >= 8 && size <= 16) {
    uint64_t ends[2];
    std::memcpy(&ends[0], from, 8);
    std::memcpy(&ends[1], from + size - 8, 8);
    std::memcpy(to, &ends[0], 8);
    std::memcpy(to + size - 8, &ends[1], 8);
  } else if (size > 0) {
    std::memcpy(to, from, size);
  }
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

bool ChainNamer::MakeBlock(absl::string_view endpoint, HashBlock& block) const {
  const size_t size = start_size_ + endpoint.size();
  if (size >= kBlock - 8) return false;
  // FIPS 180-4, 5.1.1: a one bit, zeros, the number of bits. start_ is zero
  // behind its text.
  block = start_;
  CopyText(endpoint.data(), endpoint.size(), block.data() + start_size_);
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
  return SpellHash(context.h[0], context.h[1], context.h[2]);
}

ChainHash ChainNamer::OfEndpoint(absl::string_view endpoint) const {
  HashBlock block;
  if (!MakeBlock(endpoint, block)) return OfLongText(endpoint);
  ChainHash hash;
  ChainHash* const out = &hash;
  HashBlocks(&block, 1, &out);
  return hash;
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
  HashBlocks(blocks_.data(), size_, out_.data());
  size_ = 0;
}

}  // namespace k8sdns::proxy
