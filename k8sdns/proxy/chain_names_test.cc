#include "k8sdns/proxy/chain_names.h"

#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace k8sdns::proxy {
namespace {

// The names that kube-proxy gave on a Docker EE 2.1 node.
TEST(ChainNames, AreThoseOfARealNode) {
  const ChainNamer dns("kube-system/kube-dns:dns", Protocol::kUdp);
  const ChainNamer dns_tcp("kube-system/kube-dns:dns-tcp", Protocol::kTcp);
  EXPECT_EQ(dns.OfPort().text(), "TCOU7JCQXEZGVUNU");
  EXPECT_EQ(dns_tcp.OfPort().text(), "ERIFXISQEP7F7OF4");
  EXPECT_EQ(dns.OfEndpoint("192.168.237.9:53").text(), "VMNICV4GUKMZMBOY");
  EXPECT_EQ(dns_tcp.OfEndpoint("192.168.237.9:53").text(), "SKI5LDIQRRMBYDWW");
}

// The pieces are joined before they are hashed: wherever the cut is, and on
// both sides of the sizes where SHA-256 takes another block.
TEST(ChainNames, AreTheSameForTextsOfAllSizesHoweverTheyAreCut) {
  for (size_t size = 1; size < 200; ++size) {
    const std::string text(size, 'x');
    const ChainHash whole =
        ChainNamer(text + "tcp" + text, Protocol::kTcp).OfPort();
    EXPECT_EQ(ChainNamer(text, Protocol::kTcp).OfEndpoint(text + "tcp"), whole)
        << size;
  }
  // By sha256sum and base32: one block, and two.
  EXPECT_EQ(ChainNamer(std::string(52, 'a'), Protocol::kTcp).OfPort().text(),
            "RGAOTTUD6WHPC66M");
  EXPECT_EQ(ChainNamer(std::string(53, 'a'), Protocol::kTcp).OfPort().text(),
            "TLJHVWI4ORK3TJ62");
  EXPECT_EQ(ChainNamer(std::string(70, 'a'), Protocol::kTcp).OfPort().text(),
            "KXZI3NRVDXQVYZRA");
}

TEST(ChainNames, AreTheSameInABatchOfAnySize) {
  for (size_t start : {1, 30, 60, 90}) {
    const ChainNamer namer(std::string(start, 'n'), Protocol::kSctp);
    std::vector<ChainHash> hashes(40);
    {
      ChainNameBatch batch(namer);
      for (size_t i = 0; i < hashes.size(); ++i) {
        batch.Add(std::string(i, 'e'), &hashes[i]);
        if (i == 5) batch.Flush();
      }
    }
    for (size_t i = 0; i < hashes.size(); ++i) {
      EXPECT_EQ(hashes[i], namer.OfEndpoint(std::string(i, 'e'))) << i;
    }
  }
}

TEST(ChainHash, IsThatOfOpenSslForAnyBlocks) {
  std::mt19937 random(7);
  for (size_t n = 0; n < 40; ++n) {
    std::vector<HashBlock> blocks(n);
    std::vector<ChainHash> hashes(n), plain(n);
    std::vector<ChainHash*> to, to_plain;
    for (size_t i = 0; i < n; ++i) {
      for (uint8_t& byte : blocks[i]) byte = static_cast<uint8_t>(random());
      to.push_back(&hashes[i]);
      to_plain.push_back(&plain[i]);
    }
    HashBlocks(blocks.data(), n, to.data());
    HashBlocksPlain(blocks.data(), n, to_plain.data());
    EXPECT_EQ(hashes, plain) << n;
  }
}

}  // namespace
}  // namespace k8sdns::proxy
