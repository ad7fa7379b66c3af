#include "k8sdns/proxy/chain_names.h"

#include <openssl/evp.h>

#include <cstring>
#include <utility>

namespace k8sdns::proxy {

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

ChainNamer::ChainNamer()
    : digest_(EVP_MD_fetch(nullptr, "SHA256", nullptr)),
      context_(EVP_MD_CTX_new()) {}

ChainNamer::~ChainNamer() {
  EVP_MD_CTX_free(context_);
  EVP_MD_free(digest_);
}

ChainNamer::ChainNamer(ChainNamer&& other) noexcept
    : digest_(std::exchange(other.digest_, nullptr)),
      context_(std::exchange(other.context_, nullptr)) {}

ChainNamer& ChainNamer::operator=(ChainNamer&& other) noexcept {
  std::swap(digest_, other.digest_);
  std::swap(context_, other.context_);
  return *this;
}

ChainHash ChainNamer::OfPort(absl::string_view port_name, Protocol protocol) {
  return Hash(port_name, LowerCaseName(protocol), "");
}

ChainHash ChainNamer::OfEndpoint(absl::string_view port_name, Protocol protocol,
                                 absl::string_view endpoint) {
  return Hash(port_name, LowerCaseName(protocol), endpoint);
}

ChainHash ChainNamer::Hash(absl::string_view a, absl::string_view b,
                           absl::string_view c) {
  // One update is cheaper than three; names are shorter than this unless
  // somebody made them up.
  char joined[512];
  const size_t size = a.size() + b.size() + c.size();
  EVP_DigestInit_ex2(context_, digest_, nullptr);
  if (size <= sizeof joined) {
    std::memcpy(joined, a.data(), a.size());
    std::memcpy(joined + a.size(), b.data(), b.size());
    if (!c.empty()) {
      std::memcpy(joined + a.size() + b.size(), c.data(), c.size());
    }
    EVP_DigestUpdate(context_, joined, size);
  } else {
    for (absl::string_view part : {a, b, c}) {
      EVP_DigestUpdate(context_, part.data(), part.size());
    }
  }
  unsigned char bytes[EVP_MAX_MD_SIZE];
  EVP_DigestFinal_ex(context_, bytes, nullptr);

  static constexpr char kBase32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  ChainHash hash;
  for (int group = 0; group < 2; ++group) {
    uint64_t bits = 0;
    for (int i = 0; i < 5; ++i) bits = bits << 8 | bytes[group * 5 + i];
    for (int i = 0; i < 8; ++i) {
      hash.characters[group * 8 + i] = kBase32[bits >> (35 - 5 * i) & 31];
    }
  }
  return hash;
}

}  // namespace k8sdns::proxy
